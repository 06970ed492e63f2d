//! Gradients of weights and biases: sums over rows and over lanes.
//!
//! A block of 8 outputs by 3 inputs keeps its 24 sums in registers while it runs over the rows (nodes or pairs): per row
//! it loads 11 vectors for 24 multiply-adds. Only then the lanes, which are different graphs, are added up; that costs
//! about 10 instructions per weight and tile, and keeps the gradients 16 times smaller than one per graph would be.

use pulp::{NullaryFnOnce, Simd};

use super::lanes::Rows;

/// Sums of a block.
const STAGING: usize = 24;

/// `gradient[o] += sum over rows and lanes of delta[r][o]`.
#[inline(always)]
pub(super) fn accumulate_bias_gradient<S: Simd>(
    simd: S,
    delta: Rows<'_, S::f32s>,
    rows: usize,
    gradient: &mut [f32],
) {
    simd.vectorize(ColumnSums { simd, delta, rows, sums: gradient });
}

/// `gradient[o * stride + column + k] += sum over rows and lanes of delta[r][o] input[r][k]`.
#[inline(always)]
pub(super) fn accumulate_weight_gradient<S: Simd>(
    simd: S,
    delta: Rows<'_, S::f32s>,
    input: Rows<'_, S::f32s>,
    rows: usize,
    gradient: &mut [f32],
    stride: usize,
    column: usize,
) {
    let staging = &mut [simd.splat_f32s(0.0); STAGING];
    simd.vectorize(OuterProduct { simd, delta, input, rows, gradient, stride, column, staging });
}

struct ColumnSums<'a, S: Simd> {
    simd: S,
    delta: Rows<'a, S::f32s>,
    rows: usize,
    sums: &'a mut [f32],
}

impl<S: Simd> NullaryFnOnce for ColumnSums<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, delta, rows, sums } = self;
        for (column, total) in sums.iter_mut().enumerate() {
            let mut sum = simd.splat_f32s(0.0);
            for row in 0..rows {
                sum = simd.add_f32s(sum, delta.data[row * delta.stride + column]);
            }
            *total += simd.reduce_sum_f32s(sum);
        }
    }
}

struct OuterProduct<'a, S: Simd> {
    simd: S,
    delta: Rows<'a, S::f32s>,
    input: Rows<'a, S::f32s>,
    rows: usize,
    gradient: &'a mut [f32],
    stride: usize,
    column: usize,
    /// Sums of a block on their way to the reduction over lanes. Reading them by a variable index from an array of the
    /// kernel itself would keep that array out of registers.
    staging: &'a mut [S::f32s; STAGING],
}

impl<S: Simd> NullaryFnOnce for OuterProduct<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        let outputs = self.delta.width;
        let widest = if S::REGISTER_COUNT >= 32 { 8 } else { 4 };
        let mut output = 0;
        while output < outputs {
            let left = outputs - output;
            if widest == 8 && left >= 8 {
                self.stripe::<8>(output);
                output += 8;
            } else if left >= 4 {
                self.stripe::<4>(output);
                output += 4;
            } else {
                self.stripe::<1>(output);
                output += 1;
            }
        }
    }
}

impl<S: Simd> OuterProduct<'_, S> {
    #[inline(always)]
    fn stripe<const O: usize>(&mut self, output: usize) {
        let simd = self.simd;
        let last = self.input.width - 1;
        for first in (0..self.input.width).step_by(3) {
            let k = [first, (first + 1).min(last), (first + 2).min(last)];
            let mut sums = [[simd.splat_f32s(0.0); O]; 3];
            for row in 0..self.rows {
                let d = &self.delta.data[row * self.delta.stride + output..][..O];
                let x = self.input.row(row);
                let x = [x[k[0]], x[k[1]], x[k[2]]];
                for o in 0..O {
                    for i in 0..3 {
                        sums[i][o] = simd.mul_add_e_f32s(x[i], d[o], sums[i][o]);
                    }
                }
            }
            for (staged, sums) in self.staging.chunks_exact_mut(O).zip(&sums) {
                staged.copy_from_slice(sums);
            }
            for (i, sums) in self.staging.chunks_exact(O).take((last + 1 - first).min(3)).enumerate() {
                for (o, &sum) in sums.iter().enumerate() {
                    self.gradient[(output + o) * self.stride + self.column + first + i] +=
                        simd.reduce_sum_f32s(sum);
                }
            }
        }
    }
}
