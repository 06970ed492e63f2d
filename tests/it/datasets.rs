//! Prepared data sets against the data at hand: every molecule of QM9, slices of ZINC250k and MOSES, all graphs.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use equidrift::datasets::{
    DatasetManifest, PrepareProgress, PrepareRequest, PrepareWatcher, Prepared, PreparedGraphs,
    PreparedMolecules, Role, open_graphs, open_molecules, prepare, verify,
};
use equidrift_molecule::{BondOrder, Element, molecule_from};
use flate2::read::GzDecoder;
use tempfile::TempDir;

use crate::npz;

/// Rows of the larger sets that are compared with the answer sheet.
const SLICE: usize = 4_000;

#[derive(Default)]
struct Notes(Vec<String>);

impl PrepareWatcher for Notes {
    fn progress(&mut self, _progress: PrepareProgress<'_>) {}

    fn note(&mut self, note: &str) {
        self.0.push(note.to_owned());
    }
}

/// A file or folder of the data at hand.
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::var_os("EQUIDRIFT_DATA")
        .map_or_else(|| root.join("../shared/data"), |path| root.join(path));
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing", path.display());
    println!("skipped: no reference data");
    None
}

fn prepared(request: &PrepareRequest) -> (Prepared, Vec<String>) {
    let mut notes = Notes::default();
    let set = prepare(request, equidrift::chemistry(), &mut notes, &|| false);
    (set.unwrap_or_else(|error| panic!("{}: {error}", request.name)).unwrap(), notes.0)
}

fn molecules(request: &PrepareRequest) -> PreparedMolecules {
    match prepared(request).0 {
        Prepared::Molecules(set) => set,
        Prepared::Graphs(_) => panic!("graphs"),
    }
}

fn known(name: &str, from: &Path) -> PrepareRequest {
    PrepareRequest { from: vec![from.display().to_string()], ..PrepareRequest::new(name) }
}

/// A file that is deleted with its folder.
fn temporary(name: &str, content: &[u8]) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    (folder, path)
}

/// Compares with the answer sheet: `(molecules with the same bonds, in another Kekulé form)`.
fn compare(set: &PreparedMolecules, answers: &Path) -> (usize, usize) {
    let arrays = npz::read(answers);
    let slice = |name: &str, ptr: &str, row: usize| {
        let ptr = &arrays[ptr];
        &arrays[name][ptr[row] as usize..ptr[row + 1] as usize]
    };
    let (mut same, mut other_form) = (0, 0);
    for molecule in 0..set.len() {
        let row = set.row(molecule) as usize;
        let elements: Vec<i64> =
            set.atoms(molecule).map(|atom| i64::from(atom.element.atomic_number())).collect();
        let charges: Vec<i64> = set.atoms(molecule).map(|atom| i64::from(atom.charge)).collect();
        assert_eq!(elements, slice("atom_z", "atom_ptr", row), "row {row}");
        assert_eq!(charges, slice("atom_charge", "atom_ptr", row), "row {row}");
        let sorted = |bonds: Vec<(usize, usize, u8)>| {
            let mut bonds: Vec<_> =
                bonds.into_iter().map(|(u, v, order)| (u.min(v), u.max(v), order)).collect();
            bonds.sort_unstable();
            bonds
        };
        let ours = sorted(set.bonds(molecule).map(|(u, v, order)| (u, v, order.number())).collect());
        let expected: Vec<(usize, usize, u8)> = slice("bond_u", "bond_ptr", row)
            .iter()
            .zip(slice("bond_v", "bond_ptr", row))
            .zip(slice("bond_type", "bond_ptr", row))
            .map(|((u, v), order)| (*u as usize, *v as usize, *order as u8))
            .collect();
        let expected = sorted(expected);
        if ours == expected {
            same += 1;
            continue;
        }
        // The same bonds, single and double ones placed otherwise in an aromatic ring: one molecule, since both spell alike.
        let ends = |bonds: &[(usize, usize, u8)]| bonds.iter().map(|b| (b.0, b.1)).collect::<Vec<_>>();
        assert_eq!(ends(&ours), ends(&expected), "row {row}");
        let bonds = expected.iter().map(|&(u, v, order)| (u, v, BondOrder::from_number(order).unwrap()));
        let answer = molecule_from(set.atoms(molecule), bonds).unwrap();
        let spelt = |graph| equidrift::chemistry().canonical_smiles(graph).unwrap();
        assert_eq!(spelt(&answer), spelt(&set.graph(molecule)), "row {row}");
        other_form += 1;
    }
    (same, other_form)
}

