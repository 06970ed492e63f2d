//! GuacaMol's KL divergence benchmark (Brown, Fiscato, Segler & Vaucher, J. Chem. Inf. Model. 59, 1096, 2019), as its package
//! `guacamol` 0.5.5 computes it with RDKit 2026.09.
//!
//! The distributions of nine descriptors and of the similarity of each molecule to the nearest other of its own set (Morgan
//! fingerprints, radius 2, 4096 bits) are compared with a reference's: D = KL(reference || generated). The score is the mean
//! of exp(−D), 1 for equal distributions.
//!
//! Sets are of distinct molecules, stereo marks and isotopes dropped. The benchmark takes 10,000 generated ones and 10,000 of
//! the training set; divergences fall with the sizes, so compare only figures whose sizes are equal.
//!
//! * Continuous (BertzCT, MolLogP, MolWt, TPSA, internal similarity): Gaussian kernel densities with Scott's bandwidth, at
//!   1000 places over the range of both sets, 1e-10 added ([`density`]).
//! * Discrete (acceptors, donors, rotatable bonds, aliphatic and aromatic rings): histograms of 10 bins over the reference's
//!   range, 1e-10 added; what lies outside the range is left out.
//!
//! ```
//! use equidrift_molecule::metrics::guacamol::GuacamolSet;
//!
//! let set = |smiles: &[&str]| GuacamolSet::of_canonical(smiles, 10_000, 2);
//! let reference = set(&["CCO", "CCN", "c1ccccc1O", "CC(=O)NC1CC1"]);
//! let score = set(&["CCO", "CCN", "c1ccccc1O", "CC(=O)NC1CC1"]).divergence(&reference, 2).score;
//! assert!(score.is_some_and(|score| score > 0.9999));
//! assert!(set(&["CCC", "C", "CC=C", "CCCC"]).divergence(&reference, 2).score < score);
//! ```

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::profile::{MoleculeProfile, ProfileScope, for_each_profile};
use super::resampling::standard_error;
use crate::fingerprint::{Fingerprint, FingerprintSet};
use density::Densities;

pub mod density;

/// Distinct molecules of each set in the published benchmark.
pub const SET_SIZE: usize = 10_000;
/// The benchmark's names of the descriptors; the first four are continuous.
pub const DESCRIPTORS: [&str; 9] = [
    "BertzCT",
    "MolLogP",
    "MolWt",
    "TPSA",
    "NumHAcceptors",
    "NumHDonors",
    "NumRotatableBonds",
    "NumAliphaticRings",
    "NumAromaticRings",
];
/// The benchmark's name of the tenth distribution.
pub const INTERNAL_SIMILARITY: &str = "internal_similarity";
const CONTINUOUS: usize = 4;

/// What the benchmark needs of a set: the first distinct molecules, 600 bytes each.
#[derive(Debug, Clone)]
pub struct GuacamolSet {
    most: usize,
    seen: HashSet<Box<str>>,
    descriptors: [Vec<f64>; 9],
    fingerprints: Vec<Fingerprint<64>>,
}

/// Divergences and score. A divergence is `None` where one of the sets is too small or has no spread, or where no molecule is in
/// the reference's range; the score then is `None` too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KlDivergence {
    /// Name and KL divergence, nats.
    pub divergences: Vec<(String, Option<f64>)>,
    /// The benchmark's score, 0..=1.
    pub score: Option<f64>,
}

impl GuacamolSet {
    /// An empty set that takes the first `most` distinct molecules.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, seen: HashSet::new(), descriptors: Default::default(), fingerprints: Vec::new() }
    }

    /// The set of these canonical SMILES; those that cannot be analysed are left out.
    #[must_use]
    pub fn of_canonical<S: AsRef<str> + Sync>(canonical: &[S], most: usize, threads: usize) -> Self {
        let mut set = Self::new(most);
        let scope = ProfileScope { guacamol: true, ..ProfileScope::default() };
        for_each_profile(canonical, scope, threads, |_, profile| {
            if let Ok(profile) = profile {
                set.add(&profile);
            }
        });
        set
    }

    /// Add a molecule whose profile was made with GuacaMol in its scope, unless it is there or the set is full; whether it was
    /// added.
    pub fn add(&mut self, profile: &MoleculeProfile) -> bool {
        let Some(features) = &profile.guacamol else { return false };
        if self.is_full() || !self.seen.insert(features.flat.as_str().into()) {
            return false;
        }
        let known = &profile.descriptors;
        let values = [
            known.bertz_complexity,
            known.log_p,
            known.molecular_weight,
            known.polar_surface_area,
            f64::from(known.acceptors),
            f64::from(known.donors),
            f64::from(known.rotatable_bonds),
            f64::from(known.aliphatic_rings),
            f64::from(known.aromatic_rings),
        ];
        self.descriptors.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        self.fingerprints.push(features.fingerprint);
        true
    }

    /// Whether it takes no more molecules.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len() >= self.most
    }

    /// Distinct molecules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fingerprints.len()
    }

    /// No molecule at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fingerprints.is_empty()
    }

    /// The similarity of each molecule to the nearest other one.
    fn internal_similarities(&self, threads: usize) -> Vec<f64> {
        FingerprintSet::new(&self.fingerprints).nearest_others(&self.fingerprints, threads)
    }

    /// The divergence of this set from a reference. Cost: every pair of each set, 4096 bits (10,000 molecules: about 1 s).
    #[must_use]
    pub fn divergence(&self, reference: &Self, threads: usize) -> KlDivergence {
        self.divergence_with_errors(reference, &[], threads).0
    }

    /// The same and the standard errors, by these halves ([`halves`](super::resampling::halves)); each half keeps the bandwidths
    /// and the similarities of the whole set.
    #[must_use]
    pub fn divergence_with_errors(
        &self,
        reference: &Self,
        halves: &[Vec<u32>],
        threads: usize,
    ) -> (KlDivergence, KlDivergence) {
        let similarities = [reference, self].map(|set| set.internal_similarities(threads));
        let mut densities: Vec<(&str, Option<Densities>)> = DESCRIPTORS
            .iter()
            .enumerate()
            .map(|(index, name)| {
                let (reference, own) = (&reference.descriptors[index], &self.descriptors[index]);
                let densities = if index < CONTINUOUS {
                    Densities::continuous(reference, own, threads)
                } else {
                    Densities::discrete(reference, own)
                };
                (*name, densities)
            })
            .collect();
        densities
            .push((INTERNAL_SIMILARITY, Densities::continuous(&similarities[0], &similarities[1], threads)));
        let score = |divergence: &dyn Fn(&Densities) -> Option<f64>| {
            let parts: Option<Vec<f64>> = densities
                .iter()
                .map(|(_, densities)| {
                    densities.as_ref().and_then(divergence).map(|divergence| (-divergence).exp())
                })
                .collect();
            parts.map(|parts| parts.iter().sum::<f64>() / parts.len() as f64)
        };
        let named = |figure: &dyn Fn(&Densities) -> Option<f64>| {
            let figure = |(name, densities): &(&str, Option<Densities>)| {
                ((*name).to_owned(), densities.as_ref().and_then(figure))
            };
            densities.iter().map(figure).collect()
        };
        let value =
            KlDivergence { divergences: named(&Densities::divergence), score: score(&Densities::divergence) };
        let errors = KlDivergence {
            divergences: named(&|densities| {
                standard_error(halves, threads, |times| densities.divergence_of(times))
            }),
            score: standard_error(halves, threads, |times| {
                score(&|densities| densities.divergence_of(times))
            }),
        };
        (value, errors)
    }
}
