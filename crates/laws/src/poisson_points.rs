//! A finite set of points noised by the Gaussian or the Poisson kernel: the exact denoiser of either.

use burn::tensor::Tensor;
use equidrift_sampler::{DenoiseError, Denoiser, NoiseLaw, PathConfig, PredictionKind, SamplerError, State};

use crate::gaussian::answer;

/// The exact denoiser of equally likely points: components of layout `Vector { dim: N }`, answers in x̂₀, in f64.
///
/// With z = x/α and ς = σ/α the posterior weights are `exp(−|z − y_i|²/(2ς²))` under [`NoiseLaw::Gaussian`] and
/// `(|z − y_i|² + ς² D)^{−(N+D)/2}` under [`NoiseLaw::Poisson`] (PFGM++, Xu et al. 2023); the second tends to the first as
/// D → ∞.
#[derive(Clone, Debug)]
pub struct PointsDenoiser {
    points: Vec<Vec<f64>>,
    path: PathConfig,
    law: NoiseLaw,
    kinds: [PredictionKind; 1],
}

impl PointsDenoiser {
    /// The denoiser of these points, all of the same length N, noised along `path` by `law`.
    ///
    /// # Errors
    /// If there is no point, or their lengths differ.
    pub fn new(points: Vec<Vec<f64>>, path: PathConfig, law: NoiseLaw) -> Result<Self, SamplerError> {
        let expected = points.first().map_or(1, Vec::len);
        if points.is_empty() {
            return Err(SamplerError::Count { what: "points", expected: 1, found: 0 });
        }
        if let Some(point) = points.iter().find(|point| point.len() != expected) {
            return Err(SamplerError::Count { what: "coordinates of a point", expected, found: point.len() });
        }
        Ok(Self { points, path, law, kinds: [PredictionKind::X0] })
    }

    /// E[y|z] at noise level ς: z = y + ς · noise.
    #[must_use]
    pub fn posterior_mean(&self, z: &[f64], level: f64) -> Vec<f64> {
        let log_weight = |point: &[f64]| {
            let square: f64 = z.iter().zip(point).map(|(a, b)| (a - b) * (a - b)).sum();
            let square = square / (level * level);
            match self.law {
                NoiseLaw::Poisson { dimension } => {
                    let d = f64::from(dimension.max(1));
                    -0.5 * (z.len() as f64 + d) * libm::log1p(square / d)
                }
                _ => -0.5 * square,
            }
        };
        let logs: Vec<f64> = self.points.iter().map(|point| log_weight(point)).collect();
        let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = logs.iter().map(|log| libm::exp(log - top)).collect();
        let total: f64 = weights.iter().sum();
        let mut mean = vec![0.0; z.len()];
        for (weight, point) in weights.iter().zip(&self.points) {
            for (mean, y) in mean.iter_mut().zip(point) {
                *mean += weight / total * y;
            }
        }
        mean
    }
}

impl Denoiser for PointsDenoiser {
    fn kinds(&self) -> &[PredictionKind] {
        &self.kinds
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let component = &state.components[0];
        let mut values = component.to_host().map_err(|error| DenoiseError::Engine(error.into()))?;
        let path = self.path.build();
        for (row, &time) in values.chunks_exact_mut(component.support.width().max(1)).zip(times) {
            let alpha = path.alpha(time);
            let z: Vec<f64> = row.iter().map(|x| x / alpha).collect();
            row.copy_from_slice(&self.posterior_mean(&z, path.sigma(time) / alpha));
        }
        answer(state, vec![values])
    }
}
