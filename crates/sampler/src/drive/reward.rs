use crate::error::SamplerError;
use crate::state::State;

/// What particles are chosen by: one number per row of clean states x̂₀, larger is better. It needs no derivative. A NaN
/// counts as the worst.
///
/// During a run it is asked about *expected* data x̂₀(x_t), which early on are blurred; a reward that only makes sense on
/// finished samples (validity of a molecule) says little there.
///
/// Pitfall: whatever the reward does not see is free to go wrong. Always report a metric that did not take part, and
/// diversity.
pub trait Reward {
    /// The rewards of the rows of `clean`.
    ///
    /// # Errors
    /// If it cannot be computed ([`SamplerError::Caller`]).
    fn rewards(&self, clean: &State) -> Result<Vec<f64>, SamplerError>;
}

impl<F: Fn(&State) -> Result<Vec<f64>, SamplerError>> Reward for F {
    fn rewards(&self, clean: &State) -> Result<Vec<f64>, SamplerError> {
        self(clean)
    }
}

/// The samples a search has chosen.
#[derive(Clone, Debug)]
pub struct Selected {
    /// The clean states chosen, one row per sample.
    pub state: State,
    /// Their rewards.
    pub rewards: Vec<f64>,
    /// Network evaluations each sample has used.
    pub evaluations: Vec<usize>,
    /// Whether the run was cancelled; the samples are then the best so far.
    pub cancelled: bool,
}
