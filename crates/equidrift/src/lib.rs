//! Graphs, molecules and trajectories from equivariant diffusion and flow models.
//!
//! This crate is the pipeline: a [`GenerateRequest`] names a model, a sampler and a number of samples; a
//! [`Generator`] draws them; [`generate`] writes them to a file that can be interrupted, resumed, sharded and
//! merged, with the same bytes in every case. The parts it is made of are crates of their own: `equidrift-sampler`
//! (paths, plans, the executor), `equidrift-gdss` (the model family), `equidrift-molecule` (chemistry and files).
//!
//! ```no_run
//! use equidrift::{GenerateRequest, Generator};
//!
//! let generator = Generator::open(&GenerateRequest { num: 20, seed: 7, ..GenerateRequest::default() })?;
//! for molecule in generator.molecules()? {
//!     println!("{}", molecule.smiles);
//! }
//! # Ok::<(), equidrift::Error>(())
//! ```

mod batching;
mod course;
pub mod datasets;
mod error;
mod frame;
mod generate;
mod graph_input;
pub mod likelihood;
pub mod likelihood_bound;
mod manifest;
mod merge;
mod model;
mod model_statistics;
mod molecule_graphs;
mod node_counts;
mod output;
mod request;
mod shard;
mod summary;
pub mod training;
mod trajectories;
mod workers;
mod written;

pub use batching::{Batch, Batches};
pub use course::Course;
pub use error::{Error, ErrorKind};
pub use generate::{
    Destination, Generator, GraphGenerator, GraphJob, Job, Report, Sample, TrajectoryGenerator,
    TrajectoryJob, chemistry, generate, generate_graphs, generate_trajectories, pard_graph_bytes,
};
pub use graph_input::GraphInput;
pub use likelihood::{LikelihoodReport, LikelihoodRequest, likelihood};
pub use likelihood_bound::{BoundReport, BoundRequest, likelihood_bound};
pub use manifest::{Diverged, FORMAT_VERSION, IdRange, Identity, Manifest, Progress};
pub use merge::merge;
pub use model::{FamilyModel, Model};
pub use model_statistics::{StatisticsRequest, measure_statistics};
pub use molecule_graphs::Skipped;
pub use node_counts::NodeCounts;
pub use output::{OutputFile, Resumption};
pub use request::{DEFAULT_MODEL, DEFAULT_SCORE_MODEL, GenerateRequest, embedded_plan, embedded_plans};
pub use shard::{Shard, ShardError};
pub use summary::{GraphSummary, RunSummary, Summary, Tally, TimeShares, TrajectorySummary};
pub use training::{
    FitOptions, FittedModel, FittedTrajectories, TrajectoryFitOptions, fit_graphs, fit_molecules,
    fit_trajectories,
};
pub use trajectories::{GUIDANCE, TrajectoryRequest, TrajectorySource};
pub use workers::{Ending, StopSignal, in_order};
