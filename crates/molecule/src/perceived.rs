//! A molecule with everything perceived that descriptors ask for: aromaticity, hydrogens, rings.
//!
//! It is read from a *canonical* SMILES, which is where every back end writes the result of its perception (lower-case
//! atoms, hydrogen counts in brackets), and so serves both. Atoms and bonds are numbered as RDKit numbers them when it reads
//! the same string. Rings are the relevant cycles (Vismara, Electron. J. Comb. 4, R9, 1997): all that are no sum of smaller
//! ones, which are the rings of RDKit 2026.09; what it calls a ring count, a ring size or a ring atom follows from them.
//!
//! Hydrogens stay implicit unless they stand in the string as atoms; [`PerceivedMolecule::with_hydrogens`] makes them atoms.
//! Stereo marks are not represented.

use chematic::core::{AtomIdx, BondOrder as LibraryBond, Molecule};
use chematic::perception::relevant_cycles_from_graph;
use chematic::smiles::parse;

use crate::chemistry::{ProblemKind, smiles_syntax, unreadable};
use crate::error::MoleculeError;

mod hydrogens;

/// Independent rings of a molecule that is searched for rings. A fullerene has 31.
const MOST_INDEPENDENT_RINGS: usize = 100;
/// Rings that are kept.
const MOST_RINGS: usize = 10_000;

/// An order in the perceived molecule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PerceivedOrder {
    /// One shared electron pair.
    Single = 0,
    /// Two.
    Double = 1,
    /// Three.
    Triple = 2,
    /// In an aromatic ring: order 1.5.
    Aromatic = 3,
}

impl PerceivedOrder {
    /// The order as a number: 1, 2, 3 or 1.5.
    #[must_use]
    pub const fn value(self) -> f64 {
        match self {
            Self::Single => 1.0,
            Self::Double => 2.0,
            Self::Triple => 3.0,
            Self::Aromatic => 1.5,
        }
    }
}

/// An atom and what was perceived of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PerceivedAtom {
    /// Atomic number; 0 for an attachment point (`*`).
    pub number: u8,
    /// Mass number as written; 0 for the natural mixture.
    pub isotope: u16,
    /// Formal charge.
    pub charge: i8,
    /// Whether it is aromatic.
    pub aromatic: bool,
    /// Hydrogens that are no atoms of the graph.
    pub hydrogens: u8,
    /// Hydrogens that are atoms of the graph, bonded to it.
    pub hydrogen_neighbours: u8,
    /// Bonds of the graph.
    pub degree: u8,
    /// Sum of bond orders, hydrogens included.
    pub valence: u8,
    /// Rings it is in.
    pub rings: u8,
    /// Size of the smallest; 0 outside rings.
    pub smallest_ring: u8,
    /// Bonds that are in a ring.
    pub ring_bonds: u8,
}

impl PerceivedAtom {
    /// All its hydrogens, atoms of the graph or not.
    #[must_use]
    pub const fn total_hydrogens(&self) -> u8 {
        self.hydrogens + self.hydrogen_neighbours
    }

    /// Bonds, those to implicit hydrogens included.
    #[must_use]
    pub const fn total_degree(&self) -> u8 {
        self.degree + self.hydrogens
    }
}

/// A bond: two atoms, the order, and whether it is in a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerceivedBond {
    /// The two atoms.
    pub ends: [u16; 2],
    /// The order.
    pub order: PerceivedOrder,
    /// Whether it is in a ring.
    pub in_ring: bool,
}

impl PerceivedBond {
    /// The other end.
    #[must_use]
    pub const fn other(&self, atom: u16) -> u16 {
        if self.ends[0] == atom { self.ends[1] } else { self.ends[0] }
    }
}

/// A ring: its atoms in order, and its bonds in the same order (bond `k` joins atoms `k` and `k + 1`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    /// The atoms.
    pub atoms: Vec<u16>,
    /// The bonds.
    pub bonds: Vec<u16>,
}

/// The molecule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerceivedMolecule {
    atoms: Vec<PerceivedAtom>,
    bonds: Vec<PerceivedBond>,
    /// Neighbours of atom `i` are `links[starts[i]..starts[i + 1]]`, as (atom, bond), in the order of bonds.
    starts: Vec<u32>,
    links: Vec<(u16, u16)>,
    rings: Vec<Ring>,
}

