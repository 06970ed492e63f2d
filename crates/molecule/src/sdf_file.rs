//! Reading `.sdf` and `.mol` files: MDL connection tables V2000 and V3000 (BIOVIA, CTfile Formats, 2020).
//!
//! Elements, charges and bonds of order 1, 2 and 3 are read. Hydrogens bonded to one other atom are folded into it, isotopes,
//! radicals, stereo marks, coordinates and data items are passed over: a [`MolecularGraph`] has no place for them. Bonds of
//! type 4 (aromatic) are meant for queries and leave hydrogens open; they are refused with that reason, as is every other
//! type.
//!
//! The file is a stream of records; a record that cannot be read is passed over up to its `$$$$`. Valences are not checked
//! here: ask [`crate::Chemistry::verdict`].

use std::collections::HashMap;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use crate::chemistry::smiles_syntax::MOST_ATOMS;
use crate::element::Element;
use crate::error::MoleculeError;
use crate::molecule::{Atom, BondOrder, MolecularGraph, molecule_from};
use crate::smiles_file::LONGEST_LINE;
use crate::text_lines::{after_line, open_unpacked};

/// The most bonds of a record, far above any molecule of [`MOST_ATOMS`] atoms.
const MOST_BONDS: usize = 4 * MOST_ATOMS;

/// A molecule of an SDF.
#[derive(Debug, Clone)]
pub struct SdfRecord {
    /// 0-based record number.
    pub row: u64,
    /// 1-based line on which the record begins.
    pub line: u64,
    /// The title line, if it is not blank.
    pub name: Option<String>,
    /// The molecule; valences are not checked.
    pub graph: MolecularGraph,
}

/// The records of an SDF. A record that cannot be read is a [`MoleculeError::Line`] after which reading can go on; any other
/// error ends the iteration.
pub struct SdfRecords {
    path: PathBuf,
    input: Box<dyn BufRead + Send>,
    row: u64,
    line: u64,
    /// The last line read was the record's `$$$$`, or the file has ended.
    at_end: bool,
    file_ended: bool,
    failed: bool,
}

/// Atoms and bonds as the table has them.
#[derive(Default)]
struct Table {
    atoms: Vec<Atom>,
    bonds: Vec<(usize, usize, BondOrder)>,
}

/// Why a record cannot be read.
enum Fault {
    /// Nothing but blank lines is left of the file.
    NoRecord,
    Record(String),
    File(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::File(error)
    }
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self::Record(reason)
    }
}

impl From<&str> for Fault {
    fn from(reason: &str) -> Self {
        Self::Record(reason.to_owned())
    }
}

impl SdfRecords {
    /// Open a file, compressed or not.
    ///
    /// # Errors
    /// [`MoleculeError::File`].
    pub fn open(path: &Path) -> Result<Self, MoleculeError> {
        Ok(Self::new(path, open_unpacked(path)?))
    }

    /// Read from a stream; `path` is what error messages call it.
    pub fn new(path: &Path, input: Box<dyn BufRead + Send>) -> Self {
        Self { path: path.to_owned(), input, row: 0, line: 0, at_end: true, file_ended: false, failed: false }
    }

