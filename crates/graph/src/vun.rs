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

use crate::adjacency::Adjacency;
use crate::graph::AttributedGraph;
use crate::isomorphism::{Isomorphism, fingerprint, isomorphism};
use crate::mmd::{Bootstrap, Replicated};
use crate::threads::map_in_threads;
use crate::validity::Family;

/// What is known of each graph of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it belongs to the family; `None` if no family was asked for.
    pub valid: Option<Vec<bool>>,
    /// Whether it is the first of its isomorphism class.
    pub unique: Vec<bool>,
    /// Whether the training set lacks it; `None` if there is no training set.
    pub novel: Option<Vec<bool>>,
    /// Pairs whose comparison was given up.
    pub undecided: u64,
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
        let unique = prepared.iter().map(|(print, graph)| classes.insert(*print, graph)).collect();
        let mut undecided = classes.undecided;
        let novel = training.map(|training| {
            let training = prepare(training);
            let mut known = Classes::default();
            for (print, graph) in &training {
                known.insert(*print, graph);
            }
            // Only comparisons with the generated graphs matter here.
            known.undecided = 0;
            let novel = prepared.iter().map(|(print, graph)| !known.contains(*print, graph)).collect();
            undecided += known.undecided;
            novel
        });
        Self { valid, unique, novel, undecided }
    }

    /// Whether each graph is valid, unique and novel; what is not known counts as true.
    #[must_use]
    pub fn all(&self) -> Vec<bool> {
        let holds =
            |which: &Option<Vec<bool>>, index: usize| which.as_ref().is_none_or(|values| values[index]);
        let unique = self.unique.iter().enumerate();
        unique
            .map(|(index, unique)| *unique && holds(&self.valid, index) && holds(&self.novel, index))
            .collect()
    }
}

/// The share of `samples` samples for which something holds, and its value when the samples are drawn again (with what is
/// said of each held fixed). Samples beyond the length of `holds` are such that could not be read; it does not hold for
/// them. `None` if there are no samples.
#[must_use]
pub fn share(holds: &[bool], samples: usize, bootstrap: Bootstrap, stream: u64) -> Option<Replicated> {
    if samples == 0 {
        return None;
    }
    let times = bootstrap.multiplicities(samples, stream);
    let drawn = |replicate: usize| {
        let held = (0..holds.len()).filter(|index| holds[*index]);
        held.map(|index| times[index * bootstrap.replicates + replicate]).sum::<f64>() / samples as f64
    };
    let value = holds.iter().filter(|holds| **holds).count() as f64 / samples as f64;
    Some(Replicated { value, replicates: (0..bootstrap.replicates).map(drawn).collect() })
}

/// One graph of every isomorphism class, by fingerprint.
#[derive(Default)]
struct Classes<'a> {
    by_fingerprint: HashMap<u64, Vec<&'a Adjacency>>,
    undecided: u64,
}

impl<'a> Classes<'a> {
    fn contains(&mut self, print: u64, graph: &Adjacency) -> bool {
        let Some(candidates) = self.by_fingerprint.get(&print) else { return false };
        candidates.iter().any(|candidate| match isomorphism(candidate, graph) {
            Isomorphism::Isomorphic => true,
            Isomorphism::Different => false,
            Isomorphism::Undecided => {
                self.undecided += 1;
                false
            }
        })
    }

    /// Whether the graph is of a new class.
    fn insert(&mut self, print: u64, graph: &'a Adjacency) -> bool {
        let new = !self.contains(print, graph);
        if new {
            self.by_fingerprint.entry(print).or_default().push(graph);
        }
        new
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
    fn first_of_each_class_and_not_in_training() {
        let path = [(0, 1), (1, 2)];
        let set = graphs(&[
            (3, &path),
            (3, &[(0, 2), (0, 1)]),
            (3, &[(0, 1), (1, 2), (0, 2)]),
            (3, &[(0, 1)]),
            (4, &[(0, 1), (1, 2), (2, 3)]),
        ]);
        let training = graphs(&[(4, &[(3, 0), (0, 1), (1, 2)])]);
        for threads in [1, 3] {
            let judged = Judgement::of(&set, Some(Family::Tree), Some(&training), threads);
            assert_eq!(judged.valid, Some(vec![true, true, false, false, true]));
            assert_eq!(judged.unique, [true, false, true, true, true]);
            assert_eq!(judged.novel, Some(vec![true, true, true, true, false]));
            assert_eq!((judged.all(), judged.undecided), (vec![true, false, false, false, false], 0));
        }
        let alone = Judgement::of(&set, None, None, 1);
        assert_eq!(alone.all(), alone.unique);
    }

    #[test]
    fn shares_count_unreadable_samples() {
        let bootstrap = Bootstrap { replicates: 4_000, seed: 1 };
        let found = share(&[true, true, false], 4, bootstrap, 0).unwrap();
        assert_eq!(found.value, 0.5);
        // The standard error of a share: sqrt(p (1 - p) / n).
        assert!((found.estimate().standard_error.unwrap() - 0.25).abs() < 0.01);
        assert!(share(&[], 0, bootstrap, 0).is_none());
        assert_eq!(share(&[], 2, Bootstrap::NONE, 0).unwrap().value, 0.0);
    }
}
