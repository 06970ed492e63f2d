//! Steering: denoisers made of other denoisers.
//!
//! A wrapper answers for the network inside it, so no planner and no executor knows that a run is steered.
//!
//! | wrapper | what it does |
//! | --- | --- |
//! | [`ClockConverted`] | samples on another path than the network was trained on |
//! | [`ComposedVelocity`] | makes the velocity of an interpolant of the heads v and η or s |
//! | [`Recentred`] | runs the diffusion on the deviation from a mean per sample (mean-reverting processes) |

mod clock_converted;
mod composed_velocity;
mod recentred;

pub use clock_converted::ClockConverted;
pub use composed_velocity::ComposedVelocity;
pub use recentred::Recentred;
