//! From aromatic bonds to single and double ones.
//!
//! A Kekulé form of an aromatic system is a matching: its double bonds have no atom in common. Which atoms must have one, which
//! may, and which cannot, follows from the element, the bonds and the room that the valence leaves:
//!
//! | atom with an aromatic bond | double bond |
//! | --- | --- |
//! | any with a double or triple bond (the carbon of a ring's C=O) | no: it has one |
//! | C, Si, Ge, Sn with up to three neighbours | must have one |
//! | N, P, As with two neighbours | may: as in pyridine, or as in pyrrole with a hydrogen |
//! | N with three neighbours | only if a carbon needs it: then it is charged, as in an N-oxide; else as in N-methylpyrrole |
//! | all others (O of furan, S of thiophene, C with four neighbours) | no |
//!
//! As many atoms that must have one get one as possible; then as many that may as possible, with as few charged N as that
//! takes. If an atom that must have one gets none, or an aromatic bond is in no ring, the molecule cannot be kekulised; it is
//! what RDKit refuses to read ("Can't kekulize mol", "non-ring atom marked aromatic"). Aromatic bonds without a partner become
//! single. Hydrogens are not given, so which N of an imidazole has one is anybody's guess; [`crate::BondEncoding`] makes it
//! plain where the guess is wrong.
//!
//! Whether there is a Kekulé form does not depend on the order of the atoms; which of several is taken does, but not on the order
//! of the bonds. Cost: O(atoms ×
//! bonds) for each aromatic atom at worst, a few microseconds for a drug-like molecule.

mod matching;

use petgraph::algo::bridges::bridges;
use petgraph::graph::UnGraph;

use crate::chemistry::aromatic_form::AromaticBond;
use crate::element::Element;
use crate::molecule::BondOrder;
use matching::Matching;

/// A Kekulé form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kekulised {
    /// The order of every bond, in the order in which they were given.
    pub orders: Vec<BondOrder>,
    /// Every aromatic bond is in a ring and every atom that must have a double bond has one.
    pub complete: bool,
    /// Whether an atom has a double bond that was an aromatic one.
    pub doubled: Vec<bool>,
}

/// What an atom with an aromatic bond does with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Takes no double bond.
    None,
    /// Must take one.
    Must,
    /// Takes one if it can.
    May,
    /// Takes one if another atom needs it.
    Charged,
}

/// A Kekulé form of a molecule with these atoms and bonds `(one end, other end, bond)`, each pair once; or what comes nearest to
/// one.
#[must_use]
pub fn kekulise(atoms: &[Element], bonds: &[(usize, usize, AromaticBond)]) -> Kekulised {
    let ring = aromatic_bonds_in_rings(atoms.len(), bonds);
    let mut complete = bonds.iter().zip(&ring).all(|(bond, ring)| bond.2 != AromaticBond::Aromatic || *ring);
    let roles = roles(atoms, bonds, &ring);
    let mut matching = Matching::new(atoms.len());
    let mut edges: Vec<(usize, usize)> = (bonds.iter().zip(&ring))
        .filter(|(bond, ring)| **ring && roles[bond.0] != Role::None && roles[bond.1] != Role::None)
        .map(|(bond, _)| (bond.0.min(bond.1), bond.0.max(bond.1)))
        .collect();
    // The order of bonds must not matter: that of a sample is not that of the molecule it is like.
    edges.sort_unstable();
    for (first, second) in edges {
        matching.add_edge(first, second);
    }
    let with = |role: Role| (0..atoms.len()).filter(|&atom| roles[atom] == role).collect::<Vec<_>>();
    let (must, may) = (with(Role::Must), with(Role::May));
    for &atom in &must {
        matching.cover(atom, |other| roles[other] != Role::Charged, |other| roles[other] == Role::May);
    }
    for &atom in &must {
        complete &= matching.cover(atom, |_| true, |other| roles[other] == Role::May);
    }
    for &atom in &may {
        // Those that are charged already may change their partner.
        let charged: Vec<bool> = (0..atoms.len())
            .map(|other| roles[other] == Role::Charged && matching.mate(other).is_none())
            .collect();
        matching.cover(atom, |other| !charged[other], |_| false);
    }
    let orders = bonds.iter().map(|&(first, second, bond)| match bond {
        AromaticBond::Single => BondOrder::Single,
        AromaticBond::Double => BondOrder::Double,
        AromaticBond::Triple => BondOrder::Triple,
        AromaticBond::Aromatic if matching.mate(first) == Some(second) => BondOrder::Double,
        AromaticBond::Aromatic => BondOrder::Single,
    });
    Kekulised {
        orders: orders.collect(),
        complete,
        doubled: (0..atoms.len()).map(|atom| matching.mate(atom).is_some()).collect(),
    }
}

/// Which bonds are aromatic and in a ring.
fn aromatic_bonds_in_rings(atoms: usize, bonds: &[(usize, usize, AromaticBond)]) -> Vec<bool> {
    let mut ring: Vec<bool> = bonds.iter().map(|bond| bond.2 == AromaticBond::Aromatic).collect();
    if ring.contains(&true) {
        let mut graph = UnGraph::<(), usize>::with_capacity(atoms, bonds.len());
        let nodes: Vec<_> = (0..atoms).map(|_| graph.add_node(())).collect();
        for (index, &(first, second, _)) in bonds.iter().enumerate() {
            graph.add_edge(nodes[first], nodes[second], index);
        }
        for bridge in bridges(&graph) {
            ring[*bridge.weight()] = false;
        }
    }
    ring
}

