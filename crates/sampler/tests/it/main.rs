//! Tests of the sampler core against closed forms, published tables and reference values.

#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod executor;
mod mixture;
mod moments;
mod noise;
mod paths;
mod plans;
mod prediction;
