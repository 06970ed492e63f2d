//! The Langevin corrector: a few steps of Langevin dynamics at a fixed noise level.

use serde::{Deserialize, Serialize};

use super::{NoiseTerm, Op, PerComponent, PlanBuilder, Register, STATE};
use crate::error::SamplerError;
use crate::noise::Stream;
use crate::prediction::PredictionKind;

/// Whose norms set the step size of a Langevin correction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormScope {
    /// Each sample's own norms. A sample is then independent of its batch.
    #[default]
    PerSample,
    /// The means over the batch, as in the published programmes. Samples of a batch then influence one another: only
    /// for comparison with published numbers.
    BatchMean,
}

/// Which corrector runs before the predictor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Corrector {
    /// Langevin dynamics with the step `2α (snr |z|/|s|)²` of the norms of noise and score (Song et al. 2021).
    ///
    /// For scores of N(0, v) in D dimensions one correction changes the variance by the factor
    /// `1 + 4 snr² (4 + snr² (D + 2))/(D − 2)` (α = 1): with few free coordinates it adds noise even for a short step.
    #[default]
    Langevin,
    /// Langevin dynamics with the step `2α (snr σ_t)²`, which depends on the time only ("annealed Langevin dynamics"
    /// of the score-SDE programmes). It is linear in the state, and its stationary variance at a Gaussian N(0, v) is
    /// `v/(1 − α (snr σ_t)²/v)`.
    AnnealedLangevin,
    /// None.
    None,
}

/// Settings of a Langevin correction.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Langevin {
    /// How the step size is set; `Corrector::None` corrects nothing.
    pub(super) corrector: Corrector,
    /// Signal-to-noise ratio of a step, one per component.
    pub(super) snr: Vec<f64>,
    /// Factor on the noise, one per component; below 1 it cools the samples.
    pub(super) scale_eps: Vec<f64>,
    /// Corrections per step.
    pub(super) n_steps: usize,
    /// Whose norms set the step size.
    pub(super) norm: NormScope,
}

impl Langevin {
    /// Checked settings for `components` components.
    pub(super) fn new(
        planner: &'static str,
        corrector: Corrector,
        (snr, scale_eps): (&PerComponent, &PerComponent),
        n_steps: usize,
        norm: NormScope,
        components: usize,
    ) -> Result<Self, SamplerError> {
        let snr = snr.resolve(planner, "snr", components)?;
        let scale_eps = scale_eps.resolve(planner, "scale_eps", components)?;
        if n_steps == 0 {
            let expected = "at least 1 (corrector none switches it off)";
            return Err(SamplerError::Option { planner, option: "n_steps", value: 0.0, expected });
        }
        Ok(Self { corrector, snr, scale_eps, n_steps, norm })
    }

    /// The settings a fraction `share` of the way to those of `end`.
    pub(super) fn between(&self, end: &Self, share: f64) -> Self {
        let mix = |from: &[f64], to: &[f64]| from.iter().zip(to).map(|(a, b)| a + share * (b - a)).collect();
        Self {
            snr: mix(&self.snr, &end.snr),
            scale_eps: mix(&self.scale_eps, &end.scale_eps),
            ..self.clone()
        }
    }

    /// One correction of every component with scores already in `score`, all from the same state, in place.
    pub(super) fn push(&self, builder: &mut PlanBuilder, score: Register, at: At) {
        match self.corrector {
            Corrector::Langevin => {
                for component in 0..builder.components() {
                    self.push_one(builder, component, STATE, STATE, score, at);
                }
            }
            Corrector::AnnealedLangevin => {
                let sizes: Vec<f64> = builder
                    .paths
                    .iter()
                    .zip(&self.snr)
                    .map(|(path, snr)| {
                        let length = snr * path.sigma(at.time);
                        2.0 * path.langevin_alpha(at.time, at.scales) * length * length
                    })
                    .collect();
                let noise = sizes.iter().zip(&self.scale_eps).map(|(e, scale)| scale * libm::sqrt(2.0 * e));
                let noise =
                    NoiseTerm { stream: Stream::Corrector, step: at.step, coefficients: noise.collect() };
                let ones = vec![1.0; sizes.len()];
                builder.combine(STATE, vec![(STATE, ones), (score, sizes)], Some(noise));
            }
            Corrector::None => {}
        }
    }

    /// The whole stage at one time: scores of the state, then `n_steps` corrections.
    ///
    /// With norms each component takes its corrections from the *uncorrected* others, as published for systems of SDEs:
    /// only the own component moves inside the inner loop, which is why further corrections cost one evaluation per
    /// component. With fixed steps all components move together.
    pub(super) fn push_stage(&self, builder: &mut PlanBuilder, registers: LangevinRegisters, at: At) {
        let LangevinRegisters { score, inner_score, moved } = registers;
        let n = self.n_steps as u32;
        builder.eval_state(at.time, PredictionKind::Score, score);
        if self.n_steps == 1 {
            self.push(builder, score, at);
            return;
        }
        let inner_at = |inner: u32| At { step: at.step * n + inner, ..at };
        if self.corrector == Corrector::AnnealedLangevin {
            self.push(builder, score, inner_at(0));
            for inner in 1..n {
                builder.eval_state(at.time, PredictionKind::Score, score);
                self.push(builder, score, inner_at(inner));
            }
            return;
        }
        let components = builder.components();
        for component in 0..components {
            self.push_one(builder, component, STATE, moved, score, inner_at(0));
            for inner in 1..n {
                let inputs = (0..components).map(|c| if c == component { moved } else { STATE }).collect();
                builder.eval(at.time, inputs, PredictionKind::Score, inner_score);
                self.push_one(builder, component, moved, moved, inner_score, inner_at(inner));
            }
        }
        builder.combine(STATE, vec![(moved, vec![1.0; components])], None);
    }

    fn push_one(
        &self,
        builder: &mut PlanBuilder,
        component: usize,
        from: Register,
        out: Register,
        score: Register,
        At { time, scales, step }: At,
    ) {
        let alpha = builder.paths[component].langevin_alpha(time, scales);
        let (snr, scale, norm) = (self.snr[component], self.scale_eps[component], self.norm);
        builder.push(Op::Langevin { component, from, out, score, alpha, snr, scale, norm, step });
    }
}

/// Network evaluations of one correction stage.
pub(super) fn stage_evaluations(corrector: Corrector, n_steps: usize, components: usize) -> usize {
    match corrector {
        Corrector::Langevin => 1 + n_steps.saturating_sub(1) * components,
        Corrector::AnnealedLangevin => n_steps,
        Corrector::None => 0,
    }
}

/// Where in a plan a correction stands.
#[derive(Clone, Copy)]
pub(super) struct At {
    /// Master time.
    pub(super) time: f64,
    /// Number of scales on the whole clock.
    pub(super) scales: usize,
    /// Tells the draws of the corrector apart.
    pub(super) step: u32,
}

/// Registers a Langevin stage works with.
#[derive(Clone, Copy)]
pub(super) struct LangevinRegisters {
    /// Scores at the state.
    pub(super) score: Register,
    /// Scores inside the inner loop.
    pub(super) inner_score: Register,
    /// The components while they move.
    pub(super) moved: Register,
}
