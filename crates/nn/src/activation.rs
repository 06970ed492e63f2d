//! Activations whose value and gradient are finite for every finite input.
//!
//! The tensor library's own `tanh` is a scalar library call per element on the processor, and its `elu` has a gradient
//! that is not a number for inputs above 88.7 (it differentiates the unused branch `exp(x)`). Both are written here with
//! one exponential whose argument is bounded.

use burn::tensor::{DType, Tensor};

/// Hyperbolic tangent. In single precision `1 - 2 / (exp(2x) + 1)`, with the argument limited to where the result is
/// already +-1: largest absolute error 2e-7. In double precision, which is for checking, the library's function, which is
/// accurate relative to the smallest values too (attention that weight decay has switched off).
pub fn tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if x.dtype() == DType::F64 {
        return x.tanh();
    }
    let exponential = x.clamp(-10.0, 10.0).mul_scalar(2.0).exp();
    exponential.add_scalar(1.0).recip().mul_scalar(-2.0).add_scalar(1.0)
}

/// Exponential linear unit with alpha 1: `x` if `x > 0`, else `exp(x) - 1`.
///
/// Written as `r + exp(x - r) - 1` with `r = max(x, 0)`: the exponent is never positive, and the derivative
/// `r' + exp(x - r) (1 - r')` is the right one on both sides and 1 at zero.
pub fn elu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let positive = burn::tensor::activation::relu(x.clone());
    (x - positive.clone()).exp() + positive.sub_scalar(1.0)
}

/// Sigmoid-weighted linear unit, `x / (1 + exp(-x))` (Elfwing, Uchibe & Doya 2018).
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let gate = burn::tensor::activation::sigmoid(x.clone());
    x * gate
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    const POINTS: [f64; 17] = [
        -1e30, -1000.0, -89.0, -20.0, -9.5, -1.0, -0.3, -1e-6, 0.0, 1e-6, 0.3, 1.0, 9.5, 20.0, 89.0, 1000.0,
        1e30,
    ];

    fn value_and_slope(f: impl Fn(Tensor<1>) -> Tensor<1>, dtype: DType) -> (Vec<f64>, Vec<f64>) {
        let device = Device::flex().autodiff();
        let data = TensorData::new(POINTS.to_vec(), [POINTS.len()]).convert_dtype(dtype);
        let x = Tensor::<1>::from_data(data, (&device, dtype)).require_grad();
        let y = f(x.clone());
        let slope = x.grad(&y.clone().sum().backward()).unwrap();
        (y.try_into_vec_as::<f64>().unwrap(), slope.try_into_vec_as::<f64>().unwrap())
    }

    #[test]
    fn tanh_and_its_slope() {
        for (dtype, tolerance) in [(DType::F32, 3e-7), (DType::F64, 5e-16)] {
            let (y, slope) = value_and_slope(tanh, dtype);
            for (i, x) in POINTS.into_iter().enumerate() {
                assert!((y[i] - x.tanh()).abs() <= tolerance, "tanh({x}) = {} ({dtype:?})", y[i]);
                let exact = 1.0 - x.tanh().powi(2);
                assert!((slope[i] - exact).abs() <= 4.0 * tolerance, "slope {} at {x}", slope[i]);
            }
        }
    }

    #[test]
    fn elu_and_its_slope() {
        for (dtype, tolerance) in [(DType::F32, 2e-7), (DType::F64, 3e-16)] {
            let (y, slope) = value_and_slope(elu, dtype);
            for (i, x) in POINTS.into_iter().enumerate() {
                let exact = if x > 0.0 { x } else { x.exp_m1() };
                assert!((y[i] - exact).abs() <= tolerance * exact.abs().max(1.0), "elu({x}) = {}", y[i]);
                let exact = if x > 0.0 { 1.0 } else { x.exp() };
                assert!((slope[i] - exact).abs() <= 2.0 * tolerance, "slope {} at {x}", slope[i]);
            }
        }
    }
}
