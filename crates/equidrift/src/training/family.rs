//! What is different from one family of models to the next while it is trained.

use std::num::NonZeroUsize;
use std::path::Path;

use equidrift_backend::device::DeviceKind;
use equidrift_backend::model_description::{SamplingWeights, Task};
use equidrift_backend::weights::ParameterSet;
use equidrift_gdss::{
    BurnEngine, DenoisingScoreMatching, EngineKind, FusedEngine, GdssConfig, GdssError, GdssModel,
    GradientEngine, GraphDataset, NetworksConfig, score_matching,
};
use equidrift_pard::{BlockDenoising, BlockGraph, GraphDiffusion, PardConfig, PardModel, block_denoising};
use equidrift_train::{Group, Objective, TrainingState};

use crate::error::Error;
use crate::model::{FamilyModel, Model};
use crate::training::pard::{PardSettings, in_blocks};
use crate::training::settings::TrainingSettings;

/// The configuration of the model that is trained.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FamilyConfig {
    Gdss(Box<GdssConfig>),
    Pard(Box<PardConfig>),
}

/// A model of any family, while it is trained.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainedModel {
    /// Of GDSS.
    Gdss(Box<GdssModel>),
    /// Of Pard.
    Pard(Box<PardModel>),
}

impl TrainedModel {
    /// Writes the model folder.
    ///
    /// # Errors
    /// An unwritable folder.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        match self {
            Self::Gdss(model) => Ok(model.write(folder, &[])?),
            Self::Pard(model) => Ok(model.write(folder, &[])?),
        }
    }
}

/// A training set in the form that the family trains on.
pub(crate) enum FamilyData<'a> {
    Gdss(&'a GraphDataset),
    Pard { graphs: Vec<BlockGraph>, diffusion: Box<GraphDiffusion> },
}

impl FamilyConfig {
    /// Parameters that are clipped together.
    pub(crate) fn groups(&self) -> Vec<Group> {
        match self {
            Self::Gdss(_) => score_matching::GROUPS.to_vec(),
            Self::Pard(config) => block_denoising::groups(config.network.tasks),
        }
    }

    /// The parameters that training begins with: drawn by the seed, or those of another model.
    ///
    /// # Errors
    /// A model that cannot be opened, is of another family, or has other networks.
    pub(crate) fn initial_parameters(&self, settings: &TrainingSettings) -> Result<ParameterSet, Error> {
        let Some(name) = &settings.init else {
            return match self {
                Self::Gdss(config) => Ok(equidrift_gdss::initial_parameters(&config.networks, settings.seed)),
                Self::Pard(config) => Ok(equidrift_pard::initial_parameters(&config.network, settings.seed)?),
            };
        };
        let model = Model::open(name)?;
        match (self, model.family()) {
            (Self::Gdss(config), FamilyModel::Gdss(model)) => {
                Ok(equidrift_gdss::warm_start(config, model, settings.seed)?)
            }
            (Self::Pard(config), FamilyModel::Pard(model)) => {
                Ok(PardModel::new(PardConfig::clone(config), model.parameters().clone())?
                    .parameters()
                    .clone())
            }
            (Self::Gdss(_), other) => Err(Self::another_family(name, "gdss", other)),
            (Self::Pard(_), other) => Err(Self::another_family(name, "pard", other)),
        }
    }

    fn another_family(model: &str, expected: &'static str, found: &FamilyModel) -> Error {
        Error::Family { model: model.to_owned(), expected, found: found.name() }
    }

    /// What the weights depend on, apart from data and loop.
    pub(crate) fn identity(&self, settings: &TrainingSettings) -> Result<Vec<(&'static str, String)>, Error> {
        let json =
            |value: Result<String, serde_json::Error>| value.map_err(|source| Error::Encode { source });
        match self {
            Self::Gdss(config) => Ok(vec![
                ("paths", json(serde_json::to_string(&settings.paths))?),
                ("networks", json(serde_json::to_string(&config.networks))?),
            ]),
            Self::Pard(config) => Ok(vec![
                ("family", "pard".to_owned()),
                ("max_hops", config.max_hops.to_string()),
                ("network", json(serde_json::to_string(&config.network))?),
                ("diffusion", json(serde_json::to_string(&config.diffusion))?),
                ("loss", json(serde_json::to_string(&pard_settings(settings).loss))?),
            ]),
        }
    }

