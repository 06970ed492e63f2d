//! The learned prior of one system: the reference of the given frames, and the way back.

use equidrift_backend::weights::{HostTensor, ParameterSet};
use pulp::Simd;

use super::layers::{LayerTape, Layers, LayersGradient};
use super::view::{Buffers, Differences, GraphArrays, in_all_frames};
use crate::network_config::NetworkConfig;
use crate::system::System;
use equidrift_backend::kernels::PackError;
use equidrift_backend::kernels::matrix::{Linear, LinearGradient, Rows, lookup};

/// Its parameters.
#[derive(Debug, Clone)]
pub(super) struct Prior {
    input: Linear,
    layers: Layers,
    frame_weights: Vec<f32>,
}

/// The gradient of them.
#[derive(Debug, Clone)]
pub(super) struct PriorGradient {
    input: LinearGradient,
    layers: LayersGradient,
    frame_weights: Vec<f32>,
}

/// What the way back needs.
#[derive(Debug)]
pub(super) struct PriorTape {
    inputs: Vec<f32>,
    layers: Vec<LayerTape>,
    /// Given positions after the layers, `[N given, D]`.
    positions: Vec<f32>,
    /// Weight of each given frame, `[N given]`.
    weights: Vec<f32>,
    /// `[N, D]`.
    directions: Vec<f32>,
}

impl Prior {
    pub(super) fn read(
        parameters: &ParameterSet,
        config: &NetworkConfig,
        layers: usize,
        frames: usize,
    ) -> Result<Self, PackError> {
        Ok(Self {
            input: Linear::read(parameters, "input_linear_ref", config.node_features, config.hidden)?,
            layers: Layers::read(parameters, "_ref", config, layers)?,
            frame_weights: lookup(parameters, "ws".to_owned(), &[frames])?,
        })
    }

    /// Most frames that it can refer to.
    pub(super) fn most_frames(&self) -> usize {
        self.frame_weights.len()
    }

    pub(super) fn no_gradient(&self) -> PriorGradient {
        PriorGradient {
            input: self.input.no_gradient(),
            layers: self.layers.no_gradient(),
            frame_weights: vec![0.0; self.frame_weights.len()],
        }
    }

    /// The reference `[N, T, D]` of given positions `[N given, D]`, which should be near 0.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        system: &System,
        arrays: &GraphArrays,
        differences: &Differences,
        given: Vec<f32>,
        buffers: &mut Buffers,
    ) -> (Vec<f32>, PriorTape) {
        let graph = &system.graph;
        let (frames, d, made) = (system.given_frames(), system.dimensions, system.frames);
        let view = arrays.view(graph, frames, d);
        let (rows, inputs) = arrays.node_rows(graph, frames, &[], self.input.inputs);
        let width = self.input.width();
        let mut h = vec![0.0; rows * width];
        let of_inputs = Rows { values: &inputs, stride: inputs.len() / rows };
        self.input.apply(simd, of_inputs, rows, &mut h, width);
        let mut h = in_all_frames(h, graph.nodes(), frames, width);
        let mut y = given;
        let mut tape = Vec::new();
        self.layers.forward(simd, &view, differences, &mut h, &mut y, None, buffers, Some(&mut tape));

        let units = self.input.outputs as f32;
        let weights: Vec<f32> = h.chunks_exact(width).map(|row| row.iter().sum::<f32>() / units).collect();
        let mut directions = vec![0.0; graph.nodes() * d];
        let mut reference = Vec::with_capacity(graph.nodes() * made * d);
        for (node, direction) in directions.chunks_exact_mut(d).enumerate() {
            let y = &y[node * frames * d..][..frames * d];
            let last = &y[(frames - 1) * d..];
            for (t, point) in y.chunks_exact(d).enumerate() {
                let weight = weights[node * frames + t];
                direction
                    .iter_mut()
                    .zip(point.iter().zip(last))
                    .for_each(|(g, (y, l))| *g += weight * (y - l));
            }
            for scale in &self.frame_weights[..made] {
                reference.extend(last.iter().zip(direction.iter()).map(|(last, g)| last + scale * g));
            }
        }
        (reference, PriorTape { inputs, layers: tape, positions: y, weights, directions })
    }

    /// Adds the gradient of the parameters for the gradient `dreference` `[N, T, D]` of the reference.
    #[expect(clippy::too_many_arguments, reason = "what was seen, what comes back, and where it goes")]
    #[inline(always)]
    pub(super) fn backward<S: Simd>(
        &self,
        simd: S,
        system: &System,
        arrays: &GraphArrays,
        differences: &Differences,
        tape: PriorTape,
        dreference: &[f32],
        gradient: &mut PriorGradient,
        buffers: &mut Buffers,
    ) {
        let graph = &system.graph;
        let (frames, d, made) = (system.given_frames(), system.dimensions, system.frames);
        let view = arrays.view(graph, frames, d);
        let width = self.input.width();
        let units = self.input.outputs;
        let mut dh = vec![0.0; graph.nodes() * frames * width];
        let mut dy = vec![0.0; tape.positions.len()];
        for node in 0..graph.nodes() {
            let (y, dy) = (&tape.positions[node * frames * d..], &mut dy[node * frames * d..]);
            let last = (frames - 1) * d;
            let mut ddirection = vec![0.0; d];
            for (s, back) in dreference[node * made * d..][..made * d].chunks_exact(d).enumerate() {
                for k in 0..d {
                    gradient.frame_weights[s] += back[k] * tape.directions[node * d + k];
                    ddirection[k] += self.frame_weights[s] * back[k];
                    dy[last + k] += back[k];
                }
            }
            // The last frame's own term is 0.
            for t in 0..frames - 1 {
                let weight = tape.weights[node * frames + t];
                let mut dweight = 0.0;
                for k in 0..d {
                    dweight += ddirection[k] * (y[t * d + k] - y[last + k]);
                    dy[t * d + k] += weight * ddirection[k];
                    dy[last + k] -= weight * ddirection[k];
                }
                dh[(node * frames + t) * width..][..units].fill(dweight / units as f32);
            }
        }
        let PriorGradient { input, layers, .. } = gradient;
        self.layers.backward(
            simd,
            &view,
            differences,
            tape.layers,
            &mut dh,
            &mut dy,
            &mut None,
            layers,
            buffers,
        );
        let rows = graph.nodes() * if graph.feature_frames() == 1 { 1 } else { frames };
        let dh = if rows == dh.len() / width { dh } else { super::view::over_frames(&dh, frames, width) };
        let of_inputs = Rows { values: &tape.inputs, stride: tape.inputs.len() / rows };
        input.add(simd, of_inputs, Rows { values: &dh, stride: width }, rows);
    }
}

impl PriorGradient {
    /// Under the names of the parameters.
    pub(super) fn emit(&self, into: &mut ParameterSet) {
        self.input.emit("input_linear_ref", into);
        self.layers.emit("_ref", into);
        let weights = self.frame_weights.clone();
        into.insert("ws".to_owned(), HostTensor::f32([weights.len()], weights));
    }
}
