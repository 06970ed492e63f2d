//! A Gaussian law on any support whose free coordinates are equally correlated: the problem that shows whether densities and
//! divergences count a symmetric pair once.
//!
//! On the d free coordinates of a row the noised covariance is `a I + b 11ᵀ` with `a = α² s² (1 − ρ) + σ²` and
//! `b = α² s² ρ`, so that inverse and determinant are closed forms:
//! `(a I + b 11ᵀ)⁻¹ = (I − b/(a + d b) 11ᵀ)/a`, `det = a^{d−1} (a + d b)`. The law does not change under permutations.

use burn::tensor::Tensor;
use equidrift_sampler::path::Marginal;
use equidrift_sampler::{
    Component, DenoiseError, Denoiser, Layout, PathConfig, PredictionKind, PredictionsAndGradients,
    SamplerError, State, Support, TerminalDensity, VectorJacobian,
};

use crate::gaussian::{answer, host_values};

/// The law of one component's free coordinates: equal means, variances and correlations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExchangeableGaussian {
    /// Mean of every coordinate.
    pub mean: f64,
    /// Standard deviation of every coordinate.
    pub sd: f64,
    /// Correlation ρ of every two coordinates, 0 ≤ ρ < 1.
    pub correlation: f64,
}

/// Coefficients of the noised law at one time for d coordinates.
struct Noised {
    mean: f64,
    /// The eigenvalue of multiplicity d − 1.
    own: f64,
    /// The eigenvalue of the sum of all coordinates.
    shared: f64,
}

impl ExchangeableGaussian {
    fn noised(&self, marginal: &Marginal, coordinates: usize) -> Noised {
        let variance = marginal.alpha * marginal.alpha * self.sd * self.sd;
        let own = variance * (1.0 - self.correlation) + marginal.sigma * marginal.sigma;
        let shared = own + coordinates as f64 * variance * self.correlation;
        Noised { mean: marginal.alpha * self.mean, own, shared }
    }
}

impl Noised {
    /// The inverse covariance times a vector of coordinates.
    fn solve(&self, values: &[f64]) -> Vec<f64> {
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        values.iter().map(|value| (value - mean) / self.own + mean / self.shared).collect()
    }
}

/// The exact denoiser of one [`ExchangeableGaussian`] per component; components are independent. It answers in f64.
#[derive(Clone, Debug)]
pub struct ExchangeableDenoiser {
    laws: Vec<ExchangeableGaussian>,
    paths: Vec<PathConfig>,
    kinds: Vec<PredictionKind>,
}

impl ExchangeableDenoiser {
    /// The denoiser of components with these laws noised along these paths, answering in `kind`.
    #[must_use]
    pub fn new(laws: Vec<ExchangeableGaussian>, paths: Vec<PathConfig>, kind: PredictionKind) -> Self {
        let kinds = vec![kind; paths.len()];
        Self { laws, paths, kinds }
    }

    fn noised(&self, index: usize, component: &Component, row: usize, time: f64) -> (Marginal, Noised) {
        let marginal = self.paths[index].build().marginal(time);
        let noised = self.laws[index].noised(&marginal, component.support.degrees_of_freedom(row));
        (marginal, noised)
    }

    /// Applies `map` to the free coordinates of every row of every component.
    fn each_row(
        &self,
        state: &State,
        mut values: Vec<Vec<f64>>,
        mut map: impl FnMut(usize, usize, &[f64]) -> Vec<f64>,
    ) -> Vec<Vec<f64>> {
        for (index, (component, values)) in state.components.iter().zip(&mut values).enumerate() {
            let support = &component.support;
            for (row, values) in values.chunks_exact_mut(support.width().max(1)).enumerate() {
                let mapped = map(index, row, &coordinates(support, row, values));
                values.fill(0.0);
                let mut mapped = mapped.into_iter();
                support.for_each_coordinate(row, |place, _| {
                    let value = mapped.next().unwrap_or(f64::NAN);
                    values[place] = value;
                    if let Layout::SymmetricPairs { nodes } = support.layout() {
                        values[place % nodes * nodes + place / nodes] = value;
                    }
                });
            }
        }
        values
    }
}

/// The free coordinates of a row.
fn coordinates(support: &Support, row: usize, values: &[f64]) -> Vec<f64> {
    let mut out = Vec::with_capacity(support.degrees_of_freedom(row));
    support.for_each_coordinate(row, |place, _| out.push(values[place]));
    out
}

impl Denoiser for ExchangeableDenoiser {
    fn kinds(&self) -> &[PredictionKind] {
        &self.kinds
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let values = state.to_host().map_err(|error| DenoiseError::Engine(error.into()))?;
        let out = self.each_row(state, values, |index, row, x| {
            let (marginal, noised) = self.noised(index, &state.components[index], row, times[row]);
            let conversion = PredictionKind::Score.convert(self.kinds[index], &marginal);
            let differences: Vec<f64> = x.iter().map(|x| x - noised.mean).collect();
            let scores = noised.solve(&differences).into_iter().map(|value| -value);
            scores.zip(x).map(|(score, x)| conversion.state * x + conversion.prediction * score).collect()
        });
        answer(state, out)
    }
}

impl VectorJacobian for ExchangeableDenoiser {
    fn vjp(
        &self,
        state: &State,
        times: &[f64],
        cotangents: &[Tensor<2>],
    ) -> Result<PredictionsAndGradients, DenoiseError> {
        let predictions = self.predict(state, times)?;
        let out = self.each_row(state, host_values(state, cotangents)?, |index, row, cotangent| {
            let (marginal, noised) = self.noised(index, &state.components[index], row, times[row]);
            let conversion = PredictionKind::Score.convert(self.kinds[index], &marginal);
            // The score's Jacobian is the negative inverse covariance, which is symmetric.
            let solved = noised.solve(cotangent).into_iter().map(|value| -value);
            solved.zip(cotangent).map(|(g, c)| conversion.state * c + conversion.prediction * g).collect()
        });
        Ok((predictions, answer(state, out)?))
    }
}

/// The exact log-density of the noised data, with respect to the free coordinates.
impl TerminalDensity for ExchangeableDenoiser {
    fn log_density(&self, state: &State, time: f64) -> Result<Vec<f64>, SamplerError> {
        let hosts = state.to_host()?;
        let mut out = vec![0.0; state.batch()];
        for (index, (component, values)) in state.components.iter().zip(&hosts).enumerate() {
            let width = component.support.width();
            for (row, log_density) in out.iter_mut().enumerate() {
                let x = coordinates(&component.support, row, &values[row * width..(row + 1) * width]);
                if x.is_empty() {
                    continue;
                }
                let (_, noised) = self.noised(index, component, row, time);
                let differences: Vec<f64> = x.iter().map(|x| x - noised.mean).collect();
                let solved = noised.solve(&differences);
                let square: f64 = differences.iter().zip(&solved).map(|(d, s)| d * s).sum();
                let d = x.len() as f64;
                let log_determinant = (d - 1.0) * libm::log(noised.own) + libm::log(noised.shared);
                *log_density -= 0.5 * (square + d * libm::log(2.0 * core::f64::consts::PI) + log_determinant);
            }
        }
        Ok(out)
    }
}
