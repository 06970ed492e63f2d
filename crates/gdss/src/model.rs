//! A model: its configuration, its weights, and what can be made of them.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use burn::tensor::DType;
use equidrift_backend::device::DeviceKind;
use equidrift_backend::model_folder::{self, CONFIG_FILE, ModelBytes, WEIGHTS_FILE};
use equidrift_backend::weights::{ParameterSet, TensorFile};
use serde::{Deserialize, Serialize};

use crate::burn_engine::BurnEngine;
use crate::config::GdssConfig;
use crate::denoiser::GdssDenoiser;
use crate::engine::ScoreEngine;
use crate::error::GdssError;
use crate::forward::Precision;
use crate::fused::FusedEngine;
use crate::model_card::model_card;
use crate::parameters::check_parameters;

/// Which engine evaluates the networks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// The hand-fused kernel: processor only, single precision, the fastest there.
    #[default]
    Fused,
    /// The tensor library: any device, single or double precision.
    Burn,
}

impl EngineKind {
    /// The fastest engine for a device.
    pub fn for_device(device: DeviceKind) -> Self {
        if device == DeviceKind::Cpu { Self::Fused } else { Self::Burn }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fused => "fused",
            Self::Burn => "burn",
        })
    }
}

/// A name that is no engine's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown engine `{0}`: expected fused or burn")]
pub struct UnknownEngine(String);

impl FromStr for EngineKind {
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<Self, UnknownEngine> {
        match name {
            "fused" => Ok(Self::Fused),
            "burn" => Ok(Self::Burn),
            other => Err(UnknownEngine(other.to_owned())),
        }
    }
}

/// A GDSS model whose configuration and weights fit together.
#[derive(Debug, Clone, PartialEq)]
pub struct GdssModel {
    config: GdssConfig,
    parameters: ParameterSet,
}

impl GdssModel {
    /// A model from its parts.
    ///
    /// # Errors
    /// [`GdssError::Config`] if the configuration contradicts itself, [`GdssError::Mismatch`] naming the tensor if the
    /// parameters are not those of the configured networks.
    pub fn new(config: GdssConfig, parameters: ParameterSet) -> Result<Self, GdssError> {
        Self::from_parts(config, parameters, Path::new(""))
    }

    /// Opens a model folder. Checksums are verified before anything is parsed.
    ///
    /// # Errors
    /// [`GdssError`] with the file and what was expected, for every way in which the folder can be wrong.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, GdssError> {
        let folder = folder.as_ref();
        let ModelBytes { config, weights } = model_folder::read_verified(folder)?;
        Self::from_bytes(&config, &weights, folder)
    }

    /// A model from the contents of `config.json` and `model.safetensors`. `origin` is the folder named in errors.
    ///
    /// # Errors
    /// As [`GdssModel::open`], without checksums.
    pub fn from_bytes(config: &[u8], weights: &[u8], origin: &Path) -> Result<Self, GdssError> {
        let config_path = origin.join(CONFIG_FILE);
        let config: GdssConfig = serde_json::from_slice(config).map_err(|source| GdssError::Json {
            path: config_path,
            expected: "the configuration of a GDSS model",
            source,
        })?;
        let weights = TensorFile::from_bytes(weights, &origin.join(WEIGHTS_FILE))?;
        Self::from_parts(config, weights.tensors, origin)
    }

    fn from_parts(config: GdssConfig, parameters: ParameterSet, origin: &Path) -> Result<Self, GdssError> {
        config.check().map_err(|source| GdssError::Config { path: origin.join(CONFIG_FILE), source })?;
        check_parameters(&config.networks, &parameters)
            .map_err(|source| GdssError::Mismatch { path: origin.join(WEIGHTS_FILE), source })?;
        Ok(Self { config, parameters })
    }

    /// Writes the model folder with a model card. `measured` are rows of the card's table: what and how much.
    ///
    /// # Errors
    /// [`GdssError::Folder`] (unwritable, disk full); no half-written file is left.
    pub fn write(&self, folder: impl AsRef<Path>, measured: &[(String, String)]) -> Result<(), GdssError> {
        let card = model_card(&self.config, &self.parameters, measured);
        Ok(model_folder::write(folder.as_ref(), &self.to_bytes()?, &card)?)
    }

    /// The contents of `config.json` and `model.safetensors`. Equal models give equal bytes.
    ///
    /// # Errors
    /// [`GdssError::Folder`]; cannot happen for a checked model.
    pub fn to_bytes(&self) -> Result<ModelBytes, GdssError> {
        Ok(ModelBytes::new(&self.config, &self.parameters)?)
    }

    /// SHA-256 over the configuration's and the weights' digests: names the model in manifests.
    ///
    /// # Errors
    /// As [`GdssModel::to_bytes`].
    pub fn digest(&self) -> Result<String, GdssError> {
        Ok(self.to_bytes()?.digest())
    }

    /// Its configuration.
    pub fn config(&self) -> &GdssConfig {
        &self.config
    }

    /// Its weights.
    pub fn parameters(&self) -> &ParameterSet {
        &self.parameters
    }

    /// An engine for its networks.
    ///
    /// # Errors
    /// [`GdssError::Device`] if the device is not compiled in, [`GdssError::EngineDevice`] if the engine does not run
    /// there, [`GdssError::Engine`].
    pub fn engine(&self, kind: EngineKind, device: DeviceKind) -> Result<Arc<dyn ScoreEngine>, GdssError> {
        let networks = &self.config.networks;
        match kind {
            EngineKind::Burn => Ok(Arc::new(BurnEngine::new(networks, &self.parameters, &device.open()?)?)),
            EngineKind::Fused if device == DeviceKind::Cpu => {
                // One thread per call: generation runs several batches side by side.
                Ok(Arc::new(FusedEngine::new(networks, &self.parameters, 1)?))
            }
            EngineKind::Fused => Err(GdssError::EngineDevice { engine: "fused", device: device.to_string() }),
        }
    }

    /// Its networks with vector–Jacobian products, for likelihoods; computed by the tensor library. A state in f64 is
    /// evaluated in f64 only if `precision` is double.
    ///
    /// # Errors
    /// [`GdssError::Device`] if the device is not compiled in, [`GdssError::Engine`].
    pub fn differentiable_denoiser(
        &self,
        precision: Precision,
        device: DeviceKind,
    ) -> Result<Arc<GdssDenoiser<BurnEngine>>, GdssError> {
        let networks = &self.config.networks;
        let dtype = match precision {
            Precision::F32 => DType::F32,
            Precision::F64 => DType::F64,
        };
        let engine = BurnEngine::with_precision(networks, &self.parameters, &device.open()?, dtype)?;
        Ok(Arc::new(GdssDenoiser::new(Arc::new(engine), networks.features(), &self.config.paths)))
    }

    /// Its networks as the sampler core sees them.
    ///
    /// # Errors
    /// As [`GdssModel::engine`].
    pub fn denoiser(&self, kind: EngineKind, device: DeviceKind) -> Result<Arc<GdssDenoiser>, GdssError> {
        let engine = self.engine(kind, device)?;
        Ok(Arc::new(GdssDenoiser::new(engine, self.config.networks.features(), &self.config.paths)))
    }
}
