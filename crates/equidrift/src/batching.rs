//! Batches of samples with nearly the same number of nodes.
//!
//! Sizes vary along the ids, so batches are gathered from a sliding window: the first sample not yet taken decides the
//! size, and further samples of that size are looked for in the window behind it. Since the first sample always goes
//! out with the next batch, results come back nearly in order and can be written as they come.
//!
//! A batch of graphs of one size needs no padding, so no work is spent on absent nodes. An engine that evaluates a
//! whole tile of graphs at a time, however many of its lanes are in use, has lanes left over at the end of such a
//! batch; smaller samples, padded, take them for nothing ([`Batches::with_lanes`]).
//!
//! A batch of large graphs holds few of them, so that memory stays bounded ([`Batches::with_most_pairs`]).
//!
//! Cost: O(window) per batch; memory O(window).

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::ops::Range;

/// Samples to be generated together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Sample ids, ascending.
    pub ids: Vec<u64>,
    /// Number of nodes of each of them.
    pub sizes: Vec<usize>,
    /// Number of nodes of the largest.
    pub nodes: usize,
}

/// Iterator over the batches of a range of ids.
#[derive(Debug)]
pub struct Batches<F> {
    ids: Range<u64>,
    nodes_of: F,
    batch: usize,
    lanes: usize,
    alone_from: usize,
    most_pairs: usize,
    window: usize,
    waiting: VecDeque<(u64, usize)>,
}

/// How many batches' worth of ids the window spans. A size with a share of 1/16 or more still fills its batches;
/// the samples of a run that is killed and must be drawn again are at most this many batches per thread.
const WINDOW_IN_BATCHES: usize = 16;

impl<F: FnMut(u64) -> usize> Batches<F> {
    /// Batches of at most `batch` samples of `ids`, whose node counts `nodes_of` tells; all of a batch have the same. A
    /// `batch` of zero is taken as one.
    pub fn new(ids: Range<u64>, batch: usize, nodes_of: F) -> Self {
        let batch = batch.max(1);
        Self {
            ids,
            nodes_of,
            batch,
            lanes: 1,
            alone_from: 0,
            most_pairs: usize::MAX,
            window: batch.saturating_mul(WINDOW_IN_BATCHES),
            waiting: VecDeque::new(),
        }
    }

    /// Fills each batch of graphs of fewer than `alone_from` nodes up to a multiple of `lanes` with the largest of the smaller
    /// samples. Only for an engine whose results do not depend on padding.
    #[must_use]
    pub fn with_lanes(mut self, (lanes, alone_from): (usize, usize)) -> Self {
        (self.lanes, self.alone_from) = (lanes.max(1), alone_from);
        self
    }

    /// Batches hold at most this many pairs of nodes (`N^2` per sample), but as many samples as there are lanes.
    #[must_use]
    pub fn with_most_pairs(mut self, pairs: usize) -> Self {
        self.most_pairs = pairs;
        self
    }

    /// Takes up to `most` of the waiting samples that `wanted` accepts, in order.
    fn take(&mut self, most: usize, wanted: impl Fn(u64, usize) -> bool, into: &mut Vec<(u64, usize)>) {
        let end = into.len() + most;
        self.waiting.retain(|&(id, size)| {
            let taken = into.len() < end && wanted(id, size);
            if taken {
                into.push((id, size));
            }
            !taken
        });
    }
}

