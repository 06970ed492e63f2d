//! Descriptors against RDKit's: a fixture of a hundred molecules, and thousands where Python has RDKit.

use std::path::Path;
use std::time::{Duration, Instant};

use equidrift_molecule::brics::brics_fragments;
use equidrift_molecule::descriptors::rings::{bridgehead_atoms, spiro_atoms};
use equidrift_molecule::descriptors::{DescriptorCalculator, FragmentScores};
use equidrift_molecule::fingerprint::morgan_environments;
use equidrift_molecule::perceived::PerceivedMolecule;
use equidrift_molecule::{Chematic, Chemistry, MoleculeError, SmilesLines};
use serde_json::{Value, json};

use crate::python;
use crate::reference::data_dir;

/// Molecules taken from each set where Python has RDKit.
const ROWS: usize = 700;

pub(crate) fn fixture() -> Vec<Value> {
    include_str!("../fixtures/rdkit_values.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// So many molecules of QM9, ZINC250k and MOSES each, spread over the file.
pub(crate) fn spread(rows: usize) -> Option<Vec<String>> {
    let folder = data_dir("molecules")?;
    let of = |name: &str| {
        let lines = SmilesLines::open(&folder.join(name)).unwrap();
        let all: Vec<String> = lines.map(|line| line.unwrap().smiles).collect();
        let step = all.len() / rows;
        all.into_iter().skip(step / 2).step_by(step).take(rows).collect::<Vec<_>>()
    };
    Some(["qm9.smi", "zinc250k.smi.gz", "moses_test.smi.gz"].into_iter().flat_map(of).collect())
}

pub(crate) fn fragment_scores() -> Option<FragmentScores> {
    let folder = data_dir("metrics")?;
    Some(FragmentScores::read(&folder.join("sa_fragment_scores.npz")).unwrap())
}

/// Compare everything with what RDKit says; returns the largest differences of log P, drug-likeness and accessibility.
fn compare(expected: &Value, scores: Option<&FragmentScores>, largest: &mut [f64; 3]) {
    let smiles = expected["smiles"].as_str().unwrap();
    let canonical = Chematic.canonicalise(smiles).unwrap();
    assert_eq!(canonical, expected["canonical"].as_str().unwrap());
    let molecule = PerceivedMolecule::of_canonical(&canonical).unwrap();

    let mut rings: Vec<Vec<u16>> = molecule.rings().iter().map(|ring| ring.atoms.clone()).collect();
    rings.iter_mut().for_each(|ring| ring.sort_unstable());
    rings.sort_unstable();
    let mut environments = morgan_environments(&molecule, 2);
    environments.sort_unstable();
    let atoms = || molecule.atoms().iter();
    for (name, found) in [
        ("hydrogens", json!(atoms().map(|atom| atom.hydrogens).collect::<Vec<_>>())),
        ("valences", json!(atoms().map(|atom| atom.valence).collect::<Vec<_>>())),
        ("rings", json!(rings)),
        ("spiro_atoms", json!(spiro_atoms(&molecule))),
        ("bridgehead_atoms", json!(bridgehead_atoms(&molecule))),
        ("morgan", json!(environments)),
        ("fragments", json!(brics_fragments(&canonical).unwrap())),
    ] {
        assert_eq!(found, expected[name], "{name} of {smiles}");
    }

    let found = DescriptorCalculator::new().calculate(&molecule);
    let found_json = serde_json::to_value(found).unwrap();
    for name in ["heavy_atoms", "acceptors", "donors", "rotatable_bonds", "aliphatic_rings", "aromatic_rings"]
    {
        assert_eq!(found_json[name], expected[name], "{name} of {smiles}");
    }
    for (name, tolerance) in
        [("molecular_weight", 1e-9), ("polar_surface_area", 1e-9), ("bertz_complexity", 1e-7)]
    {
        let difference = found_json[name].as_f64().unwrap() - expected[name].as_f64().unwrap();
        assert!(difference.abs() <= tolerance, "{name} of {smiles}: {difference}");
    }
    let mut must = vec![("log_p", found.log_p), ("drug_likeness", found.drug_likeness)];
    must.extend(
        scores.map(|table| ("synthetic_accessibility", table.synthetic_accessibility(&canonical).unwrap())),
    );
    for ((name, found), largest) in must.into_iter().zip(largest) {
        let difference = (found - expected[name].as_f64().unwrap()).abs();
        assert!(difference <= 1e-6, "{name} of {smiles}: {difference}");
        *largest = largest.max(difference);
    }
}

#[test]
fn descriptors_of_the_fixture_are_rdkits() {
    let scores = fragment_scores();
    let molecules = fixture();
    assert_eq!(molecules.len(), 100);
    let mut largest = [0.0; 3];
    molecules.iter().for_each(|expected| compare(expected, scores.as_ref(), &mut largest));
    println!("largest differences of log P, drug-likeness, accessibility: {largest:?}");
}

#[test]
fn descriptors_of_thousands_of_molecules_are_rdkits() {
    let (Some(smiles), Some(scores)) = (spread(ROWS), fragment_scores()) else { return };
    if !python::has(&["rdkit"]) {
        return;
    }
    let expected = python::run("rdkit_values.py", &["values"], &smiles);
    assert_eq!(expected.len(), 3 * ROWS);
    let mut largest = [0.0; 3];
    expected.iter().for_each(|expected| compare(expected, Some(&scores), &mut largest));
    println!("largest differences of log P, drug-likeness, accessibility: {largest:?}");
}

#[test]
fn a_table_that_is_none_is_refused() {
    let Some(folder) = data_dir("metrics") else { return };
    let refused = FragmentScores::read(&folder.join("chemnet_reference.npz"));
    assert!(matches!(refused, Err(MoleculeError::Weights { .. })), "{refused:?}");
    assert!(matches!(FragmentScores::read(Path::new("nothing.npz")), Err(MoleculeError::File { .. })));
    let scores = fragment_scores().unwrap();
    assert_eq!((scores.len(), scores.is_empty()), (705_292, false));
    assert!(scores.synthetic_accessibility("C(").is_err() && scores.synthetic_accessibility("").is_err());
}

#[test]
fn the_largest_molecules_have_descriptors_or_are_refused_soon() {
    let scores = fragment_scores();
    for (what, smiles, readable) in [
        ("a chain", "C".repeat(1_000), true),
        ("one big ring", format!("C1{}1", "C".repeat(999)), true),
        ("a hundred phenyl rings", "c1ccccc1-".repeat(99) + "c1ccccc1", true),
        ("fragments", vec!["CN"; 500].join("."), true),
        ("many rings", "C1CC1".repeat(333), false),
    ] {
        let start = Instant::now();
        match Chematic
            .canonicalise(&smiles)
            .and_then(|smiles| PerceivedMolecule::of_canonical(&smiles).map(|m| (m, smiles)))
        {
            Ok((molecule, canonical)) => {
                assert!(readable, "{what} was read");
                let descriptors = DescriptorCalculator::new().calculate(&molecule);
                assert_eq!(descriptors.heavy_atoms as usize, molecule.atoms().len());
                assert!((0.0..=1.0).contains(&descriptors.drug_likeness), "{what}: {descriptors:?}");
                if let Some(scores) = &scores {
                    assert!((1.0..=10.0).contains(&scores.synthetic_accessibility(&canonical).unwrap()));
                }
            }
            Err(error) => assert!(!readable, "{what}: {error}"),
        }
        println!("{what}: {:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
    }
}
