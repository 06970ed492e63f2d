//! Layer sizes of the score networks, with the field names the released configurations use.

use equidrift_nn::AttentionShape;
use serde::{Deserialize, Serialize};

/// Largest extent accepted for any layer. A hostile configuration must not make the reader reserve memory.
const MAX_WIDTH: usize = 4096;
/// Largest number of layers accepted.
const MAX_DEPTH: usize = 64;
/// Most features of the time accepted.
pub(crate) const MAX_TIME_FEATURES: usize = 64;

// Serde hands the field over by reference.
#[expect(clippy::trivially_copy_pass_by_ref)]
fn is_zero(value: &usize) -> bool {
    *value == 0
}

/// The two networks of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworksConfig {
    /// Node-feature score network.
    pub x: NodeNetworkConfig,
    /// Adjacency score network.
    pub adj: EdgeNetworkConfig,
}

/// Which network gives the score of the node features.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "model_type")]
pub enum NodeNetworkConfig {
    /// Graph convolutions.
    ScoreNetworkX(ScoreNetworkXConfig),
    /// Graph multi-head attention.
    #[serde(rename = "ScoreNetworkX_GMH")]
    ScoreNetworkXGmh(ScoreNetworkXGmhConfig),
}

/// Which network gives the score of the adjacency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "model_type")]
pub enum EdgeNetworkConfig {
    /// Graph multi-head attention over powers of the adjacency.
    ScoreNetworkA(ScoreNetworkAConfig),
}

/// How attention units project queries and keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Projection {
    /// By a graph convolution.
    #[default]
    #[serde(rename = "GCN")]
    Gcn,
}

/// Sizes of the convolutional node network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreNetworkXConfig {
    /// `F`, features per node.
    pub max_feat_num: usize,
    /// Number of graph convolutions.
    pub depth: usize,
    /// Width of each.
    pub nhid: usize,
    /// Features of the time that each perceptron takes beside its inputs ([`equidrift_nn::TimeFeatures`]). The published
    /// networks have none: they are not told the noise level.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub time_features: usize,
}

impl ScoreNetworkXConfig {
    /// Width of the concatenation `[h_0, ..., h_depth]` that the final perceptron sees.
    pub fn concatenated(&self) -> usize {
        self.max_feat_num + self.depth * self.nhid
    }
}

/// Sizes of the attention node network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreNetworkXGmhConfig {
    /// `F`, features per node.
    pub max_feat_num: usize,
    /// Number of attention layers.
    pub depth: usize,
    /// Width of the node features between layers.
    pub nhid: usize,
    /// Linear maps in each edge perceptron.
    pub num_linears: usize,
    /// Powers of the adjacency at the input.
    pub c_init: usize,
    /// Edge channels between layers.
    pub c_hid: usize,
    /// Edge channels after the last layer.
    pub c_final: usize,
    /// Width of queries and keys after the first layer.
    pub adim: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Projection of queries and keys.
    #[serde(default)]
    pub conv: Projection,
    /// Features of the time that each perceptron takes beside its inputs ([`equidrift_nn::TimeFeatures`]). The published
    /// networks have none: they are not told the noise level.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub time_features: usize,
}

impl ScoreNetworkXGmhConfig {
    /// Width of the concatenation `[x, h_1, ..., h_depth]` that the final perceptron sees.
    pub fn concatenated(&self) -> usize {
        self.max_feat_num + self.depth * self.nhid
    }

    /// The attention layers from input to output.
    pub fn layers(&self) -> Vec<AttentionLayerSize> {
        attention_layers(&AttentionStack {
            layers: self.depth,
            features: self.max_feat_num,
            nhid: self.nhid,
            adim: self.adim,
            channels: (self.c_init, self.c_hid, self.c_final),
            num_linears: self.num_linears,
            num_heads: self.num_heads,
            time: self.time_features,
        })
    }
}

