//! Trajectories as data: positions `[T, N, 3]` with elements, bonds, cell and times; files; simulators; windows of data
//! sets; metrics; baselines that need no network; and evaluations made of all that.
//!
//! Nothing here knows a tensor library. Inside, lengths are ångström and times femtoseconds ([`units`]); every file
//! format converts at its edge. Shapes: `T` frames, `N` atoms, `K` samples.

// A test may stop at what it did not expect.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod baselines;
pub mod cell;
pub mod element;
pub mod error;
pub mod evaluation;
pub mod file;
pub mod geometry;
pub mod handedness;
pub mod metrics;
pub mod molecular_graph;
pub mod nbody;
pub mod pedestrians;
pub mod sample_set;
pub mod selection;
pub mod superpose;
pub mod topology;
pub mod trajectory;
pub mod units;
pub mod windows;

pub use cell::Cell;
pub use element::Element;
pub use error::TrajectoryError;
pub use file::{Format, ReadOptions, TrajectoryReader, TrajectoryWriter, WriteOptions};
pub use handedness::Handedness;
pub use sample_set::SampleSet;
pub use selection::Selection;
pub use superpose::{Superposition, superpose};
pub use topology::{Residue, Topology};
pub use trajectory::{Frame, Trajectory};
pub use windows::{Part, Windows};
