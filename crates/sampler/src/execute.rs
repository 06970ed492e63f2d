//! The executor: the only sampling loop.
//!
//! It runs any [`Plan`] on any [`State`]: elementwise work stays on the state's device; noise, norms and the check for
//! non-finite samples are done on the host, row by row in a fixed order, so that a sample's bits depend on nothing but
//! itself.
//!
//! - Every prediction is projected onto its component's support before it is used, so what a network writes into
//!   padding (NaN included) or on a diagonal never reaches a sample.
//! - A row whose prediction or state becomes non-finite is recorded as a [`Failure`], set to zero and ignored; no other
//!   row changes by a bit.

use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{DType, Tensor, TensorData};

use crate::denoiser::Denoiser;
use crate::error::SamplerError;
use crate::noise::{NoiseSource, Stream, to_tensor};
use crate::path::Marginal;
use crate::plan::{NoiseTerm, NormScope, Op, Plan, Register, STATE, Term};
use crate::prediction::PredictionKind;
use crate::state::{Component, State};
use crate::support::{Real, Support};

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
    /// Steps in all.
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
    /// Network evaluations made.
    pub evaluations: usize,
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
}

impl<'a> Executor<'a> {
    /// An executor of this denoiser and noise.
    pub fn new(denoiser: &'a dyn Denoiser, noise: &'a dyn NoiseSource) -> Self {
        Self { denoiser, noise, observer: None, cancel: None }
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

    /// Runs `plan` from `state`; `ids[b]` is the id of row b.
    ///
    /// # Errors
    /// If plan, state, ids and denoiser do not fit together, or the denoiser fails. A diverging sample is not an error.
    pub fn run(&mut self, plan: &Plan, state: State, ids: &[u64]) -> Result<Outcome, SamplerError> {
        plan.validate()?;
        state.check()?;
        let counts = [
            ("components of the plan", state.components.len(), plan.components),
            ("components of the denoiser", state.components.len(), self.denoiser.kinds().len()),
            ("sample ids", state.batch(), ids.len()),
        ];
        for (what, expected, found) in counts {
            if expected != found {
                return Err(SamplerError::Count { what, expected, found });
            }
        }
        if let Some(&id) = ids.iter().find(|id| **id >= 1 << 48) {
            return Err(SamplerError::SampleId { id });
        }
        let mut run = Run::new(plan, state, ids)?;
        let steps = plan.steps.len();
        let mut cancelled = false;
        'steps: for (index, step) in plan.steps.iter().enumerate() {
            run.step = index;
            for (operation, op) in step.ops.iter().enumerate() {
                let watched = self.observer.as_ref().is_some_and(|observer| observer.wants_operations());
                run.means.fill(None);
                let written = match op {
                    Op::Eval { time, inputs, marginals, want, into } => {
                        if self.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
                            cancelled = true;
                            break 'steps;
                        }
                        run.eval(self.denoiser, *time, inputs, marginals, *want, *into)?;
                        *into
                    }
                    Op::Combine { out, terms, noise } => {
                        run.combine(*out, terms, noise.as_ref().map(|term| (self.noise, term)), watched);
                        *out
                    }
                    Op::Langevin { out, .. } => {
                        run.langevin(self.noise, op, watched)?;
                        *out
                    }
                    Op::Project { register } => {
                        for component in 0..plan.components {
                            run.inspect(*register, component)?;
                        }
                        *register
                    }
                };
                if watched && let Some(observer) = self.observer.as_mut() {
                    let values = &run.registers[written];
                    observer.operation(&OperationEvent {
                        step: index,
                        operation,
                        op,
                        values,
                        means: &run.means,
                    });
                }
            }
            if let Some(observer) = self.observer.as_mut() {
                let (evaluations, failures) = (run.evaluations, run.failures.len());
                observer.step(&Progress { step: index + 1, steps, evaluations, failures });
            }
        }
        run.finish(cancelled)
    }
}

