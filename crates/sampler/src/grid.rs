//! Time grids: where a solver evaluates the network.

use serde::{Deserialize, Serialize};

use crate::error::SamplerError;
use crate::path::{PathConfig, linspace, start_time};

/// How `n` intervals between a start and an end time are laid out.
///
/// Components with different paths share one master clock; grids that are even in λ then use the mean of the
/// components' λ, which is the plain λ where the paths agree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TimeGrid {
    /// Even in t.
    UniformTime,
    /// Even in λ = ln(α/σ): the default for exponential integrators.
    #[default]
    UniformLambda,
    /// Even in √t: finer near the data.
    Quadratic,
    /// Even in (σ/α)^{1/ρ} (Karras et al. 2022).
    Karras {
        /// ρ, usually 7.
        rho: f64,
    },
    /// These times, decreasing; their number decides the number of intervals.
    Explicit(Vec<f64>),
}

impl TimeGrid {
    /// The `intervals + 1` nodes, decreasing from `start` to `end`, both exact. `start` is the latest time at which every
    /// path has a finite λ ([`start_time`]) or an earlier one.
    ///
    /// # Errors
    /// If `intervals` is 0, the range is not 1 ≥ start > end > 0, the start is later than a path's λ is finite, or a list
    /// is not strictly decreasing inside (0, `start`].
    pub fn nodes(
        &self,
        paths: &[PathConfig],
        intervals: usize,
        start: f64,
        end: f64,
    ) -> Result<Vec<f64>, SamplerError> {
        let reject =
            |option, value, expected| SamplerError::Option { planner: "time grid", option, value, expected };
        if paths.is_empty() {
            return Err(SamplerError::NoPaths { planner: "time grid" });
        }
        if let Self::Explicit(times) = self {
            if times.len() != intervals + 1 {
                let (expected, found) = (intervals + 1, times.len());
                return Err(SamplerError::Count { what: "nodes of an explicit time grid", expected, found });
            }
            if let Some(&value) = times.iter().find(|t| !(**t > 0.0 && **t <= start)) {
                return Err(reject("times", value, "times above 0 and not after the start of the paths"));
            }
            if let Some(pair) = times.windows(2).find(|pair| pair[1] >= pair[0]) {
                return Err(reject("times", pair[1], "strictly decreasing times"));
            }
            return Ok(times.clone());
        }
        if intervals == 0 {
            return Err(reject("intervals", 0.0, "at least 1"));
        }
        let clock = Clock::new(paths);
        // A path that still has noise at t = 0 may be followed to there.
        if !(start <= 1.0 && start > end && end >= 0.0 && clock.lambda(end).is_finite()) {
            return Err(reject("end", end, "0 < end < start <= 1, or 0 where the path has noise at t = 0"));
        }
        if start > start_time(&clock.paths) {
            return Err(reject("start", start, "a time at which every path is used"));
        }
        let between = |from: f64, to: f64, node: &dyn Fn(f64) -> f64| {
            (0..=intervals)
                .map(|i| match i {
                    0 => start,
                    _ if i == intervals => end,
                    _ => node(linspace(from, to, intervals + 1, i)),
                })
                .collect()
        };
        Ok(match self {
            Self::UniformTime => between(start, end, &|t| t),
            Self::Quadratic => between(libm::sqrt(start), libm::sqrt(end), &|root| root * root),
            Self::UniformLambda => {
                between(clock.lambda(start), clock.lambda(end), &|lambda| clock.inverse_lambda(lambda))
            }
            Self::Karras { rho } => {
                if !(rho.is_finite() && *rho > 0.0) {
                    return Err(reject("rho", *rho, "a number above 0"));
                }
                let root = |t: f64| libm::exp(-clock.lambda(t) / rho);
                between(root(start), root(end), &|s| clock.inverse_lambda(-rho * libm::log(s)))
            }
            Self::Explicit(_) => Vec::new(),
        })
    }
}

/// The mean λ of several paths and its inverse.
#[derive(Debug)]
pub(crate) struct Clock {
    paths: Vec<Box<dyn crate::path::Path>>,
    same: bool,
}

impl Clock {
    pub(crate) fn new(paths: &[PathConfig]) -> Self {
        Self {
            paths: paths.iter().map(PathConfig::build).collect(),
            same: paths.windows(2).all(|pair| pair[0] == pair[1]),
        }
    }

    pub(crate) fn lambda(&self, t: f64) -> f64 {
        if self.same {
            return self.paths[0].lambda(t);
        }
        self.paths.iter().map(|path| path.lambda(t)).sum::<f64>() / self.paths.len() as f64
    }

    pub(crate) fn inverse_lambda(&self, lambda: f64) -> f64 {
        if self.same {
            return self.paths[0].inverse_lambda(lambda);
        }
        // λ is strictly decreasing; bisection in ln t reaches the last bit from any range.
        let (mut low, mut high) = (-80.0, libm::log(start_time(&self.paths)));
        for _ in 0..80 {
            let middle = 0.5 * (low + high);
            if self.lambda(libm::exp(middle)) > lambda {
                low = middle;
            } else {
                high = middle;
            }
        }
        libm::exp(0.5 * (low + high))
    }
}