fn roles(atoms: &[Element], bonds: &[(usize, usize, AromaticBond)], ring: &[bool]) -> Vec<Role> {
    let mut neighbours = vec![0_usize; atoms.len()];
    let (mut aromatic, mut multiple) = (vec![false; atoms.len()], vec![false; atoms.len()]);
    for (&(first, second, bond), &ring) in bonds.iter().zip(ring) {
        for end in [first, second] {
            neighbours[end] += 1;
            aromatic[end] |= ring;
            multiple[end] |= matches!(bond, AromaticBond::Double | AromaticBond::Triple);
        }
    }
    let role = |atom: usize| {
        if !aromatic[atom] || multiple[atom] {
            return Role::None;
        }
        match (atoms[atom], neighbours[atom]) {
            // Its bonds are single or aromatic, so a carbon has room for one order more beside three, and none beside four.
            (Element::C | Element::Si | Element::Ge | Element::Sn, 2 | 3) => Role::Must,
            (Element::N | Element::P | Element::As, 2) => Role::May,
            (Element::N, 3) => Role::Charged,
            _ => Role::None,
        }
    };
    (0..atoms.len()).map(role).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use AromaticBond::{Aromatic, Double, Single};
    use Element::{C, N, O, S};

    /// A ring of these atoms with aromatic bonds, and more bonds and atoms.
    fn ring(
        ring: &[Element],
        more: &[Element],
        bonds: &[(usize, usize, AromaticBond)],
    ) -> (Kekulised, Vec<usize>) {
        let size = ring.len();
        let atoms = [ring, more].concat();
        let mut all: Vec<_> = (0..size).map(|atom| (atom, (atom + 1) % size, Aromatic)).collect();
        all.extend(bonds);
        let found = kekulise(&atoms, &all);
        let doubled = (0..atoms.len()).filter(|&atom| found.doubled[atom]).collect();
        (found, doubled)
    }

    #[test]
    fn atoms_take_a_double_bond_as_their_element_does() {
        let complete = |ring_atoms: &[Element]| {
            let (found, doubled) = ring(ring_atoms, &[], &[]);
            found.complete.then_some(doubled)
        };
        assert_eq!(complete(&[C; 6]), Some((0..6).collect()), "benzene");
        assert_eq!(complete(&[C; 5]), None, "an odd ring of carbon");
        assert_eq!(complete(&[N, N, C, C, C, C]), Some((0..6).collect()), "pyridazine, not its dihydride");
        assert_eq!(complete(&[N, C, C, C, C]), Some(vec![1, 2, 3, 4]), "pyrrole");
        assert_eq!(complete(&[S, C, C, C, C]), Some(vec![1, 2, 3, 4]), "thiophene");
        assert_eq!(complete(&[O, C, C, C, C, C]), None, "pyrylium");
        assert_eq!(complete(&[N, C, N, C, C]).map(|doubled| doubled.len()), Some(4), "imidazole");
        assert_eq!(complete(&[N, N, N, N, C]).map(|doubled| doubled.contains(&4)), Some(true), "tetrazole");
        assert_eq!(complete(&[C; 4]), Some((0..4).collect()), "cyclobutadiene has a Kekulé form");
    }

    #[test]
    fn substituents_decide_about_nitrogen_and_carbon() {
        // Pyridine N-oxide needs its nitrogen, N-methylpyrrole and N-methylimidazole do not.
        let oxide = ring(&[N, C, C, C, C, C], &[O], &[(0, 6, Single)]);
        assert_eq!((oxide.0.complete, oxide.1.len()), (true, 6));
        let methylpyrrole = ring(&[N, C, C, C, C], &[C], &[(0, 5, Single)]);
        assert_eq!((methylpyrrole.0.complete, methylpyrrole.1), (true, vec![1, 2, 3, 4]));
        let methylimidazole = ring(&[N, C, N, C, C], &[C], &[(0, 5, Single)]);
        assert_eq!((methylimidazole.0.complete, methylimidazole.1), (true, vec![1, 2, 3, 4]));
        // The carbon of a ring's C=O is left out: 4-pyridone.
        let pyridone = ring(&[C, C, C, N, C, C], &[O], &[(0, 6, Double)]);
        assert_eq!((pyridone.0.complete, pyridone.1), (true, vec![1, 2, 4, 5]));
        // So is one with four neighbours: the ring of cyclopentadiene.
        let diene = ring(&[C; 5], &[C, C], &[(0, 5, Single), (0, 6, Single)]);
        assert_eq!((diene.0.complete, diene.1), (true, vec![1, 2, 3, 4]));
    }

    #[test]
    fn what_has_no_kekule_form_keeps_as_many_double_bonds_as_fit() {
        let (found, doubled) = ring(&[C; 7], &[], &[]);
        assert_eq!((found.complete, doubled.len()), (false, 6));
        assert_eq!(found.orders.iter().filter(|order| **order == BondOrder::Double).count(), 3);
        // Biphenyl with an aromatic bond between its rings, and a chain.
        let mut bonds: Vec<_> =
            (0..6).flat_map(|i| [(i, (i + 1) % 6, Aromatic), (6 + i, 6 + (i + 1) % 6, Aromatic)]).collect();
        bonds.push((0, 6, Aromatic));
        let found = kekulise(&[C; 12], &bonds);
        assert!(!found.complete && found.doubled.iter().all(|doubled| *doubled));
        assert_eq!(found.orders[12], BondOrder::Single);
        let chain = kekulise(&[C, C], &[(0, 1, Aromatic)]);
        assert_eq!((chain.complete, chain.orders), (false, vec![BondOrder::Single]));
        assert!(kekulise(&[], &[]).complete);
    }
}
