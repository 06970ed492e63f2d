//! The stack of attention layers that both attention networks share.
//!
//! Layer `l` takes node features `x_l` `[N, F_l]` and edge channels `a_l` (one row of `C_l` channels per pair). Every
//! channel `c` is normalised once for its queries, keys and values, which are linear in the sum over neighbours
//! `D a D x_l`. Then
//! - nodes: `x_(l+1) = tanh(mask * MLP([V_1, ..., V_C]))`, in the node network passed through tanh once more;
//! - edges: `a_(l+1) = 2 mask_i mask_j MLP([A_1, ..., A_C, a_l])`. The inputs of this perceptron are symmetric, so it is
//!   evaluated once per pair, and adding the transpose doubles it.
//!
//! What has no influence on the result is left out: the nodes of the last layer of the edge network, the edges of the
//! last layer of the node network, and all diagonals.

use equidrift_backend::weights::ParameterSet;
use pulp::{NullaryFnOnce, Simd};

use super::activation::tanh;
use super::attention_buffers::AttentionBuffers;
use super::epilogue::{Plain, Scaled, ScaledTanh};
use super::kernels;
use super::lanes::Rows;
use super::linear::{Linear, Orientation, Source};
use super::mlp::{Mlp, MlpScratch};
use super::tile::TileView;
use crate::network_config::AttentionLayerSize;
use crate::parameters::ParameterError;

/// Projections of one channel.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    /// Queries, divided by the square root of the value width, and keys; if the layer has edges to give.
    pub(super) query_key: Option<Linear>,
    /// If the layer has nodes to give.
    pub(super) value: Option<Linear>,
}

#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) size: AttentionLayerSize,
    pub(super) units: Vec<Unit>,
    pub(super) nodes: Option<Mlp>,
    pub(super) edges: Option<Mlp>,
}

/// What a network reads of the last layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// Node features of every layer; each passes through tanh twice.
    Nodes,
    /// Edge channels of every layer.
    Edges,
}

/// The layers of one network.
#[derive(Debug, Clone)]
pub(super) struct AttentionLayers {
    pub(super) layers: Vec<Layer>,
    pub(super) output: Output,
    /// Node features at the input.
    features: usize,
    /// Powers of the adjacency at the input.
    pub(super) channels: usize,
}

impl AttentionLayers {
    pub(super) fn new(
        parameters: &ParameterSet,
        prefix: &str,
        sizes: &[AttentionLayerSize],
        output: Output,
        next_offset: &mut usize,
    ) -> Result<Self, ParameterError> {
        let layers = sizes
            .iter()
            .enumerate()
            .map(|(l, &size)| {
                let last = l + 1 == sizes.len();
                let name = format!("{prefix}.layers.{l}");
                let (with_nodes, with_edges) =
                    (!last || output == Output::Nodes, !last || output == Output::Edges);
                Layer::new(parameters, &name, size, with_nodes, with_edges, next_offset)
            })
            .collect::<Result<_, _>>()?;
        let (features, channels) = sizes.first().map_or((0, 0), |first| (first.node_in, first.channels_in));
        Ok(Self { layers, output, features, channels })
    }

    pub(super) fn size(&self, layer: usize) -> &AttentionLayerSize {
        &self.layers[layer].size
    }

    /// The perceptrons, for sizing their scratch.
    pub(super) fn perceptrons(&self) -> impl Iterator<Item = &Mlp> + Clone {
        self.layers.iter().flat_map(|layer| layer.nodes.iter().chain(&layer.edges))
    }

    /// Every linear map that has a gradient.
    pub(super) fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.layers.iter().flat_map(|layer| {
            let units = layer.units.iter().flat_map(|unit| unit.query_key.iter().chain(&unit.value));
            let perceptrons = layer.nodes.iter().chain(&layer.edges).flat_map(Mlp::linears);
            units.chain(perceptrons)
        })
    }

    /// Widths of the node features `x_0, x_1, ...` that are computed.
    pub(super) fn feature_widths(&self) -> Vec<usize> {
        let outputs = self.layers.iter().filter(|l| l.nodes.is_some()).map(|l| l.size.node_out);
        std::iter::once(self.features).chain(outputs).collect()
    }

    /// Numbers of the edge channels `a_0, a_1, ...` that are computed.
    pub(super) fn channel_widths(&self) -> Vec<usize> {
        let outputs = self.layers.iter().filter(|l| l.edges.is_some()).map(|l| l.size.channels_out);
        std::iter::once(self.channels).chain(outputs).collect()
    }
}

