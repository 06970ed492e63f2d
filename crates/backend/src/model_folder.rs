//! A model on disk: `config.json`, `model.safetensors`, `README.md` and `SHA256SUMS` in one folder.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::atomic::write_atomically;
use crate::checksum::{ChecksumError, read_sums, sha256, verify_bytes, write_sums};
use crate::weights::{ParameterSet, TensorFile, WeightsError};

/// Name of the configuration inside a model folder.
pub const CONFIG_FILE: &str = "config.json";
/// Name of the weights inside a model folder.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// Name of the model card inside a model folder.
pub const CARD_FILE: &str = "README.md";

/// Longest configuration accepted, in bytes.
pub const MAX_CONFIG: u64 = 16 * 1024 * 1024;
/// Longest weights file accepted, in bytes.
const MAX_WEIGHTS: u64 = 4 * 1024 * 1024 * 1024;

/// Why a model folder could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelFolderError {
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A file is longer than any of its kind.
    #[error("{}: {found} bytes, expected at most {allowed}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// The limit.
        allowed: u64,
    },
    /// A file is not the one the folder was written with.
    #[error(transparent)]
    Checksum(#[from] ChecksumError),
    /// A configuration that cannot be written as JSON.
    #[error("{CONFIG_FILE}: {0}")]
    Encode(#[from] serde_json::Error),
    /// Weights that cannot be written.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// The two files that make a model, as bytes whose checksums have been verified and that have not been parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelBytes {
    /// Contents of [`CONFIG_FILE`].
    pub config: Vec<u8>,
    /// Contents of [`WEIGHTS_FILE`].
    pub weights: Vec<u8>,
}

impl ModelBytes {
    /// The files of a model. Equal models give equal bytes.
    ///
    /// # Errors
    /// [`ModelFolderError::Encode`], [`ModelFolderError::Weights`].
    pub fn new(config: &impl Serialize, parameters: &ParameterSet) -> Result<Self, ModelFolderError> {
        let mut config = serde_json::to_vec_pretty(config)?;
        config.push(b'\n');
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        let weights = TensorFile { tensors: parameters.clone(), metadata }.to_bytes()?;
        Ok(Self { config, weights })
    }

    /// SHA-256 over the digests of both files: names the model in manifests.
    #[must_use]
    pub fn digest(&self) -> String {
        sha256(format!("{}{}", sha256(&self.config), sha256(&self.weights)).as_bytes())
    }
}

/// Adds a table of two columns to a model card.
pub fn card_table<'a>(card: &mut String, heads: (&str, &str), rows: impl Iterator<Item = (&'a str, String)>) {
    // Writing to a String cannot fail.
    let _ = writeln!(card, "| {} | {} |\n| --- | --- |", heads.0, heads.1);
    for (name, value) in rows {
        let _ = writeln!(card, "| {name} | {} |", value.replace('|', "\\|").replace('\n', " "));
    }
}

/// Reads both files of a folder and verifies them against its `SHA256SUMS`. What is returned is what was verified: the
/// files are not read a second time.
///
/// # Errors
/// [`ModelFolderError`] naming the file.
pub fn read_verified(folder: &Path) -> Result<ModelBytes, ModelFolderError> {
    let config = read_limited(&folder.join(CONFIG_FILE), MAX_CONFIG)?;
    let weights = read_limited(&folder.join(WEIGHTS_FILE), MAX_WEIGHTS)?;
    let sums = read_sums(folder)?;
    verify_bytes(folder, CONFIG_FILE, &config, &sums)?;
    verify_bytes(folder, WEIGHTS_FILE, &weights, &sums)?;
    Ok(ModelBytes { config, weights })
}

/// Writes the folder, creating it if needed. Each file appears complete or not at all; the checksums come last, so that a
/// folder whose writing was cut short is recognised as such.
///
/// # Errors
/// [`ModelFolderError`] naming the file.
pub fn write(folder: &Path, model: &ModelBytes, card: &str) -> Result<(), ModelFolderError> {
    let io_error = |path: &Path| {
        let path = path.to_owned();
        move |source| ModelFolderError::Io { path, source }
    };
    std::fs::create_dir_all(folder).map_err(io_error(folder))?;
    let files: [(&str, &[u8]); 3] =
        [(CONFIG_FILE, &model.config), (WEIGHTS_FILE, &model.weights), (CARD_FILE, card.as_bytes())];
    for (name, bytes) in files {
        let path = folder.join(name);
        write_atomically(&path, |file| file.write_all(bytes)).map_err(io_error(&path))?;
    }
    Ok(write_sums(folder, &files.map(|(name, _)| name))?)
}

/// Reads a plain file of at most `allowed` bytes.
///
/// # Errors
/// [`ModelFolderError`] naming the file.
pub fn read_limited(path: &Path, allowed: u64) -> Result<Vec<u8>, ModelFolderError> {
    let io_error = |source| ModelFolderError::Io { path: path.to_owned(), source };
    let found = std::fs::metadata(path).map_err(io_error)?;
    if !found.is_file() {
        return Err(io_error(io::Error::new(io::ErrorKind::InvalidInput, "expected a plain file")));
    }
    let found = found.len();
    if found > allowed {
        return Err(ModelFolderError::TooLong { path: path.to_owned(), found, allowed });
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(allowed).read_to_end(&mut bytes)).map_err(io_error)?;
    Ok(bytes)
}
