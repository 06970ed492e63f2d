//! A training run's whole state in one file.
//!
//! One safetensors file, written atomically: tensors `parameters.NAME`, `average.NAME`, `first.NAME`, `second.NAME`
//! (Adam's moments; absent for parameters that never had a gradient) and the metadata entries `format`, `state`
//! (counters as JSON), `run` (what identifies the run: settings and data) and `digest` (SHA-256 of the file without
//! that entry). One file cannot be half old and half new, and a change of a single bit is noticed.

use std::collections::BTreeMap;
use std::path::Path;

use equidrift_backend::checksum::sha256;
use equidrift_backend::weights::{HostTensor, ParameterSet, TensorFile, WeightsError};
use serde::{Deserialize, Serialize};

use crate::adam::{Adam, AdamConfig, Moments};
use crate::ema::ExponentialMovingAverage;
use crate::error::TrainError;
use crate::validation::ValidationState;

/// Value of the metadata entry `format`; the number changes with the layout.
const FORMAT: &str = "equidrift-training-checkpoint-1";

/// Sums over the steps of an epoch that is not finished.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochSums {
    /// Examples seen.
    pub examples: u64,
    /// Steps done.
    pub steps: u64,
    /// Each loss times the examples of its step.
    pub losses: Vec<f64>,
    /// Each group's gradient norm before clipping.
    pub gradient_norms: Vec<f64>,
    /// Learning rate of the last step.
    #[serde(default)]
    pub learning_rate: f64,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// Where a run stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Finished epochs.
    pub epochs: u64,
    /// The unfinished epoch.
    pub partial: EpochSums,
    /// Optimiser steps of the whole run.
    pub steps: u64,
    /// What the validations have come to.
    #[serde(default)]
    pub validation: ValidationState,
}

/// Everything that the next step depends on, apart from the settings.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingState {
    /// The weights.
    pub parameters: ParameterSet,
    /// Adam's moments.
    pub adam: Adam,
    /// The averaged weights.
    pub average: ExponentialMovingAverage,
    /// Counters.
    pub progress: Progress,
}

/// The JSON of the metadata entry `state`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counters {
    progress: Progress,
    adam: AdamConfig,
    adam_steps: BTreeMap<String, u64>,
    average_decay: f64,
    average_updates: u64,
}

impl TrainingState {
    /// The state before the first step.
    pub fn new(parameters: ParameterSet, adam: AdamConfig, average_decay: f64) -> Self {
        let average = ExponentialMovingAverage::new(average_decay, &parameters);
        Self { parameters, adam: Adam::new(adam), average, progress: Progress::default() }
    }

    /// Writes the state and the run's identity (`run`: setting -> value) to `path`, atomically.
    ///
    /// # Errors
    /// [`TrainError::Weights`]: unwritable folder, disk full; the old file is then untouched.
    pub fn write(&self, path: &Path, run: &BTreeMap<String, String>) -> Result<(), TrainError> {
        let mut file = TensorFile::default();
        for (name, tensor) in &self.parameters {
            let shaped = |values: &Vec<f64>| HostTensor::f64(tensor.shape.clone(), values.clone());
            file.tensors.insert(format!("parameters.{name}"), tensor.clone());
            if let Some(average) = self.average.averages.get(name) {
                file.tensors.insert(format!("average.{name}"), shaped(average));
            }
            if let Some(moments) = self.adam.moments.get(name) {
                file.tensors.insert(format!("first.{name}"), shaped(&moments.first));
                file.tensors.insert(format!("second.{name}"), shaped(&moments.second));
            }
        }
        let steps = self.adam.moments.iter().map(|(name, moments)| (name.clone(), moments.steps)).collect();
        let counters = Counters {
            progress: self.progress.clone(),
            adam: self.adam.config,
            adam_steps: steps,
            average_decay: self.average.decay,
            average_updates: self.average.updates,
        };
        let json = |value: Result<String, serde_json::Error>| {
            value.map_err(|error| TrainError::NotACheckpoint {
                path: path.to_owned(),
                reason: error.to_string(),
            })
        };
        file.metadata.insert("format".to_owned(), FORMAT.to_owned());
        file.metadata.insert("state".to_owned(), json(serde_json::to_string(&counters))?);
        file.metadata.insert("run".to_owned(), json(serde_json::to_string(run))?);
        Ok(file.write_with_digest(path, "digest")?)
    }

