//! DPM-Solver: exponential integration of the probability-flow ODE in λ, noise prediction.

use serde::{Deserialize, Serialize};

use super::dpm_method::{DpmMethod, ThirdOrder, check_order};
use super::exponential::{Form, Integrator, Layout, Multistep};
use super::{Plan, PlanBuilder, Planner, PlannerInfo};
use crate::error::SamplerError;
use crate::grid::TimeGrid;
use crate::path::PathConfig;

/// DPM-Solver of order 1, 2 or 3 (Lu et al. 2022, algorithms 1 and 2; DPM-Solver-fast of appendix D.3).
///
/// With h = λ_t − λ_s and ε_r the prediction at λ_s + r h:
///
/// ```text
/// order 1   x_t = (α_t/α_s) x − σ_t (e^h − 1) ε_s
/// order 2   … − σ_t (e^h − 1) (ε_½ − ε_s)
/// order 3   x at ⅔: … − 2 σ ((e^{⅔h} − 1)/(⅔h) − 1) (ε_⅓ − ε_s);   x_t: … − (3/2) σ_t ((e^h − 1)/h − 1) (ε_⅔ − ε_s)
/// ```
///
/// The multistep form replaces the inner evaluations by those of earlier steps, `ε_s + (ε_s − ε_prev) h/(2 h_prev)` at
/// order 2. Order 1 equals DDIM.
///
/// Cost of n steps: n evaluations by `fast` (the default: n is then the budget) and `multistep`, `order` · n by
/// `singlestep`. With `denoise` the last of them returns x̂₀; without it the state at `t_end` is returned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpmSolver {
    /// 1, 2 or 3; under `fast` the highest order.
    pub order: u8,
    /// How the steps are spent.
    pub method: DpmMethod,
    /// Layout of the nodes; the inner nodes of a single step are even in λ.
    pub grid: TimeGrid,
    /// Last time; default 1e-3 up to 15 steps, 1e-4 above.
    pub t_end: Option<f64>,
    /// Whether the last step returns x̂₀.
    pub denoise: bool,
    /// Whether the last multistep steps have lower order, which is steadier with very few steps.
    pub lower_order_final: bool,
}

impl Default for DpmSolver {
    fn default() -> Self {
        Self {
            order: 3,
            method: DpmMethod::Fast,
            grid: TimeGrid::UniformLambda,
            t_end: None,
            denoise: true,
            lower_order_final: false,
        }
    }
}

const NAME: &str = "dpm-solver";

impl Planner for DpmSolver {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: NAME,
            description: "exponential solver of the probability-flow ODE on the noise prediction, single steps by default",
            formula: "x <- (alpha_t/alpha_s) x - sigma_t (e^h - 1) (e_s + (e_r - e_s)/(2r)), order 2; r = 1/2",
            order: "3 (or 1, 2)",
            cost: "n (singlestep: order times n)",
            citation: "Lu et al., NeurIPS 2022 (arXiv 2206.00927)",
        }
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        let mut builder = PlanBuilder::new(NAME, paths, steps)?;
        check_order(NAME, self.order)?;
        let integrator = Integrator { form: Form::Noise, threshold: None };
        let multistep = Multistep {
            order: self.order,
            taylor: false,
            third: ThirdOrder::Exact,
            lower_order_final: self.lower_order_final,
        };
        let layout = Layout { grid: &self.grid, t_end: self.t_end, denoise: self.denoise };
        integrator.push(&mut builder, paths, layout, self.method, multistep, steps)?;
        builder.finish()
    }

    fn evaluations(&self, steps: usize, _components: usize) -> usize {
        self.method.evaluations(self.order, steps, self.denoise)
    }
}
