//! The weight of the input in the logits, a monotone function of 1 - t/T; see [`crate::heads`].

use equidrift_backend::kernels::PackError;
use equidrift_backend::kernels::matrix::lookup;
use equidrift_backend::weights::{HostTensor, ParameterSet};

use crate::heads::PHI_UNITS;

/// `sigmoid(|w_2| SiLU(|w_1| s + b_1) + b_2)`. Also the form of its gradient.
#[derive(Debug, Clone)]
pub(super) struct Phi {
    w1: Vec<f32>,
    b1: Vec<f32>,
    w2: Vec<f32>,
    b2: f32,
}

/// The gradient of a [`Phi`].
#[derive(Debug, Clone)]
pub(super) struct PhiGradient(Phi);

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + libm::expf(-x))
}

impl Phi {
    pub(super) fn read(parameters: &ParameterSet, name: &str) -> Result<Self, PackError> {
        let layer = |part: &str, shape: &[usize]| lookup(parameters, format!("{name}.layers.{part}"), shape);
        Ok(Self {
            w1: layer("0.weight", &[1, PHI_UNITS])?,
            b1: layer("0.bias", &[PHI_UNITS])?,
            w2: layer("1.weight", &[PHI_UNITS, 1])?,
            b2: layer("1.bias", &[1])?[0],
        })
    }

    pub(super) fn no_gradient(&self) -> PhiGradient {
        let zeros = || vec![0.0; PHI_UNITS];
        PhiGradient(Self { w1: zeros(), b1: zeros(), w2: zeros(), b2: 0.0 })
    }

    /// At s = 1 - t/T.
    pub(super) fn forward(&self, s: f32) -> f32 {
        let mut sum = self.b2;
        for k in 0..PHI_UNITS {
            let before = self.w1[k].abs() * s + self.b1[k];
            sum += self.w2[k].abs() * before * sigmoid(before);
        }
        sigmoid(sum)
    }

    /// Adds what the gradient `back` of the weight means for the parameters.
    pub(super) fn back(&self, s: f32, back: f32, PhiGradient(gradient): &mut PhiGradient) {
        let value = self.forward(s);
        let dsum = back * value * (1.0 - value);
        gradient.b2 += dsum;
        for k in 0..PHI_UNITS {
            let before = self.w1[k].abs() * s + self.b1[k];
            let gate = sigmoid(before);
            gradient.w2[k] += dsum * before * gate * sign(self.w2[k]);
            let dbefore = dsum * self.w2[k].abs() * gate * (1.0 + before * (1.0 - gate));
            gradient.b1[k] += dbefore;
            gradient.w1[k] += dbefore * s * sign(self.w1[k]);
        }
    }
}

/// The slope of the absolute value, 0 at 0.
fn sign(x: f32) -> f32 {
    if x == 0.0 { 0.0 } else { x.signum() }
}

impl PhiGradient {
    pub(super) fn emit(&self, name: &str, into: &mut ParameterSet) {
        let Phi { w1, b1, w2, b2 } = &self.0;
        for (part, shape, values) in [
            ("0.weight", vec![1, PHI_UNITS], w1.clone()),
            ("0.bias", vec![PHI_UNITS], b1.clone()),
            ("1.weight", vec![PHI_UNITS, 1], w2.clone()),
            ("1.bias", vec![1], vec![*b2]),
        ] {
            into.insert(format!("{name}.layers.{part}"), HostTensor::f32(shape, values));
        }
    }
}
