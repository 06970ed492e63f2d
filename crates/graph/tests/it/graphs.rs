//! Graphs to test with.

use equidrift_graph::random::Random;
use equidrift_graph::{Graph, graph_from_edges};

/// Each pair joined with this probability.
pub(crate) fn random_graph(nodes: usize, density: f64, seed: u64) -> Graph {
    let mut random = Random::keyed(seed, &[0x7e57]);
    let pairs = (0..nodes).flat_map(|a| (0..a).map(move |b| (a, b)));
    graph_from_edges(nodes, pairs.filter(|_| random.happens(density)).collect::<Vec<_>>()).unwrap()
}

pub(crate) fn complete(nodes: usize) -> Graph {
    graph_from_edges(nodes, (0..nodes).flat_map(|a| (0..a).map(move |b| (a, b)))).unwrap()
}

pub(crate) fn cycle(nodes: usize) -> Graph {
    graph_from_edges(nodes, (0..nodes).map(|a| (a, (a + 1) % nodes))).unwrap()
}

/// Node 0 joined to all others.
pub(crate) fn star(leaves: usize) -> Graph {
    graph_from_edges(leaves + 1, (1..=leaves).map(|leaf| (0, leaf))).unwrap()
}

/// `{"n": ..., "edges": ...}`.
pub(crate) fn from_json(value: &serde_json::Value) -> Graph {
    let edges: Vec<(usize, usize)> = serde_json::from_value(value["edges"].clone()).unwrap();
    graph_from_edges(value["n"].as_u64().unwrap() as usize, edges).unwrap()
}
