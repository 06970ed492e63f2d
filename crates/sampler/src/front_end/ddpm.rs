use serde::{Deserialize, Serialize};

use super::{Formulation, TimeEmbeddingKind};
use crate::error::SamplerError;
use crate::path::{BetaSchedule, DiscreteDdpm, PathConfig};
use crate::plan::{Ancestral, AncestralChain, AncestralVariance, SamplerConfig};

/// Denoising diffusion probabilistic model (Ho et al. 2020): N steps with β_k even from `beta_start` to `beta_end`, and
/// `x_{k−1} = (x_k − β_k ε̂/√(1 − ᾱ_k))/√(1 − β_k) + √β_k z` (or β̃_k), without noise in the last step.
///
/// With β_k = β(t_k)/N and N → ∞ this is the reverse SDE of the VP path with that β(t). For data N(0, ½²) and
/// β from 0.1 to 20 the returned standard deviation differs from the data's by about 0.75/N with β, −3.9/N with β̃.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ddpm {
    /// N.
    pub steps: usize,
    /// β of the first noising step.
    pub beta_start: f64,
    /// β of the last noising step.
    pub beta_end: f64,
    /// β or β̃ as the variance of a step.
    pub variance: AncestralVariance,
}

impl Default for Ddpm {
    fn default() -> Self {
        Self { steps: 1000, beta_start: 1e-4, beta_end: 0.02, variance: AncestralVariance::Beta }
    }
}

impl Ddpm {
    /// Path, sampler and labels. Set `steps` of the result to less than N for re-spaced sampling.
    ///
    /// # Errors
    /// If there is no step or a β is not in (0, 1).
    pub fn formulation(&self) -> Result<Formulation, SamplerError> {
        let Self { steps, beta_start: first, beta_end: last, variance } = *self;
        let path = DiscreteDdpm::new(steps, BetaSchedule::Linear { first, last })?;
        let chain = Some(AncestralChain::Marginals);
        Ok(Formulation {
            path: PathConfig::DiscreteDdpm(path),
            sampler: SamplerConfig::Ancestral(Ancestral { chain, variance, ..Ancestral::default() }),
            steps,
            time_embedding: TimeEmbeddingKind::DiscreteIndex { steps },
        })
    }
}
