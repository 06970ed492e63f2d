//! Strings and files made to break a reader: each must be an answer or an error, soon.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use equidrift_molecule::chemistry::smiles_syntax::{DEEPEST_BRANCH, LONGEST_SMILES, MOST_ATOMS};
use equidrift_molecule::{
    Chematic, Chemistry, MoleculeError, OnBadLine, SmilesReader, TextLines, read_smiles_file,
};

use crate::random::Random;

/// No single string may take longer.
const PATIENCE: Duration = Duration::from_secs(10);

fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    let elapsed = start.elapsed();
    println!("{what}: {elapsed:?}");
    assert!(elapsed < PATIENCE, "{what} took {elapsed:?}");
    result
}

#[test]
fn hostile_strings_are_refused() {
    let long = 1_000_000;
    for (what, smiles) in [
        ("a million carbons", "C".repeat(long)),
        ("open branches", "(".repeat(long)),
        ("a deep branch", format!("C{}", "(C".repeat(5_000))),
        ("closed deep branches", format!("C{}{}", "(C".repeat(5_000), ")".repeat(5_000))),
        ("ring digits", format!("C{}", "1".repeat(100_000))),
        ("percent signs", format!("C{}", "%".repeat(1_000))),
        ("a huge ring number", "C%(99999999999999999999)CC".to_owned()),
        ("a huge charge", "[C+99999999999]".to_owned()),
        ("a huge isotope", "[99999999999C]".to_owned()),
        ("a huge hydrogen count", "[CH99999999999]".to_owned()),
        ("a huge atom class", "[CH4:99999999999999]".to_owned()),
        ("open brackets", "[".repeat(long)),
        ("NUL", "C\0C".to_owned()),
        ("dots", ".".repeat(1_000)),
        ("a bidirectional override", "C\u{202e}C".to_owned()),
        ("five-valent carbon", "C(C)(C)(C)(C)C".to_owned()),
        ("an impossible ring", "c1cccc1".to_owned()),
    ] {
        let result = timed(what, || Chematic.parse_smiles(&smiles));
        assert!(matches!(result, Err(MoleculeError::Smiles { .. })), "{what} was read");
        let message = result.unwrap_err().to_string();
        assert!(message.len() < 1_000, "{what}: the message holds the whole string");
    }
}

#[test]
fn the_largest_molecules_that_are_read_do_not_take_for_ever() {
    let strings = [
        ("a chain", "C".repeat(MOST_ATOMS)),
        ("fragments", vec!["C"; MOST_ATOMS].join(".")),
        ("one big ring", format!("C1{}1", "C".repeat(MOST_ATOMS - 1))),
        ("many rings", "C1CC1".repeat(MOST_ATOMS / 3)),
        ("many aromatic rings", "c1ccccc1".repeat(MOST_ATOMS / 6)),
        ("many bond digits", format!("C{}C{}", "=1".repeat(50), "=1".repeat(50))),
        ("a macrocycle of double bonds", format!("C1{}C1", "=CC".repeat(300))),
        ("a long acene", acene(240)),
        ("nested branches", format!("C{}{}", "(C".repeat(DEEPEST_BRANCH), ")".repeat(DEEPEST_BRANCH))),
        ("a comb", format!("{}C", "C(C)(C)".repeat(300))),
        ("long brackets", "[13CH2+0]".repeat(LONGEST_SMILES / 9 / 2)),
        ("a cube lattice", dotted(216, |a, b| lattice_neighbours(6, a, b))),
        ("a hypercube", dotted(256, |a, b| (a ^ b).is_power_of_two())),
        ("a complete graph", dotted(45, |_, _| true)),
        ("a complete bipartite graph", dotted(60, |a, b| (a < 30) != (b < 30))),
        ("a rook's graph", dotted(100, |a, b| a / 10 == b / 10 || a % 10 == b % 10)),
    ];
    for (what, smiles) in strings {
        timed(what, || {
            let result = Chematic.parse_smiles(&smiles);
            println!("{what}: {}", result.as_ref().map_or_else(ToString::to_string, |_| "read".to_owned()));
            if let Ok(graph) = result {
                assert!(graph.node_count() <= MOST_ATOMS);
                let _ = Chematic.canonical_smiles(&graph);
            }
        });
    }
}

