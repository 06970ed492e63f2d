//! What a prepared data set says of itself.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::columns;
use super::error::DatasetError;
use super::manifest::Kind;
use crate::error::Error;

/// Version of the layout that this programme writes and reads.
pub const PREPARED_VERSION: u32 = 1;
/// Dropped records that are remembered one by one.
pub const MOST_EXAMPLES: usize = 1000;

/// The metadata of a prepared data set. Nothing in it depends on when, where or on how many threads it was prepared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreparedMetadata {
    /// [`PREPARED_VERSION`].
    pub format_version: u32,
    /// Molecules or graphs.
    pub kind: Kind,
    /// Name of the known data set, or the stem of the file's name.
    pub name: String,
    /// Name and version of what prepared it.
    pub programme: String,
    /// The chemistry back end that read and spelt the molecules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chemistry: Option<String>,
    /// The only elements that were let in, if not all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub atoms: Vec<String>,
    /// The most heavy atoms or nodes that were let in.
    pub most_nodes: usize,
    /// Where the records come from; those of one source stand together, in this order.
    pub sources: Vec<Source>,
    /// Names of the parts of each split scheme, in the order of their numbers in column `split.SCHEME`.
    pub splits: BTreeMap<String, Vec<String>>,
    /// What was left out.
    pub dropped: Dropped,
    /// SHA-256 of the columns.
    pub data_sha256: String,
}

/// A file or recipe that records come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The file's name without its folder, or the recipe.
    pub file: String,
    /// The file's digest; absent for a recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The digest of its SMILES, one a line; of graphs, as JSON lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_sha256: Option<String>,
    /// How its graphs were drawn, where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawn: Option<Drawn>,
    /// Row numbers of the file are below this.
    pub rows: u64,
    /// Molecules or graphs in it, readable or not.
    pub entries: u64,
    /// How many of them are in the data set.
    pub records: u64,
}

/// How graphs were drawn by a recipe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drawn {
    /// The recipe.
    pub recipe: String,
    /// How many graphs.
    pub num: u64,
    /// The seed.
    pub seed: u64,
}

/// What was left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// How many, by reason.
    pub by_reason: BTreeMap<DropReason, u64>,
    /// The first [`MOST_EXAMPLES`] of them.
    pub examples: Vec<DroppedRecord>,
}

/// Why a record was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DropReason {
    /// A line, row or record that cannot be read as text or as a table.
    Unreadable,
    /// A string that is no SMILES, or a molecule that is not acceptable.
    NoMolecule,
    /// A molecule with an element that was not let in.
    OtherAtoms,
    /// More atoms or nodes than were let in.
    TooLarge,
    /// A graph with a loop, a repeated edge or an edge to nowhere, or one that is directed.
    BadGraph,
}

impl DropReason {
    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::NoMolecule => "no molecule",
            Self::OtherAtoms => "other atoms",
            Self::TooLarge => "too large",
            Self::BadGraph => "bad graph",
        }
    }
}

/// A record that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DroppedRecord {
    /// Its source, from 0.
    pub source: usize,
    /// Its line from 1; for graphs where lines mean nothing, the number of the graph from 0.
    pub line: u64,
    /// Why.
    pub why: DropReason,
    /// What exactly.
    pub reason: String,
}

impl Dropped {
    /// Counts a record, and remembers it if it is one of the first.
    pub(crate) fn add(&mut self, record: DroppedRecord) {
        *self.by_reason.entry(record.why).or_insert(0) += 1;
        if self.examples.len() < MOST_EXAMPLES {
            self.examples.push(record);
        }
    }

    /// How many in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_reason.values().sum()
    }
}

impl PreparedMetadata {
    /// Reads the metadata of a prepared file and its columns, and checks their digest.
    pub(crate) fn read(path: &Path) -> Result<(Self, columns::Columns), Error> {
        let bad = |reason: String| DatasetError::NotPrepared { path: path.to_owned(), reason };
        let file = columns::read(path)?;
        // The version first: another layout may have other fields.
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let malformed = |error: serde_json::Error| bad(format!("its metadata: {error}"));
        let Version { format_version: found } = serde_json::from_str(&file.metadata).map_err(malformed)?;
        if found != PREPARED_VERSION {
            return Err(DatasetError::FormatVersion {
                path: path.to_owned(),
                known: PREPARED_VERSION,
                found,
            }
            .into());
        }
        let metadata: Self = serde_json::from_str(&file.metadata).map_err(malformed)?;
        if metadata.data_sha256 != file.digest {
            return Err(
                bad("its columns do not have the recorded checksum; it was altered".to_owned()).into()
            );
        }
        Ok((metadata, file.columns))
    }

    /// That the sources account for `records` records whose row numbers are `rows`.
    pub(crate) fn check_rows(&self, rows: &[u32]) -> Result<(), String> {
        let mut left = rows;
        for source in &self.sources {
            let count = usize::try_from(source.records).ok().filter(|count| *count <= left.len());
            let Some(count) = count else {
                return Err("its sources claim more records than there are".to_owned());
            };
            let (of_source, rest) = left.split_at(count);
            let ascending = of_source.is_sorted_by(|a, b| a < b);
            if !ascending || of_source.last().is_some_and(|last| u64::from(*last) >= source.rows) {
                return Err(format!(
                    "the row numbers of {} are not ascending or beyond its end",
                    source.file
                ));
            }
            left = rest;
        }
        if left.is_empty() { Ok(()) } else { Err("it has more records than its sources".to_owned()) }
    }

    /// The source of a record.
    #[must_use]
    pub fn source_of(&self, record: usize) -> usize {
        let mut end = 0;
        let ends = self.sources.iter().map(|source| {
            end += source.records;
            end
        });
        ends.enumerate()
            .find(|(_, end)| (record as u64) < *end)
            .map_or(self.sources.len(), |(source, _)| source)
    }

    /// A digest that stands for the sources of these records: that of the file if they come from one.
    #[must_use]
    pub fn digest_of(&self, sources: &std::collections::BTreeSet<usize>) -> String {
        // A drawn set has the digest of its content, a file that of its bytes.
        let digest = |source: &Source| {
            let (file, content) = (source.sha256.clone(), source.content_sha256.clone());
            if source.drawn.is_some() { content.or(file) } else { file.or(content) }.unwrap_or_default()
        };
        let digests: Vec<String> =
            sources.iter().filter_map(|index| self.sources.get(*index).map(digest)).collect();
        match digests.as_slice() {
            [only] if only.len() == 64 => only.clone(),
            several => equidrift_backend::checksum::sha256(several.join("\n").as_bytes()),
        }
    }
}
