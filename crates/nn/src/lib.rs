//! Equivariant layers on dense graphs.
//!
//! Shapes: `B` graphs, padded to `N` nodes, with `F` features per node and `C` channels per edge. Nodes are
//! `[B, N, F]`, edges `[B, C, N, N]` with the channel *before* the positions, so that a perceptron over channels is one
//! matrix product per graph without moving data.
//!
//! Every matrix product has the graph as its batch index: the arithmetic of one graph does not depend on how many others
//! are computed beside it, so neither do its bits.

pub mod activation;
pub mod adjacency_powers;
pub mod gcn;
pub mod graph_attention;
pub mod leaf;
pub mod mask;
pub mod mlp;
pub mod time_features;

pub use activation::{elu, tanh};
pub use adjacency_powers::adjacency_powers;
pub use gcn::{DenseGcn, NormalisedAdjacency};
pub use graph_attention::{
    AttentionLayer, AttentionOutputs, AttentionShape, AttentionUnits, UnitOutputs, Wanted,
};
pub use leaf::{LayerError, Leaf, ParameterReader};
pub use mask::GraphMask;
pub use mlp::{Linear, Mlp};
pub use time_features::{TimeFeatures, time_features};
