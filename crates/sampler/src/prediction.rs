//! What a network predicts, and the exact conversions between predictions.
//!
//! All are linear in the state and the prediction: for `x = α x₀ + σ ε`
//!
//! | kind | definition |
//! | --- | --- |
//! | `X0` | expectation of the data x₀ |
//! | `Noise` | expectation of ε |
//! | `Score` | ∇ log p_t(x) = −ε/σ |
//! | `V` | α ε − σ x₀ (Salimans & Ho 2022) |
//! | `Velocity` | α̇ x₀ + σ̇ ε, the flow's velocity |
//!
//! On a two-ended path the velocity is the expectation of the path's whole time derivative, base included, `Noise` that
//! of the latent noise z; then only `Noise` and `Score` follow from one another ([`PredictionKind::determines`]).

use serde::{Deserialize, Serialize};

use crate::path::Marginal;

/// A kind of prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PredictionKind {
    /// Clean data x̂₀.
    X0,
    /// Noise ε̂.
    Noise,
    /// Score ∇ log p_t.
    Score,
    /// v = α ε − σ x₀.
    V,
    /// Flow velocity α̇ x₀ + σ̇ ε.
    Velocity,
}

/// `target = state · x + prediction · p`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conversion {
    /// Coefficient of the state.
    pub state: f64,
    /// Coefficient of the given prediction.
    pub prediction: f64,
}

impl PredictionKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::X0, Self::Noise, Self::Score, Self::V, Self::Velocity];

    /// Whether `target` follows from a prediction of this kind on every path, two-ended ones too: the same kind, or
    /// noise and score, `s = −ε̂/σ`.
    #[must_use]
    pub fn determines(self, target: Self) -> bool {
        self == target || matches!((self, target), (Self::Noise, Self::Score) | (Self::Score, Self::Noise))
    }

    /// ε̂ = state · x + prediction · p for a prediction of this kind.
    fn to_noise(self, m: &Marginal) -> Conversion {
        let Marginal { alpha, sigma, d_alpha, d_sigma, .. } = *m;
        let (state, prediction) = match self {
            Self::X0 => (1.0 / sigma, -alpha / sigma),
            Self::Noise => (0.0, 1.0),
            Self::Score => (0.0, -sigma),
            Self::V => {
                let norm = alpha * alpha + sigma * sigma;
                (sigma / norm, alpha / norm)
            }
            Self::Velocity => {
                let wronskian = alpha * d_sigma - d_alpha * sigma;
                (-d_alpha / wronskian, alpha / wronskian)
            }
        };
        Conversion { state, prediction }
    }

    /// x̂₀ = state · x + prediction · p for a prediction of this kind.
    fn to_x0(self, m: &Marginal) -> Conversion {
        let Marginal { alpha, sigma, d_alpha, d_sigma, .. } = *m;
        let (state, prediction) = match self {
            Self::X0 => (0.0, 1.0),
            Self::Noise => (1.0 / alpha, -sigma / alpha),
            Self::Score => (1.0 / alpha, sigma * sigma / alpha),
            Self::V => {
                let norm = alpha * alpha + sigma * sigma;
                (alpha / norm, -sigma / norm)
            }
            Self::Velocity => {
                let wronskian = alpha * d_sigma - d_alpha * sigma;
                (d_sigma / wronskian, -sigma / wronskian)
            }
        };
        Conversion { state, prediction }
    }

    /// The conversion of a prediction of this kind into `target`, at a time where α, σ > 0.
    #[must_use]
    pub fn convert(self, target: Self, m: &Marginal) -> Conversion {
        if self == target {
            return Conversion { state: 0.0, prediction: 1.0 };
        }
        // Each target is a combination of ε̂ and, where that is better conditioned, x̂₀.
        match target {
            Self::X0 => self.to_x0(m),
            Self::Noise => self.to_noise(m),
            Self::Score => match self {
                Self::X0 => Conversion {
                    state: -1.0 / (m.sigma * m.sigma),
                    prediction: m.alpha / (m.sigma * m.sigma),
                },
                _ => {
                    let noise = self.to_noise(m);
                    Conversion { state: -noise.state / m.sigma, prediction: -noise.prediction / m.sigma }
                }
            },
            Self::V | Self::Velocity => {
                let (a, b) = if target == Self::V { (m.alpha, -m.sigma) } else { (m.d_sigma, m.d_alpha) };
                let (noise, x0) = (self.to_noise(m), self.to_x0(m));
                Conversion {
                    state: a * noise.state + b * x0.state,
                    prediction: a * noise.prediction + b * x0.prediction,
                }
            }
        }
    }
}
