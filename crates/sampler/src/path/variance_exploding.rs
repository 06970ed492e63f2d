use super::{Discretised, Path, Transition, linspace, scale_index};

/// Variance exploding: α = 1, σ_t = σ_min (σ_max/σ_min)^t (Song et al. 2021).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VarianceExploding {
    /// σ at t = 0.
    pub sigma_min: f64,
    /// σ at t = 1.
    pub sigma_max: f64,
}

impl VarianceExploding {
    fn log_ratio(&self) -> f64 {
        libm::log(self.sigma_max / self.sigma_min)
    }

    /// s_k of `scales` geometric levels.
    fn level(&self, k: usize, scales: usize) -> f64 {
        libm::exp(linspace(libm::log(self.sigma_min), libm::log(self.sigma_max), scales, k))
    }
}

impl Path for VarianceExploding {
    fn name(&self) -> &'static str {
        "VE"
    }
    fn log_alpha(&self, _t: f64) -> f64 {
        0.0
    }
    fn sigma(&self, t: f64) -> f64 {
        self.sigma_min * libm::exp(t * self.log_ratio())
    }
    fn lambda(&self, t: f64) -> f64 {
        -libm::log(self.sigma_min) - t * self.log_ratio()
    }
    fn inverse_lambda(&self, lambda: f64) -> f64 {
        (-lambda - libm::log(self.sigma_min)) / self.log_ratio()
    }
    fn drift_coefficient(&self, _t: f64) -> f64 {
        0.0
    }
    fn diffusion(&self, t: f64) -> f64 {
        self.sigma(t) * libm::sqrt(2.0 * self.log_ratio())
    }
    fn discretised(&self, t: f64, scales: usize) -> Discretised {
        let k = scale_index(t, scales);
        let upper = self.level(k, scales);
        let lower = if k == 0 { 0.0 } else { self.level(k - 1, scales) };
        // The product form of the difference of squares keeps the digits when neighbouring levels are close.
        Discretised { drift: 0.0, noise: libm::sqrt((upper - lower) * (upper + lower)) }
    }
    fn langevin_alpha(&self, _t: f64, _scales: usize) -> f64 {
        1.0
    }
    fn transition(&self, t: f64, dt: f64) -> Option<Transition> {
        // σ(t)² − σ(t+dt)² = −σ(t)² expm1(2 dt ln(σ_max/σ_min)).
        let variance = -libm::expm1(2.0 * dt * self.log_ratio());
        Some(Transition { mean: 1.0, std: self.sigma(t) * libm::sqrt(variance.max(0.0)) })
    }
    fn prior_std(&self) -> f64 {
        self.sigma_max
    }
}
