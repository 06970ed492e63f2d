//! Which of a training run's weights a model takes.

use clap::ValueEnum;
use equidrift_gdss::SamplingWeights;

/// Which of a training run's weights.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Weights {
    /// Those of the last step
    Raw,
    /// Their exponential moving average
    Ema,
}

impl From<Weights> for SamplingWeights {
    fn from(weights: Weights) -> Self {
        match weights {
            Weights::Raw => Self::Raw,
            Weights::Ema => Self::Ema,
        }
    }
}
