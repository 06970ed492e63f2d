use serde::{Deserialize, Serialize};

use crate::error::SamplerError;
use crate::execute::Executor;
use crate::noise::Stream;
use crate::path::PathConfig;
use crate::plan::{Op, Plan};
use crate::state::State;

/// Searches the one starting state that serves a whole reference set best.
///
/// With a deterministic plan a sample is a function h(x_T, y) of its start and its condition. Candidates x_T are drawn from
/// the prior; each is run for all conditions of a reference set, and the one with the smallest sum of distances
/// `Σ M(h(x_T, y), x₀)` is kept and reused.
///
/// Use it for point predictions: for squared distances the best start approaches the conditional mean, half the error of a
/// random start. Never use the result for distributions: every sample of a condition is then the same.
///
/// Cost, once: `candidates` × the plan's evaluations on the reference batch. Every later sample costs one run.
///
/// Pitfalls: rows must have one shape (search per number of atoms). For equivariant models a start means something in the
/// frame of the condition only: rotate it there with [`BoundarySearch::run_in_frames`]. The sum is over the reference set, so
/// a small set finds the start that suits its accidents.
///
/// Source: optimal boundary conditions for diffusion ODEs (Ma et al. 2023, arXiv 2305.15357).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundarySearch {
    /// Number of candidates.
    pub candidates: usize,
}

/// The start that was found, to be stored with the checkpoint and the plan it was found for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Boundary {
    /// Layout version of this artefact.
    pub version: u32,
    /// The planner of the plan it was found with.
    pub planner: String,
    /// Its network evaluations.
    pub evaluations: usize,
    /// The candidate's number: its sample id among the draws of the prior.
    pub candidate: u64,
    /// Name and values of every component of the start, one row.
    pub components: Vec<(String, Vec<f64>)>,
    /// Mean distance over the reference set.
    pub distance: f64,
    /// The same of every candidate, in order: how much there was to gain.
    pub distances: Vec<f64>,
}

impl BoundarySearch {
    /// The best of the candidates. `like` has one row per reference item and tells their common shape; `distance` gives the
    /// distance of every row of a result from its reference. The executor's denoiser knows the conditions of these rows.
    ///
    /// # Errors
    /// [`SamplerError::DrawsNoise`] if the plan is not deterministic; [`SamplerError::Count`] without candidates or rows, or for
    /// a wrong number of distances; as [`Executor::run`].
    pub fn run(
        &self,
        executor: &mut Executor<'_>,
        plan: &Plan,
        paths: &[PathConfig],
        like: &State,
        distance: &dyn Fn(&State) -> Result<Vec<f64>, SamplerError>,
    ) -> Result<Boundary, SamplerError> {
        self.run_in_frames(executor, plan, paths, like, &|start| Ok(start), distance)
    }

    /// As [`BoundarySearch::run`], with every row's start put into the frame of its condition by `place` before the run. Apply
    /// the same function when the boundary is used.
    ///
    /// # Errors
    /// As [`BoundarySearch::run`].
    pub fn run_in_frames(
        &self,
        executor: &mut Executor<'_>,
        plan: &Plan,
        paths: &[PathConfig],
        like: &State,
        place: &dyn Fn(State) -> Result<State, SamplerError>,
        distance: &dyn Fn(&State) -> Result<Vec<f64>, SamplerError>,
    ) -> Result<Boundary, SamplerError> {
        let rows = like.batch();
        for (what, found) in [("candidates", self.candidates), ("rows of the reference set", rows)] {
            if found == 0 {
                return Err(SamplerError::Count { what, expected: 1, found });
            }
        }
        if let Some(step) = plan.steps.iter().position(|step| step.ops.iter().any(draws_noise)) {
            let (driver, planner) = ("boundary search", plan.planner.clone());
            return Err(SamplerError::DrawsNoise { driver, planner, step });
        }
        let ids: Vec<u64> = (0..rows as u64).collect();
        let one = like.select(&[0]);
        let names: Vec<&str> = one.components.iter().map(|component| component.name.as_str()).collect();
        let deviations: Vec<f64> = paths.iter().map(|path| path.build().prior_std()).collect();
        if deviations.len() != names.len() {
            let (expected, found) = (names.len(), deviations.len());
            return Err(SamplerError::Count { what: "paths of the prior", expected, found });
        }
        let mut distances = Vec::with_capacity(self.candidates);
        let mut best: Option<(u64, Vec<Vec<f64>>, f64)> = None;
        for candidate in 0..self.candidates as u64 {
            let values: Vec<Vec<f64>> = one
                .components
                .iter()
                .zip(&deviations)
                .enumerate()
                .map(|(index, (component, deviation))| {
                    let noise = executor.noise();
                    let mut draw = noise.normals(Stream::Prior, 0, index, &component.support, &[candidate]);
                    draw.iter_mut().for_each(|value| *value *= deviation);
                    draw
                })
                .collect();
            let repeated = values.iter().map(|values| values.repeat(rows)).collect();
            let start = place(like.with_values(repeated)?)?;
            let outcome = executor.run(plan, start, &ids)?;
            let each = distance(&outcome.state)?;
            if each.len() != rows {
                let (expected, found) = (rows, each.len());
                return Err(SamplerError::Count { what: "distances, one per row", expected, found });
            }
            // A candidate whose runs diverge is no candidate.
            let mean = if outcome.failures.is_empty() {
                each.iter().sum::<f64>() / rows as f64
            } else {
                f64::INFINITY
            };
            distances.push(mean);
            if !mean.is_nan() && best.as_ref().is_none_or(|(_, _, least)| mean < *least) {
                best = Some((candidate, values, mean));
            }
            if outcome.cancelled {
                break;
            }
        }
        let Some((candidate, values, distance)) = best else {
            return Err(SamplerError::Count {
                what: "candidates with a finite distance",
                expected: 1,
                found: 0,
            });
        };
        let components = names.iter().map(|name| (*name).to_owned()).zip(values).collect();
        let (planner, evaluations) = (plan.planner.clone(), plan.evaluations());
        Ok(Boundary { version: 1, planner, evaluations, candidate, components, distance, distances })
    }
}

impl Boundary {
    /// The start for every row of `like`, whose rows have the shape the boundary was found for.
    ///
    /// # Errors
    /// If `like` has other components or widths.
    pub fn start(&self, like: &State) -> Result<State, SamplerError> {
        let (expected, found) = (self.components.len(), like.components.len());
        if expected != found {
            return Err(SamplerError::Count { what: "components of a state", expected, found });
        }
        let rows = like.batch();
        let values = self.components.iter().map(|(_, values)| values.repeat(rows)).collect();
        like.with_values(values)
    }
}

fn draws_noise(op: &Op) -> bool {
    let some = |coefficients: &[f64]| coefficients.iter().any(|c| *c != 0.0);
    match op {
        Op::Combine { noise: Some(noise), .. } | Op::Impose { noise, .. } => some(&noise.coefficients),
        Op::Langevin { .. } => true,
        _ => false,
    }
}
