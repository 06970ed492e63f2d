//! Plans: samplers compiled to data, and the planners that make them, one file per method.
//!
//! A plan works on numbered **registers**; each holds one value per component. Register 0 is the state. Coefficients
//! are f64 numbers, one per component, computed on the host. History of a multistep method is a register that stays
//! alive, not hidden state; the number of network evaluations is the number of [`Op::Eval`]; a plan can be printed,
//! written as JSON, edited and read back.

mod config;
mod dpm_solver;
mod euler_maruyama;
mod heun;
mod langevin;
mod predictor_corrector;
mod reverse_diffusion;
mod s4;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::SamplerError;
use crate::noise::Stream;
use crate::path::{Marginal, PathConfig};
use crate::prediction::PredictionKind;

pub use config::SamplerConfig;
pub use dpm_solver::DpmSolver;
pub use euler_maruyama::EulerMaruyama;
pub use heun::Heun;
pub use langevin::{Corrector, Langevin, NormScope};
pub use predictor_corrector::{Predictor, PredictorCorrector};
pub use reverse_diffusion::ReverseDiffusion;
pub use s4::S4;

/// Index of a register. Register 0 is the state a run starts from and returns.
pub type Register = usize;

/// The state's register.
pub const STATE: Register = 0;

/// A register with one coefficient per component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// The register read.
    pub register: Register,
    /// One coefficient per component.
    pub coefficients: Vec<f64>,
}

/// Fresh noise in a [`Op::Combine`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseTerm {
    /// The stream drawn from.
    pub stream: Stream,
    /// Tells the draws of a stream apart.
    pub step: u32,
    /// One standard deviation per component.
    pub coefficients: Vec<f64>,
}

/// One operation of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Op {
    /// Evaluates the network once and converts its answer.
    Eval {
        /// Master time of every row.
        time: f64,
        /// The register each component is read from.
        inputs: Vec<Register>,
        /// α, σ and derivatives of each component at `time`, for the conversion.
        marginals: Vec<Marginal>,
        /// The kind of prediction wanted.
        want: PredictionKind,
        /// The register written.
        into: Register,
    },
    /// `out = Σ coefficient · register + noise`, component by component.
    Combine {
        /// The register written.
        out: Register,
        /// The registers read, summed in this order.
        terms: Vec<Term>,
        /// Noise added last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        noise: Option<NoiseTerm>,
    },
    /// One Langevin correction of one component: `step = 2α (snr |z|/|s|)²`, `v ← v + step s + scale √(2 step) z`.
    Langevin {
        /// The component corrected.
        component: usize,
        /// The register it is read from.
        from: Register,
        /// The register written (this component only).
        out: Register,
        /// The register of the scores s.
        score: Register,
        /// α of the step size.
        alpha: f64,
        /// Signal-to-noise ratio.
        snr: f64,
        /// Factor on the noise.
        scale: f64,
        /// Whose norms make the step size.
        norm: NormScope,
        /// Tells the draws of stream `corrector` apart.
        step: u32,
    },
    /// Orthogonal projection of a register onto the components' supports.
    Project {
        /// The register projected.
        register: Register,
    },
}

/// A part of a plan between two progress reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanStep {
    /// Master time the step starts from.
    pub time: f64,
    /// Its operations.
    pub ops: Vec<Op>,
}

/// A sampler as data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The planner that made it.
    pub planner: String,
    /// Number of components.
    pub components: usize,
    /// Number of registers.
    pub registers: usize,
    /// The steps in order.
    pub steps: Vec<PlanStep>,
}

impl Plan {
    /// Number of network evaluations.
    #[must_use]
    pub fn evaluations(&self) -> usize {
        self.ops().filter(|op| matches!(op, Op::Eval { .. })).count()
    }

    /// All operations in order.
    pub fn ops(&self) -> impl Iterator<Item = &Op> {
        self.steps.iter().flat_map(|step| &step.ops)
    }

    /// Checks that every operation reads only what was written, has one coefficient per component, finite ones, and
    /// stays inside the registers. The executor calls it, so a plan from disk may be run as it is.
    ///
    /// # Errors
    /// [`SamplerError::InvalidPlan`] with the place of the first fault.
    pub fn validate(&self) -> Result<(), SamplerError> {
        let fail = |step, operation, problem: String| {
            Err(SamplerError::InvalidPlan { planner: self.planner.clone(), step, operation, problem })
        };
        if self.components == 0 || self.registers == 0 {
            return fail(0, 0, "no components or no registers".to_owned());
        }
        // A register costs memory; a plan from disk must not ask for more than it can name.
        if self.registers > 1 + self.ops().count() * 2 {
            return fail(0, 0, format!("{} registers are more than its operations can use", self.registers));
        }
        let mut written = vec![vec![false; self.components]; self.registers];
        written[STATE].fill(true);
        for (s, step) in self.steps.iter().enumerate() {
            for (o, op) in step.ops.iter().enumerate() {
                if let Err(problem) = self.check_op(op, &mut written) {
                    return fail(s, o, problem);
                }
            }
        }
        Ok(())
    }

