//! Steering: denoisers made of other denoisers.
//!
//! A wrapper answers for the network inside it, so no planner and no executor knows that a run is steered.
//!
//! | wrapper | what it does |
//! | --- | --- |
//! | [`ChangeOfBasis`] | runs the diffusion in other coordinates, so that linear observations become known entries |
//! | [`ClockConverted`] | samples on another path than the network was trained on |
//! | [`ComposedVelocity`] | makes the velocity of an interpolant of the heads v and η or s |
//! | [`Recentred`] | runs the diffusion on the deviation from a mean per sample (mean-reverting processes) |
//! | [`SelfGuided`] | pulls the samples of an unconditional model to observed entries |

mod change_of_basis;
mod clock_converted;
mod composed_velocity;
mod held_rows;
mod recentred;
mod self_guidance;

pub use change_of_basis::{ChangeOfBasis, OrthogonalBasis};
pub use clock_converted::ClockConverted;
pub use composed_velocity::ComposedVelocity;
pub use recentred::Recentred;
pub use self_guidance::{ObservationEnergy, SelfGuided};
