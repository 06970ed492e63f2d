//! The denoiser: logits of classes, cross-entropies and their gradient.

use std::num::NonZeroUsize;
use std::sync::MutexGuard;

use equidrift_backend::kernels::matrix::padded;
use equidrift_backend::kernels::{Buffers, PackError};
use equidrift_backend::weights::ParameterSet;
use pulp::{Arch, Simd, WithSimd};

use super::class_head::{Asked, ClassHead, ClassHeadGradient, Logits};
use super::graph_view::GraphView;
use super::growth::{Growing, Growth};
use super::parallel::{ChunkGradient, Memory, in_parallel, into_gradient, sums};
use super::trunk::{Trunk, TrunkGradient};
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
        let done = match growing {
            None => in_parallel(threads, noisy.batch.batch, |graph, memory| {
                let question = &Question::new(noisy, targets, graph, 0);
                let logits = arch.dispatch(Classes { denoiser: self, question, memory });
                self.rows(logits, question, &mut memory.buffers)
            }),
            Some(growing) => growing.in_parts(threads, |rows, graphs, memory| {
                let of_row = |(row, growth): (usize, &MutexGuard<'_, Growth>)| {
                    Question::new(noisy, targets, row, growth.denoiser.known())
                };
                let questions: Vec<_> = rows.zip(graphs.iter()).map(of_row).collect();
                let questions = &questions[..];
                let logits = arch.dispatch(ClassesOfGrowing { denoiser: self, questions, graphs, memory });
                let logits = logits.into_iter().zip(questions);
                logits.map(|(logits, question)| self.rows(logits, question, &mut memory.buffers)).collect()
            }),
        };
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
        growing.in_parts(threads, |rows, graphs, memory| {
            let view = |(row, growth): (usize, &MutexGuard<'_, Growth>)| {
                GraphView::behind(batch, row, None, growth.denoiser.known())
            };
            let views: Vec<_> = rows.zip(graphs.iter()).map(view).collect();
            arch.dispatch(Finished { denoiser: self, views: &views, graphs, memory });
            Vec::<()>::new()
        });
    }

    /// Logits as rows of numbers.
    fn rows(
        &self,
        Logits { nodes, pairs }: Logits,
        question: &Question<'_>,
        buffers: &mut Buffers,
    ) -> [Vec<Vec<f64>>; 2] {
        let rows = |values: &[f32], count: usize, classes: usize| -> Vec<Vec<f64>> {
            let rows = values.chunks_exact(padded(classes)).take(count);
            rows.map(|row| row[..classes].iter().map(|&x| f64::from(x)).collect()).collect()
        };
        let found = [
            rows(&nodes, question.nodes.len(), self.classes[0]),
            rows(&pairs, question.pairs.len(), self.classes[1]),
        ];
        buffers.give([nodes, pairs]);
        found
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
    memory: &'a mut Memory,
}

impl WithSimd for Classes<'_> {
    type Output = Logits;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Logits {
        let Self { denoiser: Denoiser { trunk, head, .. }, question, memory } = self;
        let (graph, buffers) = (&question.graph, &mut memory.buffers);
        let (h, e) = trunk.forward(simd, graph, None, buffers);
        let logits = head.forward(simd, &graph.pairs, (&h, &e), question.asked(), None, buffers);
        buffers.give([h, e]);
        logits
    }
}

/// Logits of several graphs, of which only what is not known is computed.
struct ClassesOfGrowing<'a, 'g> {
    denoiser: &'a Denoiser,
    questions: &'a [Question<'a>],
    graphs: &'a mut [MutexGuard<'g, Growth>],
    memory: &'a mut Memory,
}

impl WithSimd for ClassesOfGrowing<'_, '_> {
    type Output = Vec<Logits>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<Logits> {
        let Self { denoiser: Denoiser { trunk, head, .. }, questions, graphs, memory } = self;
        let buffers = &mut memory.buffers;
        let together = questions.iter().map(|question| &question.graph);
        let together = together.zip(graphs.iter_mut().map(|growth| &mut growth.denoiser));
        let (h, parts) = trunk.forward_growing(simd, together, buffers);
        let mut logits = Vec::with_capacity(questions.len());
        for (part, question) in parts.into_iter().zip(questions) {
            let (nodes, z) = (part.nodes(&h), Some(&mut part.grown.z));
            let of_part = (nodes, &part.e[..]);
            logits.push(head.forward(simd, &part.graph.pairs, of_part, question.asked(), z, buffers));
            buffers.give([part.e]);
        }
        buffers.give([h]);
        logits
    }
}

/// What later blocks look at, of graphs whose last blocks are finished.
struct Finished<'a, 'g> {
    denoiser: &'a Denoiser,
    views: &'a [GraphView<'a>],
    graphs: &'a mut [MutexGuard<'g, Growth>],
    memory: &'a mut Memory,
}

impl WithSimd for Finished<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { denoiser: Denoiser { trunk, head, .. }, views, graphs, memory } = self;
        let buffers = &mut memory.buffers;
        let together = views.iter().zip(graphs.iter_mut().map(|growth| &mut growth.denoiser));
        let (h, parts) = trunk.forward_growing(simd, together, buffers);
        for part in parts {
            head.nodes(simd, &part.graph.pairs, (part.nodes(&h), &part.e), &mut part.grown.z, buffers);
            part.grown.all_known();
            buffers.give([part.e]);
        }
        buffers.give([h]);
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
        let seen = gradient.is_some().then_some(&mut *tape);
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
