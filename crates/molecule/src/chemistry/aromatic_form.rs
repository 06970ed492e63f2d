//! The aromatic form of a molecule: its atoms and bonds as its canonical SMILES shows them.
//!
//! Molecules of this crate are Kekulé graphs. Some measures compare molecules after aromaticity has been perceived, so that
//! both Kekulé forms of a ring are one. Every back end writes the result of its perception into its canonical SMILES
//! (lower-case atoms), so that string is all this needs.

use chematic::core::BondOrder as LibraryBond;
use chematic::smiles::parse;

use super::{ProblemKind, unreadable};
use crate::element::Element;
use crate::error::MoleculeError;

/// A bond of the aromatic form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AromaticBond {
    /// One shared electron pair.
    Single,
    /// Two.
    Double,
    /// Three.
    Triple,
    /// In an aromatic ring: order 1.5.
    Aromatic,
}

/// Atoms and bonds, in the order of the canonical SMILES. Charges and hydrogen counts are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AromaticForm {
    /// The element of each atom.
    pub elements: Vec<Element>,
    /// `(one end, other end, bond)`.
    pub bonds: Vec<(usize, usize, AromaticBond)>,
}

impl AromaticForm {
    /// Read it from a canonical SMILES, in which aromatic atoms are lower case and a single bond between two of them is
    /// written `-`.
    ///
    /// # Errors
    /// [`MoleculeError::Smiles`] if the string is no SMILES.
    pub fn of_canonical(smiles: &str) -> Result<Self, MoleculeError> {
        let unreadable = |reason: String| unreadable(smiles, ProblemKind::Other, reason);
        if smiles.is_empty() {
            return Ok(Self::default());
        }
        let library = parse(smiles).map_err(|error| unreadable(error.to_string()))?;
        let mut form = Self::default();
        for (_, atom) in library.atoms() {
            let element = Element::from_atomic_number(atom.element.atomic_number());
            form.elements.push(element.ok_or_else(|| unreadable("it has an unknown element".to_owned()))?);
        }
        for (_, bond) in library.bonds() {
            let order = match bond.order {
                LibraryBond::Single | LibraryBond::Up | LibraryBond::Down => AromaticBond::Single,
                LibraryBond::Double => AromaticBond::Double,
                LibraryBond::Triple => AromaticBond::Triple,
                LibraryBond::Aromatic => AromaticBond::Aromatic,
                _ => {
                    let reason = "it has a bond that is not single, double, triple or aromatic";
                    return Err(unreadable(reason.to_owned()));
                }
            };
            form.bonds.push((bond.atom1.0 as usize, bond.atom2.0 as usize, order));
        }
        Ok(form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chemistry::Chemistry;
    use crate::chemistry::chematic::Chematic;

    fn count(smiles: &str, kind: AromaticBond) -> usize {
        let canonical = Chematic.canonicalise(smiles).unwrap();
        let form = AromaticForm::of_canonical(&canonical).unwrap();
        form.bonds.iter().filter(|(_, _, bond)| *bond == kind).count()
    }

    #[test]
    fn both_kekule_forms_of_a_ring_have_the_same_aromatic_bonds() {
        for smiles in ["CC1=CC=CC=C1", "CC1=CC=CC=C1", "C1=CC(C)=CC=C1", "c1ccccc1C"] {
            assert_eq!(count(smiles, AromaticBond::Aromatic), 6, "{smiles}");
            assert_eq!(count(smiles, AromaticBond::Single), 1, "{smiles}");
        }
    }

    #[test]
    fn the_bond_between_two_rings_is_single() {
        let (aromatic, single) = (AromaticBond::Aromatic, AromaticBond::Single);
        assert_eq!((count("c1ccccc1-c1ccccc1", aromatic), count("c1ccccc1-c1ccccc1", single)), (12, 1));
        assert_eq!((count("C#CC=C", AromaticBond::Triple), count("C#CC=C", AromaticBond::Double)), (1, 1));
        // Every ring bond of naphthalene is aromatic, that between the rings too.
        assert_eq!(count("C1=CC=C2C=CC=CC2=C1", aromatic), 11);
    }

    #[test]
    fn elements_are_those_of_the_molecule_and_hydrogens_stay_implicit() {
        let form = AromaticForm::of_canonical(&Chematic.canonicalise("C1=CNC=C1[N+](=O)[O-]").unwrap());
        let mut elements = form.unwrap().elements;
        elements.sort_by_key(|element| element.atomic_number());
        use Element::{C, N, O};
        assert_eq!(elements, [C, C, C, C, N, N, O, O]);
        assert!(AromaticForm::of_canonical("").unwrap().elements.is_empty());
        assert!(AromaticForm::of_canonical("C(").is_err());
    }
}
