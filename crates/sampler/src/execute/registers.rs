//! The registers of one run and what each operation does to them.

mod rows;

use burn::tensor::{DType, Tensor, TensorData};

use super::Failure;
use super::threshold::threshold_row;
use crate::denoiser::Denoiser;
use crate::error::SamplerError;
use crate::noise::{NoiseSource, Stream, to_tensor};
use crate::path::Marginal;
use crate::plan::{NormScope, Op, Output, Register, STATE};
use crate::prediction::{Conversion, PredictionKind};
use crate::state::{Component, State, column, host_f64};
use crate::support::Support;

/// A coefficient of an operation: one for all rows, or one for each.
enum Coefficient {
    Same(f64),
    Rows(Vec<f64>),
}

impl Coefficient {
    /// Read from the rows' operations; equal values become one.
    fn of(ops: &[&Op], read: impl Fn(&Op) -> f64) -> Self {
        let first = read(ops[0]);
        if ops[1..].iter().all(|op| read(op) == first) {
            return Self::Same(first);
        }
        Self::Rows(ops.iter().map(|op| read(op)).collect())
    }

    fn rows(self, count: usize) -> Vec<f64> {
        match self {
            Self::Same(value) => vec![value; count],
            Self::Rows(values) => values,
        }
    }

    fn is_zero(&self) -> bool {
        matches!(self, Self::Same(value) if *value == 0.0)
    }

    fn times(&self, tensor: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Same(1.0) => tensor,
            Self::Same(value) => tensor.mul_scalar(*value),
            Self::Rows(values) => {
                let column = column(values, &tensor);
                tensor * column
            }
        }
    }
}

/// The registers of one run; rows may leave it.
pub(super) struct Registers {
    /// Rows of the start that are still in the batch, in order.
    rows: Vec<usize>,
    ids: Vec<u64>,
    names: Vec<String>,
    supports: Vec<Support>,
    dtypes: Vec<DType>,
    /// `values[register][component]`.
    values: Vec<Vec<Option<Tensor<2>>>>,
    /// Squared norms per row, in free coordinates, of registers written by an evaluation.
    squares: Vec<Vec<Option<Vec<f64>>>>,
    means: Vec<Option<Tensor<2>>>,
    /// What the last comparison measured, per row.
    errors: Vec<Option<f64>>,
    alive: Vec<bool>,
    failures: Vec<Failure>,
    evaluations: usize,
    row_evaluations: Vec<usize>,
    step: usize,
    /// Supports of the start, for the result.
    start: Vec<Support>,
    /// Rows that have left, with their state.
    left: Vec<(Vec<usize>, Vec<Tensor<2>>)>,
}

impl Registers {
    pub(super) fn new(
        count: usize,
        state: State,
        given: &[(Register, State)],
        ids: &[u64],
    ) -> Result<Self, SamplerError> {
        let (batch, components) = (state.batch(), state.components.len());
        let mut registers = Self {
            rows: (0..batch).collect(),
            ids: ids.to_vec(),
            names: Vec::new(),
            supports: Vec::new(),
            dtypes: Vec::new(),
            values: vec![vec![None; components]; count.max(1)],
            squares: vec![vec![None; components]; count.max(1)],
            means: vec![None; components],
            errors: vec![None; batch],
            alive: vec![true; batch],
            failures: Vec::new(),
            evaluations: 0,
            row_evaluations: vec![0; batch],
            step: 0,
            start: Vec::new(),
            left: Vec::new(),
        };
        for (index, component) in state.components.into_iter().enumerate() {
            let dtype = component.values.dtype();
            if !matches!(dtype, DType::F32 | DType::F64) {
                let reason = format!("the values are {dtype:?}");
                return Err(SamplerError::Values { component: component.name, reason });
            }
            registers.names.push(component.name);
            registers.dtypes.push(dtype);
            registers.start.push(component.support.clone());
            registers.supports.push(component.support);
            registers.values[STATE][index] = Some(component.values);
        }
        for (register, state) in given {
            let slots = registers.values.get_mut(*register);
            let slots = slots.ok_or(SamplerError::GivenRegister { register: *register })?;
            for ((slot, component), dtype) in slots.iter_mut().zip(&state.components).zip(&registers.dtypes) {
                *slot = Some(component.values.clone().cast(*dtype));
            }
        }
        Ok(registers)
    }

    /// Rows of the start that are still in the batch.
    pub(super) fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// Whether the row at this place of the batch has not been given up.
    pub(super) fn is_alive(&self, place: usize) -> bool {
        self.alive[place]
    }

    /// What the last comparison measured for the row at this place.
    pub(super) fn error(&self, place: usize) -> Option<f64> {
        self.errors[place]
    }

