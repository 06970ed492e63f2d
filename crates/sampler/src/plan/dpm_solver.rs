//! DPM-Solver++: exponential multistep integration of the probability-flow ODE in λ, data prediction.

use serde::{Deserialize, Serialize};

use super::heun::{ode_nodes, push_denoise};
use super::{Builder, Plan, Planner, PlannerInfo, STATE};
use crate::error::SamplerError;
use crate::grid::TimeGrid;
use crate::path::PathConfig;
use crate::prediction::PredictionKind;

/// DPM-Solver++ of order 1 (equal to DDIM) or 2 (multistep, "2M").
///
/// With h = λ_t − λ_s: order 1 `x_t = (σ_t/σ_s) x − α_t (e^{−h} − 1) x̂₀(s)`; order 2 replaces x̂₀(s) by
/// `x̂₀(s) + (x̂₀(s) − x̂₀(prev)) h/(2 h_prev)`. The first step has order 1.
///
/// With `denoise` the last of the n steps goes to σ = 0, that is it returns x̂₀; this matters for paths with σ > 0 at
/// t = 0. Without it all n steps are solver steps and the state at `t_end` is returned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpmSolver {
    /// 1 or 2.
    pub order: u8,
    /// Layout of the nodes.
    pub grid: TimeGrid,
    /// Last time; default 1e-3 up to 15 steps, 1e-4 above.
    pub t_end: Option<f64>,
    /// Whether the last step returns x̂₀.
    pub denoise: bool,
    /// Whether the last solver step has order 1, which is steadier with very few steps.
    pub lower_order_final: bool,
}

impl Default for DpmSolver {
    fn default() -> Self {
        Self { order: 2, grid: TimeGrid::UniformLambda, t_end: None, denoise: true, lower_order_final: false }
    }
}

const NAME: &str = "dpm-solver++";

impl Planner for DpmSolver {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: NAME,
            description: "exponential multistep solver of the probability-flow ODE; good samples in 10 to 25 steps",
            formula: "x <- (sigma_t/sigma_s) x - alpha_t (e^{-h} - 1) (x0(s) + (x0(s) - x0(prev)) h/(2 h_prev))",
            order: "2 (or 1)",
            cost: "n",
            citation: "Lu et al. 2022 (arXiv 2211.01095)",
        }
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        let mut builder = Builder::new(NAME, paths, steps)?;
        if !(1..=2).contains(&self.order) {
            let (option, value, expected) = ("order", f64::from(self.order), "1 or 2");
            return Err(SamplerError::Option { planner: NAME, option, value, expected });
        }
        let nodes = ode_nodes(&self.grid, paths, steps, self.t_end, self.denoise)?;
        let intervals = nodes.len() - 1;
        // The last two predictions live in two registers that take turns.
        let history = if intervals > 0 { [builder.register(), builder.register()] } else { [STATE; 2] };
        for (index, pair) in nodes.windows(2).enumerate() {
            let (s, t) = (pair[0], pair[1]);
            let (now, before) = (history[index % 2], history[(index + 1) % 2]);
            builder.begin_step(s);
            builder.eval_state(s, PredictionKind::X0, now);
            let state = builder.each(|path| path.sigma(t) / path.sigma(s));
            let step = |path: &dyn crate::path::Path| path.lambda(t) - path.lambda(s);
            let gain = builder.each(|path| -path.alpha(t) * libm::expm1(-step(path)));
            let first_order =
                self.order == 1 || index == 0 || (self.lower_order_final && index + 1 == intervals);
            if first_order {
                builder.combine(STATE, vec![(STATE, state), (now, gain)], None);
                continue;
            }
            let start = nodes[index - 1];
            let slope = builder.each(|path| 0.5 * step(path) / (path.lambda(s) - path.lambda(start)));
            let current = gain.iter().zip(&slope).map(|(c, r)| c * (1.0 + r)).collect();
            let previous = gain.iter().zip(&slope).map(|(c, r)| -c * r).collect();
            builder.combine(STATE, vec![(STATE, state), (now, current), (before, previous)], None);
        }
        if self.denoise {
            push_denoise(&mut builder, nodes[intervals]);
        }
        builder.finish()
    }

    fn evaluations(&self, steps: usize, _components: usize) -> usize {
        steps
    }
}
