//! The attention node network: attention layers, then a perceptron on the node features `[x_0, ..., x_depth]`.

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
use crate::network_config::ScoreNetworkXGmhConfig;
use crate::parameters::ParameterError;

/// The packed network.
#[derive(Debug, Clone)]
pub(super) struct ScoreNetworkXGmh {
    layers: AttentionLayers,
    perceptron: Mlp,
    features: usize,
}

/// Arrays of one tile.
#[derive(Debug)]
pub(super) struct ScoreNetworkXGmhBuffers {
    layers: AttentionBuffers,
    gradients: AttentionGradients,
    output: LaneBuffer,
    scratch: MlpScratch,
}

impl ScoreNetworkXGmh {
    pub(super) fn new(
        config: &ScoreNetworkXGmhConfig,
        parameters: &ParameterSet,
        next_offset: &mut usize,
    ) -> Result<Self, ParameterError> {
        let layers = AttentionLayers::new(parameters, "x", &config.layers(), Output::Nodes, next_offset)?;
        let (segments, hidden) = (layers.feature_widths(), 2 * config.concatenated());
        let features = config.max_feat_num;
        let perceptron = Mlp::new(
            parameters,
            "x.final",
            3,
            &segments,
            config.time_features,
            hidden,
            features,
            next_offset,
        )?;
        Ok(Self { layers, perceptron, features })
    }

    pub(super) fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.layers.linears().chain(self.perceptron.linears())
    }

    pub(super) fn buffers<S: Simd>(&self, extent: Extent, backward: bool) -> ScoreNetworkXGmhBuffers {
        let perceptrons = self.layers.perceptrons().chain(std::iter::once(&self.perceptron));
        ScoreNetworkXGmhBuffers {
            layers: AttentionBuffers::new::<S>(&self.layers, extent, backward),
            gradients: if backward {
                AttentionGradients::new::<S>(&self.layers, extent)
            } else {
                Default::default()
            },
            output: LaneBuffer::new::<S>(extent.node_rows::<S>() * self.features),
            scratch: MlpScratch::new::<S>(perceptrons, backward),
        }
    }

    /// Returns the masked output `[N, F]`.
    #[inline(always)]
    pub(super) fn forward<'a, S: Simd>(
        &self,
        simd: S,
        tile: TileView<'_, S::f32s>,
        buffers: &'a mut ScoreNetworkXGmhBuffers,
    ) -> &'a LaneBuffer {
        self.layers.forward(simd, tile, &mut buffers.layers, &mut buffers.scratch);
        let inputs = rows::<S>(&buffers.layers.features, tile.node_rows::<S>());
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
        buffers: &mut ScoreNetworkXGmhBuffers,
        gradient: &mut [f32],
    ) -> S::f32s {
        let ScoreNetworkXGmhBuffers { layers, gradients, output, scratch } = buffers;
        self.layers.forward(simd, tile, layers, scratch);
        for array in &mut gradients.channels {
            array.scalars_mut().fill(0.0);
        }
        let loss = final_perceptron_backward(
            simd,
            &self.perceptron,
            tile.node_mask,
            1.0,
            target,
            self.features,
            &rows::<S>(&layers.features, tile.node_rows::<S>()),
            &mut gradients.features,
            output.get_mut::<S>(),
            gradient,
            scratch,
        );
        self.layers.backward(simd, tile, layers, gradients, gradient, scratch);
        loss
    }
}
