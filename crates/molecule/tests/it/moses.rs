//! The MOSES suite against the figures of the package molsets (`tests/moses_values.py`).

use equidrift_molecule::descriptors::FragmentScores;
use equidrift_molecule::metrics::moses::{MosesSet, UniqueAt};
use equidrift_molecule::{Chematic, Chemistry};
use serde_json::Value;

use crate::reference::data_dir;

fn canonical(set: &Value) -> Vec<String> {
    set.as_array()
        .unwrap()
        .iter()
        .map(|smiles| Chematic.canonicalise(smiles.as_str().unwrap()).unwrap())
        .collect()
}

#[test]
fn every_figure_is_that_of_the_package() {
    let fixture: Value = serde_json::from_str(include_str!("../fixtures/moses_values.json")).unwrap();
    let (generated, reference) = (canonical(&fixture["generated"]), canonical(&fixture["reference"]));
    let scores = data_dir("metrics")
        .map(|folder| FragmentScores::read(&folder.join("sa_fragment_scores.npz")).unwrap());
    let sets = [&generated, &reference].map(|set| MosesSet::of_canonical(set, scores.as_ref(), 2));
    let [generated_set, reference_set] = &sets;
    let mut unique = UniqueAt::new(&[10, 100]);
    generated.iter().for_each(|smiles| unique.add(smiles));
    let diversity = generated_set.diversity(2);
    let distances = generated_set.distances(reference_set, 2);
    let unique: Vec<_> = unique.shares().into_iter().map(|(_, share)| share).collect();
    let found = [
        ("unique@10", unique[0]),
        ("unique@100", unique[1]),
        ("SNN", distances.snn),
        ("Frag", distances.frag),
        ("Scaf", distances.scaf),
        ("IntDiv", diversity.int_div),
        ("IntDiv2", diversity.int_div2),
        ("Filters", diversity.filters),
        ("logP", distances.log_p),
        ("SA", distances.sa),
        ("QED", distances.qed),
        ("weight", distances.weight),
    ];
    for (name, figure) in found {
        let expected = fixture["figures"][name].as_f64().unwrap();
        match figure {
            // The package computes similarities in single precision.
            Some(figure) => {
                assert!((figure - expected).abs() < 1e-5, "{name}: {figure}, the package {expected}");
            }
            None => assert!(name == "SA" && scores.is_none(), "no {name}"),
        }
    }
}
