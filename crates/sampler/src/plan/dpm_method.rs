//! How the DPM-Solvers spend their steps.

use serde::{Deserialize, Serialize};

use crate::error::SamplerError;

/// How a budget of steps is spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DpmMethod {
    /// One evaluation per step; earlier evaluations give the derivatives.
    #[default]
    Multistep,
    /// `order` evaluations inside every step; no history.
    Singlestep,
    /// The number of steps is a number of evaluations, spent on single steps of order `order`, the last ones of a lower
    /// order so that the budget is met exactly (Lu et al. 2022, DPM-Solver-fast).
    Fast,
}

impl DpmMethod {
    /// Network evaluations of `steps` steps of which one may be the final denoising.
    pub(super) fn evaluations(self, order: u8, steps: usize, denoise: bool) -> usize {
        let last = usize::from(denoise);
        match self {
            Self::Multistep | Self::Fast => steps,
            Self::Singlestep => (steps - last.min(steps)) * usize::from(order) + last,
        }
    }
}

/// The orders of the single steps that spend exactly `budget` evaluations: for order 3 and ⌊budget/3⌋ + 1 steps
/// 3…3,2,1; 3…3,1; 3…3,2 for budgets of remainder 0, 1, 2.
pub(super) fn split_budget(order: u8, budget: usize) -> Vec<u8> {
    let whole = usize::from(order);
    let (steps, rest) = (budget / whole, budget % whole);
    let mut orders = vec![order; steps];
    if order == 3 && rest == 0 && steps > 0 {
        orders.pop();
        orders.extend([2, 1]);
    } else if rest > 0 {
        orders.push(rest as u8);
    }
    orders
}

/// The second derivative in a third-order multistep update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThirdOrder {
    /// The second divided difference, as in the published programmes. The update then has order 2.
    Published,
    /// Twice the second divided difference, which is the second derivative. The update has order 3.
    Exact,
}

/// Checks that an order is 1, 2 or 3.
pub(super) fn check_order(planner: &'static str, order: u8) -> Result<(), SamplerError> {
    if (1..=3).contains(&order) {
        return Ok(());
    }
    let (option, value, expected) = ("order", f64::from(order), "1, 2 or 3");
    Err(SamplerError::Option { planner, option, value, expected })
}
