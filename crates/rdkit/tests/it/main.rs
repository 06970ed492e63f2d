//! Integration tests of `equidrift-rdkit` against the RDKit library of the system.

mod graphs;
mod hostile;
mod molecules;
