//! Molecules as attributed `petgraph` graphs.
//!
//! A molecule is an undirected simple graph whose nodes are heavy atoms and whose edges are bonds of integer order
//! (the Kekulé form). Hydrogens are implicit unless they stand in the graph as atoms of their own; isotopes, stereo
//! marks and unpaired electrons are not represented. The order of nodes and edges is the order in which atoms and
//! bonds were made, and every algorithm of this crate keeps it: the valence repair depends on it.

use petgraph::graph::{NodeIndex, UnGraph};
use petgraph::visit::EdgeRef;
use serde::{Deserialize, Serialize};

use crate::element::Element;
use crate::error::MoleculeError;

/// A node: an atom with its formal charge in elementary charges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Atom {
    /// The element.
    pub element: Element,
    /// The formal charge.
    pub charge: i8,
}

impl Atom {
    /// A neutral atom.
    #[must_use]
    pub const fn neutral(element: Element) -> Self {
        Self { element, charge: 0 }
    }
}

/// An edge: a bond of the Kekulé form. Ordered by strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum BondOrder {
    /// One shared electron pair.
    Single = 1,
    /// Two.
    Double = 2,
    /// Three.
    Triple = 3,
}

impl BondOrder {
    /// The order 1, 2 or 3; `None` for any other number.
    #[must_use]
    pub const fn from_number(order: u8) -> Option<Self> {
        match order {
            1 => Some(Self::Single),
            2 => Some(Self::Double),
            3 => Some(Self::Triple),
            _ => None,
        }
    }

    /// 1, 2 or 3.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The next weaker bond; `None` below a single bond.
    #[must_use]
    pub const fn lowered(self) -> Option<Self> {
        Self::from_number(self as u8 - 1)
    }
}

/// A molecule, or several that are not bonded to one another.
pub type MolecularGraph = UnGraph<Atom, BondOrder>;

/// A molecule from its atoms and its bonds `(one end, other end, order)`, in this order.
///
/// # Errors
/// [`MoleculeError::Bond`] if a bond names an atom that is not there, joins an atom to itself or stands there twice.
pub fn molecule_from(
    atoms: impl IntoIterator<Item = Atom>,
    bonds: impl IntoIterator<Item = (usize, usize, BondOrder)>,
) -> Result<MolecularGraph, MoleculeError> {
    let mut molecule = MolecularGraph::default();
    for atom in atoms {
        molecule.add_node(atom);
    }
    let atoms = molecule.node_count();
    for (first, second, order) in bonds {
        let (a, b) = (NodeIndex::new(first), NodeIndex::new(second));
        if first >= atoms || second >= atoms || first == second || molecule.find_edge(a, b).is_some() {
            return Err(MoleculeError::Bond { first, second, atoms });
        }
        molecule.add_edge(a, b, order);
    }
    Ok(molecule)
}

/// The bonds as `(one end, other end, order)`, in the molecule's order.
pub fn bonds(molecule: &MolecularGraph) -> impl Iterator<Item = (usize, usize, BondOrder)> + '_ {
    molecule.edge_references().map(|edge| (edge.source().index(), edge.target().index(), *edge.weight()))
}
