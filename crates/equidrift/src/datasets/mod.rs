//! Data sets: known ones by their manifests, any user's file, and the compact file both are prepared into.
//!
//! `prepare` reads SMILES, tables, SDF or graph files, checks known ones against their manifest (digest, number of rows,
//! sizes of the splits), reads and spells every molecule once on all cores and makes a [`PreparedMolecules`] or
//! [`PreparedGraphs`], whose `write` makes one file (`.eds`). Training, evaluation and whoever else needs the molecules
//! open that file: no chemistry is done again.
//!
//! ```no_run
//! use std::path::Path;
//! use equidrift::datasets::open_molecules;
//!
//! let test = open_molecules(Path::new("qm9.eds"), Some("gdss:test"))?;
//! for &molecule in &test.molecules {
//!     println!("{}", test.set.canonical(molecule));
//! }
//! # Ok::<(), equidrift::Error>(())
//! ```
//!
//! The file is a safetensors file: columns of small integers ([`PreparedMolecules`] and [`PreparedGraphs`] list them) and the
//! metadata ([`PreparedMetadata`]) as JSON under the key `equidrift.dataset`, with the SHA-256 of the columns. Equal data
//! give equal bytes, whatever the number of threads.

mod columns;
mod download;
mod error;
mod file_format;
mod gather;
mod generate;
mod graphs;
mod inputs;
mod manifest;
mod membership;
mod mersenne_twister;
mod metadata;
mod molecules;
mod network;
mod prepare;
mod prepared;
mod read_graphs;
mod read_molecules;
mod request;
mod rows;
mod selection;
mod splits;
mod splitting;
mod verify;

pub use error::DatasetError;
pub use file_format::FileFormat;
pub use graphs::{MOST_GRAPHS, MOST_NODES, PreparedGraphs};
pub use manifest::{
    DataFile, DatasetManifest, GraphContents, Kind, MoleculeContents, Piece, RecipeManifest, Role, Split,
    SplitRule,
};
pub use metadata::{
    Drawn, DropReason, Dropped, DroppedRecord, MOST_EXAMPLES, PREPARED_VERSION, PreparedMetadata, Source,
};
pub use molecules::{MOST_MOLECULES, PreparedMolecules};
pub use prepare::prepare;
pub use prepared::Prepared;
pub use request::{
    DEFAULT_DOWNLOAD_LIMIT, Drawing, PrepareProgress, PrepareRequest, PrepareWatcher, UserSplit,
};
pub use rows::read_rows;
pub use selection::{GraphSelection, MoleculeSelection, Selection, is_prepared, open_graphs, open_molecules};
pub use verify::{Check, verify};

/// Suffix of a prepared data set.
pub const PREPARED_SUFFIX: &str = "eds";
