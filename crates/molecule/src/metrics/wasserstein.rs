//! The 1-Wasserstein distance of two samples of numbers: the area between their distribution functions.

/// A sample, sorted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SortedSample {
    values: Vec<f64>,
    /// The place of each sorted value in the sample.
    places: Vec<u32>,
}

impl SortedSample {
    /// Sort a sample.
    #[must_use]
    pub fn new(sample: &[f64]) -> Self {
        let mut places: Vec<u32> = (0..sample.len() as u32).collect();
        places.sort_unstable_by(|a, b| sample[*a as usize].total_cmp(&sample[*b as usize]));
        Self { values: places.iter().map(|place| sample[*place as usize]).collect(), places }
    }

    /// No number at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The distance to another sample, in the unit of the numbers; `None` if one of them is empty. Cost: linear.
    #[must_use]
    pub fn distance(&self, other: &Self) -> Option<f64> {
        self.distance_with(other, |_| 1.0)
    }

    /// The same with each number of this sample, in its original order, counted as often as `weights` say.
    pub(crate) fn reweighted_distance(&self, weights: &[u32], other: &Self) -> Option<f64> {
        self.distance_with(other, |place| f64::from(weights[place as usize]))
    }

    fn distance_with(&self, other: &Self, weight: impl Fn(u32) -> f64) -> Option<f64> {
        let total: f64 = self.places.iter().map(|place| weight(*place)).sum();
        if total == 0.0 || other.values.is_empty() {
            return None;
        }
        let share = 1.0 / other.values.len() as f64;
        let (mut i, mut j) = (0, 0);
        let (mut below, mut other_below) = (0.0, 0.0);
        let mut last = f64::NEG_INFINITY;
        let mut area = 0.0;
        loop {
            let next = match (self.values.get(i), other.values.get(j)) {
                (Some(a), Some(b)) => a.min(*b),
                (Some(a), None) => *a,
                (None, Some(b)) => *b,
                (None, None) => return Some(area),
            };
            if last.is_finite() {
                area += (below / total - other_below * share).abs() * (next - last);
            }
            while self.values.get(i).is_some_and(|value| *value <= next) {
                below += weight(self.places[i]);
                i += 1;
            }
            while other.values.get(j).is_some_and(|value| *value <= next) {
                other_below += 1.0;
                j += 1;
            }
            last = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(first: &[f64], second: &[f64]) -> Option<f64> {
        SortedSample::new(first).distance(&SortedSample::new(second))
    }

    #[test]
    fn it_is_the_area_between_the_distribution_functions() {
        // scipy.stats.wasserstein_distance
        assert_eq!(distance(&[0.0, 1.0, 3.0], &[5.0, 6.0, 8.0]), Some(5.0));
        assert!((distance(&[3.4, 3.9, 7.5, 7.8], &[4.5, 1.4]).unwrap() - 2.7).abs() < 1e-14);
        assert_eq!(distance(&[2.0, 2.0], &[2.0]), Some(0.0));
        assert_eq!(distance(&[], &[1.0]), None);
    }

    #[test]
    fn weights_are_repetitions() {
        let (sample, other) = ([3.0, 1.0, 2.0], SortedSample::new(&[0.5, 2.5]));
        let weighted = SortedSample::new(&sample).reweighted_distance(&[2, 0, 1], &other);
        let repeated = SortedSample::new(&[3.0, 3.0, 2.0]).distance(&other);
        assert!((weighted.unwrap() - repeated.unwrap()).abs() < 1e-15);
        assert_eq!(SortedSample::new(&sample).reweighted_distance(&[0, 0, 0], &other), None);
    }
}
