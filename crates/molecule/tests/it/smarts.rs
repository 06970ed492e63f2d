//! SMARTS against RDKit's matches.

use std::path::PathBuf;

use equidrift_molecule::perceived::PerceivedMolecule;
use equidrift_molecule::smarts::{MatchMemory, Matcher, PatternSet};
use equidrift_molecule::{Chematic, Chemistry};

use crate::descriptors::spread;
use crate::python;

fn count(smarts: &str, smiles: &str) -> usize {
    let mut set = PatternSet::new();
    let pattern = set.add(smarts).unwrap();
    let molecule = PerceivedMolecule::of_canonical(smiles).unwrap();
    let mut memory = MatchMemory::default();
    let mut matcher = Matcher::new(&set, &molecule, &mut memory);
    let count = matcher.count(pattern);
    assert_eq!(matcher.has(pattern), count > 0);
    count
}

#[test]
fn matches_are_those_of_the_daylight_manual() {
    for (smarts, smiles, expected) in [
        ("C", "CC(C)C", 4),
        ("CC", "CC(C)C", 3),
        ("c", "Cc1ccccc1", 6),
        ("[#6]", "Cc1ccccc1", 7),
        ("[!#6;!H0]", "NCCO", 2),
        ("[NX3;H2,H1;!$(NC=O)]", "NCC(N)=O", 1),
        ("C=,#N", "N#CC=N", 2),
        ("C!-C", "C=CC", 1),
        ("[R2]", "c1ccc2ccccc2c1", 2),
        ("[r5]", "C1CCC1", 0),
        ("[r4]", "C1CCC1", 4),
        ("C1CCC1", "C1CCC1", 1),
        ("C@C", "C1CC1C", 3),
        ("C!@C", "C1CC1C", 1),
        ("[CH3].[CH3]", "CCC", 1),
        ("[O-]", "CC(=O)[O-]", 1),
        ("[+0]", "CC(=O)[O-]", 3),
        ("[13C]", "[13CH4]", 1),
        ("[v4]", "CN", 1),
        ("[x2]", "C1CC1C", 3),
        ("[D3]", "C1CC1C", 1),
        ("C(C)(C)(C)C", "CC(C)(C)C", 1),
        ("[H]", "C", 0),
        ("a:a", "c1ccccc1-c1ccccc1", 12),
        ("a-a", "c1ccccc1-c1ccccc1", 1),
    ] {
        assert_eq!(count(smarts, smiles), expected, "{smarts} in {smiles}");
    }
}

#[test]
fn the_patterns_of_the_crate_match_as_in_rdkit() {
    if !python::has(&["rdkit"]) {
        return;
    }
    let Some(smiles) = spread(300) else { return };
    let data = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data");
    for (file, hydrogens) in
        [("crippen.tsv", "atoms"), ("moses_filters.tsv", "atoms"), ("qed_alerts.tsv", "counts")]
    {
        let path = data.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut set = PatternSet::new();
        let rows = text.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
        let smarts: Vec<&str> = rows.map(|row| row.split('\t').nth(1).unwrap_or(row)).collect();
        let patterns: Vec<_> = smarts.iter().map(|smarts| set.add(smarts).unwrap()).collect();
        let expected =
            python::run("rdkit_values.py", &["patterns", path.to_str().unwrap(), hydrogens], &smiles);
        let mut memory = MatchMemory::default();
        let mut matched = 0;
        for (smiles, expected) in smiles.iter().zip(expected) {
            let canonical = Chematic.canonicalise(smiles).unwrap();
            let mut molecule = PerceivedMolecule::of_canonical(&canonical).unwrap();
            if hydrogens == "atoms" {
                molecule = molecule.with_hydrogens();
            }
            let mut matcher = Matcher::new(&set, &molecule, &mut memory);
            for ((pattern, smarts), expected) in
                patterns.iter().zip(&smarts).zip(expected.as_array().unwrap())
            {
                let expected = expected.as_u64().unwrap() as usize;
                assert_eq!(matcher.count(*pattern), expected, "{smarts} in {smiles}");
                assert_eq!(matcher.has(*pattern), expected > 0, "{smarts} in {smiles}");
                matched += usize::from(expected > 0);
            }
        }
        println!("{file}: {} patterns, {matched} with a match", patterns.len());
        assert!(matched > 100);
    }
}
