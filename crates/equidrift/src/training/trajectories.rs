//! Fitting a GeoTDM model to trajectories.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use equidrift_backend::device::DeviceKind;
use equidrift_backend::weights::ParameterSet;
use equidrift_gdss::{EngineKind, SamplingWeights};
use equidrift_geotdm::config::{FAMILY, FORMAT_VERSION, LIBRARY};
use equidrift_geotdm::denoising_objective::GROUPS;
use equidrift_geotdm::{
    DenoisingObjective, Extrapolation, GeotdmConfig, GeotdmModel, NetworkConfig, Prior, TrainingEngine,
    TrainingExamples, initial_parameters,
};
use equidrift_train::{EpochReport, Objective, StepReport, TrainingState};
use serde_json::Value;

use crate::error::Error;
use crate::model::Model;
use crate::training::forecast_metrics::ForecastMetrics;
use crate::training::held_out::setting;
use crate::training::training_loop::{Hooks, Progress, TrainSummary, TrainingLoop};
use crate::training::trajectory_set::TrajectorySet;
use crate::training::trajectory_settings::{TrajectoryPrior, TrajectorySettings};
use crate::trajectories::TrajectorySource;

/// A training run over trajectories.
#[derive(Debug, Clone, PartialEq)]
pub struct TrajectoryTrainRequest {
    /// What is trained on.
    pub source: TrajectorySource,
    /// The run folder, which is a model folder, too.
    pub output: PathBuf,
    /// Continue the run that is in `output`.
    pub resume: bool,
    /// A model of the same network whose weights the run begins with, in place of random ones.
    pub init: Option<String>,
    /// Everything else.
    pub settings: TrajectorySettings,
}

/// What a run has to tell.
pub trait TrajectoryTrainingWatcher {
    /// The data are read; training of `config` begins, after `epochs` epochs that are done already.
    ///
    /// # Errors
    /// An error ends the run.
    fn begin(&mut self, set: &TrajectorySet, config: &GeotdmConfig, epochs: u64) -> Result<(), Error> {
        let _ = (set, config, epochs);
        Ok(())
    }

    /// An optimiser step is done.
    fn step(&mut self, report: &StepReport) {
        let _ = report;
    }

    /// So many trajectories are drawn now to judge the model.
    fn sampling(&mut self, samples: u64) {
        let _ = samples;
    }

    /// An epoch is done and in the log. `kept` says that its checkpoint is kept and the model folder up to date.
    ///
    /// # Errors
    /// An error ends the run.
    fn epoch(&mut self, report: &EpochReport, kept: bool) -> Result<(), Error> {
        let _ = (report, kept);
        Ok(())
    }
}

/// Trains a model of trajectories until all epochs are done, the validation loss has stopped falling, or `stop` answers true.
///
/// # Errors
/// Bad data, settings out of range, a folder that is in use or belongs to another run, an unwritable folder, a device that is
/// not there, a loss that is no number.
pub fn train_trajectories(
    request: &TrajectoryTrainRequest,
    watcher: &mut dyn TrajectoryTrainingWatcher,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<TrainSummary, Error> {
    let settings = &request.settings;
    settings.check()?;
    let threads = NonZeroUsize::new(settings.threads)
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN);
    let engine = match (settings.engine, settings.device) {
        (EngineKind::Fused, DeviceKind::Cpu) => TrainingEngine::Fused,
        (EngineKind::Fused, _) => return Err(setting("engine: fused is for the cpu")),
        (EngineKind::Burn, device) => {
            TrainingEngine::TensorLibrary(device.open().map_err(|source| Error::Device { source })?)
        }
    };
    let set = TrajectorySet::read(&request.source, settings, threads.get())?;
    let config = model_config(settings, &set)?;
    let forecasts = match settings.sampling.every {
        0 => None,
        _ => Some(ForecastMetrics::new(settings, &config, &set.held_out, threads.get())?),
    };
    let start = request.init.as_deref().map(|name| initial_model(name, &config.network)).transpose()?;
    let training_loop = TrainingLoop {
        trainer: settings.trainer(),
        intervals: settings.intervals(),
        every: settings.checkpoint_every,
        csv: settings.csv,
        keep: settings.keep,
        identity: identity(settings, &config, &set, start.as_ref().map(|(digest, _)| digest.as_str()))?,
        output: &request.output,
        resume: request.resume,
    };
    let (folder, mut trainer) = training_loop.open(GROUPS.to_vec(), || {
        Ok(match start {
            Some((_, parameters)) => parameters,
            None => initial_parameters(&config.network, settings.seed),
        })
    })?;
    watcher.begin(&set, &config, trainer.state().progress.epochs)?;

    let objective = |examples| {
        let (network, diffusion) = (config.network.clone(), config.diffusion.clone());
        let (counted, engine) = (config.counted, engine.clone());
        DenoisingObjective::new(network, diffusion, counted, examples, settings.seed, engine, threads)
            .with_regression(settings.regression)
    };
    let mut training = objective(&set.training);
    let mut validation = (set.held_out.count() > 0).then(|| objective(&set.held_out));
    let validation = validation.as_mut().map(|objective| objective as &mut dyn Objective);
    let mut hooks = TrajectoryHooks { settings, config: &config, forecasts, stop };
    training_loop.train(
        (&folder, &mut trainer),
        &mut training,
        validation,
        (&mut hooks, &mut Telling(watcher)),
        stop,
    )
}

