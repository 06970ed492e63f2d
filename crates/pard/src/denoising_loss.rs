//! The loss of the denoiser: the variational bound and a cross-entropy, over target nodes and pairs.
//!
//! For an element with clean class x_0 and noisy class x_t, and the model's distribution f of x_0:
//!
//! ```text
//! KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t))  (for t = 1: -log f[x_0])  +  KL(q(x_T | x_0) || m) / T  -  c log f[x_0]
//! ```
//!
//! Austin et al., "D3PM", NeurIPS 2021, equation 5, with the laws of [`equidrift_sampler::categorical`]; Zhao, Ding &
//! Akoglu, "Pard", NeurIPS 2024. Sums over all elements, divided by the number of graphs of the batch.

use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, Tensor};
use equidrift_sampler::CategoricalDiffusion;

use crate::block_batch::Targets;
use crate::heads::ClassLogits;
use crate::inputs::{OneHot, index, tensor};

/// Below this a probability's logarithm is that of this number.
const TINY: f64 = 1e-30;

/// The diffusions of nodes and edges.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphDiffusion {
    /// Of node classes.
    pub nodes: CategoricalDiffusion,
    /// Of edge classes.
    pub edges: CategoricalDiffusion,
}

/// Elements with their noisy classes.
#[derive(Debug, Clone, Copy)]
pub struct NoisyTargets<'a> {
    /// The elements.
    pub targets: &'a Targets,
    /// Their noisy classes.
    pub noisy: &'a [usize],
}

/// The parts of the loss, scalars that can be differentiated.
#[derive(Debug, Clone)]
pub struct DenoisingLoss {
    /// The bound's terms of the nodes.
    pub node_bound: Tensor<1>,
    /// Their cross-entropy.
    pub node_cross_entropy: Tensor<1>,
    /// The bound's terms of the edges.
    pub edge_bound: Tensor<1>,
    /// Their cross-entropy.
    pub edge_cross_entropy: Tensor<1>,
}

impl DenoisingLoss {
    /// The parts at the logits of a batch, whose graphs are at steps `times`.
    #[must_use]
    pub fn new(
        diffusion: &GraphDiffusion,
        logits: ClassLogits,
        times: &[usize],
        nodes: NoisyTargets<'_>,
        pairs: NoisyTargets<'_>,
    ) -> Self {
        let [b, n, c] = logits.nodes.dims();
        let of_nodes = logits.nodes.reshape([b * n, c]);
        let [_, c, _, _] = logits.pairs.dims();
        let of_pairs = logits.pairs.permute([0, 2, 3, 1]).reshape([b * n * n, c]);
        // Not a division: the library divides gradients in single precision.
        let share = 1.0 / times.len().max(1) as f64;
        let (node_bound, node_cross_entropy) = element_losses(&diffusion.nodes, of_nodes, times, nodes);
        let (edge_bound, edge_cross_entropy) = element_losses(&diffusion.edges, of_pairs, times, pairs);
        Self {
            node_bound: node_bound.mul_scalar(share),
            node_cross_entropy: node_cross_entropy.mul_scalar(share),
            edge_bound: edge_bound.mul_scalar(share),
            edge_cross_entropy: edge_cross_entropy.mul_scalar(share),
        }
    }

    /// Bound + `weight` x cross-entropy, nodes and edges together.
    #[must_use]
    pub fn total(&self, weight: f64) -> Tensor<1> {
        let bound = self.node_bound.clone() + self.edge_bound.clone();
        bound + (self.node_cross_entropy.clone() + self.edge_cross_entropy.clone()).mul_scalar(weight)
    }
}

/// The cross-entropies alone, `-log f[x_0]` summed over target nodes and over target pairs and divided by the number of graphs.
/// Nothing is picked out of the logits: what is no target has the weight 0, so that the gradient is a product, too.
#[must_use]
pub fn cross_entropies(logits: ClassLogits, nodes: &Targets, pairs: &Targets) -> [Tensor<1>; 2] {
    let [b, n, c] = logits.nodes.dims();
    let of_nodes = logits.nodes.reshape([b * n, c]);
    let [_, c, _, _] = logits.pairs.dims();
    let of_pairs = logits.pairs.permute([0, 2, 3, 1]).reshape([b * n * n, c]);
    // Not a division: the library divides gradients in single precision.
    let share = 1.0 / b.max(1) as f64;
    [(of_nodes, nodes), (of_pairs, pairs)].map(|(logits, targets)| {
        let [places, classes] = logits.dims();
        let mut clean = vec![classes as i64; places];
        targets.place.iter().zip(&targets.clean).for_each(|(&place, &class)| clean[place] = class as i64);
        let clean = OneHot::new(clean, classes, &logits.device(), logits.dtype());
        (log_softmax(logits, 1) * clean.rows).sum().mul_scalar(-share)
    })
}

