//! The MOSES suite (Polykovskiy, Zhebrak, Sanchez-Lengeling et al., Front. Pharmacol. 11, 565644, 2020), as its package
//! `molsets` 0.3.1 computes it with RDKit 2026.09.
//!
//! All valid molecules of a set count, repetitions too.
//!
//! * **SNN**: mean over generated molecules of the Tanimoto similarity to the nearest reference molecule (Morgan fingerprints,
//!   radius 2, 1024 bits).
//! * **Frag**, **Scaf**: cosine similarity of the counts of BRICS fragments, and of Bemis–Murcko scaffolds of two rings or more.
//! * **IntDiv**: 1 − mean Tanimoto similarity over all pairs, a molecule with itself included. **IntDiv2**: 1 − mean over
//!   molecules of the root mean square of its similarities.
//! * **Filters**: share of molecules that pass [`filters`].
//! * **logP**, **SA**, **QED**, **weight**: 1-Wasserstein distances of the descriptors.
//! * **unique@k**: distinct molecules among the first k valid ones / k ([`UniqueAt`]).
//!
//! FCD and novelty are elsewhere in [`crate::metrics`]. Molecules that cannot be analysed (too many rings) pass no filter
//! and count nowhere else.
//!
//! ```
//! use equidrift_molecule::metrics::moses::MosesSet;
//!
//! let set = |smiles: &[&str]| MosesSet::of_canonical(smiles, None, 2);
//! let (generated, reference) = (set(&["CCOC", "c1ccccc1"]), set(&["CCOC", "Cc1ccccc1"]));
//! let distances = generated.distances(&reference, 2);
//! assert!(distances.frag.is_some_and(|frag| (frag - 2.0 / 3.0).abs() < 1e-12));
//! assert!(distances.snn.is_some_and(|snn| 0.5 < snn && snn < 1.0));
//! ```

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::profile::{MoleculeProfile, ProfileScope, for_each_profile};
use super::resampling::distinct_share_error;
use super::wasserstein::SortedSample;
use crate::descriptors::FragmentScores;
use crate::fingerprint::{Fingerprint, FingerprintSet};

pub mod counts;
pub mod filters;
mod standard_errors;

use counts::Counts;

/// Names of the descriptors whose distributions are compared, as MOSES prints them.
pub const DESCRIPTORS: [&str; 4] = ["logP", "SA", "QED", "weight"];

/// What the suite needs of a set of molecules: about 200 bytes a molecule, and each distinct fragment and scaffold once.
#[derive(Debug, Clone, Default)]
pub struct MosesSet {
    fingerprints: Vec<Fingerprint<16>>,
    passes_filters: Vec<bool>,
    fragments: Counts,
    scaffolds: Counts,
    /// In the order of [`DESCRIPTORS`]; SA is empty without its table.
    descriptors: [Vec<f64>; 4],
    refused: u64,
}

/// Figures of one set. `None` where there is no molecule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MosesDiversity {
    /// Internal diversity.
    #[serde(rename = "IntDiv")]
    pub int_div: Option<f64>,
    /// Internal diversity with squared similarities.
    #[serde(rename = "IntDiv2")]
    pub int_div2: Option<f64>,
    /// Share of molecules that pass the filters.
    #[serde(rename = "Filters")]
    pub filters: Option<f64>,
}

/// Figures of a generated set against a reference set. `None` where one of them has nothing to compare.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MosesDistances {
    /// Similarity to the nearest reference molecule.
    #[serde(rename = "SNN")]
    pub snn: Option<f64>,
    /// Similarity of fragments.
    #[serde(rename = "Frag")]
    pub frag: Option<f64>,
    /// Similarity of scaffolds.
    #[serde(rename = "Scaf")]
    pub scaf: Option<f64>,
    /// Distance of log P.
    #[serde(rename = "logP")]
    pub log_p: Option<f64>,
    /// Distance of synthetic accessibility scores.
    #[serde(rename = "SA")]
    pub sa: Option<f64>,
    /// Distance of drug-likeness.
    #[serde(rename = "QED")]
    pub qed: Option<f64>,
    /// Distance of molecular weights, g/mol.
    pub weight: Option<f64>,
}