/// Tells a watcher how the run goes on; its beginning is told before the loop.
struct Telling<'a>(&'a mut dyn TrajectoryTrainingWatcher);

impl Progress for Telling<'_> {
    fn begin(&mut self, _: u64) -> Result<(), Error> {
        Ok(())
    }

    fn step(&mut self, report: &StepReport) {
        self.0.step(report);
    }

    fn sampling(&mut self, samples: u64) {
        self.0.sampling(samples);
    }

    fn epoch(&mut self, report: &EpochReport, kept: bool) -> Result<(), Error> {
        self.0.epoch(report, kept)
    }
}

/// Draws forecasts and writes the model folder.
struct TrajectoryHooks<'a> {
    settings: &'a TrajectorySettings,
    config: &'a GeotdmConfig,
    forecasts: Option<ForecastMetrics>,
    stop: &'a (dyn Fn() -> bool + Sync),
}

impl TrajectoryHooks<'_> {
    /// The model of a state.
    fn model(&self, state: &TrainingState) -> Result<GeotdmModel, Error> {
        let parameters = match self.settings.weights {
            SamplingWeights::Raw => state.parameters.clone(),
            SamplingWeights::Ema => state.average.parameters(&state.parameters),
        };
        let (epochs, steps) = (state.progress.epochs, state.progress.steps);
        let origin =
            self.config.origin.as_ref().map(|data| format!("{data}; {epochs} epochs, {steps} steps"));
        let config = GeotdmConfig { origin, ..self.config.clone() };
        Ok(GeotdmModel::new(config, parameters)?)
    }
}

impl Hooks for TrajectoryHooks<'_> {
    fn write(&self, state: &TrainingState, folder: &Path) -> Result<(), Error> {
        Ok(self.model(state)?.write(folder, &[])?)
    }

    fn measure(
        &mut self,
        epoch: u64,
        state: &TrainingState,
        progress: &mut dyn Progress,
    ) -> Result<Option<BTreeMap<String, f64>>, Error> {
        let every = self.settings.sampling.every;
        let Some(forecasts) = self.forecasts.as_ref().filter(|_| epoch.is_multiple_of(every)) else {
            return Ok(Some(BTreeMap::new()));
        };
        progress.sampling(forecasts.samples());
        forecasts.measure(&self.model(state)?, self.stop)
    }
}

