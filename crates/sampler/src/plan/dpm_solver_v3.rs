//! DPM-Solver-v3: an exponential multistep solver whose linear part is measured on the network.

use serde::{Deserialize, Serialize};

use super::exponential::columns;
use super::exponential_step::{Derivatives, ExponentialStep, LinearPart, derivative_weights};
use super::ode::{ode_nodes, push_denoise};
use super::{Plan, PlanBuilder, Planner, PlannerInfo, Register, STATE};
use crate::error::SamplerError;
use crate::grid::TimeGrid;
use crate::path::PathConfig;
use crate::prediction::PredictionKind;
use crate::statistics::ModelStatistics;

/// Which nodes the corrector estimates derivatives from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum V3Corrector {
    /// No corrector.
    None,
    /// The step's order, all derivatives from all its nodes; nothing for steps of order 1.
    #[default]
    Full,
    /// One order more, the k-th derivative from the k nearest nodes. Published for few steps; with order 3 it limits the
    /// accuracy of many.
    PseudoOrder,
}

/// DPM-Solver-v3 (Zheng, Lu, Chen & Zhu, NeurIPS 2023, arXiv 2310.13268).
///
/// `z_t = e^{L_s − L_t} z_s − Σ_k g^{(k)}(s) ∫ e^{L − L_t + S − S_s} (λ − λ_s)^k/k! dλ − ∫ e^{L − L_t} D dλ` with z = x/α,
/// `f = (σ ε̂ − l x)/α` and g its part that the measured line `f' = s f + b` does not explain. Derivatives of g come from
/// earlier steps. [`ModelStatistics`] holds l, s and b for one checkpoint; they are read between their nodes, so steps may
/// lie anywhere in their range. Without statistics l = 1, s = b = 0, which is DPM-Solver++ in its Taylor form.
///
/// The corrector redoes a step with the evaluation at its end, which the next step needs anyway: no further cost. On the
/// mixture of the law tests order 3 with the full corrector has 0.26 to 0.39 of the error of DPM-Solver++(2M) from 5 to 20
/// steps.
///
/// With `denoise` the last of the n steps returns x̂₀.
///
/// Order: `order`; the first steps have lower ones. Cost of n steps: n evaluations. Statistics are measured once, before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpmSolverV3 {
    /// 1, 2 or 3. Published: 3 for unconditional models, 2 for guided ones.
    pub order: u8,
    /// Layout of the nodes.
    pub grid: TimeGrid,
    /// Last time; default 1e-3 up to 15 steps, 1e-4 above. Must lie in the range of the statistics.
    pub t_end: Option<f64>,
    /// Whether the last step returns x̂₀.
    pub denoise: bool,
    /// Whether the last steps have lower order.
    pub lower_order_final: bool,
    /// Whether the k-th derivative is estimated from the k nearest nodes instead of all.
    pub pseudo_order: bool,
    /// The corrector.
    pub corrector: V3Corrector,
    /// Statistics of the checkpoint that is sampled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistics: Option<ModelStatistics>,
}

impl Default for DpmSolverV3 {
    fn default() -> Self {
        Self {
            order: 3,
            grid: TimeGrid::UniformLambda,
            t_end: None,
            denoise: true,
            lower_order_final: true,
            pseudo_order: false,
            corrector: V3Corrector::Full,
            statistics: None,
        }
    }
}

const NAME: &str = "dpm-solver-v3";

/// Estimators of the derivatives up to `nodes.len() − 1`; each from all nodes, or the k-th from the k + 1 first.
fn estimators(nodes: &[f64], pseudo: bool) -> Option<Derivatives> {
    let most = nodes.len() - 1;
    (1..=most).map(|k| derivative_weights(nodes, if pseudo { k } else { most }, k)).collect()
}

impl DpmSolverV3 {
    fn linear_part(&self, component: usize) -> LinearPart<'_> {
        match &self.statistics {
            Some(statistics) => LinearPart::Measured(statistics.table(component)),
            None => LinearPart::Data,
        }
    }

    /// The step of every component from `nodes[0]` to `to`, with f known at `nodes`.
    fn steps(
        &self,
        builder: &PlanBuilder,
        nodes: &[f64],
        to: f64,
        pseudo: bool,
    ) -> Result<Vec<ExponentialStep>, SamplerError> {
        let components = builder.paths.iter().enumerate();
        components
            .map(|(component, path)| {
                let lambdas: Vec<f64> = nodes.iter().map(|&t| path.lambda(t)).collect();
                let derivatives = estimators(&lambdas, pseudo).ok_or(SamplerError::Option {
                    planner: NAME,
                    option: "grid",
                    value: nodes[0],
                    expected: "nodes at different noise levels",
                })?;
                let log_alpha = [path.log_alpha(nodes[0]), path.log_alpha(to)];
                Ok(self.linear_part(component).step(&lambdas, path.lambda(to), log_alpha, &derivatives))
            })
            .collect()
    }

    /// Order of the predictor of interval `index` of `intervals`.
    fn order_of(&self, index: usize, intervals: usize) -> usize {
        let order = usize::from(self.order).min(index + 1);
        if self.lower_order_final { order.min(intervals - index) } else { order }
    }
}

