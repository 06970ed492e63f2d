//! Prepared molecules: Kekulé graphs and canonical SMILES in columns.
//!
//! | column | type | length | what |
//! | --- | --- | --- | --- |
//! | `row` | U32 | M | 0-based row in the source (line number less 1, table row, SDF record) |
//! | `atom_ptr` | U32 | M + 1 | molecule k has atoms `atom_ptr[k]..atom_ptr[k + 1]` |
//! | `atom_z`, `atom_charge` | U8, I8 | A | atomic number, formal charge |
//! | `bond_ptr` | U32 | M + 1 | likewise bonds |
//! | `bond_u`, `bond_v` | U8 or U16 | B | atom numbers inside the molecule |
//! | `bond_type` | U8 | B | 1, 2 or 3 |
//! | `smiles_ptr` | U32 | M + 1 | likewise bytes of `smiles` |
//! | `smiles` | U8 | S | canonical SMILES, stereo marks kept where the source has them |
//! | `split.SCHEME` | U8 | M | number of the part in the metadata, 255 for none |

use std::io;
use std::path::Path;

use equidrift_molecule::chemistry::smiles_syntax::LONGEST_SMILES;
use equidrift_molecule::{Atom, BondOrder, Element, MolecularGraph, bonds, molecule_from};

use super::columns::{self, Taker, View, Views, check_pointers};
use super::error::DatasetError;
use super::manifest::Kind;
use super::membership::{Memberships, part_names};
use super::metadata::PreparedMetadata;
use crate::error::Error;

/// The most molecules of a prepared data set.
pub const MOST_MOLECULES: u64 = 20_000_000;

/// Molecules in columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct MoleculeColumns {
    row: Vec<u32>,
    atom_ptr: Vec<u32>,
    atom_z: Vec<u8>,
    atom_charge: Vec<i8>,
    bond_ptr: Vec<u32>,
    bond_u: Vec<u16>,
    bond_v: Vec<u16>,
    bond_type: Vec<u8>,
    smiles_ptr: Vec<u32>,
    smiles: Vec<u8>,
}

impl MoleculeColumns {
    pub(crate) fn new() -> Self {
        Self { atom_ptr: vec![0], bond_ptr: vec![0], smiles_ptr: vec![0], ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.row.len()
    }

    /// Adds a molecule; false if the columns can hold no more.
    pub(crate) fn push(&mut self, row: u32, graph: &MolecularGraph, canonical: &str) -> bool {
        let fits = |length: usize, more: usize| u32::try_from(length + more).ok();
        let (atoms, bond_count) = (graph.node_count(), graph.edge_count());
        let ends = (
            fits(self.atom_z.len(), atoms),
            fits(self.bond_type.len(), bond_count),
            fits(self.smiles.len(), canonical.len()),
        );
        let (Some(atom_end), Some(bond_end), Some(smiles_end)) = ends else { return false };
        if self.len() as u64 == MOST_MOLECULES || atoms > usize::from(u16::MAX) {
            return false;
        }
        self.row.push(row);
        self.atom_z.extend(graph.node_weights().map(|atom| atom.element.atomic_number()));
        self.atom_charge.extend(graph.node_weights().map(|atom| atom.charge));
        for (first, second, order) in bonds(graph) {
            // Atom numbers fit, checked above.
            self.bond_u.push(first as u16);
            self.bond_v.push(second as u16);
            self.bond_type.push(order.number());
        }
        self.smiles.extend(canonical.as_bytes());
        self.atom_ptr.push(atom_end);
        self.bond_ptr.push(bond_end);
        self.smiles_ptr.push(smiles_end);
        true
    }

    pub(crate) fn rows(&self) -> &[u32] {
        &self.row
    }

    fn range(ptr: &[u32], molecule: usize) -> std::ops::Range<usize> {
        ptr[molecule] as usize..ptr[molecule + 1] as usize
    }

    pub(crate) fn views(&self) -> Views<'_> {
        [
            ("row", View::U32(&self.row)),
            ("atom_ptr", View::U32(&self.atom_ptr)),
            ("atom_z", View::U8(&self.atom_z)),
            ("atom_charge", View::I8(&self.atom_charge)),
            ("bond_ptr", View::U32(&self.bond_ptr)),
            ("bond_u", View::narrowest(&self.bond_u)),
            ("bond_v", View::narrowest(&self.bond_v)),
            ("bond_type", View::U8(&self.bond_type)),
            ("smiles_ptr", View::U32(&self.smiles_ptr)),
            ("smiles", View::U8(&self.smiles)),
        ]
        .into_iter()
        .map(|(name, column)| (name.to_owned(), column))
        .collect()
    }

