//! DPM-Solver with adaptive step size: the pairs of orders 1 and 2 ("12") and 2 and 3 ("23").

use serde::{Deserialize, Serialize};

use super::adaptive::AdaptivePlanner;
use super::exponential::{Form, Step};
use super::{Op, PlanBuilder, PlanSource, PlanStep, PlannerInfo, Register, STATE};
use crate::error::SamplerError;
use crate::grid::Clock;
use crate::path::{PathConfig, start_time};
use crate::prediction::PredictionKind;

/// Which prediction the exponential integrator holds constant over a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IntegratedPrediction {
    /// ε̂ (DPM-Solver).
    #[default]
    Noise,
    /// x̂₀ (DPM-Solver++).
    Data,
}

/// DPM-Solver-12 and DPM-Solver-23: a singlestep solver and the one an order below, which shares its evaluations.
///
/// With h = λ_t − λ_s and intermediate points at r₁ h and r₂ h, in noise form:
///
/// - order 2 (r₁ = ½): `x₁ = (α₁/α_s) x − σ₁ (e^{r₁h} − 1) ε_s`,
///   `x_t = (α_t/α_s) x − σ_t (e^h − 1) ε_s − (1/2r₁) σ_t (e^h − 1)(ε₁ − ε_s)`, compared with order 1;
/// - order 3 (r₁ = ⅓, r₂ = ⅔):
///   `x₂ = (α₂/α_s) x − σ₂ (e^{r₂h} − 1) ε_s − (r₂/r₁) σ₂ ((e^{r₂h} − 1)/(r₂h) − 1)(ε₁ − ε_s)`,
///   `x_t = (α_t/α_s) x − σ_t (e^h − 1) ε_s − (1/r₂) σ_t ((e^h − 1)/h − 1)(ε₂ − ε_s)`, compared with order 2 at r₁ = ⅓;
///
/// in data form with σ and α exchanged, −h for h and x̂₀ for ε̂. The error E is the root mean square over the free
/// coordinates of `(x_high − x_low)/max(atol, rtol · max(|x_low|, |x_prev|))`, where x_prev is the lower-order result of the
/// last accepted step; a step is accepted if E ≤ 1, and `h ← min(θ h E^{−1/order}, λ_end − λ)`.
///
/// Where components have different paths, h is a step of their mean λ, and each has its own r₁, r₂ and h.
/// The state at `t_end` is returned, without a final denoising.
///
/// Order: 3 with an error estimate of order 2, or 2 with one of order 1. Cost: 3 or 2 evaluations for every step tried.
///
/// Source: Lu et al., NeurIPS 2022 (arXiv 2206.00927).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpmSolverAdaptive {
    /// The higher order of the pair, 2 or 3.
    pub order: u8,
    /// Which prediction is integrated.
    pub prediction: IntegratedPrediction,
    /// Absolute tolerance; the default suits data of 256 levels in [−1, 1].
    pub atol: f64,
    /// Relative tolerance.
    pub rtol: f64,
    /// First step in λ.
    pub first_step: f64,
    /// The factor θ.
    pub safety: f64,
    /// Last time.
    pub t_end: f64,
    /// Attempts after which it gives up.
    pub max_attempts: usize,
}

impl Default for DpmSolverAdaptive {
    fn default() -> Self {
        Self {
            order: 3,
            prediction: IntegratedPrediction::Noise,
            atol: 0.0078,
            rtol: 0.05,
            first_step: 0.05,
            safety: 0.9,
            t_end: 1e-3,
            max_attempts: 10_000,
        }
    }
}

const NAME: &str = "dpm-solver-adaptive";

/// Predictions at the start and at the intermediate points.
const START: Register = 1;
const FIRST: Register = 2;
const SECOND: Register = 3;
/// The intermediate state; after the last one the result of the higher order.
const HIGH: Register = 4;
/// The result of the lower order.
const LOW: Register = 5;
/// The lower-order result of the last accepted step.
const PREVIOUS: Register = 6;
const REGISTERS: usize = 7;

