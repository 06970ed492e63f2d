//! Bemis–Murcko scaffolds (J. Med. Chem. 39, 2887, 1996) as RDKit makes them: rings, the chains between them, and atoms doubly
//! bonded to either.

use chematic::core::{AtomIdx, Molecule};
use chematic::smiles::rdkit_murcko_scaffold;

use crate::error::MoleculeError;
use crate::perceived::{PerceivedMolecule, PerceivedOrder};
use crate::piece_spelling::SpellingCache;

/// The scaffold of a molecule as canonical SMILES; empty without rings. Whether the molecule has stereo marks is the caller's
/// to say: they are not looked up.
pub(crate) fn scaffold(
    molecule: &PerceivedMolecule,
    library: &Molecule,
    has_stereo: bool,
    cache: &mut SpellingCache,
) -> Result<String, MoleculeError> {
    let spell = || {
        rdkit_murcko_scaffold(library).map_err(|error| MoleculeError::Chemistry {
            backend: "chematic",
            task: "find the scaffold of",
            reason: error.to_string(),
        })
    };
    if has_stereo {
        return spell();
    }
    let kept = kept(molecule);
    let mut place = vec![0; kept.len()];
    let mut next = 0;
    cache.begin(b'S');
    for (index, is_kept) in kept.iter().enumerate() {
        if !is_kept {
            continue;
        }
        (place[index], next) = (next, next + 1);
        let atom = library.atom(AtomIdx(index as u32));
        // What follows from lost neighbours: such an atom gets a hydrogen for them, or its hydrogens are counted anew.
        let may_change = atom.hydrogen_count.is_some() || atom.aromatic && atom.element.atomic_number() != 6;
        let mut neighbours = molecule.neighbours(index as u16).iter();
        let lost = may_change && neighbours.any(|(neighbour, _)| !kept[usize::from(*neighbour)]);
        cache.add_atom(atom, u8::from(lost));
    }
    for (_, bond) in library.bonds() {
        let (first, second) = (bond.atom1.0 as usize, bond.atom2.0 as usize);
        if kept[first] && kept[second] {
            cache.add_bond(place[first], place[second], bond.order);
        }
    }
    cache.finish(spell)
}

/// Whether each atom is part of the scaffold.
fn kept(molecule: &PerceivedMolecule) -> Vec<bool> {
    let atoms = molecule.atoms();
    // Ends of chains are taken off until only rings and what joins them are left.
    let mut degrees: Vec<u8> = atoms.iter().map(|atom| atom.degree).collect();
    let mut core = vec![true; atoms.len()];
    let mut ends: Vec<u16> = (0..atoms.len() as u16).filter(|atom| degrees[usize::from(*atom)] < 2).collect();
    while let Some(atom) = ends.pop() {
        if !std::mem::replace(&mut core[usize::from(atom)], false) {
            continue;
        }
        for (neighbour, _) in molecule.neighbours(atom) {
            let degree = &mut degrees[usize::from(*neighbour)];
            *degree = degree.saturating_sub(1);
            if *degree < 2 && core[usize::from(*neighbour)] {
                ends.push(*neighbour);
            }
        }
    }
    let mut kept = core.clone();
    for bond in molecule.bonds().iter().filter(|bond| bond.order == PerceivedOrder::Double) {
        let [first, second] = bond.ends.map(usize::from);
        kept[first] |= core[second];
        kept[second] |= core[first];
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaffold_that_is_remembered_is_the_one_that_is_found() {
        let mut cache = SpellingCache::default();
        for smiles in [
            "CCc1ccccc1CC1CCNCC1",
            "Cc1ccccc1CC1CCNCC1",
            "O=C(Nc1ccccc1)C1CC1",
            "CCCC",
            "Cn1cccc1-c1ccccc1",
            "c1ccc(-c2ccc[nH]2)cc1",
            "CC[n+]1ccccc1-c1ccccc1",
            "O=C1CC2CCC1C2.Oc1ccccc1",
            "C=C(C)C1CC1",
        ] {
            let (molecule, library) = PerceivedMolecule::read(smiles).unwrap();
            let found = scaffold(&molecule, &library, true, &mut cache).unwrap();
            for _ in 0..2 {
                assert_eq!(scaffold(&molecule, &library, false, &mut cache).unwrap(), found, "{smiles}");
            }
        }
    }
}
