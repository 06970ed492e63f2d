//! Drivers: what owns loops and populations above the [`Executor`](crate::Executor).
//!
//! A driver decides where runs start, how many there are, which of their results live on and what the next run is; every
//! network evaluation is one of a plan in the executor. All randomness is keyed by (seed, sample id, stream, step), so a
//! sample is the same whatever the batch it was driven in.
//!
//! | driver | what it is for | cost |
//! | --- | --- | --- |
//! | [`WarmStart`] | refine a draft with the last part of a sampler (SDEdit) | that part |
//! | [`RecedingHorizon`] | a stream of plans, each begun from the last one shifted | a few steps a tick |
//! | [`BoundarySearch`] | one starting state that is good for a whole reference set | once; then one run a sample |
//! | [`BestOfN`], [`Svdd`], [`Smc`], [`RolloverBudgetForcing`] | spend a [`Budget`] of evaluations to raise a [`Reward`] | the budget |
//! | [`DenoisingMcmc`] | many similar samples from chains over state and noise level | a few evaluations a sample |
//! | [`ScheduleSearch`] | the best solver schedule, sampler options, or numbers of a plan, for one checkpoint and budget | one objective a schedule |
//!
//! Searches evaluate the candidates of all samples they are given as one batch: hand over fewer samples at a time to bound
//! memory. The result is the same.
//!
//! [`contraction`] tells how much of an error in its starting state a plan leaves.

mod autocorrelation;
mod best_of_n;
mod boundary_search;
mod branching;
mod budget;
pub mod contraction;
mod denoising_mcmc;
mod draws;
mod modulation;
mod option_genome;
mod receding_horizon;
mod reference_distance;
mod reward;
mod rollover_budget_forcing;
mod schedule_search;
mod score_predictor;
mod smc;
mod svdd;
mod unified_genome;
mod uniform;
mod warm_start;

pub use autocorrelation::autocorrelation_time;
pub use best_of_n::BestOfN;
pub use boundary_search::{Boundary, BoundarySearch};
pub use branching::{Branching, Process};
pub use budget::Budget;
pub use denoising_mcmc::{Chains, DenoisingMcmc, LevelChoice, McmcSample, NoiseLevels};
pub use draws::Draws;
pub use modulation::{Modulation, ModulationSpace};
pub use option_genome::{OptionGenome, OptionRange, OptionSpace, SearchedOption};
pub use receding_horizon::{Condition, RecedingHorizon};
pub use reference_distance::ReferenceDistance;
pub use reward::{Reward, Selected};
pub use rollover_budget_forcing::RolloverBudgetForcing;
pub use schedule_search::{
    Evaluated, Genome, Ranking, ScheduleSearch, SearchProgress, SearchSettings, SearchState, baseline_plans,
};
pub use smc::{Particles, Smc};
pub use svdd::Svdd;
pub use unified_genome::{MutationRates, UnifiedSpace};
pub use warm_start::WarmStart;
