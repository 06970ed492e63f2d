//! A model: its configuration, its weights, and what can be made of them.

use std::num::NonZeroUsize;
use std::path::Path;

use burn::tensor::{DType, Device};
use equidrift_backend::kernels::Instructions;
use equidrift_backend::model_folder::{self, CONFIG_FILE, ModelBytes, WEIGHTS_FILE};
use equidrift_backend::weights::{ParameterSet, TensorFile};

use crate::config::PardConfig;
use crate::error::PardError;
use crate::fused::FusedNetworks;
use crate::model_card::model_card;
use crate::networks::PardNetworks;

/// A Pard model whose configuration and weights fit together.
#[derive(Debug, Clone, PartialEq)]
pub struct PardModel {
    config: PardConfig,
    parameters: ParameterSet,
}

impl PardModel {
    /// A model from its parts.
    ///
    /// # Errors
    /// [`PardError::Config`], [`PardError::Setting`], [`PardError::Diffusion`] if the configuration contradicts itself;
    /// [`PardError::Layer`], [`PardError::UnusedParameter`] if the parameters are not those of the configured networks.
    pub fn new(config: PardConfig, parameters: ParameterSet) -> Result<Self, PardError> {
        config.check()?;
        let mut shapes = PardNetworks::parameter_shapes(&config.network)?;
        shapes.sort_unstable();
        for (name, expected) in &shapes {
            let missing =
                || equidrift_nn::LayerError::Missing { name: name.clone(), expected: expected.clone() };
            let found = &parameters.get(name).ok_or_else(missing)?.shape;
            if found != expected {
                let (name, expected, found) = (name.clone(), expected.clone(), found.clone());
                return Err(equidrift_nn::LayerError::Shape { name, expected, found }.into());
            }
        }
        let unused =
            parameters.keys().find(|name| shapes.binary_search_by_key(name, |(name, _)| name).is_err());
        match unused {
            Some(name) => Err(PardError::UnusedParameter { name: name.clone() }),
            None => Ok(Self { config, parameters }),
        }
    }

    /// Opens a model folder. Checksums are verified before anything is parsed.
    ///
    /// # Errors
    /// [`PardError`] with the file and what was expected, for every way in which the folder can be wrong.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, PardError> {
        let folder = folder.as_ref();
        let ModelBytes { config, weights } = model_folder::read_verified(folder)?;
        Self::from_bytes(&config, &weights, folder)
    }

    /// A model from the contents of `config.json` and `model.safetensors`. `origin` is the folder named in errors.
    ///
    /// # Errors
    /// As [`PardModel::open`], without checksums.
    pub fn from_bytes(config: &[u8], weights: &[u8], origin: &Path) -> Result<Self, PardError> {
        let config: PardConfig = serde_json::from_slice(config).map_err(|source| PardError::Json {
            path: origin.join(CONFIG_FILE),
            expected: "the configuration of a Pard model",
            source,
        })?;
        let weights = TensorFile::from_bytes(weights, &origin.join(WEIGHTS_FILE))?;
        Self::new(config, weights.tensors)
            .map_err(|source| PardError::Model { folder: origin.to_owned(), source: Box::new(source) })
    }

    /// Writes the model folder with a model card. `measured` are rows of the card's table: what and how much.
    ///
    /// # Errors
    /// [`PardError::Folder`] (unwritable, disk full); no half-written file is left.
    pub fn write(&self, folder: impl AsRef<Path>, measured: &[(String, String)]) -> Result<(), PardError> {
        let card = model_card(&self.config, &self.parameters, measured);
        Ok(model_folder::write(folder.as_ref(), &self.to_bytes()?, &card)?)
    }

    /// The contents of `config.json` and `model.safetensors`. Equal models give equal bytes.
    ///
    /// # Errors
    /// [`PardError::Folder`]; cannot happen for a checked model.
    pub fn to_bytes(&self) -> Result<ModelBytes, PardError> {
        Ok(ModelBytes::new(&self.config, &self.parameters)?)
    }

    /// SHA-256 over the configuration's and the weights' digests: names the model in manifests.
    ///
    /// # Errors
    /// As [`PardModel::to_bytes`].
    pub fn digest(&self) -> Result<String, PardError> {
        Ok(self.to_bytes()?.digest())
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &PardConfig {
        &self.config
    }

    /// Its weights.
    #[must_use]
    pub fn parameters(&self) -> &ParameterSet {
        &self.parameters
    }

    /// Its networks on a device, in single precision.
    ///
    /// # Errors
    /// [`PardError::Layer`]; cannot happen for a checked model.
    pub fn networks(&self, device: &Device) -> Result<PardNetworks, PardError> {
        PardNetworks::read(&self.config.network, &self.parameters, device, DType::F32)
    }

    /// Its networks in the fused engine, for one thread; none if they are such that the engine does not know.
    ///
    /// # Errors
    /// [`PardError::Layer`]; cannot happen for a checked model.
    pub fn fused_networks(&self) -> Result<Option<FusedNetworks>, PardError> {
        let network = &self.config.network;
        if FusedNetworks::missing(network).is_some() {
            return Ok(None);
        }
        let (threads, instructions) = (NonZeroUsize::MIN, Instructions::Detect);
        FusedNetworks::new(network, &self.parameters, threads, instructions).map(Some)
    }
}
