//! Trees and lobsters.

use crate::adjacency::Adjacency;

/// Whether a graph is connected and has no cycle.
#[must_use]
pub fn is_tree(graph: &Adjacency) -> bool {
    graph.edges() + 1 == graph.nodes() && graph.component_count() == 1
}

/// Whether a graph is a tree of which a path, a node or nothing remains when its leaves are removed twice (Golomb), as in
/// GRAN (Liao et al. 2019).
#[must_use]
pub fn is_lobster(graph: &Adjacency) -> bool {
    if !is_tree(graph) {
        return false;
    }
    let mut degrees: Vec<usize> = (0..graph.nodes()).map(|node| graph.degree(node)).collect();
    let mut removed = vec![false; graph.nodes()];
    for _ in 0..2 {
        let leaves: Vec<usize> =
            (0..graph.nodes()).filter(|node| !removed[*node] && degrees[*node] == 1).collect();
        for leaf in leaves {
            removed[leaf] = true;
            for &neighbour in graph.neighbours(leaf) {
                degrees[neighbour as usize] -= 1;
            }
        }
    }
    // What remains of a tree is connected: it is a path if no node has three neighbours.
    (0..graph.nodes()).all(|node| removed[node] || degrees[node] <= 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::graph_from_edges;

    fn adjacency(nodes: usize, edges: &[(usize, usize)]) -> Adjacency {
        Adjacency::new(&graph_from_edges(nodes, edges.iter().copied()).unwrap())
    }

    /// A node with three arms of this length.
    fn three_arms(length: usize) -> Adjacency {
        let arm = |arm: usize| {
            (0..length)
                .map(move |step| (if step == 0 { 0 } else { arm * length + step }, arm * length + step + 1))
        };
        adjacency(3 * length + 1, &(0..3).flat_map(arm).collect::<Vec<_>>())
    }

    #[test]
    fn trees_are_connected_and_have_no_cycle() {
        assert!(is_tree(&adjacency(1, &[])) && is_tree(&adjacency(3, &[(0, 1), (1, 2)])));
        for graph in [adjacency(0, &[]), adjacency(2, &[]), adjacency(4, &[(0, 1), (1, 2), (2, 0)])] {
            assert!(!is_tree(&graph) && !is_lobster(&graph));
        }
    }

    #[test]
    fn lobsters_have_arms_of_two_steps_at_most() {
        assert!(is_lobster(&three_arms(1)) && is_lobster(&three_arms(2)) && !is_lobster(&three_arms(3)));
        assert!(is_lobster(&adjacency(1, &[])) && is_lobster(&adjacency(2, &[(0, 1)])));
    }
}