/// Sizes of the adjacency network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreNetworkAConfig {
    /// `F`, features per node.
    pub max_feat_num: usize,
    /// Nodes of the largest training graph. The weights work for any number of nodes.
    pub max_node_num: usize,
    /// Width of the node features between layers.
    pub nhid: usize,
    /// Number of attention layers, at least 2.
    pub num_layers: usize,
    /// Linear maps in each edge perceptron.
    pub num_linears: usize,
    /// Powers of the adjacency at the input.
    pub c_init: usize,
    /// Edge channels between layers.
    pub c_hid: usize,
    /// Edge channels after the last layer.
    pub c_final: usize,
    /// Width of queries and keys after the first layer.
    pub adim: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Projection of queries and keys.
    #[serde(default)]
    pub conv: Projection,
    /// Features of the time that each perceptron takes beside its inputs ([`equidrift_nn::TimeFeatures`]). The published
    /// networks have none: they are not told the noise level.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub time_features: usize,
}

impl ScoreNetworkAConfig {
    /// Channels of the concatenation `[a_0, ..., a_L]` that the final perceptron sees.
    pub fn concatenated(&self) -> usize {
        self.c_init + self.c_hid * (self.num_layers - 1) + self.c_final
    }

    /// The attention layers from input to output.
    pub fn layers(&self) -> Vec<AttentionLayerSize> {
        attention_layers(&AttentionStack {
            layers: self.num_layers,
            features: self.max_feat_num,
            nhid: self.nhid,
            adim: self.adim,
            channels: (self.c_init, self.c_hid, self.c_final),
            num_linears: self.num_linears,
            num_heads: self.num_heads,
            time: self.time_features,
        })
    }
}

/// Sizes of one attention layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionLayerSize {
    /// Width of the node features that come in.
    pub node_in: usize,
    /// Width of queries and keys.
    pub attention: usize,
    /// Width of values and of the node features that go out.
    pub node_out: usize,
    /// Edge channels that come in.
    pub channels_in: usize,
    /// Edge channels that go out.
    pub channels_out: usize,
    /// Linear maps in the edge perceptron.
    pub num_linears: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Features of the time that both perceptrons take.
    pub time: usize,
}

impl AttentionLayerSize {
    /// Width of the hidden layers of both perceptrons.
    pub fn hidden(&self) -> usize {
        2 * self.channels_in.max(self.channels_out)
    }

    /// The same as the layer takes it.
    pub fn shape(&self) -> AttentionShape {
        AttentionShape {
            node_in: self.node_in,
            attention: self.attention,
            node_out: self.node_out,
            channels_in: self.channels_in,
            channels_out: self.channels_out,
            hidden: self.hidden(),
            edge_maps: self.num_linears,
            heads: self.num_heads,
            time: self.time,
        }
    }
}

struct AttentionStack {
    layers: usize,
    features: usize,
    nhid: usize,
    adim: usize,
    channels: (usize, usize, usize),
    num_linears: usize,
    num_heads: usize,
    time: usize,
}

fn attention_layers(stack: &AttentionStack) -> Vec<AttentionLayerSize> {
    let (c_init, c_hid, c_final) = stack.channels;
    (0..stack.layers)
        .map(|layer| {
            let first = layer == 0;
            let last = layer + 1 == stack.layers && !first;
            AttentionLayerSize {
                node_in: if first { stack.features } else { stack.nhid },
                attention: if first { stack.nhid } else { stack.adim },
                node_out: stack.nhid,
                channels_in: if first { c_init } else { c_hid },
                channels_out: if last { c_final } else { c_hid },
                num_linears: stack.num_linears,
                num_heads: stack.num_heads,
                time: stack.time,
            }
        })
        .collect()
}

/// A size in a configuration that no network can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkConfigError {
    /// A size outside its range.
    #[error("{network}: `{field}` is {found}, expected {minimum} to {maximum}")]
    OutOfRange {
        /// `"x"` or `"adj"`.
        network: &'static str,
        /// Field of the configuration.
        field: &'static str,
        /// Its value.
        found: usize,
        /// Least value allowed.
        minimum: usize,
        /// Largest value allowed.
        maximum: usize,
    },
    /// The width of queries and keys cannot be cut into equal heads.
    #[error("{network}: attention width {width} is not a multiple of {heads} heads")]
    Heads {
        /// `"x"` or `"adj"`.
        network: &'static str,
        /// Width of queries and keys.
        width: usize,
        /// Number of heads.
        heads: usize,
    },
    /// The networks disagree about the number of features.
    #[error("`max_feat_num` differs: {x} in the node network, {adj} in the edge network")]
    Features {
        /// In the node network.
        x: usize,
        /// In the edge network.
        adj: usize,
    },
}

