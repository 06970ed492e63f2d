//! The fused engine against the tensor library: logits, losses, gradients; whatever the company, threads and instructions.

use std::num::NonZeroUsize;

use burn::tensor::{DType, Device};
use equidrift_backend::weights::ParameterSet;
use equidrift_nn::{PairMean, Phase};
use equidrift_pard::fused::Instructions;
use equidrift_pard::{
    BlockBatch, BlockDenoising, BlockGraph, DenoiserBatch, FusedNetworks, LossWeights, NetworkConfig, Norm,
    PardError, PardNetworks, Targets, Tasks, TimeOf, initial_parameters,
};
use equidrift_train::Objective;

use crate::reference::{cases, relative_error};
use crate::training::{config, diffusion, graphs};

const LOSS: LossWeights = LossWeights { bound: 0.0, cross_entropy: 0.7 };

pub(crate) fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// Configurations of one block and of several, with widths that fill vectors and some that do not, and without PPGN.
fn configs() -> Vec<(usize, NetworkConfig)> {
    let mut all = Vec::new();
    for max_hops in [0, 2] {
        let narrow = config(max_hops);
        all.push((max_hops, NetworkConfig { hidden: 32, edge: 16, ..narrow.clone() }));
        all.push((max_hops, NetworkConfig { hidden: 36, edge: 18, heads: 3, ..narrow.clone() }));
        all.push((max_hops, NetworkConfig { transformer_only: true, walks: 0, ..narrow.clone() }));
        if max_hops > 0 {
            all.push((max_hops, NetworkConfig { time_of: TimeOf::Virtual, ..narrow.clone() }));
        }
        all.push((max_hops, narrow));
    }
    all
}

/// The parameters that training begins with, moved, so that no gradient is zero by their choice.
pub(crate) fn parameters(config: &NetworkConfig) -> ParameterSet {
    let mut parameters = initial_parameters(config, 3).unwrap();
    for (number, tensor) in parameters.values_mut().enumerate() {
        let moved = tensor.to_f32().into_iter().enumerate();
        let moved = moved.map(|(at, x)| x + 0.1 * ((at * 7 + number * 3) as f32).sin()).collect();
        *tensor = equidrift_backend::weights::HostTensor::f32(tensor.shape.clone(), moved);
    }
    parameters
}

/// A batch for generation: the last block of each graph is virtual.
pub(crate) fn batch(graphs: &[BlockGraph]) -> (BlockBatch, Targets, Targets) {
    let mut batch = BlockBatch::single(graphs);
    let n = batch.nodes;
    for (row, graph) in graphs.iter().enumerate() {
        for (node, &block) in graph.block.iter().enumerate() {
            batch.virtual_nodes[row * n + node] = block + 1 == graph.sizes.len();
        }
    }
    let (nodes, pairs) = batch.targets_of_virtual_nodes();
    (batch, nodes, pairs)
}

pub(crate) fn fused(config: &NetworkConfig, count: usize, instructions: Instructions) -> FusedNetworks {
    FusedNetworks::new(config, &parameters(config), threads(count), instructions).unwrap()
}

fn logits(denoiser: &FusedNetworks, graphs: &[BlockGraph], times: &[usize]) -> [Vec<Vec<f64>>; 2] {
    let (batch, nodes, pairs) = batch(graphs);
    denoiser.classes(&input(&batch, times), &nodes, &pairs).unwrap()
}

pub(crate) fn input<'a>(batch: &'a BlockBatch, times: &'a [usize]) -> DenoiserBatch<'a> {
    DenoiserBatch { batch, times, steps: 20, mean: PairMean::All, structure: None, questions: None }
}

fn largest_difference(a: &[Vec<Vec<f64>>; 2], b: &[Vec<Vec<f64>>; 2]) -> f64 {
    let values =
        |rows: &[Vec<Vec<f64>>; 2]| -> Vec<f64> { rows.iter().flatten().flatten().copied().collect() };
    let (a, b) = (values(a), values(b));
    assert_eq!(a.len(), b.len());
    a.iter().zip(&b).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f64::max)
}

