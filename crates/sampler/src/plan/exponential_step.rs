//! One exponential step of the probability-flow ODE in λ, whatever part of it is taken as linear.
//!
//! In z = x/α the ODE is `dz/dλ = −(σ/α) ε̂`. With `f = (σ ε̂ − l x)/α` and a model `f' = s f + b` of how f changes along
//! the path, `L = ∫ l` and `S = ∫ s`, the exact solution from s to t is
//!
//! ```text
//! z_t = e^{L_s − L_t} z_s − ∫ e^{L − L_t + S − S_s} g dλ − ∫ e^{L − L_t} D dλ,
//! g(λ) = e^{S_s − S} (f − D(λ)),   D(λ) = ∫_{λ_s}^λ e^{S(λ) − S(μ)} b(μ) dμ,
//! ```
//!
//! and a solver is a Taylor polynomial of g about λ_s (Zheng, Lu, Chen & Zhu, "DPM-Solver-v3", NeurIPS 2023). The known
//! solvers are cases: l = 0, s = −1 makes g the noise prediction (DPM-Solver), l = 1, s = 0 the data prediction
//! (DPM-Solver++), and tables measured on a network make DPM-Solver-v3.

use nalgebra::{DMatrix, DVector};

use super::exponential::phi;
use crate::statistics::StatisticsTable;

/// The part of the ODE that a step solves exactly.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LinearPart<'a> {
    /// l = 0, s = −1, b = 0: polynomials of the noise prediction.
    Noise,
    /// l = 1, s = 0, b = 0: polynomials of the data prediction.
    Data,
    /// l, s and b as measured.
    Measured(&'a StatisticsTable),
}

/// `f = noise · ε̂ + data · x̂₀` at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ModelTerm {
    pub(crate) noise: f64,
    pub(crate) data: f64,
}

/// `x_t = state · x_s + Σ model[i] · f_i + constant`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExponentialStep {
    pub(crate) state: f64,
    pub(crate) model: Vec<f64>,
    pub(crate) constant: f64,
}

/// The integrals of a step: `e^{L_s − L_t}`, those of `(λ − λ_s)^k/k!`, and that of D.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StepIntegrals {
    pub(crate) decay: f64,
    pub(crate) powers: Vec<f64>,
    pub(crate) forcing: f64,
}

/// Estimators of the derivatives of g at the first node: `derivatives[k − 1][i]` is the weight of g at node i in the
/// k-th derivative.
pub(crate) type Derivatives = Vec<Vec<f64>>;

impl LinearPart<'_> {
    /// l at λ.
    fn l(&self, lambda: f64) -> f64 {
        match self {
            Self::Noise => 0.0,
            Self::Data => 1.0,
            Self::Measured(table) => table.l(lambda),
        }
    }

    /// f in terms of ε̂ and x̂₀, `(1 − l)(σ/α) ε̂ − l x̂₀`: no difference of large numbers at either end of the path.
    pub(crate) fn model_term(&self, lambda: f64) -> ModelTerm {
        let l = self.l(lambda);
        ModelTerm { noise: if l == 1.0 { 0.0 } else { (1.0 - l) * libm::exp(-lambda) }, data: -l }
    }

    fn integrals(&self, from: f64, to: f64, count: usize) -> StepIntegrals {
        let h = to - from;
        match self {
            // e^{−h} h^{k+1} φ_{k+1}(h) and h^{k+1} φ_{k+1}(−h).
            Self::Noise => {
                let decay = libm::exp(-h);
                StepIntegrals { decay: 1.0, powers: powers_of(h, h, decay, count), forcing: 0.0 }
            }
            Self::Data => {
                StepIntegrals { decay: libm::exp(-h), powers: powers_of(h, -h, 1.0, count), forcing: 0.0 }
            }
            Self::Measured(table) => table.integrals(from, to, count),
        }
    }

    /// `g = scale · f + shift` at `node`, for a step that starts from `from`.
    fn carried(&self, from: f64, node: f64) -> (f64, f64) {
        match self {
            Self::Noise => (libm::exp(node - from), 0.0),
            Self::Data => (1.0, 0.0),
            Self::Measured(table) => table.carried(from, node),
        }
    }

    /// The step from `nodes[0]` to `to`, where f is known at all `nodes` (any order, in λ). `log_alpha` is ln α at both
    /// ends.
    pub(crate) fn step(
        &self,
        nodes: &[f64],
        to: f64,
        log_alpha: [f64; 2],
        derivatives: &Derivatives,
    ) -> ExponentialStep {
        let from = nodes[0];
        let StepIntegrals { decay, powers, forcing } = self.integrals(from, to, derivatives.len() + 1);
        let mut weights = vec![0.0; nodes.len()];
        weights[0] = powers[0];
        for (power, derivative) in powers[1..].iter().zip(derivatives) {
            for (weight, w) in weights.iter_mut().zip(derivative) {
                *weight += power * w;
            }
        }
        let alpha = libm::exp(log_alpha[1]);
        let mut constant = -alpha * forcing;
        let mut model = Vec::with_capacity(nodes.len());
        for (&node, weight) in nodes.iter().zip(weights) {
            let (scale, shift) = self.carried(from, node);
            model.push(-alpha * weight * scale);
            constant -= alpha * weight * shift;
        }
        ExponentialStep { state: libm::exp(log_alpha[1] - log_alpha[0]) * decay, model, constant }
    }
}

/// `factor · h^{k+1} φ_{k+1}(z)` for k below `count`.
fn powers_of(h: f64, z: f64, factor: f64, count: usize) -> Vec<f64> {
    let mut power = factor;
    (1..=count)
        .map(|k| {
            power *= h;
            power * phi(k, z)
        })
        .collect()
}

/// The weights of the k-th derivative at `nodes[0]` that are exact for polynomials of degree `points`, from that node
/// and the `points` after it; the other nodes get weight 0. `None` if two nodes coincide.
pub(crate) fn derivative_weights(nodes: &[f64], points: usize, derivative: usize) -> Option<Vec<f64>> {
    let mut matrix = DMatrix::zeros(points, points);
    for column in 0..points {
        let distance = nodes[column + 1] - nodes[0];
        let mut entry = 1.0;
        for row in 0..points {
            entry *= distance / (row + 1) as f64;
            matrix[(row, column)] = entry;
        }
    }
    let mut wanted = DVector::zeros(points);
    wanted[derivative - 1] = 1.0;
    let solution = matrix.lu().solve(&wanted)?;
    let mut weights = vec![0.0; nodes.len()];
    weights[0] = -solution.sum();
    weights[1..=points].copy_from_slice(solution.as_slice());
    Some(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivative_weights_are_exact_for_polynomials() {
        let nodes = [0.3, -0.1, 0.9, -0.7];
        let value = |x: f64| 2.0 - x + 0.5 * x * x - 3.0 * x * x * x;
        let exact = [-1.0 + 0.3 - 9.0 * 0.09, 1.0 - 18.0 * 0.3, -18.0];
        for (k, exact) in exact.into_iter().enumerate() {
            let weights = derivative_weights(&nodes, 3, k + 1).unwrap();
            let found: f64 = weights.iter().zip(nodes).map(|(w, x)| w * value(x)).sum();
            assert!((found - exact).abs() < 1e-11, "{k} {found} {exact}");
        }
        assert!(derivative_weights(&[1.0, 1.0], 1, 1).is_none());
    }
}
