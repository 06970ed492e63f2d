//! Fitting a model to a file of molecules, graphs or trajectories: data, settings, run folder, model folder. [`fit_molecules`],
//! [`fit_graphs`] and [`fit_trajectories`] are the short way; [`train_molecules`], [`train_graphs`] and [`train_trajectories`]
//! take every setting and tell how it goes on.
//!
//! The run folder is at the same time a model folder, so that `generate --model` can use it as soon as the first
//! checkpoint is there:
//!
//! ```text
//! training.toml                    what the run was asked for, and its data's SHA-256   (written by the caller)
//! log.jsonl, checkpoints/          see `equidrift_train::RunFolder`
//! config.json, model.safetensors, README.md, SHA256SUMS     the model so far
//! ```

mod family;
mod fit;
mod fit_trajectories;
mod forecast_metrics;
mod graph_presets;
mod graph_sample_metrics;
mod graphs;
mod held_out;
mod molecules;
mod pard;
mod pard_presets;
mod prepared;
mod run;
mod sample_metrics;
mod settings;
mod tables;
mod training_loop;
mod trajectories;
mod trajectory_set;
mod trajectory_settings;

use std::path::PathBuf;

use equidrift_gdss::config::{FAMILY, FORMAT_VERSION, LIBRARY};
use equidrift_gdss::{GdssConfig, GraphDataset, NodeNetworkConfig, Task, Vocabulary};
use equidrift_train::TrainError;

pub use equidrift_train::{EpochReport, StepReport};
pub use family::TrainedModel;
pub use fit::{
    FitOptions, FittedModel, fit_graphs, fit_graphs_watched, fit_molecules, fit_molecules_watched,
};
pub use fit_trajectories::{
    FittedTrajectories, TrajectoryFitOptions, fit_trajectories, fit_trajectories_watched,
};
pub use graph_presets::GRAPH_PRESETS;
pub use graph_sample_metrics::GraphSampleMetrics;
pub use graphs::{BadGraph, GraphSet, GraphSource};
pub use held_out::HeldOut;
pub use molecules::{Hydrogens, MoleculeSet, MoleculeSource};
pub use pard::{Noise, PardSettings};
pub use sample_metrics::{MoleculeSampleMetrics, SampleMetrics};
pub use settings::{PRESETS, TrainingSettings, Unusable};
pub use tables::{Keep, Optimiser, SamplingSettings, ScheduleSettings, ValidationSettings};
pub use training_loop::TrainSummary;
pub use trajectories::{TrajectoryTrainRequest, TrajectoryTrainingWatcher, train_trajectories};
pub use trajectory_set::TrajectorySet;
pub use trajectory_settings::{
    TRAJECTORY_PRESETS, TrajectoryPrior, TrajectorySampling, TrajectorySettings, TrajectoryValidation,
};

use crate::datasets::DatasetError;
use crate::error::{Error, ErrorKind};
use crate::generate::chemistry;
use crate::graph_input::GraphInput;
use crate::model::bond_encoding;
use family::FamilyConfig;
use run::{GraphTraining, identity};
use training_loop::Progress;

/// A training run.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainRequest {
    /// A file of SMILES, one a line, `.gz` or not; or a file of graphs, or a part of one (see [`GraphInput`]); or a prepared data
    /// set of either, or a part of one (see [`MoleculeSource::data`]).
    pub data: PathBuf,
    /// The run folder.
    pub output: PathBuf,
    /// A file of 0-based row numbers that are not trained on.
    pub test_rows: Option<PathBuf>,
    /// The part of a prepared set of molecules that is trained on: a scheme, whose part `train` is meant, or `SCHEME:PART`.
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
    fn begin(&mut self, data: TrainingData<'_>, epochs: u64) -> Result<(), Error> {
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

/// What a run trains on.
#[derive(Debug, Clone, Copy)]
pub enum TrainingData<'a> {
    /// Molecules, as graphs of elements and bonds.
    Molecules(&'a MoleculeSet),
    /// Plain graphs.
    Graphs(&'a GraphSet),
}

impl<'a> TrainingData<'a> {
    /// The examples.
    #[must_use]
    pub fn graphs(self) -> &'a GraphDataset {
        match self {
            Self::Molecules(set) => &set.graphs,
            Self::Graphs(set) => &set.graphs,
        }
    }

    /// Examples for validation.
    #[must_use]
    pub fn held_out(self) -> Option<&'a HeldOut> {
        match self {
            Self::Molecules(set) => set.held_out.as_ref(),
            Self::Graphs(set) => set.held_out.as_ref(),
        }
    }

    /// SHA-256 of the data file.
    #[must_use]
    pub fn sha256(self) -> &'a str {
        match self {
            Self::Molecules(set) => &set.sha256,
            Self::Graphs(set) => &set.sha256,
        }
    }
}

/// Trains a model of molecules until all epochs are done, the validation loss has stopped falling, or `stop` answers true.
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
    settings.check()?;
    let source = MoleculeSource {
        data: &request.data,
        test_rows: request.test_rows.as_deref(),
        split: request.split.as_deref(),
        atoms: &settings.atoms,
        bonds: bond_encoding(settings.bonds),
        on_bad_line: settings.on_bad_line,
        on_unknown_atom: settings.on_unknown_atom,
        hydrogens: settings.hydrogens,
    };
    let Some(mut set) = MoleculeSet::read(&source, chemistry(), &|| stop())? else {
        return Ok(TrainSummary::STOPPED);
    };
    if !set.hold_out(&settings.validation, &source, settings.seed, chemistry(), &|| stop())? {
        return Ok(TrainSummary::STOPPED);
    }
    let data = TrainingData::Molecules(&set);
    let config = model_config(settings, data)?;
    let named = prepared::selection(&source)?.map_or_else(|| request.data.clone(), |part| part.to_path());
    let mut samples = match settings.sampling.every {
        0 => None,
        _ => Some(MoleculeSampleMetrics::new(settings, &named, &set.graphs)?),
    };
    let samples = samples.as_mut().map(|samples| samples as &mut dyn SampleMetrics);
    train(request, &config, data, samples, watcher, stop)
}

