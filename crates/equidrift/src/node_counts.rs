//! How many nodes each sample gets, before anything else is drawn.
//!
//! A model folder records how often each graph size occurs in its training set. A sample's size is drawn from that
//! histogram by a random number that depends on (seed, sample id) alone, so it is the same in any batch, thread,
//! shard or resumed run.
//!
//! Draw: Philox 4x32-10 with the seed as key and the counter `(0, 0, id bits 0-31, id bits 32-47 | 0xffff << 16)`, a
//! place in the counter space that no noise stream of the sampler uses. The first two words make a 64-bit `u`; the
//! size is the one whose share of the total count `⌊u · total / 2^64⌋` falls into.

use std::collections::BTreeMap;

use equidrift_backend::philox::philox4x32_10;

use crate::error::Error;

/// A histogram of graph sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeCounts {
    /// (nodes, count of all graphs of this size or smaller), ascending.
    cumulative: Vec<(usize, u64)>,
    total: u64,
}

impl NodeCounts {
    /// From counts by number of nodes. Sizes with count zero are never drawn.
    ///
    /// # Errors
    /// [`Error::NodeCounts`] where no graph is counted, a size is zero or above `max_nodes`, or the counts overflow.
    pub fn new(histogram: &BTreeMap<usize, u64>, max_nodes: usize) -> Result<Self, Error> {
        let refuse = |reason| Err(Error::NodeCounts { reason, max_nodes });
        let (mut cumulative, mut total) = (Vec::with_capacity(histogram.len()), 0u64);
        for (&nodes, &count) in histogram.iter().filter(|(_, count)| **count > 0) {
            if nodes == 0 || nodes > max_nodes {
                return refuse("a size is zero or larger than the model's largest graph");
            }
            let Some(sum) = total.checked_add(count) else { return refuse("the counts overflow") };
            total = sum;
            cumulative.push((nodes, total));
        }
        if total == 0 { refuse("no graph is counted") } else { Ok(Self { cumulative, total }) }
    }

    /// Every graph has `nodes` nodes.
    pub fn fixed(nodes: usize) -> Self {
        Self { cumulative: vec![(nodes, 1)], total: 1 }
    }

    /// The number of nodes of sample `id`.
    pub fn draw(&self, seed: u64, id: u64) -> usize {
        let counter = [0, 0, id as u32, (id >> 32) as u32 & 0xffff | 0xffff << 16];
        let [high, low, ..] = philox4x32_10(counter, [seed as u32, (seed >> 32) as u32]);
        let u = u64::from(high) << 32 | u64::from(low);
        let place = ((u128::from(u) * u128::from(self.total)) >> 64) as u64;
        let index = self.cumulative.partition_point(|&(_, upto)| upto <= place);
        self.cumulative[index].0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_drawn_in_proportion() {
        let histogram = BTreeMap::from([(7, 10), (8, 0), (9, 30)]);
        let counts = NodeCounts::new(&histogram, 9).unwrap();
        let mut drawn = BTreeMap::new();
        for id in 0..40_000 {
            *drawn.entry(counts.draw(3, id)).or_insert(0u32) += 1;
        }
        assert_eq!(drawn.keys().copied().collect::<Vec<_>>(), [7, 9]);
        // Binomial with standard deviation 87: four of them.
        assert!(drawn[&7].abs_diff(10_000) < 350, "{drawn:?}");
    }

    #[test]
    fn seeds_and_ids_decide_and_nothing_else() {
        let counts = NodeCounts::new(&BTreeMap::from([(3, 1), (4, 1), (5, 1)]), 9).unwrap();
        let draw = |seed| (0..200).map(|id| counts.draw(seed, id)).collect::<Vec<_>>();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(draw(1), draw(1 + (1 << 40)));
        assert_eq!(NodeCounts::fixed(6).draw(5, 5), 6);
    }

    #[test]
    fn impossible_histograms_are_refused() {
        for histogram in
            [BTreeMap::new(), BTreeMap::from([(4, 0)]), BTreeMap::from([(0, 1)]), BTreeMap::from([(10, 1)])]
        {
            assert!(matches!(NodeCounts::new(&histogram, 9), Err(Error::NodeCounts { max_nodes: 9, .. })));
        }
        assert!(NodeCounts::new(&BTreeMap::from([(1, u64::MAX), (2, 1)]), 9).is_err());
    }
}
