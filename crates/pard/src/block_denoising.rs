//! Training: the loss of the denoiser at random steps, and that of the block model, over a set of graphs.
//!
//! For every example one step t, uniform on 1..=T, and the noisy classes of all targets; the loss is
//!
//! ```text
//! bound_weight x variational bound + cross_entropy_weight x cross-entropy + loss of the block model
//! ```
//!
//! (see [`crate::denoising_loss`] and [`mod@crate::block_loss`]), all blocks of a graph in one pass. Steps and noise are functions of
//! (seed, epoch, example) alone. Cost: a forward and a backward pass of the denoiser over the doubled sequence, or over the
//! graph itself where it is one block, and one of the block model over the graph.
//!
//! Reference: Zhao, Ding & Akoglu, "Pard", NeurIPS 2024, algorithms 1 and 2. With weights 0 and 1 it is the loss of Vignac et al.,
//! "DiGress", ICLR 2023, equation 2.

use std::num::NonZeroUsize;

use burn::tensor::{DType, Device, Tensor};
use equidrift_backend::kernels::Instructions;
use equidrift_backend::philox::philox4x32_10;
use equidrift_backend::weights::ParameterSet;
use equidrift_nn::{BatchMoments, PairMean, Phase};
use equidrift_train::{Evaluation, Group, Objective, TrainError};
use serde::{Deserialize, Serialize};

use crate::block_batch::{BlockBatch, BlockQuestions, Targets};
use crate::block_graph::BlockGraph;
use crate::block_loss::block_loss;
use crate::corruption::{CorruptionDraw, corrupt};
use crate::denoising_loss::{DenoisingLoss, GraphDiffusion, NoisyTargets, cross_entropies};
use crate::error::PardError;
use crate::fused::{FusedLosses, FusedNetworks};
use crate::network_config::{NetworkConfig, Norm, Sequence, Tasks};
use crate::networks::{DenoiserBatch, PardNetworks};

/// Keeps these numbers apart from every other use of the same seed.
const STREAM: u32 = 0x7061_7200; // "par", and what for

/// Optimiser groups: each network is clipped by its own gradient norm.
#[must_use]
pub fn groups(tasks: Tasks) -> Vec<Group> {
    let denoiser = Group { name: "denoiser", prefix: "denoise." };
    match tasks {
        Tasks::Separate => vec![denoiser, Group { name: "blocks", prefix: "block." }],
        Tasks::Combined | Tasks::DenoiserOnly => vec![denoiser],
    }
}

/// Weights of the parts of the denoiser's loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossWeights {
    /// Of the variational bound.
    pub bound: f64,
    /// Of the cross-entropy.
    pub cross_entropy: f64,
}

impl Default for LossWeights {
    fn default() -> Self {
        Self { bound: 0.0, cross_entropy: 1.0 }
    }
}

/// The loss over a set of graphs.
#[derive(Debug)]
pub struct BlockDenoising<'a> {
    config: &'a NetworkConfig,
    diffusion: &'a GraphDiffusion,
    weights: LossWeights,
    data: &'a [BlockGraph],
    seed: u64,
    device: Device,
    /// Threads of the fused engine, if it is used.
    fused: Option<NonZeroUsize>,
}

impl<'a> BlockDenoising<'a> {
    /// The loss of networks of this configuration over `data`, computed on `device`.
    ///
    /// # Errors
    /// [`PardError::NotTrainable`] for batch norm, whose running moments no optimiser step carries, for networks on
    /// prefixes, and for a denoiser alone on graphs of more than one block.
    pub fn new(
        config: &'a NetworkConfig,
        diffusion: &'a GraphDiffusion,
        weights: LossWeights,
        data: &'a [BlockGraph],
        seed: u64,
        device: &Device,
    ) -> Result<Self, PardError> {
        config.check()?;
        let refuse = |reason| Err(PardError::NotTrainable { reason });
        if config.norm == Norm::Batch {
            return refuse("batch norm; use layer norm");
        }
        if config.sequence == Sequence::Prefixes {
            return refuse("networks on prefixes; use the doubled sequence");
        }
        if config.tasks == Tasks::DenoiserOnly && data.iter().any(|graph| graph.sizes.len() > 1) {
            return refuse("a denoiser alone, and graphs of more than one block");
        }
        Ok(Self { config, diffusion, weights, data, seed, device: device.clone(), fused: None })
    }

