//! `train molecules`: a model folder comes out, a killed run resumes to the same bytes, bad input is named.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Running, assert_drawn, assert_refused, code, equidrift, generate, stderr};

/// Small molecules of C, N, O and F; one more with chlorine stands in the tests that need it.
const MOLECULES: &str = "CCO\nCC(C)=O\nC1CC1\nN#CC\nOC=O\nCC#C\nFCC\nCNC\nC1=CC=CC=C1\nCC(N)=O\nO=C=O\nCOC\n";

/// Narrow networks, so that a run takes a second.
const CONFIG: &str = "\
batch = 24
checkpoint_every = 2
steps = 10
[sampler]
snr = 0.02
[networks.x]
nhid = 8
[networks.adj]
nhid = 8
adim = 8
num_layers = 2
c_hid = 4
c_final = 2
";

pub(crate) struct Workplace {
    folder: TempDir,
}

impl Workplace {
    pub(crate) fn new(copies: usize) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("data.smi"), MOLECULES.repeat(copies)).unwrap();
        fs::write(folder.path().join("run.toml"), CONFIG).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn train(&self, output: &str, line: &str) -> Command {
        let mut command = equidrift();
        command.args(["train", "molecules", "--data"]).arg(self.path("data.smi"));
        command.arg("--config").arg(self.path("run.toml")).arg("-o").arg(self.path(output));
        command.args(line.split_whitespace());
        command
    }
}

