//! The way back through the temporal attention of one system. Queries, keys, values and attentions are made again.

use equidrift_backend::weights::ParameterSet;
use pulp::Simd;

use super::temporal::{Temporal, about_mean, softmax, transpose};
use super::view::{Buffers, Differences, MotionBack, SystemView, of_step};
use equidrift_backend::kernels::elementwise::{add_scaled, silu, through_silu};
use equidrift_backend::kernels::matrix::{
    Extents, LANE_MULTIPLE, Left, LinearGradient, Rows, ToNumber, add_product, padded,
};

/// The gradient of a [`Temporal`].
#[derive(Debug, Clone)]
pub(super) struct TemporalGradient {
    maps: [[LinearGradient; 2]; 3],
    displacement: LinearGradient,
    weights: Vec<ToNumber>,
    time: LinearGradient,
}

impl TemporalGradient {
    /// Zeros.
    pub(super) fn new(layer: &Temporal) -> Self {
        Self {
            maps: std::array::from_fn(|map| std::array::from_fn(|part| layer.maps[map][part].no_gradient())),
            displacement: layer.displacement.no_gradient(),
            weights: layer.weights.iter().map(ToNumber::no_gradient).collect(),
            time: layer.time.no_gradient(),
        }
    }

    /// Under the names of the parameters.
    pub(super) fn emit(&self, name: &str, into: &mut ParameterSet) {
        for (map, parts) in ["q_mlp", "k_mlp", "v_mlp"].into_iter().zip(&self.maps) {
            parts[0].emit(&format!("{name}.{map}.actions.0"), into);
            parts[1].emit(&format!("{name}.{map}.actions.2"), into);
        }
        self.displacement.emit(&format!("{name}.x_mlp.actions.0"), into);
        ToNumber::emit_rows(&self.weights, &format!("{name}.x_mlp.actions.2"), into);
        self.time.emit(&format!("{name}.time_emb"), into);
    }
}

/// What a layer saw.
#[derive(Debug, Clone, Copy)]
pub(super) struct TemporalTape<'a> {
    pub(super) h: &'a [f32],
    pub(super) x: &'a [f32],
    /// Of a linear forecast.
    pub(super) deviations: &'a [f32],
}

