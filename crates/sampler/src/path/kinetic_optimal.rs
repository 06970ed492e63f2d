use core::f64::consts::FRAC_PI_2;

use super::{Marginal, Path, Tabulated};
use crate::error::SamplerError;

/// Where the metric is flatter than this the schedule moves as if it were not, so that time is not stopped there. Costs at
/// most 2e-4 of energy.
const FLATTEST: f64 = 1e-4;

/// The kinetic energy of noising paths of one data law, and the path with the least (Shaul et al. 2023, "On kinetic
/// optimal probability paths").
///
/// For `x = a x_data + m ε` with data of second moment 1 per coordinate, the **separation function** is
/// `λ(s) = E|E[x_data|x]|²/d` at s = a/m. In polar coordinates a = r sin φ, m = r cos φ the kinetic energy per coordinate is
/// `KE = ∫ ṙ² + r² g(φ) φ̇² dt`, `g = λ (1 + tan²φ) − tan²φ` in [0, 1]. With `ψ(φ) = ∫_0^φ √g` the metric is flat, so the
/// least energy between noise (r = 1, ψ = 0) and data (r = 1, ψ = Ψ) is that of the chord, `KE* = 4 sin²(Ψ/2)`.
///
/// For λ = 1 (data far apart, high dimension) Ψ = π/2 and the optimum is the straight path α = 1 − t, σ = t with KE 2; for
/// Gaussian data g = 0 and every path with α² + σ² = 1 is free.
#[derive(Clone, Debug, PartialEq)]
pub struct KineticGeometry {
    /// g at the middle of even cells of φ in [0, π/2].
    metric: Vec<f64>,
    /// ψ at the ends of the cells.
    arc: Vec<f64>,
}

impl KineticGeometry {
    /// The geometry of a separation function λ(s), 0 ≤ s < ∞, sampled in the middle of `cells` even cells of atan s
    /// (at least 2; 2,048 give KE to about 1e-6).
    #[must_use]
    pub fn new(separation: impl Fn(f64) -> f64, cells: usize) -> Self {
        Self::from_metric(cells, |angle| {
            let (sin, cos) = (libm::sin(angle), libm::cos(angle));
            1.0 - (1.0 - separation(sin / cos)) / (cos * cos)
        })
    }

    /// The geometry of a measured separation function: `separation[i]` at `ratios[i]`, increasing. g is linear in atan s
    /// between the points and constant outside them; what measurement noise puts outside [0, 1] is cut.
    ///
    /// # Errors
    /// If the lists differ in length, are empty or hold numbers that are not finite, or the ratios do not increase.
    pub fn from_table(ratios: &[f64], separation: &[f64], cells: usize) -> Result<Self, SamplerError> {
        if ratios.len() != separation.len() || ratios.is_empty() {
            let (what, expected) = ("values of the separation function", ratios.len().max(1));
            return Err(SamplerError::Count { what, expected, found: separation.len() });
        }
        let reject = |option, value, expected| {
            Err(SamplerError::Option { planner: "kinetic-optimal path", option, value, expected })
        };
        if let Some(&value) = separation.iter().find(|value| !value.is_finite()) {
            return reject("separation", value, "finite numbers");
        }
        for (i, &ratio) in ratios.iter().enumerate() {
            let after = if i == 0 { ratio >= 0.0 } else { ratio > ratios[i - 1] };
            if !(after && ratio.is_finite()) {
                return reject("ratios", ratio, "finite numbers, 0 or above, strictly increasing");
            }
        }
        let angles: Vec<f64> = ratios.iter().map(|&ratio| libm::atan(ratio)).collect();
        let metric: Vec<f64> = ratios
            .iter()
            .zip(separation)
            .map(|(s, value)| (1.0 - (1.0 - value) * (1.0 + s * s)).clamp(0.0, 1.0))
            .collect();
        Ok(Self::from_metric(cells, |angle| {
            let right = angles.partition_point(|&knot| knot <= angle);
            if right == 0 || right == angles.len() {
                return metric[right.min(angles.len() - 1)];
            }
            let share = (angle - angles[right - 1]) / (angles[right] - angles[right - 1]);
            metric[right - 1] + share * (metric[right] - metric[right - 1])
        }))
    }

    fn from_metric(cells: usize, metric: impl Fn(f64) -> f64) -> Self {
        let cells = cells.max(2);
        let width = FRAC_PI_2 / cells as f64;
        let metric: Vec<f64> = (0..cells).map(|i| metric((i as f64 + 0.5) * width).clamp(0.0, 1.0)).collect();
        let mut arc = Vec::with_capacity(cells + 1);
        arc.push(0.0);
        let mut sum = 0.0;
        for g in &metric {
            sum += width * libm::sqrt(*g);
            arc.push(sum);
        }
        Self { metric, arc }
    }

