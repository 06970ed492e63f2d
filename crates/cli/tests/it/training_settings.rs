//! `train molecules` beyond the plain run: schedules, validation, samples during training, logs and curves.

use std::fs;

use serde_json::Value;

use crate::command::{assert_refused, code, equidrift, run, stderr};
use crate::train::{Workplace, log};

fn weights(place: &Workplace, output: &str) -> Vec<u8> {
    fs::read(place.path(output).join("model.safetensors")).unwrap()
}

fn trained(place: &Workplace, output: &str, line: &str) -> String {
    let output = place.train(output, line).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    stderr(&output)
}

#[test]
fn flags_and_file_say_the_same_and_flags_win() {
    let place = Workplace::new(10);
    trained(
        &place,
        "flags",
        "--epochs 4 --schedule cosine --lr-floor 0.001 --warmup-epochs 1 --optimiser adamw",
    );
    let rates: Vec<f64> =
        log(&place.path("flags")).iter().map(|epoch| epoch["learning_rate"].as_f64().unwrap()).collect();
    assert!((rates[0] - 0.005).abs() < 1e-15 && rates[1..].windows(2).all(|pair| pair[1] < pair[0]));

    let file = fs::read_to_string(place.path("run.toml")).unwrap();
    let more = "epochs = 4\noptimiser = \"adamw\"\nwarmup_epochs = 1\n";
    let tables = "\n[schedule]\nname = \"cosine\"\nfloor = 0.002\n";
    fs::write(place.path("run.toml"), format!("{more}{file}{tables}")).unwrap();
    trained(&place, "file", "--lr-floor 0.001");
    assert!(weights(&place, "file") == weights(&place, "flags"));
    trained(&place, "floor", "");
    assert!(weights(&place, "floor") != weights(&place, "flags"));
    // The record of a run is a configuration that repeats it.
    fs::copy(place.path("flags").join("training.toml"), place.path("run.toml")).unwrap();
    trained(&place, "again", "");
    assert!(weights(&place, "again") == weights(&place, "flags"));
}

#[test]
fn the_length_of_a_cosine_belongs_to_the_run() {
    let place = Workplace::new(4);
    trained(&place, "model", "--epochs 3 --schedule cosine");
    let refused = place.train("model", "--epochs 5 --schedule cosine --resume").output().unwrap();
    assert_refused(&refused, 4, "schedule");
    trained(&place, "model", "--epochs 5 --schedule cosine --cosine-epochs 3 --resume");
    assert_eq!(log(&place.path("model"))[4]["learning_rate"], 0.0, "at its floor");
}

#[test]
fn a_validated_run_stops_early_and_keeps_its_best_epoch() {
    let place = Workplace::new(10);
    // So high a rate that the loss does not fall for long.
    let line =
        "--epochs 200 --lr 0.1 --lr-decay 1 --validation-fraction 0.25 --patience 5 --keep best --json";
    let output = place.train("model", line).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("stopped early"), "{}", stderr(&output));
    assert!(stderr(&output).contains("validating with 30 molecules"), "{}", stderr(&output));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (epochs, best) = (summary["epochs"].as_u64().unwrap(), summary["best_epoch"].as_u64().unwrap());
    assert!(summary["stopped_early"] == true && epochs == best + 5 && epochs < 200, "{summary}");
    let total = |epoch: &Value| -> f64 {
        epoch["validation"]["raw"].as_object().unwrap().values().map(|loss| loss.as_f64().unwrap()).sum()
    };
    let totals: Vec<f64> = log(&place.path("model")).iter().map(total).collect();
    let lowest = totals.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(totals[best as usize - 1], lowest);
    let config = fs::read_to_string(place.path("model").join("config.json")).unwrap();
    assert!(config.contains(&format!("; {best} epochs")), "{config}");
    // A run of just those epochs is that model.
    let short = format!("--epochs {best} --lr 0.1 --lr-decay 1 --validation-fraction 0.25");
    trained(&place, "short", &short);
    assert!(weights(&place, "short") == weights(&place, "model"));
    // Another validation set would compare what cannot be compared.
    let other = format!("{} --resume", line.replace("0.25", "0.5"));
    assert_refused(&place.train("model", &other).output().unwrap(), 4, "training rows");
    let other = format!("{line} --validation-draws 2 --resume");
    assert_refused(&place.train("model", &other).output().unwrap(), 4, "validation.draws");
}

