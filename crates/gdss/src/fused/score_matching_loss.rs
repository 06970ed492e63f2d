//! The denoising score matching loss of a block of rows and its gradient.
//!
//! `loss_b = 1/2 weight sum_e r_e^2` with the residual `r_e = scale_b net_e + z_e`, hence
//! `dloss/d(raw output) = weight scale_b r_e mask_e`. The weight is 1 for node features and 2 for pairs, which stand for
//! two entries of the matrix each. Division by the batch size is left to the caller.

use pulp::{NullaryFnOnce, Simd};

use super::epilogue::Scaled;
use super::lanes::{LaneBuffer, Rows};
use super::mlp::{InputGradient, Mlp, MlpScratch};
use super::tile::TargetView;

/// Residuals of rows of `width` elements.
struct Residuals<'a, S: Simd> {
    simd: S,
    width: usize,
    weight: f32,
    scale: S::f32s,
    /// One factor per row.
    mask: &'a [S::f32s],
    noise: &'a [S::f32s],
    /// Masked output of the network; replaced by the gradient with respect to the output before the mask.
    output: &'a mut [S::f32s],
}

impl<S: Simd> NullaryFnOnce for Residuals<'_, S> {
    /// The loss of each graph over these rows.
    type Output = S::f32s;

    #[inline(always)]
    fn call(self) -> S::f32s {
        let Self { simd, width, weight, scale, mask, noise, output } = self;
        let mut squares = simd.splat_f32s(0.0);
        let weight = simd.splat_f32s(weight);
        let factor = simd.mul_f32s(scale, weight);
        for (row, &mask) in mask.iter().enumerate() {
            let factor = simd.mul_f32s(factor, mask);
            let elements = row * width..(row + 1) * width;
            for (value, &z) in output[elements.clone()].iter_mut().zip(&noise[elements]) {
                let residual = simd.mul_add_e_f32s(scale, *value, z);
                squares = simd.mul_add_e_f32s(residual, residual, squares);
                *value = simd.mul_f32s(factor, residual);
            }
        }
        simd.mul_f32s(simd.mul_f32s(squares, weight), simd.splat_f32s(0.5))
    }
}

/// The arrays as matrices of `count` rows.
#[inline(always)]
pub(super) fn rows<S: Simd>(arrays: &[LaneBuffer], count: usize) -> Vec<Rows<'_, S::f32s>> {
    arrays
        .iter()
        .map(|array| {
            let data = array.get::<S>();
            Rows::dense(data, data.len() / count.max(1))
        })
        .collect()
}

/// Loss of a network and backward through its final perceptron: the gradients of the inputs replace what
/// `input_gradients` holds. `mask` has one factor per row. Returns the loss of each graph.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub(super) fn final_perceptron_backward<S: Simd>(
    simd: S,
    perceptron: &Mlp,
    mask: &[S::f32s],
    weight: f32,
    target: TargetView<'_, S::f32s>,
    width: usize,
    inputs: &[Rows<'_, S::f32s>],
    input_gradients: &mut [LaneBuffer],
    output: &mut [S::f32s],
    gradient: &mut [f32],
    scratch: &mut MlpScratch,
) -> S::f32s {
    let mut loss = simd.splat_f32s(0.0);
    for block in Mlp::backward_blocks(mask.len()) {
        let (first, rows) = block;
        let elements = first * width..(first + rows) * width;
        let (mask, output) = (&mask[first..first + rows], &mut output[elements.clone()]);
        perceptron.forward_hidden(simd, inputs, block, scratch);
        perceptron.forward_output(simd, inputs, block, output, width, Scaled(mask), scratch);
        let residuals = Residuals {
            simd,
            width,
            weight,
            scale: target.scale,
            mask,
            noise: &target.noise[elements],
            output: &mut *output,
        };
        loss = simd.add_f32s(loss, simd.vectorize(residuals));
        let mut targets: Vec<_> = input_gradients
            .iter_mut()
            .zip(inputs)
            .enumerate()
            .map(|(segment, (array, input))| {
                // The first segment is the input of the network.
                let data = array.get_mut::<S>();
                (segment > 0).then_some(InputGradient { data, stride: input.stride, accumulate: false })
            })
            .collect();
        perceptron.backward(
            simd,
            inputs,
            block,
            Rows::dense(&*output, width),
            &mut targets,
            gradient,
            scratch,
        );
    }
    loss
}
