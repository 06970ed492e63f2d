//! Graphs as data: attributed `petgraph` graphs, decoding from dense matrices, components, files, generators, and the
//! statistics and metrics of sets of graphs.
//!
//! Nothing here knows a tensor library: a graph that a model made arrives as a row-major slice and leaves as a
//! [`Graph`]. Shapes: `N` nodes, matrices `[N, N]`.

// A test may stop at what it did not expect.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod adjacency;
pub mod block_order;
pub mod canonical_order;
pub mod components;
pub mod decode;
pub mod draw;
pub mod error;
pub mod file;
pub mod generators;
pub mod graph;
pub mod isomorphism;
pub mod mmd;
pub mod random;
pub mod statistics;
pub mod threads;
pub mod validity;
pub mod vun;

pub use adjacency::Adjacency;
pub use block_order::{BlockDegree, BlockOrder, block_order};
pub use canonical_order::{CanonicalOrder, canonical_order};
pub use components::{components, is_connected};
pub use decode::decode;
pub use error::GraphError;
pub use file::{Format, GraphFile, GraphWriter, ReadOptions};
pub use graph::{AttributedGraph, Graph, graph_from_edges, sorted_edges};
pub use isomorphism::{Isomorphism, isomorphism};
pub use statistics::Statistic;
pub use validity::Family;
