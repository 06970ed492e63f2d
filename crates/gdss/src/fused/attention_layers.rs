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

use super::activation::{tanh, tanh_slope};
use super::attention::{Scores, ScoresBackward};
use super::gcn::{Aggregate, Normalise, NormaliseBackward, Powers};
use super::lanes::{LaneBuffer, Rows, pair_count};
use super::linear::{Linear, Orientation, Plain, Scaled, ScaledTanh, Source};
use super::mlp::{InputGradient, Mlp, MlpScratch};
use super::tile::TileView;
use crate::network_config::AttentionLayerSize;
use crate::parameters::ParameterError;

/// Projections of one channel.
#[derive(Debug, Clone)]
struct Unit {
    /// Queries, divided by the square root of the value width, and keys; if the layer has edges to give.
    query_key: Option<Linear>,
    /// If the layer has nodes to give.
    value: Option<Linear>,
}

#[derive(Debug, Clone)]
struct Layer {
    size: AttentionLayerSize,
    units: Vec<Unit>,
    nodes: Option<Mlp>,
    edges: Option<Mlp>,
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
    layers: Vec<Layer>,
    output: Output,
    /// Node features at the input.
    features: usize,
    /// Powers of the adjacency at the input.
    channels: usize,
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

    fn size(&self, layer: usize) -> &AttentionLayerSize {
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
                    wanted.then(|| Linear::new(parameters, sources, &[size.node_in], next_offset)).transpose()
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
            Some(Mlp::new(parameters, &name, 2, &inputs, hidden, size.node_out, next_offset)?)
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

/// Everything the layers write, for one tile. For a backward pass the arrays of all layers and channels are kept;
/// otherwise those that only one layer reads are shared by all.
#[derive(Debug, Default)]
pub(super) struct AttentionBuffers {
    /// `x_l`, `[N, F_l]`.
    pub(super) features: Vec<LaneBuffer>,
    /// `a_l`, `[pairs, C_l]`.
    pub(super) channels: Vec<LaneBuffer>,
    /// Before the second tanh of the node network.
    single_tanh: Vec<LaneBuffer>,
    /// `A`, `[pairs, C_l]`.
    scores: Vec<LaneBuffer>,
    /// `D a D x`, `[channel, N, F_l]`.
    aggregated: Vec<LaneBuffer>,
    /// `[channel, N, 2 attention]`.
    query_key: Vec<LaneBuffer>,
    /// `[N, C_l * nhid]`.
    values: Vec<LaneBuffer>,
    degree: LaneBuffer,
    matrix: LaneBuffer,
    powers: LaneBuffer,
    keep: bool,
}

/// Gradients that pass through the layers.
#[derive(Debug, Default)]
pub(super) struct AttentionGradients {
    pub(super) features: Vec<LaneBuffer>,
    pub(super) channels: Vec<LaneBuffer>,
    scores: LaneBuffer,
    /// Of the outputs of the perceptrons.
    nodes: LaneBuffer,
    edges: LaneBuffer,
    values: LaneBuffer,
    query_key: LaneBuffer,
    aggregated: LaneBuffer,
    degree: LaneBuffer,
}

impl AttentionBuffers {
    pub(super) fn new<S: Simd>(network: &AttentionLayers, nodes: usize, keep: bool) -> Self {
        let pairs = pair_count(nodes);
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
            features: network
                .feature_widths()
                .iter()
                .map(|width| LaneBuffer::new::<S>(nodes * width))
                .collect(),
            channels: network
                .channel_widths()
                .iter()
                .map(|width| LaneBuffer::new::<S>(pairs * width))
                .collect(),
            single_tanh: if second_tanh { each(&|size| nodes * size.node_out) } else { Vec::new() },
            scores: each(&|size| pairs * size.channels_in),
            aggregated: each(&|size| copies(size) * nodes * size.node_in),
            query_key: each(&|size| copies(size) * nodes * 2 * size.attention),
            values: each(&|size| nodes * size.channels_in * size.node_out),
            degree: LaneBuffer::new::<S>(nodes),
            matrix: LaneBuffer::new::<S>(nodes * nodes),
            powers: LaneBuffer::new::<S>(if network.channels > 1 { 3 * nodes * nodes } else { 0 }),
            keep,
        }
    }
}

impl AttentionGradients {
    pub(super) fn new<S: Simd>(network: &AttentionLayers, nodes: usize) -> Self {
        let pairs = pair_count(nodes);
        let largest = |length: &dyn Fn(&AttentionLayerSize) -> usize| {
            LaneBuffer::new::<S>(network.layers.iter().map(|layer| length(&layer.size)).max().unwrap_or(0))
        };
        Self {
            features: network
                .feature_widths()
                .iter()
                .map(|width| LaneBuffer::new::<S>(nodes * width))
                .collect(),
            channels: network
                .channel_widths()
                .iter()
                .map(|width| LaneBuffer::new::<S>(pairs * width))
                .collect(),
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
        let nodes = tile.nodes;
        buffers.features[0].get_mut::<S>().copy_from_slice(tile.x);
        simd.vectorize(Powers {
            simd,
            nodes,
            count: self.channels,
            pairs: tile.adjacency,
            channels: buffers.channels[0].get_mut::<S>(),
            stride: self.channels,
            scratch: buffers.powers.get_mut::<S>(),
        });
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
        let nodes = tile.nodes;
        let pairs = pair_count(nodes);
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
            simd.vectorize(Normalise {
                simd,
                nodes,
                channel: column(edges, c, channels),
                degree: buffers.degree.get_mut::<S>(),
                matrix: &mut *matrix,
            });
            simd.vectorize(Aggregate {
                simd,
                nodes,
                matrix,
                input: x,
                output: &mut *aggregated,
                stride: size.node_in,
                accumulate: false,
            });
            let inputs = [Rows::dense(&*aggregated, size.node_in)];
            if let Some(linear) = &unit.query_key
                && pairs > 0
            {
                linear.apply(simd, &inputs, 0, nodes, query_key, 2 * attention, Plain);
                score_pairs(simd, nodes, size, query_key, &mut scores[c..], channels);
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

    /// Backward of all layers. `gradients.features` and `gradients.channels` hold the gradients of `x_l` and `a_l`
    /// through the network's final perceptron; those through the layers are added.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(super) fn backward<S: Simd>(
        &self,
        simd: S,
        tile: TileView<'_, S::f32s>,
        buffers: &mut AttentionBuffers,
        gradients: &mut AttentionGradients,
        gradient: &mut [f32],
        scratch: &mut MlpScratch,
    ) {
        for l in (0..self.layers.len()).rev() {
            self.backward_edges(simd, l, tile, buffers, gradients, gradient, scratch);
            self.backward_nodes(simd, l, tile, buffers, gradients, gradient, scratch);
            self.backward_units(simd, l, tile, buffers, gradients, gradient);
        }
    }

    /// From `a_(l+1)` to the scores and to `a_l`.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    fn backward_edges<S: Simd>(
        &self,
        simd: S,
        l: usize,
        tile: TileView<'_, S::f32s>,
        buffers: &AttentionBuffers,
        gradients: &mut AttentionGradients,
        gradient: &mut [f32],
        scratch: &mut MlpScratch,
    ) {
        let size = self.size(l);
        let Some(perceptron) = &self.layers[l].edges else { return };
        let pairs = pair_count(tile.nodes);
        let inputs = [
            Rows::dense(buffers.scores[l].get::<S>(), size.channels_in),
            Rows::dense(buffers.channels[l].get::<S>(), size.channels_in),
        ];
        let (below, above) = gradients.channels.split_at_mut(l + 1);
        let delta = gradients.edges.get_mut::<S>();
        simd.vectorize(ScaleRows {
            simd,
            input: Rows::dense(above[0].get::<S>(), size.channels_out),
            factors: tile.twice_pair_mask,
            output: &mut *delta,
        });
        let delta = Rows::dense(&*delta, size.channels_out);
        let (scores, channels) = (gradients.scores.get_mut::<S>(), below[l].get_mut::<S>());
        let stride = size.channels_in;
        for block in Mlp::backward_blocks(pairs) {
            let mut targets = [
                Some(InputGradient { data: &mut *scores, stride, accumulate: false }),
                // The channels at the input of the network have no gradient to receive.
                (l > 0).then_some(InputGradient { data: &mut *channels, stride, accumulate: true }),
            ];
            perceptron.forward_hidden(simd, &inputs, block, scratch);
            perceptron.backward(simd, &inputs, block, delta.from(block.0), &mut targets, gradient, scratch);
        }
    }

    /// From `x_(l+1)` to the values.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    fn backward_nodes<S: Simd>(
        &self,
        simd: S,
        l: usize,
        tile: TileView<'_, S::f32s>,
        buffers: &AttentionBuffers,
        gradients: &mut AttentionGradients,
        gradient: &mut [f32],
        scratch: &mut MlpScratch,
    ) {
        let size = self.size(l);
        let Some(perceptron) = &self.layers[l].nodes else { return };
        let width = size.node_out;
        let delta = gradients.nodes.get_mut::<S>();
        simd.vectorize(TanhBackward {
            simd,
            width,
            factors: tile.node_mask,
            output: buffers.features[l + 1].get::<S>(),
            inner: buffers.single_tanh.get(l).map(LaneBuffer::get::<S>),
            upstream: gradients.features[l + 1].get::<S>(),
            delta: &mut *delta,
        });
        let delta = Rows::dense(&*delta, width);
        let stride = size.channels_in * width;
        let inputs = [Rows::dense(buffers.values[l].get::<S>(), stride)];
        for block in Mlp::backward_blocks(tile.nodes) {
            let data = gradients.values.get_mut::<S>();
            let mut targets = [Some(InputGradient { data, stride, accumulate: false })];
            perceptron.forward_hidden(simd, &inputs, block, scratch);
            perceptron.backward(simd, &inputs, block, delta.from(block.0), &mut targets, gradient, scratch);
        }
    }

