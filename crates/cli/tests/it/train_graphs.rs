//! `train graphs`: a model folder comes out that generates graphs, a killed run resumes to the same bytes, bad input is named.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use equidrift_graph::generators::{Community, draw_set};
use equidrift_graph::{Format, GraphWriter};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command::{Running, assert_refused, code, equidrift, generate_graphs, stderr};

/// Narrow networks, so that a run takes a second.
const CONFIG: &str = "\
batch = 16
checkpoint_every = 2
steps = 10
[networks.x]
nhid = 8
[networks.adj]
nhid = 8
adim = 8
num_layers = 2
c_hid = 4
c_final = 2
";

struct Workplace {
    folder: TempDir,
}

impl Workplace {
    /// With `graphs` graphs of two communities.
    fn new(graphs: u64) -> Self {
        let folder = TempDir::new().unwrap();
        let file = fs::File::create(folder.path().join("data.jsonl")).unwrap();
        let mut writer = GraphWriter::new(Format::JsonLines, file).unwrap();
        for graph in draw_set(&Community::default(), 0..graphs, 3) {
            writer.write(&graph).unwrap();
        }
        writer.finish().unwrap();
        fs::write(folder.path().join("run.toml"), CONFIG).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn train(&self, data: &str, output: &str, line: &str) -> Command {
        let mut command = equidrift();
        command.args(["train", "graphs", "--data"]).arg(self.path(data));
        command.arg("--config").arg(self.path("run.toml")).arg("-o").arg(self.path(output));
        command.args(line.split_whitespace());
        command
    }

    fn weights(&self, output: &str) -> Vec<u8> {
        fs::read(self.path(output).join("model.safetensors")).unwrap()
    }
}

#[test]
fn a_run_makes_a_model_folder_that_generates_graphs() {
    let place = Workplace::new(48);
    let line =
        "--epochs 6 --json --validation-fraction 0.25 --sample-every 3 --sample-num 6 --sample-reference";
    let mut command = place.train("data.jsonl", "model", line);
    let trained = command.arg(place.path("data.jsonl")).output().unwrap();
    assert_eq!(code(&trained), 0, "{}", stderr(&trained));
    assert!(stderr(&trained).contains("training on 36 of 48 graphs"), "{}", stderr(&trained));
    let summary: Value = serde_json::from_slice(&trained.stdout).unwrap();
    assert_eq!((&summary["epochs"], &summary["finished"]), (&6.into(), &true.into()));

    let model = place.path("model");
    let log = fs::read_to_string(model.join("log.jsonl")).unwrap();
    let log: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((log.len(), &log[5]["steps"]), (6, &json!(18)), "36 graphs in batches of 16");
    assert!(log[5]["losses"]["adj"].as_f64().unwrap() < log[0]["losses"]["adj"].as_f64().unwrap());
    assert!(log[2]["metrics"]["orbit_mmd"].as_f64().unwrap() > 0.0, "{}", log[2]);
    let config: Value = serde_json::from_slice(&fs::read(model.join("config.json")).unwrap()).unwrap();
    assert_eq!((&config["task"], &config["vocabulary"]), (&json!("graphs"), &Value::Null));
    let features = config["networks"]["x"]["max_feat_num"].as_u64().unwrap();
    let settings: toml::Table = fs::read_to_string(model.join("training.toml")).unwrap().parse().unwrap();
    let found = &settings["data"];
    assert_eq!(found["max_degree"].as_integer(), Some(features as i64 - 1));
    assert_eq!(
        (found["graphs_read"].as_integer(), found["graphs_held_out"].as_integer()),
        (Some(48), Some(12))
    );
    assert!(!settings.contains_key("atoms") && settings["batch"].as_integer() == Some(16));

    let out = place.path("graphs.graphml");
    let drawn = generate_graphs(&model, Some(&out), "--num 9 --json").output().unwrap();
    assert_eq!(code(&drawn), 0, "{}", stderr(&drawn));
    assert_eq!(fs::read_to_string(&out).unwrap().matches("<graph ").count(), 9);
    // A recorded run can be repeated from its own record.
    fs::copy(model.join("training.toml"), place.path("run.toml")).unwrap();
    let again = place.train("data.jsonl", "again", "").output().unwrap();
    assert_eq!(code(&again), 0, "{}", stderr(&again));
    assert!(place.weights("model") == place.weights("again"));
}

#[test]
fn a_killed_run_resumes_to_the_same_weights() {
    let place = Workplace::new(200);
    let line = "--epochs 30 --checkpoint-steps 3";
    let whole = place.train("data.jsonl", "whole", &format!("{line} --threads 2")).output().unwrap();
    assert_eq!(code(&whole), 0, "{}", stderr(&whole));
    let killed = place.path("killed");
    for (epochs, threads) in [(2, 1), (9, 2)] {
        let command = place.train("data.jsonl", "killed", &format!("{line} --threads {threads} --resume"));
        let mut running = Running::start(command);
        let deadline = Instant::now() + Duration::from_secs(60);
        let done =
            |path: &Path| fs::read_to_string(path.join("log.jsonl")).map_or(0, |text| text.lines().count());
        while done(&killed) < epochs {
            assert!(Instant::now() < deadline, "no epoch after a minute");
            assert!(running.0.try_wait().unwrap().is_none(), "the run ended before it could be killed");
            std::thread::sleep(Duration::from_millis(2));
        }
        running.0.kill().unwrap(); // SIGKILL: no chance to tidy up
        running.0.wait().unwrap();
        assert!(done(&killed) < 30, "killed too late");
    }
    let resumed =
        place.train("data.jsonl", "killed", &format!("{line} --threads 1 --resume")).output().unwrap();
    assert_eq!(code(&resumed), 0, "{}", stderr(&resumed));
    assert!(place.weights("killed") == place.weights("whole"));
    // The run belongs to its data.
    let other = Workplace::new(10);
    fs::copy(other.path("data.jsonl"), place.path("other.jsonl")).unwrap();
    assert_refused(&place.train("other.jsonl", "killed", "--resume").output().unwrap(), 4, "data");
}

#[test]
fn parts_of_a_file_and_bad_graphs_are_told_apart() {
    let place = Workplace::new(1);
    place.file(
        "set.json",
        r#"{"graphs": [{"n": 3, "edges": [[0, 1], [1, 2]]}, {"n": 2, "edges": [[0, 0]]}, {"n": 4, "edges": [[0, 1], [1, 2],
            [2, 3]]}, {"n": 2, "edges": [[0, 1], [1, 0]]}], "splits": {"mine": {"train": [2, 1, 0], "test": [3]}}}"#,
    );
    let quick = "--epochs 2";
    let failed = place.train("set.json", "x", quick).output().unwrap();
    assert_refused(&failed, 3, "graph 1 (from 0)");
    assert!(!place.path("x").exists());
    let skipped = place.train("set.json", "x", &format!("{quick} --on-bad-graph skip")).output().unwrap();
    assert_eq!(code(&skipped), 0, "{}", stderr(&skipped));
    let told = stderr(&skipped);
    assert!(told.contains("graph 1 (from 0)") && told.contains("graph 3 (from 0)"), "{told}");
    assert!(told.contains("training on 2 of 4 graphs (0 test rows, 2 bad graphs left out)"), "{told}");
    let rows = place.file("rows.txt", "0\n");
    let mut part = place.train("set.json:mine:train", "part", &format!("{quick} --on-bad-graph skip"));
    let part = part.arg("--test-rows").arg(&rows).output().unwrap();
    assert_eq!(code(&part), 0, "{}", stderr(&part));
    assert!(stderr(&part).contains("training on 1 of 3 graphs (1 test rows, 1 bad"), "{}", stderr(&part));
    assert_refused(&place.train("set.json:mine:val", "y", quick).output().unwrap(), 2, "mine:train");
    assert_refused(&place.train("none.json", "y", quick).output().unwrap(), 3, "none.json");
    place.file("empty.jsonl", "");
    assert_refused(&place.train("empty.jsonl", "y", quick).output().unwrap(), 3, "no graph with an edge");
    place.file("cut.json", "{\"graphs\": [{\"n\": 3, \"edg");
    assert_refused(&place.train("cut.json", "y", quick).output().unwrap(), 3, "cut.json:1");
    for (line, message) in [
        ("--preset qm9", "community_small"),
        ("--atoms C", "--atoms"),
        ("--epochs 0", "0"),
        ("--validation-fraction 1.5", "validation.fraction"),
        ("--sample-every 1 --sample-chemnet x.npz", "chemnet"),
    ] {
        assert_refused(&place.train("data.jsonl", "y", line).output().unwrap(), 2, message);
    }
    place.file("run.toml", "batch = 4\nbacth = 5\n");
    assert_refused(&place.train("data.jsonl", "y", "").output().unwrap(), 2, "run.toml:2");
    assert!(!place.path("y").exists());
}
