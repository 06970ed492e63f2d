//! The crate as its users see it.

#![allow(clippy::unwrap_used)] // a test may fail by panicking

mod bad_files;
mod block_order;
mod files;
mod generators;
mod graphs;
mod mmd;
mod networkx;
mod reference;
mod statistics;
mod validity;
