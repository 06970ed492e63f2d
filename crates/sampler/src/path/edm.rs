use serde::{Deserialize, Serialize};

use super::{Path, check_parameter};
use crate::error::SamplerError;

/// The variance-exploding path of Karras et al. (2022): α = 1 and `σ_t = (σ_min^{1/ρ} + t (σ_max^{1/ρ} − σ_min^{1/ρ}))^ρ`
/// (their equation 5 as a clock), so that a grid even in t is their grid.
///
/// `λ = −ln σ`, `f = 0`, `g² = 2 σ σ̇`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edm {
    /// σ at t = 0.
    pub sigma_min: f64,
    /// σ at t = 1.
    pub sigma_max: f64,
    /// The warp ρ.
    pub rho: f64,
}

impl Default for Edm {
    /// σ from 0.002 to 80 and ρ = 7.
    fn default() -> Self {
        Self { sigma_min: 0.002, sigma_max: 80.0, rho: 7.0 }
    }
}

impl Edm {
    /// Name in files.
    pub(super) const NAME: &str = "edm";

    /// Checks that 0 < σ_min < σ_max and ρ > 0.
    ///
    /// # Errors
    /// [`SamplerError::PathParameter`] naming the first parameter that is not usable.
    pub fn validate(&self) -> Result<(), SamplerError> {
        let Self { sigma_min, sigma_max, rho } = *self;
        let good = |value: f64, above: f64| value.is_finite() && value > above;
        let expected = "a finite number above 0";
        check_parameter(Self::NAME, "sigma_min", sigma_min, good(sigma_min, 0.0), expected)?;
        let expected_max = "a finite number above sigma_min";
        check_parameter(Self::NAME, "sigma_max", sigma_max, good(sigma_max, sigma_min), expected_max)?;
        check_parameter(Self::NAME, "rho", rho, good(rho, 0.0), expected)
    }

    /// σ_min^{1/ρ} and σ_max^{1/ρ} − σ_min^{1/ρ}.
    fn roots(&self) -> (f64, f64) {
        let root = |sigma: f64| libm::pow(sigma, 1.0 / self.rho);
        let low = root(self.sigma_min);
        (low, root(self.sigma_max) - low)
    }
}

impl Path for Edm {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn log_alpha(&self, _t: f64) -> f64 {
        0.0
    }
    fn sigma(&self, t: f64) -> f64 {
        let (low, width) = self.roots();
        libm::pow(low + t * width, self.rho)
    }
    fn lambda(&self, t: f64) -> f64 {
        let (low, width) = self.roots();
        -self.rho * libm::log(low + t * width)
    }
    fn inverse_lambda(&self, lambda: f64) -> f64 {
        let (low, width) = self.roots();
        // e^{−λ/ρ} − low without the cancellation near t = 0.
        low * libm::expm1(-lambda / self.rho - libm::log(low)) / width
    }
    fn drift_coefficient(&self, _t: f64) -> f64 {
        0.0
    }
    fn diffusion(&self, t: f64) -> f64 {
        let (low, width) = self.roots();
        self.sigma(t) * libm::sqrt(2.0 * self.rho * width / (low + t * width))
    }
    fn prior_std(&self) -> f64 {
        self.sigma_max
    }
}

/// The constants around the raw network F of Karras et al. (2022, table 1):
/// `x̂₀ = skip · x + output · F(input · x, noise)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdmPreconditioning {
    /// c_skip = σ_d²/(σ² + σ_d²).
    pub skip: f64,
    /// c_out = σ σ_d/√(σ² + σ_d²).
    pub output: f64,
    /// c_in = 1/√(σ² + σ_d²).
    pub input: f64,
    /// c_noise = ¼ ln σ.
    pub noise: f64,
}

impl EdmPreconditioning {
    /// The constants at noise level σ > 0 for data of standard deviation σ_d.
    #[must_use]
    pub fn new(sigma: f64, sigma_data: f64) -> Self {
        let scale = libm::hypot(sigma, sigma_data);
        let share = sigma_data / scale;
        Self {
            skip: share * share,
            output: sigma * share,
            input: 1.0 / scale,
            noise: 0.25 * libm::log(sigma),
        }
    }
}
