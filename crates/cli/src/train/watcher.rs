//! What people see of a training run: standard error, `training.toml` and `loss.svg`.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::Instant;

use equidrift::Error;
use equidrift::training::{GraphSet, HeldOut, MoleculeSet, TrainRequest, TrainingData, TrainingWatcher};
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
    /// What is trained on.
    noun: &'static str,
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
    fn new(every: f64) -> Self {
        let noun = "molecules";
        Self { every, since: Instant::now(), steps: 0, examples: 0, losses: Vec::new(), noun }
    }

    /// Counts from here.
    fn restart(&mut self) {
        *self = Self { noun: self.noun, ..Self::new(self.every) };
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
            noun: "molecules",
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

    fn tell_molecules(&self, set: &MoleculeSet) {
        for bad in set.bad_lines.iter().take(SHOWN_LINES) {
            progress::note(&format!("{}:{}: {}", self.request.data.display(), bad.line, bad.reason));
        }
        tell_more(set.bad_lines.len(), "bad lines");
        let symbols: Vec<_> = set.vocabulary.iter().map(|element| element.symbol()).collect();
        progress::note(&format!(
            "training on {} of {} molecules ({} test rows, {} with other atoms, {} bad lines left out), atoms {}, at \
             most {} heavy atoms",
            set.graphs.len(),
            set.molecules,
            set.test_rows,
            set.unknown_atoms,
            set.bad_lines.len(),
            symbols.join(" "),
            set.graphs.nodes()
        ));
    }

    /// Writes `training.toml`: the settings in force and what was found in the data.
    fn record(&self, data: TrainingData<'_>) -> Result<(), Error> {
        let path = self.request.output.join("training.toml");
        let write = |source| Error::Write { path: path.clone(), source };
        let no_toml = |error| write(std::io::Error::other(error));
        let mut settings = toml::Table::try_from(&self.request.settings).map_err(no_toml)?;
        if let TrainingData::Graphs(_) = data {
            for about_molecules in ["atoms", "on_unknown_atom", "hydrogens"] {
                settings.remove(about_molecules);
            }
        }
        for name in self.request.settings.without_meaning() {
            settings.remove(*name);
        }
        let settings = toml::to_string(&settings).map_err(no_toml)?;
        let mut found = toml::Table::new();
        let mut insert = |key: &str, value: toml::Value| found.insert(key.to_owned(), value);
        insert("file", self.request.data.display().to_string().into());
        if let Some(rows) = &self.request.test_rows {
            insert("test_rows_file", rows.display().to_string().into());
        }
        if let Some(split) = &self.request.split {
            insert("split", split.clone().into());
        }
        insert("sha256", data.sha256().into());
        let noun = self.noun;
        insert(&format!("{noun}_trained_on"), count(data.graphs().len() as u64));
        if let Some(held_out) = data.held_out() {
            insert(&format!("{noun}_held_out"), count(held_out.graphs.len() as u64));
            insert("held_out_too_large", count(held_out.too_large));
            insert("held_out_unusable", count(held_out.unusable));
        }
        insert("max_nodes", count(data.graphs().nodes() as u64));
        match data {
            TrainingData::Molecules(set) => {
                insert("molecules_read", count(set.molecules));
                insert("test_rows", count(set.test_rows));
                insert("bad_lines", count(set.bad_lines.len() as u64));
                insert("unknown_atoms", count(set.unknown_atoms));
                let symbols: Vec<_> = set.vocabulary.iter().map(|e| e.symbol().to_owned()).collect();
                insert("vocabulary", symbols.into());
            }
            TrainingData::Graphs(set) => {
                insert("graphs_read", count(set.read));
                insert("test_rows", count(set.test_rows));
                insert("bad_graphs", count(set.bad_graphs.len() as u64));
                insert("max_degree", count(set.graphs.features() as u64 - 1));
            }
        }
        let found =
            toml::to_string(&toml::Table::from_iter([("data".to_owned(), found.into())])).map_err(no_toml)?;
        write_atomically(&path, |file| write!(file, "{settings}\n{found}")).map_err(write)
    }
}

fn tell_graphs(set: &GraphSet) {
    for bad in set.bad_graphs.iter().take(SHOWN_LINES) {
        progress::note(&bad.reason);
    }
    tell_more(set.bad_graphs.len(), "bad graphs");
    progress::note(&format!(
        "training on {} of {} graphs ({} test rows, {} bad graphs left out), at most {} nodes and degree {}",
        set.graphs.len(),
        set.read,
        set.test_rows,
        set.bad_graphs.len(),
        set.graphs.nodes(),
        set.graphs.features() - 1
    ));
}

/// How many were not shown.
fn tell_more(all: usize, what: &str) {
    if all > SHOWN_LINES {
        progress::note(&format!("... and {} more {what}", all - SHOWN_LINES));
    }
}

fn count(number: u64) -> toml::Value {
    toml::Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

impl TrainingWatcher for Watcher<'_> {
    fn begin(&mut self, data: TrainingData<'_>, epochs: u64) -> Result<(), Error> {
        match data {
            TrainingData::Molecules(set) => self.tell_molecules(set),
            TrainingData::Graphs(set) => {
                self.noun = "graphs";
                tell_graphs(set);
            }
        }
        self.meter.noun = self.noun;
        if let Some(HeldOut { graphs, too_large, unusable, .. }) = data.held_out() {
            progress::note(&format!(
                "validating with {} {} ({too_large} larger ones and {unusable} unusable ones left out)",
                graphs.len(),
                self.noun
            ));
        }
        if epochs > 0 {
            progress::note(&format!("continuing after epoch {epochs}"));
        }
        self.record(data)?;
        let settings = &self.request.settings;
        let steps = data.graphs().len().div_ceil(settings.trainer().examples_per_step()) as u64;
        self.bar = progress::training(settings.epochs * steps);
        self.bar.set_position(epochs * steps);
        self.bar.reset_eta();
        self.started = Instant::now();
        self.epochs_before = epochs;
        self.meter.restart();
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
        self.meter.restart();
        if kept && let Err(failure) = self.draw() {
            // A picture is no reason to lose a training.
            self.note(&format!("warning: no loss.svg: {}", failure.text()));
        }
        Ok(())
    }
}
