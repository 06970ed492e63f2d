//! Denoisers whose predictions can be differentiated with respect to the state.

use std::sync::Arc;

use burn::tensor::Tensor;

use crate::denoiser::{Counted, DenoiseError, Denoiser};
use crate::state::State;

/// What [`VectorJacobian::vjp`] gives: the predictions, then the gradients.
pub type PredictionsAndGradients = (Vec<Tensor<2>>, Vec<Tensor<2>>);

/// A denoiser with vector–Jacobian products: what likelihoods and gradient guidance need of a network.
///
/// Everything is counted in free coordinates of the supports. With p the predictions (one entry per kind, so C·H of them
/// for H heads) and x the state, a product with the cotangents c is
///
/// ```text
/// gradient[a][k] = Σ_b Σ_l cotangent[b][l] ∂p_b[l]/∂x_a[k],
/// ```
///
/// where k and l run over free coordinates. A symmetric pair is one coordinate: both its entries hold the same cotangent
/// and the same gradient, and it is summed once, so that [`Support::dot`](crate::Support::dot) of a cotangent with a
/// gradient is the bilinear form. Gradients are zero outside the supports.
pub trait VectorJacobian: Denoiser {
    /// The predictions at `state`, and the product of `cotangents` (one `[B, D]` per prediction) with their Jacobian: one
    /// gradient `[B, D]` per component of the state, in its dtype. Row b of both depends on row b of the arguments only.
    ///
    /// Cost: a forward and a backward pass of the network, about three evaluations.
    ///
    /// # Errors
    /// As [`Denoiser::predict`].
    fn vjp(
        &self,
        state: &State,
        times: &[f64],
        cotangents: &[Tensor<2>],
    ) -> Result<PredictionsAndGradients, DenoiseError>;
}

impl<D: VectorJacobian + ?Sized> VectorJacobian for &D {
    fn vjp(
        &self,
        state: &State,
        times: &[f64],
        cotangents: &[Tensor<2>],
    ) -> Result<PredictionsAndGradients, DenoiseError> {
        (**self).vjp(state, times, cotangents)
    }
}

impl<D: VectorJacobian + ?Sized> VectorJacobian for Arc<D> {
    fn vjp(
        &self,
        state: &State,
        times: &[f64],
        cotangents: &[Tensor<2>],
    ) -> Result<PredictionsAndGradients, DenoiseError> {
        (**self).vjp(state, times, cotangents)
    }
}

/// A product counts as one evaluation.
impl<D: VectorJacobian> VectorJacobian for Counted<D> {
    fn vjp(
        &self,
        state: &State,
        times: &[f64],
        cotangents: &[Tensor<2>],
    ) -> Result<PredictionsAndGradients, DenoiseError> {
        self.count(times.len());
        self.inner().vjp(state, times, cotangents)
    }
}
