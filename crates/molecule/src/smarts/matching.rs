//! Searching for patterns in one molecule.

use super::memory::MatchMemory;
use super::parse::{AtomTest, BondKinds};
use super::{Pattern, PatternId, PatternSet, Step};
use crate::perceived::{PerceivedAtom, PerceivedMolecule};

/// RDKit stops counting here.
const MOST_MATCHES: usize = 1_000;

/// A set of patterns bound to a molecule.
#[derive(Debug)]
pub struct Matcher<'a> {
    set: &'a PatternSet,
    molecule: &'a PerceivedMolecule,
    memory: &'a mut MatchMemory,
}

impl<'a> Matcher<'a> {
    /// Bind a set to a molecule. What the memory knew of another molecule is forgotten.
    pub fn new(set: &'a PatternSet, molecule: &'a PerceivedMolecule, memory: &'a mut MatchMemory) -> Self {
        memory.bind(set, molecule);
        Self { set, molecule, memory }
    }

    /// The molecule.
    #[must_use]
    pub fn molecule(&self) -> &'a PerceivedMolecule {
        self.molecule
    }

    /// Whether the pattern is there (RDKit's `HasSubstructMatch`).
    pub fn has(&mut self, pattern: PatternId) -> bool {
        let pattern = self.pattern(pattern);
        // What is known without looking at surroundings comes first.
        if !self.may_have(pattern) || !self.has_enough_atoms(pattern) || !self.has_bonds(pattern) {
            return false;
        }
        let rarest = (0..pattern.atoms.len()).min_by_key(|atom| self.memory.count(pattern.atoms[*atom]));
        rarest.is_some_and(|root| self.search(pattern, root, None, &mut |_| true))
    }

    /// Whether a match begins at an atom: whether the pattern's first atom can be this one.
    pub fn begins_at(&mut self, pattern: PatternId, atom: u16) -> bool {
        let pattern = self.pattern(pattern);
        self.has_enough_atoms(pattern) && self.search(pattern, 0, Some(atom), &mut |_| true)
    }

    /// Of some atoms, given as bits, those at which the pattern begins are taken out and handed to `found`.
    pub(crate) fn take_beginnings(
        &mut self,
        pattern: PatternId,
        atoms: &mut [u64],
        mut found: impl FnMut(u16),
    ) {
        let pattern = self.pattern(pattern);
        if !self.has_enough_atoms(pattern) {
            return;
        }
        for (word, atoms) in atoms.iter_mut().enumerate() {
            let mut left = self.memory.passing(pattern.atoms[0])[word] & *atoms;
            while left != 0 {
                let bit = left & left.wrapping_neg();
                let atom = (64 * word) as u16 + left.trailing_zeros() as u16;
                if pattern.atoms.len() == 1 || self.search(pattern, 0, Some(atom), &mut |_| true) {
                    *atoms &= !bit;
                    found(atom);
                }
                left &= !bit;
            }
        }
    }

    /// Matches that differ in their set of atoms, up to 1000 (the number of RDKit's `GetSubstructMatches`).
    pub fn count(&mut self, pattern: PatternId) -> usize {
        self.matches(pattern).len()
    }

    /// One match for each set of atoms, up to 1000: the first found, from the lowest molecule atom that the pattern's first
    /// can be. `[k]` is the place of the pattern's atom `k`.
    pub fn matches(&mut self, pattern: PatternId) -> Vec<Vec<u16>> {
        let pattern = self.pattern(pattern);
        let mut found: Vec<Vec<u16>> = Vec::new();
        if !self.has_enough_atoms(pattern) {
            return found;
        }
        let mut sets: Vec<Vec<u16>> = Vec::new();
        self.search(pattern, 0, None, &mut |places| {
            let mut set = places.to_vec();
            set.sort_unstable();
            if !sets.contains(&set) {
                sets.push(set);
                found.push(places.to_vec());
            }
            found.len() == MOST_MATCHES
        });
        found
    }

    fn pattern(&self, id: PatternId) -> &'a Pattern {
        &self.set.patterns[id.0 as usize]
    }

    /// The screen: an atom test that too few atoms pass settles the matter. Afterwards all tests of the pattern are settled.
    fn has_enough_atoms(&mut self, pattern: &Pattern) -> bool {
        pattern.needed.iter().all(|(test, needed)| {
            self.settle(*test);
            self.memory.count(*test) >= *needed
        })
    }

    /// The screens, as far as the tests are settled.
    fn may_have(&mut self, pattern: &Pattern) -> bool {
        let memory = &self.memory;
        pattern.needed.iter().all(|(test, needed)| memory.is_open(*test) || memory.count(*test) >= *needed)
            && pattern.bonds.iter().all(|bond| {
                let (first, second, _) = self.set.bonds[*bond as usize];
                self.memory.is_open(first) || self.memory.is_open(second) || self.is_bond_there(*bond)
            })
    }

    /// The second screen: each bond of the pattern must be somewhere.
    fn has_bonds(&mut self, pattern: &Pattern) -> bool {
        pattern.bonds.iter().all(|bond| self.is_bond_there(*bond))
    }

    fn is_bond_there(&mut self, bond: u32) -> bool {
        match self.memory.bond(bond) {
            Some(known) => known,
            None => {
                let is_there = self.has_bond(self.set.bonds[bond as usize]);
                self.memory.remember_bond(bond, is_there);
                is_there
            }
        }
    }

    fn has_bond(&self, (first, second, kinds): (u32, u32, BondKinds)) -> bool {
        let passes =
            |test: u32, atom: u16| self.memory.passing(test)[usize::from(atom) / 64] >> (atom % 64) & 1 == 1;
        self.molecule.bonds().iter().any(|bond| {
            let [a, b] = bond.ends;
            kinds >> (2 * bond.order as u8 + u8::from(bond.in_ring)) & 1 == 1
                && (passes(first, a) && passes(second, b) || passes(first, b) && passes(second, a))
        })
    }

    /// Look at the atoms of which a test's answer depends on recursive patterns.
    fn settle(&mut self, test: u32) {
        if !self.memory.is_open(test) {
            return;
        }
        self.memory.close(test);
        let set = self.set;
        let molecule = self.molecule;
        for (index, atom) in molecule.atoms().iter().enumerate() {
            let index = index as u16;
            if self.memory.is_uncertain(test, index) && self.passes(&set.tests[test as usize], atom, index) {
                self.memory.admit(test, index);
            }
        }
    }

    fn passes(&mut self, test: &AtomTest, atom: &PerceivedAtom, index: u16) -> bool {
        match test {
            AtomTest::Recursive(pattern) => self.begins_at_remembered(*pattern, index),
            AtomTest::Not(test) => !self.passes(test, atom, index),
            AtomTest::All(tests) => tests.iter().all(|test| self.passes(test, atom, index)),
            AtomTest::OneOf(tests) => tests.iter().any(|test| self.passes(test, atom, index)),
            local => local.of_atom_alone(atom) == Some(true),
        }
    }

    fn begins_at_remembered(&mut self, pattern: PatternId, atom: u16) -> bool {
        if let Some(known) = self.memory.beginning(pattern, atom) {
            return known;
        }
        let begins = self.begins_at(pattern, atom);
        self.memory.remember_beginning(pattern, atom, begins);
        begins
    }

    /// Search from the pattern's atom `root`, at one atom of the molecule or at all; true if `found` has said enough.
    fn search(
        &mut self,
        pattern: &Pattern,
        root: usize,
        start: Option<u16>,
        found: &mut dyn FnMut(&[u16]) -> bool,
    ) -> bool {
        // No search begins within a search: the tests of its pattern are settled.
        let (mut places, mut used) = self.memory.scratch(pattern.atoms.len());
        let mut search = Search {
            pattern,
            steps: &pattern.searches[root],
            molecule: self.molecule,
            memory: self.memory,
            places: &mut places,
            used: &mut used,
            found,
        };
        let enough = match start {
            Some(atom) => search.may_be(root as u16, atom) && search.place(0, root as u16, atom),
            None => search.next(0),
        };
        self.memory.give_back(places, used);
        enough
    }
}

