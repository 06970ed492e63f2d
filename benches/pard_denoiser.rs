//! The denoiser of the shipped QM9 model, by engine: graphs per second on one thread, of a call and of a training step.
//!
//! ```text
//! cargo bench --bench pard_denoiser
//! ```
//!
//! `-- --rate call|step BATCH THREADS SECONDS` prints graphs per second of the fused engine alone, for `benches/peer/pard_denoiser.py`.
//! The weights are random: the time does not depend on them. A call is 18 million floating-point operations a graph (9.1 million
//! products and sums: 1.1 million in the pairs and 0.28 million in the nodes of each of six layers, 0.8 million in the head).

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use equidrift_backend::device::DeviceKind;
use equidrift_backend::kernels::Instructions;
use equidrift_graph::BlockDegree;
use equidrift_nn::PairMean;
use equidrift_pard::{
    BlockBatch, BlockDenoising, BlockGraph, DenoiserBatch, FusedNetworks, GraphDiffusion, LossWeights,
    NetworkConfig, Norm, PrefixMean, ResidualOf, Sequence, Tasks, TimeEmbedding, TimeOf, initial_parameters,
};
use equidrift_sampler::{CategoricalDiffusion, KeepSchedule};
use equidrift_train::Objective;

const NODES: usize = 9;
const STEPS: usize = 500;

fn network() -> NetworkConfig {
    NetworkConfig {
        node_classes: 5,
        edge_classes: 5,
        hidden: 64,
        edge: 32,
        layers: 6,
        heads: 4,
        norm: Norm::Layer,
        residual: ResidualOf::Input,
        time: TimeEmbedding::Sinusoid,
        time_of: TimeOf::All,
        transformer_only: false,
        absolute_blocks: false,
        relative_blocks: false,
        sequence: Sequence::Doubled,
        prefix_mean: PrefixMean::All,
        tasks: Tasks::DenoiserOnly,
        walks: 5,
        sizes_of_blocks: true,
        max_blocks: 1,
        block_sizes: NODES + 1,
        block_degrees: 1,
    }
}

/// Rings with two chords, nodes of alternating classes.
fn graphs(count: usize) -> Vec<BlockGraph> {
    let of = |graph: usize| {
        let classes: Vec<usize> = (0..NODES).map(|node| (node + graph) % 4).collect();
        let mut edges: Vec<_> =
            (0..NODES).map(|node| (node, (node + 1) % NODES, 1 + (node + graph) % 3)).collect();
        edges.extend([(0, 4, 1), (2, 7, 2)]);
        let mut graph = BlockGraph::new(&classes, &edges, 0, BlockDegree::Smallest).expect("a simple graph");
        graph.degrees.fill(0);
        graph
    };
    (0..count).map(of).collect()
}

fn diffusion() -> GraphDiffusion {
    let noise = vec![0.25, 0.25, 0.25, 0.25, 0.0];
    let of = || CategoricalDiffusion::new(KeepSchedule::Linear, STEPS, noise.clone()).expect("a law");
    GraphDiffusion { nodes: of(), edges: of() }
}

fn noisy<'a>(batch: &'a BlockBatch, times: &'a [usize]) -> DenoiserBatch<'a> {
    DenoiserBatch { batch, times, steps: STEPS, mean: PairMean::All, structure: None, questions: None }
}

