//! Backward pass of the attention layers.
//!
//! From the last layer to the first: from the edges to scores and edges below, from the nodes to values, and from scores
//! and values through the projections and the normalised adjacency to nodes and edges below. Kept from the forward pass
//! are what the layers hand on and the queries, keys and sums over neighbours of each channel (`O(N)` each); computed
//! again are the normalised matrices, the heads' scores and the hidden activations (`O(N^2)`).

use pulp::{NullaryFnOnce, Simd};

use super::activation::tanh_slope;
use super::attention_buffers::{AttentionBuffers, AttentionGradients};
use super::attention_layers::{AttentionLayers, column};
use super::epilogue::Plain;
use super::kernels;
use super::lanes::{LaneBuffer, Rows};
use super::mlp::{InputGradient, Mlp, MlpScratch};
use super::tile::TileView;

impl AttentionLayers {
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
        let pairs = tile.pair_rows::<S>();
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
        for block in Mlp::backward_blocks(tile.node_rows::<S>()) {
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
        let (nodes, pairs) = (tile.node_rows::<S>(), tile.pair_rows::<S>());
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
                && pairs > 0
            {
                by_query_key[..nodes * 2 * attention].fill(zero);
                let delta = column(gradients.scores.get::<S>(), c, channels);
                kernels::scores_backward(simd, tile.extent, size, query_key, delta, by_query_key);
                let delta = Rows::dense(&*by_query_key, 2 * attention);
                linear.accumulate_gradient(simd, &[aggregated], 0, &[], delta, nodes, gradient);
                if l > 0 {
                    linear.apply_transposed(simd, 0, delta, nodes, by_aggregated, inputs, false, Plain);
                    started = true;
                }
            }
            if let Some(value) = &unit.value {
                let delta = Rows::new(&gradients.values.get::<S>()[c * width..], channels * width, width);
                value.accumulate_gradient(simd, &[aggregated], 0, &[], delta, nodes, gradient);
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
            let (degree, matrix) = (buffers.degree.get_mut::<S>(), buffers.matrix.get_mut::<S>());
            kernels::normalise(simd, tile.extent, channel, degree, matrix);
            let delta = Rows::dense(&*by_aggregated, inputs);
            kernels::aggregate(simd, tile.extent, matrix, delta, gradients.features[l].get_mut::<S>(), true);
            if pairs > 0 {
                let by_degree = gradients.degree.get_mut::<S>();
                let by_channel = &mut gradients.channels[l].get_mut::<S>()[c..];
                kernels::normalise_backward(
                    simd,
                    tile.extent,
                    channel,
                    degree,
                    delta,
                    x,
                    by_degree,
                    by_channel,
                );
            }
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
