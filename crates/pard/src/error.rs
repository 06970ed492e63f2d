//! What can go wrong with a Pard model.

use std::path::PathBuf;

use equidrift_backend::kernels::PackError;
use equidrift_backend::model_folder::ModelFolderError;
use equidrift_backend::weights::WeightsError;
use equidrift_nn::LayerError;
use equidrift_sampler::SamplerError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PardError {
    /// A file that cannot be read or written, or is not the one that was written.
    #[error(transparent)]
    Folder(#[from] ModelFolderError),
    /// A configuration that contradicts itself.
    #[error("`{field}` is {found}, expected {expected}")]
    Config {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What would be accepted.
        expected: String,
    },
    /// A folder whose parts do not fit together.
    #[error("{}: {source}", folder.display())]
    Model {
        /// The folder.
        folder: PathBuf,
        /// What does not fit.
        source: Box<PardError>,
    },
    /// A tensor that the networks have no place for.
    #[error("tensor `{name}` is no parameter of the configured networks")]
    UnusedParameter {
        /// Its name.
        name: String,
    },
    /// JSON that is not what was expected.
    #[error("{}: expected {expected}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
        /// Line, column and reason.
        source: serde_json::Error,
    },
    /// A checkpoint of a kind that is not read.
    #[error("{}: `{field}` is {found}, expected {expected}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What is read.
        expected: &'static str,
    },
    /// An input tensor of another shape.
    #[error("{}: tensor `{name}` has shape {found:?}, expected {expected}", path.display())]
    InputShape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: &'static str,
        /// What was expected.
        expected: String,
        /// What was found.
        found: Vec<usize>,
    },
    /// A number of an input tensor that cannot stand there.
    #[error("{}: tensor `{name}` holds {found} at position {position}, expected {expected}", path.display())]
    InputValue {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: &'static str,
        /// What was expected.
        expected: &'static str,
        /// What was found.
        found: f64,
        /// Where, counted from 0 in row-major order.
        position: usize,
    },
    /// A model that cannot begin a graph.
    #[error(
        "model `{model}` does not know the sizes of first blocks (`first_sizes` is empty): convert it with --sizes-from or \
         --first-sizes"
    )]
    NoFirstSizes {
        /// The model.
        model: String,
    },
    /// A grid of steps that is none.
    #[error("grid of steps `{found}`: expected uniform or polynomial:P with a power P above 0, at most 16")]
    Grid {
        /// As found.
        found: String,
    },
    /// A churn ([`ReverseStep`](crate::ReverseStep)) out of range.
    #[error("churn {found}: expected a number from 0 to 1000")]
    Churn {
        /// As found.
        found: f64,
    },
    /// A temperature ([`Temperature`](crate::Temperature)) that is none.
    #[error(
        "temperature `{found}`: expected a number from 0.01 to 100, or two with a colon between, at the noise and at the data"
    )]
    Temperature {
        /// As found.
        found: String,
    },
    /// A graph that does not fit into the memory that may be used.
    #[error(
        "a graph of {nodes} nodes needs {} MiB for the networks' pairs, {} MiB may be used",
        needed.div_ceil(1 << 20),
        allowed >> 20
    )]
    Memory {
        /// Nodes of the largest graph that the model may make.
        nodes: usize,
        /// Bytes, estimated.
        needed: u64,
        /// Bytes.
        allowed: u64,
    },
    /// A setting that cannot be used.
    #[error("{setting} = {value}: expected {expected}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// Its value.
        value: usize,
        /// What would be accepted.
        expected: &'static str,
    },
    /// A class, block size or degree that a graph has and the network does not know.
    #[error("{what} {value}: the network knows {known}, numbered from 0")]
    Unknown {
        /// `"node class"`, `"edge class"`, `"block"`, `"block size"` or `"block degree"`.
        what: &'static str,
        /// As found.
        value: usize,
        /// How many there are.
        known: usize,
    },
    /// An edge with the class of no edge.
    #[error("edge {first}-{second} has class 0, which stands for no edge")]
    EdgeWithoutClass {
        /// One end.
        first: usize,
        /// The other end.
        second: usize,
    },
    /// A graph that is no simple graph.
    #[error(transparent)]
    Graph(#[from] equidrift_graph::GraphError),
    /// A noise distribution or number of steps.
    #[error(transparent)]
    Diffusion(#[from] SamplerError),
    /// A file of tensors.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Parameters that are not the network's.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The device did not give back numbers.
    #[error("reading {what} from the device: {reason}")]
    Device {
        /// What was read.
        what: &'static str,
        /// What the tensor library said.
        reason: String,
    },
    /// Settings that no gradient step is made for.
    #[error("this model cannot be trained: {reason}")]
    NotTrainable {
        /// What is in the way, and what to use instead.
        reason: &'static str,
    },
    /// What the fused engine does not compute.
    #[error("the fused engine does not know {what}; use the engine burn")]
    NotFused {
        /// What it is.
        what: &'static str,
    },
    /// What is kept of growing graphs does not belong to the rows of a batch.
    #[error("{rows} rows of a batch need as many different graphs of the {graphs} that are kept")]
    Growing {
        /// Rows.
        rows: usize,
        /// Graphs of which something is kept.
        graphs: usize,
    },
    /// A run was asked to end.
    #[error("generation was stopped")]
    Stopped,
    /// A model of single blocks is asked about the next block.
    #[error("the model has no heads for sizes and degrees of blocks: its graphs are one block each")]
    NoBlockModel,
    /// An input that the network needs and was not given.
    #[error("the network takes {input} as an input; none was given")]
    MissingInput {
        /// Its name.
        input: &'static str,
    },
}

impl From<PackError> for PardError {
    fn from(error: PackError) -> Self {
        Self::Layer(match error {
            PackError::Missing { name, expected } => LayerError::Missing { name, expected },
            PackError::Shape { name, expected, found } => LayerError::Shape { name, expected, found },
        })
    }
}
