use serde::{Deserialize, Serialize};

use super::branching::{Branching, Walk, best_rows, repeated};
use super::uniform::uniform;
use super::{Budget, Reward, Selected};
use crate::error::SamplerError;
use crate::execute::Executor;
use crate::noise::Stream;
use crate::path::PathConfig;
use crate::state::State;

/// Sequential Monte Carlo: particles with weights, resampled when few of them carry the weight.
///
/// At every step a particle's weight is multiplied by `exp((r − r')/β)`, r and r' the rewards of its x̂₀ after and before the
/// step, so the product telescopes to `exp(r/β)`: the weighted particles stand for the model's law tilted by the reward,
/// p(x) exp(r(x)/β), not for its maximum. Systematic resampling when the effective number of particles
/// `(Σ w)²/Σ w²` falls below `threshold` times their number.
///
/// Use it where the spread of good samples matters. β sets the strength: too small, and all particles descend from one.
///
/// Source: Wu et al. 2023 (arXiv 2306.17775); Kim et al. 2025 for this potential.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Smc {
    /// Network evaluations per returned sample; `budget / (steps + 1)` particles.
    pub budget: usize,
    /// β, in units of the reward.
    pub temperature: f64,
    /// Share of particles below which the effective number brings about resampling; 0 never, 1 nearly always.
    pub threshold: f64,
    /// The stochastic process.
    pub branching: Branching,
}

impl Default for Smc {
    fn default() -> Self {
        Self { budget: 500, temperature: 0.1, threshold: 0.5, branching: Branching::default() }
    }
}

/// The particles of every sample at the end of [`Smc::particles`].
#[derive(Clone, Debug)]
pub struct Particles {
    /// Clean states; rows `s · count ..` belong to sample s.
    pub state: State,
    /// Their rewards.
    pub rewards: Vec<f64>,
    /// Their weights; those of a sample sum to 1.
    pub weights: Vec<f64>,
    /// Particles per sample.
    pub count: usize,
    /// Network evaluations each sample has used.
    pub evaluations: Vec<usize>,
    /// How often each sample was resampled.
    pub resampled: Vec<usize>,
    /// Whether the run was cancelled.
    pub cancelled: bool,
}

