//! How often each of many strings occurs in the molecules of a set.

use std::collections::HashMap;

/// Occurrences by string, and which strings each molecule brought.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    numbers: HashMap<Box<str>, u32>,
    /// How often the string of each number occurs.
    totals: Vec<u64>,
    /// The strings of molecule `k` are `members[ends[k - 1]..ends[k]]`.
    members: Vec<u32>,
    ends: Vec<u32>,
}

impl Counts {
    /// Add the strings of a molecule; a string counts as often as it is there.
    pub fn add<S: AsRef<str>>(&mut self, strings: &[S]) {
        for string in strings {
            let string = string.as_ref();
            let number = match self.numbers.get(string) {
                Some(number) => *number,
                None => {
                    let number = self.totals.len() as u32;
                    self.numbers.insert(string.into(), number);
                    self.totals.push(0);
                    number
                }
            };
            self.totals[number as usize] += 1;
            self.members.push(number);
        }
        self.ends.push(self.members.len() as u32);
    }

    /// Distinct strings.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.totals.len()
    }

    /// How often a string occurs.
    #[must_use]
    pub fn of(&self, string: &str) -> u64 {
        self.numbers.get(string).map_or(0, |number| self.totals[*number as usize])
    }

    /// The cosine of the angle between the counts of two sets; `None` if one of them is empty.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> Option<f64> {
        self.weighted_cosine(&self.totals_as_numbers(), &self.matched(other), other.norm())
    }

    /// The same with each molecule of this set counted as often as `weights` say. `matched` and `norm` are
    /// [`Counts::matched`] and [`Counts::norm`] of the other set, which do not depend on the weights.
    pub(crate) fn reweighted_cosine(&self, weights: &[u32], matched: &[f64], norm: f64) -> Option<f64> {
        let mut totals = vec![0.0; self.totals.len()];
        let mut start = 0;
        for (end, weight) in self.ends.iter().zip(weights) {
            for member in &self.members[start..*end as usize] {
                totals[*member as usize] += f64::from(*weight);
            }
            start = *end as usize;
        }
        self.weighted_cosine(&totals, matched, norm)
    }

    fn totals_as_numbers(&self) -> Vec<f64> {
        self.totals.iter().map(|total| *total as f64).collect()
    }

    fn weighted_cosine(&self, totals: &[f64], matched: &[f64], norm: f64) -> Option<f64> {
        let own = totals.iter().map(|total| total * total).sum::<f64>().sqrt();
        let product: f64 = totals.iter().zip(matched).map(|(a, b)| a * b).sum();
        (own > 0.0 && norm > 0.0).then(|| product / own / norm)
    }

    /// For each string of this set its count in another.
    pub(crate) fn matched(&self, other: &Self) -> Vec<f64> {
        let mut matched = vec![0.0; self.totals.len()];
        for (string, number) in &self.numbers {
            matched[*number as usize] = other.of(string) as f64;
        }
        matched
    }

    /// The length of the vector of counts.
    pub(crate) fn norm(&self) -> f64 {
        self.totals.iter().map(|total| (*total as f64).powi(2)).sum::<f64>().sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(molecules: &[&[&str]]) -> Counts {
        let mut counts = Counts::default();
        molecules.iter().for_each(|strings| counts.add(strings));
        counts
    }

    #[test]
    fn the_cosine_is_that_of_the_vectors_of_counts() {
        let first = counts(&[&["a", "b"], &["a"], &[]]);
        let second = counts(&[&["b", "c", "c"]]);
        // (2, 1, 0) and (0, 1, 2)
        assert!((first.cosine(&second).unwrap() - 1.0 / 5.0).abs() < 1e-15);
        assert_eq!(first.cosine(&counts(&[])), None);
        assert_eq!((first.distinct(), first.of("a"), first.of("c")), (2, 2, 0));
        let (matched, norm) = (first.matched(&second), second.norm());
        assert_eq!(first.reweighted_cosine(&[1, 1, 1], &matched, norm), first.cosine(&second));
        // The first molecule thrice, the second not: (3, 3, 0).
        let cosine = first.reweighted_cosine(&[3, 0, 0], &matched, norm).unwrap();
        assert!((cosine - 3.0 / (18.0_f64 * 5.0).sqrt()).abs() < 1e-15);
        assert_eq!(first.reweighted_cosine(&[0, 0, 3], &matched, norm), None);
    }
}
