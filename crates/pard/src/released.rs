//! From the layout of the reference vectors (`NAME.json` beside `NAME.safetensors`) to a model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use equidrift_backend::model_description::{BondsConfig, SamplingWeights, Task, Vocabulary};
use equidrift_backend::model_folder::read_limited;
use equidrift_backend::weights::{HostTensor, ParameterSet, TensorFile};
use equidrift_graph::BlockDegree;
use equidrift_sampler::{CategoricalDiffusion, KeepSchedule};
use serde::Deserialize;

use crate::block_denoising::LossWeights;
use crate::block_graph::BlockGraph;
use crate::config::{DiffusionConfig, FAMILY, FORMAT_VERSION, LIBRARY, MAX_NODES, PardConfig};
use crate::denoising_loss::GraphDiffusion;
use crate::error::PardError;
use crate::model::PardModel;
use crate::network_config::{
    NetworkConfig, Norm, PrefixMean, ResidualOf, Sequence, Tasks, TimeEmbedding, TimeOf,
};
use crate::reverse_step::ReverseStep;
use crate::step_grid::StepGrid;

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
    /// The settings' file.
    pub path: PathBuf,
    /// The data that it was trained on: `qm9_h`, `zinc250k`, or any name for plain graphs.
    pub data: String,
}

/// What a checkpoint does not say about its training graphs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FirstBlocks {
    /// How many graphs had a first block of each size.
    pub sizes: BTreeMap<usize, u64>,
    /// Nodes of the largest graph; none where it is not known.
    pub max_nodes: Option<usize>,
}

impl ReleasedModel {
    /// What its node classes mean, apart from the last, virtual one; none for plain graphs.
    ///
    /// # Errors
    /// [`PardError::Unsupported`].
    pub fn vocabulary(&self) -> Result<Option<Vocabulary>, PardError> {
        let atoms: &[&str] =
            match (self.data.as_str(), self.networks.node_classes, self.networks.edge_classes) {
                ("qm9_h", 6, 5) => &["H", "C", "N", "O", "F"],
                ("zinc250k", 10, 5) => &["C", "N", "O", "F", "P", "S", "Cl", "Br", "I"],
                (_, 2, 3) => return Ok(None),
                _ => {
                    return Err(PardError::Unsupported {
                        path: self.path.clone(),
                        field: "data",
                        found: format!(
                            "{} with {} classes of nodes and {} of edges",
                            self.data, self.networks.node_classes, self.networks.edge_classes
                        ),
                        expected: "qm9_h (6, 5), zinc250k (10, 5), or plain graphs (2, 3)",
                    });
                }
            };
        Ok(Some(Vocabulary { atoms: atoms.iter().map(|&atom| atom.to_owned()).collect() }))
    }

    /// The model; without `first` it has networks and can generate nothing.
    ///
    /// # Errors
    /// [`PardError::Unsupported`], and as [`PardModel::new`].
    pub fn into_model(self, first: Option<FirstBlocks>) -> Result<PardModel, PardError> {
        let vocabulary = self.vocabulary()?;
        let FirstBlocks { sizes, max_nodes } = first.unwrap_or_default();
        let (steps, network) = (self.diffusion.nodes.steps(), &self.networks);
        let bound = network.block_sizes.saturating_sub(1).saturating_mul(network.max_blocks);
        let config = PardConfig {
            library: LIBRARY.to_owned(),
            format_version: FORMAT_VERSION,
            family: FAMILY.to_owned(),
            name: self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            task: if vocabulary.is_some() { Task::Molecules } else { Task::Graphs },
            max_nodes: max_nodes.unwrap_or(bound.clamp(1, MAX_NODES)),
            vocabulary,
            bonds: BondsConfig::default(),
            max_hops: self.max_hops,
            block_degree: BlockDegree::OfLowestNode,
            diffusion: DiffusionConfig {
                schedule: KeepSchedule::Cosine,
                steps,
                node_noise: self.diffusion.nodes.noise().to_vec(),
                edge_noise: self.diffusion.edges.noise().to_vec(),
            },
            first_sizes: sizes,
            steps,
            grid: StepGrid::Uniform {},
            reverse_step: ReverseStep::default(),
            sampling_weights: SamplingWeights::Raw,
            loss: Some(LossWeights { bound: 1.0, cross_entropy: self.cross_entropy_weight }),
            origin: Some(format!("converted from {}", self.path.display())),
            network: self.networks,
        };
        PardModel::new(config, self.parameters)
    }
}

#[derive(Debug, Deserialize)]
struct Settings {
    data: String,
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
        path: json.to_owned(),
        data: settings.data.clone(),
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
            time_of: TimeOf::All,
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
