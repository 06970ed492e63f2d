//! The spatial convolution of one system, a few edges at a time: no array of all messages is ever made.

use equidrift_backend::weights::ParameterSet;
use pulp::Simd;

use super::elementwise::{add_scaled, dot, silu};
use super::matrix::{Linear, Rows, lookup, padded};
use super::view::{Buffers, SystemView};
use crate::network_config::{Lengths, NetworkConfig};
use crate::parameters::ParameterError;

/// Rows of messages that are computed together: they stay in the second cache.
const MESSAGE_ROWS: usize = 96;
/// Keeps the slope of the root finite at length 0.
const ROOT_OFFSET: f32 = 1e-8;

/// The maps of a layer; the first one is split by its inputs.
#[derive(Debug, Clone)]
pub(super) struct Spatial {
    received: Linear,
    sent: Linear,
    /// Of the length, `[padded hidden]`.
    length: Vec<f32>,
    /// Of each edge feature, `[E, padded hidden]`.
    features: Vec<f32>,
    second: Linear,
    coordinate: Linear,
    /// `[padded hidden]` and bias.
    coordinate_out: (Vec<f32>, f32),
    own: Linear,
    gathered: Linear,
    node_second: Linear,
    lengths: Lengths,
}

impl Spatial {
    pub(super) fn read(
        parameters: &ParameterSet,
        name: &str,
        config: &NetworkConfig,
    ) -> Result<Self, ParameterError> {
        let (h, e) = (config.hidden, config.edge_features);
        let part = |part: &str, inputs, outputs| {
            Linear::read(parameters, &format!("{name}.{part}"), inputs, outputs)
        };
        let wide = 2 * h + 1 + e;
        let edge = lookup(parameters, format!("{name}.edge_mlp.actions.0.weight"), &[h, wide])?;
        let edge_bias = lookup(parameters, format!("{name}.edge_mlp.actions.0.bias"), &[h])?;
        let node = lookup(parameters, format!("{name}.node_mlp.actions.0.weight"), &[h, 2 * h])?;
        let node_bias = lookup(parameters, format!("{name}.node_mlp.actions.0.bias"), &[h])?;
        let zeros = vec![0.0; h];
        let column = |k: usize| (0..padded(h)).map(move |o| if o < h { o * wide + k } else { usize::MAX });
        let read = |k: usize| column(k).map(|at| edge.get(at).copied().unwrap_or(0.0)).collect::<Vec<f32>>();
        let out = part("coord_mlp.actions.2", h, 1)?;
        Ok(Self {
            received: Linear::of(&edge, &edge_bias, wide, h, 0),
            sent: Linear::of(&edge, &zeros, wide, h, h),
            length: read(2 * h),
            features: (0..e).flat_map(|k| read(2 * h + 1 + k)).collect(),
            second: part("edge_mlp.actions.2", h, h)?,
            coordinate: part("coord_mlp.actions.0", h, h)?,
            coordinate_out: (out.backward, out.bias[0]),
            own: Linear::of(&node, &node_bias, 2 * h, h, 0),
            gathered: Linear::of(&node, &zeros, 2 * h, h, h),
            node_second: part("node_mlp.actions.2", h, h)?,
            lengths: config.lengths,
        })
    }

