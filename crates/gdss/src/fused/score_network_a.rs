//! The edge network: attention layers, then a perceptron on the edge channels `[a_0, ..., a_L]` of every pair.
//!
//! With QM9's sizes a graph costs about 330,000 multiply-adds, 5,200 tanh and 5,800 exponentials.

use equidrift_backend::weights::ParameterSet;
use pulp::Simd;

use super::attention_buffers::{AttentionBuffers, AttentionGradients};
use super::attention_layers::{AttentionLayers, Output};
use super::epilogue::Scaled;
use super::extent::Extent;
use super::lanes::LaneBuffer;
use super::linear::Linear;
use super::mlp::{Mlp, MlpScratch};
use super::score_matching_loss::{final_perceptron_backward, rows};
use super::tile::{TargetView, TileView};
use crate::network_config::ScoreNetworkAConfig;
use crate::parameters::ParameterError;

/// The packed network.
#[derive(Debug, Clone)]
pub(super) struct ScoreNetworkA {
    layers: AttentionLayers,
    perceptron: Mlp,
}

/// Arrays of one tile.
#[derive(Debug)]
pub(super) struct ScoreNetworkABuffers {
    layers: AttentionBuffers,
    gradients: AttentionGradients,
    output: LaneBuffer,
    scratch: MlpScratch,
}

impl ScoreNetworkA {
    pub(super) fn new(
        config: &ScoreNetworkAConfig,
        parameters: &ParameterSet,
        next_offset: &mut usize,
    ) -> Result<Self, ParameterError> {
        let layers = AttentionLayers::new(parameters, "adj", &config.layers(), Output::Edges, next_offset)?;
        let (segments, hidden) = (layers.channel_widths(), 2 * config.concatenated());
        let perceptron =
            Mlp::new(parameters, "adj.final", 3, &segments, config.time_features, hidden, 1, next_offset)?;
        Ok(Self { layers, perceptron })
    }

    pub(super) fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.layers.linears().chain(self.perceptron.linears())
    }

    pub(super) fn buffers<S: Simd>(&self, extent: Extent, backward: bool) -> ScoreNetworkABuffers {
        let perceptrons = self.layers.perceptrons().chain(std::iter::once(&self.perceptron));
        ScoreNetworkABuffers {
            layers: AttentionBuffers::new::<S>(&self.layers, extent, backward),
            gradients: if backward {
                AttentionGradients::new::<S>(&self.layers, extent)
            } else {
                Default::default()
            },
            output: LaneBuffer::new::<S>(extent.pair_rows::<S>()),
            scratch: MlpScratch::new::<S>(perceptrons, backward),
        }
    }

    /// Returns the masked output of the pairs.
    #[inline(always)]
    pub(super) fn forward<'a, S: Simd>(
        &self,
        simd: S,
        tile: TileView<'_, S::f32s>,
        buffers: &'a mut ScoreNetworkABuffers,
    ) -> &'a LaneBuffer {
        self.layers.forward(simd, tile, &mut buffers.layers, &mut buffers.scratch);
        let pairs = tile.pair_rows::<S>();
        let inputs = rows::<S>(&buffers.layers.channels, pairs);
        let (output, mask) = (buffers.output.get_mut::<S>(), Scaled(tile.pair_mask));
        self.perceptron.forward(simd, &inputs, pairs, output, 1, mask, &mut buffers.scratch);
        &buffers.output
    }

    /// Adds the gradient of the loss to `gradient` and returns the loss of each graph.
    #[inline(always)]
    pub(super) fn loss_and_gradient<S: Simd>(
        &self,
        simd: S,
        tile: TileView<'_, S::f32s>,
        target: TargetView<'_, S::f32s>,
        buffers: &mut ScoreNetworkABuffers,
        gradient: &mut [f32],
    ) -> S::f32s {
        let ScoreNetworkABuffers { layers, gradients, output, scratch } = buffers;
        self.layers.forward(simd, tile, layers, scratch);
        for array in &mut gradients.features {
            array.scalars_mut().fill(0.0);
        }
        let loss = final_perceptron_backward(
            simd,
            &self.perceptron,
            tile.pair_mask,
            2.0,
            target,
            1,
            &rows::<S>(&layers.channels, tile.pair_rows::<S>()),
            &mut gradients.channels,
            output.get_mut::<S>(),
            gradient,
            scratch,
        );
        self.layers.backward(simd, tile, layers, gradients, gradient, scratch);
        loss
    }
}