impl Smc {
    /// The weighted particles of one sample for each row of `start`, draws of the prior.
    ///
    /// # Errors
    /// [`SamplerError::Budget`] if not one particle fits, [`SamplerError::Option`] for a temperature or threshold out of range;
    /// otherwise as [`Executor::run`] and [`Reward::rewards`].
    pub fn particles(
        &self,
        executor: &mut Executor<'_>,
        paths: &[PathConfig],
        reward: &dyn Reward,
        start: &State,
        ids: &[u64],
    ) -> Result<Particles, SamplerError> {
        for (option, value, usable, expected) in [
            ("temperature", self.temperature, self.temperature > 0.0, "above 0"),
            ("threshold", self.threshold, (0.0..=1.0).contains(&self.threshold), "from 0 to 1"),
        ] {
            if !usable {
                let planner = "sequential Monte Carlo";
                return Err(SamplerError::Option { planner, option, value, expected });
            }
        }
        let noise = executor.noise();
        let mut walk = Walk::new(executor, reward, &self.branching, paths)?;
        let length = walk.steps() + 1;
        let count = (self.budget / length).max(1);
        let mut budget = Budget::new(self.budget);
        budget.spend(count * length)?;
        let owner = repeated(&vec![count; ids.len()]);
        let rows = owner.len();
        let row_ids: Vec<u64> = owner.iter().map(|&sample| ids[sample]).collect();
        let number: Vec<u32> = (0..rows).map(|row| (row % count) as u32).collect();
        let mut state = walk.priors(start.select(&owner), &number, &row_ids)?;
        let firsts: Vec<usize> = (0..ids.len()).map(|sample| sample * count).collect();
        state.assign(&firsts, start)?;
        let mut particles = walk.roots(state, &row_ids)?;
        let mut logs: Vec<f64> = particles.rewards.iter().map(|reward| reward / self.temperature).collect();
        let mut resampled = vec![0; ids.len()];
        for step in 0..walk.steps() {
            let choices = uniform(noise, Stream::Selection, step as u32, ids);
            let mut parents: Vec<usize> = (0..rows).collect();
            for (sample, &choice) in choices.iter().enumerate() {
                let range = sample * count..(sample + 1) * count;
                let weights = normalised(&logs[range.clone()]);
                let effective = 1.0 / weights.iter().map(|w| w * w).sum::<f64>();
                if effective < self.threshold * count as f64 {
                    let chosen = systematic(&weights, choice);
                    for (row, parent) in range.clone().zip(chosen) {
                        parents[row] = sample * count + parent;
                    }
                    logs[range].fill(0.0);
                    resampled[sample] += 1;
                }
            }
            let parents = particles.select(&parents);
            let draws: Vec<u32> = number.iter().map(|number| (count * (step + 1)) as u32 + number).collect();
            let state = walk.children(&parents, &vec![step; rows], &draws, &row_ids)?;
            particles = walk.look(state, &vec![step + 1; rows], &row_ids)?;
            for ((log, after), before) in logs.iter_mut().zip(&particles.rewards).zip(&parents.rewards) {
                // A particle without a usable reward keeps no weight, also where its parent had none.
                *log = if *after == f64::NEG_INFINITY || *before == f64::NEG_INFINITY {
                    f64::NEG_INFINITY
                } else {
                    *log + (after - before) / self.temperature
                };
            }
            if walk.cancelled {
                break;
            }
        }
        Ok(Particles {
            state: particles.clean,
            rewards: particles.rewards,
            weights: logs.chunks_exact(count).flat_map(normalised).collect(),
            count,
            evaluations: vec![budget.used(); ids.len()],
            resampled,
            cancelled: walk.cancelled,
        })
    }

    /// The particle of the best reward of each sample.
    ///
    /// # Errors
    /// As [`Smc::particles`].
    pub fn run(
        &self,
        executor: &mut Executor<'_>,
        paths: &[PathConfig],
        reward: &dyn Reward,
        start: &State,
        ids: &[u64],
    ) -> Result<Selected, SamplerError> {
        let particles = self.particles(executor, paths, reward, start, ids)?;
        let owner = repeated(&vec![particles.count; ids.len()]);
        let best: Vec<usize> =
            best_rows(ids.len(), &owner, &particles.rewards).into_iter().flatten().collect();
        Ok(Selected {
            state: particles.state.select(&best),
            rewards: best.iter().map(|&row| particles.rewards[row]).collect(),
            evaluations: particles.evaluations,
            cancelled: particles.cancelled,
        })
    }
}

/// Weights of sum 1; equal ones where all are zero.
fn normalised(logs: &[f64]) -> Vec<f64> {
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !top.is_finite() {
        return vec![1.0 / logs.len() as f64; logs.len()];
    }
    let weights: Vec<f64> = logs.iter().map(|log| libm::exp(log - top)).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

/// Systematic resampling: the parents at the even points (i + u)/n of the distribution of the weights.
fn systematic(weights: &[f64], u: f64) -> Vec<usize> {
    let count = weights.len();
    let (mut parent, mut sum) = (0, weights[0]);
    (0..count)
        .map(|i| {
            let point = (i as f64 + u) / count as f64;
            while sum < point && parent + 1 < count {
                parent += 1;
                sum += weights[parent];
            }
            parent
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systematic_resampling_follows_the_weights() {
        assert_eq!(systematic(&[0.5, 0.0, 0.25, 0.25], 0.5), [0, 0, 2, 3]);
        assert_eq!(systematic(&[0.0, 1.0], 0.999), [1, 1]);
        let weights = normalised(&[libm::log(3.0), 0.0, f64::NEG_INFINITY]);
        assert!((weights[0] - 0.75).abs() < 1e-15 && weights[2] == 0.0);
        assert_eq!(normalised(&[f64::NEG_INFINITY; 2]), [0.5, 0.5]);
    }
}
