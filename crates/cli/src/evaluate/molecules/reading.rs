//! One file, read to its end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use equidrift_molecule::evaluation::{ColumnSummary, Evaluator, JudgedSet, Problems, SampleFile};
use equidrift_molecule::metrics::profile::ProfileScope;
use equidrift_molecule::metrics::stability::Stability;
use equidrift_molecule::metrics::{MetricErrors, MoleculeMetrics, Tally, TrainingSet, Wanted};
use equidrift_molecule::{Chemistry, ProblemKind};
use serde::Serialize;

use super::failure;
use crate::exit::Failure;
use crate::progress;

/// How files are read.
pub(super) struct Reading<'a> {
    pub(super) chemistry: &'a dyn Chemistry,
    pub(super) threads: usize,
    /// Whether a line that is no molecule is an error.
    pub(super) strict: bool,
}

/// What is asked of a file.
#[derive(Clone, Copy, Default)]
pub(super) struct Asked<'a> {
    pub(super) wanted: Wanted<'a>,
    pub(super) profiles: Option<ProfileScope<'a>>,
    pub(super) stability: bool,
    /// Groups of the bootstrap.
    pub(super) groups: usize,
    /// Molecules to be drawn.
    pub(super) shown: usize,
}

/// What `--json` says of a file.
#[derive(Serialize)]
pub(super) struct Judged {
    pub(super) file: PathBuf,
    #[serde(flatten)]
    pub(super) metrics: MoleculeMetrics,
    pub(super) standard_errors: MetricErrors,
    /// Numbers of the first bad lines.
    pub(super) bad_lines: Vec<u64>,
    /// All of them by kind.
    pub(super) problems: BTreeMap<ProblemKind, u64>,
    /// Samples without a molecule.
    pub(super) blank: u64,
    /// Of the valid samples.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) descriptors: BTreeMap<&'static str, ColumnSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stability: Option<Stability>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stability_errors: Option<Stability>,
}

impl Judged {
    /// Adds the novelty.
    pub(super) fn compare_with_training(&mut self, tally: &Tally, training: Option<&TrainingSet>) {
        self.metrics = tally.metrics(training);
        self.standard_errors = tally.errors(&self.metrics);
    }

    /// All bad lines.
    pub(super) fn bad(&self) -> u64 {
        self.problems.values().sum()
    }
}

/// How many bad lines are shown one by one.
const SHOWN: usize = 10;

impl Reading<'_> {
    /// Judges a file and warns of its bad lines.
    pub(super) fn read(
        &self,
        path: &Path,
        unit: &str,
        asked: Asked<'_>,
    ) -> Result<(JudgedSet, Judged), Failure> {
        let file = SampleFile::open(path).map_err(failure)?;
        let (bytes, length) = (file.bytes_read(), std::fs::metadata(path).map_or(0, |file| file.len()));
        let bar = progress::bytes(length, unit);
        let mut lines = 0;
        let mut advance = |more: u64| {
            lines += more;
            bar.set_position(bytes.load(Ordering::Relaxed));
            bar.set_message(lines.to_string());
        };
        let mut evaluator = Evaluator::new(self.chemistry);
        evaluator.wanted = asked.wanted;
        evaluator.profiles = asked.profiles;
        evaluator.stability = asked.stability;
        evaluator.groups = asked.groups;
        evaluator.shown = asked.shown;
        evaluator.strict = self.strict;
        evaluator.threads = self.threads;
        evaluator.progress = Some(&mut advance);
        let set = evaluator.judge(file);
        bar.finish_and_clear();
        let set = set.map_err(failure)?;
        warn(path, &set.problems);
        for (what, left_out, reason) in [
            (
                "NSPDK is",
                set.moments.left_out() as u64,
                "have bonds of another kind than single, double, triple and aromatic",
            ),
            ("descriptors and suites are", set.descriptors.left_out, "have more rings than are searched for"),
        ] {
            if left_out > 0 {
                let path = path.display();
                progress::note(&format!(
                    "warning: {path}: {what} without {left_out} molecules that {reason}"
                ));
            }
        }
        let metrics = set.tally.metrics(None);
        let judged = Judged {
            file: path.to_owned(),
            standard_errors: set.tally.errors(&metrics),
            metrics,
            bad_lines: set.problems.listed().iter().map(|problem| problem.line).collect(),
            problems: set.problems.counts().collect(),
            blank: set.problems.blank(),
            descriptors: set
                .descriptors
                .columns()
                .filter_map(|(name, column)| Some((name, column.summary()?)))
                .collect(),
            stability: set.stability.stability(),
            stability_errors: set.stability.errors(),
        };
        if asked.stability && judged.stability.is_none() {
            progress::note(&format!(
                "warning: {}: no stability, because no hydrogen is written as an atom ([H])",
                path.display()
            ));
        }
        Ok((set, judged))
    }
}

/// Tells people of the first bad lines, and how many there are of each kind.
fn warn(path: &Path, problems: &Problems) {
    for problem in problems.listed().iter().take(SHOWN) {
        progress::note(&format!("warning: {}:{problem}", path.display()));
    }
    let total = problems.total();
    if total > SHOWN as u64 {
        let kinds = problems.counts().map(|(kind, count)| format!("{} {count}", kind.description()));
        progress::note(&format!(
            "warning: {}: {total} lines are no molecules ({})",
            path.display(),
            kinds.collect::<Vec<_>>().join(", ")
        ));
    }
}
