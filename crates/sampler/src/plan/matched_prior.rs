//! A start with the moments of the noised data: a transformation of any plan.

use serde::{Deserialize, Serialize};

use super::{Op, Plan, PlanStep, STATE, Term};
use crate::error::SamplerError;
use crate::path::{DataMoments, PathConfig, start_time};

/// Starts a sampler from `N(α m, α² v + σ²)` in place of `N(0, prior²)`: from a prior with the mean and the variance that
/// data of mean m and variance v have at the start time.
///
/// Where a path ends in little noise (VE up to σ = 1 with bond orders up to 3) the prior is far from the noised data
/// ([`PriorMismatch`](crate::path::PriorMismatch) says how far), and a sampler with few steps cannot make up for it. Two
/// numbers per component remove most of that. The noise is the same: `x ← α m + √(α² v + σ²)/prior · x` is the plan's first
/// operation, so what is matched travels with the plan, and its Gaussian moments are those of the recursion.
///
/// What stays different are the correlations and the shape of the noised data. A sampler that forgets its start gains
/// nothing. Cost: none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchedPrior {
    /// Mean of the noised data, one per component.
    pub mean: Vec<f64>,
    /// Their standard deviation over the prior's.
    pub ratio: Vec<f64>,
}

impl MatchedPrior {
    /// The prior for data with these moments, one per component.
    ///
    /// # Errors
    /// [`SamplerError::Count`] if there is not one path per component; [`SamplerError::UnsupportedPath`] for a path that does
    /// not end in noise.
    pub fn new(paths: &[PathConfig], data: &[DataMoments]) -> Result<Self, SamplerError> {
        if paths.len() != data.len() {
            let (expected, found) = (paths.len(), data.len());
            return Err(SamplerError::Count { what: "moments of the data", expected, found });
        }
        let paths: Vec<_> = paths.iter().map(PathConfig::build).collect();
        if let Some(component) = paths.iter().position(|path| !path.ends_in_noise()) {
            return Err(SamplerError::UnsupportedPath {
                planner: "matched prior",
                path: paths[component].name(),
                component,
                reason: "it ends in samples of another law, which are the start",
            });
        }
        let time = start_time(&paths);
        let both = || paths.iter().zip(data);
        let mean = both().map(|(path, data)| path.alpha(time) * data.mean).collect();
        let ratio = both().map(|(path, data)| {
            let deviation = path.alpha(time) * libm::sqrt(data.variance);
            libm::hypot(deviation, path.sigma(time)) / path.prior_std()
        });
        Ok(Self { mean, ratio: ratio.collect() })
    }

    /// The plan that starts from this prior and goes on as `plan`.
    ///
    /// # Errors
    /// [`SamplerError::Count`] for a plan with another number of components.
    pub fn apply(&self, mut plan: Plan) -> Result<Plan, SamplerError> {
        let (expected, found) = (plan.components, self.mean.len());
        if expected != found || self.ratio.len() != found {
            return Err(SamplerError::Count { what: "components of the matched prior", expected, found });
        }
        let start = Op::Combine {
            out: STATE,
            terms: vec![Term { register: STATE, coefficients: self.ratio.clone() }],
            constant: Some(self.mean.clone()),
            noise: None,
        };
        match plan.steps.first_mut() {
            Some(first) => first.ops.insert(0, start),
            None => plan.steps.push(PlanStep { time: 1.0, ops: vec![start] }),
        }
        Ok(plan)
    }
}
