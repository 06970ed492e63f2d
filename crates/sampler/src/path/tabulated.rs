use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::monotone_cubic::MonotoneCubic;
use super::{Marginal, Path, check_parameter};
use crate::error::SamplerError;

/// Below this ratio α/σ counts as pure noise: the path is used up to the time where it is reached.
const SMALLEST_RATIO: f64 = 1e-3;

/// A path given by tables, joined by monotone cubics, so that λ is strictly decreasing and α, σ, λ are continuously
/// differentiable.
///
/// - From tables of α and σ: interpolated are the angle `φ = atan(σ/α)` and `ln √(α² + σ²)`, so either coefficient may be
///   0 at its end: `λ = −ln tan φ`, `f = d ln r/dt − φ̇ tan φ`, `g² = 2 r² φ̇ tan φ`.
/// - From tables of ln α and ln σ: interpolated are ln α and λ, which suits values over many orders of magnitude:
///   `f = d ln α/dt`, `g² = −2 σ² λ̇`.
///
/// The kinetic-optimal schedule of [`KineticGeometry`](super::KineticGeometry) is such a table. As JSON:
/// `{"type": "tabulated", "times": [...], "alpha": [...], "sigma": [...]}` or with `log_alpha`, `log_sigma`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct Tabulated {
    table: Arc<Table>,
    curve: Arc<Curve>,
    t_max: f64,
    prior_std: f64,
}

/// What is written to files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Table {
    times: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alpha: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sigma: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    log_alpha: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    log_sigma: Vec<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prior_std: Option<f64>,
}

#[derive(Clone, Debug, PartialEq)]
enum Curve {
    Polar { angle: MonotoneCubic, log_radius: MonotoneCubic },
    Logarithmic { log_alpha: MonotoneCubic, lambda: MonotoneCubic },
}

impl TryFrom<Table> for Tabulated {
    type Error = SamplerError;
    fn try_from(table: Table) -> Result<Self, SamplerError> {
        Self::from_table(table)
    }
}

impl From<Tabulated> for Table {
    fn from(path: Tabulated) -> Self {
        (*path.table).clone()
    }
}

impl Tabulated {
    /// Name in files.
    pub(super) const NAME: &str = "tabulated";

    /// A path through `alpha` and `sigma` at `times`, which increase strictly from 0 to at most 1.
    ///
    /// Neither may be negative; σ/α must increase strictly. Where α/σ falls below 1e-3 the path is cut (see
    /// [`Path::t_max`]).
    ///
    /// # Errors
    /// [`SamplerError::Count`] if the tables differ in length or have fewer than 2 entries,
    /// [`SamplerError::PathParameter`] with the first unusable value.
    pub fn from_coefficients(
        times: Vec<f64>,
        alpha: Vec<f64>,
        sigma: Vec<f64>,
    ) -> Result<Self, SamplerError> {
        Self::from_table(Table { times, alpha, sigma, ..Table::default() })
    }

    /// A path through these natural logarithms of α and σ at `times`, which increase strictly inside [0, 1];
    /// ln α − ln σ must decrease strictly.
    ///
    /// # Errors
    /// As [`Tabulated::from_coefficients`].
    pub fn from_logarithms(
        times: Vec<f64>,
        log_alpha: Vec<f64>,
        log_sigma: Vec<f64>,
    ) -> Result<Self, SamplerError> {
        Self::from_table(Table { times, log_alpha, log_sigma, ..Table::default() })
    }

    /// The same path with this standard deviation of the prior instead of σ at the latest time used.
    ///
    /// # Errors
    /// [`SamplerError::PathParameter`] if it is not a finite number above 0.
    pub fn with_prior_std(self, prior_std: f64) -> Result<Self, SamplerError> {
        Self::from_table(Table { prior_std: Some(prior_std), ..self.into() })
    }

    /// The times of the table.
    #[must_use]
    pub fn times(&self) -> &[f64] {
        &self.table.times
    }

