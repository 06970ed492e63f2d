//! UniPC: a predictor of any order and a corrector that raises the order by one without further evaluations.

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::dpm_method::check_order;
use super::exponential::{Form, Integrator, Step, columns};
use super::ode::ode_nodes;
use super::{Plan, PlanBuilder, Planner, PlannerInfo, Register, STATE};
use crate::error::SamplerError;
use crate::grid::TimeGrid;
use crate::path::{Path, PathConfig};

/// The function B(h) that scales the differences. It matters only where the weights are simplified to ½, that is in the
/// predictor of order 2 and the corrector of order 1: everywhere else it cancels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UniPcVariant {
    /// B(h) = h.
    Bh1,
    /// B(h) = e^h − 1, with h → −h for the data prediction.
    #[default]
    Bh2,
}

/// UniPC with data prediction (Zhao et al. 2023, algorithms 1 to 4, eq. 3, 5 and 9).
///
/// With h = λ_t − λ_s, predictions f₀ (at s), f₁, … (before), r_j = (λ_j − λ_s)/h, D_j = (f_j − f₀)/r_j and b = B(h)/h:
///
/// ```text
/// UniP-p   x'_t = (σ_t/σ_s) x_s + α_t h (φ₁(−h) f₀ + b Σ_{j=1}^{p−1} ρ_j D_j)
/// UniC-p   x_t  = the same with one more difference, (f(x'_t, t) − f₀), r = 1
/// ```
///
/// where ρ solves `Σ_j r_j^{i−1} ρ_j = i! φ_{i+1}(−h)/b` for i = 1, 2, …. As published, the single weight of UniP-2 and
/// of UniC-1 is ½. The prediction at x'_t is needed for the next step anyway and is not evaluated again at the corrected
/// x_t, so the corrector is free: n steps cost n evaluations. The last step is not corrected.
///
/// Order: p without corrector, p + 1 with it (the first steps, of lower order, limit the asymptotic order to 3).
/// With `denoise` the last of the n steps returns x̂₀; without it the state at `t_end` is returned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UniPc {
    /// Order p of the predictor: 1, 2 or 3.
    pub order: u8,
    /// B(h).
    pub variant: UniPcVariant,
    /// Whether UniC corrects the steps.
    pub corrector: bool,
    /// Layout of the nodes.
    pub grid: TimeGrid,
    /// Last time; default 1e-3 up to 15 steps, 1e-4 above.
    pub t_end: Option<f64>,
    /// Whether the last step returns x̂₀.
    pub denoise: bool,
    /// Whether the last steps have lower order, which is steadier with very few steps.
    pub lower_order_final: bool,
}

impl Default for UniPc {
    fn default() -> Self {
        Self {
            order: 2,
            variant: UniPcVariant::Bh2,
            corrector: true,
            grid: TimeGrid::UniformLambda,
            t_end: None,
            denoise: true,
            lower_order_final: false,
        }
    }
}

const NAME: &str = "uni-pc";

impl UniPc {
    /// The order of step `index`: as much history as there is, and 1 on the last step if asked for.
    fn order_of(&self, index: usize, intervals: usize) -> usize {
        let order = usize::from(self.order).min(index + 1);
        if self.lower_order_final { order.min(intervals - index) } else { order }
    }

    /// The coefficients of one component's update from `nodes[index]` to the next node: of the state, then of f₀, f₁, …,
    /// then, for a corrector, of the prediction at the next node.
    fn weights(
        &self,
        path: &dyn Path,
        nodes: &[f64],
        index: usize,
        order: usize,
        corrects: bool,
    ) -> Vec<f64> {
        let step = Step::new(Form::Data, path, nodes[index], nodes[index + 1]);
        let lambda = path.lambda(nodes[index]);
        let mut ratios: Vec<f64> =
            (1..order).map(|back| (path.lambda(nodes[index - back]) - lambda) / step.h).collect();
        if corrects {
            ratios.push(1.0);
        }
        let b = match self.variant {
            UniPcVariant::Bh1 => 1.0,
            UniPcVariant::Bh2 => step.phi(1),
        };
        let simplified = ratios.len() == 1 && order == if corrects { 1 } else { 2 };
        let rho = if simplified { vec![0.5] } else { solve(&ratios, &step, b) };
        let mut row = vec![step.ratio, step.weight(0)];
        for (rho, r) in rho.iter().zip(&ratios) {
            let weight = step.scale() * b * rho / r;
            row[1] -= weight;
            row.push(weight);
        }
        row
    }
}

