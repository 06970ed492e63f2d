//! The graph types: undirected, simple, nodes and edges with attributes.

use petgraph::graph::{NodeIndex, UnGraph};

use crate::error::GraphError;

/// An undirected simple graph with attributes `V` at nodes and `E` at edges. Nodes are numbered `0..N`; edges keep the
/// order in which they were made.
pub type AttributedGraph<V, E> = UnGraph<V, E>;

/// A graph without attributes.
pub type Graph = AttributedGraph<(), ()>;

/// A graph of `nodes` nodes with these edges, in this order.
///
/// Cost: O(N + E log E), whatever the degrees.
///
/// # Errors
/// [`GraphError::EdgeBeyondNodes`], [`GraphError::SelfLoop`], [`GraphError::RepeatedEdge`] for an edge that no simple
/// graph of this size has, [`GraphError::TooManyNodes`] beyond `u32::MAX - 1` nodes.
pub fn graph_from_edges(
    nodes: usize,
    edges: impl IntoIterator<Item = (usize, usize)>,
) -> Result<Graph, GraphError> {
    let maximum = u32::MAX as usize - 1;
    if nodes > maximum {
        return Err(GraphError::TooManyNodes { nodes: nodes as u64, maximum });
    }
    let edges = edges.into_iter();
    let mut graph = Graph::with_capacity(nodes, edges.size_hint().0);
    for _ in 0..nodes {
        graph.add_node(());
    }
    for (first, second) in edges {
        if first >= nodes || second >= nodes {
            return Err(GraphError::EdgeBeyondNodes { first, second, nodes });
        }
        if first == second {
            return Err(GraphError::SelfLoop { node: first });
        }
        graph.add_edge(NodeIndex::new(first), NodeIndex::new(second), ());
    }
    // A search among the neighbours for each edge would be quadratic for a star.
    let repeated = sorted_edges(&graph).windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
    match repeated {
        Some((first, second)) => Err(GraphError::RepeatedEdge { first, second }),
        None => Ok(graph),
    }
}

/// As [`graph_from_edges`], for edges that are known to be possible.
pub(crate) fn graph_of_simple_edges(nodes: usize, edges: impl IntoIterator<Item = (usize, usize)>) -> Graph {
    let mut graph = Graph::default();
    for _ in 0..nodes {
        graph.add_node(());
    }
    for (first, second) in edges {
        graph.add_edge(NodeIndex::new(first), NodeIndex::new(second), ());
    }
    debug_assert!(graph_from_edges(nodes, sorted_edges(&graph)).is_ok(), "a simple graph");
    graph
}

/// The edges as pairs of node numbers, smaller first, ascending.
#[must_use]
pub fn sorted_edges<V, E>(graph: &AttributedGraph<V, E>) -> Vec<(usize, usize)> {
    let mut edges: Vec<_> = graph
        .raw_edges()
        .iter()
        .map(|edge| {
            let (a, b) = (edge.source().index(), edge.target().index());
            (a.min(b), a.max(b))
        })
        .collect();
    edges.sort_unstable();
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_edges_are_errors_that_name_them() {
        assert!(matches!(
            graph_from_edges(3, [(0, 3)]),
            Err(GraphError::EdgeBeyondNodes { first: 0, second: 3, nodes: 3 })
        ));
        assert!(matches!(graph_from_edges(3, [(1, 1)]), Err(GraphError::SelfLoop { node: 1 })));
        assert!(matches!(
            graph_from_edges(3, [(0, 1), (1, 2), (1, 0)]),
            Err(GraphError::RepeatedEdge { first: 0, second: 1 })
        ));
    }

    #[test]
    fn edges_keep_their_order() {
        let graph = graph_from_edges(4, [(3, 1), (0, 2)]).unwrap();
        let ends = graph.raw_edges()[0].source().index();
        assert_eq!((ends, sorted_edges(&graph)), (3, vec![(0, 2), (1, 3)]));
    }
}
