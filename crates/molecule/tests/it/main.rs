//! Integration tests of `equidrift-molecule`: against reference decodings and SMILES corpora where they are at hand,
//! against hostile files, and properties that hold for any molecule.

// A test may stop at what it did not expect.
#![allow(clippy::unwrap_used)]

#[cfg(feature = "rdkit")]
mod back_ends;
mod bond_encodings;
mod chemnet;
mod corpus;
mod decodings;
mod descriptors;
mod fcd_package;
mod hostile;
mod npz;
mod nspdk;
mod python;
mod random;
mod reference;
mod repair_properties;
mod sdf;
mod sdf_records;
mod set_distances;
mod smarts;
mod suites;
