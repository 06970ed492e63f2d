//! The gated sum of nodes and pairs in the denoiser's head; see [`equidrift_nn::NodeEdgeCombiner`].

use equidrift_backend::kernels::elementwise::{add_scaled, sigmoid};
use equidrift_backend::kernels::matrix::{Linear, LinearGradient, Rows, padded};
use equidrift_backend::kernels::{Buffers, PackError};
use equidrift_backend::weights::ParameterSet;
use pulp::{NullaryFnOnce, Simd};

use super::pair_rows::PairRows;

/// `SiLU(n + g + SiLU(W_1 n) SiLU(W_2 g))` with `n_ij = u_j + v_i`; of a pair and its reverse, together.
#[derive(Debug, Clone)]
pub(super) struct Combiner {
    /// Of the column's node, and of the row's.
    node: Vec<Linear>,
    edge: Linear,
    fuse_node: Linear,
    fuse_edge: Linear,
}

/// The gradient of a [`Combiner`].
#[derive(Debug, Clone)]
pub(super) struct CombinerGradient {
    node: Vec<LinearGradient>,
    edge: LinearGradient,
    fuse_node: LinearGradient,
    fuse_edge: LinearGradient,
}

/// What is computed on the way.
struct Between {
    /// u and v, and both after W_1, `[N, outputs]`.
    column: Vec<f32>,
    row: Vec<f32>,
    fused_column: Vec<f32>,
    fused_row: Vec<f32>,
    /// The pairs that are asked for and, behind each, its reverse, `[2 asked, pairs]`.
    e: Vec<f32>,
    /// g and `W_2 g`, `[2 asked, outputs]`.
    g: Vec<f32>,
    fused: Vec<f32>,
}

impl Between {
    fn give_back(self, buffers: &mut Buffers) {
        let Self { column, row, fused_column, fused_row, e, g, fused } = self;
        buffers.give([column, row, fused_column, fused_row, e, g, fused]);
    }
}

impl Combiner {
    pub(super) fn read(
        parameters: &ParameterSet,
        name: &str,
        [nodes, pairs, outputs]: [usize; 3],
    ) -> Result<Self, PackError> {
        let of = |part: &str| format!("{name}.{part}");
        Ok(Self {
            node: Linear::read_split(parameters, &of("node_layer1"), nodes, &[outputs; 2])?,
            edge: Linear::read(parameters, &of("edge_layer1"), pairs, outputs)?,
            fuse_node: Linear::read(parameters, &of("fuse_layer1"), outputs, outputs)?,
            fuse_edge: Linear::read(parameters, &of("fuse_layer2"), outputs, outputs)?,
        })
    }

    pub(super) fn no_gradient(&self) -> CombinerGradient {
        CombinerGradient {
            node: self.node.iter().map(Linear::no_gradient).collect(),
            edge: self.edge.no_gradient(),
            fuse_node: self.fuse_node.no_gradient(),
            fuse_edge: self.fuse_edge.no_gradient(),
        }
    }

