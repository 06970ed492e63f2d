//! From a SMILES file to a training set: one-hot elements and bonds as levels.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use equidrift_backend::checksum::sha256_file;
use equidrift_gdss::GraphDataset;
use equidrift_molecule::{
    BadLine, BondEncoding, Chemistry, Element, MolecularGraph, MoleculeError, OnBadLine, SmilesReader,
    with_hydrogens,
};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::training::held_out::HeldOut;
use crate::training::prepared;
use crate::training::settings::Unusable;

/// Where molecules come from and which of them are used.
#[derive(Debug, Clone)]
pub struct MoleculeSource<'a> {
    /// A file of SMILES, one a line, `.gz` or not; or a prepared data set ([`crate::datasets`]), which may have the part that
    /// is meant behind its name (`FILE.eds:SCHEME:PART`).
    pub data: &'a Path,
    /// A file of 0-based row numbers (line number less one) that are left out; not for prepared data sets.
    pub test_rows: Option<&'a Path>,
    /// The part of a prepared data set: a scheme, whose part `train` is meant, or `SCHEME:PART`.
    pub split: Option<&'a str>,
    /// The elements in the order of the node features; empty: those of the data by atomic number.
    pub atoms: &'a [String],
    /// What the values of the edges stand for.
    pub bonds: BondEncoding,
    /// Lines that are no molecule.
    pub on_bad_line: Unusable,
    /// Molecules with an atom outside `atoms`.
    pub on_unknown_atom: Unusable,
    /// What becomes of hydrogens.
    pub hydrogens: Hydrogens,
}

/// What becomes of the hydrogens that are not written as atoms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hydrogens {
    /// They are left to the valences.
    #[default]
    Implicit,
    /// They are atoms like all others.
    Explicit,
}

/// A training set with what was found on the way.
#[derive(Debug, Clone)]
pub struct MoleculeSet {
    /// The graphs. Formal charges are dropped: the features have no place for them.
    pub graphs: GraphDataset,
    /// Elements in the order of the node features.
    pub vocabulary: Vec<Element>,
    /// Lines that are no molecule.
    pub bad_lines: Vec<BadLine>,
    /// Molecules read, test rows among them.
    pub molecules: u64,
    /// Molecules left out because they are test rows.
    pub test_rows: u64,
    /// Molecules left out because of an atom outside the vocabulary.
    pub unknown_atoms: u64,
    /// Lines of the data file up to its last molecule or bad line.
    pub rows: u64,
    /// SHA-256 of the data file.
    pub sha256: String,
    /// Molecules for validation; they are not in `graphs`. See [`MoleculeSet::hold_out`].
    pub held_out: Option<HeldOut>,
}

/// A molecule between reading and featurising.
pub(super) struct Skeleton {
    pub(super) row: u64,
    pub(super) atoms: Vec<Element>,
    /// The bonds with their levels.
    pub(super) bonds: Vec<(usize, usize, u8)>,
}

impl Skeleton {
    /// The skeleton of a molecule in row `row` of the data.
    ///
    /// # Errors
    /// A molecule whose bonds cannot be encoded.
    pub(super) fn new(row: u64, graph: MolecularGraph, source: &MoleculeSource<'_>) -> Result<Self, Error> {
        let graph = match source.hydrogens {
            Hydrogens::Implicit => graph,
            Hydrogens::Explicit => with_hydrogens(&graph),
        };
        let atoms = graph.node_weights().map(|atom| atom.element).collect();
        let bonds = source.bonds.encode(&graph).map_err(|error| {
            let (path, reason) = (source.data.to_owned(), error.to_string());
            MoleculeError::Line { path, line: row + 1, reason }
        })?;
        Ok(Self { row, atoms, bonds })
    }
}

/// What was read, before it is featurised.
pub(super) struct Skeletons {
    /// The molecules to be used.
    pub(super) used: Vec<Skeleton>,
    /// Molecules left out because they are not to be trained on.
    pub(super) left_out: u64,
    pub(super) bad_lines: Vec<BadLine>,
    pub(super) rows: u64,
    pub(super) sha256: String,
}