    fn take(taker: &mut Taker<'_>) -> Result<Self, DatasetError> {
        let columns = Self {
            row: taker.u32("row")?,
            atom_ptr: taker.u32("atom_ptr")?,
            atom_z: taker.u8("atom_z")?,
            atom_charge: taker.i8("atom_charge")?,
            bond_ptr: taker.u32("bond_ptr")?,
            bond_u: taker.narrow("bond_u")?,
            bond_v: taker.narrow("bond_v")?,
            bond_type: taker.u8("bond_type")?,
            smiles_ptr: taker.u32("smiles_ptr")?,
            smiles: taker.u8("smiles")?,
        };
        columns.check().map_err(|reason| taker.bad(reason))?;
        Ok(columns)
    }

    /// That every molecule is one.
    fn check(&self) -> Result<(), String> {
        let molecules = self.len();
        if molecules as u64 > MOST_MOLECULES {
            return Err(format!("it has more than {MOST_MOLECULES} molecules"));
        }
        check_pointers("atom_ptr", &self.atom_ptr, molecules, self.atom_z.len())?;
        check_pointers("bond_ptr", &self.bond_ptr, molecules, self.bond_type.len())?;
        check_pointers("smiles_ptr", &self.smiles_ptr, molecules, self.smiles.len())?;
        let lengths = [self.atom_charge.len(), self.bond_u.len(), self.bond_v.len()];
        if lengths != [self.atom_z.len(), self.bond_type.len(), self.bond_type.len()] {
            return Err("its columns of atoms or bonds differ in length".to_owned());
        }
        if self.atom_z.iter().any(|z| Element::from_atomic_number(*z).is_none()) {
            return Err("column atom_z has a number that is no element".to_owned());
        }
        if self.bond_type.iter().any(|order| BondOrder::from_number(*order).is_none()) {
            return Err("column bond_type has a number other than 1, 2 and 3".to_owned());
        }
        let mut ends = Vec::new();
        for molecule in 0..molecules {
            let atoms = Self::range(&self.atom_ptr, molecule).len();
            if atoms == 0 || atoms > usize::from(u16::MAX) {
                return Err(format!("molecule {molecule} has {atoms} atoms"));
            }
            let range = Self::range(&self.bond_ptr, molecule);
            ends.clear();
            ends.extend(range.map(|bond| {
                let (u, v) = (self.bond_u[bond], self.bond_v[bond]);
                (u.min(v), u.max(v))
            }));
            ends.sort_unstable();
            let bad = |pair: &(u16, u16)| pair.0 == pair.1 || usize::from(pair.1) >= atoms;
            if ends.iter().any(bad) || ends.windows(2).any(|two| two[0] == two[1]) {
                return Err(format!("molecule {molecule} has a bond that is impossible or there twice"));
            }
            let text = &self.smiles[Self::range(&self.smiles_ptr, molecule)];
            // Twice: a canonical SMILES may be longer than the string it was read from.
            let plain = !text.is_empty() && text.len() <= 2 * LONGEST_SMILES;
            if !plain || !text.iter().all(u8::is_ascii_graphic) {
                return Err(format!("molecule {molecule} has no canonical SMILES"));
            }
        }
        Ok(())
    }
}

/// A prepared data set of molecules, in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedMolecules {
    metadata: PreparedMetadata,
    columns: MoleculeColumns,
    memberships: Memberships,
}

impl PreparedMolecules {
    /// Puts the parts together and fills in the digest.
    pub(crate) fn new(
        mut metadata: PreparedMetadata,
        molecules: MoleculeColumns,
        memberships: Memberships,
    ) -> Self {
        metadata.data_sha256 = String::new();
        let mut set = Self { metadata, columns: molecules, memberships };
        set.metadata.data_sha256 = columns::digest(&set.all_views());
        set
    }

