//! The temporal attention of one system, node by node.

use equidrift_backend::weights::ParameterSet;
use pulp::Simd;

use super::view::{Buffers, Differences, Motion, SystemView, move_on};
use crate::network_config::NetworkConfig;
use equidrift_backend::kernels::PackError;
use equidrift_backend::kernels::elementwise::{add_scaled, exp, in_place, silu};
use equidrift_backend::kernels::matrix::{
    Extents, LANE_MULTIPLE, Left, Linear, Rows, ToNumber, add_product, padded,
};

/// The maps of a layer.
#[derive(Debug, Clone)]
pub(super) struct Temporal {
    /// Two maps each of query, key and value.
    pub(super) maps: [[Linear; 2]; 3],
    pub(super) displacement: Linear,
    /// Weights of displacements, and with an extrapolated prior of differences of deviations.
    pub(super) weights: Vec<ToNumber>,
    pub(super) time: Linear,
}

impl Temporal {
    pub(super) fn read(
        parameters: &ParameterSet,
        name: &str,
        config: &NetworkConfig,
        deviating: bool,
    ) -> Result<Self, PackError> {
        let h = config.hidden;
        let part = |part: &str, inputs, outputs| {
            Linear::read(parameters, &format!("{name}.{part}"), inputs, outputs)
        };
        let pair = |name: &str| {
            Ok([part(&format!("{name}_mlp.actions.0"), h, h)?, part(&format!("{name}_mlp.actions.2"), h, h)?])
        };
        Ok(Self {
            maps: [pair("q")?, pair("k")?, pair("v")?],
            displacement: part("x_mlp.actions.0", h, h)?,
            weights: ToNumber::read_rows(
                parameters,
                &format!("{name}.x_mlp.actions.2"),
                h,
                1 + usize::from(deviating),
            )?,
            time: part("time_emb", config.time_features, h)?,
        })
    }