/// Columns of numbers, one for each element.
struct Columns<'a> {
    device: &'a Device,
    dtype: DType,
    elements: usize,
}

impl Columns<'_> {
    fn of(&self, values: Vec<f64>) -> Tensor<2> {
        let width = values.len() / self.elements.max(1);
        tensor(values, [self.elements, width], self.device, self.dtype)
    }
}

/// Sums of the bound's terms and of the cross-entropies of elements, whose logits are rows of `[places, C]`.
fn element_losses(
    diffusion: &CategoricalDiffusion,
    logits: Tensor<2>,
    times: &[usize],
    elements: NoisyTargets<'_>,
) -> (Tensor<1>, Tensor<1>) {
    let NoisyTargets { targets, noisy } = elements;
    let (device, dtype) = (logits.device(), logits.dtype());
    if targets.is_empty() {
        let zero = Tensor::zeros([1], (&device, dtype));
        return (zero.clone(), zero);
    }
    let classes = diffusion.classes();
    let columns = Columns { device: &device, dtype, elements: targets.len() };
    let places = targets.place.iter().map(|&place| place as i64).collect();
    let log_clean = log_softmax(logits.select(0, index(places, &device)), 1);
    let one_hot = |classes_of: &[usize]| {
        let mut rows = vec![0.0; classes_of.len() * classes];
        classes_of.iter().enumerate().for_each(|(row, class)| rows[row * classes + class] = 1.0);
        columns.of(rows)
    };

    let cross_entropies = (log_clean.clone() * one_hot(&targets.clean)).sum_dim(1).neg();

    // What does not depend on the model, on the host: the law q with its negative entropy, and the coefficients of p.
    let (mut q, mut constant) = (Vec::with_capacity(targets.len() * classes), 0.0);
    let (mut log_new, mut mu, mut stay, mut gain, mut first) = (vec![], vec![], vec![], vec![], vec![]);
    let steps: Vec<_> = times.iter().map(|&t| diffusion.coefficients(t, t - 1)).collect();
    let priors: Vec<_> = (0..classes).map(|clean| diffusion.prior(clean)).collect();
    let element = targets.graph.iter().zip(&targets.clean).zip(noisy);
    for ((&graph, &clean), &noisy) in element {
        let (t, step) = (times[graph], &steps[graph]);
        let is_first = t == 1;
        let law = diffusion.posterior(step, noisy, clean);
        let weight = if is_first { 0.0 } else { 1.0 };
        let negative_entropy: f64 =
            law.iter().filter(|share| **share > 0.0).map(|share| share * libm::log(*share)).sum();
        constant += weight * negative_entropy + priors[clean] / diffusion.steps() as f64;
        q.extend(law.iter().map(|share| weight * share));
        log_new.push(libm::log((1.0 - step.mu).max(TINY)));
        mu.push(step.mu);
        stay.push(step.stay);
        gain.push(step.gain_per_clean(diffusion.noise()[noisy]));
        first.push(1.0 - weight);
    }
    let noise = tensor(diffusion.noise().to_vec(), [1, classes], &device, dtype);
    let noisy = one_hot(noisy);
    let g = (log_clean.clone().exp() * noisy.clone()).sum_dim(1) * columns.of(gain);
    let kept = columns.of(stay) + g;
    let second = kept.clone() * noisy + (columns.of(mu) - kept) * noise;
    let log_p = log_add(log_clean + columns.of(log_new), second.clamp_min(TINY).log());
    let divergences = (log_p * columns.of(q)).sum().neg().add_scalar(constant);
    let bound = divergences + (cross_entropies.clone() * columns.of(first)).sum();
    (bound, cross_entropies.sum())
}

/// log(exp a + exp b).
fn log_add(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let highest = a.clone().max_pair(b.clone()).detach();
    ((a - highest.clone()).exp() + (b - highest.clone()).exp()).log() + highest
}