/// The ρ of `Σ_j r_j^{i−1} ρ_j = i! φ_{i+1}/b`; not a number where two nodes coincide.
fn solve(ratios: &[f64], step: &Step, b: f64) -> Vec<f64> {
    let n = ratios.len();
    if n == 0 {
        return Vec::new();
    }
    let powers = DMatrix::from_fn(n, n, |i, j| (0..i).fold(1.0, |power, _| power * ratios[j]));
    let mut factorial = 1.0;
    let moments = DVector::from_fn(n, |i, _| {
        factorial *= (i + 1) as f64;
        factorial * step.phi(i + 2) / b
    });
    powers.lu().solve(&moments).map_or_else(|| vec![f64::NAN; n], |rho| rho.iter().copied().collect())
}

impl Planner for UniPc {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: NAME,
            description: "multistep predictor with a corrector that reuses its evaluations; strong at 5 to 15 steps",
            formula: "x' = (sigma_t/sigma_s) x + alpha_t h (phi_1 f_0 + b sum_j rho_j D_j); x: one more D from f(x')",
            order: "p + 1 = 3 (p without corrector)",
            cost: "n",
            citation: "Zhao et al., NeurIPS 2023 (arXiv 2302.04867)",
        }
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        let mut builder = PlanBuilder::new(NAME, paths, steps)?;
        check_order(NAME, self.order)?;
        let nodes = ode_nodes(&self.grid, paths, steps, self.t_end, self.denoise)?;
        let integrator = Integrator { form: Form::Data, threshold: None };
        let intervals = nodes.len() - 1;
        let corrects = self.corrector && intervals > 1;
        // One prediction more than the order: a corrector also uses the one at the end of its step.
        let kept = (usize::from(self.order) + usize::from(corrects)).min(intervals);
        let history: Vec<Register> = (0..kept).map(|_| builder.register()).collect();
        // The corrected state, from which both halves of a step start; the state itself holds the prediction.
        let base = if corrects { builder.register() } else { STATE };
        for (index, &s) in nodes[..intervals].iter().enumerate() {
            builder.begin_step(s);
            integrator.evaluate(&mut builder, s, STATE, history[index % kept]);
            if corrects && index == 0 {
                let ones = vec![1.0; builder.components()];
                builder.combine(base, vec![(STATE, ones)], None);
            } else if corrects {
                let order = self.order_of(index - 1, intervals);
                let rows = builder
                    .paths
                    .iter()
                    .map(|path| self.weights(path.as_ref(), &nodes, index - 1, order, true));
                let before = (1..=order).map(|back| history[(index - back) % kept]);
                let registers = std::iter::once(base).chain(before).chain([history[index % kept]]);
                let terms = registers.zip(columns(rows)).collect();
                builder.combine(base, terms, None);
            }
            let order = self.order_of(index, intervals);
            let rows =
                builder.paths.iter().map(|path| self.weights(path.as_ref(), &nodes, index, order, false));
            let before = (0..order).map(|back| history[(index - back) % kept]);
            let terms = std::iter::once(base).chain(before).zip(columns(rows)).collect();
            builder.combine(STATE, terms, None);
        }
        if self.denoise {
            integrator.push_denoise(&mut builder, nodes[intervals]);
        }
        builder.finish()
    }

    fn evaluations(&self, steps: usize, _components: usize) -> usize {
        steps
    }
}
