//! SMILES of public sets against the graphs another toolkit made of them (`*_graphs.npz`), and round trips.

use std::path::{Path, PathBuf};

use equidrift_molecule::{
    Atom, BondOrder, Chematic, Chemistry, Element, MolecularGraph, SmilesLines, bonds, molecule_from,
};

use crate::npz;
use crate::reference::{data_dir, files};

/// Rows taken from each set for the answer sheet.
const ROWS: usize = 5_000;
/// Rows taken from each set for the round trips.
const ROUND_TRIPS: usize = 1_700;

/// `NAME_graphs.npz` and its `NAME.smi` or `NAME.smi.gz`.
fn sets() -> Vec<(PathBuf, PathBuf)> {
    let Some(folder) = data_dir("molecules") else { return Vec::new() };
    let sets: Vec<_> = files(&folder, "", "_graphs.npz")
        .into_iter()
        .map(|graphs| {
            let name = graphs.file_name().unwrap().to_string_lossy().replace("_graphs.npz", ".smi");
            let plain = folder.join(&name);
            let smiles = if plain.exists() { plain } else { folder.join(name + ".gz") };
            (graphs, smiles)
        })
        .collect();
    assert!(!sets.is_empty());
    sets
}

/// The rows of a file, spread evenly.
fn spread(path: &Path, rows: usize) -> Vec<(usize, String)> {
    let all: Vec<String> = SmilesLines::open(path).unwrap().map(|line| line.unwrap().smiles).collect();
    let step = (all.len() / rows).max(1);
    all.into_iter().enumerate().step_by(step).collect()
}

fn pairs(graph: &MolecularGraph) -> Vec<(usize, usize, BondOrder)> {
    let mut list: Vec<_> = bonds(graph).map(|(a, b, order)| (a.min(b), a.max(b), order)).collect();
    list.sort_unstable();
    list
}

#[test]
fn parsed_smiles_are_the_graphs_of_the_answer_sheet() {
    for (answers, smiles) in sets() {
        let arrays = npz::read(&answers);
        let slice = |name: &str, ptr: &str, row: usize| {
            let ptr = &arrays[ptr];
            arrays[name][ptr[row] as usize..ptr[row + 1] as usize].to_vec()
        };
        let rows = spread(&smiles, ROWS);
        let (mut same, mut other_kekule_form) = (0, 0);
        for (row, smiles) in &rows {
            let graph = Chematic.parse_smiles(smiles).unwrap();
            let atoms: Vec<Atom> = slice("atom_z", "atom_ptr", *row)
                .into_iter()
                .zip(slice("atom_charge", "atom_ptr", *row))
                .map(|(z, charge)| Atom {
                    element: Element::from_atomic_number(z as u8).unwrap(),
                    charge: charge as i8,
                })
                .collect();
            let list = slice("bond_u", "bond_ptr", *row)
                .into_iter()
                .zip(slice("bond_v", "bond_ptr", *row))
                .zip(slice("bond_type", "bond_ptr", *row))
                .map(|((u, v), order)| {
                    (u as usize, v as usize, BondOrder::from_number(order as u8).unwrap())
                });
            let answer = molecule_from(atoms.iter().copied(), list).unwrap();
            assert_eq!(graph.node_weights().copied().collect::<Vec<_>>(), atoms, "row {row}: {smiles}");
            let ends = |graph| pairs(graph).into_iter().map(|(a, b, _)| (a, b)).collect::<Vec<_>>();
            assert_eq!(ends(&graph), ends(&answer), "row {row}: {smiles}");
            if pairs(&graph) == pairs(&answer) {
                same += 1;
            } else {
                // Another choice of double bonds in an aromatic ring: the same molecule all the same.
                other_kekule_form += 1;
                let canonical = |graph| Chematic.canonical_smiles(graph).unwrap();
                assert_eq!(canonical(&graph), canonical(&answer), "row {row}: {smiles}");
            }
            assert!(Chematic.verdict(&graph).valid, "row {row}: {smiles}");
        }
        println!("{}: {same} equal, {other_kekule_form} in another Kekulé form", smiles.display());
        assert_eq!(same + other_kekule_form, rows.len());
    }
}

#[test]
fn parsing_and_spelling_settle_after_one_round() {
    for (_, smiles) in sets() {
        for (row, smiles) in spread(&smiles, ROUND_TRIPS) {
            let graph = Chematic.parse_smiles(&smiles).unwrap();
            let canonical = Chematic.canonical_smiles(&graph).unwrap();
            let again = Chematic.parse_smiles(&canonical).unwrap();
            assert_eq!(Chematic.canonical_smiles(&again).unwrap(), canonical, "row {row}: {smiles}");
            let kekule = Chematic.kekule_smiles(&graph).unwrap();
            assert!(!kekule.contains(['c', 'n', 'o']), "row {row}: {kekule}");
            assert_eq!(Chematic.canonicalise(&kekule).unwrap(), canonical, "row {row}: {kekule}");
        }
    }
}

#[test]
fn scaffolds_and_drug_likeness_of_known_molecules() {
    let graph = |smiles| Chematic.parse_smiles(smiles).unwrap();
    for (smiles, scaffold) in [
        ("CC(=O)Oc1ccccc1C(=O)O", "c1ccccc1"),
        ("CCO", ""),
        ("O=C1CCCCC1C", "O=C1CCCCC1"),
        ("Cc1ccc(CCc2ccncc2)cc1", "c1ccc(CCc2ccncc2)cc1"),
    ] {
        assert_eq!(Chematic.murcko_scaffold(&graph(smiles)).unwrap(), scaffold, "{smiles}");
    }
    // RDKit 2026: QED.qed of aspirin and of paracetamol.
    for (smiles, qed) in [("CC(=O)Oc1ccccc1C(=O)O", 0.550_121_8), ("CC(=O)Nc1ccc(O)cc1", 0.595_026_1)] {
        let found = Chematic.qed(&graph(smiles)).unwrap();
        assert!((found - qed).abs() < 1e-6, "{smiles}: {found}");
    }
}
