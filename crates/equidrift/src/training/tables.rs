//! The tables of the settings: learning rate schedule, validation, sampling during training.

use std::path::PathBuf;

use equidrift_sampler::SamplerConfig;
use equidrift_train::Schedule;
use serde::{Deserialize, Serialize};

/// How the learning rate goes on after the warm-up; see [`Schedule`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ScheduleSettings {
    /// Always the same.
    Constant {},
    /// Times `learning_rate_decay` after each epoch.
    Exponential {},
    /// Half a period of a cosine.
    Cosine {
        /// The last rate.
        #[serde(default)]
        floor: f64,
        /// Epochs it lasts; 0 stands for all of the run.
        #[serde(default)]
        epochs: u64,
    },
    /// Lowered when the validation loss has stopped falling.
    Plateau {
        /// Factor of each reduction.
        #[serde(default = "half")]
        factor: f64,
        /// Validations without improvement that make one.
        #[serde(default = "ten")]
        patience: u64,
        /// Relative fall of the loss that counts as an improvement.
        #[serde(default = "thousandth")]
        threshold: f64,
        /// The rate never falls below it.
        #[serde(default)]
        floor: f64,
    },
}

fn half() -> f64 {
    0.5
}

fn ten() -> u64 {
    10
}

fn thousandth() -> f64 {
    1e-3
}

impl ScheduleSettings {
    /// Names of the schedules.
    pub const NAMES: [&str; 4] = ["constant", "exponential", "cosine", "plateau"];

    /// The schedule of a run of `epochs` epochs whose decay per epoch is `decay`.
    pub fn schedule(&self, decay: f64, epochs: u64) -> Schedule {
        match *self {
            Self::Constant {} => Schedule::Constant,
            Self::Exponential {} => Schedule::Exponential { factor: decay },
            Self::Cosine { floor, epochs: 0 } => Schedule::Cosine { floor, epochs },
            Self::Cosine { floor, epochs } => Schedule::Cosine { floor, epochs },
            Self::Plateau { factor, patience, threshold, floor } => {
                Schedule::Plateau { factor, patience, threshold, floor }
            }
        }
    }
}

/// Held-out molecules and what their loss decides. At most one of `rows`, `fraction` and `data` names them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValidationSettings {
    /// A file of 0-based row numbers of the data that are held out.
    pub rows: Option<PathBuf>,
    /// A share of the data that is held out, drawn by the run's seed.
    pub fraction: f64,
    /// A data file of its own.
    pub data: Option<PathBuf>,
    /// Epochs from one validation to the next.
    pub every: u64,
    /// Draws of time and noise per molecule.
    pub draws: u64,
    /// Validations without improvement that end the run; 0: none do.
    pub patience: u64,
    /// Smallest fall of the loss that is an improvement for `patience`.
    pub min_delta: f64,
}

impl Default for ValidationSettings {
    fn default() -> Self {
        Self { rows: None, fraction: 0.0, data: None, every: 1, draws: 1, patience: 0, min_delta: 0.0 }
    }
}

/// Samples drawn during training, with the weights that the model folder gets, and their figures in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplingSettings {
    /// Epochs from one drawing to the next; 0: never.
    pub every: u64,
    /// Samples of a drawing.
    pub num: u64,
    /// Their seed, the same each time.
    pub seed: u64,
    /// Sampler, if it is not to be the model's.
    pub sampler: Option<SamplerConfig>,
    /// Its steps, if not the model's.
    pub steps: Option<usize>,
    /// What the samples are compared with by NSPDK MMD, and with `chemnet` by FCD: a SMILES file, or statistics as `evaluate
    /// molecules --save-statistics` writes them.
    pub reference: Option<PathBuf>,
    /// Weights of ChemNet, for FCD.
    pub chemnet: Option<PathBuf>,
}

impl Default for SamplingSettings {
    fn default() -> Self {
        Self { every: 0, num: 1000, seed: 0, sampler: None, steps: None, reference: None, chemnet: None }
    }
}

/// Which optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimiser {
    /// Weight decay joins the gradient.
    Adam,
    /// Weight decay is a step of its own.
    AdamW,
}

/// Which of a run's states the model folder gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// The newest.
    Last,
    /// The one with the best validation loss.
    Best,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ScheduleSettings, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn schedules_have_defaults_and_refuse_what_they_do_not_know() {
        let cosine = read(r#"{"name": "cosine"}"#).unwrap();
        assert_eq!(cosine.schedule(0.9, 30), Schedule::Cosine { floor: 0.0, epochs: 30 });
        let exponential = read(r#"{"name": "exponential"}"#).unwrap();
        assert_eq!(exponential.schedule(0.9, 30), Schedule::Exponential { factor: 0.9 });
        for text in [
            r#"{"name": "constant", "floor": 0.1}"#,
            r#"{"name": "exponential", "factor": 0.5}"#,
            r#"{"name": "cosine", "patience": 1}"#,
            r#"{"name": "step"}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        for name in ScheduleSettings::NAMES {
            assert!(read(&format!("{{\"name\": \"{name}\"}}")).is_ok());
        }
    }
}