    /// From scores and values to `x_l` and `a_l`.
    #[inline(always)]
    fn backward_units<S: Simd>(
        &self,
        simd: S,
        l: usize,
        tile: TileView<'_, S::f32s>,
        buffers: &mut AttentionBuffers,
        gradients: &mut AttentionGradients,
        gradient: &mut [f32],
    ) {
        let layer = &self.layers[l];
        let size = &layer.size;
        let nodes = tile.nodes;
        let (channels, width, attention, inputs) =
            (size.channels_in, size.node_out, size.attention, size.node_in);
        let edges = buffers.channels[l].get::<S>();
        let x = Rows::dense(buffers.features[l].get::<S>(), inputs);
        let zero = simd.splat_f32s(0.0);
        for (c, unit) in layer.units.iter().enumerate() {
            let aggregated = &buffers.aggregated[l].get::<S>()[c * nodes * inputs..][..nodes * inputs];
            let aggregated = Rows::dense(aggregated, inputs);
            let query_key =
                &buffers.query_key[l].get::<S>()[c * nodes * 2 * attention..][..nodes * 2 * attention];
            let by_query_key = gradients.query_key.get_mut::<S>();
            let by_aggregated = &mut gradients.aggregated.get_mut::<S>()[..nodes * inputs];
            let mut started = false;
            if let Some(linear) = &unit.query_key
                && nodes > 1
            {
                by_query_key[..nodes * 2 * attention].fill(zero);
                let delta = column(gradients.scores.get::<S>(), c, channels);
                score_pairs_backward(simd, nodes, size, query_key, delta, by_query_key);
                let delta = Rows::dense(&*by_query_key, 2 * attention);
                linear.accumulate_gradient(simd, &[aggregated], 0, delta, nodes, gradient);
                if l > 0 {
                    linear.apply_transposed(simd, 0, delta, nodes, by_aggregated, inputs, false, Plain);
                    started = true;
                }
            }
            if let Some(value) = &unit.value {
                let delta = Rows::new(&gradients.values.get::<S>()[c * width..], channels * width, width);
                value.accumulate_gradient(simd, &[aggregated], 0, delta, nodes, gradient);
                if l > 0 {
                    value.apply_transposed(simd, 0, delta, nodes, by_aggregated, inputs, started, Plain);
                    started = true;
                }
            }
            // Below the first layer there are no parameters.
            if l == 0 || !started {
                continue;
            }
            let channel = column(edges, c, channels);
            simd.vectorize(Normalise {
                simd,
                nodes,
                channel,
                degree: buffers.degree.get_mut::<S>(),
                matrix: buffers.matrix.get_mut::<S>(),
            });
            let delta = Rows::dense(&*by_aggregated, inputs);
            simd.vectorize(Aggregate {
                simd,
                nodes,
                matrix: buffers.matrix.get::<S>(),
                input: delta,
                output: gradients.features[l].get_mut::<S>(),
                stride: inputs,
                accumulate: true,
            });
            if nodes > 1 {
                simd.vectorize(NormaliseBackward {
                    simd,
                    nodes,
                    channel,
                    degree: buffers.degree.get::<S>(),
                    delta,
                    input: x,
                    degree_gradient: gradients.degree.get_mut::<S>(),
                    channel_gradient: &mut gradients.channels[l].get_mut::<S>()[c..],
                    stride: channels,
                });
            }
        }
    }
}

/// Channel `c` of rows of `channels`.
#[inline(always)]
fn column<V>(data: &[V], c: usize, channels: usize) -> Rows<'_, V> {
    Rows::new(data.get(c..).unwrap_or_default(), channels, 1)
}