    /// Reads a state written by [`TrainingState::write`] for a run with the same identity.
    ///
    /// # Errors
    /// A missing, truncated or altered file; a file of another kind; a checkpoint of a run whose settings differ.
    pub fn read(path: &Path, run: &BTreeMap<String, String>) -> Result<Self, TrainError> {
        let unusable = |reason: String| TrainError::NotACheckpoint { path: path.to_owned(), reason };
        let mut file = TensorFile::read(path)?;
        let format = file.metadata.get("format").cloned().unwrap_or_default();
        if format != FORMAT {
            return Err(unusable(format!("its format is {format:?}, expected {FORMAT:?}")));
        }
        let Some(expected) = file.metadata.remove("digest") else {
            return Err(unusable("it has no digest".to_owned()));
        };
        let found = sha256(&file.to_bytes()?);
        if expected != found {
            return Err(TrainError::CheckpointDigest { path: path.to_owned(), expected, found });
        }
        let entry = |name: &str| {
            file.metadata.get(name).ok_or_else(|| unusable(format!("it has no metadata entry {name:?}")))
        };
        let recorded: BTreeMap<String, String> =
            serde_json::from_str(entry("run")?).map_err(|error| unusable(error.to_string()))?;
        same_run(path, &recorded, run)?;
        let counters: Counters =
            serde_json::from_str(entry("state")?).map_err(|error| unusable(error.to_string()))?;

        let mut parameters = ParameterSet::new();
        for (key, tensor) in &file.tensors {
            if let Some(name) = key.strip_prefix("parameters.") {
                parameters.insert(name.to_owned(), tensor.clone());
            }
        }
        let values = |part: &str, name: &str| -> Result<Vec<f64>, TrainError> {
            let key = format!("{part}.{name}");
            let tensor = file.require(&key, path)?;
            let expected =
                &parameters.get(name).ok_or_else(|| unusable(format!("{key} has no parameter")))?.shape;
            if tensor.shape != *expected {
                let (expected, found) = (expected.clone(), tensor.shape.clone());
                return Err(WeightsError::Shape { path: path.to_owned(), name: key, expected, found }.into());
            }
            Ok(tensor.to_f64())
        };
        let mut averages = BTreeMap::new();
        for name in parameters.keys() {
            averages.insert(name.clone(), values("average", name)?);
        }
        let mut moments = BTreeMap::new();
        for (name, &steps) in &counters.adam_steps {
            let (first, second) = (values("first", name)?, values("second", name)?);
            moments.insert(name.clone(), Moments { steps, first, second });
        }
        Ok(Self {
            parameters,
            adam: Adam { config: counters.adam, moments },
            average: ExponentialMovingAverage {
                decay: counters.average_decay,
                updates: counters.average_updates,
                averages,
            },
            progress: counters.progress,
        })
    }
}

/// Compares the identities of two runs, setting by setting.
fn same_run(
    path: &Path,
    recorded: &BTreeMap<String, String>,
    given: &BTreeMap<String, String>,
) -> Result<(), TrainError> {
    for key in recorded.keys().chain(given.keys()) {
        let (a, b) = (recorded.get(key), given.get(key));
        if a != b {
            let text = |value: Option<&String>| value.map_or("(nothing)".to_owned(), Clone::clone);
            return Err(TrainError::OtherRun {
                path: path.to_owned(),
                key: key.clone(),
                recorded: text(a),
                given: text(b),
            });
        }
    }
    Ok(())
}
