//! The graph transformer layer of one graph; see [`equidrift_nn::GraphTransformer`] for the formulas.

use equidrift_backend::kernels::elementwise::{add_scaled, exp, sigmoid, silu};
use equidrift_backend::kernels::layer_norm::LayerNorm;
use equidrift_backend::kernels::matrix::{Linear, Rows, padded};
use equidrift_backend::kernels::{Buffers, PackError};
use equidrift_backend::weights::ParameterSet;
use equidrift_nn::HigherOrderShape;
use pulp::{NullaryFnOnce, Simd};

use super::growth::GrowingPart;
use super::pair_rows::PairRows;
use super::perceptron::NormedPerceptron;

/// One layer.
#[derive(Debug, Clone)]
pub(super) struct Transformer {
    pub(super) shape: HigherOrderShape,
    pub(super) node_norm: LayerNorm,
    pub(super) edge_norm: LayerNorm,
    /// Query and key.
    pub(super) qk_node: Vec<Linear>,
    /// Gate and shift.
    pub(super) qk_edge: Vec<Linear>,
    pub(super) o_edge: Linear,
    pub(super) scores: Linear,
    pub(super) v_node: Linear,
    /// Of each head.
    pub(super) v_edge: Vec<Linear>,
    pub(super) o_node: Linear,
    pub(super) mlp: NormedPerceptron,
}

/// What a layer computes between its inputs and outputs. Widths are padded.
#[derive(Debug)]
pub(super) struct Between {
    /// Normalised nodes `[N, hidden]`.
    pub(super) xn: Vec<f32>,
    /// Queries and keys `[N, edge]`.
    pub(super) q: Vec<f32>,
    pub(super) k: Vec<f32>,
    /// Values of the nodes, `[N, hidden]`.
    pub(super) values: Vec<f32>,
    pub(super) of_pairs: OfPairs,
    /// Z under attention, `[heads, N, edge]`.
    pub(super) pooled: Vec<f32>,
    /// What every node takes from those it sees, `[N, hidden]`, and room behind it.
    pub(super) taken: Vec<f32>,
}

/// What a layer computes of pairs.
#[derive(Debug)]
pub(super) struct OfPairs {
    /// Normalised pairs `[rows, edge]`.
    pub(super) en: Vec<f32>,
    /// Gates `[rows, edge]`.
    pub(super) gate: Vec<f32>,
    /// What SiLU makes Z of, `[rows, edge]`.
    pub(super) before: Vec<f32>,
    /// Z, `[rows, edge]`.
    pub(super) z: Vec<f32>,
    /// Shares of attention, `[rows, heads]`; 0 where i does not see j.
    pub(super) attention: Vec<f32>,
}

impl Between {
    pub(super) fn give_back(self, buffers: &mut Buffers) {
        let Self { xn, q, k, values, of_pairs, pooled, taken } = self;
        of_pairs.give_back(buffers);
        buffers.give([xn, q, k, values, pooled, taken]);
    }
}

impl OfPairs {
    fn give_back(self, buffers: &mut Buffers) {
        let Self { en, gate, before, z, attention } = self;
        buffers.give([en, gate, before, z, attention]);
    }
}

impl Transformer {
    pub(super) fn read(
        parameters: &ParameterSet,
        name: &str,
        shape: HigherOrderShape,
    ) -> Result<Self, PackError> {
        let HigherOrderShape { hidden, edge, heads, .. } = shape;
        let of = |part: &str| format!("{name}.{part}");
        let linear = |part: &str, inputs, outputs| Linear::read(parameters, &of(part), inputs, outputs);
        let split = |part: &str, inputs, outputs: &[usize]| {
            Linear::read_split(parameters, &of(part), inputs, outputs)
        };
        Ok(Self {
            shape,
            node_norm: LayerNorm::read(parameters, &of("node_norm1.ln"), hidden)?,
            edge_norm: LayerNorm::read(parameters, &of("edge_norm.ln"), edge)?,
            qk_node: split("qk_node", hidden, &[edge, edge])?,
            qk_edge: split("qk_edge", edge, &[edge, edge])?,
            o_edge: linear("o_edge", edge, edge)?,
            scores: linear("att_linear", edge, heads)?,
            v_node: linear("v_node", hidden, hidden)?,
            v_edge: split("v_edge", edge, &vec![hidden / heads; heads])?,
            o_node: linear("o_node", hidden, hidden)?,
            mlp: NormedPerceptron::read(parameters, [&of("node_norm2"), &of("mlp")], [hidden, 2 * hidden])?,
        })
    }

