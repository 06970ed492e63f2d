//! Whole evaluations: a set of samples beside a reference, with what needs no model beside both.
//!
//! | evaluation | compares |
//! | --- | --- |
//! | [`forecast`] | `K` samples of each window with what really followed, and with the baselines |
//! | [`ensemble`] | the distribution of samples with that of a reference, and one half of the reference with the other |

pub mod backbone;
pub mod ensemble;
pub mod forecast;

mod energy;
mod resampling;
mod windows_of_set;

pub use energy::{EnergyDrifts, energies_of_positions};
pub use ensemble::{EnsembleEvaluation, EnsembleTask};
pub use forecast::{Baselines, ForecastEvaluation, ForecastTask, TrainingWindows};
pub use resampling::Resampling;
pub use windows_of_set::{Place, Stretch, frames_between, windows_of};
