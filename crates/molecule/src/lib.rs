//! Molecules: decoding from tensors, valence check and repair, SMILES, files and metrics.
//!
//! A molecule is a `petgraph` graph of [`Atom`]s and [`BondOrder`]s ([`molecule`]). [`decode()`] makes one from a sample's
//! row-major slices (no tensor library here), [`repair()`] mends its valences, [`fragments`] keeps one piece, a
//! [`Chemistry`] back end checks it and spells it, [`mod@write`] puts it into a file.
//!
//! ```
//! use equidrift_molecule::{Chematic, Correction, Element, GeneratedMolecule};
//!
//! let vocabulary = [Element::C, Element::N, Element::O, Element::F];
//! let x = [0.9, 0.0, 0.1, 0.0, /* C */ 0.0, 0.1, 1.1, 0.0 /* O */]; // [N, F]
//! let adj = [0.0, 1.8, 1.8, 0.0]; // [N, N], a double bond
//! let molecule = GeneratedMolecule::from_tensors(0, &x, &adj, &vocabulary, Correction::Repair, &Chematic)?;
//! assert_eq!(molecule.smiles, "C=O");
//! assert!(molecule.valid_without_correction);
//! # Ok::<(), equidrift_molecule::MoleculeError>(())
//! ```

// A test may stop at what it did not expect.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod bond_encoding;
pub mod brics;
pub mod chemistry;
pub mod csv_file;
pub mod decode;
pub mod descriptors;
pub mod draw;
pub mod element;
pub mod error;
pub mod evaluation;
pub mod fingerprint;
pub mod fragments;
pub mod generated;
mod hydrogens;
pub mod kekulise;
pub mod metrics;
pub mod molecule;
pub mod perceived;
mod piece_spelling;
pub mod repair;
mod scaffold;
pub mod sdf_file;
pub mod smarts;
pub mod smiles_file;
mod substructures;
pub mod text_lines;
pub mod valence;
pub mod write;

pub use bond_encoding::BondEncoding;
pub use chemistry::chematic::Chematic;
#[cfg(feature = "rdkit")]
pub use chemistry::rdkit::Rdkit;
pub use chemistry::{Chemistry, Problem, ProblemKind, Verdict};
pub use csv_file::{CsvRow, CsvRows};
pub use decode::{Decoded, decode, decode_as};
pub use element::Element;
pub use error::MoleculeError;
pub use generated::{Correction, GeneratedMolecule};
pub use hydrogens::with_hydrogens;
pub use kekulise::{Kekulised, kekulise};
pub use molecule::{Atom, BondOrder, MolecularGraph, bonds, molecule_from};
pub use repair::repair;
pub use sdf_file::{SdfRecord, SdfRecords};
pub use smiles_file::{
    BadLine, OnBadLine, SmilesLine, SmilesLines, SmilesReader, SmilesRecord, read_smiles_file,
};
pub use text_lines::{LineFault, TextLine, TextLines};
pub use write::{Format, MoleculeWriter};
