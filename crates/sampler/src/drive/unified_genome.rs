//! Solver schedules as genomes: what the search may change about an ODE solver.

use serde::{Deserialize, Serialize};

use super::{Draws, Genome};
use crate::error::SamplerError;
use crate::grid::TimeGrid;
use crate::path::{Path, PathConfig, start_time};
use crate::plan::{Expansion, FirstPrediction, Plan, StepCorrector, StepStrategy, UnifiedSchedule};
use crate::statistics::ModelStatistics;

/// How much a child differs from its parent. The defaults are the published ones; fine moves are an addition.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MutationRates {
    /// Probability that a field of a step changes.
    pub field: f64,
    /// Probability that a step is inserted, and that one is removed; the budget is then restored elsewhere.
    pub step: f64,
    /// Standard deviation of a time's move, as a share of the range of λ.
    pub time: f64,
    /// Standard deviation of a relaxation's move.
    pub relaxation: f64,
    /// Probability that a mixture takes the strategies of each step, not only whole fields, from either parent.
    pub deep_crossover: f64,
    /// Probability that a child makes a fine move: fields and steps change a third as often, and half as far.
    pub fine: f64,
}

impl Default for MutationRates {
    fn default() -> Self {
        Self { field: 0.3, step: 0.2, time: 0.08, relaxation: 0.03, deep_crossover: 0.5, fine: 0.5 }
    }
}

/// The search space of [`UnifiedSchedule`]s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnifiedSpace {
    /// The components' paths.
    pub paths: Vec<PathConfig>,
    /// Network evaluations of every schedule.
    pub evaluations: usize,
    /// Where every schedule ends.
    pub t_end: f64,
    /// Whether the last evaluation returns x̂₀.
    pub denoise: bool,
    /// Statistics of the checkpoint; without them no step is one of DPM-Solver-v3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<ModelStatistics>,
    /// Mean of the data per component; without it no schedule begins with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Vec<f64>>,
    /// How far children are from their parents.
    #[serde(default)]
    pub rates: MutationRates,
}

/// The clock of a space: λ of the first component, scaled to 0 at the start and 1 at the end.
struct Clock {
    path: Box<dyn Path>,
    start: f64,
    end: f64,
    first: f64,
    range: f64,
}

impl Clock {
    fn new(space: &UnifiedSpace) -> Option<Self> {
        let paths: Vec<Box<dyn Path>> = space.paths.iter().map(PathConfig::build).collect();
        let (start, end) = (start_time(&paths), space.t_end);
        let path = paths.into_iter().next()?;
        let (first, last) = (path.lambda(start), path.lambda(end));
        Some(Self { path, start, end, first, range: last - first })
    }

    fn position(&self, time: f64) -> f64 {
        (self.path.lambda(time) - self.first) / self.range
    }

    fn time(&self, position: f64) -> f64 {
        let time = self.path.inverse_lambda(self.first + position * self.range);
        time.clamp(self.end, self.start)
    }
}

impl UnifiedSpace {
    fn expansions(&self) -> Vec<(Expansion, f64)> {
        if self.statistics.is_some() {
            vec![(Expansion::Noise, 0.3), (Expansion::Data, 0.3), (Expansion::Statistics, 0.4)]
        } else {
            vec![(Expansion::Noise, 0.5), (Expansion::Data, 0.5)]
        }
    }

    fn firsts(&self) -> Vec<(FirstPrediction, f64)> {
        let mut firsts = vec![(FirstPrediction::Network, 0.3), (FirstPrediction::Zero, 0.3)];
        if self.mean.is_some() {
            firsts.push((FirstPrediction::Mean, 0.4));
        }
        firsts
    }

    fn step(&self, time: f64, draws: &mut Draws) -> StepStrategy {
        StepStrategy {
            time,
            order: draws.weighted(&ORDERS),
            expansion: draws.weighted(&self.expansions()),
            points: draws.weighted(&POINTS),
            relaxation: 0.0,
            start: 1,
            corrector: draws.weighted(&CORRECTORS),
        }
    }

