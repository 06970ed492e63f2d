//! What is particular to the prior that is a linear forecast: states are deviations from it, positions move by its error.

use equidrift_backend::kernels::matrix::ToNumber;
use pulp::Simd;

use super::view::{Motion, MotionBack, Pace};
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
    of_positions: Vec<f32>,
    /// σ of made frames, 1 of given ones, whose deviation begins with 0, `[N n]`.
    of_deviations: Vec<f32>,
    /// `[N n, D]`.
    deviations: Vec<f32>,
    /// `[N n, D]`.
    way: Vec<f32>,
    /// Rows of made frames.
    made: Vec<usize>,
    dimensions: usize,
}

impl Moving {
    /// Of states `z` `[N, T, D]`: deviations begin with their best linear guess, α z.
    pub(super) fn new(forecast: &Forecast, system: &System, level: Level, z: &[f32]) -> Self {
        let (d, made, nodes) = (system.dimensions, system.frames, system.graph.nodes());
        let (before, behind) = (system.before(), system.behind);
        let frames = before + made + behind;
        let signal = level.signal as f32;
        let mut moving = Self {
            of_positions: Vec::with_capacity(nodes * frames),
            of_deviations: Vec::with_capacity(nodes * frames),
            deviations: Vec::with_capacity(nodes * frames * d),
            way: vec![0.0; nodes * frames * d],
            made: Vec::with_capacity(nodes * made),
            dimensions: d,
        };
        for (scale, z) in forecast.scale.chunks_exact(made * d).zip(z.chunks_exact(made * d)) {
            let first = moving.of_positions.len() + before;
            let end = first + made + behind;
            moving.made.extend(first..first + made);
            moving.of_positions.resize(first, 0.0);
            moving.of_positions.extend(scale.iter().step_by(d).map(|scale| (scale * level.deviation) as f32));
            moving.of_positions.resize(end, 0.0);
            moving.of_deviations.resize(first, 1.0);
            moving.of_deviations.resize(first + made, level.deviation as f32);
            moving.of_deviations.resize(end, 1.0);
            moving.deviations.resize(first * d, 0.0);
            moving.deviations.extend(z.iter().map(|z| signal * z));
            moving.deviations.resize(end * d, 0.0);
        }
        moving
    }

    fn pace(&self) -> Pace<'_> {
        Pace { positions: &self.of_positions, deviations: &self.of_deviations }
    }

    pub(super) fn motion(&mut self) -> Motion<'_> {
        let pace = Pace { positions: &self.of_positions, deviations: &self.of_deviations };
        Motion { pace, deviations: &mut self.deviations, way: &mut self.way }
    }

    pub(super) fn back<'a>(&'a self, dway: &'a [f32]) -> MotionBack<'a> {
        MotionBack { pace: self.pace(), dway, ddeviations: vec![0.0; dway.len()] }
    }

    /// v of states `z` `[N, T, D]`, when all layers are through and have left features `h` `[N n, width]`.
    #[inline(always)]
    pub(super) fn v<S: Simd>(
        &self,
        simd: S,
        gate: &ToNumber,
        (h, width): (&[f32], usize),
        z: &[f32],
    ) -> Vec<f32> {
        let d = self.dimensions;
        let points = self.made.iter().zip(z.chunks_exact(d));
        points
            .flat_map(|(&row, z)| {
                let gate = gate.apply(simd, &h[row * width..][..width]);
                z.iter().zip(&self.way[row * d..][..d]).map(move |(z, way)| gate * z - way)
            })
            .collect()
    }
}
