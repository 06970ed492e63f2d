//! The denoiser on the processor, in single precision: one system at a time, so that everything stays in the caches, with
//! vectors of the machine's width.
//!
//! The same mathematics as [`GeotdmNetwork`](crate::GeotdmNetwork), by the same two rewritings: the first map of an edge is
//! split by its inputs, and products with the embeddings of time differences are made once for each difference. Besides, no
//! array of all messages or of all pairs of frames is ever made. Memory of a call: the states of a system, 4 numbers for
//! each node, frame and unit.

mod elementwise;
mod matrix;
mod spatial;
mod temporal;
mod view;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use equidrift_backend::weights::ParameterSet;
use equidrift_nn::sinusoid_of_both_ends;
use pulp::{Arch, Simd, WithSimd};

use self::matrix::{LANE_MULTIPLE, Linear, Rows, padded};
use self::spatial::Spatial;
use self::temporal::Temporal;
use self::view::{Buffers, Differences, SystemView};
use crate::error::GeotdmError;
use crate::network_config::{NetworkConfig, Prior};
use crate::parameters::ParameterError;
use crate::system::System;

/// Longest period of the sines of the diffusion time.
const PERIOD: f64 = 10_000.0;

/// The denoiser's parameters in packed form.
#[derive(Debug, Clone)]
pub struct FusedNetwork {
    config: NetworkConfig,
    input: Linear,
    layers: Vec<(Spatial, Temporal)>,
}

/// A system and noisy positions of it.
#[derive(Debug, Clone, Copy)]
pub struct NoisySystem<'a> {
    /// The system with its given frames.
    pub system: &'a System,
    /// Noisy positions, `[N, T, D]`.
    pub positions: &'a [f32],
    /// What the network is told of the time.
    pub time: f64,
}

impl FusedNetwork {
    /// Packs the parameters of the denoiser.
    ///
    /// # Errors
    /// [`ParameterError`] if one is missing or has another shape.
    pub fn new(config: &NetworkConfig, parameters: &ParameterSet) -> Result<Self, ParameterError> {
        let inputs = config.node_features + config.time_features;
        let layer = |l: usize| {
            Ok((
                Spatial::read(parameters, &format!("s_modules.{l}"), config)?,
                Temporal::read(parameters, &format!("t_modules.{l}"), config)?,
            ))
        };
        Ok(Self {
            config: config.clone(),
            input: Linear::read(parameters, "input_linear", inputs, config.hidden)?,
            layers: (0..config.layers).map(layer).collect::<Result<_, _>>()?,
        })
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
        systems.iter().try_for_each(|noisy| self.check(noisy))?;
        let next = AtomicUsize::new(0);
        let work = || {
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
                let task = DenoiseSystem { network: self, noisy, differences: &table, buffers: &mut buffers };
                done.push((number, Arch::new().dispatch(task)));
                differences = Some((frames, table));
            }
        };
        let helpers = threads.get().min(systems.len()).saturating_sub(1);
        let mut done = std::thread::scope(|scope| {
            let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            for helper in helpers {
                done.extend(helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            done
        });
        done.sort_by_key(|(number, _)| *number);
        Ok(done.into_iter().map(|(_, noise)| noise).collect())
    }

    fn check(&self, noisy: &NoisySystem<'_>) -> Result<(), GeotdmError> {
        let count = |what, expected, found| {
            if expected == found { Ok(()) } else { Err(GeotdmError::Count { what, expected, found }) }
        };
        let (system, graph) = (noisy.system, &noisy.system.graph);
        count("numbers of a trajectory", system.width(), noisy.positions.len())?;
        count("features of a node", self.config.node_features, graph.node_width())?;
        if !graph.edges().is_empty() {
            count("features of an edge", self.config.edge_features, graph.edge_width())?;
        }
        let given = system.given_frames();
        count("given numbers of a system", graph.nodes() * given * system.dimensions, system.given.len())?;
        if graph.feature_frames() != 1 {
            count("frames of node features", given + system.frames, graph.feature_frames())?;
        }
        if self.config.prior.is_conditional() == (given == 0) {
            let expected = usize::from(self.config.prior.is_conditional());
            return count("given frames", expected, given);
        }
        // Positions are carried along in the room of one vector.
        if system.dimensions == 0 || system.dimensions >= LANE_MULTIPLE || system.frames == 0 {
            return count("coordinates of a position", 3, system.dimensions);
        }
        Ok(())
    }
}

/// One system to be denoised.
struct DenoiseSystem<'a> {
    network: &'a FusedNetwork,
    noisy: &'a NoisySystem<'a>,
    differences: &'a Differences,
    buffers: &'a mut Buffers,
}

