//! A molecule that has passed RDKit's sanitisation.

use std::sync::Once;

use cxx::{SharedPtr, let_cxx_string};

use crate::bridge::ffi;
use crate::error::RdkitError;
use crate::graph::{Graph, MAX_ATOMS};
use crate::verdict::sanitise;

/// The longest SMILES string that is read. An atom in brackets with everything SMILES knows stays below 16 characters.
const MAX_SMILES: usize = 16 * MAX_ATOMS;

/// RDKit's log goes to standard error, where it would break progress bars and JSON summaries; what it says there comes
/// back as an error value or is a warning that concerns none of our callers.
pub(crate) fn silence_log() {
    static SILENCED: Once = Once::new();
    SILENCED.call_once(|| {
        // A log that cannot be switched off is no reason to fail.
        let _ = ffi::silence();
    });
}

/// A sanitised molecule: valences are right, rings are known and aromaticity is perceived.
///
/// It is a handle on a C++ object and stays on its thread; threads that work on the same molecule each make their own.
pub struct Molecule {
    pub(crate) handle: SharedPtr<ffi::ROMol>,
}

impl std::fmt::Debug for Molecule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let smiles = self.canonical_smiles();
        formatter.debug_tuple("Molecule").field(&smiles.as_deref().unwrap_or("?")).finish()
    }
}

/// One connected part of a molecule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Its atoms as 0-based indices into the whole molecule, ascending.
    pub atoms: Vec<u32>,
    /// Its canonical SMILES.
    pub smiles: String,
}

impl Molecule {
    /// Atoms and bonds, sanitised. The graph must be right as it stands ([`Graph::verdict`]); the clean-ups of
    /// sanitisation may still prefer another form of it, as they do for some phosphorus-oxygen bonds.
    ///
    /// # Errors
    /// [`RdkitError::Invalid`] with every problem if rules of chemistry are broken; other variants if the graph is no
    /// simple graph of known elements.
    pub fn from_graph(graph: &Graph) -> Result<Self, RdkitError> {
        match sanitise(&graph.to_rdkit()?)? {
            Ok(handle) => Ok(Self { handle }),
            Err(problems) => Err(RdkitError::Invalid { problems }),
        }
    }

    /// Read SMILES. Hydrogens that are written as atoms are folded into their neighbours where RDKit's reader does so.
    /// Names and extensions after a blank are not accepted.
    ///
    /// # Errors
    /// [`RdkitError::Smiles`] if the string is no SMILES or its molecule breaks rules of chemistry.
    pub fn from_smiles(smiles: &str) -> Result<Self, RdkitError> {
        silence_log();
        let refuse = |reason: String| Err(RdkitError::Smiles { reason });
        let written = atoms_written(smiles);
        if written > MAX_ATOMS {
            return Err(RdkitError::TooLarge { found: written, unit: "atoms", limit: MAX_ATOMS });
        }
        if smiles.len() > MAX_SMILES {
            return Err(RdkitError::TooLarge {
                found: smiles.len(),
                unit: "characters of SMILES",
                limit: MAX_SMILES,
            });
        }
        if smiles.is_empty() {
            return refuse("the string is empty".to_owned());
        }
        if let Some(position) = smiles.find(|letter: char| !letter.is_ascii_graphic()) {
            return refuse(format!("blank or non-ASCII character at position {position}"));
        }
        let_cxx_string!(text = smiles);
        let handle = match rdkit_sys::ro_mol_ffi::smiles_to_mol(&text) {
            Ok(handle) => handle,
            Err(exception) => return refuse(exception.what().trim().to_owned()),
        };
        if handle.is_null() {
            return refuse("RDKit finds a syntax error in it".to_owned());
        }
        Ok(Self { handle })
    }

    /// Number of atoms, hydrogens that are not atoms of the graph left out.
    #[must_use]
    pub fn atom_count(&self) -> usize {
        rdkit_sys::ro_mol_ffi::get_num_atoms(&self.handle, true) as usize
    }

    /// Canonical SMILES of all fragments, with whatever stereo marks and isotopes the molecule has.
    ///
    /// # Errors
    /// [`RdkitError::Exception`] if RDKit gives up.
    pub fn canonical_smiles(&self) -> Result<String, RdkitError> {
        ffi::canonical_smiles(&self.handle).map_err(RdkitError::exception("write canonical SMILES"))
    }

