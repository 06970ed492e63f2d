//! One training run over graphs, whatever they stand for: trainer, run folder, model folder, validation, sampling.

use std::collections::BTreeMap;
use std::path::Path;

use equidrift_backend::model_folder::CONFIG_FILE;
use equidrift_gdss::GraphDataset;
use equidrift_train::{
    Ending, EpochReport, Objective, Observer, RunFolder, Session, StepReport, TrainError, Trainer,
    TrainingState,
};

use crate::error::Error;
use crate::model::Model;
use crate::training::family::FamilyConfig;
use crate::training::sample_metrics::SampleMetrics;
use crate::training::settings::TrainingSettings;
use crate::training::tables::Keep;

/// What one run is made of.
pub(crate) struct GraphTraining<'a> {
    pub(crate) settings: &'a TrainingSettings,
    /// The model's configuration.
    pub(crate) config: &'a FamilyConfig,
    /// Everything that the weights depend on: see [`identity`].
    pub(crate) identity: BTreeMap<String, String>,
    pub(crate) graphs: &'a GraphDataset,
    pub(crate) held_out: Option<&'a GraphDataset>,
    /// Judges samples every `settings.sampling.every` epochs.
    pub(crate) samples: Option<&'a mut dyn SampleMetrics>,
    pub(crate) output: &'a Path,
    pub(crate) resume: bool,
}

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

