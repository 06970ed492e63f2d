//! Fitting a model to a file of molecules: data, settings, run folder, model folder.
//!
//! The run folder is at the same time a model folder, so that `generate --model` can use it as soon as the first
//! checkpoint is there:
//!
//! ```text
//! training.toml                    what the run was asked for, and its data's SHA-256   (written by the caller)
//! log.jsonl, checkpoints/          see `equidrift_train::RunFolder`
//! config.json, model.safetensors, README.md, SHA256SUMS     the model so far
//! ```

mod molecules;
mod prepared;
mod settings;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use equidrift_backend::device::DeviceKind;
use equidrift_backend::weights::ParameterSet;
use equidrift_gdss::config::{FAMILY, FORMAT_VERSION, LIBRARY};
use equidrift_gdss::{
    BurnEngine, CONFIG_FILE, DenoisingScoreMatching, EngineKind, FusedEngine, GdssConfig, GdssError,
    GdssModel, GradientEngine, NetworksConfig, NodeNetworkConfig, SamplingWeights, Task, Vocabulary,
    initial_parameters, score_matching,
};
use equidrift_train::{
    Ending, EpochReport, Observer, RunFolder, StepReport, TrainError, Trainer, TrainingState,
};

pub use molecules::{MoleculeSet, MoleculeSource};
pub use settings::{PRESETS, TrainingSettings, Unusable};

use crate::error::{Error, ErrorKind};
use crate::generate::chemistry;

/// A training run.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainRequest {
    /// A file of SMILES, one a line, `.gz` or not; or a prepared data set.
    pub data: PathBuf,
    /// The run folder.
    pub output: PathBuf,
    /// A file of 0-based row numbers that are not trained on.
    pub test_rows: Option<PathBuf>,
    /// The part of a prepared data set that is trained on: a scheme, whose part `train` is meant, or `SCHEME:PART`.
    pub split: Option<String>,
    /// Continue the run that is in `output`.
    pub resume: bool,
    /// Everything else.
    pub settings: TrainingSettings,
}

/// What a run has to tell.
pub trait TrainingWatcher {
    /// The data are read and featurised; training begins, after `epochs` epochs that are done already.
    ///
    /// # Errors
    /// An error ends the run.
    fn begin(&mut self, data: &MoleculeSet, epochs: u64) -> Result<(), Error>;
    /// An optimiser step is done.
    fn step(&mut self, report: &StepReport);
    /// An epoch is done and its checkpoint is on disk.
    fn epoch(&mut self, report: &EpochReport);
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainSummary {
    /// Whether all epochs are done; otherwise it was stopped and can be resumed.
    pub finished: bool,
    /// Epochs done in all.
    pub epochs: u64,
}

/// Trains until all epochs are done or `stop` answers true.
///
/// # Errors
/// Bad data, settings out of range, a folder that is in use or belongs to another run, an unwritable folder, a device
/// that is not there, a loss that is no number.
pub fn train_molecules(
    request: &TrainRequest,
    watcher: &mut dyn TrainingWatcher,
    stop: &dyn Fn() -> bool,
) -> Result<TrainSummary, Error> {
    let settings = &request.settings;
    settings.trainer().validate()?;
    let source = MoleculeSource {
        data: &request.data,
        test_rows: request.test_rows.as_deref(),
        split: request.split.as_deref(),
        atoms: &settings.atoms,
        on_bad_line: settings.on_bad_line,
        on_unknown_atom: settings.on_unknown_atom,
    };
    let Some(data) = MoleculeSet::read(&source, chemistry(), stop)? else {
        return Ok(TrainSummary { finished: false, epochs: 0 });
    };
    let config = model_config(settings, &data);
    config.check().map_err(|error| Error::TrainingSetting { source: serde::de::Error::custom(error) })?;
    // A sampler that cannot be planned is an error now, not when the training is over.
    settings.sampler.plan(&[settings.paths.x.clone(), settings.paths.adj.clone()], settings.steps)?;

    let run = identity(settings, &config, &data)?;
    let every = settings.checkpoint_every;
    let groups = score_matching::GROUPS.to_vec();
    if !request.resume && request.output.join(CONFIG_FILE).exists() {
        return Err(TrainError::FolderInUse { path: request.output.clone() }.into());
    }
    let (folder, state) = if request.resume {
        RunFolder::resume(&request.output, run, every)?
    } else {
        (RunFolder::create(&request.output, run, every)?, None)
    };
    let mut trainer = match state {
        Some(state) => Trainer::resume(settings.trainer(), groups, state)?,
        None => {
            let parameters = initial_parameters(&config.networks, settings.seed);
            Trainer::new(settings.trainer(), groups, parameters)?
        }
    };
    watcher.begin(&data, trainer.state().progress.epochs)?;

    let engine = gradient_engine(settings, &config.networks, &trainer.state().parameters)?;
    let mut objective =
        DenoisingScoreMatching::new(engine, &data.graphs, &settings.paths, settings.seed, threads(settings));
    let mut observer = ModelFolder { watcher, folder: &folder, config: &config, failed: None };
    let ending = trainer.run(&mut objective, Some(&folder), &mut observer, stop);
    if let Some(error) = observer.failed {
        return Err(error);
    }
    let ending = ending?;
    write_model(&folder, &config, trainer.state())?;
    Ok(TrainSummary { finished: ending == Ending::Finished, epochs: trainer.state().progress.epochs })
}

/// Passes reports on and keeps the model folder up to date.
struct ModelFolder<'a> {
    watcher: &'a mut dyn TrainingWatcher,
    folder: &'a RunFolder,
    config: &'a GdssConfig,
    /// The error behind the one that ended the loop.
    failed: Option<Error>,
}

