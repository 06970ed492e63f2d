//! Searching for patterns in one molecule.

use super::parse::{AtomTest, BondKinds};
use super::{Pattern, PatternId, PatternSet, Step};
use crate::perceived::{PerceivedAtom, PerceivedMolecule};

/// RDKit stops counting here.
const MOST_MATCHES: usize = 1_000;
/// Not yet counted.
const UNKNOWN: u32 = u32::MAX;

/// Memory of a [`Matcher`], to be used for one molecule after another.
#[derive(Debug, Default)]
pub struct MatchMemory {
    /// 64-bit words a set of atoms takes.
    words: usize,
    /// For each atom test the atoms that pass it, once asked for, and how many they are.
    passing: Vec<u64>,
    counts: Vec<u32>,
    /// For each pattern the atoms of which it is known whether it begins there, then those where it does.
    anchored: Vec<u64>,
}

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
        memory.words = molecule.atoms().len().div_ceil(64);
        memory.passing.resize(memory.words * set.tests.len(), 0);
        memory.counts.clear();
        memory.counts.resize(set.tests.len(), UNKNOWN);
        memory.anchored.clear();
        memory.anchored.resize(2 * memory.words * set.patterns.len(), 0);
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
        if !self.has_enough_atoms(pattern) {
            return false;
        }
        let rarest = (0..pattern.atoms.len()).min_by_key(|atom| self.passing_count(pattern.atoms[*atom]));
        rarest.is_some_and(|root| self.search(pattern, root, None, &mut |_| true))
    }

    /// Whether a match begins at an atom: whether the pattern's first atom can be this one.
    pub fn begins_at(&mut self, pattern: PatternId, atom: u16) -> bool {
        let pattern = self.pattern(pattern);
        self.has_enough_atoms(pattern) && self.search(pattern, 0, Some(atom), &mut |_| true)
    }

    /// Matches that differ in their set of atoms, up to 1000 (the number of RDKit's `GetSubstructMatches`).
    pub fn count(&mut self, pattern: PatternId) -> usize {
        self.matches(pattern).len()
    }

    /// One match for each set of atoms, up to 1000: the first found when the pattern's atoms are placed in their order, each
    /// at the lowest molecule atom first. `[k]` is the place of the pattern's atom `k`.
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

    /// The screen: an atom test that too few atoms pass settles the matter. Afterwards all tests of the pattern are known.
    fn has_enough_atoms(&mut self, pattern: &Pattern) -> bool {
        pattern.atoms.len() <= self.molecule.atoms().len()
            && pattern.needed.iter().all(|(test, needed)| self.passing_count(*test) >= *needed)
    }

    fn passing_count(&mut self, test: u32) -> u32 {
        let known = self.memory.counts[test as usize];
        if known != UNKNOWN {
            return known;
        }
        let set = self.set;
        let mut count = 0;
        let first_word = test as usize * self.memory.words;
        for word in 0..self.memory.words {
            let mut bits = 0;
            let atoms = self.molecule.atoms();
            for (bit, atom) in atoms[64 * word..].iter().take(64).enumerate() {
                let passes = self.passes(&set.tests[test as usize], atom, (64 * word + bit) as u16);
                bits |= u64::from(passes) << bit;
            }
            self.memory.passing[first_word + word] = bits;
            count += bits.count_ones();
        }
        self.memory.counts[test as usize] = count;
        count
    }

    fn passes(&mut self, test: &AtomTest, atom: &PerceivedAtom, index: u16) -> bool {
        match test {
            AtomTest::Any => true,
            AtomTest::Aromatic => atom.aromatic,
            AtomTest::Aliphatic => !atom.aromatic,
            AtomTest::Number(number) => atom.number == *number,
            AtomTest::Isotope(isotope) => atom.isotope == *isotope,
            AtomTest::Charge(charge) => atom.charge == *charge,
            AtomTest::Hydrogens(count) => atom.total_hydrogens() == *count,
            AtomTest::Degree(count) => atom.degree == *count,
            AtomTest::TotalDegree(count) => atom.total_degree() == *count,
            AtomTest::Valence(count) => atom.valence == *count,
            AtomTest::InRing => atom.rings > 0,
            AtomTest::Rings(count) => atom.rings == *count,
            AtomTest::SmallestRing(size) => atom.smallest_ring == *size,
            AtomTest::RingBonds(count) => atom.ring_bonds == *count,
            AtomTest::InRingBond => atom.ring_bonds > 0,
            AtomTest::Recursive(pattern) => self.begins_at_remembered(*pattern, index),
            AtomTest::Not(test) => !self.passes(test, atom, index),
            AtomTest::All(tests) => tests.iter().all(|test| self.passes(test, atom, index)),
            AtomTest::OneOf(tests) => tests.iter().any(|test| self.passes(test, atom, index)),
        }
    }

    fn begins_at_remembered(&mut self, pattern: PatternId, atom: u16) -> bool {
        let words = self.memory.words;
        let known = 2 * words * pattern.0 as usize + usize::from(atom) / 64;
        let bit = 1_u64 << (atom % 64);
        if self.memory.anchored[known] & bit == 0 {
            let begins = self.begins_at(pattern, atom);
            self.memory.anchored[known] |= bit;
            self.memory.anchored[known + words] |= if begins { bit } else { 0 };
        }
        self.memory.anchored[known + words] & bit != 0
    }

    /// Search from the pattern's atom `root`, at one atom of the molecule or at all; true if `found` has said enough.
    fn search(
        &self,
        pattern: &Pattern,
        root: usize,
        start: Option<u16>,
        found: &mut dyn FnMut(&[u16]) -> bool,
    ) -> bool {
        let mut search = Search {
            pattern,
            steps: &pattern.searches[root],
            molecule: self.molecule,
            memory: self.memory,
            places: vec![0; pattern.atoms.len()],
            used: vec![false; self.molecule.atoms().len()],
            found,
        };
        match start {
            Some(atom) => search.may_be(root as u16, atom) && search.place(0, root as u16, atom),
            None => search.next(0),
        }
    }
}

