//! Synthetic accessibility score (Ertl & Schuffenhauer, J. Cheminform. 1, 8, 2009), with the changes of its authors'
//! implementation in RDKit (`Contrib/SA_Score`), which MOSES ships too.
//!
//! 1 is easy to make, 10 is hard. The score is the mean contribution of a molecule's fragments, which are common in known
//! molecules or not, less penalties for size, stereocentres, spiro and bridgehead atoms and macrocycles. The contributions
//! are a table of 705,292 fragments that the user brings.

use std::path::Path;

use super::rings::{bridgehead_atoms, spiro_atoms};
use super::stereocentres::stereocentres;
use crate::chemistry::{ProblemKind, unreadable};
use crate::error::MoleculeError;
use crate::fingerprint::morgan_environments;
use crate::metrics::npz::NumpyArchive;
use crate::perceived::PerceivedMolecule;

/// The contribution of a fragment that is not in the table.
const UNKNOWN_FRAGMENT: f64 = -4.0;
/// The raw score is cut to this range.
const RANGE: (f64, f64) = (-4.0, 2.5);
/// Rings of more atoms are macrocycles.
const LARGEST_COMMON_RING: usize = 8;

/// The contributions of fragments, by the numbers of their Morgan environments (radius 2).
#[derive(Debug, Clone, PartialEq)]
pub struct FragmentScores {
    /// Ascending.
    numbers: Vec<u32>,
    scores: Vec<f32>,
    /// Where the numbers with each value of the upper half of their bits begin; the numbers are hashes, so that each value
    /// has about a dozen.
    starts: Vec<u32>,
}

impl FragmentScores {
    /// Read a `.npz` file with arrays `id` (uint32, ascending) and `score` (float32) of the same length. Memory: 8 bytes a
    /// fragment.
    ///
    /// # Errors
    /// [`MoleculeError::File`]; [`MoleculeError::Weights`] for a file that is not of this form.
    pub fn read(path: &Path) -> Result<Self, MoleculeError> {
        let archive = NumpyArchive::open(path)?;
        let (numbers, scores) = (archive.unsigned_numbers("id")?, archive.numbers("score")?);
        let refused =
            |reason: &str| MoleculeError::Weights { path: path.to_owned(), reason: reason.to_owned() };
        if numbers.is_empty() || numbers.len() != scores.len() {
            return Err(refused("arrays \"id\" and \"score\" are empty or of different lengths"));
        }
        if !numbers.is_sorted_by(|a, b| a < b) {
            return Err(refused("array \"id\" is not ascending"));
        }
        let start = |upper: u32| numbers.partition_point(|number| number >> 16 < upper) as u32;
        let starts = (0..=1 << 16).map(start).collect();
        Ok(Self { numbers, scores, starts })
    }

    /// Fragments in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// No fragment at all; never true of a table that was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The score of a molecule, 1..=10, from its canonical SMILES. Cost: 50 µs for a drug-like molecule with possible
    /// stereocentres, half without.
    ///
    /// # Errors
    /// [`MoleculeError::Smiles`] if the string cannot be read or names no atom.
    pub fn synthetic_accessibility(&self, canonical: &str) -> Result<f64, MoleculeError> {
        let (molecule, library) = PerceivedMolecule::read(canonical)?;
        if molecule.atoms().is_empty() {
            return Err(unreadable(canonical, ProblemKind::Other, "it has no atom"));
        }
        let stereocentres = stereocentres(&molecule, &library)?;
        Ok(self.score(&molecule, &morgan_environments(&molecule, 2), stereocentres))
    }

    /// The score from the numbers of the molecule's environments up to radius 2.
    pub(crate) fn score(
        &self,
        molecule: &PerceivedMolecule,
        environments: &[u32],
        stereocentres: usize,
    ) -> f64 {
        let contribution = |number: &u32| {
            let upper = (number >> 16) as usize;
            let range = self.starts[upper] as usize..self.starts[upper + 1] as usize;
            match self.numbers[range.clone()].binary_search(number) {
                Ok(place) => f64::from(self.scores[range.start + place]),
                Err(_) => UNKNOWN_FRAGMENT,
            }
        };
        let fragments = environments.iter().map(contribution).sum::<f64>() / environments.len() as f64;

        let atoms = molecule.atoms().len() as f64;
        let logarithm = |count: usize| (count as f64 + 1.0).log10();
        let macrocycle = molecule.rings().iter().any(|ring| ring.atoms.len() > LARGEST_COMMON_RING);
        let penalties = atoms.powf(1.005) - atoms
            + logarithm(stereocentres)
            + logarithm(spiro_atoms(molecule))
            + logarithm(bridgehead_atoms(molecule))
            + if macrocycle { 2_f64.log10() } else { 0.0 };

        // Symmetric molecules have few distinct fragments and are easier to make.
        let mut distinct = environments.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let distinct = distinct.len() as f64;
        let symmetry = if atoms > distinct { (atoms / distinct).ln() * 0.5 } else { 0.0 };

        let (lowest, highest) = RANGE;
        let raw = fragments - penalties + symmetry;
        let mut score = 11.0 - (raw - lowest + 1.0) / (highest - lowest) * 9.0;
        if score > 8.0 {
            score = 8.0 + (score + 1.0 - 9.0).ln();
        }
        score.clamp(1.0, 10.0)
    }
}
