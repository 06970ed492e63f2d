use serde::{Deserialize, Serialize};

use super::uniform::{choose, uniform};
use super::warm_start::entered_at;
use crate::error::SamplerError;
use crate::execute::Executor;
use crate::noise::Stream;
use crate::path::{Path, PathConfig, linspace, start_time};
use crate::plan::{NoiseTerm, Plan, PlanBuilder, Planner, STATE};
use crate::prediction::PredictionKind;
use crate::state::State;

/// The law of the noise level given the sample: exact for problems with a known density, a classifier of noise levels for
/// trained models.
pub trait NoiseLevels {
    /// `[B, L]` in row order: the log-probability, up to a constant per row, that row b has the level of `times[l]`.
    ///
    /// # Errors
    /// If it cannot be computed ([`SamplerError::Caller`]).
    fn log_weights(&self, state: &State, times: &[f64]) -> Result<Vec<f64>, SamplerError>;
}

impl<F: Fn(&State, &[f64]) -> Result<Vec<f64>, SamplerError>> NoiseLevels for F {
    fn log_weights(&self, state: &State, times: &[f64]) -> Result<Vec<f64>, SamplerError> {
        self(state, times)
    }
}

/// How the next level follows from its law.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LevelChoice {
    /// Drawn from it, which is Gibbs sampling and keeps the joint law.
    #[default]
    Draw,
    /// Its most probable level, as in the published code; no longer a draw of the joint law.
    MostProbable,
}

/// Denoising MCMC: a chain over the state and its noise level, and a short denoising from the small levels it visits.
///
/// One step of the chain at level t is a Langevin step of the state, `x ← x + (η/2) σ² s(x, t) + √η σ z`, and a draw of the
/// level given the state. Among `skip` steps the state of the smallest level is kept and denoised by `denoise_steps` steps of
/// any planner from that level, row by row at its own time; a planner whose last step returns x̂₀ gives the closing Tweedie
/// step.
///
/// Use it for streams of similar samples (conformers, ensembles): each costs `skip` + the planner's evaluations, because the
/// chain stays near the data. Samples of one chain are correlated: look at [`Chains::autocorrelation_times`]. For independent
/// samples and far modes prefer a plain sampler.
///
/// Pitfalls: the Langevin step is not corrected; with step size η its variance is too large by about 1/(1 − η/4) where noise
/// dominates, which also lifts the levels. A second-order step over the whole way from a middle level is unstable: with
/// one or two closing evaluations take x̂₀ or an Euler step (DDIM), with Heun at least three steps before it. Between remote modes the chain passes through high levels only.
///
/// Source: Kim & Ye, ICML 2023 (arXiv 2209.14593); η 0.5 to 1.6 and `skip` about 10 there, see [`DenoisingMcmc::published`].
#[derive(Debug)]
pub struct DenoisingMcmc<'p> {
    /// The components' paths; one clock for all.
    pub paths: Vec<PathConfig>,
    /// η, relative to σ².
    pub step_size: f64,
    /// Steps of the chain per sample.
    pub skip: usize,
    /// Number of levels, at even times: for a variance-exploding path even in ln σ.
    pub levels: usize,
    /// How a level is chosen.
    pub choice: LevelChoice,
    /// What denoises.
    pub planner: &'p dyn Planner,
    /// Its steps.
    pub denoise_steps: usize,
    /// The last time of the planner; levels not above it are denoised from just above it.
    pub t_end: f64,
}

/// Chains, one per row.
#[derive(Clone, Debug)]
pub struct Chains {
    /// Where they are.
    pub state: State,
    /// The time of each one's level.
    pub times: Vec<f64>,
    /// Steps made.
    pub step: u32,
    /// The times of all steps so far, `[chain][step]`.
    pub trace: Vec<Vec<f64>>,
}

/// One sample of every chain.
#[derive(Clone, Debug)]
pub struct McmcSample {
    /// The denoised states.
    pub state: State,
    /// The times they were denoised from.
    pub times: Vec<f64>,
    /// Network evaluations each one has cost.
    pub evaluations: usize,
    /// Whether the run was cancelled.
    pub cancelled: bool,
}

impl Chains {
    /// Chains that start at these states, each at its own time. Take states of that level: samples of another method (a
    /// 20-step solver in the paper) noised to a level, or draws of the joint law.
    ///
    /// # Errors
    /// If there is not one time per row.
    pub fn new(state: State, times: Vec<f64>) -> Result<Self, SamplerError> {
        if times.len() != state.batch() {
            let (expected, found) = (state.batch(), times.len());
            return Err(SamplerError::Count { what: "times of chains, one per row", expected, found });
        }
        let trace = vec![Vec::new(); times.len()];
        Ok(Self { state, times, step: 0, trace })
    }

    /// The integrated autocorrelation time of the level (as its time), in steps of the chain.
    #[must_use]
    pub fn autocorrelation_times(&self) -> f64 {
        super::autocorrelation_time(&self.trace)
    }
}

const NAME: &str = "denoising MCMC";

impl<'p> DenoisingMcmc<'p> {
    /// The published settings: step size η = 0.5, the lower end of the published 0.5 to 1.6, which biases the chain least;
    /// `skip` 10; 1000 levels; the most probable of them. For draws of the joint law set `choice` to [`LevelChoice::Draw`].
    ///
    /// What denoises is the caller's choice. The paper's KAR1 is [`Heun`](crate::plan::Heun) with its defaults on a Karras
    /// grid; KAR2 adds `s_churn` 80, `s_noise` 1.007 and the window `s_min` 0.05 to `s_max` 1. `t_end` is the last time of
    /// that planner. A sample costs 10 evaluations and those of `denoise_steps` steps.
    #[must_use]
    pub fn published(
        paths: Vec<PathConfig>,
        planner: &'p dyn Planner,
        denoise_steps: usize,
        t_end: f64,
    ) -> Self {
        let (step_size, skip, levels, choice) = (0.5, 10, 1000, LevelChoice::MostProbable);
        Self { paths, step_size, skip, levels, choice, planner, denoise_steps, t_end }
    }

