//! The verbs beside `generate`, and the ways to say what is wanted.

use std::fs;

use equidrift_backend::weights::{HostTensor, TensorFile};
use equidrift_sampler::plan::AdaptiveConfig;
use equidrift_sampler::{Plan, SamplerConfig};
use serde_json::{Value, json};

use crate::command::{assert_drawn, code, equidrift, generate, run, stderr, stdout};
use crate::folder::{small_config, small_model};

#[test]
fn every_listed_sampler_can_be_shown_and_run() {
    let (_folder, model) = small_model();
    let listed: Value = serde_json::from_str(&stdout(&run(["samplers", "list", "--json"]))).unwrap();
    let names = |adaptive: bool| -> Vec<&str> {
        let listed = listed.as_array().unwrap().iter().filter(|sampler| sampler["adaptive"] == adaptive);
        listed.map(|sampler| sampler["name"].as_str().unwrap()).collect()
    };
    assert_eq!(names(true), AdaptiveConfig::names());
    for name in names(true) {
        let shown = stdout(&run(["samplers", "show", name]));
        assert!(shown.contains("rtol") && shown.contains("adaptive"), "{shown}");
    }
    let names = names(false);
    assert_eq!(names, SamplerConfig::names());
    let text = stdout(&run(["samplers", "list"]));
    for name in ["predictor-corrector", "s4", "heun", "dpm-solver++", "euler-maruyama"] {
        assert!(names.contains(&name) && text.contains(name), "{name}");
    }
    for name in names {
        let shown = run(["samplers", "show", name, "--steps", "6", "--json"]);
        assert_eq!(code(&shown), 0, "{}", stderr(&shown));
        let plan: Plan = serde_json::from_str(&stdout(&shown)).unwrap();
        plan.validate().unwrap();
        assert_eq!(plan.evaluations(), evaluations(name, 6), "{name}");
        let readable = stdout(&run(["samplers", "show", name, "--steps", "6"]));
        assert!(readable.contains(&format!("{} evaluations", plan.evaluations())), "{readable}");
        let drawn =
            generate(&model, None, &format!("--num 8 --sampler {name} --steps 6 --json")).output().unwrap();
        assert_drawn(&drawn);
        let summary: Value = serde_json::from_str(&stderr(&drawn)).unwrap();
        assert_eq!(summary["evaluations_per_sample"], plan.evaluations(), "{name}");
    }
}

/// What the list promises for two components.
fn evaluations(name: &str, steps: usize) -> usize {
    SamplerConfig::by_name(name).unwrap().planner().evaluations(steps, 2)
}

