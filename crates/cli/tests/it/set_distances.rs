//! `evaluate molecules --reference`: distances between sets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::{Value, json};

use crate::command::{assert_refused, code, data_file, equidrift, run, stderr, stdout};

fn evaluate(folder: &Path, line: &str) -> Output {
    let mut command = equidrift();
    command.current_dir(folder).args(["evaluate", "molecules"]).args(line.split_whitespace());
    // Each replicate of FCD is two problems of linear algebra.
    command.args(["--bootstrap", "3"]);
    command.output().unwrap()
}

fn report(folder: &Path, line: &str) -> Value {
    let result = evaluate(folder, &format!("{line} --json"));
    assert_eq!(code(&result), 0, "{}", stderr(&result));
    serde_json::from_str(&stdout(&result)).unwrap()
}

/// Two small sets of which the second is the first with one molecule changed.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("generated.smi", "OCC\nC1=CC=CC=C1C\n\nCCN\nnonsense?\n");
    write("same.smi", "CCO\nc1ccccc1C\nNCC\n");
    write("other.smi", "CCO\nc1ccncc1C\nNCC\n");
    folder
}

/// The weights of ChemNet, where they are at hand.
fn chemnet() -> Option<PathBuf> {
    data_file("metrics/chemnet_v0.13.npz")
}

#[test]
fn the_distance_is_that_of_the_valid_molecules_however_they_are_spelt() {
    let folder = folder();
    let same = report(folder.path(), "generated.smi --reference same.smi --nspdk");
    assert_eq!(same["distances"]["nspdk_mmd"], 0.0, "{same}");
    assert_eq!(
        (&same["distances"]["generated_molecules"], &same["distances"]["reference_molecules"]),
        (&json!(3), &json!(3))
    );
    assert_eq!((&same["generated"]["samples"], &same["distances"]["fcd"]), (&json!(5), &Value::Null));
    let other = report(folder.path(), "--generated generated.smi --reference other.smi --nspdk");
    assert!(other["distances"]["nspdk_mmd"].as_f64().unwrap() > 0.01, "{other}");
    let table = stdout(&evaluate(folder.path(), "generated.smi --reference other.smi --nspdk"));
    assert!(table.contains("NSPDK MMD") && !table.contains("FCD"), "{table}");
    let plain = report(folder.path(), "generated.smi --reference other.smi");
    assert_eq!(plain["distances"], Value::Null);
}

#[test]
fn saved_statistics_stand_for_their_set() {
    let folder = folder();
    let net = chemnet().map(|path| format!("--chemnet {}", path.display())).unwrap_or_default();
    let from_set = report(
        folder.path(),
        &format!("generated.smi --reference other.smi --nspdk {net} --save-statistics x.safetensors"),
    );
    let from_file = report(folder.path(), &format!("generated.smi --reference x.safetensors --nspdk {net}"));
    for figure in ["nspdk_mmd", "fcd", "reference_molecules"] {
        assert_eq!(from_file["distances"][figure], from_set["distances"][figure], "{figure}");
    }
    assert_eq!(from_file["reference"], Value::Null);
    assert_eq!(from_file["distances"]["fcd"].is_f64(), !net.is_empty());
}

#[test]
fn a_distance_of_few_molecules_is_warned_of() {
    let Some(net) = chemnet() else { return };
    let folder = folder();
    let line = format!("generated.smi --reference same.smi --chemnet {}", net.display());
    let result = evaluate(folder.path(), &line);
    assert!(stderr(&result).contains("3 generated molecules are too few"), "{}", stderr(&result));
    // The same molecules, differently spelt in the files.
    let fcd = report(folder.path(), &line)["distances"]["fcd"].as_f64().unwrap();
    assert!(fcd.abs() < 1e-5, "{fcd}");
    fs::write(folder.path().join("generated.smi"), "nonsense?\nCCO\n").unwrap();
    let result = evaluate(folder.path(), &format!("{line} --json"));
    assert_eq!(code(&result), 0, "{}", stderr(&result));
    assert!(stderr(&result).contains("no distances of the generated molecules"), "{}", stderr(&result));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = folder();
    let at = |line: &str| evaluate(folder.path(), line);
    assert_refused(&at("generated.smi --nspdk"), 2, "--reference");
    assert_refused(&at("generated.smi --generated same.smi"), 2, "cannot be used with");
    assert_refused(&at(""), 2, "FILE");
    assert_refused(&at("generated.smi --reference same.smi --save-statistics x.safetensors"), 2, "--nspdk");
    assert_refused(
        &at("generated.smi --reference same.smi --nspdk --save-statistics x.smi"),
        2,
        ".safetensors",
    );
    assert_refused(&at("generated.smi --reference same.smi --chemnet same.smi"), 3, ".npz");
    assert_refused(&at("generated.smi --reference same.smi --chemnet none.npz"), 3, "none.npz");
    fs::write(folder.path().join("x.safetensors"), "CCO\n").unwrap();
    assert_refused(&at("generated.smi --reference x.safetensors --nspdk"), 3, "x.safetensors");
    assert_refused(&at("generated.smi --reference x.safetensors"), 2, "--nspdk");
    fs::write(folder.path().join("empty.smi"), "\n").unwrap();
    assert_refused(&at("generated.smi --reference empty.smi --nspdk"), 3, "empty.smi");
    let help = stdout(&run(["evaluate", "molecules", "--help"]));
    assert!(help.contains("fcd_torch") && help.contains("NSPDK MMD"), "{help}");
}