impl GraphTraining<'_> {
    /// Trains until the run ends or `stop` answers true; the model folder is then up to date.
    ///
    /// # Errors
    /// A folder that is in use or belongs to another run, an unwritable folder, a device that is not there, a loss that is no
    /// number.
    pub(crate) fn run(
        self,
        progress: &mut dyn Progress,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<TrainSummary, Error> {
        let Self { settings, config, identity, graphs, held_out, samples, output, resume } = self;
        let every = settings.checkpoint_every;
        if !resume && output.join(CONFIG_FILE).exists() {
            return Err(TrainError::FolderInUse { path: output.to_owned() }.into());
        }
        let (folder, state) = if resume {
            RunFolder::resume(output, identity, every)?
        } else {
            (RunFolder::create(output, identity, every)?, None)
        };
        let mut folder = folder.with_intervals(settings.intervals());
        if settings.csv {
            folder = folder.with_csv()?;
        }
        let groups = config.groups();
        let mut trainer = match state {
            Some(state) => Trainer::resume(settings.trainer(), groups, state)?,
            None => Trainer::new(settings.trainer(), groups, config.initial_parameters(settings)?)?,
        };
        progress.begin(trainer.state().progress.epochs)?;

        let graphs = config.data(settings, graphs)?;
        let held_out = held_out.map(|graphs| config.data(settings, graphs)).transpose()?;
        let objective = |graphs| config.objective(settings, graphs, &trainer.state().parameters);
        let mut training = objective(&graphs)?;
        let mut validation = held_out.as_ref().map(objective).transpose()?;
        let mut observer =
            ModelFolder { progress, folder: &folder, settings, config, samples, stop, failed: None };
        let session = Session {
            folder: Some(&folder),
            validation: validation.as_mut().map(|objective| &mut **objective as &mut dyn Objective),
            observer: &mut observer,
            stop: &|| stop(),
        };
        let ending = trainer.run_session(&mut *training, session);
        if let Some(error) = observer.failed {
            return Err(error);
        }
        let ending = ending?;
        write_model(&folder, settings, config, trainer.state())?;
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

/// Passes reports on, draws samples and keeps the model folder up to date.
struct ModelFolder<'a, 's> {
    progress: &'a mut dyn Progress,
    folder: &'a RunFolder,
    settings: &'a TrainingSettings,
    config: &'a FamilyConfig,
    samples: Option<&'a mut (dyn SampleMetrics + 's)>,
    stop: &'a (dyn Fn() -> bool + Sync),
    /// The error behind the one that ended the loop.
    failed: Option<Error>,
}

impl ModelFolder<'_, '_> {
    /// Keeps the error and gives the loop one of its own.
    fn pass<T>(&mut self, result: Result<T, Error>) -> Result<T, TrainError> {
        result.map_err(|error| {
            let text = error.to_string();
            self.failed = Some(error);
            TrainError::Objective(text.into())
        })
    }
}

impl Observer for ModelFolder<'_, '_> {
    fn step(&mut self, report: &StepReport) {
        self.progress.step(report);
    }

    fn measure(
        &mut self,
        epoch: u64,
        state: &TrainingState,
    ) -> Result<Option<BTreeMap<String, f64>>, TrainError> {
        let sampling = &self.settings.sampling;
        let due = sampling.every > 0 && epoch.is_multiple_of(sampling.every);
        let Some(samples) = self.samples.as_deref_mut().filter(|_| due) else {
            return Ok(Some(BTreeMap::new()));
        };
        self.progress.sampling(sampling.num);
        let figures = self.config.model(state).and_then(|model| samples.measure(&model, self.stop));
        self.pass(figures)
    }

    fn epoch(&mut self, report: &EpochReport, state: &TrainingState) -> Result<(), TrainError> {
        let kept = self.folder.keeps(report.epoch);
        if kept {
            let written = write_model(self.folder, self.settings, self.config, state);
            self.pass(written)?;
        }
        let told = self.progress.epoch(report, kept);
        self.pass(told)
    }
}

/// Writes the model as it is now, or as it was at its best, into the run folder.
fn write_model(
    folder: &RunFolder,
    settings: &TrainingSettings,
    config: &FamilyConfig,
    newest: &TrainingState,
) -> Result<(), Error> {
    let best = match settings.keep {
        Keep::Best => folder.read_best()?,
        Keep::Last => None,
    };
    config.model(best.as_ref().unwrap_or(newest))?.write(folder.path())
}

/// What must be the same for a checkpoint to be continued: everything that the weights depend on. Not the number of
/// epochs, nor engine, device and threads, which change at most the rounding. `data` tells what is trained on.
pub(crate) fn identity(
    settings: &TrainingSettings,
    config: &FamilyConfig,
    data: &[(&str, &str)],
    graphs: &GraphDataset,
    held_out: Option<&str>,
) -> Result<BTreeMap<String, String>, Error> {
    let json = |value: Result<String, serde_json::Error>| value.map_err(|source| Error::Encode { source });
    // A digest of the rows rather than of the two files: the same rows may be named in another way.
    let rows: Vec<u8> = (0..graphs.len()).flat_map(|index| graphs.row(index).to_le_bytes()).collect();
    let trainer = settings.trainer();
    let mut entries = vec![
        ("training rows", equidrift_backend::checksum::sha256(&rows)),
        ("batch", settings.batch.to_string()),
        ("learning_rate", settings.learning_rate.to_string()),
        ("learning_rate_decay", settings.learning_rate_decay.to_string()),
        ("weight_decay", settings.weight_decay.to_string()),
        ("clip_norm", settings.clip_norm.to_string()),
        ("average_decay", settings.average_decay.to_string()),
        ("seed", settings.seed.to_string()),
    ];
    entries.extend(config.identity(settings)?);
    if let Some(name) = &settings.init {
        entries.push(("init", Model::open(name)?.sha256().to_owned()));
    }
    // Runs from before there was a choice have no entries for these.
    let usual = TrainingSettings::merge(None, &[])?;
    let mut unusual = |key, value: String, usual: String| {
        if value != usual {
            entries.push((key, value));
        }
    };
    unusual("accumulate", settings.accumulate.to_string(), usual.accumulate.to_string());
    unusual("optimiser", format!("{:?}", settings.optimiser), format!("{:?}", usual.optimiser));
    unusual("beta1", settings.beta1.to_string(), usual.beta1.to_string());
    unusual("beta2", settings.beta2.to_string(), usual.beta2.to_string());
    unusual("epsilon", settings.epsilon.to_string(), usual.epsilon.to_string());
    unusual("warmup_steps", settings.warmup_steps.to_string(), usual.warmup_steps.to_string());
    unusual("warmup_epochs", settings.warmup_epochs.to_string(), usual.warmup_epochs.to_string());
    unusual("hydrogens", format!("{:?}", settings.hydrogens), format!("{:?}", usual.hydrogens));
    unusual("bonds", format!("{:?}", settings.bonds), format!("{:?}", usual.bonds));
    let weighting = |settings: &TrainingSettings| json(serde_json::to_string(&settings.weighting));
    unusual("weighting", weighting(settings)?, weighting(&usual)?);
    let schedule = |settings: &TrainingSettings| {
        // With the length of a cosine, which may be that of the run.
        let decay = settings.learning_rate_decay;
        json(serde_json::to_string(&settings.schedule.schedule(decay, settings.epochs)))
    };
    let exponential = TrainingSettings { learning_rate_decay: settings.learning_rate_decay, ..usual.clone() };
    unusual("schedule", schedule(settings)?, schedule(&exponential)?);
    if let Some(digest) = held_out {
        entries.push(("validation", digest.to_owned()));
        entries.push(("validation.every", trainer.validation.every.to_string()));
        entries.push(("validation.draws", trainer.validation.draws.to_string()));
        entries.push(("validation weights", json(serde_json::to_string(&trainer.validation.judged))?));
    }
    let data = data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Ok(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).chain(data).collect())
}
