//! The embedding of one graph's classes, blocks, walks and time; see [`crate::input_embedding`].

use equidrift_backend::kernels::elementwise::add_scaled;
use equidrift_backend::kernels::matrix::{Linear, LinearGradient, Rows, padded};
use equidrift_backend::kernels::{Buffers, PackError};
use equidrift_backend::weights::ParameterSet;
use equidrift_nn::{sinusoid, sinusoid_of_whole_frequencies};
use pulp::Simd;

use super::graph_view::GraphView;
use super::perceptron::{Perceptron, PerceptronGradient};
use super::table::{Table, TableGradient};
use super::walks::random_walks;
use crate::input_embedding::Role;
use crate::network_config::{NetworkConfig, TimeEmbedding, TimeOf};

const LAYERS: [&str; 2] = ["layer1", "layer2"];

/// Tables and maps of the inputs.
#[derive(Debug, Clone)]
pub(super) struct Embedding {
    prefix: &'static str,
    hidden: usize,
    edge: usize,
    edge_classes: usize,
    walk_steps: usize,
    time_features: TimeEmbedding,
    time_of: TimeOf,
    node_encoder: Table,
    edge_encoder: Table,
    block_id: Option<Table>,
    block_degree: Option<Table>,
    block_size: Option<Table>,
    /// Of nodes and of pairs.
    walks: Option<[Linear; 2]>,
    time: Option<Perceptron>,
    relative: Option<Relative>,
}

/// The embedding of differences of blocks: a perceptron of sines, computed once for each difference.
#[derive(Debug, Clone)]
struct Relative {
    perceptron: Perceptron,
    /// `[distances, padded edge]`.
    features: Vec<f32>,
    /// `[distances, padded edge]`.
    table: Vec<f32>,
    distances: usize,
}

/// The gradient of an [`Embedding`].
#[derive(Debug, Clone)]
pub(super) struct EmbeddingGradient {
    node_encoder: TableGradient,
    edge_encoder: TableGradient,
    block_id: Option<TableGradient>,
    block_degree: Option<TableGradient>,
    block_size: Option<TableGradient>,
    walks: Option<[LinearGradient; 2]>,
    time: Option<PerceptronGradient>,
    /// Of the table.
    relative: Option<Vec<f32>>,
}

/// What maps of the inputs saw.
#[derive(Debug, Default)]
pub(super) struct EmbeddingTape {
    /// Probabilities of returns `[N, padded steps]` and of walks both ways `[rows, padded steps]`.
    walks: [Vec<f32>; 2],
    /// `[1, padded hidden]`.
    time: Vec<f32>,
}

impl Embedding {
    pub(super) fn read(
        parameters: &ParameterSet,
        config: &NetworkConfig,
        role: Role,
    ) -> Result<Self, PackError> {
        let prefix = role.prefix();
        let (hidden, edge) = (config.hidden, config.pair_width());
        let conditioner = |name: &str| format!("{prefix}.input_conditioner.{name}");
        let encoder = |name: &str, classes, width| {
            Table::of_classes(parameters, &format!("{prefix}.input_encoder.{name}"), classes, width)
        };
        let denoiser = role == Role::Denoiser;
        let table = |wanted: bool, name: &str, rows: usize| match wanted {
            true => Table::of_rows(parameters, &conditioner(name), rows, hidden).map(Some),
            false => Ok(None),
        };
        Ok(Self {
            prefix,
            hidden,
            edge,
            edge_classes: config.edge_classes,
            walk_steps: config.walks,
            time_features: config.time,
            time_of: config.timed_nodes(),
            node_encoder: encoder("node_encoder", config.node_classes, hidden)?,
            edge_encoder: encoder("edge_encoder", config.edge_classes, edge)?,
            block_id: table(config.absolute_blocks, "0.block_id_embedding", config.max_blocks + 1)?,
            block_degree: table(denoiser, "1.block_degree_embedding", config.block_degrees)?,
            block_size: table(
                denoiser && config.sizes_of_blocks,
                "1.block_size_embedding",
                config.block_sizes,
            )?,
            walks: match denoiser && config.walks > 0 {
                true => Some([
                    Linear::read(parameters, &conditioner("walks"), config.walks, hidden)?,
                    Linear::read(
                        parameters,
                        &format!("{prefix}.edge_conditioner.walks"),
                        config.walks,
                        edge,
                    )?,
                ]),
                false => None,
            },
            time: match denoiser {
                true => Some(Perceptron::read(parameters, &conditioner("2"), LAYERS, [hidden; 3])?),
                false => None,
            },
            relative: match config.relative_blocks {
                true => Some(Relative::read(parameters, prefix, edge, config.max_blocks)?),
                false => None,
            },
        })
    }

    /// Widths of nodes and of pairs.
    pub(super) fn widths(&self) -> [usize; 2] {
        [self.hidden, self.edge]
    }

