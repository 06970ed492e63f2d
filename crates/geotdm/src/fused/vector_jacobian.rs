//! Vector-Jacobian products: how the noise of a system changes with its positions.

use equidrift_backend::kernels::elementwise::add_scaled;
use pulp::{Simd, WithSimd};

use super::view::{GraphArrays, without_mean};
use super::{Called, DenoiseSystem, NoiseAndProduct};

/// A call, and the product of a cotangent with the Jacobian of its noise.
pub(super) struct Product<'a> {
    pub(super) call: DenoiseSystem<'a>,
    /// `[N, T, D]`.
    pub(super) cotangent: &'a [f32],
}

impl WithSimd for Product<'_> {
    type Output = NoiseAndProduct;

    /// The noise and the product, `[N, T, D]`.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> NoiseAndProduct {
        let Self { mut call, cotangent } = self;
        let arrays = GraphArrays::new(&call.noisy.system.graph);
        let called = call.call(simd, &arrays, true);
        let noise = call.noise(simd, &called);
        let DenoiseSystem { network, noisy, forecast, differences, buffers } = call;
        let Called { h, moving, tape, .. } = called;
        let (system, level) = (noisy.system, noisy.level);
        let (d, made, nodes) = (system.dimensions, system.frames, system.graph.nodes());
        let frames = system.given_frames() + made;
        let view = arrays.view(&system.graph, frames, d);
        let (signal, deviation) = (level.signal as f32, level.deviation as f32);
        let width = network.input.width();
        let rows: Vec<usize> = (0..nodes)
            .map(|node| node * frames + system.before())
            .flat_map(|first| first..first + made)
            .collect();

        // The mean is taken from what comes back as it was from the prediction.
        let mut back = cotangent.to_vec();
        if network.is_centred() {
            without_mean(&mut back, d);
        }
        let mut dh = vec![0.0; h.len()];
        let mut dx = vec![0.0; nodes * frames * d];
        let mut dway = Vec::new();
        // What comes of the positions but not through the layers.
        let mut direct: Vec<f32>;
        if let (Some(_), Some(gate)) = (&moving, &network.noise_gate) {
            // noise = σ z + α (gate(h) z - way)
            direct = cotangent.iter().map(|c| deviation * c).collect();
            dway = vec![0.0; nodes * frames * d];
            let points = back.chunks_exact(d).zip(noisy.positions.chunks_exact(d));
            for ((&row, (back, z)), direct) in rows.iter().zip(points).zip(direct.chunks_exact_mut(d)) {
                let features = row * width..(row + 1) * width;
                let opening = gate.apply(simd, &h[features.clone()]);
                let dgate: f32 = back.iter().zip(z).map(|(back, z)| signal * back * z).sum();
                add_scaled(simd, dgate, &gate.weight, &mut dh[features]);
                for ((direct, back), dway) in direct.iter_mut().zip(back).zip(&mut dway[row * d..][..d]) {
                    *direct += signal * opening * back;
                    *dway = -signal * back;
                }
            }
        } else {
            // noise = end - start
            direct = vec![0.0; back.len()];
            for (&row, back) in rows.iter().zip(back.chunks_exact(d)) {
                dx[row * d..][..d].copy_from_slice(back);
            }
        }
        let mut motion = moving.as_ref().map(|moving| moving.back(&dway));
        // Gradients of the parameters are made on the way, and not looked at.
        let mut unused = network.layers.no_gradient();
        network.layers.backward(
            simd,
            &view,
            differences,
            tape,
            &mut dh,
            &mut dx,
            &mut motion,
            &mut unused,
            buffers,
        );
        if moving.is_none() {
            for (&row, back) in rows.iter().zip(back.chunks_exact(d)) {
                dx[row * d..][..d].iter_mut().zip(back).for_each(|(dx, back)| *dx -= back);
            }
        }
        // Positions were taken about their mean.
        without_mean(&mut dx, d);
        let through = system.made_of(&dx);
        match (forecast, motion) {
            (Some(forecast), Some(motion)) => {
                let deviations = system.made_of(&motion.ddeviations);
                let parts = direct.iter_mut().zip(&through).zip(&forecast.scale).zip(&deviations);
                for (((direct, dx), scale), du) in parts {
                    *direct += signal * (*scale as f32 * dx + du);
                }
            }
            _ => direct.iter_mut().zip(&through).for_each(|(direct, dx)| *direct += dx),
        }
        if network.is_centred() {
            without_mean(&mut direct, d);
        }
        (noise, direct)
    }
}
