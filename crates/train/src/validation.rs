//! The loss of held-out examples, during training.
//!
//! Each example is evaluated with fixed randomness (the draws of epochs that no run reaches, see [`VALIDATION_EPOCH`]), so
//! the losses of two epochs differ by their weights alone. It is computed with the weights of the last step and with
//! their moving average; one of the two, named by [`ValidationConfig::judged`], decides which epoch is the best one, when to stop
//! early and when a plateau is reached.

use std::collections::BTreeMap;

use equidrift_backend::weights::ParameterSet;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::objective::Objective;
use crate::patience::Patience;
use crate::schedule::Plateau;

/// The epoch whose randomness validation takes; further draws take the epochs before it. Objectives may key their random
/// numbers by the low 32 bits of an epoch, so it is the last of those.
pub const VALIDATION_EPOCH: u64 = u32::MAX as u64;

/// Which weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weights {
    /// Those of the last step.
    Raw,
    /// Their moving average.
    Average,
}

/// When held-out examples are evaluated and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValidationConfig {
    /// Epochs from one validation to the next.
    pub every: u64,
    /// Draws of time and noise for each example.
    pub draws: u64,
    /// Whose loss decides.
    pub judged: Weights,
    /// Validations without improvement after which the run ends; 0 never ends it.
    pub patience: u64,
    /// Smallest fall of the loss that counts as an improvement for `patience`.
    pub min_delta: f64,
}

impl Default for ValidationConfig {
    fn default() -> Self {
        Self { every: 1, draws: 1, judged: Weights::Average, patience: 0, min_delta: 0.0 }
    }
}

/// Losses of the held-out examples, by name; the means over examples and draws.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidationReport {
    /// With the weights of the last step.
    pub raw: BTreeMap<String, f64>,
    /// With their moving average.
    pub average: BTreeMap<String, f64>,
    /// Whether it is the best epoch so far.
    pub best: bool,
}

impl ValidationReport {
    /// The sum of the losses with these weights.
    pub fn total(&self, weights: Weights) -> f64 {
        match weights {
            Weights::Raw => self.raw.values().sum(),
            Weights::Average => self.average.values().sum(),
        }
    }
}

/// What a run remembers of its validations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationState {
    /// The best epoch.
    pub best: Patience,
    /// The last epoch that was better by `min_delta`.
    pub waiting: Patience,
    /// The plateau schedule's share.
    pub plateau: Plateau,
}

/// Mean losses over all examples of `objective`, `batch` at a time; `None` where `stop` answered true.
pub(crate) fn mean_losses(
    objective: &mut dyn Objective,
    parameters: &ParameterSet,
    batch: usize,
    draws: u64,
    stop: &dyn Fn() -> bool,
) -> Result<Option<BTreeMap<String, f64>>, TrainError> {
    let examples: Vec<usize> = (0..objective.examples()).collect();
    let mut sums = vec![0.0; objective.losses().len()];
    for draw in 0..draws {
        for examples in examples.chunks(batch) {
            if stop() {
                return Ok(None);
            }
            let losses = objective.evaluate_losses(parameters, examples, VALIDATION_EPOCH - draw)?;
            for (sum, loss) in sums.iter_mut().zip(losses) {
                *sum += loss * examples.len() as f64;
            }
        }
    }
    let count = examples.len() as f64 * draws as f64;
    Ok(Some(
        objective.losses().iter().zip(sums).map(|(name, sum)| ((*name).to_owned(), sum / count)).collect(),
    ))
}
