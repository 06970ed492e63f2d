//! What a chemistry back end answers: one trait, so that the embedded library and RDKit are interchangeable.

use petgraph::graph::NodeIndex;
use serde::{Deserialize, Serialize};

use crate::error::MoleculeError;
use crate::molecule::MolecularGraph;
use crate::valence::ValenceSums;

pub mod aromatic_bonds;
pub mod aromatic_form;
pub mod chematic;
#[cfg(feature = "rdkit")]
pub mod rdkit;
pub mod smiles_syntax;

/// Why a molecule, its SMILES or its line in a file is not acceptable. Summaries count by these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// A line longer than is read.
    LineLength,
    /// A line that is not UTF-8, or holds a NUL byte.
    Encoding,
    /// A line that is no record of its format: not JSON, a field of another type.
    Record,
    /// A string that is no SMILES.
    Syntax,
    /// An atom that is no element, or a dummy atom.
    UnknownAtom,
    /// More atoms, or branches nested deeper, than is read.
    Size,
    /// An atom has more bonds than its element and charge allow.
    Valence,
    /// No assignment of double bonds fits an aromatic system.
    Kekulisation,
    /// An aromatic atom outside a ring.
    Aromaticity,
    /// Anything else the back end refuses.
    Other,
}

impl ProblemKind {
    /// What people read in a table.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::LineLength => "line too long",
            Self::Encoding => "not UTF-8 text",
            Self::Record => "no record",
            Self::Syntax => "no SMILES",
            Self::UnknownAtom => "unknown atom",
            Self::Size => "too large",
            Self::Valence => "valence",
            Self::Kekulisation => "cannot be kekulised",
            Self::Aromaticity => "aromatic atom outside a ring",
            Self::Other => "other",
        }
    }
}

/// One fault of a molecule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind of fault.
    pub kind: ProblemKind,
    /// The atoms it concerns (0-based), in the molecule's order.
    pub atoms: Vec<usize>,
    /// The back end's own words.
    pub message: String,
}

/// Whether a molecule passes the back end's checks, and if not why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// No problem was found. Says nothing about connectedness.
    pub valid: bool,
    /// Every problem found; empty exactly if `valid`.
    pub problems: Vec<Problem>,
}

impl Verdict {
    /// The verdict on a molecule with these problems.
    #[must_use]
    pub fn new(problems: Vec<Problem>) -> Self {
        Self { valid: problems.is_empty(), problems }
    }
}

/// A chemistry library behind the toolkit. All methods are pure functions of their arguments.
pub trait Chemistry: Send + Sync {
    /// A short name for messages and manifests, such as `"chematic"` or `"rdkit"`.
    fn name(&self) -> &'static str;

    /// Check valences and everything else the library's sanitisation checks.
    ///
    /// The graph is judged as it is: a library's clean-up that would mend it first (a five-valent nitrogen made a nitro
    /// group) has no say, so the verdict agrees with [`crate::valence`].
    fn verdict(&self, molecule: &MolecularGraph) -> Verdict;

    /// Canonical SMILES of all fragments, separated by dots; the empty molecule gives the empty string.
    ///
    /// # Errors
    /// [`MoleculeError::Chemistry`] if the molecule does not pass [`Chemistry::verdict`].
    fn canonical_smiles(&self, molecule: &MolecularGraph) -> Result<String, MoleculeError>;

    /// Canonical SMILES in Kekulé form, without aromatic atoms.
    ///
    /// # Errors
    /// [`MoleculeError::Chemistry`] if the molecule does not pass [`Chemistry::verdict`].
    fn kekule_smiles(&self, molecule: &MolecularGraph) -> Result<String, MoleculeError>;

    /// Read SMILES: atoms in the order of the string, aromatic rings kekulised, hydrogens that are written out folded
    /// into their neighbour, charges kept, isotopes and stereo marks dropped.
    ///
    /// # Errors
    /// [`MoleculeError::Smiles`] if the string is no SMILES or its molecule is not acceptable.
    fn parse_smiles(&self, smiles: &str) -> Result<MolecularGraph, MoleculeError>;

    /// Canonical SMILES of a SMILES string, stereo marks and isotopes kept.
    ///
    /// # Errors
    /// As [`Chemistry::parse_smiles`].
    fn canonicalise(&self, smiles: &str) -> Result<String, MoleculeError>;

    /// Canonical SMILES of the Bemis–Murcko scaffold (ring systems and the linkers between them); empty for a molecule
    /// without rings.
    ///
    /// # Errors
    /// As [`Chemistry::canonical_smiles`].
    fn murcko_scaffold(&self, molecule: &MolecularGraph) -> Result<String, MoleculeError>;

    /// Quantitative estimate of drug-likeness (Bickerton et al. 2012, mean weights), in 0..=1.
    ///
    /// # Errors
    /// As [`Chemistry::canonical_smiles`].
    fn qed(&self, molecule: &MolecularGraph) -> Result<f64, MoleculeError>;
}

/// The error for a string that cannot be read.
pub(crate) fn unreadable(smiles: &str, kind: ProblemKind, reason: impl ToString) -> MoleculeError {
    MoleculeError::Smiles { smiles: smiles.chars().take(80).collect(), kind, reason: reason.to_string() }
}

/// The faults the valence table finds, lowest atom first, in RDKit's words.
#[must_use]
pub fn valence_problems(molecule: &MolecularGraph) -> Vec<Problem> {
    let sums = ValenceSums::of(molecule);
    sums.over_limit(molecule)
        .map(|atom| {
            let element = molecule[NodeIndex::new(atom)].element;
            let sum = sums.of_atom(atom);
            Problem {
                kind: ProblemKind::Valence,
                atoms: vec![atom],
                message: format!(
                    "Explicit valence for atom # {atom} {element}, {sum}, is greater than permitted"
                ),
            }
        })
        .collect()
}
