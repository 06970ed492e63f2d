//! The training objective: a pure function of seed, epoch and example; its gradient; what it leads to.

use burn::tensor::Device;
use equidrift_backend::weights::{HostTensor, ParameterSet, Values};
use equidrift_graph::BlockDegree;
use equidrift_pard::{
    BlockDenoising, BlockGraph, Draws, Engine, Generation, GraphDiffusion, KeyedDraws, LossWeights,
    NetworkConfig, Norm, PardError, PardNetworks, PrefixMean, Purpose, Question, ResidualOf, ReverseStep,
    Sequence, StepGrid, Tasks, TimeEmbedding, TimeOf, Unfinished, block_denoising, initial_parameters,
};
use equidrift_sampler::{CategoricalDiffusion, KeepSchedule};
use equidrift_train::adam::AdamConfig;
use equidrift_train::{LearningRate, Objective, Silent, Trainer, TrainerConfig};

/// Narrow networks for graphs of 2 node classes and edges, with every optional input.
pub(crate) fn config(max_hops: usize) -> NetworkConfig {
    NetworkConfig {
        node_classes: 3,
        edge_classes: 3,
        hidden: 8,
        edge: 8,
        layers: 2,
        heads: 2,
        norm: Norm::Layer,
        residual: ResidualOf::Input,
        time: TimeEmbedding::Sinusoid,
        time_of: TimeOf::All,
        transformer_only: false,
        absolute_blocks: max_hops > 0,
        relative_blocks: max_hops > 0,
        sequence: Sequence::Doubled,
        prefix_mean: PrefixMean::All,
        tasks: if max_hops > 0 { Tasks::Separate } else { Tasks::DenoiserOnly },
        walks: 3,
        sizes_of_blocks: true,
        max_blocks: 4,
        block_sizes: 6,
        block_degrees: 5,
    }
}

pub(crate) fn diffusion() -> GraphDiffusion {
    let of = || CategoricalDiffusion::new(KeepSchedule::Linear, 20, vec![0.5, 0.5, 0.0]).unwrap();
    GraphDiffusion { nodes: of(), edges: of() }
}

/// A path, a star, a triangle with a tail.
pub(crate) fn graphs(max_hops: usize) -> Vec<BlockGraph> {
    let of = |classes: &[usize], edges: &[(usize, usize)]| {
        let edges: Vec<_> = edges.iter().map(|&(a, b)| (a, b, 1)).collect();
        BlockGraph::new(classes, &edges, max_hops, BlockDegree::Smallest).unwrap()
    };
    let mut graphs = vec![
        of(&[0, 1, 0], &[(0, 1), (1, 2)]),
        of(&[1, 0, 0, 0], &[(0, 1), (0, 2), (0, 3)]),
        of(&[0, 0, 1, 1], &[(0, 1), (1, 2), (2, 0), (2, 3)]),
    ];
    if max_hops == 0 {
        graphs.iter_mut().for_each(|graph| graph.degrees.fill(0));
    }
    graphs
}

fn objective<'a>(
    config: &'a NetworkConfig,
    diffusion: &'a GraphDiffusion,
    weights: LossWeights,
    graphs: &'a [BlockGraph],
) -> BlockDenoising<'a> {
    BlockDenoising::new(config, diffusion, weights, graphs, 5, &Device::flex()).unwrap()
}

const WEIGHTS: [LossWeights; 2] =
    [LossWeights { bound: 0.0, cross_entropy: 1.0 }, LossWeights { bound: 1.0, cross_entropy: 0.1 }];

