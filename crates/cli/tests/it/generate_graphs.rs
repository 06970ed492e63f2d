//! `generate graphs`: one seed, one file, in every format; and what it refuses.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use equidrift::Manifest;
use equidrift_graph::{Graph, GraphFile, is_connected, sorted_edges};
use serde_json::Value;

use crate::command::{
    Running, assert_refused, code, equidrift, generate, generate_graphs, run, stderr, stdout,
};
use crate::folder::{small_graph_model, small_model};

const FORMATS: [&str; 4] = ["json", "jsonl", "graphml", "edges"];

fn drawn(model: &Path, output: &Path, line: &str) -> Vec<u8> {
    let result = generate_graphs(model, Some(output), line).output().unwrap();
    assert_eq!(code(&result), 0, "{}", stderr(&result));
    assert!(!Manifest::partial_for(output).exists(), "a partial file is left");
    fs::read(output).unwrap()
}

fn graphs(path: &Path) -> Vec<Graph> {
    GraphFile::open(path).unwrap().map(Result::unwrap).collect()
}

fn shapes(graphs: &[Graph]) -> Vec<(usize, Vec<(usize, usize)>)> {
    graphs.iter().map(|graph| (graph.node_count(), sorted_edges(graph))).collect()
}

#[test]
fn every_format_holds_the_same_graphs() {
    let (folder, model) = small_graph_model();
    let line = "--num 40 --seed 3 --steps 6";
    let mut first = None;
    for format in FORMATS {
        let path = folder.path().join(format!("x.{format}"));
        drawn(&model, &path, line);
        let found = shapes(&graphs(&path));
        assert_eq!(found.len(), 40, "{format}");
        assert_eq!(first.get_or_insert_with(|| found.clone()), &found, "{format}");
    }
    let found = first.unwrap();
    assert!(
        found.iter().any(|(nodes, _)| *nodes > 5) && found.iter().any(|(nodes, _)| *nodes < 3),
        "{found:?}"
    );
    // Nodes without an edge were dropped.
    assert!(found.iter().all(|(nodes, edges)| {
        *nodes == 1 || (0..*nodes).all(|node| edges.iter().any(|&(a, b)| a == node || b == node))
    }));
}

#[test]
fn batch_threads_and_padding_change_no_byte() {
    let (folder, model) = small_graph_model();
    for engine in ["fused", "burn"] {
        let draw = |file: &str, seed: u64, line: &str| {
            drawn(
                &model,
                &folder.path().join(file),
                &format!("--num 150 --seed {seed} --steps 8 --engine {engine} {line}"),
            )
        };
        let alone = draw("alone.jsonl", 7, "--batch 1 --threads 1");
        for (batch, threads) in [(5, 2), (64, 1), (128, 5), (1000, 2)] {
            let line = format!("--batch {batch} --threads {threads}");
            assert!(draw("other.jsonl", 7, &line) == alone, "{engine} {line}");
        }
        assert!(draw("seed.jsonl", 8, "") != alone);
    }
}

#[test]
fn every_sampler_is_independent_of_batch_and_padding() {
    let (folder, model) = small_graph_model();
    let adaptive = equidrift_sampler::plan::AdaptiveConfig::names();
    for sampler in equidrift_sampler::SamplerConfig::names().into_iter().chain(adaptive.iter().copied()) {
        let steps = if adaptive.contains(&sampler) { "" } else { "--steps 6" };
        let line = |batch: u32| format!("--num 60 --seed 5 {steps} --sampler {sampler} --batch {batch}");
        // With random weights and so few steps some samples of some samplers diverge (exit code 5); they must not differ
        // either.
        let draw = |file: &str, batch: u32| {
            let path = folder.path().join(file);
            let result = generate_graphs(&model, Some(&path), &line(batch)).output().unwrap();
            assert!([0, 5].contains(&code(&result)), "{sampler}: {}", stderr(&result));
            (code(&result), fs::read(path).unwrap())
        };
        assert!(draw("alone.jsonl", 1) == draw("padded.jsonl", 60), "{sampler}");
    }
}