    pub(super) fn no_gradient(&self) -> EmbeddingGradient {
        let of_table = |table: &Option<Table>| table.as_ref().map(Table::no_gradient);
        EmbeddingGradient {
            node_encoder: self.node_encoder.no_gradient(),
            edge_encoder: self.edge_encoder.no_gradient(),
            block_id: of_table(&self.block_id),
            block_degree: of_table(&self.block_degree),
            block_size: of_table(&self.block_size),
            walks: self.walks.as_ref().map(|maps| maps.each_ref().map(Linear::no_gradient)),
            time: self.time.as_ref().map(Perceptron::no_gradient),
            relative: self.relative.as_ref().map(|relative| vec![0.0; relative.table.len()]),
        }
    }

    /// Nodes that are not known `[nodes, hidden]` and pairs `[rows, edge]`; what the maps saw goes to `tape`.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        graph: &GraphView<'_>,
        tape: Option<&mut EmbeddingTape>,
        buffers: &mut Buffers,
    ) -> (Vec<f32>, Vec<f32>) {
        let (n, known, rows) = (graph.pairs.nodes, graph.pairs.known, graph.pairs.len());
        let (wide, deep) = (padded(self.hidden), padded(self.edge));
        let (mut h, mut e) = (buffers.zeros((n - known) * wide), buffers.zeros(rows * deep));
        for (row, i) in h.chunks_exact_mut(wide).zip(known..) {
            self.node_encoder.add(simd, usize::try_from(graph.node_class[i]).ok(), row);
            for (table, index) in self.tables(graph, i) {
                table.add(simd, Some(index), row);
            }
        }
        for (row, &ends) in e.chunks_exact_mut(deep).zip(&graph.pairs.ends) {
            self.edge_encoder.add(simd, usize::try_from(graph.edge_class(ends)).ok(), row);
            if let Some(relative) = &self.relative {
                let distance = graph.block[ends[0]].abs_diff(graph.block[ends[1]]) as usize;
                add_scaled(simd, 1.0, &relative.table[distance * deep..][..deep], row);
            }
        }
        let mut seen = EmbeddingTape::default();
        if let (Some(perceptron), Some(t)) = (&self.time, graph.time) {
            seen.time = self.time_row(t);
            let mut shift = buffers.zeros(wide);
            perceptron.add(simd, &seen.time, 1, &mut shift, buffers);
            for (row, i) in h.chunks_exact_mut(wide).zip(known..) {
                if self.is_timed(graph, i) {
                    add_scaled(simd, 1.0, &shift, row);
                }
            }
            buffers.give([shift]);
        }
        if let Some([of_nodes, of_pairs]) = &self.walks {
            let across = padded(self.walk_steps);
            seen.walks = random_walks(simd, graph, self.edge_classes, self.walk_steps);
            let returns = Rows::new(&seen.walks[0][known * across..], across);
            of_nodes.add_with_bias(simd, returns, n - known, &mut h, wide);
            of_pairs.add_with_bias(simd, Rows::new(&seen.walks[1], across), rows, &mut e, deep);
        }
        if let Some(tape) = tape {
            *tape = seen;
        }
        (h, e)
    }

    /// The tables of a node's block, degree and size, and which row is its.
    fn tables<'a>(
        &'a self,
        graph: &'a GraphView<'_>,
        i: usize,
    ) -> impl Iterator<Item = (&'a Table, usize)> + 'a {
        let block = graph.block[i] as usize;
        let of = [
            (&self.block_id, block + 1),
            (&self.block_degree, graph.degrees[block]),
            (&self.block_size, graph.sizes[block]),
        ];
        of.into_iter().filter_map(|(table, index)| Some((table.as_ref()?, index)))
    }

    /// Whether node i is told the time.
    fn is_timed(&self, graph: &GraphView<'_>, i: usize) -> bool {
        self.time_of == TimeOf::All || graph.virtual_nodes[i]
    }

    fn time_row(&self, t: usize) -> Vec<f32> {
        let mut features = match self.time_features {
            TimeEmbedding::Sinusoid => sinusoid(t as f64, self.hidden, 10_000.0),
            TimeEmbedding::WholeFrequencies => sinusoid_of_whole_frequencies(t as f64, self.hidden),
        };
        // Sines first.
        features.rotate_left(self.hidden / 2);
        features.resize(padded(self.hidden), 0.0);
        features.into_iter().map(|x| x as f32).collect()
    }

    /// Adds to `gradient` what the gradients of nodes and pairs mean for tables and maps.
    #[expect(clippy::too_many_arguments, reason = "what was seen, what comes back, and where it goes")]
    #[inline(always)]
    pub(super) fn backward<S: Simd>(
        &self,
        simd: S,
        graph: &GraphView<'_>,
        tape: &EmbeddingTape,
        dh: &[f32],
        de: &[f32],
        gradient: &mut EmbeddingGradient,
        buffers: &mut Buffers,
    ) {
        let (n, rows) = (graph.pairs.nodes, graph.pairs.len());
        let (wide, deep) = (padded(self.hidden), padded(self.edge));
        let mut shift = buffers.zeros(wide);
        for (i, row) in dh.chunks_exact(wide).enumerate() {
            gradient.node_encoder.add(simd, usize::try_from(graph.node_class[i]).ok(), row);
            let block = graph.block[i] as usize;
            for (table, index) in [
                (&mut gradient.block_id, block + 1),
                (&mut gradient.block_degree, graph.degrees[block]),
                (&mut gradient.block_size, graph.sizes[block]),
            ] {
                if let Some(table) = table {
                    table.add(simd, Some(index), row);
                }
            }
            if self.is_timed(graph, i) {
                add_scaled(simd, 1.0, row, &mut shift);
            }
        }
        for (row, &ends) in de.chunks_exact(deep).zip(&graph.pairs.ends) {
            gradient.edge_encoder.add(simd, usize::try_from(graph.edge_class(ends)).ok(), row);
            if let Some(table) = &mut gradient.relative {
                let distance = graph.block[ends[0]].abs_diff(graph.block[ends[1]]) as usize;
                add_scaled(simd, 1.0, row, &mut table[distance * deep..][..deep]);
            }
        }
        if let (Some(perceptron), Some(into), true) = (&self.time, &mut gradient.time, graph.time.is_some()) {
            perceptron.back(simd, &tape.time, 1, &shift, None, into, buffers);
        }
        if let Some([of_nodes, of_pairs]) = &mut gradient.walks {
            let across = padded(self.walk_steps);
            of_nodes.add(simd, Rows::new(&tape.walks[0], across), Rows::new(dh, wide), n);
            of_pairs.add(simd, Rows::new(&tape.walks[1], across), Rows::new(de, deep), rows);
        }
        buffers.give([shift]);
    }
}

