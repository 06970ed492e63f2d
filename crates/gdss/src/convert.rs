//! From the released checkpoints' layout (`NAME.json` beside `NAME.safetensors`) to a model.

use std::collections::BTreeMap;
use std::path::Path;

use equidrift_backend::weights::{HostTensor, ParameterSet, TensorFile, Values, WeightsError};
use equidrift_sampler::path::DataMoments;
use equidrift_sampler::plan::{Corrector, NormScope, Predictor, PredictorCorrector, S4};
use equidrift_sampler::{PathConfig, SamplerConfig};
use serde::Deserialize;

use crate::config::{
    BondsConfig, FAMILY, FORMAT_VERSION, GdssConfig, LIBRARY, PathsConfig, SamplingWeights, Task, Vocabulary,
};
use crate::error::GdssError;
use crate::model::GdssModel;
use crate::network_config::{EdgeNetworkConfig, NetworksConfig, NodeNetworkConfig};
use equidrift_backend::model_folder::read_limited;

/// Longest configuration accepted, in bytes.
const MAX_JSON: u64 = 16 * 1024 * 1024;

/// Prefixes of the two networks in a weights file.
const NETWORKS: [&str; 2] = ["x.", "adj."];
/// What data-parallel training puts between a network's prefix and a parameter's name.
const DATA_PARALLEL: &str = "module.";

/// Reads `json` and the safetensors file of the same name beside it.
///
/// `weights` chooses between the raw weights and their exponential moving averages; without it, the file's
/// `sampling_weights` does. The files do not say how many
/// nodes the training graphs had: `node_counts` (graphs by number of nodes) does; without it the model has no
/// distribution of sizes, and generation must be told the sizes. Neither do they say what `edge_moments` does, the mean and
/// variance of the training adjacency matrices; without it the prior cannot be matched to them.
///
/// # Errors
/// [`GdssError`] with the file and the field or tensor that is missing, malformed or does not fit.
pub fn convert_gdss(
    json: &Path,
    weights: Option<SamplingWeights>,
    node_counts: Option<BTreeMap<usize, u64>>,
    edge_moments: Option<DataMoments>,
) -> Result<GdssModel, GdssError> {
    let text = read_limited(json, MAX_JSON)?;
    let mut released: Released = serde_json::from_slice(&text).map_err(|source| GdssError::Json {
        path: json.to_owned(),
        expected: "the configuration of a released GDSS checkpoint",
        source,
    })?;
    if let Some(weights) = weights {
        released.sampling_weights = weights;
    }
    let weights_path = json.with_extension("safetensors");
    let file = TensorFile::read(&weights_path)?;
    let parameters = select(file.tensors, released.sampling_weights, &weights_path)?;
    let config = released.into_config(json, node_counts, edge_moments)?;
    config.check().map_err(|source| GdssError::Config { path: json.to_owned(), source })?;
    crate::parameters::check_parameters(&config.networks, &parameters)
        .map_err(|source| GdssError::Mismatch { path: weights_path, source })?;
    GdssModel::new(config, parameters)
}

/// The tensors of the wanted kind under `x.` and `adj.`, in single precision.
fn select(
    tensors: BTreeMap<String, HostTensor>,
    wanted: SamplingWeights,
    path: &Path,
) -> Result<ParameterSet, GdssError> {
    let kind = match wanted {
        SamplingWeights::Raw => "",
        SamplingWeights::Ema => "ema_",
    };
    let mut parameters = ParameterSet::new();
    for network in NETWORKS {
        let prefix = format!("{kind}{network}");
        let before = parameters.len();
        for (name, tensor) in &tensors {
            let Some(rest) = name.strip_prefix(&prefix) else { continue };
            let rest = rest.strip_prefix(DATA_PARALLEL).unwrap_or(rest);
            let values = Values::F32(tensor.to_f32());
            parameters.insert(format!("{network}{rest}"), HostTensor { shape: tensor.shape.clone(), values });
        }
        if parameters.len() == before {
            let name = format!("{prefix}*");
            return Err(WeightsError::MissingTensor { path: path.to_owned(), name }.into());
        }
    }
    Ok(parameters)
}

