//! One graph of a batch, without its padding.

use super::pair_rows::PairRows;
use crate::block_batch::BlockBatch;

/// What the networks are told of a graph.
#[derive(Debug)]
pub(super) struct GraphView<'a> {
    pub(super) pairs: PairRows,
    /// Classes of the nodes; negative for none.
    pub(super) node_class: &'a [i32],
    /// Classes of pairs, `[N, padded N]`: of (i, j) at `i stride + j`.
    edge_class: &'a [i32],
    stride: usize,
    /// Whether nodes are of the block that is being generated.
    pub(super) virtual_nodes: &'a [bool],
    /// The nodes' blocks, and size and degree of each block.
    pub(super) block: &'a [i32],
    pub(super) sizes: &'a [usize],
    pub(super) degrees: &'a [usize],
    /// The step t; none for the block model.
    pub(super) time: Option<usize>,
}

impl<'a> GraphView<'a> {
    /// Graph `row` of a batch.
    pub(super) fn new(batch: &'a BlockBatch, row: usize, time: Option<usize>) -> Self {
        Self::behind(batch, row, time, 0)
    }

    /// Graph `row` of a batch, without what is between the first `known` nodes.
    pub(super) fn behind(batch: &'a BlockBatch, row: usize, time: Option<usize>, known: usize) -> Self {
        let (stride, blocks) = (batch.nodes, batch.blocks);
        let nodes = row * stride..(row + 1) * stride;
        let pairs = PairRows::new(&batch.block[nodes.clone()], &batch.virtual_nodes[nodes.clone()], known);
        let real = nodes.start..nodes.start + pairs.nodes;
        Self {
            node_class: &batch.node_class[real.clone()],
            edge_class: &batch.edge_class[nodes.start * stride..nodes.end * stride],
            stride,
            virtual_nodes: &batch.virtual_nodes[real.clone()],
            block: &batch.block[real],
            sizes: &batch.sizes[row * blocks..][..blocks],
            degrees: &batch.degrees[row * blocks..][..blocks],
            time,
            pairs,
        }
    }

    /// The class of a pair; negative for none.
    pub(super) fn edge_class(&self, [i, j]: [usize; 2]) -> i32 {
        self.edge_class[i * self.stride + j]
    }
}
