//! `.jsonl`: one JSON object per line.
//!
//! Fields: `id`, `smiles` (`null` where there is no molecule), `valid_without_correction`, `repaired`, `fragments`
//! (before one was kept), `atoms` (heavy atoms of the molecule written), `seed`.

use std::io::Write;

use serde::Serialize;

use crate::error::MoleculeError;
use crate::generated::GeneratedMolecule;
use crate::write::MoleculeWriter;

#[derive(Serialize)]
struct Line<'a> {
    id: u64,
    smiles: Option<&'a str>,
    valid_without_correction: bool,
    repaired: bool,
    fragments: usize,
    atoms: usize,
    seed: u64,
}

/// Writes `.jsonl`.
pub struct JsonLinesWriter<W> {
    out: W,
    seed: u64,
}

impl<W: Write> JsonLinesWriter<W> {
    /// Write to a stream; buffering is the caller's.
    pub fn new(out: W, seed: u64) -> Self {
        Self { out, seed }
    }
}

impl<W: Write + Send> MoleculeWriter for JsonLinesWriter<W> {
    fn write(&mut self, molecule: &GeneratedMolecule) -> Result<(), MoleculeError> {
        let line = Line {
            id: molecule.id,
            smiles: molecule.is_valid().then_some(molecule.smiles.as_str()),
            valid_without_correction: molecule.valid_without_correction,
            repaired: molecule.repaired,
            fragments: molecule.fragments,
            atoms: molecule.graph.node_count(),
            seed: self.seed,
        };
        let mut text = serde_json::to_vec(&line).map_err(std::io::Error::from)?;
        text.push(b'\n');
        self.out.write_all(&text)?;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), MoleculeError> {
        Ok(self.out.flush()?)
    }
}
