//! Fit a model to graphs and draw new ones from it.
//!
//! ```text
//! cargo run --release --example fit_graphs                          # some graphs of two communities
//! cargo run --release --example fit_graphs -- mine.graphml 500      # a file of graphs, 500 epochs
//! ```

use std::path::PathBuf;

use equidrift::{FitOptions, GenerateRequest, fit_graphs};
use equidrift_graph::file::{Format, GraphWriter};
use equidrift_graph::generators::{Community, draw_set};
use equidrift_graph::{Graph, GraphFile, is_connected};

fn describe(name: &str, graphs: &[Graph]) {
    let mean =
        |of: &dyn Fn(&Graph) -> usize| graphs.iter().map(of).sum::<usize>() as f64 / graphs.len() as f64;
    println!(
        "{name}: {:.1} nodes, {:.1} edges, {:.0} % connected",
        mean(&Graph::node_count),
        mean(&Graph::edge_count),
        100.0 * mean(&|graph| usize::from(is_connected(graph))),
    );
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let temporary = tempfile::tempdir()?;
    let data = match arguments.next() {
        Some(file) => PathBuf::from(file),
        None => {
            let path = temporary.path().join("communities.jsonl");
            let mut writer = GraphWriter::new(Format::JsonLines, std::fs::File::create(&path)?)?;
            for graph in draw_set(&Community::default(), 0..64, 1) {
                writer.write(&graph)?;
            }
            writer.finish()?;
            path
        }
    };
    let epochs = arguments.next().map_or(Ok(60), |text| text.parse())?;

    let model = fit_graphs(&data, FitOptions { epochs, batch: Some(16), ..FitOptions::default() })?;
    // A sampler of few steps, to see something soon; `model.generate_graphs(num)` takes the published one of 1000.
    let request = GenerateRequest { num: 32, seed: 7, steps: Some(100), ..GenerateRequest::default() };
    let graphs = model.graph_generator(&request)?.graphs()?;

    let trained_on: Vec<Graph> = GraphFile::open(&data)?.collect::<Result<_, _>>()?;
    describe("trained on", &trained_on);
    describe("drawn", &graphs);
    Ok(())
}
