//! Released checkpoints, where the reference folder is present: conversion, networks, samples.

use std::fs;
use std::path::{Path, PathBuf};

use equidrift_backend::weights::TensorFile;
use serde_json::Value;

use crate::command::{assert_drawn, code, equidrift, generate, stderr};

/// The reference folder of the family, or nothing (with a line that says so).
fn reference() -> Option<PathBuf> {
    let folder = std::env::var_os("EQUIDRIFT_REFERENCE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder.join("gdss"));
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "no reference data at {}", folder.display());
    eprintln!("skipped: no reference data");
    None
}

fn files(folder: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(suffix)))
        .collect();
    files.sort();
    files
}

fn convert(json: &Path, model: &Path, flags: &[&str]) {
    let result =
        equidrift().args(["convert", "gdss"]).arg(json).arg("-o").arg(model).args(flags).output().unwrap();
    assert_eq!(code(&result), 0, "{}", stderr(&result));
}

#[test]
fn converted_checkpoints_evaluate_to_the_golden_vectors() {
    let Some(reference) = reference() else { return };
    let folder = tempfile::TempDir::new().unwrap();
    let golden_files = files(&reference, ".golden.safetensors");
    assert!(!golden_files.is_empty());
    for golden_path in golden_files {
        let file_name = golden_path.file_name().unwrap().to_string_lossy().into_owned();
        let name = file_name.trim_end_matches(".golden.safetensors");
        let golden = TensorFile::read(&golden_path).unwrap();
        let averages = golden.tensors.contains_key("out64.ema.x.net");
        for flags in [&[] as &[&str], &["--weights", "raw"], &["--weights", "ema"]] {
            if flags.contains(&"ema") && !averages {
                continue;
            }
            let case = format!("{name} {flags:?}");
            let (model, output) = (folder.path().join(&case), folder.path().join("out.safetensors"));
            convert(&reference.join(format!("{name}.json")), &model, flags);
            let config: Value =
                serde_json::from_slice(&fs::read(model.join("config.json")).unwrap()).unwrap();
            if let Some(weights) = flags.last() {
                assert_eq!(config["sampling_weights"], *weights, "{case}");
            }
            let kind = if config["sampling_weights"] == "ema" { "out64.ema." } else { "out64." };
            let result = equidrift()
                .arg("forward")
                .arg("--model")
                .arg(&model)
                .arg("--inputs")
                .arg(&golden_path)
                .arg("--output")
                .arg(&output)
                .output()
                .unwrap();
            assert_eq!(code(&result), 0, "{case}: {}", stderr(&result));
            let found = TensorFile::read(&output).unwrap();
            for tensor in ["x.net", "adj.net"] {
                let (found, expected) =
                    (&found.tensors[&format!("out.{tensor}")], &golden.tensors[&format!("{kind}{tensor}")]);
                assert_eq!(found.shape, expected.shape, "{case} {tensor}");
                let expected = expected.to_f64();
                let scale = expected.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
                let worst =
                    found.to_f64().iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(worst <= 1e-5 * scale, "{case} {tensor}: {worst} of {scale}");
            }
        }
    }
}

#[test]
fn the_released_molecule_model_draws_molecules() {
    let Some(reference) = reference() else { return };
    let json = reference.join("qm9.json");
    if !json.exists() {
        eprintln!("skipped: no reference data for this model");
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    let model = folder.path().join("qm9");
    convert(&json, &model, &[]);
    // Few steps with a strong corrector: 97 % valid in the published programme at snr 0.4 and 50 steps.
    let result = generate(&model, None, "--num 100 --seed 1 --steps 50 --snr 0.4 --json").output().unwrap();
    assert_drawn(&result);
    let summary: Value = serde_json::from_str(&stderr(&result)).unwrap();
    // 97 % of 100 with standard error 1.7: four of them below.
    assert!(summary["validity_before_repair"].as_f64().unwrap() >= 0.90, "{summary}");
    assert_eq!(summary["validity"], 1.0, "{summary}");
}
