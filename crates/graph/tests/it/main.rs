//! The crate as its users see it.

#![allow(clippy::unwrap_used)] // a test may fail by panicking

mod bad_files;
mod files;
mod networkx;
mod reference;
