//! Morgan fingerprints: numbers for the surroundings of every atom, those of RDKit 2026.09 (`MorganGenerator.cpp`) bit for
//! bit.
//!
//! An atom starts with a hash of its element, degree, hydrogens, charge, isotope and whether it is in a ring. In each round
//! its number is hashed with those of its neighbours and the bonds to them. An environment that covers the same bonds as one
//! that was counted before is not counted again. No stereo marks.

use chematic::chem::rdkit_molecular_weight;
use chematic::core::{Atom, Element, MoleculeBuilder};

use crate::descriptors::weight::atomic_weight;
use crate::perceived::{PerceivedAtom, PerceivedMolecule, PerceivedOrder};

/// RDKit's numbers of bond types.
const fn bond_type(order: PerceivedOrder) -> u32 {
    match order {
        PerceivedOrder::Single => 1,
        PerceivedOrder::Double => 2,
        PerceivedOrder::Triple => 3,
        PerceivedOrder::Aromatic => 12,
    }
}

/// The hash of all of RDKit's fingerprints: that of boost on 32 bits.
const fn combine(seed: u32, value: u32) -> u32 {
    seed ^ value.wrapping_add(0x9e37_79b9).wrapping_add(seed << 6).wrapping_add(seed >> 2)
}

fn start(atom: &PerceivedAtom) -> u32 {
    let isotope_shift = match atom.isotope {
        0 => 0,
        isotope => (isotope_mass(atom.number, isotope) - atomic_weight(atom.number)) as i32,
    };
    let parts = [
        u32::from(atom.number),
        u32::from(atom.total_degree()),
        u32::from(atom.total_hydrogens()),
        i32::from(atom.charge) as u32,
        isotope_shift as u32,
    ];
    let hash = parts.into_iter().fold(0, combine);
    if atom.rings > 0 { combine(hash, 1) } else { hash }
}

/// The mass of a nuclide; its mass number where none is known.
pub(crate) fn isotope_mass(number: u8, isotope: u16) -> f64 {
    let Some(element) = Element::from_atomic_number(number) else { return f64::from(isotope) };
    let mut builder = MoleculeBuilder::with_capacity(1, 0);
    builder.add_atom(Atom { isotope: Some(isotope), hydrogen_count: Some(0), ..Atom::new(element) });
    rdkit_molecular_weight(&builder.build())
}

/// The numbers of all environments up to a radius, each as often as it occurs, in no particular order (RDKit's sparse count
/// fingerprint). Cost: about 10 µs for a drug-like molecule and radius 2.
#[must_use]
pub fn morgan_environments(molecule: &PerceivedMolecule, radius: usize) -> Vec<u32> {
    let atoms = molecule.atoms().len();
    let words = molecule.bonds().len().div_ceil(64);
    let mut numbers: Vec<u32> = molecule.atoms().iter().map(start).collect();
    let mut found = numbers.clone();
    // The bonds that each atom's environment covers, in this round and the last.
    let mut covered = vec![0_u64; atoms * words];
    let mut seen: Vec<u64> = Vec::new();
    let mut dead = vec![false; atoms];
    let mut around: Vec<(u32, u32)> = Vec::new();
    let mut round: Vec<(usize, u32)> = Vec::new();
    for layer in 0..radius {
        let mut next_covered = covered.clone();
        let mut next_numbers = vec![0; atoms];
        round.clear();
        for atom in 0..atoms {
            let neighbours = molecule.neighbours(atom as u16);
            dead[atom] |= neighbours.is_empty();
            if dead[atom] {
                continue;
            }
            around.clear();
            let place = atom * words..(atom + 1) * words;
            for (other, bond) in neighbours {
                let other = usize::from(*other);
                let wide = &mut next_covered[place.clone()];
                wide[usize::from(*bond) / 64] |= 1 << (bond % 64);
                wide.iter_mut().zip(&covered[other * words..]).for_each(|(word, more)| *word |= more);
                around.push((bond_type(molecule.bonds()[usize::from(*bond)].order), numbers[other]));
            }
            // RDKit sorts by bond type as a signed number, which all of them are.
            around.sort_unstable();
            let mut hash = combine(layer as u32, numbers[atom]);
            for (bond, number) in &around {
                hash = combine(hash, combine(combine(0, *bond), *number));
            }
            next_numbers[atom] = hash;
            round.push((atom, hash));
        }
        // Of several that cover the same bonds, the lowest number counts, then the first atom's.
        round.sort_unstable_by_key(|(atom, hash)| (*hash, *atom));
        for (atom, hash) in &round {
            let cover = &next_covered[atom * words..(atom + 1) * words];
            if seen.chunks_exact(words).any(|earlier| earlier == cover) {
                dead[*atom] = true;
            } else {
                seen.extend_from_slice(cover);
                found.push(*hash);
            }
        }
        numbers = next_numbers;
        covered = next_covered;
    }
    found
}

/// A fingerprint of `64 * WORDS` bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint<const WORDS: usize>(pub [u64; WORDS]);

impl<const WORDS: usize> Fingerprint<WORDS> {
    /// The folded fingerprint of environments: bit `number modulo size`.
    #[must_use]
    pub fn of_environments(numbers: &[u32]) -> Self {
        let mut words = [0; WORDS];
        for number in numbers {
            let bit = *number as usize % (64 * WORDS);
            words[bit / 64] |= 1 << (bit % 64);
        }
        Self(words)
    }

    /// Bits that are set.
    #[must_use]
    pub fn ones(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Bits that are set in both over bits that are set in either; 1 if no bit is set at all.
    #[must_use]
    pub fn tanimoto(&self, other: &Self) -> f64 {
        let pairs = || self.0.iter().zip(&other.0);
        let both: u32 = pairs().map(|(a, b)| (a & b).count_ones()).sum();
        let either: u32 = pairs().map(|(a, b)| (a | b).count_ones()).sum();
        if either == 0 { 1.0 } else { f64::from(both) / f64::from(either) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environments(smiles: &str, radius: usize) -> Vec<u32> {
        let mut numbers = morgan_environments(&PerceivedMolecule::of_canonical(smiles).unwrap(), radius);
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn the_numbers_are_those_of_rdkit() {
        // GetMorganGenerator(radius=2).GetSparseCountFingerprint, RDKit 2026.09.1.
        assert_eq!(environments("C", 2), [2_246_733_040]);
        assert_eq!(
            environments("CCO", 2),
            [864_662_311, 1_535_166_686, 2_245_384_272, 2_246_728_737, 3_542_456_614, 4_018_048_386]
        );
    }

    #[test]
    fn an_environment_is_counted_once_whatever_its_centre() {
        // Both carbons of ethane see the one bond, and nothing more after it.
        assert_eq!(environments("CC", 0).len(), 2);
        assert_eq!(environments("CC", 1).len(), 3);
        assert_eq!(environments("CC", 5).len(), 3);
    }

    #[test]
    fn similarity_is_the_share_of_common_bits() {
        let (a, b) = (Fingerprint::<2>([0b1011, 1 << 63]), Fingerprint([0b1110, 1 << 63]));
        assert_eq!((a.ones(), a.tanimoto(&b), a.tanimoto(&a)), (4, 0.6, 1.0));
        assert_eq!(Fingerprint::<2>([0, 0]).tanimoto(&Fingerprint([0, 0])), 1.0);
        assert_eq!(Fingerprint::<16>::of_environments(&[5, 1029, 2047]).0[0], 1 << 5);
    }
}