impl MosesSet {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The set of these canonical SMILES, with the table for SA if there is one.
    #[must_use]
    pub fn of_canonical<S: AsRef<str> + Sync>(
        canonical: &[S],
        fragment_scores: Option<&FragmentScores>,
        threads: usize,
    ) -> Self {
        let mut set = Self::new();
        let scope = ProfileScope { moses: true, guacamol: false, fragment_scores };
        for_each_profile(canonical, scope, threads, |_, profile| match profile {
            Ok(profile) => set.add(&profile),
            Err(_) => set.add_refused(),
        });
        set
    }

    /// Add a molecule whose profile was made with MOSES in its scope; another one is counted as refused.
    pub fn add(&mut self, profile: &MoleculeProfile) {
        let Some(features) = &profile.moses else {
            self.add_refused();
            return;
        };
        self.fingerprints.push(features.fingerprint);
        self.passes_filters.push(features.passes_filters);
        self.fragments.add(&features.fragments);
        self.scaffolds.add(features.scaffold.as_slice());
        let known = &profile.descriptors;
        let values = [
            Some(known.log_p),
            profile.synthetic_accessibility,
            Some(known.drug_likeness),
            Some(known.molecular_weight),
        ];
        for (column, value) in self.descriptors.iter_mut().zip(values) {
            column.extend(value);
        }
    }

    /// Count a valid molecule that cannot be analysed.
    pub fn add_refused(&mut self) {
        self.refused += 1;
    }

    /// Molecules that were analysed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fingerprints.len()
    }

    /// No molecule that was analysed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fingerprints.is_empty()
    }

    /// Molecules that were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Counts of fragments.
    #[must_use]
    pub fn fragments(&self) -> &Counts {
        &self.fragments
    }

    /// Counts of scaffolds.
    #[must_use]
    pub fn scaffolds(&self) -> &Counts {
        &self.scaffolds
    }

    /// The values of a descriptor, in the order of [`DESCRIPTORS`] and of the molecules.
    #[must_use]
    pub fn descriptor(&self, index: usize) -> &[f64] {
        self.descriptors.get(index).map_or(&[], Vec::as_slice)
    }

    /// Figures of this set alone. Cost: half a pair of fingerprints for each pair of molecules ([`FingerprintSet::means`]).
    #[must_use]
    pub fn diversity(&self, threads: usize) -> MosesDiversity {
        let means = FingerprintSet::new(&self.fingerprints).means(&self.fingerprints, threads);
        self.diversity_of(&means)
    }

    fn diversity_of(&self, means: &[(f64, f64)]) -> MosesDiversity {
        let passing = self.passes_filters.iter().filter(|passes| **passes).count();
        let all = self.len() as u64 + self.refused;
        MosesDiversity {
            int_div: mean(means.iter().map(|(once, _)| *once)).map(|similarity| 1.0 - similarity),
            int_div2: mean(means.iter().map(|(_, squared)| squared.sqrt()))
                .map(|similarity| 1.0 - similarity),
            filters: (all > 0).then(|| passing as f64 / all as f64),
        }
    }

    /// The similarity of each molecule to the nearest one of a reference. Cost: every pair of the two sets
    /// ([`FingerprintSet::nearest`]).
    #[must_use]
    pub fn nearest(&self, reference: &Self, threads: usize) -> Vec<f64> {
        if reference.is_empty() {
            return Vec::new();
        }
        FingerprintSet::new(&reference.fingerprints).nearest(&self.fingerprints, threads)
    }

    /// Figures against a reference. Cost: that of [`MosesSet::nearest`].
    #[must_use]
    pub fn distances(&self, reference: &Self, threads: usize) -> MosesDistances {
        self.distances_of(&self.nearest(reference, threads), reference)
    }

    fn distances_of(&self, nearest: &[f64], reference: &Self) -> MosesDistances {
        let distance = |index: usize| {
            let own = SortedSample::new(&self.descriptors[index]);
            own.distance(&SortedSample::new(&reference.descriptors[index]))
        };
        MosesDistances {
            snn: mean(nearest.iter().copied()),
            frag: self.fragments.cosine(&reference.fragments),
            scaf: self.scaffolds.cosine(&reference.scaffolds),
            log_p: distance(0),
            sa: distance(1),
            qed: distance(2),
            weight: distance(3),
        }
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let count = values.len();
    (count > 0).then(|| values.sum::<f64>() / count as f64)
}

