//! The crate as its users see it.

#![allow(clippy::unwrap_used)] // a test may fail by panicking

mod baselines;
#[cfg(feature = "chemfiles")]
mod chemfiles;
mod data_files;
mod evaluation;
mod features;
mod files;
mod hostile;
mod metrics;
mod nbody;
mod python;
mod reference;
