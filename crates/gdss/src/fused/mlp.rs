//! Perceptrons applied to every row: linear maps with ELU between them.
//!
//! Rows are processed in blocks whose hidden activations stay in the first-level cache. The backward pass computes the
//! hidden activations again rather than keep them for all rows: for the perceptrons of the edges they would be by far
//! the largest arrays of the network (`N^2/2` rows), and computing them costs a third of a forward pass.

use equidrift_backend::weights::ParameterSet;
use pulp::Simd;

use super::epilogue::{Elu, EluSlope, Epilogue, Plain};
use super::lanes::{LaneBuffer, Rows};
use super::linear::{BLOCK_ROWS, Linear, PANEL};
use crate::parameters::ParameterError;

/// Vectors of hidden activations of one layer that a forward block may hold (16 KiB with AVX-512).
const FORWARD_BLOCK: usize = 256;
/// Rows of a backward block. Longer blocks spread the reduction of the weight gradients over lanes over more rows.
const BACKWARD_ROWS: usize = 72;

/// A perceptron.
#[derive(Debug, Clone)]
pub(super) struct Mlp {
    linears: Vec<Linear>,
    hidden: usize,
}

/// Where the gradient of one segment of the inputs goes.
pub(super) struct InputGradient<'a, V> {
    pub(super) data: &'a mut [V],
    pub(super) stride: usize,
    /// Added to what is there, instead of replacing it.
    pub(super) accumulate: bool,
}

/// Buffers for the perceptrons of one network, large enough for each.
#[derive(Debug, Default)]
pub(super) struct MlpScratch {
    ping: LaneBuffer,
    pong: LaneBuffer,
    hidden: Vec<LaneBuffer>,
    /// Features of the graphs' times.
    time: LaneBuffer,
    /// Biases of the first map for each graph.
    biases: LaneBuffer,
}

impl MlpScratch {
    pub(super) fn new<'a, S: Simd>(
        perceptrons: impl Iterator<Item = &'a Mlp> + Clone,
        backward: bool,
    ) -> Self {
        let width = perceptrons.clone().map(|p| p.hidden).max().unwrap_or(0);
        let first = |p: &Mlp| p.linears.first().map_or((0, 0), |map| (map.time(), map.outputs));
        let (time, widest) =
            perceptrons.clone().map(first).fold((0, 0), |(time, width), (t, w)| (time.max(t), width.max(w)));
        let rows = if backward { BACKWARD_ROWS } else { BLOCK_ROWS };
        let length = FORWARD_BLOCK.max(rows * width);
        let kept = if backward { perceptrons.map(|p| p.linears.len() - 1).max().unwrap_or(0) } else { 0 };
        Self {
            ping: LaneBuffer::new::<S>(length),
            pong: LaneBuffer::new::<S>(length),
            hidden: (0..kept).map(|_| LaneBuffer::new::<S>(BACKWARD_ROWS * width)).collect(),
            time: LaneBuffer::new::<S>(time),
            biases: LaneBuffer::new::<S>(if time > 0 { widest.next_multiple_of(PANEL) } else { 0 }),
        }
    }

    /// Takes the features of the times of the graphs of a tile.
    #[inline(always)]
    pub(super) fn set_times<S: Simd>(&mut self, features: &[S::f32s]) {
        let target = self.time.get_mut::<S>();
        let count = target.len();
        target.copy_from_slice(&features[..count]);
    }
}

