//! Settings of the loop.

use serde::{Deserialize, Serialize};

use crate::adam::AdamConfig;
use crate::error::TrainError;
use crate::schedule::{LearningRate, Schedule};
use crate::validation::{VALIDATION_EPOCH, ValidationConfig};

/// Settings of the loop and the optimiser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainerConfig {
    /// Passes over the training set.
    pub epochs: u64,
    /// Examples evaluated at once.
    pub batch: usize,
    /// Batches per optimiser step.
    pub accumulate: usize,
    /// Learning rate.
    pub learning_rate: LearningRate,
    /// Constants of Adam, weight decay among them.
    pub adam: AdamConfig,
    /// Largest gradient norm of each group.
    pub clip_norm: f64,
    /// Decay of the moving average.
    pub average_decay: f64,
    /// Seed of the order of the examples.
    pub seed: u64,
    /// Validation, where there are held-out examples.
    pub validation: ValidationConfig,
}

impl Default for TrainerConfig {
    fn default() -> Self {
        Self {
            epochs: 100,
            batch: 128,
            accumulate: 1,
            learning_rate: LearningRate::constant(1e-3),
            adam: AdamConfig::default(),
            clip_norm: 1.0,
            average_decay: 0.999,
            seed: 0,
            validation: ValidationConfig::default(),
        }
    }
}

impl TrainerConfig {
    /// Examples of one optimiser step.
    pub fn examples_per_step(&self) -> usize {
        self.batch.saturating_mul(self.accumulate)
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`TrainError::Setting`] naming the first setting that is out of range.
    pub fn validate(&self) -> Result<(), TrainError> {
        let refuse = |key, value: &dyn ToString, expected| {
            Err(TrainError::Setting { key, value: value.to_string(), expected })
        };
        let positive = |key, value: f64| {
            if value > 0.0 && value.is_finite() {
                Ok(())
            } else {
                refuse(key, &value, "must be a positive number")
            }
        };
        positive("epochs", self.epochs as f64)?;
        positive("batch", self.batch as f64)?;
        positive("accumulate", self.accumulate as f64)?;
        positive("learning rate", self.learning_rate.initial)?;
        positive("gradient norm", self.clip_norm)?;
        positive("Adam epsilon", self.adam.epsilon)?;
        let fraction = |key, value: f64| {
            if (0.0..1.0).contains(&value) { Ok(()) } else { refuse(key, &value, "must be in [0, 1)") }
        };
        fraction("moving average decay", self.average_decay)?;
        fraction("Adam beta1", self.adam.beta1)?;
        fraction("Adam beta2", self.adam.beta2)?;
        fraction("weight decay", self.adam.weight_decay)?;
        let floor = |floor: f64| {
            if (0.0..=self.learning_rate.initial).contains(&floor) {
                Ok(())
            } else {
                refuse("learning rate floor", &floor, "must be at least 0 and at most the learning rate")
            }
        };
        match self.learning_rate.schedule {
            Schedule::Constant => {}
            Schedule::Exponential { factor } => positive("learning rate decay", factor)?,
            Schedule::Cosine { floor: last, epochs } => {
                floor(last)?;
                positive("epochs of the cosine", epochs as f64)?;
            }
            Schedule::Plateau { factor, patience, threshold, floor: last } => {
                floor(last)?;
                if !(factor > 0.0 && factor < 1.0) {
                    return refuse("plateau factor", &factor, "must be above 0 and below 1");
                }
                positive("plateau patience", patience as f64)?;
                fraction("plateau threshold", threshold)?;
            }
        }
        let validation = &self.validation;
        positive("epochs between validations", validation.every as f64)?;
        if validation.draws == 0 || validation.draws > VALIDATION_EPOCH / 2 {
            return refuse("validation draws", &validation.draws, "must be at least 1 and below 2^31");
        }
        if !(validation.min_delta >= 0.0 && validation.min_delta.is_finite()) {
            return refuse("smallest improvement", &validation.min_delta, "must be a number of at least 0");
        }
        Ok(())
    }

    /// The setting that asks for held-out examples, if one does.
    pub(crate) fn needs_validation(&self) -> Option<(&'static str, String)> {
        if self.validation.patience > 0 {
            return Some(("patience", self.validation.patience.to_string()));
        }
        let plateau = matches!(self.learning_rate.schedule, Schedule::Plateau { .. });
        plateau.then(|| ("learning rate schedule", "plateau".to_owned()))
    }
}

/// Parameters that are clipped together: those whose names start with `prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name in logs.
    pub name: &'static str,
    /// Start of the parameters' names, e.g. `"x."`.
    pub prefix: &'static str,
}