/// The model's configuration: the settings with what follows from the data.
///
/// # Errors
/// Settings that contradict themselves; a sampler that cannot be planned, which is an error now, not when the training is over.
fn model_config(settings: &TrajectorySettings, set: &TrajectorySet) -> Result<GeotdmConfig, Error> {
    let (node_features, edge_features) = set.kind.widths();
    let (lengths, counted) = set.kind.published();
    let prior = match settings.prior {
        TrajectoryPrior::Learned => Prior::Learned { layers: settings.prior_layers, frames: set.made },
        TrajectoryPrior::CentreOfMass => Prior::CentreOfMass,
        TrajectoryPrior::Unconditional => Prior::JointCentre,
        TrajectoryPrior::Standardised => Prior::Standardised,
        TrajectoryPrior::Extrapolated => Prior::Extrapolated,
    };
    let extrapolation = match prior {
        Prior::Extrapolated => Some(set.extrapolation()?),
        Prior::Standardised => Some(Extrapolation::spread(&set.training, set.made)?),
        _ => None,
    };
    let diffusion = settings.diffusion()?;
    let (windows, kind, digest) = (set.windows(), set.kind.name(), &set.sha256);
    let config = GeotdmConfig {
        library: LIBRARY.to_owned(),
        format_version: FORMAT_VERSION,
        family: FAMILY.to_owned(),
        name: settings.name.clone(),
        network: NetworkConfig {
            node_features,
            edge_features,
            hidden: settings.hidden,
            layers: settings.layers,
            temporal: settings.temporal,
            time_features: settings.time_features,
            lengths,
            prior,
            extrapolation,
        },
        systems: Some(set.kind),
        molecule: set.molecule.clone().filter(|_| !prior.is_conditional()),
        time_step: set.time_step,
        given_frames: set.given,
        given_behind: set.behind,
        frames: set.made,
        counted,
        sampler: settings.sampler.clone(),
        steps: if settings.steps == 0 { diffusion.steps() } else { settings.steps },
        diffusion,
        origin: Some(format!("trained by equidrift on {windows} windows of {kind} (data SHA-256 {digest})")),
    };
    config.check().map_err(|error| Error::TrainingSetting { source: serde::de::Error::custom(error) })?;
    config.sampler.plan(&[config.diffusion.path_config()], config.steps)?;
    Ok(config)
}

/// The weights of a model whose network is the same, and what tells the model from others.
fn initial_model(name: &str, network: &NetworkConfig) -> Result<(String, ParameterSet), Error> {
    let model = Model::open(name)?;
    let geotdm = model.geotdm()?;
    // The forecasts of an extrapolated prior, and the scale of a standardised one, are those of the new data.
    let without_forecasts =
        |network: &NetworkConfig| NetworkConfig { extrapolation: None, ..network.clone() };
    let (found, network) = (&without_forecasts(&geotdm.config().network), &without_forecasts(network));
    if found != network {
        let json = |network: &NetworkConfig| serde_json::to_value(network).unwrap_or_default();
        let (theirs, ours) = (json(found), json(network));
        let differing = ours.as_object().into_iter().flatten().find(|(key, value)| theirs[*key] != **value);
        let difference = differing.map_or_else(String::new, |(key, value)| {
            format!("its {key} is {}, asked for is {value}", theirs[key])
        });
        return Err(Error::OtherNetwork { model: model.name().to_owned(), difference });
    }
    Ok((model.sha256().to_owned(), geotdm.parameters().clone()))
}

/// Settings on which no weight depends (engine and threads change at most the rounding), and the number of epochs, which may
/// grow.
const WITHOUT_EFFECT: [&str; 16] = [
    "name",
    "epochs",
    "engine",
    "device",
    "threads",
    "checkpoint_every",
    "checkpoint_steps",
    "checkpoint_seconds",
    "keep",
    "csv",
    "plot",
    "sampler",
    "steps",
    "schedule",
    "validation",
    "sampling",
];

/// What must be the same for a checkpoint to be continued: everything that the weights depend on.
fn identity(
    settings: &TrajectorySettings,
    config: &GeotdmConfig,
    set: &TrajectorySet,
    init: Option<&str>,
) -> Result<BTreeMap<String, String>, Error> {
    let json = |value: Result<Value, serde_json::Error>| value.map_err(|source| Error::Encode { source });
    let mut entries = BTreeMap::new();
    if let Value::Object(table) = json(serde_json::to_value(settings))? {
        let table = table.into_iter().filter(|(key, _)| !WITHOUT_EFFECT.contains(&key.as_str()));
        entries.extend(table.map(|(key, value)| (key, value.to_string())));
    }
    let trainer = settings.trainer();
    let mut insert = |key: &str, value: String| entries.insert(key.to_owned(), value);
    // With the length of a cosine, which may be that of the run.
    insert("schedule", json(serde_json::to_value(trainer.learning_rate.schedule))?.to_string());
    insert("network", json(serde_json::to_value(&config.network))?.to_string());
    insert("frames", config.frames_in_words());
    insert("data", set.sha256.clone());
    insert("init", init.unwrap_or("random").to_owned());
    if set.held_out() > 0 {
        insert("validation.windows", set.held_out().to_string());
        insert("validation.every", trainer.validation.every.to_string());
        insert("validation.draws", trainer.validation.draws.to_string());
    }
    Ok(entries)
}
