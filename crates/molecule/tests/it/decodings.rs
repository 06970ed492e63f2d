//! `decode.*`: continuous samples of GDSS and what the reference made of them, field by field.

use std::path::Path;

use equidrift_molecule::fragments::keep_longest;
use equidrift_molecule::{
    BondOrder, Chematic, Chemistry, Correction, Element, GeneratedMolecule, MolecularGraph, bonds, decode,
    repair,
};
use safetensors::SafeTensors;
use serde::Deserialize;

use crate::reference::{files, reference_dir};

/// What the reference says of one sample.
#[derive(Deserialize)]
struct Expected {
    atoms: Vec<u8>,
    charges: Vec<i8>,
    bonds: Vec<(usize, usize, u8)>,
    valid_without_correction: bool,
    corrected_bonds: Vec<(usize, usize, u8)>,
    smiles_all: String,
    smiles: Option<String>,
}

pub(crate) fn f32s(file: &SafeTensors<'_>, name: &str) -> (Vec<usize>, Vec<f32>) {
    let tensor = file.tensor(name).unwrap();
    let values = tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    (tensor.shape().to_vec(), values)
}

pub(crate) fn vocabulary(features: usize) -> &'static [Element] {
    use Element::{Br, C, Cl, F, I, N, O, P, S};
    match features {
        4 => &[C, N, O, F],
        9 => &[C, N, O, F, P, S, Cl, Br, I],
        other => panic!("no vocabulary of {other} elements"),
    }
}

fn sorted(graph: &MolecularGraph) -> Vec<(usize, usize, u8)> {
    let mut list: Vec<_> =
        bonds(graph).map(|(a, b, order): (_, _, BondOrder)| (a.min(b), a.max(b), order.number())).collect();
    list.sort_unstable();
    list
}

/// Compare all samples of a file; returns how many SMILES are spelt otherwise than the reference.
pub(crate) fn compare(tensors: &Path, chemistry: &dyn Chemistry) -> (usize, usize) {
    let bytes = std::fs::read(tensors).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (shape, x) = f32s(&file, "x");
    let (_, adj) = f32s(&file, "adj");
    let [samples, nodes, features] = shape[..] else { panic!("x has shape {shape:?}") };
    let text = std::fs::read_to_string(tensors.with_extension("json")).unwrap();
    let expected: Vec<Expected> = serde_json::from_str(&text).unwrap();
    assert_eq!(expected.len(), samples);

    let mut other_spelling = 0;
    for (sample, expected) in expected.iter().enumerate() {
        let x = &x[sample * nodes * features..(sample + 1) * nodes * features];
        let adj = &adj[sample * nodes * nodes..(sample + 1) * nodes * nodes];
        let decoded = decode(x, adj, vocabulary(features)).unwrap();
        let atoms: Vec<u8> = decoded.graph.node_weights().map(|atom| atom.element.atomic_number()).collect();
        let charges: Vec<i8> = decoded.graph.node_weights().map(|atom| atom.charge).collect();
        assert_eq!(atoms, expected.atoms, "sample {sample}");
        assert_eq!(charges, expected.charges, "sample {sample}");
        assert_eq!(sorted(&decoded.graph), expected.bonds, "sample {sample}");
        assert_eq!(decoded.valid_without_correction, expected.valid_without_correction, "sample {sample}");
        let verdict = chemistry.verdict(&decoded.graph);
        assert_eq!(verdict.valid, expected.valid_without_correction, "sample {sample}: {verdict:?}");

        let repaired = repair(&decoded.graph);
        assert_eq!(sorted(&repaired), expected.corrected_bonds, "sample {sample}");
        assert!(chemistry.verdict(&repaired).valid, "sample {sample}");

        let all = chemistry.kekule_smiles(&repaired).unwrap();
        let kept = keep_longest(repaired, chemistry).unwrap();
        let expected_smiles = expected.smiles.as_deref().unwrap_or_default();
        for (found, expected) in [(&all, &expected.smiles_all[..]), (&kept.smiles, expected_smiles)] {
            if found != expected {
                println!("sample {sample}: {found} for {expected}");
                other_spelling += 1;
                let canonical = |smiles| chemistry.canonicalise(smiles).unwrap();
                assert_eq!(canonical(found), canonical(expected), "sample {sample}");
            }
        }
        if expected.atoms.is_empty() {
            continue;
        }
        assert_eq!(chemistry.canonical_smiles(&kept.graph).unwrap(), kept.smiles, "sample {sample}");

        let generated = GeneratedMolecule::from_tensors(
            sample as u64,
            x,
            adj,
            vocabulary(features),
            Correction::Repair,
            chemistry,
        )
        .unwrap();
        assert_eq!(generated.smiles, kept.smiles);
        assert_eq!(generated.fragments, expected.smiles_all.split('.').count());
        assert_eq!(generated.repaired, !expected.valid_without_correction);
    }
    (samples, other_spelling)
}

#[test]
fn every_field_of_the_reference_decodings_is_reproduced() {
    let Some(folder) = reference_dir("gdss") else { return };
    let found = files(&folder, "decode.", ".safetensors");
    assert!(!found.is_empty());
    for path in found {
        let (samples, other_spelling) = compare(&path, &Chematic);
        println!("{}: {samples} samples, {other_spelling} SMILES spelt otherwise", path.display());
        // The back end spells as RDKit 2026 does; a few strings may change with a release, not a tenth of them.
        assert!(other_spelling * 10 <= samples);
    }
}

#[test]
fn an_invalid_molecule_that_is_not_repaired_has_no_smiles() {
    let x = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let adj = [0.0, 2.0, 1.0, 2.0, 0.0, 0.0, 1.0, 0.0, 0.0];
    let decode_with = |correction| {
        GeneratedMolecule::from_tensors(0, &x, &adj, vocabulary(4), correction, &Chematic).unwrap()
    };
    let left = decode_with(Correction::None);
    assert!(!left.valid_without_correction && !left.is_valid() && !left.repaired);
    assert_eq!((left.fragments, left.graph.edge_count()), (1, 2));
    assert_eq!(decode_with(Correction::Repair).smiles, "FCF");
}

#[test]
fn valence_limits_are_those_of_the_reference_table() {
    use std::collections::BTreeMap;
    #[derive(Deserialize)]
    struct Table {
        max_valence: BTreeMap<u8, BTreeMap<i8, u8>>,
        refused_below_max: BTreeMap<u8, BTreeMap<i8, Vec<u8>>>,
    }
    let Some(folder) = reference_dir("gdss") else { return };
    let text = std::fs::read_to_string(folder.join("valence.json")).unwrap();
    let table: Table = serde_json::from_str(&text).unwrap();
    for (number, limits) in table.max_valence {
        let element = Element::from_atomic_number(number).unwrap();
        for (charge, limit) in limits {
            let found = equidrift_molecule::valence::max_valence(element, charge);
            assert_eq!(found, Some(limit), "{element} with charge {charge}");
        }
    }
    // The check is a single limit only because nothing below it is refused.
    assert!(table.refused_below_max.values().flat_map(BTreeMap::values).all(Vec::is_empty));
}
