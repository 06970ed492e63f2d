//! Searching for the best solver schedule of a checkpoint at a fixed number of evaluations.

use std::ops::ControlFlow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Draws;
use super::score_predictor::ScorePredictor;
use crate::error::SamplerError;
use crate::path::PathConfig;
use crate::plan::{Plan, SamplerConfig};

/// A description of a plan that can be changed at random and mixed with another.
///
/// [`UnifiedSchedule`](crate::plan::UnifiedSchedule) is one, for ODE solvers whose steps each have a strategy;
/// [`OptionGenome`](super::OptionGenome) another, for the options of any planner, and [`Modulation`](super::Modulation) a third, for
/// the numbers of any plan.
pub trait Genome: Clone + PartialEq + Serialize + DeserializeOwned {
    /// What all genomes of a search share: paths, budget, ranges.
    type Space;

    /// Where the search starts: named genomes, among them all known good ones.
    fn seeds(space: &Self::Space) -> Vec<(String, Self)>;

    /// A changed copy.
    #[must_use]
    fn mutate(&self, space: &Self::Space, draws: &mut Draws) -> Self;

    /// A mixture of two.
    #[must_use]
    fn crossover(&self, other: &Self, space: &Self::Space, draws: &mut Draws) -> Self;

    /// The plan it describes.
    ///
    /// # Errors
    /// If it describes none; the search then draws another.
    fn plan(&self, space: &Self::Space) -> Result<Plan, SamplerError>;

    /// Numbers of a fixed count from which a score may be predicted.
    fn features(&self, space: &Self::Space) -> Vec<f64>;
}

/// How candidates are ranked before they are run (the idea of the paper's predictor-based search, S³): from
/// `warm_up` evaluated genomes on, each next one is the best of `pool` candidates by a regression of the log score on the
/// features of all evaluated genomes, fitted again every `round` evaluations. One in five is taken unranked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ranking {
    /// Evaluated genomes before the first regression.
    pub warm_up: usize,
    /// Candidates per evaluation.
    pub pool: usize,
    /// Evaluations between regressions.
    pub round: usize,
}

impl Default for Ranking {
    fn default() -> Self {
        Self { warm_up: 60, pool: 64, round: 20 }
    }
}

/// How a search goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchSettings {
    /// Schedules evaluated in all, baselines and seeds among them.
    pub evaluations: usize,
    /// Parents are drawn from this many best genomes.
    pub parents: usize,
    /// Probability that a child has two parents.
    pub crossover: f64,
    /// Learned ranking of candidates; `None` evaluates every child.
    pub ranking: Option<Ranking>,
    /// Seed of all choices.
    pub seed: u64,
}

impl Default for SearchSettings {
    fn default() -> Self {
        Self { evaluations: 400, parents: 15, crossover: 0.3, ranking: Some(Ranking::default()), seed: 0 }
    }
}

/// One evaluated schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "G: Genome")]
pub struct Evaluated<G> {
    /// Name of the baseline or seed it is; `None` for a child of the search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its genome; `None` for a baseline that is only a plan.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub genome: Option<G>,
    /// The plan of a baseline without a genome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// The objective, lower is better; `None` if it was not a finite number.
    pub score: Option<f64>,
}

/// Everything a search knows: enough to go on after it was stopped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "G: Genome", deny_unknown_fields)]
pub struct SearchState<G> {
    version: u32,
    /// The schedules evaluated so far, in order.
    pub evaluated: Vec<Evaluated<G>>,
}

/// Nothing is evaluated yet.
impl<G> Default for SearchState<G> {
    fn default() -> Self {
        Self { version: VERSION, evaluated: Vec::new() }
    }
}

/// The version this code writes and reads.
const VERSION: u32 = 1;

/// How far a search is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchProgress {
    /// Schedules evaluated.
    pub evaluated: usize,
    /// Schedules to evaluate in all.
    pub evaluations: usize,
    /// Score of the last one, if it has one.
    pub score: Option<f64>,
    /// Best score so far.
    pub best: Option<f64>,
}

/// Evolutionary search over schedules with a fixed number of evaluations.
///
/// First every baseline plan and every seed genome is evaluated, so that the result is never worse than the best of them
/// on the objective. Then children of the best genomes are, one at a time, without repeating any. What is found is fitted
/// to one network and one objective: confirm it on other starts.
///
/// The objective is any function of a plan, lower is better: [`ReferenceDistance`](super::ReferenceDistance), a distance
/// between molecules, a time. Everything else is a pure function of the seed and the scores, and all scores are recorded,
/// so a search that is stopped, written and read goes on as if nothing had happened.
///
/// Source: Liu et al., "A Unified Sampling Framework for Solver Searching of Diffusion Probabilistic Models", ICLR 2024
/// (arXiv 2312.07243), whose settings are the defaults. Cost: one call of the objective per schedule.
#[derive(Debug)]
pub struct ScheduleSearch<'s, G: Genome> {
    space: &'s G::Space,
    settings: SearchSettings,
    baselines: Vec<(String, Plan)>,
    state: SearchState<G>,
    predictor: Option<(usize, ScorePredictor)>,
}

