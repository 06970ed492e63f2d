//! How many bonds an atom may have.
//!
//! The check is RDKit's property sanitisation (2026.09) on a graph without explicit hydrogen counts: the sum of bond
//! orders at an atom may not exceed the largest valence of the element whose electron count the charged atom has
//! (N+ counts as C, O+ as N, ...). With the charges that decoding can give:
//!
//! | element | 0 | +1 | | element | 0 | +1 | | element | 0 | +1 |
//! | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
//! | C | 4 | 3 | | F | 1 | 2 | | Cl | 1 | 6 |
//! | N | 3 | 4 | | P | 5 | 4 | | Br | 1 | 6 |
//! | O | 2 | 3 | | S | 6 | 5 | | I | 5 | 6 |
//!
//! Sums below the limit are always accepted: implicit hydrogens or unpaired electrons fill the rest.
//! Metals and elements without a fixed valence have no limit.

use petgraph::visit::EdgeRef;

use crate::element::Element;
use crate::molecule::{BondOrder, MolecularGraph};

/// The largest valence of a neutral atom by atomic number; `None` where the element takes any number of bonds
/// (RDKit's periodic table, last entry of the valence list).
const fn largest_neutral_valence(atomic_number: u8) -> Option<u8> {
    match atomic_number {
        2 | 10 | 18 | 36 | 86 => Some(0),
        1 | 9 | 17 | 35 | 55 | 87 => Some(1),
        4 | 8 => Some(2),
        5 | 7 | 13 | 31 | 49 => Some(3),
        6 | 14 | 32 | 50 | 82 => Some(4),
        15 | 33 | 51 | 53 | 83 | 85 => Some(5),
        16 | 34 | 52 | 54 | 84 => Some(6),
        _ => None,
    }
}

/// The largest sum of bond orders an atom may have; `None` if there is no limit.
#[must_use]
pub fn max_valence(element: Element, charge: i8) -> Option<u8> {
    let number = i16::from(element.atomic_number());
    let charge = i16::from(charge);
    // An element without a limit has none when charged either.
    let neutral = largest_neutral_valence(element.atomic_number())?;
    let isoelectronic = (number - charge).clamp(0, 118);
    // P, S, As, Se with so much negative charge that the count reaches the halogens: their own shell, shared with the
    // charge.
    let hypervalent = (isoelectronic > 16 && matches!(element, Element::P | Element::S))
        || (isoelectronic > 34 && matches!(element, Element::As | Element::Se));
    if hypervalent {
        return Some(u8::try_from(i16::from(neutral) + charge).unwrap_or(0));
    }
    if element == Element::H && charge == -1 {
        return Some(2); // a hydride may bridge
    }
    u8::try_from(isoelectronic).ok().and_then(largest_neutral_valence)
}

/// The usual valence of a neutral atom of the elements GDSS charges: C 4, N 3, O 2, F 1, P 3, S 2, Cl, Br, I 1.
#[must_use]
pub const fn normal_valence(element: Element) -> Option<u8> {
    match element {
        Element::C => Some(4),
        Element::N | Element::P => Some(3),
        Element::O | Element::S => Some(2),
        Element::F | Element::Cl | Element::Br | Element::I => Some(1),
        _ => None,
    }
}

/// The sums of bond orders at every atom, kept up to date while bonds come and go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValenceSums {
    sums: Vec<u32>,
}

impl ValenceSums {
    /// The sums of a molecule. Cost: O(atoms + bonds).
    #[must_use]
    pub fn of(molecule: &MolecularGraph) -> Self {
        let mut sums = Self { sums: vec![0; molecule.node_count()] };
        for edge in molecule.edge_references() {
            sums.add(edge.source().index(), edge.target().index(), *edge.weight());
        }
        sums
    }

    /// Count a new bond.
    pub fn add(&mut self, first: usize, second: usize, order: BondOrder) {
        self.sums[first] += u32::from(order.number());
        self.sums[second] += u32::from(order.number());
    }

    /// Take one order off a bond.
    pub fn lower(&mut self, first: usize, second: usize) {
        self.sums[first] -= 1;
        self.sums[second] -= 1;
    }

    /// The sum at one atom.
    #[must_use]
    pub fn of_atom(&self, atom: usize) -> u32 {
        self.sums[atom]
    }

    /// The lowest atom over its limit: the one RDKit's check reports.
    #[must_use]
    pub fn first_over_limit(&self, molecule: &MolecularGraph) -> Option<usize> {
        self.over_limit(molecule).next()
    }

    /// All atoms over their limit, ascending.
    pub fn over_limit<'a>(&'a self, molecule: &'a MolecularGraph) -> impl Iterator<Item = usize> + 'a {
        molecule.node_weights().zip(&self.sums).enumerate().filter_map(|(atom, (node, sum))| {
            let limit = max_valence(node.element, node.charge)?;
            (*sum > u32::from(limit)).then_some(atom)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_of_the_table_in_the_module_documentation() {
        let table = [
            (Element::C, 4, 3),
            (Element::N, 3, 4),
            (Element::O, 2, 3),
            (Element::F, 1, 2),
            (Element::P, 5, 4),
            (Element::S, 6, 5),
            (Element::Cl, 1, 6),
            (Element::Br, 1, 6),
            (Element::I, 5, 6),
        ];
        for (element, neutral, cation) in table {
            assert_eq!(max_valence(element, 0), Some(neutral), "{element}");
            assert_eq!(max_valence(element, 1), Some(cation), "{element}+");
        }
    }

    #[test]
    fn anions_and_metals_follow_the_electron_count() {
        assert_eq!(max_valence(Element::O, -1), Some(1));
        assert_eq!(max_valence(Element::P, -1), Some(6)); // hexafluorophosphate
        assert_eq!(max_valence(Element::S, -1), Some(5));
        assert_eq!(max_valence(Element::H, 0), Some(1));
        assert_eq!(max_valence(Element::H, 1), None);
        assert_eq!(max_valence(Element::Fe, 0), None);
        assert_eq!(max_valence(Element::Na, 1), None);
        assert_eq!(max_valence(Element::C, i8::MIN), None);
        assert_eq!(max_valence(Element::P, i8::MIN), Some(0));
    }
}
