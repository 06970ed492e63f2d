//! What a matcher remembers: of the kinds of atoms it has met, and of the molecule at hand.
//!
//! Whether an atom passes a test that is not recursive follows from the atom alone ([`PerceivedAtom`]), and molecules of one
//! set have a few hundred different atoms. So the answers of each kind of atom to all tests are kept from molecule to
//! molecule, as bits.

use std::collections::HashMap;

use super::{PatternId, PatternSet};
use crate::perceived::{PerceivedAtom, PerceivedMolecule};

/// Kinds of atoms that are kept; beyond, all are forgotten.
const MOST_KINDS: usize = 4_096;

/// Memory of a [`super::Matcher`], to be used for one molecule after another.
#[derive(Debug, Default)]
pub struct MatchMemory {
    /// The set it belongs to, and its size then.
    set: (u64, usize),
    kinds: HashMap<PerceivedAtom, u32>,
    /// For each kind the bits of tests that it passes, then of those that need a look at the surroundings.
    answers: Vec<u64>,
    /// 64-bit words for a bit of each test, and of each atom.
    test_words: usize,
    atom_words: usize,
    /// The kind of each atom of the molecule.
    atoms: Vec<u32>,
    /// For each test the atoms that pass it, and how many they are.
    passing: Vec<u64>,
    counts: Vec<u32>,
    /// Tests with atoms that need a look at their surroundings.
    open: Vec<u64>,
    /// For each distinct bond of the patterns whether it is in the molecule, once asked for.
    bonds: Vec<Option<bool>>,
    /// For each pattern the atoms of which it is known whether it begins there, then those where it does.
    beginnings: Vec<u64>,
    places: Vec<u16>,
    used: Vec<u64>,
}

impl MatchMemory {
    pub(super) fn bind(&mut self, set: &PatternSet, molecule: &PerceivedMolecule) {
        if self.set != (set.id, set.tests.len()) || self.kinds.len() > MOST_KINDS {
            self.set = (set.id, set.tests.len());
            self.test_words = set.tests.len().div_ceil(64);
            self.kinds.clear();
            self.answers.clear();
        }
        self.atom_words = molecule.atoms().len().div_ceil(64);
        refill(&mut self.passing, self.atom_words * set.tests.len());
        refill(&mut self.beginnings, 2 * self.atom_words * set.patterns.len());
        refill(&mut self.open, self.test_words);
        self.bonds.clear();
        self.bonds.resize(set.bonds.len(), None);
        self.counts.clear();
        self.counts.resize(set.tests.len(), 0);
        self.atoms.clear();
        for (index, atom) in molecule.atoms().iter().enumerate() {
            let kind = self.kind(set, atom);
            self.atoms.push(kind);
            let answers = 2 * self.test_words * kind as usize;
            for word in 0..self.test_words {
                let mut passed = self.answers[answers + word];
                while passed != 0 {
                    let test = 64 * word + passed.trailing_zeros() as usize;
                    passed &= passed - 1;
                    self.passing[self.atom_words * test + index / 64] |= 1 << (index % 64);
                    self.counts[test] += 1;
                }
                self.open[word] |= self.answers[answers + self.test_words + word];
            }
        }
    }

    fn kind(&mut self, set: &PatternSet, atom: &PerceivedAtom) -> u32 {
        if let Some(kind) = self.kinds.get(atom) {
            return *kind;
        }
        let kind = self.kinds.len() as u32;
        self.kinds.insert(*atom, kind);
        let start = self.answers.len();
        self.answers.resize(start + 2 * self.test_words, 0);
        for (index, test) in set.tests.iter().enumerate() {
            let place = match test.of_atom_alone(atom) {
                Some(false) => continue,
                Some(true) => start,
                None => start + self.test_words,
            };
            self.answers[place + index / 64] |= 1 << (index % 64);
        }
        kind
    }

    pub(super) fn count(&self, test: u32) -> u32 {
        self.counts[test as usize]
    }

    pub(super) fn passing(&self, test: u32) -> &[u64] {
        &self.passing[test as usize * self.atom_words..][..self.atom_words]
    }

    pub(super) fn is_open(&self, test: u32) -> bool {
        self.open[test as usize / 64] >> (test % 64) & 1 == 1
    }

    pub(super) fn close(&mut self, test: u32) {
        self.open[test as usize / 64] &= !(1 << (test % 64));
    }

    /// Whether an atom's answer to a test needs a look at its surroundings.
    pub(super) fn is_uncertain(&self, test: u32, atom: u16) -> bool {
        let answers = (2 * self.atoms[usize::from(atom)] as usize + 1) * self.test_words;
        self.answers[answers + test as usize / 64] >> (test % 64) & 1 == 1
    }

    pub(super) fn admit(&mut self, test: u32, atom: u16) {
        let place = test as usize * self.atom_words + usize::from(atom) / 64;
        self.passing[place] |= 1 << (atom % 64);
        self.counts[test as usize] += 1;
    }

    pub(super) fn bond(&self, bond: u32) -> Option<bool> {
        self.bonds[bond as usize]
    }

    pub(super) fn remember_bond(&mut self, bond: u32, is_there: bool) {
        self.bonds[bond as usize] = Some(is_there);
    }

    pub(super) fn beginning(&self, pattern: PatternId, atom: u16) -> Option<bool> {
        let known = 2 * self.atom_words * pattern.0 as usize + usize::from(atom) / 64;
        let bit = |place: usize| self.beginnings[place] >> (atom % 64) & 1 == 1;
        bit(known).then(|| bit(known + self.atom_words))
    }

    pub(super) fn remember_beginning(&mut self, pattern: PatternId, atom: u16, begins: bool) {
        let known = 2 * self.atom_words * pattern.0 as usize + usize::from(atom) / 64;
        self.beginnings[known] |= 1 << (atom % 64);
        self.beginnings[known + self.atom_words] |= u64::from(begins) << (atom % 64);
    }

    /// Places for a pattern's atoms, and no atom used.
    pub(super) fn scratch(&mut self, atoms: usize) -> (Vec<u16>, Vec<u64>) {
        let (mut places, mut used) = (std::mem::take(&mut self.places), std::mem::take(&mut self.used));
        places.clear();
        places.resize(atoms, 0);
        refill(&mut used, self.atom_words);
        (places, used)
    }

    pub(super) fn give_back(&mut self, places: Vec<u16>, used: Vec<u64>) {
        (self.places, self.used) = (places, used);
    }
}

fn refill(words: &mut Vec<u64>, length: usize) {
    words.clear();
    words.resize(length, 0);
}
