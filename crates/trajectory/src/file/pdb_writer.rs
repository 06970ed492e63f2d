//! Writes Protein Data Bank files of several models.

use std::io::Write;
use std::path::Path;

use super::FrameSink;
use super::atomic_file::AtomicFile;
use crate::cell::Cell;
use crate::error::TrajectoryError;
use crate::topology::{Residue, Topology};
use crate::trajectory::Frame;

/// The format has five digits for a serial number; behind it they begin again at 0, and bonds cannot be written.
const MOST_SERIALS: usize = 100_000;

pub(super) struct PdbSink {
    out: AtomicFile,
    topology: Topology,
    /// Columns 1 to 30 of each atom's line and those behind the coordinates.
    ends: Vec<(String, String)>,
    cell: Option<Cell>,
    written: u64,
}

impl PdbSink {
    pub(super) fn create(path: &Path, topology: Topology) -> Result<Self, TrajectoryError> {
        let ends = (0..topology.atoms()).map(|atom| line_ends(&topology, atom)).collect();
        Ok(Self { out: AtomicFile::create(path)?, topology, ends, cell: None, written: 0 })
    }
}

fn line_ends(topology: &Topology, atom: usize) -> (String, String) {
    let symbol = topology.elements()[atom].symbol().to_ascii_uppercase();
    let name = match topology.names().get(atom) {
        Some(name) => name.clone(),
        // The number of the atom if it fits, for names that differ.
        None => Some(format!("{symbol}{}", atom + 1))
            .filter(|name| name.len() <= 4)
            .unwrap_or_else(|| symbol.clone()),
    };
    let name: String = name.chars().filter(char::is_ascii_graphic).take(4).collect();
    // The symbol ends in column 14.
    let name = if name.len() < 4 && symbol.len() == 1 { format!(" {name:<3}") } else { format!("{name:<4}") };
    let unnamed = Residue { name: "MOL".to_owned(), number: 1, chain: 'A' };
    let residue = topology.residues().get(atom).unwrap_or(&unnamed);
    let residue_name: String = residue.name.chars().filter(char::is_ascii_graphic).take(3).collect();
    let chain = if residue.chain.is_ascii_graphic() { residue.chain } else { ' ' };
    let serial = (atom + 1) % MOST_SERIALS;
    let number = residue.number.rem_euclid(10_000);
    (
        format!("ATOM  {serial:>5} {name} {residue_name:>3} {chain}{number:>4}    "),
        format!("  1.00  0.00          {symbol:>2}  "),
    )
}

impl FrameSink for PdbSink {
    fn write(&mut self, frame: &Frame) -> Result<(), TrajectoryError> {
        let largest =
            frame.positions.as_flattened().iter().find(|value| !(-999.999..=9999.999).contains(*value));
        if let Some(value) = largest {
            return Err(TrajectoryError::Value {
                what: "a coordinate",
                value: f64::from(*value),
                expected: "-999.999 to 9999.999 (PDB has eight columns)",
            });
        }
        let out = &mut self.out;
        if frame.cell != self.cell || self.written == 0 {
            if let Some(cell) = frame.cell {
                let ([a, b, c], [alpha, beta, gamma]) = cell.lengths_and_angles();
                writeln!(out, "CRYST1{a:9.3}{b:9.3}{c:9.3}{alpha:7.2}{beta:7.2}{gamma:7.2} P 1           1")?;
            }
            self.cell = frame.cell;
        }
        self.written += 1;
        writeln!(out, "MODEL     {:>4}", self.written)?;
        for ((start, end), [x, y, z]) in self.ends.iter().zip(&frame.positions) {
            writeln!(out, "{start}{x:8.3}{y:8.3}{z:8.3}{end}")?;
        }
        writeln!(out, "ENDMDL")?;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), TrajectoryError> {
        if self.topology.atoms() < MOST_SERIALS {
            for (atom, bonded) in self.topology.neighbours().iter().enumerate() {
                for four in bonded.chunks(4) {
                    write!(self.out, "CONECT{:>5}", atom + 1)?;
                    for other in four {
                        write!(self.out, "{:>5}", other + 1)?;
                    }
                    writeln!(self.out)?;
                }
            }
        }
        writeln!(self.out, "END")?;
        Ok(self.out.finish()?)
    }
}