/// `STATE = state · from + Σ model[i] · registers[i] + constant`.
pub(super) fn push_step(
    builder: &mut PlanBuilder,
    from: Register,
    registers: &[Register],
    steps: Vec<ExponentialStep>,
) {
    let constant: Vec<f64> = steps.iter().map(|step| step.constant).collect();
    let rows = steps.into_iter().map(|step| [vec![step.state], step.model].concat());
    let terms = std::iter::once(from).chain(registers.iter().copied()).zip(columns(rows)).collect();
    if constant.iter().all(|&value| value == 0.0) {
        builder.combine(STATE, terms, None);
    } else {
        builder.combine_with_constant(STATE, terms, constant);
    }
}

impl Planner for DpmSolverV3 {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: NAME,
            description: "exponential multistep solver with measured model statistics; for 5 to 10 evaluations of one checkpoint",
            formula: "z <- e^{L_s-L_t} z - sum_k g^(k) int e^{L-L_t+S-S_s} (l-l_s)^k/k! - int e^{L-L_t} D; f = (sigma e - l x)/alpha",
            order: "3 (1 or 2 on request)",
            cost: "n",
            citation: "Zheng, Lu, Chen & Zhu, NeurIPS 2023 (arXiv 2310.13268)",
        }
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        let mut builder = PlanBuilder::new(NAME, paths, steps)?;
        super::dpm_method::check_order(NAME, self.order)?;
        let nodes = ode_nodes(&self.grid, paths, steps, self.t_end, self.denoise)?;
        let intervals = nodes.len() - 1;
        if let Some(statistics) = &self.statistics {
            statistics.check_paths(paths, nodes[0], nodes[intervals])?;
        }
        if intervals > 0 {
            let (noise, data) = (builder.register(), builder.register());
            let corrected = self.corrector != V3Corrector::None;
            let kept = (usize::from(self.order) + usize::from(corrected)).min(intervals);
            // The last values of f live in registers that take turns; the corrector also starts from the step's start.
            let history: Vec<Register> = (0..kept).map(|_| builder.register()).collect();
            let start = if corrected && intervals > 1 { Some(builder.register()) } else { None };
            for (index, pair) in nodes.windows(2).enumerate() {
                let (s, t) = (pair[0], pair[1]);
                builder.begin_step(s);
                let inputs = vec![STATE; paths.len()];
                builder.eval_many(s, inputs, &[(PredictionKind::Noise, noise), (PredictionKind::X0, data)]);
                let terms = builder.paths.iter().enumerate().map(|(component, path)| {
                    let term = self.linear_part(component).model_term(path.lambda(s));
                    vec![term.noise, term.data]
                });
                let terms = [noise, data].into_iter().zip(columns(terms)).collect();
                builder.combine(history[index % kept], terms, None);
                if let Some(start) = start {
                    let pseudo = self.corrector == V3Corrector::PseudoOrder;
                    if index > 0 {
                        let order = self.order_of(index - 1, intervals) + usize::from(pseudo);
                        // The step's start and end, then earlier nodes.
                        let mut places = vec![index - 1, index];
                        places.extend((0..index - 1).rev());
                        places.truncate(order.min(index + 1));
                        if order > 1 {
                            let at: Vec<f64> = places.iter().map(|&place| nodes[place]).collect();
                            let steps = self.steps(&builder, &at, s, pseudo)?;
                            let registers: Vec<Register> =
                                places.iter().map(|place| history[place % kept]).collect();
                            push_step(&mut builder, start, &registers, steps);
                        }
                    }
                    let ones = vec![1.0; paths.len()];
                    builder.combine(start, vec![(STATE, ones)], None);
                }
                let places: Vec<usize> =
                    (0..self.order_of(index, intervals)).map(|back| index - back).collect();
                let at: Vec<f64> = places.iter().map(|&place| nodes[place]).collect();
                let steps = self.steps(&builder, &at, t, self.pseudo_order)?;
                let registers: Vec<Register> = places.iter().map(|place| history[place % kept]).collect();
                push_step(&mut builder, STATE, &registers, steps);
            }
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