impl Observer for ModelFolder<'_> {
    fn step(&mut self, report: &StepReport) {
        self.watcher.step(report);
    }

    fn epoch(&mut self, report: &EpochReport, state: &TrainingState) -> Result<(), TrainError> {
        if self.folder.keeps(report.epoch)
            && let Err(error) = write_model(self.folder, self.config, state)
        {
            let text = error.to_string();
            self.failed = Some(error);
            return Err(TrainError::Objective(text.into()));
        }
        self.watcher.epoch(report);
        Ok(())
    }
}

/// Writes the model as it is now into the run folder.
fn write_model(folder: &RunFolder, config: &GdssConfig, state: &TrainingState) -> Result<(), Error> {
    let parameters = match config.sampling_weights {
        SamplingWeights::Raw => state.parameters.clone(),
        SamplingWeights::Ema => state.average.parameters(&state.parameters),
    };
    let mut config = config.clone();
    let (epochs, steps) = (state.progress.epochs, state.progress.steps);
    config.origin = config.origin.map(|data| format!("{data}; {epochs} epochs, {steps} steps"));
    Ok(GdssModel::new(config, parameters)?.write(folder.path(), &[])?)
}

/// The model's configuration: the settings with what follows from the data.
fn model_config(settings: &TrainingSettings, data: &MoleculeSet) -> GdssConfig {
    let mut networks = settings.networks.clone();
    let features = data.vocabulary.len();
    match &mut networks.x {
        NodeNetworkConfig::ScoreNetworkX(x) => x.max_feat_num = features,
        NodeNetworkConfig::ScoreNetworkXGmh(x) => x.max_feat_num = features,
    }
    let equidrift_gdss::EdgeNetworkConfig::ScoreNetworkA(adj) = &mut networks.adj;
    (adj.max_feat_num, adj.max_node_num) = (features, data.graphs.nodes());
    GdssConfig {
        library: LIBRARY.to_owned(),
        format_version: FORMAT_VERSION,
        family: FAMILY.to_owned(),
        name: settings.name.clone(),
        task: Task::Molecules,
        max_nodes: data.graphs.nodes(),
        vocabulary: Some(Vocabulary {
            atoms: data.vocabulary.iter().map(|element| element.symbol().to_owned()).collect(),
        }),
        networks,
        paths: settings.paths.clone(),
        sampler: settings.sampler.clone(),
        steps: settings.steps,
        node_counts: Some(data.graphs.node_counts()),
        edge_moments: Some(data.graphs.edge_moments()),
        sampling_weights: settings.weights,
        origin: Some(format!(
            "trained by equidrift on {} molecules (data SHA-256 {})",
            data.graphs.len(),
            data.sha256
        )),
    }
}

