//! The denoiser on the processor, in single precision: one graph at a time, so that everything stays in the caches, with
//! vectors of the machine's width along the units of nodes and pairs.
//!
//! The same mathematics as [`PardNetworks`](crate::PardNetworks), but only what has influence on the result is computed: pairs
//! of which one end sees the other, logits of the elements that are asked for, and both directions of a pair together where
//! the head adds them. A graph is computed at its own size.
//!
//! Guarantees:
//! - A graph's logits have the same bits for every batch size, company, padding and number of threads.
//! - A gradient is a sum over graphs, in an order that depends on the batch alone: in single precision over chunks of 32 graphs,
//!   then in double precision over chunks. So it does not depend on the number of threads either.
//!
//! Memory of a call: about 20 numbers for each pair and unit of a pair, of one graph for each thread; for gradients besides 4 for
//! each pair, unit and layer.

mod class_head;
mod combiner;
mod embedding;
mod graph_view;
mod pair_product;
mod pair_rows;
mod perceptron;
mod phi;
mod ppgn;
mod table;
mod transformer;
mod transformer_backward;
mod trunk;
mod walks;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use equidrift_backend::kernels::matrix::padded;
pub use equidrift_backend::kernels::{Buffers, Instructions};
use equidrift_backend::weights::{HostTensor, ParameterSet};
use pulp::{Arch, Simd, WithSimd};

use self::class_head::{Asked, ClassHead, ClassHeadGradient, Logits};
use self::graph_view::GraphView;
use self::trunk::{Trunk, TrunkGradient, TrunkTape};
use crate::block_batch::Targets;
use crate::error::PardError;
use crate::input_embedding::Role;
use crate::inputs::check_known;
use crate::network_config::{NetworkConfig, Norm, ResidualOf, Sequence, Tasks};
use crate::networks::DenoiserBatch;

/// Graphs whose gradients one thread sums up in single precision.
const GRAPHS_PER_CHUNK: usize = 32;
/// Chunks whose gradients are held at the same time.
const CHUNKS_PER_WAVE: usize = 64;

/// The denoiser with its parameters in packed form.
#[derive(Debug, Clone)]
pub struct FusedDenoiser {
    config: NetworkConfig,
    trunk: Trunk,
    head: ClassHead,
    arch: Arch,
    threads: NonZeroUsize,
}

/// Cross-entropies of a batch, and their gradient.
#[derive(Debug, Clone)]
pub struct CrossEntropies {
    /// Of nodes and of pairs, summed over targets and divided by the number of graphs.
    pub losses: [f64; 2],
    /// Of the sum of both, by name; empty where none was asked for.
    pub gradient: ParameterSet,
}

