use crate::error::SamplerError;

/// A number of network evaluations that one sample may use. It is asked before every evaluation and refuses what does not
/// fit, so it cannot be exceeded.
///
/// ```
/// use equidrift_sampler::drive::Budget;
///
/// let mut budget = Budget::new(10);
/// budget.spend(7).unwrap();
/// assert!(budget.spend(4).is_err());
/// assert_eq!((budget.used(), budget.remaining()), (7, 3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    limit: usize,
    used: usize,
}

impl Budget {
    /// A budget of `limit` evaluations.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, used: 0 }
    }

    /// Takes `evaluations` out of it, or nothing.
    ///
    /// # Errors
    /// [`SamplerError::Budget`] if they do not fit.
    pub fn spend(&mut self, evaluations: usize) -> Result<(), SamplerError> {
        if evaluations > self.remaining() {
            return Err(SamplerError::Budget { limit: self.limit, used: self.used, asked: evaluations });
        }
        self.used += evaluations;
        Ok(())
    }

    /// Evaluations made.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used
    }

    /// Evaluations left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.limit - self.used
    }
}