pub(crate) fn log(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("log.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_run_makes_a_model_folder_that_generates() {
    let place = Workplace::new(10);
    let trained = place.train("model", "--epochs 6 --json").output().unwrap();
    assert_eq!(code(&trained), 0, "{}", stderr(&trained));
    let summary: Value = serde_json::from_slice(&trained.stdout).unwrap();
    assert_eq!((&summary["epochs"], &summary["finished"]), (&6.into(), &true.into()));

    let model = place.path("model");
    let log = log(&model);
    assert_eq!(log.len(), 6);
    assert!(log[5]["losses"]["adj"].as_f64().unwrap() < log[0]["losses"]["adj"].as_f64().unwrap());
    assert_eq!(log[5]["steps"], 30, "120 molecules in batches of 24");
    let checkpoints = fs::read_dir(model.join("checkpoints")).unwrap().count();
    assert_eq!(checkpoints, 4, "epochs 2, 4, 6 and the last");

    let config: Value = serde_json::from_slice(&fs::read(model.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["vocabulary"]["atoms"], serde_json::json!(["C", "N", "O", "F"]));
    assert_eq!(config["max_nodes"], 6);
    assert_eq!(config["node_counts"], serde_json::json!({"3": 90, "4": 20, "6": 10}));
    let settings: toml::Table = fs::read_to_string(model.join("training.toml")).unwrap().parse().unwrap();
    assert_eq!(settings["batch"].as_integer(), Some(24));
    assert_eq!(settings["data"]["molecules_trained_on"].as_integer(), Some(120));
    assert_eq!(settings["data"]["sha256"].as_str().unwrap().len(), 64);

    assert_drawn(&generate(&model, Some(&place.path("out.smi")), "--num 5").output().unwrap());
    // A recorded run can be repeated from its own record.
    fs::copy(model.join("training.toml"), place.path("run.toml")).unwrap();
    let again = place.train("again", "").output().unwrap();
    assert_eq!(code(&again), 0, "{}", stderr(&again));
    assert_eq!(fs::read(model.join("model.safetensors")).unwrap(), weights(&place, "again"));
}

fn weights(place: &Workplace, output: &str) -> Vec<u8> {
    fs::read(place.path(output).join("model.safetensors")).unwrap()
}

#[test]
fn a_killed_run_resumes_to_the_same_weights_on_any_number_of_threads() {
    let place = Workplace::new(60);
    let line = "--epochs 40 --checkpoint-every 3";
    let whole = place.train("whole", &format!("{line} --threads 2")).output().unwrap();
    assert_eq!(code(&whole), 0, "{}", stderr(&whole));
    let killed = place.path("killed");
    for (epochs, threads) in [(2, 1), (11, 2)] {
        let command = place.train("killed", &format!("{line} --threads {threads} --resume"));
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
        assert!(done(&killed) < 40, "killed too late");
    }
    let resumed = place.train("killed", &format!("{line} --threads 1 --resume")).output().unwrap();
    assert_eq!(code(&resumed), 0, "{}", stderr(&resumed));
    assert!(stderr(&resumed).contains("continuing after epoch"));
    assert!(weights(&place, "killed") == weights(&place, "whole"));
    let losses =
        |folder: &Path| -> Vec<Value> { log(folder).iter().map(|epoch| epoch["losses"].clone()).collect() };
    assert_eq!(losses(&killed), losses(&place.path("whole")));
}

#[test]
fn a_finished_run_can_be_given_more_epochs() {
    let place = Workplace::new(4);
    assert_eq!(code(&place.train("long", "--epochs 5").output().unwrap()), 0);
    assert_eq!(code(&place.train("short", "--epochs 2").output().unwrap()), 0);
    let refused = place.train("short", "--epochs 5").output().unwrap();
    assert_refused(&refused, 2, "--resume");
    assert_eq!(code(&place.train("short", "--epochs 5 --resume").output().unwrap()), 0);
    assert!(weights(&place, "short") == weights(&place, "long"));
    assert_refused(
        &place.train("short", "--epochs 9 --resume --lr 0.1").output().unwrap(),
        4,
        "learning_rate",
    );
}

#[test]
fn averaged_weights_are_another_model() {
    let place = Workplace::new(4);
    assert_eq!(code(&place.train("raw", "--epochs 3").output().unwrap()), 0);
    assert_eq!(code(&place.train("ema", "--epochs 3 --weights ema").output().unwrap()), 0);
    assert!(weights(&place, "raw") != weights(&place, "ema"));
    // The same run otherwise: the checkpoint of one continues as the other.
    assert_eq!(code(&place.train("ema", "--epochs 3 --weights raw --resume").output().unwrap()), 0);
    assert!(weights(&place, "raw") == weights(&place, "ema"));
}

#[test]
fn bad_lines_are_named_and_skipped_or_fatal() {
    let place = Workplace::new(1);
    let data = format!("{MOLECULES}C1CC\n\nCCCl\nnonsense here\n");
    fs::write(place.path("data.smi"), data).unwrap();
    let skipped = place.train("model", "--epochs 1").output().unwrap();
    assert_eq!(code(&skipped), 0, "{}", stderr(&skipped));
    assert!(stderr(&skipped).contains("data.smi:13:"), "{}", stderr(&skipped));
    assert!(stderr(&skipped).contains("data.smi:16:"), "{}", stderr(&skipped));
    let fatal = place.train("fatal", "--epochs 1 --on-bad-line fail").output().unwrap();
    assert_refused(&fatal, 3, "data.smi:13");
    let atoms = "--epochs 1 --atoms C,N,O,F";
    assert_refused(&place.train("atoms", atoms).output().unwrap(), 3, "data.smi:15");
    let counted = place.train("atoms", &format!("{atoms} --on-unknown-atom skip")).output().unwrap();
    assert_eq!(code(&counted), 0, "{}", stderr(&counted));
    assert!(stderr(&counted).contains("1 with other atoms, 2 bad lines"), "{}", stderr(&counted));
    assert!(!place.path("fatal").exists());
}

#[test]
fn test_rows_are_left_out() {
    let place = Workplace::new(2);
    fs::write(place.path("rows.txt"), "0\n3\n23\n").unwrap();
    let rows = |name: &str| format!("--epochs 1 --test-rows {}", place.path(name).display());
    let trained = place.train("model", &rows("rows.txt")).output().unwrap();
    assert_eq!(code(&trained), 0, "{}", stderr(&trained));
    assert!(stderr(&trained).contains("training on 21 of 24 molecules (3 test rows"), "{}", stderr(&trained));
    fs::write(place.path("other.txt"), "1\n24\n").unwrap();
    assert_refused(&place.train("other", &rows("other.txt")).output().unwrap(), 3, "other.txt:2");
    assert_refused(&place.train("other", &rows("none.txt")).output().unwrap(), 3, "none.txt");
    // The same data with other rows is another run.
    fs::write(place.path("other.txt"), "1\n2\n3\n").unwrap();
    let resumed = place.train("model", &format!("{} --resume", rows("other.txt"))).output().unwrap();
    assert_refused(&resumed, 4, "training rows");
}

#[test]
fn impossible_requests_are_refused() {
    let place = Workplace::new(1);
    for (line, expected, message) in [
        ("--epochs 0", 2, "epochs"),
        ("--batch 0", 2, "batch"),
        ("--preset qm8", 2, "qm9"),
        ("--lr=-1", 2, "learning rate"),
        ("--ema 1.5", 2, "average"),
        ("--atoms C,Xx", 2, "Xx"),
        ("--engine magic", 2, "fused or burn"),
        ("--device cuda --engine fused", 2, "cpu only"),
        ("--device nowhere", 2, "nowhere"),
    ] {
        assert_refused(&place.train("model", line).output().unwrap(), expected, message);
        assert!(!place.path("model").join("config.json").exists(), "{line}");
    }
    fs::write(place.path("run.toml"), "epoch = 3\n").unwrap();
    assert_refused(&place.train("config", "").output().unwrap(), 2, "epoch");
    fs::write(place.path("run.toml"), "epochs = = 3\n").unwrap();
    assert_refused(&place.train("config", "").output().unwrap(), 3, "run.toml");
    fs::write(place.path("run.toml"), "[networks.adj]\nnum_heads = 3\n").unwrap();
    assert_refused(&place.train("config", "").output().unwrap(), 2, "heads");
    fs::write(place.path("run.toml"), "").unwrap();
    fs::remove_file(place.path("data.smi")).unwrap();
    assert_refused(&place.train("missing", "").output().unwrap(), 3, "data.smi");
    fs::write(place.path("data.smi"), "C\nN\n").unwrap();
    assert_refused(&place.train("missing", "").output().unwrap(), 3, "no molecule with a bond");
    fs::write(place.path("data.smi"), "CC\n").unwrap();
    fs::write(place.path("file"), "").unwrap();
    assert_refused(&place.train("file/model", "").output().unwrap(), 1, "file");
}

#[test]
fn damaged_checkpoints_are_refused_and_the_advice_works() {
    let place = Workplace::new(4);
    assert_eq!(code(&place.train("model", "--epochs 4").output().unwrap()), 0);
    let checkpoints = place.path("model").join("checkpoints");
    let last = checkpoints.join("last.safetensors");
    let good = fs::read(&last).unwrap();
    fs::write(&last, &good[..good.len() / 2]).unwrap();
    assert_refused(&place.train("model", "--epochs 6 --resume").output().unwrap(), 3, "truncated");
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    fs::write(&last, &bad).unwrap();
    assert_refused(&place.train("model", "--epochs 6 --resume").output().unwrap(), 3, "altered");
    fs::rename(checkpoints.join("epoch-00002.safetensors"), &last).unwrap();
    let resumed = place.train("model", "--epochs 6 --resume").output().unwrap();
    assert_eq!(code(&resumed), 0, "{}", stderr(&resumed));
    assert_eq!(code(&place.train("whole", "--epochs 6").output().unwrap()), 0);
    assert!(weights(&place, "model") == weights(&place, "whole"));
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_writes_its_checkpoint_and_says_so() {
    let place = Workplace::new(60);
    let command = place.train("model", "--epochs 100000 --checkpoint-every 0");
    let mut running = Running::start(command);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !place.path("model").join("checkpoints/last.safetensors").exists() {
        assert!(Instant::now() < deadline && running.0.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    let interrupt = Command::new("kill").args(["-INT", &running.0.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    assert_eq!(running.0.wait().unwrap().code(), Some(130));
    assert!(place.path("model").join("model.safetensors").exists(), "the model so far");
    assert_drawn(&generate(&place.path("model"), Some(&place.path("out.smi")), "--num 2").output().unwrap());
}
