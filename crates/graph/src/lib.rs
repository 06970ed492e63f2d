//! Graphs as data: attributed `petgraph` graphs, decoding from dense matrices, components and files.
//!
//! Nothing here knows a tensor library: a graph that a model made arrives as a row-major slice and leaves as a
//! [`Graph`]. Shapes: `N` nodes, matrices `[N, N]`.

// A test may stop at what it did not expect.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod components;
pub mod decode;
pub mod error;
pub mod file;
pub mod graph;

pub use components::{components, is_connected};
pub use decode::decode;
pub use error::GraphError;
pub use file::{Format, GraphFile, GraphWriter, ReadOptions};
pub use graph::{AttributedGraph, Graph, graph_from_edges, sorted_edges};
