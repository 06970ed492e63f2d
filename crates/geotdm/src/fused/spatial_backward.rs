//! The way back through the spatial convolution of one system. Messages are made again, a few edges at a time, instead of
//! being kept.

use equidrift_backend::weights::{HostTensor, ParameterSet};
use pulp::Simd;

use super::spatial::{NodeHalves, Spatial, divisor, edges_together};
use super::view::{Buffers, MotionBack, SystemView, of_step};
use crate::network_config::Lengths;
use equidrift_backend::kernels::elementwise::{add_scaled, dot, silu, through_silu};
use equidrift_backend::kernels::matrix::{LinearGradient, Rows, ToNumber};

/// The gradient of a [`Spatial`].
#[derive(Debug, Clone)]
pub(super) struct SpatialGradient {
    received: LinearGradient,
    sent: LinearGradient,
    length: Vec<f32>,
    features: Vec<f32>,
    second: LinearGradient,
    coordinate: LinearGradient,
    weights: Vec<ToNumber>,
    own: LinearGradient,
    gathered: LinearGradient,
    node_second: LinearGradient,
    hidden: usize,
    edge_features: usize,
}

impl SpatialGradient {
    /// Zeros.
    pub(super) fn new(layer: &Spatial, edge_features: usize) -> Self {
        Self {
            received: layer.received.no_gradient(),
            sent: layer.sent.no_gradient(),
            length: vec![0.0; layer.length.len()],
            features: vec![0.0; layer.features.len()],
            second: layer.second.no_gradient(),
            coordinate: layer.coordinate.no_gradient(),
            weights: layer.weights.iter().map(ToNumber::no_gradient).collect(),
            own: layer.own.no_gradient(),
            gathered: layer.gathered.no_gradient(),
            node_second: layer.node_second.no_gradient(),
            hidden: layer.second.outputs,
            edge_features,
        }
    }

    /// Under the names of the parameters.
    pub(super) fn emit(&self, name: &str, into: &mut ParameterSet) {
        let (h, e) = (self.hidden, self.edge_features);
        let wide = 2 * h + 1 + e;
        let mut edge = vec![0.0; h * wide];
        self.received.weight_into(&mut edge, wide, 0);
        self.sent.weight_into(&mut edge, wide, h);
        for (o, row) in edge.chunks_exact_mut(wide).enumerate() {
            row[2 * h] = self.length[o];
            for k in 0..e {
                row[2 * h + 1 + k] = self.features[k * self.length.len() + o];
            }
        }
        let mut node = vec![0.0; 2 * h * h];
        self.own.weight_into(&mut node, 2 * h, 0);
        self.gathered.weight_into(&mut node, 2 * h, h);
        let mut insert = |part: &str, shape: Vec<usize>, values| {
            into.insert(format!("{name}.{part}"), HostTensor::f32(shape, values));
        };
        insert("edge_mlp.actions.0.weight", vec![h, wide], edge);
        insert("edge_mlp.actions.0.bias", vec![h], self.received.bias());
        insert("node_mlp.actions.0.weight", vec![h, 2 * h], node);
        insert("node_mlp.actions.0.bias", vec![h], self.own.bias());
        self.second.emit(&format!("{name}.edge_mlp.actions.2"), into);
        self.coordinate.emit(&format!("{name}.coord_mlp.actions.0"), into);
        ToNumber::emit_rows(&self.weights, &format!("{name}.coord_mlp.actions.2"), into);
        self.node_second.emit(&format!("{name}.node_mlp.actions.2"), into);
    }
}

/// What a layer saw, and the sums of its messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpatialTape<'a> {
    pub(super) h: &'a [f32],
    pub(super) x: &'a [f32],
    pub(super) gathered: &'a [f32],
    /// Of a linear forecast.
    pub(super) deviations: &'a [f32],
}

