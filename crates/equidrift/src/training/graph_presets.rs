//! The settings published for plain graphs (Jo, Lee and Hwang 2022, table 8), with the samplers of the released
//! configurations.

use serde_json::{Value, json};

/// Names of the presets of `train graphs`.
pub const GRAPH_PRESETS: [&str; 6] = ["community_small", "ego_small", "enzymes", "grid", "comm20", "planar"];

/// The preset of this name, of family GDSS.
pub(super) fn graph_preset(name: &str) -> Option<Value> {
    let variance_preserving = json!({"type": "VP", "beta_min": 0.1, "beta_max": 1.0});
    let langevin = |predictor: &str, snr: f64| {
        json!({
            "name": "predictor-corrector", "predictor": predictor, "corrector": "langevin",
            "snr": snr, "scale_eps": 0.7, "n_steps": 1
        })
    };
    let without_corrector = json!({"name": "predictor-corrector", "predictor": "euler", "corrector": "none"});
    let s4 = json!({"name": "s4", "snr": 0.15, "scale_eps": 0.7});
    let small_noise = json!({"type": "VE", "beta_min": 0.2, "beta_max": 1.0});
    let late = json!({"type": "VP", "beta_min": 0.2, "beta_max": 0.8});
    let (batch, weights, depth, layers, adj_path, sampler) = match name {
        "community_small" => (128, "raw", 3, 5, variance_preserving.clone(), langevin("euler", 0.05)),
        "ego_small" => (128, "raw", 2, 5, variance_preserving.clone(), without_corrector),
        "enzymes" => (64, "ema", 5, 7, small_noise, s4),
        "grid" => (8, "ema", 5, 7, late, langevin("reverse", 0.1)),
        _ => return None,
    };
    Some(json!({
        "name": format!("gdss-{name}"),
        "epochs": 5000,
        "batch": batch,
        "learning_rate": 0.01,
        "learning_rate_decay": 0.999,
        "weight_decay": 1e-4,
        "clip_norm": 1.0,
        "average_decay": 0.999,
        "seed": 42,
        "engine": "fused",
        "device": "cpu",
        "threads": 0,
        "checkpoint_every": 100,
        "weights": weights,
        "atoms": [],
        "on_bad_line": "fail",
        "on_unknown_atom": "fail",
        "steps": 1000,
        "sampler": sampler,
        "paths": {"x": variance_preserving, "adj": adj_path},
        "networks": {
            // Sizes of the data are filled in from the data.
            "x": {"model_type": "ScoreNetworkX", "max_feat_num": 10, "depth": depth, "nhid": 32},
            "adj": {
                "model_type": "ScoreNetworkA", "max_feat_num": 10, "max_node_num": 20, "nhid": 32,
                "num_layers": layers, "num_linears": 2, "c_init": 2, "c_hid": 8, "c_final": 4, "adim": 32,
                "num_heads": 4, "conv": "GCN"
            }
        }
    }))
}
