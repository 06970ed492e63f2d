//! The diffusion of GeoTDM in the steps of its training: T noise levels, numbered from 0 (Ho et al. 2020).
//!
//! ```text
//! z_k = sqrt(abar_k) z_0 + sqrt(1 - abar_k) eps        z = x - x_ref, or x in the subspace of joint mean 0
//! ```
//!
//! On the clock of the sampler core level k stands at t = (k + 1) / T.

use equidrift_sampler::PathConfig;
use equidrift_sampler::path::{BetaSchedule, DiscreteDdpm, Path};
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;
use crate::error::GeotdmError;

/// The chain, and what the network is told of its levels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrajectoryDiffusion {
    /// The chain.
    pub path: DiscreteDdpm,
    /// The network is told `time_scale` k: 1, or 1000 / T where times are rescaled.
    pub time_scale: f64,
}

/// The law of z_{k-1} given z_0 and z_k: normal with mean `start z_0 + state z_k`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Posterior {
    /// Coefficient of z_0.
    pub start: f64,
    /// Coefficient of z_k.
    pub state: f64,
    /// Its variance; 0 at level 0.
    pub variance: f64,
    /// The logarithm of the variance, that of level 1 in place of that of level 0.
    pub log_variance: f64,
}

/// A moment of the diffusion.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// What the network is told.
    pub label: f64,
    /// Coefficient of the data.
    pub signal: f64,
    /// Standard deviation of the noise.
    pub deviation: f64,
}

impl TrajectoryDiffusion {
    /// β even from 0.1 / T to 20 / T, as published.
    ///
    /// # Errors
    /// [`GeotdmError::Sampler`] for T below 21, where the last β reaches 1.
    pub fn linear(steps: usize) -> Result<Self, GeotdmError> {
        let scale = 1000.0 / steps as f64;
        let betas = BetaSchedule::Linear { first: 1e-4 * scale, last: 0.02 * scale };
        Ok(Self { path: DiscreteDdpm::new(steps, betas)?, time_scale: 1.0 })
    }

    /// The squared cosine of Nichol & Dhariwal (2021).
    ///
    /// # Errors
    /// [`GeotdmError::Sampler`] for T = 0.
    pub fn cosine(steps: usize) -> Result<Self, GeotdmError> {
        Ok(Self { path: DiscreteDdpm::new(steps, BetaSchedule::SquaredCosine)?, time_scale: 1.0 })
    }

    /// The same chain with times told as if it had 1000 steps.
    #[must_use]
    pub fn with_rescaled_times(mut self) -> Self {
        self.time_scale = 1000.0 / self.steps() as f64;
        self
    }

    /// Checks the time scale.
    ///
    /// # Errors
    /// [`ConfigError::NotPositive`].
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.time_scale.is_finite() && self.time_scale > 0.0 {
            return Ok(());
        }
        Err(ConfigError::NotPositive { field: "diffusion.time_scale", found: self.time_scale })
    }

    /// T.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.path.steps()
    }

    /// The path as the sampler core takes it.
    #[must_use]
    pub fn path_config(&self) -> PathConfig {
        PathConfig::DiscreteDdpm(self.path.clone())
    }

    /// What the network is told at level k.
    #[must_use]
    pub fn label(&self, k: usize) -> f64 {
        self.time_scale * k as f64
    }

    /// What the network is told at time t of the sampler's clock: between levels the numbers in between, below level 0 that of
    /// level 0.
    #[must_use]
    pub fn label_at(&self, t: f64) -> f64 {
        let place = t * self.steps() as f64 - 1.0;
        // A level's own time may come back with its last bits changed.
        let level = place.round();
        let place = if (place - level).abs() < 1e-9 { level } else { place };
        self.time_scale * place.max(0.0)
    }

    /// Level k.
    #[must_use]
    pub fn level(&self, k: usize) -> Level {
        Level { label: self.label(k), signal: self.signal(k), deviation: self.noise(k) }
    }

    /// Time t of the sampler's clock.
    #[must_use]
    pub fn level_at(&self, t: f64) -> Level {
        Level { label: self.label_at(t), signal: self.path.alpha(t), deviation: self.path.sigma(t) }
    }

    /// The coefficient of the data at level k, √ᾱ.
    #[must_use]
    pub fn signal(&self, k: usize) -> f64 {
        self.path.alpha_bar(k).sqrt()
    }

    /// The standard deviation of the noise at level k, √(1 − ᾱ).
    #[must_use]
    pub fn noise(&self, k: usize) -> f64 {
        (1.0 - self.path.alpha_bar(k)).sqrt()
    }

    /// ᾱ of the level below k; 1 below level 0.
    fn alpha_bar_before(&self, k: usize) -> f64 {
        if k == 0 { 1.0 } else { self.path.alpha_bar(k - 1) }
    }

    fn posterior_variance(&self, k: usize) -> f64 {
        self.path.beta(k) * (1.0 - self.alpha_bar_before(k)) / (1.0 - self.path.alpha_bar(k))
    }

    /// The law of the state one level down, given the data.
    #[must_use]
    pub fn posterior(&self, k: usize) -> Posterior {
        let (beta, rest) = (self.path.beta(k), 1.0 - self.path.alpha_bar(k));
        let before = self.alpha_bar_before(k);
        Posterior {
            start: beta * before.sqrt() / rest,
            state: (1.0 - before) * (1.0 - beta).sqrt() / rest,
            variance: self.posterior_variance(k),
            log_variance: libm::log(self.posterior_variance(k.max(1))),
        }
    }

    /// The variance of a reverse step ("fixed large"): β, and at level 0, where a run adds no noise, the posterior variance of
    /// level 1.
    #[must_use]
    pub fn reverse_variance(&self, k: usize) -> f64 {
        if k == 0 { self.posterior_variance(1) } else { self.path.beta(k) }
    }

    /// Data and noise, of which a state at level k is made, from a state and the predicted noise: the data.
    #[must_use]
    pub fn start_of(&self, k: usize, state: f64, noise: f64) -> f64 {
        let bar = self.path.alpha_bar(k);
        (1.0 / bar).sqrt() * state - (1.0 / bar - 1.0).sqrt() * noise
    }
}
