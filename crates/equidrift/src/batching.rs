//! Batches of samples that have the same number of nodes.
//!
//! A batch of graphs of one size needs no padding, so no work is spent on absent nodes and a sample cannot depend
//! on what it is batched with. Sizes vary along the ids, so batches are gathered from a sliding window: the
//! first sample not yet taken decides the size, and further samples of that size are looked for in the window
//! behind it. Since the first sample always goes out with the next batch, results come back nearly in order and
//! can be written as they come.
//!
//! Cost: O(window) per batch; memory O(window).

use std::collections::VecDeque;
use std::ops::Range;

/// Samples of one size, to be generated together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Sample ids, ascending.
    pub ids: Vec<u64>,
    /// Number of nodes of every sample of the batch.
    pub nodes: usize,
}

/// Iterator over the batches of a range of ids.
#[derive(Debug)]
pub struct Batches<F> {
    ids: Range<u64>,
    nodes_of: F,
    batch: usize,
    window: usize,
    waiting: VecDeque<(u64, usize)>,
}

/// How many batches' worth of ids the window spans. A size with a share of 1/16 or more still fills its batches;
/// the samples of a run that is killed and must be drawn again are at most this many batches per thread.
const WINDOW_IN_BATCHES: usize = 16;

impl<F: FnMut(u64) -> usize> Batches<F> {
    /// Batches of at most `batch` samples of `ids`, whose node counts `nodes_of` tells. A `batch` of zero is taken
    /// as one.
    pub fn new(ids: Range<u64>, batch: usize, nodes_of: F) -> Self {
        let batch = batch.max(1);
        Self {
            ids,
            nodes_of,
            batch,
            window: batch.saturating_mul(WINDOW_IN_BATCHES),
            waiting: VecDeque::new(),
        }
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
        let mut ids = Vec::with_capacity(self.batch.min(self.waiting.len()));
        self.waiting.retain(|&(id, size)| {
            let taken = size == nodes && ids.len() < self.batch;
            if taken {
                ids.push(id);
            }
            !taken
        });
        Some(Batch { ids, nodes })
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
                seen.extend(b.ids);
            }
            seen.sort_unstable();
            assert_eq!(seen, (10..500).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_waiting_sample_is_never_passed_over() {
        let mut taken = std::collections::BTreeSet::new();
        for b in Batches::new(0..300, 8, |id| if id % 50 == 3 { 4 } else { 9 }) {
            let first = (0..300).find(|id| !taken.contains(id)).unwrap();
            assert_eq!(b.ids[0], first);
            taken.extend(b.ids);
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
    fn an_empty_range_has_no_batches() {
        assert_eq!(Batches::new(7..7, 64, |_| 9).next(), None);
    }
}
