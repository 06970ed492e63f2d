//! Linear maps of many rows at once: `y = W x + b`, its transpose, and the gradient of `W`.
//!
//! Rows are nodes or pairs of nodes; every element is a vector of lanes, one graph per lane, and the weights are scalars
//! that all lanes share. Weights are packed in panels of eight outputs, `[panel][input][8]`, so that the inner loop reads
//! them in order. A block of 3 rows by 8 outputs keeps its 24 sums in registers (2 by 4 where the machine has only 16
//! registers): per input it loads 3 vectors and 8 weights for 24 multiply-adds. Each sum runs over the inputs in order,
//! whatever the blocking, so the result has the same bits for every register width.

use std::ops::Range;

use equidrift_backend::kernels::matrix::lookup;
use equidrift_backend::weights::{HostTensor, ParameterSet};
use pulp::{NullaryFnOnce, Simd};

use super::epilogue::{Epilogue, Plain};
use super::lanes::Rows;
use super::weight_gradient::{accumulate_bias_gradient, accumulate_weight_gradient};
use crate::parameters::ParameterError;

/// Outputs that lie side by side in the packed weights.
pub(super) const PANEL: usize = 8;
/// Rows in a register block.
pub(super) const BLOCK_ROWS: usize = 3;

/// Orientation of a stored weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orientation {
    /// `[out, in]`, as in a linear map.
    OutIn,
    /// `[in, out]`, as in a graph convolution.
    InOut,
}

/// Parameters that become some of the outputs of a [`Linear`].
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// Names are `{name}.weight` and `{name}.bias`.
    pub(super) name: String,
    pub(super) outputs: usize,
    pub(super) orientation: Orientation,
    /// Both weight and bias are multiplied by this when they are packed.
    pub(super) scale: f32,
}

/// A linear map in packed form.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    sources: Vec<Source>,
    panels: Vec<f32>,
    bias: Vec<f32>,
    /// Features of the time among the inputs; they are the last.
    time: usize,
    /// The part of the map that takes them, in panels.
    time_panels: Vec<f32>,
    /// For each segment of the inputs, the transposed map in panels.
    transposed: Vec<Vec<f32>>,
    segments: Vec<Range<usize>>,
    /// Where the gradient of this map starts in the network's flat gradient: weights `[out][in]`, then biases.
    pub(super) gradient_offset: usize,
}

fn pack(inputs: usize, outputs: usize, weight: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let mut panels = vec![0.0; outputs.div_ceil(PANEL) * inputs * PANEL];
    for (p, panel) in panels.chunks_exact_mut((inputs * PANEL).max(1)).enumerate() {
        for (k, group) in panel.chunks_exact_mut(PANEL).enumerate() {
            for (o, value) in group.iter_mut().enumerate() {
                if p * PANEL + o < outputs {
                    *value = weight(p * PANEL + o, k);
                }
            }
        }
    }
    panels
}

impl Linear {
    /// Packs the maps of `sources` side by side. `segments` are the widths of the parts of the input that lie in
    /// different arrays; behind them come `time` features of the time, the same in all rows. Takes its place in the flat
    /// gradient from `next_offset`.
    pub(super) fn new(
        parameters: &ParameterSet,
        sources: Vec<Source>,
        segments: &[usize],
        time: usize,
        next_offset: &mut usize,
    ) -> Result<Self, ParameterError> {
        let rows_inputs: usize = segments.iter().sum();
        let inputs = rows_inputs + time;
        let outputs: usize = sources.iter().map(|s| s.outputs).sum();
        let mut matrix = vec![0.0; outputs * inputs];
        let mut bias = vec![0.0; outputs.next_multiple_of(PANEL)];
        let mut first = 0;
        for source in &sources {
            let n = source.outputs;
            let shape = match source.orientation {
                Orientation::OutIn => [n, inputs],
                Orientation::InOut => [inputs, n],
            };
            let weight = lookup(parameters, format!("{}.weight", source.name), &shape)?;
            for o in 0..n {
                for k in 0..inputs {
                    let index = match source.orientation {
                        Orientation::OutIn => o * inputs + k,
                        Orientation::InOut => k * n + o,
                    };
                    matrix[(first + o) * inputs + k] = weight[index] * source.scale;
                }
            }
            let values = lookup(parameters, format!("{}.bias", source.name), &[n])?;
            for (target, value) in bias[first..].iter_mut().zip(values) {
                *target = value * source.scale;
            }
            first += n;
        }
        let mut ranges = Vec::with_capacity(segments.len());
        let mut start = 0;
        for &width in segments {
            ranges.push(start..start + width);
            start += width;
        }
        let transposed = ranges
            .iter()
            .map(|range| pack(outputs, range.len(), |k, o| matrix[o * inputs + range.start + k]))
            .collect();
        let gradient_offset = *next_offset;
        *next_offset += outputs * inputs + outputs;
        Ok(Self {
            inputs,
            outputs,
            sources,
            panels: pack(rows_inputs, outputs, |o, k| matrix[o * inputs + k]),
            bias,
            time,
            time_panels: pack(time, outputs, |o, k| matrix[o * inputs + rows_inputs + k]),
            transposed,
            segments: ranges,
            gradient_offset,
        })
    }

