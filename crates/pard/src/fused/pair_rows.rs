//! The pairs of one graph that are computed.

use equidrift_nn::block_mask::{PADDING, sees};

/// Where no row is.
const NO_ROW: usize = usize::MAX;

/// The ordered pairs (i, j) of a graph of which one end sees the other, one row each, sorted. What the masks of the batched
/// networks set to zero is left out; so are padding, and pairs of two nodes that are known.
#[derive(Debug)]
pub(super) struct PairRows {
    pub(super) nodes: usize,
    /// How many nodes at the beginning are known from an earlier call.
    pub(super) known: usize,
    /// i and j of each row.
    pub(super) ends: Vec<[usize; 2]>,
    /// The rows of node i are `first[i]..first[i + 1]`.
    pub(super) first: Vec<usize>,
    /// The row of (j, i).
    pub(super) reverse: Vec<usize>,
    /// Whether i sees j.
    pub(super) sees: Vec<bool>,
    /// Whether all nodes see one another: then the row of (i, j) is i N + j.
    pub(super) complete: bool,
    /// The row of each pair, `[N, N]`.
    row_of: Vec<usize>,
}

impl PairRows {
    /// Of nodes with these blocks, of which some are virtual, and the first `known` are known. Padding is at the end.
    pub(super) fn new(blocks: &[i32], virtual_nodes: &[bool], known: usize) -> Self {
        let nodes = blocks.iter().take_while(|&&block| block != PADDING).count();
        let node = |i: usize| (blocks[i], virtual_nodes[i]);
        let (mut ends, mut seen, mut first) = (Vec::new(), Vec::new(), vec![0]);
        let mut row_of = vec![NO_ROW; nodes * nodes];
        for i in 0..nodes {
            for j in if i < known { known..nodes } else { 0..nodes } {
                let there = sees(node(i), node(j));
                if there || sees(node(j), node(i)) {
                    row_of[i * nodes + j] = ends.len();
                    ends.push([i, j]);
                    seen.push(there);
                }
            }
            first.push(ends.len());
        }
        let reverse = ends.iter().map(|&[i, j]| row_of[j * nodes + i]).collect();
        let complete = ends.len() == nodes * nodes && seen.iter().all(|seen| *seen);
        Self { nodes, known, ends, first, reverse, sees: seen, complete, row_of }
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The row of (i, j), if it is computed.
    pub(super) fn row(&self, i: usize, j: usize) -> Option<usize> {
        Some(self.row_of[i * self.nodes + j]).filter(|&row| row != NO_ROW)
    }

    /// The row of (k, j), where `left` is the row of (i, k) and i or j sees k.
    #[inline(always)]
    pub(super) fn through_third(&self, left: usize, j: usize) -> Option<usize> {
        let right = self.row(self.ends[left][1], j)?;
        (self.sees[left] || self.sees[self.reverse[right]]).then_some(right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_the_pairs_with_an_end_that_sees_the_other() {
        // Two real blocks, the copy of the second, padding.
        let rows = PairRows::new(&[0, 1, 1, -1], &[false, false, true, false], 0);
        assert_eq!(rows.ends, [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [2, 0], [2, 2]]);
        assert_eq!(rows.sees, [true, false, false, true, true, true, true]);
        assert_eq!(rows.reverse, [0, 3, 5, 1, 4, 2, 6]);
        assert!(!rows.complete && rows.row(1, 2).is_none() && rows.row(2, 0) == Some(5));
        assert!(PairRows::new(&[0, 0, -1], &[true, true, false], 0).complete);
    }

    #[test]
    fn pairs_of_known_nodes_have_no_rows() {
        let rows = PairRows::new(&[0, 0, 1, -1], &[false, false, true, false], 2);
        assert_eq!(rows.ends, [[0, 2], [1, 2], [2, 0], [2, 1], [2, 2]]);
        assert_eq!(rows.reverse, [2, 3, 0, 1, 4]);
        assert_eq!(rows.first, [0, 1, 2, 5]);
        assert!(!rows.complete);
    }
}
