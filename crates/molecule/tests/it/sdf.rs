//! `.sdf` read back by a strict reader of the V2000 columns.

use std::collections::BTreeMap;

use equidrift_molecule::metrics::stability::StabilityTally;
use equidrift_molecule::{
    Atom, BondOrder, Chematic, Chemistry, Element, Format, GeneratedMolecule, MolecularGraph, MoleculeError,
    bonds, molecule_from, repair,
};

use crate::random::{Random, molecule};

fn generated(id: u64, graph: MolecularGraph) -> GeneratedMolecule {
    let smiles = Chematic.canonical_smiles(&graph).unwrap();
    GeneratedMolecule {
        id,
        smiles,
        valid_without_correction: id.is_multiple_of(2),
        repaired: !id.is_multiple_of(2),
        fragments: 1,
        graph,
        stability: StabilityTally::new(),
    }
}

fn written(format: Format, molecules: &[GeneratedMolecule]) -> Result<String, MoleculeError> {
    let mut bytes = Vec::new();
    let mut writer = format.writer(Box::new(&mut bytes), 7);
    for molecule in molecules {
        writer.write(molecule)?;
    }
    writer.flush()?;
    drop(writer);
    Ok(String::from_utf8(bytes).unwrap())
}

struct Record {
    title: String,
    graph: MolecularGraph,
    coordinates: Vec<[f64; 3]>,
    items: BTreeMap<String, String>,
}

/// Read one record by its columns; anything out of place panics.
fn read_record(text: &str) -> Record {
    let mut lines = text.lines();
    let title = lines.next().unwrap().to_owned();
    let program = lines.next().unwrap();
    assert_eq!(&program[20..22], "2D", "{program:?}");
    assert_eq!(lines.next(), Some(""));
    let counts = lines.next().unwrap();
    assert_eq!((counts.len(), &counts[33..]), (39, " V2000"), "{counts:?}");
    let number = |text: &str| text.trim().parse::<usize>().unwrap();
    let (atom_count, bond_count) = (number(&counts[0..3]), number(&counts[3..6]));

    let mut atoms = Vec::new();
    let mut coordinates = Vec::new();
    for _ in 0..atom_count {
        let line = lines.next().unwrap();
        assert_eq!(line.len(), 69, "{line:?}");
        let at = |from: usize| line[from..from + 10].trim().parse::<f64>().unwrap();
        coordinates.push([at(0), at(10), at(20)]);
        assert_eq!(&line[30..31], " ");
        atoms.push(Atom::neutral(line[31..34].trim().parse::<Element>().unwrap()));
        assert_eq!(&line[34..39], " 0  0", "mass difference and charge columns");
    }
    let mut list = Vec::new();
    for _ in 0..bond_count {
        let line = lines.next().unwrap();
        assert_eq!(line.len(), 12, "{line:?}");
        let order = BondOrder::from_number(number(&line[6..9]) as u8).unwrap();
        list.push((number(&line[0..3]) - 1, number(&line[3..6]) - 1, order));
    }
    loop {
        let line = lines.next().unwrap();
        if line == "M  END" {
            break;
        }
        let entries = line.strip_prefix("M  CHG").unwrap();
        let count = number(&entries[0..3]);
        assert!((1..=8).contains(&count));
        assert_eq!(entries.len(), 3 + 8 * count, "{line:?}");
        for entry in 0..count {
            let fields = &entries[3 + 8 * entry..];
            atoms[number(&fields[1..4]) - 1].charge = fields[5..8].trim().parse().unwrap();
        }
    }
    let mut items = BTreeMap::new();
    while let Some(line) = lines.next() {
        let name = line.strip_prefix(">  <").unwrap().strip_suffix('>').unwrap();
        items.insert(name.to_owned(), lines.next().unwrap().to_owned());
        assert_eq!(lines.next(), Some(""));
    }
    Record { title, graph: molecule_from(atoms, list).unwrap(), coordinates, items }
}

fn records(text: &str) -> Vec<Record> {
    let parts: Vec<&str> = text.split("$$$$\n").collect();
    assert_eq!(parts.last(), Some(&""), "the file ends after a record");
    parts[..parts.len() - 1].iter().map(|record| read_record(record)).collect()
}

