//! Sampling with known entries, by replacement: a transformation of any plan.

use serde::{Deserialize, Serialize};

use super::{NoiseTerm, Op, Plan, PlanStep, Register, STATE};
use crate::error::SamplerError;
use crate::noise::Stream;
use crate::path::Marginal;
use crate::state::State;
use crate::support::{Layout, mirror};

/// The noise known entries are replaced with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObservationNoise {
    /// New noise at every replacement, as published.
    #[default]
    Fresh,
    /// The same noise at every replacement: the known entries then move along the one line α y + σ z, which suits
    /// deterministic solvers.
    Same,
}

/// Inpainting by replacement (Song et al. 2021, appendix I.2): the known entries of the state are set to `α y + σ z`, the
/// noised observations y at the level of the state, after every update of the state by a predictor or a corrector and
/// before the first evaluation. The last replacement, after the last update, is y itself.
///
/// The method is not exact: the free entries are moved by the score of the joint law at noised known entries, which is
/// not the score of the conditional law. Correctors at every level (`predictor-corrector` with several `n_steps`) bring
/// the result closer to the conditional law; see the measured biases in this project's laboratory page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Inpainting {
    /// The noise of the replacements.
    pub noise: ObservationNoise,
}

/// What becomes of the state after an operation.
enum Next<'p> {
    /// It is evaluated, at the level of these marginals.
    Evaluated(&'p [Marginal]),
    /// It is changed again before any evaluation.
    Changed,
    /// It is returned.
    Returned,
}

impl Inpainting {
    /// The plan that does what `plan` does and holds the known entries. It has two more given registers, the last two of
    /// [`Plan::given`]: observations and mask; [`Observation::given`] fills them.
    ///
    /// Cost: one elementwise operation and one draw of noise per update of the state; no evaluation.
    ///
    /// # Errors
    /// [`SamplerError::UnsupportedPath`] if the plan evaluates a two-ended path, where the law of the known entries at a
    /// level depends on their base samples; [`SamplerError::InvalidPlan`] if the plan itself is not valid.
    pub fn apply(&self, plan: &Plan) -> Result<Plan, SamplerError> {
        plan.validate()?;
        let (observed, mask) = (plan.registers, plan.registers + 1);
        // From the last operation to the first, what becomes of the state after each.
        let mut next = Next::Returned;
        let mut steps: Vec<PlanStep> = Vec::with_capacity(plan.steps.len());
        for step in plan.steps.iter().rev() {
            let mut ops = Vec::with_capacity(step.ops.len());
            for op in step.ops.iter().rev() {
                if writes_state(op) {
                    ops.extend(impose(&next, plan.components, observed, mask));
                    next = Next::Changed;
                }
                if let Op::Eval { inputs, marginals, .. } = op
                    && inputs.contains(&STATE)
                {
                    check(marginals)?;
                    next = Next::Evaluated(marginals);
                }
                ops.push(op.clone());
            }
            ops.reverse();
            steps.push(PlanStep { time: step.time, ops });
        }
        steps.reverse();
        if let Some(first) = steps.first_mut() {
            first.ops.splice(0..0, impose(&next, plan.components, observed, mask));
        }
        if self.noise == ObservationNoise::Fresh {
            let added = steps.iter_mut().flat_map(|step| &mut step.ops).filter_map(|op| match op {
                Op::Impose { observed: from, noise, .. } if *from == observed => Some(noise),
                _ => None,
            });
            for (index, noise) in added.enumerate() {
                noise.step = index as u32;
            }
        }
        let given = plan.given.iter().copied().chain([observed, mask]).collect();
        let (planner, components) = (plan.planner.clone(), plan.components);
        Ok(Plan { planner, components, registers: plan.registers + 2, given, steps })
    }
}

fn writes_state(op: &Op) -> bool {
    match op {
        Op::Eval { outputs, .. } => outputs.iter().any(|output| output.into == STATE),
        Op::Combine { out, .. } | Op::Langevin { out, .. } => *out == STATE,
        Op::Threshold { register, .. } | Op::Impose { register, .. } => *register == STATE,
        Op::Compare { .. } => false,
    }
}

fn check(marginals: &[Marginal]) -> Result<(), SamplerError> {
    match marginals.iter().position(Marginal::is_two_ended) {
        None => Ok(()),
        Some(component) => Err(SamplerError::UnsupportedPath {
            planner: "inpainting",
            path: "two-ended",
            component,
            reason: "the level of known entries depends on their base samples",
        }),
    }
}

/// The replacement at the level the state has reached; none where it is changed again first.
fn impose(next: &Next<'_>, components: usize, observed: Register, mask: Register) -> Option<Op> {
    let (alpha, coefficients) = match next {
        Next::Changed => return None,
        Next::Returned => (vec![1.0; components], vec![0.0; components]),
        Next::Evaluated(marginals) => {
            marginals.iter().map(|marginal| (marginal.alpha, marginal.sigma)).unzip()
        }
    };
    let noise = NoiseTerm { stream: Stream::Observation, step: 0, coefficients };
    Some(Op::Impose { register: STATE, observed, mask, alpha, noise })
}

/// Known entries of a batch of samples, for plans made by [`Inpainting::apply`].
#[derive(Clone, Debug)]
pub struct Observation {
    /// The known values; 0 elsewhere.
    pub observed: State,
    /// 1 where an entry is known, 0 where not.
    pub mask: State,
}

impl Observation {
    /// The entries of `values` for which `known(component, row, entry)` says so; `entry` counts along a row, and the two
    /// entries of an unordered pair are asked for once, as i·N + j with i < j. What the other entries hold does not
    /// matter.
    ///
    /// # Errors
    /// If the values cannot be read.
    pub fn new(values: &State, known: impl Fn(usize, usize, usize) -> bool) -> Result<Self, SamplerError> {
        let (mut observed, mut masks) = (Vec::new(), Vec::new());
        for (index, (component, host)) in values.components.iter().zip(values.to_host()?).enumerate() {
            let support = &component.support;
            let width = support.width().max(1);
            let (mut kept, mut mask) = (vec![0.0; host.len()], vec![0.0; host.len()]);
            for (row, (kept, mask)) in
                kept.chunks_exact_mut(width).zip(mask.chunks_exact_mut(width)).enumerate()
            {
                let host = &host[row * width..][..width];
                support.for_each_coordinate(row, |entry, _| {
                    if known(index, row, entry) {
                        (kept[entry], mask[entry]) = (host[entry], 1.0);
                    }
                });
                if let Layout::SymmetricPairs { nodes } = support.layout() {
                    mirror(kept, nodes);
                    mirror(mask, nodes);
                }
            }
            observed.push(kept);
            masks.push(mask);
        }
        Ok(Self { observed: values.with_values(observed)?, mask: values.with_values(masks)? })
    }

    /// The given registers of a plan made by [`Inpainting::apply`], for [`crate::Executor::with_given`].
    ///
    /// # Errors
    /// [`SamplerError::Count`] if the plan has no given registers for observations and mask.
    pub fn given(&self, plan: &Plan) -> Result<Vec<(Register, State)>, SamplerError> {
        match plan.given[..] {
            [.., observed, mask] => Ok(vec![(observed, self.observed.clone()), (mask, self.mask.clone())]),
            _ => {
                let (what, found) = ("given registers of an inpainting plan", plan.given.len());
                Err(SamplerError::Count { what, expected: 2, found })
            }
        }
    }
}