#[test]
fn logits_are_those_of_the_tensor_library() {
    for (max_hops, config) in configs() {
        let (graphs, times) = (graphs(max_hops), [3, 20, 11]);
        let networks =
            PardNetworks::read(&config, &parameters(&config), &Device::flex(), DType::F64).unwrap();
        let (batch, nodes, pairs) = batch(&graphs);
        let (exact, _) = networks.denoise(&input(&batch, &times), Phase::Evaluation).unwrap();
        let exact = exact.at(&nodes, &pairs).unwrap();
        for instructions in [Instructions::Avx512, Instructions::Avx2, Instructions::Portable] {
            if instructions.arch().is_none() {
                continue;
            }
            let found = logits(&fused(&config, 2, instructions), &graphs, &times);
            let error = largest_difference(&found, &exact);
            assert!(error < 1e-5, "{error:e} with {instructions:?}, {config:?}");
        }
    }
}

#[test]
fn the_recorded_outputs_come_out() {
    let mut compared = 0;
    for case in cases() {
        let config = &case.model.networks;
        if FusedNetworks::missing(config).is_some() {
            continue;
        }
        compared += 1;
        let noisy = case.noisy();
        let networks = FusedNetworks::new(config, &case.model.parameters, threads(2), Instructions::Detect);
        let input =
            DenoiserBatch { steps: case.model.diffusion.nodes.steps(), ..input(&noisy.batch, &noisy.times) };
        let found = networks.unwrap().classes(&input, &noisy.nodes, &noisy.pairs).unwrap();
        for (rows, targets, name) in [
            (&found[0], &noisy.nodes, "out64.eval.node_logit"),
            (&found[1], &noisy.pairs, "out64.eval.edge_logit"),
        ] {
            let all = case.numbers(name);
            let width = rows[0].len();
            let expected = targets.place.iter().flat_map(|&place| all[place * width..][..width].to_vec());
            let error = relative_error(&rows.concat(), &expected.collect::<Vec<_>>());
            assert!(error <= 1e-5, "{} {name}: {error:.1e}", case.name);
        }
    }
    assert!(compared > 0 || cases().is_empty(), "no reference model has layer norm");
}

#[test]
fn logits_about_blocks_are_those_of_the_tensor_library() {
    for (max_hops, config) in configs().into_iter().filter(|(max_hops, _)| *max_hops > 0) {
        let batch = BlockBatch::single(&graphs(max_hops));
        let networks =
            PardNetworks::read(&config, &parameters(&config), &Device::flex(), DType::F64).unwrap();
        let fused = fused(&config, 2, Instructions::Detect);
        let rows: std::cell::RefCell<[Vec<Vec<f64>>; 2]> = Default::default();
        let choose = |engine: usize| {
            let rows = &rows;
            move |row: usize, logits: &[f64]| {
                rows.borrow_mut()[engine].push(logits.to_vec());
                // Some class, the same for both.
                (row + 1) % logits.len()
            }
        };
        let expected = networks.next_blocks(&batch, None, choose(0), choose(0)).unwrap();
        let found = fused.next_blocks(&batch, None, choose(1), choose(1)).unwrap();
        assert_eq!(found, expected);
        let sizes = [1, 3, 2];
        let first = networks.first_degree(&sizes).unwrap().try_into_vec_as::<f64>().unwrap();
        let [mut expected, mut found] = rows.into_inner();
        expected.extend(first.chunks(config.block_degrees).map(<[f64]>::to_vec));
        found.extend(fused.first_degree(&sizes).unwrap());
        let error = largest_difference(&[found, vec![]], &[expected, vec![]]);
        assert!(error < 1e-5, "{error:e}, {config:?}");
    }
}

