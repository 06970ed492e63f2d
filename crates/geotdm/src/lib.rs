//! GeoTDM: trajectories by equivariant diffusion of whole paths.
//!
//! Han, Xu, Lou, Ye, Ermon, "Geometric Trajectory Diffusion Models", NeurIPS 2024, <https://arxiv.org/abs/2410.13027>.
//!
//! ```text
//! z_k = sqrt(abar_k) (x_0 - x_ref) + sqrt(1 - abar_k) eps          the network sees z_k + x_ref and returns eps
//! ```
//!
//! Shapes: `G` systems of one shape, `N` nodes, `T` frames, `D` coordinates; values are `[G, N T, C]`, the frames of a node
//! side by side.
//!
//! | concept | module |
//! | --- | --- |
//! | graphs of molecules, bodies and walkers; given frames | [`system`], [`SystemKind`] |
//! | systems of one shape on a device | [`system_group`] |
//! | the networks: EGTN and learned prior | [`network`] |
//! | noise levels | [`diffusion`] |
//! | a prior that is a linear forecast | [`extrapolation`] |
//! | loss, and the trainer's objective over it | [`denoising_loss`], [`denoising_objective`] |
//! | trajectories to train on | [`training_examples`] |
//! | a batch as a state of the sampler core, and sampling | [`system_batch`], [`denoiser`], [`trajectory_run`] |
//! | likelihood | [`likelihood`] |
//! | model folders | [`model`], [`config`] |
//! | the layout of the reference files | [`convert_geotdm`], [`flat_batch`], [`forward()`] |

// A test may stop at what it did not expect.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod config;
mod convert;
pub mod denoiser;
pub mod denoising_loss;
pub mod denoising_objective;
pub mod diffusion;
mod egtn;
pub mod environments;
mod error;
pub mod extrapolation;
pub mod flat_batch;
mod forward;
pub mod fused;
pub mod initialisation;
mod learned_prior;
pub mod likelihood;
pub mod model;
mod model_card;
pub mod network;
pub mod network_config;
mod own_molecule;
pub mod parameters;
pub mod system;
pub mod system_batch;
pub mod system_group;
mod system_kind;
pub mod training_examples;
pub mod trajectory_run;

pub use config::{ConfigError, GeotdmConfig};
pub use convert::{convert_geotdm, published_sampler};
pub use denoiser::GeotdmDenoiser;
pub use denoising_loss::{CountedNodes, NoisedGroup, system_losses};
pub use denoising_objective::{DenoisingObjective, NoiseDraw, TrainingEngine};
pub use diffusion::{Level, Posterior, TrajectoryDiffusion};
pub use egtn::{Half, LayerWatcher};
pub use environments::environments;
pub use error::GeotdmError;
pub use extrapolation::{Extrapolation, Forecast, KindsOfNodes, NodeForecast};
pub use flat_batch::FlatBatch;
pub use forward::{Precision, forward};
pub use fused::{FusedNetwork, NoisyExample, NoisySystem};
pub use initialisation::initial_parameters;
pub use likelihood::VariationalBound;
pub use model::GeotdmModel;
pub use model_card::model_card;
pub use network::{Denoised, GeotdmNetwork};
pub use network_config::{Lengths, NetworkConfig, Prior, Temporal};
pub use own_molecule::OwnMolecule;
pub use parameters::{ParameterError, check_parameters, parameter_shapes};
pub use system::{AtomFeatures, MolecularEdges, System, SystemGraph};
pub use system_batch::SystemBatch;
pub use system_group::SystemGroup;
pub use system_kind::SystemKind;
pub use training_examples::{TrainingExample, TrainingExamples, TrajectoryWindows};
pub use trajectory_run::{DrawnTrajectories, TrajectoryRun};
