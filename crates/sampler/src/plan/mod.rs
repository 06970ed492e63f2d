//! Plans: samplers compiled to data, and the planners that make them, one file per method.
//!
//! A plan works on numbered **registers**; each holds one value per component. Register 0 is the state. Coefficients
//! are f64 numbers, one per component, computed on the host. History of a multistep method is a register that stays
//! alive, not hidden state; the number of network evaluations is the number of [`Op::Eval`]; a plan can be printed,
//! written as JSON, edited and read back.

mod adaptive;
mod ancestral;
mod annealed_langevin;
mod builder;
mod config;
mod ddim;
mod dormand_prince;
mod dpm_method;
mod dpm_solver;
mod dpm_solver_adaptive;
mod dpm_solver_plus_plus;
mod dpm_solver_v3;
mod euler_maruyama;
mod exponential;
mod exponential_step;
mod heun;
mod inpainting;
mod interpolant_ode;
mod interpolant_sde;
mod langevin;
mod matched_prior;
mod ode;
mod operation;
mod per_component;
mod predictor_corrector;
mod reverse_diffusion;
mod s4;
mod sde_dpm_solver_plus_plus;
mod source;
mod thresholding;
mod uni_pc;
mod unified;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::SamplerError;
use crate::path::PathConfig;

pub use adaptive::{AdaptiveConfig, AdaptivePlanner};
pub use ancestral::{Ancestral, AncestralChain, AncestralVariance};
pub use annealed_langevin::AnnealedLangevin;
pub use builder::PlanBuilder;
pub use config::SamplerConfig;
pub use ddim::Ddim;
pub use dormand_prince::DormandPrince;
pub use dpm_method::{DpmMethod, ThirdOrder};
pub use dpm_solver::DpmSolver;
pub use dpm_solver_adaptive::{DpmSolverAdaptive, IntegratedPrediction};
pub use dpm_solver_plus_plus::DpmSolverPlusPlus;
pub use dpm_solver_v3::{DpmSolverV3, V3Corrector};
pub use euler_maruyama::EulerMaruyama;
pub(crate) use exponential_step::{StepIntegrals, derivative_weights};
pub use heun::Heun;
pub use inpainting::{Inpainting, Observation, ObservationNoise};
pub use interpolant_ode::InterpolantOde;
pub use interpolant_sde::{Diffusion, InterpolantSde, StochasticScheme};
pub use langevin::{Corrector, NormScope};
pub use matched_prior::MatchedPrior;
pub use operation::{NoiseTerm, Op, Output, Register, STATE, Term};
pub use per_component::PerComponent;
pub use predictor_corrector::{Predictor, PredictorCorrector};
pub use reverse_diffusion::ReverseDiffusion;
pub use s4::S4;
pub use sde_dpm_solver_plus_plus::SdeDpmSolverPlusPlus;
pub use source::PlanSource;
pub use thresholding::Thresholding;
pub use uni_pc::{UniPc, UniPcVariant};
pub use unified::{Expansion, FirstPrediction, StepCorrector, StepStrategy, UnifiedSchedule};

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
    /// Registers that the caller fills before the run, for instance with observed values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<Register>,
    /// The steps in order.
    pub steps: Vec<PlanStep>,
}

impl Plan {
    /// Number of network evaluations.
    #[must_use]
    pub fn evaluations(&self) -> usize {
        self.ops().filter(|op| matches!(op, Op::Eval { .. })).count()
    }

    /// Whether it draws no random numbers, so that the start decides the end.
    #[must_use]
    pub fn is_deterministic(&self) -> bool {
        self.ops().all(|op| match op {
            Op::Combine { noise: Some(noise), .. } | Op::Impose { noise, .. } => {
                noise.coefficients.iter().all(|&sigma| sigma == 0.0)
            }
            Op::Langevin { .. } => false,
            _ => true,
        })
    }

    /// Whether every operation is linear in the registers, so that normal data stay normal and the moments of the samples
    /// follow from the plan.
    #[must_use]
    pub fn is_linear(&self) -> bool {
        self.ops().all(|op| matches!(op, Op::Eval { .. } | Op::Combine { .. }))
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
        if self.registers > 4 + self.given.len() + 2 * self.ops().map(Op::written).sum::<usize>() {
            return fail(0, 0, format!("{} registers are more than its operations can use", self.registers));
        }
        let mut written = vec![vec![false; self.components]; self.registers];
        written[STATE].fill(true);
        for &register in &self.given {
            match written.get_mut(register) {
                Some(given) => given.fill(true),
                None => return fail(0, 0, format!("given register {register} does not exist")),
            }
        }
        for (index, step) in self.steps.iter().enumerate() {
            if let Err((operation, problem)) = step.check(self.registers, self.components, &mut written) {
                return fail(index, operation, problem);
            }
        }
        Ok(())
    }

