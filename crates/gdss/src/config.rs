//! What a model folder's `config.json` says.

use std::collections::BTreeMap;

pub use equidrift_backend::model_description::{BondsConfig, SamplingWeights, Task, Vocabulary};
use equidrift_sampler::path::DataMoments;
use equidrift_sampler::{PathConfig, PredictionKind, SamplerConfig, SamplerError};
use serde::{Deserialize, Serialize};

use crate::network_config::{NetworkConfigError, NetworksConfig};

/// The library that writes and reads these folders.
pub const LIBRARY: &str = "equidrift";
/// The family of models in this crate.
pub const FAMILY: &str = "gdss";
/// Version of the folder's layout.
pub const FORMAT_VERSION: u32 = 1;

/// Largest number of nodes accepted in a configuration.
const MAX_NODES: usize = 100_000;
/// Largest number of steps accepted in a configuration.
const MAX_STEPS: usize = 1_000_000;

/// A complete GDSS model, apart from its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GdssConfig {
    /// Always [`LIBRARY`].
    pub library: String,
    /// [`FORMAT_VERSION`] of the writer.
    pub format_version: u32,
    /// Always [`FAMILY`].
    pub family: String,
    /// Name of the model, for people.
    pub name: String,
    /// What the graphs are.
    pub task: Task,
    /// Nodes of the largest graph.
    pub max_nodes: usize,
    /// What the node features mean; `None` for plain graphs, whose features are one-hot degrees.
    pub vocabulary: Option<Vocabulary>,
    /// What the entries of the adjacency of molecules stand for; absent for bond orders.
    #[serde(default, skip_serializing_if = "BondsConfig::are_orders")]
    pub bonds: BondsConfig,
    /// Layer sizes.
    pub networks: NetworksConfig,
    /// Noising paths.
    pub paths: PathsConfig,
    /// The sampler to use unless another is asked for.
    pub sampler: SamplerConfig,
    /// Its number of steps.
    pub steps: usize,
    /// How many training graphs had each number of nodes; `None` where that is not known.
    pub node_counts: Option<BTreeMap<usize, u64>>,
    /// Mean and variance of the entries of the training graphs' adjacency matrices, between different nodes; absent where
    /// that is not known. What the noised data are at the start of sampling follows from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge_moments: Option<DataMoments>,
    /// Which of the trained weights are in the folder.
    pub sampling_weights: SamplingWeights,
    /// Where the weights come from, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// Noising paths of both components.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathsConfig {
    /// Of the node features.
    pub x: PathConfig,
    /// Of the adjacency.
    pub adj: PathConfig,
    /// What the networks return; by default what the published ones do: the score where the path explodes, else the noise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictions: Option<PredictionsConfig>,
    /// Factors on the data before they are noised.
    #[serde(default, skip_serializing_if = "ScalesConfig::are_one")]
    pub scales: ScalesConfig,
}

/// What each network returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictionsConfig {
    /// The node network.
    pub x: PredictionKind,
    /// The edge network.
    pub adj: PredictionKind,
}

/// Factors on the clean data of both components. Samplers and networks see the scaled data; a sample is divided by them
/// before it is decoded. With unit second moments a path that preserves variance keeps them at one at all times.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScalesConfig {
    /// On the one-hot node features.
    pub x: f64,
    /// On the entries of the adjacency.
    pub adj: f64,
}

impl Default for ScalesConfig {
    fn default() -> Self {
        Self { x: 1.0, adj: 1.0 }
    }
}

impl ScalesConfig {
    fn are_one(&self) -> bool {
        *self == Self::default()
    }
}

impl PathsConfig {
    /// Unscaled data and networks that return what the published ones do.
    #[must_use]
    pub const fn published(x: PathConfig, adj: PathConfig) -> Self {
        Self { x, adj, predictions: None, scales: ScalesConfig { x: 1.0, adj: 1.0 } }
    }

    /// What each network returns, the node network first.
    #[must_use]
    pub fn kinds(&self) -> [PredictionKind; 2] {
        let published = |path: &PathConfig| match path {
            PathConfig::VarianceExploding { .. } => PredictionKind::Score,
            _ => PredictionKind::Noise,
        };
        self.predictions.map_or_else(
            || [published(&self.x), published(&self.adj)],
            |PredictionsConfig { x, adj }| [x, adj],
        )
    }
}

