//! Predictor–corrector sampling of a system of SDEs.

use serde::{Deserialize, Serialize};

use super::langevin::{At, Langevin, LangevinRegisters, stage_evaluations};
use super::{
    Corrector, NoiseTerm, NormScope, PerComponent, Plan, PlanBuilder, Planner, PlannerInfo, Register, STATE,
    ancestral, euler_maruyama, gdss_times, reverse_diffusion, scales_of, sde_dpm_solver_plus_plus,
};
use crate::error::SamplerError;
use crate::grid::TimeGrid;
use crate::noise::Stream;
use crate::path::{self, Path, PathConfig};
use crate::prediction::PredictionKind;

/// Which predictor advances the state.
///
/// The first three are steps of a chain of M scales and use the score. The others go exactly from one time of the run to
/// the next and use x̂₀ or ε̂; after the last time they return x̂₀.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Predictor {
    /// [Reverse diffusion](super::ReverseDiffusion).
    #[default]
    Reverse,
    /// [Euler–Maruyama](super::EulerMaruyama).
    Euler,
    /// [Ancestral sampling](super::Ancestral), the published chain.
    Ancestral,
    /// DDIM, the exponential Euler step of the probability-flow ODE (order 1 of DPM-Solver++); deterministic.
    Ddim,
    /// The [exponential step of the reverse SDE](super::SdeDpmSolverPlusPlus).
    #[serde(rename = "sde-dpm-solver++")]
    SdeDpmSolverPlusPlus,
    /// [Heun's method](super::Heun) on the probability-flow ODE, two evaluations; deterministic.
    Heun,
}

impl Predictor {
    /// Whether it steps from one time of the run to the next.
    fn joins_times(self) -> bool {
        matches!(self, Self::Ddim | Self::SdeDpmSolverPlusPlus | Self::Heun)
    }
}

/// `mean = state · x + prediction · p`, `x ← mean + noise · z`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PredictorStep {
    pub(super) state: f64,
    pub(super) prediction: f64,
    pub(super) noise: f64,
}

/// Predictor–corrector: at each of M even times from the start to `eps`, a Langevin correction of every component, then
/// a predictor step of every component. The two halves of a stage see the same state; the last step returns the mean.
///
/// The defaults are those published for QM9 molecules.
///
/// Cost of n steps: n for the predictor (2n − 1 for `heun`), plus n times the corrector's: 0 for `none`,
/// 1 + (`n_steps` − 1) C for `langevin` and C components, `n_steps` for `annealed-langevin`; plus `equilibration`. With
/// `share_evaluation` the corrector is free but in the `separate_last` steps.
///
/// With the defaults a step is `x ← x + e s + c √(2e) z`, `e = 2α (snr |z|/|s|)²`, c = `scale_eps`, then
/// `x ← x − F_k(x) + G_k² s + G_k z` with the discretised F, G of M scales.
///
/// Order: weak 1 for the predictors of a chain and for `sde-dpm-solver++`, 1 for `ddim`, 2 for `heun`, and one more with
/// `predictor_order` 2. A correction keeps the law of its level only up to its step size ([`Corrector`]), so with one the
/// result is biased whatever the number of steps.
///
/// Source: Song et al., ICLR 2021 (arXiv 2011.13456); for systems of SDEs Jo, Lee & Hwang, ICML 2022 (arXiv 2202.02514).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PredictorCorrector {
    /// The predictor.
    pub predictor: Predictor,
    /// The corrector.
    pub corrector: Corrector,
    /// Order of predictors `ddim` and `sde-dpm-solver++`: 1, or 2 for the multistep form, which also uses x̂₀ of the step
    /// before.
    #[serde(skip_serializing_if = "is_one")]
    pub predictor_order: u8,
    /// Signal-to-noise ratio of the corrector, for all components or for each.
    pub snr: PerComponent,
    /// The same at the last step, if it is to change on the way, evenly from step to step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snr_end: Option<PerComponent>,
    /// Factor on the corrector's noise, for all components or for each.
    pub scale_eps: PerComponent,
    /// The same at the last step, if it is to change on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_eps_end: Option<PerComponent>,
    /// Corrections per step.
    pub n_steps: usize,
    /// Whose norms set the step size of corrector `langevin`.
    pub norm: NormScope,
    /// Last time.
    pub eps: f64,
    /// Whether the last step returns the mean instead of the noised state.
    pub noise_removal: bool,
    /// Whether the predictor follows the probability-flow ODE instead of the reverse SDE.
    pub probability_flow: bool,
    /// Layout of the times; default even. Only for predictors that go from one time to the next (`ddim`,
    /// `sde-dpm-solver++`, `heun`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid: Option<TimeGrid>,
    /// Whether corrector and predictor of a step share one evaluation, made before the correction, as in
    /// [S4](super::S4).
    #[serde(skip_serializing_if = "is_default")]
    pub share_evaluation: bool,
    /// With `share_evaluation`: how many of the last steps correct with an evaluation of their own all the same.
    #[serde(skip_serializing_if = "is_default")]
    pub separate_last: usize,
    /// Corrections at the first time before the first step, one evaluation each: they bring the prior nearer to the law
    /// of the noised data.
    #[serde(skip_serializing_if = "is_default")]
    pub equilibration: usize,
    /// Whether the last step returns x̂₀ at the last time (Tweedie's formula) instead of a predictor step.
    #[serde(skip_serializing_if = "is_default")]
    pub final_denoise: bool,
}

