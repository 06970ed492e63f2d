//! Heun's method on the probability-flow ODE, in the coordinates of Karras et al., and their stochastic sampler.

use serde::{Deserialize, Serialize};

use super::ode::{ode_nodes, push_denoise};
use super::{NoiseTerm, Plan, PlanBuilder, Planner, PlannerInfo, Register, STATE};
use crate::error::SamplerError;
use crate::grid::{Clock, TimeGrid};
use crate::noise::Stream;
use crate::path::PathConfig;
use crate::prediction::PredictionKind;

/// The EDM sampler for any Gaussian path; deterministic unless `s_churn` is above 0.
///
/// In z = x/α and ς = σ/α the probability-flow ODE is `dz/dς = ε̂`, and Heun's step from s to t is
/// `z' = z + (ς_t − ς_s) ε̂(s)`, `z_t = z + (ς_t − ς_s)(ε̂(s) + ε̂'(t))/2`.
///
/// With `s_churn` above 0 this is algorithm 2 of Karras et al. 2022: where `s_min ≤ ς_s ≤ s_max` a step is preceded by
/// fresh noise that raises its level to `ς̂ = (1 + γ) ς_s`, `γ = min(s_churn/n, √2 − 1)`, that is
/// `z ← z + s_noise √(ς̂² − ς_s²) ξ`; Heun's step then starts from ς̂. Levels above the start of the path do not exist
/// for the network, so ς̂ stops there: the first step is never churned, nor is the final denoising. A step that is not
/// churned adds noise of deviation 0, so that rows which enter the path at different levels have congruent plans. Components with
/// different paths share the time of their raised level; γ and the window then refer to the mean of their ln ς.
///
/// With `denoise` the last of the n steps is an Euler step to ς = 0, which returns x̂₀ and costs one evaluation; this
/// matters for paths with σ > 0 at t = 0. Without it all n steps are Heun steps and the state at `t_end` is returned.
///
/// Order: 2 without churn. Cost of n steps: 2n − 1 evaluations, 2n without `denoise`.
///
/// Source: Karras et al., NeurIPS 2022 (arXiv 2206.00364), algorithms 1 and 2.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Heun {
    /// Layout of the nodes.
    pub grid: TimeGrid,
    /// Last time; default 1e-3 up to 15 steps, 1e-4 above.
    pub t_end: Option<f64>,
    /// Whether the last step returns x̂₀.
    pub denoise: bool,
    /// Amount of fresh noise over the whole run, S_churn; 0 for none.
    #[serde(skip_serializing_if = "is_zero")]
    pub s_churn: f64,
    /// Lowest level ς that is churned.
    #[serde(skip_serializing_if = "is_zero")]
    pub s_min: f64,
    /// Highest level ς that is churned; absent for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s_max: Option<f64>,
    /// Factor on the fresh noise; a little above 1 makes up for what a network removes too much.
    #[serde(skip_serializing_if = "is_one")]
    pub s_noise: f64,
}

// Serde hands the fields over by reference.
#[expect(clippy::trivially_copy_pass_by_ref)]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

#[expect(clippy::trivially_copy_pass_by_ref)]
fn is_one(value: &f64) -> bool {
    *value == 1.0
}

impl Default for Heun {
    fn default() -> Self {
        Self {
            grid: TimeGrid::UniformLambda,
            t_end: None,
            denoise: true,
            s_churn: 0.0,
            s_min: 0.0,
            s_max: None,
            s_noise: 1.0,
        }
    }
}

const NAME: &str = "heun";

/// Heun's step from s to t. `registers` hold ε̂(s), made already, ε̂'(t) and the trial state.
pub(super) fn push_step(builder: &mut PlanBuilder, (s, t): (f64, f64), registers: [Register; 3]) {
    let [noise_s, noise_t, trial] = registers;
    let ratio = builder.each(|path| libm::exp(path.log_alpha(t) - path.log_alpha(s)));
    let full = builder.each(|path| path.alpha(t) * (libm::exp(-path.lambda(t)) - libm::exp(-path.lambda(s))));
    let half: Vec<f64> = full.iter().map(|c| 0.5 * c).collect();
    builder.combine(trial, vec![(STATE, ratio.clone()), (noise_s, full)], None);
    let inputs = vec![trial; builder.components()];
    builder.eval(t, inputs, PredictionKind::Noise, noise_t);
    builder.combine(STATE, vec![(STATE, ratio), (noise_s, half.clone()), (noise_t, half)], None);
}

