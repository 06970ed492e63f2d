//! What is held out for validation.

use std::path::{Path, PathBuf};

use equidrift_backend::checksum::sha256;
use equidrift_gdss::GraphDataset;
use equidrift_molecule::Chemistry;
use equidrift_train::{VALIDATION_EPOCH, shuffled};

use crate::datasets::{Selection, is_prepared};
use crate::error::Error;
use crate::training::molecules::{MoleculeSet, MoleculeSource, read_rows};
use crate::training::settings::Unusable;
use crate::training::tables::ValidationSettings;

/// Held-out molecules or graphs.
#[derive(Debug, Clone)]
pub struct HeldOut {
    /// The graphs; none of them is larger than the largest one trained on.
    pub graphs: GraphDataset,
    /// Those left out because they are.
    pub too_large: u64,
    /// Of a data file of their own, what is left out for an atom outside the vocabulary or a degree that is not trained on,
    /// and what cannot be read.
    pub unusable: u64,
    /// What tells this set from others: a digest of its rows, or of its file.
    pub digest: String,
}

impl HeldOut {
    /// Leaves out what has more than `nodes` nodes. `digest` is that of a file, where there is one.
    ///
    /// # Errors
    /// `nodes`, if nothing is left.
    pub(super) fn new(
        mut graphs: GraphDataset,
        unusable: u64,
        digest: Option<String>,
        nodes: usize,
    ) -> Result<Self, usize> {
        let all = graphs.len();
        graphs.retain(|graph| graph.nodes <= nodes);
        if graphs.is_empty() {
            return Err(nodes);
        }
        let digest = digest.unwrap_or_else(|| sha256(&row_bytes(&graphs)));
        let too_large = (all - graphs.len()) as u64;
        Ok(Self { graphs, too_large, unusable, digest })
    }
}

