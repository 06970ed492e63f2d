use serde::{Deserialize, Serialize};

use super::variance_preserving::log_alpha_at_lambda;
use super::{Path, check_parameter};
use crate::error::SamplerError;

/// The cosine schedule: `α_t = cos(u_t)/cos(u_0)`, `u_t = (π/2)(t + s)/(1 + s)`, `σ² = 1 − α²` (Nichol & Dhariwal 2021,
/// equation 17; continuous form of Lu et al. 2022).
///
/// α reaches 0 at t = 1, so the path is used up to `t_max` only. `f_t = −(π/2)/(1 + s) · tan u_t`, `g² = −2 f`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cosine {
    /// The offset s, which keeps the first steps from being too small.
    pub offset: f64,
    /// The latest time used, below 1.
    pub t_max: f64,
}

impl Default for Cosine {
    /// s = 0.008 and T = 0.9946, as in the published solvers.
    fn default() -> Self {
        Self { offset: 0.008, t_max: 0.9946 }
    }
}

impl Cosine {
    /// Name in files.
    pub(super) const NAME: &str = "cosine";

    /// Checks that s ≥ 0 and 0 < `t_max` < 1.
    ///
    /// # Errors
    /// [`SamplerError::PathParameter`] naming the first parameter that is not usable.
    pub fn validate(&self) -> Result<(), SamplerError> {
        let offset = self.offset.is_finite() && self.offset >= 0.0;
        check_parameter(Self::NAME, "offset", self.offset, offset, "a finite number, 0 or above")?;
        let t_max = self.t_max > 0.0 && self.t_max < 1.0;
        check_parameter(Self::NAME, "t_max", self.t_max, t_max, "a time above 0 and below 1")
    }

    /// du/dt.
    fn rate(&self) -> f64 {
        core::f64::consts::FRAC_PI_2 / (1.0 + self.offset)
    }

    /// (sin u_0, cos u_0).
    fn origin(&self) -> (f64, f64) {
        let angle = self.offset * self.rate();
        (libm::sin(angle), libm::cos(angle))
    }
}

impl Path for Cosine {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn log_alpha(&self, t: f64) -> f64 {
        let (sin, cos) = self.origin();
        if t > 0.5 {
            // cos u_t = sin(π/2 − u_t), which keeps its digits where α is small.
            return libm::log(libm::sin((1.0 - t) * self.rate())) - libm::log(cos);
        }
        // cos(u_0 + d)/cos(u_0) − 1 = −2 sin²(d/2) − sin(d) tan(u_0), small with d.
        let d = t * self.rate();
        let half = libm::sin(0.5 * d);
        libm::log1p(-2.0 * half * half - libm::sin(d) * sin / cos)
    }
    fn sigma(&self, t: f64) -> f64 {
        libm::sqrt(-libm::expm1(2.0 * self.log_alpha(t)))
    }
    fn inverse_lambda(&self, lambda: f64) -> f64 {
        let log_alpha = log_alpha_at_lambda(lambda);
        let (alpha, variance) = (libm::exp(log_alpha), -libm::expm1(2.0 * log_alpha));
        let (sin_0, cos_0) = self.origin();
        // u_t − u_0 by its sine and cosine; sin u_t − α sin u_0 is written as σ²/(sin u_t + α sin u_0).
        let sin_t = libm::sqrt(variance + alpha * alpha * sin_0 * sin_0);
        let sin = if variance > 0.0 { cos_0 * variance / (sin_t + alpha * sin_0) } else { 0.0 };
        let cos = alpha * cos_0 * cos_0 + sin_t * sin_0;
        libm::atan2(sin, cos) / self.rate()
    }
    fn drift_coefficient(&self, t: f64) -> f64 {
        -self.rate() / libm::tan((1.0 - t) * self.rate())
    }
    fn diffusion(&self, t: f64) -> f64 {
        libm::sqrt(-2.0 * self.drift_coefficient(t))
    }
    fn t_max(&self) -> f64 {
        self.t_max
    }
    fn prior_std(&self) -> f64 {
        1.0
    }
}
