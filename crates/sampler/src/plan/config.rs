use serde::{Deserialize, Serialize};

use super::{
    DpmSolver, EulerMaruyama, Heun, Plan, Planner, PlannerInfo, PredictorCorrector, ReverseDiffusion, S4,
};
use crate::error::SamplerError;
use crate::path::PathConfig;

/// A sampler with its options, as data: `{"name": "predictor-corrector", "snr": 0.2}`. Absent options have their
/// defaults; unknown ones are an error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name")]
#[non_exhaustive]
pub enum SamplerConfig {
    /// [`PredictorCorrector`].
    #[serde(rename = "predictor-corrector")]
    PredictorCorrector(PredictorCorrector),
    /// [`S4`].
    #[serde(rename = "s4")]
    S4(S4),
    /// [`Heun`].
    #[serde(rename = "heun")]
    Heun(Heun),
    /// [`DpmSolver`].
    #[serde(rename = "dpm-solver++")]
    DpmSolver(DpmSolver),
    /// [`EulerMaruyama`].
    #[serde(rename = "euler-maruyama")]
    EulerMaruyama(EulerMaruyama),
    /// [`ReverseDiffusion`].
    #[serde(rename = "reverse-diffusion")]
    ReverseDiffusion(ReverseDiffusion),
}

impl SamplerConfig {
    /// Every sampler with its default options.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![
            Self::PredictorCorrector(PredictorCorrector::default()),
            Self::S4(S4::default()),
            Self::DpmSolver(DpmSolver::default()),
            Self::Heun(Heun::default()),
            Self::EulerMaruyama(EulerMaruyama::default()),
            Self::ReverseDiffusion(ReverseDiffusion::default()),
        ]
    }

    /// The names of all samplers.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        Self::all().iter().map(Self::name).collect()
    }

    /// The sampler of this name with its default options.
    ///
    /// # Errors
    /// [`SamplerError::UnknownSampler`] with the names there are.
    pub fn by_name(name: &str) -> Result<Self, SamplerError> {
        Self::all()
            .into_iter()
            .find(|sampler| sampler.name() == name)
            .ok_or_else(|| SamplerError::UnknownSampler { name: name.to_owned(), known: Self::names() })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.info().name
    }

    /// What it is, its order, cost and source.
    #[must_use]
    pub fn info(&self) -> PlannerInfo {
        self.planner().info()
    }

    /// The planner behind the configuration.
    #[must_use]
    pub fn planner(&self) -> &dyn Planner {
        match self {
            Self::PredictorCorrector(planner) => planner,
            Self::S4(planner) => planner,
            Self::Heun(planner) => planner,
            Self::DpmSolver(planner) => planner,
            Self::EulerMaruyama(planner) => planner,
            Self::ReverseDiffusion(planner) => planner,
        }
    }

    /// The planner, owned.
    #[must_use]
    pub fn build(&self) -> Box<dyn Planner> {
        match self.clone() {
            Self::PredictorCorrector(planner) => Box::new(planner),
            Self::S4(planner) => Box::new(planner),
            Self::Heun(planner) => Box::new(planner),
            Self::DpmSolver(planner) => Box::new(planner),
            Self::EulerMaruyama(planner) => Box::new(planner),
            Self::ReverseDiffusion(planner) => Box::new(planner),
        }
    }

    /// The plan of `steps` steps; see [`Planner::plan`].
    ///
    /// # Errors
    /// As [`Planner::plan`].
    pub fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        self.planner().plan(paths, steps)
    }
}
