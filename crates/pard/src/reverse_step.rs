//! How a step of generation draws classes from the denoiser's prediction.
//!
//! The step from t to s < t of algorithm 3 of Pard is the posterior p(x_s | x_t) of the predicted classes. Two numbers change it;
//! both cost nothing, the denoiser is called once a step as before:
//!
//! - **churn** c: the step goes on to d = s - c (t - s), not below 0, and the classes are noised back from d to s,
//!   `x_s ~ (a_s/a_d) p(x_d | x_t) + (1 - a_s/a_d) m`. Exact predictions keep each element's marginals whatever c; with a
//!   learnt denoiser the classes that were drawn wrongly, or that do not go together because all of a step are drawn
//!   independently, are drawn again by later steps. It is the noise that is added and taken away again of Karras, Aittala, Aila &
//!   Laine, "Elucidating the Design Space of Diffusion-Based Generative Models", NeurIPS 2022, algorithm 2, and has the
//!   place of the corrector of Campbell et al., "A Continuous Time Framework for Discrete Denoising Models", NeurIPS 2022,
//!   section 4.4, without calls of its own.
//! - **temperature** tau: the prediction is softmax(logits / tau), the same or falling along the way ([`Temperature`]). Above 1 the
//!   samples are more diverse, which churn makes them less.
//!
//! The last step (s = 0) draws from the prediction itself.

use std::fmt;

use equidrift_sampler::CategoricalDiffusion;
use serde::{Deserialize, Serialize};

use crate::class_law::{possible, softmax};
use crate::error::PardError;
use crate::temperature::Temperature;

/// Largest churn: steps that long all end at the data and are noised back from there.
const MAX_CHURN: f64 = 1000.0;

/// See the [module](self). The default is the plain posterior.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReverseStep {
    /// By how many of its own lengths a step goes too far before it is noised back, at least 0.
    pub churn: f64,
    /// By what the logits are divided.
    pub temperature: Temperature,
}

impl Default for ReverseStep {
    fn default() -> Self {
        Self { churn: 0.0, temperature: Temperature::constant(1.0) }
    }
}

/// For people.
impl fmt::Display for ReverseStep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "churn {}, temperature {}", self.churn, self.temperature)
    }
}

impl ReverseStep {
    /// Whether it is the plain posterior.
    #[must_use]
    pub fn is_posterior(&self) -> bool {
        *self == Self::default()
    }

    /// Checks both numbers.
    ///
    /// # Errors
    /// [`PardError::Churn`], [`PardError::Temperature`].
    pub fn check(&self) -> Result<(), PardError> {
        if !(0.0..=MAX_CHURN).contains(&self.churn) {
            return Err(PardError::Churn { found: self.churn });
        }
        self.temperature.check()
    }

    /// Where a step from t to s goes before it is noised back.
    fn turning_point(&self, [t, s]: [usize; 2]) -> usize {
        let beyond = self.churn * (t - s) as f64;
        // Negative numbers become 0.
        (s as f64 - beyond).round() as usize
    }

    /// The law of the class at step s < t, of a class that is `noisy` at t, from the denoiser's logits.
    pub(crate) fn law(
        &self,
        diffusion: &CategoricalDiffusion,
        [t, s]: [usize; 2],
        noisy: usize,
        logits: &[f64],
    ) -> Vec<f64> {
        let d = self.turning_point([t, s]);
        let temperature = self.temperature.at(t, diffusion.steps());
        let cooled: Vec<f64> = logits.iter().map(|logit| logit / temperature).collect();
        let mut clean = softmax(&cooled, possible(&cooled, d + 1));
        // The virtual class, which is not possible at the data.
        clean.resize(logits.len(), 0.0);
        let law =
            if d == 0 { clean } else { diffusion.reverse(&diffusion.coefficients(t, d), noisy, &clean) };
        if d == s { law } else { diffusion.noised([d, s], &law) }
    }
}

#[cfg(test)]
mod tests {
    use equidrift_sampler::KeepSchedule;

    use super::*;

