//! The denoiser: logits of classes, cross-entropies and their gradient.

use std::num::NonZeroUsize;

use equidrift_backend::kernels::PackError;
use equidrift_backend::kernels::matrix::padded;
use equidrift_backend::weights::ParameterSet;
use pulp::{Arch, Simd, WithSimd};

use super::class_head::{Asked, ClassHead, ClassHeadGradient, Logits};
use super::graph_view::GraphView;
use super::growth::{Growing, GrownGraph};
use super::parallel::{ChunkGradient, Memory, in_parallel, into_gradient, sums};
use super::trunk::{Aside, Trunk, TrunkGradient};
use crate::block_batch::{BlockBatch, Targets};
use crate::input_embedding::Role;
use crate::network_config::NetworkConfig;
use crate::networks::DenoiserBatch;

/// The denoiser with its parameters in packed form.
#[derive(Debug, Clone)]
pub(super) struct Denoiser {
    classes: [usize; 2],
    trunk: Trunk,
    head: ClassHead,
}

/// Its gradient.
struct DenoiserGradient<'a> {
    denoiser: &'a Denoiser,
    trunk: TrunkGradient,
    head: ClassHeadGradient,
}

impl ChunkGradient for DenoiserGradient<'_> {
    fn emit(&self) -> ParameterSet {
        let mut set = ParameterSet::new();
        self.trunk.emit(&self.denoiser.trunk, &mut set);
        self.head.emit(&self.denoiser.head, &mut set);
        set
    }
}

impl Denoiser {
    pub(super) fn read(parameters: &ParameterSet, config: &NetworkConfig) -> Result<Self, PackError> {
        Ok(Self {
            classes: [config.node_classes, config.edge_classes],
            trunk: Trunk::read(parameters, config, Role::Denoiser)?,
            head: ClassHead::read(parameters, config)?,
        })
    }

    /// Logits of the clean classes of target nodes and pairs, one row each. Of graphs that are `growing` only what their last
    /// blocks bring is computed.
    pub(super) fn classes(
        &self,
        (arch, threads): (Arch, NonZeroUsize),
        noisy: &DenoiserBatch<'_>,
        targets: [&Targets; 2],
        growing: Option<Growing<'_>>,
    ) -> [Vec<Vec<f64>>; 2] {
        let done = in_parallel(threads, noisy.batch.batch, |graph, memory| {
            let mut growth = growing.map(|growing| growing.of_row(graph));
            let grown = growth.as_mut().map(|growth| &mut growth.denoiser);
            let known = grown.as_ref().map_or(0, |grown| grown.known());
            let question = &Question::new(noisy, targets, graph, known);
            let Logits { nodes, pairs } = arch.dispatch(Classes { denoiser: self, question, grown, memory });
            let rows = |values: &[f32], count: usize, classes: usize| -> Vec<Vec<f64>> {
                let rows = values.chunks_exact(padded(classes)).take(count);
                rows.map(|row| row[..classes].iter().map(|&x| f64::from(x)).collect()).collect()
            };
            let rows = [
                rows(&nodes, question.nodes.len(), self.classes[0]),
                rows(&pairs, question.pairs.len(), self.classes[1]),
            ];
            memory.buffers.give([nodes, pairs]);
            rows
        });
        let mut all = targets.map(|targets| Vec::with_capacity(targets.len()));
        for rows in done {
            for (all, rows) in all.iter_mut().zip(rows) {
                all.extend(rows);
            }
        }
        all
    }

    /// Keeps what later blocks look at, of graphs whose last blocks are finished.
    pub(super) fn finish_blocks(
        &self,
        (arch, threads): (Arch, NonZeroUsize),
        batch: &BlockBatch,
        growing: Growing<'_>,
    ) {
        in_parallel(threads, batch.batch, |row, memory| {
            let grown = &mut growing.of_row(row).denoiser;
            let graph = &GraphView::behind(batch, row, None, grown.known());
            arch.dispatch(Finished { denoiser: self, graph, grown, memory });
        });
    }

    /// Cross-entropies of the targets' clean classes, nodes and pairs, summed and divided by the number of graphs; and, if it is
    /// `wanted`, the gradient of their sum times `weight`.
    pub(super) fn cross_entropies(
        &self,
        (arch, threads): (Arch, NonZeroUsize),
        noisy: &DenoiserBatch<'_>,
        targets: [&Targets; 2],
        weight: f64,
        wanted: bool,
    ) -> ([f64; 2], ParameterSet) {
        let share = 1.0 / noisy.batch.batch.max(1) as f64;
        let zeros = || {
            wanted.then(|| DenoiserGradient {
                denoiser: self,
                trunk: self.trunk.no_gradient(),
                head: self.head.no_gradient(),
            })
        };
        let (losses, gradient) = sums(threads, noisy.batch.batch, zeros, |graph, gradient, memory| {
            let question = &Question::new(noisy, targets, graph, 0);
            let weight = (weight * share) as f32;
            arch.dispatch(Differentiate { denoiser: self, question, weight, gradient, memory })
        });
        (losses.map(|loss| loss * share), gradient)
    }
}

