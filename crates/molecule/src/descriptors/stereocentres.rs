//! Stereocentres as RDKit's older perception counts them (`FindMolChiralCenters` with `includeUnassigned`), which the
//! synthetic accessibility score is defined with.

use chematic::core::Molecule;
use chematic::smiles::rdkit_chiral_centers;

use crate::error::MoleculeError;
use crate::perceived::PerceivedMolecule;

/// Atoms that are stereocentres, marked or possible. The library is asked only where an atom may be one: most molecules are
/// settled by a look at the neighbours.
pub(crate) fn stereocentres(
    molecule: &PerceivedMolecule,
    library: &Molecule,
) -> Result<usize, MoleculeError> {
    let atoms = 0..molecule.atoms().len() as u16;
    if atoms.clone().all(|atom| is_no_stereocentre(molecule, atom)) {
        return Ok(0);
    }
    let found = rdkit_chiral_centers(library, true).map_err(|error| MoleculeError::Chemistry {
        backend: "chematic",
        task: "find the stereocentres of",
        reason: error.to_string(),
    })?;
    let mut centres: Vec<u16> = found.iter().map(|(atom, _)| *atom as u16).collect();
    // The library looks for bridgeheads in the rings of RDKit before 2026.09, which lack some of those of cages.
    for atom in atoms.filter(|atom| is_amine_without_three_ring(molecule, *atom)) {
        let place = centres.iter().position(|centre| *centre == atom);
        match (is_bridgehead(molecule, atom), place) {
            (true, None) if has_distinct_neighbours(molecule, atom) => centres.push(atom),
            (false, Some(place)) => {
                centres.swap_remove(place);
            }
            _ => {}
        }
    }
    Ok(centres.len())
}

/// Whether an atom is surely none, seen from its neighbours alone.
fn is_no_stereocentre(molecule: &PerceivedMolecule, index: u16) -> bool {
    let atom = &molecule.atoms()[usize::from(index)];
    let neighbours = molecule.neighbours(index);
    let planar_carbon = atom.number == 6 && neighbours.len() + usize::from(atom.hydrogens) < 4;
    let inverting_amine = is_amine_without_three_ring(molecule, index) && atom.ring_bonds < 3;
    if neighbours.len() < 3 || planar_carbon || inverting_amine {
        return true;
    }
    // Two neighbours that end there and are alike.
    let end = |(other, bond): &(u16, u16)| {
        let neighbour = molecule.atoms()[usize::from(*other)];
        (neighbour.degree == 1).then(|| (neighbour, molecule.bonds()[usize::from(*bond)].order))
    };
    neighbours.iter().enumerate().any(|(place, first)| {
        end(first).is_some_and(|kind| neighbours[place + 1..].iter().any(|other| end(other) == Some(kind)))
    })
}

/// A nitrogen with three neighbours and no hydrogen, which is a stereocentre only in a ring of three or as a bridgehead.
fn is_amine_without_three_ring(molecule: &PerceivedMolecule, index: u16) -> bool {
    let atom = &molecule.atoms()[usize::from(index)];
    atom.number == 7 && atom.degree == 3 && atom.hydrogens == 0 && atom.smallest_ring != 3
}

/// RDKit's query for bridgeheads: three ring bonds, and every ring of the atom shares two bonds or more with another of them.
fn is_bridgehead(molecule: &PerceivedMolecule, atom: u16) -> bool {
    if molecule.atoms()[usize::from(atom)].ring_bonds < 3 {
        return false;
    }
    let rings: Vec<_> = molecule.rings().iter().filter(|ring| ring.atoms.contains(&atom)).collect();
    rings.iter().enumerate().all(|(place, ring)| {
        rings.iter().enumerate().any(|(other_place, other)| {
            other_place != place && ring.bonds.iter().filter(|bond| other.bonds.contains(bond)).count() >= 2
        })
    })
}

/// Whether an atom's neighbours are told apart by what surrounds them: elements, isotopes, hydrogens and bond orders, compared
/// over ever wider surroundings until no new difference turns up.
fn has_distinct_neighbours(molecule: &PerceivedMolecule, atom: u16) -> bool {
    let atoms = molecule.atoms();
    let first = atoms.iter().map(|atom| (u32::from(atom.number) << 16 | u32::from(atom.isotope), Vec::new()));
    let (mut colours, mut distinct) = ranked(first.collect());
    loop {
        let wider = (0..atoms.len() as u16).map(|index| {
            let mut around: Vec<(u32, u8)> = molecule
                .neighbours(index)
                .iter()
                .map(|(other, bond)| {
                    let order = molecule.bonds()[usize::from(*bond)].order;
                    (colours[usize::from(*other)], (2.0 * order.value()) as u8)
                })
                .collect();
            around.push((u32::MAX, atoms[usize::from(index)].hydrogens));
            around.sort_unstable();
            (colours[usize::from(index)], around)
        });
        let (next, count) = ranked(wider.collect());
        if count == distinct {
            break;
        }
        (colours, distinct) = (next, count);
    }
    let mut neighbours: Vec<u32> =
        molecule.neighbours(atom).iter().map(|(other, _)| colours[usize::from(*other)]).collect();
    neighbours.sort_unstable();
    neighbours.windows(2).all(|pair| pair[0] != pair[1])
}

/// The place of each key among the distinct ones, and how many those are.
fn ranked(keys: Vec<(u32, Vec<(u32, u8)>)>) -> (Vec<u32>, usize) {
    let mut distinct: Vec<_> = keys.iter().collect();
    distinct.sort_unstable();
    distinct.dedup();
    let rank = |key| distinct.partition_point(|other| *other < key) as u32;
    (keys.iter().map(rank).collect(), distinct.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(smiles: &str) -> usize {
        let (molecule, library) = PerceivedMolecule::read(smiles).unwrap();
        stereocentres(&molecule, &library).unwrap()
    }

    #[test]
    fn centres_are_those_of_rdkit() {
        assert_eq!(count("CC(N)C(=O)O"), 1);
        assert_eq!(count("C[C@H](N)C(=O)O"), 1);
        assert_eq!(count("CC(C)C(=O)O"), 0);
        assert_eq!(count("CCN(C)C"), 0);
        assert_eq!(count("CN1CC1C"), 2);
        assert_eq!(count("O=S(=O)(c1ccccc1)C(F)(F)F"), 0);
    }

    #[test]
    fn bridgehead_nitrogens_of_cages_count_with_all_relevant_rings() {
        for (smiles, centres) in [
            ("O=C1C2C=CC3CN2C13", 4),
            ("C1C2N=C3OC4C3N1C24", 5),
            ("C1C2C3C4C5CC14C2N53", 7),
            ("C1CN2CCC1CC2", 0),
        ] {
            assert_eq!(count(smiles), centres, "{smiles}");
        }
    }
}
