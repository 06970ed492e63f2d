use burn::tensor::Tensor;

use crate::denoiser::{DenoiseError, Denoiser};
use crate::error::SamplerError;
use crate::path::{Path, PathConfig};
use crate::prediction::PredictionKind;
use crate::state::{Component, State, column};

/// A denoiser trained on one path, usable on another: the state is rescaled and the time replaced so that the
/// signal-to-noise ratio is the same.
///
/// For `x = α_r x₀ + σ_r ε` on the sampled path let t be the time of the trained path with λ_t = λ_r, and
/// `c = σ_r/σ_t = α_r/α_t`. Then x/c has exactly the trained path's law at t, so x̂₀ and ε̂ are the same numbers. The wrapper
/// answers in x̂₀ or ε̂ (heads of another kind are converted); every solver makes of it what it wants.
///
/// Use it to sample a flow-matching model on a variance-preserving path, where particles branch more, or to run a
/// variance-exploding checkpoint with a solver made for another path. Cost: none but the rescaling.
///
/// Levels outside the trained range are answered at its nearest end. All components must agree on t.
///
/// Source: the scale and clock change of Kim et al. 2025 (arXiv 2503.19385), written through the shared λ.
#[derive(Debug)]
pub struct ClockConverted<D> {
    inner: D,
    trained: Vec<Box<dyn Path>>,
    sampled: Vec<Box<dyn Path>>,
    kinds: Vec<PredictionKind>,
}

impl<D: Denoiser> ClockConverted<D> {
    /// `inner`, trained on the paths `trained`, for use on the paths `sampled`, one of each per component.
    ///
    /// # Errors
    /// If the counts differ, a path is not usable, or a path does not end in noise.
    pub fn new(inner: D, trained: &[PathConfig], sampled: &[PathConfig]) -> Result<Self, SamplerError> {
        let components = trained.len();
        if components == 0 {
            return Err(SamplerError::NoPaths { planner: "clock conversion" });
        }
        if sampled.len() != components {
            let (what, expected, found) = ("paths to sample on", components, sampled.len());
            return Err(SamplerError::Count { what, expected, found });
        }
        let heads = inner.kinds().len();
        if heads == 0 || !heads.is_multiple_of(components) {
            let (what, expected) = ("kinds of the denoiser, a multiple of the components", components);
            return Err(SamplerError::Count { what, expected, found: heads });
        }
        for (component, path) in trained.iter().chain(sampled).enumerate() {
            path.validate()?;
            if !path.build().ends_in_noise() {
                let (planner, reason) = ("clock conversion", "its signal-to-noise ratio is not one-to-one");
                let (path, component) = (path.name(), component % components);
                return Err(SamplerError::UnsupportedPath { planner, path, component, reason });
            }
        }
        let kinds = inner
            .kinds()
            .iter()
            .map(|kind| match kind {
                PredictionKind::Noise | PredictionKind::Score => PredictionKind::Noise,
                _ => PredictionKind::X0,
            })
            .collect();
        let build = |paths: &[PathConfig]| paths.iter().map(PathConfig::build).collect();
        Ok(Self { inner, trained: build(trained), sampled: build(sampled), kinds })
    }

    /// The trained path's time for time `r` of component `component`, and the scale c.
    fn level(&self, component: usize, r: f64) -> (f64, f64) {
        let (trained, sampled) = (&self.trained[component], &self.sampled[component]);
        let t = trained.inverse_lambda(sampled.lambda(r));
        if t > trained.t_max() {
            // Nearly all noise: its scale is what matters there, and that of the data at the other end.
            return (trained.t_max(), sampled.sigma(r) / trained.sigma(trained.t_max()));
        }
        let t = t.max(0.0);
        (t, libm::exp(sampled.log_alpha(r) - trained.log_alpha(t)))
    }
}

impl<D: Denoiser> Denoiser for ClockConverted<D> {
    fn kinds(&self) -> &[PredictionKind] {
        &self.kinds
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let components = self.trained.len();
        let mismatch =
            |what, expected: String, found: String| DenoiseError::Mismatch { what, expected, found };
        if state.components.len() != components {
            let (expected, found) = (components.to_string(), state.components.len().to_string());
            return Err(mismatch("components of the state", expected, found));
        }
        let mut trained_times = Vec::with_capacity(times.len());
        let mut scales = vec![Vec::with_capacity(times.len()); components];
        for &r in times {
            let (time, scale) = self.level(0, r);
            scales[0].push(1.0 / scale);
            for (component, scales) in scales.iter_mut().enumerate().skip(1) {
                let (other, scale) = self.level(component, r);
                if (other - time).abs() > 1e-9 {
                    let what = "time on the trained paths, the same for all components";
                    return Err(mismatch(what, time.to_string(), other.to_string()));
                }
                scales.push(1.0 / scale);
            }
            trained_times.push(time);
        }
        let scaled = State {
            components: state
                .components
                .iter()
                .zip(&scales)
                .map(|(component, scales)| Component {
                    name: component.name.clone(),
                    values: component.values.clone() * column(scales, &component.values),
                    support: component.support.clone(),
                })
                .collect(),
        };
        let mut predictions = self.inner.predict(&scaled, &trained_times)?;
        for (index, prediction) in predictions.iter_mut().enumerate() {
            let (given, want) = match (self.inner.kinds().get(index), self.kinds.get(index)) {
                (Some(given), Some(want)) if given != want => (*given, *want),
                _ => continue,
            };
            let component = index % components;
            let path = &self.trained[component];
            let conversions: Vec<_> =
                trained_times.iter().map(|&t| given.convert(want, &path.marginal(t))).collect();
            let each = |read: fn(&crate::prediction::Conversion) -> f64| {
                conversions.iter().map(read).collect::<Vec<f64>>()
            };
            let values = &scaled.components[component].values;
            *prediction = prediction.clone() * column(&each(|c| c.prediction), prediction)
                + values.clone() * column(&each(|c| c.state), values);
        }
        Ok(predictions)
    }
}
