//! Random molecular graphs, a function of a seed.

use equidrift_molecule::{Atom, BondOrder, Element, MolecularGraph, molecule_from};

/// SplitMix64 (Steele, Lea & Flood 2014): enough randomness for tests, and the same everywhere.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Up to 12 atoms with charges, and random bonds: mostly invalid.
pub(crate) fn molecule(random: &mut Random) -> MolecularGraph {
    use Element::{B, Br, C, Cl, F, H, I, N, Na, O, P, S, Se, Si};
    let elements = [C, C, C, N, O, F, P, S, Cl, Br, I, H, B, Si, Se, Na];
    let count = random.below(12) + 1;
    let atoms: Vec<Atom> = (0..count)
        .map(|_| Atom {
            element: elements[random.below(elements.len())],
            charge: [0, 0, 0, 1, -1][random.below(5)],
        })
        .collect();
    let sparsity = random.below(6) + 2;
    let mut list = Vec::new();
    for i in 0..count {
        for j in 0..i {
            if random.below(sparsity) == 0 {
                list.push((i, j, [BondOrder::Single, BondOrder::Double, BondOrder::Triple][random.below(3)]));
            }
        }
    }
    // Any order of the list, so that the repair cannot rely on one.
    for place in (1..list.len()).rev() {
        list.swap(place, random.below(place + 1));
    }
    molecule_from(atoms, list).unwrap()
}