#[test]
fn losses_and_gradients_of_a_batch_are_the_means_of_its_examples() {
    for max_hops in [0, 2] {
        let (config, diffusion, graphs) = (config(max_hops), diffusion(), graphs(max_hops));
        let parameters = initial_parameters(&config, 3).unwrap();
        for weights in WEIGHTS {
            let mut loss = objective(&config, &diffusion, weights, &graphs);
            let together = loss.evaluate(&parameters, &[0, 1, 2], 4).unwrap();
            assert_eq!(together.losses.len(), loss.losses().len());
            let alone: Vec<_> =
                (0..3).map(|example| loss.evaluate(&parameters, &[example], 4).unwrap()).collect();
            for (at, &value) in together.losses.iter().enumerate() {
                let mean = alone.iter().map(|one| one.losses[at]).sum::<f64>() / 3.0;
                assert!((value - mean).abs() <= 1e-4 * (1.0 + mean.abs()), "{value} {mean}");
            }
            for (name, gradient) in &together.gradient {
                let values = gradient.to_f64();
                let scale = values.iter().fold(1e-2_f64, |scale, g| scale.max(g.abs()));
                for (at, value) in values.iter().enumerate() {
                    let of = |one: &ParameterSet| one.get(name).map_or(0.0, |g| g.to_f64()[at]);
                    let mean = alone.iter().map(|one| of(&one.gradient)).sum::<f64>() / 3.0;
                    assert!((value - mean).abs() <= 1e-3 * scale, "{name} {at}: {value} {mean}");
                }
            }
            let again = loss.evaluate_losses(&parameters, &[0, 1, 2], 4).unwrap();
            assert!(again.iter().zip(&together.losses).all(|(a, b)| (a - b).abs() <= 1e-5 * (1.0 + b.abs())));
            assert_ne!(again, loss.evaluate_losses(&parameters, &[0, 1, 2], 5).unwrap(), "another epoch");
        }
    }
}

#[test]
fn the_gradient_is_the_slope_of_the_loss() {
    for max_hops in [0, 2] {
        let (config, diffusion, graphs) = (config(max_hops), diffusion(), graphs(max_hops));
        let parameters = initial_parameters(&config, 3).unwrap();
        let mut loss = objective(&config, &diffusion, WEIGHTS[0], &graphs);
        let gradient = loss.evaluate(&parameters, &[0, 1, 2], 0).unwrap().gradient;
        // Along the gradient, so that single precision is enough.
        let norm = gradient.values().flat_map(HostTensor::to_f64).map(|g| g * g).sum::<f64>().sqrt();
        let step = 2e-3 / norm;
        let moved = |sign: f64| {
            let mut moved = parameters.clone();
            for (name, gradient) in &gradient {
                let tensor = moved.get_mut(name).unwrap();
                let Values::F32(values) = &mut tensor.values else { panic!("{name}") };
                values.iter_mut().zip(gradient.to_f64()).for_each(|(x, g)| *x += (sign * step * g) as f32);
            }
            moved
        };
        let mut at = |sign| loss.evaluate_losses(&moved(sign), &[0, 1, 2], 0).unwrap().iter().sum::<f64>();
        let slope = (at(1.0) - at(-1.0)) / (2.0 * step * norm);
        assert!((slope / norm - 1.0).abs() <= 0.02, "slope {slope}, gradient norm {norm}");
    }
}

#[test]
fn what_cannot_be_trained_is_refused() {
    let diffusion = diffusion();
    let refused = |config: &NetworkConfig, graphs: &[BlockGraph]| {
        let made =
            BlockDenoising::new(config, &diffusion, LossWeights::default(), graphs, 0, &Device::flex());
        matches!(made, Err(PardError::NotTrainable { .. }))
    };
    assert!(refused(&NetworkConfig { norm: Norm::Batch, ..config(2) }, &graphs(2)));
    assert!(refused(&NetworkConfig { sequence: Sequence::Prefixes, ..config(2) }, &graphs(2)));
    assert!(refused(&config(0), &graphs(2)));
    assert!(!refused(&config(0), &graphs(0)));
}

