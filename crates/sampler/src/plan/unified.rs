//! The unified sampling framework: every step of an ODE solver with a strategy of its own, compiled to a plan.

use serde::{Deserialize, Serialize};

use super::exponential_step::{Derivatives, ExponentialStep, LinearPart, derivative_weights};
use super::ode::push_denoise;
use super::{Plan, PlanBuilder, Register, STATE};
use crate::error::SamplerError;
use crate::path::{PathConfig, start_time};
use crate::prediction::PredictionKind;
use crate::statistics::ModelStatistics;

/// Which prediction a step expands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expansion {
    /// ε̂, as DPM-Solver.
    Noise,
    /// x̂₀, as DPM-Solver++.
    Data,
    /// What measured statistics leave, as DPM-Solver-v3.
    Statistics,
}

/// What happens after the evaluation at the end of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepCorrector {
    /// Nothing.
    None,
    /// The step is made again with that evaluation; it is kept for the next step as it is. No further cost.
    Pseudo,
    /// The step is made again with that evaluation, and the network is evaluated again. One more evaluation.
    Implicit,
}

/// Where the prediction at the start comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FirstPrediction {
    /// The network.
    Network,
    /// x̂₀ = 0, without an evaluation: at the start the state tells next to nothing about the data.
    Zero,
    /// x̂₀ = the mean of the data.
    Mean,
}

/// The strategy of one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepStrategy {
    /// Time at which the step ends.
    pub time: f64,
    /// Order of the Taylor polynomial, 1 to 4.
    pub order: u8,
    /// What is expanded.
    pub expansion: Expansion,
    /// How many further nodes estimate the first derivative; the higher ones use `order − 1`. Ignored for order 1.
    pub points: u8,
    /// The first derivative is multiplied by 1 + `relaxation` · h, h the step in λ.
    pub relaxation: f64,
    /// How many nodes back the step starts: 1 is the latest. Single-step methods start their last stage further back.
    pub start: u8,
    /// The corrector. On the last step there is none, whatever this says.
    pub corrector: StepCorrector,
}

/// A solver schedule (Liu, Ning, Yang & Wang, "A Unified Sampling Framework for Solver Searching of Diffusion
/// Probabilistic Models", ICLR 2024): the strategies of all steps.
///
/// Each step from node a to its time is an exponential step whose Taylor polynomial is centred at a. The nodes that
/// estimate derivatives are those after a, oldest first, then those before a, newest first. A corrector repeats the step
/// with the node at its end as first of them and an order one higher (at most 4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnifiedSchedule {
    /// The prediction at the start.
    pub first: FirstPrediction,
    /// The steps.
    pub steps: Vec<StepStrategy>,
    /// Whether a last evaluation returns x̂₀.
    pub denoise: bool,
}

const NAME: &str = "unified";

/// One step's coefficients, per component.
struct Compiled {
    start: usize,
    /// Nodes read, with the coefficients of their ε̂ and x̂₀.
    reads: Vec<(usize, Vec<f64>, Vec<f64>)>,
    state: Vec<f64>,
    constant: Vec<f64>,
}

impl UnifiedSchedule {
    /// Network evaluations of the schedule.
    #[must_use]
    pub fn evaluations(&self) -> usize {
        let implicit = |step: &&StepStrategy| step.corrector == StepCorrector::Implicit;
        let before_last = &self.steps[..self.steps.len().saturating_sub(1)];
        self.steps.len() + before_last.iter().filter(implicit).count() + usize::from(self.denoise)
            - usize::from(self.first != FirstPrediction::Network && !self.steps.is_empty())
    }

    fn check(&self, start: f64) -> Result<(), SamplerError> {
        let reject =
            |option, value, expected| Err(SamplerError::Option { planner: NAME, option, value, expected });
        if self.steps.is_empty() || self.steps.len() > 1000 {
            return reject("steps", self.steps.len() as f64, "1 to 1000");
        }
        let mut before = start;
        for (index, step) in self.steps.iter().enumerate() {
            // Nodes known when the step is made, besides the one it starts from.
            let others = index;
            if !(step.time > 0.0 && step.time < before) {
                return reject("time", step.time, "decreasing times after the start, above 0");
            }
            before = step.time;
            if !(1..=4).contains(&step.order) || usize::from(step.order) > others + 1 {
                return reject("order", f64::from(step.order), "1 to 4, at most the number of nodes");
            }
            let needed = if step.order > 1 { 1..=others } else { 0..=usize::MAX };
            if !needed.contains(&usize::from(step.points)) {
                return reject("points", f64::from(step.points), "1 to the number of earlier nodes");
            }
            if step.start == 0 || usize::from(step.start) > index + 1 {
                return reject("start", f64::from(step.start), "1 to the number of nodes");
            }
            if !step.relaxation.is_finite() {
                return reject("relaxation", step.relaxation, "a finite number");
            }
        }
        Ok(())
    }

