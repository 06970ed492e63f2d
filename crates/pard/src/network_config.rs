//! Sizes and choices of Pard's networks.

use equidrift_nn::{HigherOrderShape, NormKind, PairMean, Residual, Streams};
use serde::{Deserialize, Serialize};

use crate::error::PardError;

/// Longest walks accepted: each is a product of matrices.
const MAX_WALKS: usize = 64;

/// The normalisation of all layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// Batch norm over real entries.
    Batch,
    /// Layer norm over channels.
    Layer,
}

/// How the networks know the time t in 1..T.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeEmbedding {
    /// Sines and cosines at frequencies from 1 to 1/10,000.
    #[default]
    Sinusoid,
    /// With the frequencies cut to whole numbers, as in the published programme: only sin t and cos t are known.
    WholeFrequencies,
}

/// Which nodes of the denoiser are told the time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeOf {
    /// All, also those of finished blocks, as in the published programme.
    #[default]
    All,
    /// Those of the block that is being generated. Finished blocks are then the same at every step: while a graph is generated,
    /// nothing of them is computed twice.
    Virtual,
}

impl TimeOf {
    fn is_all(&self) -> bool {
        *self == Self::All
    }
}

/// What a layer's branches are added to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResidualOf {
    /// The value before the norm.
    #[default]
    Input,
    /// The normalised value, as the published programme computes with batch norm.
    Normalised,
}

/// How the blocks of a graph are presented to the denoiser.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sequence {
    /// All blocks in one pass: the graph and a virtual copy of it, under causal masks.
    #[default]
    Doubled,
    /// Every prefix of blocks as a graph of its own.
    Prefixes,
}

/// Which pairs the heads' means take while training on prefixes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrefixMean {
    /// All, in training as in generation.
    #[default]
    All,
    /// Those to the same or earlier blocks, as in the published training step (its generation takes all).
    Causal,
}

/// One network for both tasks, or two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tasks {
    /// A denoiser and a model of block sizes and degrees.
    #[default]
    Separate,
    /// The denoiser has the heads for sizes and degrees; its time goes to virtual nodes only.
    Combined,
    /// A denoiser alone, for graphs that are one block each.
    DenoiserOnly,
}

/// Everything that decides which parameters the networks have and what they compute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Classes of nodes, the last of them virtual.
    pub node_classes: usize,
    /// Classes of edges: 0 is no edge, the last is virtual.
    pub edge_classes: usize,
    /// Width of the nodes.
    pub hidden: usize,
    /// Width of the pairs; 0 merges the nodes into pairs of width `hidden`.
    pub edge: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// The normalisation.
    pub norm: Norm,
    /// What branches are added to.
    #[serde(default)]
    pub residual: ResidualOf,
    /// The time's embedding.
    #[serde(default)]
    pub time: TimeEmbedding,
    /// Which nodes are told it; in a [combined](Tasks::Combined) network virtual ones.
    #[serde(default, skip_serializing_if = "TimeOf::is_all")]
    pub time_of: TimeOf,
    /// Without PPGN.
    #[serde(default)]
    pub transformer_only: bool,
    /// Whether nodes know the number of their block.
    pub absolute_blocks: bool,
    /// Whether pairs know the difference of their blocks.
    pub relative_blocks: bool,
    /// How blocks are presented.
    #[serde(default)]
    pub sequence: Sequence,
    /// The heads' means on prefixes.
    #[serde(default)]
    pub prefix_mean: PrefixMean,
    /// One network or two.
    #[serde(default)]
    pub tasks: Tasks,
    /// Longest random walk between nodes whose probability the denoiser knows; 0: none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub walks: usize,
    /// Whether nodes of the denoiser know the size of their block.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sizes_of_blocks: bool,
    /// Blocks that a graph may have (and rounds of generation).
    pub max_blocks: usize,
    /// Classes of block sizes: the largest size and 1 more for 0.
    pub block_sizes: usize,
    /// Classes of block degrees: the largest degree and 1 more for 0.
    pub block_degrees: usize,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl NetworkConfig {
    /// Checks that the sizes make a network.
    ///
    /// # Errors
    /// [`PardError::Setting`] naming the first that does not.
    pub fn check(&self) -> Result<(), PardError> {
        let check = |setting, value: usize, good: bool, expected| {
            if good { Ok(()) } else { Err(PardError::Setting { setting, value, expected }) }
        };
        check("node_classes", self.node_classes, self.node_classes >= 2, "at least 2")?;
        check("edge_classes", self.edge_classes, self.edge_classes >= 3, "at least 3")?;
        let even = self.hidden > 0 && self.hidden.is_multiple_of(2);
        check("hidden", self.hidden, even, "an even width above 0")?;
        check("edge", self.edge, self.edge.is_multiple_of(2), "an even width, or 0")?;
        if self.streams() != Streams::PairsOnly {
            let fits = self.heads > 0 && self.hidden.is_multiple_of(self.heads);
            check("heads", self.heads, fits, "a divisor of the width of the nodes")?;
        }
        check("layers", self.layers, self.layers > 0, "at least 1")?;
        check("walks", self.walks, self.walks <= MAX_WALKS, "at most 64")?;
        check("max_blocks", self.max_blocks, self.max_blocks > 0, "at least 1")?;
        check("block_sizes", self.block_sizes, self.block_sizes >= 2, "at least 2")?;
        check("block_degrees", self.block_degrees, self.block_degrees >= 1, "at least 1")
    }

    /// Which nodes of the denoiser are told the time in fact.
    pub(crate) fn timed_nodes(&self) -> TimeOf {
        match self.tasks {
            Tasks::Combined => TimeOf::Virtual,
            Tasks::Separate | Tasks::DenoiserOnly => self.time_of,
        }
    }

    /// Whether finished blocks are the same at every step, and what later ones look at is kept while a graph is generated (by the
    /// fused engine).
    #[must_use]
    pub fn keeps_finished_blocks(&self) -> bool {
        self.tasks == Tasks::Separate && self.time_of == TimeOf::Virtual
    }

    /// Which layers the networks have.
    #[must_use]
    pub fn streams(&self) -> Streams {
        match (self.edge, self.transformer_only) {
            (0, _) => Streams::PairsOnly,
            (_, true) => Streams::TransformerOnly,
            (_, false) => Streams::Both,
        }
    }

    /// Width of the pairs in fact.
    #[must_use]
    pub fn pair_width(&self) -> usize {
        if self.edge == 0 { self.hidden } else { self.edge }
    }

    /// The sizes as the layers know them.
    #[must_use]
    pub fn shape(&self) -> HigherOrderShape {
        HigherOrderShape {
            hidden: self.hidden,
            edge: self.pair_width(),
            heads: self.heads,
            norm: self.norm_kind(),
            residual: match self.residual {
                ResidualOf::Input => Residual::Input,
                ResidualOf::Normalised => Residual::Normalised,
            },
        }
    }

    pub(crate) fn norm_kind(&self) -> NormKind {
        match self.norm {
            Norm::Batch => NormKind::Batch,
            Norm::Layer => NormKind::Layer,
        }
    }

    /// Over which pairs the denoiser's head takes means when it is trained on prefixes.
    #[must_use]
    pub fn training_mean(&self) -> PairMean {
        match self.prefix_mean {
            PrefixMean::All => PairMean::All,
            PrefixMean::Causal => PairMean::Causal,
        }
    }
}
