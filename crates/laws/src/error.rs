use equidrift_sampler::{DenoiseError, PredictionKind, SamplerError};

/// Why a law could not be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LawError {
    /// An operation is not linear, so a Gaussian does not stay one.
    #[error("step {step}: operation `{op}` is not linear, so moments have no exact recursion")]
    NotLinear {
        /// Index of the step.
        step: usize,
        /// The operation, printed.
        op: String,
    },
    /// Two counts that must agree do not.
    #[error("{what}: expected {expected}, found {found}")]
    Count {
        /// What was counted.
        what: &'static str,
        /// Expected count.
        expected: usize,
        /// Count found.
        found: usize,
    },
    /// A matrix that must be positive definite is not.
    #[error("the covariance of the data at time {time} is not positive definite")]
    Covariance {
        /// The time.
        time: f64,
    },
    /// A planner breaks a law.
    #[error("{planner}: {what}: expected {expected}, found {found}")]
    Broken {
        /// The planner.
        planner: String,
        /// What was checked.
        what: String,
        /// What the law asks for.
        expected: String,
        /// What the planner does.
        found: String,
    },
    /// A plan could not be written as JSON or read back.
    #[error("a plan could not be written as JSON or read back")]
    Json(#[from] serde_json::Error),
    /// A kind of prediction is not defined between two laws that are both given by samples.
    #[error("{kind:?} is not defined between two laws")]
    NotDefined {
        /// The kind.
        kind: PredictionKind,
    },
    /// The sampler core failed.
    #[error(transparent)]
    Sampler(#[from] SamplerError),
    /// The denoiser failed.
    #[error(transparent)]
    Denoise(#[from] DenoiseError),
}
