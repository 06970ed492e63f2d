//! The way back through the temporal attention of one system. Queries, keys, values and attentions are made again.

use equidrift_backend::weights::ParameterSet;
use pulp::Simd;

use super::temporal::{Temporal, softmax, transpose};
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
    displacement_out: ToNumber,
    time: LinearGradient,
}

impl TemporalGradient {
    /// Zeros.
    pub(super) fn new(layer: &Temporal) -> Self {
        Self {
            maps: std::array::from_fn(|map| std::array::from_fn(|part| layer.maps[map][part].no_gradient())),
            displacement: layer.displacement.no_gradient(),
            displacement_out: layer.displacement_out.no_gradient(),
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
        self.displacement_out.emit(&format!("{name}.x_mlp.actions.2"), into);
        self.time.emit(&format!("{name}.time_emb"), into);
    }
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
        (h, x): (&[f32], &[f32]),
        dh: &mut [f32],
        dx: &mut [f32],
        motion: Option<MotionBack<'_>>,
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
        let mut du = buffers.take(17, rows);

        let mut keys = buffers.take(18, width * short);
        let mut attention = buffers.take(19, n * short);
        let mut by_difference = buffers.take(20, n * long);
        let mut carried = buffers.take(21, n * carried_width);
        let mut carried_t = buffers.take(22, carried_width * short);
        let mut dseen = buffers.take(23, n * carried_width);
        let mut dcarried = buffers.take(24, n * carried_width);
        let mut dlogits = buffers.take(25, n * short);
        let mut own = buffers.take(26, n * d);
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
            for k in 0..d {
                let mean = (0..n).map(|t| x[(first + t) * d + k]).sum::<f32>() / n as f32;
                (0..n).for_each(|t| own[t * d + k] = x[(first + t) * d + k] - mean);
            }
            for t in 0..n {
                let row = (first + t) * width;
                let u = self.displacement_out.apply(simd, &hidden[3][row..][..width]);
                let out_row = &mut carried[t * carried_width..][..carried_width];
                out_row[..width].copy_from_slice(&out[2][row..][..width]);
                out_row[width..].fill(0.0);
                (0..d).for_each(|k| out_row[width + k] = u * own[t * d + k]);
                out_row[width + d] = u;
                let back = &mut dseen[t * carried_width..][..carried_width];
                back[..width].copy_from_slice(&dh[row..][..width]);
                back[width..].fill(0.0);
                let mut along = 0.0;
                for k in 0..d {
                    let incoming = of_step(dx, (first + t) * d + k, d, motion);
                    back[width + k] = -incoming;
                    along += incoming * own[t * d + k];
                }
                back[width + d] = along;
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
                let u = carried[t * carried_width + width + d];
                // The sum of the weights of the displacements at this frame.
                let sum: f32 =
                    (0..n).map(|s| attention[t * short + s] * carried[s * carried_width + width + d]).sum();
                let mut dnumber = back[width + d];
                for k in 0..d {
                    dnumber += back[width + k] * own[t * d + k];
                    let incoming = of_step(dx, (first + t) * d + k, d, motion);
                    dx[(first + t) * d + k] += incoming * sum + u * back[width + k];
                }
                du[first + t] = dnumber;
            }
        }

        // Back through the maps of the nodes.
        let mut back = buffers.take(27, size);
        for (row, &du) in du.iter().enumerate() {
            let part = row * width..(row + 1) * width;
            add_scaled(simd, du, &hidden[3][part.clone()], &mut gradient.displacement_out.weight);
            gradient.displacement_out.bias += du;
            back[part.clone()].fill(0.0);
            add_scaled(simd, du, &self.displacement_out.weight, &mut back[part]);
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
        let rest =
            [du, keys, attention, by_difference, carried, carried_t, dseen, dcarried, dlogits, own, back];
        let all = kept.into_iter().chain(pre).chain(hidden).chain(out).chain(dout).chain(rest);
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
