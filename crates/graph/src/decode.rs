//! A continuous adjacency matrix -> a graph (GDSS, Jo, Lee & Hwang 2022, arXiv 2202.02514, generic graphs).
//!
//! 1. `a_ij >= 0.5` is an edge, everything else (NaN too) is none;
//! 2. self loops are dropped;
//! 3. nodes without an edge are dropped: the padding, and real nodes that got no edge;
//! 4. a graph that is empty now becomes a single node.
//!
//! Only the pair counts: an edge is there if either `a_ij` or `a_ji` says so. Cost: O(N^2).

use petgraph::graph::NodeIndex;

use crate::error::GraphError;
use crate::graph::Graph;

/// Decode one sample: `adj` is `[N, N]`, row-major, `N = nodes`. Remaining nodes are renumbered in their order; edges
/// come in row-major order of the upper triangle.
///
/// # Errors
/// [`GraphError::MatrixLength`] if `adj` has not `N * N` entries.
pub fn decode(adj: &[f32], nodes: usize) -> Result<Graph, GraphError> {
    let expected = nodes.saturating_mul(nodes);
    if adj.len() != expected {
        return Err(GraphError::MatrixLength { nodes, expected, found: adj.len() });
    }
    let joined = |i: usize, j: usize| adj[i * nodes + j] >= 0.5 || adj[j * nodes + i] >= 0.5;

    let mut graph = Graph::default();
    let mut new_index: Vec<Option<NodeIndex>> = vec![None; nodes];
    for (i, index) in new_index.iter_mut().enumerate() {
        if (0..nodes).any(|j| j != i && joined(i, j)) {
            *index = Some(graph.add_node(()));
        }
    }
    for i in 0..nodes {
        for j in i + 1..nodes {
            if let (Some(a), Some(b), true) = (new_index[i], new_index[j], joined(i, j)) {
                graph.add_edge(a, b, ());
            }
        }
    }
    if graph.node_count() == 0 {
        graph.add_node(());
    }
    Ok(graph)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::sorted_edges;

    #[test]
    fn loops_and_isolated_nodes_go_and_the_rest_is_renumbered() {
        // Node 1 has only a loop, node 3 is padding.
        let mut adj = [0.0; 16];
        adj[5] = 3.0;
        for (i, j, value) in [(0, 2, 0.5), (1, 2, 0.499)] {
            adj[i * 4 + j] = value;
            adj[j * 4 + i] = value;
        }
        let graph = decode(&adj, 4).unwrap();
        assert_eq!(graph.node_count(), 2);
        assert_eq!(sorted_edges(&graph), [(0, 1)]);
    }

    #[test]
    fn an_empty_graph_becomes_one_node() {
        for adj in [&[][..], &[0.0; 9], &[f32::NAN; 9]] {
            let nodes = adj.len().isqrt();
            assert_eq!(decode(adj, nodes).unwrap().node_count(), 1);
        }
    }

    #[test]
    fn a_matrix_of_the_wrong_length_is_an_error() {
        assert!(matches!(
            decode(&[0.0; 8], 3),
            Err(GraphError::MatrixLength { nodes: 3, expected: 9, found: 8 })
        ));
    }
}