    /// Features `h` `[N n, padded hidden]` and positions `x` `[N n, D]` after the layer, in place.
    #[expect(clippy::too_many_arguments, reason = "a system, its state and arrays that are used again")]
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        system: &SystemView<'_>,
        differences: &Differences,
        h: &mut [f32],
        x: &mut [f32],
        motion: &mut Option<Motion<'_>>,
        buffers: &mut Buffers,
    ) {
        let (n, d) = (system.frames, system.dimensions);
        let width = self.time.width();
        let (rows, span) = (system.nodes * n, 2 * n - 1);
        let (short, long) = (padded(n), padded(span));
        let carried_width = width + LANE_MULTIPLE;

        // P of every difference, as it is and transposed.
        let mut embedding = buffers.take(0, span * width);
        let table = Rows { values: &differences.table, stride: differences.width };
        self.time.apply(simd, table, span, &mut embedding, width);
        let mut transposed = buffers.take(1, width * long);
        transpose(&embedding, span, width, &mut transposed, long);

        let size = rows * width;
        let [mut hidden, mut query, mut key, mut value] = [2, 3, 4, 5].map(|which| buffers.take(which, size));
        for ([first, second], out) in self.maps.iter().zip([&mut query, &mut key, &mut value]) {
            first.apply(simd, Rows { values: h, stride: width }, rows, &mut hidden, width);
            silu(simd, &mut hidden[..size]);
            second.apply(simd, Rows { values: &hidden, stride: width }, rows, out, width);
        }
        self.displacement.apply(simd, Rows { values: &value, stride: width }, rows, &mut hidden, width);
        silu(simd, &mut hidden[..size]);

        let mut keys = buffers.take(6, width * short);
        let mut attention = buffers.take(7, n * short);
        let mut by_difference = buffers.take(8, n * long);
        let mut carried = buffers.take(9, n * carried_width);
        let mut seen = buffers.take(10, n * carried_width);
        let mut own = [11, 12].map(|which| buffers.take(which, n * d));
        let hidden_units = self.time.outputs;
        for node in 0..system.nodes {
            let first = node * n;
            let rows_of_node = first * width..(first + n) * width;
            transpose(&key[rows_of_node.clone()], n, width, &mut keys, short);
            let query = Rows { values: &query[rows_of_node], stride: width };
            attention.fill(0.0);
            let extents = Extents { rows: n, inner: hidden_units, columns: short };
            let right = Rows { values: &keys, stride: short };
            add_product(simd, extents, Left::Plain(query), right, &mut attention, short);
            by_difference.fill(0.0);
            let extents = Extents { rows: n, inner: hidden_units, columns: long };
            let right = Rows { values: &transposed, stride: long };
            add_product(simd, extents, Left::Plain(query), right, &mut by_difference, long);
            for t in 0..n {
                let relative = &by_difference[t * long + n - 1 - t..][..n];
                attention[t * short..][..n].iter_mut().zip(relative).for_each(|(a, b)| *a += b);
                softmax(simd, &mut attention[t * short..][..short], n);
            }

            about_mean(&x[first * d..][..n * d], d, &mut own[0]);
            if let Some(motion) = motion.as_ref() {
                about_mean(&motion.deviations[first * d..][..n * d], d, &mut own[1]);
            }
            for t in 0..n {
                let row = (first + t) * width;
                let out = &mut carried[t * carried_width..][..carried_width];
                out[..width].copy_from_slice(&value[row..][..width]);
                out[width..].fill(0.0);
                for ((weight, own), at) in self.weights.iter().zip(&own).zip((width..).step_by(d + 1)) {
                    let u = weight.apply(simd, &hidden[row..][..width]);
                    (0..d).for_each(|k| out[at + k] = u * own[t * d + k]);
                    out[at + d] = u;
                }
            }
            seen.fill(0.0);
            let extents = Extents { rows: n, inner: n, columns: carried_width };
            let left = Left::Plain(Rows { values: &attention, stride: short });
            let right = Rows { values: &carried, stride: carried_width };
            add_product(simd, extents, left, right, &mut seen, carried_width);
            by_difference.fill(0.0);
            for t in 0..n {
                by_difference[t * long + n - 1 - t..][..n].copy_from_slice(&attention[t * short..][..n]);
            }
            let extents = Extents { rows: n, inner: span, columns: width };
            let left = Left::Plain(Rows { values: &by_difference, stride: long });
            let right = Rows { values: &embedding, stride: width };
            add_product(simd, extents, left, right, &mut seen, carried_width);
            for t in 0..n {
                let seen = &seen[t * carried_width..][..carried_width];
                add_scaled(simd, 1.0, &seen[..width], &mut h[(first + t) * width..][..width]);
                for k in 0..d {
                    let channels = own.iter().take(self.weights.len()).zip((width..).step_by(d + 1));
                    let step = channels.map(|(own, at)| own[t * d + k] * seen[at + d] - seen[at + k]).sum();
                    move_on(x, (first + t) * d + k, step, d, motion);
                }
            }
        }
        let all =
            [embedding, transposed, hidden, query, key, value, keys, attention, by_difference, carried, seen]
                .into_iter()
                .chain(own);
        for (which, buffer) in all.enumerate() {
            buffers.give(which, buffer);
        }
    }
}

/// Points `[n, D]` less their mean: keeps the digits of differences.
pub(super) fn about_mean(points: &[f32], d: usize, out: &mut [f32]) {
    let n = points.len() / d;
    for k in 0..d {
        let mean = (0..n).map(|t| points[t * d + k]).sum::<f32>() / n as f32;
        (0..n).for_each(|t| out[t * d + k] = points[t * d + k] - mean);
    }
}

/// `out[c][r] = values[r][c]` for `rows` rows; columns of `out` beyond them become 0.
pub(super) fn transpose(values: &[f32], rows: usize, width: usize, out: &mut [f32], stride: usize) {
    for (c, out) in out.chunks_exact_mut(stride).take(width).enumerate() {
        for (r, out) in out.iter_mut().enumerate() {
            *out = if r < rows { values[r * width + c] } else { 0.0 };
        }
    }
}

/// Softmax of the first `count` numbers of a padded row; the padding becomes 0.
#[inline(always)]
pub(super) fn softmax<S: Simd>(simd: S, row: &mut [f32], count: usize) {
    let largest = row[..count].iter().copied().fold(f32::NEG_INFINITY, f32::max);
    in_place(simd, row, |simd, x| exp(simd, simd.sub_f32s(x, simd.splat_f32s(largest))));
    row[count..].fill(0.0);
    let scale = 1.0 / row[..count].iter().sum::<f32>();
    row[..count].iter_mut().for_each(|x| *x *= scale);
}
