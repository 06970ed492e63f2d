//! Integration tests of crate `train`, on a problem whose solution is known.

#![allow(clippy::unwrap_used)] // a test may fail by panicking

mod checkpoints;
mod fitting;
mod least_squares;
mod noise_level_classifier;
mod validation;