impl Spatial {
    /// Turns gradients `dh`, `dx` of the outputs into those of the inputs, and adds that of the parameters to `gradient`.
    #[expect(clippy::too_many_arguments, reason = "what was seen, what comes back, and where it goes")]
    #[inline(always)]
    pub(super) fn backward<S: Simd>(
        &self,
        simd: S,
        system: &SystemView<'_>,
        tape: SpatialTape<'_>,
        dh: &mut [f32],
        dx: &mut [f32],
        motion: &mut Option<MotionBack<'_>>,
        gradient: &mut SpatialGradient,
        buffers: &mut Buffers,
    ) {
        let (n, d, width) = (system.frames, system.dimensions, self.second.width());
        let (rows, x) = (system.nodes * n, tape.x);
        let size = rows * width;
        let seen = Rows { values: tape.h, stride: width };
        let sums = Rows { values: tape.gathered, stride: width };
        let [mut received, mut sent, mut pre, mut units, mut back, mut dgathered] =
            [0, 1, 2, 3, 4, 5].map(|which| buffers.take(which, size));

        // The map of the nodes.
        self.own.apply(simd, seen, rows, &mut pre, width);
        self.gathered.add(simd, sums, rows, &mut pre, width);
        units.copy_from_slice(&pre);
        silu(simd, &mut units);
        gradient.node_second.add(
            simd,
            Rows { values: &units, stride: width },
            Rows { values: dh, stride: width },
            rows,
        );
        back.fill(0.0);
        self.node_second.back(simd, Rows { values: dh, stride: width }, rows, &mut back, width);
        through_silu(simd, &pre, &mut back);
        let dpre = Rows { values: &back, stride: width };
        gradient.own.add(simd, seen, dpre, rows);
        gradient.gathered.add(simd, sums, dpre, rows);
        dh.fill(0.0);
        self.own.back(simd, dpre, rows, dh, width);
        dgathered.fill(0.0);
        self.gathered.back(simd, dpre, rows, &mut dgathered, width);

        // The messages.
        self.received.apply(simd, seen, rows, &mut received, width);
        self.sent.apply(simd, seen, rows, &mut sent, width);
        let together = edges_together(n);
        let block = together * n * width;
        let [mut first, mut first_units, mut second, mut message, mut third, mut third_units, mut g, mut g2] =
            [6, 7, 8, 9, 10, 11, 12, 13].map(|which| buffers.take(which, block));
        let mut squares = buffers.take(14, together * n);
        let mut of_features = buffers.take(15, width);
        let mut dsquares = buffers.take(16, together * n);
        let mut dr = buffers.take(17, together * n * d);
        let [mut dreceived, mut dsent] = [&mut pre, &mut units].map(|values| {
            values.fill(0.0);
            std::mem::take(values)
        });
        let d_step: Vec<f32> = (0..dx.len()).map(|at| of_step(dx, at, d, motion)).collect();
        let edge_width = system.edge_width();
        for (group, edges) in system.edges.chunks(together).enumerate() {
            let number = group * together;
            let halves = NodeHalves { received: &received, sent: &sent };
            self.first_map(
                simd,
                system,
                (number, edges),
                halves,
                x,
                &mut first,
                &mut squares,
                &mut of_features,
            );
            let count = edges.len() * n;
            let used = count * width;
            first_units[..used].copy_from_slice(&first[..used]);
            silu(simd, &mut first_units[..used]);
            self.second.apply(simd, Rows::new(&first_units, width), count, &mut second, width);
            message[..used].copy_from_slice(&second[..used]);
            silu(simd, &mut message[..used]);
            self.coordinate.apply(simd, Rows::new(&message, width), count, &mut third, width);
            third_units[..used].copy_from_slice(&third[..used]);
            silu(simd, &mut third_units[..used]);

            // Back from the displacement to its factor and its vector.
            for (place, &[receiver, sender]) in edges.iter().enumerate() {
                for t in 0..n {
                    let (i, j, row) = (receiver * n + t, sender * n + t, place * n + t);
                    let units = &third_units[row * width..][..width];
                    let c = self.weights[0].apply(simd, units);
                    let (scale, dscale) = match self.lengths {
                        Lengths::Squared => {
                            let (divisor, root) = divisor(squares[row]);
                            (1.0 / divisor, -0.5 * c / (divisor * divisor * root))
                        }
                        Lengths::Plain => (1.0, 0.0),
                    };
                    let weight = system.inverse_degree[receiver];
                    let mut dfactor = 0.0;
                    for k in 0..d {
                        let incoming = weight * d_step[i * d + k];
                        dfactor += incoming * (x[i * d + k] - x[j * d + k]);
                        dr[row * d + k] = c * scale * incoming;
                    }
                    dsquares[row] = dfactor * dscale;
                    let dc = dfactor * scale;
                    let out = &mut g[row * width..][..width];
                    out.fill(0.0);
                    let mut through = |channel: usize, dc: f32| {
                        add_scaled(simd, dc, units, &mut gradient.weights[channel].weight);
                        gradient.weights[channel].bias += dc;
                        add_scaled(simd, dc, &self.weights[channel].weight, out);
                    };
                    through(0, dc);
                    if let (Some(number), Some(motion)) = (self.weights.get(1), motion.as_mut()) {
                        let (e, u) = (number.apply(simd, units), tape.deviations);
                        let mut de = 0.0;
                        for k in 0..d {
                            let incoming = weight * d_step[i * d + k];
                            de += incoming * (u[i * d + k] - u[j * d + k]);
                            motion.ddeviations[i * d + k] += e * incoming;
                            motion.ddeviations[j * d + k] -= e * incoming;
                        }
                        through(1, de);
                    }
                    g2[row * width..][..width].copy_from_slice(&dgathered[i * width..][..width]);
                }
            }
            through_silu(simd, &third[..used], &mut g[..used]);
            gradient.coordinate.add(simd, Rows::new(&message, width), Rows::new(&g, width), count);
            self.coordinate.back(simd, Rows::new(&g, width), count, &mut g2, width);
            through_silu(simd, &second[..used], &mut g2[..used]);
            gradient.second.add(simd, Rows::new(&first_units, width), Rows::new(&g2, width), count);
            g[..used].fill(0.0);
            self.second.back(simd, Rows::new(&g2, width), count, &mut g, width);
            through_silu(simd, &first[..used], &mut g[..used]);

            // Back from the first map to nodes, features and lengths.
            for (place, &[receiver, sender]) in edges.iter().enumerate() {
                of_features.fill(0.0);
                for t in 0..n {
                    let (i, j, row) = (receiver * n + t, sender * n + t, place * n + t);
                    let back = &g[row * width..][..width];
                    add_scaled(simd, 1.0, back, &mut dreceived[i * width..][..width]);
                    add_scaled(simd, 1.0, back, &mut dsent[j * width..][..width]);
                    add_scaled(simd, 1.0, back, &mut of_features);
                    let length = self.length_of(squares[row]);
                    add_scaled(simd, length, back, &mut gradient.length);
                    let dlength = dot(simd, back, &self.length);
                    // Of the vector: 2 r for its square, r / |r| for its length, which has no slope at 0.
                    let along = match self.lengths {
                        Lengths::Squared => 2.0 * (dsquares[row] + dlength),
                        Lengths::Plain if length > 0.0 => dlength / length,
                        Lengths::Plain => 0.0,
                    };
                    for k in 0..d {
                        let dvector = dr[row * d + k] + along * (x[i * d + k] - x[j * d + k]);
                        dx[i * d + k] += dvector;
                        dx[j * d + k] -= dvector;
                    }
                }
                for k in 0..edge_width {
                    let feature = system.edge_features[(number + place) * edge_width + k];
                    let into = &mut gradient.features[k * width..][..width];
                    add_scaled(simd, feature, &of_features, into);
                }
            }
        }
        gradient.received.add(simd, seen, Rows::new(&dreceived, width), rows);
        gradient.sent.add(simd, seen, Rows::new(&dsent, width), rows);
        self.received.back(simd, Rows::new(&dreceived, width), rows, dh, width);
        self.sent.back(simd, Rows::new(&dsent, width), rows, dh, width);
        let all = [
            received,
            sent,
            dreceived,
            dsent,
            back,
            dgathered,
            first,
            first_units,
            second,
            message,
            third,
            third_units,
            g,
            g2,
            squares,
            of_features,
            dsquares,
            dr,
        ];
        for (which, buffer) in all.into_iter().enumerate() {
            buffers.give(which, buffer);
        }
    }
}