    /// Features of the time among the inputs.
    pub(super) fn time(&self) -> usize {
        self.time
    }

    /// A map with one source in `[out, in]` orientation.
    pub(super) fn dense(
        parameters: &ParameterSet,
        name: String,
        segments: &[usize],
        time: usize,
        outputs: usize,
        next_offset: &mut usize,
    ) -> Result<Self, ParameterError> {
        let source = Source { name, outputs, orientation: Orientation::OutIn, scale: 1.0 };
        Self::new(parameters, vec![source], segments, time, next_offset)
    }

    /// What the map adds to the products of the rows: its bias, and of each graph the part of its time. `biases` has room
    /// for the outputs, rounded up to whole panels.
    #[inline(always)]
    pub(super) fn shift<'a, S: Simd>(
        &'a self,
        simd: S,
        time: &[S::f32s],
        biases: &'a mut [S::f32s],
    ) -> Shift<'a, S::f32s> {
        if self.time == 0 {
            return Shift::Shared(&self.bias);
        }
        simd.vectorize(Product {
            simd,
            panels: &self.time_panels,
            start: Start::Shift(Shift::Shared(&self.bias)),
            inputs: &[Rows::dense(&time[..self.time], self.time)],
            first: 0,
            rows: 1,
            output: &mut *biases,
            stride: self.outputs,
            outputs: self.outputs,
            epilogue: Plain,
        });
        Shift::OfGraphs(biases)
    }

    /// `output[r] = epilogue(W [segments of row first + r] + b)` for `rows` rows, of a map without features of the time.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(super) fn apply<S: Simd, E: Epilogue<S>>(
        &self,
        simd: S,
        inputs: &[Rows<'_, S::f32s>],
        first: usize,
        rows: usize,
        output: &mut [S::f32s],
        stride: usize,
        epilogue: E,
    ) {
        self.apply_shifted(simd, Shift::Shared(&self.bias), inputs, first, rows, output, stride, epilogue);
    }

    /// The same with what [`Linear::shift`] gave.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(super) fn apply_shifted<S: Simd, E: Epilogue<S>>(
        &self,
        simd: S,
        shift: Shift<'_, S::f32s>,
        inputs: &[Rows<'_, S::f32s>],
        first: usize,
        rows: usize,
        output: &mut [S::f32s],
        stride: usize,
        epilogue: E,
    ) {
        simd.vectorize(Product {
            simd,
            panels: &self.panels,
            start: Start::Shift(shift),
            inputs,
            first,
            rows,
            output,
            stride,
            outputs: self.outputs,
            epilogue,
        });
    }

    /// The transposed map onto one segment of the inputs, `target[r] = epilogue(W_segment^T delta[r])`; with
    /// `accumulate` the product is added to what `target` holds.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(super) fn apply_transposed<S: Simd, E: Epilogue<S>>(
        &self,
        simd: S,
        segment: usize,
        delta: Rows<'_, S::f32s>,
        rows: usize,
        target: &mut [S::f32s],
        stride: usize,
        accumulate: bool,
        epilogue: E,
    ) {
        simd.vectorize(Product {
            simd,
            panels: &self.transposed[segment],
            start: if accumulate { Start::Accumulate } else { Start::Zero },
            inputs: &[delta],
            first: 0,
            rows,
            output: target,
            stride,
            outputs: self.segments[segment].len(),
            epilogue,
        });
    }

    /// Adds the gradient of weights and biases, summed over rows and lanes, to the network's flat gradient. Row `r` of
    /// `delta` belongs to row `first + r` of the inputs; `time` are the features of the graphs' times.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(super) fn accumulate_gradient<S: Simd>(
        &self,
        simd: S,
        inputs: &[Rows<'_, S::f32s>],
        first: usize,
        time: &[S::f32s],
        delta: Rows<'_, S::f32s>,
        rows: usize,
        gradient: &mut [f32],
    ) {
        let (weights, bias) = gradient[self.gradient_offset..][..self.outputs * (self.inputs + 1)]
            .split_at_mut(self.outputs * self.inputs);
        accumulate_bias_gradient(simd, delta, rows, bias);
        let mut column = 0;
        for input in inputs {
            accumulate_weight_gradient(simd, delta, input.from(first), rows, weights, self.inputs, column);
            column += input.width;
        }
        if self.time > 0 {
            let same_row = Rows::new(&time[..self.time], 0, self.time);
            accumulate_weight_gradient(simd, delta, same_row, rows, weights, self.inputs, column);
        }
    }

    /// Writes the gradient under the names and in the shapes of the parameters.
    pub(super) fn unpack_gradient(&self, gradient: &[f64], into: &mut ParameterSet) {
        let block = &gradient[self.gradient_offset..];
        let mut first = 0;
        for source in &self.sources {
            let n = source.outputs;
            let scale = f64::from(source.scale);
            let at = |o: usize, k: usize| (block[(first + o) * self.inputs + k] * scale) as f32;
            let (shape, values): (_, Vec<f32>) = match source.orientation {
                Orientation::OutIn => (
                    vec![n, self.inputs],
                    (0..n)
                        .flat_map(|o| (0..self.inputs).map(move |k| (o, k)))
                        .map(|(o, k)| at(o, k))
                        .collect(),
                ),
                Orientation::InOut => (
                    vec![self.inputs, n],
                    (0..self.inputs)
                        .flat_map(|k| (0..n).map(move |o| (o, k)))
                        .map(|(o, k)| at(o, k))
                        .collect(),
                ),
            };
            into.insert(format!("{}.weight", source.name), HostTensor::f32(shape, values));
            let bias = &block[self.outputs * self.inputs + first..][..n];
            let bias = bias.iter().map(|g| (g * scale) as f32).collect();
            into.insert(format!("{}.bias", source.name), HostTensor::f32(vec![n], bias));
            first += n;
        }
    }
}

