//! Fitting: objectives, the training loop, optimiser, averages and checkpoints.
//!
//! A model family supplies an [`Objective`] (losses and gradient for a list of examples); [`Trainer`] owns the only
//! training loop: order of the examples, clipping per group, Adam, moving average, checkpoints, log. Nothing here
//! knows a device or a tensor library: parameters are host arrays with PyTorch names.
//!
//! A run is a function of its settings: order and noise are keyed by (seed, epoch, example), so a run that is killed
//! and resumed ends with the same bits as one that was not.

pub mod adam;
pub mod checkpoint;
pub mod clip;
pub mod ema;
mod error;
mod interpolant_loss;
mod loss_weighting;
pub mod noise_level_classifier;
mod objective;
mod order;
mod run_folder;
mod schedule;
mod trainer;

pub use checkpoint::{Progress, TrainingState};
pub use error::TrainError;
pub use interpolant_loss::{InterpolantCoefficients, InterpolantDraw, InterpolantLoss};
pub use loss_weighting::LossWeighting;
pub use objective::{Evaluation, Objective};
pub use order::shuffled;
pub use run_folder::{EpochReport, RunFolder};
pub use schedule::LearningRate;
pub use trainer::{Ending, Group, Observer, Silent, StepReport, Trainer, TrainerConfig};
