//! Pard: graphs generated block by block in a permutation-invariant order, each block by categorical diffusion.
//!
//! Zhao, Ding, Akoglu, "Pard: Permutation-Invariant Autoregressive Diffusion for Graph Generation", NeurIPS 2024,
//! <https://arxiv.org/abs/2402.03687>.
//!
//! ```text
//! p(G) = prod over blocks b of  p(size_b, degree_b | earlier blocks) p(nodes and edges of b | earlier blocks, size_b, degree_b)
//! ```
//!
//! Shapes: `B` graphs, `N` nodes, `M` blocks; nodes `[B, N, F]`, pairs `[B, C, N, N]`. Steps t = 1..=T, T is noise.
//!
//! | concept | module |
//! | --- | --- |
//! | a graph with its nodes sorted by block | [`block_graph`] |
//! | padded batches: single, doubled, prefixes | [`block_batch`] |
//! | noise on a batch | [`corruption`] |
//! | the networks | [`networks`], [`mod@fused`] |
//! | losses | [`denoising_loss`], [`mod@block_loss`] |
//! | training | [`block_denoising`], [`initialisation`] |
//! | generation, block by block | [`generation`], [`draws`] |
//! | likelihood | [`likelihood`] |
//! | model folders | [`config`], [`model`] |
//! | reading reference checkpoints, checking them | [`released`], [`mod@forward`], [`file_batch`] |
//!
//! The published programme and the repaired one differ in [`NetworkConfig`] and [`equidrift_graph::BlockDegree`] only.

// A test may stop at what it did not expect.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod block_batch;
pub mod block_denoising;
pub mod block_graph;
pub mod block_loss;
mod class_law;
pub mod config;
pub mod corruption;
pub mod cycle_features;
pub mod denoising_loss;
pub mod draws;
mod error;
pub mod file_batch;
pub mod forward;
pub mod fused;
pub mod generation;
pub mod heads;
pub mod initialisation;
mod input_embedding;
pub mod inputs;
pub mod likelihood;
pub mod model;
pub mod model_card;
pub mod network_config;
pub mod networks;
pub mod released;
pub mod reverse_step;
pub mod step_grid;
pub mod temperature;

pub use block_batch::{BlockBatch, BlockQuestions, NO_CLASS, Targets};
pub use block_denoising::{BlockDenoising, LossWeights};
pub use block_graph::BlockGraph;
pub use block_loss::block_loss;
pub use config::{DiffusionConfig, PardConfig};
pub use corruption::{CorruptionDraw, corrupt};
pub use cycle_features::cycle_features;
pub use denoising_loss::{DenoisingLoss, GraphDiffusion, NoisyTargets};
pub use draws::{Draws, KeyedDraws, Purpose, Question};
pub use error::PardError;
pub use file_batch::FileBatch;
pub use forward::{Precision, forward};
pub use fused::{FusedNetworks, Growing, Growth};
pub use generation::{Engine, GeneratedGraph, Generation, Round, Unfinished, first_size};
pub use heads::{BlockLogits, ClassLogits};
pub use initialisation::initial_parameters;
pub use inputs::StructureFeatures;
pub use likelihood::{LikelihoodBound, LikelihoodDraw, Presentation, likelihood_bounds};
pub use model::PardModel;
pub use network_config::{
    NetworkConfig, Norm, PrefixMean, ResidualOf, Sequence, Tasks, TimeEmbedding, TimeOf,
};
pub use networks::{DenoiserBatch, PardNetworks};
pub use released::{FirstBlocks, ReleasedModel, convert_pard};
pub use reverse_step::ReverseStep;
pub use step_grid::StepGrid;
pub use temperature::Temperature;
