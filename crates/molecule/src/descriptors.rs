//! Descriptors of one molecule, each with RDKit's definition (2026.09) and to its last digits.
//!
//! ```
//! use equidrift_molecule::descriptors::DescriptorCalculator;
//! use equidrift_molecule::perceived::PerceivedMolecule;
//!
//! let aspirin = PerceivedMolecule::of_canonical("CC(=O)Oc1ccccc1C(=O)O")?;
//! let descriptors = DescriptorCalculator::new().calculate(&aspirin);
//! assert!((descriptors.log_p - 1.3101).abs() < 1e-9 && (descriptors.drug_likeness - 0.5501217966938848).abs() < 1e-9);
//! assert_eq!((descriptors.donors, descriptors.acceptors, descriptors.rotatable_bonds), (1, 3, 2));
//! # Ok::<(), equidrift_molecule::MoleculeError>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::perceived::PerceivedMolecule;
use crate::smarts::{MatchMemory, Matcher};
use crate::substructures::{HYDROGENATED, SKELETON};

mod complexity;
mod drug_likeness;
mod partition;
mod polar_surface;
pub mod rings;
pub(crate) mod stereocentres;
pub mod synthetic_accessibility;
pub(crate) mod weight;

pub use complexity::bertz_complexity;
pub use polar_surface::polar_surface_area;
pub use synthetic_accessibility::FragmentScores;
pub use weight::molecular_weight;

/// The descriptors of a molecule. The synthetic accessibility score, which needs a table, is apart: [`FragmentScores`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Descriptors {
    /// Atoms other than hydrogen.
    pub heavy_atoms: u32,
    /// Molecular weight, g/mol.
    pub molecular_weight: f64,
    /// Octanol-water partition coefficient, log10 (Crippen).
    pub log_p: f64,
    /// Topological polar surface area, Å².
    pub polar_surface_area: f64,
    /// Quantitative estimate of drug-likeness, 0..=1.
    pub drug_likeness: f64,
    /// Bertz's complexity index.
    pub bertz_complexity: f64,
    /// Hydrogen bond acceptors.
    pub acceptors: u32,
    /// Hydrogen bond donors.
    pub donors: u32,
    /// Rotatable bonds (strict definition).
    pub rotatable_bonds: u32,
    /// Rings (relevant cycles).
    pub rings: u32,
    /// Those with a bond that is not aromatic.
    pub aliphatic_rings: u32,
    /// Those without.
    pub aromatic_rings: u32,
    /// Atoms of the largest of them; 0 without rings.
    pub largest_ring: u32,
}

/// Computes descriptors of one molecule after another.
#[derive(Debug, Default)]
pub struct DescriptorCalculator {
    skeleton: MatchMemory,
    hydrogenated: MatchMemory,
}

impl DescriptorCalculator {
    /// A calculator. The first of a process compiles the patterns, some milliseconds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All descriptors. Cost: about 100 µs for a drug-like molecule.
    #[must_use]
    pub fn calculate(&mut self, molecule: &PerceivedMolecule) -> Descriptors {
        self.calculate_with(molecule, |_| ()).0
    }

    /// The same, and the answer to a question about the molecule with its hydrogens as atoms.
    pub(crate) fn calculate_with<R>(
        &mut self,
        molecule: &PerceivedMolecule,
        ask: impl FnOnce(&mut Matcher<'_>) -> R,
    ) -> (Descriptors, R) {
        let hydrogenated = molecule.with_hydrogens();
        let mut matcher = Matcher::new(&HYDROGENATED.set, &hydrogenated, &mut self.hydrogenated);
        let log_p = partition::log_p(&mut matcher);
        let answer = ask(&mut matcher);
        (self.with_log_p(molecule, log_p), answer)
    }

    /// Memory for other questions about molecules whose hydrogens are counts.
    pub(crate) fn skeleton_memory(&mut self) -> &mut MatchMemory {
        &mut self.skeleton
    }

    /// The other descriptors, where the molecule with its hydrogens has already been looked at.
    fn with_log_p(&mut self, molecule: &PerceivedMolecule, log_p: f64) -> Descriptors {
        let patterns = &*SKELETON;
        let mut matcher = Matcher::new(&patterns.set, molecule, &mut self.skeleton);
        let (aromatic_rings, aliphatic_rings) = rings::aromatic_and_aliphatic_rings(molecule);
        let mut descriptors = Descriptors {
            heavy_atoms: molecule.heavy_atoms() as u32,
            molecular_weight: molecular_weight(molecule),
            log_p,
            polar_surface_area: polar_surface_area(molecule),
            drug_likeness: 0.0,
            bertz_complexity: bertz_complexity(molecule),
            acceptors: matcher.count(patterns.acceptor) as u32,
            donors: matcher.count(patterns.donor) as u32,
            rotatable_bonds: matcher.count(patterns.rotatable_bond) as u32,
            rings: molecule.rings().len() as u32,
            aliphatic_rings,
            aromatic_rings,
            largest_ring: molecule.rings().iter().map(|ring| ring.atoms.len()).max().unwrap_or(0) as u32,
        };
        descriptors.drug_likeness = drug_likeness::drug_likeness(&mut matcher, &descriptors);
        descriptors
    }
}
