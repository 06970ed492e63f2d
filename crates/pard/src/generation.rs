//! Generation: block by block, each block by reverse diffusion given the blocks before it.
//!
//! Zhao, Ding & Akoglu, "Pard", NeurIPS 2024, algorithm 3. For every block:
//!
//! 1. the nodes of the block and their pairs with one another and with all earlier nodes get classes from the noise distribution;
//! 2. for steps t > s of a grid from T to 0: `f` = softmax of the denoiser's logits, new classes from p(x_s | x_t), or as
//!    [`ReverseStep`] says; at s = 0 the last, virtual class is excluded and the classes are drawn from f itself;
//! 3. the block model draws the size of the next block (0: the graph is finished) and its degree.
//!
//! Finished graphs leave the batch. Cost per graph: T evaluations of the denoiser and one of the block model for each block; where
//! only virtual nodes are told the time, the fused engine computes finished blocks once.

use std::sync::{Mutex, PoisonError};

use equidrift_nn::{PairMean, Phase};
use equidrift_sampler::draw_class;

use crate::block_batch::{BlockBatch, Targets};
use crate::block_graph::{BlockGraph, pair_index};
use crate::class_law::softmax;
use crate::denoising_loss::GraphDiffusion;
use crate::draws::{Draws, Purpose, Question};
use crate::error::PardError;
use crate::fused::{FusedNetworks, Growing, Growth};
use crate::heads::rows_on_host;
use crate::networks::{DenoiserBatch, PardNetworks};
use crate::reverse_step::ReverseStep;

/// What becomes of a graph that is not finished after the last round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unfinished {
    /// It is returned as it is.
    #[default]
    Whole,
    /// Only its blocks up to the number (size of its first block) are, as in the published programme.
    CutAtFirstSize,
}

/// What computes the networks.
#[derive(Debug, Clone, Copy)]
pub enum Engine<'a> {
    /// The tensor library, on a device without automatic differentiation.
    Burn(&'a PardNetworks),
    /// The fused engine.
    Fused(&'a FusedNetworks),
}

impl Engine<'_> {
    fn has_block_heads(self) -> bool {
        match self {
            Self::Burn(networks) => networks.has_block_heads(),
            Self::Fused(networks) => networks.has_block_heads(),
        }
    }

    fn first_degree(self, sizes: &[usize]) -> Result<Vec<Vec<f64>>, PardError> {
        match self {
            Self::Burn(networks) => rows_on_host(networks.first_degree(sizes)?, "logits of first degrees"),
            Self::Fused(networks) => networks.first_degree(sizes),
        }
    }

    /// What is kept of so many graphs while they grow; none where nothing can be.
    fn growths(self, graphs: usize) -> Option<Vec<Mutex<Growth>>> {
        match self {
            Self::Burn(_) => None,
            Self::Fused(networks) => (0..graphs).map(|_| networks.growth().map(Mutex::new)).collect(),
        }
    }

    fn classes(
        self,
        noisy: &DenoiserBatch<'_>,
        nodes: &Targets,
        pairs: &Targets,
        growing: Option<Growing<'_>>,
    ) -> Result<[Vec<Vec<f64>>; 2], PardError> {
        match (self, growing) {
            (Self::Burn(networks), _) => networks.denoise(noisy, Phase::Evaluation)?.0.at(nodes, pairs),
            (Self::Fused(networks), None) => networks.classes(noisy, nodes, pairs),
            (Self::Fused(networks), Some(growing)) => {
                networks.classes_of_growing(noisy, nodes, pairs, growing)
            }
        }
    }

    /// Keeps what later blocks look at.
    fn finish_blocks(self, batch: &BlockBatch, growing: Growing<'_>) -> Result<(), PardError> {
        match self {
            Self::Burn(_) => Ok(()),
            Self::Fused(networks) => networks.finish_blocks(batch, growing),
        }
    }

    fn next_blocks(
        self,
        batch: &BlockBatch,
        growing: Option<Growing<'_>>,
        choose_size: impl FnMut(usize, &[f64]) -> usize,
        choose_degree: impl FnMut(usize, &[f64]) -> usize,
    ) -> Result<Vec<(usize, usize)>, PardError> {
        match self {
            Self::Burn(networks) => networks.next_blocks(batch, None, choose_size, choose_degree),
            Self::Fused(networks) => networks.next_blocks(batch, growing, choose_size, choose_degree),
        }
    }
}

