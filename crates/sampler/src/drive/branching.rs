//! Stochastic steps on which particles branch, and the populations that walk on them.

use serde::{Deserialize, Serialize};

use super::reward::Reward;
use crate::error::SamplerError;
use crate::execute::Executor;
use crate::grid::TimeGrid;
use crate::noise::Stream;
use crate::path::{Path, PathConfig, start_time};
use crate::plan::{NoiseTerm, Plan, PlanBuilder, STATE};
use crate::prediction::PredictionKind;
use crate::state::State;

/// What happens between two branching points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Process {
    /// The exact posterior step of the path given x̂₀ (ancestral sampling): with h = λ_t − λ_s from s to t,
    /// `x ← (σ_t/σ_s) e^{−h} x + α_t (1 − e^{−2h}) x̂₀ + σ_t √(1 − e^{−2h}) z`. Its children differ most where the network is still
    /// undecided, whatever the clock.
    #[default]
    Posterior,
    /// The flow ODE made stochastic, with the same marginals: for the flow velocity `u = f x − g² s/2` and any noise level
    /// χ_t ≥ 0 the process `dx = (u − χ² s/2) dt + χ dW̄` has them; here χ_t = `norm` t² of the path's clock. One step from t to
    /// t − d is Euler–Maruyama, `x ← x − d u + d χ² s/2 + χ √d z`.
    ///
    /// Pitfall: χ_t falls off quickly. On a variance-preserving path with linear β modes separate at t near 0.2, where norm 3
    /// leaves hardly any noise, and a greedy search of 10 steps cannot leave the place it has drifted to; on the clock of a
    /// linear flow it can.
    NoisyFlow {
        /// Noise level at t = 1; 3 in the published code.
        norm: f64,
    },
}

/// A stochastic sampler cut into `steps` steps on which particles branch. A step needs one prediction, made at the particle;
/// its children differ in their noise alone.
///
/// To branch a model trained on another path (flow matching), sample it on a variance-preserving path through
/// [`ClockConverted`](crate::steer::ClockConverted): same predictions, more diverse particles.
///
/// Source: Kim et al. 2025 (arXiv 2503.19385).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Branching {
    /// Number of steps. A trajectory costs one evaluation more: its last clean state.
    pub steps: usize,
    /// What a step does.
    pub process: Process,
    /// Layout of the nodes.
    pub grid: TimeGrid,
    /// Last time; default 1e-3 up to 15 steps, 1e-4 above.
    pub t_end: Option<f64>,
}

impl Default for Branching {
    fn default() -> Self {
        Self { steps: 10, process: Process::default(), grid: TimeGrid::UniformTime, t_end: None }
    }
}

const NAME: &str = "branching";

/// One step of one component: `x ← state x + clean x̂₀ + noise z`.
struct Step {
    state: f64,
    clean: f64,
    noise: f64,
}

impl Branching {
    fn nodes(&self, paths: &[PathConfig]) -> Result<Vec<f64>, SamplerError> {
        if let Process::NoisyFlow { norm } = self.process
            && !(norm.is_finite() && norm >= 0.0)
        {
            let (option, value, expected) = ("norm", norm, "a finite number, 0 or more");
            return Err(SamplerError::Option { planner: NAME, option, value, expected });
        }
        let start = start_time(&PlanBuilder::new(NAME, paths, self.steps)?.paths);
        let end = self.t_end.unwrap_or(if self.steps <= 15 { 1e-3 } else { 1e-4 });
        self.grid.nodes(paths, self.steps, start, end)
    }

    fn step(&self, path: &dyn Path, from: f64, to: f64) -> Step {
        match self.process {
            Process::Posterior => {
                let h = path.lambda(to) - path.lambda(from);
                let fresh = -libm::expm1(-2.0 * h);
                let sigma = path.sigma(to);
                Step {
                    state: sigma / path.sigma(from) * libm::exp(-h),
                    clean: path.alpha(to) * fresh,
                    noise: sigma * libm::sqrt(fresh),
                }
            }
            Process::NoisyFlow { norm } => {
                let (width, chi) = (from - to, norm * from * from);
                let (f, g) = (path.drift_coefficient(from), path.diffusion(from));
                let (alpha, sigma) = (path.alpha(from), path.sigma(from));
                // s = (α x̂₀ − x)/σ².
                let gain = 0.5 * (g * g + chi * chi) * width / (sigma * sigma);
                Step { state: 1.0 - width * f - gain, clean: gain * alpha, noise: chi * libm::sqrt(width) }
            }
        }
    }

