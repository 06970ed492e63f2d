//! A bound of the negative log-likelihood of graphs.
//!
//! ```text
//! -log p(G) <= -log p(size_0) p(degree_0 | size_0) - sum over blocks b log p(size_{b+1} | blocks 0..b) p(degree_{b+1} | size_{b+1}, ..)
//!              + sum over nodes and pairs of [ KL(q(x_T | x_0) || m) + sum over t = 1..T of E_{q(x_t | x_0)} L_t ]
//! ```
//!
//! with `L_t = KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t))` for t > 1 and `L_1 = -log p(x_0 | x_1)` (Austin et al.,
//! "D3PM", NeurIPS 2021, equation 1). p is the law that [generation](crate::generation) draws from; so at t = 1 the
//! virtual class is excluded. The last block's size is followed by the size 0, which has no degree. The expectation
//! over `x_t` is estimated from one draw for every element and every t: all terms of the sum over t are computed, none
//! is picked at random.
//!
//! The graphs are given with their nodes sorted by block, an order that does not depend on their numbering; and so does
//! the bound not, if the draws belong to the nodes and not to their places.
//!
//! Cost: T evaluations of the denoiser and one of the block model.

use equidrift_nn::{PairMean, Phase};
use equidrift_sampler::CategoricalDiffusion;

use crate::block_batch::{BlockBatch, BlockQuestions, Targets};
use crate::block_graph::BlockGraph;
use crate::class_law::{log_softmax, possible};
use crate::corruption::CorruptionDraw;
use crate::denoising_loss::GraphDiffusion;
use crate::error::PardError;
use crate::heads::{BlockLogits, rows_on_host};
use crate::networks::{DenoiserBatch, PardNetworks};

/// How the networks are shown the blocks. The bound is the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Presentation {
    /// All blocks of a graph in one pass, as in training.
    #[default]
    Parallel,
    /// Each block in a row of its own, as in generation.
    BlockByBlock,
}

/// A bound of -log p of one graph, in nats, by parts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LikelihoodBound {
    /// Sizes and degrees of blocks.
    pub blocks: f64,
    /// What the noise at step T still tells of the data.
    pub prior: f64,
    /// The steps of the nodes' diffusion.
    pub nodes: f64,
    /// The steps of the pairs' diffusion.
    pub pairs: f64,
}

impl LikelihoodBound {
    /// The bound.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.blocks + self.prior + self.nodes + self.pairs
    }
}

/// What a draw is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LikelihoodDraw {
    /// The class of a node at step t.
    Node {
        /// The graph.
        graph: usize,
        /// Its number among the graph's sorted nodes.
        node: usize,
        /// t.
        t: usize,
    },
    /// The class of a pair i > j at step t.
    Pair {
        /// The graph.
        graph: usize,
        /// i and j.
        pair: (usize, usize),
        /// t.
        t: usize,
    },
}