impl MoleculeSet {
    /// Reads and featurises the molecules. `stop` is asked now and then; when it answers true, `None` is returned.
    ///
    /// # Errors
    /// A file that cannot be read; a line that is no molecule or has an unknown atom, where that is to fail; a test row
    /// beyond the end of the data; no molecule left.
    pub fn read(
        source: &MoleculeSource<'_>,
        chemistry: &dyn Chemistry,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Self>, Error> {
        let wanted = source.atoms.iter().map(|symbol| symbol.parse()).collect::<Result<Vec<Element>, _>>()?;
        if let Some(twice) = wanted.iter().enumerate().find(|(i, element)| wanted[..*i].contains(element)) {
            return Err(Error::RepeatedAtom { element: *twice.1 });
        }
        let skeletons = match prepared::selection(source)? {
            Some(selection) => prepared::read(source, &selection, stop)?,
            None => read_smiles(source, chemistry, stop)?,
        };
        skeletons.map(|skeletons| Self::featurise(source, wanted, skeletons)).transpose()
    }

    /// One-hot elements and bond levels of what was read.
    fn featurise(
        source: &MoleculeSource<'_>,
        wanted: Vec<Element>,
        skeletons: Skeletons,
    ) -> Result<Self, Error> {
        let path = source.data;
        let Skeletons { used, left_out, bad_lines, rows, sha256 } = skeletons;
        let molecules = used.len() as u64 + left_out;
        let found: BTreeSet<Element> = used.iter().flat_map(|s| s.atoms.iter().copied()).collect();
        let vocabulary = if wanted.is_empty() { found.into_iter().collect() } else { wanted };
        let mut graphs = GraphDataset::new(vocabulary.len());
        let mut unknown_atoms = 0;
        for Skeleton { row, atoms, bonds } in used {
            let class = |element: &Element| vocabulary.iter().position(|known| known == element);
            match atoms.iter().find(|element| class(element).is_none()) {
                None => {
                    // At most 118 elements, so an index fits a byte.
                    let classes: Vec<u8> = atoms.iter().filter_map(class).map(|class| class as u8).collect();
                    graphs.push(row, &classes, &bonds)?;
                }
                Some(_) if source.on_unknown_atom == Unusable::Skip => unknown_atoms += 1,
                Some(&element) => {
                    return Err(Error::AtomOutsideVocabulary {
                        path: path.to_owned(),
                        line: row + 1,
                        element,
                        vocabulary: vocabulary.iter().map(|element| element.symbol()).collect(),
                    });
                }
            }
        }
        if graphs.node_counts().is_empty() {
            return Err(Error::NoTrainingMolecules { path: path.to_owned(), molecules, test_rows: left_out });
        }
        Ok(Self {
            graphs,
            vocabulary,
            bad_lines,
            molecules,
            test_rows: left_out,
            unknown_atoms,
            rows,
            sha256,
            held_out: None,
        })
    }
}

/// Reads a file of SMILES.
fn read_smiles(
    source: &MoleculeSource<'_>,
    chemistry: &dyn Chemistry,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Skeletons>, Error> {
    let path = source.data;
    let excluded = source.test_rows.map(read_rows).transpose()?.unwrap_or_default();
    let sha256 = sha256_file(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let on_bad_line = match source.on_bad_line {
        Unusable::Skip => OnBadLine::Skip,
        Unusable::Fail => OnBadLine::Fail,
    };
    let mut reader = SmilesReader::open(path, chemistry, on_bad_line)?;
    let (mut used, mut left_out, mut last_row) = (Vec::new(), 0, 0);
    for record in reader.by_ref() {
        let record = record?;
        let row = record.line - 1;
        last_row = row;
        if excluded.contains_key(&row) {
            left_out += 1;
            continue;
        }
        if row % 1024 == 0 && stop() {
            return Ok(None);
        }
        used.push(Skeleton::new(row, record.graph, source)?);
    }
    let bad_lines = reader.into_bad_lines();
    last_row = last_row.max(bad_lines.last().map_or(0, |bad| bad.line - 1));
    if let (Some((&row, &line)), Some(path)) = (excluded.range(last_row + 1..).next(), source.test_rows) {
        return Err(Error::RowBeyondEnd { path: path.to_owned(), line, row, rows: last_row + 1 });
    }
    Ok(Some(Skeletons { used, left_out, bad_lines, rows: last_row + 1, sha256 }))
}

/// Row numbers, one a line, with the line each stands on. Blank lines and lines that begin with `#` are skipped.
pub(super) fn read_rows(path: &Path) -> Result<BTreeMap<u64, u64>, Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let mut rows = BTreeMap::new();
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let row = text.parse().map_err(|_| {
            let reason = format!("expected a row number, found {text:?}");
            MoleculeError::Line { path: PathBuf::from(path), line, reason }
        })?;
        rows.insert(row, line);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::chemistry;

    fn source<'a>(data: &'a Path, test_rows: Option<&'a Path>, atoms: &'a [String]) -> MoleculeSource<'a> {
        MoleculeSource {
            data,
            test_rows,
            split: None,
            atoms,
            bonds: BondEncoding::Orders,
            on_bad_line: Unusable::Skip,
            on_unknown_atom: Unusable::Skip,
            hydrogens: Hydrogens::Implicit,
        }
    }

    fn read(source: &MoleculeSource<'_>) -> Result<MoleculeSet, Error> {
        MoleculeSet::read(source, chemistry(), &|| false).map(|set| set.expect("not stopped"))
    }

    fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    const DATA: &str = "CCO\nnot a molecule\nC#N\nCCl\n[NH3+]CC([O-])=O\n\nc1ccccc1\n";

    #[test]
    fn rows_are_line_numbers_whatever_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let data = file(&folder, "data.smi", DATA);
        let rows = file(&folder, "rows.txt", "2\n# a remark\n1\n");
        let set = read(&source(&data, Some(&rows), &[])).unwrap();
        let symbols: Vec<_> = set.vocabulary.iter().map(|element| element.symbol()).collect();
        assert_eq!(symbols, ["C", "N", "O", "Cl"], "in order of atomic number");
        let used: Vec<_> = (0..set.graphs.len()).map(|index| set.graphs.row(index)).collect();
        assert_eq!(used, [0, 3, 4, 6]);
        assert_eq!((set.molecules, set.test_rows, set.bad_lines.len()), (5, 1, 1));
        assert_eq!(set.bad_lines[0].line, 2);
        assert_eq!(set.graphs.nodes(), 6);
        // Benzene is kekulised: three single and three double bonds, each in both triangles.
        let benzene = set.graphs.dense(&[3]);
        let orders: Vec<f64> = benzene.adj.iter().copied().filter(|&a| a != 0.0).collect();
        assert_eq!((orders.len(), orders.iter().sum::<f64>()), (12, 18.0));
    }

    #[test]
    fn aromatic_bonds_can_be_a_level_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let data = file(&folder, "data.smi", DATA);
        let rows = file(&folder, "rows.txt", "0\n3\n");
        let aromatic = MoleculeSource { bonds: BondEncoding::Aromatic, ..source(&data, Some(&rows), &[]) };
        let set = read(&aromatic).unwrap();
        let levels = |index| {
            let dense = set.graphs.dense(&[index]);
            let mut levels: Vec<f64> = dense.adj.into_iter().filter(|level| *level != 0.0).collect();
            levels.sort_unstable_by(f64::total_cmp);
            levels
        };
        assert_eq!(levels(2), [2.0; 12], "benzene");
        assert_eq!(levels(0), [4.0; 2], "C#N");
        assert_eq!(levels(1), [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 3.0], "glycine");
    }

    #[test]
    fn atoms_outside_the_vocabulary_are_counted_or_fatal() {
        let folder = tempfile::tempdir().unwrap();
        let data = file(&folder, "data.smi", DATA);
        let atoms = ["C", "N", "O"].map(str::to_owned);
        let skipping = source(&data, None, &atoms);
        let set = read(&skipping).unwrap();
        assert_eq!((set.unknown_atoms, set.graphs.len(), set.graphs.features()), (1, 4, 3));
        let error = read(&MoleculeSource { on_unknown_atom: Unusable::Fail, ..skipping }).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("data.smi:4") && text.contains("Cl"), "{text}");
    }

    #[test]
    fn hydrogens_become_atoms_where_they_are_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let data = file(&folder, "data.smi", "CCO\n[NH3+]CC([O-])=O\n");
        let set =
            read(&MoleculeSource { hydrogens: Hydrogens::Explicit, ..source(&data, None, &[]) }).unwrap();
        let symbols: Vec<_> = set.vocabulary.iter().map(|element| element.symbol()).collect();
        assert_eq!(symbols, ["H", "C", "N", "O"]);
        assert_eq!((set.graphs.size(0), set.graphs.size(1)), (9, 10));
    }

    #[test]
    fn bad_input_names_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let data = file(&folder, "data.smi", DATA);
        let failing = MoleculeSource { on_bad_line: Unusable::Fail, ..source(&data, None, &[]) };
        assert!(read(&failing).unwrap_err().to_string().contains("data.smi:2"));
        let words = file(&folder, "words.txt", "3\nfour\n");
        assert!(read(&source(&data, Some(&words), &[])).unwrap_err().to_string().contains("words.txt:2"));
        let beyond = file(&folder, "beyond.txt", "0\n99\n");
        assert!(read(&source(&data, Some(&beyond), &[])).unwrap_err().to_string().contains("99"));
        let symbols = ["C", "Xx"].map(str::to_owned);
        assert!(read(&source(&data, None, &symbols)).unwrap_err().to_string().contains("Xx"));
        let repeated = ["C", "C"].map(str::to_owned);
        assert!(read(&source(&data, None, &repeated)).is_err());
        let single = file(&folder, "methane.smi", "C\nN\n");
        assert!(matches!(read(&source(&single, None, &[])), Err(Error::NoTrainingMolecules { .. })));
    }

    #[test]
    fn reading_can_be_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let data = file(&folder, "data.smi", DATA);
        assert!(MoleculeSet::read(&source(&data, None, &[]), chemistry(), &|| true).unwrap().is_none());
    }
}
