//! Valence repair: lower bonds at atoms over their limit until none is left (GDSS, released correction).
//!
//! While an atom is over its limit: take the lowest such atom, order its bonds by type (highest first, bonds of one
//! type in the order of the bond list), and lower the first by one. A single bond is removed; any other leaves its
//! place and is added again at the *end* of the bond list, which is what a chemistry library does that cannot change a
//! bond in place, and decides which bond is next.
//!
//! The result is always valid, since an atom without bonds is, and no bond order ever rises. Atoms, charges and the
//! direction of bonds stay. The repair may split a molecule. Cost: at most `sum of bond orders` rounds of O(N + bonds).

use petgraph::graph::NodeIndex;

use crate::molecule::{BondOrder, MolecularGraph, bonds};
use crate::valence::ValenceSums;

/// The repaired molecule; an equal copy if nothing is to be done.
#[must_use]
pub fn repair(molecule: &MolecularGraph) -> MolecularGraph {
    let mut sums = ValenceSums::of(molecule);
    let Some(mut over) = sums.first_over_limit(molecule) else { return molecule.clone() };

    let mut list: Vec<(usize, usize, BondOrder)> = bonds(molecule).collect();
    loop {
        let at_atom =
            list.iter().enumerate().filter(|(_, (first, second, _))| *first == over || *second == over);
        // `max_by_key` keeps the last of equals, so the scan runs backwards to find the first.
        let Some(place) = at_atom.rev().max_by_key(|(_, (_, _, order))| *order).map(|(place, _)| place)
        else {
            break; // over its limit without a bond: no limit is negative, so this cannot be reached
        };
        let (first, second, order) = list.remove(place);
        if let Some(lowered) = order.lowered() {
            list.push((first, second, lowered));
        }
        sums.lower(first, second);
        match sums.first_over_limit(molecule) {
            Some(next) => over = next,
            None => break,
        }
    }

    let mut repaired = MolecularGraph::with_capacity(molecule.node_count(), list.len());
    for atom in molecule.node_weights() {
        repaired.add_node(*atom);
    }
    for (first, second, order) in list {
        repaired.add_edge(NodeIndex::new(first), NodeIndex::new(second), order);
    }
    repaired
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Element;
    use crate::molecule::{Atom, molecule_from};
    use BondOrder::{Double, Single, Triple};

    fn carbons(count: usize, list: &[(usize, usize, BondOrder)]) -> MolecularGraph {
        molecule_from(vec![Atom::neutral(Element::C); count], list.iter().copied()).unwrap()
    }

    #[test]
    fn the_highest_bond_is_lowered_first_and_moves_to_the_end() {
        // C0 carries 1 + 3 + 2 = 6: the triple goes to a double at the end, then the (now first) double to a single.
        let molecule = carbons(4, &[(0, 1, Single), (0, 2, Triple), (0, 3, Double)]);
        let found: Vec<_> = bonds(&repair(&molecule)).collect();
        assert_eq!(found, [(0, 1, Single), (0, 2, Double), (0, 3, Single)]);
    }

    #[test]
    fn a_single_bond_over_the_limit_is_removed() {
        let molecule =
            carbons(6, &[(0, 1, Single), (0, 2, Single), (0, 3, Single), (0, 4, Single), (0, 5, Single)]);
        let found: Vec<_> = bonds(&repair(&molecule)).collect();
        assert_eq!(found, [(0, 2, Single), (0, 3, Single), (0, 4, Single), (0, 5, Single)]);
    }

    #[test]
    fn a_valid_molecule_is_returned_unchanged() {
        let molecule = carbons(3, &[(2, 1, Double), (0, 1, Single)]);
        let found: Vec<_> = bonds(&repair(&molecule)).collect();
        assert_eq!(found, [(2, 1, Double), (0, 1, Single)]);
    }
}
