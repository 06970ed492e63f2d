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
/// # Errors
/// [`GraphError::Edge`] if an edge names a node that is not there, joins a node to itself or stands there twice.
pub fn graph_from_edges(
    nodes: usize,
    edges: impl IntoIterator<Item = (usize, usize)>,
) -> Result<Graph, GraphError> {
    let mut graph = Graph::default();
    for _ in 0..nodes {
        graph.add_node(());
    }
    for (first, second) in edges {
        let (a, b) = (NodeIndex::new(first), NodeIndex::new(second));
        if first >= nodes || second >= nodes || first == second || graph.find_edge(a, b).is_some() {
            return Err(GraphError::Edge { first, second, nodes });
        }
        graph.add_edge(a, b, ());
    }
    Ok(graph)
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
        for edges in [vec![(0, 3)], vec![(1, 1)], vec![(0, 1), (1, 0)]] {
            assert!(matches!(graph_from_edges(3, edges), Err(GraphError::Edge { nodes: 3, .. })));
        }
    }
}
