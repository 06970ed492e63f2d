//! Clipping of a gradient by its global norm, as `torch.nn.utils.clip_grad_norm_` does it.
//!
//! ```text
//! n = sqrt(sum over all parameters and entries of g^2)        c = min(1, max_norm / (n + 1e-6))
//! ```
//!
//! The norm is over all parameters of a group together, not per tensor. The coefficient is handed to the optimiser
//! instead of being multiplied in, so the gradient itself stays as computed.
//!
//! Reference: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013,
//! algorithm 1.

use equidrift_backend::weights::{ParameterSet, Values};

/// Keeps the quotient finite for a zero gradient; the constant of PyTorch.
const NORM_OFFSET: f64 = 1e-6;

/// Euclidean norm of all gradients whose names start with `prefix`, accumulated in f64 in order of names.
pub fn global_norm(gradient: &ParameterSet, prefix: &str) -> f64 {
    let sum: f64 = gradient
        .iter()
        .filter(|(name, _)| name.starts_with(prefix))
        .map(|(_, tensor)| match &tensor.values {
            Values::F32(values) => values.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>(),
            Values::F64(values) => values.iter().map(|&g| g * g).sum(),
        })
        .sum();
    sum.sqrt()
}

/// The factor that brings a gradient of norm `norm` down to `max_norm`, or 1 where it is already shorter.
pub fn coefficient(norm: f64, max_norm: f64) -> f64 {
    (max_norm / (norm + NORM_OFFSET)).min(1.0)
}

#[cfg(test)]
mod tests {
    use equidrift_backend::weights::HostTensor;

    use super::*;

    #[test]
    fn norm_is_over_all_tensors_of_the_prefix() {
        let gradient = ParameterSet::from([
            ("x.a".to_owned(), HostTensor::f32(vec![2], vec![1.0, 2.0])),
            ("x.b".to_owned(), HostTensor::f64(vec![1], vec![2.0])),
            ("adj.a".to_owned(), HostTensor::f32(vec![1], vec![100.0])),
        ]);
        assert!((global_norm(&gradient, "x.") - 3.0).abs() < 1e-12);
        assert!((global_norm(&gradient, "adj.") - 100.0).abs() < 1e-12);
    }

    #[test]
    fn short_gradients_keep_their_length() {
        assert_eq!(coefficient(0.5, 1.0).to_bits(), 1f64.to_bits());
        assert_eq!(coefficient(0.0, 1.0).to_bits(), 1f64.to_bits());
        assert!((coefficient(4.0, 1.0) - 1.0 / 4.000_001).abs() < 1e-15);
    }
}
