use serde::{Deserialize, Serialize};

use super::{Formulation, TimeEmbeddingKind};
use crate::error::SamplerError;
use crate::path::PathConfig;
use crate::plan::{AnnealedLangevin, PerComponent, SamplerConfig};

/// Noise-conditional score network (Song & Ermon 2019): L geometric levels from `sigma_begin` to `sigma_end`, and on each
/// M steps `x ← x + η_i s + √(2η_i) z`, `η_i = ε σ_i²/σ_L²`.
///
/// ε is `step_size`. Song & Ermon write the step as `α_i/2`, so their ε is twice this one. For a step size from an error
/// bound see [`Ncsn::with_variance_excess`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ncsn {
    /// σ_1, the highest level; the start is N(0, σ_1²).
    pub sigma_begin: f64,
    /// σ_L, the lowest level.
    pub sigma_end: f64,
    /// L.
    pub levels: usize,
    /// M.
    pub steps_each: usize,
    /// ε.
    pub step_size: f64,
    /// Whether x̂₀ of the last level is returned, for one evaluation more (Jolicoeur-Martineau et al. 2021).
    pub denoise: bool,
}

impl Default for Ncsn {
    /// The published values: σ from 1 to 0.01, 10 levels of 100 steps, α_L/2 = 1e-5.
    fn default() -> Self {
        Self {
            sigma_begin: 1.0,
            sigma_end: 0.01,
            levels: 10,
            steps_each: 100,
            step_size: 1e-5,
            denoise: false,
        }
    }
}

impl Ncsn {
    /// The same levels with the step size at which the variance of the samples is too large by the relative `excess`,
    /// whatever the (Gaussian) data; `None` if no stable step is accurate enough. See [`AnnealedLangevin`].
    #[must_use]
    pub fn with_variance_excess(self, excess: f64) -> Option<Self> {
        let intervals = self.levels.saturating_sub(1).max(1) as f64;
        let level_ratio = libm::exp(libm::log(self.sigma_begin / self.sigma_end) / intervals);
        let relative = AnnealedLangevin::relative_step_for(level_ratio, self.steps_each, excess)?;
        Some(Self { step_size: relative * self.sigma_end * self.sigma_end, ..self })
    }

    /// Path, sampler and labels.
    ///
    /// # Errors
    /// If the levels do not fall from a finite σ to one above 0.
    pub fn formulation(&self) -> Result<Formulation, SamplerError> {
        let path = PathConfig::VarianceExploding { beta_min: self.sigma_end, beta_max: self.sigma_begin };
        path.validate()?;
        let relative_step = PerComponent::All(self.step_size / (self.sigma_end * self.sigma_end));
        let sampler = AnnealedLangevin {
            steps_each: self.steps_each,
            relative_step,
            final_denoise: self.denoise,
            ..AnnealedLangevin::default()
        };
        Ok(Formulation {
            path,
            sampler: SamplerConfig::AnnealedLangevin(sampler),
            steps: self.levels,
            time_embedding: TimeEmbeddingKind::Sigma,
        })
    }
}
