//! The model of sizes and degrees of blocks: logits, cross-entropies and their gradient; see [`crate::heads`].

use std::num::NonZeroUsize;
use std::sync::MutexGuard;

use equidrift_backend::kernels::elementwise::{add_scaled, through_silu};
use equidrift_backend::kernels::matrix::padded;
use equidrift_backend::kernels::{Buffers, PackError};
use equidrift_backend::weights::ParameterSet;
use pulp::{Arch, Simd, WithSimd};

use super::graph_view::GraphView;
use super::growth::{Growing, Growth};
use super::node_transform::{NodeTransform, NodeTransformGradient};
use super::normed_mlp::{NormedMlp, NormedMlpGradient};
use super::parallel::{ChunkGradient, Memory, in_parallel, into_gradient, sums};
use super::table::{Table, TableGradient};
use super::trunk::{Trunk, TrunkGradient};
use crate::block_batch::{BlockBatch, BlockQuestions};
use crate::input_embedding::Role;
use crate::network_config::NetworkConfig;

const NAME: &str = "block.out_decoder";

fn of(part: &str) -> String {
    format!("{NAME}.{part}")
}

/// The model with its parameters in packed form.
#[derive(Debug, Clone)]
pub(super) struct BlockModel {
    hidden: usize,
    sizes: usize,
    degrees: usize,
    trunk: Trunk,
    transform: NodeTransform,
    size_encoder: Table,
    size_out: NormedMlp,
    degree_out: NormedMlp,
    first_degree_out: NormedMlp,
}

/// Its gradient.
struct BlockModelGradient<'a> {
    model: &'a BlockModel,
    trunk: TrunkGradient,
    transform: NodeTransformGradient,
    size_encoder: TableGradient,
    size_out: NormedMlpGradient,
    degree_out: NormedMlpGradient,
    first_degree_out: NormedMlpGradient,
}

impl ChunkGradient for BlockModelGradient<'_> {
    fn emit(&self) -> ParameterSet {
        let mut set = ParameterSet::new();
        self.trunk.emit(&self.model.trunk, &mut set);
        self.transform.emit(&self.model.transform, &of("transform.0"), &mut set);
        self.size_encoder.emit(&of("block_size_encoder"), &mut set);
        self.size_out.emit(&of("block_size_out"), &mut set);
        self.degree_out.emit(&of("block_degree_out"), &mut set);
        self.first_degree_out.emit(&of("init_block_degree_out"), &mut set);
        set
    }
}

/// What is asked of one graph.
struct Question<'a> {
    graph: GraphView<'a>,
    /// Of each question: the last block of the prefix, and size and degree of the next.
    next: Vec<(i32, usize, usize)>,
    /// Size and degree of the first block, where it counts.
    first: Option<(usize, usize)>,
}

impl<'a> Question<'a> {
    fn new(batch: &'a BlockBatch, questions: &BlockQuestions, row: usize) -> Self {
        let asked = row * questions.per_graph..(row + 1) * questions.per_graph;
        let next = asked.filter_map(|at| {
            let last = questions.last_block[at]?;
            Some((last as i32, questions.next_size[at], questions.next_degree[at]))
        });
        Self {
            graph: GraphView::new(batch, row, None),
            next: next.collect(),
            first: questions.counts_first[row].then(|| batch.first_block(row)),
        }
    }
}

impl BlockModel {
    pub(super) fn read(parameters: &ParameterSet, config: &NetworkConfig) -> Result<Self, PackError> {
        let (hidden, edge) = (config.hidden, config.pair_width());
        let out = |part: &str, classes| NormedMlp::read(parameters, &of(part), [hidden, hidden, classes]);
        Ok(Self {
            hidden,
            sizes: config.block_sizes,
            degrees: config.block_degrees,
            trunk: Trunk::read(parameters, config, Role::BlockModel)?,
            transform: NodeTransform::read(parameters, &of("transform.0"), hidden, edge)?,
            size_encoder: Table::of_rows(parameters, &of("block_size_encoder"), config.block_sizes, hidden)?,
            size_out: out("block_size_out", config.block_sizes)?,
            degree_out: out("block_degree_out", config.block_degrees)?,
            first_degree_out: out("init_block_degree_out", config.block_degrees)?,
        })
    }

