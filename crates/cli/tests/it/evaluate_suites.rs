//! `evaluate molecules --moses --guacamol --stability`.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::command::{assert_refused, code, equidrift, stderr, stdout};

fn evaluate(folder: &Path, line: &str) -> Output {
    let mut command = equidrift();
    command.current_dir(folder).args(["evaluate", "molecules"]).args(line.split_whitespace());
    command.output().unwrap()
}

fn report(folder: &Path, line: &str) -> Value {
    let result = evaluate(folder, &format!("{line} --json"));
    assert_eq!(code(&result), 0, "{}", stderr(&result));
    serde_json::from_str(&stdout(&result)).unwrap()
}

/// The 150 and 150 molecules of a fixture of the crate `molecule`, and what the package says of them.
fn folder(fixture: &str) -> (tempfile::TempDir, Value) {
    let folder = tempfile::TempDir::new().unwrap();
    let fixture: Value = serde_json::from_str(fixture).unwrap();
    for (key, file) in [("generated", "molecules.smi"), ("reference", "reference.smi")] {
        let lines: Vec<&str> =
            fixture[key].as_array().unwrap().iter().map(|smiles| smiles.as_str().unwrap()).collect();
        fs::write(folder.path().join(file), lines.join("\n") + "\n").unwrap();
    }
    (folder, fixture["figures"].clone())
}

fn near(found: &Value, expected: &Value, what: &str) {
    let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
    assert!((found - expected).abs() < 1e-5, "{what}: {found}, the package {expected}");
}

#[test]
fn figures_of_moses_are_those_of_its_package_and_have_errors() {
    let (folder, expected) = folder(include_str!("../../../molecule/tests/fixtures/moses_values.json"));
    let line = "molecules.smi --reference reference.smi --moses";
    let found = report(folder.path(), line);
    let moses = &found["moses"];
    for name in ["IntDiv", "IntDiv2", "Filters"] {
        near(&moses["generated"][name], &expected[name], name);
        assert!(moses["generated"]["standard_errors"][name].as_f64().unwrap() > 0.0, "{name}");
        assert!(moses["reference"][name].is_f64(), "{name}");
    }
    for name in ["SNN", "Frag", "Scaf", "logP", "QED", "weight"] {
        near(&moses["distances"][name], &expected[name], name);
        assert!(moses["standard_errors"][name].as_f64().unwrap() > 0.0, "{name}");
    }
    assert_eq!(moses["distances"]["SA"], Value::Null);
    assert_eq!(moses["generated"]["unique_at"][0]["first"], json!(1_000));
    assert!(found["generated"]["descriptors"]["log_p"].is_object());

    let table = stdout(&evaluate(folder.path(), line));
    for name in ["unique@1000", "IntDiv2", "Filters", "SNN", "Frag", "Scaf", "W1 of log P", "W1 of weight"] {
        assert!(table.contains(name), "no {name} in\n{table}");
    }
    // Without a reference the figures of the set alone.
    let alone = report(folder.path(), "molecules.smi --moses");
    assert_eq!(alone["moses"]["generated"], moses["generated"]);
    assert_eq!((&alone["moses"]["reference"], &alone["moses"]["distances"]), (&Value::Null, &Value::Null));
}

#[test]
fn divergences_of_guacamol_are_those_of_its_package_and_are_on_the_page() {
    let (folder, expected) = folder(include_str!("../../../molecule/tests/fixtures/guacamol_values.json"));
    let line = "molecules.smi --reference reference.smi --guacamol --moses";
    let guacamol = report(folder.path(), line)["guacamol"].clone();
    near(&guacamol["score"], &expected["score"], "score");
    for divergence in guacamol["divergences"].as_array().unwrap() {
        let name = divergence[0].as_str().unwrap();
        near(&divergence[1], &expected["divergences"][name], name);
    }
    assert_eq!(guacamol["divergences"].as_array().unwrap().len(), 10);
    assert!(guacamol["standard_errors"]["score"].as_f64().unwrap() > 0.0);
    assert_eq!(guacamol["generated_molecules"], json!(150));

    let result = evaluate(folder.path(), &format!("{line} --report page.html --threads 1"));
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    for text in ["Suites", "KL score", "KL of BertzCT", "KL of internal_similarity", "IntDiv", "SNN"] {
        assert!(page.contains(text), "no {text}");
    }
    assert!(stdout(&result).contains("KL score"), "{}", stdout(&result));
    assert_refused(&evaluate(folder.path(), "molecules.smi --guacamol"), 2, "--reference");
}

#[test]
fn stability_is_of_hydrogens_that_are_written() {
    let folder = tempfile::TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("with.smi", "[H]O[H]\n[H]C([H])([H])[H]\n[H]C([H])([H])([H])[H]\nC(\n");
    write("without.smi", "CCO\nCCN\n");
    let found = report(folder.path(), "with.smi --stability");
    assert_eq!(found["generated"]["stability"]["mol_stable"], json!(0.5));
    assert_eq!(found["generated"]["stability"]["atm_stable"], json!(13.0 / 14.0));
    assert!(found["generated"]["stability_errors"]["mol_stable"].as_f64().unwrap() > 0.1);
    assert!(stdout(&evaluate(folder.path(), "with.smi --stability")).contains("molecule stability"));
    let none = evaluate(folder.path(), "without.smi --stability --json");
    assert!(stderr(&none).contains("no hydrogen is written"), "{}", stderr(&none));
    let none: Value = serde_json::from_str(&stdout(&none)).unwrap();
    assert_eq!(none["generated"]["stability"], Value::Null);
}