    fn all_views(&self) -> Views<'_> {
        let mut columns = self.columns.views();
        columns.extend(self.memberships.views());
        columns
    }

    /// Opens a file of `datasets prepare`.
    ///
    /// # Errors
    /// [`DatasetError::NotPrepared`] and [`DatasetError::FormatVersion`] for anything that is no intact file,
    /// [`DatasetError::Kind`] for one of graphs.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let (metadata, columns) = PreparedMetadata::read(path)?;
        if metadata.kind != Kind::Molecules {
            let (expected, found) = (Kind::Molecules.name(), metadata.kind.name());
            return Err(DatasetError::Kind { path: path.to_owned(), expected, found }.into());
        }
        let mut taker = Taker { columns, path };
        let molecules = MoleculeColumns::take(&mut taker)?;
        metadata.check_rows(molecules.rows()).map_err(|reason| taker.bad(reason))?;
        let memberships = Memberships::take(&metadata, molecules.len(), &mut taker)?;
        taker.finish()?;
        Ok(Self { metadata, columns: molecules, memberships })
    }

    /// Writes the file atomically; equal data sets give equal bytes.
    ///
    /// # Errors
    /// [`Error::Write`], [`Error::Encode`].
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let metadata = serde_json::to_string(&self.metadata).map_err(|source| Error::Encode { source })?;
        let write = |source: io::Error| Error::Write { path: path.to_owned(), source };
        columns::write(path, &metadata, &self.all_views()).map_err(write)
    }

    /// What it says of itself.
    #[must_use]
    pub fn metadata(&self) -> &PreparedMetadata {
        &self.metadata
    }

    /// Number of molecules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// 0-based row of a molecule in its source.
    #[must_use]
    pub fn row(&self, molecule: usize) -> u64 {
        u64::from(self.columns.row[molecule])
    }

    /// Canonical SMILES of a molecule, as [`equidrift_molecule::Chemistry::canonicalise`] spelt it.
    #[must_use]
    pub fn canonical(&self, molecule: usize) -> &str {
        let range = MoleculeColumns::range(&self.columns.smiles_ptr, molecule);
        // ASCII, checked on the way in.
        std::str::from_utf8(&self.columns.smiles[range]).unwrap_or_default()
    }

    /// The atoms of a molecule.
    pub fn atoms(&self, molecule: usize) -> impl ExactSizeIterator<Item = Atom> + '_ {
        let columns = &self.columns;
        MoleculeColumns::range(&columns.atom_ptr, molecule).map(|atom| Atom {
            // Every number is an element's, checked on the way in.
            element: Element::from_atomic_number(columns.atom_z[atom]).unwrap_or(Element::C),
            charge: columns.atom_charge[atom],
        })
    }

    /// The bonds of a molecule as `(one end, other end, order)`.
    pub fn bonds(&self, molecule: usize) -> impl ExactSizeIterator<Item = (usize, usize, BondOrder)> + '_ {
        let columns = &self.columns;
        MoleculeColumns::range(&columns.bond_ptr, molecule).map(|bond| {
            let order = BondOrder::from_number(columns.bond_type[bond]).unwrap_or(BondOrder::Single);
            (usize::from(columns.bond_u[bond]), usize::from(columns.bond_v[bond]), order)
        })
    }

    /// A molecule as a graph: what [`equidrift_molecule::Chemistry::parse_smiles`] made of the source.
    #[must_use]
    pub fn graph(&self, molecule: usize) -> MolecularGraph {
        // Bonds are possible and there once, checked on the way in.
        molecule_from(self.atoms(molecule), self.bonds(molecule)).unwrap_or_default()
    }

    /// The molecules of a part, ascending: `SCHEME:PART`, or `PART` if only one scheme has it.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<Vec<usize>> {
        self.memberships.part(&self.metadata.splits, name)
    }

    /// Every `SCHEME:PART`.
    #[must_use]
    pub fn part_names(&self) -> Vec<String> {
        part_names(&self.metadata.splits)
    }

    /// Whether another set has the same molecules from the same rows; splits and metadata may differ.
    #[must_use]
    pub fn has_molecules_of(&self, other: &Self) -> bool {
        self.columns == other.columns
    }

    pub(crate) fn memberships(&self) -> &Memberships {
        &self.memberships
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::datasets::metadata::{Dropped, PREPARED_VERSION, Source};
    use crate::generate::chemistry;

    fn metadata(records: u64) -> PreparedMetadata {
        PreparedMetadata {
            format_version: PREPARED_VERSION,
            kind: Kind::Molecules,
            name: "small".to_owned(),
            programme: "test".to_owned(),
            chemistry: Some("chematic".to_owned()),
            atoms: Vec::new(),
            most_nodes: 9,
            sources: vec![Source {
                file: "small.smi".to_owned(),
                sha256: Some("0".repeat(64)),
                content_sha256: None,
                drawn: None,
                rows: 10,
                entries: 10,
                records,
            }],
            splits: BTreeMap::from([("half".to_owned(), vec!["train".to_owned(), "test".to_owned()])]),
            dropped: Dropped::default(),
            data_sha256: String::new(),
        }
    }

    fn small() -> PreparedMolecules {
        let mut columns = MoleculeColumns::new();
        for (row, smiles) in [(0, "CCO"), (4, "C#N"), (9, "c1ccccc1")] {
            assert!(columns.push(row, &chemistry().parse_smiles(smiles).unwrap(), smiles));
        }
        let memberships = Memberships(BTreeMap::from([("half".to_owned(), vec![0, 1, 0])]));
        PreparedMolecules::new(metadata(3), columns, memberships)
    }

    /// The error of opening a set after `change`, whose digest is right all the same.
    fn refused(change: impl FnOnce(&mut PreparedMolecules)) -> String {
        let mut set = small();
        change(&mut set);
        let set = PreparedMolecules::new(set.metadata, set.columns, set.memberships);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.eds");
        set.write(&path).unwrap();
        PreparedMolecules::open(&path).unwrap_err().to_string()
    }

    #[test]
    fn a_set_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.eds");
        let set = small();
        set.write(&path).unwrap();
        let back = PreparedMolecules::open(&path).unwrap();
        assert_eq!(back, set);
        assert_eq!((back.len(), back.row(2), back.canonical(1)), (3, 9, "C#N"));
        let benzene = back.graph(2);
        assert_eq!((benzene.node_count(), benzene.edge_count()), (6, 6));
        assert_eq!(back.part("half:test").unwrap(), [1]);
        assert_eq!(back.part("train").unwrap(), [0, 2]);
        assert_eq!((back.part("val"), back.part("half:val"), back.part("x:test")), (None, None, None));
        // Bond ends of small molecules take a byte each: any reader of safetensors sees it.
        let bytes = std::fs::read(&path).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(tensors.tensor("bond_u").unwrap().dtype(), safetensors::Dtype::U8);
        assert_eq!(tensors.tensor("atom_ptr").unwrap().shape(), [4]);
    }

    #[test]
    fn what_is_well_formed_but_no_molecule_is_refused() {
        type Change = fn(&mut PreparedMolecules);
        let changes: [(Change, &str); 15] = [
            (|set| set.columns.atom_z[0] = 0, "no element"),
            (|set| set.columns.atom_z[0] = 119, "no element"),
            (|set| set.columns.bond_type[1] = 4, "bond_type"),
            (|set| set.columns.bond_v[0] = 3, "bond that is impossible"),
            (|set| set.columns.bond_v[0] = 0, "bond that is impossible"),
            (|set| (set.columns.bond_u[1], set.columns.bond_v[1]) = (1, 0), "there twice"),
            (|set| set.columns.atom_ptr[1] = 70, "atom_ptr"),
            (|set| set.columns.atom_ptr.swap(1, 2), "atom_ptr"),
            (|set| set.columns.bond_ptr[3] -= 1, "bond_ptr"),
            (|set| set.columns.smiles_ptr.push(14), "smiles_ptr"),
            (|set| set.columns.smiles[1] = b' ', "no canonical SMILES"),
            (|set| set.columns.smiles[1] = 0xff, "no canonical SMILES"),
            (|set| set.columns.row[2] = 4, "row numbers"),
            (|set| set.columns.row[2] = 10, "row numbers"),
            (|set| set.memberships.0.get_mut("half").unwrap()[0] = 2, "parts that do not exist"),
        ];
        for (change, reason) in changes {
            let error = refused(change);
            assert!(error.contains("no intact prepared data set") && error.contains(reason), "{error}");
        }
        let claims: [(Change, &str); 5] = [
            (|set| set.metadata.sources[0].records = 4, "more records than there are"),
            (|set| set.metadata.sources[0].records = u64::MAX, "more records than there are"),
            (|set| set.metadata.sources.clear(), "more records than its sources"),
            (|set| set.metadata.splits.clear(), "column split.half is unknown"),
            (|set| set.metadata.format_version = 2, "format version 2"),
        ];
        for (change, reason) in claims {
            let error = refused(change);
            assert!(error.contains(reason), "{error}");
        }
    }
}