impl WithSimd for DenoiseSystem<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self { network, noisy, differences, buffers } = self;
        let (system, graph) = (noisy.system, &noisy.system.graph);
        let (nodes, d, made, given) =
            (graph.nodes(), system.dimensions, system.frames, system.given_frames());
        let frames = given + made;
        let mut degree = vec![0_u32; nodes];
        graph.edges().iter().for_each(|[receiver, _]| degree[*receiver] += 1);
        let inverse_degree: Vec<f32> =
            degree.iter().map(|&degree| if degree == 0 { 0.0 } else { 1.0 / degree as f32 }).collect();
        let edge_features: Vec<f32> = graph.edge_features().iter().map(|&x| x as f32).collect();
        let view = SystemView {
            nodes,
            frames,
            dimensions: d,
            edges: graph.edges(),
            edge_features: &edge_features,
            inverse_degree: &inverse_degree,
        };

        // Positions about their mean.
        let mut x = Vec::with_capacity(nodes * frames * d);
        for node in 0..nodes {
            x.extend(system.given[node * given * d..][..given * d].iter().map(|&x| x as f32));
            x.extend_from_slice(&noisy.positions[node * made * d..][..made * d]);
        }
        for k in 0..d {
            let sum: f64 = x.iter().skip(k).step_by(d).map(|&x| f64::from(x)).sum();
            let mean = (sum / (nodes * frames) as f64) as f32;
            x.iter_mut().skip(k).step_by(d).for_each(|x| *x -= mean);
        }
        let start: Vec<f32> =
            x.chunks_exact(frames * d).flat_map(|node| node[given * d..].iter().copied()).collect();

        let width = padded(network.config.hidden);
        let mut h = network.inputs(simd, noisy, frames);
        debug_assert_eq!(h.len(), nodes * frames * width);
        for (spatial, temporal) in &network.layers {
            spatial.forward(simd, &view, &mut h, &mut x, buffers);
            temporal.forward(simd, &view, differences, &mut h, &mut x, buffers);
        }

        let end = x.chunks_exact(frames * d).flat_map(|node| &node[given * d..]);
        let mut noise: Vec<f32> = end.zip(&start).map(|(end, start)| end - start).collect();
        if network.config.prior == Prior::JointCentre {
            for k in 0..d {
                let sum: f64 = noise.iter().skip(k).step_by(d).map(|&x| f64::from(x)).sum();
                let mean = (sum / (nodes * made) as f64) as f32;
                noise.iter_mut().skip(k).step_by(d).for_each(|x| *x -= mean);
            }
        }
        noise
    }
}

impl FusedNetwork {
    /// Features of nodes and of the time, `[N n, padded hidden]`.
    #[inline(always)]
    fn inputs<S: Simd>(&self, simd: S, noisy: &NoisySystem<'_>, frames: usize) -> Vec<f32> {
        let graph = &noisy.system.graph;
        let (features, inputs) = (self.config.node_features, self.input.inputs);
        let time = sinusoid_of_both_ends(noisy.time, self.config.time_features, PERIOD);
        let mut rows = Vec::with_capacity(graph.nodes() * graph.feature_frames() * inputs);
        for features in graph.node_features().chunks_exact(features) {
            rows.extend(features.iter().chain(&time).map(|&x| x as f32));
        }
        let count = graph.nodes() * graph.feature_frames();
        let width = self.input.width();
        let mut found = vec![0.0; count * width];
        self.input.apply(simd, Rows { values: &rows, stride: inputs }, count, &mut found, width);
        if graph.feature_frames() == frames {
            return found;
        }
        found
            .chunks_exact(width)
            .flat_map(|row| std::iter::repeat_n(row, frames).flatten().copied())
            .collect()
    }
}
