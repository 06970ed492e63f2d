//! The learning rate as a function of the step.
//!
//! With `s` the optimiser step of the run and `e` its epoch (both from 0), `n` steps an epoch, `W` steps of warm-up and
//! `r` the initial rate:
//!
//! | schedule | rate |
//! | --- | --- |
//! | constant | `r` |
//! | exponential | `r factor^e` |
//! | cosine | `floor + (r - floor) (1 + cos(pi p)) / 2`, `p = min(1, (s - W) / (n epochs - W))` |
//! | plateau | `max(floor, r factor^k)`, `k` the reductions so far |
//!
//! The plateau schedule makes a reduction when the validation loss has not fallen below `(1 - threshold)` times its best value
//! for `patience` validations in a row. During the first `W` steps any of these is multiplied by `(s + 1) / W`; the epochs of
//! the exponential schedule are counted from the start of the run all the same.
//!
//! References: Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, equation 5 (one cycle,
//! no restart); Goyal et al., "Accurate, large minibatch SGD", 2017, section 2.2 (gradual warm-up); the plateau rule is
//! PyTorch's `ReduceLROnPlateau` (mode `min`, relative threshold, no cool-down).

use serde::{Deserialize, Serialize};

use crate::patience::Patience;

/// How the rate goes on after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// Always the initial rate.
    Constant,
    /// A factor after each epoch.
    Exponential {
        /// Multiplied in after each epoch.
        factor: f64,
    },
    /// Half a period of a cosine, step by step, and `floor` from then on.
    Cosine {
        /// The last rate.
        floor: f64,
        /// Epochs the half period lasts, the warm-up among them.
        epochs: u64,
    },
    /// A factor whenever the validation loss has stopped falling.
    Plateau {
        /// Multiplied in at each reduction.
        factor: f64,
        /// Validations without improvement that make a reduction.
        patience: u64,
        /// Relative fall of the loss that counts as an improvement.
        threshold: f64,
        /// The rate never falls below it.
        floor: f64,
    },
}

/// The learning rate of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearningRate {
    /// Rate at the end of the warm-up, or of the first step.
    pub initial: f64,
    /// How it goes on.
    pub schedule: Schedule,
    /// Steps of linear warm-up, in addition to those of `warmup_epochs`.
    pub warmup_steps: u64,
    /// Epochs of linear warm-up.
    pub warmup_epochs: u64,
}

/// Where a run stands, as far as the learning rate asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Epoch, counted from 0.
    pub epoch: u64,
    /// Optimiser step of the run, counted from 0.
    pub step: u64,
    /// Optimiser steps of an epoch.
    pub steps_per_epoch: u64,
    /// Reductions made so far by the plateau schedule.
    pub reductions: u64,
}

impl LearningRate {
    /// The same rate at every step.
    pub fn constant(initial: f64) -> Self {
        Self { initial, schedule: Schedule::Constant, warmup_steps: 0, warmup_epochs: 0 }
    }

    /// `initial * factor^e` in epoch `e`.
    pub fn exponential(initial: f64, factor: f64) -> Self {
        Self { schedule: Schedule::Exponential { factor }, ..Self::constant(initial) }
    }

    /// The rate of one step.
    pub fn at(&self, moment: Moment) -> f64 {
        let Moment { epoch, step, steps_per_epoch, reductions } = moment;
        let power = |factor: f64, count: u64| factor.powi(i32::try_from(count).unwrap_or(i32::MAX));
        let warmup = self.warmup_steps + self.warmup_epochs * steps_per_epoch;
        let rate = match self.schedule {
            Schedule::Constant => self.initial,
            Schedule::Exponential { factor } => self.initial * power(factor, epoch),
            Schedule::Cosine { floor, epochs } => {
                let length = (epochs * steps_per_epoch).saturating_sub(warmup).max(1) as f64;
                let part = (step.saturating_sub(warmup) as f64 / length).min(1.0);
                floor + 0.5 * (self.initial - floor) * (1.0 + libm::cos(std::f64::consts::PI * part))
            }
            Schedule::Plateau { factor, floor, .. } => {
                (self.initial * power(factor, reductions)).max(floor.min(self.initial))
            }
        };
        if step < warmup { rate * ((step + 1) as f64 / warmup as f64) } else { rate }
    }

