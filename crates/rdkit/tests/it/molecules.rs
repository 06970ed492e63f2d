//! Sanitised molecules: SMILES, fragments, scaffolds, QED.

use equidrift_rdkit::{Molecule, rdkit_version};

fn read(smiles: &str) -> Molecule {
    Molecule::from_smiles(smiles).unwrap()
}

#[test]
fn the_library_states_its_version() {
    let version = rdkit_version().unwrap();
    println!("RDKit {version}");
    assert!(version.starts_with("20"), "{version}");
}

#[test]
fn smiles_are_read_with_charges_and_hydrogen_counts() {
    let graph = read("C[N+](C)(C)CC(=O)[O-]").kekulised().unwrap();
    let atoms: Vec<_> = graph.atoms.iter().map(|a| (a.atomic_number, a.charge, a.hydrogens)).collect();
    assert_eq!(
        atoms,
        [
            (6, 0, Some(3)),
            (7, 1, Some(0)),
            (6, 0, Some(3)),
            (6, 0, Some(3)),
            (6, 0, Some(2)),
            (6, 0, Some(0)),
            (8, 0, Some(0)),
            (8, -1, Some(0))
        ]
    );
    let ends: Vec<_> = graph.bonds.iter().map(|b| (b.begin, b.end, b.order as u8)).collect();
    assert_eq!(ends, [(0, 1, 1), (1, 2, 1), (1, 3, 1), (1, 4, 1), (4, 5, 1), (5, 6, 2), (5, 7, 1)]);
}

#[test]
fn a_radical_keeps_its_hydrogens_through_the_graph() {
    let graph = read("[CH2]C").kekulised().unwrap();
    assert_eq!(Molecule::from_graph(&graph).unwrap().canonical_smiles().unwrap(), "[CH2]C");
}

#[test]
fn fragments_know_their_atoms_and_which_is_largest() {
    let molecule = read("O.CC.F.C[N+](C)(C)C");
    let fragments = molecule.fragments().unwrap();
    let found: Vec<_> = fragments.iter().map(|part| (part.smiles.as_str(), part.atoms.clone())).collect();
    assert_eq!(
        found,
        [("O", vec![0]), ("CC", vec![1, 2]), ("F", vec![3]), ("C[N+](C)(C)C", vec![4, 5, 6, 7, 8])]
    );
    assert_eq!(molecule.largest_fragment().unwrap().unwrap().atoms, [4, 5, 6, 7, 8]);
    // Of equally large ones the first of the canonical SMILES of the whole.
    let tie = read("N.C.O");
    assert_eq!(tie.canonical_smiles().unwrap(), "C.N.O");
    assert_eq!(tie.largest_fragment().unwrap().unwrap().smiles, "C");
}

#[test]
fn scaffolds_and_qed_are_those_of_rdkit_in_python() {
    let table = include_str!("rdkit_2026_09.tsv");
    let mut rows = 0;
    let mut worst = 0.0_f64;
    for row in table.lines().filter(|row| !row.starts_with('#')) {
        let [smiles, qed, scaffold] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let molecule = read(smiles);
        let difference = (molecule.qed().unwrap() - qed.parse::<f64>().unwrap()).abs();
        assert!(difference < 1e-9, "{smiles}: {:?}, off by {difference}", molecule.qed_properties());
        worst = worst.max(difference);
        // Spelling may change between releases of RDKit, the molecule does not.
        let canonical = |scaffold: &str| {
            if scaffold.is_empty() { String::new() } else { read(scaffold).canonical_smiles().unwrap() }
        };
        let found = molecule.murcko_scaffold().unwrap().canonical_smiles().unwrap();
        assert_eq!(canonical(&found), canonical(scaffold), "{smiles}");
        rows += 1;
    }
    assert_eq!(rows, 100);
    println!("QED of {rows} molecules: off by {worst:e} at most");
}

#[test]
fn qed_of_three_drugs_is_that_of_the_paper_s_authors() {
    // Values of the authors' own implementation, to three digits (RDKit's documentation of QED quotes them).
    for (smiles, qed) in [
        ("N=C(CCSCc1csc(N=C(N)N)n1)NS(N)(=O)=O", 0.253),
        ("CNC(=NCCSCc1nc[nH]c1C)NC#N", 0.234),
        ("CCCCCNC(=N)NN=Cc1c[nH]c2ccc(CO)cc12", 0.234),
    ] {
        let found = read(smiles).qed().unwrap();
        assert!((found - qed).abs() < 1e-3, "{smiles}: {found}");
    }
}

#[test]
fn threads_agree() {
    let smiles: Vec<&str> = include_str!("rdkit_2026_09.tsv")
        .lines()
        .filter(|row| !row.starts_with('#'))
        .filter_map(|row| row.split('\t').next())
        .collect();
    let answers = || -> Vec<(String, u64)> {
        smiles
            .iter()
            .map(|smiles| {
                let molecule = read(smiles);
                (molecule.canonical_smiles().unwrap(), molecule.qed().unwrap().to_bits())
            })
            .collect()
    };
    let alone = answers();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(answers)).collect();
        for worker in workers {
            assert_eq!(worker.join().unwrap(), alone);
        }
    });
}
