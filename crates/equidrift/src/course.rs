//! How a run gets from noise to data: a plan, or an adaptive sampler that makes its steps on the way.

use equidrift_sampler::plan::{AdaptiveConfig, MatchedPrior};
use equidrift_sampler::{Executor, Outcome, PathConfig, Plan, SamplerError, State};
use serde::Serialize;

/// The course of a run; as JSON, what tells one from another.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Course {
    /// The same steps for all samples.
    Plan(Plan),
    /// Steps by the error of each sample.
    Adaptive {
        /// The method with its options.
        sampler: AdaptiveConfig,
        /// The start, where it is not the plain prior.
        start: Option<MatchedPrior>,
    },
}

impl Course {
    /// Name of the sampler.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Plan(plan) => &plan.planner,
            Self::Adaptive { sampler, .. } => sampler.info().name,
        }
    }

    /// Number of steps; `None` where every sample has its own.
    #[must_use]
    pub fn steps(&self) -> Option<usize> {
        match self {
            Self::Plan(plan) => Some(plan.steps.len()),
            Self::Adaptive { .. } => None,
        }
    }

    /// Network evaluations of a sample; `None` where every sample has its own number.
    #[must_use]
    pub fn evaluations(&self) -> Option<usize> {
        match self {
            Self::Plan(plan) => Some(plan.evaluations()),
            Self::Adaptive { .. } => None,
        }
    }

    /// Runs `state` to the data.
    ///
    /// # Errors
    /// As [`Executor::run`] and [`Executor::run_sources`].
    pub fn run(
        &self,
        executor: &mut Executor<'_>,
        paths: &[PathConfig],
        mut state: State,
        ids: &[u64],
    ) -> Result<Outcome, SamplerError> {
        match self {
            Self::Plan(plan) => executor.run(plan, state, ids),
            Self::Adaptive { sampler, start } => {
                if let Some(start) = start {
                    let (planner, components) = (sampler.info().name.to_owned(), paths.len());
                    let nothing =
                        Plan { planner, components, registers: 1, given: Vec::new(), steps: Vec::new() };
                    state = executor.run(&start.apply(nothing)?, state, ids)?.state;
                }
                let planner = sampler.planner();
                let mut sources = planner.sources(paths, ids.len())?;
                executor.run_sources(&mut sources, planner.registers(), state, ids)
            }
        }
    }
}
