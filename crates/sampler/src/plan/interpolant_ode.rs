//! The probability-flow ODE of any path in its own time: the sampler of stochastic interpolants and of flow matching.

use serde::{Deserialize, Serialize};

use super::{Plan, PlanBuilder, Planner, PlannerInfo, STATE};
use crate::error::SamplerError;
use crate::grid::TimeGrid;
use crate::path::{PathConfig, linspace, start_time};
use crate::prediction::PredictionKind;

/// `dx/dt = b(t, x)` from the base (t = 1) to the data (t = 0), where b is the velocity `E[∂_t x_t | x_t = x]`.
///
/// - order 1, Euler: `x ← x + h b(s, x)` with h = t − s < 0;
/// - order 2, Heun: `x' = x + h b(s, x)`, `x ← x + h (b(s, x) + b(t, x'))/2`.
///
/// It asks for the velocity alone, so it follows every path, two-ended interpolants included. The samples a two-ended run
/// starts from are samples of the base law, which the caller supplies as the state.
///
/// Cost of n steps: n evaluations with order 1. With order 2 it is 2n, and 2n − 1 where the last step to t = 0 is Euler's.
///
/// Source: Lipman et al., ICLR 2023 (arXiv 2210.02747); Albergo, Boffi & Vanden-Eijnden 2023 (arXiv 2303.08797).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InterpolantOde {
    /// 1 or 2.
    pub order: u8,
    /// Layout of the nodes; grids that are even in λ need paths that end in noise, and `t_end` above 0.
    pub grid: TimeGrid,
    /// First time; default the latest at which all paths can be converted: 1 on two-ended paths, 0.999 for flow
    /// matching, where 1 is right as well if the network predicts velocities or data.
    pub t_start: Option<f64>,
    /// Last time.
    pub t_end: f64,
    /// Whether the network may be evaluated at t = 0 itself. There σ = 0, so this needs a network that predicts velocities.
    /// If not, the last step to t = 0 is Euler's, which leaves the method's order as it is.
    pub evaluate_at_data: bool,
}

impl Default for InterpolantOde {
    fn default() -> Self {
        Self { order: 2, grid: TimeGrid::UniformTime, t_start: None, t_end: 0.0, evaluate_at_data: false }
    }
}

const NAME: &str = "interpolant-ode";

/// The `steps + 1` times of a sampler on any path, decreasing to `t_end`, which may be 0 on grids even in t or √t.
pub(super) fn interpolant_nodes(
    planner: &'static str,
    grid: &TimeGrid,
    paths: &[PathConfig],
    steps: usize,
    t_start: Option<f64>,
    t_end: f64,
) -> Result<Vec<f64>, SamplerError> {
    let built: Vec<_> = paths.iter().map(PathConfig::build).collect();
    let start = t_start.unwrap_or_else(|| start_time(&built));
    if !(start <= 1.0 && start > t_end && t_end >= 0.0) {
        let expected = "0 <= t_end < t_start <= 1";
        return Err(SamplerError::Option { planner, option: "t_end", value: t_end, expected });
    }
    let nodes = |from, to| (0..=steps).map(move |step| linspace(from, to, steps + 1, step));
    match grid {
        TimeGrid::UniformTime => Ok(nodes(start, t_end).collect()),
        TimeGrid::Quadratic => {
            let mut times: Vec<f64> =
                nodes(libm::sqrt(start), libm::sqrt(t_end)).map(|root| root * root).collect();
            (times[0], times[steps]) = (start, t_end);
            Ok(times)
        }
        TimeGrid::Explicit(_) => grid.nodes(paths, steps, start, t_end),
        _ => match built.iter().position(|path| !path.ends_in_noise()) {
            None => grid.nodes(paths, steps, start, t_end),
            Some(component) => Err(SamplerError::UnsupportedPath {
                planner,
                path: paths[component].name(),
                component,
                reason: "a grid that is even in lambda needs a path that ends in noise",
            }),
        },
    }
}

/// The last of [`interpolant_nodes`].
pub(super) fn last_time(grid: &TimeGrid, t_end: f64) -> f64 {
    match grid {
        TimeGrid::Explicit(times) => times.last().copied().unwrap_or(t_end),
        _ => t_end,
    }
}

/// Whether a step to `time` evaluates the network there.
pub(super) fn evaluates(time: f64, at_data: bool) -> bool {
    time > 0.0 || at_data
}

impl Planner for InterpolantOde {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: NAME,
            description: "Euler or Heun steps of dx = b dt on any path: flow matching and stochastic interpolants; deterministic",
            formula: "x' = x + h b(s, x); x <- x + h (b(s, x) + b(t, x'))/2, h = t - s",
            order: "2 (or 1)",
            cost: "2n - 1 (2n if evaluated at the data, or t_end > 0; n for order 1)",
            citation: "Lipman et al., ICLR 2023 (arXiv 2210.02747); Albergo, Boffi & Vanden-Eijnden 2023 (arXiv 2303.08797)",
        }
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        let mut builder = PlanBuilder::any_path(NAME, paths, steps)?;
        if !(1..=2).contains(&self.order) {
            let (option, value, expected) = ("order", f64::from(self.order), "1 or 2");
            return Err(SamplerError::Option { planner: NAME, option, value, expected });
        }
        let nodes = interpolant_nodes(NAME, &self.grid, paths, steps, self.t_start, self.t_end)?;
        let velocity = builder.register();
        let (trial, second) =
            if self.order == 2 { (builder.register(), builder.register()) } else { (STATE, STATE) };
        let ones = vec![1.0; paths.len()];
        for pair in nodes.windows(2) {
            let (s, t) = (pair[0], pair[1]);
            let full = vec![t - s; paths.len()];
            builder.begin_step(s);
            builder.eval_state(s, PredictionKind::Velocity, velocity);
            if self.order == 1 || !evaluates(t, self.evaluate_at_data) {
                builder.combine(STATE, vec![(STATE, ones.clone()), (velocity, full)], None);
                continue;
            }
            let half = vec![0.5 * (t - s); paths.len()];
            builder.combine(trial, vec![(STATE, ones.clone()), (velocity, full)], None);
            builder.eval(t, vec![trial; paths.len()], PredictionKind::Velocity, second);
            let terms = vec![(STATE, ones.clone()), (velocity, half.clone()), (second, half)];
            builder.combine(STATE, terms, None);
        }
        builder.finish()
    }

    fn evaluations(&self, steps: usize, _components: usize) -> usize {
        if self.order == 1 {
            return steps;
        }
        2 * steps - usize::from(!evaluates(last_time(&self.grid, self.t_end), self.evaluate_at_data))
    }
}
