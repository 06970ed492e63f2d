//! What does not change from frame to frame: elements, names, bonds.

use serde::{Deserialize, Serialize};

use crate::element::Element;
use crate::error::TrajectoryError;
use crate::geometry::distance;

/// The part of a molecule (an amino acid, say) to which an atom belongs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Residue {
    /// Its name, for example `ALA`.
    pub name: String,
    /// Its number in the file.
    pub number: i32,
    /// The chain's letter; a space if there is none.
    pub chain: char,
}

/// Atoms and what joins them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Topology {
    elements: Vec<Element>,
    /// One for each atom, or none at all.
    names: Vec<String>,
    /// One for each atom, or none at all.
    residues: Vec<Residue>,
    /// Pairs of atoms, the smaller first, sorted.
    bonds: Vec<[u32; 2]>,
}

impl Topology {
    /// Atoms of these elements, without bonds.
    #[must_use]
    pub fn of_elements(elements: Vec<Element>) -> Self {
        Self { elements, names: Vec::new(), residues: Vec::new(), bonds: Vec::new() }
    }

    /// Bodies of which nothing is known.
    #[must_use]
    pub fn unknown(atoms: usize) -> Self {
        Self::of_elements(vec![Element::UNKNOWN; atoms])
    }

    /// `N`.
    #[must_use]
    pub fn atoms(&self) -> usize {
        self.elements.len()
    }

    /// One for each atom.
    #[must_use]
    pub fn elements(&self) -> &[Element] {
        &self.elements
    }

    /// Names of the atoms as in a PDB file, one for each atom, or none.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Residues, one for each atom, or none.
    #[must_use]
    pub fn residues(&self) -> &[Residue] {
        &self.residues
    }

    /// Bonds, each once, the smaller atom first, sorted.
    #[must_use]
    pub fn bonds(&self) -> &[[u32; 2]] {
        &self.bonds
    }

    /// Names the atoms.
    ///
    /// # Errors
    /// [`TrajectoryError::Count`] if there are not as many names as atoms.
    pub fn set_names(&mut self, names: Vec<String>, residues: Vec<Residue>) -> Result<(), TrajectoryError> {
        for (what, found) in [("names of atoms", names.len()), ("residues of atoms", residues.len())] {
            if found != 0 && found != self.atoms() {
                return Err(TrajectoryError::Count { what, expected: self.atoms(), found });
            }
        }
        (self.names, self.residues) = (names, residues);
        Ok(())
    }

    /// Checks what another programme may have written: that names are none or one for each atom, and that bonds join two different
    /// atoms, the smaller first.
    ///
    /// # Errors
    /// As [`Topology::set_names`] and [`Topology::set_bonds`].
    pub fn check(&self) -> Result<(), TrajectoryError> {
        let mut fresh = Self::of_elements(self.elements.clone());
        fresh.set_names(self.names.clone(), self.residues.clone())?;
        fresh.set_bonds(self.bonds.clone())?;
        if fresh != *self {
            return Err(TrajectoryError::malformed(
                "bonds are not sorted, the smaller atom first".to_owned(),
            ));
        }
        Ok(())
    }

    /// Sets the bonds; each may come in either direction and more than once.
    ///
    /// # Errors
    /// [`TrajectoryError::NoSuchAtom`]; [`TrajectoryError::Malformed`] if a bond joins an atom to itself.
    pub fn set_bonds(&mut self, mut bonds: Vec<[u32; 2]>) -> Result<(), TrajectoryError> {
        for bond in &mut bonds {
            bond.sort_unstable();
            if bond[1] as usize >= self.atoms() {
                return Err(TrajectoryError::NoSuchAtom { atom: bond[1] as usize, atoms: self.atoms() });
            }
            if bond[0] == bond[1] {
                return Err(TrajectoryError::malformed(format!("a bond joins atom {} to itself", bond[0])));
            }
        }
        bonds.sort_unstable();
        bonds.dedup();
        self.bonds = bonds;
        Ok(())
    }

    /// Takes every pair of atoms at most `reach` ångström apart in `positions` for a bond; GeoTDM takes 1.6 in the first
    /// frame. Cost: O(N²).
    pub fn bond_within(&mut self, positions: &[[f32; 3]], reach: f64) {
        self.bonds = (0..positions.len() as u32)
            .flat_map(|i| (i + 1..positions.len() as u32).map(move |j| [i, j]))
            .filter(|[i, j]| distance(positions[*i as usize], positions[*j as usize]) <= reach)
            .collect();
    }

    /// Adds to the bonds what a file leaves out: pairs of atoms at most `reach` ångström apart in `positions` of which one has no bond
    /// at all. PDB files name the bonds of unusual residues only, those of amino acids go without saying. Without any bond this is
    /// [`Topology::bond_within`]. Cost: O(N²).
    pub fn complete_bonds(&mut self, positions: &[[f32; 3]], reach: f64) {
        let mut alone = vec![true; self.atoms()];
        self.bonds.iter().flatten().for_each(|&atom| alone[atom as usize] = false);
        if alone.contains(&true) {
            let mut near = self.clone();
            near.bond_within(positions, reach);
            near.bonds.retain(|[i, j]| alone[*i as usize] || alone[*j as usize]);
            self.bonds.append(&mut near.bonds);
            self.bonds.sort_unstable();
            self.bonds.dedup();
        }
    }

