use serde::{Deserialize, Serialize};

use super::{Marginal, Path};
use crate::error::SamplerError;

/// Stochastic interpolants `x_t = I_t(x_data, x_base) + γ(t) z` (Albergo, Boffi & Vanden-Eijnden 2023, arXiv 2303.08797).
///
/// The papers run from the base law (0) to the data (1). Here the clock of the whole crate holds, t = 0 data and
/// t = 1 base, so the velocity `b = E[∂_t I + γ̇ z | x_t]` has the opposite sign of theirs; the score
/// `s = ∇ log p_t = −E[z | x_t]/γ` has the same.
///
/// As JSON: `{"type": "interpolant", "ends": "two-sided", "family": "linear", "gamma": {"brownian": {"a": 1.0}}}`,
/// `{"type": "interpolant", "ends": "one-sided", "family": "linear"}` (flow matching).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ends", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Interpolant {
    /// Between two laws that are both given by samples, in any coupling: `α x_data + β x_base + γ z`.
    TwoSided {
        /// α and β.
        family: TwoSidedFamily,
        /// γ.
        gamma: Gamma,
    },
    /// From a standard normal base: `α x_data + σ z`, a noising path with λ from ∞ to −∞. Samplers start at
    /// [`Path::t_max`] = 0.999, where α is 1e-3 (linear) or 1.6e-3.
    OneSided {
        /// α and σ.
        family: OneSidedFamily,
    },
    /// From a law to itself: `x + γ z`. With a stochastic sampler, a resampling of given data.
    Mirror {
        /// γ.
        gamma: Gamma,
    },
}

/// Coefficients of the two ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TwoSidedFamily {
    /// `(1 − t) x_data + t x_base`.
    #[default]
    Linear,
    /// `√(1 − γ²) (cos(πt/2) x_data + sin(πt/2) x_base)`: keeps unit variance of uncorrelated ends of unit variance.
    /// Needs γ < 1.
    Trigonometric,
    /// `cos²(πt) x_data` before t = 1/2 and `cos²(πt) x_base` after it: pure noise at t = 1/2. Needs γ(1/2) > 0.
    EncodingDecoding,
}

/// Coefficients of data and noise where the base is a standard normal law.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OneSidedFamily {
    /// α = 1 − t, σ = t: the straight path of flow matching and rectified flow.
    #[default]
    Linear,
    /// α = cos(πt/2), σ = sin(πt/2).
    Trigonometric,
}

/// The latent noise γ of an interpolant, zero at both ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Gamma {
    /// γ = 0. There is then no score, and no stochastic sampler.
    None,
    /// γ² = a t(1 − t), the variance of a Brownian bridge.
    Brownian {
        /// The amplitude a.
        a: f64,
    },
    /// γ = sin²(πt).
    #[default]
    SineSquared,
}

/// γ of a Brownian bridge has an infinite slope at both ends. A marginal there gives the slope at this distance from
/// the end, so that plans may evaluate at the ends themselves.
const SLOPE_DISTANCE: f64 = 1e-9;

/// Where samplers on one-sided paths start.
const ONE_SIDED_START: f64 = 0.999;

const HALF_PI: f64 = std::f64::consts::FRAC_PI_2;
const PI: f64 = std::f64::consts::PI;

/// cos(πt/2), exactly 0 at t = 1.
fn quarter_cosine(t: f64) -> f64 {
    if t <= 0.5 { libm::cos(HALF_PI * t) } else { libm::sin(HALF_PI * (1.0 - t)) }
}

/// sin(πt/2), accurate as t → 1.
fn quarter_sine(t: f64) -> f64 {
    quarter_cosine(1.0 - t)
}

/// sin(πt) for t in 0..=1, exactly 0 at both ends.
fn half_sine(t: f64) -> f64 {
    libm::sin(PI * t.min(1.0 - t))
}

impl Gamma {
    /// γ(t)².
    #[must_use]
    pub fn squared(self, t: f64) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Brownian { a } => a * t * (1.0 - t),
            Self::SineSquared => half_sine(t) * half_sine(t) * half_sine(t) * half_sine(t),
        }
    }

    /// γ(t).
    #[must_use]
    pub fn value(self, t: f64) -> f64 {
        libm::sqrt(self.squared(t))
    }

    /// γ γ̇, half the slope of γ². Unlike γ̇ it is finite at both ends.
    #[must_use]
    pub fn rate(self, t: f64) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Brownian { a } => 0.5 * a * (1.0 - 2.0 * t),
            Self::SineSquared => self.value(t) * self.slope(t),
        }
    }

    /// γ̇; at the ends of a Brownian bridge, where it is infinite, its value 1e-9 from the end.
    #[must_use]
    pub fn slope(self, t: f64) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Brownian { .. } => {
                let t = t.clamp(SLOPE_DISTANCE, 1.0 - SLOPE_DISTANCE);
                self.rate(t) / self.value(t)
            }
            Self::SineSquared => PI * libm::sin(2.0 * PI * t),
        }
    }
}

impl TwoSidedFamily {
    fn marginal(self, gamma: Gamma, t: f64) -> Marginal {
        let (alpha, base, d_alpha, d_base) = match self {
            Self::Linear => (1.0 - t, t, -1.0, 1.0),
            Self::Trigonometric => {
                let (cos, sin) = (quarter_cosine(t), quarter_sine(t));
                // √(1 − γ²) and its slope −γγ̇/√(1 − γ²).
                let radius = libm::sqrt(1.0 - gamma.squared(t));
                let slope = -gamma.rate(t) / radius;
                let turned = HALF_PI * radius;
                (radius * cos, radius * sin, slope * cos - turned * sin, slope * sin + turned * cos)
            }
            Self::EncodingDecoding => {
                let value = libm::cos(PI * t) * libm::cos(PI * t);
                let slope = -PI * libm::sin(2.0 * PI * t);
                if t < 0.5 { (value, 0.0, slope, 0.0) } else { (0.0, value, 0.0, slope) }
            }
        };
        Marginal { alpha, sigma: gamma.value(t), d_alpha, d_sigma: gamma.slope(t), base, d_base }
    }
}

