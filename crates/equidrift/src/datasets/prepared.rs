//! A prepared data set of either kind.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::DatasetError;
use super::graphs::PreparedGraphs;
use super::metadata::PreparedMetadata;
use super::molecules::PreparedMolecules;
use crate::error::Error;

/// A prepared data set of either kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Prepared {
    /// Of molecules.
    Molecules(PreparedMolecules),
    /// Of graphs.
    Graphs(PreparedGraphs),
}

impl Prepared {
    /// Opens a file of either kind.
    ///
    /// # Errors
    /// As [`PreparedMolecules::open`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        match PreparedMolecules::open(path) {
            Err(Error::PreparedData(DatasetError::Kind { .. })) => {
                PreparedGraphs::open(path).map(Self::Graphs)
            }
            result => result.map(Self::Molecules),
        }
    }

    /// What it says of itself.
    #[must_use]
    pub fn metadata(&self) -> &PreparedMetadata {
        match self {
            Self::Molecules(set) => set.metadata(),
            Self::Graphs(set) => set.metadata(),
        }
    }

    /// Number of molecules or graphs.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Molecules(set) => set.len(),
            Self::Graphs(set) => set.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Members of each part, by scheme.
    #[must_use]
    pub fn part_counts(&self) -> BTreeMap<String, Vec<(String, u64)>> {
        let memberships = match self {
            Self::Molecules(set) => set.memberships(),
            Self::Graphs(set) => set.memberships(),
        };
        memberships.counts(&self.metadata().splits)
    }

    /// Writes the file atomically; equal data sets give equal bytes.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Molecules(set) => set.write(path),
            Self::Graphs(set) => set.write(path),
        }
    }
}
