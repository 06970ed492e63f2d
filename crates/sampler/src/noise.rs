//! Random numbers as a pure function of what they are for.
//!
//! A [`NoiseSource`] answers "which numbers does sample `id` use in this stream, at this step, for this component?".
//! [`KeyedNoise`] answers by counters, so the numbers of a sample do not depend on the other samples of its batch, on
//! padding, on threads, on the device, or on the order of the questions.

use burn::tensor::{DType, Device, Tensor, TensorData};
use equidrift_backend::normal::{standard_normal, standard_normals};
use equidrift_backend::philox::{philox4x32_10, philox4x32_10_blocks};
use serde::{Deserialize, Serialize};

use crate::support::{Layout, Support, mirror};

/// What a draw is for. Different streams are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
#[repr(u8)]
pub enum Stream {
    /// The starting state.
    Prior = 0,
    /// Langevin corrector.
    Corrector = 1,
    /// Predictor (reverse SDE) step.
    Predictor = 2,
    /// First half of a split step.
    FirstHalf = 3,
    /// Second half of a split step.
    SecondHalf = 4,
    /// Random directions of a trace estimator.
    Probe = 6,
}

/// The distribution of a draw on one free coordinate: mean 0, variance 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NoiseLaw {
    /// Standard normal.
    #[default]
    Gaussian,
    /// ±1 with equal probability, for trace estimators.
    Rademacher,
}

impl NoiseLaw {
    /// The number of a random word.
    #[inline]
    #[must_use]
    pub fn transform(self, bits: u32) -> f64 {
        match self {
            Self::Gaussian => standard_normal(bits),
            Self::Rademacher => {
                if bits >> 31 == 0 {
                    1.0
                } else {
                    -1.0
                }
            }
        }
    }

    fn transform_all(self, bits: &[u32], out: &mut [f64]) {
        match self {
            Self::Gaussian => standard_normals(bits, out),
            Self::Rademacher => {
                for (value, &word) in out.iter_mut().zip(bits) {
                    *value = self.transform(word);
                }
            }
        }
    }
}

/// Where the executor gets its random numbers.
pub trait NoiseSource: Send + Sync {
    /// One draw for every row of `support`, row-major `[B, D]`: unit variance per free coordinate, both entries of a
    /// symmetric pair equal, zero outside the support. `ids[b]` is the id of row b, below 2⁴⁸; `step` tells the draws of
    /// one stream apart; `component` is the index of the component.
    fn normals(
        &self,
        stream: Stream,
        step: u32,
        component: usize,
        support: &Support,
        ids: &[u64],
    ) -> Vec<f64>;
}

/// Counter-based noise: Philox 4x32-10 and the inverse normal distribution function.
///
/// - key = the seed (low word, high word);
/// - counter = (k div 4, step, id bits 0–31, id bits 32–47 | stream << 16), where k is the coordinate's key
///   ([`node_key`](crate::support::node_key), [`pair_key`](crate::support::pair_key)) and stream = `Stream` + 16 ×
///   component;
/// - word k mod 4 of the block, through [`NoiseLaw::transform`].
///
/// Cost: about 8 ns per number on one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyedNoise {
    /// The seed.
    pub seed: u64,
    /// The distribution.
    pub law: NoiseLaw,
}

impl KeyedNoise {
    /// Normal noise of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, law: NoiseLaw::Gaussian }
    }

    fn key(&self) -> [u32; 2] {
        [self.seed as u32, (self.seed >> 32) as u32]
    }

    fn counter(stream: Stream, step: u32, component: usize, id: u64) -> [u32; 4] {
        let stream = (stream as u32) + 16 * component as u32;
        [0, step, id as u32, ((id >> 32) as u32 & 0xffff) | (stream << 16)]
    }

    /// The number of one coordinate; what [`NoiseSource::normals`] gives at its place.
    #[must_use]
    pub fn draw(&self, stream: Stream, step: u32, component: usize, id: u64, coordinate: u64) -> f64 {
        let mut counter = Self::counter(stream, step, component, id);
        counter[0] = (coordinate / 4) as u32;
        self.law.transform(philox4x32_10(counter, self.key())[(coordinate % 4) as usize])
    }

    /// Numbers of the coordinates 0, 1, 2, ..., in order; `words` is room to work in.
    fn fill(&self, counter: [u32; 4], words: &mut Vec<u32>, out: &mut [f64]) {
        // Four independent blocks hide the latency of one another's multiplications.
        const AT_ONCE: usize = 4;
        words.clear();
        let mut block = counter;
        while words.len() < out.len() {
            words.extend_from_slice(philox4x32_10_blocks::<AT_ONCE>(block, self.key()).as_flattened());
            block[0] = block[0].wrapping_add(AT_ONCE as u32);
        }
        self.law.transform_all(words, out);
    }
}

impl NoiseSource for KeyedNoise {
    fn normals(
        &self,
        stream: Stream,
        step: u32,
        component: usize,
        support: &Support,
        ids: &[u64],
    ) -> Vec<f64> {
        let width = support.width();
        let mut out = vec![0.0; support.batch() * width];
        let (mut words, mut dense) = (Vec::new(), Vec::new());
        for (row, (values, &id)) in out.chunks_exact_mut(width.max(1)).zip(ids).enumerate() {
            let counter = Self::counter(stream, step, component, id);
            let (mut count, mut last) = (0u64, 0u64);
            if support.has_labels() || !support.is_full() {
                support.for_each_coordinate(row, |_, key| (count, last) = (count + 1, last.max(key)));
            } else {
                count = support.degrees_of_freedom(row) as u64;
                last = count.saturating_sub(1);
            }
            // Coordinates are nearly always numbered densely; then blocks are drawn in a row and looked up.
            if last < 2 * count + 64 {
                dense.resize(last as usize + 1, 0.0);
                self.fill(counter, &mut words, &mut dense);
                match support.layout() {
                    Layout::Vector { .. } | Layout::Nodes { .. }
                        if support.is_full() && !support.has_labels() =>
                    {
                        values.copy_from_slice(&dense[..width]);
                    }
                    _ => support.for_each_coordinate(row, |index, key| values[index] = dense[key as usize]),
                }
            } else {
                support.for_each_coordinate(row, |index, key| {
                    values[index] = self.draw(stream, step, component, id, key);
                });
            }
            if let Layout::SymmetricPairs { nodes } = support.layout() {
                mirror(values, nodes);
            }
        }
        out
    }
}

/// Host numbers as a tensor `[B, D]`.
#[must_use]
pub fn to_tensor(values: Vec<f64>, support: &Support, device: &Device, dtype: DType) -> Tensor<2> {
    let shape = [support.batch(), support.width()];
    let data = if dtype == DType::F32 {
        TensorData::new(values.into_iter().map(|value| value as f32).collect::<Vec<f32>>(), shape)
    } else {
        TensorData::new(values, shape)
    };
    Tensor::from_data(data, (device, dtype))
}
