//! NSPDK MMD against the original's values, and properties it must have.

use std::collections::BTreeMap;

use equidrift_molecule::chemistry::aromatic_form::AromaticForm;
use equidrift_molecule::metrics::NeighbourhoodMean;
use equidrift_molecule::metrics::nspdk::NeighbourhoodFeatures;
use equidrift_molecule::{Chematic, Chemistry};
use serde::Deserialize;

use crate::reference::reference_dir;

#[derive(Deserialize)]
struct Sets {
    r#ref: Vec<String>,
    pred: Vec<String>,
    nspdk_mmd: f64,
}

fn mean(smiles: &[String]) -> NeighbourhoodMean {
    let canonical: Vec<String> = smiles.iter().map(|s| Chematic.canonicalise(s).unwrap()).collect();
    NeighbourhoodMean::of_canonical(&canonical, 2).unwrap()
}

#[test]
fn the_values_of_the_original_are_reproduced_to_its_own_scatter() {
    let Some(folder) = reference_dir("gdss") else { return };
    let text = std::fs::read_to_string(folder.join("nspdk.golden.json")).unwrap();
    let sets: BTreeMap<String, Sets> = serde_json::from_str(&text).unwrap();
    assert!(sets.len() >= 4);
    for (name, set) in sets {
        let found = mean(&set.r#ref).mmd(&mean(&set.pred));
        let error = found / set.nspdk_mmd - 1.0;
        println!("{name}: {found:.6}, original {:.6}, {:+.2} %", set.nspdk_mmd, 100.0 * error);
        assert!(error.abs() < 0.02, "{name}: {found} for {}", set.nspdk_mmd);
    }
}

#[test]
fn the_order_of_atoms_and_the_kekule_form_do_not_matter() {
    // One molecule in three spellings, and one that differs by where a nitrogen sits.
    let of = |smiles: &str| NeighbourhoodFeatures::of(&AromaticForm::of_canonical(smiles).unwrap());
    let toluidine = of("Cc1ccc(N)cc1");
    assert_eq!(toluidine, of("c1(C)ccc(N)cc1"));
    assert_eq!(toluidine, of("Nc1ccc(C)cc1"));
    assert_ne!(toluidine, of("Cc1ccccc1N"));
    let norm: f32 = toluidine.entries().iter().map(|(_, value)| value * value).sum();
    assert!((norm - 1.0).abs() < 1e-5);
    assert!(toluidine.entries().is_sorted_by_key(|(bin, _)| *bin));
    assert!(of("").entries().is_empty());
    // One atom: a pair and a half feature of radius and distance 0.
    assert_eq!(of("C").entries().len(), 2);
}

#[test]
fn the_mean_does_not_depend_on_threads_and_leaves_out_empty_molecules() {
    let smiles: Vec<String> = (1..300).map(|i| format!("{}O", "C".repeat(1 + i % 12))).collect();
    let one = NeighbourhoodMean::of_canonical(&smiles, 1).unwrap();
    let three = NeighbourhoodMean::of_canonical(&smiles, 3).unwrap();
    assert_eq!(one, three);
    let with_empty: Vec<String> = smiles.into_iter().chain([String::new()]).collect();
    assert_eq!(NeighbourhoodMean::of_canonical(&with_empty, 2).unwrap(), one);
    assert_eq!((one.mmd(&three), one.molecules()), (0.0, 299));
    assert!(NeighbourhoodMean::of_canonical(&["C("], 1).is_err());
}
