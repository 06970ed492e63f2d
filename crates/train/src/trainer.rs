//! The training loop.
//!
//! Per step: the objective's losses and gradient for the next `batch` examples of the epoch's permutation; per
//! optimiser group the global norm of its gradient, clipping, one Adam step; then one update of the moving average.
//! The last batch of an epoch is smaller where the batch size does not divide the number of examples. Parameters,
//! gradients and moments live on the host: they are small beside the activations, and no engine has to know about
//! optimisers.

use std::collections::BTreeMap;
use std::time::Instant;

use equidrift_backend::weights::ParameterSet;
use serde::{Deserialize, Serialize};

use crate::adam::AdamConfig;
use crate::checkpoint::{EpochSums, TrainingState};
use crate::clip;
use crate::error::TrainError;
use crate::objective::Objective;
use crate::order::shuffled;
use crate::run_folder::{EpochReport, RunFolder};
use crate::schedule::LearningRate;

/// Settings of the loop and the optimiser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainerConfig {
    /// Passes over the training set.
    pub epochs: u64,
    /// Examples per step.
    pub batch: usize,
    /// Learning rate.
    pub learning_rate: LearningRate,
    /// Constants of Adam, weight decay among them.
    pub adam: AdamConfig,
    /// Largest gradient norm of each group.
    pub clip_norm: f64,
    /// Decay of the moving average.
    pub average_decay: f64,
    /// Seed of the order of the examples.
    pub seed: u64,
}

impl TrainerConfig {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`TrainError::Setting`] naming the first setting that is out of range.
    pub fn validate(&self) -> Result<(), TrainError> {
        let positive = |key, value: f64| {
            if value > 0.0 && value.is_finite() {
                Ok(())
            } else {
                Err(TrainError::Setting {
                    key,
                    value: value.to_string(),
                    expected: "must be a positive number",
                })
            }
        };
        positive("epochs", self.epochs as f64)?;
        positive("batch", self.batch as f64)?;
        positive("learning rate", self.learning_rate.initial)?;
        positive("learning rate decay", self.learning_rate.factor)?;
        positive("gradient norm", self.clip_norm)?;
        positive("Adam epsilon", self.adam.epsilon)?;
        let fraction = |key, value: f64| {
            if (0.0..1.0).contains(&value) {
                Ok(())
            } else {
                Err(TrainError::Setting { key, value: value.to_string(), expected: "must be in [0, 1)" })
            }
        };
        fraction("moving average decay", self.average_decay)?;
        fraction("Adam beta1", self.adam.beta1)?;
        fraction("Adam beta2", self.adam.beta2)?;
        fraction("weight decay", self.adam.weight_decay)
    }
}

/// Parameters that are clipped together: those whose names start with `prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Name in logs.
    pub name: &'static str,
    /// Start of the parameters' names, e.g. `"x."`.
    pub prefix: &'static str,
}

/// What one step did.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// Epoch, counted from 1.
    pub epoch: u64,
    /// Step inside the epoch, counted from 1.
    pub step: u64,
    /// Steps of an epoch.
    pub steps_per_epoch: u64,
    /// The losses before the update, in the objective's order.
    pub losses: Vec<f64>,
    /// Each group's gradient norm before clipping.
    pub gradient_norms: Vec<f64>,
}

/// Watches a run.
pub trait Observer {
    /// After each optimiser step.
    fn step(&mut self, report: &StepReport) {
        let _ = report;
    }

    /// After each epoch, once its checkpoint is on disk.
    ///
    /// # Errors
    /// An error ends the run.
    fn epoch(&mut self, report: &EpochReport, state: &TrainingState) -> Result<(), TrainError> {
        let _ = (report, state);
        Ok(())
    }
}

/// An observer that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All epochs are done.
    Finished,
    /// It was asked to stop; the checkpoint holds the last step.
    Stopped,
}

/// The loop with its state.
#[derive(Debug, Clone)]
pub struct Trainer {
    config: TrainerConfig,
    groups: Vec<Group>,
    state: TrainingState,
}

impl Trainer {
    /// A run from `parameters`.
    ///
    /// # Errors
    /// Settings out of range; a parameter that belongs to no group.
    pub fn new(
        config: TrainerConfig,
        groups: Vec<Group>,
        parameters: ParameterSet,
    ) -> Result<Self, TrainError> {
        let state = TrainingState::new(parameters, config.adam, config.average_decay);
        Self::resume(config, groups, state)
    }

    /// A run that goes on from `state`.
    ///
    /// # Errors
    /// As [`Trainer::new`].
    pub fn resume(
        config: TrainerConfig,
        groups: Vec<Group>,
        state: TrainingState,
    ) -> Result<Self, TrainError> {
        config.validate()?;
        let grouped = |name: &String| groups.iter().any(|group| name.starts_with(group.prefix));
        if let Some(name) = state.parameters.keys().find(|name| !grouped(name)) {
            let prefixes = groups.iter().map(|group| group.prefix.to_owned()).collect();
            return Err(TrainError::NoGroup { name: name.clone(), prefixes });
        }
        Ok(Self { config, groups, state })
    }

