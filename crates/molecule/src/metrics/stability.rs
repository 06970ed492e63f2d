//! Atom and molecule stability of graphs with explicit hydrogens (EDM: Hoogeboom, Satorras, Vignac & Welling, ICML 2022; on
//! graphs: DiGress, Vignac et al., ICLR 2023).
//!
//! An atom is stable if the sum of its bond orders is one that its element has in a neutral molecule of the table below; formal
//! charges do not count. A molecule is stable if all its atoms are. The figures are shares of all atoms and of all molecules
//! of the raw samples, before any repair.
//!
//! | H | B, Al, N, As | C, Si, S | O | F, Cl, Br, I | P, Bi | Se | Hg |
//! | --- | --- | --- | --- | --- | --- | --- | --- |
//! | 1 | 3 | 4 | 2 | 1 | 3, 5 | 2, 4, 6 | 1, 2 |
//!
//! For a file of SMILES the atoms are those that are written as atoms (`[H]` among them); hydrogens that a SMILES only implies
//! do not count, and a line that is no SMILES is a molecule without atoms.
//!
//! It is defined only where hydrogens are part of the sample: a graph of heavy atoms could be filled up with hydrogens to any
//! sum. Samples without a single hydrogen atom among them therefore have no figure, as in DiGress. Orders are those of the
//! Kekulé graph; DiGress itself counts an aromatic bond as the number of its class, four.

use serde::{Deserialize, Serialize};

use super::resampling::share_error;
use crate::element::Element;
use crate::molecule::MolecularGraph;
use crate::valence::ValenceSums;

/// The sums of bond orders at which an atom is stable; `None` for elements that the table has not.
#[must_use]
pub const fn stable_sums(element: Element) -> Option<&'static [u32]> {
    Some(match element {
        Element::H | Element::F | Element::Cl | Element::Br | Element::I => &[1],
        Element::O => &[2],
        Element::B | Element::Al | Element::N | Element::As => &[3],
        Element::C | Element::Si | Element::S => &[4],
        Element::P | Element::Bi => &[3, 5],
        Element::Se => &[2, 4, 6],
        Element::Hg => &[1, 2],
        _ => return None,
    })
}

/// Counts while samples stream by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StabilityTally {
    molecules: u64,
    stable_molecules: u64,
    atoms: u64,
    stable_atoms: u64,
    hydrogens: u64,
}

/// Shares of stable atoms and molecules.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stability {
    /// Stable atoms / atoms.
    #[serde(rename = "atm_stable")]
    pub atoms: f64,
    /// Stable molecules / molecules.
    #[serde(rename = "mol_stable")]
    pub molecules: f64,
}

impl StabilityTally {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The counts of one sample.
    #[must_use]
    pub fn of(molecule: &MolecularGraph) -> Self {
        let mut tally = Self::new();
        tally.add(molecule);
        tally
    }

    /// Count a sample as it was decoded. Atoms of elements that the table has not are not stable. A sample without atoms counts
    /// as a molecule that is not stable. Cost: linear.
    pub fn add(&mut self, molecule: &MolecularGraph) {
        let sums = ValenceSums::of(molecule);
        let atoms = molecule.node_count();
        let stable = molecule
            .node_weights()
            .enumerate()
            .filter(|(index, atom)| {
                stable_sums(atom.element).is_some_and(|allowed| allowed.contains(&sums.of_atom(*index)))
            })
            .count();
        self.molecules += 1;
        self.stable_molecules += u64::from(stable == atoms && atoms > 0);
        self.atoms += atoms as u64;
        self.stable_atoms += stable as u64;
        self.hydrogens += molecule.node_weights().filter(|atom| atom.element == Element::H).count() as u64;
    }

    /// Add what another tally has counted.
    pub fn merge(&mut self, other: &Self) {
        self.molecules += other.molecules;
        self.stable_molecules += other.stable_molecules;
        self.atoms += other.atoms;
        self.stable_atoms += other.stable_atoms;
        self.hydrogens += other.hydrogens;
    }

    /// Standard errors of the shares, of independent molecules (atoms of a molecule are not independent: for them it is the
    /// error of as many shares as there are molecules).
    #[must_use]
    pub fn errors(&self) -> Option<Stability> {
        let atoms = self.stability()?.atoms;
        let stable = (atoms * self.molecules as f64).round() as u64;
        Some(Stability {
            atoms: share_error(stable, self.molecules)?,
            molecules: share_error(self.stable_molecules, self.molecules)?,
        })
    }

    /// The shares; `None` if no sample had a hydrogen atom.
    #[must_use]
    pub fn stability(&self) -> Option<Stability> {
        (self.hydrogens > 0).then(|| Stability {
            atoms: self.stable_atoms as f64 / self.atoms as f64,
            molecules: self.stable_molecules as f64 / self.molecules as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::molecule::{Atom, BondOrder, molecule_from};

    fn molecule(elements: &[Element], bonds: &[(usize, usize, BondOrder)]) -> MolecularGraph {
        molecule_from(elements.iter().map(|element| Atom::neutral(*element)), bonds.iter().copied()).unwrap()
    }

    #[test]
    fn atoms_with_their_table_valence_are_stable() {
        use BondOrder::{Double, Single};
        use Element::{C, H, O};
        let formaldehyde = molecule(&[C, O, H, H], &[(0, 1, Double), (0, 2, Single), (0, 3, Single)]);
        let radical = molecule(&[C, H, H, H], &[(0, 1, Single), (0, 2, Single), (0, 3, Single)]);
        let mut tally = StabilityTally::new();
        tally.add(&formaldehyde);
        tally.add(&radical);
        assert_eq!(tally.stability(), Some(Stability { atoms: 7.0 / 8.0, molecules: 0.5 }));
    }

    #[test]
    fn a_set_without_hydrogen_atoms_has_no_stability() {
        let mut tally = StabilityTally::new();
        assert_eq!(tally.stability(), None);
        tally.add(&molecule(&[Element::C, Element::O], &[(0, 1, BondOrder::Double)]));
        tally.add(&MolecularGraph::default());
        assert_eq!(tally.stability(), None);
        // Alternatives, and an element outside the table.
        assert_eq!(stable_sums(Element::P), Some(&[3, 5][..]));
        assert_eq!(stable_sums(Element::Fe), None);
    }
}