    /// The atoms bonded to each atom, ascending.
    #[must_use]
    pub fn neighbours(&self) -> Vec<Vec<usize>> {
        let mut neighbours = vec![Vec::new(); self.atoms()];
        for [i, j] in &self.bonds {
            neighbours[*i as usize].push(*j as usize);
            neighbours[*j as usize].push(*i as usize);
        }
        neighbours.iter_mut().for_each(|list| list.sort_unstable());
        neighbours
    }

    /// Bond angles `[i, j, k]`: `j` is bonded to `i` and `k`, `i < k`.
    #[must_use]
    pub fn angles(&self) -> Vec<[usize; 3]> {
        let mut angles = Vec::new();
        for (middle, bonded) in self.neighbours().iter().enumerate() {
            for (place, first) in bonded.iter().enumerate() {
                angles.extend(bonded[place + 1..].iter().map(|last| [*first, middle, *last]));
            }
        }
        angles
    }

    /// Torsions `[i, j, k, l]`: a path of three bonds of four different atoms, each path once (`j < k`).
    #[must_use]
    pub fn torsions(&self) -> Vec<[usize; 4]> {
        let neighbours = self.neighbours();
        let mut torsions = Vec::new();
        for [j, k] in self.bonds.iter().map(|bond| bond.map(|atom| atom as usize)) {
            for i in neighbours[j].iter().copied().filter(|i| *i != k) {
                let ends = neighbours[k].iter().copied().filter(|l| *l != j && *l != i);
                torsions.extend(ends.map(|l| [i, j, k, l]));
            }
        }
        torsions
    }

    /// Only some atoms, in the order given, with the bonds among them. Each must exist.
    pub(crate) fn selected(&self, atoms: &[usize]) -> Self {
        let mut place = vec![None; self.atoms()];
        for (new, old) in atoms.iter().enumerate() {
            place[*old] = u32::try_from(new).ok();
        }
        let mut bonds: Vec<[u32; 2]> = self
            .bonds
            .iter()
            .filter_map(|[i, j]| Some([place[*i as usize]?, place[*j as usize]?]))
            .map(|[i, j]| [i.min(j), i.max(j)])
            .collect();
        bonds.sort_unstable();
        Self {
            elements: atoms.iter().map(|atom| self.elements[*atom]).collect(),
            names: atoms.iter().filter_map(|atom| self.names.get(*atom).cloned()).collect(),
            residues: atoms.iter().filter_map(|atom| self.residues.get(*atom).cloned()).collect(),
            bonds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bonds_angles_and_torsions() {
        // Ethanol without its three last hydrogens: 0 and 1 carbon, 2 oxygen, 3 hydrogen on 2, a ring of nothing.
        let mut topology = Topology::unknown(4);
        topology.set_bonds(vec![[1, 0], [2, 1], [2, 3], [1, 2]]).unwrap();
        assert_eq!(topology.bonds(), [[0, 1], [1, 2], [2, 3]]);
        assert_eq!(topology.angles(), [[0, 1, 2], [1, 2, 3]]);
        assert_eq!(topology.torsions(), [[0, 1, 2, 3]]);
        assert!(matches!(
            topology.set_bonds(vec![[0, 4]]),
            Err(TrajectoryError::NoSuchAtom { atom: 4, atoms: 4 })
        ));
        assert!(topology.set_bonds(vec![[2, 2]]).is_err());
        // A ring of three has no torsion: its path would close.
        topology.set_bonds(vec![[0, 1], [1, 2], [0, 2]]).unwrap();
        assert!(topology.torsions().is_empty() && topology.angles().len() == 3);
        let positions = [[0.0; 3], [1.0, 0.0, 0.0], [3.0, 0.0, 0.0], [3.0, 0.0, 1.6]];
        topology.bond_within(&positions, 1.600_001);
        assert_eq!(topology.bonds(), [[0, 1], [2, 3]]);
        // What a file leaves out is found, what it says stays: the long bond, and none more for the atoms that have one.
        topology.set_bonds(vec![[0, 2]]).unwrap();
        topology.complete_bonds(&positions, 1.600_001);
        assert_eq!(topology.bonds(), [[0, 1], [0, 2], [2, 3]]);
        topology.complete_bonds(&positions, 9.0);
        assert_eq!(topology.bonds().len(), 3);
        topology.set_bonds(vec![[0, 1], [2, 3]]).unwrap();
        let part = topology.selected(&[3, 1, 2]);
        assert_eq!((part.atoms(), part.bonds()), (3, &[[0, 2]][..]));
    }
}