    /// Nodes `h` `[N, hidden]` and pairs `e` `[rows, edge]` after the layer, in place. Between attention and perceptron the
    /// nodes go to `middle`, for the way back.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        h: &mut [f32],
        e: &mut [f32],
        middle: Option<&mut Vec<f32>>,
        buffers: &mut Buffers,
    ) {
        let between = self.between(simd, pairs, h, e, buffers);
        self.add_to_pairs(simd, &between.of_pairs.z, pairs.len(), e);
        self.add_to_nodes(simd, &between.taken, pairs.nodes, h);
        between.give_back(buffers);
        if let Some(middle) = middle {
            middle.clear();
            middle.extend_from_slice(h);
        }
        self.mlp.add_to(simd, h, pairs.nodes, buffers);
    }

    /// What `forward` does to the new nodes of several graphs, of which `h` has the rows, one graph after the other, and to their
    /// pairs: maps of nodes read their weights once for all graphs. What later blocks look at goes to layer `number` of what is
    /// kept of each graph.
    #[inline(always)]
    pub(super) fn forward_growing<S: Simd>(
        &self,
        simd: S,
        graphs: &mut [GrowingPart<'_>],
        number: usize,
        h: &mut [f32],
        buffers: &mut Buffers,
    ) {
        let HigherOrderShape { hidden, edge, heads, .. } = self.shape;
        let (wide, deep) = (padded(hidden), padded(edge));
        let all = h.len() / wide;
        let [mut xn, mut q, mut k, mut values] =
            [wide, deep, deep, wide].map(|width| buffers.take(all * width));
        self.of_nodes(simd, h, [&mut xn, &mut q, &mut k, &mut values]);
        let mut taken = buffers.zeros((all + 1) * wide);
        let mut pooled = buffers.zeros(heads * all * deep);
        for GrowingPart { graph, rows, e, grown } in graphs {
            let (pairs, layer) = (&graph.pairs, &mut grown.layers[number]);
            for (kept, new, width) in
                [(&mut layer.q, &q, deep), (&mut layer.k, &k, deep), (&mut layer.values, &values, wide)]
            {
                kept[pairs.known * width..].copy_from_slice(&new[rows.start * width..rows.end * width]);
            }
            let of_pairs = self.of_pairs(simd, pairs, [&layer.q, &layer.k], e, buffers);
            self.take(simd, pairs, &of_pairs, &layer.values, (rows.start, all), (&mut taken, &mut pooled));
            self.add_to_pairs(simd, &of_pairs.z, pairs.len(), e);
            of_pairs.give_back(buffers);
        }
        self.take_pooled(simd, &pooled, all, &mut taken);
        self.add_to_nodes(simd, &taken, all, h);
        buffers.give([xn, q, k, values, taken, pooled]);
        self.mlp.add_to(simd, h, all, buffers);
    }

    /// Normalised nodes, queries, keys and values of the rows of `h`.
    #[inline(always)]
    fn of_nodes<S: Simd>(&self, simd: S, h: &[f32], [xn, q, k, values]: [&mut [f32]; 4]) {
        let (wide, deep) = (padded(self.shape.hidden), padded(self.shape.edge));
        let rows = h.len() / wide;
        self.node_norm.apply(simd, h, xn);
        let input = Rows::new(xn, wide);
        self.qk_node[0].apply(simd, input, rows, q, deep);
        self.qk_node[1].apply(simd, input, rows, k, deep);
        self.v_node.apply(simd, input, rows, values, wide);
    }

    /// Everything up to the two maps onto the residual streams.
    #[inline(always)]
    pub(super) fn between<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        h: &[f32],
        e: &[f32],
        buffers: &mut Buffers,
    ) -> Between {
        let HigherOrderShape { hidden, edge, heads, .. } = self.shape;
        let (n, wide, deep) = (pairs.nodes, padded(hidden), padded(edge));
        let [mut xn, mut q, mut k, mut values] =
            [wide, deep, deep, wide].map(|width| buffers.take(n * width));
        self.of_nodes(simd, h, [&mut xn, &mut q, &mut k, &mut values]);
        let of_pairs = self.of_pairs(simd, pairs, [&q, &k], e, buffers);
        let mut taken = buffers.zeros((n + 1) * wide);
        let mut pooled = buffers.zeros(heads * n * deep);
        self.take(simd, pairs, &of_pairs, &values, (0, n), (&mut taken, &mut pooled));
        self.take_pooled(simd, &pooled, n, &mut taken);
        Between { xn, q, k, values, of_pairs, pooled, taken }
    }

    /// Pairs from their inputs and the queries and keys of all nodes.
    #[inline(always)]
    fn of_pairs<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        [q, k]: [&[f32]; 2],
        e: &[f32],
        buffers: &mut Buffers,
    ) -> OfPairs {
        let (rows, deep, across) = (pairs.len(), padded(self.shape.edge), padded(self.shape.heads));
        let mut en = buffers.take(rows * deep);
        self.edge_norm.apply(simd, e, &mut en);
        let [mut gate, mut before, mut z] = [0, 1, 2].map(|_| buffers.take(rows * deep));
        self.qk_edge[0].apply(simd, Rows::new(&en, deep), rows, &mut gate, deep);
        self.qk_edge[1].apply(simd, Rows::new(&en, deep), rows, &mut before, deep);
        simd.vectorize(Gate { simd, pairs, q, k, gate: &gate, before: &mut before, z: &mut z });
        let mut attention = buffers.take(rows * across);
        self.scores.apply(simd, Rows::new(&z, deep), rows, &mut attention, across);
        simd.vectorize(MaskedSoftmax { simd, pairs, scores: &mut attention, width: across });
        OfPairs { en, gate, before, z, attention }
    }

    /// Adds what nodes take from those they see: values to `taken` `[all, hidden]` and Z to `pooled` `[heads, all, edge]`. The
    /// nodes that are not known have the rows from `first` on.
    #[inline(always)]
    fn take<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        of_pairs: &OfPairs,
        values: &[f32],
        (first, all): (usize, usize),
        (taken, pooled): (&mut [f32], &mut [f32]),
    ) {
        let HigherOrderShape { hidden, edge, heads, .. } = self.shape;
        let (wide, deep, across) = (padded(hidden), padded(edge), padded(heads));
        let width = hidden / heads;
        for (row, &[i, j]) in pairs.ends.iter().enumerate().filter(|(row, _)| pairs.sees[*row]) {
            let place = first + i - pairs.known;
            let shares = &of_pairs.attention[row * across..][..heads];
            for (head, &share) in shares.iter().enumerate() {
                let value = &values[j * wide + head * width..][..width];
                let target = &mut taken[place * wide + head * width..][..width];
                for (target, value) in target.iter_mut().zip(value) {
                    *target += share * value;
                }
                let target = &mut pooled[(head * all + place) * deep..][..deep];
                add_scaled(simd, share, &of_pairs.z[row * deep..][..deep], target);
            }
        }
    }

    /// Adds the maps of Z under attention. Those of single heads write their padding, too: there is room behind `taken`.
    #[inline(always)]
    fn take_pooled<S: Simd>(&self, simd: S, pooled: &[f32], rows: usize, taken: &mut [f32]) {
        let (wide, deep) = (padded(self.shape.hidden), padded(self.shape.edge));
        let width = self.shape.hidden / self.shape.heads;
        for (head, map) in self.v_edge.iter().enumerate() {
            let of_head = Rows::new(&pooled[head * rows * deep..], deep);
            map.add_with_bias(simd, of_head, rows, &mut taken[head * width..], wide);
        }
    }

    #[inline(always)]
    fn add_to_pairs<S: Simd>(&self, simd: S, z: &[f32], rows: usize, e: &mut [f32]) {
        let deep = padded(self.shape.edge);
        self.o_edge.add_with_bias(simd, Rows::new(z, deep), rows, e, deep);
    }

    #[inline(always)]
    fn add_to_nodes<S: Simd>(&self, simd: S, taken: &[f32], rows: usize, h: &mut [f32]) {
        let wide = padded(self.shape.hidden);
        self.o_node.add_with_bias(simd, Rows::new(taken, wide), rows, h, wide);
    }
}

