use burn::tensor::{Tensor, TensorData};

use crate::denoiser::{DenoiseError, Denoiser};
use crate::error::SamplerError;
use crate::path::{Interpolant, Path};
use crate::prediction::PredictionKind;
use crate::state::State;

/// An interpolant's network that learned the velocity without the latent noise, `v = E[∂_t I | x_t]`, and the latent
/// noise η or the score s, as a network of velocity and score: `b = v − γ γ̇ s = v + γ̇ η`.
///
/// The network has two heads per component: first the v of all components, which it calls
/// [`PredictionKind::Velocity`], then [`PredictionKind::Noise`] or [`PredictionKind::Score`]. v is easier to learn than b,
/// for it has no term that grows with γ̇ at the ends.
///
/// Source: Albergo, Boffi & Vanden-Eijnden 2023 (arXiv 2303.08797). Cost: one multiplication and addition.
#[derive(Debug)]
pub struct ComposedVelocity<D> {
    inner: D,
    paths: Vec<Interpolant>,
}

impl<D: Denoiser> ComposedVelocity<D> {
    /// `inner`, trained on these paths, one per component.
    ///
    /// # Errors
    /// If a path is not usable, or the network does not have the heads described.
    pub fn new(inner: D, paths: Vec<Interpolant>) -> Result<Self, SamplerError> {
        for path in &paths {
            path.validate()?;
        }
        let (what, expected) = ("heads of a network of interpolation velocity and noise", 2 * paths.len());
        let kinds = inner.kinds();
        if kinds.len() != expected || expected == 0 {
            return Err(SamplerError::Count { what, expected, found: kinds.len() });
        }
        let (velocities, rest) = kinds.split_at(paths.len());
        let first = velocities.iter().find(|kind| **kind != PredictionKind::Velocity);
        let second =
            rest.iter().find(|kind| !matches!(**kind, PredictionKind::Noise | PredictionKind::Score));
        for (found, want) in [(first, PredictionKind::Velocity), (second, PredictionKind::Noise)] {
            if let Some(&given) = found {
                let component = "of a network of interpolation velocity and noise".to_owned();
                return Err(SamplerError::NoConversion { component, given, want });
            }
        }
        Ok(Self { inner, paths })
    }
}

impl<D: Denoiser> Denoiser for ComposedVelocity<D> {
    fn kinds(&self) -> &[PredictionKind] {
        self.inner.kinds()
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let mut predictions = self.inner.predict(state, times)?;
        let components = self.paths.len();
        if predictions.len() != 2 * components {
            return Err(DenoiseError::Mismatch {
                what: "predictions of an interpolant's network",
                expected: (2 * components).to_string(),
                found: predictions.len().to_string(),
            });
        }
        for (component, path) in self.paths.iter().enumerate() {
            let latent = components + component;
            let factor = |t: f64| match self.inner.kinds()[latent] {
                PredictionKind::Score => -path.noise_rate(t),
                _ => path.marginal(t).d_sigma,
            };
            let factors: Vec<f64> = times.iter().map(|&t| factor(t)).collect();
            let like = &predictions[component];
            let data = TensorData::new(factors, [times.len(), 1]);
            let column = Tensor::<2>::from_data(data, (&like.device(), like.dtype()));
            predictions[component] = like.clone() + predictions[latent].clone() * column;
        }
        Ok(predictions)
    }
}
