//! What every model says of itself, whatever its family.

use serde::{Deserialize, Serialize};

/// What the generated graphs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Nodes are elements, edges bond orders 0 to 3.
    Molecules,
    /// Edges are there or not.
    Graphs,
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
