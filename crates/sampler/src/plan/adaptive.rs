//! Adaptive samplers by name: methods that choose their steps while they run.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{DormandPrince, DpmSolverAdaptive, PlanSource, PlannerInfo};
use crate::error::SamplerError;
use crate::path::PathConfig;

/// An adaptive method: instead of a plan for all samples it gives each sample a [`PlanSource`], which hears the error of
/// its own steps and of nothing else. So neither the sample nor its cost depends on the batch.
pub trait AdaptivePlanner: fmt::Debug + Send + Sync {
    /// Name, order, cost and source.
    fn info(&self) -> PlannerInfo;

    /// Number of registers its sources work on.
    fn registers(&self) -> usize;

    /// The source of one sample whose components have these paths.
    ///
    /// # Errors
    /// If an option is out of range or a path is not supported.
    fn source(&self, paths: &[PathConfig]) -> Result<Box<dyn PlanSource>, SamplerError>;

    /// One source for each of `rows` samples, for [`Executor::run_sources`](crate::Executor::run_sources).
    ///
    /// # Errors
    /// As [`AdaptivePlanner::source`].
    fn sources(&self, paths: &[PathConfig], rows: usize) -> Result<Vec<Box<dyn PlanSource>>, SamplerError> {
        (0..rows).map(|_| self.source(paths)).collect()
    }
}

/// An adaptive sampler with its options, as data: `{"name": "dormand-prince", "rtol": 1e-6}`. Absent options have their
/// defaults; unknown ones are an error.
///
/// ```
/// use equidrift_sampler::plan::{AdaptiveConfig, AdaptivePlanner};
/// use equidrift_sampler::PathConfig;
///
/// let sampler = AdaptiveConfig::by_name("dormand-prince")?;
/// let paths = [PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 }];
/// let sources = sampler.planner().sources(&paths, 16)?;
/// assert_eq!(sources.len(), 16);
/// # Ok::<(), equidrift_sampler::SamplerError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name")]
#[non_exhaustive]
pub enum AdaptiveConfig {
    /// [`DpmSolverAdaptive`].
    #[serde(rename = "dpm-solver-adaptive")]
    DpmSolverAdaptive(DpmSolverAdaptive),
    /// [`DormandPrince`].
    #[serde(rename = "dormand-prince")]
    DormandPrince(DormandPrince),
}

impl AdaptiveConfig {
    /// Every adaptive sampler with its default options.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![
            Self::DpmSolverAdaptive(DpmSolverAdaptive::default()),
            Self::DormandPrince(DormandPrince::default()),
        ]
    }

    /// The names of all adaptive samplers.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        Self::all().iter().map(|sampler| sampler.info().name).collect()
    }

    /// The adaptive sampler of this name with its default options.
    ///
    /// # Errors
    /// [`SamplerError::UnknownSampler`] with the names there are.
    pub fn by_name(name: &str) -> Result<Self, SamplerError> {
        Self::all()
            .into_iter()
            .find(|sampler| sampler.info().name == name)
            .ok_or_else(|| SamplerError::UnknownSampler { name: name.to_owned(), known: Self::names() })
    }

    /// The same method with this relative and absolute tolerance.
    #[must_use]
    pub fn with_tolerance(&self, tolerance: f64) -> Self {
        let (rtol, atol) = (tolerance, tolerance);
        match self.clone() {
            Self::DpmSolverAdaptive(planner) => {
                Self::DpmSolverAdaptive(DpmSolverAdaptive { rtol, atol, ..planner })
            }
            Self::DormandPrince(planner) => Self::DormandPrince(DormandPrince { rtol, atol, ..planner }),
        }
    }

    /// The method behind the configuration.
    #[must_use]
    pub fn planner(&self) -> &dyn AdaptivePlanner {
        match self {
            Self::DpmSolverAdaptive(planner) => planner,
            Self::DormandPrince(planner) => planner,
        }
    }

    /// What it is, its order, cost and source.
    #[must_use]
    pub fn info(&self) -> PlannerInfo {
        self.planner().info()
    }
}
