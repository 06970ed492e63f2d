//! Histograms and the Jensen-Shannon divergence of two of them (Lin 1991).

use serde::{Deserialize, Serialize};

use crate::error::TrajectoryError;

/// Counts in bins of equal width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    low: f64,
    high: f64,
    counts: Vec<u64>,
    outside: u64,
}

impl Histogram {
    /// An empty histogram of `low..=high`.
    ///
    /// # Errors
    /// [`TrajectoryError::Value`] if the range is empty or not finite, [`TrajectoryError::TooFew`] without bins.
    pub fn new(low: f64, high: f64, bins: usize) -> Result<Self, TrajectoryError> {
        if bins == 0 {
            return Err(TrajectoryError::TooFew { what: "a histogram", points: "bins", needed: 1, found: 0 });
        }
        if !((high - low).is_finite() && high > low) {
            let expected = "more than 0 and finite";
            return Err(TrajectoryError::Value {
                what: "the width of a histogram",
                value: high - low,
                expected,
            });
        }
        Ok(Self { low, high, counts: vec![0; bins], outside: 0 })
    }

    /// Counts a value; the last bin has its upper end in it.
    pub fn add(&mut self, value: f64) {
        let place = (value - self.low) / (self.high - self.low);
        if (0.0..=1.0).contains(&place) {
            let bin = (place * self.counts.len() as f64) as usize;
            let last = self.counts.len() - 1;
            self.counts[bin.min(last)] += 1;
        } else {
            self.outside += 1;
        }
    }

    /// One for each bin.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Values outside the range, and those that are no number.
    #[must_use]
    pub fn outside(&self) -> u64 {
        self.outside
    }

    /// Middle of each bin.
    #[must_use]
    pub fn centres(&self) -> Vec<f64> {
        let width = (self.high - self.low) / self.counts.len() as f64;
        (0..self.counts.len()).map(|bin| self.low + (bin as f64 + 0.5) * width).collect()
    }

    /// The fraction of all values in each bin, and behind them the fraction outside, so that mass outside the range weighs.
    #[must_use]
    pub fn fractions(&self) -> Vec<f64> {
        let all = self.counts.iter().sum::<u64>() + self.outside;
        self.counts.iter().chain([&self.outside]).map(|count| *count as f64 / all.max(1) as f64).collect()
    }
}

/// The Jensen-Shannon divergence of two distributions over the same bins, with logarithms to base 2: 0 for equal ones, 1 for
/// such as share no bin. (Its square root is the Jensen-Shannon distance.) Both are normalised first.
///
/// # Errors
/// [`TrajectoryError::Count`] if they have different numbers of bins, [`TrajectoryError::Value`] if one has no mass or a
/// negative number.
pub fn jensen_shannon(p: &[f64], q: &[f64]) -> Result<f64, TrajectoryError> {
    if p.len() != q.len() {
        return Err(TrajectoryError::Count { what: "bins", expected: p.len(), found: q.len() });
    }
    let mut masses = [0.0; 2];
    for (mass, distribution) in masses.iter_mut().zip([p, q]) {
        *mass = distribution.iter().sum::<f64>();
        let least = distribution.iter().copied().fold(f64::INFINITY, f64::min);
        if !(mass.is_finite() && *mass > 0.0 && least >= 0.0) {
            let expected = "a positive sum of numbers that are not negative";
            return Err(TrajectoryError::Value {
                what: "the mass of a distribution",
                value: *mass,
                expected,
            });
        }
    }
    let term = |p: f64, middle: f64| if p > 0.0 { p * (p / middle).log2() } else { 0.0 };
    let divergence: f64 = p
        .iter()
        .zip(q)
        .map(|(p, q)| {
            let (p, q) = (p / masses[0], q / masses[1]);
            let middle = f64::midpoint(p, q);
            (term(p, middle) + term(q, middle)) / 2.0
        })
        .sum();
    Ok(divergence.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_divergences() {
        assert_eq!(jensen_shannon(&[1.0, 0.0], &[0.0, 5.0]).unwrap(), 1.0);
        assert_eq!(jensen_shannon(&[1.0, 3.0], &[2.0, 6.0]).unwrap(), 0.0);
        // H(3/4, 1/4) - H(1/2, 1/2)/2 - 0 for (1/2, 1/2) against (1, 0).
        let expected = 0.811_278_124_459_132_8 - 0.5;
        assert!((jensen_shannon(&[0.5, 0.5], &[1.0, 0.0]).unwrap() - expected).abs() < 1e-15);
        assert!(jensen_shannon(&[1.0], &[1.0, 2.0]).is_err());
        assert!(
            jensen_shannon(&[0.0], &[1.0]).is_err() && jensen_shannon(&[-1.0, 2.0], &[1.0, 1.0]).is_err()
        );
    }

    #[test]
    fn counting() {
        let mut histogram = Histogram::new(-1.0, 1.0, 4).unwrap();
        [-1.0, -0.6, -0.5, 0.1, 1.0, 1.1, f64::NAN].into_iter().for_each(|value| histogram.add(value));
        assert_eq!((histogram.counts(), histogram.outside()), (&[2, 1, 1, 1][..], 2));
        assert_eq!(histogram.centres(), [-0.75, -0.25, 0.25, 0.75]);
        assert!((histogram.fractions().iter().sum::<f64>() - 1.0).abs() < 1e-15);
        assert!(Histogram::new(1.0, 1.0, 3).is_err() && Histogram::new(0.0, 1.0, 0).is_err());
    }
}
