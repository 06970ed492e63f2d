//! When the state of a run is written.

use std::time::Instant;

use crate::checkpoint::TrainingState;
use crate::error::TrainError;
use crate::run_folder::RunFolder;

/// Writes checkpoints of one run when they are due.
pub(crate) struct SaveClock<'a> {
    folder: Option<&'a RunFolder>,
    saved: Instant,
    /// Whether the state has changed since it was last written.
    changed: bool,
    /// Whether there is no checkpoint yet.
    first: bool,
}

impl<'a> SaveClock<'a> {
    pub(crate) fn new(folder: Option<&'a RunFolder>) -> Self {
        // A run that is stopped at once still leaves a checkpoint.
        let first = folder.is_some_and(|folder| !folder.last().exists());
        Self { folder, saved: Instant::now(), changed: first, first }
    }

    /// After an optimiser step.
    pub(crate) fn after_step(&mut self, state: &TrainingState) -> Result<(), TrainError> {
        self.changed = true;
        let Some(folder) = self.folder else { return Ok(()) };
        let intervals = folder.intervals();
        let by_steps = intervals.steps > 0 && state.progress.steps.is_multiple_of(intervals.steps);
        if by_steps || (intervals.seconds > 0.0 && self.saved.elapsed().as_secs_f64() >= intervals.seconds) {
            self.save(folder, state, false)?;
        }
        Ok(())
    }

    /// After the last step of an epoch, which is counted as done. The first epoch is always written: from then on the run's
    /// folder shows what it can be resumed from.
    pub(crate) fn after_epoch(&mut self, state: &TrainingState, best: bool) -> Result<(), TrainError> {
        self.changed = true;
        let Some(folder) = self.folder else { return Ok(()) };
        let every_epoch = folder.intervals().seconds <= 0.0;
        if best || self.first || every_epoch || folder.keeps(state.progress.epochs) {
            self.save(folder, state, best)?;
        }
        Ok(())
    }

    /// At the end of the run.
    pub(crate) fn finish(&mut self, state: &TrainingState) -> Result<(), TrainError> {
        match self.folder {
            Some(folder) if self.changed => self.save(folder, state, false),
            _ => Ok(()),
        }
    }

    fn save(&mut self, folder: &RunFolder, state: &TrainingState, best: bool) -> Result<(), TrainError> {
        folder.save(state, best)?;
        self.saved = Instant::now();
        (self.changed, self.first) = (false, false);
        Ok(())
    }
}
