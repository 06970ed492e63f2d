use serde::{Deserialize, Serialize};

use crate::path::Path;

/// What a network is told instead of the time t. Public checkpoints follow at least four conventions; a wrong one ruins
/// samples without an error, so it belongs to the checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TimeEmbeddingKind {
    /// t itself.
    #[default]
    Time,
    /// `factor · t + offset`: 1000 t − 1 for a chain of 1000 steps read continuously, 999 t for the score-SDE programmes.
    Affine {
        /// Factor.
        factor: f64,
        /// Offset.
        offset: f64,
    },
    /// The index k of a chain of N steps whose label is t = (k+1)/N: N t − 1, to the nearest whole number.
    DiscreteIndex {
        /// N.
        steps: usize,
    },
    /// The index of a noise level among L with even times: 0 for the highest (t = 1), L − 1 for the lowest (t = 0), to
    /// the nearest whole number.
    LevelIndex {
        /// L.
        levels: usize,
    },
    /// ς = σ/α.
    Sigma,
    /// `factor · ln ς`; the EDM networks have ¼, some others 250.
    LogSigma {
        /// Factor.
        factor: f64,
    },
}

impl TimeEmbeddingKind {
    /// The label of time t on this path.
    #[must_use]
    pub fn label(self, path: &dyn Path, t: f64) -> f64 {
        match self {
            Self::Time => t,
            Self::Affine { factor, offset } => factor * t + offset,
            Self::DiscreteIndex { steps } => (steps as f64 * t - 1.0).round().clamp(0.0, steps as f64 - 1.0),
            Self::LevelIndex { levels } => ((1.0 - t) * (levels as f64 - 1.0)).round(),
            Self::Sigma => libm::exp(-path.lambda(t)),
            Self::LogSigma { factor } => -factor * path.lambda(t),
        }
    }
}
