//! What people see of a training run over molecules or graphs: what was read, and `training.toml`.

use std::io::Write;

use equidrift::Error;
use equidrift::training::{GraphSet, HeldOut, MoleculeSet, TrainRequest, TrainingData, TrainingWatcher};
use equidrift_backend::atomic::write_atomically;
use equidrift_train::{EpochReport, StepReport};

use super::display::Display;
use crate::progress;

/// Bad lines shown one by one before they are only counted.
const SHOWN_LINES: usize = 10;

/// Shows what happens on standard error, and records the settings.
pub(super) struct Watcher<'a> {
    request: &'a TrainRequest,
    pub(super) display: Display,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(request: &'a TrainRequest) -> Self {
        progress::note(&format!("reading {}", request.data.display()));
        let TrainRequest { output, settings, .. } = request;
        let (name, noun) = (settings.name.clone(), "molecules");
        let display = Display::new(output.clone(), name, settings.plot, settings.epochs, noun);
        Self { request, display }
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
        let noun = self.display.noun();
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

pub(super) fn count(number: u64) -> toml::Value {
    toml::Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

impl TrainingWatcher for Watcher<'_> {
    fn begin(&mut self, data: TrainingData<'_>, epochs: u64) -> Result<(), Error> {
        match data {
            TrainingData::Molecules(set) => self.tell_molecules(set),
            TrainingData::Graphs(set) => {
                self.display.set_noun("graphs");
                tell_graphs(set);
            }
        }
        if let Some(HeldOut { graphs, too_large, unusable, .. }) = data.held_out() {
            progress::note(&format!(
                "validating with {} {} ({too_large} larger ones and {unusable} unusable ones left out)",
                graphs.len(),
                self.display.noun()
            ));
        }
        Display::tell_continued(epochs);
        self.record(data)?;
        let examples = self.request.settings.trainer().examples_per_step();
        self.display.begin(epochs, data.graphs().len().div_ceil(examples) as u64);
        Ok(())
    }

    fn step(&mut self, report: &StepReport) {
        self.display.step(report);
    }

    fn sampling(&mut self, samples: u64) {
        self.display.sampling(samples);
    }

    fn epoch(&mut self, report: &EpochReport, kept: bool) -> Result<(), Error> {
        self.display.epoch(report, kept);
        Ok(())
    }
}
