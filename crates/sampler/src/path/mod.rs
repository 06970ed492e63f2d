//! Noising paths `x_t = α_t x_0 + σ_t ε` on the clock t = 0 (data) to t = 1 (noise).
//!
//! A [`Path`] gives the closed-form quantities every sampler and loss needs, in f64, with `expm1`/`log1p` wherever a
//! difference would cancel. [`PathConfig`] is the same as data.
//!
//! | path | α, σ | in files |
//! | --- | --- | --- |
//! | [`VariancePreserving`] | β linear in t, σ² = 1 − α² | `VP` |
//! | [`SubVariancePreserving`] | the same α, σ = 1 − α² | `subVP` |
//! | [`VarianceExploding`] | α = 1, σ geometric in t | `VE` |
//! | [`Cosine`] | α a cosine, σ² = 1 − α² | `cosine` |
//! | [`DiscreteDdpm`] | the chain of DDPM, joined linearly in ln α | `discrete-ddpm` |
//! | [`Edm`] | α = 1, σ a power of t | `edm` |
//! | [`MeanReverting`] | the deviation from a mean that the process reverts to | `mean-reverting` |
//! | [`Tabulated`] | tables, among them the kinetic-optimal path ([`KineticGeometry`]) | `tabulated` |
//! | [`Interpolant`] | between data and noise, or data and samples of another law | `interpolant` |
//! | [`Truncated`] | another path, entered earlier | `truncated` |
//!
//! [`PriorMismatch`] says how far the law a path ends in is from the prior runs start from.
//!
//! The forward SDE is `dx = f_t x dt + g_t dW` with `f = d ln α/dt`, `g² = dσ²/dt − 2 f σ²`. Besides, GDSS and the
//! score-SDE papers use *discretised* quantities that depend on a number of scales M (the number of steps of the run):
//! these are [`Path::discretised`] and [`Path::langevin_alpha`], with the scale index k(t) = trunc(t (M−1)).

mod cosine;
mod discrete_ddpm;
mod edm;
mod interpolant;
mod kinetic_optimal;
mod mean_reverting;
mod monotone_cubic;
mod prior_mismatch;
mod separation;
mod sub_variance_preserving;
mod tabulated;
mod truncated;
mod variance_exploding;
mod variance_preserving;

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::error::SamplerError;
pub use cosine::Cosine;
pub use discrete_ddpm::{BetaSchedule, DiscreteDdpm};
pub use edm::{Edm, EdmPreconditioning};
pub use interpolant::{Gamma, Interpolant, OneSidedFamily, TwoSidedFamily};
pub use kinetic_optimal::KineticGeometry;
pub use mean_reverting::{MeanReverting, ReversionSchedule};
pub use prior_mismatch::{DataMoments, PriorMismatch};
pub use separation::Separation;
pub use sub_variance_preserving::SubVariancePreserving;
pub use tabulated::Tabulated;
pub use truncated::Truncated;
pub use variance_exploding::VarianceExploding;
pub use variance_preserving::VariancePreserving;

/// Coefficients of `x_t = α x_data + base · x_base + σ z` at one time, and their time derivatives.
///
/// `base` is 0 except on two-ended paths, where the process ends in samples of another law instead of noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Marginal {
    /// Coefficient α of the data.
    pub alpha: f64,
    /// Standard deviation σ of the noise.
    pub sigma: f64,
    /// dα/dt.
    pub d_alpha: f64,
    /// dσ/dt.
    pub d_sigma: f64,
    /// Coefficient of the base sample.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub base: f64,
    /// Its time derivative.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub d_base: f64,
}

// Serde hands the field over by reference.
#[expect(clippy::trivially_copy_pass_by_ref)]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl Marginal {
    /// A Gaussian marginal `x_t = α x_data + σ z`.
    #[must_use]
    pub fn gaussian(alpha: f64, sigma: f64, d_alpha: f64, d_sigma: f64) -> Self {
        Self { alpha, sigma, d_alpha, d_sigma, base: 0.0, d_base: 0.0 }
    }

    /// Whether a base sample takes part, so that one prediction does not determine the others.
    #[must_use]
    pub fn is_two_ended(&self) -> bool {
        self.base != 0.0 || self.d_base != 0.0
    }
}