    /// Records seen so far, readable or not.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.row
    }

    /// The next line without its end, cut to [`LONGEST_LINE`] bytes; `None` at the end of the record or the file.
    fn next_line(&mut self) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        let read = (&mut self.input).take(LONGEST_LINE as u64).read_until(b'\n', &mut bytes)?;
        if read == 0 {
            (self.at_end, self.file_ended) = (true, true);
            return Ok(None);
        }
        self.line += 1;
        if bytes.last() != Some(&b'\n') {
            self.pass_over_line()?;
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches(['\n', '\r']);
        self.at_end = text.starts_with("$$$$");
        Ok((!self.at_end).then(|| text.to_owned()))
    }

    fn pass_over_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(buffer.len(), |place| place + 1);
            let finished = end.is_some() || used == 0;
            self.input.consume(used);
            if finished {
                return Ok(());
            }
        }
    }

    /// A line that must be there.
    fn expect_line(&mut self) -> Result<String, Fault> {
        Ok(self.next_line()?.ok_or("the record ends before its connection table does")?)
    }

    /// The title and the molecule of the next record.
    fn record(&mut self) -> Result<(Option<String>, MolecularGraph), Fault> {
        let mut header = Vec::with_capacity(4);
        // A counts line cannot be blank; as long as nothing else has come, this may be the end of the file.
        while header.len() < 4 || header.iter().all(|line: &String| line.trim().is_empty()) {
            match self.next_line()? {
                Some(line) if header.len() < 4 => header.push(line),
                Some(line) => header[3] = line,
                // Blank lines behind the last record.
                None if self.file_ended && header.iter().all(|line| line.trim().is_empty()) => {
                    return Err(Fault::NoRecord);
                }
                None => return Err("the record ends before its connection table begins".into()),
            }
        }
        let (title, counts) = (header[0].trim_start_matches('\u{feff}').trim(), header[3].as_str());
        let table = match counts.get(33..).map(str::trim) {
            Some("V3000") => self.v3000()?,
            None | Some("" | "V2000") => self.v2000(counts)?,
            Some(version) => return Err(format!("a table of version {}", short(version)).into()),
        };
        if table.atoms.is_empty() {
            return Err("the record has no atoms".into());
        }
        Ok(((!title.is_empty()).then(|| title.to_owned()), without_hydrogens(table)?))
    }

    fn v2000(&mut self, counts: &str) -> Result<Table, Fault> {
        let atoms = column(counts, 0, 3, "the number of atoms")?;
        let bonds = column(counts, 3, 6, "the number of bonds")?;
        check_counts(atoms, bonds)?;
        let mut table = Table::default();
        for _ in 0..atoms {
            let line = self.expect_line()?;
            let symbol = line.get(31..34.min(line.len())).unwrap_or_default().trim();
            // A charge code; a `M  CHG` line makes all of them void.
            let charge = match line.get(36..39).map_or("", str::trim) {
                "1" => 3,
                "2" => 2,
                "3" => 1,
                "5" => -1,
                "6" => -2,
                "7" => -3,
                _ => 0,
            };
            table.atoms.push(Atom { element: element(symbol)?, charge });
        }
        for _ in 0..bonds {
            let line = self.expect_line()?;
            let ends = (column(&line, 0, 3, "a bond's atom")?, column(&line, 3, 6, "a bond's atom")?);
            let order = column(&line, 6, 9, "a bond's type")?;
            table.bonds.push((place(ends.0, atoms)?, place(ends.1, atoms)?, bond_order(order)?));
        }
        let mut codes_hold = true;
        loop {
            let line = self.expect_line()?;
            if line.starts_with("M  END") {
                return Ok(table);
            }
            let Some(list) = line.strip_prefix("M  CHG").or_else(|| line.strip_prefix("M  RAD")) else {
                continue;
            };
            if std::mem::take(&mut codes_hold) {
                table.atoms.iter_mut().for_each(|atom| atom.charge = 0);
            }
            if line.starts_with("M  CHG") {
                let numbers: Vec<&str> = list.split_whitespace().skip(1).collect();
                for pair in numbers.chunks(2) {
                    let [atom, charge] = pair else { return Err("a charge without an atom".into()) };
                    let atom = place(whole(atom, "a charged atom")?, atoms)?;
                    table.atoms[atom].charge = whole(charge, "a charge")?;
                }
            }
        }
    }

    fn v3000(&mut self) -> Result<Table, Fault> {
        let mut table = Table::default();
        let mut places: HashMap<usize, usize> = HashMap::new();
        let mut block = String::new();
        loop {
            let line = self.v30_line()?;
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["END", "CTAB"] => return Ok(table),
                ["BEGIN", name, ..] => block = (*name).to_owned(),
                ["END", ..] => block.clear(),
                ["COUNTS", atoms, bonds, ..] => {
                    check_counts(whole(atoms, "the number of atoms")?, whole(bonds, "the number of bonds")?)?;
                }
                [index, symbol, _, _, _, _, options @ ..] if block == "ATOM" => {
                    let charge = options.iter().find_map(|option| option.strip_prefix("CHG="));
                    let charge = charge.map_or(Ok(0), |text| whole(text, "a charge"))?;
                    if places.insert(whole(index, "an atom's number")?, table.atoms.len()).is_some() {
                        return Err(format!("atom number {index} is there twice").into());
                    }
                    table.atoms.push(Atom { element: element(symbol)?, charge });
                }
                [_, order, first, second, ..] if block == "BOND" => {
                    let place = |text: &str| {
                        let number = whole(text, "a bond's atom")?;
                        places.get(&number).copied().ok_or_else(|| format!("there is no atom {number}"))
                    };
                    let order = bond_order(whole(order, "a bond's type")?)?;
                    table.bonds.push((place(first)?, place(second)?, order));
                }
                _ if block == "ATOM" || block == "BOND" => {
                    return Err(format!("a line of the {block} block is too short").into());
                }
                _ => {}
            }
            check_counts(table.atoms.len(), table.bonds.len())?;
        }
    }

    /// A line of a V3000 table with its continuations, without `M  V30`.
    fn v30_line(&mut self) -> Result<String, Fault> {
        let mut text = String::new();
        loop {
            let line = self.expect_line()?;
            let part = line.strip_prefix("M  V30 ").ok_or("expected a line that begins with `M  V30 `")?;
            let (part, more) = match part.trim_end().strip_suffix('-') {
                Some(part) => (part, true),
                None => (part, false),
            };
            text.push_str(part);
            if text.len() > LONGEST_LINE {
                return Err(format!("a line of more than {LONGEST_LINE} bytes").into());
            }
            if !more {
                return Ok(text);
            }
        }
    }

    /// Passes over the rest of the record.
    fn finish_record(&mut self) -> io::Result<()> {
        while !self.at_end {
            self.next_line()?;
        }
        Ok(())
    }
}

