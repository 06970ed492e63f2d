//! Hydrogens that a graph of heavy atoms does not show.

use crate::element::Element;
use crate::molecule::{Atom, BondOrder, MolecularGraph};
use crate::valence::ValenceSums;

/// The molecule with its implicit hydrogens as atoms, behind the others, each on a single bond. Cost: O(atoms + bonds).
#[must_use]
pub fn with_hydrogens(molecule: &MolecularGraph) -> MolecularGraph {
    let sums = ValenceSums::of(molecule);
    let mut whole = molecule.clone();
    for node in molecule.node_indices() {
        let atom = molecule[node];
        for _ in 0..implicit_hydrogens(atom.element, atom.charge, sums.of_atom(node.index())) {
            let hydrogen = whole.add_node(Atom { element: Element::H, charge: 0 });
            whole.add_edge(node, hydrogen, BondOrder::Single);
        }
    }
    whole
}

/// Hydrogens that fill an atom up to the next of its element's usual valences; a charged atom has those of the element with as
/// many electrons. Elements that have none without being told so in a SMILES string have none here.
pub(crate) fn implicit_hydrogens(element: Element, charge: i8, orders: u32) -> u32 {
    let valences: &[u32] = match i16::from(element.atomic_number()) - i16::from(charge) {
        _ if !is_organic(element) => &[],
        5 => &[3],
        6 => &[4],
        7 => &[3],
        8 => &[2],
        9 | 17 | 35 => &[1],
        14 => &[4],
        15 => &[3, 5],
        16 => &[2, 4, 6],
        53 => &[1, 3, 5],
        _ => &[],
    };
    valences.iter().find(|valence| **valence >= orders).map_or(0, |valence| valence - orders)
}

/// The elements that SMILES writes without brackets.
fn is_organic(element: Element) -> bool {
    use Element::{B, Br, C, Cl, F, I, N, O, P, S};
    matches!(element, B | C | N | O | P | S | F | Cl | Br | I)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ammonium_acetate_gets_its_hydrogens() {
        let atom = |element, charge| Atom { element, charge };
        let atoms = [
            atom(Element::C, 0),
            atom(Element::C, 0),
            atom(Element::O, 0),
            atom(Element::O, -1),
            atom(Element::N, 1),
        ];
        let bonds = [(0, 1, BondOrder::Single), (1, 2, BondOrder::Double), (1, 3, BondOrder::Single)];
        let whole = with_hydrogens(&crate::molecule::molecule_from(atoms, bonds).unwrap());
        let on = |atom: usize| {
            whole.neighbors(petgraph::graph::NodeIndex::new(atom)).filter(|n| n.index() >= 5).count()
        };
        assert_eq!([0, 1, 2, 3, 4].map(on), [3, 0, 0, 0, 4]);
        assert_eq!(whole.node_count(), 12);
    }

    #[test]
    fn hydrogens_fill_up_to_the_next_usual_valence() {
        for (element, charge, orders, hydrogens) in [
            (Element::C, 0, 1, 3),
            (Element::C, 1, 3, 0),
            (Element::N, 0, 2, 1),
            (Element::N, 1, 2, 2),
            (Element::O, -1, 1, 0),
            (Element::S, 0, 2, 0),
            (Element::S, 0, 3, 1),
            (Element::P, 0, 5, 0),
            (Element::Cl, 0, 0, 1),
            (Element::Na, 1, 0, 0),
            (Element::Si, 0, 3, 0),
        ] {
            assert_eq!(
                implicit_hydrogens(element, charge, orders),
                hydrogens,
                "{element:?} {charge} {orders}"
            );
        }
    }
}
