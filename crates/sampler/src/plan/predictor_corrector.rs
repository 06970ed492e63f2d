//! Predictor–corrector sampling of a system of SDEs.

use serde::{Deserialize, Serialize};

use super::langevin::LangevinRegisters;
use super::{
    Builder, Corrector, Langevin, NoiseTerm, NormScope, Plan, Planner, PlannerInfo, STATE, euler_maruyama,
    gdss_times, reverse_diffusion,
};
use crate::error::SamplerError;
use crate::noise::Stream;
use crate::path::{Path, PathConfig};
use crate::prediction::PredictionKind;

/// Which predictor advances the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Predictor {
    /// Reverse diffusion.
    #[default]
    Reverse,
    /// Euler–Maruyama.
    Euler,
}

/// `mean = state · x + score · s`, `x ← mean + noise · z`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PredictorStep {
    pub(super) state: f64,
    pub(super) score: f64,
    pub(super) noise: f64,
}

/// Predictor–corrector: at each of M even times from 1 to `eps`, a Langevin correction of every component, then a
/// predictor step of every component. The two halves of a stage see the same state; the last step returns the mean.
///
/// The defaults are those published for QM9 molecules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PredictorCorrector {
    /// The predictor.
    pub predictor: Predictor,
    /// The corrector.
    pub corrector: Corrector,
    /// Signal-to-noise ratio of the corrector.
    pub snr: f64,
    /// Factor on the corrector's noise.
    pub scale_eps: f64,
    /// Corrections per step.
    pub n_steps: usize,
    /// Whose norms set the corrector's step size.
    pub norm: NormScope,
    /// Last time.
    pub eps: f64,
    /// Whether the last step returns the mean instead of the noised state.
    pub noise_removal: bool,
    /// Whether the predictor follows the probability-flow ODE instead of the reverse SDE.
    pub probability_flow: bool,
}

impl Default for PredictorCorrector {
    fn default() -> Self {
        Self {
            predictor: Predictor::Reverse,
            corrector: Corrector::Langevin,
            snr: 0.2,
            scale_eps: 0.7,
            n_steps: 1,
            norm: NormScope::PerSample,
            eps: 1e-4,
            noise_removal: true,
            probability_flow: false,
        }
    }
}

impl PredictorCorrector {
    fn langevin(&self) -> Langevin {
        Langevin { snr: self.snr, scale_eps: self.scale_eps, n_steps: self.n_steps, norm: self.norm }
    }

    fn predict(&self, path: &dyn Path, time: f64, steps: usize) -> PredictorStep {
        let mut step = match self.predictor {
            Predictor::Reverse => reverse_diffusion::step(path, time, steps),
            Predictor::Euler => euler_maruyama::step(path, time, steps),
        };
        if self.probability_flow {
            step.score *= 0.5;
            step.noise = 0.0;
        }
        step
    }

    pub(super) fn plan_as(
        &self,
        planner: &'static str,
        paths: &[PathConfig],
        steps: usize,
    ) -> Result<Plan, SamplerError> {
        let mut builder = Builder::new(planner, paths, steps)?;
        let langevin = (self.corrector == Corrector::Langevin).then(|| self.langevin());
        if let Some(langevin) = &langevin {
            langevin.check(planner)?;
        }
        let score = builder.register();
        let registers = if langevin.is_some() && self.n_steps > 1 {
            LangevinRegisters { score, inner_score: builder.register(), moved: builder.register() }
        } else {
            LangevinRegisters { score, inner_score: score, moved: STATE }
        };
        for (index, time) in gdss_times(planner, steps, self.eps)?.into_iter().enumerate() {
            builder.begin_step(time);
            if let Some(langevin) = &langevin {
                langevin.push_stage(&mut builder, registers, time, steps, index as u32);
            }
            builder.eval_state(time, PredictionKind::Score, score);
            let state = builder.each(|path| self.predict(path, time, steps).state);
            let scores = builder.each(|path| self.predict(path, time, steps).score);
            let noise = builder.each(|path| self.predict(path, time, steps).noise);
            let silent = self.probability_flow || (self.noise_removal && index + 1 == steps);
            let noise = (!silent).then_some(NoiseTerm {
                stream: Stream::Predictor,
                step: index as u32,
                coefficients: noise,
            });
            builder.combine(STATE, vec![(STATE, state), (score, scores)], noise);
        }
        builder.finish()
    }
}

impl Planner for PredictorCorrector {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: "predictor-corrector",
            description: "a Langevin correction, then a reverse-SDE step, at every time; the published sampler of GDSS",
            formula: "x <- x + e s + c sqrt(2e) z, e = 2 a (snr |z|/|s|)^2; then x <- x - F_k(x) + G_k^2 s + G_k z",
            order: "weak 1",
            cost: "2n (n_steps = 1); n without corrector",
            citation: "Song et al., ICLR 2021 (arXiv 2011.13456); Jo, Lee & Hwang, ICML 2022 (arXiv 2202.02514)",
        }
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        self.plan_as("predictor-corrector", paths, steps)
    }

    fn evaluations(&self, steps: usize, components: usize) -> usize {
        match self.corrector {
            Corrector::Langevin => steps * (1 + self.langevin().evaluations(components)),
            Corrector::None => steps,
        }
    }
}
