//! Choices of a search as a pure function of what they are for.

use equidrift_backend::normal::standard_normal;
use equidrift_backend::philox::philox4x32_10;

/// A sequence of random numbers that belongs to one decision of a seeded search: the same seed and decision give the same
/// numbers, whatever was drawn for other decisions. So a search that is stopped and resumed goes on as if it had not been.
#[derive(Clone, Debug)]
pub struct Draws {
    key: [u32; 2],
    decision: u64,
    drawn: u32,
    words: [u32; 4],
}

impl Draws {
    /// The numbers of decision `decision` under `seed`.
    #[must_use]
    pub fn new(seed: u64, decision: u64) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32], decision, drawn: 0, words: [0; 4] }
    }

    fn bits(&mut self) -> u32 {
        let place = (self.drawn % 4) as usize;
        if place == 0 {
            let counter = [self.drawn / 4, 0, self.decision as u32, (self.decision >> 32) as u32];
            self.words = philox4x32_10(counter, self.key);
        }
        self.drawn += 1;
        self.words[place]
    }

    /// A number in (0, 1).
    pub fn uniform(&mut self) -> f64 {
        (f64::from(self.bits()) + 0.5) / 4_294_967_296.0
    }

    /// Whether an event of this probability happens.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// A standard normal number.
    pub fn normal(&mut self) -> f64 {
        standard_normal(self.bits())
    }

    /// An index below `count`; 0 if `count` is 0.
    pub fn index(&mut self, count: usize) -> usize {
        ((self.uniform() * count as f64) as usize).min(count.saturating_sub(1))
    }

    /// One of `choices`, of which there must be some, each with its weight; the last one if the weights are all 0.
    pub(super) fn weighted<T: Copy>(&mut self, choices: &[(T, f64)]) -> T {
        let total: f64 = choices.iter().map(|(_, weight)| weight).sum();
        let mut rest = self.uniform() * total;
        for &(choice, weight) in choices {
            if rest < weight {
                return choice;
            }
            rest -= weight;
        }
        choices[choices.len() - 1].0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_independent_and_repeatable() {
        let sequence = |seed, decision| {
            let mut draws = Draws::new(seed, decision);
            (0..9).map(|_| draws.uniform()).collect::<Vec<_>>()
        };
        assert_eq!(sequence(1, 2), sequence(1, 2));
        assert_ne!(sequence(1, 2), sequence(1, 3));
        assert_ne!(sequence(1, 2), sequence(2, 2));
        let mut draws = Draws::new(5, 0);
        let mut counts = [0; 3];
        for _ in 0..3000 {
            counts[draws.weighted(&[(0usize, 1.0), (1, 0.0), (2, 2.0)])] += 1;
        }
        assert!(counts[1] == 0 && (900..1100).contains(&counts[0]), "{counts:?}");
        assert!((0..200).all(|_| draws.index(3) < 3));
    }
}
