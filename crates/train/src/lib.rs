//! Fitting: objectives, the training loop, optimiser, averages and checkpoints.
//!
//! A model family supplies an [`Objective`] (losses and gradient for a list of examples); [`Trainer`] owns the only
//! training loop: order of the examples, accumulation, clipping per group, Adam, learning rate, moving average, validation,
//! checkpoints, log. Nothing here knows a device or a tensor library: parameters are host arrays with PyTorch names.
//!
//! A run is a function of its settings: order and noise are keyed by (seed, epoch, example), so a run that is killed
//! and resumed ends with the same bits as one that was not.

mod accumulation;
pub mod adam;
pub mod checkpoint;
pub mod clip;
mod config;
mod csv_log;
pub mod ema;
mod error;
mod interpolant_loss;
mod loss_weighting;
pub mod noise_level_classifier;
mod objective;
mod observer;
mod order;
mod patience;
mod run_folder;
mod save_clock;
mod schedule;
mod trainer;
mod validation;

pub use checkpoint::{Progress, TrainingState};
pub use config::{Group, TrainerConfig};
pub use error::TrainError;
pub use interpolant_loss::{InterpolantCoefficients, InterpolantDraw, InterpolantLoss};
pub use loss_weighting::LossWeighting;
pub use objective::{Evaluation, Objective};
pub use observer::{Observer, Silent, StepReport};
pub use order::shuffled;
pub use patience::Patience;
pub use run_folder::{EpochReport, Intervals, RunFolder, read_log};
pub use schedule::{LearningRate, Moment, Plateau, Schedule};
pub use trainer::{Ending, Session, Trainer};
pub use validation::{VALIDATION_EPOCH, ValidationConfig, ValidationReport, ValidationState, Weights};