    /// The same without hydrogens that are atoms of their own: they are folded into their neighbour, except isotopes
    /// and those without one heavy neighbour.
    ///
    /// # Errors
    /// [`RdkitError::Exception`] if RDKit gives up.
    pub fn without_hydrogen_atoms(&self) -> Result<Self, RdkitError> {
        let handle =
            ffi::without_hydrogen_atoms(&self.handle).map_err(RdkitError::exception("fold hydrogens in"))?;
        Ok(Self { handle })
    }

    /// Atoms and bonds in the Kekulé form: orders 1, 2 and 3 only, every atom with its number of hydrogens.
    ///
    /// # Errors
    /// [`RdkitError::Exception`] if the molecule has bonds of another kind (dative, quadruple).
    pub fn kekulised(&self) -> Result<Graph, RdkitError> {
        let record = ffi::kekulised(&self.handle).map_err(RdkitError::exception("kekulise a molecule"))?;
        Graph::from_record(&record)
    }

    /// The connected parts, by their lowest atom.
    ///
    /// # Errors
    /// [`RdkitError::Exception`] if RDKit gives up.
    pub fn fragments(&self) -> Result<Vec<Fragment>, RdkitError> {
        let records = ffi::fragments(&self.handle).map_err(RdkitError::exception("split a molecule"))?;
        let mut fragments: Vec<Fragment> = records
            .into_iter()
            .map(|record| Fragment { atoms: record.atoms, smiles: record.smiles })
            .collect();
        for fragment in &mut fragments {
            fragment.atoms.sort_unstable();
        }
        fragments.sort_by_key(|fragment| fragment.atoms.first().copied());
        Ok(fragments)
    }

    /// The fragment with the most atoms; of equally large ones the first in the canonical SMILES of the whole, which
    /// lists fragments alphabetically. `None` for the empty molecule. (GDSS keeps another one: the one with the longest
    /// [`Graph::kekule_smiles`].)
    ///
    /// # Errors
    /// [`RdkitError::Exception`] if RDKit gives up.
    pub fn largest_fragment(&self) -> Result<Option<Fragment>, RdkitError> {
        let by_size_then_alphabet = |a: &Fragment, b: &Fragment| {
            a.atoms.len().cmp(&b.atoms.len()).then_with(|| b.smiles.cmp(&a.smiles))
        };
        Ok(self.fragments()?.into_iter().max_by(by_size_then_alphabet))
    }

    /// The Bemis-Murcko scaffold: ring systems, the linkers between them, and what is double-bonded to either. Empty for
    /// a molecule without rings.
    ///
    /// Reference: Bemis and Murcko, "The properties of known drugs. 1. Molecular frameworks", 1996.
    ///
    /// # Errors
    /// [`RdkitError::Exception`] if RDKit gives up.
    pub fn murcko_scaffold(&self) -> Result<Self, RdkitError> {
        let handle =
            ffi::murcko_scaffold(&self.handle).map_err(RdkitError::exception("find the Murcko scaffold"))?;
        Ok(Self { handle })
    }
}

/// Atoms written in a string, if it is SMILES: one per pair of brackets, one per symbol outside them. Counted before
/// RDKit reads the string, because its reader is the first to recurse.
fn atoms_written(smiles: &str) -> usize {
    let mut in_brackets = false;
    let mut atoms = 0;
    for letter in smiles.bytes() {
        match letter {
            b'[' => {
                in_brackets = true;
                atoms += 1;
            }
            b']' => in_brackets = false,
            b'A'..=b'Z' | b'b' | b'c' | b'n' | b'o' | b'p' | b's' | b'*' if !in_brackets => atoms += 1,
            _ => {}
        }
    }
    atoms
}

/// The version of the RDKit library in use, such as `"2022.09.3"`.
///
/// # Errors
/// [`RdkitError::Exception`] if RDKit gives up.
pub fn rdkit_version() -> Result<String, RdkitError> {
    ffi::rdkit_version().map_err(RdkitError::exception("state its version"))
}
