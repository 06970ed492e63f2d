//! MOSES's filters: neutral molecules of eight elements without rings of eight atoms or more, and without the substructures
//! of the medicinal chemistry filters (MCF) and the pan-assay interference compounds (PAINS).

use crate::perceived::PerceivedMolecule;
use crate::smarts::Matcher;
use crate::substructures::HYDROGENATED;

/// Atomic numbers of H, C, N, O, F, S, Cl and Br.
const ELEMENTS: [u8; 8] = [1, 6, 7, 8, 9, 16, 17, 35];
/// Atoms of the largest ring.
const LARGEST_RING: usize = 7;

/// Whether charges, elements and ring sizes are admitted.
pub(crate) fn admits_atoms_and_rings(molecule: &PerceivedMolecule) -> bool {
    molecule.atoms().iter().all(|atom| atom.charge == 0 && ELEMENTS.contains(&atom.number))
        && molecule.rings().iter().all(|ring| ring.atoms.len() <= LARGEST_RING)
}

/// Whether none of the 502 substructures is there. `matcher` holds the molecule with its hydrogens as atoms.
pub(crate) fn has_no_filtered_substructure(matcher: &mut Matcher<'_>) -> bool {
    !HYDROGENATED.moses_filters.iter().any(|(_, pattern)| matcher.has(*pattern))
}

/// The names of the filters that a molecule does not pass: `"charge"`, `"element"`, `"ring size"` and the names of
/// substructures.
#[must_use]
pub fn failed_filters(molecule: &PerceivedMolecule) -> Vec<&'static str> {
    let mut failed = Vec::new();
    let atoms = || molecule.atoms().iter();
    for (name, admitted) in [
        ("charge", atoms().all(|atom| atom.charge == 0)),
        ("element", atoms().all(|atom| ELEMENTS.contains(&atom.number))),
        ("ring size", molecule.rings().iter().all(|ring| ring.atoms.len() <= LARGEST_RING)),
    ] {
        if !admitted {
            failed.push(name);
        }
    }
    let hydrogenated = molecule.with_hydrogens();
    let mut memory = crate::smarts::MatchMemory::default();
    let mut matcher = Matcher::new(&HYDROGENATED.set, &hydrogenated, &mut memory);
    failed
        .extend(HYDROGENATED.moses_filters.iter().filter(|(_, id)| matcher.has(*id)).map(|(name, _)| *name));
    failed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_molecule_fails_by_name() {
        let of = |smiles: &str| failed_filters(&PerceivedMolecule::of_canonical(smiles).unwrap());
        assert!(of("CC(=O)Nc1ccccc1").is_empty());
        assert_eq!(of("C[N+](C)(C)C"), ["charge"]);
        assert_eq!(of("C1CCCCCCC1"), ["ring size"]);
        assert_eq!(of("C[Si](C)(C)C"), ["element"]);
        assert_eq!(of("CC=O"), ["MCF7"]);
        assert_eq!(of("C1CO1"), ["MCF5"]);
        assert!(of("O=C1C=CC(=O)C=C1").iter().any(|name| name.starts_with("quinone")));
    }
}
