//! What every training run shows on standard error: a bar or lines, and `loss.svg`.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Instant;

use equidrift::Error;
use equidrift_train::{EpochReport, StepReport, read_log};
use indicatif::ProgressBar;

use super::loss_curve;
use crate::exit::Failure;
use crate::progress;

/// Seconds from one change of the figures beside the bar to the next.
const REFRESH: f64 = 0.5;

/// Seconds from one line to the next, where there is no terminal and epochs are long.
const REPORT: f64 = 60.0;

/// The display of a run.
pub(super) struct Display {
    output: PathBuf,
    plot: bool,
    name: String,
    epochs: u64,
    bar: ProgressBar,
    terminal: bool,
    started: Instant,
    epochs_before: u64,
    last: Option<EpochReport>,
    meter: Meter,
}

/// Examples a second and means of the losses since figures were last shown.
struct Meter {
    every: f64,
    since: Instant,
    steps: u32,
    examples: u64,
    losses: Vec<f64>,
    noun: &'static str,
}

impl Meter {
    /// One whose figures are due every so many seconds.
    fn new(every: f64, noun: &'static str) -> Self {
        Self { every, since: Instant::now(), steps: 0, examples: 0, losses: Vec::new(), noun }
    }

    /// Counts from here.
    fn restart(&mut self) {
        *self = Self::new(self.every, self.noun);
    }

    /// Counts a step; the figures when they are due.
    fn count(&mut self, report: &StepReport) -> Option<String> {
        self.steps += 1;
        self.examples += report.examples;
        self.losses.resize(report.losses.len(), 0.0);
        self.losses.iter_mut().zip(&report.losses).for_each(|(sum, loss)| *sum += loss);
        let seconds = self.since.elapsed().as_secs_f64();
        if seconds < self.every {
            return None;
        }
        let losses: Vec<String> =
            self.losses.iter().map(|sum| format!("{:.3}", sum / f64::from(self.steps))).collect();
        let line = format!(
            "losses {}, rate {}, {:.0} {}/s",
            losses.join(" "),
            rate(report.learning_rate),
            self.examples as f64 / seconds,
            self.noun
        );
        self.restart();
        Some(line)
    }
}

/// A learning rate in few digits.
fn rate(rate: f64) -> String {
    if rate < 1e-3 { format!("{rate:.2e}") } else { format!("{rate:.4}") }
}

/// Figures by name.
fn figures(values: &BTreeMap<String, f64>) -> String {
    values.iter().map(|(name, value)| format!("{name} {value:.4}")).collect::<Vec<_>>().join(", ")
}

impl Display {
    /// Of a run of `epochs` epochs over `noun` in folder `output`.
    pub(super) fn new(output: PathBuf, name: String, plot: bool, epochs: u64, noun: &'static str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            output,
            plot,
            name,
            epochs,
            bar: ProgressBar::hidden(),
            terminal,
            started: Instant::now(),
            epochs_before: 0,
            last: None,
            meter: Meter::new(if terminal { REFRESH } else { REPORT }, noun),
        }
    }

    /// The last epoch of this process.
    pub(super) fn last(&self) -> Option<&EpochReport> {
        self.last.as_ref()
    }

    /// What is trained on.
    pub(super) fn noun(&self) -> &'static str {
        self.meter.noun
    }

    pub(super) fn set_noun(&mut self, noun: &'static str) {
        self.meter.noun = noun;
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Draws the curves of the run, if they are wanted and there are any.
    pub(super) fn draw(&self) -> Result<(), Failure> {
        let log = self.output.join("log.jsonl");
        if self.plot && log.exists() {
            let reports = read_log(&log).map_err(Error::from)?;
            if !reports.is_empty() {
                loss_curve::write(&self.output.join("loss.svg"), &[(self.name.clone(), reports)])?;
            }
        }
        Ok(())
    }

    /// A line above the bar, or without one where there is none.
    fn note(&self, line: &str) {
        if self.terminal { self.bar.suspend(|| progress::note(line)) } else { progress::note(line) }
    }

    /// That `epochs` epochs of an earlier process are to be continued.
    pub(super) fn tell_continued(epochs: u64) {
        if epochs > 0 {
            progress::note(&format!("continuing after epoch {epochs}"));
        }
    }

    /// Training begins, after `epochs` epochs that are done already.
    pub(super) fn begin(&mut self, epochs: u64, steps_per_epoch: u64) {
        self.bar = progress::training(self.epochs * steps_per_epoch);
        self.bar.set_position(epochs * steps_per_epoch);
        self.bar.reset_eta();
        self.started = Instant::now();
        self.epochs_before = epochs;
        self.meter.restart();
    }

    pub(super) fn step(&mut self, report: &StepReport) {
        let StepReport { epoch, step, steps_per_epoch, .. } = *report;
        self.bar.set_position((epoch - 1) * steps_per_epoch + step);
        let Some(figures) = self.meter.count(report) else { return };
        if self.terminal {
            self.bar.set_message(format!("| epoch {epoch}, {figures}"));
        } else {
            let epochs = self.epochs;
            progress::note(&format!("epoch {epoch}/{epochs}, step {step}/{steps_per_epoch}: {figures}"));
        }
    }

    pub(super) fn sampling(&mut self, samples: u64) {
        self.bar.set_message(format!("| drawing {samples} samples"));
    }

    pub(super) fn epoch(&mut self, report: &EpochReport, kept: bool) {
        let epochs = self.epochs;
        if !self.terminal {
            let done = report.epoch.saturating_sub(self.epochs_before).max(1);
            let per_epoch = self.started.elapsed().as_secs_f64() / done as f64;
            let left = per_epoch * epochs.saturating_sub(report.epoch) as f64;
            let validation = report.validation.as_ref().map_or(String::new(), |validation| {
                let best = if validation.best { " (best)" } else { "" };
                format!(
                    "validation {}, averaged {}{best}, ",
                    figures(&validation.raw),
                    figures(&validation.average)
                )
            });
            progress::note(&format!(
                "epoch {}/{epochs}: losses {}, {validation}rate {}, {:.1} s, {:.0} min left",
                report.epoch,
                figures(&report.losses),
                rate(report.learning_rate),
                report.seconds,
                left / 60.0
            ));
        }
        if !report.metrics.is_empty() {
            self.note(&format!("epoch {}/{epochs}: samples {}", report.epoch, figures(&report.metrics)));
        }
        self.last = Some(report.clone());
        self.meter.restart();
        if kept && let Err(failure) = self.draw() {
            // A picture is no reason to lose a training.
            self.note(&format!("warning: no loss.svg: {}", failure.text()));
        }
    }
}
