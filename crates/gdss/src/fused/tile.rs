//! The graphs of one tile, or one large graph, in lanes, with what both networks share.

use equidrift_nn::time_features;
use pulp::{NullaryFnOnce, Simd};

use super::extent::{Extent, Layout, for_each_pair};
use super::lanes::LaneBuffer;
use super::one_graph;
use crate::engine::{GraphBatch, ScoreMatchingBatch};
use crate::network_config::MAX_TIME_FEATURES;

/// One tile of graphs as seen by the networks.
#[derive(Clone, Copy)]
pub(super) struct TileView<'a, V> {
    pub(super) extent: Extent,
    /// `[N, F]`, where N stands for rows of nodes
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

impl<V> TileView<'_, V> {
    pub(super) fn node_rows<S: Simd>(&self) -> usize {
        self.extent.node_rows::<S>()
    }

    pub(super) fn pair_rows<S: Simd>(&self) -> usize {
        self.extent.pair_rows::<S>()
    }
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
    extent: Extent,
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
    pub(super) fn new<S: Simd>(extent: Extent, features: usize, time: usize, targets: bool) -> Self {
        let (nodes, pairs) = (extent.node_rows::<S>(), extent.pair_rows::<S>());
        let target = usize::from(targets);
        Self {
            extent,
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

    /// Reads the graphs `members`, whose real nodes are among the first of the tile, side by side; or the only one along the
    /// lanes. Lanes that are left over hold graphs, or nodes, that are not there.
    #[inline(always)]
    pub(super) fn load<S: Simd>(&mut self, simd: S, batch: &GraphBatch<'_>, members: &[usize]) {
        let Extent { layout, nodes: real } = self.extent;
        let (nodes, features) = ((batch.nodes, real), self.features);
        match layout {
            Layout::Graphs => {
                self.x.gather::<S>(batch.x, (nodes.0 * features, nodes.1 * features), members);
                self.adjacency.gather_pairs::<S>(batch.adj, nodes, members);
                self.node_mask.gather::<S>(batch.mask, nodes, members);
                self.load_times::<S>(members.iter().map(|&graph| batch.times[graph]));
            }
            Layout::Nodes => {
                let [graph] = members else { unreachable!("one graph") };
                self.x.gather_nodes::<S>(of(batch.x, batch.batch, *graph), real, features);
                self.adjacency.gather_pairs_of_one::<S>(of(batch.adj, batch.batch, *graph), nodes);
                self.node_mask.gather_nodes::<S>(of(batch.mask, batch.batch, *graph), real, 1);
                self.load_times::<S>(std::iter::repeat_n(batch.times[*graph], S::F32_LANES));
            }
        }
        simd.vectorize(PairMasks {
            simd,
            extent: self.extent,
            node_mask: self.node_mask.get::<S>(),
            once: self.pair_mask.get_mut::<S>(),
            twice: self.twice_pair_mask.get_mut::<S>(),
        });
    }

    fn load_times<S: Simd>(&mut self, times: impl Iterator<Item = f64>) {
        let lanes = S::F32_LANES;
        let target = self.time.scalars_mut();
        let mut features = [0.0; MAX_TIME_FEATURES];
        let features = &mut features[..target.len() / lanes];
        target.fill(0.0);
        for (lane, t) in times.enumerate() {
            time_features(t, features);
            for (vector, &feature) in target.chunks_exact_mut(lanes).zip(&*features) {
                vector[lane] = feature as f32;
            }
        }
    }

    /// Reads what the losses need, too.
    #[inline(always)]
    pub(super) fn load_targets<S: Simd>(&mut self, batch: &ScoreMatchingBatch<'_>, members: &[usize]) {
        let Extent { layout, nodes: real } = self.extent;
        let (nodes, features) = ((batch.graphs.nodes, real), self.features);
        match layout {
            Layout::Graphs => {
                let rows = (nodes.0 * features, nodes.1 * features);
                self.x_target.gather::<S>(batch.z_x, rows, members);
                self.x_scale.gather::<S>(batch.scale_x, (1, 1), members);
                self.adj_target.gather_pairs::<S>(batch.z_adj, nodes, members);
                self.adj_scale.gather::<S>(batch.scale_adj, (1, 1), members);
            }
            Layout::Nodes => {
                let ([graph], graphs) = (members, batch.graphs.batch) else { unreachable!("one graph") };
                self.x_target.gather_nodes::<S>(of(batch.z_x, graphs, *graph), real, features);
                self.x_scale.scalars_mut().fill(batch.scale_x[*graph]);
                self.adj_target.gather_pairs_of_one::<S>(of(batch.z_adj, graphs, *graph), nodes);
                self.adj_scale.scalars_mut().fill(batch.scale_adj[*graph]);
            }
        }
    }

    #[inline(always)]
    pub(super) fn view<S: Simd>(&self) -> TileView<'_, S::f32s> {
        TileView {
            extent: self.extent,
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

/// The part of graph `graph` of `graphs` in an array of all.
fn of(values: &[f32], graphs: usize, graph: usize) -> &[f32] {
    let width = values.len() / graphs;
    &values[graph * width..][..width]
}

struct PairMasks<'a, S: Simd> {
    simd: S,
    extent: Extent,
    node_mask: &'a [S::f32s],
    once: &'a mut [S::f32s],
    twice: &'a mut [S::f32s],
}

impl<S: Simd> NullaryFnOnce for PairMasks<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, extent: Extent { layout, nodes }, node_mask, once, twice } = self;
        match layout {
            Layout::Graphs => for_each_pair(nodes, |pair, i, j| {
                once[pair] = simd.mul_f32s(node_mask[i], node_mask[j]);
            }),
            Layout::Nodes => one_graph::pair_masks(simd, nodes, node_mask, once),
        }
        for (twice, &once) in twice.iter_mut().zip(&*once) {
            *twice = simd.add_f32s(once, once);
        }
    }
}
