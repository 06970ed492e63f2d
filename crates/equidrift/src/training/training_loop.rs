//! The loop of every training run, whatever is trained: run folder, trainer, model folder.

use std::collections::BTreeMap;
use std::path::Path;

use equidrift_backend::model_folder::CONFIG_FILE;
use equidrift_backend::weights::ParameterSet;
use equidrift_train::{
    Ending, EpochReport, Group, Intervals, Objective, Observer, RunFolder, Session, StepReport, TrainError,
    Trainer, TrainerConfig, TrainingState,
};

use crate::error::Error;
use crate::training::tables::Keep;

/// Who is told how a run goes on.
pub(crate) trait Progress {
    fn begin(&mut self, epochs: u64) -> Result<(), Error>;
    fn step(&mut self, report: &StepReport);
    fn sampling(&mut self, samples: u64);
    fn epoch(&mut self, report: &EpochReport, kept: bool) -> Result<(), Error>;
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainSummary {
    /// Whether it came to its end: all epochs are done, or the validation loss has stopped falling. Otherwise it was stopped
    /// and can be resumed.
    pub finished: bool,
    /// Whether it ended because the validation loss has stopped falling.
    pub converged: bool,
    /// Epochs done in all.
    pub epochs: u64,
    /// The epoch with the best validation loss, if there was a validation.
    pub best_epoch: Option<u64>,
}

impl TrainSummary {
    /// A run that was stopped before it began.
    pub(crate) const STOPPED: Self = Self { finished: false, converged: false, epochs: 0, best_epoch: None };
}

/// What the loop does not learn from its objective.
pub(crate) struct TrainingLoop<'a> {
    pub(crate) trainer: TrainerConfig,
    pub(crate) intervals: Intervals,
    /// Epochs from one kept checkpoint to the next.
    pub(crate) every: u64,
    pub(crate) csv: bool,
    /// Which state the model folder gets.
    pub(crate) keep: Keep,
    /// Everything that the weights depend on.
    pub(crate) identity: BTreeMap<String, String>,
    pub(crate) output: &'a Path,
    pub(crate) resume: bool,
}

/// What is done with a state on the way.
pub(crate) trait Hooks {
    /// Writes the model folder.
    fn write(&self, state: &TrainingState, folder: &Path) -> Result<(), Error>;

    /// Figures of the model as it is; `None` where a stop was asked.
    fn measure(
        &mut self,
        epoch: u64,
        state: &TrainingState,
        progress: &mut dyn Progress,
    ) -> Result<Option<BTreeMap<String, f64>>, Error> {
        let _ = (epoch, state, progress);
        Ok(Some(BTreeMap::new()))
    }
}

impl TrainingLoop<'_> {
    /// Begins the run, or opens it to go on.
    ///
    /// # Errors
    /// A folder that is in use or belongs to another run, an unwritable folder.
    pub(crate) fn open(
        &self,
        groups: Vec<Group>,
        initial: impl FnOnce() -> Result<ParameterSet, Error>,
    ) -> Result<(RunFolder, Trainer), Error> {
        if !self.resume && self.output.join(CONFIG_FILE).exists() {
            return Err(TrainError::FolderInUse { path: self.output.to_owned() }.into());
        }
        let (folder, state) = if self.resume {
            RunFolder::resume(self.output, self.identity.clone(), self.every)?
        } else {
            (RunFolder::create(self.output, self.identity.clone(), self.every)?, None)
        };
        let mut folder = folder.with_intervals(self.intervals);
        if self.csv {
            folder = folder.with_csv()?;
        }
        let trainer = match state {
            Some(state) => Trainer::resume(self.trainer.clone(), groups, state)?,
            None => Trainer::new(self.trainer.clone(), groups, initial()?)?,
        };
        Ok((folder, trainer))
    }

    /// Trains until the run ends or `stop` answers true; the model folder is then up to date.
    ///
    /// # Errors
    /// An unwritable folder, a loss that is no number, whatever the hooks report.
    pub(crate) fn train(
        &self,
        (folder, trainer): (&RunFolder, &mut Trainer),
        training: &mut dyn Objective,
        validation: Option<&mut dyn Objective>,
        (hooks, progress): (&mut dyn Hooks, &mut dyn Progress),
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<TrainSummary, Error> {
        let mut observer = ModelFolder { progress, folder, hooks, keep: self.keep, failed: None };
        let validation = validation.map(|objective| &mut *objective as &mut dyn Objective);
        let session = Session { folder: Some(folder), validation, observer: &mut observer, stop: &|| stop() };
        let ending = trainer.run_session(training, session);
        if let Some(error) = observer.failed {
            return Err(error);
        }
        let ending = ending?;
        write_model(folder, self.keep, observer.hooks, trainer.state())?;
        let state = &trainer.state().progress;
        let best = &state.validation.best;
        Ok(TrainSummary {
            finished: ending != Ending::Stopped,
            converged: ending == Ending::Converged,
            epochs: state.epochs,
            best_epoch: best.best.map(|_| best.epoch),
        })
    }
}

/// Passes reports on and keeps the model folder up to date.
struct ModelFolder<'a> {
    progress: &'a mut dyn Progress,
    folder: &'a RunFolder,
    hooks: &'a mut dyn Hooks,
    keep: Keep,
    /// The error behind the one that ended the loop.
    failed: Option<Error>,
}

impl ModelFolder<'_> {
    /// Keeps the error and gives the loop one of its own.
    fn pass<T>(&mut self, result: Result<T, Error>) -> Result<T, TrainError> {
        result.map_err(|error| {
            let text = error.to_string();
            self.failed = Some(error);
            TrainError::Objective(text.into())
        })
    }
}

impl Observer for ModelFolder<'_> {
    fn step(&mut self, report: &StepReport) {
        self.progress.step(report);
    }

    fn measure(
        &mut self,
        epoch: u64,
        state: &TrainingState,
    ) -> Result<Option<BTreeMap<String, f64>>, TrainError> {
        let figures = self.hooks.measure(epoch, state, self.progress);
        self.pass(figures)
    }

    fn epoch(&mut self, report: &EpochReport, state: &TrainingState) -> Result<(), TrainError> {
        let kept = self.folder.keeps(report.epoch);
        if kept {
            let written = write_model(self.folder, self.keep, self.hooks, state);
            self.pass(written)?;
        }
        let told = self.progress.epoch(report, kept);
        self.pass(told)
    }
}

/// Writes the model as it is now, or as it was at its best, into the run folder.
fn write_model(
    folder: &RunFolder,
    keep: Keep,
    hooks: &dyn Hooks,
    newest: &TrainingState,
) -> Result<(), Error> {
    let best = match keep {
        Keep::Best => folder.read_best()?,
        Keep::Last => None,
    };
    hooks.write(best.as_ref().unwrap_or(newest), folder.path())
}
