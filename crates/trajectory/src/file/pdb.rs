//! Protein Data Bank files, format 3.3: `MODEL`, `ATOM`/`HETATM`, `CRYST1`, `CONECT`, by columns. Each model is a frame;
//! a file without `MODEL` is one frame. Å; the format has no times.

use std::collections::HashMap;
use std::path::Path;

use super::text_lines::{TextLines, coordinate, excerpt, number};
use super::{FrameSource, MOST_ATOMS, at_frame, open_file};
use crate::cell::Cell;
use crate::element::Element;
use crate::error::TrajectoryError;
use crate::topology::{Residue, Topology};
use crate::trajectory::Frame;

/// More bonds than this are not read.
const MOST_BONDS: usize = 1 << 26;

pub(super) struct PdbSource {
    lines: TextLines,
    topology: Topology,
    /// The latest `CRYST1`, which holds until the next.
    cell: Option<Cell>,
    first: Option<Frame>,
}

/// What an atom's line says.
struct Atom {
    serial: Option<u32>,
    element: Element,
    name: String,
    residue: Residue,
    position: [f32; 3],
}

impl PdbSource {
    pub(super) fn open(path: &Path) -> Result<Self, TrajectoryError> {
        let mut lines = TextLines::new(open_file(path)?);
        let mut cell = None;
        let mut atoms = Vec::new();
        let found = read_model(&mut lines, &mut cell, &mut |atom| {
            atoms.push(atom);
            Ok(())
        })
        .map_err(|source| at_frame(path, 0, Some(lines.line()), source))?;
        let mut topology = Topology::of_elements(atoms.iter().map(|atom: &Atom| atom.element).collect());
        let places: HashMap<u32, u32> =
            atoms.iter().zip(0_u32..).filter_map(|(atom, place)| Some((atom.serial?, place))).collect();
        let positions = atoms.iter().map(|atom| atom.position).collect();
        let (names, residues) = atoms.into_iter().map(|atom| (atom.name, atom.residue)).unzip();
        topology.set_names(names, residues)?;
        topology.set_bonds(bonds(path, &places)?)?;
        let first = found.then_some(Frame { time: None, cell, positions });
        Ok(Self { lines, topology, cell, first })
    }
}

impl FrameSource for PdbSource {
    fn topology(&self) -> &Topology {
        &self.topology
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, TrajectoryError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let elements = self.topology.elements();
        let mut positions = Vec::with_capacity(elements.len());
        let found = read_model(&mut self.lines, &mut self.cell, &mut |atom| {
            match elements.get(positions.len()) {
                Some(element) if *element == atom.element => positions.push(atom.position),
                Some(element) => {
                    return Err(TrajectoryError::malformed(format!(
                        "atom {} (from 0) is {}, in the first model it was {}",
                        positions.len(),
                        atom.element.symbol(),
                        element.symbol()
                    )));
                }
                None => {
                    return Err(TrajectoryError::malformed(format!(
                        "more atoms than the {} of the first model",
                        elements.len()
                    )));
                }
            }
            Ok(())
        })?;
        if !found {
            return Ok(None);
        }
        let (expected, found) = (elements.len(), positions.len());
        if expected != found {
            return Err(TrajectoryError::Count { what: "atoms, as in the first model", expected, found });
        }
        Ok(Some(Frame { time: None, cell: self.cell, positions }))
    }

    fn line(&self) -> Option<u64> {
        Some(self.lines.line())
    }
}

/// Hands the atoms of the next model to `take`; whether there was one.
fn read_model(
    lines: &mut TextLines,
    cell: &mut Option<Cell>,
    take: &mut dyn FnMut(Atom) -> Result<(), TrajectoryError>,
) -> Result<bool, TrajectoryError> {
    let mut in_model = false;
    let mut atoms = 0;
    while let Some(line) = lines.next()? {
        let record = line.get(..6).unwrap_or(line).trim_end();
        match record {
            "MODEL" if in_model || atoms > 0 => {
                return Err(TrajectoryError::malformed("MODEL inside a model; ENDMDL expected"));
            }
            "MODEL" => in_model = true,
            "ENDMDL" if in_model => return Ok(true),
            "ENDMDL" => return Err(TrajectoryError::malformed("ENDMDL without MODEL")),
            "ATOM" | "HETATM" => {
                atoms += 1;
                if atoms > MOST_ATOMS {
                    let (found, maximum) = (atoms as u64, MOST_ATOMS as u64);
                    return Err(TrajectoryError::TooMany { what: "atoms", found, maximum });
                }
                take(atom(line)?)?;
            }
            "CRYST1" => *cell = crystal(line)?,
            "END" if atoms > 0 && !in_model => return Ok(true),
            _ => {}
        }
    }
    if in_model {
        return Err(TrajectoryError::CutOff { expected: "another atom or ENDMDL" });
    }
    Ok(atoms > 0)
}

fn columns<'a>(line: &'a str, from: usize, to: usize, what: &str) -> Result<&'a str, TrajectoryError> {
    line.get(from - 1..to).ok_or_else(|| {
        TrajectoryError::malformed(format!(
            "{what} expected in columns {from} to {to} of {:?}",
            excerpt(line)
        ))
    })
}

