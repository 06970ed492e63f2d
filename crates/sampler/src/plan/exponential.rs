//! Exponential integrators in λ: what DPM-Solver, DPM-Solver++ and UniPC share.
//!
//! With h = λ_t − λ_s the probability-flow ODE has the exact solution
//!
//! ```text
//! data form   x_t = (σ_t/σ_s) x_s + α_t ∫ e^{-(λ_t - λ)} x̂₀(λ) dλ
//! noise form  x_t = (α_t/α_s) x_s − σ_t ∫ e^{ (λ_t - λ)} ε̂(λ) dλ
//! ```
//!
//! With the prediction f expanded about s both integrals are Σ_k w_k D_k with D_k = hᵏ dᵏf/dλᵏ and weights
//! `w_k = ±(α_t or σ_t) h φ_{k+1}(∓h)`. The methods differ only in how they estimate D_k from evaluations.

use super::dpm_method::{DpmMethod, ThirdOrder, split_budget};
use super::ode::ode_nodes;
use super::thresholding::Thresholding;
use super::{Op, PlanBuilder, Register, STATE, end_time};
use crate::error::SamplerError;
use crate::grid::TimeGrid;
use crate::path::{Path, PathConfig};
use crate::prediction::PredictionKind;

/// `φ_k(z) = Σ_j z^j/(j+k)!`, the functions of exponential integrators: φ₀ = eᶻ, φ₁ = (eᶻ−1)/z,
/// φ_{k+1} = (φ_k − 1/k!)/z. The power series is used where the recursion would cancel.
pub(crate) fn phi(k: usize, z: f64) -> f64 {
    let inverse_factorial = |k: usize| (1..=k).fold(1.0, |value, i| value / i as f64);
    if k == 0 {
        return libm::exp(z);
    }
    if z.abs() < 1.0 {
        let mut term = inverse_factorial(k);
        let mut sum = 0.0;
        for j in 1..=20 {
            sum += term;
            term *= z / (j + k) as f64;
        }
        return sum;
    }
    (1..k).fold(libm::expm1(z) / z, |value, i| (value - inverse_factorial(i)) / z)
}

/// Which prediction is expanded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// x̂₀: DPM-Solver++, UniPC.
    Data,
    /// ε̂: DPM-Solver.
    Noise,
}

impl Form {
    fn kind(self) -> PredictionKind {
        match self {
            Self::Data => PredictionKind::X0,
            Self::Noise => PredictionKind::Noise,
        }
    }
}

/// One component's exact linear part from s to t: `x_t = ratio x_s + Σ_k weight(k) D_k`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// λ_t − λ_s.
    pub(super) h: f64,
    /// Coefficient of the state.
    pub(super) ratio: f64,
    /// Argument of the φ functions, ∓h.
    z: f64,
    /// α_t or −σ_t.
    scale: f64,
}

impl Step {
    pub(super) fn new(form: Form, path: &dyn Path, s: f64, t: f64) -> Self {
        let h = path.lambda(t) - path.lambda(s);
        match form {
            Form::Data => Self { h, ratio: path.sigma(t) / path.sigma(s), z: -h, scale: path.alpha(t) },
            Form::Noise => {
                let ratio = libm::exp(path.log_alpha(t) - path.log_alpha(s));
                Self { h, ratio, z: h, scale: -path.sigma(t) }
            }
        }
    }

    /// Coefficient of the k-th scaled derivative of the prediction.
    pub(super) fn weight(&self, k: usize) -> f64 {
        if k == 0 {
            // h φ₁(z) without the division.
            return if self.z < 0.0 { -self.scale } else { self.scale } * libm::expm1(self.z);
        }
        self.scale * self.h * phi(k + 1, self.z)
    }

    /// φ_k of this step.
    pub(super) fn phi(&self, k: usize) -> f64 {
        phi(k, self.z)
    }

    /// The scale of the integral, ±(α_t or σ_t) h.
    pub(super) fn scale(&self) -> f64 {
        self.scale * self.h
    }
}

/// Where a run's nodes are and how it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout<'a> {
    pub(super) grid: &'a TimeGrid,
    pub(super) t_end: Option<f64>,
    pub(super) denoise: bool,
}

