//! The spatial convolution of one system, a few edges at a time: no array of all messages is ever made.

use equidrift_backend::weights::ParameterSet;
use pulp::Simd;

use super::view::{Buffers, Motion, SystemView, move_on};
use crate::network_config::{Lengths, NetworkConfig};
use equidrift_backend::kernels::PackError;
use equidrift_backend::kernels::elementwise::{add_scaled, silu};
use equidrift_backend::kernels::matrix::{Linear, Rows, ToNumber, lookup, padded};

/// Rows of messages that are computed together: they stay in the second cache.
const MESSAGE_ROWS: usize = 96;
/// Keeps the slope of the root finite at length 0.
const ROOT_OFFSET: f32 = 1e-8;

/// The maps of a layer; the first one is split by its inputs.
#[derive(Debug, Clone)]
pub(super) struct Spatial {
    pub(super) received: Linear,
    pub(super) sent: Linear,
    /// Of the length, `[padded hidden]`.
    pub(super) length: Vec<f32>,
    /// Of each edge feature, `[E, padded hidden]`.
    pub(super) features: Vec<f32>,
    pub(super) second: Linear,
    pub(super) coordinate: Linear,
    /// Weights of displacements, and with an extrapolated prior of differences of deviations.
    pub(super) weights: Vec<ToNumber>,
    pub(super) own: Linear,
    pub(super) gathered: Linear,
    pub(super) node_second: Linear,
    pub(super) lengths: Lengths,
}

impl Spatial {
    pub(super) fn read(
        parameters: &ParameterSet,
        name: &str,
        config: &NetworkConfig,
        deviating: bool,
    ) -> Result<Self, PackError> {
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
        Ok(Self {
            received: Linear::of(&edge, &edge_bias, wide, h, 0),
            sent: Linear::of(&edge, &zeros, wide, h, h),
            length: read(2 * h),
            features: (0..e).flat_map(|k| read(2 * h + 1 + k)).collect(),
            second: part("edge_mlp.actions.2", h, h)?,
            coordinate: part("coord_mlp.actions.0", h, h)?,
            weights: ToNumber::read_rows(
                parameters,
                &format!("{name}.coord_mlp.actions.2"),
                h,
                1 + usize::from(deviating),
            )?,
            own: Linear::of(&node, &node_bias, 2 * h, h, 0),
            gathered: Linear::of(&node, &zeros, 2 * h, h, h),
            node_second: part("node_mlp.actions.2", h, h)?,
            lengths: config.lengths,
        })
    }

    /// Features `h` `[N n, padded hidden]` and positions `x` `[N n, D]` after the layer, in place. The sums of the messages go
    /// to `tape`, for the way back.
    #[expect(clippy::too_many_arguments, reason = "a system, its state and arrays that are used again")]
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        system: &SystemView<'_>,
        h: &mut [f32],
        x: &mut [f32],
        motion: &mut Option<Motion<'_>>,
        buffers: &mut Buffers,
        tape: Option<&mut Vec<f32>>,
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

        let together = edges_together(n);
        let block = together * n * width;
        let [mut first, mut message, mut hidden] = [4, 5, 6].map(|which| buffers.take(which, block));
        let mut moved = buffers.take(7, rows * d);
        moved.fill(0.0);
        let mut squares = buffers.take(8, together * n);
        let mut of_features = buffers.take(9, width);
        for (group, edges) in system.edges.chunks(together).enumerate() {
            let pair = NodeHalves { received: &received, sent: &sent };
            self.first_map(
                simd,
                system,
                (group * together, edges),
                pair,
                x,
                &mut first,
                &mut squares,
                &mut of_features,
            );
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
                    let units = &hidden[row * width..][..width];
                    let c = self.weights[0].apply(simd, units);
                    let c = match self.lengths {
                        Lengths::Squared => c / divisor(squares[row]).0,
                        Lengths::Plain => c,
                    };
                    for k in 0..d {
                        moved[i * d + k] += c * (x[i * d + k] - x[j * d + k]);
                    }
                    if let (Some(weight), Some(motion)) = (self.weights.get(1), motion.as_ref()) {
                        let (e, u) = (weight.apply(simd, units), &motion.deviations);
                        for k in 0..d {
                            moved[i * d + k] += e * (u[i * d + k] - u[j * d + k]);
                        }
                    }
                }
            }
        }
        for (node, degree) in system.inverse_degree.iter().enumerate() {
            let first = node * n * d;
            for (k, moved) in moved[first..][..n * d].iter().enumerate() {
                move_on(x, first + k, degree * moved, d, motion);
            }
        }
        if let Some(tape) = tape {
            tape.clone_from(&gathered);
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

/// Products of a layer's first map that were made for each node, `[N n, padded hidden]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeHalves<'a> {
    pub(super) received: &'a [f32],
    pub(super) sent: &'a [f32],
}

impl Spatial {
    /// The first map of some edges, `[edges n, padded hidden]`, and their squared lengths. `edges` are those from number
    /// `edges.0` on.
    #[expect(clippy::too_many_arguments, reason = "arrays that are used again, beside what is computed")]
    #[inline(always)]
    pub(super) fn first_map<S: Simd>(
        &self,
        simd: S,
        system: &SystemView<'_>,
        edges: (usize, &[[usize; 2]]),
        halves: NodeHalves<'_>,
        x: &[f32],
        out: &mut [f32],
        squares: &mut [f32],
        of_features: &mut [f32],
    ) {
        let (n, d, width) = (system.frames, system.dimensions, self.second.width());
        let edge_width = system.edge_width();
        for (place, &[receiver, sender]) in edges.1.iter().enumerate() {
            of_features.fill(0.0);
            for k in 0..edge_width {
                let feature = system.edge_features[(edges.0 + place) * edge_width + k];
                add_scaled(simd, feature, &self.features[k * width..][..width], of_features);
            }
            for t in 0..n {
                let (i, j) = (receiver * n + t, sender * n + t);
                let square = (0..d).map(|k| (x[i * d + k] - x[j * d + k]).powi(2)).sum::<f32>();
                squares[place * n + t] = square;
                sum_of_four(
                    simd,
                    [&halves.received[i * width..][..width], &halves.sent[j * width..][..width], of_features],
                    (self.length_of(square), &self.length),
                    &mut out[(place * n + t) * width..][..width],
                );
            }
        }
    }

    /// What messages see of a squared length.
    pub(super) fn length_of(&self, square: f32) -> f32 {
        match self.lengths {
            Lengths::Squared => square,
            Lengths::Plain => square.sqrt(),
        }
    }
}

/// How many edges of `n` frames are computed together.
pub(super) fn edges_together(n: usize) -> usize {
    MESSAGE_ROWS.div_ceil(n)
}

/// The divisor of a displacement, and the root in it.
pub(super) fn divisor(square: f32) -> (f32, f32) {
    let root = (square + ROOT_OFFSET).sqrt();
    (root + 1.0, root)
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