impl Relative {
    fn read(
        parameters: &ParameterSet,
        prefix: &str,
        edge: usize,
        max_blocks: usize,
    ) -> Result<Self, PackError> {
        let name = format!("{prefix}.edge_conditioner.0");
        let perceptron = Perceptron::read(parameters, &name, LAYERS, [edge, 2 * edge, edge])?;
        let distances = max_blocks + 1;
        let row = |d: usize| {
            let mut row = sinusoid(1.0 / (d as f64 + 1.0), edge, 10.0);
            row.resize(padded(edge), 0.0);
            row
        };
        let features: Vec<f32> = (0..distances).flat_map(row).map(|x| x as f32).collect();
        let mut table = vec![0.0; features.len()];
        pulp::Arch::new().dispatch(TableOf {
            perceptron: &perceptron,
            features: &features,
            table: &mut table,
        });
        Ok(Self { perceptron, features, table, distances })
    }
}

struct TableOf<'a> {
    perceptron: &'a Perceptron,
    features: &'a [f32],
    table: &'a mut [f32],
}

impl pulp::WithSimd for TableOf<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.table.len() / self.perceptron.second.width();
        self.perceptron.add(simd, self.features, rows, self.table, &mut Buffers::default());
    }
}

struct TableGradientOf<'a> {
    relative: &'a Relative,
    table: &'a [f32],
}

impl pulp::WithSimd for TableGradientOf<'_> {
    type Output = PerceptronGradient;
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> PerceptronGradient {
        let Self { relative, table } = self;
        let mut gradient = relative.perceptron.no_gradient();
        let (rows, buffers) = (relative.distances, &mut Buffers::default());
        relative.perceptron.back(simd, &relative.features, rows, table, None, &mut gradient, buffers);
        gradient
    }
}

impl EmbeddingGradient {
    /// Under the names of the parameters.
    pub(super) fn emit(&self, embedding: &Embedding, into: &mut ParameterSet) {
        let prefix = embedding.prefix;
        let conditioner = |name: &str| format!("{prefix}.input_conditioner.{name}");
        self.node_encoder.emit(&format!("{prefix}.input_encoder.node_encoder"), into);
        self.edge_encoder.emit(&format!("{prefix}.input_encoder.edge_encoder"), into);
        for (table, name) in [
            (&self.block_id, "0.block_id_embedding"),
            (&self.block_degree, "1.block_degree_embedding"),
            (&self.block_size, "1.block_size_embedding"),
        ] {
            if let Some(table) = table {
                table.emit(&conditioner(name), into);
            }
        }
        if let Some([of_nodes, of_pairs]) = &self.walks {
            of_nodes.emit(&conditioner("walks"), into);
            of_pairs.emit(&format!("{prefix}.edge_conditioner.walks"), into);
        }
        if let Some(time) = &self.time {
            time.emit(&conditioner("2"), LAYERS, into);
        }
        if let (Some(relative), Some(table)) = (&embedding.relative, &self.relative) {
            let gradient = pulp::Arch::new().dispatch(TableGradientOf { relative, table });
            gradient.emit(&format!("{prefix}.edge_conditioner.0"), LAYERS, into);
        }
    }
}