/// Distinct molecules among the first `k` valid ones.
#[derive(Debug, Clone)]
pub struct UniqueAt {
    limits: Vec<u64>,
    seen: u64,
    /// Distinct molecules, and whether each came more than once.
    distinct: HashMap<Box<str>, bool>,
    /// How many of them came more than once.
    repeated: u64,
    /// Distinct and repeated molecules when each limit was reached.
    reached: Vec<(u64, u64)>,
}

impl Default for UniqueAt {
    /// MOSES's limits, 1,000 and 10,000.
    fn default() -> Self {
        Self::new(&[1_000, 10_000])
    }
}

impl UniqueAt {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(limits: &[u64]) -> Self {
        let mut limits = limits.to_vec();
        limits.sort_unstable();
        Self { limits, seen: 0, distinct: HashMap::new(), repeated: 0, reached: Vec::new() }
    }

    /// Count a valid molecule by its canonical SMILES. Memory: each distinct string up to the last limit.
    pub fn add(&mut self, canonical: &str) {
        if self.reached.len() == self.limits.len() {
            return;
        }
        self.seen += 1;
        match self.distinct.get_mut(canonical) {
            Some(repeated) => self.repeated += u64::from(!std::mem::replace(repeated, true)),
            None => {
                self.distinct.insert(canonical.into(), false);
            }
        }
        while self.limits.get(self.reached.len()) == Some(&self.seen) {
            self.reached.push((self.distinct.len() as u64, self.repeated));
        }
    }

    /// For each limit k the share, of all molecules if there are fewer than k; `None` without any.
    #[must_use]
    pub fn shares(&self) -> Vec<(u64, Option<f64>)> {
        let share = |(limit, (distinct, _), molecules): (u64, (u64, u64), u64)| {
            (limit, (molecules > 0).then(|| distinct as f64 / molecules as f64))
        };
        self.counted().map(share).collect()
    }

    /// Their standard errors.
    #[must_use]
    pub fn errors(&self) -> Vec<Option<f64>> {
        self.counted()
            .map(|(_, (distinct, repeated), molecules)| distinct_share_error(distinct - repeated, molecules))
            .collect()
    }

    /// Each limit, the distinct and the repeated molecules up to it, and how many there were in all.
    fn counted(&self) -> impl Iterator<Item = (u64, (u64, u64), u64)> {
        let now = (self.distinct.len() as u64, self.repeated);
        self.limits.iter().enumerate().map(move |(index, limit)| match self.reached.get(index) {
            Some(reached) => (*limit, *reached, *limit),
            None => (*limit, now, self.seen),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniqueness_is_that_of_the_first_k() {
        let mut unique = UniqueAt::new(&[5, 2]);
        assert_eq!(unique.shares(), [(2, None), (5, None)]);
        for smiles in ["C", "C", "N"] {
            unique.add(smiles);
        }
        assert_eq!(unique.shares(), [(2, Some(0.5)), (5, Some(2.0 / 3.0))]);
        for smiles in ["O", "O", "F", "Cl"] {
            unique.add(smiles);
        }
        assert_eq!(unique.shares(), [(2, Some(0.5)), (5, Some(0.6))]);
        // C, C, N, O, O: one that is alone.
        assert_eq!(unique.errors()[1], distinct_share_error(1, 5));
    }

    #[test]
    fn empty_sets_have_no_figures() {
        let mut set = MosesSet::new();
        set.add_refused();
        assert_eq!(set.diversity(1), MosesDiversity { int_div: None, int_div2: None, filters: Some(0.0) });
        let distances = set.distances(&MosesSet::new(), 1);
        assert!(distances.snn.is_none() && distances.frag.is_none() && distances.weight.is_none());
    }
}
