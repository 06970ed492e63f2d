//! The denoiser on the processor, in single precision: one system at a time, so that everything stays in the caches, with
//! vectors of the machine's width.
//!
//! The same mathematics as [`GeotdmNetwork`](crate::GeotdmNetwork), by the same two rewritings: the first map of an edge is
//! split by its inputs, and products with the embeddings of time differences are made once for each difference. Besides, no
//! array of all messages or of all pairs of frames is ever made. Memory of a call: the states of a system, 4 numbers for
//! each node, frame and unit.

mod deviations;
mod gradient;
mod layers;
mod learned_prior;
mod spatial;
mod spatial_backward;
mod temporal;
mod temporal_backward;
mod vector_jacobian;
mod view;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use equidrift_backend::weights::ParameterSet;
use equidrift_nn::sinusoid_of_both_ends;
use pulp::{Arch, Simd, WithSimd};

use self::deviations::{Moving, shown};
pub use self::gradient::NoisyExample;
use self::gradient::{Differentiate, NetworkGradient};
use self::layers::{LayerTape, Layers};
use self::vector_jacobian::Product;
use self::view::{Buffers, Differences, GraphArrays, in_all_frames, without_mean};
use crate::denoising_loss::CountedNodes;
use crate::diffusion::Level;
use crate::error::GeotdmError;
use crate::extrapolation::Forecast;
use crate::network_config::{NetworkConfig, Prior};
use crate::parameters::{NOISE_GATE, ParameterError};
use crate::system::{System, frame_distances};
use equidrift_backend::kernels::matrix::{LANE_MULTIPLE, Linear, Rows, ToNumber};

/// Longest period of the sines of the diffusion time.
const PERIOD: f64 = 10_000.0;

/// The parameters in packed form.
#[derive(Debug, Clone)]
pub struct FusedNetwork {
    config: NetworkConfig,
    input: Linear,
    layers: Layers,
    prior: Option<learned_prior::Prior>,
    /// With an extrapolated prior.
    noise_gate: Option<ToNumber>,
}

/// A system and noisy positions of it.
#[derive(Debug, Clone, Copy)]
pub struct NoisySystem<'a> {
    /// The system with its given frames.
    pub system: &'a System,
    /// Noisy positions, `[N, T, D]`; with an extrapolated prior deviations from the forecast, in its own measure.
    pub positions: &'a [f32],
    /// The level.
    pub level: Level,
}

/// The noise of a system and a product with its Jacobian, both `[N, T, D]`.
pub type NoiseAndProduct = (Vec<f32>, Vec<f32>);

impl FusedNetwork {
    /// Packs the parameters.
    ///
    /// # Errors
    /// [`ParameterError`] if one is missing or has another shape.
    pub fn new(config: &NetworkConfig, parameters: &ParameterSet) -> Result<Self, ParameterError> {
        let prior = match config.prior {
            Prior::Learned { layers, frames } => {
                Some(learned_prior::Prior::read(parameters, config, layers, frames)?)
            }
            _ => None,
        };
        let gate = config.extrapolation.is_some();
        Ok(Self {
            noise_gate: gate.then(|| ToNumber::read(parameters, NOISE_GATE, config.hidden)).transpose()?,
            config: config.clone(),
            input: Linear::read(parameters, "input_linear", config.inputs(), config.hidden)?,
            layers: Layers::read(parameters, "", config, config.layers)?,
            prior,
        })
    }

    /// Whether trajectories have no joint mean.
    fn is_centred(&self) -> bool {
        self.config.prior.is_centred()
    }