/// How the settings name what is held out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Way<'a> {
    None,
    Rows(&'a Path),
    Fraction(f64),
    Data(&'a Path),
}

impl<'a> Way<'a> {
    /// # Errors
    /// More than one way; a fraction that is none.
    pub(super) fn of(settings: &'a ValidationSettings) -> Result<Self, Error> {
        let ValidationSettings { rows, fraction, data, .. } = settings;
        match (rows, *fraction, data) {
            (None, 0.0, None) => Ok(Self::None),
            (Some(path), 0.0, None) => Ok(Self::Rows(path)),
            (None, fraction, None) if fraction > 0.0 && fraction < 1.0 => Ok(Self::Fraction(fraction)),
            (None, 0.0, Some(path)) => Ok(Self::Data(path)),
            (None, _, None) => Err(setting("validation.fraction must be at least 0 and below 1")),
            _ => Err(setting("give only one of validation.rows, validation.fraction and validation.data")),
        }
    }
}

/// Takes the graphs whose rows a file lists out of a set whose data have `all_rows` rows.
///
/// # Errors
/// A file that cannot be read; a row beyond the end of the data, or that `test_rows` lists as well.
pub(super) fn take_rows(
    graphs: &mut GraphDataset,
    all_rows: u64,
    path: &Path,
    test_rows: Option<&Path>,
) -> Result<GraphDataset, Error> {
    let rows = read_rows(path)?;
    let path = || PathBuf::from(path);
    if let Some((&row, &line)) = rows.range(all_rows..).next() {
        return Err(Error::RowBeyondEnd { path: path(), line, row, rows: all_rows });
    }
    let tested = test_rows.map(read_rows).transpose()?.unwrap_or_default();
    if let Some((&row, &line)) = rows.iter().find(|(row, _)| tested.contains_key(row)) {
        return Err(Error::TestRowHeldOut { path: path(), line, row });
    }
    Ok(graphs.split_off(|graph| rows.contains_key(&graph.row)))
}

/// Takes the graphs that stand first in a permutation by the seed out of a set.
pub(super) fn take_fraction(graphs: &mut GraphDataset, fraction: f64, seed: u64) -> GraphDataset {
    let all = graphs.len();
    // At least one on each side, where there are two.
    let count = ((fraction * all as f64).round() as usize).clamp(1, all.saturating_sub(1).max(1));
    let mut rows: Vec<u64> = shuffled(all, seed, VALIDATION_EPOCH)[..count.min(all)]
        .iter()
        .map(|&index| graphs.row(index))
        .collect();
    rows.sort_unstable();
    graphs.split_off(|graph| rows.binary_search(&graph.row).is_ok())
}

impl MoleculeSet {
    /// Takes the molecules that `settings` hold out away from the training set, and keeps them as [`MoleculeSet::held_out`].
    /// `test_rows` is the file of rows that are neither trained on nor looked at. `false` where `stop` answered true.
    ///
    /// # Errors
    /// More than one way of naming them; a file that cannot be read; a row beyond the end of the data or that is a test row;
    /// nothing left on one of the two sides.
    pub fn hold_out(
        &mut self,
        settings: &ValidationSettings,
        source: &MoleculeSource<'_>,
        seed: u64,
        chemistry: &dyn Chemistry,
        stop: &dyn Fn() -> bool,
    ) -> Result<bool, Error> {
        let (graphs, unusable, digest) = match Way::of(settings)? {
            Way::None => return Ok(true),
            Way::Rows(path) => (take_rows(&mut self.graphs, self.rows, path, source.test_rows)?, 0, None),
            Way::Fraction(fraction) => (take_fraction(&mut self.graphs, fraction, seed), 0, None),
            Way::Data(path) => {
                let atoms: Vec<String> =
                    self.vocabulary.iter().map(|element| element.symbol().to_owned()).collect();
                let source = MoleculeSource {
                    data: path,
                    test_rows: None,
                    split: None,
                    atoms: &atoms,
                    on_unknown_atom: Unusable::Skip,
                    ..source.clone()
                };
                let Some(set) = Self::read(&source, chemistry, stop)? else { return Ok(false) };
                // Parts of one prepared data set differ in their rows alone.
                let digest = match is_prepared(&Selection::of_path(path).path) {
                    true => sha256(format!("{} {}", set.sha256, sha256(&row_bytes(&set.graphs))).as_bytes()),
                    false => set.sha256,
                };
                (set.graphs, set.unknown_atoms + set.bad_lines.len() as u64, Some(digest))
            }
        };
        let nodes = self.graphs.nodes();
        let held_out = HeldOut::new(graphs, unusable, digest, nodes).map_err(|largest| {
            let named = settings.rows.as_deref().or(settings.data.as_deref()).unwrap_or(source.data);
            Error::NothingHeldOut { path: named.to_owned(), largest }
        })?;
        if self.graphs.node_counts().is_empty() {
            let (path, molecules, test_rows) = (source.data.to_owned(), self.molecules, self.test_rows);
            return Err(Error::NoTrainingMolecules { path, molecules, test_rows });
        }
        self.held_out = Some(held_out);
        Ok(true)
    }
}

/// The rows of the graphs, little endian.
fn row_bytes(graphs: &GraphDataset) -> Vec<u8> {
    (0..graphs.len()).flat_map(|index| graphs.row(index).to_le_bytes()).collect()
}

/// An error of the settings, in our own words.
pub(crate) fn setting(reason: &str) -> Error {
    Error::TrainingSetting { source: serde::de::Error::custom(reason) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::generate::chemistry;
    use crate::training::molecules::Hydrogens;

    const DATA: &str = "CCO\nCCN\nbad\nCC=O\nC#N\nCCCCCCC\nOCCO\nCCF\nCC\nC=C\n";

    struct Place {
        folder: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("data.smi"), DATA).unwrap();
            Self { folder }
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        }

        fn hold_out(&self, settings: ValidationSettings, test: Option<&Path>) -> Result<MoleculeSet, Error> {
            let data = self.folder.path().join("data.smi");
            let source = MoleculeSource {
                data: &data,
                test_rows: test,
                split: None,
                atoms: &[],
                bonds: equidrift_molecule::BondEncoding::Orders,
                on_bad_line: Unusable::Skip,
                on_unknown_atom: Unusable::Skip,
                hydrogens: Hydrogens::Implicit,
            };
            let mut set = MoleculeSet::read(&source, chemistry(), &|| false)?.expect("not stopped");
            assert!(set.hold_out(&settings, &source, 3, chemistry(), &|| false)?);
            Ok(set)
        }
    }

    fn rows(graphs: &GraphDataset) -> Vec<u64> {
        (0..graphs.len()).map(|index| graphs.row(index)).collect()
    }

    #[test]
    fn rows_are_taken_out_of_the_training_set() {
        let place = Place::new();
        let settings = |rows: &PathBuf| ValidationSettings { rows: Some(rows.clone()), ..Default::default() };
        let listed = place.file("rows.txt", "7\n0\n2\n");
        let set = place.hold_out(settings(&listed), None).unwrap();
        let held_out = set.held_out.as_ref().unwrap();
        assert_eq!(rows(&held_out.graphs), [0, 7], "row 2 is no molecule");
        assert_eq!(rows(&set.graphs), [1, 3, 4, 5, 6, 8, 9]);
        // A molecule larger than all that are trained on cannot be asked of the model.
        let large = place.file("large.txt", "5\n8\n");
        let set = place.hold_out(settings(&large), None).unwrap();
        let held_out = set.held_out.as_ref().unwrap();
        assert_eq!((rows(&held_out.graphs), held_out.too_large, set.graphs.nodes()), (vec![8], 1, 4));

        let beyond = place.file("beyond.txt", "1\n10\n");
        let error = place.hold_out(settings(&beyond), None).unwrap_err().to_string();
        assert!(error.contains("beyond.txt:2") && error.contains("10"), "{error}");
        let test = place.file("test.txt", "9\n7\n");
        let error = place.hold_out(settings(&listed), Some(&test)).unwrap_err().to_string();
        assert!(error.contains("rows.txt:1") && error.contains("test row"), "{error}");
        let only = place.file("only.txt", "5\n");
        let error = place.hold_out(settings(&only), None).unwrap_err();
        assert!(matches!(error, Error::NothingHeldOut { largest: 4, .. }), "{error}");
    }

    #[test]
    fn a_share_is_drawn_by_the_seed() {
        let place = Place::new();
        let share = |fraction| ValidationSettings { fraction, ..Default::default() };
        let set = place.hold_out(share(0.3), None).unwrap();
        let held_out = rows(&set.held_out.as_ref().unwrap().graphs);
        assert_eq!(held_out.len() + set.held_out.as_ref().unwrap().too_large as usize, 3);
        assert!(rows(&set.graphs).iter().all(|row| !held_out.contains(row)));
        let again = place.hold_out(share(0.3), None).unwrap().held_out.unwrap();
        assert_eq!((rows(&again.graphs), &again.digest), (held_out, &set.held_out.as_ref().unwrap().digest));
        assert!(place.hold_out(share(0.0), None).unwrap().held_out.is_none());
        assert!(place.hold_out(share(1.0), None).is_err() && place.hold_out(share(f64::NAN), None).is_err());
    }

    #[test]
    fn a_file_of_its_own_is_read_with_the_vocabulary_of_the_training_set() {
        let place = Place::new();
        let data = place.file("validation.smi", "CCC\nCCCl\nnone\nCCCCCCCCC\nNCC\n");
        let settings = ValidationSettings { data: Some(data.clone()), ..Default::default() };
        let set = place.hold_out(settings.clone(), None).unwrap();
        let held_out = set.held_out.unwrap();
        assert_eq!((rows(&held_out.graphs), held_out.too_large, held_out.unusable), (vec![0, 4], 1, 2));
        assert_eq!((set.graphs.len(), held_out.graphs.features()), (9, set.graphs.features()));
        let both = ValidationSettings { fraction: 0.1, ..settings };
        assert!(place.hold_out(both, None).unwrap_err().to_string().contains("only one"));
    }
}
