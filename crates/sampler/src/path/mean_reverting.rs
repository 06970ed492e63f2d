use serde::{Deserialize, Serialize};

use super::variance_preserving::log_alpha_at_lambda;
use super::{Path, check_parameter, root_of_increasing};
use crate::error::SamplerError;

/// The shape of θ_t; its size follows from `delta`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "schedule", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum ReversionSchedule {
    /// θ ∝ 1.
    Constant,
    /// θ ∝ 1 − cos²(u_t)/cos²(u_0), u_t = (π/2)(t + s)/(1 + s) (Luo et al. 2023).
    Cosine {
        /// The offset s.
        offset: f64,
    },
}

impl Default for ReversionSchedule {
    /// Cosine with s = 0.008.
    fn default() -> Self {
        Self::Cosine { offset: 0.008 }
    }
}

impl ReversionSchedule {
    /// θ and its integral from 0 to t, up to a common factor.
    fn rate_and_integral(self, t: f64) -> (f64, f64) {
        match self {
            Self::Constant => (1.0, t),
            Self::Cosine { offset } => {
                // cos²u_0 − cos²u_t = sin(d) sin(d + 2u_0) with d = u_t − u_0, and its integral, without differences of
                // near numbers.
                let speed = core::f64::consts::FRAC_PI_2 / (1.0 + offset);
                let (origin, d) = (offset * speed, t * speed);
                let cos = libm::cos(origin);
                let norm = 1.0 / (cos * cos);
                let sin = libm::sin(d);
                let rate = norm * sin * libm::sin(d + 2.0 * origin);
                let integral = libm::cos(2.0 * origin) * angle_minus_sine(2.0 * d)
                    + 2.0 * libm::sin(2.0 * origin) * sin * sin;
                (rate, norm * integral / (4.0 * speed))
            }
        }
    }
}

/// x − sin x.
fn angle_minus_sine(x: f64) -> f64 {
    if x.abs() > 1.0 {
        return x - libm::sin(x);
    }
    // x³/3! − x⁵/5! + …; the tenth term is below 1e-19 of the first.
    let square = x * x;
    let (mut term, mut sum) = (x * square / 6.0, 0.0);
    for k in 1..=10 {
        sum += term;
        term *= -square / f64::from((2 * k + 2) * (2 * k + 3));
    }
    sum
}

/// The deviation y = x − μ of the mean-reverting process `dx = θ_t (μ − x) dt + g_t dW`, `g² = 2 θ σ_∞²`, whose end law is
/// N(μ, σ_∞²) (Luo et al. 2023, "image restoration with mean-reverting SDEs").
///
/// y obeys `dy = −θ y dt + g dW`: an ordinary path with `α_t = exp(−∫_0^t θ)` and `σ_t = σ_∞ √(1 − α_t²)`. θ is scaled so
/// that α at t = 1 is `delta`. [`Recentred`](crate::steer::Recentred) puts a network that sees x into this frame, so
/// every solver serves the mean-reverting process (Li et al. 2025, "MR Sampler").
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeanReverting {
    /// σ_∞, the standard deviation of the end law.
    pub sigma_inf: f64,
    /// α at t = 1.
    #[serde(default = "published_delta")]
    pub delta: f64,
    /// The shape of θ.
    #[serde(default)]
    pub theta: ReversionSchedule,
}

fn published_delta() -> f64 {
    0.01
}

impl MeanReverting {
    /// Name in files.
    pub(super) const NAME: &str = "mean-reverting";

    /// The published process, δ = 0.01 and cosine θ, with this σ_∞ (published: 10/255 to 70/255 of the data's range).
    #[must_use]
    pub fn published(sigma_inf: f64) -> Self {
        Self { sigma_inf, delta: published_delta(), theta: ReversionSchedule::default() }
    }

    /// Checks that σ_∞ > 0, 0 < δ < 1 and the schedule's offset is 0 or above.
    ///
    /// # Errors
    /// [`SamplerError::PathParameter`] naming the first parameter that is not usable.
    pub fn validate(&self) -> Result<(), SamplerError> {
        let sigma_inf = self.sigma_inf.is_finite() && self.sigma_inf > 0.0;
        check_parameter(Self::NAME, "sigma_inf", self.sigma_inf, sigma_inf, "a finite number above 0")?;
        let delta = self.delta > 0.0 && self.delta < 1.0;
        check_parameter(Self::NAME, "delta", self.delta, delta, "a number in (0, 1)")?;
        if let ReversionSchedule::Cosine { offset } = self.theta {
            let good = (0.0..1.0).contains(&offset);
            check_parameter(Self::NAME, "theta.offset", offset, good, "a number in [0, 1)")?;
        }
        Ok(())
    }

    /// The factor on the schedule that makes α at t = 1 equal δ.
    fn scale(&self) -> f64 {
        -libm::log(self.delta) / self.theta.rate_and_integral(1.0).1
    }

    /// θ_t.
    #[must_use]
    pub fn theta(&self, t: f64) -> f64 {
        self.scale() * self.theta.rate_and_integral(t).0
    }
}

impl Path for MeanReverting {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn log_alpha(&self, t: f64) -> f64 {
        -self.scale() * self.theta.rate_and_integral(t).1
    }
    fn sigma(&self, t: f64) -> f64 {
        self.sigma_inf * libm::sqrt(-libm::expm1(2.0 * self.log_alpha(t)))
    }
    /// Times after the end of the path count as t = 1.
    fn inverse_lambda(&self, lambda: f64) -> f64 {
        let target = -log_alpha_at_lambda(lambda + libm::log(self.sigma_inf)) / self.scale();
        root_of_increasing(0.0, 1.0, |t| {
            let (rate, integral) = self.theta.rate_and_integral(t);
            (integral - target, rate)
        })
    }
    fn drift_coefficient(&self, t: f64) -> f64 {
        -self.theta(t)
    }
    fn diffusion(&self, t: f64) -> f64 {
        self.sigma_inf * libm::sqrt(2.0 * self.theta(t))
    }
    fn prior_std(&self) -> f64 {
        self.sigma_inf
    }
}