/// What can be wrong with a configuration that is well-formed JSON.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Another library's, family's or version's file.
    #[error("`{field}` is `{found}`, expected `{expected}`")]
    Identity {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// The value this crate reads.
        expected: String,
    },
    /// A number outside its range.
    #[error("`{field}` is {found}, expected {minimum} to {maximum}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its value.
        found: usize,
        /// Least value allowed.
        minimum: usize,
        /// Largest value allowed.
        maximum: usize,
    },
    /// The vocabulary does not fit the networks.
    #[error("the vocabulary has {found} atoms, the networks have {expected} features per node")]
    Vocabulary {
        /// Features of the networks.
        expected: usize,
        /// Entries of the vocabulary.
        found: usize,
    },
    /// Graphs have no bonds.
    #[error("`bonds` is for task `molecules`")]
    BondsOfGraphs,
    /// Molecules need a vocabulary.
    #[error("task `molecules` needs a `vocabulary`")]
    NoVocabulary,
    /// A histogram of node counts that cannot be drawn from.
    #[error(
        "`node_counts`: {count} graphs with {nodes} nodes: expected positive counts for 1 to {max_nodes} nodes"
    )]
    NodeCounts {
        /// The offending number of nodes (0 if the histogram is empty).
        nodes: usize,
        /// Its count.
        count: u64,
        /// Nodes of the largest graph.
        max_nodes: usize,
    },
    /// A factor that cannot be undone.
    #[error("`paths.scales.{component}` is {scale}, expected a positive number")]
    Scale {
        /// `"x"` or `"adj"`.
        component: &'static str,
        /// Its value.
        scale: f64,
    },
    /// Layer sizes.
    #[error("networks: {0}")]
    Networks(#[from] NetworkConfigError),
    /// Paths.
    #[error("paths: {0}")]
    Paths(#[from] SamplerError),
}

impl GdssConfig {
    /// Checks everything that can be checked without the weights.
    ///
    /// # Errors
    /// [`ConfigError`] with the offending field.
    pub fn check(&self) -> Result<(), ConfigError> {
        let identity = |field, found: &str, expected: &str| {
            if found == expected {
                Ok(())
            } else {
                Err(ConfigError::Identity { field, found: found.to_owned(), expected: expected.to_owned() })
            }
        };
        identity("library", &self.library, LIBRARY)?;
        identity("family", &self.family, FAMILY)?;
        identity("format_version", &self.format_version.to_string(), &FORMAT_VERSION.to_string())?;
        let range = |field, found, maximum| {
            if (1..=maximum).contains(&found) {
                Ok(())
            } else {
                Err(ConfigError::OutOfRange { field, found, minimum: 1, maximum })
            }
        };
        range("max_nodes", self.max_nodes, MAX_NODES)?;
        range("steps", self.steps, MAX_STEPS)?;
        self.networks.check()?;
        self.paths.x.validate()?;
        self.paths.adj.validate()?;
        for (component, scale) in [("x", self.paths.scales.x), ("adj", self.paths.scales.adj)] {
            if !(scale > 0.0 && scale.is_finite()) {
                return Err(ConfigError::Scale { component, scale });
            }
        }
        match (self.task, &self.vocabulary) {
            (Task::Graphs, _) if !self.bonds.are_orders() => return Err(ConfigError::BondsOfGraphs),
            (Task::Molecules, None) => return Err(ConfigError::NoVocabulary),
            (Task::Molecules, Some(Vocabulary { atoms })) if atoms.len() != self.networks.features() => {
                let expected = self.networks.features();
                return Err(ConfigError::Vocabulary { expected, found: atoms.len() });
            }
            _ => {}
        }
        self.node_counts.as_ref().map_or(Ok(()), |counts| check_node_counts(counts, self.max_nodes))
    }
}

fn check_node_counts(counts: &BTreeMap<usize, u64>, max_nodes: usize) -> Result<(), ConfigError> {
    if counts.is_empty() {
        return Err(ConfigError::NodeCounts { nodes: 0, count: 0, max_nodes });
    }
    match counts.iter().find(|&(&nodes, &count)| nodes == 0 || nodes > max_nodes || count == 0) {
        Some((&nodes, &count)) => Err(ConfigError::NodeCounts { nodes, count, max_nodes }),
        None => Ok(()),
    }
}
