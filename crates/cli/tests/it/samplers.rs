//! `samplers compare`, `samplers search`, and the plans they leave.

use std::fs;
use std::path::Path;
use std::process::Output;

use equidrift_sampler::plan::AdaptiveConfig;
use equidrift_sampler::{Op, Plan};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command::{assert_drawn, assert_refused, code, equidrift, generate, run, stderr, stdout};
use crate::folder::{reconfigure, small_model};

fn in_folder(folder: &Path, line: &str) -> Output {
    equidrift().current_dir(folder).args(line.split_whitespace()).output().unwrap()
}

/// A small model that knows the moments of its edges, and a reference beside it.
fn folder() -> TempDir {
    let (folder, model) = small_model();
    reconfigure(&model, |config| config["edge_moments"] = json!({"mean": 0.4, "variance": 0.3}));
    fs::write(folder.path().join("reference.smi"), "CCO\nCCCN\nCC(C)F\nC1CCC1\nCCOC\nNCCO\n").unwrap();
    folder
}

#[test]
fn samplers_are_compared_on_problems_with_known_answers() {
    let folder = TempDir::new().unwrap();
    let line = "samplers compare --samplers ddim,dpm-solver++,ancestral,dormand-prince --calls 10,40,200 --plot e.svg";
    let result = in_folder(folder.path(), &format!("{line} --json"));
    assert_eq!(code(&result), 0, "{}", stderr(&result));
    let lines: Value = serde_json::from_str(&stdout(&result)).unwrap();
    let of = |name: &str, column: &str| -> Vec<Option<f64>> {
        let lines = lines.as_array().unwrap().iter().filter(|line| line["sampler"] == name);
        lines.map(|line| line[column].as_f64()).collect()
    };
    // Order 1 and order 2 between 40 and 200 calls.
    let slope = |errors: &[Option<f64>]| (errors[1].unwrap() / errors[2].unwrap()).ln() / 5f64.ln();
    for (name, order) in [("ddim", 1.0), ("dpm-solver++", 2.0)] {
        let found = slope(&of(name, "mixture"));
        assert!((found - order).abs() < 0.3, "{name}: {found}");
        assert!(of(name, "gaussian").iter().all(Option::is_some));
    }
    // Noise leaves only the law to be judged, steps chosen on the way only the samples.
    assert!(of("ancestral", "mixture").iter().all(Option::is_none));
    assert!(of("ancestral", "gaussian").iter().all(Option::is_some));
    let adaptive = of("dormand-prince", "mixture");
    assert!(of("dormand-prince", "steps").iter().all(Option::is_none));
    assert!(adaptive.last().unwrap().unwrap() < 1e-5, "{adaptive:?}");
    assert!(of("dormand-prince", "calls").iter().all(|calls| calls.unwrap() <= 200.0));
    let svg = fs::read_to_string(folder.path().join("e.svg")).unwrap();
    for part in ["<svg", "dpm-solver++", "dormand-prince", "network calls per sample"] {
        assert!(svg.contains(part), "{part}");
    }
    let table = stdout(&in_folder(folder.path(), line));
    assert!(table.lines().count() == 11 && table.contains("gaussian"), "{table}");
    let unknown = run(["samplers", "compare", "--samplers", "nothing"]);
    assert_refused(&unknown, 2, "predictor-corrector");
}