// Serde hands the field over by reference.
#[expect(clippy::trivially_copy_pass_by_ref)]
fn is_one(value: &u8) -> bool {
    *value == 1
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for PredictorCorrector {
    fn default() -> Self {
        Self {
            predictor: Predictor::Reverse,
            corrector: Corrector::Langevin,
            predictor_order: 1,
            snr: PerComponent::All(0.2),
            snr_end: None,
            scale_eps: PerComponent::All(0.7),
            scale_eps_end: None,
            n_steps: 1,
            norm: NormScope::PerSample,
            eps: 1e-4,
            noise_removal: true,
            probability_flow: false,
            grid: None,
            share_evaluation: false,
            separate_last: 0,
            equilibration: 0,
            final_denoise: false,
        }
    }
}

/// The times of a run and the chain they belong to.
struct Clock {
    times: Vec<f64>,
    /// Number of scales of the whole clock.
    scales: usize,
    /// Width of an even step.
    width: f64,
}

/// Registers of a run.
#[derive(Clone, Copy)]
struct Registers {
    langevin: LangevinRegisters,
    /// What the predictor reads: the score's register if it uses the score.
    prediction: Register,
    /// With a predictor of order 2: the other of the two registers that hold x̂₀ of this step and of the last in turn.
    previous: Option<Register>,
    /// Second prediction and trial state of `heun`.
    second: Option<(Register, Register)>,
}

impl PredictorCorrector {
    fn corrected(&self) -> bool {
        self.corrector != Corrector::None
    }

    fn check(&self, planner: &'static str, paths: &[Box<dyn Path>]) -> Result<(), SamplerError> {
        let reject = |option, value, expected| SamplerError::Option { planner, option, value, expected };
        if self.share_evaluation && !(self.corrected() && self.n_steps == 1) {
            let expected = "a corrector with one correction per step";
            return Err(reject("share_evaluation", self.n_steps as f64, expected));
        }
        if self.equilibration > 0 && !self.corrected() {
            return Err(reject("equilibration", self.equilibration as f64, "0 without a corrector"));
        }
        if self.predictor == Predictor::Ancestral {
            ancestral::check_scales(planner, paths)?;
        }
        let multistep = matches!(self.predictor, Predictor::Ddim | Predictor::SdeDpmSolverPlusPlus);
        if !(self.predictor_order == 1 || self.predictor_order == 2 && multistep) {
            let expected = "1, or 2 with predictor ddim or sde-dpm-solver++";
            return Err(reject("predictor_order", f64::from(self.predictor_order), expected));
        }
        if self.separate_last > 0 && !self.share_evaluation {
            let expected = "0 unless share_evaluation is on";
            return Err(reject("separate_last", self.separate_last as f64, expected));
        }
        if self.grid.is_some() && !self.predictor.joins_times() {
            let expected = "none: predictors reverse, euler and ancestral are made for even times";
            return Err(reject("grid", 1.0, expected));
        }
        Ok(())
    }

    fn clock(
        &self,
        planner: &'static str,
        builder: &PlanBuilder,
        paths: &[PathConfig],
        steps: usize,
    ) -> Result<Clock, SamplerError> {
        let start = path::start_time(&builder.paths);
        let times = match &self.grid {
            Some(grid) if steps > 1 || matches!(grid, TimeGrid::Explicit(_)) => {
                grid.nodes(paths, steps - 1, start, self.eps)?
            }
            _ => gdss_times(planner, start, steps, self.eps)?,
        };
        Ok(Clock { times, scales: scales_of(start, steps), width: start / steps as f64 })
    }

    /// The kind of prediction the predictor reads.
    fn wanted(&self, last: bool) -> PredictionKind {
        match self.predictor {
            _ if last => PredictionKind::X0,
            Predictor::Reverse | Predictor::Euler | Predictor::Ancestral => PredictionKind::Score,
            Predictor::Ddim | Predictor::SdeDpmSolverPlusPlus => PredictionKind::X0,
            Predictor::Heun => PredictionKind::Noise,
        }
    }

    fn predict(&self, path: &dyn Path, clock: &Clock, index: usize) -> PredictorStep {
        let (time, scales) = (clock.times[index], clock.scales);
        let next = clock.times.get(index + 1).copied().unwrap_or(time);
        let noise_fraction = if self.probability_flow { 0.0 } else { 1.0 };
        let mut step = match self.predictor {
            Predictor::Reverse => reverse_diffusion::step(path, time, scales),
            Predictor::Euler => euler_maruyama::step(path, time, clock.width),
            Predictor::Ancestral => ancestral::published_step(path, time, scales),
            Predictor::SdeDpmSolverPlusPlus => {
                return sde_dpm_solver_plus_plus::step(path, time, next, noise_fraction);
            }
            Predictor::Ddim | Predictor::Heun => {
                return sde_dpm_solver_plus_plus::step(path, time, next, 0.0);
            }
        };
        if self.probability_flow {
            step.prediction *= 0.5;
            step.noise = 0.0;
        }
        step
    }

    fn registers(&self, builder: &mut PlanBuilder) -> Registers {
        let score = builder.register();
        let inner = self.corrector == Corrector::Langevin && self.n_steps > 1;
        let langevin = if inner {
            LangevinRegisters { score, inner_score: builder.register(), moved: builder.register() }
        } else {
            LangevinRegisters { score, inner_score: score, moved: STATE }
        };
        // Only an evaluation that serves both halves of a step has two answers to keep.
        let two_answers = self.share_evaluation && (self.predictor.joins_times() || self.final_denoise);
        let order_two = self.predictor_order == 2;
        let prediction = if two_answers || order_two { builder.register() } else { score };
        let previous = order_two.then(|| builder.register());
        let second = (self.predictor == Predictor::Heun).then(|| (builder.register(), builder.register()));
        Registers { langevin, prediction, previous, second }
    }

    /// The predictor step from time `index`, its evaluation made already.
    fn push_prediction(&self, builder: &mut PlanBuilder, clock: &Clock, index: usize, registers: Registers) {
        let prediction = registers.prediction;
        let last = index + 1 == clock.times.len();
        if last && (self.final_denoise || self.predictor.joins_times()) {
            builder.combine(STATE, vec![(prediction, vec![1.0; builder.components()])], None);
            return;
        }
        if let Some((second, trial)) = registers.second {
            super::heun::push_step(
                builder,
                (clock.times[index], clock.times[index + 1]),
                [prediction, second, trial],
            );
            return;
        }
        let state = builder.each(|path| self.predict(path, clock, index).state);
        let predictions = builder.each(|path| self.predict(path, clock, index).prediction);
        let noise = builder.each(|path| self.predict(path, clock, index).noise);
        let deterministic = self.probability_flow || self.predictor == Predictor::Ddim;
        let silent = deterministic || (self.noise_removal && last);
        let noise = (!silent).then_some(NoiseTerm {
            stream: Stream::Predictor,
            step: index as u32,
            coefficients: noise,
        });
        let mut terms = vec![(STATE, state), (prediction, predictions)];
        if let Some(previous) = registers.previous
            && index > 0
        {
            let [before, now, next] = [index - 1, index, index + 1].map(|index| clock.times[index]);
            let slope = builder.each(|path| {
                0.5 * (path.lambda(next) - path.lambda(now)) / (path.lambda(now) - path.lambda(before))
            });
            let gain = terms[1].1.clone();
            terms[1].1 = gain.iter().zip(&slope).map(|(gain, slope)| gain * (1.0 + slope)).collect();
            terms.push((previous, gain.iter().zip(&slope).map(|(gain, slope)| -gain * slope).collect()));
        }
        builder.combine(STATE, terms, noise);
    }

    /// The corrector of the first and of the last step.
    fn correctors(
        &self,
        planner: &'static str,
        components: usize,
    ) -> Result<Option<[Langevin; 2]>, SamplerError> {
        if !self.corrected() {
            return Ok(None);
        }
        let make = |snr, scale_eps| {
            Langevin::new(planner, self.corrector, (snr, scale_eps), self.n_steps, self.norm, components)
        };
        let last = make(
            self.snr_end.as_ref().unwrap_or(&self.snr),
            self.scale_eps_end.as_ref().unwrap_or(&self.scale_eps),
        )?;
        Ok(Some([make(&self.snr, &self.scale_eps)?, last]))
    }

    /// Whether corrector and predictor of step `index` of `steps` share one evaluation.
    fn shares(&self, index: usize, steps: usize) -> bool {
        self.share_evaluation && index + self.separate_last < steps
    }

    pub(super) fn plan_as(
        &self,
        planner: &'static str,
        paths: &[PathConfig],
        steps: usize,
    ) -> Result<Plan, SamplerError> {
        let mut builder = PlanBuilder::new(planner, paths, steps)?;
        let components = builder.components();
        let correctors = self.correctors(planner, components)?;
        self.check(planner, &builder.paths)?;
        let registers = self.registers(&mut builder);
        let score = registers.langevin.score;
        let clock = self.clock(planner, &builder, paths, steps)?;
        for (index, &time) in clock.times.iter().enumerate() {
            let at = At { time, scales: clock.scales, step: index as u32 };
            let last = index + 1 == steps;
            let wanted = self.wanted(last && (self.final_denoise || self.predictor.joins_times()));
            // Two registers take turns where the step before is needed.
            let registers = match registers.previous {
                Some(other) if index % 2 == 1 => {
                    Registers { prediction: other, previous: Some(registers.prediction), ..registers }
                }
                _ => registers,
            };
            let shared = self.shares(index, steps);
            builder.begin_step(time);
            if let Some([first, end]) = &correctors {
                let langevin =
                    first.between(end, if steps > 1 { index as f64 / (steps - 1) as f64 } else { 0.0 });
                if index == 0 {
                    for extra in 0..self.equilibration {
                        // Draws after those of all steps.
                        let step = (steps * self.n_steps + extra) as u32;
                        builder.eval_state(time, PredictionKind::Score, score);
                        langevin.push(&mut builder, score, At { step, ..at });
                    }
                }
                if shared {
                    let mut outputs = vec![(PredictionKind::Score, score)];
                    if wanted != PredictionKind::Score {
                        outputs.push((wanted, registers.prediction));
                    }
                    builder.eval_many(time, vec![STATE; components], &outputs);
                    langevin.push(&mut builder, score, at);
                } else {
                    langevin.push_stage(&mut builder, registers.langevin, at);
                }
            }
            if !shared {
                builder.eval_state(time, wanted, registers.prediction);
            }
            let prediction = if wanted == PredictionKind::Score { score } else { registers.prediction };
            self.push_prediction(&mut builder, &clock, index, Registers { prediction, ..registers });
        }
        builder.finish()
    }
}

impl Planner for PredictorCorrector {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: "predictor-corrector",
            description: "a Langevin correction, then a reverse-SDE step, at every time; the published sampler of GDSS",
            formula: "x <- x + e s + c sqrt(2e) z, e = 2 a (snr |z|/|s|)^2; then x <- x - F_k(x) + G_k^2 s + G_k z",
            order: "weak 1",
            cost: "2n (n_steps = 1); n without corrector or with a shared evaluation",
            citation: "Song et al., ICLR 2021 (arXiv 2011.13456); Jo, Lee & Hwang, ICML 2022 (arXiv 2202.02514)",
        }
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        self.plan_as("predictor-corrector", paths, steps)
    }

    fn evaluations(&self, steps: usize, components: usize) -> usize {
        let stage = stage_evaluations(self.corrector, self.n_steps, components);
        let corrected = (0..steps).filter(|&index| !self.shares(index, steps)).count();
        let second = if self.predictor == Predictor::Heun { steps.saturating_sub(1) } else { 0 };
        steps + corrected * stage + second + self.equilibration
    }
}
