//! The GeoTDM crate against the reference vectors, and its laws.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod features;
mod gradients;
mod networks;
mod reference;
mod schedule;
