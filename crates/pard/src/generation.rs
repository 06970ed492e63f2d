//! Generation: block by block, each block by reverse diffusion given the blocks before it.
//!
//! Zhao, Ding & Akoglu, "Pard", NeurIPS 2024, algorithm 3. For every block:
//!
//! 1. the nodes of the block and their pairs with one another and with all earlier nodes get classes from the noise distribution;
//! 2. for t = T..2: `f` = softmax of the denoiser's logits, new classes from p(x_{t-1} | x_t); at t = 1 the last, virtual class is
//!    excluded and the classes are drawn from f itself;
//! 3. the block model draws the size of the next block (0: the graph is finished) and its degree.
//!
//! Finished graphs leave the batch. Cost per graph: T evaluations of the denoiser and one of the block model for each block.

use burn::tensor::Tensor;
use equidrift_nn::{PairMean, Phase};
use equidrift_sampler::{CategoricalDiffusion, draw_class};

use crate::block_batch::{BlockBatch, Targets};
use crate::block_graph::{BlockGraph, pair_index};
use crate::denoising_loss::GraphDiffusion;
use crate::draws::{Draws, Purpose, Question};
use crate::error::PardError;
use crate::inputs::index;
use crate::networks::{DenoiserBatch, PardNetworks, rows_on_host};

/// What becomes of a graph that is not finished after the last round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unfinished {
    /// It is returned as it is.
    #[default]
    Whole,
    /// Only its blocks up to the number (size of its first block) are, as in the published programme.
    CutAtFirstSize,
}

/// How graphs are generated.
#[derive(Debug, Clone, Copy)]
pub struct Generation<'a> {
    /// The networks, on a device without automatic differentiation.
    pub networks: &'a PardNetworks,
    /// The diffusions, in the steps of generation.
    pub diffusion: &'a GraphDiffusion,
    /// How often each size (0, 1, ...) of a first block occurs.
    pub first_sizes: &'a [f64],
    /// Blocks at most.
    pub max_blocks: usize,
    /// Nodes at most: a block that would go beyond is not begun, and its graph counts as unfinished. The memory of a batch is that of
    /// its pairs, `B N^2` times a few hundred numbers.
    pub max_nodes: usize,
    /// What becomes of unfinished graphs.
    pub unfinished: Unfinished,
}

/// A graph that was generated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedGraph {
    /// The graph; blocks and degrees as they were drawn.
    pub graph: BlockGraph,
    /// Whether the block model ended it.
    pub finished: bool,
}

/// A graph while it grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growing {
    /// What there is; the nodes of the block that is being generated are the last.
    pub graph: BlockGraph,
    /// Whether the block model ended it.
    pub finished: bool,
    /// Whether it grows no more though it is not finished.
    stopped: bool,
}

/// What an observer is told after a round.
#[derive(Debug)]
pub struct Round<'a> {
    /// The block that was generated.
    pub round: usize,
    /// All graphs, those that were finished before too.
    pub graphs: &'a [Growing],
}

impl Growing {
    /// Appends a block of nodes without classes.
    fn append(&mut self, size: usize, degree: usize) {
        let block = self.graph.sizes.len();
        let nodes = self.graph.nodes() + size;
        self.graph.sizes.push(size);
        self.graph.degrees.push(degree);
        self.graph.block.resize(nodes, block);
        self.graph.node_classes.resize(nodes, 0);
        self.graph.pair_classes.resize(nodes * nodes.saturating_sub(1) / 2, 0);
    }

    fn grows(&self) -> bool {
        !self.finished && !self.stopped
    }
}

