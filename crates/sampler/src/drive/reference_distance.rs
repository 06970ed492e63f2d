//! How far a plan's samples are from those of a fine plan with the same starts.

use crate::denoiser::Denoiser;
use crate::error::SamplerError;
use crate::execute::Executor;
use crate::noise::NoiseSource;
use crate::plan::Plan;
use crate::state::State;

/// An objective for schedule search: the root mean square difference, over the free coordinates of all components and
/// samples, between what a plan returns and what a reference plan returned from the same starts with the same noise.
///
/// It needs no data and, because starts are shared, has far less sampling noise than a distance between sets of samples.
/// It judges how well the ODE is solved, not how good the network is.
pub struct ReferenceDistance<'a> {
    denoiser: &'a dyn Denoiser,
    noise: &'a dyn NoiseSource,
    start: State,
    ids: Vec<u64>,
    reference: Vec<Vec<f64>>,
}

impl<'a> ReferenceDistance<'a> {
    /// Runs `plan`, the reference, from `start`.
    ///
    /// # Errors
    /// If it does not run, or gives up a sample.
    pub fn new(
        denoiser: &'a dyn Denoiser,
        noise: &'a dyn NoiseSource,
        start: State,
        ids: Vec<u64>,
        plan: &Plan,
    ) -> Result<Self, SamplerError> {
        let outcome = Executor::new(denoiser, noise).run(plan, start.clone(), &ids)?;
        if !outcome.failures.is_empty() {
            let found = outcome.failures.len();
            return Err(SamplerError::Count {
                what: "samples given up by the reference",
                expected: 0,
                found,
            });
        }
        let reference = outcome.state.to_host()?;
        Ok(Self { denoiser, noise, start, ids, reference })
    }

    /// An objective of known ends: `reference` has one vector per component, in row order.
    ///
    /// # Errors
    /// [`SamplerError::Count`] if it does not have the values of `start`.
    pub fn to_known_ends(
        denoiser: &'a dyn Denoiser,
        noise: &'a dyn NoiseSource,
        start: State,
        ids: Vec<u64>,
        reference: Vec<Vec<f64>>,
    ) -> Result<Self, SamplerError> {
        let (expected, found) = (start.components.len(), reference.len());
        if expected != found {
            return Err(SamplerError::Count { what: "components of the known ends", expected, found });
        }
        for (component, ends) in start.components.iter().zip(&reference) {
            let (expected, found) = (component.support.batch() * component.support.width(), ends.len());
            if expected != found {
                return Err(SamplerError::Count { what: "values of the known ends", expected, found });
            }
        }
        Ok(Self { denoiser, noise, start, ids, reference })
    }

    /// The distance of `plan`; infinite if it gives up a sample.
    ///
    /// # Errors
    /// If the plan does not run.
    pub fn of(&self, plan: &Plan) -> Result<f64, SamplerError> {
        let outcome = Executor::new(self.denoiser, self.noise).run(plan, self.start.clone(), &self.ids)?;
        if !outcome.failures.is_empty() {
            return Ok(f64::INFINITY);
        }
        let (mut sum, mut count) = (0.0, 0.0);
        for (component, reference) in outcome.state.components.iter().zip(&self.reference) {
            let values = component.to_host()?;
            let width = component.support.width();
            for row in 0..component.support.batch() {
                component.support.for_each_coordinate(row, |index, _| {
                    let place = row * width + index;
                    let difference = values[place] - reference[place];
                    sum += difference * difference;
                    count += 1.0;
                });
            }
        }
        Ok(libm::sqrt(sum / count))
    }
}

impl std::fmt::Debug for ReferenceDistance<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReferenceDistance").field("samples", &self.ids.len()).finish_non_exhaustive()
    }
}
