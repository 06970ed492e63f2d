//! ELU and tanh on vectors, and their derivatives expressed by their values.
//!
//! Largest errors, measured by the tests below against double precision: `tanh` 2.9e-7 relative (3.7e-7 on machines
//! without fused multiply-add), `elu` 1.5e-7 relative for negative arguments (exact for positive ones). A NaN stays a
//! NaN and infinities go to the limits.

use pulp::Simd;

/// Above this `tanh` is 1 to single precision, and its rational approximation leaves its range of validity.
const TANH_LIMIT: f32 = 7.905_311;
/// Odd numerator of the rational approximation of tanh by degree 13 over degree 6, highest power first. The
/// coefficients are those of the Eigen library (`generic_fast_tanh_float`).
const TANH_NUMERATOR: [f32; 7] = [
    -2.760_768_5e-16,
    2.000_188e-13,
    -8.604_672e-11,
    5.122_297e-8,
    1.485_722_4e-5,
    6.372_619_4e-4,
    4.893_524_6e-3,
];
/// Even denominator, highest power first.
const TANH_DENOMINATOR: [f32; 4] = [1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3];

/// Smaller arguments of the exponential are treated as this one (2e-35), so that 2^n stays a normal number.
const EXP_LIMIT: f32 = -80.0;
/// `(2^f - 1) / f` on [-1/2, 1/2]: Chebyshev interpolation of degree 5, highest power first. Relative error 2.2e-8.
const EXP2_MINUS_ONE: [f32; 6] =
    [1.545_316_3e-4, 1.339_086_3e-3, 9.618_083e-3, 5.550_357e-2, 2.402_265e-1, std::f32::consts::LN_2];

/// The smaller of a limit and `x`, NaN if `x` is.
#[inline(always)]
fn at_most<S: Simd>(simd: S, limit: S::f32s, x: S::f32s) -> S::f32s {
    if S::IS_SCALAR || S::F32_LANES == 1 {
        // `f32::min` drops a NaN.
        simd.select_f32s(simd.greater_than_f32s(x, limit), limit, x)
    } else {
        // x86 returns the second operand when one is NaN; NEON returns NaN.
        simd.min_f32s(limit, x)
    }
}

/// The larger of a limit and `x`, NaN if `x` is.
#[inline(always)]
pub(super) fn at_least<S: Simd>(simd: S, limit: S::f32s, x: S::f32s) -> S::f32s {
    if S::IS_SCALAR || S::F32_LANES == 1 {
        simd.select_f32s(simd.less_than_f32s(x, limit), limit, x)
    } else {
        simd.max_f32s(limit, x)
    }
}

/// Numerator (times `x`) and denominator of tanh.
#[inline(always)]
fn tanh_fraction<S: Simd>(simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
    let x = at_least(simd, simd.splat_f32s(-TANH_LIMIT), at_most(simd, simd.splat_f32s(TANH_LIMIT), x));
    let square = simd.mul_f32s(x, x);
    let numerator = polynomial(simd, &TANH_NUMERATOR, square);
    let denominator = polynomial(simd, &TANH_DENOMINATOR, square);
    (simd.mul_f32s(x, numerator), denominator)
}

/// tanh x. Cost: 10 multiply-adds and a division.
#[inline(always)]
pub(super) fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let (numerator, denominator) = tanh_fraction(simd, x);
    simd.div_f32s(numerator, denominator)
}

/// tanh a + tanh b with one division. Absolute error 4.4e-7.
#[inline(always)]
pub(super) fn tanh_sum<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
    let (na, da) = tanh_fraction(simd, a);
    let (nb, db) = tanh_fraction(simd, b);
    let numerator = simd.mul_add_e_f32s(na, db, simd.mul_f32s(nb, da));
    simd.div_f32s(numerator, simd.mul_f32s(da, db))
}

/// `(s, s g)` with `exp(x) = s + s g` for x <= 0, where s is a power of two: so `exp(x) - 1 = (s - 1) + s g` loses no
/// digits for small x, where s is 1. Anything may come out for x > 0.
#[inline(always)]
fn exp_parts<S: Simd>(simd: S, x: S::f32s) -> (S::f32s, S::f32s, S::f32s) {
    // exp(x) = 2^n 2^f with n an integer and |f| <= 1/2. Adding 1.5 * 2^23 + 127 rounds to an integer and leaves the
    // exponent bits of 2^n at the low end of the sum.
    let round = simd.splat_f32s(12_582_912.0 + 127.0);
    let t = simd
        .mul_f32s(at_least(simd, simd.splat_f32s(EXP_LIMIT), x), simd.splat_f32s(std::f32::consts::LOG2_E));
    let rounded = simd.add_f32s(t, round);
    let fraction = simd.sub_f32s(t, simd.sub_f32s(rounded, round));
    let scale = simd.transmute_f32s_u32s(
        simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(rounded), simd.splat_u32s(23)),
    );
    (scale, simd.mul_f32s(scale, fraction), polynomial(simd, &EXP2_MINUS_ONE, fraction))
}

/// ELU: x for x > 0, exp(x) - 1 otherwise. Cost: about 16 instructions, no division.
#[inline(always)]
pub(super) fn elu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let (scale, scaled, series) = exp_parts(simd, x);
    let negative = simd.mul_add_e_f32s(scaled, series, simd.sub_f32s(scale, simd.splat_f32s(1.0)));
    simd.select_f32s(simd.greater_than_f32s(x, simd.splat_f32s(0.0)), x, negative)
}

