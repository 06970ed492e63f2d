//! Counts of rings and of atoms where rings meet, with RDKit's definitions.

use crate::perceived::{PerceivedMolecule, PerceivedOrder, Ring};

/// Rings all of whose bonds are aromatic, and the others (RDKit's `NumAromaticRings`, `NumAliphaticRings`).
#[must_use]
pub fn aromatic_and_aliphatic_rings(molecule: &PerceivedMolecule) -> (u32, u32) {
    let is_aromatic = |ring: &&Ring| {
        let mut bonds = ring.bonds.iter().map(|bond| &molecule.bonds()[usize::from(*bond)]);
        bonds.all(|bond| bond.order == PerceivedOrder::Aromatic)
    };
    let aromatic = molecule.rings().iter().filter(is_aromatic).count();
    (aromatic as u32, (molecule.rings().len() - aromatic) as u32)
}

/// Atoms that are the only common one of two rings.
#[must_use]
pub fn spiro_atoms(molecule: &PerceivedMolecule) -> usize {
    let mut found: Vec<u16> = Vec::new();
    for (first, second) in pairs(molecule) {
        let mut common = first.atoms.iter().filter(|atom| second.atoms.contains(atom));
        if let (Some(atom), None) = (common.next(), common.next())
            && !found.contains(atom)
        {
            found.push(*atom);
        }
    }
    found.len()
}

/// Atoms at the ends of a path of two or more bonds that two rings share.
#[must_use]
pub fn bridgehead_atoms(molecule: &PerceivedMolecule) -> usize {
    let mut found: Vec<u16> = Vec::new();
    for (first, second) in pairs(molecule) {
        let common: Vec<u16> =
            first.bonds.iter().copied().filter(|bond| second.bonds.contains(bond)).collect();
        if common.len() < 2 {
            continue;
        }
        let ends: Vec<u16> =
            common.iter().flat_map(|bond| molecule.bonds()[usize::from(*bond)].ends).collect();
        for atom in &ends {
            if ends.iter().filter(|end| *end == atom).count() == 1 && !found.contains(atom) {
                found.push(*atom);
            }
        }
    }
    found.len()
}

fn pairs(molecule: &PerceivedMolecule) -> impl Iterator<Item = (&Ring, &Ring)> {
    let rings = molecule.rings();
    rings
        .iter()
        .enumerate()
        .flat_map(move |(place, first)| rings[place + 1..].iter().map(move |second| (first, second)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_that_share_an_atom_a_bond_or_a_path() {
        let of = |smiles: &str| {
            let molecule = PerceivedMolecule::of_canonical(smiles).unwrap();
            (aromatic_and_aliphatic_rings(&molecule), spiro_atoms(&molecule), bridgehead_atoms(&molecule))
        };
        assert_eq!(of("CCC"), ((0, 0), 0, 0));
        assert_eq!(of("C1CCC2(C1)CC2"), ((0, 2), 1, 0));
        assert_eq!(of("c1ccc2c(c1)CCC2"), ((1, 1), 0, 0));
        assert_eq!(of("C1CC2CCC1C2"), ((0, 2), 0, 2)); // norbornane
    }
}
