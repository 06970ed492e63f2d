//! Local clustering coefficients (Watts & Strogatz 1998).

use super::histogram;
use super::triangles;
use crate::adjacency::Adjacency;

/// Intervals of the histogram.
pub const BINS: usize = 100;

/// The share of each node's pairs of neighbours that are joined; 0 for nodes with fewer than two neighbours.
///
/// Cost: O(E^1.5).
#[must_use]
pub fn coefficients(graph: &Adjacency) -> Vec<f64> {
    let triangles = triangles::per_node(graph).into_iter().enumerate();
    let coefficient = |(node, triangles): (usize, u64)| {
        let degree = graph.degree(node) as u64;
        // As NetworkX divides: the quotient decides in which interval a coefficient at an end falls.
        if triangles == 0 { 0.0 } else { (2 * triangles) as f64 / (degree * (degree - 1)) as f64 }
    };
    triangles.map(coefficient).collect()
}

/// Numbers of coefficients in [`BINS`] intervals on [0, 1].
#[must_use]
pub fn histogram(graph: &Adjacency) -> Vec<f64> {
    histogram::histogram(&coefficients(graph), BINS, 0.0, 1.0)
}
