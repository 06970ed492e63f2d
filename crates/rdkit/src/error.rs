//! What can go wrong.

use crate::verdict::Problem;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RdkitError {
    /// A string that RDKit does not accept as SMILES.
    #[error("not a SMILES string: {reason}")]
    Smiles {
        /// RDKit's words, or ours where RDKit only says no.
        reason: String,
    },

    /// A molecule that breaks rules of valence or aromaticity.
    #[error("not a valid molecule: {}", problems.first().map_or("no reason given", |problem| problem.message.as_str()))]
    Invalid {
        /// Every problem RDKit found.
        problems: Vec<Problem>,
    },

    /// A number that is no atomic number.
    #[error("atom {atom}: there is no element {atomic_number}; expected 0 (any atom) or 1..=118")]
    NoSuchElement {
        /// 0-based index of the atom.
        atom: usize,
        /// The number found.
        atomic_number: u8,
    },

    /// A bond that cannot stand in a simple graph of these atoms.
    #[error("bond {bond} ({begin}-{end}): {reason} (the molecule has {atoms} atoms)")]
    Bond {
        /// 0-based index of the bond.
        bond: usize,
        /// One end.
        begin: u32,
        /// The other end.
        end: u32,
        /// Number of atoms.
        atoms: usize,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// A molecule larger than RDKit can walk through on one thread's stack.
    #[error("{found} {unit} are more than the {limit} that are accepted")]
    TooLarge {
        /// How many there are.
        found: usize,
        /// `"atoms"` or `"characters of SMILES"`.
        unit: &'static str,
        /// How many are accepted.
        limit: usize,
    },

    /// RDKit threw an exception.
    #[error("RDKit cannot {task}: {reason}")]
    Exception {
        /// What was asked of it, an infinitive.
        task: &'static str,
        /// Its message.
        reason: String,
    },
}

impl RdkitError {
    /// An exception that crossed the bridge while RDKit was to do `task`.
    pub(crate) fn exception(task: &'static str) -> impl FnOnce(cxx::Exception) -> Self {
        move |exception| Self::Exception { task, reason: exception.what().trim().to_owned() }
    }
}
