//! The three formulations of diffusion models in their own words, on one engine.
//!
//! | formulation | its words | path | sampler | label of the network |
//! | --- | --- | --- | --- | --- |
//! | [`Ddpm`] (Ho et al. 2020) | steps N, β from start to end, variance | [`DiscreteDdpm`](crate::path::DiscreteDdpm) | [`Ancestral`](crate::plan::Ancestral), chain `marginals` | index k |
//! | [`Ncsn`] (Song & Ermon 2019) | σ from begin to end, levels L, steps M on each, step size ε | [`VarianceExploding`](crate::path::VarianceExploding) | [`AnnealedLangevin`](crate::plan::AnnealedLangevin) | σ |
//! | [`ScoreSde`] (Song et al. 2021) | VP, VE or sub-VP SDE, predictor, corrector, snr | the SDE's | [`PredictorCorrector`](crate::plan::PredictorCorrector) | 999 t, or σ |
//!
//! Each gives a [`Formulation`], that is a path, a sampler, a number of steps and what the network is told instead of
//! the time. There is no second sampling loop: the same network may be run through another formulation's sampler, with
//! its own labels kept.
//!
//! ```
//! use equidrift_sampler::front_end::Ddpm;
//!
//! let ddpm = Ddpm { steps: 1000, ..Ddpm::default() }.formulation().unwrap();
//! assert_eq!(ddpm.plan(1).unwrap().evaluations(), 1000);
//! // The network sees 999, 998, ..., 0.
//! assert_eq!(ddpm.labels().unwrap()[..2], [999.0, 998.0]);
//! ```

mod ddpm;
mod ncsn;
mod sde;
mod time_embedding;

use burn::tensor::Tensor;

use crate::denoiser::{DenoiseError, Denoiser};
use crate::error::SamplerError;
use crate::execute::{Executor, Outcome};
use crate::noise::NoiseSource;
use crate::path::{Path, PathConfig};
use crate::plan::{Op, Plan, SamplerConfig};
use crate::prediction::PredictionKind;
use crate::state::State;

pub use ddpm::Ddpm;
pub use ncsn::Ncsn;
pub use sde::{ScoreSde, Sde};
pub use time_embedding::TimeEmbeddingKind;

/// A formulation, translated.
#[derive(Clone, Debug, PartialEq)]
pub struct Formulation {
    /// The noising path of every component.
    pub path: PathConfig,
    /// The sampler with its options.
    pub sampler: SamplerConfig,
    /// Its number of steps.
    pub steps: usize,
    /// What the network is told instead of the time.
    pub time_embedding: TimeEmbeddingKind,
}

impl Formulation {
    /// The plan for this many components.
    ///
    /// # Errors
    /// As [`crate::Planner::plan`].
    pub fn plan(&self, components: usize) -> Result<Plan, SamplerError> {
        self.sampler.plan(&self.paths(components), self.steps)
    }

    /// The path of each component, for instance for [`State::prior`].
    #[must_use]
    pub fn paths(&self, components: usize) -> Vec<PathConfig> {
        vec![self.path.clone(); components]
    }

    /// What the network is told at each evaluation, in order.
    ///
    /// # Errors
    /// As [`Formulation::plan`].
    pub fn labels(&self) -> Result<Vec<f64>, SamplerError> {
        let path = self.path.build();
        let plan = self.plan(1)?;
        let times = plan.ops().filter_map(|op| match op {
            Op::Eval { time, .. } => Some(*time),
            _ => None,
        });
        Ok(times.map(|time| self.time_embedding.label(path.as_ref(), time)).collect())
    }

    /// A network that expects labels, as the core's denoiser that is given times.
    #[must_use]
    pub fn denoiser<D: Denoiser>(&self, network: D) -> Labelled<D> {
        Labelled { network, path: self.path.build(), time_embedding: self.time_embedding }
    }

    /// Samples from `state` (see [`State::prior`]) with a network that expects labels; `ids[b]` is the id of row b.
    ///
    /// # Errors
    /// As [`Formulation::plan`] and [`Executor::run`].
    pub fn sample(
        &self,
        network: &dyn Denoiser,
        noise: &dyn NoiseSource,
        state: State,
        ids: &[u64],
    ) -> Result<Outcome, SamplerError> {
        let plan = self.plan(state.components.len())?;
        let denoiser = self.denoiser(network);
        Executor::new(&denoiser, noise).run(&plan, state, ids)
    }
}

/// Gives its network labels instead of times.
#[derive(Debug)]
pub struct Labelled<D> {
    network: D,
    path: Box<dyn Path>,
    time_embedding: TimeEmbeddingKind,
}

impl<D: Denoiser> Denoiser for Labelled<D> {
    fn kinds(&self) -> &[PredictionKind] {
        self.network.kinds()
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let label = |time: &f64| self.time_embedding.label(self.path.as_ref(), *time);
        let labels: Vec<f64> = times.iter().map(label).collect();
        self.network.predict(state, &labels)
    }
}
