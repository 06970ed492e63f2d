//! The way back through the graph transformer layer. What the layer computes is made again, from its inputs.

use equidrift_backend::kernels::Buffers;
use equidrift_backend::kernels::elementwise::{add_scaled, dot, sigmoid, through_silu};
use equidrift_backend::kernels::layer_norm::LayerNormGradient;
use equidrift_backend::kernels::matrix::{LinearGradient, Rows, padded};
use equidrift_backend::weights::ParameterSet;
use equidrift_nn::HigherOrderShape;
use pulp::{NullaryFnOnce, Simd};

use super::pair_rows::PairRows;
use super::perceptron::NormedPerceptronGradient;
use super::transformer::{Between, Transformer};

/// The gradient of a [`Transformer`].
#[derive(Debug, Clone)]
pub(super) struct TransformerGradient {
    node_norm: LayerNormGradient,
    edge_norm: LayerNormGradient,
    qk_node: Vec<LinearGradient>,
    qk_edge: Vec<LinearGradient>,
    o_edge: LinearGradient,
    scores: LinearGradient,
    v_node: LinearGradient,
    v_edge: Vec<LinearGradient>,
    o_node: LinearGradient,
    mlp: NormedPerceptronGradient,
}

impl TransformerGradient {
    /// Zeros.
    pub(super) fn new(layer: &Transformer) -> Self {
        let zeros = |maps: &[equidrift_backend::kernels::matrix::Linear]| {
            maps.iter().map(|map| map.no_gradient()).collect()
        };
        Self {
            node_norm: layer.node_norm.no_gradient(),
            edge_norm: layer.edge_norm.no_gradient(),
            qk_node: zeros(&layer.qk_node),
            qk_edge: zeros(&layer.qk_edge),
            o_edge: layer.o_edge.no_gradient(),
            scores: layer.scores.no_gradient(),
            v_node: layer.v_node.no_gradient(),
            v_edge: zeros(&layer.v_edge),
            o_node: layer.o_node.no_gradient(),
            mlp: layer.mlp.no_gradient(),
        }
    }

    /// Under the names of the parameters.
    pub(super) fn emit(&self, name: &str, into: &mut ParameterSet) {
        let of = |part: &str| format!("{name}.{part}");
        self.node_norm.emit(&of("node_norm1.ln"), into);
        self.edge_norm.emit(&of("edge_norm.ln"), into);
        for (maps, part) in [(&self.qk_node, "qk_node"), (&self.qk_edge, "qk_edge"), (&self.v_edge, "v_edge")]
        {
            LinearGradient::emit_split(maps, &of(part), into);
        }
        self.o_edge.emit(&of("o_edge"), into);
        self.scores.emit(&of("att_linear"), into);
        self.v_node.emit(&of("v_node"), into);
        self.o_node.emit(&of("o_node"), into);
        self.mlp.emit([&of("node_norm2"), &of("mlp")], into);
    }
}

/// What a layer saw: its inputs, and the nodes between attention and perceptron.
#[derive(Debug, Default)]
pub(super) struct TransformerTape {
    pub(super) h: Vec<f32>,
    pub(super) e: Vec<f32>,
    pub(super) middle: Vec<f32>,
}

