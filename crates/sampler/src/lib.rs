//! The sampler core: paths, plans, executor and keyed noise.
//!
//! One idea: **a sampler is data**. A [planner](Planner) turns paths and a number of steps into a
//! [`Plan`]: a short list of operations whose coefficients were computed once, on the host, in f64. One
//! [`Executor`] runs every plan on every [`State`] with every
//! [`Denoiser`].
//!
//! | concept | module |
//! | --- | --- |
//! | state of several components, one row per sample | [`state`] |
//! | the subspace a component lives in | [`support`] |
//! | noise as a pure function of (seed, sample, stream, step, element) | [`noise`] |
//! | noising paths `x_t = α_t x_0 + σ_t ε` | [`path`] |
//! | categorical diffusion in discrete steps | [`categorical`] |
//! | what a network predicts, and conversions | [`prediction`] |
//! | the network as the core sees it | [`denoiser`] |
//! | time grids | [`grid`] |
//! | plans and planners, one file per method | [`plan`] |
//! | the only sampling loop | [`execute`] |
//! | statistics of a checkpoint that a planner may use | [`statistics`] |
//! | loops and populations above it: warm starts, searches, chains | [`drive`] |
//! | wrappers of a denoiser that are denoisers again | [`steer`] |
//! | DDPM, NCSN and score SDE in their own words | [`front_end`] |
//!
//! Clock: t = 0 is data, t = 1 is noise. Shapes: every component is a matrix `[B, D]`, one row per sample.
//!
//! ```
//! use equidrift_sampler::path::PathConfig;
//! use equidrift_sampler::plan::SamplerConfig;
//!
//! let paths = [PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 }];
//! let plan = SamplerConfig::by_name("dpm-solver++").unwrap().build().plan(&paths, 20).unwrap();
//! assert_eq!(plan.evaluations(), 20);
//! println!("{plan}");
//! ```

pub mod categorical;
pub mod denoiser;
pub mod drive;
mod error;
pub mod execute;
pub mod front_end;
pub mod grid;
pub mod likelihood;
pub mod noise;
pub mod path;
pub mod plan;
pub mod prediction;
pub mod state;
pub mod statistics;
pub mod steer;
pub mod support;
mod vector_jacobian;

pub use burn::tensor::{DType, Device, Tensor};
pub use categorical::{CategoricalDiffusion, KeepSchedule, ReverseCoefficients, draw_class};
pub use denoiser::{Counted, DenoiseError, Denoiser};
pub use error::SamplerError;
pub use execute::{Executor, Failure, Observer, OperationEvent, Outcome, Progress};
pub use grid::TimeGrid;
pub use likelihood::{Divergence, Likelihood, LogLikelihood, PriorDensity, TerminalDensity};
pub use noise::{ComponentNoise, KeyedNoise, NoiseLaw, NoiseSource, Stream, TemperedNoise};
pub use path::{Marginal, Path, PathConfig};
pub use plan::{Op, Plan, Planner, SamplerConfig};
pub use prediction::PredictionKind;
pub use state::{Component, State};
pub use support::{Layout, Support};
pub use vector_jacobian::{PredictionsAndGradients, VectorJacobian};