    fn no_gradient(&self) -> BlockModelGradient<'_> {
        BlockModelGradient {
            model: self,
            trunk: self.trunk.no_gradient(),
            transform: self.transform.no_gradient(),
            size_encoder: self.size_encoder.no_gradient(),
            size_out: self.size_out.no_gradient(),
            degree_out: self.degree_out.no_gradient(),
            first_degree_out: self.first_degree_out.no_gradient(),
        }
    }

    /// The size of the next block of each graph and its degree, chosen from logits: a row and its logits to a class. Of graphs
    /// that are `growing` only what their last blocks bring is computed.
    pub(super) fn next_blocks(
        &self,
        (arch, threads): (Arch, NonZeroUsize),
        batch: &BlockBatch,
        growing: Option<Growing<'_>>,
        choose_size: &mut dyn FnMut(usize, &[f64]) -> usize,
        choose_degree: &mut dyn FnMut(usize, &[f64]) -> usize,
    ) -> Vec<(usize, usize)> {
        let prefixes = match growing {
            None => in_parallel(threads, batch.batch, |row, memory| {
                let graph = &GraphView::new(batch, row, None);
                arch.dispatch(AboutGraph { model: self, graph, memory })
            }),
            Some(growing) => growing.in_parts(threads, |rows, graphs, memory| {
                let view = |(row, growth): (usize, &MutexGuard<'_, Growth>)| {
                    GraphView::behind(batch, row, None, growth.blocks.known())
                };
                let views: Vec<_> = rows.zip(graphs.iter()).map(view).collect();
                arch.dispatch(AboutGrowing { model: self, views: &views, graphs, memory })
            }),
        };
        let mut next = Vec::with_capacity(batch.batch);
        for (row, (prefix, logits)) in prefixes.into_iter().enumerate() {
            let size = choose_size(row, &logits);
            next.push((prefix, size));
        }
        let degrees = in_parallel(threads, next.len(), |row, memory| {
            let (prefix, size) = &next[row];
            let out = &self.degree_out;
            arch.dispatch(OfSize { model: self, out, prefix: Some(prefix), size: *size, memory })
        });
        let choose = |(row, logits): (usize, &Vec<f64>)| choose_degree(row, logits);
        let degrees: Vec<usize> = degrees.iter().enumerate().map(choose).collect();
        next.into_iter().zip(degrees).map(|((_, size), degree)| (size, degree)).collect()
    }

    /// Logits of the degree of a first block of each of these sizes.
    pub(super) fn first_degree(&self, arch: Arch, sizes: &[usize]) -> Vec<Vec<f64>> {
        let (out, mut memory) = (&self.first_degree_out, Memory::default());
        let of_size = |&size: &usize| {
            arch.dispatch(OfSize { model: self, out, prefix: None, size, memory: &mut memory })
        };
        sizes.iter().map(of_size).collect()
    }

    /// Cross-entropies of sizes and degrees, summed and divided by the number of graphs whose first block counts; and, if it is
    /// `wanted`, the gradient.
    pub(super) fn cross_entropies(
        &self,
        (arch, threads): (Arch, NonZeroUsize),
        batch: &BlockBatch,
        questions: &BlockQuestions,
        wanted: bool,
    ) -> (f64, ParameterSet) {
        let graphs = questions.counts_first.iter().filter(|counts| **counts).count();
        let share = 1.0 / graphs.max(1) as f64;
        let zeros = || wanted.then(|| self.no_gradient());
        let ([loss], gradient) = sums(threads, batch.batch, zeros, |row, gradient, memory| {
            let question = &Question::new(batch, questions, row);
            let weight = share as f32;
            arch.dispatch(Differentiate { model: self, question, weight, gradient, memory })
        });
        (loss * share, gradient)
    }

    /// The sum over the nodes of a graph, and the logits of the size of the block after it.
    #[inline(always)]
    fn next_size<S: Simd>(
        &self,
        simd: S,
        graph: &GraphView<'_>,
        z: &[f32],
        buffers: &mut Buffers,
    ) -> (Vec<f32>, Vec<f64>) {
        let prefix = self.prefixes(simd, graph, z, [i32::MAX].into_iter(), buffers);
        let logits = self.size_out.forward(simd, &prefix, 1, buffers);
        let found = (prefix.clone(), numbers(&logits, self.sizes));
        buffers.give([prefix, logits]);
        found
    }

    /// The rows that are asked about: sums over the nodes of the prefixes up to some blocks, `[asked, hidden]`.
    #[inline(always)]
    fn prefixes<S: Simd>(
        &self,
        simd: S,
        graph: &GraphView<'_>,
        z: &[f32],
        last_blocks: impl ExactSizeIterator<Item = i32>,
        buffers: &mut Buffers,
    ) -> Vec<f32> {
        let wide = padded(self.hidden);
        let mut prefixes = buffers.zeros(last_blocks.len() * wide);
        for (prefix, last) in prefixes.chunks_exact_mut(wide).zip(last_blocks) {
            for (node, row) in z.chunks_exact(wide).take(graph.pairs.nodes).enumerate() {
                if graph.block[node] <= last {
                    add_scaled(simd, 1.0, row, prefix);
                }
            }
        }
        prefixes
    }
}