impl FusedDenoiser {
    /// What networks of this configuration have that this engine does not compute.
    #[must_use]
    pub fn missing(config: &NetworkConfig) -> Option<&'static str> {
        if config.norm == Norm::Batch {
            return Some("batch norm");
        }
        if config.residual == ResidualOf::Normalised {
            return Some("the normalised value as residual");
        }
        if config.sequence == Sequence::Prefixes {
            return Some("networks on prefixes");
        }
        if config.tasks == Tasks::Combined {
            return Some("one network for both tasks");
        }
        (config.edge == 0).then_some("networks of pairs alone")
    }

    /// Packs the denoiser's parameters. `threads` share the graphs of a call.
    ///
    /// # Errors
    /// [`PardError::NotFused`] if the networks have what is [missing](Self::missing) here, or the machine lacks the
    /// instructions; [`PardError::Layer`] if a parameter is missing or has another shape.
    pub fn new(
        config: &NetworkConfig,
        parameters: &ParameterSet,
        threads: NonZeroUsize,
        instructions: Instructions,
    ) -> Result<Self, PardError> {
        config.check()?;
        if let Some(what) = Self::missing(config) {
            return Err(PardError::NotFused { what });
        }
        let arch = instructions.arch().ok_or(PardError::NotFused { what: "these vector instructions" })?;
        Ok(Self {
            trunk: Trunk::read(parameters, config, Role::Denoiser)?,
            head: ClassHead::read(parameters, config)?,
            config: config.clone(),
            arch,
            threads,
        })
    }

    /// The networks' configuration.
    #[must_use]
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// Logits of the clean classes of target nodes and pairs, one row each.
    ///
    /// # Errors
    /// [`PardError::Unknown`] for classes, blocks, sizes and degrees that the network has no parameters for.
    pub fn classes(
        &self,
        noisy: &DenoiserBatch<'_>,
        nodes: &Targets,
        pairs: &Targets,
    ) -> Result<[Vec<Vec<f64>>; 2], PardError> {
        check_known(&self.config, noisy.batch)?;
        let questions = Questions::new(noisy, nodes, pairs);
        let graphs = noisy.batch.batch;
        let mut done = self.in_parallel(graphs, |graph, memory| {
            let question = questions.of(graph);
            let logits = self.arch.dispatch(Classes { denoiser: self, question: &question, memory });
            let rows = |values: &[f32], count: usize, classes: usize| -> Vec<Vec<f64>> {
                let rows = values.chunks_exact(padded(classes)).take(count);
                rows.map(|row| row[..classes].iter().map(|&x| f64::from(x)).collect()).collect()
            };
            let [of_nodes, of_pairs] = [self.config.node_classes, self.config.edge_classes];
            let rows = [
                rows(&logits.nodes, question.nodes.len(), of_nodes),
                rows(&logits.pairs, question.pairs.len(), of_pairs),
            ];
            memory.buffers.give([logits.nodes, logits.pairs]);
            rows
        });
        let mut all = [Vec::with_capacity(nodes.len()), Vec::with_capacity(pairs.len())];
        for rows in &mut done {
            for (all, rows) in all.iter_mut().zip(rows) {
                all.append(rows);
            }
        }
        Ok(all)
    }

    /// Cross-entropies of the targets' clean classes and, if it is `wanted`, the gradient of their sum times `weight`.
    ///
    /// # Errors
    /// As [`FusedDenoiser::classes`].
    pub fn cross_entropies(
        &self,
        noisy: &DenoiserBatch<'_>,
        nodes: &Targets,
        pairs: &Targets,
        weight: f64,
        wanted: bool,
    ) -> Result<CrossEntropies, PardError> {
        check_known(&self.config, noisy.batch)?;
        let questions = Questions::new(noisy, nodes, pairs);
        let graphs = noisy.batch.batch;
        let share = 1.0 / graphs.max(1) as f64;
        let chunks: Vec<Range<usize>> = (0..graphs)
            .step_by(GRAPHS_PER_CHUNK)
            .map(|first| first..(first + GRAPHS_PER_CHUNK).min(graphs))
            .collect();
        let mut losses = [0.0; 2];
        let mut total = GradientSum::default();
        for wave in chunks.chunks(CHUNKS_PER_WAVE) {
            let done = self.in_parallel(wave.len(), |chunk, memory| {
                let mut gradient = wanted.then(|| DenoiserGradient {
                    trunk: self.trunk.no_gradient(),
                    head: self.head.no_gradient(),
                });
                let mut losses = [0.0; 2];
                for graph in wave[chunk].clone() {
                    let question = questions.of(graph);
                    let found = self.arch.dispatch(Differentiate {
                        denoiser: self,
                        question: &question,
                        weight: (weight * share) as f32,
                        gradient: gradient.as_mut(),
                        memory,
                    });
                    losses.iter_mut().zip(found).for_each(|(sum, loss)| *sum += loss);
                }
                let gradient = gradient.map(|gradient| {
                    let mut set = ParameterSet::new();
                    gradient.trunk.emit(&self.trunk, &mut set);
                    gradient.head.emit(&self.head, &mut set);
                    set
                });
                (losses, gradient)
            });
            for (found, gradient) in done {
                losses.iter_mut().zip(found).for_each(|(sum, loss)| *sum += loss * share);
                if let Some(gradient) = gradient {
                    total.add(&gradient);
                }
            }
        }
        Ok(CrossEntropies { losses, gradient: total.finish() })
    }

    /// The results of `work` for jobs 0..jobs, in order, on as many threads as there are jobs for.
    fn in_parallel<R: Send>(&self, jobs: usize, work: impl Fn(usize, &mut Memory) -> R + Sync) -> Vec<R> {
        let next = AtomicUsize::new(0);
        let run = || {
            let (mut memory, mut done) = (Memory::default(), Vec::new());
            loop {
                let job = next.fetch_add(1, Ordering::Relaxed);
                if job >= jobs {
                    return done;
                }
                done.push((job, work(job, &mut memory)));
            }
        };
        let helpers = self.threads.get().min(jobs).saturating_sub(1);
        let mut done = std::thread::scope(|scope| {
            let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(run)).collect();
            let mut done = run();
            for helper in helpers {
                done.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            done
        });
        done.sort_by_key(|(job, _)| *job);
        done.into_iter().map(|(_, result)| result).collect()
    }
}

/// What a thread uses again and again.
#[derive(Debug, Default)]
struct Memory {
    buffers: Buffers,
    tape: TrunkTape,
}

#[derive(Debug)]
struct DenoiserGradient {
    trunk: TrunkGradient,
    head: ClassHeadGradient,
}

/// A sum of gradients, in double precision.
#[derive(Debug, Default)]
struct GradientSum(BTreeMap<String, (Vec<usize>, Vec<f64>)>);

