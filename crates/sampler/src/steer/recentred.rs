use burn::tensor::Tensor;

use super::held_rows::held_rows;
use crate::denoiser::{DenoiseError, Denoiser};
use crate::error::SamplerError;
use crate::path::{Path, PathConfig};
use crate::prediction::PredictionKind;
use crate::state::{Component, State, column};

/// A diffusion around a mean μ of each sample: the plan runs on y = x − μ, the network inside sees x = y + μ.
///
/// The mean-reverting process `x_t = α_t x_0 + (1 − α_t) μ + σ_t ε` is the plain path `y_t = α_t y_0 + σ_t ε` in this frame
/// (with σ = σ_∞ √(1 − α²): [`MeanReverting`](crate::path::MeanReverting)), so its solvers are those of plain paths: MR
/// Sampler (Li et al. 2025) is DPM-Solver++ here. Uses: restoration from a degraded observation, refinement of a draft,
/// a fixed prior mean.
///
/// Answers are converted to the frame: `x̂₀ − μ`; noise and score as they are; V (α ε − σ x₀ of x's own data) plus `σ μ`;
/// the flow's velocity `dx/dt` as it is, since μ does not move.
///
/// A run: [`Recentred::enter`] the start (or draw a prior, which is that of y), run with this denoiser, then
/// [`Recentred::leave`]. Rows that have left the batch or were doubled are found by
/// [`Support::origin`](crate::support::Support::origin).
#[derive(Debug)]
pub struct Recentred<D> {
    inner: D,
    mean: State,
    paths: Vec<Box<dyn Path>>,
}

impl<D: Denoiser> Recentred<D> {
    /// Wraps a denoiser of x; row b of `mean` is μ of row b of the batch, on the supports of the state. `paths` are the
    /// components' paths, in the frame.
    ///
    /// # Errors
    /// If the mean is not a sound state or has not one component per path.
    pub fn new(inner: D, mean: State, paths: &[PathConfig]) -> Result<Self, SamplerError> {
        mean.check()?;
        let (expected, found) = (paths.len(), mean.components.len());
        if expected != found {
            return Err(SamplerError::Count { what: "components of the mean", expected, found });
        }
        for path in paths {
            path.validate()?;
        }
        // Outside the support the mean would leak into padding.
        let mut values = mean.to_host()?;
        for (component, values) in mean.components.iter().zip(&mut values) {
            for (row, values) in values.chunks_exact_mut(component.support.width().max(1)).enumerate() {
                component.support.project_row(row, values);
            }
        }
        let mean = mean.with_values(values)?;
        Ok(Self { inner, mean, paths: paths.iter().map(PathConfig::build).collect() })
    }

    /// The mean.
    pub fn mean(&self) -> &State {
        &self.mean
    }

    /// The denoiser inside.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// y = x − μ.
    ///
    /// # Errors
    /// If the state does not fit the mean.
    pub fn enter(&self, state: &State) -> Result<State, SamplerError> {
        self.shift(state, -1.0).map_err(|what| misfit(&what, state, &self.mean))
    }

    /// x = y + μ.
    ///
    /// # Errors
    /// If the state does not fit the mean.
    pub fn leave(&self, state: &State) -> Result<State, SamplerError> {
        self.shift(state, 1.0).map_err(|what| misfit(&what, state, &self.mean))
    }

    /// The mean of the rows of `state`, component by component; else the name of a component that does not fit.
    fn mean_of(&self, state: &State) -> Result<Vec<Tensor<2>>, String> {
        if state.components.len() != self.mean.components.len() {
            return Err("state".to_owned());
        }
        state
            .components
            .iter()
            .zip(&self.mean.components)
            .map(|(component, mean)| held_rows(mean, component).ok_or_else(|| component.name.clone()))
            .collect()
    }

    fn shift(&self, state: &State, sign: f64) -> Result<State, String> {
        let means = self.mean_of(state)?;
        let components = state.components.iter().zip(means).map(|(component, mean)| Component {
            name: component.name.clone(),
            values: component.values.clone() + mean * sign,
            support: component.support.clone(),
        });
        Ok(State { components: components.collect() })
    }
}

/// The error of a state that has other components, rows or widths than the mean.
fn misfit(component: &str, state: &State, mean: &State) -> SamplerError {
    let dims = |state: &State| {
        let found = state.components.iter().find(|c| c.name == component).or(state.components.first());
        found.map_or([0, 0], |component| component.values.dims())
    };
    SamplerError::Shape { component: component.to_owned(), expected: dims(mean), found: dims(state) }
}

impl<D: Denoiser> Denoiser for Recentred<D> {
    fn kinds(&self) -> &[PredictionKind] {
        self.inner.kinds()
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let mismatch = |component: String| DenoiseError::Mismatch {
            what: "rows and widths of the mean",
            expected: format!(
                "{:?}",
                self.mean.components.iter().map(|c| c.values.dims()).collect::<Vec<_>>()
            ),
            found: format!("component {component:?} of a batch of {}", state.batch()),
        };
        let means = self.mean_of(state).map_err(mismatch)?;
        let components = state.components.iter().zip(&means).map(|(component, mean)| Component {
            name: component.name.clone(),
            values: component.values.clone() + mean.clone(),
            support: component.support.clone(),
        });
        let answers = self.inner.predict(&State { components: components.collect() }, times)?;
        let kinds = self.inner.kinds();
        let convert = |(index, answer): (usize, Tensor<2>)| {
            // Several heads are head-major: all components of the first, then of the next.
            let component = index % means.len();
            let mean = means[component].clone();
            let mean = if mean.dtype() == answer.dtype() { mean } else { mean.cast(answer.dtype()) };
            match kinds.get(index) {
                Some(PredictionKind::X0) => answer - mean,
                Some(PredictionKind::V) => {
                    let sigma: Vec<f64> =
                        times.iter().map(|&time| self.paths[component].sigma(time)).collect();
                    answer + mean * column(&sigma, &state.components[component].values)
                }
                _ => answer,
            }
        };
        Ok(answers.into_iter().enumerate().map(convert).collect())
    }
}
