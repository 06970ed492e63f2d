//! Weights of the noise levels in a denoising loss.
//!
//! A network that predicts `p` (noise, data, v, velocity) is trained on `w(t) |p_theta - p|^2`. All predictions are linear in
//! one another at one time, so a loss on one is a loss on any other with another weight: with the signal-to-noise ratio
//! `snr = alpha^2/sigma^2` an error `e` of the data is
//!
//! ```text
//! noise     |e|^2 snr                    score     (trained on sigma s + z) as noise
//! v         |e|^2 (snr + 1)              where alpha^2 + sigma^2 = 1
//! velocity  |e|^2 (d_alpha - d_sigma alpha/sigma)^2
//! ```
//!
//! [`LossWeighting::Uniform`] takes the prediction's own square; [`LossWeighting::MinSnr`] weights the error of the data by
//! `min(snr, gamma)` whatever is predicted.
//!
//! Reference: Hang et al., "Efficient diffusion training via min-SNR weighting strategy", 2023, section 3.4; Salimans and Ho,
//! "Progressive distillation for fast sampling of diffusion models", 2022, appendix D.

use equidrift_sampler::PredictionKind;
use equidrift_sampler::path::Marginal;
use serde::{Deserialize, Serialize};

/// How noise levels are weighted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum LossWeighting {
    /// The square of the prediction's own error.
    #[default]
    Uniform,
    /// `min(snr, gamma)` times the square of the error of the data.
    MinSnr {
        /// Largest weight; the publication's is 5.
        gamma: f64,
    },
}

impl LossWeighting {
    /// Whether its numbers are in their range.
    #[must_use]
    pub fn is_valid(self) -> bool {
        match self {
            Self::Uniform => true,
            Self::MinSnr { gamma } => gamma > 0.0 && gamma.is_finite(),
        }
    }

    /// The weight of the squared error of a prediction of this kind where the path has these coefficients.
    #[must_use]
    pub fn weight(self, kind: PredictionKind, at: &Marginal) -> f64 {
        match self {
            Self::Uniform => 1.0,
            Self::MinSnr { gamma } => {
                let snr = (at.alpha / at.sigma).powi(2);
                // A prediction's error is `slope` times that of the data. The score is trained as noise.
                let slope = match kind {
                    PredictionKind::X0 => 1.0,
                    PredictionKind::Noise | PredictionKind::Score => snr.sqrt(),
                    kind => 1.0 / kind.convert(PredictionKind::X0, at).prediction,
                };
                snr.min(gamma) / (slope * slope)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn min_snr_weights_are_those_of_the_publication() {
        let weighting = LossWeighting::MinSnr { gamma: 5.0 };
        for sigma in [0.05f64, 0.3, 0.7, 0.95] {
            let alpha = (1.0 - sigma * sigma).sqrt();
            let snr = (alpha / sigma).powi(2);
            let (d_alpha, d_sigma) = (-0.7, 0.7 * alpha / sigma);
            let at = Marginal::gaussian(alpha, sigma, d_alpha, d_sigma);
            let close = |kind, expected: f64| {
                let weight = weighting.weight(kind, &at);
                assert!((weight / expected - 1.0).abs() < 1e-12, "{kind:?} {weight} {expected}");
            };
            let most = snr.min(5.0);
            close(PredictionKind::X0, most);
            close(PredictionKind::Noise, most / snr);
            close(PredictionKind::Score, most / snr);
            close(PredictionKind::V, most / (snr + 1.0));
            close(PredictionKind::Velocity, most / (d_alpha - d_sigma * alpha / sigma).powi(2));
        }
        assert_eq!(
            LossWeighting::Uniform.weight(PredictionKind::V, &Marginal::gaussian(0.6, 0.8, 0.0, 0.0)),
            1.0
        );
    }
}
