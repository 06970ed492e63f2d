//! The loss of the model of block sizes and degrees: cross-entropies, summed over all blocks, divided by the number of
//! graphs.

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;

use crate::block_batch::{BlockBatch, BlockQuestions};
use crate::heads::BlockLogits;
use crate::inputs::tensor;

/// The loss, a scalar that can be differentiated.
#[must_use]
pub fn block_loss(logits: BlockLogits, batch: &BlockBatch, questions: &BlockQuestions) -> Tensor<1> {
    let asked = questions.last_block.iter().map(Option::is_some);
    let size = cross_entropy(logits.size, &questions.next_size, asked.clone());
    let degree = cross_entropy(logits.degree, &questions.next_degree, asked);
    let first: Vec<_> = (0..batch.batch).map(|graph| batch.first_block(graph).1).collect();
    let first = cross_entropy(logits.first_degree, &first, questions.counts_first.iter().copied());
    let graphs = questions.counts_first.iter().filter(|counts| **counts).count();
    // Not a division: the library divides gradients in single precision.
    (size + degree + first).mul_scalar(1.0 / graphs.max(1) as f64)
}

/// The sum over those `[B, H, C]` that count.
fn cross_entropy(logits: Tensor<3>, targets: &[usize], counts: impl Iterator<Item = bool>) -> Tensor<1> {
    let [b, h, c] = logits.dims();
    let mut rows = vec![0.0; b * h * c];
    for (row, (&target, counts)) in targets.iter().zip(counts).enumerate() {
        if counts {
            rows[row * c + target] = 1.0;
        }
    }
    let rows = tensor(rows, [b, h, c], &logits.device(), logits.dtype());
    (log_softmax(logits, 2) * rows).sum().neg()
}
