//! Extended XYZ in the dialect of ASE, and plain XYZ, which is part of it: a line with the number of atoms, a line of keys
//! ([`super::extxyz_comment`]), a line for each atom; any number of frames behind one another. Å; times as `time_fs` (read
//! also `time_ps`). Positions are written with as many digits as single precision needs to be read back exactly.

use std::io::Write;
use std::path::Path;

use super::atomic_file::AtomicFile;
use super::extxyz_comment::Comment;
use super::text_lines::{TextLines, coordinate, excerpt};
use super::{FrameSink, FrameSource, at_frame, checked_atoms, open_file};
use crate::element::Element;
use crate::error::TrajectoryError;
use crate::topology::Topology;
use crate::trajectory::Frame;

pub(super) struct ExtXyzSource {
    lines: TextLines,
    topology: Topology,
    /// The first frame, which had to be read for its elements.
    first: Option<Frame>,
}

impl ExtXyzSource {
    pub(super) fn open(path: &Path) -> Result<Self, TrajectoryError> {
        let mut lines = TextLines::new(open_file(path)?);
        let first = read_frame(&mut lines).map_err(|source| at_frame(path, 0, Some(lines.line()), source))?;
        let (elements, first) = first.map_or((Vec::new(), None), |(elements, frame)| (elements, Some(frame)));
        Ok(Self { lines, topology: Topology::of_elements(elements), first })
    }
}

impl FrameSource for ExtXyzSource {
    fn topology(&self) -> &Topology {
        &self.topology
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, TrajectoryError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let Some((elements, frame)) = read_frame(&mut self.lines)? else { return Ok(None) };
        let expected = self.topology.elements();
        if elements.len() != expected.len() {
            let (expected, found) = (expected.len(), elements.len());
            return Err(TrajectoryError::Count { what: "atoms, as in the first frame", expected, found });
        }
        match elements.iter().zip(expected).position(|(found, expected)| found != expected) {
            None => Ok(Some(frame)),
            Some(atom) => Err(TrajectoryError::malformed(format!(
                "atom {atom} (from 0) is {}, in the first frame it was {}",
                elements[atom].symbol(),
                expected[atom].symbol()
            ))),
        }
    }

    fn line(&self) -> Option<u64> {
        Some(self.lines.line())
    }
}

fn read_frame(lines: &mut TextLines) -> Result<Option<(Vec<Element>, Frame)>, TrajectoryError> {
    let atoms = loop {
        match lines.next()? {
            None => return Ok(None),
            // Blank lines at the end of a file are common.
            Some(line) if line.trim().is_empty() => {}
            Some(line) => {
                let count = line.trim().parse::<u64>().map_err(|_| {
                    TrajectoryError::malformed(format!(
                        "expected the number of atoms, found {:?}",
                        excerpt(line)
                    ))
                })?;
                break checked_atoms(count)?;
            }
        }
    };
    let comment = lines.next()?.ok_or(TrajectoryError::CutOff { expected: "a comment line" })?;
    let Comment { cell, time, columns } = Comment::parse(comment)?;
    // The stated number is not trusted with memory.
    let mut elements = Vec::with_capacity(atoms.min(1 << 12));
    let mut positions = Vec::with_capacity(atoms.min(1 << 12));
    for _ in 0..atoms {
        let line = lines.next()?.ok_or(TrajectoryError::CutOff { expected: "another atom" })?;
        let mut position = [0.0; 3];
        let mut element = None;
        let mut words = 0;
        for word in line.split_whitespace() {
            if words == columns.species {
                element = Some(species(word)?);
            } else if let Some(axis) = words.checked_sub(columns.position).filter(|axis| *axis < 3) {
                position[axis] = coordinate(word)?;
            }
            words += 1;
        }
        let element = element.filter(|_| words >= columns.width).ok_or_else(|| {
            TrajectoryError::malformed(format!(
                "the atom's line has {words} words, expected {}",
                columns.width
            ))
        })?;
        elements.push(element);
        positions.push(position);
    }
    Ok(Some((elements, Frame { time, cell, positions })))
}

/// A symbol, a symbol with a number behind it (`C12`), or an atomic number.
fn species(word: &str) -> Result<Element, TrajectoryError> {
    let number = || word.parse::<u8>().ok().filter(|number| *number < 119).map(Element);
    let symbol = word.trim_end_matches(|c: char| c.is_ascii_digit());
    Some(symbol)
        .filter(|symbol| !symbol.is_empty())
        .and_then(Element::from_symbol)
        .or_else(number)
        .ok_or_else(|| TrajectoryError::malformed(format!("there is no element {:?}", excerpt(word))))
}

pub(super) struct ExtXyzSink {
    out: AtomicFile,
    topology: Topology,
}

impl ExtXyzSink {
    pub(super) fn create(path: &Path, topology: Topology) -> Result<Self, TrajectoryError> {
        Ok(Self { out: AtomicFile::create(path)?, topology })
    }
}

impl FrameSink for ExtXyzSink {
    fn write(&mut self, frame: &Frame) -> Result<(), TrajectoryError> {
        let out = &mut self.out;
        writeln!(out, "{}", frame.positions.len())?;
        if let Some(cell) = frame.cell {
            let numbers: Vec<String> = cell.0.as_flattened().iter().map(f64::to_string).collect();
            write!(out, "Lattice=\"{}\" ", numbers.join(" "))?;
        }
        let periodic = if frame.cell.is_some() { "T T T" } else { "F F F" };
        write!(out, "Properties=species:S:1:pos:R:3 pbc=\"{periodic}\"")?;
        if let Some(time) = frame.time {
            write!(out, " time_fs={time}")?;
        }
        writeln!(out)?;
        for (element, [x, y, z]) in self.topology.elements().iter().zip(&frame.positions) {
            writeln!(out, "{:<2} {x} {y} {z}", element.symbol())?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), TrajectoryError> {
        Ok(self.out.finish()?)
    }
}
