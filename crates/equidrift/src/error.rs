//! What can go wrong on the way from a request to a file.

use std::io;
use std::path::PathBuf;

use equidrift_gdss::{GdssError, GraphDatasetError};
use equidrift_geotdm::GeotdmError;
use equidrift_graph::GraphError;
use equidrift_molecule::{Element, MoleculeError};
use equidrift_pard::PardError;
use equidrift_sampler::SamplerError;
use equidrift_train::TrainError;
use equidrift_trajectory::TrajectoryError;

use crate::shard::Shard;

/// An error of a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of the request is impossible.
    #[error("`{field}` of the request: {reason}")]
    Request {
        /// The field.
        field: &'static str,
        /// Why no run can do it.
        reason: &'static str,
    },
    /// The model named is neither embedded nor a folder.
    #[error("no model `{name}`: neither a folder nor one of the embedded models ({})", list(embedded))]
    UnknownModel {
        /// As requested.
        name: String,
        /// What there is.
        embedded: Vec<&'static str>,
    },
    /// An embedded model is not what its checksums say: the binary is damaged.
    #[error(
        "embedded model `{name}`: {file} does not have its listed checksum; the programme file is damaged"
    )]
    EmbeddedModel {
        /// The model.
        name: &'static str,
        /// Its file.
        file: &'static str,
    },
    /// The model is of another family than this can be done with.
    #[error("model `{model}` is of family {found}; this is for models of family {expected}")]
    Family {
        /// The model.
        model: String,
        /// The family that is needed.
        expected: &'static str,
        /// Its family.
        found: &'static str,
    },
    /// The model is for something else.
    #[error("model `{model}` makes {found}, not {expected}")]
    Task {
        /// The model.
        model: String,
        /// What was asked for.
        expected: &'static str,
        /// What it makes.
        found: String,
    },
    /// The vocabulary of a model names something that is no element.
    #[error("model `{model}`: `vocabulary` names `{symbol}`, which is no element")]
    Vocabulary {
        /// The model.
        model: String,
        /// The entry.
        symbol: String,
    },
    /// The model's record of graph sizes cannot be used.
    #[error("`node_counts` of the model (at most {max_nodes} nodes): {reason}")]
    NodeCounts {
        /// What is wrong.
        reason: &'static str,
        /// Nodes of the model's largest graph.
        max_nodes: usize,
    },
    /// A model could not be opened or evaluated.
    #[error(transparent)]
    Model(#[from] GdssError),
    /// A Pard model folder is not usable, or its networks cannot be set up or evaluated.
    #[error(transparent)]
    Pard(#[from] PardError),
    /// A GeoTDM model folder is not usable, or its network cannot be set up or evaluated.
    #[error(transparent)]
    Geotdm(Box<GeotdmError>),
    /// A trajectory file or a trajectory.
    #[error(transparent)]
    Trajectory(#[from] TrajectoryError),
    /// Something in a file of trajectories cannot be used.
    #[error("{}: {source}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<Error>,
    },
    /// Samples that cannot be written in the format asked for.
    #[error("{source}; the samples are kept in {}", partial.display())]
    Unwritten {
        /// The unfinished file.
        partial: PathBuf,
        /// What is in the way.
        source: TrajectoryError,
    },
    /// A file of trajectories that does not say what its atoms are.
    #[error("{}: no atom has an element; name a file that has them with --topology (.pdb, .extxyz, .npz)", path.display())]
    NoElements {
        /// The file.
        path: PathBuf,
    },
    /// A trajectory that is too short.
    #[error("{}: {needed} frames are needed, there are {found}", path.display())]
    TooFewFrames {
        /// The file.
        path: PathBuf,
        /// As many as are needed, after thinning.
        needed: usize,
        /// As many as there are, after thinning.
        found: usize,
    },
    /// Files of different molecules where one output file is to hold all samples.
    #[error("{}: another molecule than in the first file; a trajectory file holds one: run them one by one", path.display())]
    OtherMolecule {
        /// The file.
        path: PathBuf,
    },
    /// Frames of a file that are not a multiple of the model's step apart.
    #[error(
        "{}: a frame every {file} fs, the model was trained on one every {model} fs; thin or rewrite the file, or insist with \
         --every",
        path.display()
    )]
    TimeStep {
        /// The file.
        path: PathBuf,
        /// Femtoseconds from frame to frame.
        file: f64,
        /// Those of the model.
        model: f64,
    },
    /// A source of trajectories holds other systems than are wanted.
    #[error("the source holds {found}, not {expected}")]
    Systems {
        /// What is wanted.
        expected: &'static str,
        /// What there is.
        found: &'static str,
    },
    /// The same, where a model wants them.
    #[error("model `{model}` is of {expected}, the source holds {found}")]
    OtherSystems {
        /// The model.
        model: String,
        /// What the model is of.
        expected: &'static str,
        /// What there is.
        found: &'static str,
    },
    /// A model of trajectories that does not say of what.
    #[error("the configuration of model `{model}` does not say what its systems are: add `systems`")]
    UnknownSystems {
        /// The model.
        model: String,
    },
    /// A model that training cannot begin with.
    #[error("model `{model}` has another network than the settings ask for: {difference}")]
    OtherNetwork {
        /// The model.
        model: String,
        /// In what.
        difference: String,
    },
    /// The device does not exist in this build.
    #[error(transparent)]
    Device {
        /// Which, and what would add it.
        source: equidrift_backend::device::DeviceError,
    },
    /// A plan could not be made or executed.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// A molecule file or a molecule.
    #[error(transparent)]
    Molecule(#[from] MoleculeError),
    /// A graph file or a graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A file that is needed could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}{}", path.display(), advice(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// Results could not be written to the stream they go to.
    #[error("cannot write the results: {source}")]
    Stream {
        /// The operating system's answer.
        source: io::Error,
    },
    /// Another process writes the same output.
    #[error("{} is being written by another process", path.display())]
    InUse {
        /// The partial file.
        path: PathBuf,
    },
    /// A value of our own could not be written as JSON.
    #[error("cannot encode as JSON: {source}")]
    Encode {
        /// The encoder's reason.
        source: serde_json::Error,
    },
    /// A manifest is not one.
    #[error("{} is no manifest of this programme: {source}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A manifest is longer than any real one.
    #[error("{} has {length} bytes; a manifest has at most {limit}", path.display())]
    ManifestLength {
        /// The manifest.
        path: PathBuf,
        /// Its length in bytes.
        length: u64,
        /// The longest accepted.
        limit: u64,
    },
    /// A manifest was written in another layout.
    #[error("{} has manifest version {found}, this programme knows version {expected}", path.display())]
    ManifestVersion {
        /// The manifest.
        path: PathBuf,
        /// The version known.
        expected: u32,
        /// The version found.
        found: u32,
    },
    /// A manifest contradicts itself.
    #[error("{} contradicts itself: {reason}", path.display())]
    ManifestContradiction {
        /// The manifest.
        path: PathBuf,
        /// How.
        reason: &'static str,
    },
    /// A file has no manifest beside it.
    #[error("{} has no manifest: {} is missing", path.display(), manifest.display())]
    NoManifest {
        /// The file.
        path: PathBuf,
        /// Where its manifest should be.
        manifest: PathBuf,
    },
    /// The data are not what the manifest recorded.
    #[error("{} is not what its manifest recorded: {reason}", path.display())]
    Recorded {
        /// The data file.
        path: PathBuf,
        /// The difference.
        reason: &'static str,
    },
    /// The manifest belongs to another run.
    #[error("{} belongs to another run: its {what} is {found}, this run's is {expected}", path.display())]
    DifferentRun {
        /// The manifest.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// This run's value.
        expected: String,
        /// The manifest's value.
        found: String,
    },
    /// A file to merge is not complete.
    #[error("{} is not complete: its ids from {next} to {end} are missing; finish it with --resume", path.display())]
    Unfinished {
        /// The file.
        path: PathBuf,
        /// The first id missing.
        next: u64,
        /// One past its last id.
        end: u64,
    },
    /// Shards are missing from a merge.
    #[error("shards are missing: {}", list(missing))]
    ShardsMissing {
        /// Which.
        missing: Vec<String>,
    },
    /// A shard was given twice.
    #[error("shard {shard} is there twice: {} and {}", first.display(), second.display())]
    ShardTwice {
        /// The shard.
        shard: Shard,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A preset of training settings that does not exist.
    #[error("unknown preset `{name}`: expected one of {}", list(&all_presets()))]
    UnknownPreset {
        /// As requested.
        name: String,
    },
    /// A training setting that does not exist, or a value it cannot have.
    #[error("training settings: {source}")]
    TrainingSetting {
        /// Which, in the decoder's words.
        source: serde_json::Error,
    },
    /// An element twice in a vocabulary.
    #[error("the vocabulary has {element} twice")]
    RepeatedAtom {
        /// The element.
        element: Element,
    },
    /// A training molecule has an atom that the vocabulary lacks.
    #[error(
        "{}:{line}: atom {element} is not in the vocabulary ({}); add it, or skip such molecules",
        path.display(),
        list(vocabulary)
    )]
    AtomOutsideVocabulary {
        /// The data file.
        path: PathBuf,
        /// Line number from 1.
        line: u64,
        /// The atom.
        element: Element,
        /// The vocabulary.
        vocabulary: Vec<&'static str>,
    },
    /// A list of test rows that belongs to another data file.
    #[error("{}:{line}: row {row} is beyond the data's last row {}", path.display(), rows - 1)]
    RowBeyondEnd {
        /// The list.
        path: PathBuf,
        /// Its line.
        line: u64,
        /// The row it names.
        row: u64,
        /// Rows of the data.
        rows: u64,
    },
    /// A row is to be held out for validation and tested on.
    #[error(
        "{}:{line}: row {row} is also a test row: hold out other rows, or leave the test rows away",
        path.display()
    )]
    TestRowHeldOut {
        /// The list of rows to be held out.
        path: PathBuf,
        /// Its line.
        line: u64,
        /// The row.
        row: u64,
    },
    /// Nothing to validate with.
    #[error(
        "{}: nothing held out can be used: at most {largest} nodes (heavy atoms) are possible, as many as what is trained \
         on has",
        path.display()
    )]
    NothingHeldOut {
        /// Where they are named.
        path: PathBuf,
        /// Nodes of the largest graph trained on.
        largest: usize,
    },
    /// Nothing to train on.
    #[error(
        "{}: no molecule with a bond is left to train on ({molecules} molecules read, {test_rows} of them test rows)",
        path.display()
    )]
    NoTrainingMolecules {
        /// The data file.
        path: PathBuf,
        /// Molecules read.
        molecules: u64,
        /// Of these, test rows.
        test_rows: u64,
    },
    /// No graph to train on.
    #[error(
        "{input}: no graph with an edge is left to train on ({graphs} graphs read, {test_rows} of them test rows)"
    )]
    NoTrainingGraphs {
        /// The data.
        input: String,
        /// Graphs read.
        graphs: u64,
        /// Of these, test rows.
        test_rows: u64,
    },
    /// A node with a degree that the node features have no place for.
    #[error(
        "{input}: graph {graph} (from 0) has a node with {degree} neighbours; node features are one-hot degrees, at most \
         {most} are possible"
    )]
    TooManyNeighbours {
        /// The data.
        input: String,
        /// The graph.
        graph: u64,
        /// The degree.
        degree: usize,
        /// The largest possible.
        most: usize,
    },
    /// No molecule of a file could be used.
    #[error("{}: no molecule can be used; {reason}", path.display())]
    NoUsableMolecules {
        /// The file.
        path: PathBuf,
        /// Why the first one was not.
        reason: String,
    },
    /// A training graph that does not fit into a set.
    #[error(transparent)]
    Dataset(#[from] GraphDatasetError),
    /// A data set to prepare, verify or open.
    #[error(transparent)]
    PreparedData(#[from] crate::datasets::DatasetError),
    /// The training loop, its checkpoints or its log.
    #[error(transparent)]
    Training(#[from] TrainError),
    /// The merged file would overwrite one of the shards.
    #[error("{} is both a file to merge and the output", path.display())]
    MergeOntoInput {
        /// The file.
        path: PathBuf,
    },
}

impl From<GeotdmError> for Error {
    fn from(error: GeotdmError) -> Self {
        Self::Geotdm(Box::new(error))
    }
}

/// Whose fault an error is, as far as a caller may act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request makes no sense.
    Usage,
    /// An input file is missing, unreadable or malformed.
    BadInput,
    /// Parts that should fit together do not: configuration and weights, a manifest and a run.
    Mismatch,
    /// Anything else: a full disk, a device.
    Failure,
}

impl Error {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Request { .. }
            | Self::Device { .. }
            | Self::MergeOntoInput { .. }
            | Self::ShardTwice { .. } => ErrorKind::Usage,
            Self::UnknownPreset { .. } | Self::TrainingSetting { .. } | Self::RepeatedAtom { .. } => {
                ErrorKind::Usage
            }
            Self::Training(error) => crate::training::kind_of(error),
            Self::PreparedData(error) => error.kind(),
            Self::UnknownModel { .. }
            | Self::Vocabulary { .. }
            | Self::AtomOutsideVocabulary { .. }
            | Self::RowBeyondEnd { .. }
            | Self::NoTrainingMolecules { .. }
            | Self::NoTrainingGraphs { .. }
            | Self::TooManyNeighbours { .. }
            | Self::TestRowHeldOut { .. }
            | Self::NothingHeldOut { .. }
            | Self::NoUsableMolecules { .. }
            | Self::Dataset(_)
            | Self::NodeCounts { .. }
            | Self::Read { .. }
            | Self::Manifest { .. }
            | Self::ManifestLength { .. }
            | Self::ManifestVersion { .. }
            | Self::ManifestContradiction { .. }
            | Self::NoManifest { .. }
            | Self::Recorded { .. }
            | Self::Unfinished { .. }
            | Self::ShardsMissing { .. } => ErrorKind::BadInput,
            Self::NoElements { .. }
            | Self::TooFewFrames { .. }
            | Self::OtherMolecule { .. }
            | Self::TimeStep { .. } => ErrorKind::BadInput,
            Self::Systems { .. } => ErrorKind::Usage,
            Self::OtherSystems { .. } | Self::UnknownSystems { .. } | Self::OtherNetwork { .. } => {
                ErrorKind::Mismatch
            }
            Self::Geotdm(error) => crate::model::kind_of_geotdm(error),
            Self::Trajectory(error) => crate::model::kind_of_trajectory(error),
            Self::InFile { source, .. } => source.kind(),
            Self::Task { .. } | Self::Family { .. } | Self::DifferentRun { .. } => ErrorKind::Mismatch,
            Self::Model(error) => crate::model::kind_of(error),
            Self::Pard(error) => crate::model::kind_of_pard(error),
            Self::Sampler(error) => match error {
                SamplerError::Option { .. }
                | SamplerError::UnknownSampler { .. }
                | SamplerError::UnsupportedPath { .. }
                | SamplerError::TooFewSteps { .. } => ErrorKind::Usage,
                SamplerError::PathParameter { .. } | SamplerError::InvalidPlan { .. } => ErrorKind::BadInput,
                SamplerError::OtherPaths { .. } | SamplerError::Statistics { .. } => ErrorKind::Mismatch,
                _ => ErrorKind::Failure,
            },
            Self::Graph(error) => match error {
                GraphError::UnknownFormat { .. } | GraphError::UnknownSplit { .. } => ErrorKind::Usage,
                GraphError::Stream(_) => ErrorKind::Failure,
                _ => ErrorKind::BadInput,
            },
            Self::Molecule(error) => match error {
                MoleculeError::File { task: "write", .. } => ErrorKind::Failure,
                MoleculeError::File { .. }
                | MoleculeError::Line { .. }
                | MoleculeError::Smiles { .. }
                | MoleculeError::NoColumn { .. }
                | MoleculeError::Weights { .. }
                | MoleculeError::Statistics { .. }
                | MoleculeError::TooFewMolecules { .. } => ErrorKind::BadInput,
                MoleculeError::IncomparableStatistics { .. } => ErrorKind::Mismatch,
                MoleculeError::UnknownFormat { .. } | MoleculeError::UnknownElement { .. } => {
                    ErrorKind::Usage
                }
                _ => ErrorKind::Failure,
            },
            _ => ErrorKind::Failure,
        }
    }

    /// Whether the reader of the results has gone away, which is its right.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Stream { source } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn all_presets() -> Vec<&'static str> {
    use crate::training::{GRAPH_PRESETS, PRESETS, TRAJECTORY_PRESETS};
    PRESETS.into_iter().chain(GRAPH_PRESETS).chain(TRAJECTORY_PRESETS).collect()
}

fn list(names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// What to do about an error of writing, where there is something to say.
fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; make room and continue with --resume, nothing recorded is lost"
        }
        _ => "",
    }
}
