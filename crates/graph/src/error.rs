//! What can go wrong with a graph or a graph file.

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

    /// An edge that names a node the graph has not, or joins a node to itself, or is there twice.
    #[error("edge {first}-{second} is not possible in a simple graph of {nodes} nodes, or is there twice")]
    Edge {
        /// One end.
        first: usize,
        /// The other end.
        second: usize,
        /// Number of nodes.
        nodes: usize,
    },

    /// A line of an edge list that cannot be read.
    #[error("edge list, line {line}: {reason}")]
    EdgeListLine {
        /// 1-based line number.
        line: u64,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// Node-link JSON that cannot be read.
    #[error("node-link JSON: {0}")]
    Json(#[from] serde_json::Error),

    /// Node-link JSON of a kind that is no undirected simple graph.
    #[error("node-link JSON describes a {kind} graph; expected an undirected simple graph")]
    Kind {
        /// `"directed"` or `"multi"`.
        kind: &'static str,
    },

    /// A link that names a node the file has not.
    #[error("node-link JSON: link {link} names node {node}, which is not in `nodes`")]
    UnknownNode {
        /// 0-based place among the links.
        link: usize,
        /// The node's id.
        node: u64,
    },

    /// A stream that cannot be read or written.
    #[error("cannot read or write graphs: {0}")]
    Stream(#[from] std::io::Error),
}
