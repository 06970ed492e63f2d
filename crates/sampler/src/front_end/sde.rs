use serde::{Deserialize, Serialize};

use super::{Formulation, TimeEmbeddingKind};
use crate::error::SamplerError;
use crate::path::PathConfig;
use crate::plan::{Corrector, PerComponent, Predictor, PredictorCorrector, SamplerConfig};

/// A forward SDE of Song et al. 2021.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "sde")]
pub enum Sde {
    /// Variance preserving.
    #[serde(rename = "VP")]
    VariancePreserving {
        /// β(0).
        beta_min: f64,
        /// β(1).
        beta_max: f64,
    },
    /// Variance exploding.
    #[serde(rename = "VE")]
    VarianceExploding {
        /// σ(0).
        sigma_min: f64,
        /// σ(1).
        sigma_max: f64,
    },
    /// Sub-variance preserving.
    #[serde(rename = "subVP")]
    SubVariancePreserving {
        /// β(0).
        beta_min: f64,
        /// β(1).
        beta_max: f64,
    },
}

/// Score-based generation through SDEs (Song et al. 2021): an SDE, a predictor and a corrector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreSde {
    /// The forward SDE.
    pub sde: Sde,
    /// Number of discretisation steps N.
    pub steps: usize,
    /// The predictor.
    pub predictor: Predictor,
    /// The corrector.
    pub corrector: Corrector,
    /// Signal-to-noise ratio of the corrector.
    pub snr: PerComponent,
    /// Corrections per step.
    pub n_steps: usize,
    /// Last time.
    pub eps: f64,
    /// Whether the last step returns its mean.
    pub denoise: bool,
}

impl ScoreSde {
    /// The published sampler of the VP SDE with β from 0.1 to 20: Euler–Maruyama, 1000 steps to t = 1e-3.
    #[must_use]
    pub fn variance_preserving() -> Self {
        Self {
            sde: Sde::VariancePreserving { beta_min: 0.1, beta_max: 20.0 },
            steps: 1000,
            predictor: Predictor::Euler,
            corrector: Corrector::None,
            snr: PerComponent::All(0.16),
            n_steps: 1,
            eps: 1e-3,
            denoise: true,
        }
    }

    /// The published sampler of the VE SDE with σ from 0.01 to 50: reverse diffusion and Langevin steps of snr 0.16, 1000
    /// steps to t = 1e-5.
    #[must_use]
    pub fn variance_exploding() -> Self {
        Self {
            sde: Sde::VarianceExploding { sigma_min: 0.01, sigma_max: 50.0 },
            predictor: Predictor::Reverse,
            corrector: Corrector::Langevin,
            eps: 1e-5,
            ..Self::variance_preserving()
        }
    }

    /// As [`ScoreSde::variance_preserving`] for the sub-VP SDE.
    #[must_use]
    pub fn sub_variance_preserving() -> Self {
        let sde = Sde::SubVariancePreserving { beta_min: 0.1, beta_max: 20.0 };
        Self { sde, ..Self::variance_preserving() }
    }

    /// Path, sampler and labels: 999 t for VP and sub-VP, σ for VE, as in the published programmes.
    ///
    /// # Errors
    /// If the parameters of the SDE are not usable.
    pub fn formulation(&self) -> Result<Formulation, SamplerError> {
        let (path, time_embedding) = match self.sde {
            Sde::VariancePreserving { beta_min, beta_max } => {
                (PathConfig::VariancePreserving { beta_min, beta_max }, SCALED_TIME)
            }
            Sde::SubVariancePreserving { beta_min, beta_max } => {
                (PathConfig::SubVariancePreserving { beta_min, beta_max }, SCALED_TIME)
            }
            Sde::VarianceExploding { sigma_min: beta_min, sigma_max: beta_max } => {
                (PathConfig::VarianceExploding { beta_min, beta_max }, TimeEmbeddingKind::Sigma)
            }
        };
        path.validate()?;
        let sampler = PredictorCorrector {
            predictor: self.predictor,
            corrector: self.corrector,
            snr: self.snr.clone(),
            scale_eps: PerComponent::All(1.0),
            n_steps: self.n_steps,
            eps: self.eps,
            noise_removal: self.denoise,
            ..PredictorCorrector::default()
        };
        let sampler = SamplerConfig::PredictorCorrector(sampler);
        Ok(Formulation { path, sampler, steps: self.steps, time_embedding })
    }
}

const SCALED_TIME: TimeEmbeddingKind = TimeEmbeddingKind::Affine { factor: 999.0, offset: 0.0 };