    /// The noise in each system's positions, `[N, T, D]`: as [`GeotdmNetwork::denoise`](crate::GeotdmNetwork::denoise). Every
    /// system is computed alone, so neither the others nor the threads change a bit.
    ///
    /// # Errors
    /// [`GeotdmError::Count`] if a system does not fit the network.
    pub fn denoise(
        &self,
        systems: &[NoisySystem<'_>],
        threads: NonZeroUsize,
    ) -> Result<Vec<Vec<f32>>, GeotdmError> {
        self.for_systems(systems, threads, |_, call| Arch::new().dispatch(call))
    }

    /// The noise in each system's positions, and the product of `cotangents[k]` `[N, T, D]` with the Jacobian of that noise in the
    /// positions: what guidance needs. Cost: between four and five calls, for gradients of the parameters are made on the way.
    ///
    /// # Errors
    /// As [`FusedNetwork::denoise`]; [`GeotdmError::Count`] for other numbers of cotangents.
    pub fn denoise_with_product(
        &self,
        systems: &[NoisySystem<'_>],
        cotangents: &[Vec<f32>],
        threads: NonZeroUsize,
    ) -> Result<Vec<NoiseAndProduct>, GeotdmError> {
        let count = |what, expected, found| {
            if expected == found { Ok(()) } else { Err(GeotdmError::Count { what, expected, found }) }
        };
        count("cotangents", systems.len(), cotangents.len())?;
        for (noisy, cotangent) in systems.iter().zip(cotangents) {
            count("numbers of a cotangent", noisy.positions.len(), cotangent.len())?;
        }
        self.for_systems(systems, threads, |number, call| {
            Arch::new().dispatch(Product { call, cotangent: &cotangents[number] })
        })
    }

    /// `work` of a call for each system, in their order.
    fn for_systems<T: Send>(
        &self,
        systems: &[NoisySystem<'_>],
        threads: NonZeroUsize,
        work: impl Fn(usize, DenoiseSystem<'_>) -> T + Sync,
    ) -> Result<Vec<T>, GeotdmError> {
        systems.iter().try_for_each(|noisy| self.check(noisy.system, noisy.positions.len()))?;
        let forecasts = self.config.extrapolation.as_ref().map(|extrapolation| {
            systems.iter().map(|noisy| extrapolation.forecast(noisy.system)).collect::<Result<Vec<_>, _>>()
        });
        let forecasts = forecasts.transpose()?;
        let next = AtomicUsize::new(0);
        let share = || {
            let mut buffers = Buffers::default();
            let mut differences: Option<(usize, Differences)> = None;
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(noisy) = systems.get(number) else { return done };
                let frames = noisy.system.given_frames() + noisy.system.frames;
                let known = differences.take().filter(|(of, _)| *of == frames);
                let table = known
                    .map_or_else(|| Differences::new(frames, self.config.time_features), |(_, table)| table);
                let call = DenoiseSystem {
                    network: self,
                    noisy,
                    forecast: forecasts.as_ref().map(|forecasts| &forecasts[number]),
                    differences: &table,
                    buffers: &mut buffers,
                };
                done.push((number, work(number, call)));
                differences = Some((frames, table));
            }
        };
        let helpers = threads.get().min(systems.len()).saturating_sub(1);
        let mut done = std::thread::scope(|scope| {
            let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(share)).collect();
            let mut done = share();
            for helper in helpers {
                done.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            done
        });
        done.sort_by_key(|(number, _)| *number);
        Ok(done.into_iter().map(|(_, found)| found).collect())
    }

    fn check(&self, system: &System, numbers: usize) -> Result<(), GeotdmError> {
        let count = |what, expected, found| {
            if expected == found { Ok(()) } else { Err(GeotdmError::Count { what, expected, found }) }
        };
        let graph = &system.graph;
        count("numbers of a trajectory", system.width(), numbers)?;
        count("features of a node", self.config.node_features, graph.node_width())?;
        if !graph.edges().is_empty() {
            count("features of an edge", self.config.edge_features, graph.edge_width())?;
        }
        let given = system.given_frames();
        count("given numbers of a system", graph.nodes() * given * system.dimensions, system.given.len())?;
        if graph.feature_frames() != 1 {
            count("frames of node features", given + system.frames, graph.feature_frames())?;
        }
        system.check_behind(self.config.prior == Prior::Extrapolated)?;
        if self.config.prior.is_conditional() == (given == 0) {
            let expected = usize::from(self.config.prior.is_conditional());
            return count("given frames", expected, given);
        }
        // Positions are carried along in the room of one vector.
        let channels = 1 + usize::from(self.config.extrapolation.is_some());
        if system.dimensions == 0 || channels * (system.dimensions + 1) > LANE_MULTIPLE || system.frames == 0
        {
            return count("coordinates of a position", 3, system.dimensions);
        }
        Ok(())
    }
}

/// One system to be denoised.
struct DenoiseSystem<'a> {
    network: &'a FusedNetwork,
    noisy: &'a NoisySystem<'a>,
    forecast: Option<&'a Forecast>,
    differences: &'a Differences,
    buffers: &'a mut Buffers,
}

/// What a call leaves.
struct Called {
    /// Features at the end, `[N n, padded hidden]`.
    h: Vec<f32>,
    /// Positions at the end, `[N n, D]`.
    x: Vec<f32>,
    /// Those of the made frames at the beginning, `[N, T, D]`.
    start: Vec<f32>,
    /// Where the prior has a measure.
    moving: Option<Moving>,
    /// What every layer saw, if it is kept.
    tape: Vec<LayerTape>,
}

impl DenoiseSystem<'_> {
    /// Through all layers.
    #[inline(always)]
    fn call<S: Simd>(&mut self, simd: S, arrays: &GraphArrays, taped: bool) -> Called {
        let Self { network, noisy, forecast, differences, buffers } = self;
        let (system, graph) = (noisy.system, &noisy.system.graph);
        let d = system.dimensions;
        let frames = system.given_frames() + system.frames;
        let view = arrays.view(graph, frames, d);

        // Positions about their mean.
        let guess = forecast.map(|forecast| {
            let reference: Vec<f32> = forecast.reference.iter().map(|&x| x as f32).collect();
            shown(forecast, noisy.positions, &reference, noisy.level)
        });
        let positions = guess.as_deref().unwrap_or(noisy.positions);
        let given: Vec<f32> = system.given.iter().map(|&x| x as f32).collect();
        let mut x = system.in_order(&given, positions);
        without_mean(&mut x, d);
        let start = system.made_of(&x);

        let mut moving = forecast.map(|forecast| Moving::new(forecast, system, noisy.level, noisy.positions));
        let (mut h, ..) = network.inputs(simd, arrays, system, noisy.level.label);
        let motion = moving.as_mut().map(Moving::motion);
        let mut tape = Vec::new();
        let wanted = taped.then_some(&mut tape);
        network.layers.forward(simd, &view, differences, &mut h, &mut x, motion, buffers, wanted);
        Called { h, x, start, moving, tape }
    }

    /// The noise, `[N, T, D]`.
    #[inline(always)]
    fn noise<S: Simd>(&self, simd: S, called: &Called) -> Vec<f32> {
        let Self { network, noisy, .. } = self;
        let d = noisy.system.dimensions;
        let centred = |mut values: Vec<f32>| {
            if network.is_centred() {
                without_mean(&mut values, d);
            }
            values
        };
        if let (Some(moving), Some(gate)) = (&called.moving, &network.noise_gate) {
            let (signal, deviation) = (noisy.level.signal as f32, noisy.level.deviation as f32);
            let v = centred(moving.v(simd, gate, (&called.h, network.input.width()), noisy.positions));
            return v.iter().zip(noisy.positions).map(|(v, z)| deviation * z + signal * v).collect();
        }
        let end = noisy.system.made_of(&called.x);
        centred(end.iter().zip(&called.start).map(|(end, start)| end - start).collect())
    }
}

impl WithSimd for DenoiseSystem<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> Vec<f32> {
        let arrays = GraphArrays::new(&self.noisy.system.graph);
        let called = self.call(simd, &arrays, false);
        self.noise(simd, &called)
    }
}