#[test]
fn standard_output_carries_the_same_bytes_as_a_file() {
    let (folder, model) = small_graph_model();
    for (suffix, name) in FORMATS.into_iter().zip(["json", "jsonl", "graphml", "edgelist"]) {
        let file = drawn(&model, &folder.path().join(format!("x.{suffix}")), "--num 12 --steps 4");
        let line = format!("--num 12 --steps 4 --format {name}");
        let stream = generate_graphs(&model, None, &line).output().unwrap();
        assert_eq!(code(&stream), 0, "{}", stderr(&stream));
        assert!(stream.stdout == file, "{name}");
    }
}

#[test]
fn merged_shards_are_the_undivided_run_and_files_of_their_own() {
    let (folder, model) = small_graph_model();
    for format in FORMATS {
        for (num, shards) in [(50, 3), (2, 3)] {
            let whole_path = folder.path().join(format!("whole.{format}"));
            let whole = drawn(&model, &whole_path, &format!("--num {num} --seed 4 --steps 5"));
            let parts: Vec<PathBuf> =
                (0..shards).map(|i| folder.path().join(format!("part{i}.{format}"))).collect();
            let mut found = Vec::new();
            for (i, part) in parts.iter().enumerate() {
                let line =
                    format!("--num {num} --seed 4 --steps 5 --shard {i}/{shards} --batch {}", 3 + 9 * i);
                drawn(&model, part, &line);
                // A shard without samples is an empty file where the format has no frame.
                found.extend(shapes(&graphs(part)));
            }
            assert_eq!(found, shapes(&graphs(&whole_path)), "{format}");
            let merged_path = folder.path().join(format!("merged.{format}"));
            let mut arguments = vec!["merge".into(), "-o".into(), merged_path.as_os_str().to_owned()];
            arguments.extend(parts.iter().rev().map(|part| part.as_os_str().to_owned()));
            let result = run(arguments);
            assert_eq!(code(&result), 0, "{}", stderr(&result));
            assert!(fs::read(&merged_path).unwrap() == whole, "{format}, {num} graphs");
            let manifest = |path: &Path| Manifest::read(path).unwrap().unwrap();
            let (merged, undivided) = (manifest(&merged_path), manifest(&whole_path));
            assert_eq!((merged.bytes, &merged.sha256), (undivided.bytes, &undivided.sha256));
            assert_eq!((merged.tally, &merged.identity), (undivided.tally, &undivided.identity));
        }
    }
}

#[test]
fn a_killed_run_resumes_to_the_same_bytes() {
    let (folder, model) = small_graph_model();
    let request = "--num 300 --seed 3 --steps 60";
    for format in ["json", "edges"] {
        let [whole_path, killed] =
            ["whole", "killed"].map(|name| folder.path().join(format!("{name}.{format}")));
        let whole = drawn(&model, &whole_path, request);
        let slow = format!("{request} --batch 2 --threads 1");
        let mut running = Running::start(generate_graphs(&model, Some(&killed), &slow));
        let limit = Instant::now() + Duration::from_secs(60);
        let done = || Manifest::read(&killed).ok().flatten().map_or(0, |manifest| manifest.next());
        while done() == 0 {
            assert!(Instant::now() < limit, "no progress recorded");
            assert!(running.0.try_wait().unwrap().is_none(), "the run ended before it could be killed");
            std::thread::sleep(Duration::from_millis(5));
        }
        running.0.kill().unwrap(); // SIGKILL: no chance to tidy up
        running.0.wait().unwrap();
        assert!(done() < 300 && !killed.exists(), "killed too late");

        let other = generate_graphs(&model, Some(&killed), "--num 300 --seed 4 --steps 60 --resume")
            .output()
            .unwrap();
        assert_refused(&other, 4, "another run");
        let resumed =
            generate_graphs(&model, Some(&killed), &format!("{request} --resume --json")).output().unwrap();
        assert_eq!(code(&resumed), 0, "{}", stderr(&resumed));
        assert!(fs::read(&killed).unwrap() == whole, "{format}");
        let summary: Value = serde_json::from_str(&stderr(&resumed)).unwrap();
        assert!(summary["samples_this_run"].as_u64().unwrap() < 300);
        assert_eq!(summary["samples"], 300);

        // Once more: nothing is left to do, and the figures are those of all of it.
        let again =
            generate_graphs(&model, Some(&killed), &format!("{request} --resume --json")).output().unwrap();
        let again: Value = serde_json::from_str(&stderr(&again)).unwrap();
        assert_eq!(again["samples_this_run"], 0);
        for field in ["graphs", "mean_nodes", "mean_edges", "connectedness", "without_edges", "output_sha256"]
        {
            assert_eq!(again[field], summary[field], "{field}");
        }
    }
}

