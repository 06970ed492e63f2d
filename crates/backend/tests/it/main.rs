//! Weights and checksums against files made by an enemy.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checksums;
mod tensor_files;
