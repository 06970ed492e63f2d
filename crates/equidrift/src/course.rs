//! How a run gets from noise to data: a plan, or an adaptive sampler that makes its steps on the way.

use equidrift_pard::ReverseStep;
use equidrift_sampler::plan::{AdaptiveConfig, MatchedPrior};
use equidrift_sampler::{Executor, Failure, Outcome, PathConfig, Plan, SamplerError, State};
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
    /// Classes, block by block: the same steps for all blocks.
    Ancestral(Ancestral),
}

/// Steps from the noise to the data of a categorical diffusion, each drawn from the posterior of the predicted classes
/// (Austin et al., "D3PM", NeurIPS 2021).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ancestral {
    /// The times t at which the network is called, falling, and 0.
    pub ancestral: Vec<usize>,
    /// How each step draws classes.
    #[serde(skip_serializing_if = "ReverseStep::is_posterior")]
    pub reverse_step: ReverseStep,
    /// Whether graphs are one block each.
    pub one_block: bool,
}

impl Course {
    /// Name of the sampler.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Plan(plan) => &plan.planner,
            Self::Adaptive { sampler, .. } => sampler.info().name,
            Self::Ancestral(_) => "ancestral",
        }
    }

    /// Number of steps; `None` where every sample has its own.
    #[must_use]
    pub fn steps(&self) -> Option<usize> {
        match self {
            Self::Plan(plan) => Some(plan.steps.len()),
            Self::Ancestral(Ancestral { ancestral, one_block: true, .. }) => Some(ancestral.len() - 1),
            Self::Adaptive { .. } | Self::Ancestral(_) => None,
        }
    }

    /// Network evaluations of a sample; `None` where every sample has its own number.
    #[must_use]
    pub fn evaluations(&self) -> Option<usize> {
        match self {
            Self::Plan(plan) => Some(plan.evaluations()),
            Self::Adaptive { .. } | Self::Ancestral(_) => self.steps(),
        }
    }

    /// Runs `state` to the data; [`Course::Ancestral`], which works on classes, leaves it as it is.
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
                adaptive(sampler, executor, paths, state, ids)
            }
            Self::Ancestral(_) => Ok(Outcome {
                state,
                evaluations: 0,
                row_evaluations: vec![0; ids.len()],
                failures: Vec::new(),
                cancelled: false,
            }),
        }
    }
}

/// Runs a batch of an adaptive sampler. A sample whose tolerance cannot be met is given up as one that diverged; the others
/// need not suffer, and alone they have the same bits.
fn adaptive(
    sampler: &AdaptiveConfig,
    executor: &mut Executor<'_>,
    paths: &[PathConfig],
    state: State,
    ids: &[u64],
) -> Result<Outcome, SamplerError> {
    let planner = sampler.planner();
    let mut sources = planner.sources(paths, ids.len())?;
    match executor.run_sources(&mut sources, planner.registers(), state.clone(), ids) {
        Err(SamplerError::StepSize { .. }) if ids.len() > 1 => {
            let mut whole = Outcome {
                state: state.clone(),
                evaluations: 0,
                row_evaluations: Vec::with_capacity(ids.len()),
                failures: Vec::new(),
                cancelled: false,
            };
            let mut rows = Vec::with_capacity(ids.len());
            for (row, &id) in ids.iter().enumerate() {
                let alone = adaptive(sampler, executor, paths, state.select(&[row]), &[id])?;
                whole.evaluations += alone.evaluations;
                whole.row_evaluations.extend(alone.row_evaluations);
                whole.failures.extend(alone.failures.into_iter().map(|failure| Failure { row, ..failure }));
                whole.cancelled |= alone.cancelled;
                rows.push(alone.state);
            }
            whole.state = State::concat(&rows)?;
            Ok(whole)
        }
        Err(SamplerError::StepSize { .. }) => {
            let zeros = state.to_host()?.into_iter().map(|values| vec![0.0; values.len()]).collect();
            Ok(Outcome {
                state: state.with_values(zeros)?,
                evaluations: 0,
                row_evaluations: vec![0; ids.len()],
                failures: ids.iter().map(|&id| Failure { id, row: 0, step: 0 }).collect(),
                cancelled: false,
            })
        }
        result => result,
    }
}