    /// The times of the levels, increasing. The first is 0, or `t_end` where a path has no noise at 0 and so no score.
    #[must_use]
    pub fn level_times(&self) -> Vec<f64> {
        let built: Vec<_> = self.paths.iter().map(PathConfig::build).collect();
        let noisy = built.iter().all(|path| path.sigma(0.0) > 0.0);
        let (lowest, start) = (if noisy { 0.0 } else { self.t_end }, start_time(&built));
        (0..self.levels).map(|level| linspace(lowest, start, self.levels, level)).collect()
    }

    /// The Langevin step at time `t`.
    fn langevin(&self, t: f64, draw: u32) -> Result<Plan, SamplerError> {
        let mut builder = PlanBuilder::new(NAME, &self.paths, 1)?;
        let score = builder.register();
        builder.begin_step(t);
        builder.eval_state(t, PredictionKind::Score, score);
        let each = |read: &dyn Fn(&dyn Path) -> f64| builder.each(|path| read(path));
        let ones = each(&|_| 1.0);
        let gain = each(&|path| 0.5 * self.step_size * path.sigma(t) * path.sigma(t));
        let coefficients = each(&|path| libm::sqrt(self.step_size) * path.sigma(t));
        let noise = Some(NoiseTerm { stream: Stream::Corrector, step: draw, coefficients });
        builder.combine(STATE, vec![(STATE, ones), (score, gain)], noise);
        builder.finish()
    }

    /// One step of every chain: the state, then the level. Costs one evaluation. Chains that diverge stay at zero.
    ///
    /// # Errors
    /// If an option is out of range; as [`Executor::run_rows`] and [`NoiseLevels::log_weights`].
    pub fn advance(
        &self,
        executor: &mut Executor<'_>,
        levels: &dyn NoiseLevels,
        chains: &mut Chains,
        ids: &[u64],
    ) -> Result<bool, SamplerError> {
        for (option, value, usable, expected) in [
            ("step_size", self.step_size, self.step_size > 0.0 && self.step_size < 4.0, "above 0, below 4"),
            ("levels", self.levels as f64, self.levels > 1, "at least 2"),
            ("skip", self.skip as f64, self.skip > 0, "at least 1"),
        ] {
            if !usable {
                return Err(SamplerError::Option { planner: NAME, option, value, expected });
            }
        }
        let plans: Vec<Plan> =
            chains.times.iter().map(|&t| self.langevin(t, chains.step)).collect::<Result<_, _>>()?;
        let outcome = executor.run_rows(&plans, chains.state.clone(), ids)?;
        if outcome.cancelled {
            return Ok(true);
        }
        chains.state = outcome.state;
        let times = self.level_times();
        let weights = levels.log_weights(&chains.state, &times)?;
        let (expected, found) = (ids.len() * times.len(), weights.len());
        if expected != found {
            return Err(SamplerError::Count { what: "log-weights of noise levels", expected, found });
        }
        let draws = uniform(executor.noise(), Stream::Level, chains.step, ids);
        for (row, weights) in weights.chunks_exact(times.len()).enumerate() {
            let level = match self.choice {
                LevelChoice::Draw => choose(weights, draws[row]),
                // Of equals the lowest level.
                LevelChoice::MostProbable => weights
                    .iter()
                    .enumerate()
                    .filter(|(_, weight)| !weight.is_nan())
                    .rev()
                    .max_by(|a, b| a.1.total_cmp(b.1))
                    .map(|(level, _)| level),
            };
            // A row without a usable weight keeps its level.
            if let Some(level) = level {
                chains.times[row] = times[level];
            }
            chains.trace[row].push(chains.times[row]);
        }
        chains.step += 1;
        Ok(false)
    }

    /// Advances the chains by `skip` steps and denoises the state of the smallest level each has visited on them.
    ///
    /// # Errors
    /// As [`DenoisingMcmc::advance`] and [`Planner::plan`].
    pub fn sample(
        &self,
        executor: &mut Executor<'_>,
        levels: &dyn NoiseLevels,
        chains: &mut Chains,
        ids: &[u64],
    ) -> Result<McmcSample, SamplerError> {
        let mut cancelled = self.advance(executor, levels, chains, ids)?;
        let (mut state, mut times) = (chains.state.clone(), chains.times.clone());
        for _ in 1..self.skip {
            cancelled = cancelled || self.advance(executor, levels, chains, ids)?;
            let smaller: Vec<usize> =
                (0..times.len()).filter(|&row| chains.times[row] < times[row]).collect();
            if !smaller.is_empty() {
                state.assign(&smaller, &chains.state.select(&smaller))?;
            }
            for row in smaller {
                times[row] = chains.times[row];
            }
        }
        let mut evaluations = self.skip;
        if !cancelled {
            let plans: Vec<Plan> = times
                .iter()
                .map(|&t| {
                    // A planner needs a range to work on, however short.
                    let start = t.max(self.t_end + 1e-6);
                    let paths: Vec<_> = self.paths.iter().map(|path| entered_at(path, start)).collect();
                    self.planner.plan(&paths, self.denoise_steps)
                })
                .collect::<Result<_, _>>()?;
            let outcome = executor.run_rows(&plans, state, ids)?;
            cancelled = outcome.cancelled;
            state = outcome.state;
            evaluations += outcome.evaluations;
        }
        Ok(McmcSample { state, times, evaluations, cancelled })
    }
}
