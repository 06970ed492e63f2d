//! SDF files that RDKit wrote, where Python with it is installed.

use std::fs;

use equidrift_molecule::{Chematic, Chemistry, SdfRecords, SmilesLines};

use crate::python;
use crate::reference::data_dir;

/// Molecules of each set.
const SIZE: usize = 250;

#[test]
fn records_of_rdkit_are_the_molecules_they_were_written_from() {
    let Some(folder) = data_dir("molecules") else { return };
    if !python::has(&["rdkit"]) {
        return;
    }
    let mut lines: Vec<String> =
        ["[NH3+]CC([O-])=O", "C[N+](C)(C)C.[Cl-]", "O=S(=O)([O-])c1ccccc1.[Na+]"].map(str::to_owned).to_vec();
    for (name, step) in [("qm9.smi", 533), ("zinc250k.smi.gz", 997)] {
        let all = SmilesLines::open(&folder.join(name)).unwrap();
        lines.extend(all.step_by(step).take(SIZE).map(|line| line.unwrap().smiles));
    }
    let answers = python::run("sdf_records.py", &[], &lines);
    assert_eq!(answers.len(), lines.len());
    let place = tempfile::tempdir().unwrap();
    for kind in 0..3 {
        let text: String = answers
            .iter()
            .map(|answer| format!("{}$$$$\n", answer["records"][kind].as_str().unwrap()))
            .collect();
        let path = place.path().join("file.sdf");
        fs::write(&path, text).unwrap();
        let records: Vec<_> = SdfRecords::open(&path).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(records.len(), answers.len());
        for (record, answer) in records.iter().zip(&answers) {
            let spelt = Chematic.canonical_smiles(&record.graph).unwrap();
            assert_eq!(spelt, answer["smiles"].as_str().unwrap(), "record {} of kind {kind}", record.row);
        }
    }
    println!("{} molecules in three kinds of record each", answers.len());
}
