//! Fitting a model to a file of molecules: data, settings, run folder, model folder. [`fit_molecules`] is the short way;
//! [`train_molecules`] takes every setting and tells how it goes on.
//!
//! The run folder is at the same time a model folder, so that `generate --model` can use it as soon as the first
//! checkpoint is there:
//!
//! ```text
//! training.toml                    what the run was asked for, and its data's SHA-256   (written by the caller)
//! log.jsonl, checkpoints/          see `equidrift_train::RunFolder`
//! config.json, model.safetensors, README.md, SHA256SUMS     the model so far
//! ```

mod fit;
mod held_out;
mod molecules;
mod prepared;
mod run;
mod sample_metrics;
mod settings;
mod tables;

use std::path::PathBuf;

use equidrift_gdss::config::{FAMILY, FORMAT_VERSION, LIBRARY};
use equidrift_gdss::{GdssConfig, NodeNetworkConfig, Task, Vocabulary};
use equidrift_train::{EpochReport, StepReport, TrainError};

pub use fit::{FitOptions, FittedModel, fit_molecules};
pub use held_out::HeldOut;
pub use molecules::{MoleculeSet, MoleculeSource};
pub use run::TrainSummary;
pub use sample_metrics::{MoleculeSampleMetrics, SampleMetrics};
pub use settings::{PRESETS, TrainingSettings, Unusable};
pub use tables::{Keep, Optimiser, SamplingSettings, ScheduleSettings, ValidationSettings};

use crate::error::{Error, ErrorKind};
use crate::generate::chemistry;
use run::{GraphTraining, Progress, identity};

/// A training run.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainRequest {
    /// A file of SMILES, one a line, `.gz` or not; or a prepared data set, see [`MoleculeSource::data`].
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
    fn begin(&mut self, data: &MoleculeSet, epochs: u64) -> Result<(), Error> {
        let _ = (data, epochs);
        Ok(())
    }

    /// An optimiser step is done.
    fn step(&mut self, report: &StepReport) {
        let _ = report;
    }

    /// Samples are being drawn to judge the model.
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

/// Trains until all epochs are done, the validation loss has stopped falling, or `stop` answers true.
///
/// # Errors
/// Bad data, settings out of range, a folder that is in use or belongs to another run, an unwritable folder, a device
/// that is not there, a loss that is no number.
pub fn train_molecules(
    request: &TrainRequest,
    watcher: &mut dyn TrainingWatcher,
    stop: &(dyn Fn() -> bool + Sync),
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
    let stopped = TrainSummary { finished: false, converged: false, epochs: 0, best_epoch: None };
    let Some(mut data) = MoleculeSet::read(&source, chemistry(), &|| stop())? else { return Ok(stopped) };
    if !data.hold_out(&settings.validation, &source, settings.seed, chemistry(), &|| stop())? {
        return Ok(stopped);
    }
    let config = model_config(settings, &data);
    config.check().map_err(|error| Error::TrainingSetting { source: serde::de::Error::custom(error) })?;
    // A sampler that cannot be planned is an error now, not when the training is over.
    settings.sampler.plan(&[settings.paths.x.clone(), settings.paths.adj.clone()], settings.steps)?;
    let named = prepared::selection(&source)?.map_or_else(|| request.data.clone(), |part| part.to_path());
    let mut samples = match settings.sampling.every {
        0 => None,
        _ => Some(MoleculeSampleMetrics::new(settings, &named, &data.graphs)?),
    };

    let atoms = config.vocabulary.as_ref().map_or(String::new(), |vocabulary| vocabulary.atoms.join(","));
    let held_out = data.held_out.as_ref();
    let identity = identity(
        settings,
        &config,
        &[("data", &data.sha256), ("atoms", &atoms)],
        &data.graphs,
        held_out.map(|held_out| held_out.digest.as_str()),
    )?;
    let training = GraphTraining {
        settings,
        config: &config,
        identity,
        graphs: &data.graphs,
        held_out: held_out.map(|held_out| &held_out.graphs),
        samples: samples.as_mut().map(|samples| samples as &mut dyn SampleMetrics),
        output: &request.output,
        resume: request.resume,
    };
    training.run(&mut Telling { watcher, data: &data }, stop)
}

/// Tells a watcher of molecules how the run goes on.
struct Telling<'a> {
    watcher: &'a mut dyn TrainingWatcher,
    data: &'a MoleculeSet,
}

impl Progress for Telling<'_> {
    fn begin(&mut self, epochs: u64) -> Result<(), Error> {
        self.watcher.begin(self.data, epochs)
    }

    fn step(&mut self, report: &StepReport) {
        self.watcher.step(report);
    }

    fn sampling(&mut self, samples: u64) {
        self.watcher.sampling(samples);
    }

    fn epoch(&mut self, report: &EpochReport, kept: bool) -> Result<(), Error> {
        self.watcher.epoch(report, kept)
    }
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

/// Whose fault an error of the training loop is.
pub(crate) fn kind_of(error: &TrainError) -> ErrorKind {
    match error {
        TrainError::Setting { .. } | TrainError::FolderInUse { .. } | TrainError::NoValidation { .. } => {
            ErrorKind::Usage
        }
        TrainError::LogLine { .. } => ErrorKind::BadInput,
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
