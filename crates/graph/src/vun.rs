//! Validity, uniqueness and novelty of a set of graphs (V.U.N.), as SPECTRE counts them (Martinkus et al. 2022).
//!
//! * valid: the graph belongs to the [`Family`];
//! * unique: no earlier graph of the set is isomorphic to it (so the share of unique graphs is the number of isomorphism
//!   classes over the number of graphs);
//! * novel: no training graph is isomorphic to it;
//! * V.U.N.: all three.
//!
//! Graphs are compared by fingerprints first and exactly where these agree ([`crate::isomorphism()`]). A pair whose comparison
//! is given up counts as different, and is counted.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::adjacency::Adjacency;
use crate::graph::AttributedGraph;
use crate::isomorphism::{Isomorphism, fingerprint, isomorphism};
use crate::mmd::Estimate;
use crate::threads::map_in_threads;
use crate::validity::Family;

/// What is known of each graph of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it belongs to the family; `None` if no family was asked for.
    pub valid: Option<Vec<bool>>,
    /// Its isomorphism class; classes are numbered from 0 in the order in which they appear.
    pub class: Vec<usize>,
    /// Whether the training set lacks it; `None` if there is no training set.
    pub novel: Option<Vec<bool>>,
    /// Pairs whose comparison was given up.
    pub undecided: u64,
}

/// Shares of the samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// Valid.
    pub valid: Option<Estimate>,
    /// Isomorphism classes.
    pub unique: Estimate,
    /// Novel.
    pub novel: Option<Estimate>,
    /// Isomorphism classes that are valid and novel; what is not known is left out of account.
    pub vun: Estimate,
}

impl Judgement {
    /// Judges a set. The result does not depend on the number of threads.
    ///
    /// Cost: a fingerprint per graph, and comparisons within equal fingerprints.
    #[must_use]
    pub fn of<V: Sync, E: Sync>(
        graphs: &[AttributedGraph<V, E>],
        family: Option<Family>,
        training: Option<&[AttributedGraph<V, E>]>,
        threads: usize,
    ) -> Self {
        let prepare = |graphs: &[AttributedGraph<V, E>]| {
            map_in_threads(graphs, 1, threads, |graph| {
                let adjacency = Adjacency::new(&graph[0]);
                (fingerprint(&adjacency), adjacency)
            })
        };
        let prepared = prepare(graphs);
        let valid =
            family.map(|family| map_in_threads(&prepared, 1, threads, |graph| family.contains(&graph[0].1)));
        let mut classes = Classes::default();
        let class = prepared.iter().map(|(print, graph)| classes.insert(*print, graph)).collect();
        let mut undecided = classes.undecided;
        let novel = training.map(|training| {
            let training = prepare(training);
            let mut known = Classes::default();
            for (print, graph) in &training {
                known.insert(*print, graph);
            }
            // Only comparisons with the generated graphs matter here.
            known.undecided = 0;
            let novel = prepared.iter().map(|(print, graph)| known.find(*print, graph).is_none()).collect();
            undecided += known.undecided;
            novel
        });
        Self { valid, class, novel, undecided }
    }

    /// Shares of `samples` samples, of which the graphs are those that could be read: of the others nothing holds. Standard
    /// errors are by the jackknife (for valid and novel: binomial): with `s` samples without which the count would be
    /// less by one, `s (n - s) / (n^2 (n - 1))` is the variance. `None` if there are no samples.
    #[must_use]
    pub fn shares(&self, samples: usize) -> Option<Shares> {
        if samples == 0 {
            return None;
        }
        let n = samples as f64;
        let estimate = |count: usize, alone: usize| {
            let s = alone as f64;
            let standard_error = (samples > 1).then(|| (s * (n - s) / (n * n * (n - 1.0))).sqrt());
            Estimate { value: count as f64 / n, standard_error }
        };
        let of_flags = |flags: &Option<Vec<bool>>| {
            let count = flags.as_ref()?.iter().filter(|holds| **holds).count();
            Some(estimate(count, count))
        };
        // Members of a class are all valid or not, novel or not: its first stands for it.
        let mut members = vec![0; self.class.iter().max().map_or(0, |last| last + 1)];
        self.class.iter().for_each(|class| members[*class] += 1);
        let holds = |flags: &Option<Vec<bool>>, index: usize| flags.as_ref().is_none_or(|flags| flags[index]);
        let mut good = vec![true; members.len()];
        for (index, class) in self.class.iter().enumerate() {
            good[*class] &= holds(&self.valid, index) && holds(&self.novel, index);
        }
        let of_classes = |good: &[bool]| {
            let of = |least: &dyn Fn(usize) -> bool| {
                good.iter().zip(&members).filter(|(good, members)| **good && least(**members)).count()
            };
            estimate(of(&|_| true), of(&|members| members == 1))
        };
        Some(Shares {
            valid: of_flags(&self.valid),
            unique: of_classes(&vec![true; members.len()]),
            novel: of_flags(&self.novel),
            vun: of_classes(&good),
        })
    }
}