/// What is added to the products of all rows, by output.
#[derive(Clone, Copy)]
pub(super) enum Shift<'a, V> {
    /// The same for all graphs.
    Shared(&'a [f32]),
    /// Of each graph.
    OfGraphs(&'a [V]),
}

enum Start<'a, V> {
    Shift(Shift<'a, V>),
    Zero,
    Accumulate,
}

struct Product<'a, S: Simd, E> {
    simd: S,
    panels: &'a [f32],
    start: Start<'a, S::f32s>,
    inputs: &'a [Rows<'a, S::f32s>],
    first: usize,
    rows: usize,
    output: &'a mut [S::f32s],
    stride: usize,
    outputs: usize,
    epilogue: E,
}

impl<S: Simd, E: Epilogue<S>> NullaryFnOnce for Product<'_, S, E> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        let width = self.inputs.iter().map(|input| input.width).sum::<usize>();
        let block_rows = if S::REGISTER_COUNT >= 32 { BLOCK_ROWS } else { 2 };
        for first in (0..self.rows).step_by(block_rows) {
            for column in (0..self.outputs).step_by(PANEL) {
                let panel = &self.panels[column * width..][..width * PANEL];
                let count = (self.outputs - column).min(PANEL);
                if S::REGISTER_COUNT >= 32 {
                    match count {
                        1 => self.block::<3, 1>(first, column, panel, 0, 1),
                        2..=4 => self.block::<3, 4>(first, column, panel, 0, count),
                        _ => self.block::<3, 8>(first, column, panel, 0, count),
                    }
                } else if count == 1 {
                    self.block::<2, 1>(first, column, panel, 0, 1);
                } else {
                    self.block::<2, 4>(first, column, panel, 0, count.min(4));
                    if count > 4 {
                        self.block::<2, 4>(first, column, panel, 4, count - 4);
                    }
                }
            }
        }
    }
}