    /// The graphs in the form that the family trains on.
    pub(crate) fn data<'a>(
        &self,
        settings: &TrainingSettings,
        graphs: &'a GraphDataset,
    ) -> Result<FamilyData<'a>, Error> {
        match self {
            Self::Gdss(_) => Ok(FamilyData::Gdss(graphs)),
            Self::Pard(config) => {
                let mut blocks = in_blocks(graphs, config.task, &pard_settings(settings))?;
                let network = &config.network;
                // Held-out graphs may have blocks that the training set has not.
                blocks.retain(|graph| {
                    graph.sizes.len() <= network.max_blocks
                        && graph.sizes.iter().all(|&size| size < network.block_sizes)
                        && graph.degrees.iter().all(|&degree| degree < network.block_degrees)
                });
                Ok(FamilyData::Pard { graphs: blocks, diffusion: Box::new(config.diffusion.build()?) })
            }
        }
    }

    /// The loss over a set of graphs; held-out graphs are shown without perturbation of the inputs.
    pub(crate) fn objective<'a>(
        &'a self,
        settings: &TrainingSettings,
        held_out: bool,
        data: &'a FamilyData<'_>,
        parameters: &ParameterSet,
    ) -> Result<Box<dyn Objective + 'a>, Error> {
        match (self, data) {
            (Self::Gdss(config), FamilyData::Gdss(graphs)) => {
                let engine = gradient_engine(settings, &config.networks, parameters)?;
                let (paths, seed, threads) = (&settings.paths, settings.seed, threads(settings));
                let loss = DenoisingScoreMatching::new(engine, graphs, paths, seed, threads);
                let perturbation = if held_out { 0.0 } else { settings.input_perturbation };
                Ok(Box::new(loss.weighted(settings.weighting).with_input_perturbation(perturbation)))
            }
            (Self::Pard(config), FamilyData::Pard { graphs, diffusion }) => {
                let device = settings.device.open().map_err(|source| Error::Device { source })?;
                let loss = pard_settings(settings).loss;
                let network = &config.network;
                let loss = BlockDenoising::new(network, diffusion, loss, graphs, settings.seed, &device)?;
                Ok(Box::new(match settings.engine {
                    EngineKind::Burn => loss,
                    EngineKind::Fused if settings.device == DeviceKind::Cpu => {
                        loss.fused(threads(settings))?
                    }
                    EngineKind::Fused => return Err(fused_elsewhere(settings)),
                }))
            }
            _ => unreachable!("`data` makes the form of the same family"),
        }
    }

    /// The model of a state.
    pub(crate) fn model(&self, state: &TrainingState) -> Result<TrainedModel, Error> {
        let (epochs, steps) = (state.progress.epochs, state.progress.steps);
        let origin =
            |data: Option<String>| data.map(|data| format!("{data}; {epochs} epochs, {steps} steps"));
        let weights = match self {
            Self::Gdss(config) => config.sampling_weights,
            Self::Pard(config) => config.sampling_weights,
        };
        let parameters = match weights {
            SamplingWeights::Raw => state.parameters.clone(),
            SamplingWeights::Ema => state.average.parameters(&state.parameters),
        };
        Ok(match self {
            Self::Gdss(config) => {
                let config =
                    GdssConfig { origin: origin(config.origin.clone()), ..GdssConfig::clone(config) };
                TrainedModel::Gdss(Box::new(GdssModel::new(config, parameters)?))
            }
            Self::Pard(config) => {
                let config =
                    PardConfig { origin: origin(config.origin.clone()), ..PardConfig::clone(config) };
                TrainedModel::Pard(Box::new(PardModel::new(config, parameters)?))
            }
        })
    }

    /// What the node features mean.
    pub(crate) fn features(&self) -> (&'static str, String) {
        let (task, vocabulary) = match self {
            Self::Gdss(config) => (config.task, &config.vocabulary),
            Self::Pard(config) => (config.task, &config.vocabulary),
        };
        match (task, vocabulary, self) {
            (_, Some(vocabulary), _) => ("atoms", vocabulary.atoms.join(",")),
            (Task::Graphs, None, Self::Pard(_)) => ("node features", "none".to_owned()),
            _ => ("node features", "degree".to_owned()),
        }
    }
}

/// The settings of the family; a configuration of Pard is only made where there are some.
fn pard_settings(settings: &TrainingSettings) -> PardSettings {
    settings.pard.clone().unwrap_or_default()
}

fn threads(settings: &TrainingSettings) -> NonZeroUsize {
    NonZeroUsize::new(settings.threads)
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN)
}

/// The fused engines are for the processor.
fn fused_elsewhere(settings: &TrainingSettings) -> Error {
    GdssError::EngineDevice { engine: "fused", device: settings.device.to_string() }.into()
}

fn gradient_engine(
    settings: &TrainingSettings,
    networks: &NetworksConfig,
    parameters: &ParameterSet,
) -> Result<Box<dyn GradientEngine>, Error> {
    match settings.engine {
        EngineKind::Fused if settings.device == DeviceKind::Cpu => {
            Ok(Box::new(FusedEngine::new(networks, parameters, 1).map_err(GdssError::from)?))
        }
        EngineKind::Fused => Err(fused_elsewhere(settings)),
        EngineKind::Burn => {
            let device = settings.device.open().map_err(|source| Error::Device { source })?;
            Ok(Box::new(BurnEngine::new(networks, parameters, &device).map_err(GdssError::from)?))
        }
    }
}
