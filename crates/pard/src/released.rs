//! From the layout of the reference vectors (`NAME.json` beside `NAME.safetensors`) to a model.

use std::path::Path;

use equidrift_backend::model_folder::read_limited;
use equidrift_backend::weights::{HostTensor, ParameterSet, TensorFile};
use equidrift_graph::BlockDegree;
use equidrift_sampler::{CategoricalDiffusion, KeepSchedule};
use serde::Deserialize;

use crate::block_graph::BlockGraph;
use crate::denoising_loss::GraphDiffusion;
use crate::error::PardError;
use crate::network_config::{NetworkConfig, Norm, PrefixMean, ResidualOf, Sequence, Tasks, TimeEmbedding};

/// Longest settings file accepted, in bytes.
const MAX_JSON: u64 = 16 * 1024 * 1024;

/// A model in the published form.
#[derive(Debug, Clone)]
pub struct ReleasedModel {
    /// The networks' configuration, with everything that the published programme does.
    pub networks: NetworkConfig,
    /// The parameters; 1 x 1 convolutions are linear maps `[out, in]` here.
    pub parameters: ParameterSet,
    /// The diffusions in the steps of training.
    pub diffusion: GraphDiffusion,
    /// K of the block order.
    pub max_hops: usize,
    /// The weight of the cross-entropy in the loss.
    pub cross_entropy_weight: f64,
    /// The graphs that the file gives with it, sorted by block.
    pub graphs: Vec<BlockGraph>,
}

#[derive(Debug, Deserialize)]
struct Settings {
    node_classes: usize,
    edge_classes: usize,
    max_hops: usize,
    abs: bool,
    rel: bool,
    norm: ReleasedNorm,
    edge: usize,
    hidden: usize,
    layers: usize,
    heads: usize,
    #[serde(rename = "T")]
    steps: usize,
    coeff_ce: f64,
    seq: bool,
    tf_only: bool,
    combine: bool,
    max_block_size: usize,
    max_block_degree: usize,
    max_num_blocks: usize,
    node_noise: Vec<f64>,
    edge_noise: Vec<f64>,
    #[serde(default)]
    graphs: Vec<ReleasedGraph>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReleasedNorm {
    Bn,
    Ln,
}

#[derive(Debug, Deserialize)]
struct ReleasedGraph {
    x: Vec<usize>,
    edges: Vec<(usize, usize, usize)>,
}

/// Reads `json` and the safetensors file of the same name beside it.
///
/// # Errors
/// [`PardError`] with the file and the field or tensor that is missing, malformed or does not fit.
pub fn convert_pard(json: &Path) -> Result<ReleasedModel, PardError> {
    let settings: Settings = serde_json::from_slice(&read_limited(json, MAX_JSON)?).map_err(|source| {
        let expected = "the settings of a Pard reference model";
        PardError::Json { path: json.to_owned(), expected, source }
    })?;
    let file = TensorFile::read(json.with_extension("safetensors"))?;
    let parameters = file.tensors.into_iter().map(|(name, tensor)| (name, as_linear_map(tensor)));
    let networks = settings.networks();
    networks.check()?;
    let diffusion =
        |noise: &[f64]| CategoricalDiffusion::new(KeepSchedule::Cosine, settings.steps, noise.to_vec());
    let graph = |graph: &ReleasedGraph| {
        BlockGraph::new(&graph.x, &graph.edges, settings.max_hops, BlockDegree::OfLowestNode)
    };
    Ok(ReleasedModel {
        networks,
        parameters: parameters.collect(),
        diffusion: GraphDiffusion {
            nodes: diffusion(&settings.node_noise)?,
            edges: diffusion(&settings.edge_noise)?,
        },
        max_hops: settings.max_hops,
        cross_entropy_weight: settings.coeff_ce,
        graphs: settings.graphs.iter().map(graph).collect::<Result<_, _>>()?,
    })
}

impl Settings {
    fn networks(&self) -> NetworkConfig {
        NetworkConfig {
            node_classes: self.node_classes,
            edge_classes: self.edge_classes,
            hidden: self.hidden,
            edge: self.edge,
            layers: self.layers,
            heads: self.heads,
            norm: match self.norm {
                ReleasedNorm::Bn => Norm::Batch,
                ReleasedNorm::Ln => Norm::Layer,
            },
            // Its batch norm writes into its input; its layer norm does not.
            residual: match self.norm {
                ReleasedNorm::Bn => ResidualOf::Normalised,
                ReleasedNorm::Ln => ResidualOf::Input,
            },
            time: TimeEmbedding::WholeFrequencies,
            transformer_only: self.tf_only,
            absolute_blocks: self.abs,
            relative_blocks: self.rel,
            sequence: if self.seq { Sequence::Prefixes } else { Sequence::Doubled },
            prefix_mean: PrefixMean::Causal,
            tasks: if self.combine { Tasks::Combined } else { Tasks::Separate },
            walks: 0,
            sizes_of_blocks: false,
            max_blocks: self.max_num_blocks,
            block_sizes: self.max_block_size,
            block_degrees: self.max_block_degree,
        }
    }
}

/// The weight of a 1 x 1 convolution, `[out, in, 1]` or `[out, in, 1, 1]`, as `[out, in]`.
fn as_linear_map(mut tensor: HostTensor) -> HostTensor {
    while tensor.shape.len() > 2 && tensor.shape.last() == Some(&1) {
        tensor.shape.pop();
    }
    tensor
}
