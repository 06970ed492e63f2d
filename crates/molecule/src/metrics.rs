//! How good a set of generated molecules is: validity, uniqueness, novelty, connectedness; and how far it is from a
//! reference set ([`nspdk`], [`fcd`], [`moses`], [`guacamol`]).
//!
//! # Protocol
//!
//! A *sample* is one line of a generated file; `G` samples were asked for. Strings are compared as canonical SMILES of one
//! chemistry back end, stereo marks kept.
//!
//! * **validity** = valid / G. A sample is valid if the back end reads its SMILES and accepts the molecule, and it has at
//!   least one atom. Samples that never became a molecule (blank or missing) count in G, not among the valid.
//! * **validity before repair** = samples whose valences fitted as decoded / G. Only the generator knows it, or a file that
//!   records it (`.jsonl`).
//! * **connectedness** = valid samples that are one fragment / valid. For a generator's own samples the fragments are
//!   counted after repair and before one is kept; for a file, in the file's SMILES.
//! * **uniqueness** = distinct canonical SMILES / valid (MOSES "unique@all", GDSS).
//! * **novelty** = distinct canonical SMILES that are not among the canonical SMILES of the training file / distinct
//!   (MOSES and GDSS: novelty of the *set*, not of the samples).
//!
//! A ratio over nothing is `None`.

use serde::{Deserialize, Serialize};

use self::resampling::{distinct_share_error, share_error};
use crate::chemistry::Chemistry;
use crate::error::MoleculeError;

pub mod chemnet;
pub mod fcd;
pub mod guacamol;
pub mod moses;
pub(crate) mod npz;
pub mod nspdk;
pub mod profile;
pub mod resampling;
pub mod set_statistics;
pub mod smiles_set;
pub mod stability;
pub(crate) mod threads;
pub mod wasserstein;

pub use chemnet::ChemNet;
pub use equidrift_graph::threads::available_threads;
pub use fcd::ActivationStatistics;
pub use nspdk::NeighbourhoodMean;
pub use set_statistics::{SetDistances, SetStatistics, Wanted};
pub use smiles_set::{SmilesDigest, SmilesSet};
pub use threads::stream_in_threads;

impl From<SmilesSet> for TrainingSet {
    fn from(canonical: SmilesSet) -> Self {
        Self { canonical }
    }
}

/// Canonical SMILES of a reference set. Memory: see [`smiles_set`].
#[derive(Debug, Clone, Default)]
pub struct TrainingSet {
    canonical: SmilesSet,
}

impl TrainingSet {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Add a molecule.
    ///
    /// # Errors
    /// [`MoleculeError::Smiles`] if the back end cannot read it.
    pub fn insert(&mut self, smiles: &str, chemistry: &dyn Chemistry) -> Result<(), MoleculeError> {
        self.canonical.insert(&chemistry.canonicalise(smiles)?);
        Ok(())
    }

    /// Add a molecule by the digest of its canonical SMILES.
    pub fn insert_digest(&mut self, digest: SmilesDigest) {
        self.canonical.insert_digest(digest);
    }

    /// Whether a canonical SMILES is in the set.
    #[must_use]
    pub fn contains(&self, canonical: &str) -> bool {
        self.canonical.contains(canonical)
    }

    /// Whether the canonical SMILES with this digest is in the set.
    #[must_use]
    pub fn contains_digest(&self, digest: SmilesDigest) -> bool {
        self.canonical.contains_digest(digest)
    }

    /// Number of distinct molecules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.canonical.len()
    }

    /// No molecule at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.canonical.is_empty()
    }
}

/// Counts while samples stream by. Memory grows with the number of distinct molecules: see [`smiles_set`].
#[derive(Debug, Clone, Default)]
pub struct Tally {
    samples: u64,
    valid: u64,
    connected: u64,
    judged_before_repair: u64,
    valid_without_correction: u64,
    repaired: u64,
    distinct: SmilesSet,
    /// Molecules that came more than once.
    repeated: SmilesSet,
}

/// Standard errors of [`MoleculeMetrics`], for independent samples: see [`resampling`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct MetricErrors {
    /// Of the validity.
    pub validity: Option<f64>,
    /// Of the validity before repair.
    pub validity_without_correction: Option<f64>,
    /// Of the connectedness.
    pub connectedness: Option<f64>,
    /// Of the uniqueness.
    pub uniqueness: Option<f64>,
    /// Of the novelty.
    pub novelty: Option<f64>,
}

/// The numbers of the protocol; `None` where there is nothing to divide by or nothing to compare with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MoleculeMetrics {
    /// Samples, `G`.
    pub samples: u64,
    /// Valid samples.
    pub valid: u64,
    /// Distinct valid molecules.
    pub distinct: u64,
    /// Samples the repair changed.
    pub repaired: u64,
    /// Validity.
    pub validity: Option<f64>,
    /// Validity before repair, of the samples for which it is known.
    pub validity_without_correction: Option<f64>,
    /// Connectedness.
    pub connectedness: Option<f64>,
    /// Uniqueness.
    pub uniqueness: Option<f64>,
    /// Novelty against the training set, if there is one.
    pub novelty: Option<f64>,
}