impl AdaptivePlanner for DpmSolverAdaptive {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: NAME,
            description: "DPM-Solver-12 or -23: as many steps as the tolerance asks for, sample by sample",
            formula: "x <- singlestep DPM-Solver of the higher order; h <- theta h E^{-1/order}, accepted if E <= 1",
            order: "3(2) (or 2(1))",
            cost: "3 (or 2) per attempted step",
            citation: "Lu et al., NeurIPS 2022 (arXiv 2206.00927)",
        }
    }

    fn registers(&self) -> usize {
        REGISTERS
    }

    fn source(&self, paths: &[PathConfig]) -> Result<Box<dyn PlanSource>, SamplerError> {
        let builder = PlanBuilder::new(NAME, paths, 1)?;
        let start = start_time(&builder.paths);
        let positive = "a finite number above 0";
        for (option, value, usable, expected) in [
            ("order", f64::from(self.order), (2..=3).contains(&self.order), "2 or 3"),
            ("rtol", self.rtol, self.rtol > 0.0 && self.rtol.is_finite(), positive),
            ("atol", self.atol, self.atol > 0.0 && self.atol.is_finite(), positive),
            ("first_step", self.first_step, self.first_step > 0.0 && self.first_step.is_finite(), positive),
            ("safety", self.safety, self.safety > 0.0 && self.safety < 1.0, "0 < safety < 1"),
            ("t_end", self.t_end, self.t_end > 0.0 && self.t_end < start, "0 < t_end < t_max"),
            ("max_attempts", self.max_attempts as f64, self.max_attempts > 0, "at least 1"),
        ] {
            if !usable {
                return Err(SamplerError::Option { planner: NAME, option, value, expected });
            }
        }
        Ok(Box::new(Source {
            clock: Clock::new(paths),
            builder,
            step: self.first_step,
            options: self.clone(),
            time: start,
            next: start,
            attempts: 0,
            commits: false,
        }))
    }
}

#[derive(Debug)]
struct Source {
    options: DpmSolverAdaptive,
    builder: PlanBuilder,
    clock: Clock,
    time: f64,
    /// Size of the next attempt, in λ.
    step: f64,
    /// Where the attempt in work leads.
    next: f64,
    attempts: usize,
    /// Whether the attempt in work is to be judged next.
    commits: bool,
}

impl Source {
    /// One coefficient per component, from its exact linear part from s to `t`.
    fn each(&self, t: f64, coefficient: impl Fn(Step) -> f64) -> Vec<f64> {
        let form = match self.options.prediction {
            IntegratedPrediction::Noise => Form::Noise,
            IntegratedPrediction::Data => Form::Data,
        };
        self.builder.each(|path| coefficient(Step::new(form, path, self.time, t)))
    }

    /// λ of the point `inner` as a share r of the step to `t`, per component.
    fn shares(&self, inner: f64, t: f64) -> Vec<f64> {
        let (inner, whole) = (self.each(inner, |step| step.h), self.each(t, |step| step.h));
        inner.iter().zip(&whole).map(|(inner, whole)| inner / whole).collect()
    }

    fn predict(&mut self, time: f64, from: Register, into: Register) {
        let want = match self.options.prediction {
            IntegratedPrediction::Noise => PredictionKind::Noise,
            IntegratedPrediction::Data => PredictionKind::X0,
        };
        let inputs = vec![from; self.builder.components()];
        self.builder.eval(time, inputs, want, into);
    }

    /// `out = state + constant prediction + gain (prediction at `at` − prediction at s)`.
    fn update(&mut self, out: Register, t: f64, slope: Option<(Register, Vec<f64>)>) {
        let state = self.each(t, |step| step.ratio);
        let mut constant = self.each(t, |step| step.weight(0));
        let mut terms = vec![(STATE, state)];
        if let Some((_, gain)) = &slope {
            constant.iter_mut().zip(gain).for_each(|(constant, gain)| *constant -= gain);
        }
        terms.push((START, constant));
        terms.extend(slope);
        self.builder.combine(out, terms, None);
    }

