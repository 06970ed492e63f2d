//! The Pard crate against the reference vectors, and its laws.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod diffusion;
mod forward;
mod fused;
mod generation;
mod growth;
mod laws;
mod likelihood;
mod networks;
mod reference;
mod training;
