//! `train trajectories`: model folders that generate, windows that are held out, resumption, mistakes.

use std::fs;
use std::time::{Duration, Instant};

use equidrift_trajectory::metrics::{Displacement, DisplacementSummary, displacement};
use equidrift_trajectory::nbody::System;
use equidrift_trajectory::{SampleSet, Selection, Trajectory};
use serde_json::{Value, json};

use crate::command::{Running, assert_refused, code, equidrift, run, stderr, stdout};
use crate::trajectory_workplace::{GIVEN, MADE, SPRINGS, Workplace, joined};

/// A run of a second or less.
const TINY: &str = "--preset published --simulate springs --runs 24 --validation-runs 6 --hidden 8 --layers 1 --prior-layers 1 --noise-levels 25 \
                    --batch 8 --frames-in 3 --frames-out 4 --checkpoint-every 2";

#[test]
fn a_run_makes_a_model_folder_that_generates_trajectories() {
    let place = Workplace::new();
    let trained = place.train("model", &format!("{TINY} --epochs 30 --lr 0.01 --json")).output().unwrap();
    assert_eq!(code(&trained), 0, "{}", stderr(&trained));
    let told = stderr(&trained);
    assert!(told.contains("training on 24 windows of 24 runs of bodies with springs (5 nodes)"), "{told}");
    assert!(told.contains("validating with 6 windows"), "{told}");
    let summary: Value = serde_json::from_slice(&trained.stdout).unwrap();
    assert_eq!((&summary["epochs"], &summary["finished"]), (&30.into(), &true.into()));

    let model = place.path("model");
    let log = fs::read_to_string(model.join("log.jsonl")).unwrap();
    let log: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((log.len(), &log[29]["steps"]), (30, &json!(90)), "24 windows in batches of 8");
    let loss = |epoch: usize| log[epoch]["losses"]["noise"].as_f64().unwrap();
    assert!(loss(29) < 0.7 * loss(0), "{} to {}", loss(0), loss(29));
    assert!(log[0]["validation"]["raw"]["noise"].as_f64().unwrap() > 0.0);
    let config: Value = serde_json::from_slice(&fs::read(model.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["systems"], json!({"kind": "bodies", "forces": "springs"}));
    assert_eq!((&config["given_frames"], &config["frames"]), (&json!(3), &json!(4)));
    let settings: toml::Table = fs::read_to_string(model.join("training.toml")).unwrap().parse().unwrap();
    assert_eq!(settings["data"]["windows_held_out"].as_integer(), Some(6));
    for file in ["README.md", "SHA256SUMS", "loss.svg", "checkpoints/last.safetensors"] {
        assert!(model.join(file).exists(), "{file}");
    }
    let card = fs::read_to_string(model.join("README.md")).unwrap();
    assert!(
        card.contains("4 frames that follow 3 given ones") && card.contains("bodies with springs"),
        "{card}"
    );
    let inspected = run(["inspect".as_ref(), model.as_os_str(), "--json".as_ref()]);
    let inspected: Value = serde_json::from_str(&stdout(&inspected)).unwrap();
    assert_eq!((&inspected["config"]["family"], &inspected["config"]), (&json!("geotdm"), &config));
    assert!(stdout(&run(["inspect".as_ref(), model.as_os_str()])).contains("bodies with springs"));

    // A recorded run can be repeated from its own record.
    let mut again = place.train("again", "--simulate springs --runs 24 --threads 2 --config");
    let again = again.arg(model.join("training.toml")).output().unwrap();
    assert_eq!(code(&again), 0, "{}", stderr(&again));
    let weights = |name: &str| fs::read(place.path(name).join("model.safetensors")).unwrap();
    assert!(weights("model") == weights("again"));

    // Another run begins with its weights.
    let init = |width: &str| {
        let line = TINY.replace("--hidden 8", width);
        let mut command = place.train("warm", &format!("{line} --epochs 1 --lr 1e-9 --init"));
        command.arg(&model).output().unwrap()
    };
    assert_refused(&init("--hidden 16"), 4, "hidden");
    let warm = init("--hidden 8");
    assert_eq!(code(&warm), 0, "{}", stderr(&warm));
    let warm: Value =
        serde_json::from_str(&fs::read_to_string(place.path("warm").join("log.jsonl")).unwrap()).unwrap();
    assert!(warm["losses"]["noise"].as_f64().unwrap() < 0.8 * loss(0));

    let drawn = place.generate(&model, "next.npz", &format!("{SPRINGS} --json --truth truth.npz"));
    assert_eq!(code(&drawn), 0, "{}", stderr(&drawn));
    let summary: Value = serde_json::from_str(&stderr(&drawn)).unwrap();
    assert_eq!(
        (&summary["trajectories"], &summary["windows"], &summary["frames"], &summary["atoms"]),
        (&json!(12), &json!(3), &json!(4), &json!(5))
    );
    let (next, truth) = (joined(&place.path("next.npz")), joined(&place.path("truth.npz")));
    assert_eq!((next.frames(), truth.frames()), (48, 12));
    let follows = System::Springs.simulate(5, 9, 1).unwrap();
    assert_eq!(truth.frame(4), follows.trajectory().frame(3), "run 1, behind its three given frames");

    // The file says itself which frames its samples stand for: those of a fourth run are not asked about.
    let windows = SampleSet::read(&place.path("next.npz"), &Selection::All).unwrap();
    let frames = follows.frames() as u64;
    let places: Vec<u64> = (0..3).flat_map(|run| vec![run * frames + GIVEN as u64; 4]).collect();
    assert_eq!(windows.windows(), Some(&places[..]));
    let here = |line: &str| {
        let mut command = equidrift();
        let done = command.args(line.split_whitespace()).current_dir(place.folder.path()).output().unwrap();
        assert_eq!(code(&done), 0, "{}", stderr(&done));
        stdout(&done)
    };
    here("simulate springs --runs 4 --seed 9 -o reference.npz");
    let judged = here("evaluate trajectories next.npz --reference reference.npz --condition-frames 3 --json");
    let judged: Value = serde_json::from_str(&judged).unwrap();
    let forecast = &judged["forecast"];
    assert_eq!((&forecast["windows"], &forecast["rows"][0]["samples_per_window"]), (&json!(3), &json!(4)));
}

/// The prior that is a linear forecast: a forecaster without noise, and a model that a later run begins with.
#[test]
fn an_extrapolated_prior_is_fitted_to_the_data() {
    let place = Workplace::new();
    let line = format!("{TINY} --prior extrapolated --epochs 3");
    let trained = place.train("forecast", &line).output().unwrap();
    assert_eq!(code(&trained), 0, "{}", stderr(&trained));
    let model = place.path("forecast");
    let config: Value =
        serde_json::from_str(&fs::read_to_string(model.join("config.json")).unwrap()).unwrap();
    let classes = config["network"]["extrapolation"]["classes"].as_array().unwrap();
    assert_eq!(
        (classes.len(), classes[0]["weights"].as_array().unwrap().len()),
        (1, MADE),
        "bodies are all alike"
    );
    let text = run(["inspect", model.to_str().unwrap()]);
    assert!(stdout(&text).contains("linear forecast"), "{}", stdout(&text));

    // It begins at the linear forecast: hardly trained, it is already no worse than a few times the motion.
    place.drawn(&model, "next.npz", &format!("{SPRINGS} --sampler dpm-solver++ --steps 4 --truth truth.npz"));
    let (next, truth) = (joined(&place.path("next.npz")), joined(&place.path("truth.npz")));
    for window in 0..3 {
        let one = next.window(window * 4 * MADE, (window * 4 + 1) * MADE);
        let real = truth.window(window * MADE, (window + 1) * MADE);
        let apart = one
            .positions()
            .iter()
            .zip(real.positions())
            .map(|(a, b)| (0..3).map(|k| (a[k] - b[k]).powi(2)).sum::<f32>().sqrt());
        assert!(apart.fold(0.0, f32::max) < 0.3, "window {window}");
    }

    let regression =
        place.train("regressor", &format!("{line} --regression --init")).arg(&model).output().unwrap();
    assert_eq!(code(&regression), 0, "{}", stderr(&regression));
    let drawn = |output: &str, seed: u64| {
        let line = SPRINGS.replace("--seed 7", &format!("--seed {seed}"));
        place.drawn(&place.path("regressor"), output, &format!("{line} --sampler dpm-solver++ --steps 1"));
        joined(&place.path(output))
    };
    // One step from noise that it has hardly seen: the same forecast whatever the seed, but for that noise.
    let (a, b) = (drawn("a.npz", 1), drawn("b.npz", 2));
    let apart = a.coordinates().iter().zip(b.coordinates()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart > 0.0 && apart < 0.05, "{apart}");
    assert_refused(&place.train("x", &format!("{TINY} --regression")).output().unwrap(), 2, "regression");
}

#[test]
fn a_killed_training_resumes_to_the_same_weights() {
    let place = Workplace::new();
    let line = format!("{TINY} --epochs 60 --checkpoint-steps 2 --schedule cosine");
    let whole = place.train("whole", &format!("{line} --threads 2")).output().unwrap();
    assert_eq!(code(&whole), 0, "{}", stderr(&whole));
    let killed = place.path("killed");
    let mut running = Running::start(place.train("killed", &format!("{line} --threads 1")));
    let deadline = Instant::now() + Duration::from_secs(60);
    let done = || fs::read_to_string(killed.join("log.jsonl")).map_or(0, |text| text.lines().count());
    while done() < 3 {
        assert!(Instant::now() < deadline, "no epoch after a minute");
        assert!(running.0.try_wait().unwrap().is_none(), "the run ended before it could be killed");
        std::thread::sleep(Duration::from_millis(1));
    }
    running.0.kill().unwrap(); // SIGKILL: no chance to tidy up
    running.0.wait().unwrap();
    assert!(done() < 60, "killed too late");
    let resumed = place.train("killed", &format!("{line} --threads 2 --resume")).output().unwrap();
    assert_eq!(code(&resumed), 0, "{}", stderr(&resumed));
    let weights = |name: &str| fs::read(place.path(name).join("model.safetensors")).unwrap();
    assert!(weights("killed") == weights("whole"));
    for (old, new, word) in [
        ("--hidden 8", "--hidden 16", "hidden"),
        ("--runs 24", "--runs 24 --seed 3", "seed"),
        ("--runs 24", "--runs 24 --simulation-seed 1", "data"),
    ] {
        let line = format!("{line} --resume").replace(old, new);
        assert_refused(&place.train("killed", &line).output().unwrap(), 4, word);
    }
    assert_refused(&place.train("killed", &line).output().unwrap(), 2, "--resume");
}

#[test]
fn training_on_files_cuts_time_first() {
    let place = Workplace::new();
    place.molecule("ethane.npz", &[1, 6, 6, 1], 100);
    let train = |output: &str, files: &[&str], line: &str| {
        let line = format!(
            "--hidden 8 --layers 1 --noise-levels 25 --frames-in 3 --frames-out 4 --epochs 1 {line} --data"
        );
        let mut command = place.train(output, &line);
        command.args(files.iter().map(|file| place.path(file))).output().unwrap()
    };
    let trained = train("model", &["ethane.npz"], "--every 2");
    assert_eq!(code(&trained), 0, "{}", stderr(&trained));
    // 50 kept frames: 30 to train on, 10 to validate with.
    let told = stderr(&trained);
    assert!(told.contains("training on 24 windows of 1 runs of molecules (4 nodes)"), "{told}");
    assert!(told.contains("a frame every 2 fs") && told.contains("validating with 4 windows"), "{told}");
    let config: Value =
        serde_json::from_slice(&fs::read(place.path("model").join("config.json")).unwrap()).unwrap();
    assert_eq!(config["time_step"], json!(2.0));
    place.molecule("water.npz", &[1, 8, 1], 80);
    let both = train("both", &["ethane.npz", "water.npz"], "--windows 5 --validation-windows 0 --edges all");
    assert_eq!(code(&both), 0, "{}", stderr(&both));
    assert!(
        stderr(&both).contains("training on 10 windows of 2 runs of molecules (3 to 4 nodes)"),
        "{}",
        stderr(&both)
    );
    assert_refused(&train("model", &["ethane.npz"], "--every 2"), 2, "--resume");

    place.molecule("short.npz", &[1, 8, 1], 9);
    assert_refused(&train("x", &["short.npz"], ""), 3, "short.npz: 7 frames are needed, there are 5");
    place.molecule("thiol.npz", &[6, 16, 1], 100);
    assert_refused(&train("x", &["ethane.npz", "thiol.npz"], ""), 3, "thiol.npz: an atomic number is 16");
    place.molecule("ethane.xtc", &[1, 6, 6, 1], 100);
    assert_refused(&train("x", &["ethane.xtc"], ""), 3, "--topology");
    for (line, word) in [
        ("--prior unconditional", "frames_in"),
        ("--noise-levels 20", "at least 21"),
        ("--noise-levels 99999999999", "at most 1000000"),
        ("--layers 0", "layers"),
        ("--sample-every 1 --validation-windows 0", "sampling.every: there are no held-out windows"),
        ("--sample-every 1 --sample-num 0", "sampling.num"),
        ("--sample-every 1 --sample-reference x.smi", "reference"),
        ("--family pard", "pard"),
        ("--lr 0", "learning rate"),
    ] {
        let mut command = place.train("x", &format!("--frames-in 3 --frames-out 4 --epochs 1 {line} --data"));
        assert_refused(&command.arg(place.path("ethane.npz")).output().unwrap(), 2, word);
    }
    let plateau = train("y", &["ethane.npz"], "--schedule plateau --validation-windows 0");
    assert_refused(&plateau, 2, "plateau");
    fs::write(place.path("run.toml"), "batch = 4\nhiden = 5\n").unwrap();
    let mut train = place.train("x", "--simulate springs --config");
    assert_refused(&train.arg(place.path("run.toml")).output().unwrap(), 2, "run.toml:2");
    assert_refused(&place.train("x", "").output().unwrap(), 2, "name a trajectory file");
    assert_refused(
        &place.train("x", "--simulate springs --runs 2 --frames-out 80").output().unwrap(),
        3,
        "90 frames",
    );
    assert!(!place.path("x").exists());
}

/// What is logged is what `generate trajectories` makes of the same windows with the same seed.
#[test]
fn forecasts_are_judged_while_a_model_is_trained() {
    let place = Workplace::new();
    // Twelve frames to validate with: six windows.
    place.molecule("chain.npz", &[6, 6, 8], 60);
    let line = "--hidden 8 --layers 1 --noise-levels 25 --batch 8 --frames-in 3 --frames-out 4 --epochs 2 \
                --sample-every 2 --sample-num 3 --sample-seed 5 --sample-steps 6 --data";
    let trained = place.train("model", line).arg(place.path("chain.npz")).output().unwrap();
    assert_eq!(code(&trained), 0, "{}", stderr(&trained));
    let log = fs::read_to_string(place.path("model").join("log.jsonl")).unwrap();
    let log: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(log[0].get("metrics").is_none(), "{}", log[0]);
    let figure = |name: &str| log[1]["metrics"][name].as_f64().unwrap();
    assert_eq!(figure("diverged"), 0.0);

    let line = "--from chain.npz --windows 6 --part validation --num 3 --seed 5 --steps 6 --truth truth.npz";
    place.drawn(&place.path("model"), "next.npz", line);
    let truth = joined(&place.path("truth.npz"));
    let samples = SampleSet::read(&place.path("next.npz"), &Selection::All).unwrap();
    let errors: Vec<Displacement> = samples
        .trajectories()
        .iter()
        .enumerate()
        .map(|(id, sample)| {
            let points = |all: &Trajectory, first: usize| -> Vec<[f32; 3]> {
                (first..first + MADE).flat_map(|t| all.frame(t).to_vec()).collect()
            };
            displacement(&points(sample, 0), &points(&truth, id / 3 * MADE), 3).unwrap()
        })
        .collect();
    let errors: Vec<Vec<Displacement>> = errors.chunks(3).map(<[_]>::to_vec).collect();
    assert_eq!(errors.len(), 6);
    let found = DisplacementSummary::of(&errors).unwrap();
    for (name, expected) in [
        ("ade", found.mean.ade),
        ("fde", found.mean.fde),
        ("best_ade", found.best.ade),
        ("best_fde", found.best.fde),
    ] {
        assert!((figure(name) / expected - 1.0).abs() < 1e-5, "{name}: {} {expected}", figure(name));
    }
}
