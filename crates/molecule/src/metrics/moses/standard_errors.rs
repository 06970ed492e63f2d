//! Standard errors of the MOSES suite: what another run of the generator would show; see [`crate::metrics::resampling`].
//!
//! Means (SNN) and shares (Filters) have closed forms. The counts behind Frag and Scaf and the distributions behind the
//! Wasserstein distances are resampled by halves. The internal diversities are means over pairs; the error is that of their
//! linear part: a molecule's influence on IntDiv is twice its mean similarity, that on IntDiv2 its own root mean square
//! and what it adds to those of the others, the latter estimated over a thousand of them.

use equidrift_graph::threads::map_in_threads;

use super::{Counts, MosesDistances, MosesDiversity, MosesSet};
use crate::fingerprint::FingerprintSet;
use crate::metrics::resampling::{GROUPS, mean_error, share_error, standard_error};
use crate::metrics::wasserstein::SortedSample;

/// Molecules over which the influence on others is estimated.
const OBSERVERS: usize = 1_000;

impl MosesSet {
    /// [`MosesSet::diversity`] and the standard errors of its figures.
    #[must_use]
    pub fn diversity_with_errors(&self, threads: usize) -> (MosesDiversity, MosesDiversity) {
        let set = FingerprintSet::new(&self.fingerprints);
        let means = set.means(&self.fingerprints, threads);
        let once: Vec<f64> = means.iter().map(|(once, _)| -2.0 * once).collect();
        let squared = self.influences_on_squares(&means, threads);
        let passing = self.passes_filters.iter().filter(|passes| **passes).count() as u64;
        let errors = MosesDiversity {
            int_div: mean_error(&once),
            int_div2: mean_error(&squared),
            filters: share_error(passing, self.len() as u64 + self.refused),
        };
        (self.diversity_of(&means), errors)
    }

    fn influences_on_squares(&self, means: &[(f64, f64)], threads: usize) -> Vec<f64> {
        let step = self.len().div_ceil(OBSERVERS).max(1);
        let roots: Vec<f64> = means.iter().map(|(_, squared)| squared.sqrt()).collect();
        let observers: Vec<usize> = (0..self.len()).step_by(step).collect();
        let indices: Vec<usize> = (0..self.len()).collect();
        map_in_threads(&indices, 256, threads, |chunk| {
            let influence = |index: &usize| {
                let added = observers.iter().map(|observer| {
                    let similarity = self.fingerprints[*observer].tanimoto(&self.fingerprints[*index]);
                    similarity * similarity / (2.0 * roots[*observer])
                });
                -(roots[*index] + added.sum::<f64>() / observers.len() as f64)
            };
            chunk.iter().map(influence).collect::<Vec<f64>>()
        })
        .concat()
    }

    /// [`MosesSet::distances`] and the standard errors of its figures, by these halves
    /// ([`halves`](crate::metrics::resampling::halves)). Cost: beside that of the distances, a pass over the set for each half.
    #[must_use]
    pub fn distances_with_errors(
        &self,
        reference: &Self,
        halves: &[Vec<u32>],
        threads: usize,
    ) -> (MosesDistances, MosesDistances) {
        let nearest = self.nearest(reference, threads);
        let of_molecules =
            |times: &[u32]| -> Vec<u32> { (0..self.len()).map(|place| times[place % GROUPS]).collect() };
        let counts = |own: &Counts, other: &Counts| {
            let (matched, norm) = (own.matched(other), other.norm());
            standard_error(halves, threads, |times| {
                own.reweighted_cosine(&of_molecules(times), &matched, norm)
            })
        };
        let distance = |index: usize| {
            let (own, other) = (&self.descriptors[index], &reference.descriptors[index]);
            let (own, other) = (SortedSample::new(own), SortedSample::new(other));
            if own.is_empty() {
                return None;
            }
            standard_error(halves, threads, |times| own.reweighted_distance(&of_molecules(times), &other))
        };
        let errors = MosesDistances {
            snn: mean_error(&nearest),
            frag: counts(&self.fragments, &reference.fragments),
            scaf: counts(&self.scaffolds, &reference.scaffolds),
            log_p: distance(0),
            sa: distance(1),
            qed: distance(2),
            weight: distance(3),
        };
        (self.distances_of(&nearest, reference), errors)
    }
}
