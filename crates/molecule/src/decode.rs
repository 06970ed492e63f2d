//! Continuous tensors -> atoms, bonds and charges (GDSS, Jo, Lee & Hwang 2022, arXiv 2202.02514, released decoding).
//!
//! For node features `x` `[N, F]` and an adjacency `adj` `[N, N]`, row-major, one vocabulary element per feature:
//!
//! 1. bonds: `adj_ij >= 2.5` triple, `>= 1.5` double, `>= 0.5` single, else none;
//! 2. atoms: the first feature of a row above 0.5 names the element; a row with none is an absent atom (that is the
//!    argmax over the quantised row and its complement, first maximum wins, while at most one feature is set; with two
//!    or more set the complement is negative and the first set feature still wins);
//! 3. absent atoms go, with their rows and columns;
//! 4. bonds are made for pairs `i > j`, `i` ascending, then `j`. After each bond the lowest atom over its valence limit
//!    is looked at: N, O or S one above its normal valence (3, 2, 2) gets charge +1, any other stays as it is;
//! 5. the molecule is *valid without correction* if no atom is over its limit at the end. That says nothing about
//!    connectedness, and the empty molecule is valid in this sense.
//!
//! With [`BondEncoding::Aromatic`] step 1 reads other levels, and between steps 3 and 4 aromatic bonds become single and double
//! ([`kekulise()`]); a molecule that has no Kekulé form, or an aromatic bond outside rings, is not valid without correction.
//!
//! NaN compares as "no bond" and "no atom". Cost: O(N^2) for the scan and O(bonds * N) for the checks of step 4.

use petgraph::graph::NodeIndex;

use crate::bond_encoding::BondEncoding;
use crate::element::Element;
use crate::error::MoleculeError;
use crate::kekulise::kekulise;
use crate::molecule::{Atom, MolecularGraph};
use crate::valence::{ValenceSums, max_valence, normal_valence};

/// A decoded sample.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// Atoms and bonds as they came, charges of step 4 included; not repaired. Aromatic bonds are kekulised, and single where
    /// there is no way.
    pub graph: MolecularGraph,
    /// No atom is over its valence limit, and aromatic bonds could be kekulised.
    pub valid_without_correction: bool,
}

/// Decode one sample: `x` is `[N, F]` with `F = vocabulary.len()`, `adj` is `[N, N]` and holds bond orders; both row-major.
///
/// # Errors
/// [`MoleculeError::TensorLength`] if the lengths do not belong to one `N`.
pub fn decode(x: &[f32], adj: &[f32], vocabulary: &[Element]) -> Result<Decoded, MoleculeError> {
    decode_as(BondEncoding::Orders, x, adj, vocabulary)
}

/// The same with an adjacency that holds the levels of an encoding.
///
/// # Errors
/// As [`decode()`].
pub fn decode_as(
    encoding: BondEncoding,
    x: &[f32],
    adj: &[f32],
    vocabulary: &[Element],
) -> Result<Decoded, MoleculeError> {
    let features = vocabulary.len();
    let nodes = x.len().checked_div(features).unwrap_or(0);
    if nodes * features != x.len() {
        return Err(MoleculeError::TensorLength { tensor: "x", expected: nodes * features, found: x.len() });
    }
    if nodes * nodes != adj.len() {
        return Err(MoleculeError::TensorLength { tensor: "adj", expected: nodes * nodes, found: adj.len() });
    }

    let mut graph = MolecularGraph::default();
    // The row of each atom that is present.
    let mut rows = Vec::with_capacity(nodes);
    for row in 0..nodes {
        let set = x[row * features..(row + 1) * features].iter().position(|value| *value > 0.5);
        if let Some(feature) = set {
            graph.add_node(Atom::neutral(vocabulary[feature]));
            rows.push(row);
        }
    }

    let mut list = Vec::new();
    for i in 0..rows.len() {
        for j in 0..i {
            let bond = encoding.quantise(adj[rows[i] * nodes + rows[j]]);
            list.extend(bond.map(|bond| (j, i, bond)));
        }
    }
    let elements: Vec<Element> = graph.node_weights().map(|atom| atom.element).collect();
    // Without aromatic bonds this changes nothing.
    let kekule = kekulise(&elements, &list);

    let mut sums = ValenceSums::of(&graph);
    for (&(j, i, _), &order) in list.iter().zip(&kekule.orders) {
        graph.add_edge(NodeIndex::new(j), NodeIndex::new(i), order);
        sums.add(i, j, order);
        if let Some(over) = sums.first_over_limit(&graph) {
            charge_if_one_above_normal(&mut graph, over, sums.of_atom(over));
        }
    }
    let valid_without_correction = kekule.complete && sums.first_over_limit(&graph).is_none();
    Ok(Decoded { graph, valid_without_correction })
}