/// One graph of every isomorphism class, by fingerprint.
#[derive(Default)]
struct Classes<'a> {
    by_fingerprint: HashMap<u64, Vec<(usize, &'a Adjacency)>>,
    count: usize,
    undecided: u64,
}

impl<'a> Classes<'a> {
    /// The class of a graph, if one was there before.
    fn find(&mut self, print: u64, graph: &Adjacency) -> Option<usize> {
        let candidates = self.by_fingerprint.get(&print)?;
        let mut is_same = |candidate: &Adjacency| match isomorphism(candidate, graph) {
            Isomorphism::Isomorphic => true,
            Isomorphism::Different => false,
            Isomorphism::Undecided => {
                self.undecided += 1;
                false
            }
        };
        candidates.iter().find(|(_, candidate)| is_same(candidate)).map(|(class, _)| *class)
    }

    /// The class of a graph, which may be a new one.
    fn insert(&mut self, print: u64, graph: &'a Adjacency) -> usize {
        if let Some(class) = self.find(print, graph) {
            return class;
        }
        let class = self.count;
        self.count += 1;
        self.by_fingerprint.entry(print).or_default().push((class, graph));
        class
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, graph_from_edges};

    fn graphs(all: &[(usize, &[(usize, usize)])]) -> Vec<Graph> {
        all.iter().map(|(nodes, edges)| graph_from_edges(*nodes, edges.iter().copied()).unwrap()).collect()
    }

    #[test]
    fn classes_are_found_and_compared_with_training() {
        let set = graphs(&[
            (3, &[(0, 1), (1, 2)]),
            (3, &[(0, 2), (0, 1)]),
            (3, &[(0, 1), (1, 2), (0, 2)]),
            (3, &[(0, 1)]),
            (4, &[(0, 1), (1, 2), (2, 3)]),
        ]);
        let training = graphs(&[(4, &[(3, 0), (0, 1), (1, 2)])]);
        for threads in [1, 3] {
            let judged = Judgement::of(&set, Some(Family::Tree), Some(&training), threads);
            assert_eq!(judged.valid, Some(vec![true, true, false, false, true]));
            assert_eq!(judged.class, [0, 0, 1, 2, 3]);
            assert_eq!(judged.novel, Some(vec![true, true, true, true, false]));
            assert_eq!(judged.undecided, 0);
            let shares = judged.shares(8).unwrap();
            let values =
                [shares.valid.unwrap(), shares.unique, shares.novel.unwrap(), shares.vun].map(|s| s.value);
            assert_eq!(values, [3.0 / 8.0, 4.0 / 8.0, 4.0 / 8.0, 1.0 / 8.0]);
        }
        let alone = Judgement::of(&set, None, None, 1).shares(5).unwrap();
        assert_eq!((alone.valid, alone.novel, alone.vun), (None, None, alone.unique));
    }

    #[test]
    fn standard_errors_are_those_of_the_jackknife() {
        let judgement = Judgement {
            valid: Some(vec![true, true, true, false, true, true]),
            class: vec![0, 1, 0, 2, 3, 1],
            novel: None,
            undecided: 0,
        };
        let samples = 7;
        let shares = judgement.shares(samples).unwrap();
        // Left out one by one; the seventh sample could not be read.
        let figure = |left_out: usize, only_valid: bool| {
            let kept = (0..6).filter(|index| *index != left_out);
            let valid = |index: &usize| !only_valid || judgement.valid.as_ref().unwrap()[*index];
            let mut classes: Vec<usize> = kept.filter(valid).map(|index| judgement.class[index]).collect();
            classes.sort_unstable();
            classes.dedup();
            classes.len() as f64 / (samples - 1) as f64
        };
        for (only_valid, found) in [(false, shares.unique), (true, shares.vun)] {
            let values: Vec<f64> = (0..samples).map(|left_out| figure(left_out, only_valid)).collect();
            let mean = values.iter().sum::<f64>() / samples as f64;
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() * 6.0 / 7.0;
            assert!((found.standard_error.unwrap() - variance.sqrt()).abs() < 1e-12, "{found:?}");
        }
        let valid = shares.valid.unwrap();
        let binomial: f64 = 5.0 / 7.0 * (2.0 / 7.0) / 6.0;
        assert!((valid.standard_error.unwrap() - binomial.sqrt()).abs() < 1e-12);
        assert!(judgement.shares(0).is_none());
    }
}
