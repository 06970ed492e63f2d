//! One graph in the lanes: the kernels that differ where a graph is too large to have others beside it.
//!
//! With a graph per lane the arrays of a tile grow with `L N^2` (`L` lanes), and leave the caches where N passes about
//! a hundred; then, too, a batch rarely has graphs of like sizes. Here the tile is one graph. Node `b L + l` is lane `l`
//! of block `b`:
//! - arrays of nodes are `[block][element][lane]`;
//! - arrays of pairs have a row for every node `i` and every block `b` from that of `i` on, lanes are the nodes `j` of
//!   the block. Lanes with `j <= i`, which only the first row of a node has, and those beyond the last node are masked
//!   out, so that every unordered pair counts once;
//! - matrices are `[i][block][lane]`, symmetric, all entries present.
//!
//! Perceptrons, losses and the gradients of weights do not care what a lane is and are shared with the other layout.
//! Sums over nodes run in order of the nodes, so that a graph's result has the same bits for AVX2 and AVX-512.

mod attention;
mod gcn;

use pulp::{Simd, bytemuck};

pub(super) use self::attention::{Scores, ScoresBackward};
pub(super) use self::gcn::{Aggregate, Normalise, NormaliseBackward, Powers};

/// Nodes whose rows are computed together: each loaded vector serves all of them.
const GROUP: usize = 4;

/// The row of the pairs of node `i` with its own block, of `blocks` blocks.
pub(super) const fn first_row(i: usize, blocks: usize, lanes: usize) -> usize {
    // Nodes of block b have blocks - b rows.
    let (block, node) = (i / lanes, i % lanes);
    lanes * (block * blocks - block * block.saturating_sub(1) / 2) + node * (blocks - block)
}

/// Calls `visit(row, i, block)` for every row of pairs in storage order.
#[inline(always)]
pub(super) fn for_each_row(nodes: usize, lanes: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let blocks = nodes.div_ceil(lanes);
    let mut row = 0;
    for i in 0..nodes {
        for block in i / lanes..blocks {
            visit(row, i, block);
            row += 1;
        }
    }
}

/// One for every pair of real nodes `i < j`, zero in all other lanes.
#[inline(always)]
pub(super) fn pair_masks<S: Simd>(simd: S, nodes: usize, node_mask: &[S::f32s], masks: &mut [S::f32s]) {
    let lanes = S::F32_LANES;
    for_each_row(nodes, lanes, |row, i, block| {
        masks[row] = simd.mul_f32s(simd.splat_f32s(scalars(node_mask)[i]), node_mask[block]);
        if block == i / lanes {
            scalars_mut(&mut masks[row..=row])[..=i % lanes].fill(0.0);
        }
    });
}

/// The numbers in an array of vectors.
#[inline(always)]
fn scalars<V: bytemuck::Pod>(vectors: &[V]) -> &[f32] {
    bytemuck::cast_slice(vectors)
}

/// The numbers in an array of vectors, to be written.
#[inline(always)]
fn scalars_mut<V: bytemuck::Pod>(vectors: &mut [V]) -> &mut [f32] {
    bytemuck::cast_slice_mut(vectors)
}

/// Nodes `first..first + GROUP` of one block and how many of them are there. Those beyond the last one stand for it.
#[inline(always)]
fn group(first: usize, nodes: usize) -> ([usize; GROUP], usize) {
    let members = std::array::from_fn(|r| (first + r).min(nodes - 1));
    (members, GROUP.min(nodes - first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_numbered_in_storage_order() {
        for lanes in [4, 8, 16] {
            for nodes in [4_usize, 5, 16, 17, 63, 64, 100] {
                let blocks = nodes.div_ceil(lanes);
                let mut count = 0;
                for_each_row(nodes, lanes, |row, i, block| {
                    assert_eq!(row, first_row(i, blocks, lanes) + block - i / lanes);
                    count += 1;
                });
                assert_eq!(count, first_row(nodes, blocks, lanes), "{nodes} nodes, {lanes} lanes");
            }
        }
    }
}
