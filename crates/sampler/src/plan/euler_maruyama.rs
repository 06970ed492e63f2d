//! Euler–Maruyama on the reverse SDE.

use serde::{Deserialize, Serialize};

use super::predictor_corrector::{Predictor, PredictorCorrector, PredictorStep};
use super::{Corrector, Plan, Planner, PlannerInfo};
use crate::error::SamplerError;
use crate::path::{Path, PathConfig};

/// `x ← x + (f − g² s) dt + g √|dt| z` with dt = −1/M on M even times from 1 to `eps` (Song et al. 2021); on a path
/// that starts before t = 1 the step is as much shorter.
///
/// Order: weak 1; strong 1 as well, because the noise does not depend on the state. Cost of n steps: n evaluations.
///
/// Source: Maruyama 1955; Song et al., ICLR 2021 (arXiv 2011.13456).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EulerMaruyama {
    /// Last time, where the network is evaluated last.
    pub eps: f64,
    /// Whether the last step returns the mean instead of the noised state.
    pub noise_removal: bool,
}

impl Default for EulerMaruyama {
    fn default() -> Self {
        Self { eps: 1e-4, noise_removal: true }
    }
}

/// Coefficients of one step of this width from time `t`.
pub(super) fn step(path: &dyn Path, t: f64, width: f64) -> PredictorStep {
    let dt = -width;
    let g = path.diffusion(t);
    PredictorStep {
        state: 1.0 + path.drift_coefficient(t) * dt,
        prediction: -g * g * dt,
        noise: g * libm::sqrt(-dt),
    }
}

impl EulerMaruyama {
    fn as_predictor_corrector(&self) -> PredictorCorrector {
        PredictorCorrector {
            predictor: Predictor::Euler,
            corrector: Corrector::None,
            eps: self.eps,
            noise_removal: self.noise_removal,
            ..PredictorCorrector::default()
        }
    }
}

impl Planner for EulerMaruyama {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: "euler-maruyama",
            description: "plain Euler steps of the reverse SDE; simple and robust, needs many steps",
            formula: "x <- x + (f x - g^2 s) dt + g sqrt(|dt|) z",
            order: "weak 1, strong 1/2 (strong 1 for noise that does not depend on x, as here)",
            cost: "n",
            citation: "Maruyama 1955; Song et al., ICLR 2021 (arXiv 2011.13456)",
        }
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        self.as_predictor_corrector().plan_as("euler-maruyama", paths, steps)
    }

    fn evaluations(&self, steps: usize, _components: usize) -> usize {
        steps
    }
}
