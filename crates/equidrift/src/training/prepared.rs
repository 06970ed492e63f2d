//! From a prepared data set to a training set: no chemistry is done again, but for the perception of aromatic bonds.

use std::collections::BTreeSet;
use std::path::Path;

use equidrift_molecule::BadLine;

use super::molecules::{MoleculeSource, Skeleton, Skeletons};
use super::settings::Unusable;
use crate::datasets::{DatasetError, Selection, is_prepared, open_molecules};
use crate::error::Error;

/// The part that is trained on.
const TRAIN: &str = "train";

/// The part of a prepared data set that a source names; `None` if it is none.
pub(super) fn selection(source: &MoleculeSource<'_>) -> Result<Option<Selection>, Error> {
    let mut selection = Selection::of_path(source.data);
    if !is_prepared(&selection.path) {
        return match source.split {
            None => Ok(None),
            Some(_) => {
                let data = source.data.display();
                let reason = format!("{data} is no prepared data set; make one with `datasets prepare`");
                Err(DatasetError::Option { option: "--split", reason }.into())
            }
        };
    }
    let refused = |option, reason: &str| DatasetError::Option { option, reason: reason.to_owned() };
    if source.test_rows.is_some() {
        let reason = "a prepared data set has its splits in it; name one with --split";
        return Err(refused("--test-rows", reason).into());
    }
    if let Some(split) = source.split {
        if selection.part.is_some() {
            return Err(refused("--split", "the part stands behind the file's name already").into());
        }
        selection.part =
            Some(if split.contains(':') { split.to_owned() } else { format!("{split}:{TRAIN}") });
    }
    Ok(Some(selection))
}

/// Reads the molecules of a part. What a training run makes of them is what it would make of the source file and the rows
/// of that part: same molecules, same order, same digest.
pub(super) fn read(
    source: &MoleculeSource<'_>,
    selection: &Selection,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Skeletons>, Error> {
    let part = open_molecules(&selection.path, selection.part.as_deref())?;
    let (set, metadata) = (&part.set, part.set.metadata());
    let examples = &metadata.dropped.examples;
    if let (Unusable::Fail, Some(first)) = (source.on_bad_line, examples.first()) {
        let (path, line, reason) = (selection.path.clone(), first.line, first.reason.clone());
        return Err(DatasetError::Record { path, line, reason }.into());
    }
    let mut used = Vec::with_capacity(part.molecules.len());
    let mut sources = BTreeSet::new();
    for &molecule in &part.molecules {
        if used.len() % 1024 == 0 && stop() {
            return Ok(None);
        }
        sources.insert(metadata.source_of(molecule));
        used.push(Skeleton::new(set.row(molecule), set.graph(molecule), source)?);
    }
    Ok(Some(Skeletons {
        left_out: (set.len() - used.len()) as u64,
        used,
        bad_lines: examples.iter().map(|e| BadLine { line: e.line, reason: e.reason.clone() }).collect(),
        rows: metadata.sources.iter().map(|source| source.rows).max().unwrap_or(0),
        sha256: metadata.digest_of(&sources),
    }))
}

/// Canonical SMILES of a prepared data set, or of the part behind its name; `None` if the path names none.
pub(super) fn canonical(path: &Path) -> Result<Option<Vec<(u64, String)>>, Error> {
    let selection = Selection::of_path(path);
    if !is_prepared(&selection.path) {
        return Ok(None);
    }
    let part = open_molecules(&selection.path, selection.part.as_deref())?;
    let spelt = |molecule: &usize| (part.set.row(*molecule), part.set.canonical(*molecule).to_owned());
    Ok(Some(part.molecules.iter().map(spelt).collect()))
}