fn listed(path: &Path) -> BTreeSet<u64> {
    fs::read_to_string(path).unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

fn rows_of(set: &PreparedMolecules, part: &str) -> BTreeSet<u64> {
    set.part(part).unwrap().into_iter().map(|molecule| set.row(molecule)).collect()
}

#[test]
fn all_of_qm9_is_the_answer_sheet_and_both_splits_are_the_published_ones() {
    let Some(folder) = data("molecules") else { return };
    let request = known("qm9", &folder);
    let set = molecules(&request);
    assert_eq!((set.len(), set.metadata().dropped.total()), (133_885, 0));
    let (same, other_form) = compare(&set, &folder.join("qm9_graphs.npz"));
    println!("QM9: {same} equal, {other_form} in another Kekulé form");
    assert_eq!(same + other_form, 133_885);

    assert_eq!(rows_of(&set, "gdss:test"), listed(&folder.join("qm9_test_idx.txt")));
    assert_eq!(set.part("gdss:train").unwrap().len(), 120_803);
    let published = npz::read(&folder.join("qm9_split_digress.npz"));
    let left_out = listed(&folder.join("qm9_uncharacterised_idx.txt"));
    for part in ["train", "val", "test"] {
        let rows: BTreeSet<u64> = published[part].iter().map(|row| *row as u64).collect();
        assert_eq!(rows_of(&set, &format!("digress:{part}")), &rows - &left_out);
    }
    assert_eq!(set.part("val").unwrap().len(), 20_042, "only digress has it");
    assert_eq!(set.part("test"), None, "two schemes have it");

    // The bytes do not depend on the number of threads, and come back as they were written.
    let place = TempDir::new().unwrap();
    let (one, many) = (place.path().join("one.eds"), place.path().join("many.eds"));
    molecules(&PrepareRequest { threads: 1, ..request.clone() }).write(&one).unwrap();
    molecules(&PrepareRequest { threads: 5, ..request.clone() }).write(&many).unwrap();
    let bytes = fs::read(&one).unwrap();
    assert!(bytes == fs::read(&many).unwrap());
    assert!(bytes.len() < 12_000_000, "{} bytes", bytes.len());
    assert_eq!(PreparedMolecules::open(&one).unwrap(), set);
    let test = open_molecules(&one, Some("gdss:test")).unwrap();
    assert_eq!(test.molecules.len(), 13_082);

    let checks = verify(
        &PrepareRequest { from: request.from, ..PrepareRequest::new(&one.display().to_string()) },
        equidrift::chemistry(),
        &mut Notes::default(),
        &|| false,
    );
    let checks = checks.unwrap().unwrap();
    assert!(checks.len() >= 9 && checks.iter().all(|check| check.passed), "{checks:?}");
}

#[test]
fn slices_of_larger_sets_are_the_answer_sheet() {
    let Some(folder) = data("molecules") else { return };
    for name in ["zinc250k", "moses_train_250k"] {
        let mut text = String::new();
        GzDecoder::new(fs::File::open(folder.join(format!("{name}.smi.gz"))).unwrap())
            .read_to_string(&mut text)
            .unwrap();
        let slice: String = text.lines().take(SLICE).map(|line| format!("{line}\n")).collect();
        let (_place, path) = temporary("slice.smi", slice.as_bytes());
        let set = molecules(&PrepareRequest::new(&path.display().to_string()));
        let (same, other_form) = compare(&set, &folder.join(format!("{name}_graphs.npz")));
        println!("{name}: {same} equal, {other_form} in another Kekulé form");
        assert_eq!(same + other_form, SLICE);
    }
}

#[test]
fn a_table_with_the_same_molecules_is_accepted_as_the_known_set() {
    let Some(folder) = data("molecules") else { return };
    let text = fs::read_to_string(folder.join("qm9.smi")).unwrap();
    let table: String = std::iter::once("id,smiles\n".to_owned())
        .chain(text.lines().enumerate().map(|(row, smiles)| format!("{row},\"{smiles}\n\"\n")))
        .collect();
    let (_place, path) = temporary("whatever.csv", table.as_bytes());
    let set = molecules(&known("qm9", &path));
    assert_eq!(set.len(), 133_885);
    // One molecule more, one less, one other: each is noticed.
    for (change, reason) in [
        (format!("{table}1,C\n"), "133886 rows, expected 133885"),
        (table.rsplitn(4, '\n').nth(3).unwrap().to_owned(), "133884 rows"),
        (table.replacen("\"CCCCO\n\"", "\"CCCCN\n\"", 1), "not the expected content"),
    ] {
        fs::write(&path, change).unwrap();
        let mut notes = Notes::default();
        let error = prepare(&known("qm9", &path), equidrift::chemistry(), &mut notes, &|| false);
        let error = error.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn graphs_keep_nodes_edges_labels_and_splits() {
    let Some(folder) = data("graphs") else { return };
    let place = TempDir::new().unwrap();
    for manifest in DatasetManifest::all().unwrap() {
        let Some(file) = manifest.files.iter().find(|file| file.role == Role::Graphs) else { continue };
        let name = &manifest.name;
        let (set, notes) = prepared(&known(name, &folder));
        assert!(notes.is_empty(), "{name}: {notes:?}");
        let document: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.join(&file.name)).unwrap()).unwrap();
        let Prepared::Graphs(set) = set else { panic!("molecules") };
        let graphs = document["graphs"].as_array().unwrap();
        assert_eq!(set.len(), graphs.len(), "{name}");
        for (index, graph) in graphs.iter().enumerate() {
            assert_eq!(set.nodes(index), graph["n"].as_u64().unwrap() as usize);
            let edges: Vec<(usize, usize)> = serde_json::from_value(graph["edges"].clone()).unwrap();
            assert_eq!(set.edges(index).collect::<BTreeSet<_>>(), edges.into_iter().collect());
            let labels: Option<Vec<i32>> = serde_json::from_value(graph["node_labels"].clone()).unwrap();
            assert_eq!(set.node_labels(index), labels.as_deref());
            assert_eq!(set.label(index), graph["label"].as_i64().map(|label| label as i32));
        }
        // Each split is both computed by its rule and listed in the file.
        assert!(!manifest.splits.is_empty());
        for (scheme, split) in &manifest.splits {
            for part in split.counts.keys() {
                let listed: BTreeSet<usize> =
                    serde_json::from_value(document["splits"][scheme][part].clone()).unwrap();
                let found: BTreeSet<usize> =
                    set.part(&format!("{scheme}:{part}")).unwrap().into_iter().collect();
                assert_eq!(found, listed, "{name} {scheme}:{part}");
            }
        }
        let path = place.path().join(format!("{name}.eds"));
        set.write(&path).unwrap();
        assert_eq!(PreparedGraphs::open(&path).unwrap(), set);
        let part = format!("{}:test", manifest.splits.keys().next().unwrap());
        assert!(!open_graphs(&path, Some(&part)).unwrap().graphs.is_empty());
        let request = PrepareRequest::new(&path.display().to_string());
        let checks =
            verify(&request, equidrift::chemistry(), &mut Notes::default(), &|| false).unwrap().unwrap();
        assert!(checks.iter().all(|check| check.passed), "{name}: {checks:?}");
    }
}

#[test]
fn damaged_files_are_refused_wherever_the_damage_is() {
    let (place, path) = temporary("small.smi", b"CCO\nC#N\nc1ccccc1\n[NH3+]CC([O-])=O\n");
    let request = PrepareRequest {
        splits: vec!["spectre".parse().unwrap()],
        ..PrepareRequest::new(&path.display().to_string())
    };
    let set = molecules(&request);
    let file = place.path().join("small.eds");
    set.write(&file).unwrap();
    let good = fs::read(&file).unwrap();
    assert_eq!(PreparedMolecules::open(&file).unwrap(), set);
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&file, bytes).unwrap();
        match PreparedMolecules::open(&file) {
            Err(_) => {}
            // A changed letter of the metadata may leave a file that is as good as the first, of another name.
            Ok(other) => assert!(other.has_molecules_of(&set), "{what} was not noticed"),
        }
    };
    for length in 0..good.len() {
        refused(&good[..length], &format!("a cut at {length}"));
        fs::write(&file, &good[..length]).unwrap();
        assert!(PreparedMolecules::open(&file).is_err(), "cut at {length}");
    }
    for place in 0..good.len() {
        for flip in [1, 0x80] {
            let mut bad = good.clone();
            bad[place] ^= flip;
            refused(&bad, &format!("a bit at {place}"));
        }
    }
    refused(&[good.clone(), vec![0]].concat(), "a byte more");
    let mut huge = good.clone();
    huge[..8].copy_from_slice(&(1_u64 << 60).to_le_bytes());
    refused(&huge, "a huge header");
    fs::write(&file, &good).unwrap();
    assert!(PreparedGraphs::open(&file).unwrap_err().to_string().contains("a data set of molecules"));
    let error = open_molecules(&file, Some("gdss:test")).unwrap_err().to_string();
    assert!(error.contains("spectre:train, spectre:val, spectre:test"), "{error}");
    assert_eq!(set.atoms(1).map(|atom| atom.element).collect::<Vec<_>>(), [Element::C, Element::N]);
}
