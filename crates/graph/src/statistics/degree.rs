//! Degrees.

use crate::adjacency::Adjacency;

/// Number of nodes of each degree, from 0 to the largest. Cost: O(N).
#[must_use]
pub fn histogram(graph: &Adjacency) -> Vec<f64> {
    let mut counts = Vec::new();
    for node in 0..graph.nodes() {
        let degree = graph.degree(node);
        if degree >= counts.len() {
            counts.resize(degree + 1, 0.0);
        }
        counts[degree] += 1.0;
    }
    counts
}
