//! Self-guidance: an unconditional model conditioned at sampling time through its own denoiser (TSDiff; Kollovieh, Ansari,
//! Bohlke-Schneider, Zschiegner, Wang and Wang, "Predict, refine, synthesize", NeurIPS 2023, section 3.1).

use burn::tensor::Tensor;

use super::held_rows::held_rows;
use crate::denoiser::{DenoiseError, Denoiser};
use crate::error::SamplerError;
use crate::path::{Path, PathConfig};
use crate::prediction::PredictionKind;
use crate::state::{Component, State, column};
use crate::vector_jacobian::VectorJacobian;

/// How far a predicted sample is from what was observed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ObservationEnergy {
    /// `Σ (y − x̂₀)²` over observed entries (equation 6).
    Squared,
    /// The quantile or pinball loss `Σ max(κ (y − x̂₀), (κ − 1)(y − x̂₀))` (equation 7): sample j of an ensemble of `ensemble` is
    /// guided at the level κ = (j mod ensemble + 1) / (ensemble + 1), so that the ensemble keeps its spread.
    Quantile {
        /// Samples of an ensemble; those of one ensemble follow one another.
        ensemble: usize,
    },
}

/// A denoiser that pulls its samples to observed entries: the score gets `−scale ∇E(x̂₀(x_t))`, thus
///
/// ```text
/// ε̂ ← ε̂ + scale σ_t ∇_x E        ∇_x E = (∂x̂₀/∂x)ᵀ ∂E/∂x̂₀
/// ```
///
/// (the paper's rule for DDIM; σ_t = √(1 − ᾱ)), whatever the solver. It answers with noise. Observed entries are approached, not
/// met; guidance that is too strong narrows and distorts the samples. Cost of a call: an evaluation and a vector–Jacobian
/// product.
#[derive(Debug)]
pub struct SelfGuided<D> {
    inner: D,
    observed: State,
    mask: State,
    scale: f64,
    energy: ObservationEnergy,
    paths: Vec<Box<dyn Path>>,
    kinds: Vec<PredictionKind>,
}

impl<D: VectorJacobian> SelfGuided<D> {
    /// Wraps a denoiser with one kind of prediction for each component. `observed` holds y in the rows of the batch, `mask` (of the
    /// same components) 1 where an entry was observed and else 0; entries outside the supports are never observed.
    ///
    /// # Errors
    /// If the two are not of one shape, `scale` is negative or no number, an ensemble is empty, or there is not one
    /// path and one prediction for each component.
    pub fn new(
        inner: D,
        observed: State,
        mask: &State,
        scale: f64,
        energy: ObservationEnergy,
        paths: &[PathConfig],
    ) -> Result<Self, SamplerError> {
        let count = observed.components.len();
        for (what, found) in [
            ("components of the mask", mask.components.len()),
            ("paths", paths.len()),
            ("predictions", inner.kinds().len()),
        ] {
            if found != count {
                return Err(SamplerError::Count { what, expected: count, found });
            }
        }
        for (observed, mask) in observed.components.iter().zip(&mask.components) {
            let (expected, found) = (observed.values.dims(), mask.values.dims());
            if expected != found {
                return Err(SamplerError::Shape { component: mask.name.clone(), expected, found });
            }
        }
        if !(scale.is_finite() && scale >= 0.0) {
            return Err(option("scale", scale, "a finite number from 0 on"));
        }
        if energy == (ObservationEnergy::Quantile { ensemble: 0 }) {
            return Err(option("ensemble", 0.0, "at least one sample"));
        }
        for path in paths {
            path.validate()?;
        }
        // Outside the support nothing was observed.
        let mut values = mask.to_host()?;
        for (component, values) in observed.components.iter().zip(&mut values) {
            let real = component.support.element_mask();
            values
                .iter_mut()
                .zip(real)
                .for_each(|(seen, real)| *seen = f64::from(u8::from(*seen * real != 0.0)));
        }
        let mask = mask.with_values(values)?;
        let kinds = vec![PredictionKind::Noise; count];
        let paths = paths.iter().map(PathConfig::build).collect();
        Ok(Self { inner, observed, mask, scale, energy, paths, kinds })
    }