/// The registers of one run.
struct Run<'p> {
    ids: &'p [u64],
    names: Vec<String>,
    supports: Vec<Support>,
    dtypes: Vec<DType>,
    /// `registers[register][component]`.
    registers: Vec<Vec<Option<Tensor<2>>>>,
    /// Squared norms per row, in free coordinates, of registers written by an evaluation.
    squares: Vec<Vec<Option<Vec<f64>>>>,
    means: Vec<Option<Tensor<2>>>,
    alive: Vec<bool>,
    failures: Vec<Failure>,
    evaluations: usize,
    step: usize,
}

impl<'p> Run<'p> {
    fn new(plan: &Plan, state: State, ids: &'p [u64]) -> Result<Self, SamplerError> {
        let batch = state.batch();
        let mut run = Self {
            ids,
            names: Vec::new(),
            supports: Vec::new(),
            dtypes: Vec::new(),
            registers: vec![vec![None; plan.components]; plan.registers],
            squares: vec![vec![None; plan.components]; plan.registers],
            means: vec![None; plan.components],
            alive: vec![true; batch],
            failures: Vec::new(),
            evaluations: 0,
            step: 0,
        };
        for (index, component) in state.components.into_iter().enumerate() {
            let dtype = component.values.dtype();
            if !matches!(dtype, DType::F32 | DType::F64) {
                let reason = format!("the values are {dtype:?}");
                return Err(SamplerError::Values { component: component.name, reason });
            }
            run.names.push(component.name);
            run.dtypes.push(dtype);
            run.supports.push(component.support);
            run.registers[STATE][index] = Some(component.values);
        }
        Ok(run)
    }

    /// The value of a register the plan's check has shown to be written.
    fn value(&self, register: Register, component: usize) -> Tensor<2> {
        self.registers[register][component].clone().expect("a validated plan reads only written registers")
    }

    fn eval(
        &mut self,
        denoiser: &dyn Denoiser,
        time: f64,
        inputs: &[Register],
        marginals: &[Marginal],
        want: PredictionKind,
        into: Register,
    ) -> Result<(), SamplerError> {
        let state = State {
            components: (0..self.names.len())
                .map(|component| Component {
                    name: self.names[component].clone(),
                    values: self.value(inputs[component], component),
                    support: self.supports[component].clone(),
                })
                .collect(),
        };
        let times = vec![time; self.ids.len()];
        let predictions = denoiser
            .predict(&state, &times)
            .map_err(|source| SamplerError::Denoise { step: self.step, source })?;
        self.evaluations += 1;
        if predictions.len() != self.names.len() {
            let (expected, found) = (self.names.len(), predictions.len());
            return Err(SamplerError::Count { what: "predictions of the denoiser", expected, found });
        }
        let kinds = denoiser.kinds();
        for (component, (prediction, input)) in predictions.into_iter().zip(state.components).enumerate() {
            if prediction.dims() != input.values.dims() {
                let (expected, found) = (input.values.dims(), prediction.dims());
                return Err(SamplerError::Shape { component: input.name, expected, found });
            }
            let dtype = self.dtypes[component];
            let prediction = if prediction.dtype() == dtype { prediction } else { prediction.cast(dtype) };
            let conversion = kinds[component].convert(want, &marginals[component]);
            let mut value = scaled(prediction, conversion.prediction);
            if conversion.state != 0.0 {
                value = value + scaled(input.values, conversion.state);
            }
            self.registers[into][component] = Some(value);
        }
        let failed = self.failures.len();
        for component in 0..self.names.len() {
            self.squares[into][component] = Some(self.inspect(into, component)?);
        }
        if self.failures.len() > failed {
            self.clear_failed()?;
        }
        Ok(())
    }

