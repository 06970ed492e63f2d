//! Triangles (Chiba & Nishizeki 1985: each edge looks at the neighbours of its end of lower degree).

use crate::adjacency::Adjacency;

/// Calls `found` once for every triangle, with its nodes `[a, b, c]` and the slots `[ab, ac, bc]` of its edges; each slot
/// is one of the edge's two. Cost: O(sum over the edges of the smaller degree) (at most E^1.5) and a search per triangle.
pub fn for_each(graph: &Adjacency, mut found: impl FnMut([usize; 3], [usize; 3])) {
    let rank = |node: usize| (graph.degree(node), node);
    // The slot of `top` at which its neighbour stands.
    let mut slot_at_top = vec![usize::MAX; graph.nodes()];
    for top in 0..graph.nodes() {
        let lower = |node: usize| rank(node) < rank(top);
        for slot in graph.slots(top).filter(|slot| lower(graph.at(*slot))) {
            slot_at_top[graph.at(slot)] = slot;
        }
        for slot in graph.slots(top).filter(|slot| lower(graph.at(*slot))) {
            let middle = graph.at(slot);
            for third in graph.slots(middle) {
                let low = graph.at(third);
                // Only the order top > middle > low, so that each triangle is found once.
                if slot_at_top[low] != usize::MAX && rank(low) < rank(middle) {
                    found([top, middle, low], [slot, slot_at_top[low], third]);
                }
            }
        }
        for slot in graph.slots(top) {
            slot_at_top[graph.at(slot)] = usize::MAX;
        }
    }
}

/// The other slot of each edge.
pub(crate) fn opposite_slots(graph: &Adjacency) -> Vec<usize> {
    // Neighbours are ascending: the edges into a node come in the order of its own slots.
    let mut next: Vec<usize> = (0..graph.nodes()).map(|node| graph.slots(node).start).collect();
    let mut opposite = Vec::with_capacity(2 * graph.edges());
    for node in 0..graph.nodes() {
        for &neighbour in graph.neighbours(node) {
            let neighbour = neighbour as usize;
            opposite.push(next[neighbour]);
            next[neighbour] += 1;
        }
    }
    opposite
}

/// Number of triangles at each slot's edge.
#[must_use]
pub fn per_slot(graph: &Adjacency) -> Vec<u64> {
    let opposite = opposite_slots(graph);
    let mut counts = vec![0; opposite.len()];
    for_each(graph, |_, edges| {
        for slot in edges {
            counts[slot] += 1;
            counts[opposite[slot]] += 1;
        }
    });
    counts
}

/// Number of triangles at each node.
#[must_use]
pub fn per_node(graph: &Adjacency) -> Vec<u64> {
    let mut counts = vec![0; graph.nodes()];
    for_each(graph, |nodes, _| nodes.into_iter().for_each(|node| counts[node] += 1));
    counts
}
