//! A one-dimensional mixture of two normals whose score is known: the problem on which the order of an ODE solver shows.

use burn::tensor::{DType, Device, Tensor};
use equidrift_backend::normal::inverse_normal_cdf;
use equidrift_sampler::path::Marginal;
use equidrift_sampler::{
    Component, DenoiseError, Denoiser, Executor, KeyedNoise, PathConfig, Plan, PredictionKind,
    PredictionsAndGradients, SamplerError, State, Support, TerminalDensity, VectorJacobian,
};

use crate::error::LawError;
use crate::gaussian::{answer, host_values};

/// A mixture of normals on the line.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    /// Weights, sum 1.
    pub weights: Vec<f64>,
    /// Means.
    pub means: Vec<f64>,
    /// Standard deviations.
    pub sds: Vec<f64>,
}

impl Mixture {
    /// Weights (0.3, 0.7), means (−1.2, 0.8), standard deviations (0.4, 0.3).
    #[must_use]
    pub fn two_modes() -> Self {
        Self { weights: vec![0.3, 0.7], means: vec![-1.2, 0.8], sds: vec![0.4, 0.3] }
    }

    /// The expectation of the noise ε given x at (α, σ).
    #[must_use]
    pub fn noise(&self, x: f64, alpha: f64, sigma: f64) -> f64 {
        self.posterior(x, alpha, sigma).noise
    }

    /// The log-density of the noised data at x.
    #[must_use]
    pub fn log_density(&self, x: f64, alpha: f64, sigma: f64) -> f64 {
        self.posterior(x, alpha, sigma).log_density
    }

    fn posterior(&self, x: f64, alpha: f64, sigma: f64) -> Posterior {
        // Per mode: log of its part of the density, the noise if x belongs to it, and that noise's slope.
        let parts = || {
            self.weights.iter().zip(&self.means).zip(&self.sds).map(|((w, m), s)| {
                let variance = alpha * alpha * s * s + sigma * sigma;
                let d = x - alpha * m;
                let log = libm::log(*w) - 0.5 * libm::log(variance) - 0.5 * d * d / variance;
                (log, sigma * d / variance, sigma / variance)
            })
        };
        let top = parts().map(|(log, ..)| log).fold(f64::NEG_INFINITY, f64::max);
        let (mut total, mut noise, mut square, mut slope) = (0.0, 0.0, 0.0, 0.0);
        for (log, part, part_slope) in parts() {
            let weight = libm::exp(log - top);
            total += weight;
            noise += weight * part;
            square += weight * part * part;
            slope += weight * part_slope;
        }
        let (noise, square) = (noise / total, square / total);
        Posterior {
            log_density: top + libm::log(total) - 0.5 * libm::log(2.0 * core::f64::consts::PI),
            noise,
            // The weights move with x too: d log weight/dx = −(noise of the mode)/σ.
            slope: slope / total - (square - noise * noise) / sigma,
        }
    }

    /// `count` starting points: the quantiles (i + ½)/count of the standard normal.
    #[must_use]
    pub fn starts(count: usize) -> Vec<f64> {
        (0..count).map(|i| inverse_normal_cdf((i as f64 + 0.5) / count as f64)).collect()
    }

    /// The exact probability-flow map from t = 1 to `t_end`, by `steps` classical Runge–Kutta steps in λ on z = x/α
    /// (error of order `steps`⁻⁴; 8,000 steps give about 1e-12).
    #[must_use]
    pub fn flow(&self, path: &PathConfig, starts: &[f64], t_end: f64, steps: usize) -> Vec<f64> {
        let path = path.build();
        let (from, to) = (path.lambda(1.0), path.lambda(t_end));
        let h = (to - from) / steps as f64;
        // The nodes and midpoints serve all starting points.
        let coefficients: Vec<(f64, f64, f64)> = (0..=2 * steps)
            .map(|i| {
                let lambda = from + 0.5 * h * i as f64;
                let t = path.inverse_lambda(lambda);
                (path.alpha(t), path.sigma(t), libm::exp(-lambda))
            })
            .collect();
        let slope =
            |z: f64, (alpha, sigma, ratio): (f64, f64, f64)| -ratio * self.noise(alpha * z, alpha, sigma);
        starts
            .iter()
            .map(|start| {
                let mut z = start / coefficients[0].0;
                for i in 0..steps {
                    let (left, middle, right) =
                        (coefficients[2 * i], coefficients[2 * i + 1], coefficients[2 * i + 2]);
                    let k1 = slope(z, left);
                    let k2 = slope(z + 0.5 * h * k1, middle);
                    let k3 = slope(z + 0.5 * h * k2, middle);
                    let k4 = slope(z + h * k3, right);
                    z += h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4);
                }
                z * coefficients[2 * steps].0
            })
            .collect()
    }

    /// What a one-component `plan` returns from `starts`, run by the executor in f64.
    ///
    /// # Errors
    /// If the plan does not run.
    pub fn ends(
        &self,
        plan: &Plan,
        path: &PathConfig,
        starts: &[f64],
        device: &Device,
    ) -> Result<Vec<f64>, LawError> {
        let denoiser = MixtureDenoiser::new(self.clone(), path.clone(), PredictionKind::Score);
        let support = Support::vector(starts.len(), 1);
        let state =
            State::new(vec![Component::from_host("x", starts.to_vec(), support, device, DType::F64)?])?;
        let ids: Vec<u64> = (0..starts.len() as u64).collect();
        let outcome = Executor::new(&denoiser, &KeyedNoise::new(0)).run(plan, state, &ids)?;
        Ok(outcome.state.components[0].to_host()?)
    }

    /// Root mean square difference between [`Mixture::ends`] and `exact`.
    ///
    /// # Errors
    /// If the plan does not run.
    pub fn rms_error(
        &self,
        plan: &Plan,
        path: &PathConfig,
        starts: &[f64],
        exact: &[f64],
        device: &Device,
    ) -> Result<f64, LawError> {
        let ends = self.ends(plan, path, starts, device)?;
        let sum: f64 = ends.iter().zip(exact).map(|(a, b)| (a - b) * (a - b)).sum();
        Ok(libm::sqrt(sum / starts.len() as f64))
    }
}