    fn combine(
        &mut self,
        out: Register,
        terms: &[Term],
        noise: Option<(&dyn NoiseSource, &NoiseTerm)>,
        watched: bool,
    ) {
        for component in 0..self.names.len() {
            let mut sum: Option<Tensor<2>> = None;
            for (index, term) in terms.iter().enumerate() {
                let coefficient = term.coefficients[component];
                if coefficient == 0.0 {
                    continue;
                }
                // The last reader of the register that is written may have its buffer.
                let last =
                    term.register == out && terms[index + 1..].iter().all(|later| later.register != out);
                let value = if last {
                    self.registers[out][component]
                        .take()
                        .expect("a validated plan reads only written registers")
                } else {
                    self.value(term.register, component)
                };
                let value = scaled(value, coefficient);
                sum = Some(match sum {
                    Some(sum) => sum + value,
                    None => value,
                });
            }
            let mut value = sum.unwrap_or_else(|| self.value(STATE, component).zeros_like());
            if let Some((source, term)) = noise
                && term.coefficients[component] != 0.0
            {
                if watched {
                    self.means[component] = Some(value.clone());
                }
                let scales = vec![term.coefficients[component]; self.ids.len()];
                let draw = self.draw(source, term.stream, term.step, component);
                value = value.clone() + self.noise_tensor(draw, &scales, component, &value);
            } else if watched {
                self.means[component] = Some(value.clone());
            }
            self.registers[out][component] = Some(value);
            self.squares[out][component] = None;
        }
    }

    fn langevin(&mut self, source: &dyn NoiseSource, op: &Op, watched: bool) -> Result<(), SamplerError> {
        let Op::Langevin { component, from, out, score, alpha, snr, scale, norm, step } = *op else {
            return Ok(());
        };
        let squares = match self.squares[score][component].clone() {
            Some(squares) => squares,
            None => self.inspect(score, component)?,
        };
        let draw = self.draw(source, Stream::Corrector, step, component);
        let noise_norms: Vec<f64> = self.row_squares(&draw, component).into_iter().map(libm::sqrt).collect();
        let score_norms: Vec<f64> = squares.into_iter().map(libm::sqrt).collect();
        // A score of zero points nowhere: no step (and no 0/0).
        let step_size = |noise: f64, score: f64| {
            let ratio = snr * noise / score;
            if score > 0.0 && ratio.is_finite() { 2.0 * alpha * ratio * ratio } else { 0.0 }
        };
        let steps: Vec<f64> = match norm {
            NormScope::PerSample => {
                noise_norms.iter().zip(&score_norms).map(|(&z, &s)| step_size(z, s)).collect()
            }
            NormScope::BatchMean => {
                let alive = self.alive.iter().filter(|&&alive| alive).count().max(1) as f64;
                let mean = |norms: &[f64]| {
                    norms.iter().zip(&self.alive).map(|(n, &alive)| if alive { *n } else { 0.0 }).sum::<f64>()
                        / alive
                };
                vec![step_size(mean(&noise_norms), mean(&score_norms)); self.ids.len()]
            }
        };
        let score = self.value(score, component);
        let state = self.value(from, component);
        let rows = Tensor::<2>::from_data(
            TensorData::new(steps.clone(), [steps.len(), 1]),
            (&state.device(), self.dtypes[component]),
        );
        let mean = state + score * rows;
        if watched {
            self.means[component] = Some(mean.clone());
        }
        let scales: Vec<f64> = steps.iter().map(|step| scale * libm::sqrt(2.0 * step)).collect();
        let noise = self.noise_tensor(draw, &scales, component, &mean);
        self.registers[out][component] = Some(mean + noise);
        self.squares[out][component] = None;
        Ok(())
    }

    fn draw(&self, source: &dyn NoiseSource, stream: Stream, step: u32, component: usize) -> Vec<f64> {
        source.normals(stream, step, component, &self.supports[component], self.ids)
    }

    /// Noise times a scale per row, zero for failed rows.
    fn noise_tensor(
        &self,
        mut draw: Vec<f64>,
        scales: &[f64],
        component: usize,
        like: &Tensor<2>,
    ) -> Tensor<2> {
        let support = &self.supports[component];
        for ((row, scale), alive) in
            draw.chunks_exact_mut(support.width().max(1)).zip(scales).zip(&self.alive)
        {
            let scale = if *alive { *scale } else { 0.0 };
            row.iter_mut().for_each(|value| *value *= scale);
        }
        to_tensor(draw, support, &like.device(), self.dtypes[component])
    }

