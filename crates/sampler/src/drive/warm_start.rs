use serde::{Deserialize, Serialize};

use crate::error::SamplerError;
use crate::execute::{Executor, Outcome};
use crate::noise::Stream;
use crate::path::{PathConfig, Truncated, start_time};
use crate::plan::{NoiseTerm, Op, Plan, PlanStep, Planner, STATE, Term};
use crate::state::State;

/// Starts a sampler from a draft instead of noise, at a time of choice.
///
/// With `renoise` the draft is noised to level `t_start` first, `x = α y + σ z` (SDEdit); without, it is taken for a state of
/// that level as it is (the receding-horizon and trajectory-refinement papers do so). At `t_start` = 0 the result is the
/// draft. At the latest time of the paths (1 on most) a renoised draft is forgotten altogether: the start is the prior draw
/// of [`State::prior`], so the result is that of plain sampling, bit for bit.
///
/// Use it to refine what a cheap model drafted: an autoregressive rollout, a rule-based graph, last week's sample. Cost: the
/// planner's, with all its steps between `t_start` and its end.
///
/// Pitfall: an error of the draft along a direction in which the data are broad hardly shrinks, see
/// [`contraction`](super::contraction); and noise to a high level forgets the draft's details as well as its errors.
///
/// Source: Meng et al., ICLR 2022 (arXiv 2108.01073) for images; trajectory refinement by a warm start as in Trajectory
/// Diffuser.
///
/// ```
/// use equidrift_sampler::drive::WarmStart;
/// use equidrift_sampler::plan::DpmSolver;
/// use equidrift_sampler::PathConfig;
///
/// let paths = [PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 }];
/// let start = WarmStart { t_start: 0.3, renoise: true };
/// let plan = start.plan(&DpmSolver::default(), &paths, 10).unwrap();
/// assert_eq!((plan.evaluations(), plan.steps[1].time), (10, 0.3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmStart {
    /// The time the sampler starts from, 0 to 1.
    pub t_start: f64,
    /// Whether the draft is noised to the level of `t_start`.
    pub renoise: bool,
}

impl WarmStart {
    /// The plan of `steps` steps of `planner` that starts from a draft. It begins with the renoising, if any.
    ///
    /// # Errors
    /// If `t_start` is not in 0..=1, or the planner refuses: its last time must be before `t_start`.
    pub fn plan(
        &self,
        planner: &dyn Planner,
        paths: &[PathConfig],
        steps: usize,
    ) -> Result<Plan, SamplerError> {
        if !(0.0..=1.0).contains(&self.t_start) {
            let (planner, option, expected) = ("warm start", "t_start", "a time from 0 to 1");
            return Err(SamplerError::Option { planner, option, value: self.t_start, expected });
        }
        let components = paths.len();
        if self.t_start == 0.0 {
            let planner = planner.info().name.to_owned();
            return Ok(Plan { planner, components, registers: 1, given: Vec::new(), steps: Vec::new() });
        }
        let built: Vec<_> = paths.iter().map(PathConfig::build).collect();
        let whole = self.t_start >= start_time(&built);
        let mut plan = if whole {
            planner.plan(paths, steps)?
        } else {
            let entered: Vec<PathConfig> = paths.iter().map(|path| entered_at(path, self.t_start)).collect();
            planner.plan(&entered, steps)?
        };
        if self.renoise {
            let each = |read: &dyn Fn(&dyn crate::path::Path) -> f64| {
                built.iter().map(|path| read(path.as_ref())).collect::<Vec<f64>>()
            };
            let (terms, stream, deviations) = if whole {
                (Vec::new(), Stream::Prior, each(&|path| path.prior_std()))
            } else {
                let coefficients = each(&|path| path.alpha(self.t_start));
                let draft = Term { register: STATE, coefficients };
                (vec![draft], Stream::Renoise, each(&|path| path.sigma(self.t_start)))
            };
            let noise = Some(NoiseTerm { stream, step: 0, coefficients: deviations });
            let ops = vec![Op::Combine { out: STATE, terms, constant: None, noise }];
            plan.steps.insert(0, PlanStep { time: self.t_start, ops });
        }
        Ok(plan)
    }

    /// Refines `draft` with `steps` steps of `planner`; `ids[b]` is the id of row b.
    ///
    /// # Errors
    /// As [`WarmStart::plan`] and [`Executor::run`].
    pub fn run(
        &self,
        executor: &mut Executor<'_>,
        planner: &dyn Planner,
        paths: &[PathConfig],
        steps: usize,
        draft: State,
        ids: &[u64],
    ) -> Result<Outcome, SamplerError> {
        executor.run(&self.plan(planner, paths, steps)?, draft, ids)
    }
}

/// The path entered at `t`.
pub(super) fn entered_at(path: &PathConfig, t: f64) -> PathConfig {
    PathConfig::Truncated(Truncated { path: Box::new(path.clone()), t_max: t })
}
