//! Dormand and Prince's embedded Runge–Kutta pair of orders 5 and 4 on the probability-flow ODE.

use serde::{Deserialize, Serialize};

use super::adaptive::AdaptivePlanner;
use super::{Op, PlanBuilder, PlanSource, PlanStep, PlannerInfo, Register, STATE};
use crate::error::SamplerError;
use crate::path::{PathConfig, start_time};
use crate::prediction::PredictionKind;

/// The adaptive Runge–Kutta pair 5(4) on `dx/dt = u(x, t)`, the flow velocity, in t.
///
/// A step of size h is tried with seven stages, the last of which is the first of the next step, so an attempt costs six
/// evaluations (the first seven). Its error E is the root mean square over the free coordinates of
/// `(x₅ − x₄)/max(atol, rtol · max(|x₄|, |x|))`. It is accepted if E ≤ 1; then `h ← h · min(10, max(0.2, 0.9 E^{−1/5}))`,
/// and after a rejection h does not grow with the next acceptance.
///
/// Velocities are finite down to t = 0 only where σ is; start and end inside (0, 1].
///
/// Order: 5, with an error estimate of order 4. Cost: 6 evaluations for every step tried, and one at the start.
///
/// Source: Dormand & Prince, J. Comput. Appl. Math. 1980; for the probability flow Song et al., ICLR 2021 (arXiv 2011.13456).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DormandPrince {
    /// Relative tolerance.
    pub rtol: f64,
    /// Absolute tolerance.
    pub atol: f64,
    /// Last time of a sampling run.
    pub t_end: f64,
    /// First step to try, as a share of the whole interval.
    pub first_step: f64,
    /// Attempts after which it gives up.
    pub max_attempts: usize,
}

impl Default for DormandPrince {
    fn default() -> Self {
        Self { rtol: 1e-5, atol: 1e-5, t_end: 1e-3, first_step: 1e-3, max_attempts: 10_000 }
    }
}

const NAME: &str = "dormand-prince";

/// Times of the stages.
const C: [f64; 7] = [0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0];

/// Coefficients of the stages; the last row is the solution of order 5.
const A: [&[f64]; 7] = [
    &[],
    &[0.2],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
    &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
    &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
];

/// The solution of order 4.
const LOW_WEIGHTS: [f64; 7] = [
    5179.0 / 57600.0,
    0.0,
    7571.0 / 16695.0,
    393.0 / 640.0,
    -92097.0 / 339_200.0,
    187.0 / 2100.0,
    1.0 / 40.0,
];

/// Register of the stages' velocities, the first of seven.
const SLOPES: Register = 1;
/// Where a stage is evaluated; after the last stage the solution of order 5.
const HIGH: Register = 8;
/// The solution of order 4.
const LOW: Register = 9;
const REGISTERS: usize = 10;

impl DormandPrince {
    /// With this relative and absolute tolerance.
    #[must_use]
    pub fn with_tolerance(tolerance: f64) -> Self {
        Self { rtol: tolerance, atol: tolerance, ..Self::default() }
    }

    /// The source of one sample from time `from` to time `to`, forward or backward.
    ///
    /// # Errors
    /// If an option or a time is out of range, or a path is not usable.
    pub fn source_between(
        &self,
        paths: &[PathConfig],
        from: f64,
        to: f64,
    ) -> Result<Box<dyn PlanSource>, SamplerError> {
        // The velocity of any path will do, where the denoiser gives it.
        let builder = PlanBuilder::any_path(NAME, paths, 1)?;
        let latest = start_time(&builder.paths);
        let positive = "a finite number above 0";
        let inside = "two different times in (0, t_max]";
        for (option, value, usable, expected) in [
            ("rtol", self.rtol, self.rtol > 0.0 && self.rtol.is_finite(), positive),
            ("atol", self.atol, self.atol > 0.0 && self.atol.is_finite(), positive),
            (
                "first_step",
                self.first_step,
                self.first_step > 0.0 && self.first_step <= 1.0,
                "0 < first_step <= 1",
            ),
            ("max_attempts", self.max_attempts as f64, self.max_attempts > 0, "at least 1"),
            ("from", from, from > 0.0 && from <= latest, inside),
            ("to", to, to > 0.0 && to <= latest && to != from, inside),
        ] {
            if !usable {
                return Err(SamplerError::Option { planner: NAME, option, value, expected });
            }
        }
        Ok(Box::new(Source {
            options: self.clone(),
            builder,
            time: from,
            end: to,
            step: (to - from) * self.first_step,
            next: to,
            attempts: 0,
            rejected: false,
            phase: Phase::First,
        }))
    }
}

