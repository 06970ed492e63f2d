//! The GDSS crate against the released checkpoints' vectors, and against hostile files.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod batch_independence;
mod checkpoints;
mod fused;
mod goldens;
mod gradients;
mod laws;
mod layers;
mod likelihood;
mod model_folders;
mod perturbed_graphs;
mod time_conditioning;
mod training;
mod trajectories;
mod warm_starts;
