//! Circular fingerprints (Rogers & Hahn, J. Chem. Inf. Model. 50, 742, 2010) with RDKit's numbers, and their similarity.

pub mod morgan;
pub mod similarity;

pub use morgan::{Fingerprint, morgan_environments};
pub use similarity::FingerprintSet;