/// How graphs are generated.
#[derive(Clone, Copy)]
pub struct Generation<'a> {
    /// The networks.
    pub networks: Engine<'a>,
    /// The diffusions that the networks were trained with.
    pub diffusion: &'a GraphDiffusion,
    /// The steps at which the denoiser is called, from T down, and 0: see [`StepGrid::steps`](crate::StepGrid::steps).
    pub grid: &'a [usize],
    /// How a step draws classes.
    pub reverse_step: ReverseStep,
    /// How often each size (0, 1, ...) of a first block occurs.
    pub first_sizes: &'a [f64],
    /// Blocks at most.
    pub max_blocks: usize,
    /// Nodes at most: a block that would go beyond is not begun, and its graph counts as unfinished. The memory of a
    /// batch is that of its pairs, `B N^2` times a few hundred numbers.
    pub max_nodes: usize,
    /// What becomes of unfinished graphs.
    pub unfinished: Unfinished,
    /// Told after every call of the denoiser how many graphs were in it; where it answers false, the run ends.
    pub called: &'a (dyn Fn(usize) -> bool + 'a),
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
pub struct GrowingGraph {
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
    pub graphs: &'a [GrowingGraph],
}

/// The size of the first block of a graph, drawn from how often each size (0, 1, ...) occurs.
pub fn first_size(frequencies: &[f64], graph: usize, draws: &mut dyn Draws) -> usize {
    let purpose = Purpose::FirstSize;
    draw_class(frequencies, draws.uniform(&Question { graph, round: 0, purpose, rank: 0, element: (0, 0) }))
}

