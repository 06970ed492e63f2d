//! What can go wrong with a GeoTDM model on disk or in use.

use std::path::PathBuf;

use equidrift_backend::device::DeviceError;
use equidrift_backend::model_folder::ModelFolderError;
use equidrift_backend::weights::WeightsError;
use equidrift_nn::LayerError;
use equidrift_sampler::SamplerError;
use equidrift_trajectory::TrajectoryError;

use crate::config::ConfigError;
use crate::parameters::ParameterError;

/// Errors of reading, converting, writing and running GeoTDM models.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GeotdmError {
    /// A model folder could not be read or written.
    #[error(transparent)]
    Folder(#[from] ModelFolderError),
    /// A JSON file is malformed, or a field is missing, unknown or of the wrong type.
    #[error("{}: expected {expected}: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the file should be.
        expected: &'static str,
        /// What the parser said, with line and column.
        source: serde_json::Error,
    },
    /// The weights file is not a sound safetensors file.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The configuration contradicts itself.
    #[error("{}: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ConfigError,
    },
    /// The configuration and the weights do not belong together.
    #[error("{}: {source}", path.display())]
    Mismatch {
        /// The weights file.
        path: PathBuf,
        /// Which tensor does not fit.
        source: ParameterError,
    },
    /// A node unlike all that the model was trained on.
    #[error("node {node} has other features than the {known} kinds of nodes that the model was trained on")]
    UnknownNode {
        /// Its number, from 0.
        node: usize,
        /// Kinds of nodes that are known.
        known: usize,
    },
    /// A configuration to be converted asks for something that does not exist here.
    #[error("{}: `{field}` is `{found}`, expected {expected}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// What can be converted.
        expected: &'static str,
    },
    /// An input tensor of another shape than the networks take.
    #[error("{}: tensor `{name}`: expected shape {expected}, found {found:?}", path.display())]
    InputShape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: &'static str,
        /// What the networks take.
        expected: String,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// An input number that no trajectory can have.
    #[error("{}: tensor `{name}`: expected {expected}, found {found} at position {position}", path.display())]
    InputValue {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: &'static str,
        /// What the networks take.
        expected: String,
        /// The number in the file.
        found: f64,
        /// Where it stands, counted in row order.
        position: usize,
    },
    /// A wrong number of things.
    #[error("{what}: expected {expected}, found {found}")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many are needed.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// An edge ends at a node that does not exist.
    #[error("edge {receiver}-{sender} of a system of {nodes} nodes, numbered from 0")]
    NoSuchNode {
        /// Receiver of the edge.
        receiver: usize,
        /// Sender of the edge.
        sender: usize,
        /// Nodes of the system.
        nodes: usize,
    },
    /// Molecules, runs of simulations and walkers.
    #[error(transparent)]
    Trajectory(#[from] TrajectoryError),
    /// Parameters that are not those of the fused network.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// Parameters that are not the network's.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A path, a plan or a run of the sampler.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Products with the network's Jacobian from an engine that has none.
    #[error(
        "gradients with respect to positions need the fused engine, on the processor and in single precision"
    )]
    NoProducts,
    /// Guidance of a model that is given frames.
    #[error("a model that is given frames is not guided to others; take an unconditional model")]
    GuidedConditional,
    /// Coordinates without a size to measure them by.
    #[error(
        "the coordinates spread by {found}, expected a positive number: examples in which nodes are apart or move"
    )]
    Spread {
        /// Their root mean square about the joint mean.
        found: f64,
    },
    /// The device did not give back numbers.
    #[error("reading {what} from the device: {reason}")]
    Values {
        /// What was read.
        what: &'static str,
        /// What the tensor library said.
        reason: String,
    },
}
