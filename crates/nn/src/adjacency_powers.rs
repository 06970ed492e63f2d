//! Powers of the adjacency as edge channels.

use burn::tensor::Tensor;

/// `[A, A^2, ..., A^count]` of an adjacency `[B, N, N]` as channels `[B, count, N, N]`: plain products of the
/// unnormalised matrix, so the diagonal of `A^2` holds the (weighted) degrees. `count` is at least 1.
pub fn adjacency_powers(adjacency: Tensor<3>, count: usize) -> Tensor<4> {
    let [b, n, _] = adjacency.dims();
    let mut powers = vec![adjacency.clone()];
    for _ in 1..count {
        let last = powers[powers.len() - 1].clone();
        powers.push(last.matmul(adjacency.clone()));
    }
    Tensor::cat(powers.into_iter().map(|power| power.reshape([b, 1, n, n])).collect(), 1)
}
