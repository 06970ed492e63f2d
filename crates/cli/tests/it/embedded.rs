//! The models inside the binary: no file, no network, no flag.

use serde_json::Value;

use crate::command::{code, run, stderr, stdout};

#[test]
fn every_embedded_model_opens_and_draws() {
    assert!(equidrift_zoo::names().contains(&equidrift::DEFAULT_MODEL));
    for name in equidrift_zoo::names() {
        let inspected = run(["inspect", name, "--json"]);
        assert_eq!(code(&inspected), 0, "{name}: {}", stderr(&inspected));
        let found: Value = serde_json::from_str(&stdout(&inspected)).unwrap();
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