#[test]
fn inspect_tells_what_the_folder_holds() {
    let (_folder, model) = small_model();
    let result = run(["inspect".as_ref(), model.as_os_str(), "--json".as_ref()]);
    let found: Value = serde_json::from_str(&stdout(&result)).unwrap();
    assert_eq!(found["config"]["networks"], small_config()["networks"]);
    let tensors = found["tensors"].as_array().unwrap();
    let counted: u64 = tensors
        .iter()
        .map(|tensor| {
            tensor["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).product::<u64>()
        })
        .sum();
    assert_eq!(
        found["parameters"]["x"].as_u64().unwrap() + found["parameters"]["adj"].as_u64().unwrap(),
        counted
    );
    let text = stdout(&run(["inspect".as_ref(), model.as_os_str()]));
    assert!(text.contains("C N O F") && text.contains("predictor-corrector"), "{text}");
}

#[test]
fn flags_win_over_the_configuration_file() {
    let (folder, model) = small_model();
    let config = folder.path().join("run.toml");
    fs::write(&config, "num = 5\nseed = 9\nsteps = 3\nsampler = \"s4\"\nsnr = 0.05\n").unwrap();
    let from_file = generate(&model, None, "--json").arg("--config").arg(&config).output().unwrap();
    let summary: Value = serde_json::from_str(&stderr(&from_file)).unwrap();
    assert_eq!(
        (&summary["requested"], &summary["seed"], &summary["sampler"]),
        (&json!(5), &json!(9), &json!("s4"))
    );
    let heun = generate(&model, None, "--num 7 --sampler heun --snr 0.1")
        .arg("--config")
        .arg(&config)
        .output()
        .unwrap();
    assert_eq!(code(&heun), 2, "heun has no signal-to-noise ratio");
    let by_flags =
        generate(&model, None, "--json --num 7 --snr 0.1").arg("--config").arg(&config).output().unwrap();
    let summary: Value = serde_json::from_str(&stderr(&by_flags)).unwrap();
    assert_eq!(
        (&summary["requested"], &summary["seed"], &summary["steps"]),
        (&json!(7), &json!(9), &json!(3))
    );

    // The same request as flags, as TOML and as JSON draws the same samples.
    let json_config = folder.path().join("run.json");
    fs::write(&json_config, r#"{"num": 5, "seed": 9, "steps": 3, "sampler": {"name": "s4", "snr": 0.05}}"#)
        .unwrap();
    let from_json = generate(&model, None, "").arg("--config").arg(&json_config).output().unwrap();
    let flags =
        generate(&model, None, "--num 5 --seed 9 --steps 3 --sampler s4 --snr 0.05").output().unwrap();
    assert_drawn(&flags);
    assert!(from_file.stdout == flags.stdout && from_json.stdout == flags.stdout);
}

#[test]
fn both_engines_give_the_same_networks_to_rounding() {
    let (folder, model) = small_model();
    let (b, n, f) = (3, 7, 4);
    let wave = |count: usize, step: f32| (0..count).map(|i| (i as f32 * step).sin()).collect::<Vec<f32>>();
    let mut adj = vec![0.0; b * n * n];
    for graph in 0..b {
        for i in 0..n {
            for j in 0..i {
                let value = ((graph * 49 + i * 7 + j) as f32 * 0.7).cos();
                adj[graph * n * n + i * n + j] = value;
                adj[graph * n * n + j * n + i] = value;
            }
        }
    }
    let tensors = [
        ("in.x", HostTensor::f32(vec![b, n, f], wave(b * n * f, 0.3))),
        ("in.adj", HostTensor::f32(vec![b, n, n], adj)),
        ("in.flags", HostTensor::f32(vec![b, n], vec![1.0; b * n])),
        ("in.t", HostTensor::f32(vec![b], vec![0.2, 0.5, 0.9])),
    ];
    let inputs = folder.path().join("in.safetensors");
    let tensors = tensors.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect();
    TensorFile { tensors, metadata: Default::default() }.write(&inputs).unwrap();
    let outputs =
        [&["--engine", "fused"][..], &["--engine", "burn"], &["--precision", "f64"]].map(|arguments| {
            let output = folder.path().join("out.safetensors");
            let result = equidrift()
                .arg("forward")
                .arg("--model")
                .arg(&model)
                .arg("--inputs")
                .arg(&inputs)
                .arg("--output")
                .arg(&output)
                .args(arguments)
                .output()
                .unwrap();
            assert_eq!(code(&result), 0, "{}", stderr(&result));
            TensorFile::read(&output).unwrap().tensors
        });
    for name in ["out.x.net", "out.adj.net", "out.x.score", "out.adj.score"] {
        let exact = outputs[2][name].to_f64();
        assert!(exact.iter().any(|value| value.abs() > 1e-6), "{name} is zero everywhere");
        let scale = exact.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        for output in &outputs[..2] {
            for (value, exact) in output[name].to_f64().iter().zip(&exact) {
                assert!((value - exact).abs() <= 1e-5 * scale, "{name}: {value} and {exact}");
            }
        }
    }
}

#[test]
fn evaluation_compares_files() {
    let folder = tempfile::TempDir::new().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let generated = write("generated.smi", "CCO\nOCC\nC.N\nCC=O\n");
    let train = write("train.smi", "CCO name\nCCCC\n");
    let reference = write("reference.smi", "CC\nCC\n");
    let mut command = equidrift();
    command.args(["evaluate", "molecules", "--generated"]).arg(&generated);
    command.arg("--train").arg(&train).arg("--reference").arg(&reference);
    let table = command.output().unwrap();
    assert!(
        stdout(&table).contains("75.00 ± ") && stdout(&table).contains("reference"),
        "{}",
        stdout(&table)
    );
    let report: Value = serde_json::from_str(&stdout(&command.arg("--json").output().unwrap())).unwrap();
    let generated = &report["generated"];
    assert_eq!(
        (&generated["samples"], &generated["valid"], &generated["distinct"]),
        (&json!(4), &json!(4), &json!(3))
    );
    assert_eq!((&generated["uniqueness"], &generated["connectedness"]), (&json!(0.75), &json!(0.75)));
    assert_eq!(generated["novelty"], json!(2.0 / 3.0));
    assert_eq!(
        (&report["reference"]["uniqueness"], &report["training"]["distinct"]),
        (&json!(0.5), &json!(2))
    );
}

#[test]
fn a_run_evaluates_to_its_own_summary() {
    let (folder, model) = small_model();
    let out = folder.path().join("x.jsonl");
    let drawn = generate(&model, Some(&out), "--num 100 --steps 5 --json").output().unwrap();
    let summary: Value = serde_json::from_str(&stderr(&drawn)).unwrap();
    let result =
        equidrift().args(["evaluate", "molecules", "--json", "--generated"]).arg(&out).output().unwrap();
    let report: Value = serde_json::from_str(&stdout(&result)).unwrap();
    let generated = &report["generated"];
    for (ours, theirs) in [
        ("samples", "samples"),
        ("valid", "valid"),
        ("validity", "validity"),
        ("uniqueness", "uniqueness"),
        ("validity_before_repair", "validity_without_correction"),
    ] {
        assert_eq!(summary[ours], generated[theirs], "{ours}");
    }
}

#[test]
fn completions_are_written_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = stdout(&run(["completions", shell]));
        assert!(script.contains("equidrift") && script.contains("molecules"), "{shell}");
    }
}
