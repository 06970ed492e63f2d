//! The executor: the only sampling loop.
//!
//! It runs any [`Plan`] on any [`State`]: elementwise work stays on the state's device; noise, norms and the check for
//! non-finite samples are done on the host, row by row in a fixed order, so that a sample's bits depend on nothing but
//! itself.
//!
//! - Every prediction is projected onto its component's support before it is used, so what a network writes into
//!   padding (NaN included) or on a diagonal never reaches a sample.
//! - The rows of a batch follow one plan, or one plan each ([`Executor::run_rows`]: per-sample noise levels), or one source
//!   of steps each ([`Executor::run_sources`]: adaptive methods). Plans of one batch are congruent: the same operations with
//!   other times and coefficients.
//! - A row whose prediction or state becomes non-finite is recorded as a [`Failure`], set to zero and ignored; no other
//!   row changes by a bit.

mod registers;
mod threshold;

use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::Tensor;

use crate::denoiser::Denoiser;
use crate::error::SamplerError;
use crate::noise::NoiseSource;
use crate::plan::{Op, Plan, PlanSource, PlanStep, Register, STATE};
use crate::state::State;
use registers::Registers;

/// A sample that was given up because it became non-finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its id.
    pub id: u64,
    /// Its row in the batch.
    pub row: usize,
    /// Index of the step at which it was noticed.
    pub step: usize,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Steps in all; 0 where a run decides as it goes.
    pub steps: usize,
    /// Network evaluations so far.
    pub evaluations: usize,
    /// Samples given up so far.
    pub failures: usize,
}

/// What an observer sees after an operation.
#[derive(Debug)]
pub struct OperationEvent<'e> {
    /// Index of the step.
    pub step: usize,
    /// Index of the operation in the step.
    pub operation: usize,
    /// The operation.
    pub op: &'e Op,
    /// The register it has written; an evaluation with several outputs makes one event for each.
    pub register: Register,
    /// The register written, per component; `None` where it holds nothing.
    pub values: &'e [Option<Tensor<2>>],
    /// Before fresh noise was added, for the components the operation has just written; else `None`.
    pub means: &'e [Option<Tensor<2>>],
}

/// Watches a run.
pub trait Observer {
    /// Whether [`Observer::operation`] is wanted; it keeps a few more tensors alive.
    fn wants_operations(&self) -> bool {
        false
    }
    /// After every operation, if wanted.
    fn operation(&mut self, _event: &OperationEvent<'_>) {}
    /// After every step.
    fn step(&mut self, _progress: &Progress) {}
}

/// What a run gives.
#[derive(Debug)]
pub struct Outcome {
    /// The final state, in the rows of the start; failed rows are zero.
    pub state: State,
    /// Network evaluations made (calls).
    pub evaluations: usize,
    /// Network evaluations each row took part in.
    pub row_evaluations: Vec<usize>,
    /// Samples given up, in the order they were noticed.
    pub failures: Vec<Failure>,
    /// Whether the run was cancelled; the state is then unfinished.
    pub cancelled: bool,
}

/// Runs plans.
pub struct Executor<'a> {
    denoiser: &'a dyn Denoiser,
    noise: &'a dyn NoiseSource,
    observer: Option<&'a mut dyn Observer>,
    cancel: Option<&'a AtomicBool>,
    given: Vec<(Register, State)>,
}

impl<'a> Executor<'a> {
    /// An executor of this denoiser and noise.
    pub fn new(denoiser: &'a dyn Denoiser, noise: &'a dyn NoiseSource) -> Self {
        Self { denoiser, noise, observer: None, cancel: None, given: Vec::new() }
    }

