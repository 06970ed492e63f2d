//! Categorical diffusion in discrete steps: a class is kept, or drawn anew from a fixed noise distribution.
//!
//! ```text
//! q(x_t | x_0) = a_t [x_0] + (1 - a_t) m                                        t = 0, 1, ..., T
//! ```
//!
//! and for s < t, with a = a_t, v = a_s, mu = (1-v)/(1-a), ma = a(1-v)/(v(1-a)):
//!
//! ```text
//! lambda = (1-v)(1-a/v) m[x_t] / (a + (1-a) m[x_t])
//! q(x_s | x_t, x_0) = (1-lambda) [x_t] + lambda m                               if x_t = x_0
//!                     (1-mu) [x_0] + ma [x_t] + (mu-ma) m                       otherwise
//! g = ma (v-a) / (a + (1-a) m[x_t]) f[x_t]
//! p(x_s | x_t)      = (1-mu) f + (ma+g) [x_t] + (mu-ma-g) m  =  sum over x_0 of f(x_0) q(x_s | x_t, x_0)
//! ```
//!
//! where f is the model's distribution of the clean class. Everything is a closed form of f64 numbers; no tensor is
//! involved.
//!
//! | symbol | here |
//! | --- | --- |
//! | `a_t` | [`CategoricalDiffusion::keep`] |
//! | m | [`CategoricalDiffusion::noise`] |
//! | mu, ma, v - a | [`ReverseCoefficients`] |
//!
//! Zhao, Ding, Yu & Akoglu, "Improving and Unifying Discrete-time and Continuous-time Discrete Denoising Diffusion"
//! (USD3), 2024, <https://arxiv.org/abs/2402.03701>, as used by Pard (NeurIPS 2024); the loss is that of D3PM (Austin
//! et al., NeurIPS 2021, equations 1 and 5).

use serde::{Deserialize, Serialize};

use crate::error::SamplerError;
use crate::path::check_parameter;

/// Nothing is kept or drawn with certainty: `a_t` stays in [`EDGE`, 1 - `EDGE`].
const EDGE: f64 = 1e-10;
/// Below this a probability's logarithm is that of this number.
const TINY: f64 = 1e-30;
/// Name in errors.
const NAME: &str = "categorical";

/// How the share of kept classes falls with tau = t/T.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeepSchedule {
    /// cos((tau + .008)/1.008 pi/2) / cos(.008/1.008 pi/2), not squared.
    #[default]
    Cosine,
    /// 1 - tau.
    Linear,
    /// exp(tau/2 (1 - 10^tau)).
    Exponential,
    /// exp(-.03 tau).
    Constant,
}

impl KeepSchedule {
    /// `a` at tau = t/T in [0, 1], away from 0 and 1 by 1e-10.
    #[must_use]
    pub fn keep(self, tau: f64) -> f64 {
        const OFFSET: f64 = 0.008;
        let angle = |tau: f64| (tau + OFFSET) / (1.0 + OFFSET) * core::f64::consts::FRAC_PI_2;
        let keep = match self {
            Self::Cosine => libm::cos(angle(tau)) / libm::cos(angle(0.0)),
            Self::Linear => 1.0 - tau,
            Self::Exponential => libm::exp(0.5 * tau * (1.0 - libm::exp10(tau))),
            Self::Constant => libm::exp(-0.03 * tau),
        };
        keep.clamp(EDGE, 1.0 - EDGE)
    }
}

/// A diffusion of one class per element, in T steps. See the [module](self).
#[derive(Debug, Clone, PartialEq)]
pub struct CategoricalDiffusion {
    schedule: KeepSchedule,
    steps: usize,
    noise: Vec<f64>,
}

/// What a reverse step from t to s does, apart from the classes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReverseCoefficients {
    /// `a_t`.
    pub keep: f64,
    /// mu, the share of the current state in the new one.
    pub mu: f64,
    /// ma: the part of mu that stays as it is.
    pub stay: f64,
    /// ma (v - a), the numerator of g before f.
    pub gain: f64,
    /// (1-v)(1-a/v), the numerator of lambda before m.
    lambda: f64,
}

