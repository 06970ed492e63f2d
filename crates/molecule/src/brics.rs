//! Retrosynthetic fragments: BRICS (Degen, Wegscheid-Gerlach, Zaliani & Rarey, ChemMedChem 3, 1503, 2008) as RDKit cuts
//! (`FragmentOnBRICSBonds`).
//!
//! Bonds outside rings between two of sixteen kinds of atoms are cut; each end gets an attachment point that carries the kind
//! of its atom as an isotope: `CCOC` becomes `[4*]CC` and `[3*]OC`. All such bonds are cut at once.

use chematic::core::{Atom, AtomIdx, Molecule, MoleculeBuilder};
use chematic::smiles::rdkit_canonical_smiles;

use crate::error::MoleculeError;
use crate::perceived::{PerceivedMolecule, PerceivedOrder};
use crate::piece_spelling::SpellingCache;
use crate::smarts::{MatchMemory, Matcher};
use crate::substructures::SKELETON;

/// Pairs of kinds between which RDKit cuts, in the order in which it tries them: the more special first.
const CUTS: [(u16, u16); 46] = [
    (16, 16),
    (15, 16),
    (14, 16),
    (14, 15),
    (14, 14),
    (13, 16),
    (13, 15),
    (13, 14),
    (11, 16),
    (11, 15),
    (11, 14),
    (11, 13),
    (10, 16),
    (10, 15),
    (10, 14),
    (10, 13),
    (9, 16),
    (9, 15),
    (9, 14),
    (9, 13),
    (8, 16),
    (8, 15),
    (8, 14),
    (8, 13),
    (8, 10),
    (8, 9),
    (7, 7),
    (6, 16),
    (6, 15),
    (6, 14),
    (6, 13),
    (5, 15),
    (5, 13),
    (5, 16),
    (5, 14),
    (5, 12),
    (4, 11),
    (4, 5),
    (3, 16),
    (3, 15),
    (3, 14),
    (3, 13),
    (3, 4),
    (1, 10),
    (1, 5),
    (1, 3),
];

/// A bond that is cut: its number, and the kinds of its two ends.
type Cut = (u16, [u16; 2]);

/// The fragments of a molecule as canonical SMILES, each as often as it occurs, in alphabetical order; the molecule itself if
/// no bond is cut.
///
/// # Errors
/// [`MoleculeError::Smiles`] if the string cannot be read; [`MoleculeError::Chemistry`] if the fragments cannot be spelt.
pub fn brics_fragments(canonical: &str) -> Result<Vec<String>, MoleculeError> {
    let (molecule, library) = PerceivedMolecule::read(canonical)?;
    let mut memory = MatchMemory::default();
    let mut matcher = Matcher::new(&SKELETON.set, &molecule, &mut memory);
    fragments(&mut matcher, &library, canonical, true, &mut SpellingCache::default())
}

/// The same, where the molecule has been read before. Whether it has stereo marks is the caller's to say: pieces without are
/// looked up.
pub(crate) fn fragments(
    matcher: &mut Matcher<'_>,
    library: &Molecule,
    canonical: &str,
    has_stereo: bool,
    cache: &mut SpellingCache,
) -> Result<Vec<String>, MoleculeError> {
    let cuts = cuts(matcher);
    let mut fragments: Vec<String> = if cuts.is_empty() {
        canonical.split('.').map(str::to_owned).collect()
    } else {
        let pieces = cut(library, &cuts).map_err(|reason| refused(&reason))?;
        if has_stereo {
            spell(&pieces)?.split('.').map(str::to_owned).collect()
        } else {
            each_piece(&pieces, cache)?
        }
    };
    fragments.sort_unstable();
    Ok(fragments)
}

fn spell(pieces: &Molecule) -> Result<String, MoleculeError> {
    rdkit_canonical_smiles(pieces).map_err(|error| refused(&error))
}

fn refused(reason: &dyn std::fmt::Display) -> MoleculeError {
    MoleculeError::Chemistry {
        backend: "chematic",
        task: "write canonical SMILES of the fragments of",
        reason: reason.to_string(),
    }
}

/// The strings of all pieces of a molecule that has fallen apart, without stereo marks.
fn each_piece(whole: &Molecule, cache: &mut SpellingCache) -> Result<Vec<String>, MoleculeError> {
    let count = whole.atom_count();
    let mut seen = vec![false; count];
    let mut place = vec![0_u16; count];
    let mut spelt = Vec::new();
    for start in 0..count {
        if seen[start] {
            continue;
        }
        seen[start] = true;
        let mut atoms = vec![AtomIdx(start as u32)];
        let mut next = 0;
        while let Some(atom) = atoms.get(next).copied() {
            next += 1;
            for (neighbour, _) in whole.neighbors(atom) {
                if !std::mem::replace(&mut seen[neighbour.0 as usize], true) {
                    atoms.push(neighbour);
                }
            }
        }
        cache.begin(b'B');
        for (index, atom) in atoms.iter().enumerate() {
            place[atom.0 as usize] = index as u16;
            cache.add_atom(whole.atom(*atom), 0);
        }
        let mut bonds = Vec::with_capacity(atoms.len());
        for atom in &atoms {
            let later = whole.neighbors(*atom).filter(|(other, _)| atom.0 < other.0);
            bonds.extend(later.map(|(other, bond)| {
                (place[atom.0 as usize], place[other.0 as usize], whole.bond(bond).order)
            }));
        }
        bonds.iter().for_each(|(first, second, order)| cache.add_bond(*first, *second, *order));
        spelt.push(cache.finish(|| {
            let mut piece = MoleculeBuilder::with_capacity(atoms.len(), atoms.len());
            for atom in &atoms {
                piece.add_atom(whole.atom(*atom).clone());
            }
            for (first, second, order) in &bonds {
                let [first, second] = [*first, *second].map(|place| AtomIdx(u32::from(place)));
                let added = piece.add_bond(first, second, *order);
                added.map_err(|_| refused(&"a bond is there twice"))?;
            }
            spell(&piece.build())
        })?);
    }
    Ok(spelt)
}

