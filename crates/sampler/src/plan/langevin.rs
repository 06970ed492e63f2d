//! The Langevin corrector: a few steps of Langevin dynamics at a fixed noise level.

use serde::{Deserialize, Serialize};

use super::{Builder, Op, Register, STATE};
use crate::error::SamplerError;
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
    /// Langevin dynamics.
    #[default]
    Langevin,
    /// None.
    None,
}

/// Settings of a Langevin correction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Langevin {
    /// Signal-to-noise ratio of a step.
    pub snr: f64,
    /// Factor on the noise; below 1 it cools the samples.
    pub scale_eps: f64,
    /// Corrections per step.
    pub n_steps: usize,
    /// Whose norms set the step size.
    pub norm: NormScope,
}

impl Langevin {
    pub(super) fn check(&self, planner: &'static str) -> Result<(), SamplerError> {
        for (option, value) in [("snr", self.snr), ("scale_eps", self.scale_eps)] {
            if !(value.is_finite() && value >= 0.0) {
                let expected = "a finite number, 0 or above";
                return Err(SamplerError::Option { planner, option, value, expected });
            }
        }
        if self.n_steps == 0 {
            let expected = "at least 1 (corrector none switches it off)";
            return Err(SamplerError::Option { planner, option: "n_steps", value: 0.0, expected });
        }
        Ok(())
    }

    /// Network evaluations of one correction stage for `components` components.
    pub(super) fn evaluations(&self, components: usize) -> usize {
        1 + (self.n_steps - 1) * components
    }

    /// One correction of every component with scores already in `score`, all from the same state, in place.
    pub(super) fn push(&self, builder: &mut Builder, score: Register, time: f64, scales: usize, step: u32) {
        for component in 0..builder.components() {
            self.push_one(builder, component, STATE, STATE, score, (time, scales, step));
        }
    }

    /// The whole stage at `time`: scores of the state, then `n_steps` corrections of each component, each from the
    /// *uncorrected* others. Only the own component moves inside the inner loop, which is why further corrections
    /// cost one evaluation per component.
    pub(super) fn push_stage(
        &self,
        builder: &mut Builder,
        registers: LangevinRegisters,
        time: f64,
        scales: usize,
        step: u32,
    ) {
        let LangevinRegisters { score, inner_score, moved } = registers;
        let n = self.n_steps as u32;
        builder.eval_state(time, PredictionKind::Score, score);
        if self.n_steps == 1 {
            self.push(builder, score, time, scales, step);
            return;
        }
        let components = builder.components();
        for component in 0..components {
            self.push_one(builder, component, STATE, moved, score, (time, scales, step * n));
            for inner in 1..n {
                let inputs = (0..components).map(|c| if c == component { moved } else { STATE }).collect();
                builder.eval(time, inputs, PredictionKind::Score, inner_score);
                self.push_one(
                    builder,
                    component,
                    moved,
                    moved,
                    inner_score,
                    (time, scales, step * n + inner),
                );
            }
        }
        builder.combine(STATE, vec![(moved, vec![1.0; components])], None);
    }

    fn push_one(
        &self,
        builder: &mut Builder,
        component: usize,
        from: Register,
        out: Register,
        score: Register,
        (time, scales, step): (f64, usize, u32),
    ) {
        let alpha = builder.paths[component].langevin_alpha(time, scales);
        let Self { snr, scale_eps: scale, norm, .. } = *self;
        builder.push(Op::Langevin { component, from, out, score, alpha, snr, scale, norm, step });
    }
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
