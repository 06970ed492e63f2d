//! RDKit's verdict on atoms and bonds: which rules of chemistry they break, where, and in whose words.

use crate::bridge::ffi;
use crate::error::RdkitError;
use crate::graph::Graph;

/// Which rule is broken; RDKit's exception classes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// `AtomValenceException`: an atom has more bonds than its element and charge allow.
    Valence,
    /// `KekulizeException`: no assignment of double bonds fits an aromatic system.
    Kekulisation,
    /// `AtomKekulizeException`: an aromatic atom outside a ring, or an aromatic bond to an atom that is not aromatic.
    Aromaticity,
    /// Any other class, by its name; `"SanitizationFailure"` where sanitisation gives up without one (charges that no
    /// atom can carry).
    Other(String),
}

impl ProblemKind {
    fn from_class(name: &str) -> Self {
        match name {
            "AtomValenceException" => Self::Valence,
            "KekulizeException" => Self::Kekulisation,
            "AtomKekulizeException" => Self::Aromaticity,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which.
    pub kind: ProblemKind,
    /// The atoms concerned, 0-based; empty where RDKit names none.
    pub atoms: Vec<u32>,
    /// RDKit's message.
    pub message: String,
}

/// Whether atoms and bonds make an acceptable molecule, and if not why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// No rule is broken. Says nothing about connectedness.
    pub valid: bool,
    /// Every broken rule.
    pub problems: Vec<Problem>,
}

impl Graph {
    /// Everything RDKit's sanitisation objects to (`detectChemistryProblems`): valences, aromatic systems without a
    /// Kekulé form. The graph is judged as it is; the clean-ups that sanitisation starts with, which would turn a
    /// five-valent nitrogen into a nitro group, have no say.
    ///
    /// # Errors
    /// [`RdkitError`] if the graph is no simple graph of known elements; a graph that breaks rules of chemistry is a
    /// [`Verdict`], not an error.
    pub fn verdict(&self) -> Result<Verdict, RdkitError> {
        let problems = sanitise(&self.to_rdkit()?)?.err().unwrap_or_default();
        Ok(Verdict { valid: problems.is_empty(), problems })
    }

    /// The first atom (lowest index) with more bonds than its element and charge allow; `None` if there is none. RDKit's
    /// property sanitisation alone, which is the check of GDSS's valence repair.
    ///
    /// # Errors
    /// As [`Graph::verdict`].
    pub fn first_overloaded_atom(&self) -> Result<Option<usize>, RdkitError> {
        let atom =
            ffi::first_overloaded_atom(&self.to_rdkit()?).map_err(RdkitError::exception("check valences"))?;
        Ok(usize::try_from(atom).ok())
    }
}

/// The sanitised molecule, or why there is none.
pub(crate) fn sanitise(
    raw: &cxx::SharedPtr<ffi::ROMol>,
) -> Result<Result<cxx::SharedPtr<ffi::ROMol>, Vec<Problem>>, RdkitError> {
    let problems = problems_of(raw)?;
    if !problems.is_empty() {
        return Ok(Err(problems));
    }
    Ok(ffi::sanitised(raw).map_err(|exception| {
        vec![Problem {
            kind: ProblemKind::Other("SanitizationFailure".to_owned()),
            atoms: Vec::new(),
            message: exception.what().trim().to_owned(),
        }]
    }))
}

/// The problems of an RDKit molecule that has not been sanitised.
pub(crate) fn problems_of(molecule: &cxx::SharedPtr<ffi::ROMol>) -> Result<Vec<Problem>, RdkitError> {
    let records = ffi::problems(molecule).map_err(RdkitError::exception("look for chemistry problems"))?;
    Ok(records
        .into_iter()
        .map(|record| Problem {
            kind: ProblemKind::from_class(&record.kind),
            atoms: record.atoms,
            message: record.message,
        })
        .collect())
}