struct Search<'a> {
    pattern: &'a Pattern,
    steps: &'a [Step],
    molecule: &'a PerceivedMolecule,
    memory: &'a MatchMemory,
    /// Where the pattern's atoms are.
    places: &'a mut [u16],
    /// Bits of molecule atoms that are taken.
    used: &'a mut [u64],
    found: &'a mut dyn FnMut(&[u16]) -> bool,
}

impl Search<'_> {
    fn may_be(&self, query: u16, atom: u16) -> bool {
        self.memory.passing(self.pattern.atoms[usize::from(query)])[usize::from(atom) / 64] >> (atom % 64) & 1
            == 1
    }

    fn is_used(&self, atom: u16) -> bool {
        self.used[usize::from(atom) / 64] >> (atom % 64) & 1 == 1
    }

    fn joined(&self, bond: u16, kinds: BondKinds) -> bool {
        let bond = &self.molecule.bonds()[usize::from(bond)];
        kinds >> (2 * bond.order as u8 + u8::from(bond.in_ring)) & 1 == 1
    }

    /// All ways to go on with a step.
    fn next(&mut self, depth: usize) -> bool {
        let Some(Step { atom: query, from, closures }) = self.steps.get(depth) else {
            return (self.found)(self.places);
        };
        let molecule = self.molecule;
        let Some((parent, kinds)) = from else {
            let test = self.pattern.atoms[usize::from(*query)];
            for word in 0..self.used.len() {
                let mut left = self.memory.passing(test)[word] & !self.used[word];
                while left != 0 {
                    let atom = (64 * word) as u16 + left.trailing_zeros() as u16;
                    left &= left - 1;
                    if self.place(depth, *query, atom) {
                        return true;
                    }
                }
            }
            return false;
        };
        for (atom, bond) in molecule.neighbours(self.places[usize::from(*parent)]) {
            if !self.joined(*bond, *kinds) || !self.may_be(*query, *atom) || self.is_used(*atom) {
                continue;
            }
            let closed = closures.iter().all(|(other, kinds)| {
                let other = self.places[usize::from(*other)];
                molecule.bond_between(*atom, other).is_some_and(|bond| self.joined(bond, *kinds))
            });
            if closed && self.place(depth, *query, *atom) {
                return true;
            }
        }
        false
    }

    fn place(&mut self, depth: usize, query: u16, atom: u16) -> bool {
        self.places[usize::from(query)] = atom;
        let (word, bit) = (usize::from(atom) / 64, 1 << (atom % 64));
        self.used[word] |= bit;
        let enough = self.next(depth + 1);
        self.used[word] &= !bit;
        enough
    }
}