    pub(super) fn values(&self, register: Register) -> &[Option<Tensor<2>>] {
        &self.values[register]
    }

    pub(super) fn means(&self) -> &[Option<Tensor<2>>] {
        &self.means
    }

    /// Network evaluations and given up samples so far.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.evaluations, self.failures.len())
    }

    pub(super) fn begin(&mut self, step: usize) {
        self.step = step;
        self.errors.fill(None);
    }

    /// Executes one operation (`ops`: one for all rows or one for each); returns the registers written.
    pub(super) fn execute(
        &mut self,
        denoiser: &dyn Denoiser,
        noise: &dyn NoiseSource,
        ops: &[&Op],
        watched: bool,
    ) -> Result<Vec<Register>, SamplerError> {
        self.means.fill(None);
        match ops[0] {
            Op::Eval { inputs, outputs, .. } => {
                self.eval(denoiser, ops, inputs, outputs)?;
                Ok(outputs.iter().map(|output| output.into).collect())
            }
            Op::Combine { out, .. } => {
                self.combine(noise, ops, watched);
                Ok(vec![*out])
            }
            Op::Langevin { out, .. } => {
                self.langevin(noise, ops, watched)?;
                Ok(vec![*out])
            }
            Op::Threshold { register, .. } => {
                self.threshold(ops, *register)?;
                Ok(vec![*register])
            }
            Op::Impose { register, .. } => {
                self.impose(noise, ops);
                Ok(vec![*register])
            }
            Op::Compare { high, low, previous, .. } => {
                self.compare(ops, *high, *low, *previous)?;
                Ok(Vec::new())
            }
        }
    }

    /// The value of a register the plan's check has shown to be written.
    fn value(&self, register: Register, component: usize) -> Tensor<2> {
        self.values[register][component].clone().expect("a validated plan reads only written registers")
    }

    /// Makes `value` the content of a register.
    fn write(&mut self, register: Register, component: usize, value: Tensor<2>) {
        self.values[register][component] = Some(value);
        self.squares[register][component] = None;
    }

    fn eval(
        &mut self,
        denoiser: &dyn Denoiser,
        ops: &[&Op],
        inputs: &[Register],
        outputs: &[Output],
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
        let time = |op: &Op| if let Op::Eval { time, .. } = op { *time } else { f64::NAN };
        let times = Coefficient::of(ops, time).rows(self.ids.len());
        let predictions = denoiser
            .predict(&state, &times)
            .map_err(|source| SamplerError::Denoise { step: self.step, source })?;
        self.evaluations += 1;
        for (&row, _) in self.rows.iter().zip(&self.alive).filter(|(_, alive)| **alive) {
            self.row_evaluations[row] += 1;
        }
        let kinds = denoiser.kinds();
        if predictions.len() != kinds.len() {
            let (expected, found) = (kinds.len(), predictions.len());
            return Err(SamplerError::Count { what: "predictions of the denoiser", expected, found });
        }
        let components = self.names.len();
        for (prediction, input) in predictions.iter().zip(state.components.iter().cycle()) {
            if prediction.dims() != input.values.dims() {
                let (expected, found) = (input.values.dims(), prediction.dims());
                return Err(SamplerError::Shape { component: input.name.clone(), expected, found });
            }
        }
        for output in outputs {
            for (component, input) in state.components.iter().enumerate() {
                // The head of the wanted kind, else one that gives it on every path, else the first; converted.
                let heads = || (component..kinds.len()).step_by(components);
                let head = heads()
                    .find(|&head| kinds[head] == output.want)
                    .or_else(|| heads().find(|&head| kinds[head].determines(output.want)))
                    .unwrap_or(component);
                let conversion = self.conversion(ops, component, kinds[head], output.want)?;
                let prediction = predictions[head].clone();
                let dtype = self.dtypes[component];
                let prediction =
                    if prediction.dtype() == dtype { prediction } else { prediction.cast(dtype) };
                let mut value = conversion.1.times(prediction);
                if !conversion.0.is_zero() {
                    value = value + conversion.0.times(input.values.clone());
                }
                self.values[output.into][component] = Some(value);
            }
        }
        let failed = self.failures.len();
        for output in outputs {
            for component in 0..components {
                self.squares[output.into][component] = Some(self.inspect(output.into, component)?);
            }
        }
        if self.failures.len() > failed {
            self.clear_failed()?;
        }
        Ok(())
    }

    /// Coefficients of the state and of the prediction that make the wanted kind of the given one.
    fn conversion(
        &self,
        ops: &[&Op],
        component: usize,
        given: PredictionKind,
        want: PredictionKind,
    ) -> Result<(Coefficient, Coefficient), SamplerError> {
        let marginal = |op: &Op| match op {
            Op::Eval { marginals, .. } => marginals[component],
            _ => Marginal::gaussian(1.0, 0.0, 0.0, 0.0),
        };
        if !given.determines(want) && ops.iter().any(|op| marginal(op).is_two_ended()) {
            return Err(SamplerError::NoConversion { component: self.names[component].clone(), given, want });
        }
        let of = |op: &Op| -> Conversion { given.convert(want, &marginal(op)) };
        Ok((Coefficient::of(ops, |op| of(op).state), Coefficient::of(ops, |op| of(op).prediction)))
    }

    fn combine(&mut self, source: &dyn NoiseSource, ops: &[&Op], watched: bool) {
        let Op::Combine { out, terms, constant, noise } = ops[0] else { return };
        for component in 0..self.names.len() {
            let mut sum: Option<Tensor<2>> = None;
            for (index, term) in terms.iter().enumerate() {
                let coefficient = Coefficient::of(ops, |op| match op {
                    Op::Combine { terms, .. } => terms[index].coefficients[component],
                    _ => 0.0,
                });
                if coefficient.is_zero() {
                    continue;
                }
                // The last reader of the register that is written may have its buffer.
                let last =
                    term.register == *out && terms[index + 1..].iter().all(|later| later.register != *out);
                let value = if last {
                    self.values[*out][component]
                        .take()
                        .expect("a validated plan reads only written registers")
                } else {
                    self.value(term.register, component)
                };
                let value = coefficient.times(value);
                sum = Some(match sum {
                    Some(sum) => sum + value,
                    None => value,
                });
            }
            let mut value = match sum {
                Some(sum) => sum,
                None => self.zeros(component),
            };
            if constant.is_some() {
                let added = Coefficient::of(ops, |op| match op {
                    Op::Combine { constant: Some(constant), .. } => constant[component],
                    _ => 0.0,
                });
                if !added.is_zero() {
                    let support = &self.supports[component];
                    let ones =
                        to_tensor(support.element_mask(), support, &value.device(), self.dtypes[component]);
                    value = value + added.times(ones);
                }
            }
            if watched {
                self.means[component] = Some(value.clone());
            }
            if let Some(term) = noise {
                let scales = Coefficient::of(ops, |op| match op {
                    Op::Combine { noise: Some(noise), .. } => noise.coefficients[component],
                    _ => 0.0,
                });
                if !scales.is_zero() {
                    let steps = |op: &Op| match op {
                        Op::Combine { noise: Some(noise), .. } => noise.step,
                        _ => 0,
                    };
                    let draw = self.draw(source, term.stream, ops, steps, component);
                    let scales = scales.rows(self.ids.len());
                    value = value.clone() + self.noise_tensor(draw, &scales, component, &value);
                }
            }
            self.write(*out, component, value);
        }
    }

    fn zeros(&self, component: usize) -> Tensor<2> {
        let like = self.values.iter().find_map(|register| register[component].as_ref());
        like.expect("some register of a run holds a value").zeros_like()
    }

    fn langevin(&mut self, source: &dyn NoiseSource, ops: &[&Op], watched: bool) -> Result<(), SamplerError> {
        let Op::Langevin { component, from, out, score, norm, .. } = *ops[0] else {
            return Ok(());
        };
        let squares = match self.squares[score][component].clone() {
            Some(squares) => squares,
            None => self.inspect(score, component)?,
        };
        let batch = self.ids.len();
        let read = |which: fn(&Op) -> f64| Coefficient::of(ops, which).rows(batch);
        let alpha = read(|op| if let Op::Langevin { alpha, .. } = op { *alpha } else { 0.0 });
        let snr = read(|op| if let Op::Langevin { snr, .. } = op { *snr } else { 0.0 });
        let scale = read(|op| if let Op::Langevin { scale, .. } = op { *scale } else { 0.0 });
        let steps = |op: &Op| if let Op::Langevin { step, .. } = op { *step } else { 0 };
        let draw = self.draw(source, Stream::Corrector, ops, steps, component);
        let mut noise_norms: Vec<f64> =
            self.row_squares(&draw, component).into_iter().map(libm::sqrt).collect();
        let mut score_norms: Vec<f64> = squares.into_iter().map(libm::sqrt).collect();
        if norm == NormScope::BatchMean {
            let alive = self.alive.iter().filter(|&&alive| alive).count().max(1) as f64;
            for norms in [&mut noise_norms, &mut score_norms] {
                let living = norms.iter().zip(&self.alive).map(|(n, &alive)| if alive { *n } else { 0.0 });
                let mean = living.sum::<f64>() / alive;
                norms.fill(mean);
            }
        }
        let steps: Vec<f64> = (0..batch)
            .map(|row| {
                // A score of zero points nowhere: no step (and no 0/0).
                let ratio = snr[row] * noise_norms[row] / score_norms[row];
                let usable = score_norms[row] > 0.0 && ratio.is_finite();
                if usable { 2.0 * alpha[row] * ratio * ratio } else { 0.0 }
            })
            .collect();
        let score = self.value(score, component);
        let state = self.value(from, component);
        let rows = column(&steps, &state);
        let mean = state + score * rows;
        if watched {
            self.means[component] = Some(mean.clone());
        }
        let scales: Vec<f64> =
            steps.iter().zip(&scale).map(|(step, scale)| scale * libm::sqrt(2.0 * step)).collect();
        let noise = self.noise_tensor(draw, &scales, component, &mean);
        self.write(out, component, mean + noise);
        Ok(())
    }

    fn threshold(&mut self, ops: &[&Op], register: Register) -> Result<(), SamplerError> {
        for component in 0..self.names.len() {
            let tensor = self.value(register, component);
            let (device, dtype, dims) = (tensor.device(), tensor.dtype(), tensor.dims());
            let mut host = host_f64(&self.names[component], tensor)?;
            let support = &self.supports[component];
            for (row, values) in host.chunks_exact_mut(support.width().max(1)).enumerate() {
                if let Op::Threshold { ratio, max, .. } = ops[row.min(ops.len() - 1)] {
                    threshold_row(support, row, values, *ratio, *max);
                }
            }
            let data = TensorData::new(host, dims);
            self.write(register, component, Tensor::from_data(data, (&device, dtype)));
        }
        Ok(())
    }

    fn impose(&mut self, source: &dyn NoiseSource, ops: &[&Op]) {
        let Op::Impose { register, observed, mask, noise, .. } = ops[0] else { return };
        for component in 0..self.names.len() {
            let alpha = Coefficient::of(ops, |op| match op {
                Op::Impose { alpha, .. } => alpha[component],
                _ => 0.0,
            });
            let sigma = Coefficient::of(ops, |op| match op {
                Op::Impose { noise, .. } => noise.coefficients[component],
                _ => 0.0,
            });
            let mask = self.value(*mask, component);
            let mut known = alpha.times(self.value(*observed, component));
            if !sigma.is_zero() {
                let steps = |op: &Op| if let Op::Impose { noise, .. } = op { noise.step } else { 0 };
                let draw = self.draw(source, noise.stream, ops, steps, component);
                let scales = sigma.rows(self.ids.len());
                known = known.clone() + self.noise_tensor(draw, &scales, component, &known);
            }
            let value = self.value(*register, component);
            // `value + mask (known − value)` would not return the known entries exactly.
            let free = mask.clone().neg().add_scalar(1.0);
            self.write(*register, component, mask * known + free * value);
        }
    }

    fn compare(
        &mut self,
        ops: &[&Op],
        high: Register,
        low: Register,
        previous: Register,
    ) -> Result<(), SamplerError> {
        let batch = self.ids.len();
        let atol = Coefficient::of(ops, |op| if let Op::Compare { atol, .. } = op { *atol } else { 0.0 });
        let rtol = Coefficient::of(ops, |op| if let Op::Compare { rtol, .. } = op { *rtol } else { 0.0 });
        let (atol, rtol) = (atol.rows(batch), rtol.rows(batch));
        let (mut sums, mut counts) = (vec![0.0; batch], vec![0usize; batch]);
        for component in 0..self.names.len() {
            let host = |register| host_f64(&self.names[component], self.value(register, component));
            let (high, low, previous) = (host(high)?, host(low)?, host(previous)?);
            let support = &self.supports[component];
            for row in 0..batch {
                let start = row * support.width();
                support.for_each_coordinate(row, |index, _| {
                    let at = start + index;
                    let size = low[at].abs().max(previous[at].abs());
                    let scaled = (high[at] - low[at]) / atol[row].max(rtol[row] * size);
                    sums[row] += scaled * scaled;
                    counts[row] += 1;
                });
            }
        }
        for row in 0..batch {
            self.errors[row] = Some(libm::sqrt(sums[row] / counts[row].max(1) as f64));
        }
        Ok(())
    }

    /// A draw for every row; `step` tells which draw of the stream an operation asks for.
    fn draw(
        &self,
        source: &dyn NoiseSource,
        stream: Stream,
        ops: &[&Op],
        step: impl Fn(&Op) -> u32,
        component: usize,
    ) -> Vec<f64> {
        let support = &self.supports[component];
        let first = step(ops[0]);
        if ops[1..].iter().all(|op| step(op) == first) {
            return source.normals(stream, first, component, support, &self.ids);
        }
        let rows = ops.iter().zip(&self.ids).enumerate().map(|(row, (op, &id))| {
            source.normals(stream, step(op), component, &support.select(&[row]), &[id])
        });
        rows.flatten().collect()
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
}