/// Linear polyacene of `rings` fused aromatic rings, written along one edge and back along the other.
fn acene(rings: usize) -> String {
    let labels: Vec<String> = (100..100 + rings).map(|ring| format!("c%({ring})")).collect();
    let there = labels.join("c");
    let back: Vec<String> = labels.into_iter().rev().collect();
    format!("{there}cccc{}", back.join("c"))
}

/// Atoms without a valence limit, every bond a ring number across dots: any graph can be written so.
fn dotted(atoms: usize, joined: impl Fn(usize, usize) -> bool) -> String {
    let mut labels = vec![String::new(); atoms];
    let pairs = (0..atoms).flat_map(|b| (0..b).map(move |a| (a, b))).filter(|(a, b)| joined(*a, *b));
    for (label, (a, b)) in (100..).zip(pairs) {
        for atom in [a, b] {
            labels[atom].push_str(&format!("%({label})"));
        }
    }
    labels.into_iter().map(|labels| format!("[U]{labels}")).collect::<Vec<_>>().join(".")
}

/// Neighbours in a cubic lattice of `edge`^3 points.
fn lattice_neighbours(edge: usize, a: usize, b: usize) -> bool {
    let place = |point: usize| [point / edge / edge, point / edge % edge, point % edge];
    place(a).iter().zip(place(b)).map(|(u, v)| u.abs_diff(v)).sum::<usize>() == 1
}

#[test]
fn deep_branches_fit_the_stack_of_a_small_thread() {
    let smiles = format!("C{}{}", "(C".repeat(DEEPEST_BRANCH), ")".repeat(DEEPEST_BRANCH));
    let run = move || Chematic.parse_smiles(&smiles).map(|graph| graph.node_count());
    let count = std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap().join().unwrap();
    assert_eq!(count.unwrap(), DEEPEST_BRANCH + 1);
}

#[test]
fn mutated_smiles_never_panic() {
    let seeds = [
        "CC(=O)Oc1ccccc1C(=O)O",
        "C[C@@H](N)C(=O)[O-].[Na+]",
        "O=[N+]([O-])c1ccc2[nH]c(C#N)nc2c1",
        "F/C=C\\Cl",
        "C1CC2CC1C%12CC2C%12",
        "[13CH3]S(=O)(=O)[C@]1(F)CC[P@@](=O)(O)C1",
    ];
    let alphabet = b"CNOPSFIBrclnos[]()=#-+@/\\.%0123456789H:*$~\0 ";
    let mut random = Random(11);
    let mut read = 0;
    for round in 0..20_000 {
        let mut bytes = seeds[round % seeds.len()].as_bytes().to_vec();
        for _ in 0..random.below(3) + 1 {
            let place = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[place] = alphabet[random.below(alphabet.len())],
                1 => bytes.insert(place, alphabet[random.below(alphabet.len())]),
                2 if bytes.len() > 1 => {
                    bytes.remove(place);
                }
                _ => {
                    let other = random.below(bytes.len());
                    bytes.swap(place, other);
                }
            }
        }
        let smiles = String::from_utf8(bytes).unwrap();
        let result = std::panic::catch_unwind(|| Chematic.parse_smiles(&smiles));
        let result = result.unwrap_or_else(|_| panic!("{smiles:?} made the back end panic"));
        if let Ok(graph) = result {
            read += 1;
            let verdict = Chematic.verdict(&graph);
            let again = std::panic::catch_unwind(|| {
                let _ = (
                    Chematic.canonical_smiles(&graph),
                    Chematic.murcko_scaffold(&graph),
                    Chematic.qed(&graph),
                );
            });
            assert!(again.is_ok(), "{smiles:?} made the back end panic after it was read ({verdict:?})");
        }
    }
    assert!(read > 1_500, "the mutations leave readable strings ({read})");
}

fn file(content: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    file.flush().unwrap();
    file
}

#[test]
fn bad_lines_of_a_file_are_skipped_with_their_numbers_or_stop_it() {
    let mut content =
        b"\xef\xbb\xbfCCO ethanol\r\n\n# comment\nC(\nC\xff\xfeC\nc1ccccc1\tben zene\n".to_vec();
    content.extend(vec![b'C'; 200_000]);
    content.extend(b"\nC\0C\nN\nCC(C)(C)(C)C");
    let file = file(&content);
    let (records, bad) = read_smiles_file(file.path(), &Chematic, OnBadLine::Skip).unwrap();
    let found: Vec<_> =
        records.iter().map(|record| (record.line, &record.smiles[..], record.name.as_deref())).collect();
    assert_eq!(found, [(1, "CCO", Some("ethanol")), (6, "c1ccccc1", Some("ben zene")), (9, "N", None)]);
    assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [4, 5, 7, 8, 10]);

    let mut reader = SmilesReader::open(file.path(), &Chematic, OnBadLine::Fail).unwrap();
    assert!(reader.next().unwrap().is_ok());
    let error = reader.next().unwrap().unwrap_err();
    assert!(matches!(error, MoleculeError::Line { line: 4, .. }), "{error}");
    assert!(error.to_string().contains(":4: "), "{error}");
    assert!(reader.next().is_none());
}

