//! What planners are written with.

use super::{NoiseTerm, Op, Output, Plan, PlanStep, Register, STATE, Term};
use crate::error::SamplerError;
use crate::path::PathConfig;
use crate::prediction::PredictionKind;

/// A plan under construction: what every planner, of this crate or another, is written with.
#[derive(Debug)]
pub struct PlanBuilder {
    planner: &'static str,
    /// The components' paths.
    pub paths: Vec<Box<dyn crate::path::Path>>,
    registers: usize,
    steps: Vec<PlanStep>,
}

impl PlanBuilder {
    /// Checks the paths, which must end in noise, and the number of steps.
    ///
    /// # Errors
    /// If there is no path, a path is not usable or does not end in noise, or `steps` is 0.
    pub fn new(planner: &'static str, paths: &[PathConfig], steps: usize) -> Result<Self, SamplerError> {
        let builder = Self::any_path(planner, paths, steps)?;
        match builder.paths.iter().position(|path| !path.ends_in_noise()) {
            None => Ok(builder),
            Some(component) => Err(SamplerError::UnsupportedPath {
                planner,
                path: paths[component].name(),
                component,
                reason: "it ends in samples of another law, not in noise; use interpolant-ode or interpolant-sde",
            }),
        }
    }

    /// As [`PlanBuilder::new`], for planners that ask for the velocity (and score) alone and so follow any path.
    ///
    /// # Errors
    /// If there is no path, a path is not usable, or `steps` is 0.
    pub fn any_path(planner: &'static str, paths: &[PathConfig], steps: usize) -> Result<Self, SamplerError> {
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

    /// Number of components.
    #[must_use]
    pub fn components(&self) -> usize {
        self.paths.len()
    }

    /// A new register.
    pub fn register(&mut self) -> Register {
        self.registers += 1;
        self.registers - 1
    }

    /// Begins the step that starts from this time.
    pub fn begin_step(&mut self, time: f64) {
        self.steps.push(PlanStep { time, ops: Vec::new() });
    }

    /// Adds an operation to the step begun last.
    pub fn push(&mut self, op: Op) {
        match self.steps.last_mut() {
            Some(step) => step.ops.push(op),
            None => self.steps.push(PlanStep { time: 1.0, ops: vec![op] }),
        }
    }

    /// One coefficient per component.
    #[must_use]
    pub fn each(&self, coefficient: impl Fn(&dyn crate::path::Path) -> f64) -> Vec<f64> {
        self.paths.iter().map(|path| coefficient(path.as_ref())).collect()
    }

    /// One evaluation at `time` of component c from register `inputs[c]`, converted to `want`.
    pub fn eval(&mut self, time: f64, inputs: Vec<Register>, want: PredictionKind, into: Register) {
        self.eval_many(time, inputs, &[(want, into)]);
    }

    /// One evaluation with several conversions of its answer.
    pub fn eval_many(&mut self, time: f64, inputs: Vec<Register>, outputs: &[(PredictionKind, Register)]) {
        let marginals = self.paths.iter().map(|path| path.marginal(time)).collect();
        let outputs = outputs.iter().map(|&(want, into)| Output { want, into }).collect();
        self.push(Op::Eval { time, inputs, marginals, outputs });
    }

    /// One evaluation of the state.
    pub fn eval_state(&mut self, time: f64, want: PredictionKind, into: Register) {
        let inputs = vec![STATE; self.components()];
        self.eval(time, inputs, want, into);
    }

    /// `out = Σ coefficient · register + noise`.
    pub fn combine(&mut self, out: Register, terms: Vec<(Register, Vec<f64>)>, noise: Option<NoiseTerm>) {
        let terms =
            terms.into_iter().map(|(register, coefficients)| Term { register, coefficients }).collect();
        self.push(Op::Combine { out, terms, constant: None, noise });
    }

    /// `out = Σ coefficient · register + constant`.
    pub fn combine_with_constant(
        &mut self,
        out: Register,
        terms: Vec<(Register, Vec<f64>)>,
        constant: Vec<f64>,
    ) {
        let terms =
            terms.into_iter().map(|(register, coefficients)| Term { register, coefficients }).collect();
        self.push(Op::Combine { out, terms, constant: Some(constant), noise: None });
    }

    /// Takes out the step begun last; for a [`PlanSource`](super::PlanSource), which hands over its steps one by one.
    pub fn take_step(&mut self) -> Option<PlanStep> {
        self.steps.pop()
    }

    /// The plan, after a check that every coefficient is finite.
    ///
    /// # Errors
    /// [`SamplerError::TooFewSteps`] naming the first coefficient that is not.
    pub fn finish(self) -> Result<Plan, SamplerError> {
        let steps = self.steps.len();
        for (index, step) in self.steps.iter().enumerate() {
            for op in &step.ops {
                let found = match op {
                    Op::Combine { terms, constant, noise, .. } => terms
                        .iter()
                        .map(|term| &term.coefficients)
                        .chain(constant)
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
            given: Vec::new(),
            steps: self.steps,
        })
    }
}
