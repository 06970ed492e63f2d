//! Standard errors by drawing windows again.

use equidrift_graph::mmd::{Estimate, standard_deviation};
use equidrift_graph::random::Random;
use serde::{Deserialize, Serialize};

/// How standard errors are found: a bootstrap (Efron 1979) over blocks of windows. Windows that share frames move together, so
/// that overlapping windows of one long run do not count as independent (Künsch 1989).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resampling {
    /// How often the blocks are drawn again; 0 for no standard errors.
    pub replicates: usize,
    /// The same seed draws the same blocks, for every figure.
    pub seed: u64,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { replicates: 200, seed: 0 }
    }
}

/// Members of each block, by number.
pub(super) type Blocks = Vec<Vec<usize>>;

impl Resampling {
    /// A statistic of all values, and its standard error. Without at least two blocks and two replicates there is none.
    pub(super) fn estimate(
        self,
        blocks: &Blocks,
        values: &[f64],
        statistic: impl Fn(&mut [f64]) -> f64,
    ) -> Estimate {
        let value = statistic(&mut values.to_vec());
        if blocks.len() < 2 {
            return Estimate { value, standard_error: None };
        }
        let mut drawn = Vec::with_capacity(values.len());
        let replicates: Vec<f64> = (0..self.replicates as u64)
            .map(|replicate| {
                let mut random = Random::keyed(self.seed, &[replicate]);
                drawn.clear();
                for _ in 0..blocks.len() {
                    drawn.extend(blocks[random.below(blocks.len())].iter().map(|member| values[*member]));
                }
                statistic(&mut drawn)
            })
            .collect();
        Estimate { value, standard_error: standard_deviation(&replicates) }
    }
}

/// The mean of values, of which there is at least one.
pub(super) fn mean(values: &mut [f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The middle of values, of which there is at least one.
pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_mean_is_the_textbooks() {
        let values: Vec<f64> = (0..400).map(|k| f64::from(k * 7919 % 400)).collect();
        let alone: Blocks = (0..400).map(|k| vec![k]).collect();
        let resampling = Resampling { replicates: 2000, seed: 3 };
        let found = resampling.estimate(&alone, &values, mean);
        assert_eq!(found.value, 199.5);
        let expected = standard_deviation(&values).unwrap() / 20.0;
        let error = found.standard_error.unwrap();
        assert!((error / expected - 1.0).abs() < 0.1, "{error} {expected}");
        // Ten copies of each value in a block: ten times fewer independent values.
        let copied: Vec<f64> = values.iter().flat_map(|value| [*value; 10]).collect();
        let blocks: Blocks = (0..400).map(|k| (10 * k..10 * k + 10).collect()).collect();
        let copied = resampling.estimate(&blocks, &copied, mean).standard_error.unwrap();
        assert!((copied / expected - 1.0).abs() < 0.1, "{copied} {expected}");
        assert_eq!(resampling.estimate(&vec![vec![0, 1]], &[1.0, 2.0], mean).standard_error, None);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [3.0, 1.0, 2.0, 10.0]), 2.5);
    }
}
