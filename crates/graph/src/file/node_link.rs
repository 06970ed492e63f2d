//! Node-link JSON, the form of NetworkX's `node_link_graph`: `{"directed": false, "multigraph": false, "graph": {},
//! "nodes": [{"id": 0}, ...], "edges": [{"source": 0, "target": 1}, ...]}`.
//!
//! NetworkX before 3.4 names the edges `links`; both names are read, `edges` is written. Nodes may be named by whole
//! numbers or texts; they are numbered in the order of their list.

use std::io::Write;

use serde::Serialize;

use crate::error::GraphError;
use crate::graph::{AttributedGraph, sorted_edges};

#[derive(Serialize)]
struct Document {
    directed: bool,
    multigraph: bool,
    graph: serde_json::Map<String, serde_json::Value>,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

#[derive(Serialize)]
struct Node {
    id: usize,
}

#[derive(Serialize)]
struct Edge {
    source: usize,
    target: usize,
}

/// Write one graph as one line of JSON, without a line end.
///
/// # Errors
/// [`GraphError::Json`] if the stream cannot be written.
pub fn write<V, E>(graph: &AttributedGraph<V, E>, out: &mut dyn Write) -> Result<(), GraphError> {
    let document = Document {
        directed: false,
        multigraph: false,
        graph: serde_json::Map::new(),
        nodes: (0..graph.node_count()).map(|id| Node { id }).collect(),
        edges: sorted_edges(graph).into_iter().map(|(source, target)| Edge { source, target }).collect(),
    };
    Ok(serde_json::to_writer(out, &document)?)
}