/// Writes the steps of an exponential integrator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Integrator {
    pub(super) form: Form,
    pub(super) threshold: Option<Thresholding>,
}

impl Integrator {
    /// A run of `steps` steps, final denoising included.
    pub(super) fn push(
        &self,
        builder: &mut PlanBuilder,
        paths: &[PathConfig],
        layout: Layout<'_>,
        method: DpmMethod,
        multistep: Multistep,
        steps: usize,
    ) -> Result<(), SamplerError> {
        let Layout { grid, t_end, denoise } = layout;
        let (last, t_end) = (usize::from(denoise), Some(end_time(t_end, steps)));
        let budget = steps - last;
        let orders = match method {
            DpmMethod::Fast => split_budget(multistep.order, budget),
            DpmMethod::Multistep | DpmMethod::Singlestep => vec![multistep.order; budget],
        };
        let nodes = ode_nodes(grid, paths, orders.len() + last, t_end, denoise)?;
        match method {
            DpmMethod::Multistep => self.push_multistep(builder, &nodes, multistep),
            DpmMethod::Singlestep | DpmMethod::Fast => {
                self.push_singlesteps(builder, paths, &nodes, &orders)?;
            }
        }
        if denoise {
            self.push_denoise(builder, nodes[nodes.len() - 1]);
        }
        Ok(())
    }

    /// One evaluation of `input` at `time`.
    pub(super) fn evaluate(&self, builder: &mut PlanBuilder, time: f64, input: Register, into: Register) {
        let inputs = vec![input; builder.components()];
        builder.eval(time, inputs, self.form.kind(), into);
        if let Some(Thresholding { ratio, max }) = self.threshold {
            builder.push(Op::Threshold { register: into, ratio, max });
        }
    }

    /// The step to σ = 0: the state becomes x̂₀ at `time`.
    pub(super) fn push_denoise(&self, builder: &mut PlanBuilder, time: f64) {
        let ones = vec![1.0; builder.components()];
        let x0 = builder.register();
        builder.begin_step(time);
        Self { form: Form::Data, ..*self }.evaluate(builder, time, STATE, x0);
        builder.combine(STATE, vec![(x0, ones)], None);
    }

    /// A multistep method: one evaluation per interval of `nodes`, the first steps of lower order.
    fn push_multistep(&self, builder: &mut PlanBuilder, nodes: &[f64], method: Multistep) {
        let intervals = nodes.len() - 1;
        // The last predictions live in registers that take turns.
        let kept = usize::from(method.order).min(intervals);
        let history: Vec<Register> = (0..kept).map(|_| builder.register()).collect();
        for (index, pair) in nodes.windows(2).enumerate() {
            let (s, t) = (pair[0], pair[1]);
            builder.begin_step(s);
            self.evaluate(builder, s, STATE, history[index % kept]);
            let order = method.order_of(index, intervals);
            let weights = builder.paths.iter().map(|path| {
                let step = Step::new(self.form, path.as_ref(), s, t);
                let lambdas: Vec<f64> = (0..order).map(|back| path.lambda(nodes[index - back])).collect();
                let mut row = vec![step.ratio];
                row.extend(method.weights(&step, &lambdas));
                row
            });
            let mut columns = columns(weights).into_iter();
            let registers =
                std::iter::once(STATE).chain((0..order).map(|back| history[(index - back) % kept]));
            let terms = registers.zip(&mut columns).collect();
            builder.combine(STATE, terms, None);
        }
    }