/// A graph and what is asked of it.
struct Question<'a> {
    graph: GraphView<'a>,
    nodes: Vec<usize>,
    pairs: Vec<[usize; 2]>,
    node_classes: Vec<i32>,
    pair_classes: Vec<i32>,
    /// Clean classes of both.
    clean: [&'a [usize]; 2],
    remaining: f32,
}

impl<'a> Question<'a> {
    fn new(noisy: &DenoiserBatch<'a>, targets: [&'a Targets; 2], row: usize, known: usize) -> Self {
        let (batch, n, t) = (noisy.batch, noisy.batch.nodes, noisy.times[row]);
        let [nodes, pairs] = targets.map(|targets| {
            let first = targets.graph.partition_point(|&graph| graph < row);
            let last = targets.graph.partition_point(|&graph| graph <= row);
            (first..last, &targets.place[first..last])
        });
        Question {
            graph: GraphView::behind(batch, row, Some(t), known),
            nodes: nodes.1.iter().map(|place| place - row * n).collect(),
            pairs: pairs.1.iter().map(|place| [place / n - row * n, place % n]).collect(),
            node_classes: nodes.1.iter().map(|&place| batch.node_class[place]).collect(),
            pair_classes: pairs.1.iter().map(|&place| batch.edge_class[place]).collect(),
            clean: [&targets[0].clean[nodes.0], &targets[1].clean[pairs.0]],
            remaining: (1.0 - t as f64 / noisy.steps as f64) as f32,
        }
    }

    fn asked(&self) -> Asked<'_> {
        Asked {
            nodes: &self.nodes,
            pairs: &self.pairs,
            node_classes: &self.node_classes,
            pair_classes: &self.pair_classes,
            remaining: self.remaining,
        }
    }
}

/// Logits of one graph.
struct Classes<'a> {
    denoiser: &'a Denoiser,
    question: &'a Question<'a>,
    grown: Option<&'a mut GrownGraph>,
    memory: &'a mut Memory,
}

impl WithSimd for Classes<'_> {
    type Output = Logits;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Logits {
        let Self { denoiser: Denoiser { trunk, head, .. }, question, mut grown, memory } = self;
        let (graph, buffers) = (&question.graph, &mut memory.buffers);
        let aside = grown.as_mut().map_or(Aside::Nothing, |grown| Aside::Grown(grown));
        let (h, e) = trunk.forward(simd, graph, aside, buffers);
        let logits = head.forward(simd, &graph.pairs, (&h, &e), question.asked(), grown, buffers);
        buffers.give([h, e]);
        logits
    }
}

/// What later blocks look at, of a graph whose last block is finished.
struct Finished<'a> {
    denoiser: &'a Denoiser,
    graph: &'a GraphView<'a>,
    grown: &'a mut GrownGraph,
    memory: &'a mut Memory,
}

impl WithSimd for Finished<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { denoiser: Denoiser { trunk, head, .. }, graph, grown, memory } = self;
        let buffers = &mut memory.buffers;
        let (h, e) = trunk.forward(simd, graph, Aside::Grown(grown), buffers);
        head.nodes(simd, &graph.pairs, (&h, &e), grown, buffers);
        buffers.give([h, e]);
        grown.all_known();
    }
}

/// Cross-entropies of one graph, and their gradient.
struct Differentiate<'a, 'd> {
    denoiser: &'a Denoiser,
    question: &'a Question<'a>,
    /// Factor of the gradient.
    weight: f32,
    gradient: Option<&'a mut DenoiserGradient<'d>>,
    memory: &'a mut Memory,
}

impl WithSimd for Differentiate<'_, '_> {
    type Output = [f64; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f64; 2] {
        let Self { denoiser: Denoiser { classes, trunk, head }, question, weight, gradient, memory } = self;
        let Memory { buffers, tape } = memory;
        let (graph, asked) = (&question.graph, question.asked());
        let seen = if gradient.is_some() { Aside::Tape(tape) } else { Aside::Nothing };
        let (h, e) = trunk.forward(simd, graph, seen, buffers);
        let mut logits = head.forward(simd, &graph.pairs, (&h, &e), asked, None, buffers);
        let mut losses = [0.0; 2];
        for (which, logits) in [&mut logits.nodes, &mut logits.pairs].into_iter().enumerate() {
            let rows = logits.chunks_exact_mut(padded(classes[which])).zip(question.clean[which]);
            losses[which] = rows.map(|(row, &clean)| into_gradient(row, classes[which], clean, weight)).sum();
        }
        if let Some(gradient) = gradient {
            let (mut dh, mut de) = (buffers.zeros(h.len()), buffers.zeros(e.len()));
            let (back, into) = (&logits, &mut gradient.head);
            head.backward(simd, &graph.pairs, (&h, &e), asked, back, (&mut dh, &mut de), into, buffers);
            trunk.backward(simd, graph, tape, &mut dh, &mut de, &mut gradient.trunk, buffers);
            buffers.give([dh, de]);
        }
        buffers.give([h, e, logits.nodes, logits.pairs]);
        losses
    }
}
