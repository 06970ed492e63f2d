//! Training a Pard model: settings, graphs in blocks, configuration.

use std::collections::BTreeMap;

use equidrift_backend::model_description::{Task, Vocabulary};
use equidrift_gdss::GraphDataset;
use equidrift_graph::BlockDegree;
use equidrift_pard::config::{FAMILY, FORMAT_VERSION, LIBRARY};
use equidrift_pard::{
    BlockGraph, DiffusionConfig, LossWeights, NetworkConfig, Norm, PardConfig, PrefixMean, ResidualOf,
    ReverseStep, Sequence, StepGrid, Tasks, TimeEmbedding, TimeOf,
};
use equidrift_sampler::KeepSchedule;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Error;
use crate::training::settings::TrainingSettings;

/// What classes become by noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Noise {
    /// Each class as often as in the training set.
    Marginal,
    /// All classes alike.
    Uniform,
}

/// Settings of the family `pard`; table `pard` of the configuration file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PardSettings {
    /// Hops of the structural order of blocks; 0 makes every graph one block.
    pub max_hops: usize,
    /// Width of the nodes.
    pub hidden: usize,
    /// Width of the pairs.
    pub edge: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Longest random walk whose probability the denoiser knows; 0: none.
    pub walks: usize,
    /// Whether nodes know the size of their block.
    pub sizes_of_blocks: bool,
    /// Whether nodes know the number of their block, where there is more than one.
    pub absolute_blocks: bool,
    /// Whether pairs know the difference of their blocks, where there is more than one.
    pub relative_blocks: bool,
    /// Which nodes are told the time, where there is more than one block: `all`, or `virtual`, those of the block that is being
    /// generated.
    pub time_of: TimeOf,
    /// How the share of kept classes falls.
    pub schedule: KeepSchedule,
    /// Steps T of the diffusion; the sampler's calls are among them.
    pub diffusion_steps: usize,
    /// The law of noise.
    pub noise: Noise,
    /// Weights of the bound and of the cross-entropy in the loss.
    pub loss: LossWeights,
    /// Where the default sampler calls the denoiser.
    pub grid: StepGrid,
    /// How it draws classes: churn and temperature.
    pub reverse_step: ReverseStep,
}

impl Default for PardSettings {
    fn default() -> Self {
        Self {
            max_hops: 3,
            hidden: 64,
            edge: 32,
            layers: 5,
            heads: 4,
            walks: 5,
            sizes_of_blocks: true,
            absolute_blocks: true,
            relative_blocks: true,
            time_of: TimeOf::Virtual,
            schedule: KeepSchedule::Linear,
            diffusion_steps: 500,
            noise: Noise::Marginal,
            loss: LossWeights::default(),
            grid: StepGrid::default(),
            reverse_step: ReverseStep::default(),
        }
    }
}

/// What a table `pard` changes in the settings that all families have.
pub(super) fn usual_for_pard() -> Value {
    json!({
        "name": "pard",
        "epochs": 100,
        "batch": 128,
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "warmup_steps": 200,
        "optimiser": "adamw",
        "schedule": {"name": "cosine"},
        "weights": "ema",
        "steps": 50,
    })
}

/// The graphs of a set in blocks. Nodes of plain graphs are all of one class.
///
/// # Errors
/// Graphs that are no simple graphs.
pub(super) fn in_blocks(
    graphs: &GraphDataset,
    task: Task,
    settings: &PardSettings,
) -> Result<Vec<BlockGraph>, Error> {
    let of = |index| {
        let (classes, edges) = graphs.graph(index);
        let class = |class: &u8| if task == Task::Molecules { usize::from(*class) } else { 0 };
        let classes: Vec<usize> = classes.iter().map(class).collect();
        let edges: Vec<_> = edges.map(|(a, b, value)| (a, b, usize::from(value))).collect();
        let mut graph = BlockGraph::new(&classes, &edges, settings.max_hops, BlockDegree::Smallest)?;
        if settings.max_hops == 0 {
            // Nobody knows the degree of a graph that is generated in one piece.
            graph.degrees.fill(0);
        }
        Ok(graph)
    };
    (0..graphs.len()).map(of).collect()
}

