use serde::{Deserialize, Serialize};

use super::branching::{Branching, Walk, best_rows, repeated};
use super::{Budget, Reward, Selected};
use crate::error::SamplerError;
use crate::execute::Executor;
use crate::path::PathConfig;
use crate::state::State;

/// Rollover budget forcing: a step ends as soon as a child beats the best reward so far, and what it did not use rolls over to
/// the next.
///
/// 1. `initial` draws of the prior; the search starts from the one whose x̂₀ has the best reward.
/// 2. Every step has the quota `q = (budget − initial)/steps`, rounded down, and what the step before left over. Children are
///    drawn one at a time. One that beats the best reward so far is gone on with at once; when the quota is used up, the best
///    child of this step is, and the next quota is q.
/// 3. The last step does not end early: it uses all that is left and returns its best child.
///
/// Use it where evaluations per step are scarce and rewards are rough, as its authors do. On easy rewards it loses to
/// [`Svdd`](super::Svdd), because it is content with the first improvement.
///
/// The samples of a batch advance side by side, each by its own rewards; a sample's evaluations are counted before they are
/// made and never exceed its budget.
///
/// Source: Kim et al. 2025 (arXiv 2503.19385); defaults 500 evaluations, 25 initial draws, 10 steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RolloverBudgetForcing {
    /// Network evaluations per returned sample.
    pub budget: usize,
    /// Draws of the prior to choose the start from.
    pub initial: usize,
    /// The stochastic process.
    pub branching: Branching,
}

impl Default for RolloverBudgetForcing {
    fn default() -> Self {
        Self { budget: 500, initial: 25, branching: Branching::default() }
    }
}

/// Where the search of one sample stands.
struct Search {
    budget: Budget,
    step: usize,
    /// Evaluations this step may still use.
    quota: usize,
    /// Best reward so far, on any step.
    record: f64,
    /// Best child of this step: its reward, and whether there is one.
    child: Option<f64>,
    /// Number of the next draw.
    draw: u32,
}

impl RolloverBudgetForcing {
    /// One sample for each row of `start`, draws of the prior, the first candidates of each sample.
    ///
    /// # Errors
    /// [`SamplerError::Budget`] if the budget does not hold one child per step after the initial draws; otherwise as
    /// [`Executor::run`] and [`Reward::rewards`].
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
        let initial = self.initial.max(1);
        Budget::new(self.budget).spend(initial + steps)?;
        let quota = (self.budget - initial) / steps;
        let mut budget = Budget::new(self.budget);
        budget.spend(initial)?;
        let owner = repeated(&vec![initial; ids.len()]);
        let row_ids: Vec<u64> = owner.iter().map(|&sample| ids[sample]).collect();
        let draws: Vec<u32> = (0..owner.len()).map(|row| (row % initial) as u32).collect();
        let mut state = walk.priors(start.select(&owner), &draws, &row_ids)?;
        let firsts: Vec<usize> = (0..ids.len()).map(|sample| sample * initial).collect();
        state.assign(&firsts, start)?;
        let candidates = walk.roots(state, &row_ids)?;
        let best: Vec<usize> =
            best_rows(ids.len(), &owner, &candidates.rewards).into_iter().flatten().collect();
        let mut current = candidates.select(&best);
        // The best child of the step each sample is at; what stands here before there is one is not read.
        let mut children = current.clone();
        let mut searches: Vec<Search> = current
            .rewards
            .iter()
            .map(|&record| Search { budget, step: 0, quota, record, child: None, draw: initial as u32 })
            .collect();
        while !walk.cancelled {
            let active: Vec<usize> = (0..ids.len()).filter(|&sample| searches[sample].step < steps).collect();
            if active.is_empty() {
                break;
            }
            for &sample in &active {
                searches[sample].budget.spend(1)?;
            }
            let row_ids: Vec<u64> = active.iter().map(|&sample| ids[sample]).collect();
            let at: Vec<usize> = active.iter().map(|&sample| searches[sample].step).collect();
            let draws: Vec<u32> = active.iter().map(|&sample| searches[sample].draw).collect();
            let state = walk.children(&current.select(&active), &at, &draws, &row_ids)?;
            let nodes: Vec<usize> = at.iter().map(|step| step + 1).collect();
            let drawn = walk.look(state, &nodes, &row_ids)?;
            let (mut better, mut better_rows, mut moving) = (Vec::new(), Vec::new(), Vec::new());
            for (row, &sample) in active.iter().enumerate() {
                let (search, reward) = (&mut searches[sample], drawn.rewards[row]);
                if search.child.is_none_or(|best| reward > best) {
                    search.child = Some(reward);
                    better.push(sample);
                    better_rows.push(row);
                }
                if search.hear(reward, quota, steps) {
                    moving.push(sample);
                }
            }
            children.assign(&better, &drawn, &better_rows)?;
            current.assign(&moving, &children, &moving)?;
        }
        Ok(Selected {
            state: current.clean,
            rewards: current.rewards,
            evaluations: searches.iter().map(|search| search.budget.used()).collect(),
            cancelled: walk.cancelled,
        })
    }
}

impl Search {
    /// Takes note of the reward of the child just drawn; whether the search moves on to the best child of this step.
    fn hear(&mut self, reward: f64, quota: usize, steps: usize) -> bool {
        self.draw += 1;
        self.quota -= 1;
        let last = self.step + 1 == steps;
        let beaten = reward > self.record;
        self.record = self.record.max(reward);
        let moves = if last { self.budget.remaining() == 0 } else { beaten || self.quota == 0 };
        if moves {
            self.step += 1;
            self.child = None;
            self.quota = quota + if beaten { self.quota } else { 0 };
        }
        // The last step has all that is left, also what rounding the quotas down left over.
        if self.step + 1 == steps {
            self.quota = self.budget.remaining().max(1);
        }
        moves
    }
}
