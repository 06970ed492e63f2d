//! What can go wrong with a molecule or a molecule file.

use std::path::PathBuf;

use crate::chemistry::ProblemKind;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MoleculeError {
    /// A symbol that is no element of the periodic table.
    #[error("unknown element symbol {symbol:?}; expected one of the periodic table, such as \"C\" or \"Cl\"")]
    UnknownElement {
        /// The symbol as found.
        symbol: String,
    },

    /// A SMILES string that cannot be read.
    #[error("cannot read SMILES {smiles:?}: {reason}")]
    Smiles {
        /// The string, cut to its first 80 characters.
        smiles: String,
        /// What kind of fault.
        kind: ProblemKind,
        /// What the reader stumbled over.
        reason: String,
    },

    /// A SMARTS pattern that cannot be read.
    #[error("cannot read SMARTS {smarts:?}: {reason}")]
    Smarts {
        /// The pattern.
        smarts: String,
        /// What the reader stumbled over.
        reason: String,
    },

    /// The chemistry back end cannot answer for this molecule.
    #[error("{backend} cannot {task} this molecule ({reason})")]
    Chemistry {
        /// The back end's name.
        backend: &'static str,
        /// What was asked of it, an infinitive: `"write SMILES of"`.
        task: &'static str,
        /// Its own words.
        reason: String,
    },

    /// Two tensors that do not describe one graph.
    #[error("cannot decode a graph: expected {expected} numbers in `{tensor}`, found {found}")]
    TensorLength {
        /// `"x"` or `"adj"`.
        tensor: &'static str,
        /// Numbers expected.
        expected: usize,
        /// Numbers found.
        found: usize,
    },

    /// A bond that names an atom the molecule has not, or joins an atom to itself, or is there twice.
    #[error("bond {first}-{second} is not possible in a molecule of {atoms} atoms, or is there twice")]
    Bond {
        /// One end.
        first: usize,
        /// The other end.
        second: usize,
        /// Number of atoms.
        atoms: usize,
    },

    /// A line of a molecule file that cannot be read.
    #[error("{path}:{line}: {reason}", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// 1-based line number.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },

    /// A table without the column that holds the SMILES.
    #[error("{path}: no column `{column}`; the header has {found}", path = path.display(), found = found.join(", "))]
    NoColumn {
        /// The table.
        path: PathBuf,
        /// What was looked for.
        column: String,
        /// Its columns, at most 20.
        found: Vec<String>,
    },

    /// A file that cannot be read or written.
    #[error("cannot {task} {path}: {source}", path = path.display())]
    File {
        /// `"open"`, `"read"` or `"write"`.
        task: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },

    /// A stream that cannot be written.
    #[error("cannot write molecules: {0}")]
    Write(#[from] std::io::Error),

    /// A file name whose suffix names no molecule format.
    #[error("{path}: unknown molecule format; use one of .smi, .sdf, .jsonl", path = path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },

    /// A molecule that does not fit into the format.
    #[error(
        "molecule {id} has {atoms} atoms and {bonds} bonds, more than an SDF V2000 block holds (999 each)"
    )]
    TooLargeForSdf {
        /// The molecule's id.
        id: u64,
        /// Its atoms.
        atoms: usize,
        /// Its bonds.
        bonds: usize,
    },

    /// A file of network weights that is not the one expected.
    #[error("{path}: not the weights expected: {reason}", path = path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A file of set statistics that cannot be used.
    #[error("{path}: no statistics of a set of molecules: {reason}", path = path.display())]
    Statistics {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// Statistics of two sets that were computed in different ways.
    #[error("the two sets cannot be compared: their {what} differ ({first} and {second})")]
    IncomparableStatistics {
        /// What differs.
        what: &'static str,
        /// That of one set.
        first: String,
        /// That of the other.
        second: String,
    },

    /// Too few molecules for a measure of a set.
    #[error("{metric} needs at least {needed} molecules, the set has {found}")]
    TooFewMolecules {
        /// The measure.
        metric: &'static str,
        /// Molecules needed.
        needed: usize,
        /// Molecules found.
        found: usize,
    },
}

impl MoleculeError {
    /// What kind of fault of a molecule, its SMILES or its line this is; [`ProblemKind::Other`] for faults of other things.
    #[must_use]
    pub fn problem_kind(&self) -> ProblemKind {
        match self {
            Self::Smiles { kind, .. } => *kind,
            Self::UnknownElement { .. } => ProblemKind::UnknownAtom,
            _ => ProblemKind::Other,
        }
    }
}