impl Transformer {
    /// Turns gradients `dh` and `de` of the outputs into those of the inputs, and adds that of the parameters to `gradient`.
    #[expect(clippy::too_many_arguments, reason = "what went in, what comes back, and where it goes")]
    #[inline(always)]
    pub(super) fn backward<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        tape: &TransformerTape,
        dh: &mut [f32],
        de: &mut [f32],
        gradient: &mut TransformerGradient,
        buffers: &mut Buffers,
    ) {
        let HigherOrderShape { hidden, edge, .. } = self.shape;
        let (n, rows) = (pairs.nodes, pairs.len());
        let (wide, deep) = (padded(hidden), padded(edge));

        let mut dmiddle = buffers.take(n * wide);
        dmiddle.copy_from_slice(dh);
        self.mlp.back(simd, &tape.middle, n, dh, &mut dmiddle, &mut gradient.mlp, buffers);
        dh.copy_from_slice(&dmiddle);

        let between = self.between(simd, pairs, &tape.h, &tape.e, buffers);
        gradient.o_node.add(simd, Rows::new(&between.taken, wide), Rows::new(&dmiddle, wide), n);
        let mut dtaken = buffers.zeros((n + 1) * wide);
        self.o_node.back(simd, Rows::new(&dmiddle, wide), n, &mut dtaken, wide);

        let mut dz = buffers.zeros(rows * deep);
        self.o_edge.back(simd, Rows::new(de, deep), rows, &mut dz, deep);
        gradient.o_edge.add(simd, Rows::new(&between.of_pairs.z, deep), Rows::new(de, deep), rows);

        let mut dvalues = buffers.zeros(n * wide);
        self.attention_back(simd, pairs, &between, &dtaken, &mut dvalues, &mut dz, gradient, buffers);

        // From Z to gates, shifts, queries and keys.
        through_silu(simd, &between.of_pairs.before, &mut dz);
        let (mut dgate, mut dq, mut dk) =
            (buffers.take(rows * deep), buffers.zeros(n * deep), buffers.zeros(n * deep));
        simd.vectorize(GateBack {
            simd,
            pairs,
            between: &between,
            dbefore: &dz,
            dgate: &mut dgate,
            dq: &mut dq,
            dk: &mut dk,
        });
        let mut den = buffers.zeros(rows * deep);
        for ((map, into), back) in self.qk_edge.iter().zip(&mut gradient.qk_edge).zip([&dgate, &dz]) {
            into.add(simd, Rows::new(&between.of_pairs.en, deep), Rows::new(back, deep), rows);
            map.back(simd, Rows::new(back, deep), rows, &mut den, deep);
        }
        self.edge_norm.back(simd, &tape.e, &den, de, &mut gradient.edge_norm);
        let mut dxn = buffers.zeros(n * wide);
        let of_nodes = Rows::new(&between.xn, wide);
        for ((map, into), back) in self.qk_node.iter().zip(&mut gradient.qk_node).zip([&dq, &dk]) {
            into.add(simd, of_nodes, Rows::new(back, deep), n);
            map.back(simd, Rows::new(back, deep), n, &mut dxn, wide);
        }
        gradient.v_node.add(simd, of_nodes, Rows::new(&dvalues, wide), n);
        self.v_node.back(simd, Rows::new(&dvalues, wide), n, &mut dxn, wide);
        self.node_norm.back(simd, &tape.h, &dxn, dh, &mut gradient.node_norm);
        between.give_back(buffers);
        buffers.give([dmiddle, dtaken, dz, dvalues, dgate, dq, dk, den, dxn]);
    }

    /// From what the nodes take to values, Z and scores.
    #[expect(clippy::too_many_arguments, reason = "what was computed, what comes back, and where it goes")]
    #[inline(always)]
    fn attention_back<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        between: &Between,
        dtaken: &[f32],
        dvalues: &mut [f32],
        dz: &mut [f32],
        gradient: &mut TransformerGradient,
        buffers: &mut Buffers,
    ) {
        let HigherOrderShape { hidden, edge, heads, .. } = self.shape;
        let (n, rows) = (pairs.nodes, pairs.len());
        let (wide, deep, across) = (padded(hidden), padded(edge), padded(heads));
        let width = hidden / heads;
        let mut dpooled = buffers.zeros(heads * n * deep);
        for (head, (map, into)) in self.v_edge.iter().zip(&mut gradient.v_edge).enumerate() {
            let back = Rows::new(&dtaken[head * width..], wide);
            let places = head * n * deep..(head + 1) * n * deep;
            into.add(simd, Rows::new(&between.pooled[places.clone()], deep), back, n);
            map.back(simd, back, n, &mut dpooled[places], deep);
        }
        let mut dscores = buffers.zeros(rows * across);
        let seen = || pairs.ends.iter().enumerate().filter(|(row, _)| pairs.sees[*row]);
        for (row, &[i, j]) in seen() {
            let z = &between.of_pairs.z[row * deep..][..deep];
            for head in 0..heads {
                let share = between.of_pairs.attention[row * across + head];
                let back = &dtaken[i * wide + head * width..][..width];
                let places = j * wide + head * width..j * wide + (head + 1) * width;
                let mut along = inner(simd, back, &between.values[places.clone()]);
                for (target, back) in dvalues[places].iter_mut().zip(back) {
                    *target += share * back;
                }
                let back = &dpooled[(head * n + i) * deep..][..deep];
                along += dot(simd, back, z);
                add_scaled(simd, share, back, &mut dz[row * deep..][..deep]);
                dscores[row * across + head] = along;
            }
        }
        // Softmax: each share's gradient less their mean under the shares.
        for &[first, last] in pairs.first.array_windows() {
            for head in 0..heads {
                let at = |row: usize| row * across + head;
                let rows = || (first..last).filter(|&row| pairs.sees[row]);
                let mean: f32 =
                    rows().map(|row| between.of_pairs.attention[at(row)] * dscores[at(row)]).sum();
                for row in rows() {
                    dscores[at(row)] = between.of_pairs.attention[at(row)] * (dscores[at(row)] - mean);
                }
            }
        }
        let back = Rows::new(&dscores, across);
        gradient.scores.add(simd, Rows::new(&between.of_pairs.z, deep), back, rows);
        self.scores.back(simd, back, rows, dz, deep);
        buffers.give([dpooled, dscores]);
    }
}

