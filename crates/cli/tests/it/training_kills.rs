//! A training that is killed with SIGKILL, wherever it is, resumes and ends with the bytes of one that was not.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use equidrift_backend::philox::philox4x32_10;
use equidrift_backend::weights::TensorFile;
use serde_json::Value;

use crate::command::{Running, code, stderr};
use crate::train::{Workplace, log};

const KILLS: u32 = 10;

/// Everything that a checkpoint has to bring back is at work: averages, a schedule that remembers, the best epoch, accumulated
/// batches, a warm-up.
const RUN: &str = "--epochs 16 --batch 20 --accumulate 2 --lr 0.02 --schedule plateau --plateau-patience 1 \
                   --plateau-threshold 0.05 --warmup-steps 7 --optimiser adamw --validation-fraction 0.1 --patience 12 \
                   --weights ema --keep best --checkpoint-every 3 --csv --resume";

/// Random numbers below `bound` that are the same in every run of the test.
fn random(kill: u32, what: u32, bound: u64) -> u64 {
    (u64::from(philox4x32_10([kill, what, 0, 0], [2026, 11])[0]) * bound) >> 32
}

/// Optimiser steps in the newest checkpoint.
fn steps(folder: &Path) -> u64 {
    let Ok(file) = TensorFile::read(folder.join("checkpoints/last.safetensors")) else { return 0 };
    let state: Value = serde_json::from_str(&file.metadata["state"]).unwrap();
    state["progress"]["steps"].as_u64().unwrap()
}

/// Whether a file in the folder is being written.
fn writing(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with(".partial-"))
    })
}

#[test]
fn ten_kills_at_random_steps_change_no_byte() {
    let place = Workplace::new(30);
    let whole = place.train("whole", RUN).output().unwrap();
    assert_eq!(code(&whole), 0, "{}", stderr(&whole));
    let (whole, killed) = (place.path("whole"), place.path("killed"));
    let all = log(&whole).last().unwrap()["steps"].as_u64().unwrap();
    assert_eq!(all, 16 * 9, "324 molecules, 40 a step");
    let mut targets: Vec<u64> = (0..KILLS).map(|kill| random(kill, 0, all - 8)).collect();
    targets.sort_unstable();
    let (mut during_write, mut reached) = (0, Vec::new());
    for (kill, target) in (0..).zip(targets) {
        // How often the state is written and on how many threads it is computed changes no weight.
        let line = format!("{RUN} --checkpoint-steps {} --threads {}", 1 + 2 * (kill % 2), 1 + kill % 2);
        let mut running = Running::start(place.train("killed", &line));
        let deadline = Instant::now() + Duration::from_secs(120);
        while steps(&killed) < target {
            assert!(Instant::now() < deadline, "step {target} not reached");
            assert!(running.0.try_wait().unwrap().is_none(), "it ended before it could be killed");
            std::thread::sleep(Duration::from_millis(1));
        }
        if kill % 2 == 0 {
            // Anywhere: reading the data, computing, writing.
            std::thread::sleep(Duration::from_micros(random(kill, 1, 30_000)));
        } else {
            // While a checkpoint is being written.
            while !writing(&killed.join("checkpoints")) && Instant::now() < deadline {}
        }
        running.0.kill().unwrap(); // SIGKILL: no chance to tidy up
        let status = running.0.wait().unwrap();
        assert_eq!(status.code(), None, "killed, not ended");
        during_write += u32::from(writing(&killed.join("checkpoints")));
        reached.push(steps(&killed));
    }
    println!("killed after steps {reached:?} of {all}, {during_write} times in the middle of a write");
    let resumed = place.train("killed", RUN).output().unwrap();
    assert_eq!(code(&resumed), 0, "{}", stderr(&resumed));

    let mut checkpoints: Vec<_> = fs::read_dir(whole.join("checkpoints"))
        .unwrap()
        .map(|entry| format!("checkpoints/{}", entry.unwrap().file_name().to_string_lossy()))
        .collect();
    checkpoints.sort();
    assert_eq!(checkpoints.len(), 7, "best, last and every third of sixteen: {checkpoints:?}");
    let model = ["model.safetensors", "config.json", "SHA256SUMS"].map(str::to_owned);
    for name in checkpoints.iter().chain(&model) {
        assert!(fs::read(whole.join(name)).unwrap() == fs::read(killed.join(name)).unwrap(), "{name}");
    }
    let without_seconds = |folder: &Path| -> Vec<Value> {
        let mut log = log(folder);
        log.iter_mut().for_each(|epoch| epoch["seconds"] = Value::Null);
        log
    };
    assert_eq!(without_seconds(&killed), without_seconds(&whole));
    assert_eq!(fs::read_dir(killed.join("checkpoints")).unwrap().count(), 7, "nothing is left behind");
    let rates: Vec<f64> = log(&whole).iter().map(|epoch| epoch["learning_rate"].as_f64().unwrap()).collect();
    assert!(rates[0] == 0.02 && rates[15] < 0.02, "the schedule was at work: {rates:?}");
    let rows = fs::read_to_string(killed.join("log.csv")).unwrap().lines().count();
    assert_eq!(rows, 17, "a header and sixteen epochs");
}