#[test]
fn samplers_are_compared_on_a_model() {
    let folder = folder();
    let line = "samplers compare --model model --num 40 --seed 3 --calls 4,8 --samplers s4,heun --reference reference.smi";
    let result = in_folder(folder.path(), &format!("{line} --json"));
    assert_eq!(code(&result), 0, "{}", stderr(&result));
    let lines: Value = serde_json::from_str(&stdout(&result)).unwrap();
    let lines = lines.as_array().unwrap();
    assert_eq!(lines.len(), 4, "{lines:?}");
    for line in lines {
        assert!(line["nspdk"].as_f64().unwrap() > 0.0 && line["fcd"].is_null(), "{line}");
        assert!(line["calls"].as_u64().unwrap() <= 8 && line["samples"] == 40);
    }
    // VE up to 1 is not the prior of bonds up to 3; a matched prior is.
    assert!(stderr(&result).contains("component adj"), "{}", stderr(&result));
    let matched = in_folder(folder.path(), &format!("{line} --match-prior"));
    assert!(code(&matched) == 0 && !stderr(&matched).contains("biased"), "{}", stderr(&matched));
    assert_refused(&in_folder(folder.path(), "samplers compare --num 7"), 2, "--model");
    // Samplers with options and plans have labels.
    let show = in_folder(folder.path(), "samplers show s4 --steps 4 --model model --json");
    fs::write(folder.path().join("plan.json"), stdout(&show)).unwrap();
    let mut command = equidrift();
    command.args([
        "samplers", "compare", "--model", "model", "--num", "40", "--seed", "3", "--calls", "4", "--json",
    ]);
    command.args([
        "--sampler",
        r#"mine={"name": "s4"}"#,
        "--plan",
        "stored=plan.json",
        "--reference",
        "reference.smi",
    ]);
    let both = command.current_dir(&folder).output().unwrap();
    let both: Value = serde_json::from_str(&stdout(&both)).unwrap();
    assert_eq!((&both[0]["sampler"], &both[1]["sampler"]), (&json!("mine"), &json!("stored")));
    assert_eq!((&both[0]["nspdk"], &both[0]["calls"]), (&both[1]["nspdk"], &json!(4)));
}

#[test]
fn a_plan_is_run_as_it_is_and_only_on_its_paths() {
    let folder = folder();
    let model = folder.path().join("model");
    let draw = |line: &str| {
        let result =
            generate(&model, None, &format!("--num 12 --seed 5 {line}")).current_dir(&folder).output();
        let result = result.unwrap();
        assert_drawn(&result);
        stdout(&result)
    };
    let show = in_folder(folder.path(), "samplers show s4 --steps 6 --model model --json");
    fs::write(folder.path().join("plan.json"), stdout(&show)).unwrap();
    assert_eq!(draw("--plan plan.json"), draw("--sampler s4 --steps 6"));
    // A matched prior is the plan's first operation.
    let matched = draw("--sampler s4 --steps 6 --match-prior");
    assert_ne!(matched, draw("--sampler s4 --steps 6"));
    let mut plan: Plan = serde_json::from_str(&stdout(&show)).unwrap();
    let start = equidrift::Model::open(model.to_str().unwrap()).unwrap().matched_prior().unwrap();
    assert_eq!(start.mean, [0.25, 0.4]);
    assert!(
        (start.ratio[0] - 1.1875f64.sqrt()).abs() < 1e-12 && (start.ratio[1] - 1.3f64.sqrt()).abs() < 1e-12
    );
    plan = start.apply(plan).unwrap();
    fs::write(folder.path().join("matched.json"), serde_json::to_string(&plan).unwrap()).unwrap();
    assert_eq!(draw("--plan matched.json"), matched);

    let refused = |line: &str, exit, message: &str| {
        let result = generate(&model, None, line).current_dir(&folder).output().unwrap();
        assert_refused(&result, exit, message);
    };
    refused("--plan plan.json --steps 3", 2, "cannot be used with");
    refused("--plan nothing.json", 3, "nothing.json");
    fs::write(folder.path().join("broken.json"), "{\"planner\": \"x\"").unwrap();
    refused("--plan broken.json", 3, "broken.json");
    for op in plan.steps.iter_mut().flat_map(|step| &mut step.ops) {
        if let Op::Eval { marginals, .. } = op {
            marginals[1].sigma *= 2.0;
        }
    }
    fs::write(folder.path().join("other.json"), serde_json::to_string(&plan).unwrap()).unwrap();
    refused("--plan other.json", 4, "another path");
    reconfigure(&model, |config| {
        config.as_object_mut().unwrap().remove("edge_moments");
    });
    refused("--match-prior", 2, "edge_moments");
}

