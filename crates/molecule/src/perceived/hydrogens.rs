//! Hydrogens and valences of the perceived molecule, counted as RDKit counts them.

use super::{PerceivedAtom, PerceivedBond, PerceivedMolecule, PerceivedOrder};

/// Valences an uncharged element may have, ascending (RDKit's periodic table, the elements that SMILES writes without
/// brackets and their heavier relatives); empty where it has no fixed one.
const fn valences(number: i16) -> &'static [u8] {
    match number {
        1 | 9 | 17 | 35 => &[1],
        4 | 8 => &[2],
        5 | 7 | 13 | 31 | 49 => &[3],
        6 | 14 | 32 => &[4],
        15 | 33 | 51 | 83 => &[3, 5],
        16 | 34 | 52 | 84 => &[2, 4, 6],
        53 | 85 => &[1, 3, 5],
        50 | 82 => &[2, 4],
        _ => &[],
    }
}

impl PerceivedMolecule {
    /// Set an atom's valence, and first its implicit hydrogens if it is written without brackets.
    pub(super) fn count_hydrogens(&mut self, index: usize, without_brackets: bool) {
        let orders = self.sum_of_orders(index);
        let atom = &mut self.atoms[index];
        if without_brackets {
            let explicit = explicit_valence(atom, orders);
            let allowed = valences(i16::from(atom.number));
            // An aromatic atom takes hydrogens up to its lowest valence only.
            let allowed = if atom.aromatic { &allowed[..allowed.len().min(1)] } else { allowed };
            let fitting = allowed.iter().find(|valence| **valence >= explicit);
            atom.hydrogens = fitting.map_or(0, |valence| valence - explicit);
            atom.valence = explicit + atom.hydrogens;
        } else {
            atom.valence = explicit_valence(atom, orders + f64::from(atom.hydrogens));
        }
    }

    fn sum_of_orders(&self, index: usize) -> f64 {
        let bonds = self.neighbours(index as u16);
        bonds.iter().map(|(_, bond)| self.bonds[usize::from(*bond)].order.value()).sum()
    }

    /// The same molecule with all its hydrogens as atoms, after the others, in the order of the atoms they belong to
    /// (RDKit's `AddHs`).
    #[must_use]
    pub fn with_hydrogens(&self) -> Self {
        let added: usize = self.atoms.iter().map(|atom| usize::from(atom.hydrogens)).sum();
        let mut atoms = Vec::with_capacity(self.atoms.len() + added);
        atoms.extend_from_slice(&self.atoms);
        let mut bonds = Vec::with_capacity(self.bonds.len() + added);
        bonds.extend_from_slice(&self.bonds);
        for (index, atom) in self.atoms.iter().enumerate() {
            for _ in 0..atom.hydrogens {
                let ends = [index as u16, atoms.len() as u16];
                bonds.push(PerceivedBond { ends, order: PerceivedOrder::Single, in_ring: false });
                atoms.push(PerceivedAtom { valence: 1, ..HYDROGEN });
            }
        }
        for atom in &mut atoms {
            (atom.hydrogens, atom.degree, atom.hydrogen_neighbours) = (0, 0, 0);
        }
        let mut molecule = Self::assemble(atoms, bonds);
        molecule.rings.clone_from(&self.rings);
        molecule
    }
}

const HYDROGEN: PerceivedAtom = PerceivedAtom {
    number: 1,
    isotope: 0,
    charge: 0,
    aromatic: false,
    hydrogens: 0,
    hydrogen_neighbours: 0,
    degree: 0,
    valence: 0,
    rings: 0,
    smallest_ring: 0,
    ring_bonds: 0,
};

/// The valence of an atom whose bond orders, hydrogens in brackets included, sum up to `sum`.
fn explicit_valence(atom: &PerceivedAtom, sum: f64) -> u8 {
    let mut sum = sum;
    // A charged atom has the valences of the element with as many electrons.
    let allowed = valences(i16::from(atom.number) - i16::from(atom.charge));
    // Orders of 1.5 may add up to more than the Kekulé form has: those of the nitrogen of N-methylpyrrole to 4.
    if let (true, Some(lowest)) = (atom.aromatic, allowed.first())
        && sum > f64::from(*lowest)
    {
        let reached = allowed.iter().rev().find(|valence| f64::from(**valence) <= sum).unwrap_or(lowest);
        if sum - f64::from(*reached) <= 1.5 {
            sum = f64::from(*reached);
        }
    }
    // Upwards from one half, as if a tenth were added.
    (sum + 0.1).round().clamp(0.0, 250.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(smiles: &str) -> Vec<(u8, u8)> {
        let molecule = PerceivedMolecule::of_canonical(smiles).unwrap();
        molecule.atoms().iter().map(|atom| (atom.hydrogens, atom.valence)).collect()
    }

    #[test]
    fn hydrogens_fill_the_lowest_valence_that_fits() {
        assert_eq!(counts("CS(C)(=O)=O"), [(3, 4), (0, 6), (3, 4), (0, 2), (0, 2)]);
        assert_eq!(counts("C[NH3+]"), [(3, 4), (3, 4)]);
        assert_eq!(counts("O=PO"), [(0, 2), (0, 3), (1, 2)]);
        assert_eq!(counts("[CH2]"), [(2, 2)]);
    }

    #[test]
    fn aromatic_atoms_have_the_valence_of_their_kekule_form() {
        // Pyrrole, N-methylpyrrole, thiophene, pyridine N-oxide, naphthalene's bridge.
        assert_eq!(counts("c1cc[nH]c1")[3], (1, 3));
        assert_eq!(counts("Cn1cccc1")[1], (0, 3));
        assert_eq!(counts("c1ccsc1")[3], (0, 2));
        assert_eq!(counts("[O-][n+]1ccccc1")[1], (0, 4));
        assert_eq!(counts("c1ccc2ccccc2c1")[3], (0, 4));
    }

    #[test]
    fn hydrogens_become_atoms_in_the_order_of_their_neighbours() {
        let molecule = PerceivedMolecule::of_canonical("NC=O").unwrap().with_hydrogens();
        let ends: Vec<_> = molecule.bonds()[2..].iter().map(|bond| bond.ends).collect();
        assert_eq!(ends, [[0, 3], [0, 4], [1, 5]]);
        let first = molecule.atoms()[0];
        assert_eq!((first.hydrogens, first.hydrogen_neighbours, first.degree, first.valence), (0, 2, 3, 3));
        assert_eq!((first.total_degree(), first.total_hydrogens()), (3, 2));
        assert_eq!(molecule.heavy_atoms(), 3);
    }
}