#[test]
fn held_out_molecules_come_from_rows_or_a_file() {
    let place = Workplace::new(2);
    fs::write(place.path("rows.txt"), "0\n3\n23\n").unwrap();
    fs::write(place.path("held-out.smi"), "CCC\nCCCl\nNCC\nC1CC\nCCCCCCCCCCCC\n").unwrap();
    let rows = format!("--epochs 2 --validation-rows {}", place.path("rows.txt").display());
    let text = trained(&place, "rows", &rows);
    assert!(text.contains("training on 21 of 24") && text.contains("validating with 3 molecules"), "{text}");
    let data = format!("--epochs 2 --validation-data {}", place.path("held-out.smi").display());
    let text = trained(&place, "data", &data);
    assert!(text.contains("training on 24 of 24"), "{text}");
    assert!(text.contains("with 2 molecules (1 larger ones and 2 with"), "{text}");
    let record: toml::Table =
        fs::read_to_string(place.path("data").join("training.toml")).unwrap().parse().unwrap();
    assert_eq!(record["data"]["molecules_held_out"].as_integer(), Some(2));

    let test = format!("{rows} --test-rows {}", place.path("rows.txt").display());
    assert_refused(&place.train("bad", &test).output().unwrap(), 3, "rows.txt:1: row 0 is also a test row");
    let both = format!("{rows} --validation-fraction 0.1");
    assert_refused(&place.train("bad", &both).output().unwrap(), 2, "only one of");
    fs::write(place.path("rows.txt"), "0\n24\n").unwrap();
    assert_refused(&place.train("bad", &rows).output().unwrap(), 3, "rows.txt:2");
    assert_refused(&place.train("bad", "--patience 3").output().unwrap(), 2, "held-out");
    assert_refused(&place.train("bad", "--schedule plateau").output().unwrap(), 2, "held-out");
    assert_refused(&place.train("bad", "--validation-fraction 1").output().unwrap(), 2, "fraction");
}

#[test]
fn samples_are_judged_while_the_training_goes_on() {
    let place = Workplace::new(6);
    fs::write(place.path("reference.smi"), "CCO\nCCN\nC1CC1\nCC=O\n").unwrap();
    let line = format!(
        "--epochs 4 --weights ema --sample-every 2 --sample-num 20 --sample-sampler heun --sample-steps 5 \
         --sample-reference {} --csv",
        place.path("reference.smi").display()
    );
    let text = trained(&place, "model", &line);
    assert!(text.contains("epoch 4/4: samples connectedness"), "{text}");
    let log = log(&place.path("model"));
    let measured: Vec<bool> = log.iter().map(|epoch| epoch.get("metrics").is_some()).collect();
    assert_eq!(measured, [false, true, false, true]);
    let metrics = log[3]["metrics"].as_object().unwrap();
    for name in ["validity_before_repair", "validity", "uniqueness", "novelty", "connectedness", "nspdk_mmd"]
    {
        assert!(metrics[name].as_f64().is_some_and(|value| value >= 0.0), "{name} in {metrics:?}");
    }
    // They are figures of what `generate` draws from the model.
    let model = place.path("model");
    let drawn = equidrift()
        .args(["generate", "molecules", "--num", "20", "--seed", "0", "--sampler", "heun", "--steps", "5"])
        .args(["--json", "--model"])
        .arg(&model)
        .arg("--train")
        .arg(place.path("data.smi"))
        .arg("-o")
        .arg(place.path("drawn.smi"))
        .output()
        .unwrap();
    let summary: Value = serde_json::from_str(&stderr_json(&drawn)).unwrap();
    for name in ["validity_before_repair", "validity", "uniqueness", "novelty", "connectedness"] {
        assert_eq!(summary[name], metrics[name], "{name}");
    }
    let table = fs::read_to_string(model.join("log.csv")).unwrap();
    assert!(table.lines().next().unwrap().contains("metric.nspdk_mmd"), "{table}");
    // Neither samples nor pictures have anything to do with the weights.
    trained(&place, "plain", "--epochs 4 --weights ema --no-plot");
    assert!(weights(&place, "plain") == weights(&place, "model"));
    assert!(!place.path("plain").join("loss.svg").exists() && model.join("loss.svg").exists());

    for (line, code, word) in [
        ("--sample-every 1 --sample-sampler nonsense", 2, "nonsense"),
        ("--sample-every 1 --sample-num 0", 2, "num"),
        ("--sample-every 1 --sample-reference none.smi", 3, "none.smi"),
        ("--sample-every 1 --sample-chemnet none.npz", 3, "none.npz"),
    ] {
        assert_refused(&place.train("bad", &format!("--epochs 1 {line}")).output().unwrap(), code, word);
    }
}