/// The plans of every sampler, with its default options, that takes exactly `evaluations` evaluations.
#[must_use]
pub fn baseline_plans(paths: &[PathConfig], evaluations: usize) -> Vec<(String, Plan)> {
    let mut plans = Vec::new();
    for sampler in SamplerConfig::all() {
        for steps in 1..=evaluations {
            if sampler.planner().evaluations(steps, paths.len()) == evaluations
                && let Ok(plan) = sampler.plan(paths, steps)
            {
                plans.push((sampler.name().to_owned(), plan));
                break;
            }
        }
    }
    plans
}

impl<'s, G: Genome> ScheduleSearch<'s, G> {
    /// A search in `space` that must not do worse than the plans in `baselines`.
    ///
    /// # Errors
    /// [`SamplerError::Option`] if a setting is out of range.
    pub fn new(
        space: &'s G::Space,
        settings: SearchSettings,
        baselines: Vec<(String, Plan)>,
    ) -> Result<Self, SamplerError> {
        Self::resume(space, settings, baselines, SearchState::default())
    }

    /// Goes on from `state` with the same space, settings and baselines.
    ///
    /// # Errors
    /// As [`ScheduleSearch::new`]; if the state is of another version or holds records without genome and plan.
    pub fn resume(
        space: &'s G::Space,
        settings: SearchSettings,
        baselines: Vec<(String, Plan)>,
        state: SearchState<G>,
    ) -> Result<Self, SamplerError> {
        let reject = |option, value, expected| {
            Err(SamplerError::Option { planner: "search", option, value, expected })
        };
        if settings.parents == 0 {
            return reject("parents", 0.0, "at least 1");
        }
        if !(0.0..=1.0).contains(&settings.crossover) {
            return reject("crossover", settings.crossover, "a probability");
        }
        if let Some(ranking) = settings.ranking {
            if ranking.pool == 0 {
                return reject("ranking.pool", 0.0, "at least 1");
            }
            if ranking.round == 0 {
                return reject("ranking.round", 0.0, "at least 1");
            }
        }
        if state.version != VERSION {
            return reject("version", f64::from(state.version), "1");
        }
        if let Some(index) = state.evaluated.iter().position(|e| e.genome.is_none() && e.plan.is_none()) {
            return reject("evaluated", index as f64, "records with a genome or a plan");
        }
        Ok(Self { space, settings, baselines, state, predictor: None })
    }

    /// What is known so far.
    #[must_use]
    pub fn state(&self) -> &SearchState<G> {
        &self.state
    }

    /// The evaluated schedules that have a score, best first; equal scores in the order of evaluation.
    #[must_use]
    pub fn ranked(&self) -> Vec<&Evaluated<G>> {
        let mut ranked: Vec<&Evaluated<G>> =
            self.state.evaluated.iter().filter(|record| record.score.is_some()).collect();
        ranked.sort_by(|a, b| score(a).total_cmp(&score(b)));
        ranked
    }

    /// The best schedule so far with its plan and score.
    ///
    /// # Errors
    /// If its genome no longer describes a plan in this space.
    pub fn best(&self) -> Result<Option<(Plan, f64)>, SamplerError> {
        let Some(record) = self.ranked().first().copied() else { return Ok(None) };
        let plan = match (&record.genome, &record.plan) {
            (Some(genome), _) => genome.plan(self.space)?,
            (None, Some(plan)) => plan.clone(),
            (None, None) => return Ok(None),
        };
        Ok(Some((plan, score(record))))
    }

