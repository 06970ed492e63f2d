//! Neighbours of every node in one array: the form in which statistics read a graph.

use petgraph::visit::EdgeRef;

use crate::graph::AttributedGraph;

/// Compressed sparse rows: the neighbours of each node, ascending, one after the other. Every edge stands twice, once at
/// each end; its place in the array is the *slot* of that end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjacency {
    offsets: Vec<usize>,
    neighbours: Vec<u32>,
}

impl Adjacency {
    /// The neighbours in a graph. Cost: O(N + E log E).
    #[must_use]
    pub fn new<V, E>(graph: &AttributedGraph<V, E>) -> Self {
        let mut offsets = Vec::with_capacity(graph.node_count() + 1);
        let mut neighbours = Vec::with_capacity(2 * graph.edge_count());
        offsets.push(0);
        for node in graph.node_indices() {
            let start = neighbours.len();
            // Undirected: the end that is not `node` is always the target here.
            neighbours.extend(graph.edges(node).map(|edge| edge.target().index() as u32));
            neighbours[start..].sort_unstable();
            offsets.push(neighbours.len());
        }
        Self { offsets, neighbours }
    }

    /// Number of nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of edges.
    #[must_use]
    pub fn edges(&self) -> usize {
        self.neighbours.len() / 2
    }

    /// The neighbours of a node, ascending.
    #[must_use]
    pub fn neighbours(&self, node: usize) -> &[u32] {
        &self.neighbours[self.slots(node)]
    }

    /// The slots of a node's edges, in the order of its neighbours.
    #[must_use]
    pub fn slots(&self, node: usize) -> std::ops::Range<usize> {
        self.offsets[node]..self.offsets[node + 1]
    }

    /// The neighbour at a slot.
    #[must_use]
    pub fn at(&self, slot: usize) -> usize {
        self.neighbours[slot] as usize
    }

    /// Number of neighbours.
    #[must_use]
    pub fn degree(&self, node: usize) -> usize {
        self.slots(node).len()
    }

    /// The slot of `second` among the neighbours of `first`, if they are joined. Cost: O(log degree).
    #[must_use]
    pub fn slot(&self, first: usize, second: usize) -> Option<usize> {
        let place = self.neighbours(first).binary_search(&(second as u32)).ok()?;
        Some(self.offsets[first] + place)
    }

    /// Number of connected components.
    #[must_use]
    pub fn component_count(&self) -> usize {
        let mut seen = vec![false; self.nodes()];
        let mut to_visit = Vec::new();
        let mut count = 0;
        for start in 0..self.nodes() {
            if std::mem::replace(&mut seen[start], true) {
                continue;
            }
            count += 1;
            to_visit.push(start);
            while let Some(node) = to_visit.pop() {
                for &neighbour in self.neighbours(node) {
                    if !std::mem::replace(&mut seen[neighbour as usize], true) {
                        to_visit.push(neighbour as usize);
                    }
                }
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::graph_from_edges;

    #[test]
    fn neighbours_are_sorted_and_slots_find_them() {
        let adjacency = Adjacency::new(&graph_from_edges(5, [(3, 1), (0, 3), (3, 2)]).unwrap());
        assert_eq!((adjacency.nodes(), adjacency.edges(), adjacency.degree(4)), (5, 3, 0));
        assert_eq!(adjacency.neighbours(3), [0, 1, 2]);
        let slot = adjacency.slot(3, 2).unwrap();
        assert_eq!((adjacency.at(slot), adjacency.slot(1, 2)), (2, None));
        assert_eq!(adjacency.component_count(), 2);
    }
}