    /// g(φ) for φ in [0, π/2], φ = atan(α/σ).
    #[must_use]
    pub fn metric(&self, angle: f64) -> f64 {
        let last = self.metric.len() - 1;
        let place = (angle / FRAC_PI_2 * self.metric.len() as f64 - 0.5).clamp(0.0, last as f64);
        let left = (place as usize).min(last - 1);
        let share = place - left as f64;
        self.metric[left] + share * (self.metric[left + 1] - self.metric[left])
    }

    /// ψ(φ).
    #[must_use]
    pub fn arc_length(&self, angle: f64) -> f64 {
        let cells = self.metric.len();
        let place = (angle / FRAC_PI_2 * cells as f64).clamp(0.0, cells as f64);
        let cell = (place as usize).min(cells - 1);
        self.arc[cell] + (place - cell as f64) * (self.arc[cell + 1] - self.arc[cell])
    }

    /// Ψ = ψ(π/2), between 0 and π/2.
    #[must_use]
    pub fn total_angle(&self) -> f64 {
        self.arc[self.arc.len() - 1]
    }

    /// KE* = 4 sin²(Ψ/2), the least kinetic energy per coordinate.
    #[must_use]
    pub fn optimal_energy(&self) -> f64 {
        let half = libm::sin(0.5 * self.total_angle());
        4.0 * half * half
    }

    /// The kinetic energy per coordinate of a curve (α, σ) over [0, `end`], by the midpoint rule with `points` points.
    /// The direction of time does not matter.
    #[must_use]
    pub fn energy(&self, curve: impl Fn(f64) -> Marginal, end: f64, points: usize) -> f64 {
        let points = points.max(1);
        let width = end / points as f64;
        let mut sum = 0.0;
        for i in 0..points {
            let Marginal { alpha, sigma, d_alpha, d_sigma, .. } = curve((i as f64 + 0.5) * width);
            let square = alpha * alpha + sigma * sigma;
            let radial = alpha * d_alpha + sigma * d_sigma;
            let angular = d_alpha * sigma - alpha * d_sigma;
            sum += (radial * radial + self.metric(libm::atan2(alpha, sigma)) * angular * angular) / square;
        }
        sum * width
    }

    /// [`KineticGeometry::energy`] of a path from data to the latest time it is used at.
    #[must_use]
    pub fn path_energy(&self, path: &dyn Path, points: usize) -> f64 {
        self.energy(|t| path.marginal(t), path.t_max(), points)
    }

    /// The kinetic-optimal path as a table of `nodes` + 1 points, even in φ, for data whose second moment per coordinate is
    /// `scale`²: α(0) = 1, σ(1) = `scale`.
    ///
    /// On the chord the time from noise at angle ψ is `sin ψ / (sin ψ + sin(Ψ − ψ))` and `r = cos(Ψ/2)/cos(ψ − Ψ/2)`. Where
    /// g is nearly 0 (close to pure noise for most data) the angle moves fast; ψ is taken with √g of at least 1e-4 there.
    ///
    /// # Errors
    /// If there are fewer than 2 nodes or `scale` is not a finite number above 0.
    pub fn schedule(&self, nodes: usize, scale: f64) -> Result<Tabulated, SamplerError> {
        let reject = |option, value, expected| {
            Err(SamplerError::Option { planner: "kinetic-optimal path", option, value, expected })
        };
        if nodes < 2 {
            return reject("nodes", nodes as f64, "at least 2");
        }
        if !(scale.is_finite() && scale > 0.0) {
            return reject("scale", scale, "a finite number above 0");
        }
        // The same geometry with the floor.
        let steeper =
            Self::from_metric(self.metric.len(), |angle| self.metric(angle).max(FLATTEST * FLATTEST));
        let total = steeper.total_angle();
        let (mut times, mut alphas, mut sigmas) = (Vec::new(), Vec::new(), Vec::new());
        for i in (0..=nodes).rev() {
            let angle = FRAC_PI_2 * i as f64 / nodes as f64;
            let psi = steeper.arc_length(angle);
            let (near, far) = (libm::sin(psi), libm::sin(total - psi));
            let time = match i {
                0 => 1.0,
                _ if i == nodes => 0.0,
                _ => far / (near + far),
            };
            let radius = libm::cos(0.5 * total) / libm::cos(psi - 0.5 * total);
            // Points that share a time with the one before or with the end say nothing.
            let distinct = times.last().is_none_or(|&before| time > before);
            if distinct && (i == 0 || time < 1.0) {
                times.push(time);
                alphas.push(if i == 0 { 0.0 } else { radius * libm::sin(angle) });
                sigmas.push(if i == nodes { 0.0 } else { scale * radius * libm::cos(angle) });
            }
        }
        Tabulated::from_coefficients(times, alphas, sigmas)
    }
}