impl Mlp {
    /// The perceptron `{name}.linears.{0..maps}` on inputs that lie in `segments` and on `time` features of the time.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        parameters: &ParameterSet,
        name: &str,
        maps: usize,
        segments: &[usize],
        time: usize,
        hidden: usize,
        outputs: usize,
        next_offset: &mut usize,
    ) -> Result<Self, ParameterError> {
        let linears = (0..maps)
            .map(|map| {
                let hidden_segment = [hidden];
                let (segments, time) = if map == 0 { (segments, time) } else { (&hidden_segment[..], 0) };
                let outputs = if map + 1 == maps { outputs } else { hidden };
                let name = format!("{name}.linears.{map}");
                Linear::dense(parameters, name, segments, time, outputs, next_offset)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { linears, hidden })
    }

    pub(super) fn linears(&self) -> &[Linear] {
        &self.linears
    }

    fn last(&self) -> &Linear {
        &self.linears[self.linears.len() - 1]
    }

    /// `output[r] = epilogue(perceptron(inputs[r]))` for all rows.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(super) fn forward<S: Simd, E: Epilogue<S>>(
        &self,
        simd: S,
        inputs: &[Rows<'_, S::f32s>],
        rows: usize,
        output: &mut [S::f32s],
        stride: usize,
        epilogue: E,
        scratch: &mut MlpScratch,
    ) {
        let width = self.hidden;
        let block = (FORWARD_BLOCK / width.max(1) / BLOCK_ROWS * BLOCK_ROWS).max(BLOCK_ROWS);
        let (first, middle) = (&self.linears[0], &self.linears[1..]);
        let MlpScratch { ping, pong, time, biases, .. } = scratch;
        let shift = first.shift(simd, time.get::<S>(), biases.get_mut::<S>());
        let Some((last, middle)) = middle.split_last() else {
            return first.apply_shifted(simd, shift, inputs, 0, rows, output, stride, epilogue);
        };
        for start in (0..rows).step_by(block) {
            let count = block.min(rows - start);
            let (mut from, mut to) = (ping.get_mut::<S>(), pong.get_mut::<S>());
            first.apply_shifted(simd, shift, inputs, start, count, from, width, Elu);
            for linear in middle {
                linear.apply(simd, &[Rows::dense(from, width)], 0, count, to, width, Elu);
                std::mem::swap(&mut from, &mut to);
            }
            let output = &mut output[start * stride..];
            last.apply(simd, &[Rows::dense(from, width)], 0, count, output, stride, epilogue.from(start));
        }
    }

    /// Splits `rows` into blocks for the methods below.
    pub(super) fn backward_blocks(rows: usize) -> impl Iterator<Item = (usize, usize)> {
        (0..rows).step_by(BACKWARD_ROWS).map(move |first| (first, BACKWARD_ROWS.min(rows - first)))
    }

    /// Computes the hidden activations of a block of rows and leaves them in the scratch.
    #[inline(always)]
    pub(super) fn forward_hidden<S: Simd>(
        &self,
        simd: S,
        inputs: &[Rows<'_, S::f32s>],
        (first, rows): (usize, usize),
        scratch: &mut MlpScratch,
    ) {
        let MlpScratch { hidden, time, biases, .. } = scratch;
        for (k, linear) in self.linears[..self.linears.len() - 1].iter().enumerate() {
            let (done, next) = hidden.split_at_mut(k);
            let output = next[0].get_mut::<S>();
            match done.last() {
                None => {
                    let shift = linear.shift(simd, time.get::<S>(), biases.get_mut::<S>());
                    linear.apply_shifted(simd, shift, inputs, first, rows, output, self.hidden, Elu);
                }
                Some(input) => {
                    let input = [Rows::dense(input.get::<S>(), self.hidden)];
                    linear.apply(simd, &input, 0, rows, output, self.hidden, Elu);
                }
            }
        }
    }

    /// The last map, after [`Mlp::forward_hidden`].
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(super) fn forward_output<S: Simd, E: Epilogue<S>>(
        &self,
        simd: S,
        inputs: &[Rows<'_, S::f32s>],
        (first, rows): (usize, usize),
        output: &mut [S::f32s],
        stride: usize,
        epilogue: E,
        scratch: &mut MlpScratch,
    ) {
        let MlpScratch { hidden, time, biases, .. } = scratch;
        match self.linears.len() {
            1 => {
                let shift = self.last().shift(simd, time.get::<S>(), biases.get_mut::<S>());
                self.last().apply_shifted(simd, shift, inputs, first, rows, output, stride, epilogue);
            }
            maps => {
                let input = [Rows::dense(hidden[maps - 2].get::<S>(), self.hidden)];
                self.last().apply(simd, &input, 0, rows, output, stride, epilogue);
            }
        }
    }

    /// Backward of a block of rows after [`Mlp::forward_hidden`]. `delta` is the gradient of the outputs of these rows.
    /// Adds the gradient of the parameters to `gradient` and gives those of the input segments (`None` to skip one).
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(super) fn backward<S: Simd>(
        &self,
        simd: S,
        inputs: &[Rows<'_, S::f32s>],
        (first, rows): (usize, usize),
        delta: Rows<'_, S::f32s>,
        input_gradients: &mut [Option<InputGradient<'_, S::f32s>>],
        gradient: &mut [f32],
        scratch: &mut MlpScratch,
    ) {
        let MlpScratch { ping, pong, hidden, time, .. } = scratch;
        let (time, width) = (time.get::<S>(), self.hidden);
        let (mut from, mut to) = (ping.get_mut::<S>(), pong.get_mut::<S>());
        for (k, linear) in self.linears.iter().enumerate().rev() {
            let delta = if k + 1 == self.linears.len() { delta } else { Rows::dense(&*from, width) };
            if k > 0 {
                let activations = Rows::dense(hidden[k - 1].get::<S>(), width);
                linear.accumulate_gradient(simd, &[activations], 0, &[], delta, rows, gradient);
                linear.apply_transposed(simd, 0, delta, rows, to, width, false, EluSlope(activations));
                std::mem::swap(&mut from, &mut to);
            } else {
                linear.accumulate_gradient(simd, inputs, first, time, delta, rows, gradient);
                for (segment, target) in input_gradients.iter_mut().enumerate() {
                    if let Some(InputGradient { data, stride, accumulate }) = target {
                        let data = &mut data[first * *stride..];
                        linear.apply_transposed(
                            simd,
                            segment,
                            delta,
                            rows,
                            data,
                            *stride,
                            *accumulate,
                            Plain,
                        );
                    }
                }
            }
        }
    }
}
