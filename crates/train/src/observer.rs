//! Who watches a run, and what it is told.

use std::collections::BTreeMap;

use crate::checkpoint::TrainingState;
use crate::error::TrainError;
use crate::run_folder::EpochReport;

/// What one optimiser step did.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// Epoch, counted from 1.
    pub epoch: u64,
    /// Step inside the epoch, counted from 1.
    pub step: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// Examples of the step.
    pub examples: u64,
    /// The losses before the update, in the objective's order.
    pub losses: Vec<f64>,
    /// Each group's gradient norm before clipping.
    pub gradient_norms: Vec<f64>,
    /// Learning rate of the step.
    pub learning_rate: f64,
}

/// Watches a run.
pub trait Observer {
    /// After each optimiser step.
    fn step(&mut self, report: &StepReport) {
        let _ = report;
    }

    /// At the end of each epoch (counted from 1), before it is logged: figures of the model as it is now, for the log. For
    /// the resumed run to have the same log they must be a function of `state` and `epoch`. `None` where the observer was
    /// asked to stop: the run then ends, and measures again when it is resumed.
    ///
    /// # Errors
    /// An error ends the run.
    fn measure(
        &mut self,
        epoch: u64,
        state: &TrainingState,
    ) -> Result<Option<BTreeMap<String, f64>>, TrainError> {
        let _ = (epoch, state);
        Ok(Some(BTreeMap::new()))
    }

    /// After each epoch, once it is in the log and its checkpoint, if it is to have one, on disk.
    ///
    /// # Errors
    /// An error ends the run.
    fn epoch(&mut self, report: &EpochReport, state: &TrainingState) -> Result<(), TrainError> {
        let _ = (report, state);
        Ok(())
    }
}

/// An observer that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}
