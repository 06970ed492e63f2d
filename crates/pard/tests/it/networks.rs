//! Encodings, logits, losses and gradients of every reference model.

use std::collections::BTreeMap;

use burn::tensor::{DType, Device};
use equidrift_backend::weights::ParameterSet;
use equidrift_nn::block_mask::causal;
use equidrift_nn::{BatchMoments, Phase};
use equidrift_pard::{
    BlockLogits, DenoiserBatch, DenoisingLoss, NoisyTargets, PardNetworks, Sequence, Tasks, block_loss,
    cycle_features,
};

use crate::reference::{Case, Noisy, cases, host, relative_error};

/// Class of each one-hot row, -1 for zeros.
fn classes(rows: &[f64], width: usize) -> Vec<i32> {
    rows.chunks(width)
        .map(|row| row.iter().position(|x| *x == 1.0).map_or(-1, |class| class as i32))
        .collect()
}

fn whole(numbers: &[f64]) -> Vec<usize> {
    numbers.iter().map(|&x| x as usize).collect()
}

#[test]
fn encodings_masks_targets_and_noise_are_equal() {
    for case in cases() {
        let noisy = case.noisy();
        let config = &case.model.networks;
        let Noisy { clean, batch, .. } = &noisy;
        let n = clean.nodes;
        let blocks: Vec<i32> = case.numbers("in.nodes_blockid").iter().map(|&b| b as i32).collect();
        assert_eq!(clean.block, blocks, "{}", case.name);
        assert_eq!(
            clean.node_class,
            classes(&case.numbers("in.nodes"), config.node_classes),
            "{}",
            case.name
        );
        let flags: Vec<bool> = case.numbers("in.virtual").iter().map(|&flag| flag == 1.0).collect();
        assert_eq!(clean.virtual_nodes, flags, "{}", case.name);
        assert_eq!(clean.sizes, whole(&case.numbers("in.block_size")), "{}", case.name);
        assert_eq!(clean.degrees, whole(&case.numbers("in.block_degree")), "{}", case.name);
        assert_eq!(
            batch.node_class,
            classes(&case.numbers("in.nodes_x_t"), config.node_classes),
            "{}",
            case.name
        );
        if case.has("in.edges") {
            assert_eq!(
                clean.edge_class,
                classes(&case.numbers("in.edges"), config.edge_classes),
                "{}",
                case.name
            );
            let expected = classes(&case.numbers("in.edges_x_t"), config.edge_classes);
            assert_eq!(batch.edge_class, expected, "{}", case.name);
        }
        let indices: Vec<i32> = batch.edge_class.iter().map(|&class| class.max(0)).collect();
        assert_eq!(indices, case.numbers("in.edges_t").iter().map(|&x| x as i32).collect::<Vec<_>>());

        let sees = causal(&clean.block, &clean.virtual_nodes, n);
        let pairs: Vec<f64> = (0..sees.len())
            .map(|at| {
                let (graph, i, j) = (at / (n * n), at / n % n, at % n);
                f64::from(u8::from(sees[at] || sees[(graph * n + j) * n + i]))
            })
            .collect();
        assert_eq!(pairs, case.numbers("mask.edge"), "{}", case.name);
        if config.sequence == Sequence::Doubled {
            let sees: Vec<f64> = sees.iter().map(|&sees| f64::from(u8::from(sees))).collect();
            assert_eq!(sees, case.numbers("mask.causal"), "{}", case.name);
        }
        for (targets, mask) in [(&noisy.nodes, "mask.target_node"), (&noisy.pairs, "mask.target_edge")] {
            let set = case
                .numbers(mask)
                .iter()
                .enumerate()
                .filter(|(_, x)| **x == 1.0)
                .map(|(at, _)| at)
                .collect::<Vec<_>>();
            assert_eq!(targets.place, set, "{} {mask}", case.name);
        }
    }
}

#[test]
fn cycles_are_counted_as_recorded() {
    for case in cases().iter().filter(|case| case.has("in.structure.cycles")) {
        let noisy = case.noisy();
        for (batch, name) in [(&noisy.batch, "cycles"), (&noisy.asked, "cycles_block")] {
            let expected = case.numbers(&format!("in.structure.{name}"));
            let error = relative_error(&cycle_features(batch), &expected);
            assert!(error <= 1e-7, "{} {name}: {error:.1e}", case.name);
        }
    }
}

