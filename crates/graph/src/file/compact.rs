//! One graph as `{"n":3,"edges":[[0,1],[1,2]]}`: nodes `0..n`, each edge once, smaller end first, ascending.

use std::io::Write;

use serde::Serialize;

use super::splits::Splits;
use crate::error::GraphError;
use crate::graph::{AttributedGraph, sorted_edges};

#[derive(Serialize)]
struct Compact {
    n: usize,
    edges: Vec<(usize, usize)>,
}

impl<V, E> From<&AttributedGraph<V, E>> for Compact {
    fn from(graph: &AttributedGraph<V, E>) -> Self {
        Self { n: graph.node_count(), edges: sorted_edges(graph) }
    }
}

/// Write one graph as one line of JSON, without a line end.
///
/// # Errors
/// [`GraphError::Json`] if the stream cannot be written.
pub fn write<V, E>(graph: &AttributedGraph<V, E>, out: &mut dyn Write) -> Result<(), GraphError> {
    Ok(serde_json::to_writer(out, &Compact::from(graph))?)
}

/// Write a data set as one JSON document, `{"name": ..., "splits": {...}, "graphs": [...]}`, which
/// [`GraphFile::part`](super::GraphFile::part) can take apart.
///
/// # Errors
/// [`GraphError::Stream`], [`GraphError::Json`] if the stream cannot be written.
pub fn write_set<V, E>(
    name: &str,
    graphs: &[AttributedGraph<V, E>],
    splits: &Splits,
    out: &mut dyn Write,
) -> Result<(), GraphError> {
    out.write_all(b"{\"name\":")?;
    serde_json::to_writer(&mut *out, name)?;
    out.write_all(b",\"splits\":")?;
    serde_json::to_writer(&mut *out, splits)?;
    out.write_all(b",\"graphs\":[")?;
    for (index, graph) in graphs.iter().enumerate() {
        out.write_all(if index > 0 { b",\n" } else { b"\n" })?;
        write(graph, out)?;
    }
    Ok(out.write_all(b"\n]}\n")?)
}
