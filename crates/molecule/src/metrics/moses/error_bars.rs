//! Error bars of the MOSES suite: what another run of the generator would show.
//!
//! Means and shares (SNN, Filters) are resampled molecule by molecule, as are the counts behind Frag and Scaf and the
//! distributions behind the Wasserstein distances. The internal diversities are means over pairs; their linear part is
//! resampled: a molecule's share in IntDiv is twice its mean similarity, that in IntDiv2 its own root mean square and what it
//! adds to those of the others, the latter estimated over a thousand of them.

use serde::{Deserialize, Serialize};

use super::{MosesDistances, MosesDiversity, MosesSet};
use crate::fingerprint::FingerprintSet;
use crate::metrics::bootstrap::{Bootstrap, ErrorBar};
use crate::metrics::wasserstein::SortedSample;

/// Molecules over which the influence on others is estimated.
const OBSERVERS: usize = 1_000;

/// Error bars of [`MosesDiversity`], in its names.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DiversityBars {
    /// Of the internal diversity.
    #[serde(rename = "IntDiv")]
    pub int_div: Option<ErrorBar>,
    /// Of that with squared similarities.
    #[serde(rename = "IntDiv2")]
    pub int_div2: Option<ErrorBar>,
    /// Of the share that passes the filters.
    #[serde(rename = "Filters")]
    pub filters: Option<ErrorBar>,
}

/// Error bars of [`MosesDistances`], in its names.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DistanceBars {
    /// Of the similarity to the nearest reference molecule.
    #[serde(rename = "SNN")]
    pub snn: Option<ErrorBar>,
    /// Of the similarity of fragments.
    #[serde(rename = "Frag")]
    pub frag: Option<ErrorBar>,
    /// Of the similarity of scaffolds.
    #[serde(rename = "Scaf")]
    pub scaf: Option<ErrorBar>,
    /// Of the distance of log P.
    #[serde(rename = "logP")]
    pub log_p: Option<ErrorBar>,
    /// Of that of synthetic accessibility scores.
    #[serde(rename = "SA")]
    pub sa: Option<ErrorBar>,
    /// Of that of drug-likeness.
    #[serde(rename = "QED")]
    pub qed: Option<ErrorBar>,
    /// Of that of molecular weights, g/mol.
    pub weight: Option<ErrorBar>,
}

impl MosesSet {
    /// [`MosesSet::diversity`] and its error bars.
    #[must_use]
    pub fn diversity_with_bars(
        &self,
        bootstrap: &Bootstrap,
        threads: usize,
    ) -> (MosesDiversity, DiversityBars) {
        let set = FingerprintSet::new(&self.fingerprints);
        let means = set.means(&self.fingerprints, threads);
        let figures = self.diversity_of(&means);
        // Influences: the mean over a draw moves as much as the figure does.
        let once: Vec<f64> = means.iter().map(|(once, _)| -2.0 * once).collect();
        let squared = self.influences_on_squares(&means, threads);
        let about = |value: Option<f64>, influences: &[f64]| {
            let bar = bootstrap.mean(influences)?;
            let shift = value? - influences.iter().sum::<f64>() / influences.len() as f64;
            Some(ErrorBar { lower: bar.lower + shift, upper: bar.upper + shift, ..bar })
        };
        let passing = self.passes_filters.iter().filter(|passes| **passes).count() as u64;
        let bars = DiversityBars {
            int_div: about(figures.int_div, &once),
            int_div2: about(figures.int_div2, &squared),
            filters: bootstrap.share(passing, self.len() as u64 + self.refused),
        };
        (figures, bars)
    }

    fn influences_on_squares(&self, means: &[(f64, f64)], threads: usize) -> Vec<f64> {
        let step = self.len().div_ceil(OBSERVERS).max(1);
        let roots: Vec<f64> = means.iter().map(|(_, squared)| squared.sqrt()).collect();
        let observers: Vec<usize> = (0..self.len()).step_by(step).collect();
        let indices: Vec<usize> = (0..self.len()).collect();
        crate::metrics::threads::map_in_threads(&indices, 256, threads, |chunk| {
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

    /// [`MosesSet::distances`] and its error bars.
    #[must_use]
    pub fn distances_with_bars(
        &self,
        reference: &Self,
        bootstrap: &Bootstrap,
        threads: usize,
    ) -> (MosesDistances, DistanceBars) {
        let nearest = self.nearest(reference, threads);
        let figures = self.distances_of(&nearest, reference);
        let counts = |value: Option<f64>, own: &super::Counts, other: &super::Counts| {
            let (matched, norm) = (own.matched(other), other.norm());
            bootstrap.figure(self.len(), value?, |weights| own.reweighted_cosine(weights, &matched, norm))
        };
        let distance = |value: Option<f64>, index: usize| {
            let own = SortedSample::new(&self.descriptors[index]);
            let other = SortedSample::new(&reference.descriptors[index]);
            bootstrap.figure(self.descriptors[index].len(), value?, |weights| {
                own.reweighted_distance(weights, &other)
            })
        };
        let bars = DistanceBars {
            snn: bootstrap.mean(&nearest),
            frag: counts(figures.frag, &self.fragments, &reference.fragments),
            scaf: counts(figures.scaf, &self.scaffolds, &reference.scaffolds),
            log_p: distance(figures.log_p, 0),
            sa: distance(figures.sa, 1),
            qed: distance(figures.qed, 2),
            weight: distance(figures.weight, 3),
        };
        (figures, bars)
    }
}