    /// Checks that the plan was made for components with these paths: that its evaluations know the levels which the paths
    /// have at their times, to 1e-9 of their size. A plan from disk names times and coefficients, not paths.
    ///
    /// # Errors
    /// [`SamplerError::Count`] for another number of components; [`SamplerError::OtherPaths`] with the first evaluation whose
    /// level is not the path's.
    pub fn check_paths(&self, paths: &[PathConfig]) -> Result<(), SamplerError> {
        if self.components != paths.len() {
            let (what, expected) = ("components of the plan", paths.len());
            return Err(SamplerError::Count { what, expected, found: self.components });
        }
        let paths: Vec<_> = paths.iter().map(PathConfig::build).collect();
        for (step, op) in
            self.steps.iter().enumerate().flat_map(|(index, step)| step.ops.iter().map(move |op| (index, op)))
        {
            let Op::Eval { time, marginals, .. } = op else { continue };
            for (component, (path, found)) in paths.iter().zip(marginals).enumerate() {
                let expected = path.marginal(*time);
                let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * b.abs().max(1e-300);
                if !(near(found.alpha, expected.alpha) && near(found.sigma, expected.sigma)) {
                    return Err(SamplerError::OtherPaths {
                        planner: self.planner.clone(),
                        step,
                        component,
                        path: path.name(),
                        time: *time,
                        expected: (expected.alpha, expected.sigma),
                        found: (found.alpha, found.sigma),
                    });
                }
            }
        }
        Ok(())
    }

    /// Whether `other` has the same operations with other times and coefficients, so that rows of one batch may follow
    /// either.
    #[must_use]
    pub fn is_congruent(&self, other: &Self) -> bool {
        (self.components, self.registers, &self.given) == (other.components, other.registers, &other.given)
            && self.steps.len() == other.steps.len()
            && self.steps.iter().zip(&other.steps).all(|(a, b)| a.is_congruent(b))
    }
}

impl PlanStep {
    /// The first operation that cannot run and why; marks what the operations write.
    pub(crate) fn check(
        &self,
        registers: usize,
        components: usize,
        written: &mut [Vec<bool>],
    ) -> Result<(), (usize, String)> {
        for (index, op) in self.ops.iter().enumerate() {
            op.check(registers, components, written).map_err(|problem| (index, problem))?;
        }
        Ok(())
    }

    /// As [`Plan::is_congruent`].
    pub(crate) fn is_congruent(&self, other: &Self) -> bool {
        self.ops.len() == other.ops.len() && self.ops.iter().zip(&other.ops).all(|(a, b)| a.is_congruent(b))
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

    /// The largest number of steps that asks for at most `calls` evaluations.
    fn steps_for(&self, calls: usize, components: usize) -> Option<usize> {
        (1..=calls).rev().find(|&steps| self.evaluations(steps, components) <= calls)
    }
}

/// The times of GDSS samplers: `steps` even points from `start` to `eps`, both included.
pub(crate) fn gdss_times(
    planner: &'static str,
    start: f64,
    steps: usize,
    eps: f64,
) -> Result<Vec<f64>, SamplerError> {
    if !(eps > 0.0 && eps < start) {
        let expected = "above 0 and below the first time";
        return Err(SamplerError::Option { planner, option: "eps", value: eps, expected });
    }
    Ok((0..steps).map(|i| crate::path::linspace(start, eps, steps, i)).collect())
}

/// The number of scales on the whole clock of which a run of `steps` steps from `start` takes its share.
pub(crate) fn scales_of(start: f64, steps: usize) -> usize {
    (steps as f64 / start).round() as usize
}

/// The end time of an ODE solver: the given one, or 1e-3 up to 15 steps and 1e-4 above.
pub(crate) fn end_time(given: Option<f64>, steps: usize) -> f64 {
    given.unwrap_or(if steps <= 15 { 1e-3 } else { 1e-4 })
}