/// A padded row of logits as numbers of the sampler.
fn numbers(row: &[f32], classes: usize) -> Vec<f64> {
    row[..classes].iter().map(|&x| f64::from(x)).collect()
}

/// The sum over the nodes of a graph, and the logits of the size of the block after it.
struct AboutGraph<'a> {
    model: &'a BlockModel,
    graph: &'a GraphView<'a>,
    memory: &'a mut Memory,
}

impl WithSimd for AboutGraph<'_> {
    type Output = (Vec<f32>, Vec<f64>);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (Vec<f32>, Vec<f64>) {
        let Self { model, graph, memory } = self;
        let buffers = &mut memory.buffers;
        let (h, e) = model.trunk.forward(simd, graph, None, buffers);
        let (before, z) = model.transform.nodes(simd, &graph.pairs, (&h, &e), None, buffers);
        let found = model.next_size(simd, graph, &z, buffers);
        buffers.give([h, e, before, z]);
        found
    }
}

/// The same for several graphs, of which only what is not known is computed; it is then known.
struct AboutGrowing<'a, 'g> {
    model: &'a BlockModel,
    views: &'a [GraphView<'a>],
    graphs: &'a mut [MutexGuard<'g, Growth>],
    memory: &'a mut Memory,
}

impl WithSimd for AboutGrowing<'_, '_> {
    type Output = Vec<(Vec<f32>, Vec<f64>)>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self { model, views, graphs, memory } = self;
        let buffers = &mut memory.buffers;
        let together = views.iter().zip(graphs.iter_mut().map(|growth| &mut growth.blocks));
        let (h, parts) = model.trunk.forward_growing(simd, together, buffers);
        let mut found = Vec::with_capacity(parts.len());
        for part in parts {
            let known = Some(std::mem::take(&mut part.grown.z));
            let of_part = (part.nodes(&h), &part.e[..]);
            let (before, z) = model.transform.nodes(simd, &part.graph.pairs, of_part, known, buffers);
            found.push(model.next_size(simd, part.graph, &z, buffers));
            part.grown.z = z;
            part.grown.all_known();
            buffers.give([before, part.e]);
        }
        buffers.give([h]);
        found
    }
}

/// Logits of the degree of a block of a size, after a prefix or as the first.
struct OfSize<'a> {
    model: &'a BlockModel,
    out: &'a NormedMlp,
    prefix: Option<&'a [f32]>,
    size: usize,
    memory: &'a mut Memory,
}

impl WithSimd for OfSize<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f64> {
        let Self { model, out, prefix, size, memory } = self;
        let buffers = &mut memory.buffers;
        let mut row = buffers.zeros(padded(model.hidden));
        if let Some(prefix) = prefix {
            row.copy_from_slice(prefix);
        }
        model.size_encoder.add(simd, Some(size), &mut row);
        let logits = out.forward(simd, &row, 1, buffers);
        let found = numbers(&logits, model.degrees);
        buffers.give([row, logits]);
        found
    }
}

