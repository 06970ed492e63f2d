//! GraphML (Brandes, Eiglsperger, Herman, Himsolt & Marshall 2002), written; what NetworkX, igraph, Gephi, yEd and
//! Cytoscape read. Several graphs in a file are allowed by the format; NetworkX's `read_graphml` takes the first.
//!
//! Nodes are named `0..N`, so `networkx.read_graphml(path, node_type=int)` gives them their numbers.

use std::io::Write;

use crate::error::GraphError;
use crate::graph::{AttributedGraph, sorted_edges};

/// The start of a document.
pub(super) const OPENING: &str = "\
<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
xsi:schemaLocation=\"http://graphml.graphdrawing.org/xmlns http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd\">
";

/// The end of a document.
pub(super) const CLOSING: &str = "</graphml>\n";

/// Write one graph as an element of a document, with the id `g{index}`.
///
/// # Errors
/// [`GraphError::Stream`].
pub fn write_graph<V, E>(
    index: u64,
    graph: &AttributedGraph<V, E>,
    out: &mut dyn Write,
) -> Result<(), GraphError> {
    writeln!(out, "  <graph id=\"g{index}\" edgedefault=\"undirected\">")?;
    for node in 0..graph.node_count() {
        writeln!(out, "    <node id=\"{node}\"/>")?;
    }
    for (source, target) in sorted_edges(graph) {
        writeln!(out, "    <edge source=\"{source}\" target=\"{target}\"/>")?;
    }
    Ok(writeln!(out, "  </graph>")?)
}
