//! Canonical SMILES of pieces of molecules, remembered.
//!
//! Scaffolds and fragments come again and again, and mostly with their atoms in the same order, because the molecules they
//! are cut from are canonical. A piece is looked up by its atoms and bonds as they stand and spelt only when it is new.

use std::collections::HashMap;

use chematic::core::{Atom, BondOrder};

use crate::error::MoleculeError;

/// Pieces that are kept, about 200 bytes each; beyond, all are forgotten.
const MOST_PIECES: usize = 50_000;

/// Canonical SMILES by the piece.
#[derive(Debug, Default)]
pub(crate) struct SpellingCache {
    known: HashMap<Vec<u8>, Box<str>>,
    /// The piece that is being looked up.
    key: Vec<u8>,
}

impl SpellingCache {
    /// Begin a new piece of a kind (pieces of different kinds are spelt by different rules).
    pub(crate) fn begin(&mut self, kind: u8) {
        self.key.clear();
        self.key.push(kind);
    }

    /// Its next atom, and what else matters of it.
    pub(crate) fn add_atom(&mut self, atom: &Atom, mark: u8) {
        let number = if atom.wildcard { 0 } else { atom.element.atomic_number() };
        let isotope = atom.isotope.unwrap_or(0).to_le_bytes();
        let hydrogens = atom.hydrogen_count.map_or(0, |count| count + 1);
        let flags = u8::from(atom.aromatic) | mark << 1;
        self.key.extend([number, isotope[0], isotope[1], atom.charge as u8, hydrogens, flags]);
    }

    /// Its next bond, between atoms of these places. All atoms come first.
    pub(crate) fn add_bond(&mut self, first: u16, second: u16, order: BondOrder) {
        let [a, b] = first.to_le_bytes();
        let [c, d] = second.to_le_bytes();
        let order = match order {
            BondOrder::Single => 1,
            BondOrder::Double => 2,
            BondOrder::Triple => 3,
            BondOrder::Aromatic => 4,
            _ => 5,
        };
        self.key.extend([u8::MAX, a, b, c, d, order]);
    }

    /// The piece's string; `spell` makes it if it is new.
    pub(crate) fn finish(
        &mut self,
        spell: impl FnOnce() -> Result<String, MoleculeError>,
    ) -> Result<String, MoleculeError> {
        if let Some(known) = self.known.get(&self.key) {
            return Ok(known.to_string());
        }
        let spelt = spell()?;
        if self.known.len() == MOST_PIECES {
            self.known.clear();
        }
        self.known.insert(self.key.clone(), spelt.as_str().into());
        Ok(spelt)
    }
}