    /// Makes a changed schedule one that can be run, with the space's number of evaluations.
    fn repair(&self, schedule: &mut UnifiedSchedule, draws: &mut Draws) {
        let Some(clock) = Clock::new(self) else { return };
        schedule.denoise = self.denoise;
        while schedule.evaluations() > self.evaluations && schedule.steps.len() > 1 {
            let implicit: Vec<usize> = (0..schedule.steps.len())
                .filter(|&i| schedule.steps[i].corrector == StepCorrector::Implicit)
                .collect();
            if !implicit.is_empty() && draws.happens(0.5) {
                schedule.steps[implicit[draws.index(implicit.len())]].corrector = StepCorrector::Pseudo;
            } else {
                // The last step ends at the space's end and stays.
                let index = draws.index(schedule.steps.len() - 1);
                schedule.steps.remove(index);
            }
        }
        while schedule.evaluations() < self.evaluations {
            let mut step = self.step(clock.time(draws.uniform()), draws);
            if step.corrector == StepCorrector::Implicit && schedule.evaluations() + 1 == self.evaluations {
                step.corrector = StepCorrector::Pseudo;
            }
            schedule.steps.insert(draws.index(schedule.steps.len()), step);
        }
        // Strategies keep their places; times are put in order.
        let count = schedule.steps.len();
        if count == 0 {
            return;
        }
        let mut positions: Vec<f64> = schedule.steps.iter().map(|step| clock.position(step.time)).collect();
        positions.sort_by(f64::total_cmp);
        let gap = 1e-3;
        let mut before = 0.0;
        for (index, step) in schedule.steps.iter_mut().enumerate() {
            let room = 1.0 - gap * (count - 1 - index) as f64;
            before = positions[index].max(before + gap).min(room);
            step.time = if index + 1 == count { self.t_end } else { clock.time(before) };
            let known = index + 1;
            step.order = step.order.clamp(1, known.min(4) as u8);
            step.points = step.points.clamp(1, 3).min((known - 1).max(1) as u8);
            step.start = step.start.clamp(1, known.min(4) as u8);
            if step.order == 1 {
                (step.points, step.relaxation) = (1, 0.0);
            }
        }
        schedule.steps[count - 1].corrector = StepCorrector::None;
    }

    /// A multistep solver of one order and expansion.
    fn multistep(
        &self,
        grid: &TimeGrid,
        expansion: Expansion,
        order: usize,
        corrector: StepCorrector,
        lower_order_final: bool,
    ) -> Result<UnifiedSchedule, SamplerError> {
        let paths: Vec<Box<dyn Path>> = self.paths.iter().map(PathConfig::build).collect();
        let count = self.evaluations - usize::from(self.denoise);
        let nodes = grid.nodes(&self.paths, count, start_time(&paths), self.t_end)?;
        let steps = (0..count).map(|index| {
            let most = if lower_order_final { (count - index).min(index + 1) } else { index + 1 };
            let order = order.min(most) as u8;
            let last = index + 1 == count;
            StepStrategy {
                time: nodes[index + 1],
                order,
                expansion,
                points: (order - 1).max(1),
                relaxation: 0.0,
                start: 1,
                corrector: if last { StepCorrector::None } else { corrector },
            }
        });
        let first = FirstPrediction::Network;
        Ok(UnifiedSchedule { first, steps: steps.collect(), denoise: self.denoise })
    }

    /// Single steps of one order: the stages of a step all start from its first node.
    fn singlestep(&self, expansion: Expansion, order: usize) -> Result<UnifiedSchedule, SamplerError> {
        let mut schedule =
            self.multistep(&TimeGrid::UniformLambda, expansion, 1, StepCorrector::None, false)?;
        for (index, step) in schedule.steps.iter_mut().enumerate() {
            let stage = (index % order + 1) as u8;
            (step.order, step.start, step.points) = (stage, stage, (stage - 1).max(1));
        }
        Ok(schedule)
    }
}

/// Published weights of the Taylor orders.
const ORDERS: [(u8, f64); 4] = [(1, 0.2), (2, 0.4), (3, 0.3), (4, 0.1)];
/// Nodes of the first derivative's estimator.
const POINTS: [(u8, f64); 3] = [(1, 0.4), (2, 0.4), (3, 0.2)];
/// Nodes a step may start back.
const STARTS: [(u8, f64); 3] = [(1, 0.8), (2, 0.15), (3, 0.05)];
/// Correctors.
const CORRECTORS: [(StepCorrector, f64); 3] =
    [(StepCorrector::None, 0.48), (StepCorrector::Pseudo, 0.48), (StepCorrector::Implicit, 0.04)];

impl Genome for UnifiedSchedule {
    type Space = UnifiedSpace;

    fn seeds(space: &UnifiedSpace) -> Vec<(String, Self)> {
        let karras = TimeGrid::Karras { rho: 7.0 };
        let grids = [
            ("uniform-lambda", TimeGrid::UniformLambda),
            ("uniform-time", TimeGrid::UniformTime),
            ("quadratic", TimeGrid::Quadratic),
            ("karras", karras),
        ];
        let mut seeds: Vec<(String, Self)> = Vec::new();
        let mut add = |name: String, schedule: Result<Self, SamplerError>| {
            if let Ok(schedule) = schedule
                && schedule.evaluations() == space.evaluations
                && schedule.plan(space).is_ok()
                && seeds.iter().all(|(_, known)| *known != schedule)
            {
                seeds.push((name, schedule));
            }
        };
        if space.evaluations <= usize::from(space.denoise) {
            return Vec::new();
        }
        for (expansion, _) in space.expansions() {
            let expanded = format!("{expansion:?}").to_lowercase();
            for order in 1..=3 {
                for (grid_name, grid) in &grids {
                    for corrector in [StepCorrector::None, StepCorrector::Pseudo] {
                        let name = format!("{expanded}, order {order}, {grid_name}, corrector {corrector:?}");
                        add(name, space.multistep(grid, expansion, order, corrector, false));
                    }
                }
            }
            for order in 2..=4 {
                let name = format!("{expanded}, order {order}, uniform-lambda, lower order at the end");
                let grid = &TimeGrid::UniformLambda;
                add(name, space.multistep(grid, expansion, order, StepCorrector::None, true));
            }
            for order in 2..=3 {
                let name = format!("{expanded}, order {order}, single steps");
                add(name, space.singlestep(expansion, order));
            }
        }
        seeds
    }