    fn from_table(table: Table) -> Result<Self, SamplerError> {
        let logarithmic = table.alpha.is_empty() && table.sigma.is_empty();
        let (first, second) = if logarithmic {
            (&table.log_alpha, &table.log_sigma)
        } else {
            // One of the two forms, not both.
            for extra in [&table.log_alpha, &table.log_sigma] {
                let what = "logarithms beside tables of alpha and sigma";
                count(what, 0, extra.len())?;
            }
            (&table.alpha, &table.sigma)
        };
        let times = &table.times;
        if times.len() < 2 {
            let (what, found) = ("times of a tabulated path (at least)", times.len());
            return Err(SamplerError::Count { what, expected: 2, found });
        }
        count("values of alpha in a tabulated path", times.len(), first.len())?;
        count("values of sigma in a tabulated path", times.len(), second.len())?;
        let check =
            |parameter, value, good, expected| check_parameter(Self::NAME, parameter, value, good, expected);
        for (i, &t) in times.iter().enumerate() {
            let after = if i == 0 { t >= 0.0 && (logarithmic || t == 0.0) } else { t > times[i - 1] };
            let expected = "times increasing strictly from 0 (logarithms: 0 or above) to at most 1";
            check("times", t, after && t <= 1.0, expected)?;
        }
        let curve = if logarithmic {
            let mut lambda: Vec<f64> = Vec::with_capacity(times.len());
            for (&log_alpha, &log_sigma) in first.iter().zip(second) {
                let value = log_alpha - log_sigma;
                let falls = lambda.last().is_none_or(|&before| value < before);
                let expected = "ln alpha - ln sigma finite and strictly decreasing";
                check("log_sigma", log_sigma, value.is_finite() && falls, expected)?;
                lambda.push(value);
            }
            Curve::Logarithmic {
                log_alpha: MonotoneCubic::new(times.clone(), first.clone()),
                lambda: MonotoneCubic::new(times.clone(), lambda),
            }
        } else {
            let (mut angles, mut radii): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
            for (&alpha, &sigma) in first.iter().zip(second) {
                let good = |value: f64| value.is_finite() && value >= 0.0;
                check("alpha", alpha, good(alpha), "a finite number, 0 or above")?;
                check("sigma", sigma, good(sigma) && alpha + sigma > 0.0, "a finite number, 0 or above")?;
                let angle = libm::atan2(sigma, alpha);
                let rises = angles.last().is_none_or(|&before| angle > before);
                check("sigma", sigma, rises, "sigma/alpha strictly increasing")?;
                angles.push(angle);
                radii.push(libm::log(libm::hypot(alpha, sigma)));
            }
            Curve::Polar {
                angle: MonotoneCubic::new(times.clone(), angles),
                log_radius: MonotoneCubic::new(times.clone(), radii),
            }
        };
        let t_max = match &curve {
            Curve::Polar { angle, .. } => angle.end().min(angle.inverse(libm::atan(1.0 / SMALLEST_RATIO))),
            Curve::Logarithmic { lambda, .. } => lambda.end(),
        };
        check("times", t_max, t_max > 0.0, "a table that reaches above time 0 before alpha/sigma < 1e-3")?;
        let given = table.prior_std;
        let path = Self { table: Arc::new(table), curve: Arc::new(curve), t_max, prior_std: 1.0 };
        let prior_std = given.unwrap_or_else(|| path.sigma(t_max));
        check("prior_std", prior_std, prior_std.is_finite() && prior_std > 0.0, "a finite number above 0")?;
        Ok(Self { prior_std, ..path })
    }
}

fn count(what: &'static str, expected: usize, found: usize) -> Result<(), SamplerError> {
    if expected == found { Ok(()) } else { Err(SamplerError::Count { what, expected, found }) }
}

impl Path for Tabulated {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn log_alpha(&self, t: f64) -> f64 {
        match &*self.curve {
            Curve::Polar { angle, log_radius } => log_radius.at(t).0 + libm::log(libm::cos(angle.at(t).0)),
            Curve::Logarithmic { log_alpha, .. } => log_alpha.at(t).0,
        }
    }
    fn alpha(&self, t: f64) -> f64 {
        match &*self.curve {
            Curve::Polar { angle, log_radius } => libm::exp(log_radius.at(t).0) * libm::cos(angle.at(t).0),
            Curve::Logarithmic { log_alpha, .. } => libm::exp(log_alpha.at(t).0),
        }
    }
    fn sigma(&self, t: f64) -> f64 {
        match &*self.curve {
            Curve::Polar { angle, log_radius } => libm::exp(log_radius.at(t).0) * libm::sin(angle.at(t).0),
            Curve::Logarithmic { log_alpha, lambda } => libm::exp(log_alpha.at(t).0 - lambda.at(t).0),
        }
    }
    fn lambda(&self, t: f64) -> f64 {
        match &*self.curve {
            Curve::Polar { angle, .. } => -libm::log(libm::tan(angle.at(t).0)),
            Curve::Logarithmic { lambda, .. } => lambda.at(t).0,
        }
    }
    fn inverse_lambda(&self, lambda: f64) -> f64 {
        match &*self.curve {
            Curve::Polar { angle, .. } => angle.inverse(libm::atan(libm::exp(-lambda))),
            Curve::Logarithmic { lambda: curve, .. } => curve.inverse(lambda),
        }
    }
    fn drift_coefficient(&self, t: f64) -> f64 {
        match &*self.curve {
            Curve::Polar { angle, log_radius } => {
                let (angle, turn) = angle.at(t);
                log_radius.at(t).1 - turn * libm::tan(angle)
            }
            Curve::Logarithmic { log_alpha, .. } => log_alpha.at(t).1,
        }
    }
    fn diffusion(&self, t: f64) -> f64 {
        match &*self.curve {
            Curve::Polar { angle, log_radius } => {
                let (angle, turn) = angle.at(t);
                libm::exp(log_radius.at(t).0) * libm::sqrt(2.0 * turn * libm::tan(angle))
            }
            Curve::Logarithmic { lambda, .. } => self.sigma(t) * libm::sqrt(-2.0 * lambda.at(t).1),
        }
    }
    fn marginal(&self, t: f64) -> Marginal {
        match &*self.curve {
            Curve::Polar { angle, log_radius } => {
                let ((angle, turn), (log_radius, growth)) = (angle.at(t), log_radius.at(t));
                let radius = libm::exp(log_radius);
                let (alpha, sigma) = (radius * libm::cos(angle), radius * libm::sin(angle));
                Marginal::gaussian(alpha, sigma, growth * alpha - turn * sigma, growth * sigma + turn * alpha)
            }
            Curve::Logarithmic { log_alpha, lambda } => {
                let ((log_alpha, growth), (lambda, fall)) = (log_alpha.at(t), lambda.at(t));
                let (alpha, sigma) = (libm::exp(log_alpha), libm::exp(log_alpha - lambda));
                Marginal::gaussian(alpha, sigma, growth * alpha, (growth - fall) * sigma)
            }
        }
    }
    fn t_max(&self) -> f64 {
        self.t_max
    }
    fn prior_std(&self) -> f64 {
        self.prior_std
    }
}
