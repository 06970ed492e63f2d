//! Input that must come back as an error: no exception, abort or stack overflow may reach the caller.

use equidrift_rdkit::{Bond, BondOrder, Molecule, RdkitError};

use crate::graphs::graph;

#[test]
fn strings_that_are_no_smiles_are_errors() {
    for text in [
        "",
        " ",
        "CCO ethanol",
        "C\nC",
        "C\0C",
        "é",
        "C1CC",
        "C(",
        "C)",
        "[",
        "[C",
        "[Xx]",
        "c1cccc1",
        "CN(C)(C)(C)C",
        "C%",
        "C==C",
        "%%%",
        "C|",
        "[C+999999999999999999]",
        "[99999999999C]",
        "C[N+]([O-])(=O)(=O)C",
        ">>",
        "C>>C",
    ] {
        match Molecule::from_smiles(text) {
            Err(RdkitError::Smiles { reason }) => assert!(!reason.is_empty(), "{text:?}"),
            other => panic!("{text:?}: {other:?}"),
        }
    }
}

#[test]
fn strings_of_any_length_are_refused_before_rdkit_recurses() {
    for text in ["C", "c1ccccc1", "C(", "[13CH3]", "C1", "N.", "=", "(", "[", "F%10", "C\\"] {
        for count in [100, 3_000, 100_000, 1_000_000] {
            let text = text.repeat(count);
            // Whatever the answer, there is one. (A chain of 3,000 atoms overflows the stack in RDKit 2022.09.)
            if let Ok(molecule) = Molecule::from_smiles(&text) {
                assert!(molecule.canonical_smiles().is_ok());
            }
        }
    }
    assert!(matches!(
        Molecule::from_smiles(&"C".repeat(1_001)),
        Err(RdkitError::TooLarge { found: 1_001, .. })
    ));
    let longest = Molecule::from_smiles(&"C".repeat(1_000)).unwrap();
    assert_eq!(longest.canonical_smiles().unwrap().len(), 1_000);
}

#[test]
fn every_element_and_charge_has_a_verdict() {
    for atomic_number in 0..=118 {
        for charge in [i8::MIN, -9, -4, -3, -2, -1, 0, 1, 2, 3, 4, 9, i8::MAX] {
            for order in [BondOrder::Single, BondOrder::Double, BondOrder::Triple, BondOrder::Aromatic] {
                let pair = graph(&[(atomic_number, charge), (6, 0)], &[(0, 1, order)]);
                let verdict = pair.verdict().unwrap();
                match Molecule::from_graph(&pair) {
                    Ok(molecule) => {
                        assert!(verdict.valid);
                        let smiles = molecule.canonical_smiles().unwrap();
                        assert!(molecule.qed().is_ok(), "{smiles}");
                        assert!(molecule.murcko_scaffold().is_ok(), "{smiles}");
                    }
                    Err(_) => assert!(!verdict.valid, "{pair:?}"),
                }
            }
        }
    }
}

#[test]
fn a_complete_graph_is_a_verdict_and_not_a_crash() {
    let mut complete = graph(&[(6, 0); 30], &[]);
    for end in 1..30 {
        for begin in 0..end {
            complete.bonds.push(Bond { begin, end, order: BondOrder::Aromatic });
        }
    }
    assert!(!complete.verdict().unwrap().valid);
    assert!(Molecule::from_graph(&complete).is_err());
}

#[test]
fn bonds_that_are_neither_single_double_nor_triple_are_refused_on_the_way_back() {
    for text in ["CC->[Fe]", "C$C", "C~C"] {
        let molecule = Molecule::from_smiles(text).unwrap();
        assert!(matches!(molecule.kekulised(), Err(RdkitError::Exception { .. })), "{text}");
    }
}
