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
    /// Noise added between the steps of a deterministic solver.
    Churn = 7,
    /// Noise levels of a chain over levels.
    Level = 8,
    /// Branches among which a driver chooses.
    Proposal = 9,
    /// Noise put on a given state to start from.
    Renoise = 10,
    /// Noise put on observed entries.
    Observation = 11,
    /// Choices among particles.
    Selection = 12,
}

/// The distribution of a draw on the free coordinates of one component of one sample: mean 0 and, unless said otherwise,
/// independent with variance 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum NoiseLaw {
    /// Standard normal.
    #[default]
    Gaussian,
    /// ±1 with equal probability, for trace estimators.
    Rademacher,
    /// The kernel of PFGM++ (Xu et al. 2023) in units of σ: with r = σ √D its density on the N free coordinates of a sample
    /// is `p_r(x|y) ∝ (|x − y|² + r²)^{−(N+D)/2}`, so `x = y + σ z √(D/χ²_D)` with z standard normal and one χ²_D for the
    /// component's whole row. Variance per coordinate D/(D − 2), infinite for D ≤ 2; D → ∞ is Gaussian.
    ///
    /// It is the law of the streams that carry data to noise ([`Stream::Prior`], [`Stream::Renoise`]); other streams stay
    /// Gaussian. There is no reverse SDE: use it with deterministic samplers, on paths with α = 1.
    Poisson {
        /// The number D of added dimensions, above 0.
        dimension: u32,
    },
}

/// Block of random words at which the χ² of [`NoiseLaw::Poisson`] begins, counted downwards: no coordinate is so high.
const RADIUS_BLOCK: u32 = u32::MAX;

impl NoiseLaw {
    /// The number of a random word; of [`NoiseLaw::Poisson`] the normal z, before it is scaled with its row.
    #[inline]
    #[must_use]
    pub fn transform(self, bits: u32) -> f64 {
        match self {
            Self::Gaussian | Self::Poisson { .. } => standard_normal(bits),
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
            Self::Gaussian | Self::Poisson { .. } => standard_normals(bits, out),
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
    /// One draw for every row of `support`, row-major `[B, D]`: unit variance per free coordinate (unless the law of the
    /// source says otherwise), both entries of a symmetric pair equal, zero outside the support, without a mean where the
    /// support is centred. `ids[b]` is the id of row b, below 2⁴⁸; `step` tells the draws of one stream apart; `component`
    /// is the index of the component.
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
        let counter = Self::counter(stream, step, component, id);
        let scale = self.row_scale(stream, counter);
        let value = self.word(counter, coordinate);
        if scale == 1.0 { value } else { scale * value }
    }

    /// The number of one coordinate before the row is scaled.
    fn word(&self, mut counter: [u32; 4], coordinate: u64) -> f64 {
        counter[0] = (coordinate / 4) as u32;
        self.law.transform(philox4x32_10(counter, self.key())[(coordinate % 4) as usize])
    }

    /// The common factor of a row: √(D/χ²_D) for the Poisson law where it applies, else 1.
    fn row_scale(&self, stream: Stream, counter: [u32; 4]) -> f64 {
        match (self.law, stream) {
            (NoiseLaw::Poisson { dimension }, Stream::Prior | Stream::Renoise) => {
                let dimension = f64::from(dimension.max(1));
                libm::sqrt(dimension / self.chi_square(dimension, counter))
            }
            _ => 1.0,
        }
    }

    /// A χ² number of `dimension` ≥ 1 degrees of freedom, 2 Gamma(`dimension`/2), by the squeeze-free method of Marsaglia &
    /// Tsang (2000). Attempt k uses the words of block `RADIUS_BLOCK` − k, so the number is a function of the counter.
    fn chi_square(&self, dimension: f64, mut counter: [u32; 4]) -> f64 {
        let uniform = |high: u32, low: u32| {
            let bits = (u64::from(high) << 21) ^ u64::from(low >> 11);
            (bits as f64 + 0.5) / (1u64 << 53) as f64
        };
        let shape = 0.5 * dimension;
        // Below shape 1: Gamma(a) = Gamma(a + 1) U^{1/a}.
        let raised = if shape < 1.0 { shape + 1.0 } else { shape };
        let d = raised - 1.0 / 3.0;
        let c = 1.0 / libm::sqrt(9.0 * d);
        counter[0] = RADIUS_BLOCK;
        loop {
            let words = philox4x32_10(counter, self.key());
            counter[0] -= 1;
            let x = standard_normal(words[0]);
            let root = 1.0 + c * x;
            let v = root * root * root;
            if v > 0.0 && libm::log(uniform(words[1], words[2])) < 0.5 * x * x + d * (1.0 - v + libm::log(v))
            {
                let gamma = d * v;
                if shape >= 1.0 {
                    return 2.0 * gamma;
                }
                let words = philox4x32_10(counter, self.key());
                return 2.0 * gamma * libm::pow(uniform(words[0], words[1]), 1.0 / shape);
            }
        }
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
                count = support.coordinates(row) as u64;
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
                    values[index] = self.word(counter, key);
                });
            }
            let scale = self.row_scale(stream, counter);
            if scale != 1.0 {
                values.iter_mut().for_each(|value| *value *= scale);
            }
            if let Layout::SymmetricPairs { nodes } = support.layout() {
                mirror(values, nodes);
            }
            if support.is_centred() {
                support.project_row(row, values);
            }
        }
        out
    }
}

/// Keyed noise whose law differs from component to component: component c has `laws[c]`, those after the list the Gaussian
/// law. Where all laws are equal the numbers are those of [`KeyedNoise`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentNoise {
    /// The seed.
    pub seed: u64,
    /// The law of each component.
    pub laws: Vec<NoiseLaw>,
}

impl NoiseSource for ComponentNoise {
    fn normals(
        &self,
        stream: Stream,
        step: u32,
        component: usize,
        support: &Support,
        ids: &[u64],
    ) -> Vec<f64> {
        let law = self.laws.get(component).copied().unwrap_or_default();
        KeyedNoise { seed: self.seed, law }.normals(stream, step, component, support, ids)
    }
}

/// The numbers of another source, those that move a state times the temperature: the start, and what is added on the way.
///
/// Where the law of the data is Gaussian and the denoiser exact, samplers without a corrector are affine maps of their noise, so
/// that samples have the covariance of the data times `temperature`²; for other laws it is a heuristic that brings samples
/// closer to where they lie in the mean (below 1) or spreads them (above 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TemperedNoise<S> {
    /// Where the numbers come from.
    pub source: S,
    /// The factor.
    pub temperature: f64,
}

impl<S: NoiseSource> NoiseSource for TemperedNoise<S> {
    fn normals(
        &self,
        stream: Stream,
        step: u32,
        component: usize,
        support: &Support,
        ids: &[u64],
    ) -> Vec<f64> {
        let mut normals = self.source.normals(stream, step, component, support, ids);
        let moves = match stream {
            Stream::Prior
            | Stream::Corrector
            | Stream::Predictor
            | Stream::FirstHalf
            | Stream::SecondHalf
            | Stream::Churn => true,
            // Choices and directions are no part of a sample, and what is noised must fit its time.
            Stream::Probe
            | Stream::Level
            | Stream::Proposal
            | Stream::Renoise
            | Stream::Observation
            | Stream::Selection => false,
        };
        // A factor of 1 changes no bit.
        if moves {
            normals.iter_mut().for_each(|value| *value *= self.temperature);
        }
        normals
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
