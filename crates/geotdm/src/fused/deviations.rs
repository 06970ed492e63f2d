//! What is particular to the prior that is a linear forecast: states are deviations from it, positions move by its error.

use equidrift_backend::kernels::matrix::ToNumber;
use pulp::Simd;

use super::view::{Motion, MotionBack};
use crate::diffusion::Level;
use crate::extrapolation::Forecast;
use crate::system::System;

/// The best linear guess of the positions, `reference + α d z`, `[N, T, D]`.
pub(super) fn shown(forecast: &Forecast, z: &[f32], reference: &[f32], level: Level) -> Vec<f32> {
    let signal = level.signal as f32;
    let parts = z.iter().zip(&forecast.scale).zip(reference);
    parts.map(|((z, scale), reference)| reference + signal * *scale as f32 * z).collect()
}

/// How positions move in one call, and how far they have come.
pub(super) struct Moving {
    /// d σ of made frames, 0 of given ones, `[N n]`.
    mobility: Vec<f32>,
    /// `[N n, D]`.
    way: Vec<f32>,
    frames: usize,
    dimensions: usize,
}

impl Moving {
    pub(super) fn new(forecast: &Forecast, system: &System, level: Level) -> Self {
        let (d, made, given) = (system.dimensions, system.frames, system.given_frames());
        let frames = given + made;
        let mut mobility = Vec::with_capacity(system.graph.nodes() * frames);
        for node in forecast.scale.chunks_exact(made * d) {
            mobility.resize(mobility.len() + given, 0.0);
            mobility.extend(node.iter().step_by(d).map(|scale| (scale * level.deviation) as f32));
        }
        Self { way: vec![0.0; mobility.len() * d], mobility, frames, dimensions: d }
    }

    pub(super) fn motion(&mut self) -> Motion<'_> {
        Motion { mobility: &self.mobility, way: &mut self.way }
    }

    pub(super) fn back<'a>(&'a self, dway: &'a [f32]) -> MotionBack<'a> {
        MotionBack { mobility: &self.mobility, dway }
    }

    /// v of states `z` `[N, T, D]`, when all layers are through and have left features `h` `[N n, width]`.
    #[inline(always)]
    pub(super) fn v<S: Simd>(
        &self,
        simd: S,
        gate: &ToNumber,
        (h, width): (&[f32], usize),
        z: &[f32],
        given: usize,
    ) -> Vec<f32> {
        let d = self.dimensions;
        let rows = (0..self.mobility.len()).filter(|row| row % self.frames >= given);
        let points = rows.zip(z.chunks_exact(d));
        points
            .flat_map(|(row, z)| {
                let gate = gate.apply(simd, &h[row * width..][..width]);
                z.iter().zip(&self.way[row * d..][..d]).map(move |(z, way)| gate * z - way)
            })
            .collect()
    }
}
