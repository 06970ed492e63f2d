//! Topological polar surface area (Ertl, Rohde & Selzer, J. Med. Chem. 43, 3714, 2000), nitrogen and oxygen only.

use crate::perceived::{PerceivedMolecule, PerceivedOrder};

/// What an atom's surroundings are sorted by: other than hydrogen, by order.
#[derive(Default)]
struct Bonds {
    neighbours: u8,
    single: u8,
    double: u8,
    triple: u8,
    aromatic: u8,
}

/// The area in Å² (RDKit's `TPSA`): a sum over nitrogens and oxygens by their surroundings.
#[must_use]
pub fn polar_surface_area(molecule: &PerceivedMolecule) -> f64 {
    let mut area = 0.0;
    for (index, atom) in molecule.atoms().iter().enumerate() {
        if !matches!(atom.number, 7 | 8) {
            continue;
        }
        let mut bonds = Bonds::default();
        for (other, bond) in molecule.neighbours(index as u16) {
            if molecule.atoms()[usize::from(*other)].number == 1 {
                continue;
            }
            bonds.neighbours += 1;
            match molecule.bonds()[usize::from(*bond)].order {
                PerceivedOrder::Single => bonds.single += 1,
                PerceivedOrder::Double => bonds.double += 1,
                PerceivedOrder::Triple => bonds.triple += 1,
                PerceivedOrder::Aromatic => bonds.aromatic += 1,
            }
        }
        let hydrogens = atom.total_hydrogens();
        let in_three_ring = atom.smallest_ring == 3;
        let (tabulated, base, per_neighbour) = if atom.number == 7 {
            (nitrogen(&bonds, hydrogens, atom.charge, in_three_ring), 30.5, 8.2)
        } else {
            (oxygen(&bonds, hydrogens, atom.charge, in_three_ring), 28.5, 8.6)
        };
        area += tabulated.unwrap_or_else(|| {
            let estimate = base - f64::from(bonds.neighbours) * per_neighbour + f64::from(hydrogens) * 1.5;
            estimate.max(0.0)
        });
    }
    area
}

/// Table 1 of the paper. Matched: neighbours, hydrogens, charge, single, double, triple and aromatic bonds.
fn nitrogen(bonds: &Bonds, hydrogens: u8, charge: i8, in_three_ring: bool) -> Option<f64> {
    let Bonds { neighbours, single, double, triple, aromatic } = *bonds;
    Some(match (neighbours, hydrogens, charge) {
        (1, 0, 0) if triple == 1 => 23.79,
        (1, 1, 0) if double == 1 => 23.85,
        (1, 2, 0) if single == 1 => 26.02,
        (1, 2, 1) if double == 1 => 25.59,
        (1, 3, 1) if single == 1 => 27.64,
        (2, 0, 0) if single == 1 && double == 1 => 12.36,
        (2, 0, 0) if triple == 1 && double == 1 => 13.60,
        (2, 1, 0) if single == 2 && in_three_ring => 21.94,
        (2, 1, 0) if single == 2 => 12.03,
        (2, 0, 1) if triple == 1 && single == 1 => 4.36,
        (2, 1, 1) if double == 1 && single == 1 => 13.97,
        (2, 2, 1) if single == 2 => 16.61,
        (2, 0, 0) if aromatic == 2 => 12.89,
        (2, 1, 0) if aromatic == 2 => 15.79,
        (2, 1, 1) if aromatic == 2 => 14.14,
        (3, 0, 0) if single == 3 && in_three_ring => 3.01,
        (3, 0, 0) if single == 3 => 3.24,
        (3, 0, 0) if single == 1 && double == 2 => 11.68,
        (3, 0, 1) if single == 2 && double == 1 => 3.01,
        (3, 1, 1) if single == 3 => 4.44,
        (3, 0, 0) if aromatic == 3 => 4.41,
        (3, 0, 0) if single == 1 && aromatic == 2 => 4.93,
        (3, 0, 0) if double == 1 && aromatic == 2 => 8.39,
        (3, 0, 1) if aromatic == 3 => 4.10,
        (3, 0, 1) if single == 1 && aromatic == 2 => 3.88,
        (4, 0, 1) if single == 4 => 0.0,
        _ => return None,
    })
}

fn oxygen(bonds: &Bonds, hydrogens: u8, charge: i8, in_three_ring: bool) -> Option<f64> {
    let Bonds { neighbours, single, double, aromatic, .. } = *bonds;
    Some(match (neighbours, hydrogens, charge) {
        (1, 0, 0) if double == 1 => 17.07,
        (1, 1, 0) if single == 1 => 20.23,
        (1, 0, -1) if single == 1 => 23.06,
        (2, 0, 0) if single == 2 && in_three_ring => 12.53,
        (2, 0, 0) if single == 2 => 9.23,
        (2, 0, 0) if aromatic == 2 => 13.14,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(smiles: &str) -> f64 {
        polar_surface_area(&PerceivedMolecule::of_canonical(smiles).unwrap())
    }

    #[test]
    fn the_table_and_the_estimate_outside_it() {
        // Acetamide, pyridine, oxirane; hydrogen cyanide's anion is outside the table.
        assert!((area("CC(N)=O") - (26.02 + 17.07)).abs() < 1e-12);
        assert!((area("c1ccncc1") - 12.89).abs() < 1e-12);
        assert!((area("C1CO1") - 12.53).abs() < 1e-12);
        assert!((area("[NH4+]") - (30.5 + 6.0)).abs() < 1e-12);
        assert_eq!(area("CCC"), 0.0);
    }
}