fn atom(line: &str) -> Result<Atom, TrajectoryError> {
    let mut position = [0.0; 3];
    for (axis, value) in position.iter_mut().enumerate() {
        *value = coordinate(columns(line, 31 + 8 * axis, 38 + 8 * axis, "a coordinate")?)?;
    }
    let name = columns(line, 13, 16, "the atom's name")?;
    let symbol = line.get(76..78).unwrap_or("").trim();
    let element = match symbol {
        "" => element_of_name(name),
        symbol => Element::from_symbol(symbol).ok_or_else(|| {
            TrajectoryError::malformed(format!("there is no element {:?}", excerpt(symbol)))
        })?,
    };
    let residue = Residue {
        name: columns(line, 18, 20, "the residue's name")?.trim().to_owned(),
        number: line.get(22..26).and_then(|word| word.trim().parse().ok()).unwrap_or(0),
        chain: line.get(21..22).and_then(|word| word.chars().next()).unwrap_or(' '),
    };
    let serial = line.get(6..11).and_then(|word| word.trim().parse().ok());
    Ok(Atom { serial, element, name: name.trim().to_owned(), residue, position })
}

/// The element of an atom's name, where the file leaves the element's columns blank: the symbol ends in column 14, except
/// that names of four letters (`HB11`) begin in column 13.
fn element_of_name(name: &str) -> Element {
    let letters =
        |word: &str| word.trim_matches(|c: char| c.is_ascii_digit() || c.is_whitespace()).to_owned();
    let first_two = letters(name.get(..2).unwrap_or(name));
    let four_letters = !name.starts_with(' ') && name.trim().len() == 4;
    let known =
        Element::from_symbol(&first_two).filter(|element| *element != Element::UNKNOWN && !four_letters);
    known
        .or_else(|| {
            let first = letters(name).chars().next()?;
            Element::from_symbol(first.encode_utf8(&mut [0; 4]))
        })
        .unwrap_or(Element::UNKNOWN)
}

/// `CRYST1`; the unit box of one ångström says by custom that there is no cell.
fn crystal(line: &str) -> Result<Option<Cell>, TrajectoryError> {
    let mut values = [0.0; 6];
    for (value, (from, to)) in
        values.iter_mut().zip([(7, 15), (16, 24), (25, 33), (34, 40), (41, 47), (48, 54)])
    {
        *value = number(columns(line, from, to, "a number of the cell")?)?;
    }
    let [a, b, c, alpha, beta, gamma] = values;
    if [a, b, c] == [1.0; 3] || [a, b, c] == [0.0; 3] {
        return Ok(None);
    }
    Cell::from_lengths_and_angles([a, b, c], [alpha, beta, gamma])
        .map(Some)
        .ok_or_else(|| TrajectoryError::malformed("CRYST1 describes no possible cell"))
}

/// The bonds of all `CONECT` lines, which stand behind the last model. Serial numbers that no atom has are passed over:
/// many programmes leave them when they write a part of a molecule.
fn bonds(path: &Path, places: &HashMap<u32, u32>) -> Result<Vec<[u32; 2]>, TrajectoryError> {
    let mut lines = TextLines::new(open_file(path)?);
    let mut bonds = Vec::new();
    // A line that cannot be read is reported when the frames reach it.
    while let Ok(Some(line)) = lines.next() {
        let Some(serials) = line.strip_prefix("CONECT") else { continue };
        let mut fields = serials.as_bytes().chunks(5).map(|field| {
            let word = std::str::from_utf8(field).ok()?.trim();
            word.parse::<u32>().ok()
        });
        let Some(from) = fields.next().flatten() else { continue };
        for to in fields.take(4).flatten() {
            if let (Some(from), Some(to)) = (places.get(&from), places.get(&to)) {
                bonds.push([*from, *to]);
            }
        }
        if bonds.len() > MOST_BONDS {
            let (found, maximum) = (bonds.len() as u64, MOST_BONDS as u64);
            return Err(TrajectoryError::TooMany { what: "bonds", found, maximum });
        }
    }
    Ok(bonds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_names() {
        for (name, symbol) in [
            (" CA ", "C"),
            ("CA  ", "Ca"),
            (" N  ", "N"),
            ("HB11", "H"),
            ("1HB ", "H"),
            (" OXT", "O"),
            ("    ", "X"),
        ] {
            assert_eq!(element_of_name(name).symbol(), symbol, "{name:?}");
        }
    }

    #[test]
    fn an_atom_by_columns() {
        let line = "ATOM      9  CA  ALA A   1      -0.437   0.577   0.872  1.00  0.00           C  ";
        let atom = super::atom(line).unwrap();
        assert_eq!((atom.serial, atom.element, atom.name.as_str()), (Some(9), Element(6), "CA"));
        assert_eq!(atom.residue, Residue { name: "ALA".to_owned(), number: 1, chain: 'A' });
        assert_eq!(atom.position, [-0.437, 0.577, 0.872]);
        assert!(super::atom(&line[..50]).is_err());
        assert!(super::atom(&line.replace("0.577", "0.5x7")).is_err());
        assert!(super::atom(&line.replace("0.577", "  nan")).is_err());
        assert!(super::atom("ATOM  é").is_err());
    }
}