impl ReverseCoefficients {
    /// The weights of the point mass at `x_t` and of m in p, beside (1 - mu) f: `(ma + g, mu - ma - g)`, for the probability
    /// `noise` of the class `x_t` under m and `clean` under f.
    #[must_use]
    pub fn second_part(&self, noise: f64, clean: f64) -> (f64, f64) {
        let g = self.gain_per_clean(noise) * clean;
        (self.stay + g, self.mu - self.stay - g)
    }

    /// g / `f[x_t]`.
    #[must_use]
    pub fn gain_per_clean(&self, noise: f64) -> f64 {
        self.gain / (self.keep + (1.0 - self.keep) * noise)
    }
}

impl CategoricalDiffusion {
    /// `steps` T >= 1 and the noise distribution m.
    ///
    /// # Errors
    /// [`SamplerError::PathParameter`] if there is no step, or if `noise` is no distribution to within 1e-6. (It is then
    /// divided by its sum.)
    pub fn new(schedule: KeepSchedule, steps: usize, noise: Vec<f64>) -> Result<Self, SamplerError> {
        check_parameter(NAME, "steps", steps as f64, steps > 0, "at least one step")?;
        let total: f64 = noise.iter().sum();
        for &share in &noise {
            check_parameter(NAME, "noise", share, (0.0..=1.0 + 1e-6).contains(&share), "probabilities")?;
        }
        check_parameter(NAME, "noise", total, (total - 1.0).abs() <= 1e-6, "probabilities of sum 1")?;
        let exact = (total - 1.0).abs() <= 1e-15;
        let noise = if exact { noise } else { noise.into_iter().map(|share| share / total).collect() };
        Ok(Self { schedule, steps, noise })
    }

    /// Every class alike: m = 1/`classes`.
    ///
    /// # Errors
    /// As [`CategoricalDiffusion::new`].
    pub fn uniform(schedule: KeepSchedule, steps: usize, classes: usize) -> Result<Self, SamplerError> {
        Self::new(schedule, steps, vec![1.0 / classes as f64; classes])
    }

    /// The same diffusion in another number of steps.
    ///
    /// # Errors
    /// As [`CategoricalDiffusion::new`].
    pub fn with_steps(&self, steps: usize) -> Result<Self, SamplerError> {
        Self::new(self.schedule, steps, self.noise.clone())
    }

    /// T.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// m.
    #[must_use]
    pub fn noise(&self) -> &[f64] {
        &self.noise
    }

