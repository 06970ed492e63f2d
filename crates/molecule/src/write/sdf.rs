//! `.sdf`: MDL structure-data file, V2000 connection tables.
//!
//! One record per molecule: title `id`, Kekulé bonds, charges in `M  CHG` lines, and the data items `ID`, `SMILES`,
//! `VALID_WITHOUT_CORRECTION`, `REPAIRED`, `FRAGMENTS`, `SEED`. Coordinates are a drawing in the plane, in Å with bonds of
//! about 1.5 Å (the embedded library's port of RDKit's depiction), not a conformation; a molecule it cannot draw has all
//! coordinates zero. Hydrogens are implicit. A sample without a molecule has no record, since an empty connection table
//! stops several readers; its id is missing from the file.

use std::fmt::Write as _;
use std::io::Write;

use crate::chemistry::chematic::Chematic;
use crate::error::MoleculeError;
use crate::generated::GeneratedMolecule;
use crate::molecule::bonds;
use crate::write::MoleculeWriter;

/// The most atoms or bonds a V2000 counts line can state.
const MOST: usize = 999;

/// Writes `.sdf`.
pub struct SdfWriter<W> {
    out: W,
    seed: u64,
}

impl<W: Write> SdfWriter<W> {
    /// Write to a stream; buffering is the caller's.
    pub fn new(out: W, seed: u64) -> Self {
        Self { out, seed }
    }
}

impl<W: Write + Send> MoleculeWriter for SdfWriter<W> {
    fn write(&mut self, molecule: &GeneratedMolecule) -> Result<(), MoleculeError> {
        if molecule.is_valid() {
            self.out.write_all(record(molecule, self.seed)?.as_bytes())?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), MoleculeError> {
        Ok(self.out.flush()?)
    }
}

/// One record, `$$$$` line included.
fn record(molecule: &GeneratedMolecule, seed: u64) -> Result<String, MoleculeError> {
    let graph = &molecule.graph;
    let (atoms, bond_count) = (graph.node_count(), graph.edge_count());
    if atoms > MOST || bond_count > MOST {
        return Err(MoleculeError::TooLargeForSdf { id: molecule.id, atoms, bonds: bond_count });
    }
    let layout = Chematic.layout(graph).unwrap_or_else(|_| vec![[0.0; 2]; atoms]);

    let mut text = String::with_capacity(256 + 70 * atoms + 22 * bond_count);
    // Writing to a String cannot fail, so the results below are dropped.
    let _ = writeln!(text, "{}\n  equidrift         2D\n", molecule.id);
    let _ = writeln!(text, "{atoms:3}{bond_count:3}  0  0  0  0  0  0  0  0999 V2000");
    for (atom, [x, y]) in graph.node_weights().zip(layout) {
        let symbol = atom.element.symbol();
        let _ = writeln!(text, "{x:10.4}{y:10.4}{:10.4} {symbol:<3} 0  0  0  0  0  0  0  0  0  0  0  0", 0.0);
    }
    for (first, second, order) in bonds(graph) {
        let _ = writeln!(text, "{:3}{:3}{:3}  0", first + 1, second + 1, order.number());
    }
    let charged: Vec<(usize, i8)> = graph
        .node_weights()
        .enumerate()
        .filter(|(_, atom)| atom.charge != 0)
        .map(|(place, atom)| (place + 1, atom.charge))
        .collect();
    for eight in charged.chunks(8) {
        let _ = write!(text, "M  CHG{:3}", eight.len());
        for (place, charge) in eight {
            let _ = write!(text, " {place:3} {charge:3}");
        }
        text.push('\n');
    }
    text.push_str("M  END\n");
    let items: [(&str, &dyn std::fmt::Display); 6] = [
        ("ID", &molecule.id),
        ("SMILES", &molecule.smiles),
        ("VALID_WITHOUT_CORRECTION", &molecule.valid_without_correction),
        ("REPAIRED", &molecule.repaired),
        ("FRAGMENTS", &molecule.fragments),
        ("SEED", &seed),
    ];
    for (name, value) in items {
        let _ = writeln!(text, ">  <{name}>\n{value}\n");
    }
    text.push_str("$$$$\n");
    Ok(text)
}
