//! Error bars by resampling (Efron & Tibshirani, An Introduction to the Bootstrap, 1993).
//!
//! The generated molecules are drawn again with replacement, as many as there are, and a figure is computed of each draw: the
//! spread is what another run of the generator would show. A draw is a vector of counts, one for each molecule; figures that
//! know how to count a molecule several times need no copy of the set. The reference set is not resampled: it is the same
//! for all that are compared with it.
//!
//! A distance (FCD, MMD, Wasserstein) of a resampled set is larger on average than that of the set, because repeated
//! molecules make it coarser. Its interval is therefore moved so that it is centred where the distance itself is; the
//! standard error is the spread alone.
//!
//! Uniqueness is no mean over molecules: drawing with replacement would itself repeat molecules. Its spread is that over
//! random halves of the set ([`Bootstrap::distinct`]), which for a smooth figure equals the standard error (the delete-half
//! jackknife: Shao & Wu, Ann. Stat. 17, 1176, 1989).
//!
//! All draws follow from a seed; results do not depend on the machine.
//!
//! ```
//! use equidrift_molecule::metrics::bootstrap::Bootstrap;
//!
//! let bar = Bootstrap { resamples: 1000, ..Bootstrap::default() }.share(95, 100).unwrap();
//! assert!((bar.standard_error - 0.0218).abs() < 0.003 && bar.lower < 0.95 && bar.upper > 0.95);
//! ```

use serde::{Deserialize, Serialize};

/// How to resample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bootstrap {
    /// Draws. 20 tell a standard error to about 16 %, 1000 are usual for an interval.
    pub resamples: usize,
    /// Seed of all draws.
    pub seed: u64,
    /// Probability of the interval, between 0 and 1.
    pub confidence: f64,
}

impl Default for Bootstrap {
    /// 20 draws, seed 0, an interval of 95 %.
    fn default() -> Self {
        Self { resamples: 20, seed: 0, confidence: 0.95 }
    }
}

/// How far a figure may be off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ErrorBar {
    /// Standard deviation over the draws.
    pub standard_error: f64,
    /// Lower end of the interval.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

impl Bootstrap {
    /// The error bar of any figure of `samples` items. `figure` is given how often each item counts, and says `None` for a
    /// draw that has no figure. `None` with fewer than two items or draws that have one. Cost: `resamples` figures.
    pub fn figure(
        &self,
        samples: usize,
        value: f64,
        mut figure: impl FnMut(&[u32]) -> Option<f64>,
    ) -> Option<ErrorBar> {
        if samples < 2 {
            return None;
        }
        let mut random = SplitMix(self.seed);
        let mut weights = vec![0; samples];
        let mut found = Vec::with_capacity(self.resamples);
        for _ in 0..self.resamples {
            random.draw(&mut weights);
            found.extend(figure(&weights));
        }
        self.summary(value, found)
    }

    /// The draws themselves, for figures that are made of sums over groups of samples: sample `i` belongs to group `i mod
    /// groups`, sums are kept by group, and a draw counts each group as often as its vector says.
    #[must_use]
    pub fn draws(&self, groups: usize) -> Vec<Vec<u32>> {
        let mut random = SplitMix(self.seed);
        let mut weights = vec![0; groups];
        let draw = |_| {
            random.draw(&mut weights);
            weights.clone()
        };
        (0..self.resamples).map(draw).collect()
    }

    /// The error bar of a figure with this value, of its values in the draws. `None` for fewer than two.
    #[must_use]
    pub fn summary(&self, value: f64, mut found: Vec<f64>) -> Option<ErrorBar> {
        if found.len() < 2 || found.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let count = found.len() as f64;
        let mean = found.iter().sum::<f64>() / count;
        let squares: f64 = found.iter().map(|value| (value - mean).powi(2)).sum();
        found.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - self.confidence.clamp(0.0, 1.0)) / 2.0;
        let shift = value - mean;
        Some(ErrorBar {
            standard_error: (squares / (count - 1.0)).sqrt(),
            lower: quantile(&found, tail) + shift,
            upper: quantile(&found, 1.0 - tail) + shift,
        })
    }

    /// The error bar of a mean. `None` for fewer than two values. Cost: `resamples` passes over the values.
    #[must_use]
    pub fn mean(&self, values: &[f64]) -> Option<ErrorBar> {
        let count = values.len() as f64;
        let mean = |weights: &[u32]| {
            Some(
                values.iter().zip(weights).map(|(value, weight)| value * f64::from(*weight)).sum::<f64>()
                    / count,
            )
        };
        self.figure(values.len(), values.iter().sum::<f64>() / count, mean)
    }

    /// The error bar of a share `part / whole`, such as validity or the novelty of distinct molecules: binomial draws. `None`
    /// for a whole below two. Cost: `resamples` times `whole` at most.
    #[must_use]
    pub fn share(&self, part: u64, whole: u64) -> Option<ErrorBar> {
        if whole < 2 || part > whole {
            return None;
        }
        let mut random = SplitMix(self.seed);
        // Of a draw with replacement only the number of successes matters; each draw is one.
        let found = (0..self.resamples)
            .map(|_| (0..whole).filter(|_| random.below(whole) < part).count() as f64 / whole as f64);
        self.summary(part as f64 / whole as f64, found.collect())
    }

    /// The error bar of a share of distinct items, `labels` being equal for equal items: the spread over random halves, the
    /// interval about the share itself. `None` for fewer than four items.
    #[must_use]
    pub fn distinct(&self, labels: &[u32]) -> Option<ErrorBar> {
        if labels.len() < 4 {
            return None;
        }
        let half = labels.len() / 2;
        let mut random = SplitMix(self.seed);
        let mut order = labels.to_vec();
        let share = |labels: &[u32]| {
            let mut sorted = labels.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            sorted.len() as f64 / labels.len() as f64
        };
        let value = share(labels);
        let found = (0..self.resamples).map(|_| {
            for place in 0..half {
                let other = place as u64 + random.below((labels.len() - place) as u64);
                order.swap(place, other as usize);
            }
            share(&order[..half])
        });
        self.summary(value, found.collect())
    }
}