    /// Evaluates schedules until their number is reached or `progress` breaks. An objective that is not a finite number
    /// means a bad schedule; an error stops the search.
    ///
    /// # Errors
    /// What the objective returns; [`SamplerError::Option`] if there is neither a baseline nor a seed to start from; if a
    /// seed describes no plan.
    pub fn run<E: From<SamplerError>>(
        &mut self,
        mut objective: impl FnMut(&Plan) -> Result<f64, E>,
        mut progress: impl FnMut(&SearchProgress) -> ControlFlow<()>,
    ) -> Result<(), E> {
        let mut starts: Vec<Evaluated<G>> = Vec::new();
        for (name, plan) in &self.baselines {
            let (name, plan) = (Some(name.clone()), Some(plan.clone()));
            starts.push(Evaluated { name, genome: None, plan, score: None });
        }
        for (name, genome) in G::seeds(self.space) {
            starts.push(Evaluated { name: Some(name), genome: Some(genome), plan: None, score: None });
        }
        if starts.is_empty() {
            let (option, expected) = ("seeds", "a budget, times and paths for which there is a schedule");
            return Err(SamplerError::Option { planner: "search", option, value: 0.0, expected }.into());
        }
        // Baselines always run, however small the number of evaluations.
        let total = self.settings.evaluations.max(starts.len());
        let mut best = self.ranked().first().map(|record| score(record));
        while self.state.evaluated.len() < total {
            let index = self.state.evaluated.len();
            let (mut record, plan) = if let Some(start) = starts.get(index) {
                let plan = match (&start.genome, &start.plan) {
                    (Some(genome), _) => genome.plan(self.space).map_err(E::from)?,
                    (None, Some(plan)) => plan.clone(),
                    (None, None) => break,
                };
                (start.clone(), plan)
            } else {
                let Some((genome, plan)) = self.propose(index) else { break };
                (Evaluated { name: None, genome: Some(genome), plan: None, score: None }, plan)
            };
            let value = objective(&plan)?;
            record.score = value.is_finite().then_some(value);
            best = [best, record.score].into_iter().flatten().min_by(f64::total_cmp);
            let score = record.score;
            self.state.evaluated.push(record);
            let (evaluated, evaluations) = (index + 1, total);
            if progress(&SearchProgress { evaluated, evaluations, score, best }).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The next genome to evaluate; `None` if no parent has a score or no new child is found.
    fn propose(&mut self, index: usize) -> Option<(G, Plan)> {
        /// Children drawn before the search counts as exhausted.
        const ATTEMPTS: usize = 1000;
        let mut draws = Draws::new(self.settings.seed, index as u64);
        let ranking = self.settings.ranking;
        let known = self.state.evaluated.iter().filter(|e| e.genome.is_some() && e.score.is_some()).count();
        let ranked = match ranking {
            Some(ranking) if known >= ranking.warm_up && !draws.happens(0.2) => {
                self.fit(index - index % ranking.round);
                ranking.pool
            }
            _ => 1,
        };
        let parents: Vec<G> = self
            .ranked()
            .into_iter()
            .filter_map(|record| record.genome.clone())
            .take(self.settings.parents)
            .collect();
        if parents.is_empty() {
            return None;
        }
        let mut pool: Vec<G> = Vec::new();
        for _ in 0..ATTEMPTS {
            if pool.len() == ranked {
                break;
            }
            let child = self.child(&parents, &mut draws);
            let seen = self.state.evaluated.iter().any(|record| record.genome.as_ref() == Some(&child));
            // What is to be ranked is compiled once it is chosen.
            if !seen && !pool.contains(&child) && (ranked > 1 || child.plan(self.space).is_ok()) {
                pool.push(child);
            }
        }
        if let Some((_, predictor)) = &self.predictor
            && pool.len() > 1
        {
            let predicted = pool.into_iter().map(|genome| {
                let prediction = predictor.predict(&genome.features(self.space));
                (prediction, genome)
            });
            let mut predicted: Vec<(f64, G)> = predicted.collect();
            predicted.sort_by(|a, b| a.0.total_cmp(&b.0));
            pool = predicted.into_iter().map(|(_, genome)| genome).collect();
        }
        pool.into_iter().find_map(|genome| genome.plan(self.space).ok().map(|plan| (genome, plan)))
    }

    fn child(&self, parents: &[G], draws: &mut Draws) -> G {
        let first = draws.index(parents.len());
        if parents.len() > 1 && draws.happens(self.settings.crossover) {
            let second = (first + 1 + draws.index(parents.len() - 1)) % parents.len();
            return parents[first].crossover(&parents[second], self.space, draws).mutate(self.space, draws);
        }
        parents[first].mutate(self.space, draws)
    }

    /// Fits the predictor to the first `count` schedules.
    fn fit(&mut self, count: usize) {
        if matches!(&self.predictor, Some((fitted, _)) if *fitted == count) {
            return;
        }
        let (mut features, mut scores) = (Vec::new(), Vec::new());
        for record in &self.state.evaluated[..count.min(self.state.evaluated.len())] {
            if let (Some(genome), Some(score)) = (&record.genome, record.score)
                && score > 0.0
            {
                features.push(genome.features(self.space));
                scores.push(score);
            }
        }
        self.predictor = ScorePredictor::fit(&features, &scores).map(|predictor| (count, predictor));
    }
}

fn score<G>(record: &Evaluated<G>) -> f64 {
    record.score.unwrap_or(f64::INFINITY)
}
