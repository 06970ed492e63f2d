//! What a model folder's `config.json` says.

use std::collections::BTreeMap;

use equidrift_backend::model_description::{BondsConfig, SamplingWeights, Task, Vocabulary};
use equidrift_graph::BlockDegree;
use equidrift_sampler::{CategoricalDiffusion, KeepSchedule};
use serde::{Deserialize, Serialize};

use crate::block_denoising::LossWeights;
use crate::denoising_loss::GraphDiffusion;
use crate::error::PardError;
use crate::network_config::{NetworkConfig, Tasks};
use crate::reverse_step::ReverseStep;
use crate::step_grid::StepGrid;

/// The library that writes and reads these folders.
pub const LIBRARY: &str = "equidrift";
/// The family of models in this crate.
pub const FAMILY: &str = "pard";
/// Version of the folder's layout.
pub const FORMAT_VERSION: u32 = 1;

/// Largest number of nodes accepted in a configuration.
pub(crate) const MAX_NODES: usize = 100_000;
/// Largest number of steps accepted in a configuration: they have 16 bits in the counters of the draws.
const MAX_STEPS: usize = 65_535;

/// A complete Pard model, apart from its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PardConfig {
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
    /// What the node classes mean; `None` for plain graphs, whose nodes are all alike.
    pub vocabulary: Option<Vocabulary>,
    /// What the classes of edges of molecules mean.
    #[serde(default, skip_serializing_if = "BondsConfig::are_orders")]
    pub bonds: BondsConfig,
    /// Layer sizes and choices.
    pub network: NetworkConfig,
    /// Hops of the structural order; 0 makes every graph one block.
    pub max_hops: usize,
    /// The recorded degree of a block.
    pub block_degree: BlockDegree,
    /// Noise.
    pub diffusion: DiffusionConfig,
    /// How many training graphs had a first block of each size; empty where that is not known, and then no graph can be
    /// generated.
    #[serde(default)]
    pub first_sizes: BTreeMap<usize, u64>,
    /// Network calls per block, unless others are asked for.
    pub steps: usize,
    /// Their steps.
    #[serde(default)]
    pub grid: StepGrid,
    /// How each draws classes.
    #[serde(default, skip_serializing_if = "ReverseStep::is_posterior")]
    pub reverse_step: ReverseStep,
    /// Which of the trained weights are in the folder.
    pub sampling_weights: SamplingWeights,
    /// The loss that the networks were trained with, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<LossWeights>,
    /// Where the weights come from, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// The diffusions of node and edge classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiffusionConfig {
    /// How the share of kept classes falls.
    pub schedule: KeepSchedule,
    /// T.
    pub steps: usize,
    /// The law of noise of node classes.
    pub node_noise: Vec<f64>,
    /// Of edge classes.
    pub edge_noise: Vec<f64>,
}

impl DiffusionConfig {
    /// The diffusions.
    ///
    /// # Errors
    /// [`PardError::Diffusion`].
    pub fn build(&self) -> Result<GraphDiffusion, PardError> {
        let of = |noise: &[f64]| CategoricalDiffusion::new(self.schedule, self.steps, noise.to_vec());
        Ok(GraphDiffusion { nodes: of(&self.node_noise)?, edges: of(&self.edge_noise)? })
    }
}

impl PardConfig {
    /// Checks everything that can be checked without the weights.
    ///
    /// # Errors
    /// [`PardError::Config`] with the offending field, [`PardError::Setting`], [`PardError::Diffusion`].
    pub fn check(&self) -> Result<(), PardError> {
        let refuse =
            |field, found: String, expected: String| Err(PardError::Config { field, found, expected });
        for (field, found, expected) in [
            ("library", self.library.clone(), LIBRARY.to_owned()),
            ("family", self.family.clone(), FAMILY.to_owned()),
            ("format_version", self.format_version.to_string(), FORMAT_VERSION.to_string()),
        ] {
            if found != expected {
                return refuse(field, found, expected);
            }
        }
        let range = |field, found: usize, maximum: usize| match found {
            0 => refuse(field, found.to_string(), format!("1 to {maximum}")),
            _ if found > maximum => refuse(field, found.to_string(), format!("1 to {maximum}")),
            _ => Ok(()),
        };
        range("max_nodes", self.max_nodes, MAX_NODES)?;
        range("diffusion.steps", self.diffusion.steps, MAX_STEPS)?;
        range("steps", self.steps, self.diffusion.steps)?;
        self.network.check()?;
        self.grid.check()?;
        self.reverse_step.check()?;
        self.diffusion.build()?;
        let NetworkConfig { node_classes, edge_classes, tasks, .. } = self.network;
        for (field, found, expected) in [
            ("diffusion.node_noise", self.diffusion.node_noise.len(), node_classes),
            ("diffusion.edge_noise", self.diffusion.edge_noise.len(), edge_classes),
        ] {
            if found != expected {
                return refuse(field, format!("{found} classes"), format!("{expected}"));
            }
        }
        match (self.task, &self.vocabulary) {
            (Task::Molecules, None) => {
                return refuse("vocabulary", "absent".to_owned(), "the elements of molecules".to_owned());
            }
            (_, Some(vocabulary)) if vocabulary.atoms.len() + 1 != node_classes => {
                let found = format!("{} elements", vocabulary.atoms.len());
                return refuse("vocabulary", found, format!("{}", node_classes - 1));
            }
            _ => {}
        }
        if tasks == Tasks::DenoiserOnly && self.max_hops > 0 {
            let expected = "0 for a denoiser alone, which makes graphs of one block".to_owned();
            return refuse("max_hops", self.max_hops.to_string(), expected);
        }
        let largest = self.first_sizes.keys().next_back().copied().unwrap_or(0);
        let none = !self.first_sizes.is_empty() && self.first_sizes.values().all(|&count| count == 0);
        if none || largest >= self.network.block_sizes {
            let expected = format!("sizes from 1 to {}", self.network.block_sizes - 1);
            return refuse("first_sizes", format!("{largest} as the largest"), expected);
        }
        Ok(())
    }

    /// How often each size (0, 1, ...) of a first block occurs.
    ///
    /// # Errors
    /// [`PardError::NoFirstSizes`].
    pub fn first_size_frequencies(&self) -> Result<Vec<f64>, PardError> {
        let Some(&largest) = self.first_sizes.keys().next_back() else {
            return Err(PardError::NoFirstSizes { model: self.name.clone() });
        };
        let count = |size| self.first_sizes.get(&size).map_or(0.0, |&count| count as f64);
        Ok((0..=largest).map(count).collect())
    }
}
