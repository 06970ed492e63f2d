//! What must hold whatever the weights are: nothing of a later block reaches an earlier one, one pass over all blocks is as many
//! passes over one, and the numbering of nodes plays no part.

use burn::tensor::{DType, Device};
use equidrift_nn::{PairMean, Phase};
use equidrift_pard::{
    BlockBatch, DenoiserBatch, PardNetworks, ResidualOf, Sequence, TimeEmbedding, initial_parameters,
};

use crate::reference::{Case, Noisy, cases, host, relative_error};
use crate::training;

fn doubled() -> impl Iterator<Item = Case> {
    cases().into_iter().filter(|case| case.model.networks.sequence == Sequence::Doubled)
}

/// Node logits `[B, N, C]` and pair logits `[B, N, N, C]`, of the published or of the repaired configuration.
fn logits(case: &Case, batch: &BlockBatch, times: &[usize], repaired: bool) -> (Vec<f64>, Vec<f64>) {
    let mut config = case.model.networks.clone();
    if repaired {
        (config.time, config.residual) = (TimeEmbedding::Sinusoid, ResidualOf::Input);
    }
    let networks = PardNetworks::read(&config, &case.model.parameters, &Device::flex(), DType::F32).unwrap();
    let steps = case.model.diffusion.nodes.steps();
    let input = DenoiserBatch { batch, times, steps, mean: PairMean::All, structure: None, questions: None };
    let (logits, _) = networks.denoise(&input, Phase::Evaluation).unwrap();
    (host(logits.nodes), host(logits.pairs.permute([0, 2, 3, 1])))
}

/// Whether nothing but the last blocks of a batch's graphs changes, in any bit, with the classes of their nodes and pairs.
fn assert_the_last_block_is_not_seen(
    name: &str,
    batch: &BlockBatch,
    logits: impl Fn(&BlockBatch) -> (Vec<f64>, Vec<f64>),
) {
    let n = batch.nodes;
    let (before_nodes, before_pairs) = logits(batch);
    let mut changed = batch.clone();
    let last = |graph: usize| batch.block[graph * n..][..n].iter().copied().max().unwrap();
    let is_last = |at: usize| batch.block[at] == last(at / n);
    for at in (0..batch.batch * n).filter(|&at| is_last(at)) {
        changed.node_class[at] = (batch.node_class[at] + 1) % 2;
        for other in (at / n * n..(at / n + 1) * n).filter(|&other| other != at) {
            if batch.block[other] >= 0 {
                changed.edge_class[at * n + other % n] = 1;
                changed.edge_class[other * n + at % n] = 1;
            }
        }
    }
    assert_ne!(&changed, batch);
    let (nodes, pairs) = logits(&changed);
    let (width, pair_width) = (nodes.len() / (batch.batch * n), pairs.len() / (batch.batch * n * n));
    let mut influenced = false;
    for at in 0..batch.batch * n {
        let same = nodes[at * width..][..width] == before_nodes[at * width..][..width];
        influenced |= !same;
        assert!(same || is_last(at), "{name}: node {at}");
        for j in 0..n {
            let pair = (at * n + j) * pair_width;
            let same = pairs[pair..][..pair_width] == before_pairs[pair..][..pair_width];
            assert!(same || is_last(at) || is_last(at / n * n + j), "{name}: pair {at} {j}");
        }
    }
    assert!(influenced, "{name}: the change was not seen at all");
}

#[test]
fn a_later_block_leaves_earlier_outputs_bit_identical() {
    for case in doubled() {
        let Noisy { batch, times, .. } = case.noisy();
        for repaired in [false, true] {
            assert_the_last_block_is_not_seen(&case.name, &batch, |batch| {
                logits(&case, batch, &times, repaired)
            });
        }
    }
}

#[test]
fn walks_and_sizes_of_blocks_tell_nothing_of_a_later_block() {
    let (config, graphs) = (training::config(2), training::graphs(2));
    let parameters = initial_parameters(&config, 8).unwrap();
    let networks = PardNetworks::read(&config, &parameters, &Device::flex(), DType::F32).unwrap();
    let mut batch = BlockBatch::doubled(&graphs);
    let (nodes, pairs) = batch.targets_of_copies();
    batch.set_nodes(&nodes, &nodes.clean);
    batch.set_pairs(&pairs, &pairs.clean);
    let times = vec![3; graphs.len()];
    assert_the_last_block_is_not_seen("walks", &batch, |batch| {
        let input = DenoiserBatch {
            batch,
            times: &times,
            steps: 20,
            mean: PairMean::All,
            structure: None,
            questions: None,
        };
        let (logits, _) = networks.denoise(&input, Phase::Evaluation).unwrap();
        (host(logits.nodes), host(logits.pairs.permute([0, 2, 3, 1])))
    });
}

/// The graphs of row `graph` of a doubled batch up to `block`, with that block's copies instead of its nodes.
fn one_block(batch: &BlockBatch, graph: usize, block: i32) -> (BlockBatch, Vec<usize>) {
    let n = batch.nodes;
    let kept: Vec<usize> = (graph * n..(graph + 1) * n)
        .filter(|&at| {
            let copy = batch.virtual_nodes[at];
            (0..block).contains(&batch.block[at]) && !copy || batch.block[at] == block && copy
        })
        .collect();
    let mut alone = BlockBatch::empty(kept.len(), batch.blocks);
    alone.add_row();
    for (i, &at) in kept.iter().enumerate() {
        alone.node_class[i] = batch.node_class[at];
        alone.block[i] = batch.block[at];
        alone.virtual_nodes[i] = batch.virtual_nodes[at];
        for (j, &other) in kept.iter().enumerate() {
            alone.edge_class[i * kept.len() + j] = batch.edge_class[at * n + other % n];
        }
    }
    alone.sizes.copy_from_slice(&batch.sizes[graph * batch.blocks..][..batch.blocks]);
    alone.degrees.copy_from_slice(&batch.degrees[graph * batch.blocks..][..batch.blocks]);
    (alone, kept)
}

#[test]
fn one_pass_over_all_blocks_is_a_pass_over_each() {
    let mut worst = 0.0_f64;
    for case in doubled() {
        let Noisy { batch, times, .. } = case.noisy();
        let n = batch.nodes;
        let (nodes, pairs) = logits(&case, &batch, &times, true);
        let (width, pair_width) = (nodes.len() / (batch.batch * n), pairs.len() / (batch.batch * n * n));
        for (graph, &time) in times.iter().enumerate() {
            for block in
                0..batch.sizes[graph * batch.blocks..][..batch.blocks].iter().filter(|s| **s > 0).count()
            {
                let (alone, kept) = one_block(&batch, graph, block as i32);
                let (of_nodes, of_pairs) = logits(&case, &alone, &[time], true);
                let (mut found, mut expected) = (Vec::new(), Vec::new());
                for (i, &at) in kept.iter().enumerate().filter(|(_, at)| batch.virtual_nodes[**at]) {
                    found.extend(&nodes[at * width..][..width]);
                    expected.extend(&of_nodes[i * width..][..width]);
                    for (j, &other) in kept.iter().enumerate() {
                        found.extend(&pairs[(at * n + other % n) * pair_width..][..pair_width]);
                        expected.extend(&of_pairs[(i * kept.len() + j) * pair_width..][..pair_width]);
                    }
                }
                worst = worst.max(relative_error(&found, &expected));
            }
        }
    }
    println!("largest difference {worst:.1e}");
    assert!(worst <= 1e-5, "{worst:.1e}");
}
