//! The GeoTDM crate against the reference vectors, and its laws.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod batch_independence;
mod equivariance;
mod extrapolation;
mod features;
mod fused;
mod gaussian_chain;
mod gradients;
mod guidance;
mod model_folders;
mod networks;
mod reference;
mod schedule;
mod solvers;
mod training;
mod trajectories;