    fn check_op(&self, op: &Op, written: &mut [Vec<bool>]) -> Result<(), String> {
        let n = self.components;
        let count = |what: &str, found: usize| {
            if found == n { Ok(()) } else { Err(format!("{found} {what} for {n} components")) }
        };
        let finite = |values: &[f64]| match values.iter().find(|value| !value.is_finite()) {
            Some(value) => Err(format!("coefficient {value}")),
            None => Ok(()),
        };
        let exists = |register: Register| {
            if register < self.registers {
                Ok(())
            } else {
                Err(format!("register {register} does not exist"))
            }
        };
        match op {
            Op::Eval { time, inputs, marginals, into, .. } => {
                count("inputs", inputs.len())?;
                count("marginals", marginals.len())?;
                finite(&[*time])?;
                for m in marginals {
                    finite(&[m.alpha, m.sigma, m.d_alpha, m.d_sigma])?;
                }
                for (component, &register) in inputs.iter().enumerate() {
                    exists(register)?;
                    if !written[register][component] {
                        return Err(format!("register {register} is read before it is written"));
                    }
                }
                exists(*into)?;
                written[*into].fill(true);
            }
            Op::Combine { out, terms, noise } => {
                for term in terms {
                    count("coefficients", term.coefficients.len())?;
                    finite(&term.coefficients)?;
                    exists(term.register)?;
                    for (component, &coefficient) in term.coefficients.iter().enumerate() {
                        if coefficient != 0.0 && !written[term.register][component] {
                            return Err(format!("register {} is read before it is written", term.register));
                        }
                    }
                }
                if let Some(noise) = noise {
                    count("noise coefficients", noise.coefficients.len())?;
                    finite(&noise.coefficients)?;
                }
                exists(*out)?;
                written[*out].fill(true);
            }
            Op::Langevin { component, from, out, score, alpha, snr, scale, .. } => {
                finite(&[*alpha, *snr, *scale])?;
                if *alpha < 0.0 {
                    return Err(format!("a negative step size factor {alpha}"));
                }
                if *component >= n {
                    return Err(format!("component {component} does not exist"));
                }
                for &register in [from, score] {
                    exists(register)?;
                    if !written[register][*component] {
                        return Err(format!("register {register} is read before it is written"));
                    }
                }
                exists(*out)?;
                written[*out][*component] = true;
            }
            Op::Project { register } => {
                exists(*register)?;
                if !written[*register].iter().all(|&w| w) {
                    return Err(format!("register {register} is read before it is written"));
                }
            }
        }
        Ok(())
    }
}

fn numbers(f: &mut fmt::Formatter<'_>, values: &[f64]) -> fmt::Result {
    // Components mostly share a coefficient; then it is printed once.
    if values.windows(2).all(|pair| pair[0] == pair[1]) {
        return write!(f, "{:.6}", values.first().copied().unwrap_or(0.0));
    }
    f.write_str("[")?;
    for (i, value) in values.iter().enumerate() {
        write!(f, "{}{value:.6}", if i > 0 { ", " } else { "" })?;
    }
    f.write_str("]")
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eval { time, inputs, want, into, .. } => {
                let from: Vec<String> = inputs.iter().map(|r| format!("r{r}")).collect();
                write!(f, "r{into} = {want:?}({}; t = {time:.6})", from.join(", "))
            }
            Self::Combine { out, terms, noise } => {
                write!(f, "r{out} = ")?;
                for (i, term) in terms.iter().enumerate() {
                    f.write_str(if i > 0 { " + " } else { "" })?;
                    if term.coefficients.iter().any(|&c| c != 1.0) {
                        numbers(f, &term.coefficients)?;
                        f.write_str(" ")?;
                    }
                    write!(f, "r{}", term.register)?;
                }
                if let Some(noise) = noise {
                    f.write_str(" + ")?;
                    numbers(f, &noise.coefficients)?;
                    write!(f, " z({:?}, {})", noise.stream, noise.step)?;
                }
                Ok(())
            }
            Self::Langevin { component, from, out, score, alpha, snr, scale, norm, step } => write!(
                f,
                "r{out}.{component} = langevin(r{from}.{component}, score r{score}; alpha {alpha:.6}, snr {snr}, scale {scale}, {norm:?}) + z(Corrector, {step})"
            ),
            Self::Project { register } => write!(f, "r{register} = project(r{register})"),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} steps, {} evaluations, {} components, {} registers (r0 = state)",
            self.planner,
            self.steps.len(),
            self.evaluations(),
            self.components,
            self.registers
        )?;
        for (index, step) in self.steps.iter().enumerate() {
            writeln!(f, "step {index}, t = {:.6}", step.time)?;
            for op in &step.ops {
                writeln!(f, "  {op}")?;
            }
        }
        Ok(())
    }
}

/// What a planner says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PlannerInfo {
    /// Its name on the command line and in files.
    pub name: &'static str,
    /// One line: what it is and when to use it.
    pub description: &'static str,
    /// Its update rule.
    pub formula: &'static str,
    /// Order of accuracy.
    pub order: &'static str,
    /// Network evaluations of n steps.
    pub cost: &'static str,
    /// Where it comes from.
    pub citation: &'static str,
}