    /// The sums of both directions of the pairs that are asked for, `[asked, outputs]`.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        z: &[f32],
        e: &[f32],
        asked: &[[usize; 2]],
        buffers: &mut Buffers,
    ) -> Vec<f32> {
        let between = self.between(simd, pairs, z, e, asked, buffers);
        let mut y = buffers.take(asked.len() * self.edge.width());
        simd.vectorize(Gate { simd, between: &between, asked, y: &mut y });
        between.give_back(buffers);
        y
    }

    #[inline(always)]
    fn between<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        z: &[f32],
        e: &[f32],
        asked: &[[usize; 2]],
        buffers: &mut Buffers,
    ) -> Between {
        let (n, rows) = (pairs.nodes, 2 * asked.len());
        let (deep, width) = (padded(self.edge.inputs), self.edge.width());
        let wide = padded(self.node[0].inputs);
        let [mut column, mut row, mut fused_column, mut fused_row] = [0; 4].map(|_| buffers.take(n * width));
        self.node[0].apply(simd, Rows::new(z, wide), n, &mut column, width);
        self.node[1].apply(simd, Rows::new(z, wide), n, &mut row, width);
        self.fuse_node.apply(simd, Rows::new(&column, width), n, &mut fused_column, width);
        fused_row.fill(0.0);
        self.fuse_node.add(simd, Rows::new(&row, width), n, &mut fused_row, width);
        let mut both = buffers.take(rows * deep);
        for (target, &[i, j]) in both.chunks_exact_mut(2 * deep).zip(asked) {
            // What is asked for is computed: a target sees its partner.
            let at = pairs.row(i, j).unwrap_or_default();
            target[..deep].copy_from_slice(&e[at * deep..][..deep]);
            target[deep..].copy_from_slice(&e[pairs.reverse[at] * deep..][..deep]);
        }
        let [mut g, mut fused] = [0; 2].map(|_| buffers.take(rows * width));
        self.edge.apply(simd, Rows::new(&both, deep), rows, &mut g, width);
        self.fuse_edge.apply(simd, Rows::new(&g, width), rows, &mut fused, width);
        Between { column, row, fused_column, fused_row, e: both, g, fused }
    }

    /// Adds to `dz` and `de` what the gradient `dy` of the sums means for nodes and pairs.
    #[expect(clippy::too_many_arguments, reason = "what went in, what comes back, and where it goes")]
    #[inline(always)]
    pub(super) fn back<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        (z, e): (&[f32], &[f32]),
        asked: &[[usize; 2]],
        dy: &[f32],
        (dz, de): (&mut [f32], &mut [f32]),
        gradient: &mut CombinerGradient,
        buffers: &mut Buffers,
    ) {
        let (n, rows) = (pairs.nodes, 2 * asked.len());
        let (deep, width) = (padded(self.edge.inputs), self.edge.width());
        let wide = padded(self.node[0].inputs);
        let between = self.between(simd, pairs, z, e, asked, buffers);
        let [mut dg, mut dfused] = [0; 2].map(|_| buffers.take(rows * width));
        let [mut dcolumn, mut drow, mut dfused_column, mut dfused_row] =
            [0; 4].map(|_| buffers.zeros(n * width));
        simd.vectorize(GateBack {
            simd,
            between: &between,
            asked,
            dy,
            dg: &mut dg,
            dfused: &mut dfused,
            of_nodes: [&mut dcolumn, &mut drow, &mut dfused_column, &mut dfused_row],
        });
        gradient.fuse_edge.add(simd, Rows::new(&between.g, width), Rows::new(&dfused, width), rows);
        self.fuse_edge.back(simd, Rows::new(&dfused, width), rows, &mut dg, width);
        gradient.edge.add(simd, Rows::new(&between.e, deep), Rows::new(&dg, width), rows);
        let mut dboth = buffers.zeros(rows * deep);
        self.edge.back(simd, Rows::new(&dg, width), rows, &mut dboth, deep);
        for (back, &[i, j]) in dboth.chunks_exact(2 * deep).zip(asked) {
            let at = pairs.row(i, j).unwrap_or_default();
            add_scaled(simd, 1.0, &back[..deep], &mut de[at * deep..][..deep]);
            add_scaled(simd, 1.0, &back[deep..], &mut de[pairs.reverse[at] * deep..][..deep]);
        }
        // The bias of the map of the nodes is in the column's part alone.
        gradient.fuse_node.add(simd, Rows::new(&between.column, width), Rows::new(&dfused_column, width), n);
        gradient.fuse_node.add_weight(simd, Rows::new(&between.row, width), Rows::new(&dfused_row, width), n);
        self.fuse_node.back(simd, Rows::new(&dfused_column, width), n, &mut dcolumn, width);
        self.fuse_node.back(simd, Rows::new(&dfused_row, width), n, &mut drow, width);
        for ((map, into), back) in self.node.iter().zip(&mut gradient.node).zip([&dcolumn, &drow]) {
            into.add(simd, Rows::new(z, wide), Rows::new(back, width), n);
            map.back(simd, Rows::new(back, width), n, dz, wide);
        }
        between.give_back(buffers);
        buffers.give([dg, dfused, dcolumn, drow, dfused_column, dfused_row, dboth]);
    }
}

impl CombinerGradient {
    pub(super) fn emit(&self, name: &str, into: &mut ParameterSet) {
        LinearGradient::emit_split(&self.node, &format!("{name}.node_layer1"), into);
        self.edge.emit(&format!("{name}.edge_layer1"), into);
        self.fuse_node.emit(&format!("{name}.fuse_layer1"), into);
        self.fuse_edge.emit(&format!("{name}.fuse_layer2"), into);
    }
}

/// SiLU and its slope at x.
#[inline(always)]
fn silu_and_slope<S: Simd>(simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
    let gate = sigmoid(simd, x);
    let unit = simd.mul_f32s(x, gate);
    let rest = simd.sub_f32s(simd.splat_f32s(1.0), gate);
    (unit, simd.mul_add_e_f32s(unit, rest, gate))
}

/// The gated sums.
struct Gate<'a, S> {
    simd: S,
    between: &'a Between,
    asked: &'a [[usize; 2]],
    y: &'a mut [f32],
}

impl<S: Simd> NullaryFnOnce for Gate<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, between, asked, y } = self;
        let width = (y.len() / asked.len().max(1)).max(1);
        for ((pair, &ends), y) in asked.iter().enumerate().zip(y.chunks_exact_mut(width)) {
            let [there, back] =
                [0, 1].map(|side| Terms::<S>::new(between, width, 2 * pair + side, ends, side));
            let (y, _) = S::as_mut_simd_f32s(y);
            for (v, y) in y.iter_mut().enumerate() {
                // No closure: it would be compiled for other instructions.
                *y = simd.add_f32s(there.gated(simd, v), back.gated(simd, v));
            }
        }
    }
}

