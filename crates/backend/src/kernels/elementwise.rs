//! SiLU, exponentials and inner products on vectors.
//!
//! Largest errors against double precision, by the tests below: `silu` 4e-7 relative for |x| < 4, and 1e-6 down to -20. A NaN
//! stays a NaN.

use pulp::{NullaryFnOnce, Simd};

/// Arguments of the exponential are kept within this, so that powers of two stay normal numbers.
const EXP_LIMIT: f32 = 80.0;
/// `(2^f - 1) / f` on [-1/2, 1/2]: Chebyshev interpolation of degree 5, highest power first. Relative error 2.2e-8.
const EXP2_MINUS_ONE: [f32; 6] =
    [1.545_316_3e-4, 1.339_086_3e-3, 9.618_083e-3, 5.550_357e-2, 2.402_265e-1, std::f32::consts::LN_2];

/// exp x for |x| <= 80, and that of the nearer limit beyond; NaN for NaN.
#[inline(always)]
pub fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let limit = simd.splat_f32s(EXP_LIMIT);
    // Comparisons with NaN are false, so it passes.
    let x = simd.select_f32s(simd.greater_than_f32s(x, limit), limit, x);
    let low = simd.splat_f32s(-EXP_LIMIT);
    let x = simd.select_f32s(simd.less_than_f32s(x, low), low, x);
    // exp(x) = 2^n 2^f with n an integer and |f| <= 1/2. Adding 1.5 * 2^23 + 127 rounds to an integer and leaves the
    // exponent bits of 2^n at the low end of the sum.
    let round = simd.splat_f32s(12_582_912.0 + 127.0);
    let t = simd.mul_f32s(x, simd.splat_f32s(std::f32::consts::LOG2_E));
    let rounded = simd.add_f32s(t, round);
    // From the product before it was rounded.
    let whole = simd.sub_f32s(rounded, round);
    let fraction = simd.mul_add_e_f32s(x, simd.splat_f32s(std::f32::consts::LOG2_E), simd.neg_f32s(whole));
    let scale = simd.transmute_f32s_u32s(
        simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(rounded), simd.splat_u32s(23)),
    );
    let mut series = simd.splat_f32s(EXP2_MINUS_ONE[0]);
    for coefficient in &EXP2_MINUS_ONE[1..] {
        series = simd.mul_add_e_f32s(series, fraction, simd.splat_f32s(*coefficient));
    }
    simd.mul_add_e_f32s(simd.mul_f32s(scale, fraction), series, scale)
}

/// `1 / (1 + exp(-x))`.
#[inline(always)]
pub fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    simd.div_f32s(one, simd.add_f32s(one, exp(simd, simd.neg_f32s(x))))
}

/// Applies `of` to whole vectors of an array whose length is a multiple of the lanes.
#[inline(always)]
pub fn in_place<S: Simd>(simd: S, values: &mut [f32], of: impl Fn(S, S::f32s) -> S::f32s) {
    struct Task<'a, S, F>(S, &'a mut [f32], F);
    impl<S: Simd, F: Fn(S, S::f32s) -> S::f32s> NullaryFnOnce for Task<'_, S, F> {
        type Output = ();
        #[inline(always)]
        fn call(self) {
            let Self(simd, values, of) = self;
            let (vectors, _) = S::as_mut_simd_f32s(values);
            for value in vectors {
                *value = of(simd, *value);
            }
        }
    }
    simd.vectorize(Task(simd, values, of));
}

/// SiLU of every number.
#[inline(always)]
pub fn silu<S: Simd>(simd: S, values: &mut [f32]) {
    in_place(simd, values, |simd, x| simd.mul_f32s(x, sigmoid(simd, x)));
}

/// `out = slope of SiLU at x, times g`, elementwise; `g` is overwritten.
#[inline(always)]
pub fn through_silu<S: Simd>(simd: S, x: &[f32], g: &mut [f32]) {
    struct Task<'a, S>(S, &'a [f32], &'a mut [f32]);
    impl<S: Simd> NullaryFnOnce for Task<'_, S> {
        type Output = ();
        #[inline(always)]
        fn call(self) {
            let Self(simd, x, g) = self;
            let ((x, _), (g, _)) = (S::as_simd_f32s(x), S::as_mut_simd_f32s(g));
            let one = simd.splat_f32s(1.0);
            for (x, g) in x.iter().zip(g) {
                let gate = sigmoid(simd, *x);
                let rest = simd.mul_f32s(*x, simd.sub_f32s(one, gate));
                *g = simd.mul_f32s(*g, simd.mul_add_e_f32s(gate, rest, gate));
            }
        }
    }
    simd.vectorize(Task(simd, x, g));
}

/// The inner product of two arrays whose length is a multiple of the lanes.
#[inline(always)]
pub fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
    let ((a, _), (b, _)) = (S::as_simd_f32s(a), S::as_simd_f32s(b));
    let mut sum = simd.splat_f32s(0.0);
    for (a, b) in a.iter().zip(b) {
        sum = simd.mul_add_e_f32s(*a, *b, sum);
    }
    simd.reduce_sum_f32s(sum)
}

/// `out += scale x`.
#[inline(always)]
pub fn add_scaled<S: Simd>(simd: S, scale: f32, x: &[f32], out: &mut [f32]) {
    let ((x, _), (out, _)) = (S::as_simd_f32s(x), S::as_mut_simd_f32s(out));
    let scale = simd.splat_f32s(scale);
    for (x, out) in x.iter().zip(out) {
        *out = simd.mul_add_e_f32s(scale, *x, *out);
    }
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;

    struct Check;

    impl WithSimd for Check {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let points: Vec<f32> = (-4000..4000).map(|k| k as f32 * 0.02).collect();
            let mut values = points.clone();
            silu(simd, &mut values);
            let mut slopes = vec![1.0; points.len()];
            through_silu(simd, &points, &mut slopes);
            for ((x, y), slope) in points.iter().zip(&values).zip(&slopes) {
                let x = f64::from(*x);
                let gate = 1.0 / (1.0 + (-x).exp());
                if x > -20.0 {
                    let error = (f64::from(*y) - x * gate).abs() / (x * gate).abs().max(1e-30);
                    assert!(error < if x.abs() < 4.0 { 4e-7 } else { 1e-6 }, "{x}: {error:.1e}");
                }
                let exact = gate * (1.0 + x * (1.0 - gate));
                assert!((f64::from(*slope) - exact).abs() < 1e-7 * (4.0 + x.abs()), "slope at {x}");
            }
            let mut ends = vec![f32::NAN; 16];
            ends[1] = -1e30;
            ends[2] = 1e30;
            silu(simd, &mut ends);
            assert!(ends[0].is_nan() && ends[1].abs() < 1e-3 && ends[2] == 1e30);
        }
    }

    #[test]
    fn silu_and_its_slope() {
        Arch::new().dispatch(Check);
    }
}
