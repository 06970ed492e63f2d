//! Published Pard checkpoints on the command line, where the reference folder is present: conversion and networks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use equidrift_backend::weights::TensorFile;
use serde_json::Value;

use crate::command::{assert_drawn, assert_refused, code, data_file, equidrift, generate, stderr, stdout};

const GOLDEN: &str = ".golden.safetensors";

fn reference() -> Option<PathBuf> {
    let folder = std::env::var_os("EQUIDRIFT_REFERENCE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder.join("pard"));
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
    assert!(names.len() >= 7, "{names:?}");
    names
}

fn convert(json: &Path, model: &Path, flags: &[&str]) -> Output {
    equidrift().args(["convert", "pard"]).arg(json).arg("-o").arg(model).args(flags).output().unwrap()
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
    let output = folder.path().join("out.safetensors");
    for name in names(&reference) {
        let model = folder.path().join(&name);
        let result = convert(&reference.join(format!("{name}.json")), &model, &[]);
        assert_eq!(code(&result), 0, "{}", stderr(&result));
        let inputs = reference.join(format!("{name}{GOLDEN}"));
        let golden = TensorFile::read(&inputs).unwrap();
        for (flags, allowed) in [(&[] as &[&str], 1e-5), (&["--precision", "f64"], 1e-10)] {
            let result = forward(&model, &inputs, &output, flags);
            assert_eq!(code(&result), 0, "{name}: {}", stderr(&result));
            let found = TensorFile::read(&output).unwrap();
            let (mut compared, mut worst) = (0, (0.0_f64, String::new()));
            for (tensor, expected) in &golden.tensors {
                let Some(tensor) = tensor.strip_prefix("out64.") else { continue };
                let found = &found.tensors[&format!("out.{tensor}")];
                assert_eq!(found.shape, expected.shape, "{name} {tensor}");
                let (found, expected) = (found.to_f64(), expected.to_f64());
                let scale = expected.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
                let error = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                let error = if scale > 0.0 { error / scale } else { error };
                if error > worst.0 {
                    worst = (error, tensor.to_owned());
                }
                compared += 1;
            }
            println!(
                "{name} {flags:?}: {compared} tensors, largest relative error {:.1e} ({})",
                worst.0, worst.1
            );
            assert!(worst.0 <= allowed && compared >= 10, "{name} {flags:?}: {worst:?}, {compared} tensors");
        }
    }
}

#[test]
fn a_converted_checkpoint_is_shown_and_generates_when_first_sizes_are_known() {
    let Some(reference) = reference() else { return };
    let folder = tempfile::TempDir::new().unwrap();
    let (model, output) = (folder.path().join("model"), folder.path().join("out.smi"));
    let json = reference.join("small_bn.json");
    assert_eq!(code(&convert(&json, &model, &[])), 0);
    let shown = equidrift().args(["inspect", "--json"]).arg(&model).output().unwrap();
    let shown: Value = serde_json::from_str(&stdout(&shown)).unwrap();
    let network = &shown["config"]["network"];
    assert_eq!((&network["time"], &network["residual"]), (&"whole-frequencies".into(), &"normalised".into()));
    assert_eq!(shown["config"]["block_degree"], "of-lowest-node");
    let named = |end: &str| {
        let tensors = shown["tensors"].as_array().unwrap();
        tensors.iter().any(|tensor| tensor["name"].as_str().unwrap().ends_with(end))
    };
    assert!(named("running_mean") && named("running_var"));
    assert_refused(&generate(&model, Some(&output), "--num 3").output().unwrap(), 4, "--sizes-from");

    let sizes = folder.path().join("sizes.json");
    fs::write(&sizes, "{\"1\": 1, \"2\": 3, \"3\": 2}").unwrap();
    let flags = ["--first-sizes", sizes.to_str().unwrap()];
    assert_eq!(code(&convert(&json, &model, &flags)), 0);
    assert_drawn(&generate(&model, Some(&output), "--num 4 --steps 3").output().unwrap());
    fs::write(&sizes, "{\"99\": 1}").unwrap();
    assert_refused(&convert(&json, &model, &flags), 4, "first_sizes");

    let smiles = folder.path().join("data.smi");
    fs::write(&smiles, "CCO\nnothing\nC\n").unwrap();
    let flags = ["--sizes-from", smiles.to_str().unwrap()];
    assert_eq!(code(&convert(&json, &model, &flags)), 0);
    let config: Value = serde_json::from_slice(&fs::read(model.join("config.json")).unwrap()).unwrap();
    assert_eq!(
        (&config["max_nodes"], &config["first_sizes"]),
        (&9.into(), &serde_json::json!({"1": 1, "2": 1}))
    );
    if let Some(graphs) = data_file("graphs/comm20.json") {
        let graphs = format!("{}:digress:train", graphs.display());
        let result = convert(&reference.join("small_ln.json"), &model, &["--sizes-from", &graphs]);
        assert_eq!(code(&result), 0, "{}", stderr(&result));
        let config: Value = serde_json::from_slice(&fs::read(model.join("config.json")).unwrap()).unwrap();
        let counted: u64 =
            config["first_sizes"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!((counted, &config["max_nodes"]), (68, &20.into()));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let Some(reference) = reference() else { return };
    let folder = tempfile::TempDir::new().unwrap();
    let (model, output) = (folder.path().join("model"), folder.path().join("out.safetensors"));
    assert_eq!(code(&convert(&reference.join("small_bn.json"), &model, &[])), 0);
    let inputs = reference.join(format!("small_bn{GOLDEN}"));
    let refused = |edit: &dyn Fn(&mut TensorFile), expected: i32, word: &str| {
        let mut file = TensorFile::read(&inputs).unwrap();
        edit(&mut file);
        let edited = folder.path().join("in.safetensors");
        file.write(&edited).unwrap();
        assert_refused(&forward(&model, &edited, &output, &[]), expected, word);
    };
    let set = |file: &mut TensorFile, name: &str, at: usize, value: f64| {
        let tensor = file.tensors.get_mut(name).unwrap();
        let mut values = tensor.to_f64();
        values[at] = value;
        *tensor = equidrift_backend::weights::HostTensor::f64(tensor.shape.clone(), values);
    };
    refused(&|file| drop(file.tensors.remove("in.t")), 3, "in.t");
    refused(&|file| file.tensors.get_mut("in.virtual").unwrap().shape = vec![66], 3, "in.virtual");
    refused(&|file| set(file, "in.t", 0, 0.0), 3, "in.t");
    refused(&|file| set(file, "in.t", 0, 99.0), 3, "in.t");
    refused(&|file| set(file, "in.nodes_blockid", 0, 77.0), 3, "in.nodes_blockid");
    refused(&|file| set(file, "in.virtual", 0, 1.0), 3, "in.");
    refused(&|file| set(file, "in.block_size", 0, 5e8), 3, "in.block_size");
    refused(&|file| set(file, "in.block_degree", 0, 77.0), 3, "block degree");
    refused(&|file| set(file, "in.nodes_x_t", 0, 0.5), 3, "in.nodes_x_t");
    refused(&|file| set(file, "in.edges_x_t", 7, f64::NAN), 3, "in.edges_x_t");
    assert_refused(&forward(&model, &inputs, &output, &["--engine", "fused"]), 2, "fused");
    // Inputs of another model.
    let other = reference.join(format!("small_ln{GOLDEN}"));
    assert_refused(&forward(&model, &other, &output, &[]), 3, "in.");
    assert_refused(&convert(&reference.join("generate.json"), &model, &[]), 3, "generate.json");
    assert_refused(&convert(&reference.join("none.json"), &model, &[]), 3, "none.json");
}
