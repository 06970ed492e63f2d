//! Weights and checksums against files made by an enemy.

mod checksums;
mod tensor_files;
