//! Loss and gradient of noisy trajectories, one system at a time.

use equidrift_backend::weights::ParameterSet;
use pulp::{Simd, WithSimd};

use super::FusedNetwork;
use super::layers::LayersGradient;
use super::learned_prior::{PriorGradient, PriorTape};
use super::view::{Buffers, Differences, GraphArrays, over_frames, without_mean};
use crate::denoising_loss::CountedNodes;
use crate::extrapolation::Forecast;
use crate::training_examples::TrainingExample;
use equidrift_backend::kernels::matrix::{LinearGradient, Rows};

/// A clean trajectory and what is put on it.
#[derive(Debug, Clone, Copy)]
pub struct NoisyExample<'a> {
    /// The system and its clean trajectory.
    pub example: &'a TrainingExample,
    /// The noise, `[N, T, D]`.
    pub noise: &'a [f64],
    /// Coefficient of the data at its level.
    pub signal: f64,
    /// Standard deviation of the noise at its level.
    pub deviation: f64,
    /// What the network is told of the time.
    pub time: f64,
}

/// The gradient of all parameters.
#[derive(Debug, Clone)]
pub(super) struct NetworkGradient {
    pub(super) input: LinearGradient,
    pub(super) layers: LayersGradient,
    pub(super) prior: Option<PriorGradient>,
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
        let NoisyExample { example, noise, signal, deviation, time } = *noisy;
        let (system, graph) = (&example.system, &example.system.graph);
        let (nodes, d, made, given) =
            (graph.nodes(), system.dimensions, system.frames, system.given_frames());
        let frames = given + made;
        let arrays = GraphArrays::new(graph);
        let (signal, deviation) = (signal as f32, deviation as f32);

        // The reference, relative to the mean of the given positions; everything is moved along with that mean.
        let mut origin = vec![0.0; d];
        let mut before: Vec<f32> = Vec::new();
        if given > 0 {
            let points = (nodes * given) as f64;
            for (k, origin) in origin.iter_mut().enumerate() {
                *origin = system.given.iter().skip(k).step_by(d).sum::<f64>() / points;
            }
            let moved = system.given.iter().zip(origin.iter().cycle()).map(|(x, origin)| (x - origin) as f32);
            before = moved.collect();
        }
        let clean = example.clean.iter().zip(origin.iter().cycle()).map(|(x, origin)| (x - origin) as f32);
        let mut clean: Vec<f32> = clean.collect();
        let mut noise: Vec<f32> = noise.iter().map(|&x| x as f32).collect();
        let mut prior_tape: Option<PriorTape> = None;
        let reference = match &network.prior {
            Some(prior) => {
                let (reference, tape) =
                    prior.forward(simd, system, &arrays, differences[1], before.clone(), buffers);
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
            without_mean(&mut clean, d);
            without_mean(&mut noise, d);
        }
        // z_0, z at the level, and what is to be predicted of it.
        let data: Vec<f32> = match forecast {
            Some(forecast) => forecast.standardised(&example.clean).into_iter().map(|z| z as f32).collect(),
            None => clean.iter().zip(&reference).map(|(x, reference)| x - reference).collect(),
        };
        let noisy = data.iter().zip(&noise).map(|(z, eps)| signal * z + deviation * eps);
        let state: Vec<f32> = noisy.zip(&reference).map(|(z, reference)| z + reference).collect();
        let (of_noise, of_data) = network.config.prediction.target(f64::from(signal), f64::from(deviation));
        let (of_noise, of_data) = (of_noise as f32, of_data as f32);
        let target: Vec<f32> = data.iter().zip(&noise).map(|(z, eps)| of_noise * eps + of_data * z).collect();

        // There.
        let mut x = Vec::with_capacity(nodes * frames * d);
        for node in 0..nodes {
            x.extend_from_slice(&before[node * given * d..][..given * d]);
            x.extend_from_slice(&state[node * made * d..][..made * d]);
        }
        without_mean(&mut x, d);
        let start = x.clone();
        let (mut h, inputs, rows) = network.inputs(simd, &arrays, graph, time, frames);
        let view = arrays.view(graph, frames, d);
        let mut tape = Vec::new();
        let wanted = gradient.is_some().then_some(&mut tape);
        network.layers.forward(simd, &view, differences[0], &mut h, &mut x, buffers, wanted);
        let made_of = |values: &[f32]| -> Vec<f32> {
            values.chunks_exact(frames * d).flat_map(|node| node[given * d..].iter().copied()).collect()
        };
        let moved = made_of(&x).into_iter().zip(made_of(&start)).map(|(end, start)| end - start);
        let mut predicted: Vec<f32> = moved.collect();
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

        // Back.
        let width = network.input.width();
        let mut dh = vec![0.0; nodes * frames * width];
        let mut dx = vec![0.0; nodes * frames * d];
        for node in 0..nodes {
            dx[(node * frames + given) * d..][..made * d]
                .copy_from_slice(&back[node * made * d..][..made * d]);
        }
        let layers = &mut gradient.layers;
        network.layers.backward(simd, &view, differences[0], tape, &mut dh, &mut dx, layers, buffers);
        let dh = if rows == nodes * frames { dh } else { over_frames(&dh, frames, width) };
        let of_inputs = Rows { values: &inputs, stride: inputs.len() / rows };
        gradient.input.add(simd, of_inputs, Rows { values: &dh, stride: width }, rows);
        if let (Some(prior), Some(tape), Some(into)) = (&network.prior, prior_tape, &mut gradient.prior) {
            // The state moves with the reference, less what the data lose; so does their part of what is to be predicted.
            let through = made_of(&dx)
                .into_iter()
                .zip(&back)
                .map(|(dx, back)| (1.0 - signal) * (dx - back) + of_data * back);
            let dreference: Vec<f32> = through.collect();
            prior.backward(simd, system, &arrays, differences[1], tape, &dreference, into, buffers);
        }
        loss
    }
}
