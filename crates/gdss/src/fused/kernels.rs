//! The kernels that depend on how graphs lie in the lanes, for either layout.

use pulp::Simd;

use super::attention::{Scores, ScoresBackward};
use super::extent::{Extent, Layout};
use super::gcn::{Aggregate, Normalise, NormaliseBackward, Powers};
use super::lanes::Rows;
use super::one_graph;
use super::tile::TileView;
use crate::network_config::AttentionLayerSize;

/// The factors `degree` and the normalised `matrix` of one channel (column 0 of its rows, one for each row of pairs).
#[inline(always)]
pub(super) fn normalise<S: Simd>(
    simd: S,
    Extent { layout, nodes }: Extent,
    channel: Rows<'_, S::f32s>,
    degree: &mut [S::f32s],
    matrix: &mut [S::f32s],
) {
    match layout {
        Layout::Graphs => simd.vectorize(Normalise { simd, nodes, channel, degree, matrix }),
        Layout::Nodes => simd.vectorize(one_graph::Normalise { simd, nodes, channel, degree, matrix }),
    }
}

/// `output[i] = sum_j matrix[i][j] input[j]`; with `accumulate` the sum is added to what `output` holds.
#[inline(always)]
pub(super) fn aggregate<S: Simd>(
    simd: S,
    Extent { layout, nodes }: Extent,
    matrix: &[S::f32s],
    input: Rows<'_, S::f32s>,
    output: &mut [S::f32s],
    accumulate: bool,
) {
    let stride = input.width;
    match layout {
        Layout::Graphs => {
            simd.vectorize(Aggregate { simd, nodes, matrix, input, output, stride, accumulate });
        }
        Layout::Nodes => {
            simd.vectorize(one_graph::Aggregate { simd, nodes, matrix, input, output, stride, accumulate });
        }
    }
}

/// Channel `k` of the rows of `channels` receives the pairs of `A^(k+1)`, for all `count` channels.
#[inline(always)]
pub(super) fn powers<S: Simd>(
    simd: S,
    tile: TileView<'_, S::f32s>,
    count: usize,
    channels: &mut [S::f32s],
    scratch: &mut [S::f32s],
) {
    let Extent { layout, nodes } = tile.extent;
    let (pairs, stride) = (tile.adjacency, count);
    match layout {
        Layout::Graphs => {
            simd.vectorize(Powers { simd, nodes, count, pairs, channels, stride, scratch });
        }
        Layout::Nodes => {
            let mask = tile.pair_mask;
            simd.vectorize(one_graph::Powers { simd, nodes, count, pairs, mask, channels, stride, scratch });
        }
    }
}

/// Attention scores from `query_key` `[N, 2 attention]` to column 0 of rows of `stride`.
#[inline(always)]
pub(super) fn scores<S: Simd>(
    simd: S,
    Extent { layout, nodes }: Extent,
    size: &AttentionLayerSize,
    query_key: &[S::f32s],
    scores: &mut [S::f32s],
    stride: usize,
) {
    let heads = size.num_heads;
    let head_width = size.attention / heads;
    let query_key = Rows::dense(query_key, 2 * size.attention);
    match (layout, head_width) {
        (Layout::Nodes, _) => {
            simd.vectorize(one_graph::Scores { simd, nodes, heads, head_width, query_key, scores, stride });
        }
        (Layout::Graphs, 4) => {
            simd.vectorize(Scores::<S, 4> { simd, nodes, heads, head_width, query_key, scores, stride });
        }
        (Layout::Graphs, 8) => {
            simd.vectorize(Scores::<S, 8> { simd, nodes, heads, head_width, query_key, scores, stride });
        }
        (Layout::Graphs, _) => {
            simd.vectorize(Scores::<S, 0> { simd, nodes, heads, head_width, query_key, scores, stride });
        }
    }
}

/// Adds to `gradient` `[N, 2 attention]` what the gradient `delta` of the scores gives for queries and keys.
#[inline(always)]
pub(super) fn scores_backward<S: Simd>(
    simd: S,
    Extent { layout, nodes }: Extent,
    size: &AttentionLayerSize,
    query_key: &[S::f32s],
    delta: Rows<'_, S::f32s>,
    gradient: &mut [S::f32s],
) {
    let heads = size.num_heads;
    let head_width = size.attention / heads;
    let stride = 2 * size.attention;
    let query_key = Rows::dense(query_key, stride);
    match (layout, head_width) {
        (Layout::Nodes, _) => simd.vectorize(one_graph::ScoresBackward {
            simd,
            nodes,
            heads,
            head_width,
            query_key,
            delta,
            gradient,
            stride,
        }),
        (Layout::Graphs, 4) => simd.vectorize(ScoresBackward::<S, 4> {
            simd,
            nodes,
            heads,
            head_width,
            query_key,
            delta,
            gradient,
            stride,
        }),
        (Layout::Graphs, 8) => simd.vectorize(ScoresBackward::<S, 8> {
            simd,
            nodes,
            heads,
            head_width,
            query_key,
            delta,
            gradient,
            stride,
        }),
        (Layout::Graphs, _) => simd.vectorize(ScoresBackward::<S, 0> {
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

/// Adds to column 0 of `channel_gradient` the gradient of a channel through `output = matrix input`, given the gradient
/// `delta` of `output`. `degree` is that of [`normalise`].
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(super) fn normalise_backward<S: Simd>(
    simd: S,
    Extent { layout, nodes }: Extent,
    channel: Rows<'_, S::f32s>,
    degree: &[S::f32s],
    delta: Rows<'_, S::f32s>,
    input: Rows<'_, S::f32s>,
    degree_gradient: &mut [S::f32s],
    channel_gradient: &mut [S::f32s],
) {
    let stride = channel.stride;
    match layout {
        Layout::Graphs => simd.vectorize(NormaliseBackward {
            simd,
            nodes,
            channel,
            degree,
            delta,
            input,
            degree_gradient,
            channel_gradient,
            stride,
        }),
        Layout::Nodes => simd.vectorize(one_graph::NormaliseBackward {
            simd,
            nodes,
            channel,
            degree,
            delta,
            input,
            degree_gradient,
            channel_gradient,
            stride,
        }),
    }
}