/// One step of the discretised forward chain, `x_{k} = x_{k−1} + drift · x_{k−1} + noise · z`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Discretised {
    /// F as a coefficient: F(x) = drift · x.
    pub drift: f64,
    /// G.
    pub noise: f64,
}

/// An exact transition over a time difference: `x ← mean · x + std · z`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transition {
    /// Coefficient of the state.
    pub mean: f64,
    /// Standard deviation of the noise.
    pub std: f64,
}

/// A Gaussian noising path.
pub trait Path: Debug + Send + Sync {
    /// Its name in files: `VE`, `VP`, `cosine`, ...
    fn name(&self) -> &'static str;
    /// ln α_t.
    fn log_alpha(&self, t: f64) -> f64;
    /// α_t.
    fn alpha(&self, t: f64) -> f64 {
        libm::exp(self.log_alpha(t))
    }
    /// σ_t.
    fn sigma(&self, t: f64) -> f64;
    /// Half the log signal-to-noise ratio λ_t = ln α_t − ln σ_t, strictly decreasing in t.
    fn lambda(&self, t: f64) -> f64 {
        self.log_alpha(t) - libm::log(self.sigma(t))
    }
    /// The time t with λ_t = `lambda`.
    fn inverse_lambda(&self, lambda: f64) -> f64;
    /// f_t, the coefficient of x in the drift of the forward SDE.
    fn drift_coefficient(&self, t: f64) -> f64;
    /// g_t, the diffusion of the forward SDE.
    fn diffusion(&self, t: f64) -> f64;
    /// α, σ and derivatives, from α̇ = f α and σ̇ = (g² + 2 f σ²) / (2σ).
    fn marginal(&self, t: f64) -> Marginal {
        let (alpha, sigma) = (self.alpha(t), self.sigma(t));
        let (f, g) = (self.drift_coefficient(t), self.diffusion(t));
        Marginal::gaussian(alpha, sigma, f * alpha, 0.5 * g * g / sigma + f * sigma)
    }
    /// The latest time at which λ is finite; samplers that work in λ start there.
    fn t_max(&self) -> f64 {
        1.0
    }
    /// F and G of the chain with `scales` scales at the scale of time t. By default the exact transition between the
    /// levels at k/(M−1); paths whose publication discretises otherwise do as published.
    fn discretised(&self, t: f64, scales: usize) -> Discretised {
        let (ratio, sigma, previous) = level_ratio(self, t, scales);
        let carried = ratio * previous;
        Discretised { drift: ratio - 1.0, noise: libm::sqrt((sigma - carried).max(0.0) * (sigma + carried)) }
    }
    /// The factor α_k of the Langevin step size at the scale of time t: 1 − β_k, or 1 for variance exploding. By default
    /// the square of the ratio of neighbouring levels' α.
    fn langevin_alpha(&self, t: f64, scales: usize) -> f64 {
        let (ratio, ..) = level_ratio(self, t, scales);
        ratio * ratio
    }
    /// The transition of the forward SDE from t to t + dt as the S4 solver uses it with dt < 0; `None` where it has none.
    /// Where it would leave the range of the path (t + dt below 0) the variance is cut at zero.
    ///
    /// By default with r = α_{t+dt}/α_t: mean r, variance σ_t² − σ_{t+dt}²/r².
    fn transition(&self, t: f64, dt: f64) -> Option<Transition> {
        if !self.ends_in_noise() {
            return None;
        }
        let to = (t + dt).max(0.0);
        let mean = libm::exp(self.log_alpha(to) - self.log_alpha(t));
        let (now, carried) = (self.sigma(t), self.sigma(to) / mean);
        Some(Transition { mean, std: libm::sqrt((now - carried).max(0.0) * (now + carried)) })
    }
    /// Whether the path ends in noise, with λ strictly decreasing. Where not (two-ended interpolants), a run starts from
    /// samples of the base law, and samplers that work in λ or with the forward SDE do not exist.
    fn ends_in_noise(&self) -> bool {
        true
    }
    /// Standard deviation of the prior the reverse process starts from.
    fn prior_std(&self) -> f64;
}

