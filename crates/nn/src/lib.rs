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
pub mod block_mask;
pub mod edge_list;
pub mod equivariant_convolution;
pub mod gcn;
pub mod graph_attention;
pub mod graph_transformer;
pub mod higher_order_transformer;
pub mod leaf;
pub mod mask;
pub mod masked_norm;
pub mod mlp;
pub mod node_edge_combiner;
pub mod parameter_tracker;
pub mod ppgn;
pub mod relative_frames;
pub mod silu_mlp;
pub mod sinusoid;
pub mod temporal_attention;
pub mod time_features;

pub use activation::{elu, silu, tanh};
pub use adjacency_powers::adjacency_powers;
pub use block_mask::{BlockMask, PADDING, PairMean};
pub use edge_list::EdgeList;
pub use equivariant_convolution::{EdgeLength, EquivariantConvolution};
pub use gcn::{DenseGcn, NormalisedAdjacency};
pub use graph_attention::{
    AttentionLayer, AttentionOutputs, AttentionShape, AttentionUnits, UnitOutputs, Wanted,
};
pub use graph_transformer::{GraphTransformer, HigherOrderShape};
pub use higher_order_transformer::{HigherOrderTransformer, Streams};
pub use leaf::{LayerError, Leaf, ParameterReader};
pub use mask::GraphMask;
pub use masked_norm::{BatchMoments, MaskedNorm, NormKind, Phase, Residual};
pub use mlp::{Linear, Mlp};
pub use node_edge_combiner::{NodeEdgeCombiner, edge_to_node};
pub use parameter_tracker::{ParameterTracker, TrackedParameters};
pub use ppgn::Ppgn;
pub use silu_mlp::SiluMlp;
pub use sinusoid::{sinusoid, sinusoid_of_both_ends, sinusoid_of_whole_frequencies};
pub use temporal_attention::TemporalAttention;
pub use time_features::{TimeFeatures, time_features};
