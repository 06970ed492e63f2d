//! A model: its configuration, its weights, and what can be made of them.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::DType;
use equidrift_backend::device::DeviceKind;
use equidrift_backend::model_folder::{self, CONFIG_FILE, ModelBytes, WEIGHTS_FILE};
use equidrift_backend::weights::{ParameterSet, TensorFile};

use crate::config::GeotdmConfig;
use crate::denoiser::GeotdmDenoiser;
use crate::error::GeotdmError;
use crate::fused::FusedNetwork;
use crate::model_card::model_card;
use crate::network::GeotdmNetwork;
use crate::parameters::check_parameters;
use crate::system_batch::SystemBatch;
use crate::trajectory_run::TrajectoryRun;

/// A GeoTDM model whose configuration and weights fit together.
#[derive(Debug, Clone, PartialEq)]
pub struct GeotdmModel {
    config: GeotdmConfig,
    parameters: ParameterSet,
}

impl GeotdmModel {
    /// A model from its parts.
    ///
    /// # Errors
    /// [`GeotdmError::Config`] if the configuration contradicts itself, [`GeotdmError::Mismatch`] naming the tensor if the
    /// parameters are not those of the configured networks.
    pub fn new(config: GeotdmConfig, parameters: ParameterSet) -> Result<Self, GeotdmError> {
        Self::from_parts(config, parameters, Path::new(CONFIG_FILE), Path::new(WEIGHTS_FILE))
    }

    /// Opens a model folder. Checksums are verified before anything is parsed.
    ///
    /// # Errors
    /// [`GeotdmError`] with the file and what was expected, for every way in which the folder can be wrong.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, GeotdmError> {
        let folder = folder.as_ref();
        Self::from_bytes(&model_folder::read_verified(folder)?, folder)
    }

    /// A model from the contents of `config.json` and `model.safetensors`. `origin` is the folder named in errors.
    ///
    /// # Errors
    /// As [`GeotdmModel::open`], without checksums.
    pub fn from_bytes(bytes: &ModelBytes, origin: &Path) -> Result<Self, GeotdmError> {
        let config_path = origin.join(CONFIG_FILE);
        let config: GeotdmConfig =
            serde_json::from_slice(&bytes.config).map_err(|source| GeotdmError::Json {
                path: config_path.clone(),
                expected: "the configuration of a GeoTDM model",
                source,
            })?;
        let weights_path = origin.join(WEIGHTS_FILE);
        let weights = TensorFile::from_bytes(&bytes.weights, &weights_path)?;
        Self::from_parts(config, weights.tensors, &config_path, &weights_path)
    }

    /// A model from its parts; the files are those named in errors.
    pub(crate) fn from_parts(
        config: GeotdmConfig,
        parameters: ParameterSet,
        config_path: &Path,
        weights_path: &Path,
    ) -> Result<Self, GeotdmError> {
        config.check().map_err(|source| GeotdmError::Config { path: config_path.to_owned(), source })?;
        check_parameters(&config.network, &parameters)
            .map_err(|source| GeotdmError::Mismatch { path: weights_path.to_owned(), source })?;
        Ok(Self { config, parameters })
    }

    /// Writes the model folder with a model card. `measured` are rows of the card's table: what and how much.
    ///
    /// # Errors
    /// [`GeotdmError::Folder`] (unwritable, disk full); no half-written file is left.
    pub fn write(&self, folder: impl AsRef<Path>, measured: &[(String, String)]) -> Result<(), GeotdmError> {
        let card = model_card(&self.config, &self.parameters, measured);
        Ok(model_folder::write(folder.as_ref(), &self.to_bytes()?, &card)?)
    }

    /// The contents of `config.json` and `model.safetensors`. Equal models give equal bytes.
    ///
    /// # Errors
    /// [`GeotdmError::Folder`]; cannot happen for a checked model.
    pub fn to_bytes(&self) -> Result<ModelBytes, GeotdmError> {
        Ok(ModelBytes::new(&self.config, &self.parameters)?)
    }

    /// SHA-256 over the configuration's and the weights' digests: names the model in manifests.
    ///
    /// # Errors
    /// As [`GeotdmModel::to_bytes`].
    pub fn digest(&self) -> Result<String, GeotdmError> {
        Ok(self.to_bytes()?.digest())
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &GeotdmConfig {
        &self.config
    }

    /// Its weights.
    #[must_use]
    pub fn parameters(&self) -> &ParameterSet {
        &self.parameters
    }

    /// Its denoiser in the fused kernels: processor only, single precision, the fastest there.
    ///
    /// # Errors
    /// [`GeotdmError::Parameters`]; cannot happen for a checked model.
    pub fn fused(&self) -> Result<FusedNetwork, GeotdmError> {
        Ok(FusedNetwork::new(&self.config.network, &self.parameters)?)
    }

    /// Systems ready for sampling: in single precision, by the fused kernels on the processor and by the tensor library
    /// elsewhere. One call of the network uses `threads` threads of the processor.
    ///
    /// # Errors
    /// [`GeotdmError::Device`] if the device is not compiled in, [`GeotdmError::Count`] if a system does not fit the model.
    pub fn run(
        &self,
        batch: SystemBatch,
        device: DeviceKind,
        threads: NonZeroUsize,
    ) -> Result<TrajectoryRun, GeotdmError> {
        let network = Arc::new(self.network(device, DType::F32)?);
        let denoiser = GeotdmDenoiser::new(network, self.config.diffusion.clone(), batch)?;
        TrajectoryRun::of(match device {
            DeviceKind::Cpu => denoiser.with_fused(Arc::new(self.fused()?), threads),
            _ => denoiser,
        })
    }

    /// Its networks on a device, in single or double precision.
    ///
    /// # Errors
    /// [`GeotdmError::Device`] if the device is not compiled in.
    pub fn network(&self, device: DeviceKind, dtype: DType) -> Result<GeotdmNetwork, GeotdmError> {
        GeotdmNetwork::read(&self.config.network, &self.parameters, &device.open()?, dtype)
    }
}
