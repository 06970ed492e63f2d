//! What a network is told of the time.
//!
//! A smooth function of a clock on [0, 1] is a sum of cosines, so the features of a time `t` are
//! `tau_k = cos(k pi t)`, k = 1, 2, ..., and a perceptron that takes them beside its inputs has a bias that is any smooth
//! function of the time. Neighbouring features differ at every time, t = 0 and t = 1 included.

use std::f64::consts::PI;

use burn::tensor::{DType, Device, Tensor, TensorData};

/// `cos(k pi t)` for k = 1 to `out.len()`.
pub fn time_features(t: f64, out: &mut [f64]) {
    for (k, feature) in (1u32..).zip(out) {
        *feature = libm::cos(f64::from(k) * PI * t);
    }
}

/// The features of every graph's time, `[B, T]`.
#[derive(Debug, Clone)]
pub struct TimeFeatures(Tensor<2>);

impl TimeFeatures {
    /// The first `count` features of these times.
    pub fn new(times: &[f64], count: usize, device: &Device, dtype: DType) -> Self {
        let mut values = vec![0.0; times.len() * count];
        for (&t, features) in times.iter().zip(values.chunks_mut(count.max(1))) {
            time_features(t, features);
        }
        let data = TensorData::new(values, [times.len(), count]).convert_dtype(dtype);
        Self(Tensor::from_data(data, (device, dtype)))
    }

    /// The first `count` of them, `[B, count]`.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn first(&self, count: usize) -> Tensor<2> {
        self.0.clone().narrow(1, 0, count)
    }
}
