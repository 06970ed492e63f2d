//! Connected components by breadth-first search.

use petgraph::graph::NodeIndex;

use crate::graph::AttributedGraph;

/// The connected components, each an ascending list of nodes; components stand in the order of their lowest node.
///
/// Cost: O(N + edges).
#[must_use]
pub fn components<V, E>(graph: &AttributedGraph<V, E>) -> Vec<Vec<NodeIndex>> {
    let mut seen = vec![false; graph.node_count()];
    let mut found = Vec::new();
    for start in graph.node_indices() {
        if seen[start.index()] {
            continue;
        }
        seen[start.index()] = true;
        // The list of visited nodes is its own queue.
        let mut component = vec![start];
        let mut next = 0;
        while next < component.len() {
            for neighbour in graph.neighbors(component[next]) {
                if !seen[neighbour.index()] {
                    seen[neighbour.index()] = true;
                    component.push(neighbour);
                }
            }
            next += 1;
        }
        component.sort_unstable();
        found.push(component);
    }
    found
}

/// Whether the graph is connected; the graph without nodes is not.
#[must_use]
pub fn is_connected<V, E>(graph: &AttributedGraph<V, E>) -> bool {
    components(graph).len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::graph_from_edges;

    fn numbers(nodes: usize, edges: &[(usize, usize)]) -> Vec<Vec<usize>> {
        let graph = graph_from_edges(nodes, edges.iter().copied()).unwrap();
        components(&graph).iter().map(|part| part.iter().map(|node| node.index()).collect()).collect()
    }

    #[test]
    fn components_stand_in_the_order_of_their_lowest_node() {
        assert_eq!(numbers(6, &[(5, 0), (2, 4), (4, 1)]), [vec![0, 5], vec![1, 2, 4], vec![3]]);
    }

    #[test]
    fn a_graph_without_nodes_has_no_component_and_is_not_connected() {
        assert!(numbers(0, &[]).is_empty());
        assert!(!is_connected(&graph_from_edges(0, []).unwrap()));
        assert!(is_connected(&graph_from_edges(1, []).unwrap()));
    }
}
