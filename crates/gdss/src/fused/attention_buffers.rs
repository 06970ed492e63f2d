//! Arrays of the attention layers for one tile. In the shapes below N stands for rows of nodes, "pairs" for rows of pairs.

use pulp::Simd;

use super::attention_layers::{AttentionLayers, Output};
use super::extent::Extent;
use super::lanes::LaneBuffer;
use crate::network_config::AttentionLayerSize;

/// Everything the layers write, for one tile. For a backward pass the arrays of all layers and channels are kept;
/// otherwise those that only one layer reads are shared by all.
#[derive(Debug, Default)]
pub(super) struct AttentionBuffers {
    /// `x_l`, `[N, F_l]`.
    pub(super) features: Vec<LaneBuffer>,
    /// `a_l`, `[pairs, C_l]`.
    pub(super) channels: Vec<LaneBuffer>,
    /// Before the second tanh of the node network.
    pub(super) single_tanh: Vec<LaneBuffer>,
    /// `A`, `[pairs, C_l]`.
    pub(super) scores: Vec<LaneBuffer>,
    /// `D a D x`, `[channel, N, F_l]`.
    pub(super) aggregated: Vec<LaneBuffer>,
    /// `[channel, N, 2 attention]`.
    pub(super) query_key: Vec<LaneBuffer>,
    /// `[N, C_l * nhid]`.
    pub(super) values: Vec<LaneBuffer>,
    pub(super) degree: LaneBuffer,
    pub(super) matrix: LaneBuffer,
    pub(super) powers: LaneBuffer,
    pub(super) keep: bool,
}

/// Gradients that pass through the layers.
#[derive(Debug, Default)]
pub(super) struct AttentionGradients {
    pub(super) features: Vec<LaneBuffer>,
    pub(super) channels: Vec<LaneBuffer>,
    pub(super) scores: LaneBuffer,
    /// Of the outputs of the perceptrons.
    pub(super) nodes: LaneBuffer,
    pub(super) edges: LaneBuffer,
    pub(super) values: LaneBuffer,
    pub(super) query_key: LaneBuffer,
    pub(super) aggregated: LaneBuffer,
    pub(super) degree: LaneBuffer,
}

impl AttentionBuffers {
    pub(super) fn new<S: Simd>(network: &AttentionLayers, extent: Extent, keep: bool) -> Self {
        let (nodes, pairs) = (extent.node_rows::<S>(), extent.pair_rows::<S>());
        let each = |length: &dyn Fn(&AttentionLayerSize) -> usize| -> Vec<LaneBuffer> {
            let lengths = network.layers.iter().map(|layer| length(&layer.size));
            if keep {
                lengths.map(LaneBuffer::new::<S>).collect()
            } else {
                lengths.max().map(LaneBuffer::new::<S>).into_iter().collect()
            }
        };
        let copies = |size: &AttentionLayerSize| if keep { size.channels_in } else { 1 };
        let second_tanh = keep && network.output == Output::Nodes;
        Self {
            features: arrays::<S>(&network.feature_widths(), nodes),
            channels: arrays::<S>(&network.channel_widths(), pairs),
            single_tanh: if second_tanh { each(&|size| nodes * size.node_out) } else { Vec::new() },
            scores: each(&|size| pairs * size.channels_in),
            aggregated: each(&|size| copies(size) * nodes * size.node_in),
            query_key: each(&|size| copies(size) * nodes * 2 * size.attention),
            values: each(&|size| nodes * size.channels_in * size.node_out),
            degree: LaneBuffer::new::<S>(nodes),
            matrix: LaneBuffer::new::<S>(extent.matrix::<S>()),
            powers: LaneBuffer::new::<S>(if network.channels > 1 { 3 * extent.matrix::<S>() } else { 0 }),
            keep,
        }
    }
}

impl AttentionGradients {
    pub(super) fn new<S: Simd>(network: &AttentionLayers, extent: Extent) -> Self {
        let (nodes, pairs) = (extent.node_rows::<S>(), extent.pair_rows::<S>());
        let largest = |length: &dyn Fn(&AttentionLayerSize) -> usize| {
            LaneBuffer::new::<S>(network.layers.iter().map(|layer| length(&layer.size)).max().unwrap_or(0))
        };
        Self {
            features: arrays::<S>(&network.feature_widths(), nodes),
            channels: arrays::<S>(&network.channel_widths(), pairs),
            scores: largest(&|size| pairs * size.channels_in),
            nodes: largest(&|size| nodes * size.node_out),
            edges: largest(&|size| pairs * size.channels_out),
            values: largest(&|size| nodes * size.channels_in * size.node_out),
            query_key: largest(&|size| nodes * 2 * size.attention),
            aggregated: largest(&|size| nodes * size.node_in),
            degree: LaneBuffer::new::<S>(nodes),
        }
    }
}

/// One array for each of `widths`, with `rows` rows.
fn arrays<S: Simd>(widths: &[usize], rows: usize) -> Vec<LaneBuffer> {
    widths.iter().map(|width| LaneBuffer::new::<S>(rows * width)).collect()
}
