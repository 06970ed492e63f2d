//! The graphs of one tile, in lanes, with what both networks share.

use equidrift_nn::time_features;
use pulp::{NullaryFnOnce, Simd};

use super::lanes::{LaneBuffer, for_each_pair, pair_count};
use crate::engine::{GraphBatch, ScoreMatchingBatch};
use crate::network_config::MAX_TIME_FEATURES;

/// One tile of graphs as seen by the networks.
#[derive(Clone, Copy)]
pub(super) struct TileView<'a, V> {
    pub(super) nodes: usize,
    /// `[N, F]`
    pub(super) x: &'a [V],
    /// `[pairs]`
    pub(super) adjacency: &'a [V],
    /// `[N]`
    pub(super) node_mask: &'a [V],
    /// `mask_i mask_j`, `[pairs]`
    pub(super) pair_mask: &'a [V],
    /// `2 mask_i mask_j`, `[pairs]`
    pub(super) twice_pair_mask: &'a [V],
    /// Features of the times, `[T]`
    pub(super) time: &'a [V],
}

/// What the loss of one network compares its output with.
#[derive(Clone, Copy)]
pub(super) struct TargetView<'a, V> {
    /// One value per graph.
    pub(super) scale: V,
    /// `[N, F]` or `[pairs]`
    pub(super) noise: &'a [V],
}

/// Buffers of a tile.
#[derive(Debug)]
pub(super) struct Tile {
    nodes: usize,
    features: usize,
    x: LaneBuffer,
    adjacency: LaneBuffer,
    node_mask: LaneBuffer,
    pair_mask: LaneBuffer,
    twice_pair_mask: LaneBuffer,
    time: LaneBuffer,
    /// Scale, then noise, of each network.
    x_target: LaneBuffer,
    x_scale: LaneBuffer,
    adj_target: LaneBuffer,
    adj_scale: LaneBuffer,
}

impl Tile {
    pub(super) fn new<S: Simd>(nodes: usize, features: usize, time: usize, targets: bool) -> Self {
        let pairs = pair_count(nodes);
        let target = usize::from(targets);
        Self {
            nodes,
            features,
            x: LaneBuffer::new::<S>(nodes * features),
            adjacency: LaneBuffer::new::<S>(pairs),
            node_mask: LaneBuffer::new::<S>(nodes),
            pair_mask: LaneBuffer::new::<S>(pairs),
            twice_pair_mask: LaneBuffer::new::<S>(pairs),
            time: LaneBuffer::new::<S>(time),
            x_target: LaneBuffer::new::<S>(target * nodes * features),
            x_scale: LaneBuffer::new::<S>(target),
            adj_target: LaneBuffer::new::<S>(target * pairs),
            adj_scale: LaneBuffer::new::<S>(target),
        }
    }

    /// Reads `count` graphs from `first` on, whose real nodes are among the first of the tile. The other lanes become graphs without nodes.
    #[inline(always)]
    pub(super) fn load<S: Simd>(&mut self, simd: S, batch: &GraphBatch<'_>, first: usize, count: usize) {
        let (nodes, features) = ((batch.nodes, self.nodes), self.features);
        self.x.gather::<S>(batch.x, (nodes.0 * features, nodes.1 * features), first, count);
        self.adjacency.gather_pairs::<S>(batch.adj, nodes, first, count);
        self.node_mask.gather::<S>(batch.mask, nodes, first, count);
        self.load_times::<S>(&batch.times[first..first + count]);
        simd.vectorize(PairMasks {
            simd,
            nodes: self.nodes,
            node_mask: self.node_mask.get::<S>(),
            once: self.pair_mask.get_mut::<S>(),
            twice: self.twice_pair_mask.get_mut::<S>(),
        });
    }

    fn load_times<S: Simd>(&mut self, times: &[f64]) {
        let lanes = S::F32_LANES;
        let target = self.time.scalars_mut();
        let mut features = [0.0; MAX_TIME_FEATURES];
        let features = &mut features[..target.len() / lanes];
        target.fill(0.0);
        for (lane, &t) in times.iter().enumerate() {
            time_features(t, features);
            for (vector, &feature) in target.chunks_exact_mut(lanes).zip(&*features) {
                vector[lane] = feature as f32;
            }
        }
    }

    /// Reads what the losses need, too.
    #[inline(always)]
    pub(super) fn load_targets<S: Simd>(
        &mut self,
        batch: &ScoreMatchingBatch<'_>,
        first: usize,
        count: usize,
    ) {
        let (nodes, features) = ((batch.graphs.nodes, self.nodes), self.features);
        self.x_target.gather::<S>(batch.z_x, (nodes.0 * features, nodes.1 * features), first, count);
        self.x_scale.gather::<S>(batch.scale_x, (1, 1), first, count);
        self.adj_target.gather_pairs::<S>(batch.z_adj, nodes, first, count);
        self.adj_scale.gather::<S>(batch.scale_adj, (1, 1), first, count);
    }

    #[inline(always)]
    pub(super) fn view<S: Simd>(&self) -> TileView<'_, S::f32s> {
        TileView {
            nodes: self.nodes,
            x: self.x.get::<S>(),
            adjacency: self.adjacency.get::<S>(),
            node_mask: self.node_mask.get::<S>(),
            pair_mask: self.pair_mask.get::<S>(),
            twice_pair_mask: self.twice_pair_mask.get::<S>(),
            time: self.time.get::<S>(),
        }
    }

    /// Targets of the node and of the edge network.
    #[inline(always)]
    pub(super) fn targets<S: Simd>(&self) -> [TargetView<'_, S::f32s>; 2] {
        [
            TargetView { scale: self.x_scale.get::<S>()[0], noise: self.x_target.get::<S>() },
            TargetView { scale: self.adj_scale.get::<S>()[0], noise: self.adj_target.get::<S>() },
        ]
    }
}

struct PairMasks<'a, S: Simd> {
    simd: S,
    nodes: usize,
    node_mask: &'a [S::f32s],
    once: &'a mut [S::f32s],
    twice: &'a mut [S::f32s],
}

impl<S: Simd> NullaryFnOnce for PairMasks<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, nodes, node_mask, once, twice } = self;
        for_each_pair(nodes, |pair, i, j| {
            let mask = simd.mul_f32s(node_mask[i], node_mask[j]);
            once[pair] = mask;
            twice[pair] = simd.add_f32s(mask, mask);
        });
    }
}