#[test]
fn adaptive_samplers_draw_molecules_whatever_the_batch() {
    let folder = folder();
    let model = folder.path().join("model");
    let draw = |line: &str| {
        let result = generate(&model, None, &format!("--num 24 --seed 5 --json {line}")).output().unwrap();
        assert_drawn(&result);
        let summary: Value = serde_json::from_str(&stderr(&result)).unwrap();
        (stdout(&result), summary["evaluations_per_sample"].as_u64().unwrap(), summary["sampler"].clone())
    };
    for name in AdaptiveConfig::names() {
        let (loose, few, named) = draw(&format!("--sampler {name} --tolerance 1e-1"));
        let (tight, many, _) = draw(&format!("--sampler {name} --tolerance 1e-4"));
        assert!(named == name && few < many, "{name}: {few} and {many}");
        let again = draw(&format!("--sampler {name} --tolerance 1e-4 --batch 5 --threads 1"));
        assert!(again.0 == tight && loose.lines().count() == 24, "{name}");
        assert_ne!(draw(&format!("--sampler {name} --tolerance 1e-4 --match-prior")).0, tight);
    }
    // What no step can meet is a sample that diverged, not the end of a run.
    let hopeless =
        generate(&model, None, "--num 3 --sampler dormand-prince --tolerance 1e-30 --json").output().unwrap();
    assert_eq!(code(&hopeless), 5, "{}", stderr(&hopeless));
    let summary: Value = serde_json::from_str(&stderr(&hopeless)).unwrap();
    assert_eq!((summary["diverged"].as_array().unwrap().len(), &summary["samples"]), (3, &json!(3)));
    let config = folder.path().join("run.json");
    fs::write(&config, r#"{"adaptive": {"name": "dormand-prince", "rtol": 1e-4, "atol": 1e-4}}"#).unwrap();
    let from_file = draw(&format!("--config {}", config.display()));
    assert_eq!(from_file.0, draw("--sampler dormand-prince --tolerance 1e-4").0);
    let refused = |line: &str, message: &str| {
        assert_refused(&generate(&model, None, line).output().unwrap(), 2, message);
    };
    refused("--sampler heun --tolerance 1e-3", "adaptive");
    refused("--sampler dormand-prince --steps 5", "adaptive");
    refused("--sampler dormand-prince --tolerance 0", "rtol");
}

#[test]
fn statistics_are_measured_once_and_belong_to_their_model() {
    let folder = folder();
    let model = folder.path().join("model");
    let measure = "samplers statistics --model model --data reference.smi --levels 40";
    let measured = in_folder(folder.path(), &format!("{measure} -o s.json"));
    assert!(code(&measured) == 0 && stderr(&measured).contains("6 molecules"), "{}", stderr(&measured));
    assert_eq!(code(&in_folder(folder.path(), &format!("{measure} -o again.json"))), 0);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("s.json"), read("again.json"));
    let draw = |line: &str| {
        generate(&model, None, &format!("--seed 2 {line}")).current_dir(&folder).output().unwrap()
    };
    let (with, without) = (
        draw("--num 40 --sampler dpm-solver-v3 --steps 3 --statistics s.json"),
        draw("--num 40 --sampler dpm-solver-v3 --steps 3"),
    );
    assert_drawn(&with);
    assert_ne!(stdout(&with), stdout(&without));
    assert_refused(&draw("--sampler heun --statistics s.json"), 2, "dpm-solver-v3");
    assert_refused(&draw("--num 8 --sampler dpm-solver-v3 --statistics reference.smi"), 3, "reference.smi");
    assert_refused(
        &in_folder(folder.path(), "samplers statistics --data nothing.smi -o x.json"),
        3,
        "nothing.smi",
    );
    reconfigure(&model, |config| config["steps"] = json!(11));
    assert_refused(
        &draw("--sampler dpm-solver-v3 --steps 20 --statistics s.json"),
        4,
        "measured on checkpoint",
    );
}