/// A law of graphs with two blocks: a star of three leaves or a path of three, the centres and the ends of either class.
fn two_blocks() -> Vec<(BlockGraph, f64)> {
    let star: &[(usize, usize, usize)] = &[(0, 1, 1), (0, 2, 1), (0, 3, 1)];
    let laws = [
        (vec![1, 0, 0, 0], star, 0.4),
        (vec![0, 1, 1, 1], star, 0.1),
        (vec![0, 1, 1], &star[..2], 0.3),
        (vec![1, 1, 1], &star[..2], 0.2),
    ];
    laws.into_iter()
        .map(|(classes, edges, share)| {
            (BlockGraph::new(&classes, edges, 1, BlockDegree::Smallest).unwrap(), share)
        })
        .collect()
}

#[test]
fn a_law_of_two_blocks_is_learnt_and_drawn() {
    let laws = two_blocks();
    let graphs: Vec<BlockGraph> = laws
        .iter()
        .flat_map(|(graph, share)| std::iter::repeat_n(graph.clone(), (share * 40.0).round() as usize))
        .collect();
    assert!(graphs.len() == 40 && graphs.iter().all(|graph| graph.sizes.len() == 2));
    let (config, diffusion) = (NetworkConfig { hidden: 16, ..config(1) }, diffusion());
    let trainer = TrainerConfig {
        epochs: 700,
        batch: 40,
        learning_rate: LearningRate::exponential(0.01, 0.994),
        adam: AdamConfig::default(),
        average_decay: 0.98,
        ..TrainerConfig::default()
    };
    let groups = block_denoising::groups(config.tasks);
    let mut trainer = Trainer::new(trainer, groups, initial_parameters(&config, 1).unwrap()).unwrap();
    let mut loss = objective(&config, &diffusion, WEIGHTS[0], &graphs);
    trainer.run(&mut loss, None, &mut Silent, &|| false).unwrap();
    let state = trainer.state();
    let parameters = state.average.parameters(&state.parameters);
    let networks =
        PardNetworks::read(&config, &parameters, &Device::flex(), burn::tensor::DType::F32).unwrap();
    let mut first_sizes = vec![0.0; 5];
    graphs.iter().for_each(|graph| first_sizes[graph.sizes[0]] += 1.0);
    let generation = Generation {
        networks: Engine::Burn(&networks),
        diffusion: &diffusion,
        grid: &StepGrid::default().steps(20, 20),
        reverse_step: ReverseStep::default(),
        first_sizes: &first_sizes,
        max_blocks: 4,
        max_nodes: 5,
        unfinished: Unfinished::Whole,
        called: &|_| true,
    };
    let samples = 4000;
    let mut draws = KeyedDraws { seed: 9, ids: (0..samples).collect() };
    let drawn = generation.run(samples as usize, &mut draws, &mut |_| ()).unwrap();
    // The leaves of a block are alike, so the graphs of the law can be told by their classes alone.
    let found = |law: &BlockGraph| {
        drawn.iter().filter(|drawn| drawn.graph == *law).count() as f64 / f64::from(samples as u32)
    };
    let shares: Vec<f64> = laws.iter().map(|(graph, _)| found(graph)).collect();
    let outside = 1.0 - shares.iter().sum::<f64>();
    let distance =
        0.5 * (laws.iter().zip(&shares).map(|((_, law), share)| (law - share).abs()).sum::<f64>() + outside);
    println!("shares {shares:.3?}, others {outside:.4}, total variation {distance:.4}");
    assert!(distance <= 0.02, "{distance}");
    // A first size is the draw that the pipeline groups its batches by.
    let question = Question { graph: 0, round: 0, purpose: Purpose::FirstSize, rank: 0, element: (0, 0) };
    let u = KeyedDraws { seed: 9, ids: vec![3] }.uniform(&question);
    let size = equidrift_pard::first_size(&first_sizes, 0, &mut KeyedDraws { seed: 9, ids: vec![3] });
    assert_eq!(drawn[3].graph.sizes[0], size, "{u}");
}