    /// Squared norms of rows that lie in their support, in free coordinates.
    fn row_squares<T: Real>(&self, values: &[T], component: usize) -> Vec<f64> {
        let support = &self.supports[component];
        let mut squares: Vec<f64> = values
            .chunks_exact(support.width().max(1))
            .enumerate()
            .map(|(row, v)| support.sum_of_squares(row, v))
            .collect();
        squares.resize(self.ids.len(), 0.0);
        squares
    }

    /// Projects a register's component onto its support, sets failed rows to zero, and records rows that are not finite.
    /// Gives the squared norms of the rows. The tensor is written back only if it changed.
    fn inspect(&mut self, register: Register, component: usize) -> Result<Vec<f64>, SamplerError> {
        let tensor = self.value(register, component);
        let device = tensor.device();
        let failed =
            |reason: String| SamplerError::Values { component: self.names[component].clone(), reason };
        let mut data = tensor.try_into_data().map_err(|error| failed(error.to_string()))?;
        let support = self.supports[component].clone();
        let dtype = self.dtypes[component];
        let (changed, squares) = if dtype == DType::F32 {
            let values = data.as_mut_slice::<f32>().map_err(|error| failed(format!("{error:?}")))?;
            self.inspect_rows(values, &support)
        } else {
            let values = data.as_mut_slice::<f64>().map_err(|error| failed(format!("{error:?}")))?;
            self.inspect_rows(values, &support)
        };
        if changed {
            self.registers[register][component] = Some(Tensor::from_data(data, (&device, dtype)));
        }
        Ok(squares)
    }

    fn inspect_rows<T: Real>(&mut self, values: &mut [T], support: &Support) -> (bool, Vec<f64>) {
        let mut changed = false;
        let mut squares = vec![0.0; self.ids.len()];
        for (row, values) in values.chunks_exact_mut(support.width().max(1)).enumerate() {
            if self.alive[row] {
                changed |= support.project_row(row, values);
                let square = support.sum_of_squares(row, values);
                // Squares of finite f64 values may overflow; such a row is still finite.
                if square.is_finite() || values.iter().all(|value| value.is_finite()) {
                    squares[row] = square;
                    continue;
                }
                self.alive[row] = false;
                self.failures.push(Failure { id: self.ids[row], row, step: self.step });
            }
            values.fill(T::ZERO);
            changed = true;
        }
        (changed, squares)
    }

    /// Sets the rows that failed to zero in every register.
    fn clear_failed(&mut self) -> Result<(), SamplerError> {
        for register in 0..self.registers.len() {
            for component in 0..self.names.len() {
                if self.registers[register][component].is_some() {
                    let squares = self.inspect(register, component)?;
                    if let Some(old) = &mut self.squares[register][component] {
                        *old = squares;
                    }
                }
            }
        }
        Ok(())
    }

    fn finish(mut self, cancelled: bool) -> Result<Outcome, SamplerError> {
        for component in 0..self.names.len() {
            self.inspect(STATE, component)?;
        }
        if !self.failures.is_empty() {
            for component in 0..self.names.len() {
                self.inspect(STATE, component)?;
            }
        }
        let components = (0..self.names.len())
            .map(|component| Component {
                name: self.names[component].clone(),
                values: self.value(STATE, component),
                support: self.supports[component].clone(),
            })
            .collect();
        let state = State { components };
        Ok(Outcome { state, evaluations: self.evaluations, failures: self.failures, cancelled })
    }
}

fn scaled(tensor: Tensor<2>, coefficient: f64) -> Tensor<2> {
    if coefficient == 1.0 { tensor } else { tensor.mul_scalar(coefficient) }
}
