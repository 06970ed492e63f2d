//! The learning rate as a function of the epoch.

use serde::{Deserialize, Serialize};

/// Exponential decay per epoch: `rate(e) = initial * factor^e` for epochs `e = 0, 1, ...`; factor 1 is a constant rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearningRate {
    /// Rate of the first epoch.
    pub initial: f64,
    /// Multiplied in after each epoch.
    pub factor: f64,
}

impl LearningRate {
    /// The rate during epoch `epoch`, counted from 0.
    pub fn at(&self, epoch: u64) -> f64 {
        self.initial * self.factor.powi(i32::try_from(epoch).unwrap_or(i32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decays_once_per_epoch_from_the_second_on() {
        let rate = LearningRate { initial: 0.005, factor: 0.999 };
        assert_eq!(rate.at(0).to_bits(), 0.005f64.to_bits());
        assert!((rate.at(299) - 0.005 * 0.999f64.powi(299)).abs() < 1e-18);
    }
}
