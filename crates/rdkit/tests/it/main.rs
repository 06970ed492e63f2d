//! Integration tests of `equidrift-rdkit` against the RDKit library of the system.

// A test may stop at what it did not expect.
#![allow(clippy::unwrap_used)]

mod graphs;
mod hostile;
mod molecules;
