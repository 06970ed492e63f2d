//! Lines of a file that are no molecules, counted by kind.

use std::collections::BTreeMap;
use std::fmt;

use crate::chemistry::ProblemKind;

/// How many bad lines are kept one by one; of the others only the number is known.
pub const MOST_LISTED: usize = 1_000;

/// A line that is no molecule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineProblem {
    /// 1-based line number.
    pub line: u64,
    /// What kind of fault.
    pub kind: ProblemKind,
    /// The fault in words.
    pub reason: String,
}

impl fmt::Display for LineProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.line, self.reason)
    }
}

/// All of a file. Memory: the first [`MOST_LISTED`] of them.
#[derive(Debug, Clone, Default)]
pub struct Problems {
    counts: BTreeMap<ProblemKind, u64>,
    listed: Vec<LineProblem>,
    blank: u64,
}

impl Problems {
    /// Count a bad line.
    pub fn add(&mut self, problem: LineProblem) {
        *self.counts.entry(problem.kind).or_default() += 1;
        if self.listed.len() < MOST_LISTED {
            self.listed.push(problem);
        }
    }

    /// Count a sample that has no molecule: a blank line, a record whose SMILES is null.
    pub fn add_blank(&mut self) {
        self.blank += 1;
    }

    /// How many bad lines there are of each kind.
    pub fn counts(&self) -> impl Iterator<Item = (ProblemKind, u64)> + '_ {
        self.counts.iter().map(|(kind, count)| (*kind, *count))
    }

    /// The first bad lines.
    #[must_use]
    pub fn listed(&self) -> &[LineProblem] {
        &self.listed
    }

    /// Samples without a molecule.
    #[must_use]
    pub fn blank(&self) -> u64 {
        self.blank
    }

    /// All bad lines; samples without a molecule are not among them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}
