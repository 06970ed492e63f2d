//! How much of an error in its starting state a sampler leaves.
//!
//! On data of variance v along some direction (for a conditional law: its conditional variance) the exact prediction is
//! linear, x̂₀ = m + g (x − α m) with g = α v/(α² v + σ²), and an error δ of the starting state x_t comes back as `c δ`:
//!
//! | sampler, exact prediction | c |
//! | --- | --- |
//! | stochastic (ancestral chain, reverse SDE, small steps) | [`posterior`] `α v/(α² v + σ²)` |
//! | deterministic (probability-flow ODE, small steps) | [`flow`] `√(v/(α² v + σ²))` |
//! | any linear plan, as it is | [`of_plan`] |
//!
//! A draft that is noised to level t first is off by α δ there: then c is multiplied by α. c is near 1 unless the data are
//! narrow compared with σ_t: **a short warm start does not repair a draft along broad directions**. Choose the level by
//! these formulas.

use crate::path::{Marginal, Path};
use crate::plan::{Op, Plan, STATE};
use crate::prediction::PredictionKind;

/// The gain of the exact posterior mean: what an exact stochastic sampler leaves of an error of x_t. The ancestral chain
/// of a discrete model leaves exactly this whatever its number of steps, because posteriors of a Gaussian compose.
#[must_use]
pub fn posterior(path: &dyn Path, t: f64, variance: f64) -> f64 {
    let (alpha, sigma) = (path.alpha(t), path.sigma(t));
    alpha * variance / (alpha * alpha * variance + sigma * sigma)
}

/// What the exact probability-flow ODE leaves of an error of x_t.
#[must_use]
pub fn flow(path: &dyn Path, t: f64, variance: f64) -> f64 {
    let (alpha, sigma) = (path.alpha(t), path.sigma(t));
    libm::sqrt(variance / (alpha * alpha * variance + sigma * sigma))
}

/// What `plan` leaves of an error of one component of the state it starts from, for data of this variance: the product of
/// the coefficients of its own operations. `None` if the plan has an operation that is not linear (Langevin) or no such
/// component. Entries that a plan imposes are not errors; the answer is for those it does not.
#[must_use]
pub fn of_plan(plan: &Plan, component: usize, variance: f64) -> Option<f64> {
    if component >= plan.components {
        return None;
    }
    let mut errors = vec![0.0; plan.registers];
    errors[STATE] = 1.0;
    for op in plan.ops() {
        match op {
            Op::Eval { inputs, marginals, outputs, .. } => {
                let input = errors[inputs[component]];
                let m: &Marginal = &marginals[component];
                let gain = m.alpha * variance / (m.alpha * m.alpha * variance + m.sigma * m.sigma);
                for output in outputs {
                    let conversion = PredictionKind::X0.convert(output.want, m);
                    errors[output.into] = (conversion.state + conversion.prediction * gain) * input;
                }
            }
            Op::Combine { out, terms, .. } => {
                errors[*out] =
                    terms.iter().map(|term| term.coefficients[component] * errors[term.register]).sum();
            }
            Op::Impose { .. } | Op::Compare { .. } => {}
            _ => return None,
        }
    }
    Some(errors[STATE])
}
