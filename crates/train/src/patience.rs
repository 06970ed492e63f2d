//! How long a loss has not improved: what early stopping and the plateau schedule wait with.
//!
//! Reference: Prechelt, "Early stopping - but when?", 1998, the criterion UP (strips of length one) with a smallest
//! improvement.

use serde::{Deserialize, Serialize};

/// The best of a series of losses and the number of losses since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patience {
    /// The best loss, if there was one.
    pub best: Option<f64>,
    /// Its epoch, counted from 1.
    pub epoch: u64,
    /// Losses since then that were no improvement.
    pub since: u64,
}

impl Patience {
    /// Takes the loss of epoch `epoch` into account; whether it improved on the best one, which it does below
    /// `bar(best)`.
    pub fn observe(&mut self, loss: f64, epoch: u64, bar: impl Fn(f64) -> f64) -> bool {
        let improved = self.best.is_none_or(|best| loss < bar(best));
        if improved {
            *self = Self { best: Some(loss), epoch, since: 0 };
        } else {
            self.since += 1;
        }
        improved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fall_below_the_bar_is_an_improvement() {
        let mut patience = Patience::default();
        let improved: Vec<bool> = (1..)
            .zip([3.0, 2.8, 2.4, 2.4, 1.0])
            .map(|(epoch, loss)| patience.observe(loss, epoch, |best| best - 0.5))
            .collect();
        assert_eq!(improved, [true, false, true, false, true]);
        assert_eq!(patience, Patience { best: Some(1.0), epoch: 5, since: 0 });
        patience.observe(f64::NAN, 6, |best| best);
        assert_eq!((patience.best, patience.since), (Some(1.0), 1));
    }
}