/// The bonds to be cut, in their order.
fn cuts(matcher: &mut Matcher<'_>) -> Vec<Cut> {
    let molecule = matcher.molecule();
    let atoms = molecule.atoms().len();
    let mut kinds = vec![0_u32; atoms];
    for (kind, pattern) in &SKELETON.brics_kinds {
        matcher.take_beginnings(*pattern, &mut vec![u64::MAX; atoms.div_ceil(64)], |atom| {
            kinds[usize::from(atom)] |= 1 << kind;
        });
    }
    let is = |atom: u16, kind: u16| kinds[usize::from(atom)] >> kind & 1 == 1;
    let mut found = Vec::new();
    for (index, bond) in molecule.bonds().iter().enumerate() {
        let [first, second] = bond.ends;
        let order = |kind| if kind == 7 { PerceivedOrder::Double } else { PerceivedOrder::Single };
        if bond.in_ring {
            continue;
        }
        // Where both directions fit, the lower atom takes the first kind.
        let (low, high) = (first.min(second), first.max(second));
        let labels = CUTS.iter().filter(|(kind, _)| order(*kind) == bond.order).find_map(|(one, other)| {
            if is(low, *one) && is(high, *other) {
                Some((*one, *other))
            } else if is(low, *other) && is(high, *one) {
                Some((*other, *one))
            } else {
                None
            }
        });
        if let Some((of_low, of_high)) = labels {
            let labels = if first == low { [of_low, of_high] } else { [of_high, of_low] };
            found.push((index as u16, labels));
        }
    }
    found
}

/// The library's molecule with attachment points in place of cut bonds; stereo marks stay where they were.
fn cut(library: &Molecule, cuts: &[Cut]) -> Result<Molecule, &'static str> {
    let order = library.rdkit_bond_order();
    let mut pieces = MoleculeBuilder::with_capacity(
        library.atom_count() + 2 * cuts.len(),
        library.bond_count() + cuts.len(),
    );
    for (_, atom) in library.atoms() {
        pieces.add_atom(atom.clone());
    }
    // For each end of a cut bond: the atom, its lost neighbour and the attachment point that takes its place.
    let mut replaced: Vec<(u32, u32, AtomIdx)> = Vec::new();
    for (index, library_index) in order.iter().enumerate() {
        let bond = library.bond(*library_index);
        let Some((_, labels)) = cuts.iter().find(|(cut, _)| usize::from(*cut) == index) else {
            let kept = pieces.add_bond(bond.atom1, bond.atom2, bond.order);
            let kept = kept.map_err(|_| "a bond is there twice")?;
            // Of an aromatic bond beside a stereo double bond.
            if let Some(direction) = library.bond_direction(*library_index) {
                pieces.set_bond_direction(kept, direction);
            }
            if let Some(anchor) = library.bond_direction_anchor(*library_index) {
                pieces.set_bond_direction_anchor(kept, anchor);
            }
            continue;
        };
        let mut point = |label: u16| pieces.add_atom(Atom { isotope: Some(label), ..Atom::wildcard() });
        let (at_first, at_second) = (point(labels[0]), point(labels[1]));
        // The bond's direction, if it has one, is kept by the order of its ends.
        pieces.add_bond(bond.atom1, at_first, bond.order).map_err(|_| "a bond is there twice")?;
        pieces.add_bond(at_second, bond.atom2, bond.order).map_err(|_| "a bond is there twice")?;
        replaced.push((bond.atom1.0, bond.atom2.0, at_first));
        replaced.push((bond.atom2.0, bond.atom1.0, at_second));
    }
    for (index, _) in library.atoms() {
        let Some(neighbours) = library.stereo_neighbor_order(index) else { continue };
        let now = neighbours.iter().map(|neighbour| {
            let gone = replaced.iter().find(|(atom, lost, _)| (*atom, *lost) == (index.0, *neighbour));
            gone.map_or(*neighbour, |(_, _, point)| point.0)
        });
        pieces.set_stereo_neighbor_order(index, now.collect());
    }
    Ok(pieces.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethers_amides_and_rings_are_cut_at_their_bonds() {
        assert_eq!(brics_fragments("CCOC").unwrap(), ["[3*]OC", "[4*]CC"]);
        assert_eq!(brics_fragments("CC(=O)Nc1ccccc1").unwrap(), ["[1*]C(C)=O", "[16*]c1ccccc1", "[5*]N[5*]"]);
        assert_eq!(brics_fragments("c1ccccc1").unwrap(), ["c1ccccc1"]);
        assert!(brics_fragments("C(").is_err());
    }

    #[test]
    fn every_pair_of_kinds_is_there_once() {
        let mut pairs = CUTS.to_vec();
        pairs.sort_unstable();
        pairs.dedup();
        assert_eq!(pairs.len(), 46);
        let known = |kind: &u16| SKELETON.brics_kinds.iter().any(|(other, _)| other == kind);
        assert!(CUTS.iter().all(|(one, other)| known(one) && known(other)));
    }
}
