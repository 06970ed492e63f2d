//! The summary of a run: a table for people, one JSON object for programmes.

use std::fs;

use serde_json::Value;

use crate::command::{assert_drawn, code, generate, stderr, stdout};
use crate::folder::small_model;

#[test]
fn the_json_summary_has_its_fields_and_stands_alone() {
    let (folder, model) = small_model();
    let out = folder.path().join("x.jsonl");
    let train = folder.path().join("train.smi");
    fs::write(&train, "CO\nC\nN\nO\n").unwrap();
    let result = generate(&model, Some(&out), "--num 60 --seed 3 --steps 4 --json --threads 2")
        .arg("--train")
        .arg(&train)
        .output()
        .unwrap();
    assert_drawn(&result);
    assert_eq!(stdout(&result), "", "results went to the file");
    let summary: Value = serde_json::from_str(&stderr(&result)).expect("standard error is one JSON object");
    for (field, expected) in [
        ("model", "small"),
        ("sampler", "predictor-corrector"),
        ("engine", "fused"),
        ("device", "cpu"),
        ("output", out.to_str().unwrap()),
    ] {
        assert_eq!(summary[field], expected, "{field}");
    }
    for (field, expected) in [
        ("steps", 4),
        ("evaluations_per_sample", 8),
        ("seed", 3),
        ("requested", 60),
        ("samples", 60),
        ("samples_this_run", 60),
    ] {
        assert_eq!(summary[field], expected, "{field}");
    }
    assert_eq!(summary["complete"], true);
    for field in ["validity_before_repair", "validity", "uniqueness", "novelty", "connectedness"] {
        let share = summary[field].as_f64().unwrap_or_else(|| panic!("{field} is no number"));
        assert!((0.0..=1.0).contains(&share), "{field} = {share}");
    }
    assert!(summary["seconds"].as_f64().unwrap() > 0.0);
    assert!(summary["molecules_per_second"].as_f64().unwrap() > 0.0);

    // Its counts are those of the file.
    let text = fs::read_to_string(&out).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let valid: Vec<&str> = records.iter().filter_map(|record| record["smiles"].as_str()).collect();
    assert_eq!(summary["valid"], valid.len());
    let distinct: std::collections::BTreeSet<_> = valid.iter().collect();
    let uniqueness = distinct.len() as f64 / valid.len() as f64;
    assert!((summary["uniqueness"].as_f64().unwrap() - uniqueness).abs() < 1e-12);
    let novel = distinct.iter().filter(|smiles| !["CO", "C", "N", "O"].contains(smiles)).count();
    let novelty = novel as f64 / distinct.len() as f64;
    assert!((summary["novelty"].as_f64().unwrap() - novelty).abs() < 1e-12);
    let ids: Vec<u64> = records.iter().map(|record| record["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (0..60).collect::<Vec<_>>());
}

#[test]
fn people_get_the_figures_on_standard_error() {
    let (_folder, model) = small_model();
    let result = generate(&model, None, "--num 30 --steps 4").output().unwrap();
    assert_drawn(&result);
    let text = stderr(&result);
    for figure in
        ["valid before repair", "valid  ", "unique", "molecules/s", "network evaluations (NFE)", "connected"]
    {
        assert!(text.contains(figure), "{figure} in {text}");
    }
    assert_eq!(stdout(&result).lines().count(), 30);
}

#[test]
fn fewer_valid_samples_than_asked_is_code_five() {
    let (_folder, model) = small_model();
    let result = generate(&model, None, "--num 200 --steps 4 --no-repair --json").output().unwrap();
    let summary: Value = serde_json::from_str(&stderr(&result)).unwrap();
    assert!(summary["valid"].as_u64().unwrap() < 200, "this untrained model was expected to break valences");
    assert_eq!(summary["validity"], summary["validity_before_repair"]);
    assert_eq!(code(&result), 5);
}