impl AdaptivePlanner for DormandPrince {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: NAME,
            description: "adaptive Runge-Kutta on the probability-flow ODE in t; for likelihoods and reference solutions",
            formula: "x <- x + h sum_i b_i u(x_i, t + c_i h); h <- h min(10, max(0.2, 0.9 E^{-1/5})), accepted if E <= 1",
            order: "5(4)",
            cost: "6 per attempted step, and 1",
            citation: "Dormand & Prince, J. Comput. Appl. Math. 1980; Song et al., ICLR 2021 (arXiv 2011.13456)",
        }
    }

    fn registers(&self) -> usize {
        REGISTERS
    }

    fn source(&self, paths: &[PathConfig]) -> Result<Box<dyn PlanSource>, SamplerError> {
        let built: Vec<_> = paths.iter().map(PathConfig::build).collect();
        self.source_between(paths, start_time(&built), self.t_end)
    }
}

/// What the source gives next. Attempts and the bookkeeping after them are steps of their own, so that the rows of a
/// batch do the same operations at the same time, whether their attempts were accepted or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first attempt, with its first stage.
    First,
    /// An attempt whose first stage is there already.
    Attempt,
    /// Taking over the result of an attempt, or not.
    Commit,
}

#[derive(Debug)]
struct Source {
    options: DormandPrince,
    builder: PlanBuilder,
    time: f64,
    end: f64,
    /// Signed size of the next attempt.
    step: f64,
    /// Where the attempt in work leads.
    next: f64,
    attempts: usize,
    rejected: bool,
    phase: Phase,
}

impl Source {
    fn same(&self, value: f64) -> Vec<f64> {
        vec![value; self.builder.components()]
    }

    fn velocity(&mut self, time: f64, from: Register, into: Register) {
        let inputs = vec![from; self.builder.components()];
        self.builder.eval(time, inputs, PredictionKind::Velocity, into);
    }

    /// `out = state + h Σ weight · slope`.
    fn advance(&mut self, out: Register, step: f64, weights: &[f64]) {
        let slopes = weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0);
        let terms = std::iter::once((STATE, self.same(1.0)))
            .chain(slopes.map(|(stage, weight)| (SLOPES + stage, self.same(step * weight))));
        let terms = terms.collect();
        self.builder.combine(out, terms, None);
    }

    fn attempt(&mut self) -> Result<(), SamplerError> {
        let left = self.end - self.time;
        let last = self.step.abs() >= left.abs();
        let step = if last { left } else { self.step };
        self.next = if last { self.end } else { self.time + step };
        if self.attempts == self.options.max_attempts || self.next == self.time {
            let (time, attempts) = (self.time, self.attempts);
            return Err(SamplerError::StepSize { planner: NAME, time, step, attempts });
        }
        self.attempts += 1;
        self.step = step;
        self.builder.begin_step(self.time);
        if self.phase == Phase::First {
            self.velocity(self.time, STATE, SLOPES);
        }
        for stage in 1..A.len() {
            self.advance(HIGH, step, A[stage]);
            let time = if C[stage] == 1.0 { self.next } else { self.time + C[stage] * step };
            self.velocity(time, HIGH, SLOPES + stage);
        }
        self.advance(LOW, step, &LOW_WEIGHTS);
        let DormandPrince { rtol, atol, .. } = self.options;
        self.builder.push(Op::Compare { high: HIGH, low: LOW, previous: STATE, atol, rtol });
        Ok(())
    }

    fn commit(&mut self, error: f64) {
        // An error that is no number is no reason to go on.
        let accepted = error <= 1.0;
        let (new, old) = if accepted { (1.0, 0.0) } else { (0.0, 1.0) };
        self.builder.begin_step(self.time);
        self.builder.combine(STATE, vec![(STATE, self.same(old)), (HIGH, self.same(new))], None);
        let last = SLOPES + A.len() - 1;
        self.builder.combine(SLOPES, vec![(SLOPES, self.same(old)), (last, self.same(new))], None);
        let factor = 0.9 * libm::pow(error, -0.2);
        let most = if self.rejected { 1.0 } else { 10.0 };
        self.step *= if factor.is_nan() { 0.2 } else { factor.clamp(0.2, most) };
        self.rejected = !accepted;
        if accepted {
            self.time = self.next;
        }
    }
}

impl PlanSource for Source {
    fn next(&mut self, error: Option<f64>) -> Result<Option<PlanStep>, SamplerError> {
        match self.phase {
            Phase::Commit => {
                self.commit(error.unwrap_or(f64::NAN));
                self.phase = Phase::Attempt;
            }
            Phase::First | Phase::Attempt => {
                if self.time == self.end {
                    return Ok(None);
                }
                self.attempt()?;
                self.phase = Phase::Commit;
            }
        }
        Ok(self.builder.take_step())
    }
}
