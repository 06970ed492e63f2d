//! Layer norm over the units of each row (Ba, Kiros & Hinton 2016), and its gradient.

use pulp::{NullaryFnOnce, Simd};

use super::PackError;
use super::matrix::{lookup, padded};
use crate::weights::{HostTensor, ParameterSet};

/// Added to the variance.
const EPSILON: f32 = 1e-5;

/// `w (x - mean) / sqrt(variance + 1e-5) + b` with the mean and the biased variance of each row.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// `[padded width]`, zeros in the padding; so is the bias.
    weight: Vec<f32>,
    bias: Vec<f32>,
    /// 1 where a unit is, 0 in the padding.
    units: Vec<f32>,
    width: usize,
}

/// The gradient of a [`LayerNorm`].
#[derive(Debug, Clone)]
pub struct LayerNormGradient {
    weight: Vec<f32>,
    bias: Vec<f32>,
    width: usize,
}

impl LayerNorm {
    /// Reads `{name}.weight` and `{name}.bias`, each `[width]`.
    ///
    /// # Errors
    /// [`PackError`].
    pub fn read(parameters: &ParameterSet, name: &str, width: usize) -> Result<Self, PackError> {
        let with_padding = |mut values: Vec<f32>| {
            values.resize(padded(width), 0.0);
            values
        };
        Ok(Self {
            weight: with_padding(lookup(parameters, format!("{name}.weight"), &[width])?),
            bias: with_padding(lookup(parameters, format!("{name}.bias"), &[width])?),
            units: with_padding(vec![1.0; width]),
            width,
        })
    }

    /// A gradient of zeros.
    #[must_use]
    pub fn no_gradient(&self) -> LayerNormGradient {
        let zeros = vec![0.0; self.weight.len()];
        LayerNormGradient { weight: zeros.clone(), bias: zeros, width: self.width }
    }

    /// The norm of all rows of `x`, `[rows, padded width]`, whose padding is zero; so is that of the result.
    #[inline(always)]
    pub fn apply<S: Simd>(&self, simd: S, x: &[f32], out: &mut [f32]) {
        struct Task<'a, S>(S, &'a LayerNorm, &'a [f32], &'a mut [f32]);
        impl<S: Simd> NullaryFnOnce for Task<'_, S> {
            type Output = ();
            #[inline(always)]
            fn call(self) {
                let Self(simd, norm, x, out) = self;
                let padded = norm.weight.len();
                let (weight, bias) = (vectors::<S>(&norm.weight), vectors::<S>(&norm.bias));
                for (x, out) in x.chunks_exact(padded).zip(out.chunks_exact_mut(padded)) {
                    let x = vectors::<S>(x);
                    let (mean, scale) = norm.moments(simd, x);
                    let (mean, scale) = (simd.splat_f32s(mean), simd.splat_f32s(scale));
                    let (out, _) = S::as_mut_simd_f32s(out);
                    for (((out, x), w), b) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                        let normal = simd.mul_f32s(simd.sub_f32s(*x, mean), scale);
                        *out = simd.mul_add_e_f32s(normal, *w, *b);
                    }
                }
            }
        }
        simd.vectorize(Task(simd, self, x, out));
    }

    /// Mean and reciprocal deviation of a row.
    #[inline(always)]
    fn moments<S: Simd>(&self, simd: S, x: &[S::f32s]) -> (f32, f32) {
        let share = 1.0 / self.width as f32;
        let mut sum = simd.splat_f32s(0.0);
        for x in x {
            sum = simd.add_f32s(sum, *x);
        }
        let mean = simd.reduce_sum_f32s(sum) * share;
        let (middle, mut squares) = (simd.splat_f32s(mean), simd.splat_f32s(0.0));
        for (x, unit) in x.iter().zip(vectors::<S>(&self.units)) {
            let centred = simd.mul_f32s(simd.sub_f32s(*x, middle), *unit);
            squares = simd.mul_add_e_f32s(centred, centred, squares);
        }
        let variance = simd.reduce_sum_f32s(squares) * share;
        (mean, 1.0 / (variance + EPSILON).sqrt())
    }

    /// Adds to `dx` what the gradient `dy` of the results means for the inputs `x`, and to `gradient` what it means for the
    /// parameters.
    #[inline(always)]
    pub fn back<S: Simd>(
        &self,
        simd: S,
        x: &[f32],
        dy: &[f32],
        dx: &mut [f32],
        gradient: &mut LayerNormGradient,
    ) {
        struct Task<'a, S> {
            simd: S,
            norm: &'a LayerNorm,
            x: &'a [f32],
            dy: &'a [f32],
            dx: &'a mut [f32],
            gradient: &'a mut LayerNormGradient,
        }
        impl<S: Simd> NullaryFnOnce for Task<'_, S> {
            type Output = ();
            #[inline(always)]
            fn call(self) {
                let Self { simd, norm, x, dy, dx, gradient } = self;
                let padded = norm.weight.len();
                let share = 1.0 / norm.width as f32;
                let (weight, units) = (vectors::<S>(&norm.weight), vectors::<S>(&norm.units));
                let (dweight, _) = S::as_mut_simd_f32s(&mut gradient.weight);
                let (dbias, _) = S::as_mut_simd_f32s(&mut gradient.bias);
                let rows = x.chunks_exact(padded).zip(dy.chunks_exact(padded));
                for ((x, dy), dx) in rows.zip(dx.chunks_exact_mut(padded)) {
                    let (x, dy) = (vectors::<S>(x), vectors::<S>(dy));
                    let (mean, scale) = norm.moments(simd, x);
                    let (mean, scale) = (simd.splat_f32s(mean), simd.splat_f32s(scale));
                    let mut sum = simd.splat_f32s(0.0);
                    let mut along = sum;
                    for k in 0..x.len() {
                        let normal = simd.mul_f32s(simd.sub_f32s(x[k], mean), scale);
                        dbias[k] = simd.add_f32s(dbias[k], dy[k]);
                        dweight[k] = simd.mul_add_e_f32s(dy[k], normal, dweight[k]);
                        let back = simd.mul_f32s(dy[k], weight[k]);
                        sum = simd.add_f32s(sum, back);
                        along = simd.mul_add_e_f32s(back, normal, along);
                    }
                    let sum = simd.splat_f32s(simd.reduce_sum_f32s(sum) * share);
                    let along = simd.splat_f32s(simd.reduce_sum_f32s(along) * share);
                    let (dx, _) = S::as_mut_simd_f32s(dx);
                    for k in 0..x.len() {
                        let normal = simd.mul_f32s(simd.sub_f32s(x[k], mean), scale);
                        let back = simd.sub_f32s(simd.mul_f32s(dy[k], weight[k]), sum);
                        let back = simd.negate_mul_add_e_f32s(normal, along, back);
                        let scaled = simd.mul_f32s(scale, units[k]);
                        dx[k] = simd.mul_add_e_f32s(back, scaled, dx[k]);
                    }
                }
            }
        }
        simd.vectorize(Task { simd, norm: self, x, dy, dx, gradient });
    }
}