#[inline(always)]
fn score_pairs<S: Simd>(
    simd: S,
    nodes: usize,
    size: &AttentionLayerSize,
    query_key: &[S::f32s],
    scores: &mut [S::f32s],
    stride: usize,
) {
    let heads = size.num_heads;
    let head_width = size.attention / heads;
    let query_key = Rows::dense(query_key, 2 * size.attention);
    match head_width {
        4 => simd.vectorize(Scores::<S, 4> { simd, nodes, heads, head_width, query_key, scores, stride }),
        8 => simd.vectorize(Scores::<S, 8> { simd, nodes, heads, head_width, query_key, scores, stride }),
        _ => simd.vectorize(Scores::<S, 0> { simd, nodes, heads, head_width, query_key, scores, stride }),
    }
}

#[inline(always)]
fn score_pairs_backward<S: Simd>(
    simd: S,
    nodes: usize,
    size: &AttentionLayerSize,
    query_key: &[S::f32s],
    delta: Rows<'_, S::f32s>,
    gradient: &mut [S::f32s],
) {
    let heads = size.num_heads;
    let head_width = size.attention / heads;
    let stride = 2 * size.attention;
    let query_key = Rows::dense(query_key, stride);
    match head_width {
        4 => simd.vectorize(ScoresBackward::<S, 4> {
            simd,
            nodes,
            heads,
            head_width,
            query_key,
            delta,
            gradient,
            stride,
        }),
        8 => simd.vectorize(ScoresBackward::<S, 8> {
            simd,
            nodes,
            heads,
            head_width,
            query_key,
            delta,
            gradient,
            stride,
        }),
        _ => simd.vectorize(ScoresBackward::<S, 0> {
            simd,
            nodes,
            heads,
            head_width,
            query_key,
            delta,
            gradient,
            stride,
        }),
    }
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

/// `output[r] = factors[r] * input[r]`
struct ScaleRows<'a, S: Simd> {
    simd: S,
    input: Rows<'a, S::f32s>,
    factors: &'a [S::f32s],
    output: &'a mut [S::f32s],
}

