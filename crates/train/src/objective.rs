//! What a model family supplies to be trained: losses and a gradient for a list of examples.

use equidrift_backend::weights::ParameterSet;

use crate::error::TrainError;

/// One evaluation of an [`Objective`].
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// Mean over the examples of each loss, in the order of [`Objective::losses`].
    pub losses: Vec<f64>,
    /// Gradient of the sum of the losses by parameter name. A parameter that no loss depends on has **no entry**.
    pub gradient: ParameterSet,
}

/// A loss over a fixed training set.
///
/// All randomness (noise, times, dropped entries) must be a pure function of a seed, `epoch` and the example, never of
/// call order: that is what lets a resumed run give the same weights as an uninterrupted one.
pub trait Objective {
    /// Names of the losses, e.g. `["x", "adj"]`.
    fn losses(&self) -> &[&'static str];

    /// Number of training examples.
    fn examples(&self) -> usize;

    /// Losses and gradient at `parameters` for the examples with these indices (each below
    /// [`Objective::examples`]), in epoch `epoch`, counted from 0.
    ///
    /// # Errors
    /// Whatever keeps the model from being evaluated, as [`TrainError::Objective`].
    fn evaluate(
        &mut self,
        parameters: &ParameterSet,
        examples: &[usize],
        epoch: u64,
    ) -> Result<Evaluation, TrainError>;

    /// The losses of [`Objective::evaluate`] without the gradient, for validation. An objective that can do without the
    /// backward pass should; by default the gradient is computed and dropped.
    ///
    /// # Errors
    /// As [`Objective::evaluate`].
    fn evaluate_losses(
        &mut self,
        parameters: &ParameterSet,
        examples: &[usize],
        epoch: u64,
    ) -> Result<Vec<f64>, TrainError> {
        Ok(self.evaluate(parameters, examples, epoch)?.losses)
    }
}