#[test]
fn written_molecules_read_back_atom_by_atom() {
    let mut molecules: Vec<GeneratedMolecule> =
        ["CCO", "c1ccc2[nH]ccc2c1", "C[N+](C)(C)C", "O=C(O)C#N", "Brc1ccsc1", "[NH4+]"]
            .iter()
            .enumerate()
            .map(|(id, smiles)| generated(id as u64, Chematic.parse_smiles(smiles).unwrap()))
            .collect();
    for seed in 0..300 {
        let graph = repair(&molecule(&mut Random(seed)));
        if Chematic.verdict(&graph).valid {
            molecules.push(generated(1_000 + seed, graph));
        }
    }
    let found = records(&written(Format::Sdf, &molecules).unwrap());
    assert_eq!(found.len(), molecules.len());
    for (record, molecule) in found.iter().zip(&molecules) {
        assert_eq!(record.title, molecule.id.to_string());
        let atoms = |graph: &MolecularGraph| graph.node_weights().copied().collect::<Vec<_>>();
        assert_eq!(atoms(&record.graph), atoms(&molecule.graph), "{}", molecule.smiles);
        assert!(bonds(&record.graph).eq(bonds(&molecule.graph)), "{}", molecule.smiles);
        assert_eq!(record.items["ID"], molecule.id.to_string());
        assert_eq!(record.items["SMILES"], molecule.smiles);
        assert_eq!(record.items["VALID_WITHOUT_CORRECTION"], molecule.valid_without_correction.to_string());
        assert_eq!(record.items["REPAIRED"], molecule.repaired.to_string());
        assert_eq!(record.items["FRAGMENTS"], "1");
        assert_eq!(record.items["SEED"], "7");
    }
}

#[test]
fn drawings_have_bonds_of_a_bond_length_and_no_two_atoms_in_one_place() {
    for (id, smiles) in ["CC(=O)Oc1ccccc1C(=O)O", "C1CC2CC1CC2", "CCCCCCCC", "O=C1CCCCC1N"].iter().enumerate()
    {
        let text =
            written(Format::Sdf, &[generated(id as u64, Chematic.parse_smiles(smiles).unwrap())]).unwrap();
        let record = &records(&text)[0];
        let distance = |a: usize, b: usize| {
            let [p, q] = [record.coordinates[a], record.coordinates[b]];
            p.iter().zip(q).map(|(u, v)| (u - v).powi(2)).sum::<f64>().sqrt()
        };
        for (a, b, _) in bonds(&record.graph) {
            assert!((0.7..2.5).contains(&distance(a, b)), "{smiles}: bond {a}-{b} is {} Å", distance(a, b));
        }
        for a in 0..record.graph.node_count() {
            assert!((0..a).all(|b| distance(a, b) > 0.3), "{smiles}: atom {a} hides another");
            assert_eq!(record.coordinates[a][2], 0.0);
        }
    }
}

#[test]
fn more_than_eight_charges_take_more_than_one_line() {
    let salt = ["[NH4+].[OH-]"; 6].join(".");
    let text = written(Format::Sdf, &[generated(0, Chematic.parse_smiles(&salt).unwrap())]).unwrap();
    assert_eq!(text.matches("M  CHG").count(), 2);
    assert_eq!(records(&text)[0].graph.node_weights().filter(|atom| atom.charge != 0).count(), 12);
}

#[test]
fn a_molecule_too_large_for_the_format_is_an_error() {
    let graph = molecule_from(vec![Atom::neutral(Element::C); 1_000], []).unwrap();
    let large = GeneratedMolecule {
        id: 3,
        smiles: "C".to_owned(),
        valid_without_correction: true,
        repaired: false,
        fragments: 1,
        graph,
        stability: StabilityTally::new(),
    };
    assert!(matches!(
        written(Format::Sdf, &[large]),
        Err(MoleculeError::TooLargeForSdf { id: 3, atoms: 1_000, .. })
    ));
}

#[test]
fn each_format_tells_a_sample_without_a_molecule_its_own_way() {
    let empty = GeneratedMolecule {
        id: 1,
        smiles: String::new(),
        valid_without_correction: false,
        repaired: false,
        fragments: 0,
        graph: MolecularGraph::default(),
        stability: StabilityTally::new(),
    };
    let all = [
        generated(0, Chematic.parse_smiles("CO").unwrap()),
        empty,
        generated(2, Chematic.parse_smiles("N").unwrap()),
    ];
    assert_eq!(written(Format::Smi, &all).unwrap(), "CO\n\nN\n");
    assert_eq!(records(&written(Format::Sdf, &all).unwrap()).len(), 2);
    let lines = written(Format::Jsonl, &all).unwrap();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["smiles"], "CO");
    assert_eq!((&lines[0]["atoms"], &lines[0]["seed"], &lines[0]["id"]), (&2.into(), &7.into(), &0.into()));
    assert!(lines[1]["smiles"].is_null());
    assert_eq!(lines[1]["fragments"], 0);
}

#[test]
fn the_suffix_names_the_format() {
    let of = |name: &str| Format::of_path(std::path::Path::new(name));
    assert_eq!(of("a/b.smi").unwrap(), Format::Smi);
    assert_eq!(of("b.SDF").unwrap(), Format::Sdf);
    assert_eq!(of("b.x.jsonl").unwrap(), Format::Jsonl);
    for name in ["b", "b.smi.gz", "b.pdb", ".smi"] {
        let error = of(name).unwrap_err();
        assert!(error.to_string().contains(".smi, .sdf, .jsonl"), "{error}");
    }
}
