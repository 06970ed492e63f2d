//! Writing generated molecules: one trait, one file per format.

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::MoleculeError;
use crate::generated::GeneratedMolecule;

pub mod json_lines;
pub mod sdf;
pub mod smiles;

/// A molecule file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// SMILES, one per line.
    Smi,
    /// MDL structure-data file, V2000.
    Sdf,
    /// One JSON object per line.
    Jsonl,
}

impl Format {
    /// The format a file name's suffix names (`.smi .smiles .sdf .jsonl .ndjson`, any case).
    ///
    /// # Errors
    /// [`MoleculeError::UnknownFormat`].
    pub fn of_path(path: &Path) -> Result<Self, MoleculeError> {
        let suffix = path.extension().and_then(|suffix| suffix.to_str()).map(str::to_ascii_lowercase);
        match suffix.as_deref() {
            Some("smi" | "smiles") => Ok(Self::Smi),
            Some("sdf") => Ok(Self::Sdf),
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            _ => Err(MoleculeError::UnknownFormat { path: path.to_owned() }),
        }
    }

    /// A writer of this format. `seed` is the run's seed, recorded where the format has room.
    #[must_use]
    pub fn writer<'a>(self, out: Box<dyn Write + Send + 'a>, seed: u64) -> Box<dyn MoleculeWriter + 'a> {
        match self {
            Self::Smi => Box::new(smiles::SmilesWriter::new(out)),
            Self::Sdf => Box::new(sdf::SdfWriter::new(out, seed)),
            Self::Jsonl => Box::new(json_lines::JsonLinesWriter::new(out, seed)),
        }
    }
}

/// A stream of molecules. What is written for one molecule depends on that molecule alone, so files can be cut and
/// joined between molecules.
pub trait MoleculeWriter: Send {
    /// Write one molecule.
    ///
    /// # Errors
    /// [`MoleculeError::Write`]; [`MoleculeError::TooLargeForSdf`].
    fn write(&mut self, molecule: &GeneratedMolecule) -> Result<(), MoleculeError>;

    /// Hand everything to the operating system.
    ///
    /// # Errors
    /// [`MoleculeError::Write`].
    fn flush(&mut self) -> Result<(), MoleculeError>;
}