/// What a pass over a case gives.
struct Pass {
    nodes: Vec<f64>,
    /// `[B, N, N, C]`.
    pairs: Vec<f64>,
    blocks: BlockNumbers,
    /// Total, node bound, node cross-entropy, edge bound, edge cross-entropy, blocks.
    losses: [f64; 6],
    gradients: ParameterSet,
    moments: BatchMoments,
}

struct BlockNumbers {
    size: Vec<f64>,
    degree: Vec<f64>,
    first_degree: Vec<f64>,
}

fn block_numbers(logits: BlockLogits) -> BlockNumbers {
    BlockNumbers {
        size: host(logits.size.inner()),
        degree: host(logits.degree.inner()),
        first_degree: host(logits.first_degree.inner()),
    }
}

fn pass(case: &Case, noisy: &Noisy, dtype: DType, training: bool) -> Pass {
    let model = &case.model;
    let device = Device::flex().autodiff();
    let networks = PardNetworks::read(&model.networks, &model.parameters, &device, dtype).unwrap();
    let moments = BatchMoments::default();
    let phase = if training { Phase::Training(&moments) } else { Phase::Evaluation };
    let combined = model.networks.tasks == Tasks::Combined;
    let questions = noisy.batch.questions();
    let input = DenoiserBatch {
        batch: &noisy.batch,
        times: &noisy.times,
        steps: model.diffusion.nodes.steps(),
        mean: model.networks.training_mean(),
        structure: noisy.structure.as_ref(),
        questions: combined.then_some(&questions),
    };
    let (logits, blocks) = networks.denoise(&input, phase).unwrap();
    let (blocks, of_blocks) = match blocks {
        Some(blocks) => (blocks.clone(), block_loss(blocks, &noisy.batch, &questions)),
        None => {
            let asked = &noisy.asked_structure;
            let blocks = networks.ask(&noisy.asked, &noisy.questions, asked.as_ref(), phase).unwrap();
            (blocks.clone(), block_loss(blocks, &noisy.asked, &noisy.questions))
        }
    };
    let loss = DenoisingLoss::new(
        &model.diffusion,
        logits.clone(),
        &noisy.times,
        NoisyTargets { targets: &noisy.nodes, noisy: &noisy.noisy_nodes },
        NoisyTargets { targets: &noisy.pairs, noisy: &noisy.noisy_pairs },
    );
    let total = loss.total(model.cross_entropy_weight);
    let number = |scalar: &burn::tensor::Tensor<1>| host(scalar.clone().inner())[0];
    let mut losses = [
        number(&total),
        number(&loss.node_bound),
        number(&loss.node_cross_entropy),
        number(&loss.edge_bound),
        number(&loss.edge_cross_entropy),
        number(&of_blocks),
    ];
    if combined {
        losses[0] += losses[5];
    }
    let gradients = if training {
        networks.gradients(&mut (total + of_blocks).backward()).unwrap()
    } else {
        ParameterSet::new()
    };
    Pass {
        nodes: host(logits.nodes.inner()),
        pairs: host(logits.pairs.inner().permute([0, 2, 3, 1])),
        blocks: block_numbers(blocks),
        losses,
        gradients,
        moments,
    }
}

/// The rows of `[rows, width]` that are asked about.
fn asked(values: &[f64], flags: &[bool]) -> Vec<f64> {
    let width = values.len() / flags.len();
    values.chunks(width).zip(flags).filter(|(_, asked)| **asked).flat_map(|(row, _)| row).copied().collect()
}

/// Allowed relative errors of logits, losses and gradient norms.
struct Allowed {
    logits: f64,
    losses: f64,
    gradients: f64,
}

