//! Models of family `pard` on the command line: trained, resumed, shown, sampled.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::command::{assert_drawn, assert_refused, code, equidrift, generate, stderr};
use crate::train::{Workplace, log};

/// Narrow networks, so that a run takes a second; `max_hops` decides the blocks.
fn config(max_hops: usize) -> String {
    format!(
        "batch = 24\ncheckpoint_every = 2\nsteps = 6\n[pard]\nmax_hops = {max_hops}\nhidden = 8\nedge = 8\nlayers = 1\nheads = 2\n\
         walks = 2\ndiffusion_steps = 30\n[pard.grid]\nname = \"polynomial\"\npower = 2.0\n"
    )
}

fn place(max_hops: usize) -> Workplace {
    let place = Workplace::new(8);
    fs::write(place.path("run.toml"), config(max_hops)).unwrap();
    place
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

#[test]
fn a_model_is_trained_and_its_samples_depend_on_the_seed_alone() {
    for max_hops in [0, 2] {
        let place = place(max_hops);
        let trained = place.train("model", "--epochs 4").output().unwrap();
        assert_eq!(code(&trained), 0, "{}", stderr(&trained));
        let model = place.path("model");
        let log = log(&model);
        let losses = |epoch: usize| log[epoch]["losses"]["edges"].as_f64().unwrap();
        assert!(log.len() == 4 && losses(3) < losses(0));
        assert_eq!(log[0]["losses"].get("blocks").is_some(), max_hops > 0);
        let settings: toml::Table = fs::read_to_string(model.join("training.toml")).unwrap().parse().unwrap();
        assert_eq!(settings["pard"]["max_hops"].as_integer(), Some(max_hops as i64));
        assert!(!settings.contains_key("paths") && !settings.contains_key("networks"));

        let draw = |name: &str, line: &str| {
            let path = place.path(name);
            assert_drawn(&generate(&model, Some(&path), line).output().unwrap());
            read(&path)
        };
        let whole = draw("a.smi", "--num 21 --seed 4");
        assert!(whole == draw("b.smi", "--num 21 --seed 4 --batch 2 --threads 1"));
        assert!(whole != draw("c.smi", "--num 21 --seed 5"));
        let shards: Vec<u8> = (0..3)
            .flat_map(|shard| draw(&format!("s{shard}.smi"), &format!("--num 21 --seed 4 --shard {shard}/3")))
            .collect();
        assert!(whole == shards);
        assert!(whole != draw("d.smi", "--num 21 --seed 4 --steps 12"));
        // The model's own sampler, steps and grid by flag.
        let named = "--num 21 --seed 4 --sampler ancestral --steps 6 --grid polynomial:2 --churn 0 --temperature 1 \
                     --max-memory 200";
        assert!(whole == draw("e.smi", named));
        assert!(whole != draw("f.smi", "--num 21 --seed 4 --grid uniform"));
        let churned = draw("g.smi", "--num 21 --seed 4 --churn 1.5");
        assert!(whole != churned);
        assert!(churned == draw("h.smi", "--num 21 --seed 4 --churn 1.5 --batch 3 --threads 1"));
        assert!(whole != draw("i.smi", "--num 21 --seed 4 --temperature 1.5"));
        assert!(whole != draw("j.smi", "--num 21 --seed 4 --temperature 1.5:1"));

        let shown = equidrift().args(["inspect", "--json"]).arg(&model).output().unwrap();
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        assert_eq!((&shown["config"]["family"], &shown["config"]["steps"]), (&"pard".into(), &6.into()));
        let shown = equidrift().arg("inspect").arg(&model).output().unwrap();
        assert!(String::from_utf8(shown.stdout).unwrap().contains("family        pard"));
    }
}

#[test]
fn stability_is_told_of_models_whose_hydrogens_are_atoms() {
    let place = place(0);
    let summary = |name: &str, line: &str| -> Value {
        let (path, model) = (place.path("stable.smi"), Path::new(name));
        let output =
            generate(model, Some(&path), &format!("--num 12 --seed 1 --json {line}")).output().unwrap();
        assert_drawn(&output);
        serde_json::from_slice(&output.stderr).unwrap()
    };
    let whole = summary("qm9-hydrogens-pard", "");
    let share = |name: &str| whole[name].as_f64().unwrap();
    assert!(share("atm_stable") > 0.8 && share("atm_stable") <= 1.0, "{whole}");
    // A twelfth each; a stable molecule is a valid one.
    let stable = 12.0 * share("mol_stable");
    assert!((stable - stable.round()).abs() < 1e-9 && share("mol_stable") <= share("validity_before_repair"));
    assert!(summary("qm9-pard", "--steps 5").get("atm_stable").is_none());
}

#[test]
fn a_stopped_run_ends_with_the_weights_of_an_undisturbed_one() {
    let place = place(2);
    // The same length of the cosine in both runs.
    let line = "--cosine-epochs 5";
    assert_eq!(code(&place.train("whole", &format!("{line} --epochs 5")).output().unwrap()), 0);
    assert_eq!(code(&place.train("parts", &format!("{line} --epochs 2")).output().unwrap()), 0);
    let resumed = place.train("parts", &format!("{line} --epochs 5 --resume")).output().unwrap();
    assert_eq!(code(&resumed), 0, "{}", stderr(&resumed));
    let weights = |name: &str| read(&place.path(name).join("model.safetensors"));
    assert!(weights("whole") == weights("parts"));
    fs::write(place.path("run.toml"), config(1)).unwrap();
    let other = place.train("parts", &format!("{line} --epochs 6 --resume")).output().unwrap();
    assert_refused(&other, 4, "max_hops");
}

#[test]
fn what_belongs_to_other_families_is_refused() {
    let place = place(0);
    assert_eq!(code(&place.train("model", "--epochs 1").output().unwrap()), 0);
    let model = place.path("model");
    for (line, word) in [
        ("--num 3 --sampler heun", "`ancestral`"),
        ("--num 3 --sampler dormand-prince", "`ancestral`"),
        ("--num 3 --plan qm9-gdss-20", "`ancestral`"),
        ("--num 3 --grid cosine", "polynomial:P"),
        ("--num 3 --grid polynomial:0", "polynomial:P"),
        ("--num 3 --churn -1", "0 to 1000"),
        ("--num 3 --temperature 0", "0.01 to 100"),
        ("--num 3 --temperature 1.2:", "0.01 to 100"),
        ("--num 3 --snr 0.2", "snr"),
        ("--num 3 --steps 31", "steps"),
        ("--num 3 --steps 0", "steps"),
    ] {
        assert_refused(&generate(&model, Some(&place.path("out.smi")), line).output().unwrap(), 2, word);
    }
    for (flags, word) in
        [(["--tolerance", "1e-3"], "gdss"), (["--probes", "2"], "gdss"), (["--draws", "0"], "draws")]
    {
        let refused = likelihood(&model, &place.path("data.smi"), &flags);
        assert_refused(&refused, 2, word);
    }
    assert_refused(&likelihood(Path::new("qm9-gdss"), &place.path("data.smi"), &["--draws", "2"]), 2, "pard");
    let refused = place.train("other", "--epochs 1 --family gdss").output().unwrap();
    assert_eq!(code(&refused), 0, "the family of the flag wins: {}", stderr(&refused));
    let config: Value = serde_json::from_slice(&read(&place.path("other").join("config.json"))).unwrap();
    assert_eq!(config["family"], "gdss");
}

fn likelihood(model: &Path, data: &Path, flags: &[&str]) -> Output {
    let mut command = equidrift();
    command.args(["evaluate", "likelihood", "--model"]).arg(model).arg("--data").arg(data).args(flags);
    command.output().unwrap()
}

#[test]
fn molecules_and_graphs_have_bounds_of_their_likelihood() {
    let place = place(2);
    assert_eq!(code(&place.train("model", "--epochs 2").output().unwrap()), 0);
    let (model, lines) = (place.path("model"), place.path("bounds.jsonl"));
    let run = |smiles: &str, flags: &[&str]| -> Value {
        fs::write(place.path("judged.smi"), smiles).unwrap();
        let result = likelihood(&model, &place.path("judged.smi"), &[&["--json"], flags].concat());
        assert_eq!(code(&result), 0, "{}", stderr(&result));
        serde_json::from_slice(&result.stdout).unwrap()
    };
    let per_graph = ["--per-graph", lines.to_str().unwrap()];
    let first = run("CCO\nCCCl\nCC(=O)N\n", &per_graph);
    assert_eq!((&first["molecules"], &first["evaluations_per_graph"]), (&2.into(), &30.into()), "{first}");
    let written: Vec<Value> =
        fs::read_to_string(&lines).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(&Value::from(written), &first["graphs"]);
    // Other orders of the atoms, batches and threads: the same. Other seeds: others.
    let nats = |report: &Value, graph: usize| report["graphs"][graph]["nats"].as_f64().unwrap();
    let again = run("OCC\nCCCl\nNC(C)=O\n", &["--batch", "1", "--threads", "2"]);
    let other = run("OCC\nCCCl\nNC(C)=O\n", &["--seed", "1"]);
    for graph in 0..2 {
        let scale = nats(&first, graph);
        assert!((nats(&first, graph) - nats(&again, graph)).abs() <= 1e-5 * scale, "{first} {again}");
        assert!((nats(&first, graph) - nats(&other, graph)).abs() > 1e-5 * scale);
    }
    let averaged = run("OCC\n", &["--draws", "3"]);
    assert_eq!(averaged["evaluations_per_graph"], 90);
    let text = likelihood(&model, &place.path("judged.smi"), &[]);
    assert!(String::from_utf8(text.stdout).unwrap().contains("bits per dimension"));

    let graphs = place.path("graphs.jsonl");
    let config = place.path("run.toml");
    let rings: String = (3..9)
        .map(|n| {
            let edges: Vec<String> = (0..n).map(|i| format!("[{i},{}]", (i + 1) % n)).collect();
            format!("{{\"n\":{n},\"edges\":[{}]}}\n", edges.join(","))
        })
        .collect();
    fs::write(&graphs, rings).unwrap();
    let mut train = equidrift();
    train.args(["train", "graphs", "--epochs", "1", "--data"]).arg(&graphs).arg("--config").arg(&config);
    let trained = train.arg("-o").arg(place.path("rings")).output().unwrap();
    assert_eq!(code(&trained), 0, "{}", stderr(&trained));
    let result = likelihood(&place.path("rings"), &graphs, &["--json", "--num", "4"]);
    assert_eq!(code(&result), 0, "{}", stderr(&result));
    let report: Value = serde_json::from_slice(&result.stdout).unwrap();
    assert_eq!((&report["molecules"], &report["graphs"][3]["nodes"]), (&4.into(), &6.into()));
}

/// A model that may make 2,000 nodes is refused where there is too little memory, before anything is taken.
#[test]
fn graphs_that_do_not_fit_into_memory_are_refused() {
    let place = place(2);
    assert_eq!(code(&place.train("model", "--epochs 1").output().unwrap()), 0);
    let model = place.path("model");
    crate::folder::reconfigure(&model, |config| config["max_nodes"] = 2000.into());
    let output = place.path("out.smi");
    let refused = generate(&model, Some(&output), "--num 2 --max-memory 512").output().unwrap();
    assert_refused(&refused, 1, "2000 nodes needs");
    assert!(!output.exists());
    // With room for one, the samples are those of small graphs.
    assert_drawn(&generate(&model, Some(&output), "--num 2 --max-memory 1000000").output().unwrap());
}

#[test]
fn presets_of_the_family_are_known() {
    let place = place(2);
    let trained = place.train("model", "--epochs 1 --preset qm9 --family pard").output().unwrap();
    assert_eq!(code(&trained), 0, "{}", stderr(&trained));
    let settings: toml::Table =
        fs::read_to_string(place.path("model").join("training.toml")).unwrap().parse().unwrap();
    assert_eq!(settings["warmup_steps"].as_integer(), Some(200));
    assert_eq!(settings["pard"]["hidden"].as_integer(), Some(8), "the file wins over the preset");
    let refused = place.train("other", "--epochs 1 --preset qm9-hydrogens --family gdss").output().unwrap();
    assert_eq!(code(&refused), 2, "{}", stderr(&refused));
}

#[test]
fn hydrogens_and_aromatic_bonds_are_classes() {
    let place = place(0);
    let line = "--epochs 1 --hydrogens explicit --bonds aromatic";
    let trained = place.train("model", line).output().unwrap();
    assert_eq!(code(&trained), 0, "{}", stderr(&trained));
    let config: Value = serde_json::from_slice(&read(&place.path("model").join("config.json"))).unwrap();
    assert_eq!(config["vocabulary"]["atoms"], serde_json::json!(["H", "C", "N", "O", "F"]));
    assert_eq!(config["network"]["edge_classes"], 6, "none, single, aromatic, double, triple, virtual");
    assert_drawn(&generate(&place.path("model"), Some(&place.path("out.smi")), "--num 9").output().unwrap());
}
