//! How graphs lie in the lanes of a tile, and how long its arrays are.

use pulp::Simd;

use super::one_graph;

/// What lies side by side in a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Lane `l` is graph `l` of the tile.
    Graphs,
    /// The tile is one graph, and lanes are its nodes ([`one_graph`]).
    Nodes,
}

/// Layout and size of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) layout: Layout,
    pub(super) nodes: usize,
}

impl Extent {
    /// Rows of an array of nodes.
    pub(super) const fn node_rows<S: Simd>(self) -> usize {
        match self.layout {
            Layout::Graphs => self.nodes,
            Layout::Nodes => self.nodes.div_ceil(S::F32_LANES),
        }
    }

    /// Rows of an array of unordered pairs of distinct nodes.
    pub(super) const fn pair_rows<S: Simd>(self) -> usize {
        match self.layout {
            Layout::Graphs => pair_count(self.nodes),
            Layout::Nodes => {
                one_graph::first_row(self.nodes, self.nodes.div_ceil(S::F32_LANES), S::F32_LANES)
            }
        }
    }

    /// Vectors of a matrix over all ordered pairs of nodes.
    pub(super) const fn matrix<S: Simd>(self) -> usize {
        self.nodes * self.node_rows::<S>()
    }
}

/// Number of unordered pairs of distinct nodes.
pub(super) const fn pair_count(nodes: usize) -> usize {
    nodes * nodes.saturating_sub(1) / 2
}

/// Calls `visit(pair, i, j)` for every pair `i < j` in storage order.
#[inline(always)]
pub(super) fn for_each_pair(nodes: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let mut pair = 0;
    for i in 0..nodes {
        for j in i + 1..nodes {
            visit(pair, i, j);
            pair += 1;
        }
    }
}
