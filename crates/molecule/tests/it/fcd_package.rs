//! FCD against the PyPI package fcd, which computes it in the same test run, where Python with it is installed.

use equidrift_molecule::metrics::{SetStatistics, Wanted, available_threads};
use equidrift_molecule::{Chematic, Chemistry, SmilesLines};

use crate::chemnet::chemnet;
use crate::python;
use crate::random::Random;
use crate::reference::data_dir;

/// Molecules in each of the two sets.
const SIZE: usize = 2_000;

#[test]
fn fcd_of_two_moses_slices_is_that_of_the_package() {
    let (Some(folder), Some((_, net))) = (data_dir("molecules"), chemnet()) else { return };
    if !python::has(&["fcd"]) {
        return;
    }
    let all: Vec<String> = SmilesLines::open(&folder.join("moses_test.smi.gz"))
        .unwrap()
        .map(|line| line.unwrap().smiles)
        .collect();
    let mut random = Random(2026);
    let mut draw = || -> Vec<String> {
        (0..SIZE).map(|_| Chematic.canonicalise(&all[random.below(all.len())]).unwrap()).collect()
    };
    let (first, second) = (draw(), draw());
    let statistics = |smiles: &[String]| {
        let wanted = Wanted { nspdk: false, chemnet: Some(&net) };
        SetStatistics::of_canonical(smiles, "chematic", wanted, available_threads(), &|_| {}).unwrap()
    };
    let ours = statistics(&first).distances(&statistics(&second)).unwrap().fcd.unwrap();

    let lines: Vec<String> = first.into_iter().chain([String::new()]).chain(second).collect();
    let package = &python::run("fcd_package.py", &[], &lines)[0];
    let theirs = package["fcd"].as_f64().unwrap();
    println!("FCD of {SIZE} and {SIZE} molecules of MOSES: {ours:.6}, the package {theirs:.6}");
    assert_eq!(package["sizes"], serde_json::json!([SIZE, SIZE]));
    assert_eq!(package["different"], 0, "RDKit spells some molecules otherwise");
    assert!((ours / theirs - 1.0).abs() < 1e-3, "{ours} {theirs}");
}