    /// One trajectory without branches, as a plan: the stochastic sampler itself. The last operation returns x̂₀; of `steps`
    /// steps it makes `steps` + 1 evaluations.
    ///
    /// # Errors
    /// If an option or a path is not usable.
    pub fn plan(&self, paths: &[PathConfig]) -> Result<Plan, SamplerError> {
        let nodes = self.nodes(paths)?;
        let mut builder = PlanBuilder::new(NAME, paths, self.steps)?;
        let clean = builder.register();
        for (index, pair) in nodes.windows(2).enumerate() {
            builder.begin_step(pair[0]);
            builder.eval_state(pair[0], PredictionKind::X0, clean);
            self.push(&mut builder, clean, pair, index as u32);
        }
        builder.begin_step(nodes[self.steps]);
        builder.eval_state(nodes[self.steps], PredictionKind::X0, clean);
        let ones = vec![1.0; builder.components()];
        builder.combine(STATE, vec![(clean, ones)], None);
        builder.finish()
    }

    fn push(&self, builder: &mut PlanBuilder, clean: usize, pair: &[f64], draw: u32) {
        let each = |read: &dyn Fn(Step) -> f64| builder.each(|path| read(self.step(path, pair[0], pair[1])));
        let (state, gain, coefficients) =
            (each(&|step| step.state), each(&|step| step.clean), each(&|step| step.noise));
        let noise = Some(NoiseTerm { stream: Stream::Proposal, step: draw, coefficients });
        builder.combine(STATE, vec![(STATE, state), (clean, gain)], noise);
    }
}

/// Particles of several samples: rows of states, their predictions and rewards.
#[derive(Clone, Debug)]
pub(super) struct Population {
    /// x at the particles' nodes.
    pub(super) state: State,
    /// x̂₀ there.
    pub(super) clean: State,
    pub(super) rewards: Vec<f64>,
}

impl Population {
    pub(super) fn select(&self, rows: &[usize]) -> Self {
        Self {
            state: self.state.select(rows),
            clean: self.clean.select(rows),
            rewards: rows.iter().map(|&row| self.rewards[row]).collect(),
        }
    }

    /// Replaces row `rows[i]` by row `from[i]` of `other`.
    pub(super) fn assign(
        &mut self,
        rows: &[usize],
        other: &Self,
        from: &[usize],
    ) -> Result<(), SamplerError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.state.assign(rows, &other.state.select(from))?;
        self.clean.assign(rows, &other.clean.select(from))?;
        for (&row, &from) in rows.iter().zip(from) {
            self.rewards[row] = other.rewards[from];
        }
        Ok(())
    }
}

/// What walks: the executor, the reward and the compiled steps of one run.
pub(super) struct Walk<'w, 'e> {
    executor: &'w mut Executor<'e>,
    reward: &'w dyn Reward,
    /// One plan per node: x becomes x̂₀.
    look: Vec<Plan>,
    /// One plan per step: x moves, given x̂₀.
    advance: Vec<Plan>,
    /// x becomes another draw of the prior.
    prior: Plan,
    pub(super) cancelled: bool,
}

impl<'w, 'e> Walk<'w, 'e> {
    pub(super) fn new(
        executor: &'w mut Executor<'e>,
        reward: &'w dyn Reward,
        branching: &Branching,
        paths: &[PathConfig],
    ) -> Result<Self, SamplerError> {
        let nodes = branching.nodes(paths)?;
        let mut look = Vec::with_capacity(nodes.len());
        for &time in &nodes {
            let mut builder = PlanBuilder::new(NAME, paths, 1)?;
            let clean = builder.register();
            builder.begin_step(time);
            builder.eval_state(time, PredictionKind::X0, clean);
            let ones = vec![1.0; builder.components()];
            builder.combine(STATE, vec![(clean, ones)], None);
            look.push(builder.finish()?);
        }
        let mut advance = Vec::with_capacity(branching.steps);
        for pair in nodes.windows(2) {
            let mut builder = PlanBuilder::new(NAME, paths, 1)?;
            let clean = builder.register();
            builder.begin_step(pair[0]);
            branching.push(&mut builder, clean, pair, 0);
            advance.push(Plan { given: vec![clean], ..builder.finish()? });
        }
        let mut builder = PlanBuilder::new(NAME, paths, 1)?;
        builder.begin_step(nodes[0]);
        let coefficients = builder.each(|path| path.prior_std());
        builder.combine(
            STATE,
            Vec::new(),
            Some(NoiseTerm { stream: Stream::Proposal, step: 0, coefficients }),
        );
        let prior = builder.finish()?;
        Ok(Self { executor, reward, look, advance, prior, cancelled: false })
    }

