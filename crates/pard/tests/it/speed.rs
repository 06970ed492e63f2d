//! How long the published size takes (`--ignored`; prints, checks only that the numbers are finite).

use std::time::Instant;

use burn::tensor::{DType, Device};
use equidrift_backend::normal::standard_normal;
use equidrift_backend::philox::philox4x32_10;
use equidrift_backend::weights::{HostTensor, ParameterSet};
use equidrift_graph::BlockDegree;
use equidrift_nn::{BatchMoments, LayerError, PairMean, Phase};
use equidrift_pard::{
    BlockBatch, BlockGraph, CorruptionDraw, DenoiserBatch, DenoisingLoss, GraphDiffusion, NetworkConfig,
    NoisyTargets, Norm, PardError, PardNetworks, PrefixMean, ResidualOf, Sequence, Tasks, TimeEmbedding,
    corrupt,
};
use equidrift_sampler::{CategoricalDiffusion, KeepSchedule};

use crate::reference::host;

/// Random parameters: whatever the networks miss is drawn.
pub(crate) fn random_parameters(config: &NetworkConfig) -> ParameterSet {
    let mut parameters = ParameterSet::new();
    loop {
        match PardNetworks::read(config, &parameters, &Device::flex(), DType::F32) {
            Ok(_) => return parameters,
            Err(PardError::Layer(LayerError::Missing { name, expected })) => {
                let purpose = parameters.len() as u32;
                let scale = 1.0 / (*expected.last().unwrap_or(&1) as f64).sqrt();
                let draw = |i: u32| standard_normal(philox4x32_10([i, purpose, 0, 0], [3, 4])[0]) * scale;
                let values: Vec<f32> = (0..expected.iter().product::<usize>() as u32)
                    .map(|i| if name.ends_with("running_var") { 1.0 } else { draw(i) as f32 })
                    .collect();
                parameters.insert(name, HostTensor::f32(expected, values));
            }
            Err(other) => panic!("{other}"),
        }
    }
}

/// Processor seconds of this process.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn timed<T>(what: &str, work: impl Fn() -> T) -> T {
    work();
    let (wall, cpu) = (Instant::now(), processor());
    let result = work();
    println!("{what}: {:.2} s wall, {:.2} s of processor", wall.elapsed().as_secs_f64(), processor() - cpu);
    result
}

#[test]
#[ignore = "takes minutes: prints times"]
fn the_published_size() {
    let config = NetworkConfig {
        node_classes: 6,
        edge_classes: 5,
        hidden: 256,
        edge: 64,
        layers: 8,
        heads: 8,
        norm: Norm::Batch,
        residual: ResidualOf::Input,
        time: TimeEmbedding::Sinusoid,
        transformer_only: false,
        absolute_blocks: true,
        relative_blocks: true,
        sequence: Sequence::Doubled,
        prefix_mean: PrefixMean::All,
        tasks: Tasks::Separate,
        walks: 0,
        sizes_of_blocks: false,
        max_blocks: 16,
        block_sizes: 21,
        block_degrees: 5,
    };
    let parameters = random_parameters(&config);
    let count: usize = parameters.values().map(HostTensor::len).sum();
    // A chain of 8 carbon atoms with 15 hydrogens.
    let (mut classes, mut edges) = (vec![1; 8], Vec::new());
    (1..8).for_each(|atom| edges.push((atom - 1, atom, 1)));
    for hydrogen in 0..15 {
        classes.push(0);
        edges.push((hydrogen / 2, 8 + hydrogen, 1));
    }
    let graph = BlockGraph::new(&classes, &edges, 3, BlockDegree::Smallest).unwrap();
    let graphs = vec![graph; 32];
    let mut batch = BlockBatch::doubled(&graphs);
    let (nodes, pairs) = batch.targets_of_copies();
    let uniform = |classes| CategoricalDiffusion::uniform(KeepSchedule::Cosine, 20, classes).unwrap();
    let diffusion = GraphDiffusion { nodes: uniform(6), edges: uniform(5) };
    let times: Vec<usize> = (0..32).map(|graph| graph % 20 + 1).collect();
    let draw = |graph: usize, rank: usize| {
        let unit = |k: usize| ((graph * 131 + rank * 17 + k) as f64 * 0.618_034).fract();
        CorruptionDraw { redraw: unit(0), keep: unit(7) }
    };
    let noisy_nodes = corrupt(&diffusion.nodes, &nodes, &times, draw);
    let noisy_pairs = corrupt(&diffusion.edges, &pairs, &times, draw);
    batch.set_nodes(&nodes, &noisy_nodes);
    batch.set_pairs(&pairs, &noisy_pairs);
    let input = DenoiserBatch {
        batch: &batch,
        times: &times,
        steps: 20,
        mean: PairMean::All,
        structure: None,
        questions: None,
    };
    println!("{count} parameters, batch {}, {} nodes", batch.batch, batch.nodes);
    let networks = PardNetworks::read(&config, &parameters, &Device::flex(), DType::F32).unwrap();
    timed("forward", || {
        networks.denoise(&input, Phase::Evaluation).map(|(logits, _)| host(logits.nodes)).unwrap()
    });
    let tracked = PardNetworks::read(&config, &parameters, &Device::flex().autodiff(), DType::F32).unwrap();
    let gradients = timed("forward and backward", || {
        let moments = BatchMoments::default();
        let (logits, _) = tracked.denoise(&input, Phase::Training(&moments)).unwrap();
        let loss = DenoisingLoss::new(
            &diffusion,
            logits,
            &times,
            NoisyTargets { targets: &nodes, noisy: &noisy_nodes },
            NoisyTargets { targets: &pairs, noisy: &noisy_pairs },
        );
        tracked.gradients(&mut loss.total(0.1).backward()).unwrap()
    });
    assert!(gradients.values().all(|gradient| gradient.first_non_finite().is_none()));
}