/// What is known at one point.
struct Posterior {
    log_density: f64,
    /// Expectation of ε.
    noise: f64,
    /// Its derivative with respect to x.
    slope: f64,
}

/// The exact denoiser of a [`Mixture`]: every entry of a one-component state is noised independently.
#[derive(Clone, Debug)]
pub struct MixtureDenoiser {
    mixture: Mixture,
    path: PathConfig,
    kinds: [PredictionKind; 1],
}

impl MixtureDenoiser {
    /// The denoiser of `mixture` noised along `path`, answering in `kind`.
    #[must_use]
    pub fn new(mixture: Mixture, path: PathConfig, kind: PredictionKind) -> Self {
        Self { mixture, path, kinds: [kind] }
    }
}

impl Denoiser for MixtureDenoiser {
    fn kinds(&self) -> &[PredictionKind] {
        &self.kinds
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let component = &state.components[0];
        let mut values = component.to_host().map_err(|error| DenoiseError::Engine(error.into()))?;
        let path = self.path.build();
        for (row, &time) in values.chunks_exact_mut(component.support.width().max(1)).zip(times) {
            let marginal: Marginal = path.marginal(time);
            let conversion = PredictionKind::Noise.convert(self.kinds[0], &marginal);
            for x in row {
                let noise = self.mixture.noise(*x, marginal.alpha, marginal.sigma);
                *x = conversion.state * *x + conversion.prediction * noise;
            }
        }
        answer(state, vec![values])
    }
}

/// Entries are independent, so the Jacobian is diagonal.
impl VectorJacobian for MixtureDenoiser {
    fn vjp(
        &self,
        state: &State,
        times: &[f64],
        cotangents: &[Tensor<2>],
    ) -> Result<PredictionsAndGradients, DenoiseError> {
        let predictions = self.predict(state, times)?;
        let mut gradients = host_values(state, cotangents)?;
        let component = &state.components[0];
        let values = component.to_host().map_err(|error| DenoiseError::Engine(error.into()))?;
        let path = self.path.build();
        let width = component.support.width().max(1);
        let rows = gradients[0].chunks_exact_mut(width).zip(values.chunks_exact(width));
        for ((gradients, values), &time) in rows.zip(times) {
            let marginal = path.marginal(time);
            let conversion = PredictionKind::Noise.convert(self.kinds[0], &marginal);
            for (gradient, x) in gradients.iter_mut().zip(values) {
                let slope = self.mixture.posterior(*x, marginal.alpha, marginal.sigma).slope;
                *gradient *= conversion.state + conversion.prediction * slope;
            }
        }
        Ok((predictions, answer(state, gradients)?))
    }
}

/// The exact log-density of the noised data.
impl TerminalDensity for MixtureDenoiser {
    fn log_density(&self, state: &State, time: f64) -> Result<Vec<f64>, SamplerError> {
        let component = &state.components[0];
        let path = self.path.build();
        let (alpha, sigma) = (path.alpha(time), path.sigma(time));
        let log_density = |x: &f64| self.mixture.log_density(*x, alpha, sigma);
        let values = component.to_host()?;
        let rows = values.chunks_exact(component.support.width().max(1));
        Ok(rows.map(|row| row.iter().map(log_density).sum()).collect())
    }
}