    /// The number of classes.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.noise.len()
    }

    /// `a_t`, the share of classes that are still those of the data.
    #[must_use]
    pub fn keep(&self, t: usize) -> f64 {
        self.schedule.keep(t as f64 / self.steps as f64)
    }

    /// The law of x_s for the law of x_d, d <= s: with probability `a_s / a_d` still that class, else from m.
    #[must_use]
    pub fn noised(&self, [d, s]: [usize; 2], law: &[f64]) -> Vec<f64> {
        let keep = self.keep(s) / self.keep(d);
        self.mixture(|class| keep * law[class], 1.0 - keep)
    }

    /// q(x_t | x_0) for all x_t.
    #[must_use]
    pub fn forward(&self, t: usize, clean: usize) -> Vec<f64> {
        let keep = self.keep(t);
        self.mixture(|class| if class == clean { keep } else { 0.0 }, 1.0 - keep)
    }

    /// The coefficients of a step from t back to s < t.
    #[must_use]
    pub fn coefficients(&self, t: usize, s: usize) -> ReverseCoefficients {
        debug_assert!(s < t, "a reverse step");
        let (a, v) = (self.keep(t), self.keep(s));
        let mu = (1.0 - v) / (1.0 - a);
        let stay = a * (1.0 - v) / (v * (1.0 - a));
        ReverseCoefficients { keep: a, mu, stay, gain: stay * (v - a), lambda: (1.0 - v) * (1.0 - a / v) }
    }

    /// q(x_s | x_t, x_0) for all x_s.
    #[must_use]
    pub fn posterior(&self, step: &ReverseCoefficients, noisy: usize, clean: usize) -> Vec<f64> {
        if noisy == clean {
            let noise = self.noise[noisy];
            let lambda = step.lambda * noise / (step.keep + (1.0 - step.keep) * noise);
            return self.mixture(|class| if class == noisy { 1.0 - lambda } else { 0.0 }, lambda);
        }
        let part = |class| match class {
            class if class == clean => 1.0 - step.mu,
            class if class == noisy => step.stay,
            _ => 0.0,
        };
        self.mixture(part, step.mu - step.stay)
    }

    /// p(x_s | x_t) for all x_s, for the distribution `clean` of x_0.
    #[must_use]
    pub fn reverse(&self, step: &ReverseCoefficients, noisy: usize, clean: &[f64]) -> Vec<f64> {
        let (stay, redrawn) = step.second_part(self.noise[noisy], clean[noisy]);
        let part = |class| (1.0 - step.mu) * clean[class] + if class == noisy { stay } else { 0.0 };
        let mut law = self.mixture(part, redrawn);
        law.iter_mut().for_each(|share| *share = share.max(0.0));
        law
    }

    /// log p(x_s | x_t), from the logarithms of the distribution of x_0, as the loss has it: no term below log 1e-30.
    #[must_use]
    pub fn log_reverse(&self, step: &ReverseCoefficients, noisy: usize, log_clean: &[f64]) -> Vec<f64> {
        let (stay, redrawn) = step.second_part(self.noise[noisy], libm::exp(log_clean[noisy]));
        let mixed = self.mixture(|class| if class == noisy { stay } else { 0.0 }, redrawn);
        let new = libm::log((1.0 - step.mu).max(TINY));
        let terms = log_clean.iter().zip(mixed);
        terms.map(|(clean, mixed)| log_add(clean + new, libm::log(mixed.max(TINY)))).collect()
    }

    /// The variational bound's term of step t at one element, in nats: KL(q(x_{t-1} | x_t, x_0) || p), or -log f(x_0) for
    /// t = 1; [`Self::prior`] is not in it.
    #[must_use]
    pub fn bound_term(&self, t: usize, noisy: usize, clean: usize, log_clean: &[f64]) -> f64 {
        if t == 1 {
            return -log_clean[clean];
        }
        let step = self.coefficients(t, t - 1);
        divergence(&self.posterior(&step, noisy, clean), &self.log_reverse(&step, noisy, log_clean))
    }

    /// KL(q(x_T | x_0) || m), in nats: practically 0.
    #[must_use]
    pub fn prior(&self, clean: usize) -> f64 {
        let log_noise: Vec<f64> = self.noise.iter().map(|share| libm::log(share.max(TINY))).collect();
        divergence(&self.forward(self.steps, clean), &log_noise)
    }

    /// x_t from x_0: a class from m by the number `redraw`, and x_0 kept where `keep` is below a_t; both uniform on [0, 1).
    #[must_use]
    pub fn corrupt(&self, t: usize, clean: usize, redraw: f64, keep: f64) -> usize {
        if keep < self.keep(t) { clean } else { draw_class(&self.noise, redraw) }
    }

    fn mixture(&self, part: impl Fn(usize) -> f64, noise: f64) -> Vec<f64> {
        self.noise.iter().enumerate().map(|(class, m)| part(class) + noise * m).collect()
    }
}

/// The class of a uniform number: the number of classes whose cumulated (unnormalised) probability is at most `u` times the
/// whole, at most the last.
#[must_use]
pub fn draw_class(probabilities: &[f64], u: f64) -> usize {
    let target = u * probabilities.iter().sum::<f64>();
    let mut cumulated = 0.0;
    let passed = probabilities.iter().take_while(|share| {
        cumulated += **share;
        cumulated <= target
    });
    passed.count().min(probabilities.len().saturating_sub(1))
}