impl LayerNormGradient {
    /// Under the names of the parameters.
    pub fn emit(&self, name: &str, into: &mut ParameterSet) {
        for (part, values) in [("weight", &self.weight), ("bias", &self.bias)] {
            let values = values[..self.width].to_vec();
            into.insert(format!("{name}.{part}"), HostTensor::f32([self.width], values));
        }
    }
}

#[inline(always)]
fn vectors<S: Simd>(values: &[f32]) -> &[S::f32s] {
    S::as_simd_f32s(values).0
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;

    const WIDTH: usize = 20;
    const ROWS: usize = 3;

    fn wave(count: usize, speed: f64) -> Vec<f64> {
        (0..count).map(|k| (speed * k as f64 + 0.3).sin() + 0.2).collect()
    }

    /// The norm of one row, in double precision.
    fn exact(x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
        let scale = 1.0 / (variance + 1e-5).sqrt();
        x.iter().zip(weight).zip(bias).map(|((x, w), b)| w * (x - mean) * scale + b).collect()
    }

    fn with_padding(rows: &[f64]) -> Vec<f32> {
        let row = |row: &[f64]| {
            let mut row: Vec<f32> = row.iter().map(|&x| x as f32).collect();
            row.resize(padded(WIDTH), 0.0);
            row
        };
        rows.chunks(WIDTH).flat_map(row).collect()
    }

    struct Check;

    impl WithSimd for Check {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let (x, dy) = (wave(ROWS * WIDTH, 0.7), wave(ROWS * WIDTH, 1.9));
            let (weight, bias) = (wave(WIDTH, 0.4), wave(WIDTH, 2.3));
            let of =
                |values: &[f64]| HostTensor::f32([WIDTH], values.iter().map(|&value| value as f32).collect());
            let parameters =
                ParameterSet::from([("n.weight".to_owned(), of(&weight)), ("n.bias".to_owned(), of(&bias))]);
            let norm = LayerNorm::read(&parameters, "n", WIDTH).unwrap();
            let mut out = vec![f32::NAN; ROWS * padded(WIDTH)];
            norm.apply(simd, &with_padding(&x), &mut out);
            let expected: Vec<f64> = x.chunks(WIDTH).flat_map(|x| exact(x, &weight, &bias)).collect();
            for (found, expected) in out.iter().zip(with_padding(&expected)) {
                assert!((found - expected).abs() < 3e-6, "{found} is not {expected}");
            }

            let mut gradient = norm.no_gradient();
            let mut dx = vec![0.0; out.len()];
            norm.back(simd, &with_padding(&x), &with_padding(&dy), &mut dx, &mut gradient);
            let loss = |x: &[f64], weight: &[f64], bias: &[f64]| -> f64 {
                let rows = x.chunks(WIDTH).flat_map(|x| exact(x, weight, bias));
                rows.zip(&dy).map(|(y, dy)| y * dy).sum()
            };
            let slope = |change: &dyn Fn(f64) -> f64| (change(1e-5) - change(-1e-5)) / 2e-5;
            for at in 0..ROWS * WIDTH {
                let moved = |by: f64| {
                    let mut x = x.clone();
                    x[at] += by;
                    loss(&x, &weight, &bias)
                };
                let found = f64::from(dx[at / WIDTH * padded(WIDTH) + at % WIDTH]);
                assert!((found - slope(&moved)).abs() < 2e-5, "input {at}");
            }
            for k in 0..WIDTH {
                let moved = |by: f64, which: usize| {
                    let mut parts = [weight.clone(), bias.clone()];
                    parts[which][k] += by;
                    loss(&x, &parts[0], &parts[1])
                };
                for (which, found) in [gradient.weight[k], gradient.bias[k]].into_iter().enumerate() {
                    let expected = slope(&|by| moved(by, which));
                    assert!((f64::from(found) - expected).abs() < 2e-5, "parameter {k}");
                }
            }
            assert!(dx.chunks(padded(WIDTH)).all(|row| row[WIDTH..].iter().all(|x| *x == 0.0)));
        }
    }

    #[test]
    fn norm_and_gradient() {
        for arch in [Arch::new(), Arch::Scalar] {
            arch.dispatch(Check);
        }
    }
}
