//! SMARTS patterns: substructures of [`PerceivedMolecule`](crate::perceived::PerceivedMolecule)s, as RDKit matches them.
//!
//! Patterns are compiled into a [`PatternSet`], which keeps each distinct atom test once: hundreds of filters share a few
//! hundred atom tests. A [`Matcher`] binds the set to one molecule and remembers which atoms pass which test, so that most
//! patterns are refused because one of their atoms or bonds occurs nowhere, or not often enough, before any search starts.
//!
//! The language is Daylight's as RDKit reads it, without stereo marks, atom maps, component groups and reactions:
//!
//! * atoms `*`, `a`, `A`, symbols, `#n`, isotopes, charges, `D`, `H`, `R`, `r`, `v`, `X`, `x`, recursive `$(...)`, joined by
//!   `!`, `&` (or nothing), `,` and `;`. `H` counts hydrogens of both kinds (`[H]` alone is a hydrogen atom), `r` is the
//!   smallest ring's size, `R` the number of rings, `D` the bonds of the graph.
//! * bonds `-`, `=`, `#`, `:`, `~`, `@`, joined the same way. No symbol means single or aromatic.
//!
//! A match maps the atoms of the pattern to different atoms such that every bond of the pattern is one (a subgraph, not
//! necessarily an induced one).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::MoleculeError;

mod matching;
mod memory;
mod parse;

pub use matching::Matcher;
pub use memory::MatchMemory;

use self::parse::{AtomTest, BondKinds};

/// A pattern of a [`PatternSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PatternId(u32);

/// Compiled patterns that share their atom tests.
#[derive(Debug)]
pub struct PatternSet {
    /// Tells sets apart for the memory of matchers.
    id: u64,
    tests: Vec<AtomTest>,
    test_ids: HashMap<AtomTest, u32>,
    /// Distinct bonds of patterns: the tests of their ends, the lower first, and their kinds.
    bonds: Vec<(u32, u32, BondKinds)>,
    bond_ids: HashMap<(u32, u32, BondKinds), u32>,
    patterns: Vec<Pattern>,
    pattern_ids: HashMap<String, PatternId>,
}

/// A connected or unconnected pattern.
#[derive(Debug, Clone)]
struct Pattern {
    /// The test of each atom.
    atoms: Vec<u32>,
    /// How often each distinct test occurs: what a molecule must have at least.
    needed: Vec<(u32, u32)>,
    /// Its distinct bonds: each must be somewhere in the molecule.
    bonds: Vec<u32>,
    /// Searches that begin at each atom.
    searches: Vec<Vec<Step>>,
}

/// The next atom of a search.
#[derive(Debug, Clone)]
struct Step {
    /// The atom's place in the pattern.
    atom: u16,
    /// An earlier step's atom it is bonded to, and by what; `None` at the start of a component.
    from: Option<(u16, BondKinds)>,
    /// Further bonds to earlier atoms.
    closures: Vec<(u16, BondKinds)>,
}

impl Default for PatternSet {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            tests: Vec::new(),
            test_ids: HashMap::new(),
            bonds: Vec::new(),
            bond_ids: HashMap::new(),
            patterns: Vec::new(),
            pattern_ids: HashMap::new(),
        }
    }
}

impl PatternSet {
    /// No pattern.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Compile a pattern; the same string twice is one pattern.
    ///
    /// # Errors
    /// [`MoleculeError::Smarts`].
    pub fn add(&mut self, smarts: &str) -> Result<PatternId, MoleculeError> {
        self.compile(smarts).map_err(|reason| MoleculeError::Smarts { smarts: smarts.to_owned(), reason })
    }

    /// Number of patterns, recursive ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// No pattern at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    fn compile(&mut self, smarts: &str) -> Result<PatternId, String> {
        if let Some(known) = self.pattern_ids.get(smarts) {
            return Ok(*known);
        }
        let parsed = parse::parse(smarts, self)?;
        let atoms: Vec<u32> = parsed.atoms.into_iter().map(|test| self.intern(test)).collect();
        let mut needed: Vec<(u32, u32)> = Vec::new();
        for test in &atoms {
            match needed.iter_mut().find(|(known, _)| known == test) {
                Some((_, count)) => *count += 1,
                None => needed.push((*test, 1)),
            }
        }
        // What fails most molecules goes first: rare elements, and nothing that needs a search.
        needed.sort_by_key(|(test, _)| self.tests[*test as usize].commonness());
        let searches = (0..atoms.len()).map(|root| steps(atoms.len(), &parsed.bonds, root)).collect();
        let mut bonds = Vec::new();
        for (first, second, kinds) in &parsed.bonds {
            let tests = [*first, *second].map(|atom| atoms[usize::from(atom)]);
            let bond = (tests[0].min(tests[1]), tests[0].max(tests[1]), *kinds);
            let next = self.bonds.len() as u32;
            let id = *self.bond_ids.entry(bond).or_insert(next);
            if id == next {
                self.bonds.push(bond);
            }
            if !bonds.contains(&id) {
                bonds.push(id);
            }
        }
        let id = PatternId(self.patterns.len() as u32);
        self.patterns.push(Pattern { atoms, needed, bonds, searches });
        self.pattern_ids.insert(smarts.to_owned(), id);
        Ok(id)
    }

    fn intern(&mut self, test: AtomTest) -> u32 {
        let next = self.tests.len() as u32;
        *self.test_ids.entry(test).or_insert_with_key(|test| {
            self.tests.push(test.clone());
            next
        })
    }
}

/// A depth-first order of a pattern's atoms from a root, other components after it.
fn steps(atoms: usize, bonds: &[(u16, u16, BondKinds)], root: usize) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::with_capacity(atoms);
    let mut placed = vec![false; atoms];
    for start in std::iter::once(root).chain(0..atoms) {
        let mut stack = vec![(start as u16, None)];
        while let Some((atom, from)) = stack.pop() {
            if std::mem::replace(&mut placed[usize::from(atom)], true) {
                continue;
            }
            let mut closures = Vec::new();
            for (first, second, kinds) in bonds {
                let other = match atom {
                    _ if *first == atom => *second,
                    _ if *second == atom => *first,
                    _ => continue,
                };
                if !placed[usize::from(other)] {
                    stack.push((other, Some((atom, *kinds))));
                } else if from.is_none_or(|(parent, _)| parent != other) {
                    closures.push((other, *kinds));
                }
            }
            steps.push(Step { atom, from, closures });
        }
    }
    steps
}
