//! Node-link JSON, the form of NetworkX's `node_link_graph`: `{"directed": false, "multigraph": false, "graph": {},
//! "nodes": [{"id": 0}, ...], "edges": [{"source": 0, "target": 1}, ...]}`.
//!
//! NetworkX before 3.4 names the edges `links`; both names are read, `edges` is written.

use std::collections::HashMap;
use std::io::Write;

use serde::{Deserialize, Serialize};

use crate::error::GraphError;
use crate::graph::{AttributedGraph, Graph, graph_from_edges, sorted_edges};

#[derive(Serialize, Deserialize)]
struct Document {
    #[serde(default)]
    directed: bool,
    #[serde(default)]
    multigraph: bool,
    #[serde(default)]
    graph: serde_json::Map<String, serde_json::Value>,
    nodes: Vec<Node>,
    #[serde(alias = "links")]
    edges: Vec<Edge>,
}

#[derive(Serialize, Deserialize)]
struct Node {
    id: u64,
}

#[derive(Serialize, Deserialize)]
struct Edge {
    source: u64,
    target: u64,
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
        nodes: (0..graph.node_count() as u64).map(|id| Node { id }).collect(),
        edges: sorted_edges(graph)
            .into_iter()
            .map(|(source, target)| Edge { source: source as u64, target: target as u64 })
            .collect(),
    };
    Ok(serde_json::to_writer(out, &document)?)
}

/// Read one graph; nodes are numbered in the order of the file, attributes are ignored.
///
/// # Errors
/// [`GraphError::Json`], [`GraphError::Kind`], [`GraphError::UnknownNode`], [`GraphError::Edge`].
pub fn read(text: &str) -> Result<Graph, GraphError> {
    let document: Document = serde_json::from_str(text)?;
    if document.directed {
        return Err(GraphError::Kind { kind: "directed" });
    }
    if document.multigraph {
        return Err(GraphError::Kind { kind: "multi" });
    }
    let places: HashMap<u64, usize> =
        document.nodes.iter().enumerate().map(|(place, node)| (node.id, place)).collect();
    let find =
        |link: usize, node: u64| places.get(&node).copied().ok_or(GraphError::UnknownNode { link, node });
    let edges = document
        .edges
        .iter()
        .enumerate()
        .map(|(link, edge)| Ok((find(link, edge.source)?, find(link, edge.target)?)))
        .collect::<Result<Vec<_>, GraphError>>()?;
    graph_from_edges(document.nodes.len(), edges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_graph_reads_back() {
        let graph = graph_from_edges(4, [(2, 0), (1, 2)]).unwrap();
        let mut bytes = Vec::new();
        write(&graph, &mut bytes).unwrap();
        let back = read(std::str::from_utf8(&bytes).unwrap()).unwrap();
        assert_eq!((back.node_count(), sorted_edges(&back)), (4, vec![(0, 2), (1, 2)]));
    }

    #[test]
    fn the_older_name_of_the_edges_is_read_and_ids_may_be_any_numbers() {
        let graph =
            read(r#"{"nodes": [{"id": 7}, {"id": 3}], "links": [{"source": 3, "target": 7}]}"#).unwrap();
        assert_eq!(sorted_edges(&graph), [(0, 1)]);
    }

    #[test]
    fn directed_graphs_and_unknown_nodes_are_errors() {
        assert!(matches!(
            read(r#"{"directed": true, "nodes": [], "edges": []}"#),
            Err(GraphError::Kind { kind: "directed" })
        ));
        assert!(matches!(
            read(r#"{"nodes": [{"id": 0}], "edges": [{"source": 0, "target": 1}]}"#),
            Err(GraphError::UnknownNode { link: 0, node: 1 })
        ));
        assert!(matches!(read("{"), Err(GraphError::Json(_))));
    }
}
