//! What people see of a training run: standard error, `training.toml` and `loss.svg`.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Instant;

use equidrift::Error;
use equidrift::training::{MoleculeSet, TrainRequest, TrainingWatcher};
use equidrift_backend::atomic::write_atomically;
use equidrift_train::{EpochReport, StepReport, read_log};
use indicatif::ProgressBar;

use super::loss_curve;
use crate::exit::Failure;
use crate::progress;

/// Bad lines shown one by one before they are only counted.
const SHOWN_LINES: usize = 10;

/// Seconds from one change of the figures beside the bar to the next.
const REFRESH: f64 = 0.5;

/// Seconds from one line to the next, where there is no terminal and epochs are long.
const REPORT: f64 = 60.0;

/// Shows what happens on standard error, and records the settings.
pub(super) struct Watcher<'a> {
    request: &'a TrainRequest,
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
}

impl Meter {
    /// One whose figures are due every so many seconds.
    fn new(every: f64) -> Self {
        Self { every, since: Instant::now(), steps: 0, examples: 0, losses: Vec::new() }
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
            "losses {}, rate {}, {:.0} molecules/s",
            losses.join(" "),
            rate(report.learning_rate),
            self.examples as f64 / seconds
        );
        *self = Self::new(self.every);
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

impl<'a> Watcher<'a> {
    pub(super) fn new(request: &'a TrainRequest) -> Self {
        progress::note(&format!("reading {}", request.data.display()));
        let terminal = std::io::stderr().is_terminal();
        Self {
            request,
            bar: ProgressBar::hidden(),
            terminal,
            started: Instant::now(),
            epochs_before: 0,
            last: None,
            meter: Meter::new(if terminal { REFRESH } else { REPORT }),
        }
    }

    /// The last epoch of this process.
    pub(super) fn last(&self) -> Option<&EpochReport> {
        self.last.as_ref()
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Draws the curves of the run, if they are wanted and there are any.
    pub(super) fn draw(&self) -> Result<(), Failure> {
        let folder = &self.request.output;
        if self.request.settings.plot && folder.join("log.jsonl").exists() {
            let reports = read_log(&folder.join("log.jsonl")).map_err(Error::from)?;
            if !reports.is_empty() {
                let name = self.request.settings.name.clone();
                loss_curve::write(&folder.join("loss.svg"), &[(name, reports)])?;
            }
        }
        Ok(())
    }

    /// A line above the bar, or without one where there is none.
    fn note(&self, line: &str) {
        if self.terminal { self.bar.suspend(|| progress::note(line)) } else { progress::note(line) }
    }

    /// Writes `training.toml`: the settings in force and what was found in the data.
    fn record(&self, data: &MoleculeSet) -> Result<(), Error> {
        let path = self.request.output.join("training.toml");
        let write = |source| Error::Write { path: path.clone(), source };
        let settings =
            toml::to_string(&self.request.settings).map_err(|error| write(std::io::Error::other(error)))?;
        let mut found = toml::Table::new();
        let mut insert = |key: &str, value: toml::Value| found.insert(key.to_owned(), value);
        insert("file", self.request.data.display().to_string().into());
        if let Some(rows) = &self.request.test_rows {
            insert("test_rows_file", rows.display().to_string().into());
        }
        insert("sha256", data.sha256.clone().into());
        insert("molecules_read", count(data.molecules));
        insert("molecules_trained_on", count(data.graphs.len() as u64));
        if let Some(held_out) = &data.held_out {
            insert("molecules_held_out", count(held_out.graphs.len() as u64));
            insert("held_out_too_large", count(held_out.too_large));
            insert("held_out_unusable", count(held_out.unusable));
        }
        insert("test_rows", count(data.test_rows));
        insert("bad_lines", count(data.bad_lines.len() as u64));
        insert("unknown_atoms", count(data.unknown_atoms));
        insert(
            "vocabulary",
            data.vocabulary.iter().map(|e| e.symbol().to_owned()).collect::<Vec<_>>().into(),
        );
        insert("max_nodes", count(data.graphs.nodes() as u64));
        let found = toml::to_string(&toml::Table::from_iter([("data".to_owned(), found.into())]))
            .map_err(|error| write(std::io::Error::other(error)))?;
        write_atomically(&path, |file| write!(file, "{settings}\n{found}")).map_err(write)
    }
}

fn count(number: u64) -> toml::Value {
    toml::Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

impl TrainingWatcher for Watcher<'_> {
    fn begin(&mut self, data: &MoleculeSet, epochs: u64) -> Result<(), Error> {
        for bad in data.bad_lines.iter().take(SHOWN_LINES) {
            progress::note(&format!("{}:{}: {}", self.request.data.display(), bad.line, bad.reason));
        }
        if data.bad_lines.len() > SHOWN_LINES {
            progress::note(&format!("... and {} more bad lines", data.bad_lines.len() - SHOWN_LINES));
        }
        let symbols: Vec<_> = data.vocabulary.iter().map(|element| element.symbol()).collect();
        progress::note(&format!(
            "training on {} of {} molecules ({} test rows, {} with other atoms, {} bad lines left out), atoms {}, at \
             most {} heavy atoms",
            data.graphs.len(),
            data.molecules,
            data.test_rows,
            data.unknown_atoms,
            data.bad_lines.len(),
            symbols.join(" "),
            data.graphs.nodes()
        ));
        if let Some(held_out) = &data.held_out {
            progress::note(&format!(
                "validating with {} molecules ({} larger ones and {} with other atoms or on bad lines left out)",
                held_out.graphs.len(),
                held_out.too_large,
                held_out.unusable
            ));
        }
        if epochs > 0 {
            progress::note(&format!("continuing after epoch {epochs}"));
        }
        self.record(data)?;
        let settings = &self.request.settings;
        let steps = data.graphs.len().div_ceil(settings.trainer().examples_per_step()) as u64;
        self.bar = progress::training(settings.epochs * steps);
        self.bar.set_position(epochs * steps);
        self.bar.reset_eta();
        self.started = Instant::now();
        self.epochs_before = epochs;
        self.meter = Meter::new(self.meter.every);
        Ok(())
    }

    fn step(&mut self, report: &StepReport) {
        let StepReport { epoch, step, steps_per_epoch, .. } = *report;
        self.bar.set_position((epoch - 1) * steps_per_epoch + step);
        let Some(figures) = self.meter.count(report) else { return };
        if self.terminal {
            self.bar.set_message(format!("| epoch {epoch}, {figures}"));
        } else {
            let epochs = self.request.settings.epochs;
            progress::note(&format!("epoch {epoch}/{epochs}, step {step}/{steps_per_epoch}: {figures}"));
        }
    }

    fn sampling(&mut self, samples: u64) {
        self.bar.set_message(format!("| drawing {samples} samples"));
    }

    fn epoch(&mut self, report: &EpochReport, kept: bool) -> Result<(), Error> {
        let epochs = self.request.settings.epochs;
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
        self.meter = Meter::new(self.meter.every);
        if kept && let Err(failure) = self.draw() {
            // A picture is no reason to lose a training.
            self.note(&format!("warning: no loss.svg: {}", failure.text()));
        }
        Ok(())
    }
}
