//! GeoTDM models on the command line, where the reference folder is present: conversion and networks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use equidrift_backend::weights::TensorFile;

use crate::command::{assert_refused, code, equidrift, stderr};

const GOLDEN: &str = ".golden.safetensors";

fn reference() -> Option<PathBuf> {
    let folder = std::env::var_os("EQUIDRIFT_REFERENCE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder.join("geotdm"));
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "no reference data at {}", folder.display());
    eprintln!("skipped: no reference data");
    None
}

/// Names of the models of the folder.
fn names(reference: &Path) -> Vec<String> {
    let files = fs::read_dir(reference).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = files
        .filter_map(|file| Some(file.to_str()?.strip_suffix(GOLDEN)?.to_owned()))
        .filter(|name| reference.join(format!("{name}.safetensors")).is_file())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

fn convert(json: &Path, model: &Path) -> Output {
    equidrift().args(["convert", "geotdm"]).arg(json).arg("-o").arg(model).output().unwrap()
}

fn forward(model: &Path, inputs: &Path, output: &Path, flags: &[&str]) -> Output {
    let mut command = equidrift();
    command.arg("forward").arg("--model").arg(model).arg("--inputs").arg(inputs);
    command.arg("--output").arg(output).args(flags).output().unwrap()
}

#[test]
fn converted_checkpoints_evaluate_to_the_golden_vectors() {
    let Some(reference) = reference() else { return };
    let folder = tempfile::TempDir::new().unwrap();
    for name in names(&reference) {
        let (model, output) = (folder.path().join(&name), folder.path().join("out.safetensors"));
        let result = convert(&reference.join(format!("{name}.json")), &model);
        assert_eq!(code(&result), 0, "{}", stderr(&result));
        assert!(stderr(&result).contains("parameters"));
        let inputs = reference.join(format!("{name}{GOLDEN}"));
        let golden = TensorFile::read(&inputs).unwrap();
        for (flags, allowed) in [(&[] as &[&str], 1e-4), (&["--precision", "f64"], 1e-10)] {
            let result = forward(&model, &inputs, &output, flags);
            assert_eq!(code(&result), 0, "{name}: {}", stderr(&result));
            let found = TensorFile::read(&output).unwrap();
            let mut compared = 0;
            for (tensor, expected) in &golden.tensors {
                let Some(tensor) = tensor.strip_prefix("out64.") else { continue };
                let found = &found.tensors[&format!("out.{tensor}")];
                assert_eq!(found.shape, expected.shape, "{name} {tensor}");
                let (found, expected) = (found.to_f64(), expected.to_f64());
                let scale = expected.iter().fold(1.0_f64, |max, x| max.max(x.abs()));
                let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(worst <= allowed * scale, "{name} {tensor} {flags:?}: {worst:.1e} of {scale:.1e}");
                compared += 1;
            }
            assert!(compared >= 15, "{name}: {compared}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let Some(reference) = reference() else { return };
    let folder = tempfile::TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    assert_refused(&convert(&path("none.json"), &path("model")), 3, "none.json");
    fs::write(path("x.json"), "{\"mode\": \"cond\"}").unwrap();
    assert_refused(&convert(&path("x.json"), &path("model")), 3, "denoise_model");
    assert!(!path("model").exists());

    assert_eq!(code(&convert(&reference.join("small.json"), &path("model"))), 0);
    let (model, output) = (path("model"), path("out.safetensors"));
    let inputs = reference.join(format!("small{GOLDEN}"));
    assert_refused(&forward(&model, &inputs, &output, &["--engine", "fused"]), 2, "fused");
    assert_refused(&forward(&model, &reference.join("small.safetensors"), &output, &[]), 3, "in.x");
    let other = reference.join(format!("md17{GOLDEN}"));
    assert_refused(&forward(&model, &other, &output, &[]), 3, "in.h");
    assert!(!output.exists());
    let config = fs::read_to_string(model.join("config.json")).unwrap();
    fs::write(model.join("config.json"), config.replace("\"hidden\": 16", "\"hidden\": 8")).unwrap();
    assert_refused(&forward(&model, &inputs, &output, &[]), 3, "config.json");
}
