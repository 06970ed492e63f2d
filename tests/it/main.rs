//! Tests of the whole, through the facade.

#![allow(clippy::unwrap_used)] // a test may fail by panicking

mod architecture;
mod datasets;
mod generate_graphs;
mod npz;
mod pard_blocks;
