//! One part of a prepared data set.

use std::path::{Path, PathBuf};

use super::error::DatasetError;
use super::graphs::PreparedGraphs;
use super::molecules::PreparedMolecules;
use super::{PREPARED_SUFFIX, columns};
use crate::error::Error;

/// A file with the part that is meant: `FILE.eds`, `FILE.eds:PART` or `FILE.eds:SCHEME:PART`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The file.
    pub path: PathBuf,
    /// `PART` or `SCHEME:PART`; without it, everything is meant.
    pub part: Option<String>,
}

impl Selection {
    /// File and part as one path; what [`Selection::of_path`] takes apart.
    #[must_use]
    pub fn to_path(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        if let Some(part) = &self.part {
            name.push(":");
            name.push(part);
        }
        name.into()
    }

    /// Takes a path apart, as [`Selection::parse`] does it; one that is no text names no part.
    #[must_use]
    pub fn of_path(path: &Path) -> Self {
        path.to_str().map_or_else(|| Self { path: path.to_owned(), part: None }, Self::parse)
    }

    /// Takes a text apart. A colon that does not follow the suffix of a prepared data set belongs to the path, so every other
    /// file name is taken as it is.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mark = format!(".{PREPARED_SUFFIX}:");
        match text.find(&mark) {
            Some(place) => {
                let (path, part) = text.split_at(place + mark.len() - 1);
                Self { path: path.into(), part: Some(part[1..].to_owned()) }
            }
            None => Self { path: text.into(), part: None },
        }
    }
}

/// Whether a file is meant to be a prepared data set: by its suffix, or by how it begins.
#[must_use]
pub fn is_prepared(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| suffix == PREPARED_SUFFIX) || columns::has_mark(path)
}

/// Molecules of one part of a prepared data set.
#[derive(Debug, Clone, PartialEq)]
pub struct MoleculeSelection {
    /// The whole data set.
    pub set: PreparedMolecules,
    /// The molecules of the part, ascending.
    pub molecules: Vec<usize>,
}

/// Graphs of one part of a prepared data set.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphSelection {
    /// The whole data set.
    pub set: PreparedGraphs,
    /// The graphs of the part, ascending.
    pub graphs: Vec<usize>,
}

/// Opens the molecules of a part, `SCHEME:PART` or `PART` if only one scheme has it; without one, all.
///
/// # Errors
/// As [`PreparedMolecules::open`]; [`DatasetError::UnknownPart`].
pub fn open_molecules(path: &Path, part: Option<&str>) -> Result<MoleculeSelection, Error> {
    let set = PreparedMolecules::open(path)?;
    let molecules = match part {
        None => (0..set.len()).collect(),
        Some(part) => set.part(part).ok_or_else(|| unknown(path, part, set.part_names()))?,
    };
    Ok(MoleculeSelection { set, molecules })
}

/// Opens the graphs of a part, `SCHEME:PART` or `PART` if only one scheme has it; without one, all.
///
/// # Errors
/// As [`PreparedGraphs::open`]; [`DatasetError::UnknownPart`].
pub fn open_graphs(path: &Path, part: Option<&str>) -> Result<GraphSelection, Error> {
    let set = PreparedGraphs::open(path)?;
    let graphs = match part {
        None => (0..set.len()).collect(),
        Some(part) => set.part(part).ok_or_else(|| unknown(path, part, set.part_names()))?,
    };
    Ok(GraphSelection { set, graphs })
}

fn unknown(path: &Path, part: &str, known: Vec<String>) -> DatasetError {
    DatasetError::UnknownPart { path: path.to_owned(), wanted: part.to_owned(), known }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_told_from_a_path() {
        for (text, path, part) in [
            ("qm9.eds:gdss:test", "qm9.eds", Some("gdss:test")),
            ("a:b/qm9.eds:test", "a:b/qm9.eds", Some("test")),
            ("qm9.eds", "qm9.eds", None),
            ("qm9.smi:test", "qm9.smi:test", None),
            ("C:\\qm9.eds", "C:\\qm9.eds", None),
        ] {
            let selection = Selection::parse(text);
            assert_eq!((selection.path.as_path(), selection.part.as_deref()), (Path::new(path), part));
            assert_eq!(selection.to_path(), Path::new(text));
        }
    }
}