fn call(criterion: &mut Criterion) {
    let network = network();
    let parameters = initial_parameters(&network, 1).expect("sizes make a network");
    let (diffusion, device) = (diffusion(), DeviceKind::Cpu.open().expect("the cpu is always there"));
    let mut group = criterion.benchmark_group("pard_call_qm9");
    group.sample_size(10).measurement_time(Duration::from_secs(4));
    for count in [16, 128] {
        let batch = BlockBatch::for_training(&graphs(count));
        let times = vec![STEPS / 2; count];
        let input = noisy(&batch, &times);
        let (nodes, pairs) = batch.targets_of_virtual_nodes();
        group.throughput(Throughput::Elements(count as u64));
        for (name, instructions) in [("fused", Instructions::Detect), ("fused, AVX2", Instructions::Avx2)] {
            let fused = FusedNetworks::new(&network, &parameters, NonZeroUsize::MIN, instructions);
            // A machine may lack the instructions.
            let Ok(fused) = fused else { continue };
            group.bench_with_input(BenchmarkId::new(name, count), &input, |bencher, input| {
                bencher.iter(|| fused.classes(input, &nodes, &pairs).expect("the batch is sound"));
            });
        }
        // With the loss, which is little.
        let (graphs, examples) = (graphs(count), (0..count).collect::<Vec<_>>());
        let mut burn = BlockDenoising::new(&network, &diffusion, LossWeights::default(), &graphs, 1, &device)
            .expect("these networks can be trained");
        group.bench_function(BenchmarkId::new("burn", count), |bencher| {
            bencher.iter(|| burn.evaluate_losses(&parameters, &examples, 0).expect("the batch is sound"));
        });
    }
    group.finish();
}

fn training_step(criterion: &mut Criterion) {
    let (network, diffusion, graphs) = (network(), diffusion(), graphs(128));
    let parameters = initial_parameters(&network, 1).expect("sizes make a network");
    let device = DeviceKind::Cpu.open().expect("the cpu is always there");
    let examples: Vec<usize> = (0..graphs.len()).collect();
    let mut group = criterion.benchmark_group("pard_training_step_qm9");
    group.sample_size(10).measurement_time(Duration::from_secs(4));
    group.throughput(Throughput::Elements(graphs.len() as u64));
    for name in ["fused", "burn"] {
        let objective =
            BlockDenoising::new(&network, &diffusion, LossWeights::default(), &graphs, 1, &device)
                .expect("these networks can be trained");
        let mut objective = match name {
            "fused" => objective.fused(NonZeroUsize::MIN).expect("the engine knows these networks"),
            _ => objective,
        };
        group.bench_function(BenchmarkId::new(name, graphs.len()), |bencher| {
            bencher.iter(|| objective.evaluate(&parameters, &examples, 0).expect("the batch is sound"));
        });
    }
    group.finish();
}

criterion_group!(benches, call, training_step);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.as_slice() {
        [flag, what, batch, threads, seconds] if flag == "--rate" => {
            let number = |text: &String| text.parse::<usize>().expect("a number");
            let seconds: f64 = seconds.parse().expect("a number of seconds");
            let threads = NonZeroUsize::new(number(threads)).expect("at least one thread");
            println!("{}", rate(what, number(batch), threads, seconds));
        }
        _ => {
            benches();
            Criterion::default().configure_from_args().final_summary();
        }
    }
}

/// Graphs per second of the fused engine: calls, or training steps.
fn rate(what: &str, count: usize, threads: NonZeroUsize, seconds: f64) -> f64 {
    let (network, diffusion, graphs) = (network(), diffusion(), graphs(count));
    let parameters = initial_parameters(&network, 1).expect("sizes make a network");
    let device = DeviceKind::Cpu.open().expect("the cpu is always there");
    let examples: Vec<usize> = (0..count).collect();
    let fused =
        FusedNetworks::new(&network, &parameters, threads, Instructions::Detect).expect("its own parameters");
    let batch = BlockBatch::for_training(&graphs);
    let times = vec![STEPS / 2; count];
    let input = noisy(&batch, &times);
    let (nodes, pairs) = batch.targets_of_virtual_nodes();
    let mut objective =
        BlockDenoising::new(&network, &diffusion, LossWeights::default(), &graphs, 1, &device)
            .and_then(|objective| objective.fused(threads))
            .expect("the engine knows these networks");
    let mut work = || match what {
        "step" => drop(objective.evaluate(&parameters, &examples, 0).expect("the batch is sound")),
        _ => drop(fused.classes(&input, &nodes, &pairs).expect("the batch is sound")),
    };
    work();
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed().as_secs_f64() < seconds {
        work();
        done += count;
    }
    done as f64 / start.elapsed().as_secs_f64()
}