impl Generation<'_> {
    /// Generates `graphs` graphs, all in one batch; `observe` is told of every round.
    ///
    /// # Errors
    /// [`PardError::Unknown`] for a first size that the networks do not know, [`PardError::MissingInput`] for networks on prefixes (they
    /// need features of the structure), [`PardError::Device`].
    pub fn run(
        &self,
        graphs: usize,
        draws: &mut dyn Draws,
        observe: &mut dyn FnMut(&Round<'_>),
    ) -> Result<Vec<GeneratedGraph>, PardError> {
        let mut growing = self.first_blocks(graphs, draws)?;
        for round in 0..self.max_blocks {
            let active: Vec<usize> = (0..graphs).filter(|&graph| growing[graph].grows()).collect();
            if active.is_empty() {
                break;
            }
            self.denoise_blocks(&mut growing, &active, round, draws)?;
            observe(&Round { round, graphs: &growing });
            self.append_blocks(&mut growing, &active, round, draws)?;
        }
        Ok(growing.into_iter().map(|growing| self.finish(growing)).collect())
    }

    fn first_blocks(&self, graphs: usize, draws: &mut dyn Draws) -> Result<Vec<Growing>, PardError> {
        let question = |graph, purpose| Question { graph, round: 0, purpose, rank: 0, element: (0, 0) };
        let sizes: Vec<usize> = (0..graphs)
            .map(|graph| draw_class(self.first_sizes, draws.uniform(&question(graph, Purpose::FirstSize))))
            .collect();
        let logits = rows_on_host(self.networks.first_degree(&sizes)?, "logits of first degrees")?;
        let mut growing = Vec::with_capacity(graphs);
        for (graph, (&size, logits)) in sizes.iter().zip(&logits).enumerate() {
            let u = draws.uniform(&question(graph, Purpose::FirstDegree));
            let empty = BlockGraph {
                node_classes: Vec::new(),
                pair_classes: Vec::new(),
                block: Vec::new(),
                sizes: Vec::new(),
                degrees: Vec::new(),
            };
            let mut first = Growing { graph: empty, finished: size == 0, stopped: size > self.max_nodes };
            if first.grows() {
                first.append(size, draw_class(&softmax(logits, logits.len()), u));
            }
            growing.push(first);
        }
        Ok(growing)
    }

    /// Classes for the last blocks of the active graphs.
    fn denoise_blocks(
        &self,
        growing: &mut [Growing],
        active: &[usize],
        round: usize,
        draws: &mut dyn Draws,
    ) -> Result<(), PardError> {
        let graphs: Vec<BlockGraph> = active.iter().map(|&graph| growing[graph].graph.clone()).collect();
        let mut batch = BlockBatch::single(&graphs);
        let n = batch.nodes;
        for (row, graph) in graphs.iter().enumerate() {
            let last = graph.sizes.len() - 1;
            for (i, _) in graph.block.iter().enumerate().filter(|(_, block)| **block == last) {
                batch.virtual_nodes[row * n + i] = true;
            }
        }
        let (nodes, pairs) = batch.targets_of_virtual_nodes();
        let question = |purpose,
                        targets: &Targets,
                        at: usize,
                        element: fn(usize, usize) -> (usize, usize)| {
            let graph = active[targets.graph[at]];
            Question { graph, round, purpose, rank: targets.rank[at], element: element(targets.place[at], n) }
        };
        let as_node: fn(usize, usize) -> (usize, usize) = |place, n| (place % n, 0);
        let as_pair: fn(usize, usize) -> (usize, usize) = |place, n| (place / n % n, place % n);
        let GraphDiffusion { nodes: of_nodes, edges: of_edges } = self.diffusion;
        let mut initial = |purpose, targets: &Targets, noise: &[f64], element| -> Vec<usize> {
            let question = |at| question(purpose, targets, at, element);
            (0..targets.len()).map(|at| draw_class(noise, draws.uniform(&question(at)))).collect()
        };
        let mut node_classes = initial(Purpose::InitialNode, &nodes, of_nodes.noise(), as_node);
        let mut pair_classes = initial(Purpose::InitialPair, &pairs, of_edges.noise(), as_pair);

        for t in (1..=of_nodes.steps()).rev() {
            batch.set_nodes(&nodes, &node_classes);
            batch.set_pairs(&pairs, &pair_classes);
            let input = DenoiserBatch {
                batch: &batch,
                times: &vec![t; active.len()],
                steps: of_nodes.steps(),
                mean: PairMean::All,
                structure: None,
                questions: None,
            };
            let (logits, _) = self.networks.denoise(&input, Phase::Evaluation)?;
            let [_, c, _, _] = logits.pairs.dims();
            let pair_rows = logits.pairs.permute([0, 2, 3, 1]).reshape([active.len(), n * n, c]);
            let mut step = |diffusion: &CategoricalDiffusion,
                            rows: Tensor<3>,
                            targets: &Targets,
                            purpose,
                            element,
                            noisy: &mut [usize]| {
                let rows = self.target_rows(rows, targets)?;
                for (at, logits) in rows.iter().enumerate() {
                    let law = reverse_law(diffusion, t, noisy[at], logits);
                    noisy[at] = draw_class(&law, draws.uniform(&question(purpose, targets, at, element)));
                }
                Ok::<_, PardError>(())
            };
            step(of_nodes, logits.nodes, &nodes, Purpose::Node { t }, as_node, &mut node_classes)?;
            step(of_edges, pair_rows, &pairs, Purpose::Pair { t }, as_pair, &mut pair_classes)?;
        }
        for (at, &class) in node_classes.iter().enumerate() {
            let graph = &mut growing[active[nodes.graph[at]]].graph;
            graph.node_classes[as_node(nodes.place[at], n).0] = class;
        }
        for (at, &class) in pair_classes.iter().enumerate() {
            let (i, j) = as_pair(pairs.place[at], n);
            growing[active[pairs.graph[at]]].graph.pair_classes[pair_index(i, j)] = class;
        }
        Ok(())
    }

    /// Logits `[B, places, C]` at the targets, on the host.
    fn target_rows(&self, logits: Tensor<3>, targets: &Targets) -> Result<Vec<Vec<f64>>, PardError> {
        if targets.is_empty() {
            return Ok(Vec::new());
        }
        let [b, places, c] = logits.dims();
        let wanted = targets.place.iter().map(|&place| place as i64).collect();
        let rows = logits.reshape([b * places, c]).select(0, index(wanted, self.networks.device()));
        rows_on_host(rows.reshape([1, targets.len(), c]), "logits of classes")
    }

    /// The next blocks of the active graphs, or their ends.
    fn append_blocks(
        &self,
        growing: &mut [Growing],
        active: &[usize],
        round: usize,
        draws: &mut dyn Draws,
    ) -> Result<(), PardError> {
        let graphs: Vec<BlockGraph> = active.iter().map(|&graph| growing[graph].graph.clone()).collect();
        let batch = BlockBatch::single(&graphs);
        // Both choices draw, one after the other: the source is shared by a cell.
        let draws = std::cell::RefCell::new(draws);
        let choose = |purpose| {
            let draws = &draws;
            move |row: usize, logits: &[f64]| {
                let graph = active[row];
                let question = Question { graph, round, purpose, rank: 0, element: (0, 0) };
                draw_class(&softmax(logits, logits.len()), draws.borrow_mut().uniform(&question))
            }
        };
        let next = self.networks.next_blocks(
            &batch,
            None,
            choose(Purpose::NextSize),
            choose(Purpose::NextDegree),
        )?;
        for (&graph, (size, degree)) in active.iter().zip(next) {
            let graph = &mut growing[graph];
            if size == 0 {
                graph.finished = true;
            } else if round + 1 == self.max_blocks || graph.graph.nodes() + size > self.max_nodes {
                graph.stopped = true;
            } else {
                graph.append(size, degree);
            }
        }
        Ok(())
    }

    fn finish(&self, growing: Growing) -> GeneratedGraph {
        let Growing { mut graph, finished, .. } = growing;
        if !finished && self.unfinished == Unfinished::CutAtFirstSize {
            let blocks = graph.sizes.first().map_or(0, |size| size + 1).min(graph.sizes.len());
            let nodes = graph.block.iter().filter(|block| **block < blocks).count();
            graph.sizes.truncate(blocks);
            graph.degrees.truncate(blocks);
            graph.block.truncate(nodes);
            graph.node_classes.truncate(nodes);
            graph.pair_classes.truncate(nodes * nodes.saturating_sub(1) / 2);
        }
        GeneratedGraph { graph, finished }
    }
}

/// The law of the class at step t - 1.
fn reverse_law(diffusion: &CategoricalDiffusion, t: usize, noisy: usize, logits: &[f64]) -> Vec<f64> {
    if t == 1 {
        return softmax(logits, logits.len() - 1);
    }
    let clean = softmax(logits, logits.len());
    diffusion.reverse(&diffusion.coefficients(t, t - 1), noisy, &clean)
}

/// The distribution of the first `classes` classes.
fn softmax(logits: &[f64], classes: usize) -> Vec<f64> {
    let logits = &logits[..classes];
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = logits.iter().map(|logit| libm::exp(logit - highest)).collect();
    let total: f64 = shares.iter().sum();
    shares.into_iter().map(|share| share / total).collect()
}