/// Trains a model of graphs, as [`train_molecules`] does one of molecules. Node features are one-hot degrees, the adjacency
/// is 0 and 1.
///
/// # Errors
/// As [`train_molecules`]; `atoms` in the settings.
pub fn train_graphs(
    request: &TrainRequest,
    watcher: &mut dyn TrainingWatcher,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<TrainSummary, Error> {
    let settings = &request.settings;
    settings.check()?;
    if !settings.atoms.is_empty() {
        return Err(held_out::setting("atoms: graphs have none"));
    }
    if !settings.bonds.are_orders() {
        return Err(held_out::setting("bonds: graphs have none"));
    }
    if request.split.is_some() {
        let reason = "for graphs the part stands behind the file's name, FILE:SCHEME:PART".to_owned();
        return Err(DatasetError::Option { option: "--split", reason }.into());
    }
    let source = GraphSource {
        data: &GraphInput::of_path(&request.data),
        test_rows: request.test_rows.as_deref(),
        on_bad_graph: settings.on_bad_line,
    };
    let Some(mut set) = GraphSet::read(&source, None, &|| stop())? else { return Ok(TrainSummary::STOPPED) };
    if !set.hold_out(&settings.validation, &source, settings.seed, &|| stop())? {
        return Ok(TrainSummary::STOPPED);
    }
    let data = TrainingData::Graphs(&set);
    let config = model_config(settings, data)?;
    let mut samples = match settings.sampling.every {
        0 => None,
        _ => Some(GraphSampleMetrics::new(settings)?),
    };
    let samples = samples.as_mut().map(|samples| samples as &mut dyn SampleMetrics);
    train(request, &config, data, samples, watcher, stop)
}

/// Trains on what was read.
fn train<'a>(
    request: &'a TrainRequest,
    config: &'a FamilyConfig,
    data: TrainingData<'a>,
    samples: Option<&'a mut dyn SampleMetrics>,
    watcher: &mut dyn TrainingWatcher,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<TrainSummary, Error> {
    let settings = &request.settings;
    let features = config.features();
    let held_out = data.held_out();
    let identity = identity(
        settings,
        config,
        &[("data", data.sha256()), (features.0, &features.1)],
        data.graphs(),
        held_out.map(|held_out| held_out.digest.as_str()),
    )?;
    let training = GraphTraining {
        settings,
        config,
        identity,
        graphs: data.graphs(),
        held_out: held_out.map(|held_out| &held_out.graphs),
        samples,
        output: &request.output,
        resume: request.resume,
    };
    training.run(&mut Telling { watcher, data }, stop)
}

/// Tells a watcher how the run goes on.
struct Telling<'a> {
    watcher: &'a mut dyn TrainingWatcher,
    data: TrainingData<'a>,
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
///
/// # Errors
/// Settings that contradict themselves; a sampler that cannot be planned, which is an error now, not when the training is
/// over.
fn model_config(settings: &TrainingSettings, data: TrainingData<'_>) -> Result<FamilyConfig, Error> {
    let graphs = data.graphs();
    let (task, noun, vocabulary) = match data {
        TrainingData::Molecules(set) => {
            let atoms = set.vocabulary.iter().map(|element| element.symbol().to_owned()).collect();
            (Task::Molecules, "molecules", Some(Vocabulary { atoms }))
        }
        TrainingData::Graphs(_) => (Task::Graphs, "graphs", None),
    };
    let origin = format!("trained by equidrift on {} {noun} (data SHA-256 {})", graphs.len(), data.sha256());
    if let Some(pard) = &settings.pard {
        let blocks = pard::in_blocks(graphs, task, pard)?;
        let config =
            pard::pard_config(settings, pard, &blocks, (task, graphs.features()), (vocabulary, origin))?;
        return Ok(FamilyConfig::Pard(Box::new(config)));
    }
    let mut networks = settings.networks.clone();
    let features = graphs.features();
    match &mut networks.x {
        NodeNetworkConfig::ScoreNetworkX(x) => x.max_feat_num = features,
        NodeNetworkConfig::ScoreNetworkXGmh(x) => x.max_feat_num = features,
    }
    let equidrift_gdss::EdgeNetworkConfig::ScoreNetworkA(adj) = &mut networks.adj;
    (adj.max_feat_num, adj.max_node_num) = (features, graphs.nodes());
    let config = GdssConfig {
        library: LIBRARY.to_owned(),
        format_version: FORMAT_VERSION,
        family: FAMILY.to_owned(),
        name: settings.name.clone(),
        task,
        max_nodes: graphs.nodes(),
        vocabulary,
        bonds: settings.bonds,
        networks,
        paths: settings.paths.clone(),
        sampler: settings.sampler.clone(),
        steps: settings.steps,
        node_counts: Some(graphs.node_counts()),
        edge_moments: Some(graphs.edge_moments()),
        sampling_weights: settings.weights,
        origin: Some(origin),
    };
    config.check().map_err(|error| Error::TrainingSetting { source: serde::de::Error::custom(error) })?;
    settings.sampler.plan(&[settings.paths.x.clone(), settings.paths.adj.clone()], settings.steps)?;
    Ok(FamilyConfig::Gdss(Box::new(config)))
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
