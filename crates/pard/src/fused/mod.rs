//! The networks on the processor, in single precision: one graph at a time, so that everything stays in the caches, with vectors
//! of the machine's width along the units of nodes and pairs.
//!
//! The same mathematics as [`PardNetworks`](crate::PardNetworks), but only what has influence on the result is computed: pairs
//! of which one end sees the other, logits of the elements that are asked for, and both directions of a pair together where
//! the head adds them. A graph is computed at its own size.
//!
//! Guarantees:
//! - A graph's logits have the same bits for every batch size, company, padding and number of threads.
//! - A gradient is a sum over graphs, in an order that depends on the batch alone: in single precision over chunks of 32 graphs,
//!   then in double precision over chunks. So it does not depend on the number of threads either.
//!
//! Memory of a call: about 20 numbers for each pair and unit of a pair, of one graph for each thread; for gradients besides 3 for
//! each pair, unit and layer.

mod block_model;
mod class_head;
mod combiner;
mod denoiser;
mod embedding;
mod graph_view;
mod growth;
mod node_transform;
mod normed_mlp;
mod pair_product;
mod pair_rows;
mod parallel;
mod perceptron;
mod phi;
mod ppgn;
mod table;
mod transformer;
mod transformer_backward;
mod trunk;
mod walks;

use std::num::NonZeroUsize;

pub use equidrift_backend::kernels::Instructions;
use equidrift_backend::weights::ParameterSet;
use pulp::Arch;

use self::block_model::BlockModel;
use self::denoiser::Denoiser;
pub use self::growth::{Growing, Growth};
use crate::block_batch::{BlockBatch, BlockQuestions, Targets};
use crate::error::PardError;
use crate::inputs::check_known;
use crate::network_config::{NetworkConfig, Norm, ResidualOf, Sequence, Tasks};
use crate::networks::DenoiserBatch;

/// The networks of a model with their parameters in packed form.
#[derive(Debug, Clone)]
pub struct FusedNetworks {
    config: NetworkConfig,
    denoiser: Denoiser,
    /// None for a denoiser alone.
    block_model: Option<BlockModel>,
    arch: Arch,
    threads: NonZeroUsize,
}

/// Losses of a batch, and their gradient.
#[derive(Debug, Clone)]
pub struct FusedLosses<const K: usize> {
    /// Cross-entropies, as sums over what is asked, divided by the number of graphs.
    pub losses: [f64; K],
    /// By name; empty where none was asked for.
    pub gradient: ParameterSet,
}

