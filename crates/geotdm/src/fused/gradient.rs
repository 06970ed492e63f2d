//! Loss and gradient of noisy trajectories, one system at a time.

use equidrift_backend::weights::ParameterSet;
use pulp::{Simd, WithSimd};

use super::FusedNetwork;
use super::deviations::{Moving, shown};
use super::layers::LayersGradient;
use super::learned_prior::{PriorGradient, PriorTape};
use super::view::{Buffers, Differences, GraphArrays, over_frames, without_mean};
use crate::denoising_loss::CountedNodes;
use crate::diffusion::Level;
use crate::extrapolation::Forecast;
use crate::parameters::NOISE_GATE;
use crate::training_examples::TrainingExample;
use equidrift_backend::kernels::elementwise::add_scaled;
use equidrift_backend::kernels::matrix::{LinearGradient, Rows, ToNumber};

/// A clean trajectory and what is put on it.
#[derive(Debug, Clone, Copy)]
pub struct NoisyExample<'a> {
    /// The system and its clean trajectory.
    pub example: &'a TrainingExample,
    /// The noise, `[N, T, D]`.
    pub noise: &'a [f64],
    /// Its level.
    pub level: Level,
}

/// The gradient of all parameters.
#[derive(Debug, Clone)]
pub(super) struct NetworkGradient {
    pub(super) input: LinearGradient,
    pub(super) layers: LayersGradient,
    pub(super) prior: Option<PriorGradient>,
    pub(super) noise_gate: Option<ToNumber>,
}

impl NetworkGradient {
    /// Under the names of the parameters.
    pub(super) fn emit(&self) -> ParameterSet {
        let mut parameters = ParameterSet::new();
        self.input.emit("input_linear", &mut parameters);
        self.layers.emit("", &mut parameters);
        if let Some(prior) = &self.prior {
            prior.emit(&mut parameters);
        }
        if let Some(gate) = &self.noise_gate {
            gate.emit(NOISE_GATE, &mut parameters);
        }
        parameters
    }
}

/// One example to be differentiated.
pub(super) struct Differentiate<'a> {
    pub(super) network: &'a FusedNetwork,
    pub(super) noisy: &'a NoisyExample<'a>,
    /// Of its system, where the prior is a linear forecast.
    pub(super) forecast: Option<&'a Forecast>,
    pub(super) counted: CountedNodes,
    /// Factor of the loss.
    pub(super) weight: f64,
    /// Of all frames, and of the given ones.
    pub(super) differences: [&'a Differences; 2],
    /// None where only the loss is wanted.
    pub(super) gradient: Option<&'a mut NetworkGradient>,
    pub(super) buffers: &'a mut Buffers,
}