    /// The schedule as a plan for components with these paths. `statistics` is needed by steps that expand
    /// [`Expansion::Statistics`], `mean` (one number per component) by [`FirstPrediction::Mean`].
    ///
    /// # Errors
    /// If a strategy is out of range or asks for nodes that do not exist, times are not decreasing, statistics or mean
    /// are missing, or the statistics do not cover the schedule.
    pub fn compile(
        &self,
        paths: &[PathConfig],
        statistics: Option<&ModelStatistics>,
        mean: Option<&[f64]>,
    ) -> Result<Plan, SamplerError> {
        let mut builder = PlanBuilder::new(NAME, paths, self.steps.len())?;
        let start = start_time(&builder.paths);
        self.check(start)?;
        let mut times = vec![start];
        times.extend(self.steps.iter().map(|step| step.time));
        if self.steps.iter().any(|step| step.expansion == Expansion::Statistics) {
            let Some(statistics) = statistics else {
                let problem = "a step expands them, but none were given".to_owned();
                return Err(SamplerError::Statistics { problem });
            };
            statistics.check_paths(paths, start, times[self.steps.len()])?;
        }
        let compiler = Compiler { builder: &builder, times: &times, statistics };
        let mut predictors = Vec::with_capacity(self.steps.len());
        let mut correctors = Vec::with_capacity(self.steps.len());
        for (index, step) in self.steps.iter().enumerate() {
            predictors.push(compiler.predictor(index, step)?);
            let last = index + 1 == self.steps.len();
            let corrected = step.corrector != StepCorrector::None && !last;
            correctors.push(if corrected { Some(compiler.corrector(index, step)?) } else { None });
        }
        let registers = Registers::allocate(&mut builder, &predictors, &correctors);
        for index in 0..self.steps.len() {
            builder.begin_step(times[index]);
            if index == 0 && self.first != FirstPrediction::Network {
                self.push_first(&mut builder, times[0], mean, &registers)?;
            } else {
                registers.evaluate(&mut builder, index, times[index]);
            }
            if index > 0
                && let Some(corrector) = &correctors[index - 1]
            {
                registers.combine(&mut builder, corrector);
                if self.steps[index - 1].corrector == StepCorrector::Implicit {
                    registers.evaluate(&mut builder, index, times[index]);
                }
            }
            if let Some(saved) = registers.state[index] {
                builder.combine(saved, vec![(STATE, vec![1.0; paths.len()])], None);
            }
            registers.combine(&mut builder, &predictors[index]);
        }
        if self.denoise {
            push_denoise(&mut builder, times[self.steps.len()]);
        }
        builder.finish()
    }

    /// The prediction at the start without an evaluation.
    fn push_first(
        &self,
        builder: &mut PlanBuilder,
        time: f64,
        mean: Option<&[f64]>,
        registers: &Registers,
    ) -> Result<(), SamplerError> {
        let components = builder.components();
        let mean = match (self.first, mean) {
            (FirstPrediction::Mean, Some(mean)) if mean.len() == components => mean.to_vec(),
            (FirstPrediction::Mean, found) => {
                let found = found.map_or(0, <[f64]>::len);
                let what = "means of the data";
                return Err(SamplerError::Count { what, expected: components, found });
            }
            _ => vec![0.0; components],
        };
        if let Some(data) = registers.data[0] {
            builder.combine_with_constant(data, Vec::new(), mean.clone());
        }
        if let Some(noise) = registers.noise[0] {
            let scale = builder.each(|path| 1.0 / path.sigma(time));
            let shift =
                builder.paths.iter().zip(mean).map(|(path, m)| -m * path.alpha(time) / path.sigma(time));
            let shift = shift.collect();
            builder.combine_with_constant(noise, vec![(STATE, scale)], shift);
        }
        Ok(())
    }
}

/// Turns strategies into coefficients.
struct Compiler<'a> {
    builder: &'a PlanBuilder,
    times: &'a [f64],
    statistics: Option<&'a ModelStatistics>,
}