/// α_k/α_{k−1}, σ_k and σ_{k−1} of the levels t_k = k/(M−1); before the first level stand the data (α = 1, σ = 0).
fn level_ratio<P: Path + ?Sized>(path: &P, t: f64, scales: usize) -> (f64, f64, f64) {
    let k = scale_index(t, scales);
    // The scales belong to the whole clock, whatever part of it the path can be followed on.
    let time = |k: usize| linspace(0.0, 1.0, scales, k).min(path.t_max());
    if k == 0 {
        return (path.alpha(time(0)), path.sigma(time(0)), 0.0);
    }
    let (now, before) = (time(k), time(k - 1));
    (libm::exp(path.log_alpha(now) - path.log_alpha(before)), path.sigma(now), path.sigma(before))
}

/// The latest time at which λ is finite on all of these paths.
#[must_use]
pub fn start_time(paths: &[Box<dyn Path>]) -> f64 {
    paths.iter().map(|path| path.t_max()).fold(1.0, f64::min)
}

/// A path as data; `{"type": "VP", "beta_min": 0.1, "beta_max": 20.0}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
#[non_exhaustive]
pub enum PathConfig {
    /// [`VarianceExploding`]; `beta_min`, `beta_max` are σ_min and σ_max.
    #[serde(rename = "VE")]
    VarianceExploding {
        /// σ at t = 0.
        beta_min: f64,
        /// σ at t = 1.
        beta_max: f64,
    },
    /// [`VariancePreserving`].
    #[serde(rename = "VP")]
    VariancePreserving {
        /// β at t = 0.
        beta_min: f64,
        /// β at t = 1.
        beta_max: f64,
    },
    /// [`SubVariancePreserving`].
    #[serde(rename = "subVP")]
    SubVariancePreserving {
        /// β at t = 0.
        beta_min: f64,
        /// β at t = 1.
        beta_max: f64,
    },
    /// [`Truncated`].
    #[serde(rename = "truncated")]
    Truncated(Truncated),
    /// [`Cosine`].
    #[serde(rename = "cosine")]
    Cosine(Cosine),
    /// [`DiscreteDdpm`].
    #[serde(rename = "discrete-ddpm")]
    DiscreteDdpm(DiscreteDdpm),
    /// [`Edm`].
    #[serde(rename = "edm")]
    Edm(Edm),
    /// [`MeanReverting`].
    #[serde(rename = "mean-reverting")]
    MeanReverting(MeanReverting),
    /// [`Tabulated`].
    #[serde(rename = "tabulated")]
    Tabulated(Tabulated),
    /// [`Interpolant`].
    #[serde(rename = "interpolant")]
    Interpolant(Interpolant),
}

impl PathConfig {
    /// The path. Parameters are taken as they are; see [`PathConfig::validate`].
    #[must_use]
    pub fn build(&self) -> Box<dyn Path> {
        match self {
            &Self::VarianceExploding { beta_min, beta_max } => {
                Box::new(VarianceExploding { sigma_min: beta_min, sigma_max: beta_max })
            }
            &Self::VariancePreserving { beta_min, beta_max } => {
                Box::new(VariancePreserving { beta_min, beta_max })
            }
            &Self::SubVariancePreserving { beta_min, beta_max } => {
                Box::new(SubVariancePreserving { beta_min, beta_max })
            }
            Self::Cosine(path) => Box::new(*path),
            Self::DiscreteDdpm(path) => Box::new(path.clone()),
            Self::Edm(path) => Box::new(*path),
            Self::MeanReverting(path) => Box::new(*path),
            Self::Tabulated(path) => Box::new(path.clone()),
            Self::Interpolant(interpolant) => Box::new(*interpolant),
            Self::Truncated(truncated) => truncated.build(),
        }
    }

