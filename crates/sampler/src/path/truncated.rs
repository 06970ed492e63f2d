use serde::{Deserialize, Serialize};

use super::{Discretised, Marginal, Path, PathConfig, Transition};
use crate::error::SamplerError;

/// A path that is entered at `t_max` instead of at its end: everything else is the inner path's.
///
/// Every planner starts at the latest time its paths have in common ([`start_time`](super::start_time)), so a planner
/// given truncated paths plans from `t_max`: from a draft, from the level a chain has reached, from a previous plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truncated {
    /// The whole path.
    pub path: Box<PathConfig>,
    /// The time it is entered at, in (0, 1].
    pub t_max: f64,
}

impl Truncated {
    pub(super) fn build(&self) -> Box<dyn Path> {
        Box::new(Entered { path: self.path.build(), t_max: self.t_max })
    }

    pub(super) fn validate(&self) -> Result<(), SamplerError> {
        if !(self.t_max > 0.0 && self.t_max <= 1.0) {
            let (parameter, value, expected) = ("t_max", self.t_max, "a time in (0, 1]");
            return Err(SamplerError::PathParameter { path: self.path.name(), parameter, value, expected });
        }
        self.path.validate()
    }
}

#[derive(Debug)]
struct Entered {
    path: Box<dyn Path>,
    t_max: f64,
}

impl Path for Entered {
    fn name(&self) -> &'static str {
        self.path.name()
    }
    fn log_alpha(&self, t: f64) -> f64 {
        self.path.log_alpha(t)
    }
    fn alpha(&self, t: f64) -> f64 {
        self.path.alpha(t)
    }
    fn sigma(&self, t: f64) -> f64 {
        self.path.sigma(t)
    }
    fn lambda(&self, t: f64) -> f64 {
        self.path.lambda(t)
    }
    fn inverse_lambda(&self, lambda: f64) -> f64 {
        self.path.inverse_lambda(lambda)
    }
    fn drift_coefficient(&self, t: f64) -> f64 {
        self.path.drift_coefficient(t)
    }
    fn diffusion(&self, t: f64) -> f64 {
        self.path.diffusion(t)
    }
    fn marginal(&self, t: f64) -> Marginal {
        self.path.marginal(t)
    }
    fn t_max(&self) -> f64 {
        self.t_max.min(self.path.t_max())
    }
    fn discretised(&self, t: f64, scales: usize) -> Discretised {
        self.path.discretised(t, scales)
    }
    fn langevin_alpha(&self, t: f64, scales: usize) -> f64 {
        self.path.langevin_alpha(t, scales)
    }
    fn transition(&self, t: f64, dt: f64) -> Option<Transition> {
        self.path.transition(t, dt)
    }
    fn ends_in_noise(&self) -> bool {
        self.path.ends_in_noise()
    }
    /// The standard deviation of the noise at the entry.
    fn prior_std(&self) -> f64 {
        self.path.sigma(self.t_max())
    }
}