/// Bounds of -log p of graphs under networks of [doubled](crate::Sequence::Doubled) sequences; `first_sizes` are the
/// frequencies of the sizes (0, 1, ...) of first blocks. A graph whose first size never occurs has an infinite bound.
///
/// # Errors
/// [`PardError::Unknown`] for classes, sizes and degrees that the networks do not know, [`PardError::NoBlockModel`] for a
/// denoiser alone and graphs of more than one block, [`PardError::MissingInput`] for networks on prefixes,
/// [`PardError::Device`].
pub fn likelihood_bounds(
    networks: &PardNetworks,
    diffusion: &GraphDiffusion,
    first_sizes: &[f64],
    graphs: &[BlockGraph],
    presentation: Presentation,
    draw: &mut dyn FnMut(LikelihoodDraw) -> CorruptionDraw,
) -> Result<Vec<LikelihoodBound>, PardError> {
    let mut bounds = block_terms(networks, first_sizes, graphs, presentation)?;
    let (clean, graph_of_row) = match presentation {
        // A graph of one block is its own virtual copy.
        Presentation::Parallel if !networks.has_block_heads() => {
            (BlockBatch::for_training(graphs), (0..graphs.len()).collect())
        }
        Presentation::Parallel => (BlockBatch::doubled(graphs), (0..graphs.len()).collect()),
        Presentation::BlockByBlock => BlockBatch::steps_of_generation(graphs),
    };
    let (nodes, pairs) = match presentation {
        Presentation::Parallel if networks.has_block_heads() => clean.targets_of_copies(),
        Presentation::Parallel => clean.training_targets(),
        Presentation::BlockByBlock => clean.targets_of_virtual_nodes(),
    };
    for (targets, diffusion) in [(&nodes, &diffusion.nodes), (&pairs, &diffusion.edges)] {
        let priors: Vec<f64> = (0..diffusion.classes()).map(|class| diffusion.prior(class)).collect();
        for (&row, &class) in targets.graph.iter().zip(&targets.clean) {
            bounds[graph_of_row[row]].prior += priors[class];
        }
    }
    let mut batch = clean.clone();
    for t in 1..=diffusion.nodes.steps() {
        let mut corrupt = |diffusion: &CategoricalDiffusion,
                           targets: &Targets,
                           of: &dyn Fn(usize, (usize, usize)) -> LikelihoodDraw| {
            let elements = targets.graph.iter().zip(&targets.element).zip(&targets.clean);
            let noisy = elements.map(|((&row, &element), &class)| {
                let CorruptionDraw { redraw, keep } = draw(of(graph_of_row[row], element));
                diffusion.corrupt(t, class, redraw, keep)
            });
            noisy.collect::<Vec<usize>>()
        };
        let as_node = |graph, (node, _)| LikelihoodDraw::Node { graph, node, t };
        let noisy_nodes = corrupt(&diffusion.nodes, &nodes, &as_node);
        let as_pair = |graph, pair| LikelihoodDraw::Pair { graph, pair, t };
        let noisy_pairs = corrupt(&diffusion.edges, &pairs, &as_pair);
        batch.set_nodes(&nodes, &noisy_nodes);
        batch.set_pairs(&pairs, &noisy_pairs);
        let input = DenoiserBatch {
            batch: &batch,
            times: &vec![t; batch.batch],
            steps: diffusion.nodes.steps(),
            mean: PairMean::All,
            structure: None,
            questions: None,
        };
        let (logits, _) = networks.denoise(&input, Phase::Evaluation)?;
        let [node_rows, pair_rows] = logits.at(&nodes, &pairs)?;
        let terms =
            |diffusion: &CategoricalDiffusion, targets: &Targets, noisy: &[usize], rows: &[Vec<f64>]| {
                let mut terms = vec![0.0; graphs.len()];
                for (at, logits) in rows.iter().enumerate() {
                    let log_clean = log_softmax(logits, possible(logits, t));
                    let term = diffusion.bound_term(t, noisy[at], targets.clean[at], &log_clean);
                    terms[graph_of_row[targets.graph[at]]] += term;
                }
                terms
            };
        let of_nodes = terms(&diffusion.nodes, &nodes, &noisy_nodes, &node_rows);
        let of_pairs = terms(&diffusion.edges, &pairs, &noisy_pairs, &pair_rows);
        for ((bound, nodes), pairs) in bounds.iter_mut().zip(of_nodes).zip(of_pairs) {
            bound.nodes += nodes;
            bound.pairs += pairs;
        }
    }
    Ok(bounds)
}

/// -log p of the sizes and degrees of blocks.
fn block_terms(
    networks: &PardNetworks,
    first_sizes: &[f64],
    graphs: &[BlockGraph],
    presentation: Presentation,
) -> Result<Vec<LikelihoodBound>, PardError> {
    let total: f64 = first_sizes.iter().sum();
    let first_size = |size: usize| -libm::log(first_sizes.get(size).copied().unwrap_or(0.0) / total);
    if !networks.has_block_heads() {
        let of = |graph: &BlockGraph| match graph.sizes.as_slice() {
            [size] => Ok(LikelihoodBound { blocks: first_size(*size), ..LikelihoodBound::default() }),
            _ => Err(PardError::NoBlockModel),
        };
        return graphs.iter().map(of).collect();
    }
    let (batch, questions, graph_of_row): (BlockBatch, BlockQuestions, Vec<usize>) = match presentation {
        Presentation::Parallel => {
            let batch = BlockBatch::single(graphs);
            let questions = batch.questions();
            (batch, questions, (0..graphs.len()).collect())
        }
        Presentation::BlockByBlock => {
            let rows = graphs.iter().enumerate();
            let rows = rows.flat_map(|(row, graph)| std::iter::repeat_n(row, graph.sizes.len()));
            (BlockBatch::prefixes(graphs), BlockBatch::questions_of_prefixes(graphs), rows.collect())
        }
    };
    let BlockLogits { size, degree, first_degree } =
        networks.ask(&batch, &questions, None, Phase::Evaluation)?;
    let (sizes, degrees) =
        (rows_on_host(size, "logits of sizes")?, rows_on_host(degree, "logits of degrees")?);
    let first_degrees = rows_on_host(first_degree, "logits of first degrees")?;
    let mut bounds = vec![LikelihoodBound::default(); graphs.len()];
    let surprise = |logits: &[f64], class: usize| -log_softmax(logits, logits.len())[class];
    for (row, &graph) in graph_of_row.iter().enumerate() {
        let bound = &mut bounds[graph].blocks;
        if questions.counts_first[row] {
            let (size, degree) = batch.first_block(row);
            *bound += surprise(&first_degrees[row], degree) + first_size(size);
        }
        for at in row * questions.per_graph..(row + 1) * questions.per_graph {
            if questions.last_block[at].is_none() {
                continue;
            }
            *bound += surprise(&sizes[at], questions.next_size[at]);
            if questions.next_size[at] > 0 {
                *bound += surprise(&degrees[at], questions.next_degree[at]);
            }
        }
    }
    Ok(bounds)
}
