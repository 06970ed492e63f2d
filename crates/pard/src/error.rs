//! What can go wrong with a Pard model.

use std::path::PathBuf;

use equidrift_backend::weights::WeightsError;
use equidrift_nn::LayerError;
use equidrift_sampler::SamplerError;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PardError {
    /// A file that cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A file longer than any of its kind.
    #[error("{}: {found} bytes; expected at most {allowed}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// The limit.
        allowed: u64,
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
    /// An input that the network needs and was not given.
    #[error("the network takes {input} as an input; none was given")]
    MissingInput {
        /// Its name.
        input: &'static str,
    },
}