/// Cross-entropies of one graph, and their gradient.
struct Differentiate<'a, 'm> {
    model: &'a BlockModel,
    question: &'a Question<'a>,
    /// Factor of the gradient.
    weight: f32,
    gradient: Option<&'a mut BlockModelGradient<'m>>,
    memory: &'a mut Memory,
}

impl WithSimd for Differentiate<'_, '_> {
    type Output = [f64; 1];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> [f64; 1] {
        let Self { model, question: Question { graph, next, first }, weight, gradient, memory } = self;
        let Memory { buffers, tape } = memory;
        let wide = padded(model.hidden);
        let wanted = gradient.is_some();
        let (h, e) = model.trunk.forward(simd, graph, wanted.then_some(&mut *tape), buffers);
        let (before, z) = model.transform.nodes(simd, &graph.pairs, (&h, &e), None, buffers);
        let last_blocks = next.iter().map(|(last, ..)| *last);
        let prefixes = model.prefixes(simd, graph, &z, last_blocks, buffers);
        let mut sized = buffers.take(prefixes.len());
        sized.copy_from_slice(&prefixes);
        for (row, &(_, size, _)) in sized.chunks_exact_mut(wide).zip(next) {
            model.size_encoder.add(simd, Some(size), row);
        }
        let mut of_first = buffers.zeros(wide);
        if let Some((size, _)) = first {
            model.size_encoder.add(simd, Some(*size), &mut of_first);
        }

        let count = next.len();
        let mut sizes = model.size_out.forward(simd, &prefixes, count, buffers);
        let mut degrees = model.degree_out.forward(simd, &sized, count, buffers);
        let mut first_degree = model.first_degree_out.forward(simd, &of_first, 1, buffers);
        let mut loss = 0.0;
        for (row, &(_, size, _)) in sizes.chunks_exact_mut(padded(model.sizes)).zip(next) {
            loss += into_gradient(row, model.sizes, size, weight);
        }
        for (row, &(_, _, degree)) in degrees.chunks_exact_mut(padded(model.degrees)).zip(next) {
            loss += into_gradient(row, model.degrees, degree, weight);
        }
        if let Some((_, degree)) = first {
            loss += into_gradient(&mut first_degree, model.degrees, *degree, weight);
        }

        if let Some(gradient) = gradient {
            let (mut dprefixes, mut dsized) = (buffers.zeros(prefixes.len()), buffers.zeros(sized.len()));
            let into = &mut gradient.size_out;
            model.size_out.back(simd, &prefixes, count, &sizes, &mut dprefixes, into, buffers);
            let into = &mut gradient.degree_out;
            model.degree_out.back(simd, &sized, count, &degrees, &mut dsized, into, buffers);
            for (row, &(_, size, _)) in dsized.chunks_exact(wide).zip(next) {
                gradient.size_encoder.add(simd, Some(size), row);
            }
            if let Some((size, _)) = first {
                let (mut dfirst, into) = (buffers.zeros(wide), &mut gradient.first_degree_out);
                model.first_degree_out.back(simd, &of_first, 1, &first_degree, &mut dfirst, into, buffers);
                gradient.size_encoder.add(simd, Some(*size), &dfirst);
                buffers.give([dfirst]);
            }
            add_scaled(simd, 1.0, &dsized, &mut dprefixes);
            let mut dz = buffers.zeros(z.len());
            for (prefix, &(last, ..)) in dprefixes.chunks_exact(wide).zip(next) {
                for (node, row) in dz.chunks_exact_mut(wide).enumerate() {
                    if graph.block[node] <= last {
                        add_scaled(simd, 1.0, prefix, row);
                    }
                }
            }
            through_silu(simd, &before, &mut dz);
            let (mut dh, mut de) = (buffers.zeros(h.len()), buffers.zeros(e.len()));
            let into = &mut gradient.transform;
            model.transform.back(simd, &graph.pairs, (&h, &e), &dz, &mut dh, &mut de, into, buffers);
            model.trunk.backward(simd, graph, tape, &mut dh, &mut de, &mut gradient.trunk, buffers);
            buffers.give([dprefixes, dsized, dz, dh, de]);
        }
        buffers.give([h, e, before, z, prefixes, sized, of_first, sizes, degrees, first_degree]);
        [loss]
    }
}
