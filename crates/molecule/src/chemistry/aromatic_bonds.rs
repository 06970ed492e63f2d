//! Which bonds of a Kekulé graph are aromatic, in the order of its bonds.
//!
//! [`super::aromatic_form`] answers the same from a canonical SMILES, in the order of the string.

use chematic::perception::assign_aromaticity_rdkit_parity_experimental;

use super::chematic::{accepted, refused};
use crate::error::MoleculeError;
use crate::molecule::MolecularGraph;

/// Whether each bond is aromatic by RDKit's model, as the embedded library has it. Cost: about 20 µs for a drug-like molecule.
///
/// # Errors
/// [`MoleculeError::Chemistry`] for a molecule whose valences do not fit.
pub fn aromatic_bonds(molecule: &MolecularGraph) -> Result<Vec<bool>, MoleculeError> {
    let task = "perceive the aromatic bonds of";
    let library = accepted(molecule, task)?;
    let model = assign_aromaticity_rdkit_parity_experimental(&library)
        .map_err(|error| refused(task, format!("{error:?}")))?;
    // The library numbers bonds in the order in which they were made, which is that of the graph.
    Ok(library.bonds().map(|(index, _)| model.is_bond_aromatic(index)).collect())
}