impl Temporal {
    /// Turns gradients `dh`, `dx` of the outputs into those of the inputs `h`, `x`, and adds that of the parameters to
    /// `gradient`.
    #[expect(clippy::too_many_arguments, reason = "what was seen, what comes back, and where it goes")]
    #[inline(always)]
    pub(super) fn backward<S: Simd>(
        &self,
        simd: S,
        system: &SystemView<'_>,
        differences: &Differences,
        TemporalTape { h, x, deviations }: TemporalTape<'_>,
        dh: &mut [f32],
        dx: &mut [f32],
        motion: &mut Option<MotionBack<'_>>,
        gradient: &mut TemporalGradient,
        buffers: &mut Buffers,
    ) {
        let (n, d) = (system.frames, system.dimensions);
        let (width, units) = (self.time.width(), self.time.outputs);
        let (rows, span) = (system.nodes * n, 2 * n - 1);
        let (short, long) = (padded(n), padded(span));
        let carried_width = width + LANE_MULTIPLE;
        let size = rows * width;

        let mut embedding = buffers.take(0, span * width);
        let table = Rows { values: &differences.table, stride: differences.width };
        self.time.apply(simd, table, span, &mut embedding, width);
        let mut transposed = buffers.take(1, width * long);
        transpose(&embedding, span, width, &mut transposed, long);
        let mut dembedding = buffers.take(2, span * width);
        dembedding.fill(0.0);

        // Maps of the nodes: before and after their activation, and their outputs.
        let mut pre: [Vec<f32>; 4] = [3, 4, 5, 6].map(|which| buffers.take(which, size));
        let mut hidden: [Vec<f32>; 4] = [7, 8, 9, 10].map(|which| buffers.take(which, size));
        let mut out: [Vec<f32>; 3] = [11, 12, 13].map(|which| buffers.take(which, size));
        let mut dout: [Vec<f32>; 3] = [14, 15, 16].map(|which| buffers.take(which, size));
        for map in 0..3 {
            self.maps[map][0].apply(simd, Rows::new(h, width), rows, &mut pre[map], width);
            hidden[map].copy_from_slice(&pre[map]);
            silu(simd, &mut hidden[map]);
            self.maps[map][1].apply(simd, Rows::new(&hidden[map], width), rows, &mut out[map], width);
            dout[map].fill(0.0);
        }
        self.displacement.apply(simd, Rows::new(&out[2], width), rows, &mut pre[3], width);
        hidden[3].copy_from_slice(&pre[3]);
        silu(simd, &mut hidden[3]);
        let mut du = [17, 18].map(|which| buffers.take(which, rows));

        let mut keys = buffers.take(19, width * short);
        let mut attention = buffers.take(20, n * short);
        let mut by_difference = buffers.take(21, n * long);
        let mut carried = buffers.take(22, n * carried_width);
        let mut carried_t = buffers.take(23, carried_width * short);
        let mut dseen = buffers.take(24, n * carried_width);
        let mut dcarried = buffers.take(25, n * carried_width);
        let mut dlogits = buffers.take(26, n * short);
        let mut own = [27, 28].map(|which| buffers.take(which, n * d));
        for node in 0..system.nodes {
            let first = node * n;
            let part = first * width..(first + n) * width;
            let query = Rows::new(&out[0][part.clone()], width);
            // The attention, as on the way there.
            transpose(&out[1][part.clone()], n, width, &mut keys, short);
            attention.fill(0.0);
            let extents = Extents { rows: n, inner: units, columns: short };
            let right = Rows { values: &keys, stride: short };
            add_product(simd, extents, Left::Plain(query), right, &mut attention, short);
            by_difference.fill(0.0);
            let differences_of = Extents { rows: n, inner: units, columns: long };
            let right = Rows { values: &transposed, stride: long };
            add_product(simd, differences_of, Left::Plain(query), right, &mut by_difference, long);
            for t in 0..n {
                let relative = &by_difference[t * long + n - 1 - t..][..n];
                attention[t * short..][..n].iter_mut().zip(relative).for_each(|(a, b)| *a += b);
                softmax(simd, &mut attention[t * short..][..short], n);
            }
            about_mean(&x[first * d..][..n * d], d, &mut own[0]);
            if motion.is_some() {
                about_mean(&deviations[first * d..][..n * d], d, &mut own[1]);
            }
            for t in 0..n {
                let row = (first + t) * width;
                let out_row = &mut carried[t * carried_width..][..carried_width];
                out_row[..width].copy_from_slice(&out[2][row..][..width]);
                out_row[width..].fill(0.0);
                let back = &mut dseen[t * carried_width..][..carried_width];
                back[..width].copy_from_slice(&dh[row..][..width]);
                back[width..].fill(0.0);
                for ((weight, own), at) in self.weights.iter().zip(&own).zip((width..).step_by(d + 1)) {
                    let u = weight.apply(simd, &hidden[3][row..][..width]);
                    out_row[at + d] = u;
                    for k in 0..d {
                        out_row[at + k] = u * own[t * d + k];
                        let incoming = of_step(dx, (first + t) * d + k, d, motion);
                        back[at + k] = -incoming;
                        back[at + d] += incoming * own[t * d + k];
                    }
                }
            }

            // Attention weights.
            transpose(&carried, n, carried_width, &mut carried_t, short);
            dlogits.fill(0.0);
            let extents = Extents { rows: n, inner: carried_width, columns: short };
            let left = Left::Plain(Rows { values: &dseen, stride: carried_width });
            let right = Rows { values: &carried_t, stride: short };
            add_product(simd, extents, left, right, &mut dlogits, short);
            by_difference.fill(0.0);
            let left = Left::Plain(Rows::new(&dh[part.clone()], width));
            let right = Rows { values: &transposed, stride: long };
            add_product(simd, differences_of, left, right, &mut by_difference, long);
            for t in 0..n {
                let relative = &by_difference[t * long + n - 1 - t..][..n];
                let row = &mut dlogits[t * short..][..n];
                row.iter_mut().zip(relative).for_each(|(a, b)| *a += b);
            }

            // What is carried, and the embeddings added to it.
            dcarried.fill(0.0);
            let weights = Rows { values: &attention, stride: short };
            let extents = Extents { rows: n, inner: n, columns: carried_width };
            let right = Rows { values: &dseen, stride: carried_width };
            add_product(simd, extents, Left::Transposed(weights), right, &mut dcarried, carried_width);
            spread(&attention, n, short, &mut by_difference, long);
            let extents = Extents { rows: span, inner: n, columns: width };
            let left = Left::Transposed(Rows { values: &by_difference, stride: long });
            add_product(simd, extents, left, Rows::new(&dh[part.clone()], width), &mut dembedding, width);

            // Through the softmax.
            for t in 0..n {
                let (a, g) = (&attention[t * short..][..n], &mut dlogits[t * short..][..short]);
                let mean: f32 = a.iter().zip(g.iter()).map(|(a, g)| a * g).sum();
                g.iter_mut().zip(a).for_each(|(g, a)| *g = a * (*g - mean));
                g[n..].fill(0.0);
            }
            spread(&dlogits, n, short, &mut by_difference, long);
            let left = Rows { values: &dlogits, stride: short };
            let extents = Extents { rows: n, inner: n, columns: width };
            let [dquery, dkey, dvalue] = &mut dout;
            let key = Rows::new(&out[1][part.clone()], width);
            add_product(simd, extents, Left::Plain(left), key, &mut dquery[part.clone()], width);
            add_product(simd, extents, Left::Transposed(left), query, &mut dkey[part.clone()], width);
            let left = Rows { values: &by_difference, stride: long };
            let extents = Extents { rows: n, inner: span, columns: width };
            add_product(
                simd,
                extents,
                Left::Plain(left),
                Rows::new(&embedding, width),
                &mut dquery[part.clone()],
                width,
            );
            let extents = Extents { rows: span, inner: n, columns: width };
            add_product(simd, extents, Left::Transposed(left), query, &mut dembedding, width);

            for t in 0..n {
                let back = &dcarried[t * carried_width..][..carried_width];
                dvalue[(first + t) * width..][..width].copy_from_slice(&back[..width]);
                let mut incoming = [0.0; LANE_MULTIPLE];
                for (k, incoming) in incoming.iter_mut().enumerate().take(d) {
                    *incoming = of_step(dx, (first + t) * d + k, d, motion);
                }
                for (channel, at) in (0..self.weights.len()).zip((width..).step_by(d + 1)) {
                    let u = carried[t * carried_width + at + d];
                    // The sum of the weights of the displacements at this frame.
                    let sum: f32 =
                        (0..n).map(|s| attention[t * short + s] * carried[s * carried_width + at + d]).sum();
                    let mut dnumber = back[at + d];
                    for k in 0..d {
                        dnumber += back[at + k] * own[channel][t * d + k];
                        let dpoint = incoming[k] * sum + u * back[at + k];
                        match motion {
                            Some(motion) if channel == 1 => motion.ddeviations[(first + t) * d + k] += dpoint,
                            _ => dx[(first + t) * d + k] += dpoint,
                        }
                    }
                    du[channel][first + t] = dnumber;
                }
            }
        }

        // Back through the maps of the nodes.
        let mut back = buffers.take(29, size);
        back.fill(0.0);
        for ((weight, gradient), du) in self.weights.iter().zip(&mut gradient.weights).zip(&du) {
            for (row, &du) in du.iter().enumerate() {
                let part = row * width..(row + 1) * width;
                add_scaled(simd, du, &hidden[3][part.clone()], &mut gradient.weight);
                gradient.bias += du;
                add_scaled(simd, du, &weight.weight, &mut back[part]);
            }
        }
        through_silu(simd, &pre[3], &mut back);
        gradient.displacement.add(simd, Rows::new(&out[2], width), Rows::new(&back, width), rows);
        self.displacement.back(simd, Rows::new(&back, width), rows, &mut dout[2], width);
        for map in 0..3 {
            gradient.maps[map][1].add(
                simd,
                Rows::new(&hidden[map], width),
                Rows::new(&dout[map], width),
                rows,
            );
            back.fill(0.0);
            self.maps[map][1].back(simd, Rows::new(&dout[map], width), rows, &mut back, width);
            through_silu(simd, &pre[map], &mut back);
            gradient.maps[map][0].add(simd, Rows::new(h, width), Rows::new(&back, width), rows);
            self.maps[map][0].back(simd, Rows::new(&back, width), rows, dh, width);
        }
        gradient.time.add(simd, table, Rows::new(&dembedding, width), span);

        let kept = [embedding, transposed, dembedding];
        let rest = [keys, attention, by_difference, carried, carried_t, dseen, dcarried, dlogits];
        let all = kept.into_iter().chain(pre).chain(hidden).chain(out).chain(dout);
        let all = all.chain(du).chain(rest).chain(own).chain([back]);
        for (which, buffer) in all.enumerate() {
            buffers.give(which, buffer);
        }
    }
}

/// Values by pairs of frames `[n, short]` at their differences, `[n, long]`; 0 elsewhere.
fn spread(pairs: &[f32], n: usize, short: usize, out: &mut [f32], long: usize) {
    out.fill(0.0);
    for t in 0..n {
        out[t * long + n - 1 - t..][..n].copy_from_slice(&pairs[t * short..][..n]);
    }
}
