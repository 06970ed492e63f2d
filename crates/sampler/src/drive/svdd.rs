use serde::{Deserialize, Serialize};

use super::branching::{Branching, Walk, best_rows, repeated};
use super::{Budget, Reward, Selected};
use crate::error::SamplerError;
use crate::execute::Executor;
use crate::path::PathConfig;
use crate::state::State;

/// Soft value-based decoding in its greedy form: every step draws the same number of children and goes on with the one whose
/// x̂₀ has the best reward.
///
/// Steps share what the budget holds after the first evaluation, equally up to one. Use it as the default search: on easy
/// rewards it wins by a wide margin. It commits to one branch early, by rewards of blurred x̂₀, so it may follow a mode that
/// only looks best from afar.
///
/// Source: Li et al. 2024 (arXiv 2408.08252), temperature 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Svdd {
    /// Network evaluations per returned sample.
    pub budget: usize,
    /// The stochastic process.
    pub branching: Branching,
}

impl Default for Svdd {
    fn default() -> Self {
        Self { budget: 500, branching: Branching::default() }
    }
}

impl Svdd {
    /// One sample for each row of `start`, draws of the prior.
    ///
    /// # Errors
    /// [`SamplerError::Budget`] if not one child per step fits; otherwise as [`Executor::run`] and [`Reward::rewards`].
    pub fn run(
        &self,
        executor: &mut Executor<'_>,
        paths: &[PathConfig],
        reward: &dyn Reward,
        start: &State,
        ids: &[u64],
    ) -> Result<Selected, SamplerError> {
        let mut walk = Walk::new(executor, reward, &self.branching, paths)?;
        let steps = walk.steps();
        let mut budget = Budget::new(self.budget);
        // Refuses a budget too small for the shortest way to the data before anything is spent.
        Budget::new(self.budget).spend(steps + 1)?;
        budget.spend(1)?;
        let mut current = walk.roots(start.clone(), ids)?;
        let mut drawn = 0;
        for step in 0..steps {
            let count = budget.remaining() / (steps - step);
            budget.spend(count)?;
            let owner = repeated(&vec![count; ids.len()]);
            let row_ids: Vec<u64> = owner.iter().map(|&sample| ids[sample]).collect();
            let draws: Vec<u32> = (0..owner.len()).map(|row| (drawn + row % count) as u32).collect();
            drawn += count;
            let rows = owner.len();
            let state = walk.children(&current.select(&owner), &vec![step; rows], &draws, &row_ids)?;
            let children = walk.look(state, &vec![step + 1; rows], &row_ids)?;
            let best: Vec<usize> =
                best_rows(ids.len(), &owner, &children.rewards).into_iter().flatten().collect();
            current = children.select(&best);
            if walk.cancelled {
                break;
            }
        }
        Ok(Selected {
            state: current.clean,
            rewards: current.rewards,
            evaluations: vec![budget.used(); ids.len()],
            cancelled: walk.cancelled,
        })
    }
}
