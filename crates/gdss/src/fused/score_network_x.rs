//! The convolutional node network: `h_k = tanh(GCN_k(h_(k-1)))`, then a perceptron on `[h_0, ..., h_depth]`.
//!
//! The adjacency is normalised once for all layers. With QM9's sizes a graph costs about 76,000 multiply-adds, nearly
//! all of them in the perceptron.

use equidrift_backend::weights::ParameterSet;
use pulp::{NullaryFnOnce, Simd};

use super::activation::tanh_slope;
use super::epilogue::{Plain, Scaled, Tanh};
use super::extent::Extent;
use super::kernels;
use super::lanes::{LaneBuffer, Rows};
use super::linear::{Linear, Orientation, Source};
use super::mlp::{Mlp, MlpScratch};
use super::score_matching_loss::{final_perceptron_backward, rows};
use super::tile::{TargetView, TileView};
use crate::network_config::ScoreNetworkXConfig;
use crate::parameters::ParameterError;

/// The packed network.
#[derive(Debug, Clone)]
pub(super) struct ScoreNetworkX {
    layers: Vec<Linear>,
    perceptron: Mlp,
    features: usize,
}

/// Arrays of one tile.
#[derive(Debug)]
pub(super) struct ScoreNetworkXBuffers {
    /// `h_k`
    hidden: Vec<LaneBuffer>,
    /// `D A D h_k`, of every layer for a backward pass.
    aggregated: Vec<LaneBuffer>,
    degree: LaneBuffer,
    matrix: LaneBuffer,
    output: LaneBuffer,
    /// Gradients of `h_k`, for a backward pass.
    by_hidden: Vec<LaneBuffer>,
    by_aggregated: LaneBuffer,
    scratch: MlpScratch,
}

impl ScoreNetworkX {
    pub(super) fn new(
        config: &ScoreNetworkXConfig,
        parameters: &ParameterSet,
        next_offset: &mut usize,
    ) -> Result<Self, ParameterError> {
        let features = config.max_feat_num;
        let mut widths = vec![features];
        let mut layers = Vec::with_capacity(config.depth);
        for layer in 0..config.depth {
            let source = Source {
                name: format!("x.layers.{layer}"),
                outputs: config.nhid,
                orientation: Orientation::InOut,
                scale: 1.0,
            };
            layers.push(Linear::new(parameters, vec![source], &[widths[layer]], 0, next_offset)?);
            widths.push(config.nhid);
        }
        let hidden = 2 * config.concatenated();
        let perceptron =
            Mlp::new(parameters, "x.final", 3, &widths, config.time_features, hidden, features, next_offset)?;
        Ok(Self { layers, perceptron, features })
    }