impl Compiler<'_> {
    fn predictor(&self, index: usize, step: &StepStrategy) -> Result<Compiled, SamplerError> {
        let start = index + 1 - usize::from(step.start);
        let mut nodes = vec![start];
        nodes.extend(start + 1..=index);
        nodes.extend((0..start).rev());
        let (order, points) = (usize::from(step.order), usize::from(step.points));
        self.coefficients(index, step, &nodes, order, points)
    }

    fn corrector(&self, index: usize, step: &StepStrategy) -> Result<Compiled, SamplerError> {
        let start = index + 1 - usize::from(step.start);
        let mut nodes = vec![start, index + 1];
        nodes.extend(start + 1..=index);
        nodes.extend((0..start).rev());
        let order = (usize::from(step.order) + 1).min(4);
        self.coefficients(index, step, &nodes, order, order - 1)
    }

    /// The step from `nodes[0]` to the end of step `index`.
    fn coefficients(
        &self,
        index: usize,
        step: &StepStrategy,
        nodes: &[usize],
        order: usize,
        points: usize,
    ) -> Result<Compiled, SamplerError> {
        let most = if order > 1 { points.max(order - 1) } else { 0 };
        let nodes = &nodes[..=most];
        let (from, to) = (self.times[nodes[0]], self.times[index + 1]);
        let mut compiled =
            Compiled { start: nodes[0], reads: Vec::new(), state: Vec::new(), constant: Vec::new() };
        compiled.reads.extend(nodes.iter().map(|&node| (node, Vec::new(), Vec::new())));
        for (component, path) in self.builder.paths.iter().enumerate() {
            let part = match (step.expansion, self.statistics) {
                (Expansion::Noise, _) => LinearPart::Noise,
                (Expansion::Statistics, Some(statistics)) => {
                    LinearPart::Measured(statistics.table(component))
                }
                _ => LinearPart::Data,
            };
            let lambdas: Vec<f64> = nodes.iter().map(|&node| path.lambda(self.times[node])).collect();
            let end = path.lambda(to);
            let estimate =
                |k: usize| derivative_weights(&lambdas, if k == 1 { points } else { order - 1 }, k);
            let derivatives: Option<Derivatives> = (1..order).map(estimate).collect();
            let Some(mut derivatives) = derivatives else {
                let (option, expected) = ("time", "times at different noise levels");
                return Err(SamplerError::Option { planner: NAME, option, value: to, expected });
            };
            if let Some(first) = derivatives.first_mut() {
                let factor = 1.0 + step.relaxation * (end - lambdas[0]);
                first.iter_mut().for_each(|weight| *weight *= factor);
            }
            let log_alpha = [path.log_alpha(from), path.log_alpha(to)];
            let ExponentialStep { state, model, constant } =
                part.step(&lambdas, end, log_alpha, &derivatives);
            compiled.state.push(state);
            compiled.constant.push(constant);
            for ((read, weight), lambda) in compiled.reads.iter_mut().zip(model).zip(&lambdas) {
                let term = part.model_term(*lambda);
                read.1.push(weight * term.noise);
                read.2.push(weight * term.data);
            }
        }
        Ok(compiled)
    }
}

/// The registers of the nodes; only what a step reads has one.
struct Registers {
    noise: Vec<Option<Register>>,
    data: Vec<Option<Register>>,
    state: Vec<Option<Register>>,
}

impl Registers {
    fn allocate(builder: &mut PlanBuilder, predictors: &[Compiled], correctors: &[Option<Compiled>]) -> Self {
        let nodes = predictors.len();
        let (mut noise, mut data, mut state) = (vec![false; nodes], vec![false; nodes], vec![false; nodes]);
        let used = |coefficients: &[f64]| coefficients.iter().any(|&c| c != 0.0);
        for step in predictors.iter().chain(correctors.iter().flatten()) {
            for (node, of_noise, of_data) in &step.reads {
                noise[*node] |= used(of_noise);
                data[*node] |= used(of_data);
            }
        }
        for (index, (predictor, corrector)) in predictors.iter().zip(correctors).enumerate() {
            // A corrector starts after the state has moved on; so does a step from an earlier node.
            state[predictor.start] |= predictor.start != index || corrector.is_some();
        }
        let mut registers =
            |wanted: Vec<bool>| wanted.into_iter().map(|wanted| wanted.then(|| builder.register())).collect();
        Self { noise: registers(noise), data: registers(data), state: registers(state) }
    }

    /// Evaluates the state at a node.
    fn evaluate(&self, builder: &mut PlanBuilder, node: usize, time: f64) {
        let kinds = [(PredictionKind::Noise, self.noise[node]), (PredictionKind::X0, self.data[node])];
        let outputs: Vec<_> = kinds.into_iter().filter_map(|(kind, into)| into.map(|r| (kind, r))).collect();
        if !outputs.is_empty() {
            builder.eval_many(time, vec![STATE; builder.components()], &outputs);
        }
    }

    /// `STATE = state · start + Σ coefficients · predictions + constant`.
    fn combine(&self, builder: &mut PlanBuilder, step: &Compiled) {
        let mut terms = vec![(self.state[step.start].unwrap_or(STATE), step.state.clone())];
        for (node, noise, data) in &step.reads {
            for (register, coefficients) in [(self.noise[*node], noise), (self.data[*node], data)] {
                if let Some(register) = register
                    && coefficients.iter().any(|&c| c != 0.0)
                {
                    terms.push((register, coefficients.clone()));
                }
            }
        }
        if step.constant.iter().all(|&value| value == 0.0) {
            builder.combine(STATE, terms, None);
        } else {
            builder.combine_with_constant(STATE, terms, step.constant.clone());
        }
    }
}
