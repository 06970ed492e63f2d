use super::branching::{Branching, Walk, best_rows, repeated};
use super::{Budget, Reward, Selected};
use crate::error::SamplerError;
use crate::execute::Executor;
use crate::path::PathConfig;
use crate::state::State;
use serde::{Deserialize, Serialize};

/// Draws as many independent samples as the budget holds and returns the best: the baseline every search has to beat.
///
/// Each of the `budget / (steps + 1)` trajectories of [`Branching`] costs `steps` + 1 evaluations. Use it when single samples
/// are good and cheap; its reward grows with the logarithm of the budget only. Unlike the searches that choose on the way, it
/// never trusts a reward of a blurred x̂₀.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BestOfN {
    /// Network evaluations per returned sample.
    pub budget: usize,
    /// The stochastic process.
    pub branching: Branching,
}

impl Default for BestOfN {
    fn default() -> Self {
        Self { budget: 500, branching: Branching::default() }
    }
}

impl BestOfN {
    /// One sample for each row of `start`, draws of the prior with which each sample's first trajectory begins.
    ///
    /// # Errors
    /// [`SamplerError::Budget`] if not one trajectory fits; otherwise as [`Executor::run`] and [`Reward::rewards`].
    pub fn run(
        &self,
        executor: &mut Executor<'_>,
        paths: &[PathConfig],
        reward: &dyn Reward,
        start: &State,
        ids: &[u64],
    ) -> Result<Selected, SamplerError> {
        let mut walk = Walk::new(executor, reward, &self.branching, paths)?;
        let length = walk.steps() + 1;
        let mut budget = Budget::new(self.budget);
        let count = (self.budget / length).max(1);
        budget.spend(count * length)?;
        // Row `sample · count + candidate`; candidate 0 begins with the state given.
        let owner = repeated(&vec![count; ids.len()]);
        let row_ids: Vec<u64> = owner.iter().map(|&sample| ids[sample]).collect();
        let candidate: Vec<u32> = (0..owner.len()).map(|row| (row % count) as u32).collect();
        let mut state = walk.priors(start.select(&owner), &candidate, &row_ids)?;
        let firsts: Vec<usize> = (0..ids.len()).map(|sample| sample * count).collect();
        state.assign(&firsts, start)?;
        let mut particles = walk.roots(state, &row_ids)?;
        for step in 0..walk.steps() {
            // Draw number: each trajectory has one prior draw, then one a step.
            let draws: Vec<u32> =
                candidate.iter().map(|candidate| (count * (step + 1)) as u32 + candidate).collect();
            let state = walk.children(&particles, &vec![step; owner.len()], &draws, &row_ids)?;
            particles = walk.look(state, &vec![step + 1; owner.len()], &row_ids)?;
            if walk.cancelled {
                break;
            }
        }
        let best: Vec<usize> =
            best_rows(ids.len(), &owner, &particles.rewards).into_iter().flatten().collect();
        let best = particles.select(&best);
        Ok(Selected {
            state: best.clean,
            rewards: best.rewards,
            evaluations: vec![budget.used(); ids.len()],
            cancelled: walk.cancelled,
        })
    }
}
