//! What can go wrong with a GDSS model on disk or in use.

use std::path::PathBuf;

use equidrift_backend::device::DeviceError;
use equidrift_backend::model_folder::ModelFolderError;
use equidrift_backend::weights::WeightsError;

use crate::config::ConfigError;
use crate::engine::EngineError;
use crate::parameters::ParameterError;

/// Errors of reading, converting, writing and running GDSS models.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GdssError {
    /// A file or folder could not be read or written, or is not the one that was written.
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
    /// An input number that no graph can have.
    #[error("{}: tensor `{name}`: expected {expected}, found {found} at position {position:?}", path.display())]
    InputValue {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: &'static str,
        /// What the networks take.
        expected: &'static str,
        /// The number in the file.
        found: f64,
        /// Where it stands.
        position: Vec<usize>,
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
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// An engine cannot run on the device asked for.
    #[error("engine `{engine}` runs on the cpu only, not on {device}")]
    EngineDevice {
        /// The engine.
        engine: &'static str,
        /// The device.
        device: String,
    },
    /// The networks could not be built or evaluated.
    #[error(transparent)]
    Engine(#[from] EngineError),
}