/// `before += SiLU(s) gate + s` with `s_ij = q_i + k_j`, and `z = SiLU(before)`.
struct Gate<'a, S> {
    simd: S,
    pairs: &'a PairRows,
    q: &'a [f32],
    k: &'a [f32],
    gate: &'a [f32],
    before: &'a mut [f32],
    z: &'a mut [f32],
}

impl<S: Simd> NullaryFnOnce for Gate<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, pairs, q, k, gate, before, z } = self;
        let width = q.len() / pairs.nodes.max(1);
        let rows = before.chunks_exact_mut(width).zip(gate.chunks_exact(width));
        for ((before, gate), &[i, j]) in rows.zip(&pairs.ends) {
            let (q, k) = (&q[i * width..][..width], &k[j * width..][..width]);
            let ((q, _), (k, _)) = (S::as_simd_f32s(q), S::as_simd_f32s(k));
            let ((gate, _), (before, _)) = (S::as_simd_f32s(gate), S::as_mut_simd_f32s(before));
            for (((before, gate), q), k) in before.iter_mut().zip(gate).zip(q).zip(k) {
                let s = simd.add_f32s(*q, *k);
                let unit = simd.mul_f32s(s, sigmoid(simd, s));
                *before = simd.add_f32s(simd.mul_add_e_f32s(unit, *gate, s), *before);
            }
        }
        z.copy_from_slice(before);
        silu(simd, z);
    }
}