impl PerceivedMolecule {
    /// Read a canonical SMILES. Cost: about 15 µs for a drug-like molecule.
    ///
    /// # Errors
    /// [`MoleculeError::Smiles`] if the string is no SMILES, has a bond that is not single, double, triple or aromatic, or
    /// more than 100 independent rings.
    pub fn of_canonical(smiles: &str) -> Result<Self, MoleculeError> {
        Self::read(smiles).map(|(molecule, _)| molecule)
    }

    /// The same, with the library's molecule for questions of stereo.
    pub(crate) fn read(smiles: &str) -> Result<(Self, Molecule), MoleculeError> {
        smiles_syntax::check(smiles).map_err(|fault| unreadable(smiles, fault.kind, fault.reason))?;
        let unreadable = |reason: String| unreadable(smiles, ProblemKind::Other, reason);
        let library = parse(smiles).map_err(|error| unreadable(error.to_string()))?;
        let molecule = Self::from_library(&library).map_err(|reason| unreadable(reason.to_owned()))?;
        Ok((molecule, library))
    }

    fn from_library(library: &Molecule) -> Result<Self, &'static str> {
        let bonds = bonds_of(library)?;
        let mut atoms = Vec::with_capacity(library.atom_count());
        for (_, atom) in library.atoms() {
            atoms.push(PerceivedAtom {
                number: if atom.wildcard { 0 } else { atom.element.atomic_number() },
                isotope: atom.isotope.unwrap_or(0),
                charge: atom.charge,
                aromatic: atom.aromatic,
                // Of an atom outside brackets they follow from its bonds, below.
                hydrogens: atom.hydrogen_count.unwrap_or(0),
                hydrogen_neighbours: 0,
                degree: 0,
                valence: 0,
                rings: 0,
                smallest_ring: 0,
                ring_bonds: 0,
            });
        }
        let mut molecule = Self::assemble(atoms, bonds);
        for (index, (_, atom)) in library.atoms().enumerate() {
            molecule.count_hydrogens(index, atom.hydrogen_count.is_none());
        }
        molecule.find_rings()?;
        Ok(molecule)
    }

    /// The graph, without rings.
    fn assemble(mut atoms: Vec<PerceivedAtom>, bonds: Vec<PerceivedBond>) -> Self {
        for bond in &bonds {
            for [one, other] in [bond.ends, [bond.ends[1], bond.ends[0]]] {
                let other_is_hydrogen = atoms[usize::from(other)].number == 1;
                let atom = &mut atoms[usize::from(one)];
                atom.degree += 1;
                atom.hydrogen_neighbours += u8::from(other_is_hydrogen);
            }
        }
        let mut starts = Vec::with_capacity(atoms.len() + 1);
        starts.push(0);
        for atom in &atoms {
            starts.push(starts[starts.len() - 1] + u32::from(atom.degree));
        }
        let mut places: Vec<u32> = starts.clone();
        let mut links = vec![(0, 0); 2 * bonds.len()];
        for (index, bond) in bonds.iter().enumerate() {
            for [one, other] in [bond.ends, [bond.ends[1], bond.ends[0]]] {
                let place = &mut places[usize::from(one)];
                links[*place as usize] = (other, index as u16);
                *place += 1;
            }
        }
        Self { atoms, bonds, starts, links, rings: Vec::new() }
    }

    fn find_rings(&mut self) -> Result<(), &'static str> {
        let independent = self.independent_rings();
        if independent == 0 {
            return Ok(());
        }
        let too_many = "it has too many rings";
        if independent > MOST_INDEPENDENT_RINGS {
            return Err(too_many);
        }
        let bonds: Vec<_> = self
            .bonds
            .iter()
            .map(|bond| (usize::from(bond.ends[0]), usize::from(bond.ends[1]), true))
            .collect();
        let rings = relevant_cycles_from_graph(self.atoms.len(), &bonds, MOST_RINGS).map_err(|_| too_many)?;
        for ring in rings {
            let atoms: Vec<u16> = ring.iter().map(|atom| *atom as u16).collect();
            let bonds = (0..atoms.len())
                .map(|place| self.bond_between(atoms[place], atoms[(place + 1) % atoms.len()]))
                .collect::<Option<Vec<u16>>>()
                .ok_or("the library found a ring that is none")?;
            self.rings.push(Ring { atoms, bonds });
        }
        for ring in &self.rings {
            let size = u8::try_from(ring.atoms.len()).unwrap_or(u8::MAX);
            for atom in &ring.atoms {
                let atom = &mut self.atoms[usize::from(*atom)];
                atom.rings = atom.rings.saturating_add(1);
                if atom.smallest_ring == 0 || size < atom.smallest_ring {
                    atom.smallest_ring = size;
                }
            }
            for bond in &ring.bonds {
                self.bonds[usize::from(*bond)].in_ring = true;
            }
        }
        for bond in self.bonds.iter().filter(|bond| bond.in_ring) {
            for end in bond.ends {
                self.atoms[usize::from(end)].ring_bonds += 1;
            }
        }
        Ok(())
    }

    /// Bonds more than a tree in each piece: the size of a smallest set of rings.
    #[must_use]
    pub fn independent_rings(&self) -> usize {
        self.bonds.len() + self.fragments() - self.atoms.len()
    }

    /// Pieces that are not bonded to one another.
    #[must_use]
    pub fn fragments(&self) -> usize {
        let mut seen = vec![false; self.atoms.len()];
        let mut stack = Vec::new();
        let mut fragments = 0;
        for start in 0..self.atoms.len() {
            if seen[start] {
                continue;
            }
            fragments += 1;
            seen[start] = true;
            stack.push(start as u16);
            while let Some(atom) = stack.pop() {
                for (neighbour, _) in self.neighbours(atom) {
                    if !seen[usize::from(*neighbour)] {
                        seen[usize::from(*neighbour)] = true;
                        stack.push(*neighbour);
                    }
                }
            }
        }
        fragments
    }

    /// The atoms.
    #[must_use]
    pub fn atoms(&self) -> &[PerceivedAtom] {
        &self.atoms
    }

    /// The bonds.
    #[must_use]
    pub fn bonds(&self) -> &[PerceivedBond] {
        &self.bonds
    }

    /// The rings, smaller first.
    #[must_use]
    pub fn rings(&self) -> &[Ring] {
        &self.rings
    }

    /// Neighbours of an atom as (atom, bond), in the order of bonds.
    #[must_use]
    pub fn neighbours(&self, atom: u16) -> &[(u16, u16)] {
        let atom = usize::from(atom);
        &self.links[self.starts[atom] as usize..self.starts[atom + 1] as usize]
    }

    /// The bond between two atoms.
    #[must_use]
    pub fn bond_between(&self, first: u16, second: u16) -> Option<u16> {
        self.neighbours(first).iter().find(|(other, _)| *other == second).map(|(_, bond)| *bond)
    }

    /// Atoms other than hydrogen.
    #[must_use]
    pub fn heavy_atoms(&self) -> usize {
        self.atoms.iter().filter(|atom| atom.number != 1).count()
    }
}

/// The bonds, in the order in which RDKit numbers them when it reads the string.
fn bonds_of(library: &Molecule) -> Result<Vec<PerceivedBond>, &'static str> {
    if library.atom_count() > usize::from(u16::MAX) || library.bond_count() > usize::from(u16::MAX) {
        return Err("it is too large");
    }
    let crowded = (0..library.atom_count()).any(|atom| library.degree(AtomIdx(atom as u32)) > 200);
    if crowded {
        return Err("an atom has more than 200 bonds");
    }
    let mut bonds = Vec::with_capacity(library.bond_count());
    for index in library.rdkit_bond_order() {
        let bond = library.bond(index);
        let order = match bond.order {
            LibraryBond::Single | LibraryBond::Up | LibraryBond::Down => PerceivedOrder::Single,
            LibraryBond::Double => PerceivedOrder::Double,
            LibraryBond::Triple => PerceivedOrder::Triple,
            LibraryBond::Aromatic => PerceivedOrder::Aromatic,
            _ => return Err("it has a bond that is not single, double, triple or aromatic"),
        };
        let ends = [bond.atom1.0 as u16, bond.atom2.0 as u16];
        bonds.push(PerceivedBond { ends, order, in_ring: false });
    }
    Ok(bonds)
}