/// Step 4's charge rule for an atom that is over its limit.
fn charge_if_one_above_normal(graph: &mut MolecularGraph, atom: usize, sum: u32) {
    let node = &mut graph[NodeIndex::new(atom)];
    let chargeable = matches!(node.element, Element::N | Element::O | Element::S);
    if chargeable && normal_valence(node.element).is_some_and(|normal| sum == u32::from(normal) + 1) {
        node.charge = 1;
        // The raised limit admits exactly this sum, so the same atom is not looked at again.
        debug_assert!(max_valence(node.element, 1).is_some_and(|limit| sum <= u32::from(limit)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::molecule::{BondOrder, bonds};

    const CNOF: [Element; 4] = [Element::C, Element::N, Element::O, Element::F];

    fn one_hot(features: &[Option<usize>]) -> Vec<f32> {
        features
            .iter()
            .flat_map(|set| (0..4).map(move |feature| if *set == Some(feature) { 1.0 } else { 0.1 }))
            .collect()
    }

    fn symmetric(nodes: usize, entries: &[(usize, usize, f32)]) -> Vec<f32> {
        let mut adj = vec![0.0; nodes * nodes];
        for &(i, j, value) in entries {
            adj[i * nodes + j] = value;
            adj[j * nodes + i] = value;
        }
        adj
    }

    #[test]
    fn thresholds_are_inclusive_for_bonds_and_exclusive_for_atoms() {
        let mut x = one_hot(&[Some(0), Some(0), Some(0), Some(0)]);
        x[12] = 0.5; // not above 0.5: absent
        let adj = symmetric(4, &[(0, 1, 0.5), (1, 2, 2.5), (2, 3, 1.0)]);
        let decoded = decode(&x, &adj, &CNOF).unwrap();
        assert_eq!(decoded.graph.node_count(), 3);
        let found: Vec<_> = bonds(&decoded.graph).collect();
        assert_eq!(found, [(0, 1, BondOrder::Single), (1, 2, BondOrder::Triple)]);
    }

    #[test]
    fn a_row_with_two_ones_takes_the_earlier_element() {
        let x = [0.0, 0.9, 0.8, 0.0];
        let decoded = decode(&x, &[0.0], &CNOF).unwrap();
        assert_eq!(decoded.graph[NodeIndex::new(0)], Atom::neutral(Element::N));
    }

    #[test]
    fn nitrogen_with_four_bonds_becomes_ammonium_and_stays_valid() {
        let x = one_hot(&[Some(1), Some(0), Some(0), Some(0), Some(0)]);
        let adj = symmetric(5, &[(0, 1, 1.0), (0, 2, 1.0), (0, 3, 1.0), (0, 4, 1.0)]);
        let decoded = decode(&x, &adj, &CNOF).unwrap();
        assert_eq!(decoded.graph[NodeIndex::new(0)].charge, 1);
        assert!(decoded.valid_without_correction);
    }

    #[test]
    fn carbon_with_five_bonds_is_invalid_and_keeps_them() {
        let x = one_hot(&[Some(0); 6]);
        let adj = symmetric(6, &[(0, 1, 1.0), (0, 2, 1.0), (0, 3, 1.0), (0, 4, 1.0), (0, 5, 1.0)]);
        let decoded = decode(&x, &adj, &CNOF).unwrap();
        assert!(!decoded.valid_without_correction);
        assert_eq!(decoded.graph.edge_count(), 5);
    }

    #[test]
    fn aromatic_rings_are_kekulised_and_faulty_ones_are_not_valid() {
        let ring = |size: usize, extra: &[(usize, usize, f32)]| {
            let mut bonds: Vec<_> = (0..size).map(|atom| (atom, (atom + 1) % size, 2.0)).collect();
            bonds.extend(extra);
            let nodes = bonds.iter().map(|bond| bond.0.max(bond.1) + 1).max().unwrap();
            let x = one_hot(&vec![Some(0); nodes]);
            decode_as(BondEncoding::Aromatic, &x, &symmetric(nodes, &bonds), &CNOF).unwrap()
        };
        let doubles = |decoded: &Decoded| {
            bonds(&decoded.graph).filter(|(_, _, order)| *order == BondOrder::Double).count()
        };
        let benzene = ring(6, &[]);
        assert_eq!((benzene.valid_without_correction, doubles(&benzene)), (true, 3));
        let odd = ring(5, &[]);
        assert_eq!((odd.valid_without_correction, doubles(&odd)), (false, 2));
        // Beside the ring a double bond (level 3), and an aromatic bond that is in no ring.
        let quinone = ring(6, &[(0, 6, 3.0), (3, 7, 3.2)]);
        assert_eq!((quinone.valid_without_correction, doubles(&quinone)), (true, 4));
        let outside = ring(6, &[(0, 6, 2.0)]);
        assert_eq!((outside.valid_without_correction, doubles(&outside)), (false, 3));
    }

    #[test]
    fn nan_is_neither_an_atom_nor_a_bond() {
        let mut x = one_hot(&[Some(0), Some(0)]);
        x[4] = f32::NAN;
        let adj = symmetric(2, &[(0, 1, f32::NAN)]);
        let decoded = decode(&x, &adj, &CNOF).unwrap();
        assert_eq!((decoded.graph.node_count(), decoded.graph.edge_count()), (1, 0));
    }

    #[test]
    fn wrong_lengths_are_errors_that_name_the_tensor() {
        assert!(matches!(
            decode(&[0.0; 7], &[0.0; 4], &CNOF),
            Err(MoleculeError::TensorLength { tensor: "x", .. })
        ));
        assert!(matches!(
            decode(&[0.0; 8], &[0.0; 5], &CNOF),
            Err(MoleculeError::TensorLength { tensor: "adj", expected: 4, found: 5 })
        ));
    }
}
