//! S4, the symmetric splitting solver of GDSS: a Langevin correction and a Strang-split reverse step share one
//! evaluation.

use serde::{Deserialize, Serialize};

use super::langevin::{At, Langevin};
use super::{
    Corrector, NoiseTerm, NormScope, PerComponent, Plan, PlanBuilder, Planner, PlannerInfo, STATE,
    gdss_times, scales_of,
};
use crate::error::SamplerError;
use crate::noise::Stream;
use crate::path::{self, PathConfig};
use crate::prediction::PredictionKind;

/// S4: with dt = −1/M, at each of M even times from 1 to `eps`, one evaluation s of the scores, then
/// 1. one Langevin correction with s;
/// 2. the exact transition over dt/2;
/// 3. the kick `x ← x − g(t)² s dt`;
/// 4. the exact transition over dt/2; the last step returns its mean.
///
/// Order: weak 1, because the score is held over the step; the splitting itself has order 2. Cost of n steps: n evaluations,
/// half of predictor–corrector.
///
/// Source: Jo, Lee & Hwang, ICML 2022 (arXiv 2202.02514).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S4 {
    /// Signal-to-noise ratio of the correction, for all components or for each.
    pub snr: PerComponent,
    /// Factor on the correction's noise, for all components or for each.
    pub scale_eps: PerComponent,
    /// Whose norms set the correction's step size.
    pub norm: NormScope,
    /// Last time.
    pub eps: f64,
}

impl Default for S4 {
    fn default() -> Self {
        Self {
            snr: PerComponent::All(0.2),
            scale_eps: PerComponent::All(0.7),
            norm: NormScope::PerSample,
            eps: 1e-4,
        }
    }
}

const NAME: &str = "s4";

impl Planner for S4 {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: NAME,
            description: "correction and Strang-split reverse step from one evaluation; half the cost of predictor-corrector",
            formula: "correct; x <- e^{L dt/2}[x]; x <- x - g^2 s dt; x <- e^{L dt/2}[x]",
            order: "weak 1 (the splitting itself is 2)",
            cost: "n",
            citation: "Jo, Lee & Hwang, ICML 2022 (arXiv 2202.02514)",
        }
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        let mut builder = PlanBuilder::new(NAME, paths, steps)?;
        let options = (&self.snr, &self.scale_eps);
        let langevin = Langevin::new(NAME, Corrector::Langevin, options, 1, self.norm, paths.len())?;
        for (component, path) in paths.iter().enumerate() {
            if builder.paths[component].transition(1.0, -0.5).is_none() {
                let reason = "it has no closed transition over a time difference";
                return Err(SamplerError::UnsupportedPath {
                    planner: NAME,
                    path: path.name(),
                    component,
                    reason,
                });
            }
        }
        let score = builder.register();
        let start = path::start_time(&builder.paths);
        let scales = scales_of(start, steps);
        let dt = -start / steps as f64;
        let half = 0.5 * dt;
        let ones = vec![1.0; paths.len()];
        for (index, time) in gdss_times(NAME, start, steps, self.eps)?.into_iter().enumerate() {
            let step = index as u32;
            builder.begin_step(time);
            builder.eval_state(time, PredictionKind::Score, score);
            langevin.push(&mut builder, score, At { time, scales, step });
            // Transitions exist for every path here (checked above).
            let transitions = |from: f64| -> (Vec<f64>, Vec<f64>) {
                let each = builder.paths.iter().filter_map(|path| path.transition(from, half));
                each.map(|transition| (transition.mean, transition.std)).unzip()
            };
            let (first_mean, first_std) = transitions(time);
            let (second_mean, second_std) = transitions(time + half);
            let kick = builder.each(|path| -path.diffusion(time) * path.diffusion(time) * dt);
            let noise = |stream, coefficients| Some(NoiseTerm { stream, step, coefficients });
            builder.combine(STATE, vec![(STATE, first_mean)], noise(Stream::FirstHalf, first_std));
            builder.combine(STATE, vec![(STATE, ones.clone()), (score, kick)], None);
            let last = if index + 1 == steps { None } else { noise(Stream::SecondHalf, second_std) };
            builder.combine(STATE, vec![(STATE, second_mean)], last);
        }
        builder.finish()
    }

    fn evaluations(&self, steps: usize, _components: usize) -> usize {
        steps
    }
}
