//! Probabilities of random walks on one graph; see [`crate::input_embedding`].

use equidrift_backend::kernels::matrix::{Extents, Left, Rows, add_product, padded};
use equidrift_nn::block_mask::sees;
use pulp::Simd;

use super::graph_view::GraphView;

/// Of walks of 1, 2, ... `steps` steps: the probability to be back at the start `[N, padded steps]`, and the sum of those from i
/// to j and from j to i `[rows, padded steps]`. A step goes along an edge of a real class to a node that is seen.
#[inline(always)]
pub(super) fn random_walks<S: Simd>(
    simd: S,
    graph: &GraphView<'_>,
    edge_classes: usize,
    steps: usize,
) -> [Vec<f32>; 2] {
    let pairs = &graph.pairs;
    let (n, across) = (pairs.nodes, padded(steps));
    let wide = padded(n);
    let mut step = vec![0.0_f32; n * wide];
    let node = |i: usize| (graph.block[i], graph.virtual_nodes[i]);
    for i in 0..n {
        for j in 0..n {
            // 0 is no edge, the last class is virtual.
            let real = (1..edge_classes as i32 - 1).contains(&graph.edge_class([i, j]));
            step[i * wide + j] = f32::from(u8::from(real && sees(node(i), node(j))));
        }
    }
    for row in step.chunks_exact_mut(wide) {
        let degree: f32 = row.iter().sum();
        row.iter_mut().for_each(|share| *share /= degree.max(1.0));
    }
    let (mut returns, mut both_ways) = (vec![0.0; n * across], vec![0.0; pairs.len() * across]);
    let (mut walk, mut longer) = (step.clone(), vec![0.0; n * wide]);
    for length in 0..steps {
        if length > 0 {
            longer.fill(0.0);
            let extents = Extents { rows: n, inner: n, columns: wide };
            let left = Left::Plain(Rows::new(&walk, wide));
            add_product(simd, extents, left, Rows::new(&step, wide), &mut longer, wide);
            std::mem::swap(&mut walk, &mut longer);
        }
        for i in 0..n {
            returns[i * across + length] = walk[i * wide + i];
        }
        for (row, &[i, j]) in pairs.ends.iter().enumerate() {
            both_ways[row * across + length] = walk[i * wide + j] + walk[j * wide + i];
        }
    }
    [returns, both_ways]
}