/// Rows of the arrays of one direction of a pair.
struct Terms<'a, S: Simd> {
    column: &'a [S::f32s],
    row: &'a [S::f32s],
    fused_column: &'a [S::f32s],
    fused_row: &'a [S::f32s],
    g: &'a [S::f32s],
    fused: &'a [S::f32s],
}

impl<'a, S: Simd> Terms<'a, S> {
    /// Of row `at`; side 0 is the pair (i, j), side 1 its reverse.
    #[inline(always)]
    fn new(between: &'a Between, width: usize, at: usize, ends: [usize; 2], side: usize) -> Self {
        let (row, column) = (ends[side], ends[1 - side]);
        let of = |array: &'a [f32], index: usize| S::as_simd_f32s(&array[index * width..][..width]).0;
        Self {
            column: of(&between.column, column),
            row: of(&between.row, row),
            fused_column: of(&between.fused_column, column),
            fused_row: of(&between.fused_row, row),
            g: of(&between.g, at),
            fused: of(&between.fused, at),
        }
    }

    /// The gated sum.
    #[inline(always)]
    fn gated(&self, simd: S, v: usize) -> S::f32s {
        let x = self.before(simd, v).0;
        simd.mul_f32s(x, sigmoid(simd, x))
    }

    /// What the last SiLU is of; and `W_1 n` and `W_2 g`.
    #[inline(always)]
    fn before(&self, simd: S, v: usize) -> (S::f32s, S::f32s, S::f32s) {
        let of_nodes = simd.add_f32s(self.fused_column[v], self.fused_row[v]);
        let of_pairs = self.fused[v];
        let left = simd.mul_f32s(of_nodes, sigmoid(simd, of_nodes));
        let right = simd.mul_f32s(of_pairs, sigmoid(simd, of_pairs));
        let sum = simd.add_f32s(simd.add_f32s(self.column[v], self.row[v]), self.g[v]);
        (simd.mul_add_e_f32s(left, right, sum), of_nodes, of_pairs)
    }
}

/// From the gradient of the sums to those of the terms. `of_nodes` are those of u, v, `W_1 u` and `W_1 v`.
struct GateBack<'a, S> {
    simd: S,
    between: &'a Between,
    asked: &'a [[usize; 2]],
    dy: &'a [f32],
    dg: &'a mut [f32],
    dfused: &'a mut [f32],
    of_nodes: [&'a mut [f32]; 4],
}

impl<S: Simd> NullaryFnOnce for GateBack<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, between, asked, dy, dg, dfused, of_nodes } = self;
        let [dcolumn, drow, dfused_column, dfused_row] = of_nodes;
        let width = (dy.len() / asked.len().max(1)).max(1);
        for ((pair, &ends), dy) in asked.iter().enumerate().zip(dy.chunks_exact(width)) {
            let (dy, _) = S::as_simd_f32s(dy);
            for side in 0..2 {
                let at = 2 * pair + side;
                let terms = Terms::<S>::new(between, width, at, ends, side);
                let (row, column) = (ends[side] * width, ends[1 - side] * width);
                let (dg, _) = S::as_mut_simd_f32s(&mut dg[at * width..][..width]);
                let (dfused, _) = S::as_mut_simd_f32s(&mut dfused[at * width..][..width]);
                let (dcolumn, _) = S::as_mut_simd_f32s(&mut dcolumn[column..][..width]);
                let (drow, _) = S::as_mut_simd_f32s(&mut drow[row..][..width]);
                let (dfused_column, _) = S::as_mut_simd_f32s(&mut dfused_column[column..][..width]);
                let (dfused_row, _) = S::as_mut_simd_f32s(&mut dfused_row[row..][..width]);
                for v in 0..dy.len() {
                    let (before, of_nodes, of_pairs) = terms.before(simd, v);
                    let back = simd.mul_f32s(dy[v], silu_and_slope(simd, before).1);
                    let (left, left_slope) = silu_and_slope(simd, of_nodes);
                    let (right, right_slope) = silu_and_slope(simd, of_pairs);
                    dg[v] = back;
                    dfused[v] = simd.mul_f32s(simd.mul_f32s(back, left), right_slope);
                    let by_nodes = simd.mul_f32s(simd.mul_f32s(back, right), left_slope);
                    dcolumn[v] = simd.add_f32s(dcolumn[v], back);
                    drow[v] = simd.add_f32s(drow[v], back);
                    dfused_column[v] = simd.add_f32s(dfused_column[v], by_nodes);
                    dfused_row[v] = simd.add_f32s(dfused_row[v], by_nodes);
                }
            }
        }
    }
}