impl FusedNetwork {
    /// Features of nodes and of the time, `[N n, padded hidden]`; and the rows they were made of, with their number.
    #[inline(always)]
    fn inputs<S: Simd>(
        &self,
        simd: S,
        arrays: &GraphArrays,
        system: &System,
        time: f64,
    ) -> (Vec<f32>, Vec<f32>, usize) {
        let (graph, frames) = (&system.graph, system.given_frames() + system.frames);
        let of_time = |time| sinusoid_of_both_ends(time, self.config.time_features, PERIOD);
        let times = if self.config.temporal.is_attention() {
            vec![of_time(time)]
        } else {
            let both = |distance| [of_time(time), of_time(distance)].concat();
            frame_distances(frames, system.before()).map(both).collect()
        };
        let (rows, inputs) = arrays.node_rows(graph, frames, &times, self.input.inputs);
        let width = self.input.width();
        let mut found = vec![0.0; rows * width];
        let of_inputs = Rows { values: &inputs, stride: inputs.len() / rows };
        self.input.apply(simd, of_inputs, rows, &mut found, width);
        (in_all_frames(found, graph.nodes(), frames, width), inputs, rows)
    }

    /// The sum of the losses of these examples times `weight`, as of
    /// [`NoisedGroup`](crate::NoisedGroup); and, where `wanted`, its gradient by name. Computed one example after another.
    ///
    /// # Errors
    /// [`GeotdmError::Count`] if an example does not fit the network.
    pub fn loss_and_gradient(
        &self,
        examples: &[NoisyExample<'_>],
        counted: CountedNodes,
        weight: f64,
        wanted: bool,
    ) -> Result<(f64, ParameterSet), GeotdmError> {
        let mut gradient = wanted.then(|| NetworkGradient {
            input: self.input.no_gradient(),
            layers: self.layers.no_gradient(),
            prior: self.prior.as_ref().map(learned_prior::Prior::no_gradient),
            noise_gate: self.noise_gate.as_ref().map(ToNumber::no_gradient),
        });
        let mut buffers = Buffers::default();
        let mut loss = 0.0;
        for noisy in examples {
            let system = &noisy.example.system;
            self.check(system, noisy.example.clean.len())?;
            self.check(system, noisy.noise.len())?;
            if let Some(prior) = self.prior.as_ref().filter(|prior| system.frames > prior.most_frames()) {
                let what = "frames to be made, of a learned prior at most";
                return Err(GeotdmError::Count { what, expected: prior.most_frames(), found: system.frames });
            }
            let of = |frames: usize| Differences::new(frames.max(1), self.config.time_features);
            let differences = [of(system.given_frames() + system.frames), of(system.given_frames())];
            let extrapolation = self.config.extrapolation.as_ref();
            let forecast = extrapolation.map(|forecasts| forecasts.forecast(system)).transpose()?;
            loss += Arch::new().dispatch(Differentiate {
                network: self,
                noisy,
                forecast: forecast.as_ref(),
                counted,
                weight,
                differences: [&differences[0], &differences[1]],
                gradient: gradient.as_mut(),
                buffers: &mut buffers,
            });
        }
        Ok((loss, gradient.map(|gradient| gradient.emit()).unwrap_or_default()))
    }
}