impl OneSidedFamily {
    fn marginal(self, t: f64) -> Marginal {
        match self {
            Self::Linear => Marginal::gaussian(1.0 - t, t, -1.0, 1.0),
            Self::Trigonometric => {
                let (cos, sin) = (quarter_cosine(t), quarter_sine(t));
                Marginal::gaussian(cos, sin, -HALF_PI * sin, HALF_PI * cos)
            }
        }
    }
}

impl Interpolant {
    /// σ σ̇, half the slope of the noise variance; finite on the whole of 0..=1.
    #[must_use]
    pub fn noise_rate(&self, t: f64) -> f64 {
        match self {
            Self::TwoSided { gamma, .. } | Self::Mirror { gamma } => gamma.rate(t),
            Self::OneSided { family } => {
                let marginal = family.marginal(t);
                marginal.sigma * marginal.d_sigma
            }
        }
    }

    /// Checks the amplitude of γ and that family and γ go together.
    ///
    /// # Errors
    /// [`SamplerError::PathParameter`].
    pub fn validate(&self) -> Result<(), SamplerError> {
        let reject = |parameter, value, expected| {
            Err(SamplerError::PathParameter { path: "interpolant", parameter, value, expected })
        };
        let (Self::TwoSided { gamma, .. } | Self::Mirror { gamma }) = self else { return Ok(()) };
        if let Gamma::Brownian { a } = *gamma
            && !(a.is_finite() && a > 0.0)
        {
            return reject("a", a, "a finite number above 0");
        }
        let middle = gamma.value(0.5);
        match self {
            Self::TwoSided { family: TwoSidedFamily::Trigonometric, .. } if middle >= 1.0 => reject(
                "gamma(1/2)",
                middle,
                "below 1 for the trigonometric family, whose radius is the root of 1 - gamma^2",
            ),
            Self::TwoSided { family: TwoSidedFamily::EncodingDecoding, .. } if middle == 0.0 => reject(
                "gamma(1/2)",
                middle,
                "above 0 for encoding-decoding: its state is noise alone at t = 1/2",
            ),
            Self::Mirror { .. } if middle == 0.0 => {
                reject("gamma(1/2)", middle, "above 0 for a mirror: nothing would move")
            }
            _ => Ok(()),
        }
    }
}

impl Path for Interpolant {
    fn name(&self) -> &'static str {
        "interpolant"
    }
    fn log_alpha(&self, t: f64) -> f64 {
        match self {
            Self::OneSided { family: OneSidedFamily::Linear } => libm::log1p(-t),
            _ => libm::log(self.alpha(t)),
        }
    }
    fn alpha(&self, t: f64) -> f64 {
        self.marginal(t).alpha
    }
    fn sigma(&self, t: f64) -> f64 {
        self.marginal(t).sigma
    }
    /// As anywhere; monotone only where the base is normal.
    fn lambda(&self, t: f64) -> f64 {
        self.log_alpha(t) - libm::log(self.sigma(t))
    }
    /// NaN where the base is not normal: λ then takes no value just once.
    fn inverse_lambda(&self, lambda: f64) -> f64 {
        match self {
            Self::OneSided { family: OneSidedFamily::Linear } => 1.0 / (1.0 + libm::exp(lambda)),
            Self::OneSided { family: OneSidedFamily::Trigonometric } => {
                libm::atan(libm::exp(-lambda)) / HALF_PI
            }
            Self::TwoSided { .. } | Self::Mirror { .. } => f64::NAN,
        }
    }
    /// α̇/α.
    fn drift_coefficient(&self, t: f64) -> f64 {
        let marginal = self.marginal(t);
        marginal.d_alpha / marginal.alpha
    }
    /// NaN where the base is not normal: no linear SDE has these marginals.
    fn diffusion(&self, t: f64) -> f64 {
        match self {
            // g² = 2 σ (σ̇ − σ α̇/α), in closed form.
            Self::OneSided { family: OneSidedFamily::Linear } => libm::sqrt(2.0 * t / (1.0 - t)),
            Self::OneSided { family: OneSidedFamily::Trigonometric } => {
                libm::sqrt(PI * quarter_sine(t) / quarter_cosine(t))
            }
            Self::TwoSided { .. } | Self::Mirror { .. } => f64::NAN,
        }
    }
    fn marginal(&self, t: f64) -> Marginal {
        match *self {
            Self::TwoSided { family, gamma } => family.marginal(gamma, t),
            Self::OneSided { family } => family.marginal(t),
            Self::Mirror { gamma } => Marginal::gaussian(1.0, gamma.value(t), 0.0, gamma.slope(t)),
        }
    }
    fn ends_in_noise(&self) -> bool {
        matches!(self, Self::OneSided { .. })
    }
    fn t_max(&self) -> f64 {
        if self.ends_in_noise() { ONE_SIDED_START } else { 1.0 }
    }
    /// σ at [`Path::t_max`]; 0 where the base is not noise.
    fn prior_std(&self) -> f64 {
        if self.ends_in_noise() { self.sigma(ONE_SIDED_START) } else { 0.0 }
    }
}