#[test]
fn a_search_is_recorded_resumed_and_leaves_a_plan() {
    let folder = folder();
    let line = "samplers search --model model --num 30 --calls 6 --reference reference.smi --match-prior";
    let search = |rest: &str| in_folder(folder.path(), &format!("{line} {rest}"));
    let whole = search("--evaluations 6 -o whole.json --json");
    assert_eq!(code(&whole), 0, "{}", stderr(&whole));
    let found: Value = serde_json::from_str(&stdout(&whole)).unwrap();
    assert_eq!(
        (found["evaluations"].as_u64(), found["sampler"]["name"].as_str()),
        (Some(6), Some("predictor-corrector"))
    );
    let plan: Plan = serde_json::from_slice(&fs::read(folder.path().join("whole.json")).unwrap()).unwrap();
    assert!(plan.evaluations() <= 6, "{plan}");
    assert!(matches!(&plan.steps[0].ops[0], Op::Combine { constant: Some(_), .. }), "the prior is matched");
    // Stopped and gone on with, it finds the same.
    assert_eq!(code(&search("--evaluations 3 -o part.json")), 0);
    let resumed = search("--evaluations 6 -o part.json --resume");
    assert!(code(&resumed) == 0 && stdout(&resumed).contains("after 6 plans"), "{}", stdout(&resumed));
    let model_line =
        stdout(&resumed).lines().find(|line| line.starts_with("the model's sampler")).unwrap().to_owned();
    assert_eq!(model_line.split_whitespace().nth(3), Some("20"), "its calls, recorded before the stop");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(read("part.json"), read("whole.json"));
    let scores = |name: &str| -> Vec<Value> {
        let record: Value = serde_json::from_str(&read(name)).unwrap();
        record["search"]["evaluated"].as_array().unwrap().iter().map(|one| one["score"].clone()).collect()
    };
    assert_eq!(scores("part.search.json"), scores("whole.search.json"));
    let drawn = generate(&folder.path().join("model"), None, "--num 5 --plan whole.json")
        .current_dir(&folder)
        .output();
    assert_drawn(&drawn.unwrap());

    // And on with its numbers.
    let on =
        "samplers search --model model --num 30 --reference reference.smi --plan whole.json --evaluations 4";
    let tuned = in_folder(folder.path(), &format!("{on} -o tuned.json"));
    assert!(
        code(&tuned) == 0 && stdout(&tuned).contains("after 4 plans"),
        "{}{}",
        stdout(&tuned),
        stderr(&tuned)
    );
    let tuned: Plan = serde_json::from_str(&read("tuned.json")).unwrap();
    assert!(tuned.is_congruent(&plan));

    let other = in_folder(
        folder.path(),
        &format!("{} --evaluations 6 -o part.json --resume", line.replace("30", "31")),
    );
    assert_refused(&other, 4, "another search");
    fs::write(folder.path().join("part.search.json"), "{}").unwrap();
    assert_refused(&search("--evaluations 6 -o part.json --resume"), 3, "part.search.json");
    assert_refused(&search("--evaluations 3 -o x.json --sampler heun"), 2, "--vary");
    let no_reference = in_folder(folder.path(), "samplers search --model model --calls 6 -o x.json");
    assert_refused(&no_reference, 2, "--reference");
    fs::write(
        folder.path().join("vary.json"),
        r#"[{"field": "/s_churn", "range": {"kind": "real", "low": 0, "high": 9}}]"#,
    )
    .unwrap();
    let heun = search("--evaluations 3 -o heun.json --sampler heun --vary vary.json");
    assert!(
        code(&heun) == 0 && stdout(&heun).contains("after 3 plans"),
        "{}{}",
        stdout(&heun),
        stderr(&heun)
    );
}
