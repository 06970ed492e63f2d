//! Heun's method on the probability-flow ODE, in the coordinates of Karras et al.

use serde::{Deserialize, Serialize};

use super::{Builder, Plan, Planner, PlannerInfo, STATE, end_time};
use crate::error::SamplerError;
use crate::grid::TimeGrid;
use crate::path::PathConfig;
use crate::prediction::PredictionKind;

/// The deterministic EDM sampler for any Gaussian path.
///
/// In z = x/α and ς = σ/α the probability-flow ODE is `dz/dς = ε̂`, and Heun's step from s to t is
/// `z' = z + (ς_t − ς_s) ε̂(s)`, `z_t = z + (ς_t − ς_s)(ε̂(s) + ε̂'(t))/2`.
///
/// With `denoise` the last of the n steps is an Euler step to ς = 0, which returns x̂₀ and costs one evaluation; this
/// matters for paths with σ > 0 at t = 0. Without it all n steps are Heun steps and the state at `t_end` is returned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Heun {
    /// Layout of the nodes.
    pub grid: TimeGrid,
    /// Last time; default 1e-3 up to 15 steps, 1e-4 above.
    pub t_end: Option<f64>,
    /// Whether the last step returns x̂₀.
    pub denoise: bool,
}

impl Default for Heun {
    fn default() -> Self {
        Self { grid: TimeGrid::UniformLambda, t_end: None, denoise: true }
    }
}

const NAME: &str = "heun";

/// The nodes of an ODE solver of `steps` steps, the last of which may be the final denoising.
pub(super) fn ode_nodes(
    grid: &TimeGrid,
    paths: &[PathConfig],
    steps: usize,
    t_end: Option<f64>,
    denoise: bool,
) -> Result<Vec<f64>, SamplerError> {
    let intervals = steps - usize::from(denoise);
    if intervals == 0 {
        return Ok(vec![1.0]);
    }
    grid.nodes(paths, intervals, 1.0, end_time(t_end, steps))
}

/// The step to σ = 0: the state becomes x̂₀ at `time`.
pub(super) fn push_denoise(builder: &mut Builder, time: f64) {
    let ones = vec![1.0; builder.components()];
    let x0 = builder.register();
    builder.begin_step(time);
    builder.eval_state(time, PredictionKind::X0, x0);
    builder.combine(STATE, vec![(x0, ones)], None);
}

impl Planner for Heun {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: NAME,
            description: "Heun's method on the probability-flow ODE in z = x/alpha, sigma/alpha (EDM); deterministic",
            formula: "z' = z + d e(s); z <- z + d (e(s) + e'(t))/2, d = sigma_t/alpha_t - sigma_s/alpha_s",
            order: "2",
            cost: "2n - 1 (2n without final denoising)",
            citation: "Karras et al., NeurIPS 2022 (arXiv 2206.00364)",
        }
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        let mut builder = Builder::new(NAME, paths, steps)?;
        let nodes = ode_nodes(&self.grid, paths, steps, self.t_end, self.denoise)?;
        if nodes.len() > 1 {
            let (noise_s, noise_t, trial) = (builder.register(), builder.register(), builder.register());
            for pair in nodes.windows(2) {
                let (s, t) = (pair[0], pair[1]);
                builder.begin_step(s);
                builder.eval_state(s, PredictionKind::Noise, noise_s);
                let ratio = builder.each(|path| libm::exp(path.log_alpha(t) - path.log_alpha(s)));
                let full = builder
                    .each(|path| path.alpha(t) * (libm::exp(-path.lambda(t)) - libm::exp(-path.lambda(s))));
                let half: Vec<f64> = full.iter().map(|c| 0.5 * c).collect();
                builder.combine(trial, vec![(STATE, ratio.clone()), (noise_s, full)], None);
                builder.eval(t, vec![trial; paths.len()], PredictionKind::Noise, noise_t);
                builder.combine(STATE, vec![(STATE, ratio), (noise_s, half.clone()), (noise_t, half)], None);
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
