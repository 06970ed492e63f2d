//! Tests of the sampler core against closed forms, published tables and reference values.

mod executor;
mod mixture;
mod moments;
mod noise;
mod paths;
mod plans;
mod prediction;