    /// Its name in files.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::VarianceExploding { .. } => "VE",
            Self::VariancePreserving { .. } => "VP",
            Self::SubVariancePreserving { .. } => "subVP",
            Self::Cosine(_) => Cosine::NAME,
            Self::DiscreteDdpm(_) => DiscreteDdpm::NAME,
            Self::Edm(_) => Edm::NAME,
            Self::MeanReverting(_) => MeanReverting::NAME,
            Self::Tabulated(_) => Tabulated::NAME,
            Self::Interpolant(_) => "interpolant",
            Self::Truncated(truncated) => truncated.path.name(),
        }
    }

    /// Checks that the parameters are finite and in their ranges.
    ///
    /// # Errors
    /// [`SamplerError::PathParameter`] naming the first that is not.
    pub fn validate(&self) -> Result<(), SamplerError> {
        match self {
            &(Self::VarianceExploding { beta_min, beta_max }
            | Self::VariancePreserving { beta_min, beta_max }
            | Self::SubVariancePreserving { beta_min, beta_max }) => {
                let path = self.name();
                let good = |value: f64, above: f64| value.is_finite() && value > above;
                let expected = "a finite number above 0";
                check_parameter(path, "beta_min", beta_min, good(beta_min, 0.0), expected)?;
                let expected = "a finite number above beta_min";
                check_parameter(path, "beta_max", beta_max, good(beta_max, beta_min), expected)
            }
            Self::Cosine(path) => path.validate(),
            Self::Edm(path) => path.validate(),
            Self::MeanReverting(path) => path.validate(),
            Self::Interpolant(interpolant) => interpolant.validate(),
            Self::Truncated(truncated) => truncated.validate(),
            // Checked when they were made.
            Self::DiscreteDdpm(_) | Self::Tabulated(_) => Ok(()),
        }
    }
}

/// An error naming the parameter unless it is `good`.
pub(crate) fn check_parameter(
    path: &'static str,
    parameter: &'static str,
    value: f64,
    good: bool,
    expected: &'static str,
) -> Result<(), SamplerError> {
    if good { Ok(()) } else { Err(SamplerError::PathParameter { path, parameter, value, expected }) }
}

/// The root in [`low`, `high`] of an increasing function given with its slope: Newton's method, bisection where that would
/// leave the bracket. An end is returned where the function does not change sign.
pub(crate) fn root_of_increasing(low: f64, high: f64, function: impl Fn(f64) -> (f64, f64)) -> f64 {
    if function(low).0 >= 0.0 {
        return low;
    }
    if function(high).0 <= 0.0 {
        return high;
    }
    let (mut low, mut high) = (low, high);
    let mut x = 0.5 * (low + high);
    for _ in 0..200 {
        let (value, slope) = function(x);
        if value > 0.0 {
            high = x;
        } else {
            low = x;
        }
        let step = value / slope;
        // Below the spacing of the numbers nothing moves any more.
        if value == 0.0 || step.abs() <= 0.5 * f64::EPSILON * x.abs() || high <= low {
            return x;
        }
        let newton = x - step;
        x = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
    }
    x
}

/// k(t) = trunc(t (M − 1)), kept in 0..M.
pub(crate) fn scale_index(t: f64, scales: usize) -> usize {
    let last = scales.saturating_sub(1);
    ((t * last as f64).max(0.0) as usize).min(last)
}

/// Element `k` of `count` even points from `start` to `end`, both included.
pub(crate) fn linspace(start: f64, end: f64, count: usize, k: usize) -> f64 {
    if count < 2 || k == 0 {
        return start;
    }
    let last = count - 1;
    // Counted from the nearer end, so that both ends are exact.
    let step = (end - start) / last as f64;
    if 2 * k < count { start + step * k as f64 } else { end - step * (last - k) as f64 }
}
