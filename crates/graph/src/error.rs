//! What can go wrong with a graph or a graph file.

use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// A slice that is no square matrix of the stated size.
    #[error(
        "cannot decode a graph of {nodes} nodes: expected {expected} numbers in the adjacency matrix, found {found}"
    )]
    MatrixLength {
        /// Nodes stated.
        nodes: usize,
        /// Numbers expected, the square of `nodes`.
        expected: usize,
        /// Numbers found.
        found: usize,
    },

    /// An edge that names a node the graph has not.
    #[error("edge {first}-{second} is not possible in a graph of {nodes} nodes (they are numbered from 0)")]
    EdgeBeyondNodes {
        /// One end.
        first: usize,
        /// The other end.
        second: usize,
        /// Number of nodes.
        nodes: usize,
    },

    /// An edge that joins a node to itself.
    #[error("node {node} is joined to itself; expected a simple graph")]
    SelfLoop {
        /// The node.
        node: usize,
    },

    /// An edge that is there twice, in either direction.
    #[error("edge {first}-{second} is there twice; expected a simple graph")]
    RepeatedEdge {
        /// The smaller end.
        first: usize,
        /// The larger end.
        second: usize,
    },

    /// More nodes than the reader accepts.
    #[error("a graph of {nodes} nodes; at most {maximum} are read")]
    TooManyNodes {
        /// Nodes stated.
        nodes: u64,
        /// The limit.
        maximum: usize,
    },

    /// More nodes without an edge, in all graphs of a file together, than can be meant.
    #[error("the file's graphs claim more than {maximum} nodes that have no edge")]
    TooManyBareNodes {
        /// The limit.
        maximum: u64,
    },

    /// A line that cannot be read.
    #[error("{reason}")]
    Line {
        /// What is wrong with it.
        reason: &'static str,
    },

    /// An edge list with another number of edges than its first line states, as a cut file has.
    #[error("{found} edges are there, {stated} are stated; is the file cut off?")]
    EdgeCount {
        /// As stated.
        stated: u64,
        /// As found.
        found: u64,
    },

    /// JSON that cannot be read.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),

    /// JSON that is no graph.
    #[error("no graph: {missing} is missing; expected `n` and `edges`, or `nodes` and `edges` (node-link)")]
    NoGraph {
        /// The key.
        missing: &'static str,
    },

    /// XML that cannot be read.
    #[error("GraphML: {source}")]
    Xml {
        /// The XML reader's reason.
        source: quick_xml::Error,
    },

    /// XML that is no GraphML.
    #[error("GraphML: {reason}")]
    GraphMl {
        /// What is wrong with it.
        reason: &'static str,
    },

    /// A graph that is not undirected and simple.
    #[error("a {kind} graph; expected an undirected simple graph")]
    Kind {
        /// `"directed"`, `"multi"`, `"nested"` or `"hyper"`.
        kind: &'static str,
    },

    /// An edge that names a node the file has not.
    #[error("edge {edge} (from 0) names node {node:?}, which is not among the nodes")]
    UnknownNode {
        /// 0-based place among the edges.
        edge: usize,
        /// The node's id.
        node: String,
    },

    /// A node that is there twice.
    #[error("node {node:?} is there twice")]
    RepeatedNode {
        /// The node's id.
        node: String,
    },

    /// One graph of a file is bad; the graphs after it can be read.
    #[error("{}: graph {graph} (from 0){}: {source}", path.display(), at_line(*line))]
    BadGraph {
        /// The file.
        path: PathBuf,
        /// 0-based place among the file's graphs.
        graph: u64,
        /// 1-based line, where lines mean something.
        line: Option<u64>,
        /// What is wrong with it.
        source: Box<GraphError>,
    },

    /// A file that cannot be read any further.
    #[error("{}{}: {source}", path.display(), colon_line(*line))]
    Document {
        /// The file.
        path: PathBuf,
        /// 1-based line, where it is known.
        line: Option<u64>,
        /// What is wrong with it.
        source: Box<GraphError>,
    },

    /// A file that cannot be opened or read.
    #[error("cannot {task} {}: {source}", path.display())]
    File {
        /// `"open"` or `"read"`.
        task: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },

    /// A file name whose suffix names no graph format.
    #[error("{}: unknown graph format; use one of .json, .jsonl, .graphml, .edgelist", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },

    /// A part of the data that the file does not know.
    #[error("{}: no split `{wanted}`; the file has {}", path.display(), list(known))]
    UnknownSplit {
        /// The file.
        path: PathBuf,
        /// As asked for.
        wanted: String,
        /// What there is, each `SCHEME:PART`.
        known: Vec<String>,
    },

    /// A split that names a graph the file has not.
    #[error("{}: split `{split}` names graph {graph}; the file has {graphs} graphs, numbered from 0", path.display())]
    SplitBeyondEnd {
        /// The file.
        path: PathBuf,
        /// `SCHEME:PART`.
        split: String,
        /// The graph it names.
        graph: u64,
        /// Graphs of the file.
        graphs: usize,
    },

    /// A graph too large for its eigenvalues.
    #[error(
        "a graph of {nodes} nodes is too large for the spectral statistic; at most {maximum} are possible"
    )]
    TooLargeForSpectrum {
        /// Nodes of the graph.
        nodes: usize,
        /// The limit.
        maximum: usize,
    },

    /// A stream that cannot be read or written.
    #[error("cannot read or write graphs: {0}")]
    Stream(#[from] std::io::Error),
}

impl GraphError {
    /// Whether only one graph of a file is bad, so that reading can go on.
    #[must_use]
    pub fn is_bad_graph(&self) -> bool {
        matches!(self, Self::BadGraph { .. })
    }
}

fn at_line(line: Option<u64>) -> String {
    line.map(|line| format!(", line {line}")).unwrap_or_default()
}

fn colon_line(line: Option<u64>) -> String {
    line.map(|line| format!(":{line}")).unwrap_or_default()
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
