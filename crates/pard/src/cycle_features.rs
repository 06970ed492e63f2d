//! Cycles through each node of a batch, features for networks on prefixes.
//!
//! With A the adjacency matrix and d the degrees (Vignac et al., "DiGress", ICLR 2023, appendix B.2):
//!
//! ```text
//! c3 = (A^3)_ii / 2
//! c4 = ((A^4)_ii - d_i (d_i - 1) - sum_j A_ij d_j) / 2
//! c5 = ((A^5)_ii - 2 (A^3)_ii d_i - sum_j A_ij (A^3)_jj + (A^3)_ii) / 2
//! ```
//!
//! Cost: O(N^3) per graph, in whole numbers.

use crate::block_batch::BlockBatch;

/// `[B, N, 3]`: the numbers of cycles of length 3, 4 and 5 through each node, a tenth of each, at most 1. Every class
/// above 0 counts as an edge, the virtual one too.
#[must_use]
pub fn cycle_features(batch: &BlockBatch) -> Vec<f64> {
    let n = batch.nodes;
    let mut features = Vec::with_capacity(batch.node_class.len() * 3);
    for classes in batch.edge_class.chunks_exact((n * n).max(1)) {
        let a: Vec<i64> = classes.iter().map(|&class| i64::from(class > 0)).collect();
        let neighbours: Vec<Vec<usize>> =
            (0..n).map(|i| (0..n).filter(|&j| a[i * n + j] > 0).collect()).collect();
        // Row i of a product with A is a sum over neighbours.
        let times_a = |matrix: &[i64]| {
            let mut product = vec![0; n * n];
            for i in 0..n {
                for &k in &neighbours[i] {
                    for j in 0..n {
                        product[i * n + j] += matrix[k * n + j];
                    }
                }
            }
            product
        };
        let a2 = times_a(&a);
        let a3 = times_a(&a2);
        let degree = |i: usize| neighbours[i].len() as i64;
        for i in 0..n {
            let closed = |x: &[i64], y: &[i64]| -> i64 { (0..n).map(|j| x[i * n + j] * y[i * n + j]).sum() };
            let third = a3[i * n + i];
            let of_neighbours =
                |value: &dyn Fn(usize) -> i64| neighbours[i].iter().map(|&j| value(j)).sum::<i64>();
            let d = degree(i);
            let c3 = third / 2;
            let c4 = (closed(&a2, &a2) - d * (d - 1) - of_neighbours(&degree)) / 2;
            let c5 = (closed(&a2, &a3) - 2 * third * d - of_neighbours(&|j| a3[j * n + j]) + third) / 2;
            features.extend([c3, c4, c5].map(|cycles| (cycles as f64 / 10.0).min(1.0)));
        }
    }
    features
}
