//! Molecules as plain lists of atoms and bonds.

use std::collections::HashSet;

use crate::bridge::ffi;
use crate::error::RdkitError;
use crate::molecule::silence_log;
use crate::verdict::problems_of;

/// The most atoms a molecule may have. RDKit recurses once per atom of a chain, and about 3,000 of them overflow the
/// 2 MiB stack of a Rust thread (RDKit 2022.09), which would end the process.
pub const MAX_ATOMS: usize = 1_000;

/// An atom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Atom {
    /// Atomic number, 1..=118, or 0 for "any atom" (`*` in SMILES).
    pub atomic_number: u8,
    /// Formal charge in elementary charges.
    pub charge: i8,
    /// Hydrogens on it that are not atoms of the graph; `None` = as many as the element's valence asks for.
    pub hydrogens: Option<u8>,
}

impl Atom {
    /// An atom with as many implicit hydrogens as its valence asks for.
    #[must_use]
    pub const fn new(atomic_number: u8, charge: i8) -> Self {
        Self { atomic_number, charge, hydrogens: None }
    }
}

/// The order of a bond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum BondOrder {
    /// One electron pair.
    Single = 1,
    /// Two.
    Double = 2,
    /// Three.
    Triple = 3,
    /// Part of an aromatic system whose double bonds RDKit is to place; both its atoms count as aromatic.
    Aromatic = 4,
}

impl BondOrder {
    /// 1, 2, 3, or 4 for an aromatic bond; `None` for any other number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Single),
            2 => Some(Self::Double),
            3 => Some(Self::Triple),
            4 => Some(Self::Aromatic),
            _ => None,
        }
    }
}

/// A bond between two atoms, named by their 0-based indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bond {
    /// One end.
    pub begin: u32,
    /// The other end.
    pub end: u32,
    /// Its order.
    pub order: BondOrder,
}

/// Atoms and bonds, in the order in which they were made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    /// The atoms.
    pub atoms: Vec<Atom>,
    /// The bonds; at most one between any two atoms.
    pub bonds: Vec<Bond>,
}

impl Graph {
    /// Canonical SMILES of exactly these bonds: aromaticity is not looked for, so rings keep their single and double
    /// bonds (aromatic bonds are placed first). Hydrogens that are atoms of the graph are folded into their neighbour.
    /// This is the string by whose length GDSS chooses a fragment.
    ///
    /// # Errors
    /// [`RdkitError::Invalid`] if rules of chemistry are broken.
    pub fn kekule_smiles(&self) -> Result<String, RdkitError> {
        let raw = self.to_rdkit()?;
        let problems = problems_of(&raw)?;
        if !problems.is_empty() {
            return Err(RdkitError::Invalid { problems });
        }
        ffi::kekule_smiles_of_raw(&raw).map_err(RdkitError::exception("write Kekulé SMILES"))
    }

    /// The same as an RDKit molecule, nothing checked but that it is a simple graph of known elements.
    pub(crate) fn to_rdkit(&self) -> Result<cxx::SharedPtr<ffi::ROMol>, RdkitError> {
        silence_log();
        self.check()?;
        let atoms: Vec<ffi::AtomRecord> = self
            .atoms
            .iter()
            .map(|atom| ffi::AtomRecord {
                atomic_number: atom.atomic_number,
                charge: atom.charge,
                hydrogens: atom.hydrogens.map_or(-1, i16::from),
            })
            .collect();
        let bonds: Vec<ffi::BondRecord> = self
            .bonds
            .iter()
            .map(|bond| ffi::BondRecord { begin: bond.begin, end: bond.end, order: bond.order as u8 })
            .collect();
        ffi::build(&atoms, &bonds).map_err(RdkitError::exception("build a molecule"))
    }

    /// A graph that came back from C++.
    pub(crate) fn from_record(record: &ffi::GraphRecord) -> Result<Self, RdkitError> {
        let atoms = record
            .atoms
            .iter()
            .map(|atom| Atom {
                atomic_number: atom.atomic_number,
                charge: atom.charge,
                hydrogens: u8::try_from(atom.hydrogens).ok(),
            })
            .collect();
        let bonds = record
            .bonds
            .iter()
            .map(|bond| {
                let order = BondOrder::from_number(bond.order).ok_or_else(|| RdkitError::Exception {
                    task: "kekulise a molecule",
                    reason: format!("it answered with bond order {}", bond.order),
                })?;
                Ok(Bond { begin: bond.begin, end: bond.end, order })
            })
            .collect::<Result<_, RdkitError>>()?;
        Ok(Self { atoms, bonds })
    }

    fn check(&self) -> Result<(), RdkitError> {
        let atoms = self.atoms.len();
        if atoms > MAX_ATOMS {
            return Err(RdkitError::TooLarge { found: atoms, unit: "atoms", limit: MAX_ATOMS });
        }
        for (atom, &Atom { atomic_number, .. }) in self.atoms.iter().enumerate() {
            if atomic_number > 118 {
                return Err(RdkitError::NoSuchElement { atom, atomic_number });
            }
        }
        let mut seen = HashSet::with_capacity(self.bonds.len());
        for (index, bond) in self.bonds.iter().enumerate() {
            let reason = if bond.begin as usize >= atoms || bond.end as usize >= atoms {
                "there is no such atom"
            } else if bond.begin == bond.end {
                "an atom cannot be bonded to itself"
            } else if !seen.insert((bond.begin.min(bond.end), bond.begin.max(bond.end))) {
                "these atoms have a bond already"
            } else {
                continue;
            };
            return Err(RdkitError::Bond { bond: index, begin: bond.begin, end: bond.end, atoms, reason });
        }
        Ok(())
    }
}
