//! Noising paths `x_t = α_t x_0 + σ_t ε` on the clock t = 0 (data) to t = 1 (noise).
//!
//! A [`Path`] gives the closed-form quantities every sampler and loss needs, in f64, with `expm1`/`log1p` wherever a
//! difference would cancel. [`PathConfig`] is the same as data.
//!
//! The forward SDE is `dx = f_t x dt + g_t dW` with `f = d ln α/dt`, `g² = dσ²/dt − 2 f σ²`. Besides, GDSS and the
//! score-SDE papers use *discretised* quantities that depend on a number of scales M (the number of steps of the run):
//! these are [`Path::discretised`] and [`Path::langevin_alpha`], with the scale index k(t) = trunc(t (M−1)).

mod sub_variance_preserving;
mod variance_exploding;
mod variance_preserving;

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::error::SamplerError;
pub use sub_variance_preserving::SubVariancePreserving;
pub use variance_exploding::VarianceExploding;
pub use variance_preserving::VariancePreserving;

/// α, σ and their time derivatives.
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
    /// `VE`, `VP` or `subVP`.
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
        Marginal { alpha, sigma, d_alpha: f * alpha, d_sigma: 0.5 * g * g / sigma + f * sigma }
    }
    /// F and G of the chain with `scales` scales at the scale of time t.
    fn discretised(&self, t: f64, scales: usize) -> Discretised;
    /// The factor α_k of the Langevin step size at the scale of time t: 1 − β_k, or 1 for variance exploding.
    fn langevin_alpha(&self, t: f64, scales: usize) -> f64;
    /// The transition of the forward SDE from t to t + dt as the S4 solver uses it with dt < 0; `None` where it has none.
    /// Where it would leave the range of the path (t + dt below 0) the variance is cut at zero.
    fn transition(&self, t: f64, dt: f64) -> Option<Transition>;
    /// Standard deviation of the prior the reverse process starts from.
    fn prior_std(&self) -> f64;
}

/// A path as data; `{"type": "VP", "beta_min": 0.1, "beta_max": 20.0}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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
}

impl PathConfig {
    /// The path. Parameters are taken as they are; see [`PathConfig::validate`].
    #[must_use]
    pub fn build(&self) -> Box<dyn Path> {
        match *self {
            Self::VarianceExploding { beta_min, beta_max } => {
                Box::new(VarianceExploding { sigma_min: beta_min, sigma_max: beta_max })
            }
            Self::VariancePreserving { beta_min, beta_max } => {
                Box::new(VariancePreserving { beta_min, beta_max })
            }
            Self::SubVariancePreserving { beta_min, beta_max } => {
                Box::new(SubVariancePreserving { beta_min, beta_max })
            }
        }
    }

    /// `VE`, `VP` or `subVP`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::VarianceExploding { .. } => "VE",
            Self::VariancePreserving { .. } => "VP",
            Self::SubVariancePreserving { .. } => "subVP",
        }
    }

    /// Checks that the parameters are finite, positive and increasing.
    ///
    /// # Errors
    /// [`SamplerError::PathParameter`] naming the first that is not.
    pub fn validate(&self) -> Result<(), SamplerError> {
        let (Self::VarianceExploding { beta_min, beta_max }
        | Self::VariancePreserving { beta_min, beta_max }
        | Self::SubVariancePreserving { beta_min, beta_max }) = *self;
        let path = self.name();
        if !(beta_min.is_finite() && beta_min > 0.0) {
            let expected = "a finite number above 0";
            return Err(SamplerError::PathParameter {
                path,
                parameter: "beta_min",
                value: beta_min,
                expected,
            });
        }
        if !(beta_max.is_finite() && beta_max > beta_min) {
            let expected = "a finite number above beta_min";
            return Err(SamplerError::PathParameter {
                path,
                parameter: "beta_max",
                value: beta_max,
                expected,
            });
        }
        Ok(())
    }
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
