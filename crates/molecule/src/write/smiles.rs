//! `.smi`: one canonical SMILES per line, in the order of the calls.
//!
//! A sample without a molecule (no atoms, or invalid and not repaired) is a blank line, which readers skip, so that the
//! k-th line belongs to the k-th sample.

use std::io::Write;

use crate::error::MoleculeError;
use crate::generated::GeneratedMolecule;
use crate::write::MoleculeWriter;

/// Writes `.smi`.
pub struct SmilesWriter<W> {
    out: W,
}

impl<W: Write> SmilesWriter<W> {
    /// Write to a stream; buffering is the caller's.
    pub fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write + Send> MoleculeWriter for SmilesWriter<W> {
    fn write(&mut self, molecule: &GeneratedMolecule) -> Result<(), MoleculeError> {
        // One call, so that a reader of a pipe never sees half a line of ours.
        self.out.write_all(format!("{}\n", molecule.smiles).as_bytes())?;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), MoleculeError> {
        Ok(self.out.flush()?)
    }
}
