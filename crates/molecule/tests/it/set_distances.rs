//! NSPDK MMD and Fréchet ChemNet Distance of real sets: parts of the QM9 test set, which are as far apart as two draws of
//! one law are, and samples of GDSS. The published figures are those of the original programme, 1,000 steps.

use std::path::Path;

use equidrift_molecule::metrics::{SetStatistics, Wanted, available_threads};
use equidrift_molecule::{Chematic, Chemistry, MoleculeError, SmilesLines};
use serde::Deserialize;

use crate::chemnet::chemnet;
use crate::reference::{data_dir, reference_dir};

/// Canonical SMILES of the first QM9 test rows of the index file, which is in random order.
fn qm9_test(folder: &Path, rows: usize) -> Vec<String> {
    let all: Vec<String> =
        SmilesLines::open(&folder.join("qm9.smi")).unwrap().map(|line| line.unwrap().smiles).collect();
    let index = std::fs::read_to_string(folder.join("qm9_test_idx.txt")).unwrap();
    let rows = index.lines().take(rows).map(|row| row.parse::<usize>().unwrap());
    rows.map(|row| Chematic.canonicalise(&all[row]).unwrap()).collect()
}

fn statistics(smiles: &[String], wanted: Wanted<'_>) -> SetStatistics {
    SetStatistics::of_canonical(smiles, "chematic", wanted, available_threads(), &|_| {}).unwrap()
}

#[test]
fn nspdk_of_two_parts_of_the_qm9_test_set_is_the_published_floor() {
    let Some(molecules) = data_dir("molecules") else { return };
    let smiles = qm9_test(&molecules, 3_000);
    let wanted = Wanted { nspdk: true, chemnet: None };
    let (first, second) = (statistics(&smiles[..1_000], wanted), statistics(&smiles[1_000..], wanted));
    let floor = first.distances(&second).unwrap().nspdk_mmd.unwrap();
    println!("NSPDK MMD of 1,000 and 2,000 test molecules: {floor:.5}, published 0.0013");
    assert!((0.001_15..0.001_45).contains(&floor), "{floor}");
    let whole = statistics(&smiles, wanted);
    assert_eq!(whole.distances(&whole).unwrap().nspdk_mmd, Some(0.0));

    #[derive(Deserialize)]
    struct Samples {
        samples: Vec<Sample>,
    }
    #[derive(Deserialize)]
    struct Sample {
        smiles: String,
    }
    let Some(folder) = reference_dir("gdss") else { return };
    let text = std::fs::read_to_string(folder.join("samples.qm9.json")).unwrap();
    let samples: Samples = serde_json::from_str(&text).unwrap();
    let generated: Vec<String> =
        samples.samples.iter().map(|sample| Chematic.canonicalise(&sample.smiles).unwrap()).collect();
    let mmd = statistics(&generated, wanted).distances(&whole).unwrap().nspdk_mmd.unwrap();
    println!("NSPDK MMD of {} molecules of GDSS: {mmd:.5}", generated.len());
    // Published for 3,000 samples: 0.0037. The diagonal of 1,000 instead adds two thirds of a thousandth.
    assert!((0.004..0.0055).contains(&mmd), "{mmd}");
}

#[test]
fn fcd_of_two_halves_of_qm9_test_molecules_is_the_published_floor() {
    let (Some(molecules), Some((_, net))) = (data_dir("molecules"), chemnet()) else { return };
    let smiles = qm9_test(&molecules, 3_000);
    let wanted = Wanted { nspdk: false, chemnet: Some(&net) };
    let (first, second) = (statistics(&smiles[..1_500], wanted), statistics(&smiles[1_500..], wanted));
    let floor = first.distances(&second).unwrap().fcd.unwrap();
    let other_way = second.distances(&first).unwrap().fcd.unwrap();
    println!("FCD of 1,500 and 1,500 test molecules: {floor:.4}, published 0.50");
    // Four such pairs of halves gave 0.459, 0.473, 0.475 and 0.493.
    assert!((0.43..0.53).contains(&floor), "{floor}");
    assert!((floor - other_way).abs() < 1e-6 && first.distances(&first).unwrap().fcd.unwrap().abs() < 1e-6);
    assert!(!first.activations().unwrap().is_degenerate());
}

#[test]
fn another_spelling_of_the_same_molecules_is_another_set() {
    let (Some(molecules), Some((_, net))) = (data_dir("molecules"), chemnet()) else { return };
    let canonical = qm9_test(&molecules, 600);
    let kekule = |smiles: &String| Chematic.kekule_smiles(&Chematic.parse_smiles(smiles).unwrap()).unwrap();
    let kekule: Vec<String> = canonical.iter().map(kekule).collect();
    let wanted = Wanted { nspdk: false, chemnet: Some(&net) };
    let fcd = statistics(&canonical, wanted).distances(&statistics(&kekule, wanted)).unwrap().fcd.unwrap();
    println!("FCD of 600 molecules to themselves in Kekulé form: {fcd:.3}");
    assert!(fcd > 1.0, "{fcd}");
}

#[test]
fn statistics_come_back_from_their_file_and_other_files_are_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("test.safetensors");
    let net = chemnet().map(|(_, net)| net);
    let set = |smiles: &[&str], chemistry| {
        let wanted = Wanted { nspdk: true, chemnet: net.as_ref() };
        SetStatistics::of_canonical(smiles, chemistry, wanted, 1, &|_| {}).unwrap()
    };
    let written = set(&["CCO", "C1CC1", "CCN", "CCO"], "chematic");
    std::fs::write(&path, written.to_bytes().unwrap()).unwrap();
    let read = SetStatistics::read(&path).unwrap();
    assert_eq!(read, written);
    assert_eq!((read.molecules(), read.chemistry()), (4, "chematic"));
    let other = set(&["CCO", "CC"], "chematic");
    assert_eq!(read.distances(&other).unwrap(), written.distances(&other).unwrap());
    let refused = read.distances(&set(&["CCO", "CC"], "rdkit"));
    assert!(matches!(refused, Err(MoleculeError::IncomparableStatistics { .. })));

    let bytes = std::fs::read(&path).unwrap();
    // Among the bytes: the length before the header is no text.
    let wanted = b"\"format\":\"1\"";
    let format = bytes.windows(wanted.len()).position(|window| window == wanted).unwrap();
    let mut newer = bytes.clone();
    newer[format + 10] = b'2';
    for (bytes, reason) in [(&bytes[..bytes.len() - 9], ""), (&b"CCO\n"[..], ""), (&newer[..], "format")] {
        std::fs::write(&path, bytes).unwrap();
        let error = SetStatistics::read(&path).unwrap_err();
        assert!(
            matches!(&error, MoleculeError::Statistics { reason: found, .. } if found.contains(reason)),
            "{error}"
        );
    }
}

#[test]
fn an_empty_set_has_no_distance() {
    let none: [&str; 0] = [];
    let wanted = Wanted { nspdk: true, chemnet: None };
    let error = SetStatistics::of_canonical(&none, "chematic", wanted, 2, &|_| {}).unwrap_err();
    assert!(matches!(error, MoleculeError::TooFewMolecules { needed: 1, found: 0, .. }));
}
