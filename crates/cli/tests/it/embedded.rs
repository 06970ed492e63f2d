//! The models inside the binary: no file, no network, no flag.

use serde_json::Value;

use equidrift_trajectory::{SampleSet, Selection};

use crate::command::{code, equidrift, run, stderr, stdout};

#[test]
fn every_embedded_model_opens_and_draws() {
    assert!(equidrift_zoo::names().contains(&equidrift::DEFAULT_MODEL));
    for name in equidrift_zoo::names() {
        let inspected = run(["inspect", name, "--json"]);
        assert_eq!(code(&inspected), 0, "{name}: {}", stderr(&inspected));
        let found: Value = serde_json::from_str(&stdout(&inspected)).unwrap();
        if found["config"]["family"] == "geotdm" {
            draws_trajectories(name, &found["config"]);
            continue;
        }
        let sizes = if found["config"]["family"] == "pard" { "first_sizes" } else { "node_counts" };
        assert!(found["config"][sizes].is_object(), "{name} does not know the sizes of its samples");
        if found["config"]["task"] != "molecules" {
            let drawn =
                run(["generate", "graphs", "--model", name, "--num", "20", "--steps", "20", "--json"]);
            assert_eq!(code(&drawn), 0, "{name}: {}", stderr(&drawn));
            let summary: Value = serde_json::from_str(&stderr(&drawn)).unwrap();
            assert_eq!(summary["graphs"], 20, "{name}: {summary}");
            assert!(summary["mean_edges"].as_f64() >= summary["mean_nodes"].as_f64(), "{name}: {summary}");
            continue;
        }
        let drawn = run(["generate", "molecules", "--model", name, "--num", "40", "--steps", "40", "--json"]);
        assert_eq!(code(&drawn), 0, "{name}: {}", stderr(&drawn));
        let summary: Value = serde_json::from_str(&stderr(&drawn)).unwrap();
        assert_eq!(summary["validity"], 1.0, "{name}: every molecule is valid after repair");
        // Even at so few steps; a model that has learnt nothing has 20 %.
        assert!(summary["validity_before_repair"].as_f64().unwrap() > 0.5, "{name}: {summary}");
    }
}

/// Bodies go on from simulated runs; walkers from a recording; a molecule from frames of its own atoms, or of ethanol, of whose elements all
/// but benzene know the forecasts, slowly drifting. Models of one molecule bring it along.
fn draws_trajectories(name: &str, config: &Value) {
    let systems = &config["systems"];
    let place = tempfile::tempdir().unwrap();
    let (input, output) = (place.path().join("molecule.extxyz"), place.path().join("next.npz"));
    let mut command = equidrift();
    command.args(["generate", "trajectories", "--model", name, "--num", "2", "--steps", "4", "--json", "-o"]);
    command.arg(&output);
    let windows = match systems["forces"].as_str() {
        Some(forces) => {
            command.args(["--simulate", forces, "--runs", "2"]);
            2
        }
        None if systems["kind"] == "pedestrians" => {
            let input = place.path().join("walk.csv");
            let line = |t: usize| format!("{t},1,{},2.0\n", 0.4 * t as f64);
            let lines: String = (0..20).map(line).collect();
            std::fs::write(&input, format!("frame,pedestrian,x,y\n{lines}")).unwrap();
            command.arg("--from").arg(&input);
            1
        }
        None if config["molecule"].is_object() => 1,
        None => {
            let ring = |element: &'static str, radius: f64| {
                (0..6).map(move |k| {
                    let angle = std::f64::consts::FRAC_PI_3 * f64::from(k);
                    (element, [radius * angle.cos(), radius * angle.sin(), 0.0])
                })
            };
            let benzene: Vec<_> = ring("C", 1.39).chain(ring("H", 2.48)).collect();
            let ethanol = vec![
                ("C", [1.19, 0.00, 0.00]),
                ("C", [-0.06, 0.84, 0.00]),
                ("O", [-1.24, 0.06, 0.00]),
                ("H", [2.06, 0.66, 0.00]),
                ("H", [1.23, -0.64, 0.89]),
                ("H", [1.23, -0.64, -0.89]),
                ("H", [-0.04, 1.49, 0.88]),
                ("H", [-0.04, 1.49, -0.88]),
                ("H", [-2.00, 0.66, 0.00]),
            ];
            let atoms = if name == "benzene-geotdm" { benzene } else { ethanol };
            let frame = |t: usize| {
                let line = |(element, [x, y, z]): &(&str, [f64; 3])| {
                    format!("{element} {} {y} {z}\n", x + 0.01 * t as f64)
                };
                let head = format!("{}\nProperties=species:S:1:pos:R:3 time_fs={}.0\n", atoms.len(), 5 * t);
                atoms.iter().fold(head, |text, atom| text + &line(atom))
            };
            std::fs::write(&input, (0..10).map(frame).collect::<String>()).unwrap();
            command.arg("--from").arg(&input);
            1
        }
    };
    let drawn = command.output().unwrap();
    assert_eq!(code(&drawn), 0, "{name}: {}", stderr(&drawn));
    let summary: Value = serde_json::from_str(&stderr(&drawn)).unwrap();
    assert_eq!(summary["trajectories"], 2 * windows, "{name}: {summary}");
    // Nothing flies away in twenty frames.
    let set = SampleSet::read(&output, &Selection::All).unwrap();
    let far = set
        .trajectories()
        .iter()
        .flat_map(|sample| sample.coordinates())
        .fold(0.0_f32, |far, x| far.max(x.abs()));
    assert!(set.samples() == 2 * windows && far < 30.0, "{name}: {far}");
}

/// Plans that were searched for embedded models, in the folder of the zoo.
#[test]
fn searched_plans_fit_their_models() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../zoo/plans");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let (model, calls) = stem.rsplit_once('-').unwrap();
        let plan = path.to_string_lossy().into_owned();
        let drawn =
            run(["generate", "molecules", "--model", model, "--num", "200", "--plan", &plan, "--json"]);
        assert_eq!(code(&drawn), 0, "{stem}: {}", stderr(&drawn));
        let summary: Value = serde_json::from_str(&stderr(&drawn)).unwrap();
        assert_eq!(summary["evaluations_per_sample"].to_string(), calls, "{stem}");
        assert!(summary["validity_before_repair"].as_f64().unwrap() > 0.9, "{stem}: {summary}");
    }
}

#[test]
fn the_default_model_needs_no_flag() {
    let drawn = run(["generate", "molecules", "--num", "20", "--seed", "7", "--steps", "20"]);
    assert_eq!(code(&drawn), 0, "{}", stderr(&drawn));
    assert_eq!(stdout(&drawn).lines().filter(|line| !line.is_empty()).count(), 20);
}
