//! The training loop.
//!
//! Per step: the objective's losses and gradient for the next examples of the epoch's permutation, in one batch or in
//! several that are accumulated; per optimiser group the global norm of its gradient, clipping, one Adam step; then one
//! update of the moving average. The last step of an epoch has fewer examples where their number is not a multiple. At
//! the end of an epoch, validation and the observer's measurements. Parameters, gradients and moments live on the host: they are
//! small beside the activations, and no engine has to know about optimisers.

use std::collections::BTreeMap;
use std::time::Instant;

use equidrift_backend::weights::ParameterSet;

use crate::accumulation::Accumulation;
use crate::checkpoint::{EpochSums, TrainingState};
use crate::clip;
use crate::config::{Group, TrainerConfig};
use crate::error::TrainError;
use crate::objective::{Evaluation, Objective};
use crate::observer::{Observer, StepReport};
use crate::order::shuffled;
use crate::run_folder::{EpochReport, RunFolder};
use crate::save_clock::SaveClock;
use crate::schedule::Moment;
use crate::validation::{ValidationReport, mean_losses};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All epochs are done.
    Finished,
    /// The validation loss has not improved for as long as the run was to wait.
    Converged,
    /// It was asked to stop; the checkpoint holds the last step.
    Stopped,
}

/// What a run works with beside its objective.
pub struct Session<'a> {
    /// Where checkpoints and the log go.
    pub folder: Option<&'a RunFolder>,
    /// The objective over the held-out examples.
    pub validation: Option<&'a mut dyn Objective>,
    /// Who watches.
    pub observer: &'a mut dyn Observer,
    /// Asked before every batch; when it answers true, the run ends.
    pub stop: &'a dyn Fn() -> bool,
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

    /// [`Trainer::run_session`] without held-out examples.
    ///
    /// # Errors
    /// As [`Trainer::run_session`].
    pub fn run(
        &mut self,
        objective: &mut dyn Objective,
        folder: Option<&RunFolder>,
        observer: &mut dyn Observer,
        stop: &dyn Fn() -> bool,
    ) -> Result<Ending, TrainError> {
        self.run_session(objective, Session { folder, validation: None, observer, stop })
    }

    /// Runs until all epochs are done, the validation loss has stopped falling, or `stop` returns true. With a folder,
    /// every epoch is logged, and checkpoints are written as its intervals say, for the epochs to be kept, and at the end.
    ///
    /// # Errors
    /// [`TrainError::NotFinite`] when a loss or gradient is no number (the state is then that before the step),
    /// [`TrainError::NoExamples`], [`TrainError::NoValidation`], and whatever the objective, the folder or the observer
    /// report.
    pub fn run_session(
        &mut self,
        objective: &mut dyn Objective,
        mut session: Session<'_>,
    ) -> Result<Ending, TrainError> {
        if objective.examples() == 0 {
            return Err(TrainError::NoExamples);
        }
        session.validation = session.validation.take().filter(|held_out| held_out.examples() > 0);
        if let (None, Some((key, value))) = (&session.validation, self.config.needs_validation()) {
            return Err(TrainError::NoValidation { key, value });
        }
        let mut clock = SaveClock::new(session.folder);
        while self.state.progress.epochs < self.config.epochs {
            if self.has_converged() {
                clock.finish(&self.state)?;
                return Ok(Ending::Converged);
            }
            let finished = self.steps_of_epoch(objective, &mut session, &mut clock)?
                && self.end_of_epoch(objective.losses(), &mut session, &mut clock)?;
            if !finished {
                clock.finish(&self.state)?;
                return Ok(Ending::Stopped);
            }
        }
        clock.finish(&self.state)?;
        Ok(if self.has_converged() { Ending::Converged } else { Ending::Finished })
    }

    fn has_converged(&self) -> bool {
        let patience = self.config.validation.patience;
        patience > 0 && self.state.progress.validation.waiting.since >= patience
    }

    /// The rest of the epoch's steps; false where the run is to stop.
    fn steps_of_epoch(
        &mut self,
        objective: &mut dyn Objective,
        session: &mut Session<'_>,
        clock: &mut SaveClock<'_>,
    ) -> Result<bool, TrainError> {
        let order = shuffled(objective.examples(), self.config.seed, self.state.progress.epochs);
        let done = self.state.progress.partial.steps as usize;
        for examples in order.chunks(self.config.examples_per_step()).skip(done) {
            if (session.stop)() {
                return Ok(false);
            }
            let Some(report) = self.try_step(objective, examples, session.stop)? else { return Ok(false) };
            session.observer.step(&report);
            clock.after_step(&self.state)?;
        }
        Ok(true)
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
        match self.try_step(objective, examples, &|| false)? {
            Some(report) => Ok(report),
            None => unreachable!("it was not asked to stop"),
        }
    }

    /// One optimiser step; `None`, and nothing changed, where `stop` answered true between two batches.
    fn try_step(
        &mut self,
        objective: &mut dyn Objective,
        examples: &[usize],
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<StepReport>, TrainError> {
        let start = Instant::now();
        let epoch = self.state.progress.epochs;
        let step = self.state.progress.partial.steps + 1;
        let Some(evaluation) = self.evaluate(objective, examples, stop)? else { return Ok(None) };
        let finite = |quantity: String, value: f64| not_finite(epoch + 1, step, quantity, value);
        for (name, &loss) in objective.losses().iter().zip(&evaluation.losses) {
            finite(format!("the loss of {name}"), loss)?;
        }
        let norms: Vec<f64> =
            self.groups.iter().map(|group| clip::global_norm(&evaluation.gradient, group.prefix)).collect();
        for (group, &norm) in self.groups.iter().zip(&norms) {
            finite(format!("the gradient norm of {}", group.name), norm)?;
        }

        let steps_per_epoch = objective.examples().div_ceil(self.config.examples_per_step()) as u64;
        let state = &mut self.state;
        let learning_rate = self.config.learning_rate.at(Moment {
            epoch,
            step: state.progress.steps,
            steps_per_epoch,
            reductions: state.progress.validation.plateau.reductions,
        });
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
        partial.learning_rate = learning_rate;
        partial.seconds += start.elapsed().as_secs_f64();
        Ok(Some(StepReport {
            epoch: epoch + 1,
            step,
            steps_per_epoch,
            examples: examples.len() as u64,
            losses: evaluation.losses,
            gradient_norms: norms,
            learning_rate,
        }))
    }

    /// Losses and gradient of these examples, in one evaluation where they fit into one batch.
    fn evaluate(
        &self,
        objective: &mut dyn Objective,
        examples: &[usize],
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Evaluation>, TrainError> {
        let (parameters, epoch) = (&self.state.parameters, self.state.progress.epochs);
        if self.config.accumulate <= 1 || examples.len() <= self.config.batch {
            return objective.evaluate(parameters, examples, epoch).map(Some);
        }
        let mut accumulation = Accumulation::default();
        for (index, batch) in examples.chunks(self.config.batch).enumerate() {
            if index > 0 && stop() {
                return Ok(None);
            }
            let evaluation = objective.evaluate(parameters, batch, epoch)?;
            accumulation.add(evaluation, batch.len() as f64 / examples.len() as f64)?;
        }
        Ok(Some(accumulation.finish()))
    }

    /// Validates, measures, logs and saves; false, and the epoch not counted as done, where the run is to stop.
    fn end_of_epoch(
        &mut self,
        names: &[&'static str],
        session: &mut Session<'_>,
        clock: &mut SaveClock<'_>,
    ) -> Result<bool, TrainError> {
        let epoch = self.state.progress.epochs + 1;
        let due = epoch.is_multiple_of(self.config.validation.every);
        let mut losses = None;
        if let Some(held_out) = session.validation.as_deref_mut().filter(|_| due) {
            losses = self.validate(epoch, held_out, session.stop)?;
            if losses.is_none() {
                return Ok(false);
            }
        }
        let Some(mut metrics) = session.observer.measure(epoch, &self.state)? else { return Ok(false) };
        metrics.retain(|_, figure| figure.is_finite()); // the log's format knows no other numbers
        // Nothing can stop the epoch from here on.
        let validation = losses.map(|losses| self.judge(epoch, losses));
        let best = validation.as_ref().is_some_and(|report| report.best);
        let report = EpochReport { validation, metrics, ..self.finish_epoch(names) };
        if let Some(folder) = session.folder {
            folder.append(&report)?;
        }
        clock.after_epoch(&self.state, best)?;
        session.observer.epoch(&report, &self.state)?;
        Ok(true)
    }

    /// The held-out losses with the weights of the last step and with their average.
    fn validate(
        &self,
        epoch: u64,
        held_out: &mut dyn Objective,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<ValidationReport>, TrainError> {
        let average = self.state.average.parameters(&self.state.parameters);
        let mut of = |parameters: &ParameterSet| {
            mean_losses(held_out, parameters, self.config.batch, self.config.validation.draws, stop)
        };
        let (Some(raw), Some(average)) = (of(&self.state.parameters)?, of(&average)?) else {
            return Ok(None);
        };
        for (name, &loss) in raw.iter().chain(&average) {
            not_finite(
                epoch,
                self.state.progress.partial.steps,
                format!("the validation loss of {name}"),
                loss,
            )?;
        }
        Ok(Some(ValidationReport { raw, average, best: false }))
    }

    /// Compares a validation with those before.
    fn judge(&mut self, epoch: u64, report: ValidationReport) -> ValidationReport {
        let config = &self.config.validation;
        let loss = report.total(config.judged);
        let state = &mut self.state.progress.validation;
        let best = state.best.observe(loss, epoch, |best| best);
        state.waiting.observe(loss, epoch, |best| best - config.min_delta);
        self.config.learning_rate.observe(&mut state.plateau, loss, epoch);
        ValidationReport { best, ..report }
    }

    /// Turns the sums of the epoch into means and counts the epoch as done.
    fn finish_epoch(&mut self, names: &[&'static str]) -> EpochReport {
        let sums = std::mem::take(&mut self.state.progress.partial);
        self.state.progress.epochs += 1;
        let EpochSums { examples, steps, losses, gradient_norms, learning_rate, seconds } = sums;
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
            validation: None,
            metrics: BTreeMap::new(),
        }
    }
}

fn not_finite(epoch: u64, step: u64, quantity: String, value: f64) -> Result<(), TrainError> {
    if value.is_finite() { Ok(()) } else { Err(TrainError::NotFinite { epoch, step, quantity, value }) }
}
