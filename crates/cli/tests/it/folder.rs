//! Model folders made on the fly: small, with initial weights, so that no file outside the repository is needed.

use std::fs;
use std::path::{Path, PathBuf};

use equidrift_backend::checksum::write_sums;
use equidrift_gdss::{GdssConfig, GdssModel, initial_parameters};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Configuration of a model of at most seven atoms with narrow networks.
pub(crate) fn small_config() -> Value {
    json!({
        "library": "equidrift",
        "format_version": 1,
        "family": "gdss",
        "name": "small",
        "task": "molecules",
        "max_nodes": 7,
        "vocabulary": {"atoms": ["C", "N", "O", "F"]},
        "networks": {
            "x": {"model_type": "ScoreNetworkX", "max_feat_num": 4, "depth": 2, "nhid": 8},
            "adj": {
                "model_type": "ScoreNetworkA", "max_feat_num": 4, "max_node_num": 7, "nhid": 8, "num_layers": 2,
                "num_linears": 2, "c_init": 2, "c_hid": 4, "c_final": 2, "adim": 8, "num_heads": 4, "conv": "GCN"
            }
        },
        "paths": {
            "x": {"type": "VE", "beta_min": 0.1, "beta_max": 1.0},
            "adj": {"type": "VE", "beta_min": 0.1, "beta_max": 1.0}
        },
        "sampler": {"name": "predictor-corrector", "snr": 0.02},
        "steps": 10,
        "node_counts": {"3": 1, "5": 4, "6": 8, "7": 20},
        "sampling_weights": "raw"
    })
}

/// Configuration of a model of graphs of 2 to 19 nodes, most sizes of which are rare.
pub(crate) fn small_graph_config() -> Value {
    let mut config = small_config();
    config["task"] = json!("graphs");
    config["max_nodes"] = json!(19);
    config["vocabulary"] = Value::Null;
    config["networks"]["adj"]["max_node_num"] = json!(19);
    config["paths"] = json!({
        "x": {"type": "VP", "beta_min": 0.1, "beta_max": 1.0},
        "adj": {"type": "VP", "beta_min": 0.1, "beta_max": 1.0}
    });
    config["node_counts"] = json!({"2": 1, "5": 4, "8": 8, "9": 1, "13": 3, "19": 2});
    config
}

/// A temporary folder and in it a model folder.
pub(crate) fn small_model() -> (TempDir, PathBuf) {
    model_of(small_config())
}

/// A temporary folder and in it a model folder of graphs.
pub(crate) fn small_graph_model() -> (TempDir, PathBuf) {
    model_of(small_graph_config())
}

fn model_of(config: Value) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model");
    let config: GdssConfig = serde_json::from_value(config).unwrap();
    let parameters = initial_parameters(&config.networks, 11);
    GdssModel::new(config, parameters).unwrap().write(&path, &[]).unwrap();
    (folder, path)
}

/// Changes a file of a model folder and makes the checksums agree again, so that what is behind them is tested.
pub(crate) fn change(model: &Path, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
    tamper(model, file, change);
    write_sums(model, &["config.json", "model.safetensors", "README.md"]).unwrap();
}

/// Changes a file of a model folder and leaves the checksums as they were.
pub(crate) fn tamper(model: &Path, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = model.join(file);
    let mut bytes = fs::read(&path).unwrap();
    change(&mut bytes);
    fs::write(&path, bytes).unwrap();
}

/// Changes the configuration of a model folder, checksums included.
pub(crate) fn reconfigure(model: &Path, edit: impl FnOnce(&mut Value)) {
    change(model, "config.json", |bytes| {
        let mut config: Value = serde_json::from_slice(bytes).unwrap();
        edit(&mut config);
        *bytes = serde_json::to_vec(&config).unwrap();
    });
}