    /// Single steps of these orders, one per interval of `nodes`. The inner nodes are even in λ (½; ⅓ and ⅔).
    fn push_singlesteps(
        &self,
        builder: &mut PlanBuilder,
        paths: &[PathConfig],
        nodes: &[f64],
        orders: &[u8],
    ) -> Result<(), SamplerError> {
        let Some(&most) = orders.iter().max() else { return Ok(()) };
        let start = builder.register();
        let (inner, trial) = if most > 1 { (builder.register(), builder.register()) } else { (start, STATE) };
        for (pair, &order) in nodes.windows(2).zip(orders) {
            let (s, t) = (pair[0], pair[1]);
            let form = self.form;
            builder.begin_step(s);
            self.evaluate(builder, s, STATE, start);
            let full = |path: &dyn Path| Step::new(form, path, s, t);
            if order == 1 {
                let rows = builder.paths.iter().map(|path| {
                    let step = full(path.as_ref());
                    vec![step.ratio, step.weight(0)]
                });
                let terms = [STATE, start].into_iter().zip(columns(rows)).collect();
                builder.combine(STATE, terms, None);
                continue;
            }
            let inside = TimeGrid::UniformLambda.nodes(paths, usize::from(order), s, t)?;
            let first = inside[1];
            let rows = builder.paths.iter().map(|path| {
                let step = Step::new(form, path.as_ref(), s, first);
                vec![step.ratio, step.weight(0)]
            });
            let terms = [STATE, start].into_iter().zip(columns(rows)).collect();
            builder.combine(trial, terms, None);
            self.evaluate(builder, first, trial, inner);
            if order == 3 {
                let second = inside[2];
                let rows = builder.paths.iter().map(|path| {
                    let step = Step::new(form, path.as_ref(), s, second);
                    // D₁ over this step: (f₁ − f_s) times the ratio of its λ length to the first one.
                    let tilt = step.weight(1) * step.h / (path.lambda(first) - path.lambda(s));
                    vec![step.ratio, step.weight(0) - tilt, tilt]
                });
                let terms = [STATE, start, inner].into_iter().zip(columns(rows)).collect();
                builder.combine(trial, terms, None);
                self.evaluate(builder, second, trial, inner);
            }
            let last = inside[usize::from(order) - 1];
            let rows = builder.paths.iter().map(|path| {
                let step = full(path.as_ref());
                let r = (path.lambda(last) - path.lambda(s)) / step.h;
                let tilt = if order == 2 { 0.5 * step.weight(0) } else { step.weight(1) } / r;
                vec![step.ratio, step.weight(0) - tilt, tilt]
            });
            let terms = [STATE, start, inner].into_iter().zip(columns(rows)).collect();
            builder.combine(STATE, terms, None);
        }
        Ok(())
    }
}

/// A multistep method.
#[derive(Clone, Copy, Debug)]
pub(super) struct Multistep {
    /// 1, 2 or 3.
    pub(super) order: u8,
    /// Whether order 2 weighs the slope by the exact φ₂ instead of ½ φ₁.
    pub(super) taylor: bool,
    /// The second derivative of order 3.
    pub(super) third: ThirdOrder,
    /// Whether the last steps have lower order.
    pub(super) lower_order_final: bool,
}

impl Multistep {
    /// The order of a step: as much history as there is, and 1 on the last step (2 on the last but one) if asked for.
    fn order_of(self, index: usize, intervals: usize) -> usize {
        let order = usize::from(self.order).min(index + 1);
        if self.lower_order_final { order.min(intervals - index) } else { order }
    }

    /// Coefficients of the predictions at s and before, where λ had the values `lambdas`.
    fn weights(self, step: &Step, lambdas: &[f64]) -> Vec<f64> {
        let gain = step.weight(0);
        match *lambdas {
            [s, before] => {
                let share = if self.taylor { step.weight(1) / gain } else { 0.5 };
                let slope = share * step.h / (s - before);
                vec![gain * (1.0 + slope), -gain * slope]
            }
            [s, before, oldest] => {
                let (r0, r1) = ((s - before) / step.h, (before - oldest) / step.h);
                let factor = match self.third {
                    ThirdOrder::Published => 1.0,
                    ThirdOrder::Exact => 2.0,
                };
                // w₁ D₁ + w₂ D₂ in terms of the two divided differences.
                let bend = (step.weight(1) * r0 + factor * step.weight(2)) / (r0 + r1);
                let (newer, older) = ((step.weight(1) + bend) / r0, bend / r1);
                vec![gain + newer, -newer - older, older]
            }
            _ => vec![gain],
        }
    }
}

/// Rows of coefficients, one per component, as columns, one per register.
pub(super) fn columns(rows: impl Iterator<Item = Vec<f64>>) -> Vec<Vec<f64>> {
    let rows: Vec<Vec<f64>> = rows.collect();
    let count = rows.first().map_or(0, Vec::len);
    (0..count).map(|column| rows.iter().map(|row| row[column]).collect()).collect()
}