impl GradientSum {
    fn add(&mut self, gradient: &ParameterSet) {
        for (name, tensor) in gradient {
            let values = tensor.to_f32();
            match self.0.get_mut(name) {
                Some((_, sum)) => sum.iter_mut().zip(values).for_each(|(sum, x)| *sum += f64::from(x)),
                None => {
                    let values = values.into_iter().map(f64::from).collect();
                    self.0.insert(name.clone(), (tensor.shape.clone(), values));
                }
            }
        }
    }

    fn finish(self) -> ParameterSet {
        let tensor = |(name, (shape, sum)): (String, (Vec<usize>, Vec<f64>))| {
            (name, HostTensor::f32(shape, sum.into_iter().map(|x| x as f32).collect()))
        };
        self.0.into_iter().map(tensor).collect()
    }
}

/// The targets of a batch, by graph.
struct Questions<'a> {
    noisy: &'a DenoiserBatch<'a>,
    targets: [&'a Targets; 2],
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

impl<'a> Questions<'a> {
    fn new(noisy: &'a DenoiserBatch<'a>, nodes: &'a Targets, pairs: &'a Targets) -> Self {
        Self { noisy, targets: [nodes, pairs] }
    }

    fn of(&self, row: usize) -> Question<'a> {
        let Self { noisy, targets } = *self;
        let (batch, n, t) = (noisy.batch, noisy.batch.nodes, noisy.times[row]);
        let [nodes, pairs] = targets.map(|targets| {
            let first = targets.graph.partition_point(|&graph| graph < row);
            let last = targets.graph.partition_point(|&graph| graph <= row);
            (first..last, &targets.place[first..last])
        });
        Question {
            graph: GraphView::new(batch, row, Some(t)),
            nodes: nodes.1.iter().map(|place| place - row * n).collect(),
            pairs: pairs.1.iter().map(|place| [place / n - row * n, place % n]).collect(),
            node_classes: nodes.1.iter().map(|&place| batch.node_class[place]).collect(),
            pair_classes: pairs.1.iter().map(|&place| batch.edge_class[place]).collect(),
            clean: [&targets[0].clean[nodes.0], &targets[1].clean[pairs.0]],
            remaining: (1.0 - t as f64 / noisy.steps as f64) as f32,
        }
    }
}

impl Question<'_> {
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
    denoiser: &'a FusedDenoiser,
    question: &'a Question<'a>,
    memory: &'a mut Memory,
}

impl WithSimd for Classes<'_> {
    type Output = Logits;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Logits {
        let Self { denoiser: FusedDenoiser { trunk, head, .. }, question, memory } = self;
        let (graph, buffers) = (&question.graph, &mut memory.buffers);
        let (h, e) = trunk.forward(simd, graph, None, buffers);
        let logits = head.forward(simd, &graph.pairs, (&h, &e), question.asked(), buffers);
        buffers.give([h, e]);
        logits
    }
}

/// Cross-entropies of one graph, and their gradient.
struct Differentiate<'a> {
    denoiser: &'a FusedDenoiser,
    question: &'a Question<'a>,
    /// Factor of the gradient.
    weight: f32,
    gradient: Option<&'a mut DenoiserGradient>,
    memory: &'a mut Memory,
}

impl WithSimd for Differentiate<'_> {
    type Output = [f64; 2];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f64; 2] {
        let Self { denoiser, question, weight, gradient, memory } = self;
        let FusedDenoiser { config, trunk, head, .. } = denoiser;
        let Memory { buffers, tape } = memory;
        let (graph, asked) = (&question.graph, question.asked());
        let seen = gradient.is_some().then_some(&mut *tape);
        let (h, e) = trunk.forward(simd, graph, seen, buffers);
        let mut logits = head.forward(simd, &graph.pairs, (&h, &e), asked, buffers);
        let known = [config.node_classes, config.edge_classes];
        let mut losses = [0.0; 2];
        for (which, logits) in [&mut logits.nodes, &mut logits.pairs].into_iter().enumerate() {
            let rows = logits.chunks_exact_mut(padded(known[which])).zip(question.clean[which]);
            losses[which] = rows.map(|(row, &clean)| into_gradient(row, known[which], clean, weight)).sum();
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

/// The cross-entropy of a row of logits; the row becomes its gradient times `weight`.
fn into_gradient(row: &mut [f32], classes: usize, clean: usize, weight: f32) -> f64 {
    let (row, padding) = row.split_at_mut(classes);
    padding.fill(0.0);
    let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let of_clean = row[clean] - highest;
    let mut sum = 0.0;
    for x in row.iter_mut() {
        *x = libm::expf(*x - highest);
        sum += *x;
    }
    for x in row.iter_mut() {
        *x *= weight / sum;
    }
    row[clean] -= weight;
    f64::from(libm::logf(sum) - of_clean)
}
