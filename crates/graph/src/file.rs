//! Files of graphs: one format, one file; read and written graph by graph.
//!
//! | suffix | [`Format`] | holds |
//! | --- | --- | --- |
//! | `.json` | [`Format::Json`] | read: one node-link graph, a list of graphs, or `{"graphs": [...], "splits": ...}`; written: a list of node-link graphs |
//! | `.jsonl .ndjson` | [`Format::JsonLines`] | one graph a line: `{"n":3,"edges":[[0,1]]}`, or node-link |
//! | `.graphml` | [`Format::GraphMl`] | any number of `graph` elements |
//! | `.edgelist .edges .el .txt` | [`Format::EdgeList`] | `u v` per line; several graphs if each has its first line `# nodes N edges E` |
//!
//! Compressed files (gzip) are recognised by their first bytes, `.gz` after the suffix is allowed. Attributes of nodes
//! and edges are passed over. Graphs must be undirected and simple; one that is not is [`GraphError::BadGraph`], after
//! which reading goes on.

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::GraphError;
use crate::graph::AttributedGraph;

mod bounded_lines;
pub mod compact;
pub mod edge_list;
mod graph_file;
mod graph_writer;
pub mod graphml;
mod graphml_reader;
mod input;
mod json_document;
mod json_lines;
mod json_record;
mod node_budget;
pub mod node_link;
mod splits;

pub use bounded_lines::pass_over_line;
pub use graph_file::{GraphFile, ReadOptions};
pub use graph_writer::GraphWriter;
pub use splits::Splits;

/// A format of graph files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// One JSON document.
    Json,
    /// One JSON object a line.
    JsonLines,
    /// GraphML (Brandes et al. 2002).
    GraphMl,
    /// Edge lists.
    EdgeList,
}

impl Format {
    /// The format a file name's suffix names, in any case, with or without `.gz` behind it.
    ///
    /// # Errors
    /// [`GraphError::UnknownFormat`].
    pub fn of_path(path: &Path) -> Result<Self, GraphError> {
        let suffix = |path: &Path| path.extension()?.to_str().map(str::to_ascii_lowercase);
        let mut name = suffix(path);
        if name.as_deref() == Some("gz") {
            name = path.file_stem().and_then(|stem| suffix(Path::new(stem)));
        }
        match name.as_deref() {
            Some("json") => Ok(Self::Json),
            Some("jsonl" | "ndjson") => Ok(Self::JsonLines),
            Some("graphml") => Ok(Self::GraphMl),
            Some("edgelist" | "edges" | "el" | "txt") => Ok(Self::EdgeList),
            _ => Err(GraphError::UnknownFormat { path: path.to_owned() }),
        }
    }

    /// Its name, which is its usual suffix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::JsonLines => "jsonl",
            Self::GraphMl => "graphml",
            Self::EdgeList => "edgelist",
        }
    }

    /// What a file begins with, before its first graph.
    #[must_use]
    pub fn opening(self) -> &'static str {
        match self {
            Self::Json => "[\n",
            Self::GraphMl => graphml::OPENING,
            Self::JsonLines | Self::EdgeList => "",
        }
    }

    /// What stands between two graphs.
    #[must_use]
    pub fn separator(self) -> &'static str {
        match self {
            Self::Json => ",\n",
            Self::JsonLines | Self::GraphMl | Self::EdgeList => "",
        }
    }

    /// Write the file's graph number `index` (from 0), with whatever parts it from the one before. The bytes depend on
    /// the graph and its number alone, so that a file can be cut and joined between graphs.
    ///
    /// # Errors
    /// [`GraphError::Stream`], [`GraphError::Json`] if the stream cannot be written.
    pub fn write_record<V, E>(
        self,
        index: u64,
        graph: &AttributedGraph<V, E>,
        out: &mut dyn Write,
    ) -> Result<(), GraphError> {
        if index > 0 {
            out.write_all(self.separator().as_bytes())?;
        }
        self.write_graph(index, graph, out)
    }

    /// Write one graph alone; a format with names calls it number `index`.
    ///
    /// # Errors
    /// As [`Format::write_record`].
    pub fn write_graph<V, E>(
        self,
        index: u64,
        graph: &AttributedGraph<V, E>,
        out: &mut dyn Write,
    ) -> Result<(), GraphError> {
        match self {
            Self::Json => node_link::write(graph, out),
            Self::JsonLines => {
                compact::write(graph, out)?;
                Ok(out.write_all(b"\n")?)
            }
            Self::GraphMl => graphml::write_graph(index, graph, out),
            Self::EdgeList => edge_list::write(graph, out),
        }
    }

    /// What a file ends with, after its last graph.
    #[must_use]
    pub fn closing(self) -> &'static str {
        match self {
            Self::Json => "\n]\n",
            Self::GraphMl => graphml::CLOSING,
            Self::JsonLines | Self::EdgeList => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_name_formats() {
        for (name, format) in [
            ("a.json", Format::Json),
            ("a.JSON.gz", Format::Json),
            ("a.ndjson", Format::JsonLines),
            ("a.b.graphml", Format::GraphMl),
            ("a.edges", Format::EdgeList),
        ] {
            assert_eq!(Format::of_path(Path::new(name)).unwrap(), format);
        }
        for name in ["a", "a.gz", "json", "a.png"] {
            assert!(
                matches!(Format::of_path(Path::new(name)), Err(GraphError::UnknownFormat { .. })),
                "{name}"
            );
        }
    }
}
