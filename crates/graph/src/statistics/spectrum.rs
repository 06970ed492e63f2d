//! Eigenvalues of the normalised Laplacian.

use nalgebra::DMatrix;

use super::histogram;
use crate::adjacency::Adjacency;
use crate::error::GraphError;

/// Intervals of the histogram.
pub const BINS: usize = 200;

/// Lower end of the first interval: below 0, for the eigenvalue 0 comes out a little below or above it.
pub const FIRST: f64 = -1e-5;

/// Upper end of the last interval.
pub const LAST: f64 = 2.0;

/// Largest graph whose dense matrix is decomposed.
pub const MOST_NODES: usize = 4096;

/// Eigenvalues of `1 - D^-1/2 A D^-1/2`, ascending, in [0, 2]; 0 for each isolated node.
///
/// Eigenvalues that rounding puts outside [0, 2] are moved onto its ends. (NumPy's `histogram` drops those above 2, which
/// bipartite graphs have or have not by chance.) Cost: O(N^3), 8 N^2 bytes.
///
/// # Errors
/// [`GraphError::TooLargeForSpectrum`] beyond [`MOST_NODES`] nodes.
pub fn eigenvalues(graph: &Adjacency) -> Result<Vec<f64>, GraphError> {
    let nodes = graph.nodes();
    if nodes > MOST_NODES {
        return Err(GraphError::TooLargeForSpectrum { nodes, maximum: MOST_NODES });
    }
    if nodes == 0 {
        return Ok(Vec::new());
    }
    let scale: Vec<f64> = (0..nodes).map(|node| 1.0 / (graph.degree(node) as f64).sqrt()).collect();
    let mut laplacian = DMatrix::zeros(nodes, nodes);
    for node in 0..nodes {
        for &neighbour in graph.neighbours(node) {
            let neighbour = neighbour as usize;
            laplacian[(node, neighbour)] = -scale[node] * scale[neighbour];
            laplacian[(node, node)] = 1.0;
        }
    }
    let mut values: Vec<f64> =
        laplacian.symmetric_eigenvalues().iter().map(|value| value.clamp(0.0, 2.0)).collect();
    values.sort_unstable_by(f64::total_cmp);
    Ok(values)
}

/// Numbers of eigenvalues in [`BINS`] intervals on [`FIRST`, `LAST`].
///
/// # Errors
/// As [`eigenvalues`].
pub fn histogram(graph: &Adjacency) -> Result<Vec<f64>, GraphError> {
    Ok(histogram::histogram(&eigenvalues(graph)?, BINS, FIRST, LAST))
}
