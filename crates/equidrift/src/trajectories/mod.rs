//! Trajectories on their way in and out: sources, starting windows, requests, records.

mod records;
mod request;
mod source;
mod starts;

pub use request::{GUIDANCE, TrajectoryRequest};
pub use source::TrajectorySource;

pub(crate) use records::{append_record, merge_trajectories, write_trajectories, write_truth};
pub(crate) use source::{MolecularRun, Systems};
pub(crate) use starts::{Starts, forecast_frames};
