//! The manifest beside an output file: what was asked, of which model, and how much of it is done.
//!
//! `OUT.manifest.json` is replaced atomically whenever more of the output is safely on disk. It is what `--resume`
//! and `merge` read. The data stand in `OUT.partial` until they are complete and in `OUT` from then on; the manifest
//! says which, how many bytes of it count, and their SHA-256.

use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use equidrift_backend::atomic::write_atomically;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::request::GenerateRequest;
use crate::summary::Tally;

/// Version of the manifest's layout.
pub const FORMAT_VERSION: u32 = 1;

/// Longest manifest accepted, in bytes; a real one grows only with the number of diverged samples.
const MAX_MANIFEST: u64 = 64 * 1024 * 1024;

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// At work, or ended without a chance to say so.
    Running,
    /// Stopped on request.
    Interrupted,
    /// Every sample of the request is in the file.
    Complete,
}

/// A range of sample ids, `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdRange {
    /// First id.
    pub start: u64,
    /// One past the last id.
    pub end: u64,
}

impl From<Range<u64>> for IdRange {
    fn from(ids: Range<u64>) -> Self {
        Self { start: ids.start, end: ids.end }
    }
}

/// Everything that decides the bytes of the output, apart from which shard of it a file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// SHA-256 of what was asked (without batch size and threads, which change nothing).
    pub request_sha256: String,
    /// SHA-256 over the checksums of the model's configuration and weights.
    pub model_sha256: String,
    /// SHA-256 of the sampler's plan.
    pub plan_sha256: String,
    /// The chemistry library that wrote the SMILES.
    pub chemistry: String,
    /// File format, as its suffix without the dot.
    pub format: String,
}

impl Identity {
    /// The first part in which two runs differ: its name and both values.
    pub fn difference<'a>(&'a self, other: &'a Self) -> Option<(&'static str, &'a str, &'a str)> {
        [
            ("model", &self.model_sha256, &other.model_sha256),
            ("request", &self.request_sha256, &other.request_sha256),
            ("sampler plan", &self.plan_sha256, &other.plan_sha256),
            ("chemistry library", &self.chemistry, &other.chemistry),
            ("file format", &self.format, &other.format),
        ]
        .into_iter()
        .find(|(_, a, b)| a != b)
        .map(|(what, a, b)| (what, a.as_str(), b.as_str()))
    }
}

/// A sample that became infinite or not a number; it is left out, the others of its batch are not touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diverged {
    /// Sample id.
    pub id: u64,
    /// The sampler's step at which it happened.
    pub step: u64,
}

/// Content of `OUT.manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`] at the time of writing.
    pub format_version: u32,
    /// Name and version of the writing programme.
    pub library: String,
    /// Name of the model.
    pub model: String,
    /// The request with all defaults filled in.
    pub request: GenerateRequest,
    /// What the bytes of the output depend on.
    pub identity: Identity,
    /// How far the run has come.
    pub progress: Progress,
    /// Ids whose results are in the file, ascending and not touching one another.
    pub done: Vec<IdRange>,
    /// How many bytes of the data file these results take.
    pub bytes: u64,
    /// SHA-256 of those bytes.
    pub sha256: String,
    /// Counts over the samples done.
    pub tally: Tally,
    /// Samples left out because they diverged.
    pub diverged: Vec<Diverged>,
}

impl Manifest {
    /// `OUT.manifest.json`.
    pub fn path_for(output: &Path) -> PathBuf {
        with_suffix(output, ".manifest.json")
    }

    /// `OUT.partial`, where the data stand until they are complete.
    pub fn partial_for(output: &Path) -> PathBuf {
        with_suffix(output, ".partial")
    }

    /// Reads the manifest of `output`; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Manifest`].
    pub fn read(output: &Path) -> Result<Option<Self>, Error> {
        let path = Self::path_for(output);
        let length = match fs::metadata(&path) {
            Ok(file) => file.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Read { path, source }),
        };
        if length > MAX_MANIFEST {
            return Err(Error::ManifestLength { path, length, limit: MAX_MANIFEST });
        }
        let text = fs::read(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        // The version is looked at first: a later layout would otherwise be reported as a puzzling unknown field.
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let version: Version =
            serde_json::from_slice(&text).map_err(|source| Error::Manifest { path: path.clone(), source })?;
        if version.format_version != FORMAT_VERSION {
            let found = version.format_version;
            return Err(Error::ManifestVersion { path, expected: FORMAT_VERSION, found });
        }
        let manifest: Self =
            serde_json::from_slice(&text).map_err(|source| Error::Manifest { path: path.clone(), source })?;
        if let Some(reason) = manifest.contradiction() {
            return Err(Error::ManifestContradiction { path, reason });
        }
        Ok(Some(manifest))
    }

    /// What a hand-edited manifest may have wrong although each field can be read.
    fn contradiction(&self) -> Option<&'static str> {
        let ids = self.request.ids();
        let in_order = self.done.windows(2).all(|pair| pair[0].end < pair[1].start);
        let within = self.done.iter().all(|r| r.start < r.end && ids.start <= r.start && r.end <= ids.end);
        if !in_order || !within {
            Some("the done ranges do not lie in the requested ids, in order and apart")
        } else if self.progress == Progress::Complete && self.next() != ids.end {
            Some("it says complete, but ids are missing")
        } else if self.next() == ids.start && !ids.is_empty() && self.bytes != 0 {
            // A shard without samples may have a frame around nothing.
            Some("no sample is done, but bytes are recorded")
        } else {
            None
        }
    }

    /// Replaces the manifest of `output`.
    ///
    /// # Errors
    /// [`Error::Write`]; the former manifest is untouched then.
    pub fn write(&self, output: &Path) -> Result<(), Error> {
        let path = Self::path_for(output);
        write_atomically(&path, |file| {
            serde_json::to_writer_pretty(&mut *file, self)?;
            file.write_all(b"\n")
        })
        .map_err(|source| Error::Write { path, source })
    }

    /// The first id that is not done.
    pub fn next(&self) -> u64 {
        let ids = self.request.ids();
        match self.done.first() {
            Some(range) if range.start == ids.start => range.end,
            _ => ids.start,
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
