use super::variance_preserving::{beta, discrete_beta, inverse_log_alpha, log_alpha};
use super::{Discretised, Path, Transition};

/// Sub-variance preserving: α as for VP, σ = 1 − α² (a standard deviation, not a variance; Song et al. 2021).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SubVariancePreserving {
    /// β at t = 0.
    pub beta_min: f64,
    /// β at t = 1.
    pub beta_max: f64,
}

impl Path for SubVariancePreserving {
    fn name(&self) -> &'static str {
        "subVP"
    }
    fn log_alpha(&self, t: f64) -> f64 {
        log_alpha(self.beta_min, self.beta_max, t)
    }
    fn sigma(&self, t: f64) -> f64 {
        -libm::expm1(2.0 * self.log_alpha(t))
    }
    fn inverse_lambda(&self, lambda: f64) -> f64 {
        // With r = e^λ = α/(1 − α²): α = 2r/(1 + √(1 + 4r²)), and α² = 1 − α/r. Each form where it keeps its digits.
        let log_alpha = if lambda < 0.0 {
            let r = libm::exp(lambda);
            lambda + core::f64::consts::LN_2 - libm::log1p(libm::sqrt(1.0 + 4.0 * r * r))
        } else {
            let inverse = libm::exp(-lambda);
            let alpha = 2.0 / (inverse + libm::sqrt(inverse * inverse + 4.0));
            0.5 * libm::log1p(-alpha * inverse)
        };
        inverse_log_alpha(self.beta_min, self.beta_max, log_alpha)
    }
    fn drift_coefficient(&self, t: f64) -> f64 {
        -0.5 * beta(self.beta_min, self.beta_max, t)
    }
    fn diffusion(&self, t: f64) -> f64 {
        let decay = -libm::expm1(4.0 * self.log_alpha(t));
        libm::sqrt(beta(self.beta_min, self.beta_max, t) * decay)
    }
    fn discretised(&self, t: f64, scales: usize) -> Discretised {
        let m = scales as f64;
        Discretised { drift: self.drift_coefficient(t) / m, noise: self.diffusion(t) * libm::sqrt(1.0 / m) }
    }
    fn langevin_alpha(&self, t: f64, scales: usize) -> f64 {
        1.0 - discrete_beta(self.beta_min, self.beta_max, t, scales)
    }
    fn transition(&self, _t: f64, _dt: f64) -> Option<Transition> {
        None
    }
    fn prior_std(&self) -> f64 {
        1.0
    }
}