impl FusedNetworks {
    /// What networks of this configuration have that this engine does not compute.
    #[must_use]
    pub fn missing(config: &NetworkConfig) -> Option<&'static str> {
        if config.norm == Norm::Batch {
            return Some("batch norm");
        }
        if config.residual == ResidualOf::Normalised {
            return Some("the normalised value as residual");
        }
        if config.sequence == Sequence::Prefixes {
            return Some("networks on prefixes");
        }
        if config.tasks == Tasks::Combined {
            return Some("one network for both tasks");
        }
        (config.edge == 0).then_some("networks of pairs alone")
    }

    /// Packs the parameters. `threads` share the graphs of a call.
    ///
    /// # Errors
    /// [`PardError::NotFused`] if the networks have what is [missing](Self::missing) here, or the machine lacks the
    /// instructions; [`PardError::Layer`] if a parameter is missing or has another shape.
    pub fn new(
        config: &NetworkConfig,
        parameters: &ParameterSet,
        threads: NonZeroUsize,
        instructions: Instructions,
    ) -> Result<Self, PardError> {
        config.check()?;
        if let Some(what) = Self::missing(config) {
            return Err(PardError::NotFused { what });
        }
        let arch = instructions.arch().ok_or(PardError::NotFused { what: "these vector instructions" })?;
        Ok(Self {
            denoiser: Denoiser::read(parameters, config)?,
            block_model: match config.tasks {
                Tasks::DenoiserOnly => None,
                _ => Some(BlockModel::read(parameters, config)?),
            },
            config: config.clone(),
            arch,
            threads,
        })
    }

    /// The networks' configuration.
    #[must_use]
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// Whether there are heads for sizes and degrees of blocks.
    #[must_use]
    pub fn has_block_heads(&self) -> bool {
        self.block_model.is_some()
    }

    fn how(&self) -> (Arch, NonZeroUsize) {
        (self.arch, self.threads)
    }

    fn block_model(&self) -> Result<&BlockModel, PardError> {
        self.block_model.as_ref().ok_or(PardError::NoBlockModel)
    }

    /// Logits of the clean classes of target nodes and pairs, one row each.
    ///
    /// # Errors
    /// [`PardError::Unknown`] for classes, blocks, sizes and degrees that the network has no parameters for.
    pub fn classes(
        &self,
        noisy: &DenoiserBatch<'_>,
        nodes: &Targets,
        pairs: &Targets,
    ) -> Result<[Vec<Vec<f64>>; 2], PardError> {
        check_known(&self.config, noisy.batch)?;
        Ok(self.denoiser.classes(self.how(), noisy, [nodes, pairs], None))
    }

    /// What is to be kept of a graph while it grows; none where all blocks are computed anew at every step, because they change
    /// with the time or there is but one.
    #[must_use]
    pub fn growth(&self) -> Option<Growth> {
        self.config.keeps_finished_blocks().then(Growth::default)
    }

    /// The same as [`FusedNetworks::classes`], bit by bit, for graphs of which all blocks but the last were
    /// [finished](Self::finish_blocks): of them nothing is computed again. Virtual nodes are those of the last block.
    ///
    /// # Errors
    /// As [`FusedNetworks::classes`]; [`PardError::Growing`] if the graphs kept are not those of the rows.
    pub fn classes_of_growing(
        &self,
        noisy: &DenoiserBatch<'_>,
        nodes: &Targets,
        pairs: &Targets,
        growing: Growing<'_>,
    ) -> Result<[Vec<Vec<f64>>; 2], PardError> {
        check_known(&self.config, noisy.batch)?;
        growing.check(noisy.batch.batch)?;
        Ok(self.denoiser.classes(self.how(), noisy, [nodes, pairs], Some(growing)))
    }

    /// Keeps what later blocks look at, of graphs whose last blocks have their classes; no node of the batch is virtual. Cost: a
    /// call.
    ///
    /// # Errors
    /// As [`FusedNetworks::classes_of_growing`].
    pub fn finish_blocks(&self, batch: &BlockBatch, growing: Growing<'_>) -> Result<(), PardError> {
        check_known(&self.config, batch)?;
        growing.check(batch.batch)?;
        self.denoiser.finish_blocks(self.how(), batch, growing);
        Ok(())
    }

    /// Cross-entropies of the clean classes of target nodes and pairs and, if it is `wanted`, the gradient of their sum times
    /// `weight`.
    ///
    /// # Errors
    /// As [`FusedNetworks::classes`].
    pub fn class_losses(
        &self,
        noisy: &DenoiserBatch<'_>,
        nodes: &Targets,
        pairs: &Targets,
        weight: f64,
        wanted: bool,
    ) -> Result<FusedLosses<2>, PardError> {
        check_known(&self.config, noisy.batch)?;
        let (losses, gradient) =
            self.denoiser.cross_entropies(self.how(), noisy, [nodes, pairs], weight, wanted);
        Ok(FusedLosses { losses, gradient })
    }

    /// The size of the next block of each graph and its degree, chosen by `choose_size` and `choose_degree` from logits: a row
    /// and its logits to a class. Of graphs that are `growing` only what their last blocks bring is computed.
    ///
    /// # Errors
    /// As [`FusedNetworks::classes_of_growing`]; [`PardError::NoBlockModel`].
    pub fn next_blocks(
        &self,
        batch: &BlockBatch,
        growing: Option<Growing<'_>>,
        mut choose_size: impl FnMut(usize, &[f64]) -> usize,
        mut choose_degree: impl FnMut(usize, &[f64]) -> usize,
    ) -> Result<Vec<(usize, usize)>, PardError> {
        check_known(&self.config, batch)?;
        if let Some(growing) = &growing {
            growing.check(batch.batch)?;
        }
        Ok(self.block_model()?.next_blocks(self.how(), batch, growing, &mut choose_size, &mut choose_degree))
    }

    /// Logits of the degree of a first block of each of these sizes.
    ///
    /// # Errors
    /// [`PardError::Unknown`] for another size, [`PardError::NoBlockModel`].
    pub fn first_degree(&self, sizes: &[usize]) -> Result<Vec<Vec<f64>>, PardError> {
        self.check_sizes(sizes)?;
        Ok(self.block_model()?.first_degree(self.arch, sizes))
    }

    fn check_sizes(&self, sizes: &[usize]) -> Result<(), PardError> {
        let known = self.config.block_sizes;
        match sizes.iter().find(|&&size| size >= known) {
            Some(&value) => Err(PardError::Unknown { what: "block size", value, known }),
            None => Ok(()),
        }
    }

    /// The [loss](mod@crate::block_loss) of the model of blocks and, if it is `wanted`, its gradient.
    ///
    /// # Errors
    /// As [`FusedNetworks::next_blocks`].
    pub fn block_losses(
        &self,
        batch: &BlockBatch,
        questions: &BlockQuestions,
        wanted: bool,
    ) -> Result<FusedLosses<1>, PardError> {
        check_known(&self.config, batch)?;
        self.check_sizes(&questions.next_size)?;
        let known = self.config.block_degrees;
        if let Some(&value) = questions.next_degree.iter().find(|&&degree| degree >= known) {
            return Err(PardError::Unknown { what: "block degree", value, known });
        }
        let (loss, gradient) = self.block_model()?.cross_entropies(self.how(), batch, questions, wanted);
        Ok(FusedLosses { losses: [loss], gradient })
    }
}