/// The fields of a released configuration that a model needs. Others (training settings, checkpoint history) are passed
/// over.
#[derive(Debug, Deserialize)]
struct Released {
    name: String,
    params_x: NodeNetworkConfig,
    params_adj: EdgeNetworkConfig,
    data: ReleasedData,
    sde: ReleasedPaths,
    sampler: ReleasedSampler,
    sample: ReleasedSample,
    feature_meaning: FeatureMeaning,
    sampling_weights: SamplingWeights,
    #[serde(default)]
    origin: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ReleasedData {
    max_node_num: usize,
}

#[derive(Debug, Deserialize)]
struct ReleasedPaths {
    x: ReleasedPath,
    adj: ReleasedPath,
}

#[derive(Debug, Deserialize)]
struct ReleasedPath {
    #[serde(flatten)]
    path: PathConfig,
    num_scales: usize,
}

#[derive(Debug, Deserialize)]
struct ReleasedSampler {
    predictor: String,
    corrector: String,
    snr: f64,
    scale_eps: f64,
    n_steps: usize,
}

#[derive(Debug, Deserialize)]
struct ReleasedSample {
    eps: f64,
    noise_removal: bool,
    probability_flow: bool,
}

/// A list of element symbols for molecules, a sentence for plain graphs.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum FeatureMeaning {
    Atoms(Vec<String>),
    Sentence(#[expect(dead_code, reason = "only its being a sentence matters")] String),
}

impl Released {
    fn into_config(
        self,
        json: &Path,
        node_counts: Option<BTreeMap<usize, u64>>,
        edge_moments: Option<DataMoments>,
    ) -> Result<GdssConfig, GdssError> {
        let sampler = self.sampler(json)?;
        let (task, vocabulary) = match self.feature_meaning {
            FeatureMeaning::Atoms(atoms) => (Task::Molecules, Some(Vocabulary { atoms })),
            FeatureMeaning::Sentence(_) => (Task::Graphs, None),
        };
        Ok(GdssConfig {
            library: LIBRARY.to_owned(),
            format_version: FORMAT_VERSION,
            family: FAMILY.to_owned(),
            name: self.name,
            task,
            max_nodes: self.data.max_node_num,
            vocabulary,
            bonds: BondsConfig::Orders,
            networks: NetworksConfig { x: self.params_x, adj: self.params_adj },
            paths: PathsConfig::published(self.sde.x.path, self.sde.adj.path),
            sampler,
            // The released samplers step over the scales of the adjacency's path.
            steps: self.sde.adj.num_scales,
            node_counts,
            edge_moments,
            sampling_weights: self.sampling_weights,
            origin: self.origin,
        })
    }

    fn sampler(&self, json: &Path) -> Result<SamplerConfig, GdssError> {
        let ReleasedSampler { predictor, corrector, snr, scale_eps, n_steps } = &self.sampler;
        let (snr, scale_eps, n_steps) = ((*snr).into(), (*scale_eps).into(), *n_steps);
        let ReleasedSample { eps, noise_removal, probability_flow } = self.sample;
        let norm = NormScope::PerSample;
        if predictor == "S4" {
            // It corrects in any case; the corrector's name is ignored.
            return Ok(SamplerConfig::S4(S4 { snr, scale_eps, norm, eps }));
        }
        let corrector = match corrector.as_str() {
            "Langevin" => Corrector::Langevin,
            "None" => Corrector::None,
            other => {
                return Err(GdssError::Unsupported {
                    path: json.to_owned(),
                    field: "sampler.corrector",
                    found: other.to_owned(),
                    expected: "Langevin or None",
                });
            }
        };
        // Every other predictor name means Euler there.
        let predictor = if predictor == "Reverse" { Predictor::Reverse } else { Predictor::Euler };
        Ok(SamplerConfig::PredictorCorrector(PredictorCorrector {
            predictor,
            corrector,
            snr,
            scale_eps,
            n_steps,
            norm,
            eps,
            noise_removal,
            probability_flow,
            ..PredictorCorrector::default()
        }))
    }
}