    /// Logits of the exact posterior p(x_0 | x_t) of one element with the law `data`.
    fn exact_logits(diffusion: &CategoricalDiffusion, data: &[f64], t: usize, noisy: usize) -> Vec<f64> {
        let joint = |(clean, share): (usize, &f64)| libm::log(share * diffusion.forward(t, clean)[noisy]);
        data.iter().enumerate().map(joint).collect()
    }

    fn marginal(diffusion: &CategoricalDiffusion, data: &[f64], t: usize) -> Vec<f64> {
        diffusion.noised([0, t], data)
    }

    #[test]
    fn exact_predictions_keep_the_marginals_for_every_churn() {
        let data = [0.6, 0.3, 0.1, 0.0];
        let diffusion =
            CategoricalDiffusion::new(KeepSchedule::Linear, 50, vec![0.2, 0.3, 0.5, 0.0]).unwrap();
        for churn in [0.0, 0.5, 1.0, 3.0, 100.0] {
            let step = ReverseStep { churn, ..ReverseStep::default() };
            for [t, s] in [[50, 40], [40, 39], [30, 10], [10, 3], [3, 0], [50, 0]] {
                let before = marginal(&diffusion, &data, t);
                let mut after = [0.0; 4];
                for (noisy, share) in before.iter().enumerate().filter(|(_, share)| **share > 0.0) {
                    let logits = exact_logits(&diffusion, &data, t, noisy);
                    let law = step.law(&diffusion, [t, s], noisy, &logits);
                    assert!((law.iter().sum::<f64>() - 1.0).abs() < 1e-9);
                    after.iter_mut().zip(&law).for_each(|(after, law)| *after += share * law);
                }
                let expected = marginal(&diffusion, &data, s);
                for (found, expected) in after.iter().zip(&expected) {
                    assert!(
                        (found - expected).abs() < 1e-9,
                        "churn {churn}, {t} to {s}: {after:?} {expected:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn churn_draws_more_of_a_class_anew() {
        let diffusion = CategoricalDiffusion::new(KeepSchedule::Linear, 50, vec![0.5, 0.5, 0.0]).unwrap();
        // Sure of class 0, and in class 1: how much of it is left?
        let left = |churn| {
            ReverseStep { churn, ..ReverseStep::default() }.law(&diffusion, [30, 20], 1, &[9.0, -9.0, -9.0])
                [1]
        };
        let laws = [left(0.0), left(0.5), left(2.0)];
        // At churn 2 the step ends at the data, and only the noise of step 20 is left: (1 - a) m.
        assert!(laws[0] > laws[1] && laws[1] > laws[2] && (laws[2] - 0.2).abs() < 1e-6, "{laws:?}");
    }

    #[test]
    fn temperature_flattens_and_numbers_out_of_range_are_refused() {
        let diffusion = CategoricalDiffusion::uniform(KeepSchedule::Linear, 50, 3).unwrap();
        let law = |temperature: &str, t| {
            let temperature = temperature.parse().unwrap();
            let law = ReverseStep { churn: 0.0, temperature }.law(&diffusion, [t, 0], 0, &[2.0, 0.0, 5.0]);
            assert_eq!(law[2], 0.0);
            libm::log(law[0] / law[1])
        };
        for (temperature, t, odds) in [
            ("1", 1, 2.0),
            ("2", 1, 1.0),
            ("2", 50, 1.0),
            ("2:1", 50, 1.0),
            ("2:1", 25, 2.0 / 1.5),
            ("1:2", 50, 2.0),
        ] {
            assert!((law(temperature, t) - odds).abs() < 1e-12, "{temperature} at {t}");
        }
        let check = |churn, temperature| {
            ReverseStep { churn, temperature: Temperature { noise: 1.0, data: temperature } }.check()
        };
        assert!(check(0.0, 1.0).is_ok() && check(3.0, 1.2).is_ok());
        for (churn, temperature) in
            [(-0.1, 1.0), (f64::NAN, 1.0), (2000.0, 1.0), (0.0, 0.0), (0.0, f64::INFINITY), (0.0, f64::NAN)]
        {
            assert!(check(churn, temperature).is_err());
        }
    }
}
