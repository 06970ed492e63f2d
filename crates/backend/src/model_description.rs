//! What every model says of itself, whatever its family.

use serde::{Deserialize, Serialize};

/// What the generated graphs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Nodes are elements, edges the levels of [`BondsConfig`].
    Molecules,
    /// Edges are there or not.
    Graphs,
}

/// What the entries of the adjacency of molecules, or their classes of edges, stand for. Of numbers, a sample's entry is read as
/// the nearest level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BondsConfig {
    /// Bond orders of a Kekulé form: none 0, single 1, double 2, triple 3.
    #[default]
    Orders,
    /// None 0, single 1, aromatic 2, double 3, triple 4. Aromatic bonds are kekulised when a sample is decoded.
    Aromatic,
}

impl BondsConfig {
    /// Whether it is the default, which is not written.
    #[must_use]
    pub fn are_orders(&self) -> bool {
        *self == Self::Orders
    }
}

/// What the node features or classes of molecules mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vocabulary {
    /// Element symbols in the order of the features.
    pub atoms: Vec<String>,
}

/// Which weights of a training run are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SamplingWeights {
    /// Those of the last step.
    Raw,
    /// Their exponential moving average.
    Ema,
}