impl<S: Simd, E: Epilogue<S>> Product<'_, S, E> {
    /// Outputs `column + offset ..` (`count` of them, at most `O`) of `R` rows from `first` on, where `R` is 2 or 3.
    #[inline(always)]
    fn block<const R: usize, const O: usize>(
        &mut self,
        first: usize,
        column: usize,
        panel: &[f32],
        offset: usize,
        count: usize,
    ) {
        // At the end the last row is computed more than once (and stored once): shorter than kernels for fewer rows.
        let last = self.rows - 1;
        let rows = [first, (first + 1).min(last), (first + 2).min(last)];
        let distinct = (self.rows - first).min(R);
        let simd = self.simd;
        let zero = simd.splat_f32s(0.0);
        let mut sums = [[zero; O]; R];
        match self.start {
            Start::Shift(Shift::Shared(bias)) => {
                let bias = &bias[column + offset..][..O];
                for o in 0..O {
                    let b = simd.splat_f32s(bias[o]);
                    for sum in &mut sums {
                        sum[o] = b;
                    }
                }
            }
            Start::Shift(Shift::OfGraphs(biases)) => {
                let biases = &biases[column + offset..][..O];
                for sum in &mut sums {
                    sum.copy_from_slice(biases);
                }
            }
            Start::Zero => {}
            Start::Accumulate => {
                for (sum, row) in sums.iter_mut().zip(rows) {
                    let present = &self.output[row * self.stride + column + offset..];
                    for o in 0..O {
                        if o < count {
                            sum[o] = present[o];
                        }
                    }
                }
            }
        }
        let mut weights = panel;
        for input in self.inputs {
            let (segment, rest) = weights.split_at(input.width * PANEL);
            weights = rest;
            let weights = segment.chunks_exact(PANEL);
            let x0 = input.row(self.first + rows[0]);
            let x1 = input.row(self.first + rows[1]);
            if R == 3 {
                let x2 = input.row(self.first + rows[2]);
                for (((w, &x0), &x1), &x2) in weights.zip(x0).zip(x1).zip(x2) {
                    let w = &w[offset..][..O];
                    for o in 0..O {
                        let w = simd.splat_f32s(w[o]);
                        sums[0][o] = simd.mul_add_e_f32s(x0, w, sums[0][o]);
                        sums[1][o] = simd.mul_add_e_f32s(x1, w, sums[1][o]);
                        sums[2][o] = simd.mul_add_e_f32s(x2, w, sums[2][o]);
                    }
                }
            } else {
                for ((w, &x0), &x1) in weights.zip(x0).zip(x1) {
                    let w = &w[offset..][..O];
                    for o in 0..O {
                        let w = simd.splat_f32s(w[o]);
                        sums[0][o] = simd.mul_add_e_f32s(x0, w, sums[0][o]);
                        sums[1][o] = simd.mul_add_e_f32s(x1, w, sums[1][o]);
                    }
                }
            }
        }
        for r in 0..R {
            if r < distinct {
                let target = &mut self.output[rows[r] * self.stride + column + offset..][..count];
                for o in 0..O {
                    if o < count {
                        target[o] = sums[r][o];
                    }
                }
            }
        }
        // A loop of its own over the stored values: if the sums were read here by a variable index, the compiler would
        // keep them in memory, in the loop above too.
        if E::CHANGES {
            for &row in &rows[..distinct] {
                let target = &mut self.output[row * self.stride + column + offset..][..count];
                for (o, value) in target.iter_mut().enumerate() {
                    *value = self.epilogue.apply(simd, row, column + offset + o, *value);
                }
            }
        }
    }
}
