//! What is done to the elements of a product while they are still in the cache: masks, activations and their slopes.

use pulp::Simd;

use super::activation;
use super::lanes::Rows;

/// What happens to an element of a product before it is stored.
pub(super) trait Epilogue<S: Simd>: Copy {
    /// Whether it does anything.
    const CHANGES: bool = true;

    /// The same for rows counted from `first` on.
    #[inline(always)]
    fn from(self, _first: usize) -> Self {
        self
    }

    fn apply(self, simd: S, row: usize, column: usize, value: S::f32s) -> S::f32s;
}

/// Nothing.
#[derive(Clone, Copy)]
pub(super) struct Plain;

impl<S: Simd> Epilogue<S> for Plain {
    const CHANGES: bool = false;

    #[inline(always)]
    fn apply(self, _simd: S, _row: usize, _column: usize, value: S::f32s) -> S::f32s {
        value
    }
}

/// ELU.
#[derive(Clone, Copy)]
pub(super) struct Elu;

impl<S: Simd> Epilogue<S> for Elu {
    #[inline(always)]
    fn apply(self, simd: S, _row: usize, _column: usize, value: S::f32s) -> S::f32s {
        activation::elu(simd, value)
    }
}

/// tanh.
#[derive(Clone, Copy)]
pub(super) struct Tanh;

impl<S: Simd> Epilogue<S> for Tanh {
    #[inline(always)]
    fn apply(self, simd: S, _row: usize, _column: usize, value: S::f32s) -> S::f32s {
        activation::tanh(simd, value)
    }
}

/// Multiplication of each row by its own factor.
#[derive(Clone, Copy)]
pub(super) struct Scaled<'a, V>(pub(super) &'a [V]);

impl<S: Simd> Epilogue<S> for Scaled<'_, S::f32s> {
    #[inline(always)]
    fn from(self, first: usize) -> Self {
        Self(&self.0[first..])
    }

    #[inline(always)]
    fn apply(self, simd: S, row: usize, _column: usize, value: S::f32s) -> S::f32s {
        simd.mul_f32s(value, self.0[row])
    }
}

/// [`Scaled`], then tanh.
#[derive(Clone, Copy)]
pub(super) struct ScaledTanh<'a, V>(pub(super) &'a [V]);

impl<S: Simd> Epilogue<S> for ScaledTanh<'_, S::f32s> {
    #[inline(always)]
    fn from(self, first: usize) -> Self {
        Self(&self.0[first..])
    }

    #[inline(always)]
    fn apply(self, simd: S, row: usize, _column: usize, value: S::f32s) -> S::f32s {
        activation::tanh(simd, simd.mul_f32s(value, self.0[row]))
    }
}

/// Multiplication by the derivative of ELU at the stored values.
#[derive(Clone, Copy)]
pub(super) struct EluSlope<'a, V>(pub(super) Rows<'a, V>);

impl<S: Simd> Epilogue<S> for EluSlope<'_, S::f32s> {
    #[inline(always)]
    fn apply(self, simd: S, row: usize, column: usize, value: S::f32s) -> S::f32s {
        simd.mul_f32s(value, activation::elu_slope(simd, self.0.row(row)[column]))
    }
}