#[test]
fn compressed_files_are_read_whatever_their_name_and_truncation_is_an_error() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    for _ in 0..1_000 {
        encoder.write_all(b"CCO\nc1ccccc1\n").unwrap();
    }
    let compressed = encoder.finish().unwrap();
    let whole = file(&compressed);
    let (records, bad) = read_smiles_file(whole.path(), &Chematic, OnBadLine::Fail).unwrap();
    assert_eq!((records.len(), bad.len()), (2_000, 0));

    let cut = file(&compressed[..compressed.len() / 2]);
    let result = read_smiles_file(cut.path(), &Chematic, OnBadLine::Skip);
    assert!(matches!(result, Err(MoleculeError::File { task: "read", .. })));
}

#[test]
fn a_line_without_end_is_not_kept_in_memory() {
    // 200 MB of one line, out of 200 kB of file.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let block = vec![b'C'; 1 << 20];
    for _ in 0..200 {
        encoder.write_all(&block).unwrap();
    }
    encoder.write_all(b"\nCO\n").unwrap();
    let file = file(&encoder.finish().unwrap());
    let (records, bad) =
        timed("a long line", || read_smiles_file(file.path(), &Chematic, OnBadLine::Skip)).unwrap();
    assert_eq!((records.len(), records[0].line), (1, 2));
    assert_eq!((bad.len(), bad[0].line), (1, 1));
}

#[test]
fn files_that_are_not_there_or_no_text_are_errors_or_bad_lines() {
    let missing = read_smiles_file(Path::new("/nowhere/at/all.smi"), &Chematic, OnBadLine::Skip);
    assert!(matches!(missing, Err(MoleculeError::File { task: "open", .. })));
    assert!(missing.unwrap_err().to_string().contains("/nowhere/at/all.smi"));
    let folder = read_smiles_file(&std::env::temp_dir(), &Chematic, OnBadLine::Skip);
    assert!(matches!(folder, Err(MoleculeError::File { task: "read", .. })));
    let mut random = Random(5);
    let noise: Vec<u8> = (0..100_000).map(|_| random.next() as u8).collect();
    let (_, bad) = read_smiles_file(file(&noise).path(), &Chematic, OnBadLine::Skip).unwrap();
    assert!(!bad.is_empty());
}

#[test]
fn text_that_is_no_utf_8_says_what_it_is() {
    let lines = |content: &[u8]| -> Vec<String> {
        TextLines::open(file(content).path(), 100)
            .unwrap()
            .map(|line| match line.unwrap().text {
                Ok(text) => text,
                Err(fault) => format!("{:?}: {}", fault.kind, fault.reason),
            })
            .collect()
    };
    assert_eq!(lines(b"\xef\xbb\xbfCCO \r\n\tN\n\nO"), ["CCO", "N", "", "O"]);
    let bad = lines(b"C\xe9\nC\0O\n\xc3\xa9\n");
    assert_eq!(bad[0], "Encoding: the line is not UTF-8: byte 0xe9 at position 1");
    assert!(bad[1].starts_with("Encoding: a NUL byte at position 1"), "{}", bad[1]);
    assert_eq!(bad[2], "é");
    // A line of exactly the limit is read, with and without its end.
    let long = "C".repeat(100);
    assert_eq!(lines(format!("{long}\n{long}").as_bytes()), [long.as_str(), &long]);
    let longer = "C".repeat(101);
    let found = lines(format!("{longer}\n{longer}").as_bytes());
    assert_eq!(found, ["LineLength: the line is longer than 100 bytes"; 2]);
    for start in [&b"\xff\xfeC\0"[..], b"\xfe\xff\0C"] {
        let error = TextLines::open(file(start).path(), 100).err().unwrap();
        assert!(error.to_string().contains("line 1: the file is UTF-16"), "{error}");
    }
    assert!(lines(b"").is_empty());
}
