//! A graph with classes, its nodes sorted by block.

use equidrift_graph::{BlockDegree, block_order, graph_from_edges};

use crate::error::PardError;

/// A graph whose nodes stand in the order of generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockGraph {
    /// The class of each node.
    pub node_classes: Vec<usize>,
    /// The class of each unordered pair i > j at i(i-1)/2 + j; 0 is no edge.
    pub pair_classes: Vec<usize>,
    /// The block of each node, ascending.
    pub block: Vec<usize>,
    /// The number of nodes of each block.
    pub sizes: Vec<usize>,
    /// The recorded degree of each block.
    pub degrees: Vec<usize>,
}

/// The place of the pair i > j among all pairs.
#[must_use]
pub(crate) fn pair_index(i: usize, j: usize) -> usize {
    debug_assert!(i > j, "an ordered pair");
    i * (i - 1) / 2 + j
}

impl BlockGraph {
    /// Sorts the nodes of a graph, given by node classes and edges (end, end, class above 0), by the structural order over
    /// `max_hops` hops; nodes of a block keep their order.
    ///
    /// # Errors
    /// [`PardError::Graph`] if the edges make no simple graph, [`PardError::EdgeWithoutClass`].
    pub fn new(
        classes: &[usize],
        edges: &[(usize, usize, usize)],
        max_hops: usize,
        degree: BlockDegree,
    ) -> Result<Self, PardError> {
        let graph = graph_from_edges(classes.len(), edges.iter().map(|&(a, b, _)| (a, b)))?;
        let order = block_order(&graph, max_hops, degree);
        let nodes = order.nodes();
        let mut place = vec![0; nodes.len()];
        nodes.iter().enumerate().for_each(|(to, &from)| place[from] = to);
        let n = nodes.len();
        let mut pair_classes = vec![0; n * n.saturating_sub(1) / 2];
        for &(a, b, class) in edges {
            if class == 0 {
                return Err(PardError::EdgeWithoutClass { first: a, second: b });
            }
            let (a, b) = (place[a], place[b]);
            pair_classes[pair_index(a.max(b), a.min(b))] = class;
        }
        Ok(Self {
            node_classes: nodes.iter().map(|&node| classes[node]).collect(),
            pair_classes,
            block: nodes.iter().map(|&node| order.block[node]).collect(),
            sizes: order.sizes,
            degrees: order.degrees,
        })
    }

    /// The number of nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.node_classes.len()
    }

    /// The class of the pair of two different nodes.
    #[must_use]
    pub fn pair_class(&self, i: usize, j: usize) -> usize {
        self.pair_classes[pair_index(i.max(j), i.min(j))]
    }
}