fn compare(dtype: DType, allowed: &Allowed) {
    for case in cases() {
        let noisy = case.noisy();
        for training in [true, false] {
            let phase = if training { "train" } else { "eval" };
            let found = pass(&case, &noisy, dtype, training);
            let name = &case.name;
            let expected = |what: &str| case.numbers(&format!("out64.{phase}.{what}"));
            let mut worst = 0.0_f64;
            let mut check = |what: &str, found: &[f64], expected: &[f64], allowed: f64| {
                let error = relative_error(found, expected);
                assert!(error <= allowed, "{name} {phase} {what} in {dtype:?}: relative error {error:.1e}");
                worst = worst.max(error);
            };
            check("nodes", &found.nodes, &expected("node_logit"), allowed.logits);
            check("pairs", &found.pairs, &expected("edge_logit"), allowed.logits);
            let losses = expected("loss");
            for (which, expected) in losses.iter().enumerate() {
                check("loss", &[found.losses[which]], &[*expected], allowed.losses);
            }
            if case.has(&format!("out64.{phase}.block.loss")) {
                check("block loss", &[found.losses[5]], &expected("block.loss"), allowed.losses);
            }
            if case.has(&format!("out64.{phase}.block.size_logit")) {
                let flags: Vec<bool> = if case.model.networks.tasks == Tasks::Combined {
                    noisy.batch.questions().last_block.iter().map(Option::is_some).collect()
                } else {
                    noisy.questions.last_block.iter().map(Option::is_some).collect()
                };
                for (what, found) in
                    [("size_logit", &found.blocks.size), ("degree_logit", &found.blocks.degree)]
                {
                    let expected = expected(&format!("block.{what}"));
                    check(what, &asked(found, &flags), &asked(&expected, &flags), allowed.logits);
                }
                let expected = expected("block.first_degree_logit");
                check("first degree", &found.blocks.first_degree, &expected, allowed.logits);
            }
            print!("{name} {phase} {dtype:?}: outputs and losses {worst:.1e}");
            if training {
                gradients(&case, &found, allowed.gradients);
            } else {
                println!();
            }
        }
    }
}

fn norm<'a>(values: impl IntoIterator<Item = &'a f64>) -> f64 {
    values.into_iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn gradients(case: &Case, found: &Pass, allowed: f64) {
    let norms: BTreeMap<&str, f64> = case
        .golden
        .tensors
        .iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix("gradnorm.")?, tensor.to_f64()[0])))
        .collect();
    let whole = norm(norms.values());
    // Some gradients are zero by symmetry (a bias before a softmax): what is left of them is rounding.
    let negligible = 1e-2 * allowed * whole;
    let (mut worst, mut compared, mut wrong) = (0.0_f64, 0, Vec::new());
    for (name, expected) in &norms {
        let gradient = found.gradients.get(*name).map(|tensor| tensor.to_f64()).unwrap_or_default();
        let length = norm(&gradient);
        let error = (length - expected).abs();
        if error > allowed * expected + negligible {
            wrong.push(format!("{name}: norm {length:e} instead of {expected:e}"));
        }
        if *expected > negligible {
            worst = worst.max(error / expected);
        }
        if case.has(&format!("grad.{name}")) {
            let full = case.numbers(&format!("grad.{name}"));
            let difference: Vec<f64> = gradient.iter().zip(&full).map(|(g, e)| g - e).collect();
            assert_eq!(gradient.len(), full.len(), "{name}");
            assert!(
                norm(&difference) <= allowed * expected + negligible,
                "{}: gradient of {name}",
                case.name
            );
            compared += 1;
        }
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", case.name);
    for name in found.gradients.keys() {
        assert!(norms.contains_key(name.as_str()), "{}: gradient of {name} has no reference", case.name);
    }
    let mut parameters = case.model.parameters.clone();
    found.moments.update(&mut parameters).unwrap();
    let mut moments = 0;
    for (name, tensor) in &case.golden.tensors {
        let Some(name) = name.strip_prefix("after1.").filter(|name| name.contains("running_")) else {
            continue;
        };
        let error = relative_error(&parameters[name].to_f64(), &tensor.to_f64());
        assert!(error <= 1e-5, "{}: {name} {error:.1e}", case.name);
        moments += 1;
    }
    println!(
        "; {} gradient norms {worst:.1e}, {compared} whole gradients, {moments} running moments",
        norms.len()
    );
}

#[test]
fn double_precision() {
    compare(DType::F64, &Allowed { logits: 1e-10, losses: 1e-10, gradients: 1e-8 });
}

#[test]
fn single_precision() {
    compare(DType::F32, &Allowed { logits: 1e-5, losses: 1e-4, gradients: 1e-4 });
}