    /// Takes one validation loss into account; whether the rate was reduced.
    pub(crate) fn observe(&self, plateau: &mut Plateau, loss: f64, epoch: u64) -> bool {
        let Schedule::Plateau { patience, threshold, .. } = self.schedule else { return false };
        plateau.waiting.observe(loss, epoch, |best| best - threshold * best.abs());
        let reduce = plateau.waiting.since >= patience.max(1);
        if reduce {
            plateau.reductions += 1;
            plateau.waiting.since = 0;
        }
        reduce
    }
}

/// What the plateau schedule remembers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plateau {
    /// Best loss and how long ago it was.
    pub waiting: Patience,
    /// Reductions so far.
    pub reductions: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(rate: &LearningRate, step: u64) -> f64 {
        rate.at(Moment { epoch: step / 10, step, steps_per_epoch: 10, reductions: 0 })
    }

    #[test]
    fn exponential_decays_once_per_epoch_from_the_second_on() {
        let rate = LearningRate::exponential(0.005, 0.999);
        assert_eq!(at(&rate, 9).to_bits(), 0.005f64.to_bits());
        assert_eq!(at(&rate, 2999).to_bits(), (0.005 * 0.999f64.powi(299)).to_bits());
    }

    #[test]
    fn warm_up_rises_in_equal_parts_in_front_of_any_schedule() {
        let constant = LearningRate { warmup_steps: 4, ..LearningRate::constant(0.8) };
        let rates: Vec<f64> = (0..6).map(|step| at(&constant, step)).collect();
        assert_eq!(rates, [0.2, 0.4, 0.6000000000000001, 0.8, 0.8, 0.8]);
        let exponential = LearningRate { warmup_epochs: 2, ..LearningRate::exponential(1.0, 0.5) };
        assert_eq!([0, 9, 10, 20].map(|s| at(&exponential, s)), [0.05, 0.5, 0.275, 0.25]);
    }

    #[test]
    fn cosine_goes_from_the_initial_rate_to_the_floor_and_stays_there() {
        let schedule = Schedule::Cosine { floor: 0.1, epochs: 10 };
        let rate = LearningRate { schedule, warmup_steps: 20, ..LearningRate::constant(1.1) };
        assert!((at(&rate, 19) - 1.1).abs() < 1e-15);
        assert!((at(&rate, 20) - 1.1).abs() < 1e-15);
        assert!((at(&rate, 60) - 0.6).abs() < 1e-15, "half way");
        assert!((at(&rate, 40) - (0.6 + 0.5 * f64::sqrt(0.5))).abs() < 1e-15);
        assert!((at(&rate, 100) - 0.1).abs() < 1e-15 && (at(&rate, 5000) - 0.1).abs() < 1e-15);
        assert!((20..99).all(|step| at(&rate, step) > at(&rate, step + 1)));
    }

    #[test]
    fn a_plateau_reduces_the_rate_and_an_improvement_waits_anew() {
        let schedule = Schedule::Plateau { factor: 0.5, patience: 2, threshold: 0.1, floor: 0.2 };
        let rate = LearningRate { schedule, ..LearningRate::constant(1.0) };
        let mut plateau = Plateau::default();
        let losses = [10.0, 9.5, 8.0, 7.9, 7.5, 7.3, 7.21, 7.0, 7.0, 7.0, 7.0];
        let reduced: Vec<bool> =
            (1..).zip(losses).map(|(epoch, loss)| rate.observe(&mut plateau, loss, epoch)).collect();
        // 9.5 is no fall by a tenth; 8.0 is; 7.9 and 7.5 are none, so the rate falls; and so on.
        let expected = [false, false, false, false, true, false, true, false, false, true, false];
        assert_eq!(reduced, expected);
        let of = |reductions| rate.at(Moment { epoch: 0, step: 0, steps_per_epoch: 1, reductions });
        assert_eq!([0, 1, 2, 3, 9].map(of), [1.0, 0.5, 0.25, 0.2, 0.2]);
    }

    #[test]
    fn names_are_read_and_unknown_fields_refused() {
        let read = |text: &str| serde_json::from_str::<Schedule>(text);
        assert_eq!(
            read(r#"{"name": "exponential", "factor": 0.5}"#).unwrap(),
            Schedule::Exponential { factor: 0.5 }
        );
        assert_eq!(read(r#"{"name": "constant"}"#).unwrap(), Schedule::Constant);
        assert!(read(r#"{"name": "cosine", "floor": 0.1, "epochs": 3, "cycles": 2}"#).is_err());
        assert!(read(r#"{"name": "linear"}"#).unwrap_err().to_string().contains("cosine"));
    }
}
