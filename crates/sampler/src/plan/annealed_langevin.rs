//! Annealed Langevin dynamics: the sampler of noise-conditional score networks (NCSN).

use serde::{Deserialize, Serialize};

use super::{NoiseTerm, PerComponent, Plan, PlanBuilder, Planner, PlannerInfo, STATE};
use crate::error::SamplerError;
use crate::grid::TimeGrid;
use crate::noise::Stream;
use crate::path::{PathConfig, start_time};
use crate::prediction::PredictionKind;

/// Annealed Langevin dynamics: at each of L falling noise levels ς_1 > … > ς_L, M steps of
/// `x ← x + η_i s + √(2η_i) z` with `η_i = ε ς_i²/ς_L²`.
///
/// The number of steps of the run is L. Levels are ς = σ/α of the path; geometric for the default grid. On a path with
/// α ≠ 1 the dynamics runs in x/α, that is `x ← x + r σ_i² s + σ_i √(2r) z` with the *relative step* r = ε/ς_L²
/// (`relative_step`) and the state scaled by α_{i+1}/α_i between levels. No norms are used: the sampler is linear in the
/// state, and the rows of a batch are independent.
///
/// **Choice of the step.** On data of variance s² at level ς a step with 0 < r < 2 is stable and its stationary variance
/// is `v/(1 − η/2v)`, v = s² + ς². Where ς ≪ s the dynamics becomes too slow to follow the falling levels and the
/// variance stays too large. With δ = 2 ln(ς_i/ς_{i+1}) the excess E over s² obeys `dE/dy = (2Mr/(s²δ)) (E − (1 + r/2) y)`
/// in y = ς², whose solution that stays bounded gives at the end
///
/// ```text
/// relative excess of the variance = (δ / 2M) (1/r + 1/2)
/// ```
///
/// whatever s is ([`AnnealedLangevin::variance_excess`]); the mean has no error beyond that of the start. It is below a
/// given bound for the r of [`AnnealedLangevin::relative_step_for`], as long as the bound is above `δ/2M`, its value at
/// the limit r = 2 of stability: more accuracy needs more levels or more steps on each.
///
/// Order: it solves no equation; its law converges as levels and steps grow, the variance by the formula above. Cost of n
/// levels: n M evaluations, and one more with `final_denoise`.
///
/// Source: Song & Ermon, NeurIPS 2019 (arXiv 1907.05600); Song & Ermon, NeurIPS 2020 (arXiv 2006.09011).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnnealedLangevin {
    /// M, the steps on each level.
    pub steps_each: usize,
    /// r = ε/ς_L², for all components or for each.
    pub relative_step: PerComponent,
    /// Layout of the levels.
    pub grid: TimeGrid,
    /// Time of the last level; default 0 where the paths still have noise there, else 1e-3.
    pub t_end: Option<f64>,
    /// Whether the run returns x̂₀ at the last level (Tweedie's formula), for one evaluation more.
    pub final_denoise: bool,
}

impl Default for AnnealedLangevin {
    fn default() -> Self {
        Self {
            steps_each: 5,
            relative_step: PerComponent::All(0.5),
            grid: TimeGrid::UniformLambda,
            t_end: None,
            final_denoise: false,
        }
    }
}

const NAME: &str = "annealed-langevin";

impl AnnealedLangevin {
    /// The relative excess of the returned variance over the data's, (δ/2M)(1/r + 1/2), for a ratio
    /// `ς_i/ς_{i+1}` of neighbouring levels, M = `steps_each` and r = `relative_step`.
    #[must_use]
    pub fn variance_excess(level_ratio: f64, steps_each: usize, relative_step: f64) -> f64 {
        libm::log(level_ratio) / steps_each as f64 * (1.0 / relative_step + 0.5)
    }