impl<F: FnMut(u64) -> usize> Iterator for Batches<F> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        while self.waiting.len() < self.window {
            let Some(id) = self.ids.next() else { break };
            self.waiting.push_back((id, (self.nodes_of)(id)));
        }
        let &(_, nodes) = self.waiting.front()?;
        let fitting = self.most_pairs / nodes.saturating_mul(nodes).max(1);
        let lanes = if nodes < self.alone_from { self.lanes } else { 1 };
        let most = self.batch.min(fitting.max(lanes));
        let mut samples = Vec::with_capacity(most.min(self.waiting.len()));
        self.take(most, |_, size| size == nodes, &mut samples);

        let free = samples.len().next_multiple_of(lanes).min(most) - samples.len();
        if free > 0 {
            let mut smaller: Vec<_> = self
                .waiting
                .iter()
                .filter(|(_, size)| *size < nodes)
                .map(|&(id, size)| (Reverse(size), id))
                .collect();
            smaller.sort_unstable();
            smaller.truncate(free);
            let chosen: Vec<u64> = smaller.into_iter().map(|(_, id)| id).collect();
            self.take(free, |id, _| chosen.contains(&id), &mut samples);
            samples.sort_unstable();
        }
        let (ids, sizes) = samples.into_iter().unzip();
        Some(Batch { ids, sizes, nodes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_taken_once_in_a_batch_of_its_own_size() {
        let nodes_of = |id: u64| 5 + (id * id % 7) as usize;
        for batch in [1, 3, 64, 1000] {
            let mut seen = Vec::new();
            for b in Batches::new(10..500, batch, nodes_of) {
                assert!(!b.ids.is_empty() && b.ids.len() <= batch);
                assert!(b.ids.is_sorted());
                assert!(b.ids.iter().all(|&id| nodes_of(id) == b.nodes));
                assert!(b.sizes.iter().all(|&size| size == b.nodes) && b.sizes.len() == b.ids.len());
                seen.extend(b.ids);
            }
            seen.sort_unstable();
            assert_eq!(seen, (10..500).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_waiting_sample_is_never_passed_over() {
        for lanes in [1, 16] {
            let mut taken = std::collections::BTreeSet::new();
            let batches = Batches::new(0..300, 8, |id| if id % 50 == 3 { 4 } else { 9 })
                .with_lanes((lanes, usize::MAX));
            for b in batches {
                let first = (0..300).find(|id| !taken.contains(id)).unwrap();
                assert_eq!(b.ids[0], first);
                taken.extend(b.ids);
            }
        }
    }

    #[test]
    fn common_sizes_fill_their_batches() {
        let sizes: Vec<usize> =
            Batches::new(0..6400, 64, |id| if id % 10 == 0 { 8 } else { 9 }).map(|b| b.ids.len()).collect();
        let full = sizes.iter().filter(|&&n| n == 64).count();
        assert!(full * 10 >= sizes.len() * 9, "{full} of {} batches are full", sizes.len());
    }

    #[test]
    fn smaller_samples_take_the_lanes_that_are_left_and_nothing_is_lost() {
        let nodes_of = |id: u64| 10 + (id * 7 % 31) as usize;
        for (batch, lanes) in [(128, 16), (20, 16), (5, 16), (1, 16), (64, 1)] {
            let (mut seen, mut padded) = (Vec::new(), 0);
            for b in Batches::new(0..90, batch, nodes_of).with_lanes((lanes, usize::MAX)) {
                assert!(b.ids.len() <= batch && b.ids.is_sorted());
                assert_eq!(b.ids.iter().map(|&id| nodes_of(id)).collect::<Vec<_>>(), b.sizes);
                assert_eq!(b.sizes.iter().max(), Some(&b.nodes));
                padded += b.sizes.iter().filter(|&&size| size < b.nodes).count();
                seen.extend(b.ids);
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..90).collect::<Vec<_>>());
            assert_eq!(padded > 0, lanes > 1 && batch > 1, "{padded} padded of batch {batch}, {lanes} lanes");
        }
        // The largest of the smaller ones go first: what is left is cheap.
        let sizes = [9, 5, 8, 7, 9, 8];
        let first =
            Batches::new(0..6, 128, |id| sizes[id as usize]).with_lanes((4, usize::MAX)).next().unwrap();
        assert_eq!((first.ids, first.sizes), (vec![0, 2, 4, 5], vec![9, 8, 9, 8]));
    }

    #[test]
    fn batches_of_large_graphs_are_small() {
        let largest_of = |nodes: usize, lanes| {
            let batches = Batches::new(0..1000, 128, |_| nodes).with_lanes(lanes).with_most_pairs(1 << 18);
            batches.map(|b| b.ids.len()).max()
        };
        let largest = |nodes, lanes| largest_of(nodes, (lanes, usize::MAX));
        assert_eq!(
            (largest_of(361, (16, 64)), largest_of(9, (16, 64))),
            (Some(2), Some(128)),
            "alone from 64 on"
        );
        assert_eq!((largest(9, 1), largest(361, 1), largest(1000, 1)), (Some(128), Some(2), Some(1)));
        assert_eq!((largest(9, 16), largest(361, 16)), (Some(128), Some(16)));
    }

    #[test]
    fn an_empty_range_has_no_batches() {
        assert_eq!(Batches::new(7..7, 64, |_| 9).next(), None);
    }
}