/// KL(q || p) from q and log p.
fn divergence(q: &[f64], log_p: &[f64]) -> f64 {
    let terms = q.iter().zip(log_p).filter(|(q, _)| **q > 0.0);
    terms.map(|(q, log_p)| q * (libm::log(*q) - log_p)).sum()
}

fn log_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    if high == f64::NEG_INFINITY { high } else { high + libm::log1p(libm::exp(low - high)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bayes' rule by the definition: q(x_s | x_t, x_0) is proportional to q(x_t | x_s) q(x_s | x_0), where a step from
    /// s to t keeps a class with probability a_t / a_s.
    fn bayes(diffusion: &CategoricalDiffusion, [t, s]: [usize; 2], noisy: usize, clean: usize) -> Vec<f64> {
        let kept = diffusion.keep(t) / diffusion.keep(s);
        let noise = diffusion.noise();
        let step = |from: usize| (1.0 - kept) * noise[noisy] + if from == noisy { kept } else { 0.0 };
        let joint: Vec<f64> = diffusion
            .forward(s, clean)
            .iter()
            .enumerate()
            .map(|(class, share)| share * step(class))
            .collect();
        let total: f64 = joint.iter().sum();
        joint.iter().map(|share| share / total).collect()
    }

    #[test]
    fn the_posterior_is_that_of_bayes_at_all_pairs_of_steps() {
        let marginal = vec![0.5, 0.25, 0.15, 0.07, 0.03];
        for noise in [vec![0.2; 5], marginal] {
            let diffusion = CategoricalDiffusion::new(KeepSchedule::Cosine, 50, noise).unwrap();
            let (mut largest, mut off_sum) = (0.0_f64, 0.0_f64);
            for t in 1..=50 {
                for s in 0..t {
                    let step = diffusion.coefficients(t, s);
                    for noisy in 0..5 {
                        let mut mixed = [0.0; 5];
                        let model = [0.4, 0.05, 0.2, 0.05, 0.3];
                        for (clean, share) in model.into_iter().enumerate() {
                            let law = diffusion.posterior(&step, noisy, clean);
                            let exact = bayes(&diffusion, [t, s], noisy, clean);
                            for (x, y) in law.iter().zip(&exact) {
                                largest = largest.max((x - y).abs());
                            }
                            off_sum = off_sum.max((law.iter().sum::<f64>() - 1.0).abs());
                            (0..5).for_each(|class| mixed[class] += share * law[class]);
                        }
                        let reverse = diffusion.reverse(&step, noisy, &model);
                        for (x, y) in reverse.iter().zip(mixed) {
                            largest = largest.max((x - y).abs());
                        }
                        off_sum = off_sum.max((reverse.iter().sum::<f64>() - 1.0).abs());
                        let log = diffusion.log_reverse(&step, noisy, &model.map(f64::ln));
                        for (x, y) in reverse.iter().zip(log) {
                            largest = largest.max((x - y.exp()).abs());
                        }
                    }
                }
            }
            assert!(largest <= 1e-12 && off_sum <= 1e-12, "{largest:.1e} {off_sum:.1e}");
        }
    }

    #[test]
    fn classes_are_drawn_by_cumulated_shares() {
        let drawn: Vec<_> = [0.0, 0.19, 0.2, 0.69, 0.71, 0.999_999]
            .iter()
            .map(|&u| draw_class(&[0.4, 1.0, 0.0, 0.6], u))
            .collect();
        assert_eq!(drawn, [0, 0, 1, 1, 3, 3]);
        assert_eq!((draw_class(&[1.0], 1.0), draw_class(&[], 0.5)), (0, 0));
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        let new =
            |steps, noise: &[f64]| CategoricalDiffusion::new(KeepSchedule::Linear, steps, noise.to_vec());
        assert!(new(0, &[1.0]).is_err());
        assert!(new(5, &[]).is_err());
        assert!(new(5, &[0.5, 0.6]).is_err());
        assert!(new(5, &[1.5, -0.5]).is_err());
        assert!(new(5, &[f64::NAN, 1.0]).is_err());
        assert_eq!(new(5, &[0.25, 0.75]).unwrap().classes(), 2);
    }
}
