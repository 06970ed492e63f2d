use std::fmt;

use serde::{Deserialize, Serialize};

use super::Path;
use crate::error::SamplerError;
use crate::state::Component;

/// How far the law a path ends in is from the prior a run starts from.
///
/// At the start time T the data of mean m and variance v per free coordinate have become (as a Gaussian of the same
/// moments) `N(α m, α² v + σ²)`, but a run draws `N(0, prior²)`. Samplers that only follow the flow carry the difference
/// into the samples, and likelihoods into their values; Langevin corrections, fresh noise on the way or a better start
/// remove it. It dominates likelihood errors already at α = 0.0066 (VP with β from 0.1 to 20), and on paths that keep
/// much of the data at T, such as VE up to σ = 1, it shifts the samples visibly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PriorMismatch {
    /// The path's name.
    pub path: &'static str,
    /// The start time T.
    pub time: f64,
    /// α_T.
    pub alpha: f64,
    /// Mean m and variance v of the data per free coordinate.
    pub data: DataMoments,
    /// Mean of the marginal at T.
    pub mean: f64,
    /// Standard deviation of the marginal at T.
    pub std: f64,
    /// Standard deviation of the prior.
    pub prior_std: f64,
    /// Kullback–Leibler divergence of the prior from the marginal, KL(marginal ‖ prior), in nats per free coordinate.
    pub divergence: f64,
    /// 2-Wasserstein distance between the two, per free coordinate.
    pub wasserstein: f64,
}

/// Mean and variance of the free coordinates of data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataMoments {
    /// Mean.
    pub mean: f64,
    /// Variance.
    pub variance: f64,
}

impl DataMoments {
    /// From a number of values, their sum and the sum of their squares.
    #[must_use]
    pub fn of_sums(count: f64, sum: f64, squares: f64) -> Self {
        let mean = sum / count.max(1.0);
        Self { mean, variance: (squares / count.max(1.0) - mean * mean).max(0.0) }
    }

    /// Of the data multiplied by `factor`.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self { mean: factor * self.mean, variance: factor * factor * self.variance }
    }

    /// Of one-hot rows of this length, whatever their composition: mean 1/F, variance (1/F)(1 − 1/F).
    #[must_use]
    pub fn of_one_hot(classes: usize) -> Self {
        let mean = 1.0 / classes.max(1) as f64;
        Self { mean, variance: mean * (1.0 - mean) }
    }

    /// Over all free coordinates of all rows of a component; zero if there is none.
    ///
    /// # Errors
    /// [`SamplerError::Values`] if the values cannot be read.
    pub fn of(component: &Component) -> Result<Self, SamplerError> {
        let values = component.to_host()?;
        let support = &component.support;
        let (mut count, mut sum, mut squares) = (0usize, 0.0, 0.0);
        let each = |visit: &mut dyn FnMut(f64)| {
            for (b, row) in values.chunks_exact(support.width().max(1)).enumerate() {
                support.for_each_coordinate(b, |index, _| visit(row[index]));
            }
        };
        each(&mut |value| (count, sum) = (count + 1, sum + value));
        let n = count.max(1) as f64;
        let mean = sum / n;
        each(&mut |value| squares += (value - mean) * (value - mean));
        Ok(Self { mean, variance: squares / n })
    }
}

impl PriorMismatch {
    /// From this divergence on, in nats per free coordinate, samples of a deterministic sampler are counted as biased: it
    /// is a shift of the prior by 4.5 % of its standard deviation.
    pub const THRESHOLD: f64 = 1e-3;

    /// The mismatch of a path for data with these moments; `None` on a path that does not end in noise, where runs start
    /// from given samples.
    #[must_use]
    pub fn new(path: &dyn Path, data: DataMoments) -> Option<Self> {
        if !path.ends_in_noise() {
            return None;
        }
        let time = path.t_max();
        let (alpha, sigma, prior_std) = (path.alpha(time), path.sigma(time), path.prior_std());
        let mean = alpha * data.mean;
        let std = libm::hypot(alpha * libm::sqrt(data.variance), sigma);
        let (shift, ratio) = (mean / prior_std, std / prior_std);
        // ½ (ratio² − 1 − ln ratio²) by the logarithm's own difference, small where the ratio is near 1.
        let excess = (ratio - 1.0) * (ratio + 1.0);
        let divergence = 0.5 * (shift * shift + excess - libm::log1p(excess));
        let wasserstein = libm::hypot(mean, std - prior_std);
        Some(Self { path: path.name(), time, alpha, data, mean, std, prior_std, divergence, wasserstein })
    }

    /// Whether samples of a deterministic sampler will be biased noticeably.
    #[must_use]
    pub fn is_biased(&self) -> bool {
        // Not a number is no reason to be calm.
        self.divergence > Self::THRESHOLD || self.divergence.is_nan()
    }

    /// The error in nats of the log-density of one Gaussian coordinate at data value `x` when the flow ends in the prior
    /// instead of the marginal: `ln N(x_T; α m, s²) − ln N(x_T; 0, prior²)` with `x_T = α m + (x − m) s/√v`.
    #[must_use]
    pub fn log_density_error(&self, x: f64) -> f64 {
        let score = (x - self.data.mean) / libm::sqrt(self.data.variance);
        let end = (self.mean + score * self.std) / self.prior_std;
        0.5 * (end * end - score * score) - libm::log(self.std / self.prior_std)
    }
}

impl fmt::Display for PriorMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, time, mean, std, prior_std, divergence, wasserstein, .. } = self;
        write!(
            f,
            "{path} path: at t = {time} the data have mean {mean:.4} and deviation {std:.4} per coordinate, the prior 0 and \
             {prior_std:.4}: {divergence:.1e} nats, distance {wasserstein:.1e}; "
        )?;
        f.write_str(if self.is_biased() {
            "deterministic samplers will be biased: use one that adds noise or corrects, or a path that ends in more noise"
        } else {
            "too little to bias deterministic samplers"
        })
    }
}
