//! The reverse-diffusion sampler: the reverse of the discretised forward chain.

use serde::{Deserialize, Serialize};

use super::predictor_corrector::{Predictor, PredictorCorrector, PredictorStep};
use super::{Corrector, Plan, Planner, PlannerInfo};
use crate::error::SamplerError;
use crate::path::{Path, PathConfig};

/// `x ← x − F_k(x) + G_k² s + G_k z` with the discretised F, G of M scales (Song et al. 2021, appendix E).
///
/// Order: weak 1. Cost of n steps: n evaluations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReverseDiffusion {
    /// Last time, where the network is evaluated last.
    pub eps: f64,
    /// Whether the last step returns the mean instead of the noised state.
    pub noise_removal: bool,
}

impl Default for ReverseDiffusion {
    fn default() -> Self {
        Self { eps: 1e-4, noise_removal: true }
    }
}

/// Coefficients of one step at the scale of time `t` of `scales`.
pub(super) fn step(path: &dyn Path, t: f64, scales: usize) -> PredictorStep {
    let forward = path.discretised(t, scales);
    PredictorStep {
        state: 1.0 - forward.drift,
        prediction: forward.noise * forward.noise,
        noise: forward.noise,
    }
}

impl ReverseDiffusion {
    fn as_predictor_corrector(&self) -> PredictorCorrector {
        PredictorCorrector {
            predictor: Predictor::Reverse,
            corrector: Corrector::None,
            eps: self.eps,
            noise_removal: self.noise_removal,
            ..PredictorCorrector::default()
        }
    }
}

impl Planner for ReverseDiffusion {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: "reverse-diffusion",
            description: "the reverse of the discrete noising chain; on VE paths its last step removes all noise",
            formula: "x <- x - F_k(x) + G_k^2 s + G_k z",
            order: "weak 1",
            cost: "n",
            citation: "Song et al., ICLR 2021 (arXiv 2011.13456), appendix E",
        }
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        self.as_predictor_corrector().plan_as("reverse-diffusion", paths, steps)
    }

    fn evaluations(&self, steps: usize, _components: usize) -> usize {
        steps
    }
}