    fn mutate(&self, space: &UnifiedSpace, draws: &mut Draws) -> Self {
        let MutationRates { mut field, step: mut structural, mut time, mut relaxation, fine, .. } =
            space.rates;
        if draws.happens(fine) {
            (field, structural) = (field / 3.0, structural / 3.0);
            (time, relaxation) = (time / 2.0, relaxation / 2.0);
        }
        let mut child = self.clone();
        let Some(clock) = Clock::new(space) else { return child };
        let structure = draws.uniform();
        if structure < structural {
            let step = space.step(clock.time(draws.uniform()), draws);
            child.steps.insert(draws.index(child.steps.len()), step);
        } else if structure > 1.0 - structural && child.steps.len() > 1 {
            let index = draws.index(child.steps.len() - 1);
            child.steps.remove(index);
        }
        for step in &mut child.steps {
            if draws.happens(field) {
                let moved = clock.position(step.time) + time * draws.normal();
                step.time = clock.time(moved.clamp(0.0, 1.0));
            }
            if draws.happens(field) {
                step.order = draws.weighted(&ORDERS);
            }
            if draws.happens(field) {
                step.expansion = draws.weighted(&space.expansions());
            }
            if draws.happens(field) {
                step.points = draws.weighted(&POINTS);
            }
            if draws.happens(field) {
                step.relaxation += relaxation * draws.normal();
            }
            if draws.happens(field) {
                step.start = draws.weighted(&STARTS);
            }
            if draws.happens(field) {
                step.corrector = draws.weighted(&CORRECTORS);
            }
        }
        if draws.happens(field) {
            child.first = draws.weighted(&space.firsts());
        }
        space.repair(&mut child, draws);
        child
    }

    fn crossover(&self, other: &Self, space: &UnifiedSpace, draws: &mut Draws) -> Self {
        let mut child = self.clone();
        // Strategies of schedules with other numbers of steps do not belong to one another.
        if self.steps.len() != other.steps.len() {
            return child;
        }
        let deep = draws.happens(space.rates.deep_crossover);
        let [times, orders, expansions, starts, correctors] = [(); 5].map(|()| draws.happens(0.5));
        for (mine, theirs) in child.steps.iter_mut().zip(&other.steps) {
            let (orders, expansions) = if deep {
                let both = draws.happens(0.5);
                (both, both)
            } else {
                (orders, expansions)
            };
            if times {
                mine.time = theirs.time;
            }
            if orders {
                (mine.order, mine.points, mine.relaxation) = (theirs.order, theirs.points, theirs.relaxation);
            }
            if expansions {
                mine.expansion = theirs.expansion;
            }
            if starts {
                mine.start = theirs.start;
            }
            if correctors {
                mine.corrector = theirs.corrector;
            }
        }
        if draws.happens(0.5) {
            child.first = other.first;
        }
        space.repair(&mut child, draws);
        child
    }

    fn plan(&self, space: &UnifiedSpace) -> Result<Plan, SamplerError> {
        self.compile(&space.paths, space.statistics.as_ref(), space.mean.as_deref())
    }

    fn features(&self, space: &UnifiedSpace) -> Vec<f64> {
        const PER_STEP: usize = 10;
        let flag = |condition: bool| if condition { 1.0 } else { 0.0 };
        let mut features =
            vec![flag(self.first == FirstPrediction::Zero), flag(self.first == FirstPrediction::Mean)];
        let Some(clock) = Clock::new(space) else { return features };
        // One more step fits the budget when the first prediction is free.
        let slots = space.evaluations + 1;
        for step in self.steps.iter().take(slots) {
            features.extend([
                clock.position(step.time),
                f64::from(step.order),
                flag(step.expansion == Expansion::Data),
                flag(step.expansion == Expansion::Statistics),
                f64::from(step.points),
                step.relaxation,
                f64::from(step.start),
                flag(step.corrector == StepCorrector::Pseudo),
                flag(step.corrector == StepCorrector::Implicit),
                1.0,
            ]);
        }
        features.resize(2 + PER_STEP * slots, 0.0);
        features
    }
}