/// Derivative of tanh at x, `4 e / (1 + e)^2` with `e = exp(-2 |x|)`: also where tanh is so close to 1 that nothing is
/// left of `1 - tanh^2`.
#[inline(always)]
pub(super) fn tanh_slope_at<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let (scale, scaled, series) = exp_parts(simd, simd.mul_f32s(simd.splat_f32s(-2.0), simd.abs_f32s(x)));
    let e = simd.mul_add_e_f32s(scaled, series, scale);
    let sum = simd.add_f32s(e, simd.splat_f32s(1.0));
    simd.div_f32s(simd.mul_f32s(simd.splat_f32s(4.0), e), simd.mul_f32s(sum, sum))
}

/// Derivative of tanh from its value y: 1 - y^2.
#[inline(always)]
pub(super) fn tanh_slope<S: Simd>(simd: S, y: S::f32s) -> S::f32s {
    simd.negate_mul_add_e_f32s(y, y, simd.splat_f32s(1.0))
}

/// Derivative of ELU from its value y: 1 for y > 0, y + 1 otherwise.
#[inline(always)]
pub(super) fn elu_slope<S: Simd>(simd: S, y: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    simd.select_f32s(simd.greater_than_f32s(y, simd.splat_f32s(0.0)), one, simd.add_f32s(y, one))
}

#[inline(always)]
fn polynomial<S: Simd, const K: usize>(simd: S, coefficients: &[f32; K], x: S::f32s) -> S::f32s {
    let mut sum = simd.splat_f32s(coefficients[0]);
    for &c in &coefficients[1..] {
        sum = simd.mul_add_e_f32s(sum, x, simd.splat_f32s(c));
    }
    sum
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, Simd, WithSimd};

    use super::*;
    use crate::fused::Instructions;

    /// A function to be applied to every element.
    #[derive(Clone, Copy)]
    enum Function {
        Tanh,
        TanhSum,
        Elu,
        TanhSlope,
    }

    struct Map<'a>(Function, &'a mut [f32]);

    impl WithSimd for Map<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let (vectors, rest) = S::as_mut_simd_f32s(self.1);
            assert!(rest.is_empty());
            for v in vectors {
                *v = match self.0 {
                    Function::Tanh => tanh(simd, *v),
                    Function::TanhSum => tanh_sum(simd, *v, simd.splat_f32s(0.25)),
                    Function::Elu => elu(simd, *v),
                    Function::TanhSlope => tanh_slope_at(simd, *v),
                };
            }
        }
    }

    fn every_arch() -> impl Iterator<Item = Arch> {
        [Instructions::Detect, Instructions::Avx512, Instructions::Avx2, Instructions::Portable]
            .into_iter()
            .filter_map(Instructions::arch)
    }

    /// Arguments that lie dense in all magnitudes of interest, both signs. A multiple of 16.
    fn arguments() -> Vec<f32> {
        let mut x: Vec<f32> = (0..80_000).map(|i| (i as f32 / 80_000.0 * 44.0 - 30.0).exp2()).collect();
        x.extend((0..80_000).map(|i| i as f32 / 80_000.0 * 20.0));
        let negative: Vec<f32> = x.iter().map(|x| -x).collect();
        x.extend(negative);
        x
    }

    fn largest_error(arch: Arch, function: Function, exact: impl Fn(f64) -> f64, relative: bool) -> f64 {
        let x = arguments();
        let mut y = x.clone();
        arch.dispatch(Map(function, &mut y));
        x.iter()
            .zip(&y)
            .map(|(&x, &y)| {
                let exact = exact(f64::from(x));
                let error = (f64::from(y) - exact).abs();
                if relative { error / exact.abs().max(1e-30) } else { error }
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn errors_are_as_stated() {
        for arch in every_arch() {
            let errors = [
                largest_error(arch, Function::Tanh, f64::tanh, true),
                largest_error(arch, Function::TanhSum, |x| x.tanh() + 0.25_f64.tanh(), false),
                largest_error(arch, Function::Elu, |x| if x > 0.0 { x } else { x.exp_m1() }, true),
                largest_error(
                    arch,
                    Function::TanhSlope,
                    |x| if x.abs() < 39.0 { x.cosh().powi(-2) } else { 0.0 },
                    false,
                ),
            ];
            for (error, stated) in errors.into_iter().zip([3.8e-7, 5e-7, 1.6e-7, 1.6e-7]) {
                assert!(error <= stated, "{error:e} > {stated:e} with {arch:?}");
            }
        }
    }

    #[test]
    fn infinities_reach_the_limits_and_a_nan_stays_a_nan() {
        let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 3e38, -3e38, 1e-40];
        let x: Vec<f32> = special.iter().cycle().take(16).copied().collect();
        for arch in every_arch() {
            for (function, limits) in [
                (Function::Tanh, [1.0, -1.0]),
                (Function::Elu, [f32::INFINITY, -1.0]),
                (Function::TanhSlope, [0.0, 0.0]),
            ] {
                let mut y = x.clone();
                arch.dispatch(Map(function, &mut y));
                assert!(y[0].is_nan());
                for (value, limit) in y[1..3].iter().zip(limits) {
                    assert!(
                        value == &limit || (value - limit).abs() < 3e-7,
                        "{arch:?}: {value} is not {limit}"
                    );
                }
                assert!(y[3..].iter().enumerate().all(|(i, v)| v.is_nan() == ((i + 3) % 8 == 0)));
            }
        }
    }
}