/// What must be the same for a checkpoint to be continued: everything that the weights depend on. Not the number of
/// epochs, nor engine, device and threads, which change at most the rounding.
fn identity(
    settings: &TrainingSettings,
    config: &GdssConfig,
    data: &MoleculeSet,
) -> Result<BTreeMap<String, String>, Error> {
    let json = |value: Result<String, serde_json::Error>| value.map_err(|source| Error::Encode { source });
    // A digest of the rows rather than of the two files: the same rows may be named in another way.
    let rows: Vec<u8> =
        (0..data.graphs.len()).flat_map(|index| data.graphs.row(index).to_le_bytes()).collect();
    let entries = [
        ("data", data.sha256.clone()),
        ("training rows", equidrift_backend::checksum::sha256(&rows)),
        ("batch", settings.batch.to_string()),
        ("learning_rate", settings.learning_rate.to_string()),
        ("learning_rate_decay", settings.learning_rate_decay.to_string()),
        ("weight_decay", settings.weight_decay.to_string()),
        ("clip_norm", settings.clip_norm.to_string()),
        ("average_decay", settings.average_decay.to_string()),
        ("seed", settings.seed.to_string()),
        (
            "atoms",
            config
                .vocabulary
                .iter()
                .flat_map(|v| v.atoms.iter().map(String::as_str))
                .collect::<Vec<_>>()
                .join(","),
        ),
        ("paths", json(serde_json::to_string(&settings.paths))?),
        ("networks", json(serde_json::to_string(&config.networks))?),
    ];
    Ok(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn threads(settings: &TrainingSettings) -> NonZeroUsize {
    NonZeroUsize::new(settings.threads)
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN)
}

fn gradient_engine(
    settings: &TrainingSettings,
    networks: &NetworksConfig,
    parameters: &ParameterSet,
) -> Result<Box<dyn GradientEngine>, Error> {
    match settings.engine {
        EngineKind::Fused if settings.device == DeviceKind::Cpu => {
            Ok(Box::new(FusedEngine::new(networks, parameters, 1).map_err(GdssError::from)?))
        }
        EngineKind::Fused => {
            let device = settings.device.to_string();
            Err(GdssError::EngineDevice { engine: "fused", device }.into())
        }
        EngineKind::Burn => {
            let device = settings.device.open().map_err(|source| Error::Device { source })?;
            Ok(Box::new(BurnEngine::new(networks, parameters, &device).map_err(GdssError::from)?))
        }
    }
}

/// Whose fault an error of the training loop is.
pub(crate) fn kind_of(error: &TrainError) -> ErrorKind {
    match error {
        TrainError::Setting { .. } | TrainError::FolderInUse { .. } => ErrorKind::Usage,
        TrainError::NoExamples => ErrorKind::BadInput,
        TrainError::OtherRun { .. } => ErrorKind::Mismatch,
        TrainError::NotACheckpoint { .. } | TrainError::CheckpointDigest { .. } => ErrorKind::BadInput,
        TrainError::Weights(error) => match error {
            equidrift_backend::weights::WeightsError::Io { .. } => ErrorKind::Failure,
            _ => ErrorKind::BadInput,
        },
        _ => ErrorKind::Failure,
    }
}