    /// Weights, moments, averages and counters.
    pub fn state(&self) -> &TrainingState {
        &self.state
    }

    /// Runs until all epochs are done or `stop` returns true, which is asked after every step. With a `folder`, the
    /// log and a checkpoint are written after each epoch, and a checkpoint when stopped.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] when a loss or gradient is no number (the state is then that before the step), and
    /// whatever the objective, the folder or the observer report.
    pub fn run(
        &mut self,
        objective: &mut dyn Objective,
        folder: Option<&RunFolder>,
        observer: &mut dyn Observer,
        stop: &dyn Fn() -> bool,
    ) -> Result<Ending, TrainError> {
        if objective.examples() == 0 {
            return Err(TrainError::NoExamples);
        }
        let steps_per_epoch = objective.examples().div_ceil(self.config.batch);
        while self.state.progress.epochs < self.config.epochs {
            let epoch = self.state.progress.epochs;
            let order = shuffled(objective.examples(), self.config.seed, epoch);
            let done = self.state.progress.partial.steps as usize;
            for examples in order.chunks(self.config.batch).skip(done) {
                if stop() {
                    if let Some(folder) = folder {
                        folder.save(&self.state)?;
                    }
                    return Ok(Ending::Stopped);
                }
                let mut report = self.step(objective, examples)?;
                report.steps_per_epoch = steps_per_epoch as u64;
                observer.step(&report);
            }
            let report = self.finish_epoch(objective.losses());
            if let Some(folder) = folder {
                folder.append(&report)?;
                folder.save(&self.state)?;
            }
            observer.epoch(&report, &self.state)?;
        }
        Ok(Ending::Finished)
    }

    /// One optimiser step on these examples.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    pub fn step(
        &mut self,
        objective: &mut dyn Objective,
        examples: &[usize],
    ) -> Result<StepReport, TrainError> {
        let start = Instant::now();
        let epoch = self.state.progress.epochs;
        let step = self.state.progress.partial.steps + 1;
        let evaluation = objective.evaluate(&self.state.parameters, examples, epoch)?;
        let finite = |quantity: String, value: f64| {
            if value.is_finite() {
                Ok(())
            } else {
                Err(TrainError::NotFinite { epoch: epoch + 1, step, quantity, value })
            }
        };
        for (name, &loss) in objective.losses().iter().zip(&evaluation.losses) {
            finite(format!("the loss of {name}"), loss)?;
        }
        let norms: Vec<f64> =
            self.groups.iter().map(|group| clip::global_norm(&evaluation.gradient, group.prefix)).collect();
        for (group, &norm) in self.groups.iter().zip(&norms) {
            finite(format!("the gradient norm of {}", group.name), norm)?;
        }

        let state = &mut self.state;
        let learning_rate = self.config.learning_rate.at(epoch);
        for (group, &norm) in self.groups.iter().zip(&norms) {
            let coefficient = clip::coefficient(norm, self.config.clip_norm);
            state.adam.step(
                &mut state.parameters,
                &evaluation.gradient,
                group.prefix,
                coefficient,
                learning_rate,
            )?;
        }
        state.average.update(&state.parameters);

        state.progress.steps += 1;
        let partial = &mut state.progress.partial;
        partial.steps = step;
        partial.examples += examples.len() as u64;
        partial.losses.resize(evaluation.losses.len(), 0.0);
        for (sum, loss) in partial.losses.iter_mut().zip(&evaluation.losses) {
            *sum += loss * examples.len() as f64;
        }
        partial.gradient_norms.resize(norms.len(), 0.0);
        for (sum, norm) in partial.gradient_norms.iter_mut().zip(&norms) {
            *sum += norm;
        }
        partial.seconds += start.elapsed().as_secs_f64();
        Ok(StepReport {
            epoch: epoch + 1,
            step,
            steps_per_epoch: 0,
            losses: evaluation.losses,
            gradient_norms: norms,
        })
    }

    /// Turns the sums of the epoch into means and counts the epoch as done.
    fn finish_epoch(&mut self, names: &[&'static str]) -> EpochReport {
        let sums = std::mem::take(&mut self.state.progress.partial);
        let learning_rate = self.config.learning_rate.at(self.state.progress.epochs);
        self.state.progress.epochs += 1;
        let EpochSums { examples, steps, losses, gradient_norms, seconds } = sums;
        let means = |names: &mut dyn Iterator<Item = &'static str>, sums: Vec<f64>, count: u64| {
            names
                .zip(sums)
                .map(|(name, sum)| (name.to_owned(), sum / count.max(1) as f64))
                .collect::<BTreeMap<_, _>>()
        };
        EpochReport {
            epoch: self.state.progress.epochs,
            steps: self.state.progress.steps,
            losses: means(&mut names.iter().copied(), losses, examples),
            gradient_norms: means(&mut self.groups.iter().map(|group| group.name), gradient_norms, steps),
            learning_rate,
            seconds,
        }
    }
}