impl NetworksConfig {
    /// `F`, features per node.
    pub fn features(&self) -> usize {
        self.adj_sizes().max_feat_num
    }

    /// Features of the time that either network needs; 0 if neither is told the time.
    pub fn time_features(&self) -> usize {
        let x = match &self.x {
            NodeNetworkConfig::ScoreNetworkX(x) => x.time_features,
            NodeNetworkConfig::ScoreNetworkXGmh(x) => x.time_features,
        };
        x.max(self.adj_sizes().time_features)
    }

    /// The sizes of the adjacency network.
    pub fn adj_sizes(&self) -> &ScoreNetworkAConfig {
        let EdgeNetworkConfig::ScoreNetworkA(sizes) = &self.adj;
        sizes
    }

    /// Checks that networks of these sizes exist.
    ///
    /// # Errors
    /// [`NetworkConfigError`] with the offending field.
    pub fn check(&self) -> Result<(), NetworkConfigError> {
        let a = self.adj_sizes();
        let range = |network, field, found, minimum, maximum| {
            if (minimum..=maximum).contains(&found) {
                Ok(())
            } else {
                Err(NetworkConfigError::OutOfRange { network, field, found, minimum, maximum })
            }
        };
        let features = match &self.x {
            NodeNetworkConfig::ScoreNetworkX(x) => {
                range("x", "depth", x.depth, 1, MAX_DEPTH)?;
                range("x", "nhid", x.nhid, 1, MAX_WIDTH)?;
                x.max_feat_num
            }
            NodeNetworkConfig::ScoreNetworkXGmh(x) => {
                range("x", "depth", x.depth, 1, MAX_DEPTH)?;
                range("x", "nhid", x.nhid, 1, MAX_WIDTH)?;
                range("x", "num_linears", x.num_linears, 1, MAX_DEPTH)?;
                range("x", "c_init", x.c_init, 1, MAX_WIDTH)?;
                range("x", "c_hid", x.c_hid, 1, MAX_WIDTH)?;
                range("x", "c_final", x.c_final, 1, MAX_WIDTH)?;
                check_heads("x", &x.layers())?;
                x.max_feat_num
            }
        };
        range("x", "max_feat_num", features, 1, MAX_WIDTH)?;
        range("x or adj", "time_features", self.time_features(), 0, MAX_TIME_FEATURES)?;
        if features != a.max_feat_num {
            return Err(NetworkConfigError::Features { x: features, adj: a.max_feat_num });
        }
        range("adj", "max_node_num", a.max_node_num, 1, 1 << 20)?;
        range("adj", "nhid", a.nhid, 1, MAX_WIDTH)?;
        // With one layer the released network would be built with c_hid channels and read with c_final.
        range("adj", "num_layers", a.num_layers, 2, MAX_DEPTH)?;
        range("adj", "num_linears", a.num_linears, 1, MAX_DEPTH)?;
        range("adj", "c_init", a.c_init, 1, MAX_WIDTH)?;
        range("adj", "c_hid", a.c_hid, 1, MAX_WIDTH)?;
        range("adj", "c_final", a.c_final, 1, MAX_WIDTH)?;
        check_heads("adj", &a.layers())
    }
}

fn check_heads(network: &'static str, layers: &[AttentionLayerSize]) -> Result<(), NetworkConfigError> {
    for layer in layers {
        let (width, heads) = (layer.attention, layer.num_heads);
        if heads == 0 || width == 0 || width > MAX_WIDTH || width % heads != 0 {
            return Err(NetworkConfigError::Heads { network, width, heads });
        }
    }
    Ok(())
}