impl Iterator for SdfRecords {
    type Item = Result<SdfRecord, MoleculeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.file_ended {
            return None;
        }
        let line = self.line + 1;
        let result = self.record();
        if matches!(result, Err(Fault::NoRecord)) {
            return None;
        }
        let row = self.row;
        self.row += 1;
        let reached = self.line;
        let finished = self.finish_record();
        Some(match (result, finished) {
            (Ok((name, graph)), Ok(())) => Ok(SdfRecord { row, line, name, graph }),
            (Err(Fault::File(source)), _) | (_, Err(source)) => {
                self.failed = true;
                let source = after_line(self.line, source);
                Err(MoleculeError::File { task: "read", path: self.path.clone(), source })
            }
            (Err(Fault::Record(reason)), Ok(())) => {
                Err(MoleculeError::Line { path: self.path.clone(), line: reached, reason })
            }
            (Err(Fault::NoRecord), Ok(())) => return None,
        })
    }
}

fn check_counts(atoms: usize, bonds: usize) -> Result<(), String> {
    if atoms > MOST_ATOMS {
        return Err(format!("more than {MOST_ATOMS} atoms"));
    }
    if bonds > MOST_BONDS {
        return Err(format!("more than {MOST_BONDS} bonds"));
    }
    Ok(())
}

/// The number in some columns of a line.
fn column(line: &str, from: usize, to: usize, what: &str) -> Result<usize, String> {
    whole(line.get(from..to.min(line.len())).unwrap_or_default().trim(), what)
}

fn whole<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("expected {what}, found {}", short(text)))
}

/// The start of a text, quoted, for messages.
fn short(text: &str) -> String {
    format!("{:?}", text.chars().take(20).collect::<String>())
}

