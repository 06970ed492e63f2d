//! What can go wrong with a trajectory or a trajectory file.

use std::path::PathBuf;

/// What a build with or without feature `chemfiles` knows besides.
const OTHER_FORMATS: &str = if cfg!(feature = "chemfiles") {
    ", or one that chemfiles knows (.dcd, .trr, .nc, .lammpstrj, ...)"
} else {
    "; a build with feature `chemfiles` also has .dcd, .trr, .nc, .lammpstrj and more"
};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrajectoryError {
    /// Parts of a trajectory that do not fit together.
    #[error("{what}: expected {expected}, found {found}")]
    Count {
        /// What was counted, for example `"atoms of the frame"`.
        what: &'static str,
        /// As many as there should be.
        expected: usize,
        /// As many as there are.
        found: usize,
    },

    /// An atom that is not there.
    #[error("atom {atom} does not exist: there are {atoms}, numbered from 0")]
    NoSuchAtom {
        /// The atom named.
        atom: usize,
        /// Atoms that there are.
        atoms: usize,
    },

    /// More atoms, frames or bytes than are read.
    #[error("{found} {what}; at most {maximum} are read")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// As many as stated.
        found: u64,
        /// The limit.
        maximum: u64,
    },

    /// A selection of atoms that cannot be read.
    #[error(
        "selection {selection:?}: {reason}; use `all`, `heavy`, `element C,N`, `index 0-8,12` or `name CA,CB`"
    )]
    Selection {
        /// As given.
        selection: String,
        /// What is wrong with it.
        reason: String,
    },

    /// Too few points for what is to be computed.
    #[error("{what} needs at least {needed} {points}, found {found}")]
    TooFew {
        /// What was to be computed.
        what: &'static str,
        /// What it is computed from.
        points: &'static str,
        /// As many as are needed.
        needed: usize,
        /// As many as there are.
        found: usize,
    },

    /// Samples that are not samples of the reference they are to be compared with.
    #[error("the samples do not fit the reference: {reason}")]
    Unfit {
        /// What does not fit.
        reason: String,
    },

    /// A number out of the range of what is to be computed or written.
    #[error("{what} is {value}; expected {expected}")]
    Value {
        /// What the number is.
        what: &'static str,
        /// The number.
        value: f64,
        /// The range.
        expected: &'static str,
    },

    /// A piece of a file that is not what its format says.
    #[error("{reason}")]
    Malformed {
        /// What is wrong with it, and what was expected.
        reason: String,
    },

    /// A file that ends in the middle of a frame.
    #[error("the file is cut off: {expected} expected")]
    CutOff {
        /// What should have come.
        expected: &'static str,
    },

    /// A frame of a file that cannot be read.
    #[error("{}{}: frame {frame} (from 0): {source}", path.display(), colon_line(*line))]
    Frame {
        /// The file.
        path: PathBuf,
        /// 0-based number of the frame.
        frame: u64,
        /// 1-based line, where lines mean something.
        line: Option<u64>,
        /// What is wrong with it.
        source: Box<TrajectoryError>,
    },

    /// A file that cannot be read at all.
    #[error("{}{}: {source}", path.display(), colon_line(*line))]
    Document {
        /// The file.
        path: PathBuf,
        /// 1-based line, where it is known.
        line: Option<u64>,
        /// What is wrong with it.
        source: Box<TrajectoryError>,
    },

    /// A file that cannot be opened, read or written.
    #[error("cannot {task} {}: {source}", path.display())]
    File {
        /// `"open"`, `"read"` or `"write"`.
        task: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },

    /// A file name whose suffix names no trajectory format.
    #[error("{}: unknown trajectory format; use one of .xtc, .extxyz, .xyz, .pdb, .h5md, .npz{OTHER_FORMATS}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },

    /// A format that can be read and not written; with feature `chemfiles` only.
    #[error("{}: files of this format can be read, but not written", path.display())]
    ReadOnlyFormat {
        /// The file.
        path: PathBuf,
    },

    /// What a format has no place for.
    #[error("{format} files cannot hold {what}")]
    Unsupported {
        /// The format's name.
        format: &'static str,
        /// What cannot be held.
        what: &'static str,
    },

    /// HDF5 that cannot be read or written.
    #[error("HDF5: {0}")]
    Hdf5(#[from] hdf5_pure::Error),

    /// JSON that cannot be read.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),

    /// A stream that cannot be read or written.
    #[error("cannot read or write: {0}")]
    Stream(#[from] std::io::Error),
}

impl TrajectoryError {
    /// A [`Self::Malformed`].
    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed { reason: reason.into() }
    }

    /// The frame at which reading stopped, from 0.
    #[must_use]
    pub fn frame(&self) -> Option<u64> {
        match self {
            Self::Frame { frame, .. } => Some(*frame),
            _ => None,
        }
    }
}

fn colon_line(line: Option<u64>) -> String {
    line.map(|line| format!(":{line}")).unwrap_or_default()
}