/// Turns paths and a number of steps into a plan.
pub trait Planner: fmt::Debug + Send + Sync {
    /// Name, order, cost and source.
    fn info(&self) -> PlannerInfo;

    /// The plan of `steps` steps for components with these paths.
    ///
    /// # Errors
    /// If an option is out of range, a path is not supported, or the steps are too few for finite coefficients.
    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError>;

    /// Number of network evaluations [`Planner::plan`] will ask for.
    fn evaluations(&self, steps: usize, components: usize) -> usize;
}

/// Fields shared by plans under construction.
pub(crate) struct Builder {
    planner: &'static str,
    pub(crate) paths: Vec<Box<dyn crate::path::Path>>,
    registers: usize,
    steps: Vec<PlanStep>,
}

impl Builder {
    /// Checks the paths and the number of steps.
    pub(crate) fn new(
        planner: &'static str,
        paths: &[PathConfig],
        steps: usize,
    ) -> Result<Self, SamplerError> {
        if paths.is_empty() {
            return Err(SamplerError::NoPaths { planner });
        }
        if steps == 0 {
            let expected = "at least 1";
            return Err(SamplerError::Option { planner, option: "steps", value: 0.0, expected });
        }
        for path in paths {
            path.validate()?;
        }
        let paths = paths.iter().map(PathConfig::build).collect();
        Ok(Self { planner, paths, registers: 1, steps: Vec::with_capacity(steps) })
    }

    pub(crate) fn components(&self) -> usize {
        self.paths.len()
    }

    pub(crate) fn register(&mut self) -> Register {
        self.registers += 1;
        self.registers - 1
    }

    pub(crate) fn begin_step(&mut self, time: f64) {
        self.steps.push(PlanStep { time, ops: Vec::new() });
    }

    pub(crate) fn push(&mut self, op: Op) {
        match self.steps.last_mut() {
            Some(step) => step.ops.push(op),
            None => self.steps.push(PlanStep { time: 1.0, ops: vec![op] }),
        }
    }

    /// One coefficient per component.
    pub(crate) fn each(&self, coefficient: impl Fn(&dyn crate::path::Path) -> f64) -> Vec<f64> {
        self.paths.iter().map(|path| coefficient(path.as_ref())).collect()
    }

    pub(crate) fn eval(&mut self, time: f64, inputs: Vec<Register>, want: PredictionKind, into: Register) {
        let marginals = self.paths.iter().map(|path| path.marginal(time)).collect();
        self.push(Op::Eval { time, inputs, marginals, want, into });
    }

    pub(crate) fn eval_state(&mut self, time: f64, want: PredictionKind, into: Register) {
        let inputs = vec![STATE; self.components()];
        self.eval(time, inputs, want, into);
    }

    pub(crate) fn combine(
        &mut self,
        out: Register,
        terms: Vec<(Register, Vec<f64>)>,
        noise: Option<NoiseTerm>,
    ) {
        let terms =
            terms.into_iter().map(|(register, coefficients)| Term { register, coefficients }).collect();
        self.push(Op::Combine { out, terms, noise });
    }

    /// The plan, after a check that every coefficient is finite.
    pub(crate) fn finish(self) -> Result<Plan, SamplerError> {
        let steps = self.steps.len();
        for (index, step) in self.steps.iter().enumerate() {
            for op in &step.ops {
                let found = match op {
                    Op::Combine { terms, noise, .. } => terms
                        .iter()
                        .map(|term| &term.coefficients)
                        .chain(noise.iter().map(|noise| &noise.coefficients))
                        .find_map(|values| values.iter().copied().enumerate().find(|(_, c)| !c.is_finite())),
                    Op::Langevin { component, alpha, .. } if alpha.is_nan() || *alpha < 0.0 => {
                        Some((*component, *alpha))
                    }
                    _ => None,
                };
                if let Some((component, value)) = found {
                    let path = self.paths[component].name();
                    let planner = self.planner;
                    return Err(SamplerError::TooFewSteps {
                        planner,
                        steps,
                        path,
                        component,
                        step: index,
                        value,
                    });
                }
            }
        }
        let components = self.paths.len();
        Ok(Plan {
            planner: self.planner.to_owned(),
            components,
            registers: self.registers,
            steps: self.steps,
        })
    }
}

/// The times of GDSS samplers: `steps` even points from 1 to `eps`, both included.
pub(crate) fn gdss_times(planner: &'static str, steps: usize, eps: f64) -> Result<Vec<f64>, SamplerError> {
    if !(eps > 0.0 && eps < 1.0) {
        return Err(SamplerError::Option { planner, option: "eps", value: eps, expected: "0 < eps < 1" });
    }
    Ok((0..steps).map(|i| crate::path::linspace(1.0, eps, steps, i)).collect())
}

/// The end time of an ODE solver: the given one, or 1e-3 up to 15 steps and 1e-4 above.
pub(crate) fn end_time(given: Option<f64>, steps: usize) -> f64 {
    given.unwrap_or(if steps <= 15 { 1e-3 } else { 1e-4 })
}
