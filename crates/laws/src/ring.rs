//! Eight isotropic modes on a ring in the plane: the problem on which drivers and mode coverage show.

use burn::tensor::Tensor;
use equidrift_sampler::drive::NoiseLevels;
use equidrift_sampler::{
    DenoiseError, Denoiser, KeyedNoise, NoiseSource, PathConfig, PredictionKind, SamplerError, State, Stream,
    Support,
};

use crate::gaussian::answer;

/// Equal weights, centres at even angles from 0, the same standard deviation in every direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ring {
    /// Number of modes.
    pub modes: usize,
    /// Distance of the centres from the origin.
    pub radius: f64,
    /// Standard deviation of a mode.
    pub sd: f64,
}

impl Ring {
    /// Eight modes, radius 3, standard deviation 0.35.
    #[must_use]
    pub fn eight_modes() -> Self {
        Self { modes: 8, radius: 3.0, sd: 0.35 }
    }

    /// The centres.
    pub fn centres(&self) -> impl Iterator<Item = [f64; 2]> {
        let Self { modes, radius, .. } = *self;
        (0..modes).map(move |mode| {
            let angle = std::f64::consts::TAU * mode as f64 / modes as f64;
            [radius * libm::cos(angle), radius * libm::sin(angle)]
        })
    }

    /// Squared distances of x from the noised centres, and their smallest.
    fn squares(centres: &[[f64; 2]], x: [f64; 2], alpha: f64) -> (impl Iterator<Item = f64>, f64) {
        let squares = centres.iter().map(move |centre| {
            let (dx, dy) = (x[0] - alpha * centre[0], x[1] - alpha * centre[1]);
            dx * dx + dy * dy
        });
        let nearest = squares.clone().fold(f64::INFINITY, f64::min);
        (squares, nearest)
    }

    /// The log-density of the ring noised to (α, σ), in nats.
    #[must_use]
    pub fn log_density(&self, x: [f64; 2], alpha: f64, sigma: f64) -> f64 {
        let centres: Vec<[f64; 2]> = self.centres().collect();
        self.log_density_at(&centres, x, alpha, sigma)
    }

    fn log_density_at(&self, centres: &[[f64; 2]], x: [f64; 2], alpha: f64, sigma: f64) -> f64 {
        let variance = alpha * alpha * self.sd * self.sd + sigma * sigma;
        let (squares, nearest) = Self::squares(centres, x, alpha);
        let sum: f64 = squares.map(|square| libm::exp(0.5 * (nearest - square) / variance)).sum();
        let normalisation = std::f64::consts::TAU * variance * self.modes as f64;
        libm::log(sum) - 0.5 * nearest / variance - libm::log(normalisation)
    }

    /// The expectation of the data given x at (α, σ).
    #[must_use]
    pub fn clean(&self, x: [f64; 2], alpha: f64, sigma: f64) -> [f64; 2] {
        let centres: Vec<[f64; 2]> = self.centres().collect();
        self.clean_at(&centres, x, alpha, sigma)
    }

    fn clean_at(&self, centres: &[[f64; 2]], x: [f64; 2], alpha: f64, sigma: f64) -> [f64; 2] {
        let variance = alpha * alpha * self.sd * self.sd + sigma * sigma;
        let (squares, nearest) = Self::squares(centres, x, alpha);
        let (mut total, mut mean) = (0.0, [0.0; 2]);
        for (square, centre) in squares.zip(centres) {
            let weight = libm::exp(0.5 * (nearest - square) / variance);
            total += weight;
            mean[0] += weight * centre[0];
            mean[1] += weight * centre[1];
        }
        // Given the mode, x̂₀ moves from its centre by the share of the variance that is the data's.
        let gain = alpha * self.sd * self.sd / variance;
        [0, 1].map(|axis| {
            let centre = mean[axis] / total;
            centre + gain * (x[axis] - alpha * centre)
        })
    }

    /// `count` exact draws of this seed.
    #[must_use]
    pub fn draws(&self, count: usize, seed: u64) -> Vec<[f64; 2]> {
        let ids: Vec<u64> = (0..count as u64).collect();
        let normals = KeyedNoise::new(seed).normals(Stream::Prior, 0, 0, &Support::vector(count, 3), &ids);
        let centres: Vec<[f64; 2]> = self.centres().collect();
        normals
            .chunks_exact(3)
            .map(|z| {
                // Φ(z) is uniform and chooses the mode.
                let uniform = 0.5 * libm::erfc(-z[2] * std::f64::consts::FRAC_1_SQRT_2);
                let centre = centres[((uniform * self.modes as f64) as usize).min(self.modes - 1)];
                [centre[0] + self.sd * z[0], centre[1] + self.sd * z[1]]
            })
            .collect()
    }
}

/// The exact denoiser of a [`Ring`]: one component of layout `Vector { dim: 2 }`, predictions of any kind, in f64.
#[derive(Clone, Debug)]
pub struct RingDenoiser {
    ring: Ring,
    centres: Vec<[f64; 2]>,
    path: PathConfig,
    kinds: [PredictionKind; 1],
}

impl RingDenoiser {
    /// The denoiser of `ring` noised along `path`, answering in `kind`.
    #[must_use]
    pub fn new(ring: Ring, path: PathConfig, kind: PredictionKind) -> Self {
        Self { ring, centres: ring.centres().collect(), path, kinds: [kind] }
    }
}

impl Denoiser for RingDenoiser {
    fn kinds(&self) -> &[PredictionKind] {
        &self.kinds
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let mut values = state.components[0].to_host().map_err(|error| DenoiseError::Engine(error.into()))?;
        let path = self.path.build();
        for (row, &time) in values.chunks_exact_mut(2).zip(times) {
            let marginal = path.marginal(time);
            let conversion = PredictionKind::X0.convert(self.kinds[0], &marginal);
            let clean = self.ring.clean_at(&self.centres, [row[0], row[1]], marginal.alpha, marginal.sigma);
            for (x, clean) in row.iter_mut().zip(clean) {
                *x = conversion.state * *x + conversion.prediction * clean;
            }
        }
        answer(state, vec![values])
    }
}

/// The exact law of the level given the sample, for levels that are equally likely beforehand.
impl NoiseLevels for RingDenoiser {
    fn log_weights(&self, state: &State, times: &[f64]) -> Result<Vec<f64>, SamplerError> {
        let values = state.components[0].to_host()?;
        let path = self.path.build();
        let levels: Vec<(f64, f64)> = times.iter().map(|&t| (path.alpha(t), path.sigma(t))).collect();
        Ok(values
            .chunks_exact(2)
            .flat_map(|row| {
                levels.iter().map(|&(alpha, sigma)| {
                    self.ring.log_density_at(&self.centres, [row[0], row[1]], alpha, sigma)
                })
            })
            .collect())
    }
}