    fn attempt(&mut self) -> Result<(), SamplerError> {
        let (from, end) = (self.clock.lambda(self.time), self.clock.lambda(self.options.t_end));
        let last = self.step >= end - from;
        let step = if last { end - from } else { self.step };
        let at = |clock: &Clock, share: f64| clock.inverse_lambda(from + share * step);
        let t = if last { self.options.t_end } else { at(&self.clock, 1.0) };
        if self.attempts == self.options.max_attempts || t >= self.time {
            let (time, attempts) = (self.time, self.attempts);
            return Err(SamplerError::StepSize { planner: NAME, time, step, attempts });
        }
        let s = self.time;
        (self.next, self.step) = (t, step);
        self.builder.begin_step(s);
        if self.attempts == 0 {
            let ones = vec![1.0; self.builder.components()];
            self.builder.combine(PREVIOUS, vec![(STATE, ones)], None);
        }
        self.attempts += 1;
        self.predict(s, STATE, START);
        let divided = |values: Vec<f64>, by: &[f64]| values.iter().zip(by).map(|(v, r)| v / r).collect();
        if self.options.order == 2 {
            let first = at(&self.clock, 0.5);
            self.update(LOW, t, None);
            self.update(HIGH, first, None);
            self.predict(first, HIGH, FIRST);
            let gain = divided(self.each(t, |step| 0.5 * step.weight(0)), &self.shares(first, t));
            self.update(HIGH, t, Some((FIRST, gain)));
        } else {
            let (first, second) = (at(&self.clock, 1.0 / 3.0), at(&self.clock, 2.0 / 3.0));
            self.update(HIGH, first, None);
            self.predict(first, HIGH, FIRST);
            let gain = divided(self.each(t, |step| 0.5 * step.weight(0)), &self.shares(first, t));
            self.update(LOW, t, Some((FIRST, gain)));
            let gain = divided(self.each(second, |step| step.weight(1)), &self.shares(first, second));
            self.update(HIGH, second, Some((FIRST, gain)));
            self.predict(second, HIGH, SECOND);
            let gain = divided(self.each(t, |step| step.weight(1)), &self.shares(second, t));
            self.update(HIGH, t, Some((SECOND, gain)));
        }
        let DpmSolverAdaptive { rtol, atol, .. } = self.options;
        self.builder.push(Op::Compare { high: HIGH, low: LOW, previous: PREVIOUS, atol, rtol });
        Ok(())
    }

    fn commit(&mut self, error: f64) {
        // An error that is no number is no reason to go on.
        let accepted = error <= 1.0;
        let (new, old) = if accepted { (1.0, 0.0) } else { (0.0, 1.0) };
        let same = |value: f64| vec![value; self.builder.components()];
        let (new, old) = (same(new), same(old));
        self.builder.begin_step(self.time);
        self.builder.combine(STATE, vec![(STATE, old.clone()), (HIGH, new.clone())], None);
        self.builder.combine(PREVIOUS, vec![(PREVIOUS, old), (LOW, new)], None);
        let factor = self.options.safety * libm::pow(error, -1.0 / f64::from(self.options.order));
        // The next attempt cuts an infinite step (no error at all) to what is left.
        self.step *= if factor > 0.0 { factor } else { 0.2 };
        if accepted {
            self.time = self.next;
        }
    }
}

impl PlanSource for Source {
    fn next(&mut self, error: Option<f64>) -> Result<Option<PlanStep>, SamplerError> {
        if self.commits {
            self.commit(error.unwrap_or(f64::NAN));
        } else if self.time == self.options.t_end {
            return Ok(None);
        } else {
            self.attempt()?;
        }
        self.commits = !self.commits;
        Ok(self.builder.take_step())
    }
}
