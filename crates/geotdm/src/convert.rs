//! From the layout of the reference files (`NAME.json` beside `NAME.safetensors`) to a model.

use std::path::Path;

use equidrift_backend::model_folder::{MAX_CONFIG, read_limited};
use equidrift_backend::weights::{HostTensor, TensorFile, Values};
use equidrift_sampler::SamplerConfig;
use equidrift_sampler::plan::{Ancestral, AncestralChain, AncestralVariance};
use serde::Deserialize;

use crate::config::{FAMILY, FORMAT_VERSION, GeotdmConfig, LIBRARY, MOST_STEPS};
use crate::denoising_loss::CountedNodes;
use crate::diffusion::TrajectoryDiffusion;
use crate::error::GeotdmError;
use crate::model::GeotdmModel;
use crate::network_config::{Lengths, NetworkConfig, Prior, Temporal};

/// What data-parallel training puts before a parameter's name.
const DATA_PARALLEL: &str = "module.";

/// Reads `json` and the safetensors file of the same name beside it.
///
/// # Errors
/// [`GeotdmError`] with the file and the field or tensor that is missing, malformed or does not fit.
pub fn convert_geotdm(json: &Path) -> Result<GeotdmModel, GeotdmError> {
    let text = read_limited(json, MAX_CONFIG)?;
    let settings: Settings = serde_json::from_slice(&text).map_err(|source| GeotdmError::Json {
        path: json.to_owned(),
        expected: "the settings of a GeoTDM reference model",
        source,
    })?;
    let weights_path = json.with_extension("safetensors");
    let tensors = TensorFile::read(&weights_path)?.tensors;
    let single = |tensor: HostTensor| HostTensor { values: Values::F32(tensor.to_f32()), ..tensor };
    let parameters = tensors.into_iter().map(|(name, tensor)| {
        let plain = name.strip_prefix(DATA_PARALLEL).map(str::to_owned);
        (plain.unwrap_or(name), single(tensor))
    });
    let name = json.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let config = settings.into_config(name, json)?;
    GeotdmModel::from_parts(config, parameters.collect(), json, &weights_path)
}

/// The fields of a reference configuration that a model needs. Others are passed over.
#[derive(Debug, Deserialize)]
struct Settings {
    denoise_model: DenoiseModel,
    mode: Mode,
    frames_given: usize,
    frames: usize,
    num_timesteps: usize,
    beta_schedule: String,
    rescale_timesteps: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Cond,
    Uncond,
}

#[derive(Debug, Deserialize)]
struct DenoiseModel {
    pre_norm: bool,
    scale: f64,
    n_layers: usize,
    node_dim: usize,
    edge_dim: usize,
    hidden_dim: usize,
    learn_ref_frame: bool,
    n_layers_ref: usize,
    num_w: usize,
    time_emb_dim: usize,
    act_fn: String,
}

impl Settings {
    fn into_config(self, name: String, json: &Path) -> Result<GeotdmConfig, GeotdmError> {
        let model = &self.denoise_model;
        let unsupported = |field, found: String, expected| {
            Err(GeotdmError::Unsupported { path: json.to_owned(), field, found, expected })
        };
        // Other scales are not undone by the published programme.
        if model.scale != 1.0 {
            return unsupported("denoise_model.scale", model.scale.to_string(), "1");
        }
        if model.act_fn != "silu" {
            return unsupported("denoise_model.act_fn", model.act_fn.clone(), "silu");
        }
        // A table of all levels is made; the number of a file must not decide how long it is.
        if self.num_timesteps > MOST_STEPS {
            return unsupported("num_timesteps", self.num_timesteps.to_string(), "at most 1000000");
        }
        let diffusion = match self.beta_schedule.as_str() {
            "linear" => TrajectoryDiffusion::linear(self.num_timesteps)?,
            "cosine" => TrajectoryDiffusion::cosine(self.num_timesteps)?,
            other => return unsupported("beta_schedule", other.to_owned(), "linear or cosine"),
        };
        let diffusion = if self.rescale_timesteps { diffusion.with_rescaled_times() } else { diffusion };
        let Some(made) = self.frames.checked_sub(self.frames_given) else {
            return unsupported("frames", self.frames.to_string(), "no less than `frames_given`");
        };
        let prior = match (self.mode, model.learn_ref_frame) {
            (Mode::Uncond, _) => Prior::JointCentre,
            (Mode::Cond, false) => Prior::CentreOfMass,
            (Mode::Cond, true) => Prior::Learned { layers: model.n_layers_ref, frames: model.num_w },
        };
        // Only the networks of pedestrians see lengths as they are; there only the first walker is asked about.
        let (lengths, counted) = if model.pre_norm {
            (Lengths::Plain, CountedNodes::First)
        } else {
            (Lengths::Squared, CountedNodes::All)
        };
        Ok(GeotdmConfig {
            library: LIBRARY.to_owned(),
            format_version: FORMAT_VERSION,
            family: FAMILY.to_owned(),
            name,
            network: NetworkConfig {
                node_features: model.node_dim,
                edge_features: model.edge_dim,
                hidden: model.hidden_dim,
                layers: model.n_layers,
                temporal: Temporal::Attention,
                time_features: model.time_emb_dim,
                lengths,
                prior,
                extrapolation: None,
            },
            systems: None,
            molecule: None,
            time_step: None,
            given_frames: self.frames_given,
            given_behind: 0,
            frames: made,
            steps: diffusion.steps(),
            diffusion,
            counted,
            sampler: published_sampler(),
            origin: None,
        })
    }
}

/// The published sampler: every level of the chain, with its β as the variance of a step.
#[must_use]
pub fn published_sampler() -> SamplerConfig {
    SamplerConfig::Ancestral(Ancestral {
        chain: Some(AncestralChain::Marginals),
        variance: AncestralVariance::Beta,
        ..Ancestral::default()
    })
}