    pub(super) fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.layers.iter().chain(self.perceptron.linears())
    }

    pub(super) fn buffers<S: Simd>(&self, extent: Extent, backward: bool) -> ScoreNetworkXBuffers {
        let array = |width: usize| LaneBuffer::new::<S>(extent.node_rows::<S>() * width);
        let widths = || std::iter::once(self.features).chain(self.layers.iter().map(|layer| layer.outputs));
        let inputs = self.layers.iter().map(|layer| layer.inputs);
        let widest = widths().max().unwrap_or(0);
        ScoreNetworkXBuffers {
            hidden: widths().map(array).collect(),
            aggregated: if backward { inputs.map(array).collect() } else { vec![array(widest)] },
            degree: array(1),
            matrix: LaneBuffer::new::<S>(extent.matrix::<S>()),
            output: array(self.features),
            by_hidden: if backward { widths().map(array).collect() } else { Vec::new() },
            by_aggregated: if backward { array(widest) } else { LaneBuffer::default() },
            scratch: MlpScratch::new::<S>(std::iter::once(&self.perceptron), backward),
        }
    }

    #[inline(always)]
    fn convolutions<S: Simd>(
        &self,
        simd: S,
        tile: TileView<'_, S::f32s>,
        buffers: &mut ScoreNetworkXBuffers,
    ) {
        let nodes = tile.node_rows::<S>();
        let keep = buffers.aggregated.len() > 1;
        buffers.scratch.set_times::<S>(tile.time);
        buffers.hidden[0].get_mut::<S>().copy_from_slice(tile.x);
        let channel = Rows::dense(tile.adjacency, 1);
        let (degree, matrix) = (buffers.degree.get_mut::<S>(), buffers.matrix.get_mut::<S>());
        kernels::normalise(simd, tile.extent, channel, degree, matrix);
        for (k, layer) in self.layers.iter().enumerate() {
            let (below, above) = buffers.hidden.split_at_mut(k + 1);
            let width = layer.inputs;
            let aggregated = buffers.aggregated[if keep { k } else { 0 }].get_mut::<S>();
            let input = Rows::dense(below[k].get::<S>(), width);
            kernels::aggregate(simd, tile.extent, matrix, input, aggregated, false);
            let inputs = [Rows::dense(&*aggregated, width)];
            layer.apply(simd, &inputs, 0, nodes, above[0].get_mut::<S>(), layer.outputs, Tanh);
        }
    }

    /// Returns the masked output `[N, F]`.
    #[inline(always)]
    pub(super) fn forward<'a, S: Simd>(
        &self,
        simd: S,
        tile: TileView<'_, S::f32s>,
        buffers: &'a mut ScoreNetworkXBuffers,
    ) -> &'a LaneBuffer {
        self.convolutions(simd, tile, buffers);
        let inputs = rows::<S>(&buffers.hidden, tile.node_rows::<S>());
        let (output, mask) = (buffers.output.get_mut::<S>(), Scaled(tile.node_mask));
        self.perceptron.forward(
            simd,
            &inputs,
            tile.node_rows::<S>(),
            output,
            self.features,
            mask,
            &mut buffers.scratch,
        );
        &buffers.output
    }

    /// Adds the gradient of the loss to `gradient` and returns the loss of each graph.
    #[inline(always)]
    pub(super) fn loss_and_gradient<S: Simd>(
        &self,
        simd: S,
        tile: TileView<'_, S::f32s>,
        target: TargetView<'_, S::f32s>,
        buffers: &mut ScoreNetworkXBuffers,
        gradient: &mut [f32],
    ) -> S::f32s {
        self.convolutions(simd, tile, buffers);
        let nodes = tile.node_rows::<S>();
        let loss = final_perceptron_backward(
            simd,
            &self.perceptron,
            tile.node_mask,
            1.0,
            target,
            self.features,
            &rows::<S>(&buffers.hidden, nodes),
            &mut buffers.by_hidden,
            buffers.output.get_mut::<S>(),
            gradient,
            &mut buffers.scratch,
        );
        for (k, layer) in self.layers.iter().enumerate().rev() {
            let (below, above) = buffers.by_hidden.split_at_mut(k + 1);
            let delta = above[0].get_mut::<S>();
            simd.vectorize(TimesTanhSlope {
                simd,
                output: buffers.hidden[k + 1].get::<S>(),
                delta: &mut *delta,
            });
            let delta = Rows::dense(&*delta, layer.outputs);
            let inputs = [Rows::dense(buffers.aggregated[k].get::<S>(), layer.inputs)];
            layer.accumulate_gradient(simd, &inputs, 0, &[], delta, nodes, gradient);
            if k > 0 {
                let by_aggregated = buffers.by_aggregated.get_mut::<S>();
                layer.apply_transposed(simd, 0, delta, nodes, by_aggregated, layer.inputs, false, Plain);
                let input = Rows::dense(&*by_aggregated, layer.inputs);
                let matrix = buffers.matrix.get::<S>();
                kernels::aggregate(simd, tile.extent, matrix, input, below[k].get_mut::<S>(), true);
            }
        }
        loss
    }
}

struct TimesTanhSlope<'a, S: Simd> {
    simd: S,
    output: &'a [S::f32s],
    delta: &'a mut [S::f32s],
}

impl<S: Simd> NullaryFnOnce for TimesTanhSlope<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (delta, &output) in self.delta.iter_mut().zip(self.output) {
            *delta = self.simd.mul_f32s(*delta, tanh_slope(self.simd, output));
        }
    }
}