#[test]
fn losses_and_gradients_are_those_of_the_tensor_library() {
    for (max_hops, config) in configs() {
        let (diffusion, graphs, parameters) = (diffusion(), graphs(max_hops), parameters(&config));
        let burn = || BlockDenoising::new(&config, &diffusion, LOSS, &graphs, 5, &Device::flex()).unwrap();
        let examples = [0, 1, 2, 1];
        let expected = burn().evaluate(&parameters, &examples, 4).unwrap();
        let mut fused = burn().fused(threads(2)).unwrap();
        let found = fused.evaluate(&parameters, &examples, 4).unwrap();
        assert_eq!(fused.evaluate_losses(&parameters, &examples, 4).unwrap(), found.losses);
        for (found, expected) in found.losses.iter().zip(&expected.losses) {
            assert!((found - expected).abs() < 1e-5 * expected.abs(), "{found} is not {expected}");
        }
        let scale = |set: &ParameterSet| {
            let all = set.values().flat_map(|tensor| tensor.to_f64());
            all.map(|x| x * x).sum::<f64>().sqrt()
        };
        let whole = scale(&expected.gradient);
        assert!(expected.gradient.keys().eq(found.gradient.keys()));
        for (name, expected) in &expected.gradient {
            let found = &found.gradient[name];
            assert_eq!(found.shape, expected.shape, "{name}");
            let pairs = found.to_f64().into_iter().zip(expected.to_f64());
            let error = pairs.map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
            assert!(error < 1e-5 * whole, "{name}: {error:e} of {whole:e}, {config:?}");
        }
    }
}

#[test]
fn neither_company_nor_threads_nor_the_width_of_vectors_changes_a_bit() {
    for (max_hops, config) in configs() {
        let graphs = graphs(max_hops);
        let all = logits(&fused(&config, 1, Instructions::Detect), &graphs, &[3, 20, 11]);
        assert_eq!(all, logits(&fused(&config, 3, Instructions::Detect), &graphs, &[3, 20, 11]));
        if Instructions::Avx2.arch().is_some() && Instructions::Avx512.arch().is_some() {
            let narrow = logits(&fused(&config, 1, Instructions::Avx2), &graphs, &[3, 20, 11]);
            assert!(largest_difference(&all, &narrow) < 1e-6);
        }
        let alone = logits(&fused(&config, 1, Instructions::Detect), &graphs[1..2], &[20]);
        let (_, nodes, pairs) = batch(&graphs);
        for (which, targets) in [nodes, pairs].into_iter().enumerate() {
            let rows = targets.graph.iter().zip(&all[which]).filter(|(graph, _)| **graph == 1);
            assert!(rows.map(|(_, row)| row).eq(&alone[which]));
        }
    }
}

#[test]
fn threads_change_no_bit_of_a_gradient() {
    let (config, diffusion, graphs) = (config(2), diffusion(), graphs(2));
    let parameters = parameters(&config);
    let examples: Vec<usize> = (0..70).map(|at| at % 3).collect();
    let evaluate = |count| {
        let objective = BlockDenoising::new(&config, &diffusion, LOSS, &graphs, 5, &Device::flex()).unwrap();
        objective.fused(threads(count)).unwrap().evaluate(&parameters, &examples, 0).unwrap()
    };
    let (one, three) = (evaluate(1), evaluate(3));
    assert_eq!(one.losses, three.losses);
    assert_eq!(one.gradient, three.gradient);
}

#[test]
fn what_the_engine_does_not_know_is_refused_by_name() {
    let config = NetworkConfig { norm: Norm::Batch, ..config(0) };
    let parameters = ParameterSet::new();
    let refused = FusedNetworks::new(&config, &parameters, threads(1), Instructions::Detect);
    assert!(matches!(refused, Err(PardError::NotFused { what: "batch norm" })));
    let combined = NetworkConfig { tasks: Tasks::Combined, norm: Norm::Layer, ..config };
    assert!(FusedNetworks::missing(&combined).is_some());
    let (config, diffusion, graphs) = (crate::training::config(0), diffusion(), graphs(0));
    let bound = LossWeights { bound: 1.0, cross_entropy: 1.0 };
    let objective = BlockDenoising::new(&config, &diffusion, bound, &graphs, 5, &Device::flex()).unwrap();
    assert!(matches!(objective.fused(threads(1)), Err(PardError::NotFused { .. })));
}
