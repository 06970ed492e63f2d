//! Graphs from a model folder, in memory and as files, through the facade.

use std::path::PathBuf;

use equidrift::{
    Destination, Error, GenerateRequest, Generator, GraphGenerator, GraphJob, Manifest, Report, StopSignal,
    generate_graphs,
};
use equidrift_gdss::{GdssConfig, GdssModel, initial_parameters};
use equidrift_graph::{Format, Graph, GraphFile, sorted_edges};
use equidrift_molecule::Correction;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A model with initial weights, whose graphs have 2 to 17 nodes.
fn model() -> (TempDir, PathBuf) {
    let path = json!({"type": "VP", "beta_min": 0.1, "beta_max": 1.0});
    let config: Value = json!({
        "library": "equidrift", "format_version": 1, "family": "gdss", "name": "small", "task": "graphs",
        "max_nodes": 17, "vocabulary": null,
        "networks": {
            "x": {"model_type": "ScoreNetworkX", "max_feat_num": 5, "depth": 2, "nhid": 8},
            "adj": {
                "model_type": "ScoreNetworkA", "max_feat_num": 5, "max_node_num": 17, "nhid": 8, "num_layers": 2,
                "num_linears": 2, "c_init": 2, "c_hid": 4, "c_final": 2, "adim": 8, "num_heads": 4, "conv": "GCN"
            }
        },
        "paths": {"x": path, "adj": path},
        "sampler": {"name": "s4", "snr": 0.15, "scale_eps": 0.7},
        "steps": 6,
        "node_counts": {"2": 1, "6": 3, "7": 2, "12": 3, "17": 1},
        "sampling_weights": "raw"
    });
    let config: GdssConfig = serde_json::from_value(config).unwrap();
    let parameters = initial_parameters(&config.networks, 3);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("model");
    GdssModel::new(config, parameters).unwrap().write(&path, &[]).unwrap();
    (folder, path)
}

fn request(model: &std::path::Path) -> GenerateRequest {
    GenerateRequest { num: 50, seed: 9, model: model.display().to_string(), ..GenerateRequest::default() }
}

fn shapes(graphs: &[Graph]) -> Vec<(usize, Vec<(usize, usize)>)> {
    graphs.iter().map(|graph| (graph.node_count(), sorted_edges(graph))).collect()
}

#[test]
fn graphs_in_memory_are_those_of_a_file_whatever_the_batch() {
    let (folder, model) = model();
    let request = request(&model);
    let expected = shapes(&GraphGenerator::open(&request).unwrap().graphs().unwrap());
    assert_eq!(expected.len(), 50);
    for (batch, threads) in [(1, 2), (7, 1), (1000, 3)] {
        let request = GenerateRequest { batch, threads, ..request.clone() };
        assert_eq!(shapes(&GraphGenerator::open(&request).unwrap().graphs().unwrap()), expected, "{batch}");
    }
    let path = folder.path().join("graphs.graphml");
    let steps = std::sync::atomic::AtomicU64::new(0);
    let summary = generate_graphs(GraphJob {
        request: &request,
        format: Format::GraphMl,
        destination: Destination::File { path: &path, resume: false },
        stop: &StopSignal::new(),
        progress: &|report| {
            if let Report::Steps { sample_steps } = report {
                steps.fetch_add(sample_steps, std::sync::atomic::Ordering::Relaxed);
            }
        },
    })
    .unwrap();
    let written: Vec<Graph> = GraphFile::open(&path).unwrap().map(Result::unwrap).collect();
    assert_eq!(shapes(&written), expected);
    assert_eq!(steps.into_inner(), 50 * 6, "every step of every sample is reported");
    let nodes: usize = written.iter().map(Graph::node_count).sum();
    assert_eq!((summary.graphs, summary.run.samples, summary.run.complete), (50, 50, true));
    assert!((summary.mean_nodes - nodes as f64 / 50.0).abs() < 1e-12);
    let manifest = Manifest::read(&path).unwrap().unwrap();
    assert_eq!((manifest.tally.nodes, manifest.tally.valid), (nodes as u64, 50));
}

#[test]
fn a_stopped_run_goes_on_where_it_was() {
    let (folder, model) = model();
    let request = GenerateRequest { batch: 4, threads: 1, ..request(&model) };
    let path = folder.path().join("graphs.json");
    let job = |stop, resume| {
        generate_graphs(GraphJob {
            request: &request,
            format: Format::Json,
            destination: Destination::File { path: &path, resume },
            stop,
            progress: &|report| {
                if !resume && matches!(report, Report::Steps { .. }) && !stop.asked() {
                    stop.ask(); // during the first batch
                }
            },
        })
        .unwrap()
    };
    let stopped = job(&StopSignal::new(), false);
    assert!(!stopped.run.complete && stopped.run.samples < 50 && !path.exists());
    let resumed = job(&StopSignal::new(), true);
    assert!(resumed.run.complete && resumed.run.samples == 50);
    assert_eq!(resumed.run.samples_this_run, 50 - stopped.run.samples);
    let written: Vec<Graph> = GraphFile::open(&path).unwrap().map(Result::unwrap).collect();
    assert_eq!(shapes(&written), shapes(&GraphGenerator::open(&request).unwrap().graphs().unwrap()));
}

#[test]
fn the_other_kind_of_model_is_refused() {
    let (_folder, model) = model();
    assert!(matches!(Generator::open(&request(&model)), Err(Error::Task { expected: "molecules", .. })));
    assert!(matches!(
        GraphGenerator::open(&GenerateRequest::default()),
        Err(Error::Task { expected: "graphs", .. })
    ));
    let corrected = GenerateRequest { correction: Correction::None, ..request(&model) };
    assert!(matches!(GraphGenerator::open(&corrected), Err(Error::Request { field: "correction", .. })));
}