impl Tally {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Count a line of a file; returns whether it is valid.
    pub fn add_smiles(&mut self, smiles: &str, chemistry: &dyn Chemistry) -> bool {
        match chemistry.canonicalise(smiles) {
            Ok(canonical) => {
                self.add_canonical(&canonical);
                true
            }
            Err(_) => {
                self.add_failure();
                false
            }
        }
    }

    /// Count a valid sample by its canonical SMILES.
    pub fn add_canonical(&mut self, canonical: &str) {
        self.add_digest(SmilesDigest::of(canonical), !canonical.contains('.'));
    }

    /// Count a valid sample by the digest of its canonical SMILES, and whether it is one fragment. Returns whether it is the
    /// first of its kind.
    pub fn add_digest(&mut self, digest: SmilesDigest, connected: bool) -> bool {
        self.samples += 1;
        self.valid += 1;
        self.connected += u64::from(connected);
        let first = self.distinct.insert_digest(digest);
        if !first {
            self.repeated.insert_digest(digest);
        }
        first
    }

    /// Count what a file records of a sample's history, beside [`Tally::add_smiles`].
    pub fn add_history(&mut self, valid_without_correction: bool, repaired: bool) {
        self.judged_before_repair += 1;
        self.valid_without_correction += u64::from(valid_without_correction);
        self.repaired += u64::from(repaired);
    }

    /// Count a sample that never became a molecule: a diverged one, a blank line.
    pub fn add_failure(&mut self) {
        self.samples += 1;
    }

    /// The distinct molecules.
    #[must_use]
    pub fn distinct(&self) -> &SmilesSet {
        &self.distinct
    }

    /// Give up the counts and keep the distinct molecules.
    #[must_use]
    pub fn into_distinct(self) -> SmilesSet {
        self.distinct
    }

    /// Standard errors of the numbers so far.
    #[must_use]
    pub fn errors(&self, metrics: &MoleculeMetrics) -> MetricErrors {
        let distinct = metrics.distinct;
        let novel = metrics.novelty.map(|novelty| (novelty * distinct as f64).round() as u64);
        MetricErrors {
            validity: share_error(self.valid, self.samples),
            validity_without_correction: share_error(
                self.valid_without_correction,
                self.judged_before_repair,
            ),
            connectedness: share_error(self.connected, self.valid),
            uniqueness: distinct_share_error(distinct - self.repeated.len() as u64, self.valid),
            novelty: novel.and_then(|novel| share_error(novel, distinct)),
        }
    }

    /// The numbers so far.
    #[must_use]
    pub fn metrics(&self, training: Option<&TrainingSet>) -> MoleculeMetrics {
        let distinct = self.distinct.len() as u64;
        let novel = |set: &TrainingSet| {
            self.distinct.digests().filter(|digest| !set.contains_digest(*digest)).count() as u64
        };
        MoleculeMetrics {
            samples: self.samples,
            valid: self.valid,
            distinct,
            repaired: self.repaired,
            validity: ratio(self.valid, self.samples),
            validity_without_correction: ratio(self.valid_without_correction, self.judged_before_repair),
            connectedness: ratio(self.connected, self.valid),
            uniqueness: ratio(distinct, self.valid),
            novelty: training.and_then(|set| ratio(novel(set), distinct)),
        }
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chemistry::chematic::Chematic;

    #[test]
    fn the_protocol_on_a_set_counted_by_hand() {
        let mut tally = Tally::new();
        // OCC and CCO are one molecule; C.N falls apart; c1cccc1 is invalid.
        for smiles in ["OCC", "CCO", "C.N", "C1=CC=CC=C1", "c1cccc1"] {
            tally.add_smiles(smiles, &Chematic);
        }
        tally.add_failure();
        let mut training = TrainingSet::new();
        training.insert("C(C)O", &Chematic).unwrap();
        let metrics = tally.metrics(Some(&training));
        assert_eq!((metrics.samples, metrics.valid, metrics.distinct), (6, 4, 3));
        assert_eq!(metrics.validity, Some(4.0 / 6.0));
        assert_eq!(metrics.uniqueness, Some(0.75));
        assert_eq!(metrics.connectedness, Some(0.75));
        assert_eq!(metrics.novelty, Some(2.0 / 3.0));
        assert_eq!(metrics.validity_without_correction, None);
    }

    #[test]
    fn nothing_generated_gives_no_ratio() {
        let metrics = Tally::new().metrics(Some(&TrainingSet::new()));
        assert_eq!((metrics.validity, metrics.uniqueness, metrics.novelty), (None, None, None));
    }
}