#[test]
fn the_summary_is_that_of_the_file() {
    let (folder, model) = small_graph_model();
    let out = folder.path().join("x.json");
    let result = generate_graphs(&model, Some(&out), "--num 80 --seed 2 --steps 5 --json").output().unwrap();
    let summary: Value = serde_json::from_str(&stderr(&result)).expect("standard error is one JSON object");
    assert_eq!(stdout(&result), "");
    let graphs = graphs(&out);
    let share = |count: usize| count as f64 / 80.0;
    let nodes: usize = graphs.iter().map(Graph::node_count).sum();
    let edges: usize = graphs.iter().map(Graph::edge_count).sum();
    let connected = graphs.iter().filter(|graph| is_connected(graph)).count();
    for (field, expected) in
        [("mean_nodes", share(nodes)), ("mean_edges", share(edges)), ("connectedness", share(connected))]
    {
        assert!((summary[field].as_f64().unwrap() - expected).abs() < 1e-12, "{field}: {}", summary[field]);
    }
    for (field, expected) in [
        ("model", "small"),
        ("sampler", "predictor-corrector"),
        ("engine", "fused"),
        ("output", out.to_str().unwrap()),
    ] {
        assert_eq!(summary[field], expected, "{field}");
    }
    for (field, expected) in [("samples", 80), ("requested", 80), ("graphs", 80), ("steps", 5), ("seed", 2)] {
        assert_eq!(summary[field], expected, "{field}");
    }
    assert_eq!(summary["without_edges"], graphs.iter().filter(|graph| graph.edge_count() == 0).count());
    assert!(summary["graphs_per_second"].as_f64().unwrap() > 0.0);

    let people = generate_graphs(&model, None, "--num 5 --steps 3").output().unwrap();
    for figure in ["nodes", "edges", "connected", "graphs/s", "network evaluations (NFE)"] {
        assert!(stderr(&people).contains(figure), "{figure} in {}", stderr(&people));
    }
    assert_eq!(stdout(&people).lines().count(), 5, "one JSON line a graph");
}

#[test]
fn what_no_run_can_do_is_refused() {
    let (folder, model) = small_graph_model();
    let (_other, molecules) = small_model();
    let out = folder.path().join("x.json");
    assert_refused(
        &generate_graphs(&molecules, None, "--num 3").output().unwrap(),
        4,
        "makes molecules, not graphs",
    );
    assert_refused(&generate(&model, None, "--num 3").output().unwrap(), 4, "makes graphs, not molecules");
    assert_refused(&run(["generate", "graphs", "--num", "3"]), 2, "--model");
    for name in ["x.smi", "x", "x.json.gz"] {
        let refused = generate_graphs(&model, Some(&folder.path().join(name)), "--num 3").output().unwrap();
        assert_refused(&refused, 2, ".graphml");
    }
    for (line, message) in [
        ("--num 0", "0"),
        ("--num 3 --format edgelist", "suffix"),
        ("--num 3 --format sdf", "graphml"),
        ("--num 3 --no-repair", "--no-repair"),
        ("--num 3 --sampler heun --snr 0.2", "snr"),
    ] {
        assert_refused(&generate_graphs(&model, Some(&out), line).output().unwrap(), 2, message);
    }
    let config = folder.path().join("run.toml");
    fs::write(&config, "num = 3\ncorrection = \"none\"\n").unwrap();
    let configured = generate_graphs(&model, None, "").arg("--config").arg(&config).output().unwrap();
    assert_refused(&configured, 2, "correction");
    // A configuration may name the model.
    fs::write(&config, format!("num = 3\nsteps = 2\nmodel = {:?}\n", model.to_str().unwrap())).unwrap();
    let named = equidrift().args(["generate", "graphs", "--config"]).arg(&config).output().unwrap();
    assert_eq!((code(&named), stdout(&named).lines().count()), (0, 3), "{}", stderr(&named));
    assert!(!out.exists());
}