    /// Other draws of the prior in the shape of the rows of `like`; `draws[i]` is the number of row i's draw.
    pub(super) fn priors(&mut self, like: State, draws: &[u32], ids: &[u64]) -> Result<State, SamplerError> {
        let plans: Vec<Plan> = draws.iter().map(|&draw| drawing(&self.prior, draw)).collect();
        Ok(self.executor.run_rows(&plans, like, ids)?.state)
    }

    /// One child of every row of `parents` by its step; `draws[i]` is the number of row i's draw.
    pub(super) fn children(
        &mut self,
        parents: &Population,
        steps: &[usize],
        draws: &[u32],
        ids: &[u64],
    ) -> Result<State, SamplerError> {
        let plans: Vec<Plan> =
            steps.iter().zip(draws).map(|(&step, &draw)| drawing(&self.advance[step], draw)).collect();
        let clean = self.advance[0].given[0];
        self.executor.give(vec![(clean, parents.clean.clone())]);
        let outcome = self.executor.run_rows(&plans, parents.state.clone(), ids);
        self.executor.give(Vec::new());
        Ok(outcome?.state)
    }

    /// One evaluation of every row at its node, and its reward.
    pub(super) fn look(
        &mut self,
        state: State,
        nodes: &[usize],
        ids: &[u64],
    ) -> Result<Population, SamplerError> {
        let same = nodes.windows(2).all(|pair| pair[0] == pair[1]);
        let outcome = if let (true, Some(&node)) = (same, nodes.first()) {
            self.executor.run(&self.look[node], state.clone(), ids)?
        } else {
            let plans: Vec<Plan> = nodes.iter().map(|&node| self.look[node].clone()).collect();
            self.executor.run_rows(&plans, state.clone(), ids)?
        };
        self.cancelled |= outcome.cancelled;
        let clean = outcome.state;
        let mut rewards = self.reward.rewards(&clean)?;
        if rewards.len() != ids.len() {
            let (expected, found) = (ids.len(), rewards.len());
            return Err(SamplerError::Count { what: "rewards, one per row", expected, found });
        }
        for reward in &mut rewards {
            if reward.is_nan() {
                *reward = f64::NEG_INFINITY;
            }
        }
        for failure in outcome.failures {
            rewards[failure.row] = f64::NEG_INFINITY;
        }
        Ok(Population { state, clean, rewards })
    }

    /// The first particle of every sample, from the given draws of the prior.
    pub(super) fn roots(&mut self, start: State, ids: &[u64]) -> Result<Population, SamplerError> {
        let nodes = vec![0; ids.len()];
        self.look(start, &nodes, ids)
    }

    pub(super) fn steps(&self) -> usize {
        self.advance.len()
    }
}

/// The plan with another number of its only draw.
fn drawing(plan: &Plan, draw: u32) -> Plan {
    let mut plan = plan.clone();
    for op in plan.steps.iter_mut().flat_map(|step| &mut step.ops) {
        if let crate::plan::Op::Combine { noise: Some(noise), .. } = op {
            noise.step = draw;
        }
    }
    plan
}

/// For each sample the row of its best candidate; `owner[row]` is the sample of a candidate. The first of equals wins.
pub(super) fn best_rows(samples: usize, owner: &[usize], rewards: &[f64]) -> Vec<Option<usize>> {
    let mut best: Vec<Option<usize>> = vec![None; samples];
    for (row, &sample) in owner.iter().enumerate() {
        if best[sample].is_none_or(|other| rewards[row] > rewards[other]) {
            best[sample] = Some(row);
        }
    }
    best
}

/// Every sample `counts[sample]` times: the sample of each row.
pub(super) fn repeated(counts: &[usize]) -> Vec<usize> {
    counts.iter().enumerate().flat_map(|(sample, &count)| std::iter::repeat_n(sample, count)).collect()
}
