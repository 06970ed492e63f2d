//! Properties of the repair and the verdict on random graphs.

use std::collections::HashMap;

use equidrift_molecule::valence::ValenceSums;
use equidrift_molecule::{
    BondOrder, Chematic, Chemistry, Correction, Decoded, GeneratedMolecule, MolecularGraph,
};
use equidrift_molecule::{bonds, repair};

use crate::random::{Random, molecule};

fn by_pair(graph: &MolecularGraph) -> HashMap<(usize, usize), BondOrder> {
    bonds(graph).map(|(a, b, order)| ((a.min(b), a.max(b)), order)).collect()
}

#[test]
fn repair_ends_valid_keeps_the_atoms_and_never_raises_a_bond() {
    let mut changed = 0;
    for seed in 0..3_000 {
        let before = molecule(&mut Random(seed));
        let after = repair(&before);
        assert_eq!(ValenceSums::of(&after).first_over_limit(&after), None, "seed {seed}");
        let atoms = |graph: &MolecularGraph| graph.node_weights().copied().collect::<Vec<_>>();
        assert_eq!(atoms(&before), atoms(&after), "seed {seed}");
        let old = by_pair(&before);
        for (pair, order) in by_pair(&after) {
            assert!(old.get(&pair).is_some_and(|before| order <= *before), "seed {seed}, bond {pair:?}");
        }
        let valid = ValenceSums::of(&before).first_over_limit(&before).is_none();
        let same = bonds(&before).eq(bonds(&after));
        assert_eq!(valid, same, "seed {seed}: a molecule changes exactly if it is invalid");
        changed += usize::from(!same);
    }
    assert!(changed > 500, "the random graphs exercise the repair ({changed} of 3,000)");
}

#[test]
fn the_back_end_never_accepts_what_the_table_refuses_and_spells_what_it_accepts() {
    let mut spelt = 0;
    for seed in 0..2_000 {
        let graph = molecule(&mut Random(seed));
        let verdict = Chematic.verdict(&graph);
        let table = ValenceSums::of(&graph).first_over_limit(&graph).is_none();
        assert!(table || !verdict.valid, "seed {seed}");
        assert_eq!(verdict.valid, verdict.problems.is_empty());
        assert!(
            verdict.problems.iter().flat_map(|problem| &problem.atoms).all(|atom| *atom < graph.node_count())
        );
        if verdict.valid {
            let smiles = Chematic.canonical_smiles(&graph).unwrap();
            assert_eq!(Chematic.canonicalise(&smiles).unwrap(), smiles, "seed {seed}");
            spelt += 1;
        } else if !table {
            assert!(Chematic.canonical_smiles(&graph).is_err(), "seed {seed}");
        }
    }
    assert!(spelt > 100, "the random graphs hold valid molecules ({spelt} of 2,000)");
}

#[test]
fn canonical_smiles_do_not_depend_on_the_order_of_atoms_and_bonds() {
    for seed in 0..500 {
        let mut random = Random(seed);
        let graph = repair(&molecule(&mut random));
        let count = graph.node_count();
        let mut place: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            place.swap(last, random.below(last + 1));
        }
        let mut atoms = vec![None; count];
        for (old, atom) in graph.node_weights().enumerate() {
            atoms[place[old]] = Some(*atom);
        }
        let list: Vec<_> = bonds(&graph).map(|(a, b, order)| (place[b], place[a], order)).collect();
        let permuted =
            equidrift_molecule::molecule_from(atoms.into_iter().flatten(), list.into_iter().rev()).unwrap();
        match (Chematic.canonical_smiles(&graph), Chematic.canonical_smiles(&permuted)) {
            (Ok(first), Ok(second)) => assert_eq!(first, second, "seed {seed}"),
            (first, second) => assert_eq!(first.is_err(), second.is_err(), "seed {seed}"),
        }
    }
}

#[test]
fn a_five_valent_nitrogen_is_invalid_though_a_clean_up_could_mend_it() {
    use equidrift_molecule::{Atom, Element, ProblemKind, molecule_from};
    let atoms = [Element::C, Element::N, Element::O, Element::O].map(Atom::neutral);
    let list = [(0, 1, BondOrder::Single), (1, 2, BondOrder::Double), (1, 3, BondOrder::Double)];
    let nitro = molecule_from(atoms, list).unwrap();
    let verdict = Chematic.verdict(&nitro);
    assert!(!verdict.valid);
    assert_eq!((verdict.problems[0].kind, &verdict.problems[0].atoms[..]), (ProblemKind::Valence, &[1][..]));
    assert_eq!(verdict.problems[0].message, "Explicit valence for atom # 1 N, 5, is greater than permitted");
    assert!(Chematic.canonical_smiles(&nitro).is_err());
}

#[test]
fn every_random_graph_becomes_a_generated_molecule_or_an_error() {
    for seed in 0..1_000 {
        let graph = molecule(&mut Random(seed));
        let valid_without_correction = ValenceSums::of(&graph).first_over_limit(&graph).is_none();
        let decoded = Decoded { graph, valid_without_correction };
        if let Ok(generated) = GeneratedMolecule::from_decoded(seed, decoded, Correction::Repair, &Chematic) {
            assert!(generated.is_valid());
            assert!(!generated.smiles.contains('.'));
            assert_eq!(Chematic.canonical_smiles(&generated.graph).unwrap(), generated.smiles, "seed {seed}");
        }
    }
}

/// Cages of four-valent atoms, for which RDKit's ring finder (and so the back end's port) gives up on exactness.
#[test]
fn molecules_too_ringed_for_exact_ring_perception_are_spelt_and_read_back() {
    use equidrift_molecule::{Atom, Element, molecule_from};
    let (mut not_of_rdkit, mut unsettled) = (0, 0);
    for seed in 0..600 {
        let mut random = Random(seed);
        let elements = [Element::C, Element::C, Element::C, Element::N, Element::O, Element::S];
        let atoms: Vec<Atom> = (0..38)
            .map(|_| Atom { element: elements[random.below(6)], charge: [0, 0, 0, 0, 0, 1][random.below(6)] })
            .collect();
        let mut list: Vec<_> = (0..38)
            .flat_map(|b| (0..b).map(move |a| (a, b, BondOrder::Single)))
            .filter(|_| random.below(8) == 0)
            .collect();
        for place in (1..list.len()).rev() {
            list.swap(place, random.below(place + 1));
        }
        let graph = repair(&molecule_from(atoms, list).unwrap());
        let smiles = Chematic.canonical_smiles(&graph).unwrap();
        let back = Chematic.parse_smiles(&smiles).unwrap();
        let same = petgraph::algo::is_isomorphic_matching(&graph, &back, |a, b| a == b, |a, b| a == b);
        assert!(same, "seed {seed}: {smiles}");
        let again = Chematic.canonical_smiles(&back).unwrap();
        assert_eq!(Chematic.canonicalise(&smiles).unwrap(), again, "seed {seed}");
        // RDKit's canonical form looks at a choice of rings, which for such cages can depend on the order of atoms.
        unsettled += usize::from(again != smiles);
        // The drawing needs the ring finder, so its absence tells which molecules took the other way.
        not_of_rdkit += usize::from(Chematic.layout(&graph).is_err());
    }
    println!("{not_of_rdkit} of 600 not spelt as RDKit does, {unsettled} unsettled");
    assert!((1..60).contains(&not_of_rdkit), "{not_of_rdkit} of 600");
    assert!(unsettled <= 6, "{unsettled} of 600");
}