/// The inner product of two rows of one head.
#[inline(always)]
fn inner<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    if a.len().is_multiple_of(S::F32_LANES) {
        return dot(simd, a, b);
    }
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// From the gradient of what SiLU makes Z of to those of gates, queries and keys.
struct GateBack<'a, S> {
    simd: S,
    pairs: &'a PairRows,
    between: &'a Between,
    dbefore: &'a [f32],
    dgate: &'a mut [f32],
    dq: &'a mut [f32],
    dk: &'a mut [f32],
}

impl<S: Simd> NullaryFnOnce for GateBack<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, pairs, between, dbefore, dgate, dq, dk } = self;
        let width = dq.len() / pairs.nodes.max(1);
        let one = simd.splat_f32s(1.0);
        for (row, &[i, j]) in pairs.ends.iter().enumerate() {
            let at = row * width..(row + 1) * width;
            let (q, _) = S::as_simd_f32s(&between.q[i * width..][..width]);
            let (k, _) = S::as_simd_f32s(&between.k[j * width..][..width]);
            let (gate, _) = S::as_simd_f32s(&between.of_pairs.gate[at.clone()]);
            let (back, _) = S::as_simd_f32s(&dbefore[at.clone()]);
            let (dgate, _) = S::as_mut_simd_f32s(&mut dgate[at]);
            let (dq, _) = S::as_mut_simd_f32s(&mut dq[i * width..][..width]);
            let (dk, _) = S::as_mut_simd_f32s(&mut dk[j * width..][..width]);
            for v in 0..q.len() {
                let s = simd.add_f32s(q[v], k[v]);
                let gated = sigmoid(simd, s);
                let unit = simd.mul_f32s(s, gated);
                dgate[v] = simd.mul_f32s(back[v], unit);
                // SiLU' = sigmoid + SiLU (1 - sigmoid).
                let slope = simd.mul_add_e_f32s(unit, simd.sub_f32s(one, gated), gated);
                let ds = simd.mul_f32s(back[v], simd.mul_add_e_f32s(gate[v], slope, one));
                dq[v] = simd.add_f32s(dq[v], ds);
                dk[v] = simd.add_f32s(dk[v], ds);
            }
        }
    }
}
