//! Atoms and bonds: verdicts, Kekulé forms, and what is no graph.

use equidrift_rdkit::{Atom, Bond, BondOrder, Graph, MAX_ATOMS, Molecule, ProblemKind, RdkitError};

use BondOrder::{Aromatic, Double, Single, Triple};

pub(crate) fn graph(atoms: &[(u8, i8)], bonds: &[(u32, u32, BondOrder)]) -> Graph {
    Graph {
        atoms: atoms.iter().map(|&(number, charge)| Atom::new(number, charge)).collect(),
        bonds: bonds.iter().map(|&(begin, end, order)| Bond { begin, end, order }).collect(),
    }
}

/// A ring of `atoms` with bonds of one order.
fn ring(atoms: &[u8], order: BondOrder) -> Graph {
    let count = atoms.len() as u32;
    let atoms: Vec<_> = atoms.iter().map(|&number| (number, 0)).collect();
    let bonds: Vec<_> = (0..count).map(|atom| (atom, (atom + 1) % count, order)).collect();
    graph(&atoms, &bonds)
}

#[test]
fn a_nitrogen_with_four_bonds_is_named_with_kind_atom_and_message() {
    let four = graph(&[(6, 0), (7, 0), (6, 0), (8, 0)], &[(0, 1, Single), (1, 2, Single), (1, 3, Double)]);
    let verdict = four.verdict().unwrap();
    assert!(!verdict.valid);
    let [problem] = &verdict.problems[..] else { panic!("{verdict:?}") };
    assert_eq!((&problem.kind, &problem.atoms[..]), (&ProblemKind::Valence, &[1][..]));
    assert_eq!(problem.message, "Explicit valence for atom # 1 N, 4, is greater than permitted");
    assert_eq!(four.first_overloaded_atom().unwrap(), Some(1));
    match Molecule::from_graph(&four) {
        Err(RdkitError::Invalid { problems }) => assert_eq!(problems, verdict.problems),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_atom_over_its_valence_is_reported() {
    let bonds = [(0, 1, Triple), (1, 2, Triple), (2, 3, Triple), (3, 4, Single)];
    let three = graph(&[(9, 0), (6, 0), (6, 0), (7, 0), (1, 0)], &bonds);
    let verdict = three.verdict().unwrap();
    let atoms: Vec<u32> = verdict.problems.iter().flat_map(|problem| problem.atoms.clone()).collect();
    assert_eq!(atoms, [0, 1, 2, 3]);
    assert!(verdict.problems.iter().all(|problem| problem.kind == ProblemKind::Valence));
    assert_eq!(three.first_overloaded_atom().unwrap(), Some(0));
}

#[test]
fn a_fixed_number_of_hydrogens_does_not_hide_wrong_valences() {
    let mut three = graph(&[(6, 0), (1, 0), (8, 0)], &[(0, 1, Triple), (0, 2, Triple)]);
    three.atoms[1].hydrogens = Some(0);
    let atoms: Vec<u32> =
        three.verdict().unwrap().problems.iter().flat_map(|problem| problem.atoms.clone()).collect();
    assert_eq!(atoms, [0, 1, 2]);
}

#[test]
fn a_nitro_group_drawn_with_five_bonds_is_judged_as_it_is_drawn() {
    let bonds = [(0, 1, Single), (1, 2, Double), (1, 3, Double)];
    assert!(!graph(&[(6, 0), (7, 0), (8, 0), (8, 0)], &bonds).verdict().unwrap().valid);
    let charged =
        graph(&[(6, 0), (7, 1), (8, 0), (8, -1)], &[(0, 1, Single), (1, 2, Double), (1, 3, Single)]);
    assert!(charged.verdict().unwrap().valid);
    assert_eq!(Molecule::from_graph(&charged).unwrap().canonical_smiles().unwrap(), "C[N+](=O)[O-]");
}

#[test]
fn a_five_ring_of_aromatic_carbons_has_no_kekule_form() {
    let verdict = ring(&[6; 5], Aromatic).verdict().unwrap();
    let [problem] = &verdict.problems[..] else { panic!("{verdict:?}") };
    assert_eq!((&problem.kind, &problem.atoms[..]), (&ProblemKind::Kekulisation, &[0, 1, 2, 3, 4][..]));
}

#[test]
fn an_aromatic_bond_outside_a_ring_is_a_problem_of_aromaticity() {
    let verdict = graph(&[(6, 0), (6, 0)], &[(0, 1, Aromatic)]).verdict().unwrap();
    assert!(!verdict.valid);
    let of_aromaticity =
        verdict.problems.iter().filter(|problem| problem.kind == ProblemKind::Aromaticity).count();
    assert_eq!(of_aromaticity, verdict.problems.len());
}

#[test]
fn aromatic_rings_are_kekulised_and_recognised_again() {
    let mut pyrrole = ring(&[7, 6, 6, 6, 6], Aromatic);
    assert!(!pyrrole.verdict().unwrap().valid, "without its hydrogen pyrrole's nitrogen cannot be placed");
    pyrrole.atoms[0].hydrogens = Some(1);
    for (aromatic, smiles, doubles) in [
        (ring(&[6; 6], Aromatic), "c1ccccc1", 3),
        (ring(&[6, 7, 6, 6, 7, 6], Aromatic), "c1cnccn1", 3),
        (pyrrole, "c1cc[nH]c1", 2),
    ] {
        let molecule = Molecule::from_graph(&aromatic).unwrap();
        assert_eq!(molecule.canonical_smiles().unwrap(), smiles);
        let kekulised = molecule.kekulised().unwrap();
        let count = |order| kekulised.bonds.iter().filter(|bond| bond.order == order).count();
        assert_eq!((count(Double), count(Aromatic)), (doubles, 0), "{smiles}");
        assert_eq!(Molecule::from_graph(&kekulised).unwrap().canonical_smiles().unwrap(), smiles);
        assert!(!kekulised.kekule_smiles().unwrap().contains(['c', 'n']));
    }
}

#[test]
fn kekule_smiles_keep_the_bonds_as_given() {
    let bonds =
        [(0, 1, Double), (1, 2, Single), (2, 3, Double), (3, 4, Single), (4, 5, Double), (5, 0, Single)];
    let benzene = graph(&[(6, 0); 6], &bonds);
    assert_eq!(benzene.kekule_smiles().unwrap(), "C1=CC=CC=C1");
    assert_eq!(Molecule::from_graph(&benzene).unwrap().canonical_smiles().unwrap(), "c1ccccc1");
}

#[test]
fn hydrogens_that_are_atoms_are_folded_in() {
    let formaldehyde =
        graph(&[(1, 0), (6, 0), (8, 0), (1, 0)], &[(0, 1, Single), (1, 2, Double), (3, 1, Single)]);
    assert_eq!(formaldehyde.kekule_smiles().unwrap(), "C=O");
    let molecule = Molecule::from_graph(&formaldehyde).unwrap();
    assert_eq!(molecule.atom_count(), 4);
    assert_eq!(molecule.without_hydrogen_atoms().unwrap().canonical_smiles().unwrap(), "C=O");
}

#[test]
fn the_empty_graph_is_a_valid_molecule_of_no_atoms() {
    let empty = Graph::default();
    assert!(empty.verdict().unwrap().valid);
    let molecule = Molecule::from_graph(&empty).unwrap();
    assert_eq!(molecule.canonical_smiles().unwrap(), "");
    assert_eq!(molecule.fragments().unwrap(), []);
    assert_eq!(molecule.largest_fragment().unwrap(), None);
}

#[test]
fn what_is_no_simple_graph_of_elements_is_an_error_that_names_the_place() {
    let atoms = [(6, 0), (6, 0)];
    for (bonds, place) in [
        (vec![(0, 2, Single)], 0),
        (vec![(0, 1, Single), (u32::MAX, 0, Single)], 1),
        (vec![(1, 1, Double)], 0),
        (vec![(0, 1, Single), (1, 0, Double)], 1),
    ] {
        match graph(&atoms, &bonds).verdict() {
            Err(RdkitError::Bond { bond, atoms: 2, .. }) => assert_eq!(bond, place),
            other => panic!("{bonds:?}: {other:?}"),
        }
    }
    assert!(matches!(
        graph(&[(6, 0), (119, 0)], &[]).verdict(),
        Err(RdkitError::NoSuchElement { atom: 1, atomic_number: 119 })
    ));
    let large = graph(&vec![(6, 0); MAX_ATOMS + 1], &[]);
    assert!(matches!(Molecule::from_graph(&large), Err(RdkitError::TooLarge { .. })));
}