    /// ∂E/∂x̂₀.
    fn slope(&self, index: usize, clean: Tensor<2>, like: &Component) -> Option<Tensor<2>> {
        let y = held_rows(&self.observed.components[index], like)?;
        let mask = held_rows(&self.mask.components[index], like)?;
        Some(match self.energy {
            ObservationEnergy::Squared => (clean - y) * mask * 2.0,
            ObservationEnergy::Quantile { ensemble } => {
                let level = |row| (like.support.origin(row) % ensemble + 1) as f64 / (ensemble + 1) as f64;
                let levels: Vec<f64> = (0..like.support.batch()).map(level).collect();
                // −κ where the prediction is too low, 1 − κ where it is too high, 0 where it is right.
                let above = (clean.clone() - y.clone()).clamp_min(0.0).sign();
                let below = (y - clean).clamp_min(0.0).sign();
                let kappa = column(&levels, &like.values);
                (above * (kappa.clone() * -1.0 + 1.0) - below * kappa) * mask
            }
        })
    }
}

impl<D: VectorJacobian> Denoiser for SelfGuided<D> {
    fn kinds(&self) -> &[PredictionKind] {
        &self.kinds
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let count = self.kinds.len();
        if state.components.len() != count {
            let what = "components of a guided state";
            let (expected, found) = (count.to_string(), state.components.len().to_string());
            return Err(DenoiseError::Mismatch { what, expected, found });
        }
        let predictions = self.inner.predict(state, times)?;
        // Of x̂₀ and of the noise: coefficients of the state and of the prediction, each `[B, 1]`.
        let converted = |to: PredictionKind, index: usize| {
            let (kind, values) = (self.inner.kinds()[index], &state.components[index].values);
            let (of_state, of_prediction): (Vec<f64>, Vec<f64>) = times
                .iter()
                .map(|&time| kind.convert(to, &self.paths[index].marginal(time)))
                .map(|row| (row.state, row.prediction))
                .unzip();
            (column(&of_state, values), column(&of_prediction, values))
        };
        let mut slopes = Vec::with_capacity(count);
        let mut cotangents = Vec::with_capacity(count);
        for (index, (component, prediction)) in state.components.iter().zip(&predictions).enumerate() {
            let (of_state, of_prediction) = converted(PredictionKind::X0, index);
            let clean =
                component.values.clone() * of_state.clone() + prediction.clone() * of_prediction.clone();
            let Some(slope) = self.slope(index, clean, component) else {
                let what = "rows and width of a guided component";
                let dims = |component: &Component| format!("{:?}", component.values.dims());
                let (expected, found) = (dims(&self.observed.components[index]), dims(component));
                return Err(DenoiseError::Mismatch { what, expected, found });
            };
            cotangents.push(slope.clone() * of_prediction);
            slopes.push(slope * of_state);
        }
        let (_, gradients) = self.inner.vjp(state, times, &cotangents)?;
        let parts = predictions.into_iter().zip(slopes.into_iter().zip(gradients)).enumerate();
        parts
            .map(|(index, (prediction, (direct, through)))| {
                let component = &state.components[index];
                let (of_state, of_prediction) = converted(PredictionKind::Noise, index);
                let noise = component.values.clone() * of_state + prediction * of_prediction;
                let strengths: Vec<f64> =
                    times.iter().map(|&time| self.scale * self.paths[index].sigma(time)).collect();
                let pull = (direct + through) * column(&strengths, &component.values);
                Ok(noise + if component.support.is_centred() { projected(pull, component)? } else { pull })
            })
            .collect()
    }
}

/// What is left of a pull in the subspace of joint mean 0.
fn projected(pull: Tensor<2>, like: &Component) -> Result<Tensor<2>, DenoiseError> {
    let engine = |error: SamplerError| DenoiseError::Engine(Box::new(error));
    let pulled = Component { values: pull, ..like.clone() };
    let mut values = pulled.to_host().map_err(engine)?;
    for (row, values) in values.chunks_exact_mut(like.support.width().max(1)).enumerate() {
        like.support.project_row(row, values);
    }
    let (device, dtype) = (like.values.device(), like.values.dtype());
    let projected = Component::from_host(&like.name, values, like.support.clone(), &device, dtype);
    Ok(projected.map_err(engine)?.values)
}

fn option(option: &'static str, value: f64, expected: &'static str) -> SamplerError {
    SamplerError::Option { planner: "self-guidance", option, value, expected }
}