impl WithSimd for Differentiate<'_> {
    type Output = f64;

    /// The weighted loss.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let Self { network, noisy, forecast, counted, weight, differences, gradient, buffers } = self;
        let NoisyExample { example, noise, level } = *noisy;
        let (system, graph) = (&example.system, &example.system.graph);
        let (nodes, d, made, given) =
            (graph.nodes(), system.dimensions, system.frames, system.given_frames());
        let frames = given + made;
        let arrays = GraphArrays::new(graph);
        let (signal, deviation) = (level.signal as f32, level.deviation as f32);

        // The reference, relative to the mean of the given positions; everything is moved along with that mean.
        let mut origin = vec![0.0; d];
        let mut around: Vec<f32> = Vec::new();
        if given > 0 {
            let points = (nodes * given) as f64;
            for (k, origin) in origin.iter_mut().enumerate() {
                *origin = system.given.iter().skip(k).step_by(d).sum::<f64>() / points;
            }
            let moved = system.given.iter().zip(origin.iter().cycle()).map(|(x, origin)| (x - origin) as f32);
            around = moved.collect();
        }
        let clean = example.clean.iter().zip(origin.iter().cycle()).map(|(x, origin)| (x - origin) as f32);
        let clean: Vec<f32> = clean.collect();
        let mut noise: Vec<f32> = noise.iter().map(|&x| x as f32).collect();
        let mut prior_tape: Option<PriorTape> = None;
        let reference = match &network.prior {
            Some(prior) => {
                let (reference, tape) =
                    prior.forward(simd, system, &arrays, differences[1], around.clone(), buffers);
                prior_tape = Some(tape);
                reference
            }
            None => match forecast {
                Some(forecast) => {
                    let from = forecast.reference.iter().zip(origin.iter().cycle());
                    from.map(|(x, origin)| (x - origin) as f32).collect()
                }
                None => vec![0.0; clean.len()],
            },
        };
        if network.is_centred() {
            without_mean(&mut noise, d);
        }
        // z_0, z at the level, the positions that are shown, and what is to be predicted of them.
        let mut data: Vec<f32> = match forecast {
            Some(forecast) => forecast.standardised(&example.clean).into_iter().map(|z| z as f32).collect(),
            None => clean.iter().zip(&reference).map(|(x, reference)| x - reference).collect(),
        };
        if network.is_centred() {
            without_mean(&mut data, d);
        }
        let noisy = data.iter().zip(&noise).map(|(z, eps)| signal * z + deviation * eps);
        let z: Vec<f32> = noisy.collect();
        let state: Vec<f32> = match forecast {
            Some(forecast) => shown(forecast, &z, &reference, level),
            None => z.iter().zip(&reference).map(|(z, reference)| z + reference).collect(),
        };
        let target: Vec<f32> = match forecast {
            Some(_) => data.iter().zip(&noise).map(|(z, eps)| signal * eps - deviation * z).collect(),
            None => noise,
        };
        let mut moving = forecast.map(|forecast| Moving::new(forecast, system, level, &z));

        // There.
        let mut x = system.in_order(&around, &state);
        without_mean(&mut x, d);
        let start = x.clone();
        let (mut h, inputs, rows) = network.inputs(simd, &arrays, system, level.label);
        let view = arrays.view(graph, frames, d);
        let mut tape = Vec::new();
        let wanted = gradient.is_some().then_some(&mut tape);
        let motion = moving.as_mut().map(Moving::motion);
        network.layers.forward(simd, &view, differences[0], &mut h, &mut x, motion, buffers, wanted);
        let moved =
            system.made_of(&x).into_iter().zip(system.made_of(&start)).map(|(end, start)| end - start);
        let mut predicted: Vec<f32> = moved.collect();
        let width = network.input.width();
        let first_made = |node: usize| node * frames + system.before();
        let made_rows: Vec<usize> =
            (0..nodes).flat_map(|node| first_made(node)..first_made(node) + made).collect();
        if let (Some(moving), Some(gate)) = (&moving, &network.noise_gate) {
            predicted = moving.v(simd, gate, (&h, width), &z);
        }
        if network.is_centred() {
            without_mean(&mut predicted, d);
        }

        // The loss and the gradient of the prediction.
        let among = match counted {
            CountedNodes::All => nodes,
            CountedNodes::First => 1,
        };
        let share = weight / (among * made * d) as f64;
        let last = among * made * d;
        let mut loss = 0.0;
        let mut back = vec![0.0; predicted.len()];
        for at in 0..last {
            let residual = target[at] - predicted[at];
            loss += share * f64::from(residual) * f64::from(residual);
            back[at] = (-2.0 * share) as f32 * residual;
        }
        let Some(gradient) = gradient else { return loss };
        if network.is_centred() {
            without_mean(&mut back, d);
        }
        let mut dh = vec![0.0; nodes * frames * width];
        let mut dx = vec![0.0; nodes * frames * d];
        let mut dway = Vec::new();
        if let (Some(gate), Some(of_gate)) = (&network.noise_gate, &mut gradient.noise_gate) {
            dway = vec![0.0; nodes * frames * d];
            let points = back.chunks_exact(d).zip(z.chunks_exact(d));
            for (&row, (back, z)) in made_rows.iter().zip(points) {
                let dgate: f32 = back.iter().zip(z).map(|(back, z)| back * z).sum();
                add_scaled(simd, dgate, &h[row * width..][..width], &mut of_gate.weight);
                of_gate.bias += dgate;
                add_scaled(simd, dgate, &gate.weight, &mut dh[row * width..][..width]);
                dway[row * d..][..d].iter_mut().zip(back).for_each(|(way, back)| *way = -back);
            }
        }

        // Back.
        if moving.is_none() {
            for (&row, back) in made_rows.iter().zip(back.chunks_exact(d)) {
                dx[row * d..][..d].copy_from_slice(back);
            }
        }
        let layers = &mut gradient.layers;
        let motion = &mut moving.as_ref().map(|moving| moving.back(&dway));
        network.layers.backward(simd, &view, differences[0], tape, &mut dh, &mut dx, motion, layers, buffers);
        let dh = if rows == nodes * frames { dh } else { over_frames(&dh, frames, width) };
        let of_inputs = Rows { values: &inputs, stride: inputs.len() / rows };
        gradient.input.add(simd, of_inputs, Rows { values: &dh, stride: width }, rows);
        if let (Some(prior), Some(tape), Some(into)) = (&network.prior, prior_tape, &mut gradient.prior) {
            // The state moves with the reference, less what the data lose.
            let through =
                system.made_of(&dx).into_iter().zip(&back).map(|(dx, back)| (1.0 - signal) * (dx - back));
            let dreference: Vec<f32> = through.collect();
            prior.backward(simd, system, &arrays, differences[1], tape, &dreference, into, buffers);
        }
        loss
    }
}