impl GrowingGraph {
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
    /// [`PardError::Unknown`] for a first size that the networks do not know, [`PardError::MissingInput`] for networks
    /// on prefixes (they need features of the structure), [`PardError::Device`], [`PardError::Stopped`].
    pub fn run(
        &self,
        graphs: usize,
        draws: &mut dyn Draws,
        observe: &mut dyn FnMut(&Round<'_>),
    ) -> Result<Vec<GeneratedGraph>, PardError> {
        let mut growing = self.first_blocks(graphs, draws)?;
        let growths = self.networks.growths(graphs);
        for round in 0..self.max_blocks {
            let active: Vec<usize> = (0..graphs).filter(|&graph| growing[graph].grows()).collect();
            if active.is_empty() {
                break;
            }
            let growths = growths.as_deref();
            self.denoise_blocks(&mut growing, &active, growths, round, draws)?;
            observe(&Round { round, graphs: &growing });
            self.append_blocks(&mut growing, &active, growths, round, draws)?;
        }
        Ok(growing.into_iter().map(|growing| self.finish(growing)).collect())
    }

    fn first_blocks(&self, graphs: usize, draws: &mut dyn Draws) -> Result<Vec<GrowingGraph>, PardError> {
        let sizes: Vec<usize> = (0..graphs).map(|graph| first_size(self.first_sizes, graph, draws)).collect();
        let logits = if self.networks.has_block_heads() {
            self.networks.first_degree(&sizes)?
        } else {
            vec![vec![0.0]; graphs]
        };
        let mut growing = Vec::with_capacity(graphs);
        for (graph, (&size, logits)) in sizes.iter().zip(&logits).enumerate() {
            let purpose = Purpose::FirstDegree;
            let u = draws.uniform(&Question { graph, round: 0, purpose, rank: 0, element: (0, 0) });
            let empty = BlockGraph {
                node_classes: Vec::new(),
                pair_classes: Vec::new(),
                block: Vec::new(),
                sizes: Vec::new(),
                degrees: Vec::new(),
            };
            let mut first =
                GrowingGraph { graph: empty, finished: size == 0, stopped: size > self.max_nodes };
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
        growing: &mut [GrowingGraph],
        active: &[usize],
        growths: Option<&[Mutex<Growth>]>,
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
        let question = |purpose, targets: &Targets, at: usize| {
            let graph = active[targets.graph[at]];
            Question { graph, round, purpose, rank: targets.rank[at], element: targets.element[at] }
        };
        let GraphDiffusion { nodes: of_nodes, edges: of_edges } = self.diffusion;
        let mut initial = |purpose, targets: &Targets, noise: &[f64]| -> Vec<usize> {
            let uniforms = (0..targets.len()).map(|at| draws.uniform(&question(purpose, targets, at)));
            uniforms.map(|u| draw_class(noise, u)).collect()
        };
        let mut node_classes = initial(Purpose::InitialNode, &nodes, of_nodes.noise());
        let mut pair_classes = initial(Purpose::InitialPair, &pairs, of_edges.noise());

        for step in self.grid.windows(2) {
            let (t, s) = (step[0], step[1]);
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
            let kept = growths.map(|graphs| Growing { graphs, of_rows: active });
            let [node_rows, pair_rows] = self.networks.classes(&input, &nodes, &pairs, kept)?;
            let mut step = |diffusion, rows: &[Vec<f64>], targets: &Targets, purpose, noisy: &mut [usize]| {
                for (at, (logits, noisy)) in rows.iter().zip(noisy).enumerate() {
                    let law = self.reverse_step.law(diffusion, [t, s], *noisy, logits);
                    *noisy = draw_class(&law, draws.uniform(&question(purpose, targets, at)));
                }
            };
            step(of_nodes, &node_rows, &nodes, Purpose::Node { t }, &mut node_classes);
            step(of_edges, &pair_rows, &pairs, Purpose::Pair { t }, &mut pair_classes);
            if !(self.called)(active.len()) {
                return Err(PardError::Stopped);
            }
        }
        for (at, &class) in node_classes.iter().enumerate() {
            let graph = &mut growing[active[nodes.graph[at]]].graph;
            graph.node_classes[nodes.element[at].0] = class;
        }
        for (at, &class) in pair_classes.iter().enumerate() {
            let (i, j) = pairs.element[at];
            growing[active[pairs.graph[at]]].graph.pair_classes[pair_index(i, j)] = class;
        }
        Ok(())
    }

    /// The next blocks of the active graphs, or their ends.
    fn append_blocks(
        &self,
        growing: &mut [GrowingGraph],
        active: &[usize],
        growths: Option<&[Mutex<Growth>]>,
        round: usize,
        draws: &mut dyn Draws,
    ) -> Result<(), PardError> {
        if !self.networks.has_block_heads() {
            active.iter().for_each(|&graph| growing[graph].finished = true);
            return Ok(());
        }
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
        let kept = growths.map(|graphs| Growing { graphs, of_rows: active });
        let choices = (choose(Purpose::NextSize), choose(Purpose::NextDegree));
        let next = self.networks.next_blocks(&batch, kept, choices.0, choices.1)?;
        let (mut going_on, mut whole) = (Vec::new(), Vec::new());
        for ((&at, (size, degree)), blocks) in active.iter().zip(next).zip(graphs) {
            let graph = &mut growing[at];
            if size == 0 {
                graph.finished = true;
            } else if round + 1 == self.max_blocks || graph.graph.nodes() + size > self.max_nodes {
                graph.stopped = true;
            } else {
                graph.append(size, degree);
                going_on.push(at);
                whole.push(blocks);
            }
        }
        let Some(growths) = growths else { return Ok(()) };
        for &graph in active.iter().filter(|graph| !growing[**graph].grows()) {
            // Nobody looks at it again.
            *growths[graph].lock().unwrap_or_else(PoisonError::into_inner) = Growth::default();
        }
        let kept = Growing { graphs: growths, of_rows: &going_on };
        self.networks.finish_blocks(&BlockBatch::single(&whole), kept)
    }

    fn finish(&self, growing: GrowingGraph) -> GeneratedGraph {
        let GrowingGraph { mut graph, finished, .. } = growing;
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
