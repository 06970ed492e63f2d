use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::variance_preserving::log_alpha_at_lambda;
use super::{Discretised, Path, check_parameter, linspace, scale_index};
use crate::error::SamplerError;

/// How the β_k of a chain of N steps are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "schedule", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum BetaSchedule {
    /// Even from β_0 to β_{N−1} (Ho et al. 2020).
    Linear {
        /// β_0.
        first: f64,
        /// β_{N−1}.
        last: f64,
    },
    /// `β_k = min(1 − ᾱ((k+1)/N)/ᾱ(k/N), 0.999)` with `ᾱ(t) = cos²((t + 0.008)/1.008 · π/2)` (Nichol & Dhariwal 2021).
    SquaredCosine,
}

impl BetaSchedule {
    /// β_k of a chain of `steps` steps, k = 0 .. `steps` − 1.
    #[must_use]
    pub fn beta(self, steps: usize, k: usize) -> f64 {
        match self {
            Self::Linear { first, last } => linspace(first, last, steps, k.min(steps.saturating_sub(1))),
            Self::SquaredCosine => {
                let angle = |k: usize| {
                    let t = k as f64 / steps.max(1) as f64;
                    (t + 0.008) / 1.008 * core::f64::consts::FRAC_PI_2
                };
                let ratio = libm::cos(angle(k + 1)) / libm::cos(angle(k));
                (1.0 - ratio * ratio).min(0.999)
            }
        }
    }
}

impl Default for BetaSchedule {
    /// β from 1e-4 to 0.02.
    fn default() -> Self {
        Self::Linear { first: 1e-4, last: 0.02 }
    }
}

/// The discrete chain of DDPM on the continuous clock: N steps `x_{k+1} = √(1−β_k) x_k + √β_k z`, `ᾱ_k = ∏_{j≤k} (1−β_j)`
/// at the label `t_k = (k+1)/N`, and `ln α` linear in t between labels (Ho et al. 2020; continuous labels of Lu et al.
/// 2022, appendix). Below the first label `ln α` goes linearly to 0 at t = 0.
///
/// f is therefore constant between labels (at a label the value on its left is taken) and `g² = −2 f`, `σ² = 1 − α²`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Parameters", into = "Parameters")]
pub struct DiscreteDdpm {
    parameters: Parameters,
    /// ln α at k/N for k = 0 ..= N.
    log_alpha: Arc<[f64]>,
}

/// What is written to files.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Parameters {
    steps: usize,
    betas: BetaSchedule,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { steps: 1000, betas: BetaSchedule::default() }
    }
}

impl TryFrom<Parameters> for DiscreteDdpm {
    type Error = SamplerError;
    fn try_from(parameters: Parameters) -> Result<Self, SamplerError> {
        Self::new(parameters.steps, parameters.betas)
    }
}

impl From<DiscreteDdpm> for Parameters {
    fn from(path: DiscreteDdpm) -> Self {
        path.parameters
    }
}

impl DiscreteDdpm {
    /// Name in files.
    pub(super) const NAME: &str = "discrete-ddpm";

    /// The chain of `steps` steps with these β.
    ///
    /// # Errors
    /// [`SamplerError::PathParameter`] if there is no step or a β is not in (0, 1).
    pub fn new(steps: usize, betas: BetaSchedule) -> Result<Self, SamplerError> {
        let value = steps as f64;
        check_parameter(Self::NAME, "steps", value, (1..=1 << 24).contains(&steps), "from 1 to 2^24")?;
        let mut log_alpha = Vec::with_capacity(steps + 1);
        let mut sum = 0.0;
        log_alpha.push(sum);
        for k in 0..steps {
            let beta = betas.beta(steps, k);
            check_parameter(Self::NAME, "betas", beta, beta > 0.0 && beta < 1.0, "numbers in (0, 1)")?;
            sum += 0.5 * libm::log1p(-beta);
            log_alpha.push(sum);
        }
        Ok(Self { parameters: Parameters { steps, betas }, log_alpha: log_alpha.into() })
    }

    /// N.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.parameters.steps
    }

    /// The schedule of the β.
    #[must_use]
    pub fn betas(&self) -> BetaSchedule {
        self.parameters.betas
    }

    /// β_k; k above N − 1 counts as N − 1.
    #[must_use]
    pub fn beta(&self, k: usize) -> f64 {
        self.betas().beta(self.steps(), k.min(self.steps() - 1))
    }

    /// ᾱ_k = ∏_{j≤k} (1 − β_j); k above N − 1 counts as N − 1.
    #[must_use]
    pub fn alpha_bar(&self, k: usize) -> f64 {
        libm::exp(2.0 * self.log_alpha[k.min(self.steps() - 1) + 1])
    }

    /// The continuous label t_k = (k+1)/N.
    #[must_use]
    pub fn label(&self, k: usize) -> f64 {
        (k + 1) as f64 / self.steps() as f64
    }
}

impl Path for DiscreteDdpm {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn log_alpha(&self, t: f64) -> f64 {
        let steps = self.steps();
        let place = (t * steps as f64).clamp(0.0, steps as f64);
        let k = (place as usize).min(steps - 1);
        let (left, right) = (self.log_alpha[k], self.log_alpha[k + 1]);
        left + (place - k as f64) * (right - left)
    }
    fn sigma(&self, t: f64) -> f64 {
        libm::sqrt(-libm::expm1(2.0 * self.log_alpha(t)))
    }
    fn inverse_lambda(&self, lambda: f64) -> f64 {
        let target = log_alpha_at_lambda(lambda);
        // The table decreases; the interval is the one whose right end is the first at or below the target.
        let right = self.log_alpha.partition_point(|&value| value > target).clamp(1, self.steps());
        let (before, after) = (self.log_alpha[right - 1], self.log_alpha[right]);
        let fraction = ((before - target) / (before - after)).min(1.0);
        ((right - 1) as f64 + fraction) / self.steps() as f64
    }
    fn drift_coefficient(&self, t: f64) -> f64 {
        let steps = self.steps();
        let k = (libm::ceil(t * steps as f64) as usize).clamp(1, steps);
        (self.log_alpha[k] - self.log_alpha[k - 1]) * steps as f64
    }
    fn diffusion(&self, t: f64) -> f64 {
        libm::sqrt(-2.0 * self.drift_coefficient(t))
    }
    /// The exact transition between the labels k/M and (k+1)/M; with M = N these are the β_k of the chain.
    fn discretised(&self, t: f64, scales: usize) -> Discretised {
        let log_ratio = self.log_ratio(t, scales);
        Discretised { drift: libm::expm1(log_ratio), noise: libm::sqrt(-libm::expm1(2.0 * log_ratio)) }
    }
    fn langevin_alpha(&self, t: f64, scales: usize) -> f64 {
        libm::exp(2.0 * self.log_ratio(t, scales))
    }
    fn prior_std(&self) -> f64 {
        1.0
    }
}

impl DiscreteDdpm {
    /// ln α((k+1)/M) − ln α(k/M) at the scale k of time t.
    fn log_ratio(&self, t: f64, scales: usize) -> f64 {
        let (k, m) = (scale_index(t, scales), scales.max(1) as f64);
        self.log_alpha((k + 1) as f64 / m) - self.log_alpha(k as f64 / m)
    }
}
