//! Plans that are made step by step, hearing how each step went.

use super::PlanStep;
use crate::error::SamplerError;

/// The plan of one sample, step by step. An adaptive method chooses its next step by the error of the last one.
///
/// A run asks one source per sample, so that the steps of a sample never depend on its batch. The steps that the
/// sources of a run give at the same time must be congruent (the same operations with other times, coefficients
/// and draws); a sample whose source has ended leaves the batch.
pub trait PlanSource: Send {
    /// The next step; `None` at the end. `error` is what the last [`super::Op::Compare`] of the previous step measured for
    /// this sample.
    ///
    /// # Errors
    /// If the method cannot go on, for instance because its step size has become too small.
    fn next(&mut self, error: Option<f64>) -> Result<Option<PlanStep>, SamplerError>;
}