/// The configuration of the model; `origin` says where the data come from.
///
/// # Errors
/// Settings that make no model.
pub(super) fn pard_config(
    settings: &TrainingSettings,
    pard: &PardSettings,
    graphs: &[BlockGraph],
    (task, node_classes): (Task, usize),
    (vocabulary, origin): (Option<Vocabulary>, String),
) -> Result<PardConfig, Error> {
    let largest =
        |of: fn(&BlockGraph) -> Option<&usize>| graphs.iter().filter_map(of).max().copied().unwrap_or(0);
    let (node_classes, edge_classes) = match task {
        Task::Molecules => {
            // None, single, double, triple; and aromatic.
            let bonds = if settings.bonds.are_orders() { 4 } else { 5 };
            (node_classes, bonds)
        }
        Task::Graphs => (1, 2),
    };
    let one_block = pard.max_hops == 0;
    let network = NetworkConfig {
        // The last classes are the virtual ones.
        node_classes: node_classes + 1,
        edge_classes: edge_classes + 1,
        hidden: pard.hidden,
        edge: pard.edge,
        layers: pard.layers,
        heads: pard.heads,
        norm: Norm::Layer,
        residual: ResidualOf::Input,
        time: TimeEmbedding::Sinusoid,
        time_of: if one_block { TimeOf::All } else { pard.time_of },
        transformer_only: false,
        absolute_blocks: pard.absolute_blocks && !one_block,
        relative_blocks: pard.relative_blocks && !one_block,
        sequence: Sequence::Doubled,
        prefix_mean: PrefixMean::All,
        tasks: if one_block { Tasks::DenoiserOnly } else { Tasks::Separate },
        walks: pard.walks,
        sizes_of_blocks: pard.sizes_of_blocks,
        max_blocks: graphs.iter().map(|graph| graph.sizes.len()).max().unwrap_or(0).max(1),
        block_sizes: largest(|graph| graph.sizes.iter().max()) + 1,
        block_degrees: largest(|graph| graph.degrees.iter().max()) + 1,
    };
    let mut first_sizes = BTreeMap::new();
    for size in graphs.iter().filter_map(|graph| graph.sizes.first()) {
        *first_sizes.entry(*size).or_insert(0) += 1;
    }
    let nodes = graphs.iter().flat_map(|graph| graph.node_classes.iter().copied());
    let pairs = graphs.iter().flat_map(|graph| graph.pair_classes.iter().copied());
    let config = PardConfig {
        library: LIBRARY.to_owned(),
        format_version: FORMAT_VERSION,
        family: FAMILY.to_owned(),
        name: settings.name.clone(),
        task,
        max_nodes: graphs.iter().map(BlockGraph::nodes).max().unwrap_or(0),
        vocabulary,
        bonds: settings.bonds,
        network,
        max_hops: pard.max_hops,
        block_degree: BlockDegree::Smallest,
        diffusion: DiffusionConfig {
            schedule: pard.schedule,
            steps: pard.diffusion_steps,
            node_noise: noise(pard.noise, node_classes, nodes),
            edge_noise: noise(pard.noise, edge_classes, pairs),
        },
        first_sizes,
        steps: settings.steps,
        grid: pard.grid,
        reverse_step: pard.reverse_step,
        sampling_weights: settings.weights,
        loss: Some(pard.loss),
        origin: Some(origin),
    };
    config.check()?;
    Ok(config)
}

/// The law of noise of `classes` classes and the virtual one, which never occurs.
fn noise(kind: Noise, classes: usize, found: impl Iterator<Item = usize>) -> Vec<f64> {
    let mut law = vec![0.0; classes + 1];
    match kind {
        Noise::Uniform => law[..classes].fill(1.0 / classes as f64),
        Noise::Marginal => {
            let mut all = 0.0_f64;
            found.for_each(|class| {
                law[class] += 1.0;
                all += 1.0;
            });
            law.iter_mut().for_each(|share| *share /= all.max(1.0));
        }
    }
    law
}
