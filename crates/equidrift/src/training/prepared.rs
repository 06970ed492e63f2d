//! From a prepared data set to a training set: no chemistry is done again.

use std::collections::BTreeSet;

use equidrift_molecule::BadLine;

use super::molecules::{MoleculeSource, Skeleton, Skeletons};
use super::settings::Unusable;
use crate::datasets::{DatasetError, open_molecules};
use crate::error::Error;

/// The part that is trained on.
const TRAIN: &str = "train";

/// Reads the molecules of a part. What a training run makes of them is what it would make of the source file and the rows
/// of that part: same molecules, same order, same digest.
pub(super) fn read(source: &MoleculeSource<'_>, stop: &dyn Fn() -> bool) -> Result<Option<Skeletons>, Error> {
    if source.test_rows.is_some() {
        let reason = "a prepared data set has its splits in it; name one with --split".to_owned();
        return Err(DatasetError::Option { option: "--test-rows", reason }.into());
    }
    let part = source.split.map(|split| match split.contains(':') {
        true => split.to_owned(),
        false => format!("{split}:{TRAIN}"),
    });
    let selection = open_molecules(source.data, part.as_deref())?;
    let (set, metadata) = (&selection.set, selection.set.metadata());
    let examples = &metadata.dropped.examples;
    if let (Unusable::Fail, Some(first)) = (source.on_bad_line, examples.first()) {
        let (path, line, reason) = (source.data.to_owned(), first.line, first.reason.clone());
        return Err(DatasetError::Record { path, line, reason }.into());
    }
    let mut used = Vec::with_capacity(selection.molecules.len());
    let mut sources = BTreeSet::new();
    for &molecule in &selection.molecules {
        if used.len() % 1024 == 0 && stop() {
            return Ok(None);
        }
        sources.insert(metadata.source_of(molecule));
        used.push(Skeleton {
            row: set.row(molecule),
            atoms: set.atoms(molecule).map(|atom| atom.element).collect(),
            bonds: set.bonds(molecule).map(|(a, b, order)| (a, b, order.number())).collect(),
        });
    }
    Ok(Some(Skeletons {
        left_out: (set.len() - used.len()) as u64,
        used,
        bad_lines: examples.iter().map(|e| BadLine { line: e.line, reason: e.reason.clone() }).collect(),
        sha256: metadata.digest_of(&sources),
    }))
}