/// The JSON object that `generate --json` writes, on whichever stream it stands.
fn stderr_json(output: &std::process::Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&both).into_owned();
    let (start, end) = (text.find('{').unwrap(), text.rfind('}').unwrap());
    text[start..=end].to_owned()
}

#[test]
fn curves_are_drawn_at_checkpoints_and_on_request() {
    let place = Workplace::new(4);
    trained(&place, "first", "--epochs 3 --validation-fraction 0.2");
    trained(&place, "second", "--epochs 4");
    let svg = fs::read_to_string(place.path("first").join("loss.svg")).unwrap();
    for word in ["<svg", "loss adj", "loss x", "learning rate", "validation, averaged weights"] {
        assert!(svg.contains(word), "{word}");
    }
    assert!(!fs::read_to_string(place.path("second").join("loss.svg")).unwrap().contains("validation"));
    let both = place.path("both.svg");
    let plot = |inputs: &[&str]| {
        let mut line = vec!["train".to_owned(), "plot".to_owned()];
        line.extend(inputs.iter().map(|name| place.path(name).display().to_string()));
        run(line.into_iter().chain(["-o".to_owned(), both.display().to_string()]))
    };
    let plotted = plot(&["first", "second/log.jsonl"]);
    assert_eq!(code(&plotted), 0, "{}", stderr(&plotted));
    let svg = fs::read_to_string(&both).unwrap();
    assert!(svg.contains("first: training") && svg.contains("log.jsonl: training"));
    assert_refused(&plot(&["third"]), 3, "third");
    fs::write(place.path("bad.jsonl"), "{\"epoch\": 1}\n").unwrap();
    assert_refused(&plot(&["bad.jsonl"]), 3, "bad.jsonl:1");
    fs::write(place.path("empty.jsonl"), "").unwrap();
    assert_refused(&plot(&["empty.jsonl"]), 3, "no epoch");
}

#[test]
fn mistakes_in_the_file_are_named_with_their_line() {
    let place = Workplace::new(1);
    for (text, exit, word) in [
        ("batch = 4\n\nepoch = 3\n", 2, "run.toml:3: "),
        ("batch = 4\n[validation]\nfraction = \"much\"\n", 2, "run.toml:3: "),
        ("[schedule]\nname = \"cosine\"\npatience = 3\n", 2, "run.toml:3: "),
        ("batch = = 4\n", 3, "line 1"),
    ] {
        fs::write(place.path("run.toml"), text).unwrap();
        assert_refused(&place.train("model", "").output().unwrap(), exit, word);
    }
    // What a flag does is not blamed on the file.
    fs::write(place.path("run.toml"), "batch = 4\n").unwrap();
    let refused = place.train("model", "--plateau-factor 0.1").output().unwrap();
    assert_refused(&refused, 2, "factor");
    assert!(!stderr(&refused).contains("run.toml:"), "{}", stderr(&refused));
}

#[test]
fn accumulated_batches_change_little_and_belong_to_the_run() {
    let place = Workplace::new(10);
    trained(&place, "whole", "--epochs 3 --batch 40");
    trained(&place, "parts", "--epochs 3 --batch 10 --accumulate 4");
    let losses = |name: &str| -> Vec<f64> {
        log(&place.path(name)).iter().map(|epoch| epoch["losses"]["adj"].as_f64().unwrap()).collect()
    };
    for (a, b) in losses("whole").iter().zip(losses("parts")) {
        assert!((a - b).abs() < 1e-3 * a, "{a} and {b}");
    }
    let refused = place.train("parts", "--epochs 4 --batch 10 --accumulate 2 --resume").output().unwrap();
    assert_refused(&refused, 4, "accumulate");
}

#[test]
fn a_folder_has_one_training_at_a_time() {
    let place = Workplace::new(60);
    let mut running = crate::command::Running::start(place.train("model", "--epochs 100000"));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !place.path("model").join("training.toml").exists() {
        assert!(std::time::Instant::now() < deadline && running.0.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let refused = place.train("model", "--epochs 100000 --resume").output().unwrap();
    assert_refused(&refused, 1, "another process");
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    trained(&place, "model", "--epochs 1 --resume");
}
