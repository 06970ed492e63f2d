use super::{Discretised, Path, Transition, linspace, scale_index};

/// Variance preserving with linear β(t) = β_min + t (β_max − β_min): α² + σ² = 1 (Ho et al. 2020, Song et al. 2021).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VariancePreserving {
    /// β at t = 0.
    pub beta_min: f64,
    /// β at t = 1.
    pub beta_max: f64,
}

/// β(t).
pub(super) fn beta(beta_min: f64, beta_max: f64, t: f64) -> f64 {
    beta_min + t * (beta_max - beta_min)
}

/// ln α = −t² (β_max − β_min)/4 − t β_min/2.
pub(super) fn log_alpha(beta_min: f64, beta_max: f64, t: f64) -> f64 {
    -0.25 * t * t * (beta_max - beta_min) - 0.5 * t * beta_min
}

/// The time at which ln α has this (negative) value.
pub(super) fn inverse_log_alpha(beta_min: f64, beta_max: f64, log_alpha: f64) -> f64 {
    let slope = beta_max - beta_min;
    // The root of slope t²/4 + β_min t/2 + ln α = 0, written without a difference of near numbers.
    -4.0 * log_alpha / (beta_min + libm::sqrt(beta_min * beta_min - 4.0 * slope * log_alpha))
}

/// ln α of any path with α² + σ² = 1 where it has this λ: α² = 1/(1 + e^{−2λ}), so ln α = −½ softplus(−2λ).
pub(super) fn log_alpha_at_lambda(lambda: f64) -> f64 {
    let x = -2.0 * lambda;
    // The first form avoids overflow.
    let softplus = if x > 0.0 { x + libm::log1p(libm::exp(-x)) } else { libm::log1p(libm::exp(x)) };
    -0.5 * softplus
}

/// β_k, the k-th of `scales` even values from β_min/M to β_max/M.
pub(super) fn discrete_beta(beta_min: f64, beta_max: f64, t: f64, scales: usize) -> f64 {
    let m = scales as f64;
    linspace(beta_min / m, beta_max / m, scales, scale_index(t, scales))
}

impl Path for VariancePreserving {
    fn name(&self) -> &'static str {
        "VP"
    }
    fn log_alpha(&self, t: f64) -> f64 {
        log_alpha(self.beta_min, self.beta_max, t)
    }
    fn sigma(&self, t: f64) -> f64 {
        libm::sqrt(-libm::expm1(2.0 * self.log_alpha(t)))
    }
    fn inverse_lambda(&self, lambda: f64) -> f64 {
        inverse_log_alpha(self.beta_min, self.beta_max, log_alpha_at_lambda(lambda))
    }
    fn drift_coefficient(&self, t: f64) -> f64 {
        -0.5 * beta(self.beta_min, self.beta_max, t)
    }
    fn diffusion(&self, t: f64) -> f64 {
        libm::sqrt(beta(self.beta_min, self.beta_max, t))
    }
    fn discretised(&self, t: f64, scales: usize) -> Discretised {
        let beta = discrete_beta(self.beta_min, self.beta_max, t, scales);
        Discretised { drift: libm::expm1(0.5 * libm::log1p(-beta)), noise: libm::sqrt(beta) }
    }
    fn langevin_alpha(&self, t: f64, scales: usize) -> f64 {
        1.0 - discrete_beta(self.beta_min, self.beta_max, t, scales)
    }
    fn transition(&self, t: f64, dt: f64) -> Option<Transition> {
        let c = 0.25 * dt * (2.0 * self.beta_min + (2.0 * t + dt) * (self.beta_max - self.beta_min));
        Some(Transition { mean: libm::exp(-c), std: libm::sqrt((-libm::expm1(2.0 * c)).max(0.0)) })
    }
    fn prior_std(&self) -> f64 {
        1.0
    }
}