    /// The relative step r at which the relative excess of the returned variance is `excess`; `None` if no stable step
    /// (r < 2) is accurate enough.
    #[must_use]
    pub fn relative_step_for(level_ratio: f64, steps_each: usize, excess: f64) -> Option<f64> {
        let inverse = excess * steps_each as f64 / libm::log(level_ratio) - 0.5;
        (inverse > 0.5).then(|| 1.0 / inverse)
    }

    fn levels(
        &self,
        builder: &PlanBuilder,
        paths: &[PathConfig],
        steps: usize,
    ) -> Result<Vec<f64>, SamplerError> {
        let start = start_time(&builder.paths);
        if steps == 1 && !matches!(self.grid, TimeGrid::Explicit(_)) {
            return Ok(vec![start]);
        }
        let noisy = builder.paths.iter().all(|path| path.lambda(0.0).is_finite());
        let end = self.t_end.unwrap_or(if noisy { 0.0 } else { 1e-3 });
        self.grid.nodes(paths, steps - 1, start, end)
    }

    fn check(&self) -> Result<(), SamplerError> {
        if self.steps_each == 0 {
            let (option, expected) = ("steps_each", "at least 1");
            return Err(SamplerError::Option { planner: NAME, option, value: 0.0, expected });
        }
        if let Some(&value) = self.relative_step.values().iter().find(|r| !(**r > 0.0 && **r < 2.0)) {
            let (option, expected) = ("relative_step", "above 0 and below 2, the limit of stability");
            return Err(SamplerError::Option { planner: NAME, option, value, expected });
        }
        Ok(())
    }
}

impl Planner for AnnealedLangevin {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: NAME,
            description: "Langevin dynamics at falling noise levels (NCSN); slow, needs no reverse process",
            formula: "x <- x + h_i s + sqrt(2 h_i) z, h_i = eps sigma_i^2/sigma_L^2, M times on each level",
            order: "converges with levels and steps; variance error (d/2M)(1/r + 1/2)",
            cost: "n M (5 n by default), + 1 with final denoising",
            citation: "Song & Ermon, NeurIPS 2019 (arXiv 1907.05600); Song & Ermon, NeurIPS 2020 (arXiv 2006.09011)",
        }
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        let mut builder = PlanBuilder::new(NAME, paths, steps)?;
        self.check()?;
        let components = builder.components();
        let relative = self.relative_step.resolve(NAME, "relative_step", components)?;
        let ones = vec![1.0; components];
        let score = builder.register();
        let levels = self.levels(&builder, paths, steps)?;
        for (index, &time) in levels.iter().enumerate() {
            builder.begin_step(time);
            if index > 0 {
                let before = levels[index - 1];
                let ratio = builder.each(|path| libm::exp(path.log_alpha(time) - path.log_alpha(before)));
                if ratio.iter().any(|&ratio| ratio != 1.0) {
                    builder.combine(STATE, vec![(STATE, ratio)], None);
                }
            }
            let sigma = builder.each(|path| path.sigma(time));
            let drift: Vec<f64> = sigma.iter().zip(&relative).map(|(sigma, r)| r * sigma * sigma).collect();
            let diffusion: Vec<f64> =
                sigma.iter().zip(&relative).map(|(sigma, r)| sigma * libm::sqrt(2.0 * r)).collect();
            for inner in 0..self.steps_each {
                let step = (index * self.steps_each + inner) as u32;
                let noise = NoiseTerm { stream: Stream::Corrector, step, coefficients: diffusion.clone() };
                builder.eval_state(time, PredictionKind::Score, score);
                let terms = vec![(STATE, ones.clone()), (score, drift.clone())];
                builder.combine(STATE, terms, Some(noise));
            }
        }
        if self.final_denoise {
            builder.eval_state(levels[levels.len() - 1], PredictionKind::X0, score);
            builder.combine(STATE, vec![(score, ones)], None);
        }
        builder.finish()
    }

    fn evaluations(&self, steps: usize, _components: usize) -> usize {
        steps * self.steps_each + usize::from(self.final_denoise)
    }
}
