//! One training run over graphs, whatever they stand for: objectives, validation, sampling.

use std::collections::BTreeMap;
use std::path::Path;

use equidrift_gdss::GraphDataset;
use equidrift_train::{Objective, TrainingState};

use crate::error::Error;
use crate::model::Model;
use crate::training::family::FamilyConfig;
use crate::training::sample_metrics::SampleMetrics;
use crate::training::settings::TrainingSettings;
use crate::training::training_loop::{Hooks, Progress, TrainSummary, TrainingLoop};

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
        let training_loop = TrainingLoop {
            trainer: settings.trainer(),
            intervals: settings.intervals(),
            every: settings.checkpoint_every,
            csv: settings.csv,
            keep: settings.keep,
            identity,
            output,
            resume,
        };
        let (folder, mut trainer) =
            training_loop.open(config.groups(), || config.initial_parameters(settings))?;
        progress.begin(trainer.state().progress.epochs)?;

        let graphs = config.data(settings, graphs)?;
        let held_out = held_out.map(|graphs| config.data(settings, graphs)).transpose()?;
        let objective =
            |graphs, held_out| config.objective(settings, held_out, graphs, &trainer.state().parameters);
        let mut training = objective(&graphs, false)?;
        let mut validation = held_out.as_ref().map(|graphs| objective(graphs, true)).transpose()?;
        let validation = validation.as_mut().map(|objective| &mut **objective as &mut dyn Objective);
        let mut hooks = GraphHooks { settings, config, samples, stop };
        training_loop.train((&folder, &mut trainer), &mut *training, validation, (&mut hooks, progress), stop)
    }
}

/// Draws samples and writes the model folder.
struct GraphHooks<'a, 's> {
    settings: &'a TrainingSettings,
    config: &'a FamilyConfig,
    samples: Option<&'a mut (dyn SampleMetrics + 's)>,
    stop: &'a (dyn Fn() -> bool + Sync),
}

impl Hooks for GraphHooks<'_, '_> {
    fn write(&self, state: &TrainingState, folder: &Path) -> Result<(), Error> {
        self.config.model(state)?.write(folder)
    }

    fn measure(
        &mut self,
        epoch: u64,
        state: &TrainingState,
        progress: &mut dyn Progress,
    ) -> Result<Option<BTreeMap<String, f64>>, Error> {
        let sampling = &self.settings.sampling;
        let due = sampling.every > 0 && epoch.is_multiple_of(sampling.every);
        let Some(samples) = self.samples.as_deref_mut().filter(|_| due) else {
            return Ok(Some(BTreeMap::new()));
        };
        progress.sampling(sampling.num);
        samples.measure(&self.config.model(state)?, self.stop)
    }
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
    unusual("input_perturbation", settings.input_perturbation.to_string(), "0".to_owned());
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