impl<S: Simd> NullaryFnOnce for ScaleRows<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let width = self.input.width;
        for (row, &factor) in self.factors.iter().enumerate() {
            let target = &mut self.output[row * width..][..width];
            for (value, &x) in target.iter_mut().zip(self.input.row(row)) {
                *value = self.simd.mul_f32s(factor, x);
            }
        }
    }
}

/// Backward of `output = tanh(mask * m)`, or of `output = tanh(inner)`, `inner = tanh(mask * m)`, to `m`.
struct TanhBackward<'a, S: Simd> {
    simd: S,
    width: usize,
    factors: &'a [S::f32s],
    output: &'a [S::f32s],
    inner: Option<&'a [S::f32s]>,
    upstream: &'a [S::f32s],
    delta: &'a mut [S::f32s],
}

impl<S: Simd> NullaryFnOnce for TanhBackward<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, width, factors, output, inner, upstream, delta } = self;
        for (row, &factor) in factors.iter().enumerate() {
            for index in row * width..(row + 1) * width {
                let mut slope = simd.mul_f32s(factor, tanh_slope(simd, output[index]));
                if let Some(inner) = inner {
                    slope = simd.mul_f32s(slope, tanh_slope(simd, inner[index]));
                }
                delta[index] = simd.mul_f32s(slope, upstream[index]);
            }
        }
    }
}