    /// The same by the fused engine, on so many threads.
    ///
    /// # Errors
    /// [`PardError::NotFused`] if the networks or the loss have what that engine does not compute.
    pub fn fused(mut self, threads: NonZeroUsize) -> Result<Self, PardError> {
        if let Some(what) = FusedNetworks::missing(self.config) {
            return Err(PardError::NotFused { what });
        }
        if self.weights.bound != 0.0 {
            return Err(PardError::NotFused { what: "the variational bound in the loss" });
        }
        self.fused = Some(threads);
        Ok(self)
    }

    /// Examples with their noise.
    fn noisy(&self, examples: &[usize], epoch: u64) -> Noisy {
        let graphs: Vec<BlockGraph> = examples.iter().map(|&example| self.data[example].clone()).collect();
        let (steps, mut batch) = (self.diffusion.nodes.steps(), BlockBatch::for_training(&graphs));
        let draw = |purpose: u32, row: usize, element: usize| {
            let key = [self.seed as u32, (self.seed >> 32) as u32];
            let words =
                philox4x32_10([element as u32, examples[row] as u32, epoch as u32, STREAM | purpose], key);
            let unit = |high: u32, low: u32| {
                ((u64::from(high) << 32 | u64::from(low)) >> 11) as f64 / (1_u64 << 53) as f64
            };
            [unit(words[0], words[1]), unit(words[2], words[3])]
        };
        let times: Vec<usize> = (0..graphs.len())
            .map(|row| 1 + ((draw(0, row, 0)[0] * steps as f64) as usize).min(steps - 1))
            .collect();
        let (nodes, pairs) = batch.training_targets();
        let noise = |diffusion, targets: &Targets, purpose| {
            corrupt(diffusion, targets, &times, |row, rank| {
                let [redraw, keep] = draw(purpose, row, rank);
                CorruptionDraw { redraw, keep }
            })
        };
        let noisy_nodes = noise(&self.diffusion.nodes, &nodes, 1);
        let noisy_pairs = noise(&self.diffusion.edges, &pairs, 2);
        let questions = (self.config.tasks == Tasks::Combined).then(|| batch.questions());
        batch.set_nodes(&nodes, &noisy_nodes);
        batch.set_pairs(&pairs, &noisy_pairs);
        let whole = BlockBatch::single(&graphs);
        Noisy { whole, batch, times, nodes, pairs, noisy_nodes, noisy_pairs, questions }
    }