/// A quantile of sorted values, between neighbours where it falls between two.
fn quantile(sorted: &[f64], level: f64) -> f64 {
    let place = level * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// Steele, Lea & Flood, OOPSLA 2014.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below a bound, equally likely to 2^-64 times the bound.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// How often each of `weights.len()` items comes in as many draws with replacement.
    fn draw(&mut self, weights: &mut [u32]) {
        weights.fill(0);
        for _ in 0..weights.len() {
            let item = self.below(weights.len() as u64);
            weights[item as usize] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: Bootstrap = Bootstrap { resamples: 4_000, seed: 3, confidence: 0.9 };

    #[test]
    fn the_bar_of_a_mean_is_the_standard_error_and_the_normal_interval() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i * 7919 % 400)).collect();
        let mean = values.iter().sum::<f64>() / 400.0;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 400.0;
        let exact = (variance / 400.0).sqrt();
        let bar = MANY.mean(&values).unwrap();
        assert!((bar.standard_error / exact - 1.0).abs() < 0.05, "{bar:?} {exact}");
        // 1.645 standard errors to either side.
        assert!(((bar.upper - mean) / exact - 1.645).abs() < 0.1, "{bar:?}");
        assert!(((mean - bar.lower) / exact - 1.645).abs() < 0.1, "{bar:?}");
    }

    #[test]
    fn shares_have_binomial_errors() {
        let bar = MANY.share(30, 200).unwrap();
        assert!((bar.standard_error / (0.15_f64 * 0.85 / 200.0).sqrt() - 1.0).abs() < 0.05, "{bar:?}");
        let certain = MANY.share(200, 200).unwrap();
        assert_eq!((certain.standard_error, certain.lower, certain.upper), (0.0, 1.0, 1.0));
        assert!(MANY.share(1, 1).is_none() && MANY.share(3, 2).is_none());
    }

    #[test]
    fn the_spread_of_uniqueness_is_that_of_independent_sets() {
        // Sets of 1000 items of 2000 kinds: the spread of the distinct share over sets, and as one set tells it.
        let mut random = SplitMix(9);
        let mut set = || (0..1_000).map(|_| random.below(2_000) as u32).collect::<Vec<_>>();
        let share = |labels: &[u32]| {
            let distinct: std::collections::HashSet<_> = labels.iter().collect();
            distinct.len() as f64 / 1_000.0
        };
        let shares: Vec<f64> = (0..2_000).map(|_| share(&set())).collect();
        let mean = shares.iter().sum::<f64>() / 2_000.0;
        let spread = (shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / 2_000.0).sqrt();
        let bars: Vec<f64> = (0..20).map(|_| MANY.distinct(&set()).unwrap().standard_error).collect();
        let told = bars.iter().sum::<f64>() / 20.0;
        assert!((told / spread - 1.0).abs() < 0.25, "{told} {spread}");
    }

    #[test]
    fn a_distance_that_grows_when_resampled_keeps_its_place() {
        let bar = MANY.figure(50, 7.0, |weights| Some(f64::from(weights.iter().max().copied()?))).unwrap();
        assert!(bar.lower <= 7.0 && 7.0 <= bar.upper + 1.0 && bar.standard_error > 0.0);
        assert!(MANY.figure(1, 0.0, |_| Some(0.0)).is_none());
        assert!(MANY.figure(9, 0.0, |_| None).is_none());
    }

    #[test]
    fn draws_follow_from_the_seed() {
        let draws = MANY.draws(64);
        assert_eq!((draws.len(), &draws), (4_000, &MANY.draws(64)));
        assert!(draws.iter().all(|draw| draw.iter().sum::<u32>() == 64));
        assert_ne!(draws[..9], Bootstrap { seed: 4, ..MANY }.draws(64)[..9]);
    }
}