    /// Lets `observer` watch.
    #[must_use]
    pub fn with_observer(mut self, observer: &'a mut dyn Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Stops before the next network evaluation once `flag` is true.
    #[must_use]
    pub fn with_cancel(mut self, flag: &'a AtomicBool) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Fills the registers a plan declares as [`Plan::given`].
    #[must_use]
    pub fn with_given(mut self, given: Vec<(Register, State)>) -> Self {
        self.given = given;
        self
    }

    /// As [`Executor::with_given`], between two runs; an empty list takes the values away.
    pub fn give(&mut self, given: Vec<(Register, State)>) {
        self.given = given;
    }

    /// Where the random numbers come from.
    #[must_use]
    pub fn noise(&self) -> &'a dyn NoiseSource {
        self.noise
    }

    /// Runs `plan` from `state`; `ids[b]` is the id of row b.
    ///
    /// # Errors
    /// If plan, state, ids and denoiser do not fit together, or the denoiser fails. A diverging sample is not an error.
    pub fn run(&mut self, plan: &Plan, state: State, ids: &[u64]) -> Result<Outcome, SamplerError> {
        plan.validate()?;
        self.check(plan.components, &plan.given, &state, ids)?;
        let mut registers = Registers::new(plan.registers, state, &self.given, ids)?;
        let mut cancelled = false;
        for (index, step) in plan.steps.iter().enumerate() {
            cancelled = self.step(&mut registers, index, plan.steps.len(), &[step])?;
            if cancelled {
                break;
            }
        }
        registers.finish(cancelled)
    }

    /// Runs row b by `plans[b]`. All plans must be congruent ([`Plan::is_congruent`]); they may differ in times and
    /// coefficients, so that every sample has its own noise level.
    ///
    /// # Errors
    /// As [`Executor::run`]; [`SamplerError::NotCongruent`] if the plans do not fit together.
    pub fn run_rows(&mut self, plans: &[Plan], state: State, ids: &[u64]) -> Result<Outcome, SamplerError> {
        let Some(first) = plans.first() else {
            return Err(SamplerError::Count { what: "plans, one per row", expected: ids.len(), found: 0 });
        };
        if plans.len() != ids.len() {
            let (expected, found) = (ids.len(), plans.len());
            return Err(SamplerError::Count { what: "plans, one per row", expected, found });
        }
        for (row, plan) in plans.iter().enumerate() {
            plan.validate()?;
            if !first.is_congruent(plan) {
                return Err(SamplerError::NotCongruent { row });
            }
        }
        self.check(first.components, &first.given, &state, ids)?;
        let mut registers = Registers::new(first.registers, state, &self.given, ids)?;
        let mut cancelled = false;
        for index in 0..first.steps.len() {
            let steps: Vec<&PlanStep> = plans.iter().map(|plan| &plan.steps[index]).collect();
            cancelled = self.step(&mut registers, index, first.steps.len(), &steps)?;
            if cancelled {
                break;
            }
        }
        registers.finish(cancelled)
    }

    /// Runs row b by the steps that `sources[b]` gives, with `count` registers of which the caller fills those of
    /// [`Executor::with_given`]. A row leaves the batch when its source ends or its sample is given up; so a sample costs
    /// what its own source asks for, whatever its batch.
    ///
    /// # Errors
    /// As [`Executor::run`]; [`SamplerError::NotCongruent`] if steps of the same round do not fit together; what a source
    /// returns.
    pub fn run_sources(
        &mut self,
        sources: &mut [Box<dyn PlanSource>],
        count: usize,
        state: State,
        ids: &[u64],
    ) -> Result<Outcome, SamplerError> {
        if sources.len() != ids.len() {
            let (expected, found) = (ids.len(), sources.len());
            return Err(SamplerError::Count { what: "plan sources, one per row", expected, found });
        }
        let given: Vec<Register> = self.given.iter().map(|(register, _)| *register).collect();
        let components = state.components.len();
        self.check(components, &given, &state, ids)?;
        let mut registers = Registers::new(count, state, &self.given, ids)?;
        let mut start = vec![vec![false; components]; count.max(1)];
        for register in given.into_iter().chain([STATE]) {
            if let Some(row) = start.get_mut(register) {
                row.fill(true);
            }
        }
        let mut written = vec![start; ids.len()];
        let mut round = 0;
        loop {
            // Ask the sources of the rows still in the batch; those that have ended or failed leave it.
            let mut steps = Vec::with_capacity(registers.rows().len());
            let mut staying = Vec::with_capacity(registers.rows().len());
            for (place, &row) in registers.rows().iter().enumerate() {
                if registers.is_alive(place)
                    && let Some(step) = sources[row].next(registers.error(place))?
                {
                    step.check(count, components, &mut written[row]).map_err(|(operation, problem)| {
                        let planner = "plan source".to_owned();
                        SamplerError::InvalidPlan { planner, step: round, operation, problem }
                    })?;
                    staying.push(place);
                    steps.push(step);
                }
            }
            registers.retain(&staying)?;
            if steps.is_empty() {
                return registers.finish(false);
            }
            if let Some(place) = steps.iter().position(|step| !steps[0].is_congruent(step)) {
                return Err(SamplerError::NotCongruent { row: registers.rows()[place] });
            }
            let steps: Vec<&PlanStep> = steps.iter().collect();
            if self.step(&mut registers, round, 0, &steps)? {
                return registers.finish(true);
            }
            round += 1;
        }
    }

    /// Checks that plan, state, ids, given registers and denoiser fit together.
    fn check(
        &self,
        components: usize,
        given: &[Register],
        state: &State,
        ids: &[u64],
    ) -> Result<(), SamplerError> {
        state.check()?;
        let kinds = self.denoiser.kinds().len();
        // A denoiser may have several heads, each with one kind per component.
        let per_head =
            if components > 0 && kinds > 0 && kinds.is_multiple_of(components) { components } else { kinds };
        let counts = [
            ("components of the plan", state.components.len(), components),
            ("components of the denoiser", state.components.len(), per_head),
            ("sample ids", state.batch(), ids.len()),
            ("given registers", given.len(), self.given.len()),
        ];
        for (what, expected, found) in counts {
            if expected != found {
                return Err(SamplerError::Count { what, expected, found });
            }
        }
        for (register, values) in &self.given {
            values.check()?;
            if !given.contains(register) {
                return Err(SamplerError::GivenRegister { register: *register });
            }
            if values.components.len() != components {
                let (expected, found) = (components, values.components.len());
                return Err(SamplerError::Count { what: "components of a given register", expected, found });
            }
            for (values, like) in values.components.iter().zip(&state.components) {
                let (expected, found) = (like.values.dims(), values.values.dims());
                if expected != found {
                    return Err(SamplerError::Shape { component: like.name.clone(), expected, found });
                }
            }
        }
        match ids.iter().find(|id| **id >= 1 << 48) {
            Some(&id) => Err(SamplerError::SampleId { id }),
            None => Ok(()),
        }
    }

    /// One step: `steps` holds one step for all rows or one for each. Returns whether the run was cancelled.
    fn step(
        &mut self,
        registers: &mut Registers,
        index: usize,
        count: usize,
        steps: &[&PlanStep],
    ) -> Result<bool, SamplerError> {
        registers.begin(index);
        for operation in 0..steps[0].ops.len() {
            let ops: Vec<&Op> = steps.iter().map(|step| &step.ops[operation]).collect();
            if matches!(ops[0], Op::Eval { .. })
                && self.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed))
            {
                return Ok(true);
            }
            let watched = self.observer.as_ref().is_some_and(|observer| observer.wants_operations());
            let written = registers.execute(self.denoiser, self.noise, &ops, watched)?;
            if watched && let Some(observer) = self.observer.as_mut() {
                for register in written {
                    observer.operation(&OperationEvent {
                        step: index,
                        operation,
                        op: ops[0],
                        register,
                        values: registers.values(register),
                        means: registers.means(),
                    });
                }
            }
        }
        if let Some(observer) = self.observer.as_mut() {
            let (evaluations, failures) = registers.counts();
            observer.step(&Progress { step: index + 1, steps: count, evaluations, failures });
        }
        Ok(false)
    }
}