    /// What the denoiser is asked.
    fn input<'b>(&self, noisy: &'b Noisy) -> DenoiserBatch<'b> {
        DenoiserBatch {
            batch: &noisy.batch,
            times: &noisy.times,
            steps: self.diffusion.nodes.steps(),
            mean: PairMean::All,
            structure: None,
            questions: noisy.questions.as_ref(),
        }
    }

    /// The loss of a model of blocks of its own, as a tensor.
    fn loss_of_blocks(
        &self,
        networks: &PardNetworks,
        noisy: &Noisy,
        phase: Phase<'_>,
    ) -> Result<Option<Tensor<1>>, PardError> {
        if self.config.tasks != Tasks::Separate {
            return Ok(None);
        }
        let questions = noisy.whole.questions();
        let logits = networks.ask(&noisy.whole, &questions, None, phase)?;
        Ok(Some(block_loss(logits, &noisy.whole, &questions)))
    }

    /// The losses as tensors: nodes, edges and, if there is a block model, blocks.
    fn losses_on(
        &self,
        parameters: &ParameterSet,
        noisy: &Noisy,
        device: &Device,
    ) -> Result<(Vec<Tensor<1>>, PardNetworks), PardError> {
        let networks = PardNetworks::read(self.config, parameters, device, DType::F32)?;
        let moments = BatchMoments::default();
        let phase = Phase::Training(&moments);
        let of_blocks = self.loss_of_blocks(&networks, noisy, phase)?;
        let (logits, about_blocks) = networks.denoise(&self.input(noisy), phase)?;
        let of_blocks = match (about_blocks, &noisy.questions) {
            (Some(logits), Some(questions)) => Some(block_loss(logits, &noisy.whole, questions)),
            _ => of_blocks,
        };
        let LossWeights { bound, cross_entropy } = self.weights;
        let Noisy { nodes, pairs, .. } = noisy;
        let mut losses = if bound == 0.0 {
            cross_entropies(logits, nodes, pairs).map(|loss| loss.mul_scalar(cross_entropy)).to_vec()
        } else {
            let nodes = NoisyTargets { targets: nodes, noisy: &noisy.noisy_nodes };
            let pairs = NoisyTargets { targets: pairs, noisy: &noisy.noisy_pairs };
            let loss = DenoisingLoss::new(self.diffusion, logits, &noisy.times, nodes, pairs);
            let weigh = |terms: Tensor<1>, entropy: Tensor<1>| {
                terms.mul_scalar(bound) + entropy.mul_scalar(cross_entropy)
            };
            vec![
                weigh(loss.node_bound, loss.node_cross_entropy),
                weigh(loss.edge_bound, loss.edge_cross_entropy),
            ]
        };
        losses.extend(of_blocks);
        Ok((losses, networks))
    }

    /// Losses and, if it is `wanted`, gradient.
    fn compute(
        &self,
        parameters: &ParameterSet,
        examples: &[usize],
        epoch: u64,
        wanted: bool,
    ) -> Result<Evaluation, PardError> {
        let device = match wanted {
            true => self.device.clone().autodiff(),
            false => self.device.clone().without_autodiff(),
        };
        let noisy = self.noisy(examples, epoch);
        let Some(threads) = self.fused else {
            let (losses, networks) = self.losses_on(parameters, &noisy, &device)?;
            let gradient = match wanted {
                true => networks.gradients(&mut Tensor::cat(losses.clone(), 0).sum().backward())?,
                false => ParameterSet::new(),
            };
            return Ok(Evaluation { losses: numbers(losses)?, gradient });
        };
        let weight = self.weights.cross_entropy;
        let networks = FusedNetworks::new(self.config, parameters, threads, Instructions::Detect)?;
        let FusedLosses { losses, mut gradient } =
            networks.class_losses(&self.input(&noisy), &noisy.nodes, &noisy.pairs, weight, wanted)?;
        let mut losses = losses.map(|loss| weight * loss).to_vec();
        if networks.has_block_heads() {
            let of_blocks = networks.block_losses(&noisy.whole, &noisy.whole.questions(), wanted)?;
            gradient.extend(of_blocks.gradient);
            losses.extend(of_blocks.losses);
        }
        Ok(Evaluation { losses, gradient })
    }
}

/// Examples with their noise, in a batch.
struct Noisy {
    /// The graphs as they are.
    whole: BlockBatch,
    /// The batch that is denoised, with noisy classes.
    batch: BlockBatch,
    times: Vec<usize>,
    nodes: Targets,
    pairs: Targets,
    noisy_nodes: Vec<usize>,
    noisy_pairs: Vec<usize>,
    /// About blocks, of a combined network.
    questions: Option<BlockQuestions>,
}

/// The losses on the host.
fn numbers(losses: Vec<Tensor<1>>) -> Result<Vec<f64>, PardError> {
    Tensor::cat(losses, 0)
        .try_into_vec_as::<f64>()
        .map_err(|error| PardError::Device { what: "losses", reason: error.to_string() })
}

/// The loop's form of an error.
fn failed(error: PardError) -> TrainError {
    TrainError::Objective(Box::new(error))
}

impl Objective for BlockDenoising<'_> {
    fn losses(&self) -> &[&'static str] {
        match self.config.tasks {
            Tasks::DenoiserOnly => &["nodes", "edges"],
            Tasks::Separate | Tasks::Combined => &["nodes", "edges", "blocks"],
        }
    }

    fn examples(&self) -> usize {
        self.data.len()
    }

    fn evaluate(
        &mut self,
        parameters: &ParameterSet,
        examples: &[usize],
        epoch: u64,
    ) -> Result<Evaluation, TrainError> {
        self.compute(parameters, examples, epoch, true).map_err(failed)
    }

    fn evaluate_losses(
        &mut self,
        parameters: &ParameterSet,
        examples: &[usize],
        epoch: u64,
    ) -> Result<Vec<f64>, TrainError> {
        Ok(self.compute(parameters, examples, epoch, false).map_err(failed)?.losses)
    }
}