/// The 0-based place of an atom number.
fn place(number: usize, atoms: usize) -> Result<usize, String> {
    match number.checked_sub(1) {
        Some(place) if place < atoms => Ok(place),
        _ => Err(format!("there is no atom {number}, the table has {atoms}")),
    }
}

fn element(symbol: &str) -> Result<Element, String> {
    match symbol {
        "D" | "T" => Ok(Element::H),
        _ => Element::from_symbol(symbol).ok_or_else(|| format!("{} is no element", short(symbol))),
    }
}

fn bond_order(number: usize) -> Result<BondOrder, String> {
    match number {
        4 => Err("a bond of type 4 (aromatic); write the molecule with single and double bonds".to_owned()),
        _ => u8::try_from(number)
            .ok()
            .and_then(BondOrder::from_number)
            .ok_or_else(|| format!("a bond of type {number}; expected 1, 2 or 3")),
    }
}

/// The molecule with neutral hydrogens that are bonded to one atom of another element folded in.
fn without_hydrogens(table: Table) -> Result<MolecularGraph, String> {
    let Table { atoms, bonds } = table;
    let mut neighbour: Vec<Option<usize>> = vec![None; atoms.len()];
    let mut degree = vec![0_usize; atoms.len()];
    for &(a, b, _) in &bonds {
        (neighbour[a], neighbour[b]) = (Some(b), Some(a));
        degree[a] += 1;
        degree[b] += 1;
    }
    let folded = |atom: usize| {
        atoms[atom] == Atom::neutral(Element::H)
            && degree[atom] == 1
            && neighbour[atom].is_some_and(|other| atoms[other].element != Element::H)
    };
    let mut places = vec![None; atoms.len()];
    let kept = (0..atoms.len()).filter(|atom| !folded(*atom));
    let kept: Vec<Atom> = kept
        .enumerate()
        .map(|(place, atom)| {
            places[atom] = Some(place);
            atoms[atom]
        })
        .collect();
    let bonds = bonds.iter().filter_map(|&(a, b, order)| Some((places[a]?, places[b]?, order)));
    molecule_from(kept, bonds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chemistry::Chemistry;
    use crate::chemistry::chematic::Chematic;

    /// Ethanol with one written hydrogen, a zwitterion by `M  CHG`, an ion by charge codes, in V2000.
    const V2000: &str = "ethanol
  program

  4  3  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 C   0  0  0  0  0  0
    1.5000    0.0000    0.0000 C   0  0
    2.2000    1.2000    0.0000 O   0  0
    3.1000    1.2000    0.0000 H   0  0
  1  2  1  0
  2  3  1  0
  3  4  1  0
M  END
> <NAME>
ethanol

$$$$


  zwitterion follows a blank title
  5  4  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 N   0  5
    0.0000    0.0000    0.0000 C   0  0
    0.0000    0.0000    0.0000 C   0  0
    0.0000    0.0000    0.0000 O   0  0
    0.0000    0.0000    0.0000 O   0  0
  1  2  1
  2  3  1
  3  4  2
  3  5  1
M  CHG  2   1   1   5  -1
M  END
$$$$
ammonium

\u{20}
  1  0  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 N   0  3
M  END
$$$$

";

    const V3000: &str = "nitrile
  program

  0  0  0     0  0            999 V3000
M  V30 BEGIN CTAB
M  V30 COUNTS 4 3 0 0 0
M  V30 BEGIN ATOM
M  V30 10 N 0 0 0 0
M  V30 7 C 0 0 0 -
M  V30 0
M  V30 3 C 0 0 0 0
M  V30 4 N 0 0 0 0 CHG=1 VAL=4
M  V30 END ATOM
M  V30 BEGIN BOND
M  V30 1 3 10 7
M  V30 2 1 7 3
M  V30 3 1 3 4
M  V30 END BOND
M  V30 END CTAB
M  END
$$$$
";

    #[allow(clippy::type_complexity)] // compared with literals of this form
    fn records(text: &str) -> Vec<Result<(u64, u64, Option<String>, String), String>> {
        let input = Box::new(io::Cursor::new(text.as_bytes().to_vec()));
        let spelt = |record: SdfRecord| {
            let smiles = Chematic.canonical_smiles(&record.graph).unwrap();
            (record.row, record.line, record.name, smiles)
        };
        SdfRecords::new(Path::new("file.sdf"), input)
            .map(|record| record.map(spelt).map_err(|error| error.to_string()))
            .collect()
    }

    fn good(
        row: u64,
        line: u64,
        name: &str,
        smiles: &str,
    ) -> Result<(u64, u64, Option<String>, String), String> {
        Ok((row, line, (!name.is_empty()).then(|| name.to_owned()), smiles.to_owned()))
    }

    #[test]
    fn both_versions_are_read_with_their_charges() {
        assert_eq!(
            records(V2000),
            [
                good(0, 1, "ethanol", "CCO"),
                good(1, 17, "", "[NH3+]CC(=O)[O-]"),
                good(2, 33, "ammonium", "[NH4+]"),
            ]
        );
        assert_eq!(records(V3000), [good(0, 1, "nitrile", "N#CC[NH3+]")]);
        // A .mol file ends without `$$$$`, and Windows ends lines with two characters.
        let mol = V3000.replace("$$$$\n", "").replace('\n', "\r\n");
        assert_eq!(records(&mol), records(V3000));
        assert!(records("").is_empty() && records("\n\n\n\n\n").is_empty());
    }

    #[test]
    fn unreadable_records_are_named_and_passed_over() {
        let good_record = V3000;
        for (from, to, reason) in [
            ("M  V30 3 1 3 4\n", "M  V30 3 1 3 5\n", "there is no atom 5"),
            ("M  V30 3 1 3 4\n", "M  V30 3 4 3 4\n", "type 4"),
            ("M  V30 3 1 3 4\n", "M  V30 3 1 3 3\n", "bond 2-2"),
            ("M  V30 3 C", "M  V30 7 C", "twice"),
            ("CHG=1", "CHG=999", "a charge"),
            ("10 N", "10 R#", "no element"),
            ("COUNTS 4", "COUNTS 4000000000", "more than"),
            ("COUNTS 4", "COUNTS x", "number of atoms"),
            ("V3000", "V4000", "V4000"),
            ("M  V30 END CTAB\n", "", "M  V30"),
            ("M  V30 BEGIN CTAB\n", "M  END\n", "M  V30"),
        ] {
            let bad = V3000.replace(from, to);
            let found = records(&format!("{bad}{good_record}"));
            assert_eq!(found.len(), 2, "{reason}: {found:?}");
            let error = found[0].as_ref().unwrap_err();
            assert!(error.starts_with("file.sdf:") && error.contains(reason), "{error}");
            assert_eq!(found[1].as_ref().unwrap().3, "N#CC[NH3+]");
        }
        for (from, to, reason) in [
            ("  4  3  0", "  9  3  0", "no element"),
            ("  4  3  0", "abcdef  0", "number of atoms"),
            ("  3  4  1  0", "  3  9  1  0", "there is no atom 9"),
            ("  2  3  1  0", "  2  é  1  0", "a bond"),
            (" C   0  0\n", " Xx  0  0\n", "\"Xx\" is no element"),
        ] {
            let found = records(&V2000.replacen(from, to, 1));
            let error = found[0].as_ref().unwrap_err();
            assert!(error.contains(reason), "{error}");
            assert_eq!(found[1], records(V2000)[1]);
        }
        assert!(
            records(&V2000[..V2000.find("  2  3  1").unwrap()])[0]
                .as_ref()
                .unwrap_err()
                .contains("ends before")
        );
        assert!(records("$$$$\n")[0].as_ref().unwrap_err().contains("ends before"));
        let huge_line = format!("{}\n{}", "x".repeat(10 * LONGEST_LINE), V3000.split_once('\n').unwrap().1);
        assert_eq!(records(&huge_line).len(), 1);
    }
}
