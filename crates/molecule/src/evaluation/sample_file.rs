//! Files in which every line is a sample.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde::Deserialize;

use crate::chemistry::ProblemKind;
use crate::error::MoleculeError;
use crate::smiles_file::{LONGEST_LINE, smiles_and_name};
use crate::text_lines::{LineFault, TextLine, TextLines};

/// The longest line of a `.jsonl` file that is read, in bytes: a record may hold more than a SMILES.
const LONGEST_RECORD: usize = 1 << 20;

/// How a line tells its sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleFormat {
    /// `SMILES`, or `SMILES NAME`; a blank line is a sample without a molecule, a line that begins with `#` is none.
    Smiles,
    /// A JSON object with `smiles` (null for a sample without a molecule) and, if known, `valid_without_correction` and
    /// `repaired`, as `generate molecules` writes it.
    JsonLines,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The SMILES, if there is a molecule.
    pub smiles: Option<String>,
    /// Whether it was valid before repair, and whether repair changed it; where that is recorded.
    pub history: Option<(bool, bool)>,
}

impl SampleFormat {
    /// By the file's suffix: `.jsonl` (also `.jsonl.gz`), else SMILES.
    #[must_use]
    pub fn of_path(path: &Path) -> Self {
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        if name.ends_with(".jsonl") { Self::JsonLines } else { Self::Smiles }
    }

    /// The sample of a line; `None` for a line that is no sample.
    #[must_use]
    pub fn sample(self, text: &str) -> Option<Result<Sample, LineFault>> {
        match self {
            Self::Smiles if text.is_empty() => Some(Ok(Sample { smiles: None, history: None })),
            Self::Smiles => {
                let (smiles, _) = smiles_and_name(text)?;
                Some(Ok(Sample { smiles: Some(smiles.to_owned()), history: None }))
            }
            Self::JsonLines => Some(record(text)),
        }
    }
}

fn record(text: &str) -> Result<Sample, LineFault> {
    #[derive(Deserialize)]
    struct Record {
        smiles: Option<String>,
        valid_without_correction: Option<bool>,
        #[serde(default)]
        repaired: bool,
    }
    let record: Record = serde_json::from_str(text).map_err(|error| LineFault {
        kind: ProblemKind::Record,
        reason: format!("no record of a molecule: {error}"),
    })?;
    // An empty sample breaks no valence, yet it is no molecule.
    let has_molecule = record.smiles.is_some();
    let history = record.valid_without_correction.map(|valid| (valid && has_molecule, record.repaired));
    Ok(Sample { smiles: record.smiles, history })
}

/// The lines of such a file.
pub struct SampleFile {
    lines: TextLines,
    format: SampleFormat,
}

impl SampleFile {
    /// Open a file, compressed or not; the suffix tells the format.
    ///
    /// # Errors
    /// [`MoleculeError::File`].
    pub fn open(path: &Path) -> Result<Self, MoleculeError> {
        let format = SampleFormat::of_path(path);
        let longest = match format {
            SampleFormat::Smiles => LONGEST_LINE,
            SampleFormat::JsonLines => LONGEST_RECORD,
        };
        Ok(Self { lines: TextLines::open(path, longest)?, format })
    }

    /// How its lines are read.
    #[must_use]
    pub fn format(&self) -> SampleFormat {
        self.format
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.lines.path()
    }

    /// See [`TextLines::bytes_read`].
    #[must_use]
    pub fn bytes_read(&self) -> Arc<AtomicU64> {
        self.lines.bytes_read()
    }
}

impl Iterator for SampleFile {
    type Item = Result<TextLine, MoleculeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.lines.next()
    }
}
