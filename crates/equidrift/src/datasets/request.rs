//! What can be asked of a preparation, and who watches it.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::file_format::FileFormat;
use super::manifest::SplitRule;
use crate::training::Unusable;

/// The most bytes that are fetched from an address, if nothing else is asked for.
pub const DEFAULT_DOWNLOAD_LIMIT: u64 = 4 << 30;

/// What to prepare.
#[derive(Debug, Clone, PartialEq)]
pub struct PrepareRequest {
    /// A known data set, a file, or an address.
    pub name: String,
    /// Files, folders and addresses with the files of a known data set.
    pub from: Vec<String>,
    /// Draw the graphs of a recipe instead of reading files.
    pub generate: Option<Drawing>,
    /// Format of a user's file, if its suffix does not tell.
    pub format: Option<FileFormat>,
    /// Column of a table that holds the SMILES.
    pub column: Option<String>,
    /// Expected digest of a user's file.
    pub sha256: Option<String>,
    /// Published rules by which a user's file is split.
    pub splits: Vec<UserSplit>,
    /// A file of rows of a user's file that are part `test` of scheme `rows`, the others `train`.
    pub test_rows: Option<PathBuf>,
    /// The only elements that are let in; empty: all.
    pub atoms: Vec<String>,
    /// The most heavy atoms or nodes that are let in.
    pub most_nodes: Option<usize>,
    /// What to do with records that cannot be used.
    pub on_bad_record: Unusable,
    /// The most bytes of a fetched file.
    pub download_limit: u64,
    /// Threads; they change speed, never a byte.
    pub threads: usize,
}

impl PrepareRequest {
    /// A known data set, a file or an address, with nothing else asked for.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            from: Vec::new(),
            generate: None,
            format: None,
            column: None,
            sha256: None,
            splits: Vec::new(),
            test_rows: None,
            atoms: Vec::new(),
            most_nodes: None,
            on_bad_record: Unusable::Skip,
            download_limit: DEFAULT_DOWNLOAD_LIMIT,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }
}

/// How many graphs of a recipe to draw, and by which seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drawing {
    /// How many; `None`: as many as the published set has.
    pub num: Option<u64>,
    /// The seed.
    pub seed: u64,
}

/// A published rule that splits any data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserSplit {
    /// [`SplitRule::FirstFifth`].
    Gdss,
    /// [`SplitRule::Sixteenths`].
    PardArm,
    /// [`SplitRule::Digress`].
    Digress,
    /// [`SplitRule::Spectre`].
    Spectre,
}

impl UserSplit {
    /// The name of the scheme and every rule's.
    pub const NAMES: [&'static str; 4] = ["gdss", "pard_arm", "digress", "spectre"];

    pub(super) fn rule(self) -> (&'static str, SplitRule) {
        match self {
            Self::Gdss => ("gdss", SplitRule::FirstFifth),
            Self::PardArm => ("pard_arm", SplitRule::Sixteenths),
            Self::Digress => ("digress", SplitRule::Digress { permutation_of: None }),
            Self::Spectre => ("spectre", SplitRule::Spectre),
        }
    }
}

impl FromStr for UserSplit {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "gdss" => Ok(Self::Gdss),
            "pard_arm" => Ok(Self::PardArm),
            "digress" => Ok(Self::Digress),
            "spectre" => Ok(Self::Spectre),
            _ => Err(format!("expected one of {}", Self::NAMES.join(", "))),
        }
    }
}

/// How far a preparation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrepareProgress<'a> {
    /// Bytes that have been fetched.
    Fetched {
        /// How many so far.
        bytes: u64,
    },
    /// Records that have been read.
    Read {
        /// The file.
        path: &'a Path,
        /// How many so far.
        records: u64,
        /// How many there should be, if that is known.
        of: Option<u64>,
    },
}

/// Who watches a preparation.
pub trait PrepareWatcher {
    /// Something has been done.
    fn progress(&mut self, progress: PrepareProgress<'_>);
    /// Something worth saying that is no error.
    fn note(&mut self, note: &str);
}