    /// Features `h` `[N n, padded hidden]` and positions `x` `[N n, D]` after the layer, in place.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        system: &SystemView<'_>,
        h: &mut [f32],
        x: &mut [f32],
        buffers: &mut Buffers,
    ) {
        let (n, d, width) = (system.frames, system.dimensions, self.second.width());
        let rows = system.nodes * n;
        let of_nodes = Rows { values: h, stride: width };
        let size = rows * width;
        let [mut received, mut sent, mut own, mut gathered] =
            [0, 1, 2, 3].map(|which| buffers.take(which, size));
        self.received.apply(simd, of_nodes, rows, &mut received, width);
        self.sent.apply(simd, of_nodes, rows, &mut sent, width);
        self.own.apply(simd, of_nodes, rows, &mut own, width);
        gathered.fill(0.0);

        let together = MESSAGE_ROWS.div_ceil(n);
        let block = together * n * width;
        let [mut first, mut message, mut hidden] = [4, 5, 6].map(|which| buffers.take(which, block));
        let mut moved = buffers.take(7, rows * d);
        moved.fill(0.0);
        let mut squares = buffers.take(8, together * n);
        let mut of_features = buffers.take(9, width);
        let edge_width = system.edge_features.len().checked_div(system.edges.len()).unwrap_or(0);
        for (group, edges) in system.edges.chunks(together).enumerate() {
            for (place, &[receiver, sender]) in edges.iter().enumerate() {
                of_features.fill(0.0);
                let edge = group * together + place;
                for k in 0..edge_width {
                    let weight = &self.features[k * width..][..width];
                    add_scaled(simd, system.edge_features[edge * edge_width + k], weight, &mut of_features);
                }
                for t in 0..n {
                    let (i, j) = (receiver * n + t, sender * n + t);
                    let square = (0..d).map(|k| (x[i * d + k] - x[j * d + k]).powi(2)).sum::<f32>();
                    squares[place * n + t] = square;
                    let length = match self.lengths {
                        Lengths::Squared => square,
                        Lengths::Plain => square.sqrt(),
                    };
                    let out = &mut first[(place * n + t) * width..][..width];
                    sum_of_four(
                        simd,
                        [&received[i * width..][..width], &sent[j * width..][..width], &of_features],
                        (length, &self.length),
                        out,
                    );
                }
            }
            let count = edges.len() * n;
            let used = count * width;
            silu(simd, &mut first[..used]);
            self.second.apply(simd, Rows { values: &first, stride: width }, count, &mut message, width);
            silu(simd, &mut message[..used]);
            self.coordinate.apply(simd, Rows { values: &message, stride: width }, count, &mut hidden, width);
            silu(simd, &mut hidden[..used]);
            for (place, &[receiver, sender]) in edges.iter().enumerate() {
                for t in 0..n {
                    let (i, j, row) = (receiver * n + t, sender * n + t, place * n + t);
                    add_scaled(
                        simd,
                        1.0,
                        &message[row * width..][..width],
                        &mut gathered[i * width..][..width],
                    );
                    let c = dot(simd, &hidden[row * width..][..width], &self.coordinate_out.0)
                        + self.coordinate_out.1;
                    let c = match self.lengths {
                        Lengths::Squared => c / ((squares[row] + ROOT_OFFSET).sqrt() + 1.0),
                        Lengths::Plain => c,
                    };
                    for k in 0..d {
                        moved[i * d + k] += c * (x[i * d + k] - x[j * d + k]);
                    }
                }
            }
        }
        for (node, degree) in system.inverse_degree.iter().enumerate() {
            for at in node * n * d..(node + 1) * n * d {
                x[at] += degree * moved[at];
            }
        }
        self.gathered.add(simd, Rows { values: &gathered, stride: width }, rows, &mut own, width);
        silu(simd, &mut own[..size]);
        self.node_second.apply(simd, Rows { values: &own, stride: width }, rows, h, width);
        for (which, buffer) in
            [received, sent, own, gathered, first, message, hidden, moved, squares, of_features]
                .into_iter()
                .enumerate()
        {
            buffers.give(which, buffer);
        }
    }
}

/// `out = a + b + c + scale d`.
#[inline(always)]
fn sum_of_four<S: Simd>(simd: S, [a, b, c]: [&[f32]; 3], (scale, d): (f32, &[f32]), out: &mut [f32]) {
    let ((a, _), (b, _), (c, _), (d, _)) =
        (S::as_simd_f32s(a), S::as_simd_f32s(b), S::as_simd_f32s(c), S::as_simd_f32s(d));
    let (out, _) = S::as_mut_simd_f32s(out);
    let scale = simd.splat_f32s(scale);
    for ((((a, b), c), d), out) in a.iter().zip(b).zip(c).zip(d).zip(out) {
        *out = simd.mul_add_e_f32s(scale, *d, simd.add_f32s(simd.add_f32s(*a, *b), *c));
    }
}
