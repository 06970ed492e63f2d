//! What can go wrong with a data set.

use std::path::PathBuf;

use equidrift_graph::GraphError;

use crate::error::ErrorKind;

/// An error of preparing, verifying or opening a data set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// Neither a known data set nor a file.
    #[error("no data set or file `{name}`; known data sets: {}", known.join(", "))]
    Unknown {
        /// As requested.
        name: String,
        /// The data sets with a manifest.
        known: Vec<&'static str>,
    },
    /// A manifest inside the programme is malformed.
    #[error("datasets/{name}.toml: {source}")]
    Manifest {
        /// The data set.
        name: String,
        /// Where and why.
        source: toml::de::Error,
    },
    /// A known data set whose files were not named.
    #[error("where are the files of {dataset}? Give --from FILE, DIR or URL:{}", lines(files))]
    NoSource {
        /// The data set.
        dataset: String,
        /// Its files and where they can be had.
        files: Vec<String>,
    },
    /// A file of a known data set is missing.
    #[error("{dataset}: {file} was not found in what --from names; it can be had here: {source_of_file}")]
    MissingFile {
        /// The data set.
        dataset: String,
        /// The file's name.
        file: String,
        /// Where it can be had.
        source_of_file: String,
    },
    /// A file that is none of the data set's.
    #[error("{}: cannot tell which file of {dataset} this is; name it as one of {}", path.display(), names.join(", "))]
    Unrecognised {
        /// The data set.
        dataset: String,
        /// The file.
        path: PathBuf,
        /// Names by which its files are known.
        names: Vec<String>,
    },
    /// A file with other bytes than expected.
    #[error("{}: not the expected file: sha256 {found}, expected {expected}", path.display())]
    Sha256 {
        /// The file or address.
        path: PathBuf,
        /// Expected digest.
        expected: String,
        /// Digest found.
        found: String,
    },
    /// A file whose records are others than those of the data set, however it is packed.
    #[error(
        "{}: not the expected content: the sha256 of its records, one a line, is {found}, expected {expected}",
        path.display()
    )]
    ContentSha256 {
        /// The file.
        path: PathBuf,
        /// Expected digest.
        expected: String,
        /// Digest found.
        found: String,
    },
    /// A file with another number of rows than expected.
    #[error("{}: {found} rows, expected {expected}", path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// Rows expected.
        expected: u64,
        /// Rows found.
        found: u64,
    },
    /// A list of row numbers that cannot be read.
    #[error("{}:{line}: {reason}", path.display())]
    RowList {
        /// The list.
        path: PathBuf,
        /// Line from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A part of a split with another number of members than expected.
    #[error("{dataset}, split {scheme}:{part}: {found} members, expected {expected}")]
    PartCount {
        /// The data set.
        dataset: String,
        /// The split.
        scheme: String,
        /// Its part.
        part: String,
        /// Members expected.
        expected: u64,
        /// Members found.
        found: u64,
    },
    /// A member of two parts of a split.
    #[error("split {scheme}: row {row} is in two parts, {first} and {second}")]
    Overlap {
        /// The split.
        scheme: String,
        /// The row.
        row: u64,
        /// One part.
        first: String,
        /// The other.
        second: String,
    },
    /// A split that the data do not allow.
    #[error("split {scheme}: {reason}")]
    Split {
        /// The split.
        scheme: String,
        /// Why it cannot be made.
        reason: String,
    },
    /// A part that the file does not have.
    #[error("{}: no part `{wanted}`; it has {}", path.display(), list(known))]
    UnknownPart {
        /// The file.
        path: PathBuf,
        /// As asked for.
        wanted: String,
        /// What there is, each `SCHEME:PART`.
        known: Vec<String>,
    },
    /// A file that is no prepared data set, or a damaged one.
    #[error("{}: no intact prepared data set: {reason}", path.display())]
    NotPrepared {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A prepared data set in another layout.
    #[error("{}: prepared in format version {found}, this programme reads version {known}; prepare it again", path.display())]
    FormatVersion {
        /// The file.
        path: PathBuf,
        /// The version known.
        known: u32,
        /// The version found.
        found: u32,
    },
    /// A prepared data set of other things than asked for.
    #[error("{}: a data set of {found}, expected {expected}", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        expected: &'static str,
        /// What it holds.
        found: &'static str,
    },
    /// Nothing is left of a file.
    #[error("{}: nothing in it can be used{}", path.display(), because(reason))]
    Nothing {
        /// The file.
        path: PathBuf,
        /// Why the first record cannot, if there is one.
        reason: Option<String>,
    },
    /// A record that cannot be used, where that is to fail.
    #[error("{}:{line}: {reason}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Line from 1, or the number of the graph from 0 where lines mean nothing.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// More than a prepared data set can hold.
    #[error("{}: more than {maximum} {what}", path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
        /// Of what.
        what: &'static str,
        /// The limit.
        maximum: u64,
    },
    /// A file name whose suffix names no format.
    #[error(
        "{}: unknown format; use --format or one of .smi .csv .tsv .sdf .mol (molecules), .json .jsonl .graphml .edges (graphs), \
         each with or without .gz",
        path.display()
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// An option that this data set or file has no use for.
    #[error("{option}: {reason}")]
    Option {
        /// The option.
        option: &'static str,
        /// Why it makes no sense here.
        reason: String,
    },
    /// No programme that can fetch an address.
    #[error("cannot fetch {url}: neither curl nor wget is installed; fetch the file yourself and name it")]
    NoDownloader {
        /// The address.
        url: String,
    },
    /// A download that failed.
    #[error("cannot fetch {url}: {reason}")]
    Download {
        /// The address.
        url: String,
        /// What the programme that fetches said.
        reason: String,
    },
    /// A download larger than allowed.
    #[error("{url}: more than {limit} bytes; allow more with --max-download")]
    DownloadSize {
        /// The address.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file of graphs.
    #[error(transparent)]
    Graphs(#[from] GraphError),
}

impl DatasetError {
    /// Whose fault it is.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Unknown { .. }
            | Self::NoSource { .. }
            | Self::UnknownFormat { .. }
            | Self::UnknownPart { .. }
            | Self::Option { .. } => ErrorKind::Usage,
            Self::Graphs(GraphError::UnknownFormat { .. } | GraphError::UnknownSplit { .. }) => {
                ErrorKind::Usage
            }
            Self::Kind { .. } => ErrorKind::Mismatch,
            Self::Manifest { .. } | Self::NoDownloader { .. } => ErrorKind::Failure,
            _ => ErrorKind::BadInput,
        }
    }
}

fn lines(files: &[String]) -> String {
    files.iter().map(|file| format!("\n  {file}")).collect()
}

fn list(known: &[String]) -> String {
    if known.is_empty() { "no splits".to_owned() } else { known.join(", ") }
}

fn because(reason: &Option<String>) -> String {
    reason.as_ref().map(|reason| format!("; first: {reason}")).unwrap_or_default()
}