impl Layer {
    fn new(
        parameters: &ParameterSet,
        name: &str,
        size: AttentionLayerSize,
        with_nodes: bool,
        with_edges: bool,
        next_offset: &mut usize,
    ) -> Result<Self, ParameterError> {
        let convolution =
            |name: String, outputs, scale| Source { name, outputs, orientation: Orientation::InOut, scale };
        // The divisor sqrt(node_out) of the scores.
        let scale = (size.node_out as f32).powf(-0.5);
        let units = (0..size.channels_in)
            .map(|channel| {
                let unit = format!("{name}.attn.{channel}");
                let mut linear = |wanted: bool, sources| {
                    wanted
                        .then(|| Linear::new(parameters, sources, &[size.node_in], 0, next_offset))
                        .transpose()
                };
                let query = convolution(format!("{unit}.gnn_q"), size.attention, scale);
                let key = convolution(format!("{unit}.gnn_k"), size.attention, 1.0);
                let value = convolution(format!("{unit}.gnn_v"), size.node_out, 1.0);
                Ok(Unit {
                    query_key: linear(with_edges, vec![query, key])?,
                    value: linear(with_nodes, vec![value])?,
                })
            })
            .collect::<Result<_, ParameterError>>()?;
        let (channels, hidden) = (size.channels_in, size.hidden());
        let nodes = if with_nodes {
            let name = format!("{name}.multi_channel");
            let inputs = [channels * size.node_out];
            Some(Mlp::new(parameters, &name, 2, &inputs, size.time, hidden, size.node_out, next_offset)?)
        } else {
            None
        };
        let edges = if with_edges {
            let name = format!("{name}.mlp");
            let inputs = [channels, channels];
            Some(Mlp::new(
                parameters,
                &name,
                size.num_linears,
                &inputs,
                size.time,
                hidden,
                size.channels_out,
                next_offset,
            )?)
        } else {
            None
        };
        Ok(Self { size, units, nodes, edges })
    }
}

impl AttentionLayers {
    /// All layers; the results are in `buffers.features` and `buffers.channels`.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        tile: TileView<'_, S::f32s>,
        buffers: &mut AttentionBuffers,
        scratch: &mut MlpScratch,
    ) {
        scratch.set_times::<S>(tile.time);
        buffers.features[0].get_mut::<S>().copy_from_slice(tile.x);
        let channels = buffers.channels[0].get_mut::<S>();
        kernels::powers(simd, tile, self.channels, channels, buffers.powers.get_mut::<S>());
        for l in 0..self.layers.len() {
            self.forward_layer(simd, l, tile, buffers, scratch);
        }
    }

    #[inline(always)]
    fn forward_layer<S: Simd>(
        &self,
        simd: S,
        l: usize,
        tile: TileView<'_, S::f32s>,
        buffers: &mut AttentionBuffers,
        scratch: &mut MlpScratch,
    ) {
        let layer = &self.layers[l];
        let (nodes, pairs) = (tile.node_rows::<S>(), tile.pair_rows::<S>());
        let size = &layer.size;
        let (channels, width, attention) = (size.channels_in, size.node_out, size.attention);
        let slot = if buffers.keep { l } else { 0 };
        let (channels_in, channels_out) = buffers.channels.split_at_mut(l + 1);
        let (features_in, features_out) = buffers.features.split_at_mut(l + 1);
        let edges = channels_in[l].get::<S>();
        let x = Rows::dense(features_in[l].get::<S>(), size.node_in);
        let scores = buffers.scores[slot].get_mut::<S>();
        let values = buffers.values[slot].get_mut::<S>();
        for (c, unit) in layer.units.iter().enumerate() {
            let copy = if buffers.keep { c } else { 0 };
            let aggregated = &mut buffers.aggregated[slot].get_mut::<S>()[copy * nodes * size.node_in..]
                [..nodes * size.node_in];
            let query_key = &mut buffers.query_key[slot].get_mut::<S>()[copy * nodes * 2 * attention..]
                [..nodes * 2 * attention];
            let matrix = buffers.matrix.get_mut::<S>();
            let channel = column(edges, c, channels);
            kernels::normalise(simd, tile.extent, channel, buffers.degree.get_mut::<S>(), matrix);
            kernels::aggregate(simd, tile.extent, matrix, x, aggregated, false);
            let inputs = [Rows::dense(&*aggregated, size.node_in)];
            if let Some(linear) = &unit.query_key
                && pairs > 0
            {
                linear.apply(simd, &inputs, 0, nodes, query_key, 2 * attention, Plain);
                kernels::scores(simd, tile.extent, size, query_key, &mut scores[c..], channels);
            }
            if let Some(value) = &unit.value {
                value.apply(simd, &inputs, 0, nodes, &mut values[c * width..], channels * width, Plain);
            }
        }
        if let Some(perceptron) = &layer.nodes {
            let output = features_out[0].get_mut::<S>();
            let inputs = [Rows::dense(&*values, channels * width)];
            perceptron.forward(simd, &inputs, nodes, output, width, ScaledTanh(tile.node_mask), scratch);
            if self.output == Output::Nodes {
                if buffers.keep {
                    buffers.single_tanh[l].get_mut::<S>().copy_from_slice(output);
                }
                simd.vectorize(TanhInPlace { simd, values: output });
            }
        }
        if let Some(perceptron) = &layer.edges {
            let output = channels_out[0].get_mut::<S>();
            let inputs = [Rows::dense(&*scores, channels), Rows::dense(edges, channels)];
            let mask = Scaled(tile.twice_pair_mask);
            perceptron.forward(simd, &inputs, pairs, output, size.channels_out, mask, scratch);
        }
    }
}

/// Channel `c` of rows of `channels`.
#[inline(always)]
pub(super) fn column<V>(data: &[V], c: usize, channels: usize) -> Rows<'_, V> {
    Rows::new(data.get(c..).unwrap_or_default(), channels, 1)
}

struct TanhInPlace<'a, S: Simd> {
    simd: S,
    values: &'a mut [S::f32s],
}

impl<S: Simd> NullaryFnOnce for TanhInPlace<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for value in self.values {
            *value = tanh(self.simd, *value);
        }
    }
}
