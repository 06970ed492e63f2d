//! Maximum mean discrepancy (Gretton et al. 2012) between sets of graphs, with the kernels of published protocols.
//!
//! ```text
//! MMD^2 = mean k(a, a') + mean k(b, b') - 2 mean k(a, b)        over all pairs, each a with itself too (the biased estimate)
//! k(x, y) = exp(-d(x, y)^2 / (2 sigma^2))
//! ```
//!
//! Figures are squared discrepancies, as the literature prints them. [`Protocol`] names the distance `d` and `sigma` for
//! each [`Statistic`]. Graphs without nodes have no statistic and are left out.

use serde::{Deserialize, Serialize};

use crate::random::Random;
use crate::statistics::Statistic;
use crate::threads::map_in_threads;

mod kernel;

pub use kernel::{Distance, Kernel, Scaling};

/// A published way to compare sets of graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Protocol {
    /// GraphRNN's and GDSS's (Jo, Lee & Hwang 2022): earth mover's distance between histograms, Euclidean distance
    /// between orbit counts.
    Gdss,
    /// SPECTRE's, also DiGress's and PARD's (Martinkus et al. 2022, after GRAN): total variation distance.
    Spectre,
}

impl Protocol {
    /// The kernel for a statistic.
    ///
    /// | statistic | `gdss` | `spectre` |
    /// | --- | --- | --- |
    /// | degree | EMD, sigma 1 | TV, sigma 1 |
    /// | clustering | EMD / 100, sigma 0.1 | TV, sigma 0.1 |
    /// | orbit | Euclidean, sigma 30 | half the L1 distance, sigma 30 |
    /// | spectral | EMD, sigma 1 | TV, sigma 1 |
    ///
    /// Histograms are divided by their sum (SPECTRE: by their sum + 1e-6); orbit counts are taken as they are. EMD is the
    /// earth mover's distance in bins, TV half the L1 distance.
    #[must_use]
    pub fn kernel(self, statistic: Statistic) -> Kernel {
        let sigma = match statistic {
            Statistic::Degree | Statistic::Spectral => 1.0,
            Statistic::Clustering => 0.1,
            Statistic::Orbit => 30.0,
        };
        let (distance, scaling) = match (self, statistic) {
            (Self::Gdss, Statistic::Orbit) => (Distance::Euclidean, Scaling::None),
            (Self::Gdss, Statistic::Clustering) => {
                (Distance::EarthMover { bins: 100.0 }, Scaling::Sum { offset: 0.0 })
            }
            (Self::Gdss, _) => (Distance::EarthMover { bins: 1.0 }, Scaling::Sum { offset: 0.0 }),
            (Self::Spectre, Statistic::Orbit) => (Distance::TotalVariation, Scaling::None),
            (Self::Spectre, _) => (Distance::TotalVariation, Scaling::Sum { offset: 1e-6 }),
        };
        Kernel { distance, scaling, sigma }
    }
}

/// A figure and how uncertain it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Its bootstrap standard error, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standard_error: Option<f64>,
}

/// A figure with the values it takes when its sets are drawn again.
#[derive(Debug, Clone, PartialEq)]
pub struct Replicated {
    /// The figure.
    pub value: f64,
    /// Its values for resampled sets, in the order of the replicates.
    pub replicates: Vec<f64>,
}

impl Replicated {
    /// The figure and the standard deviation of its replicates, if there are two or more. (Only their spread means
    /// something: items drawn twice make every replicate of an MMD larger than the figure.)
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        Estimate { value: self.value, standard_error: standard_deviation(&self.replicates) }
    }

    /// A function of some figures, replicate by replicate.
    #[must_use]
    pub fn of(figures: &[&Self], function: impl Fn(&[f64]) -> f64) -> Self {
        let all = |pick: &dyn Fn(&Self) -> f64| {
            let values: Vec<f64> = figures.iter().map(|figure| pick(figure)).collect();
            function(&values)
        };
        let replicates = figures.iter().map(|figure| figure.replicates.len()).min().unwrap_or(0);
        Self {
            value: all(&|figure| figure.value),
            replicates: (0..replicates).map(|index| all(&|figure| figure.replicates[index])).collect(),
        }
    }
}