/// Softmax of scores `[rows, width]` over the j that each i sees, for each column; 0 for the others.
struct MaskedSoftmax<'a, S> {
    simd: S,
    pairs: &'a PairRows,
    scores: &'a mut [f32],
    width: usize,
}

impl<S: Simd> NullaryFnOnce for MaskedSoftmax<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, pairs, scores, width } = self;
        for (i, &first) in pairs.first[..pairs.nodes].iter().enumerate() {
            let rows = first..pairs.first[i + 1];
            for column in (0..width).step_by(S::F32_LANES) {
                let at = |row: usize| row * width + column;
                let mut highest = simd.splat_f32s(f32::NEG_INFINITY);
                for row in rows.clone().filter(|&row| pairs.sees[row]) {
                    let score = S::as_simd_f32s(&scores[at(row)..][..S::F32_LANES]).0[0];
                    // A score that is no number stays in the comparison's way, and is one in the sum.
                    highest = simd.select_f32s(simd.greater_than_f32s(score, highest), score, highest);
                }
                let mut sum = simd.splat_f32s(0.0);
                for row in rows.clone() {
                    let score = &mut S::as_mut_simd_f32s(&mut scores[at(row)..][..S::F32_LANES]).0[0];
                    if pairs.sees[row] {
                        *score = exp(simd, simd.sub_f32s(*score, highest));
                        sum = simd.add_f32s(sum, *score);
                    } else {
                        *score = simd.splat_f32s(0.0);
                    }
                }
                let share = simd.div_f32s(simd.splat_f32s(1.0), sum);
                for row in rows.clone().filter(|&row| pairs.sees[row]) {
                    let score = &mut S::as_mut_simd_f32s(&mut scores[at(row)..][..S::F32_LANES]).0[0];
                    *score = simd.mul_f32s(*score, share);
                }
            }
        }
    }
}