struct Search<'a> {
    pattern: &'a Pattern,
    steps: &'a [Step],
    molecule: &'a PerceivedMolecule,
    memory: &'a MatchMemory,
    /// Where the pattern's atoms are.
    places: Vec<u16>,
    used: Vec<bool>,
    found: &'a mut dyn FnMut(&[u16]) -> bool,
}

impl Search<'_> {
    fn may_be(&self, query: u16, atom: u16) -> bool {
        let test = self.pattern.atoms[usize::from(query)] as usize;
        let word = self.memory.passing[test * self.memory.words + usize::from(atom) / 64];
        word >> (atom % 64) & 1 == 1
    }

    fn joined(&self, bond: u16, kinds: BondKinds) -> bool {
        let bond = &self.molecule.bonds()[usize::from(bond)];
        kinds >> (2 * bond.order as u8 + u8::from(bond.in_ring)) & 1 == 1
    }

    /// All ways to go on with a step.
    fn next(&mut self, depth: usize) -> bool {
        let Some(Step { atom: query, from, closures }) = self.steps.get(depth) else {
            return (self.found)(&self.places);
        };
        let molecule = self.molecule;
        let Some((parent, kinds)) = from else {
            return (0..molecule.atoms().len() as u16).any(|atom| {
                !self.used[usize::from(atom)] && self.may_be(*query, atom) && self.place(depth, *query, atom)
            });
        };
        for (atom, bond) in molecule.neighbours(self.places[usize::from(*parent)]) {
            if self.used[usize::from(*atom)] || !self.joined(*bond, *kinds) || !self.may_be(*query, *atom) {
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
        self.used[usize::from(atom)] = true;
        let enough = self.next(depth + 1);
        self.used[usize::from(atom)] = false;
        enough
    }
}