/// The standard deviation (n - 1); `None` for fewer than two values.
#[must_use]
pub fn standard_deviation(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// How sets are drawn again, with replacement, from themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bootstrap {
    /// Number of replicates; 0: none.
    pub replicates: usize,
    /// Of the drawing.
    pub seed: u64,
}

impl Bootstrap {
    /// No replicates.
    pub const NONE: Self = Self { replicates: 0, seed: 0 };

    /// How often each of `count` items of a set is drawn in each replicate, `[count, replicates]`, row-major.
    fn multiplicities(self, count: usize, set: Resampling) -> Vec<f64> {
        let Resampling::Stream(stream) = set else { return vec![1.0; count * self.replicates] };
        let mut times = vec![0.0; count * self.replicates];
        for replicate in 0..self.replicates {
            let mut random = Random::keyed(self.seed, &[stream, replicate as u64]);
            for _ in 0..count {
                times[random.below(count) * self.replicates + replicate] += 1.0;
            }
        }
        times
    }
}

/// Whether a set is drawn again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resampling {
    /// It stays as it is, as the test set of a benchmark does.
    Fixed,
    /// By a stream of random numbers of its own: in every comparison it is drawn again in the same way.
    Stream(u64),
}

/// Statistics of a set of graphs.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// One statistic per graph.
    pub statistics: &'a [Vec<f64>],
    /// Whether it is drawn again.
    pub resampling: Resampling,
}

/// The squared MMD between two sets, and its replicates.
///
/// `None` if a set is empty. The result does not depend on the number of threads. Cost: (|a| + |b|)^2 distances, each in
/// the length of the statistic, and as many multiplications as replicates.
#[must_use]
pub fn squared_mmd(
    kernel: Kernel,
    first: Sample<'_>,
    second: Sample<'_>,
    bootstrap: Bootstrap,
    threads: usize,
) -> Option<Replicated> {
    if first.statistics.is_empty() || second.statistics.is_empty() {
        return None;
    }
    let length = first.statistics.iter().chain(second.statistics).map(Vec::len).max().unwrap_or(0);
    let weighted = |sample: Sample<'_>| Weighted {
        items: sample.statistics.iter().map(|statistic| kernel.prepare(statistic, length)).collect(),
        times: bootstrap.multiplicities(sample.statistics.len(), sample.resampling),
        replicates: bootstrap.replicates,
    };
    let (first, second) = (weighted(first), weighted(second));
    let within_first = mean_kernel(kernel, &first, &first, threads);
    let within_second = mean_kernel(kernel, &second, &second, threads);
    let between = mean_kernel(kernel, &first, &second, threads);
    let within = within_first.into_iter().zip(within_second);
    let mut squares = within.zip(between).map(|((first, second), between)| first + second - 2.0 * between);
    Some(Replicated { value: squares.next()?, replicates: squares.collect() })
}

/// Prepared statistics with their multiplicities, `[items, replicates]`.
struct Weighted {
    items: Vec<Vec<f64>>,
    times: Vec<f64>,
    replicates: usize,
}

impl Weighted {
    fn times(&self, item: usize) -> &[f64] {
        &self.times[item * self.replicates..][..self.replicates]
    }
}

/// The mean of the kernel over all pairs, then its weighted mean in each replicate.
fn mean_kernel(kernel: Kernel, first: &Weighted, second: &Weighted, threads: usize) -> Vec<f64> {
    let rows: Vec<usize> = (0..first.items.len()).collect();
    let sums = map_in_threads(&rows, 1, threads, |row| {
        let row = row[0];
        let mut sums = vec![0.0; 1 + first.replicates];
        for (column, other) in second.items.iter().enumerate() {
            let value = kernel.value(&first.items[row], other);
            sums[0] += value;
            sums[1..].iter_mut().zip(second.times(column)).for_each(|(sum, times)| *sum += value * times);
        }
        sums[1..].iter_mut().zip(first.times(row)).for_each(|(sum, times)| *sum *= times);
        sums
    });
    let mut total = vec![0.0; 1 + first.replicates];
    for row in sums {
        total.iter_mut().zip(row).for_each(|(total, value)| *total += value);
    }
    let pairs = (first.items.len() * second.items.len()) as f64;
    total.iter_mut().for_each(|total| *total /= pairs);
    total
}