impl Heun {
    fn check(&self) -> Result<(), SamplerError> {
        let options = [("s_churn", self.s_churn), ("s_min", self.s_min), ("s_noise", self.s_noise)];
        let given = options.into_iter().chain(self.s_max.map(|value| ("s_max", value)));
        for (option, value) in given {
            if !(value.is_finite() && value >= 0.0) {
                let expected = "a finite number, 0 or above";
                return Err(SamplerError::Option { planner: NAME, option, value, expected });
            }
        }
        Ok(())
    }

    /// The time of the raised level; s where the step is not churned.
    fn raised_time(&self, clock: &Clock, s: f64, start: f64, steps: usize) -> f64 {
        let gamma = (self.s_churn / steps as f64).min(std::f64::consts::SQRT_2 - 1.0);
        let lambda = clock.lambda(s);
        let level = libm::exp(-lambda);
        let inside = level >= self.s_min && self.s_max.is_none_or(|max| level <= max);
        if !inside || gamma <= 0.0 {
            return s;
        }
        clock.inverse_lambda(lambda - libm::log1p(gamma)).min(start).max(s)
    }

    /// Fresh noise that takes the state from its marginal at s to that at the later time `raised`.
    fn push_churn(&self, builder: &mut PlanBuilder, s: f64, raised: f64, step: u32) {
        let ratio = builder.each(|path| libm::exp(path.log_alpha(raised) - path.log_alpha(s)));
        let coefficients = builder.each(|path| {
            // ς̂² − ς² = ς̂² (1 − e^{−2(λ_s − λ̂)}).
            let h = path.lambda(s) - path.lambda(raised);
            self.s_noise * path.sigma(raised) * libm::sqrt(-libm::expm1(-2.0 * h))
        });
        let noise = NoiseTerm { stream: Stream::Churn, step, coefficients };
        builder.combine(STATE, vec![(STATE, ratio)], Some(noise));
    }
}

impl Planner for Heun {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: NAME,
            description: "Heun's method on the probability-flow ODE in z = x/alpha, sigma/alpha (EDM); optional churn",
            formula: "z' = z + d e(s); z <- z + d (e(s) + e'(t))/2, d = sigma_t/alpha_t - sigma_s/alpha_s",
            order: "2 (without s_churn)",
            cost: "2n - 1 (2n without final denoising)",
            citation: "Karras et al., NeurIPS 2022 (arXiv 2206.00364), algorithms 1 and 2",
        }
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        let mut builder = PlanBuilder::new(NAME, paths, steps)?;
        self.check()?;
        let nodes = ode_nodes(&self.grid, paths, steps, self.t_end, self.denoise)?;
        let clock = Clock::new(paths);
        if nodes.len() > 1 {
            let (noise_s, noise_t, trial) = (builder.register(), builder.register(), builder.register());
            for (index, pair) in nodes.windows(2).enumerate() {
                let (node, t) = (pair[0], pair[1]);
                builder.begin_step(node);
                let s = self.raised_time(&clock, node, nodes[0], steps);
                if self.s_churn > 0.0 {
                    self.push_churn(&mut builder, node, s, index as u32);
                }
                builder.eval_state(s, PredictionKind::Noise, noise_s);
                push_step(&mut builder, (s, t), [noise_s, noise_t, trial]);
            }
        }
        if self.denoise {
            push_denoise(&mut builder, nodes[nodes.len() - 1]);
        }
        builder.finish()
    }

    fn evaluations(&self, steps: usize, _components: usize) -> usize {
        2 * steps - usize::from(self.denoise)
    }
}
