//! Stochastic interpolants between two normal laws: exact velocity and score, and exact moments of plans.
//!
//! With ends N(m, v) (data) and N(m', v') (base) of covariance c, the state at t is normal with mean `m(t) = α m + β m'`
//! and variance `C(t) = α² v + β² v' + 2αβ c + σ²`, and all fields are affine:
//! `b = ṁ + ½ (Ċ/C)(x − m)`, `s = −(x − m)/C` (Albergo, Boffi & Vanden-Eijnden 2023).

use burn::tensor::Tensor;
use equidrift_sampler::path::{Interpolant, Marginal, Path};
use equidrift_sampler::{DenoiseError, Denoiser, Plan, PredictionKind, State};
use nalgebra::{DMatrix, DVector};

use crate::affine_recursion::{AffineField, propagate};
use crate::error::LawError;
use crate::gaussian::{Moments, answer};

/// Two normal laws in one dimension with a coupling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaussianEnds {
    /// Mean of the data.
    pub data_mean: f64,
    /// Standard deviation of the data.
    pub data_sd: f64,
    /// Mean of the base; of no account on one-sided paths.
    pub base_mean: f64,
    /// Standard deviation of the base.
    pub base_sd: f64,
    /// Covariance of data and base in the coupling.
    pub covariance: f64,
}

/// `slope · x + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Coefficient of the state.
    pub slope: f64,
    /// Constant.
    pub offset: f64,
}

impl Affine {
    /// The value at x.
    #[must_use]
    pub fn at(self, x: f64) -> f64 {
        self.slope * x + self.offset
    }

    /// E[(slope x + offset)²] for x of this mean and variance.
    #[must_use]
    pub fn mean_square(self, mean: f64, variance: f64) -> f64 {
        self.at(mean) * self.at(mean) + self.slope * self.slope * variance
    }
}

impl GaussianEnds {
    /// Independent ends N(mean, sd²).
    #[must_use]
    pub fn independent(data: (f64, f64), base: (f64, f64)) -> Self {
        Self { data_mean: data.0, data_sd: data.1, base_mean: base.0, base_sd: base.1, covariance: 0.0 }
    }

    /// Mean m(t) and variance C(t) of the state.
    #[must_use]
    pub fn law(&self, path: &Interpolant, t: f64) -> (f64, f64) {
        let Marginal { alpha, base, sigma, .. } = path.marginal(t);
        let mean = alpha * self.data_mean + base * self.base_mean;
        (mean, self.interpolated(alpha, alpha, base, base) + sigma * sigma)
    }

    /// Cov(a x_data + b x_base, a' x_data + b' x_base).
    fn interpolated(&self, a: f64, a_other: f64, b: f64, b_other: f64) -> f64 {
        a * a_other * self.data_sd * self.data_sd
            + b * b_other * self.base_sd * self.base_sd
            + (a * b_other + a_other * b) * self.covariance
    }

    /// The regression of ẏ on the state, for ẏ of mean ṁ and covariance `covariance` with the state.
    fn regression(&self, path: &Interpolant, t: f64, covariance: f64) -> Affine {
        let Marginal { d_alpha, d_base, .. } = path.marginal(t);
        let (mean, variance) = self.law(path, t);
        let slope = covariance / variance;
        Affine { slope, offset: d_alpha * self.data_mean + d_base * self.base_mean - slope * mean }
    }

    /// E[∂_t I | x_t = x], the velocity without the latent noise.
    #[must_use]
    pub fn interpolation_velocity(&self, path: &Interpolant, t: f64) -> Affine {
        let Marginal { alpha, base, d_alpha, d_base, .. } = path.marginal(t);
        self.regression(path, t, self.interpolated(alpha, d_alpha, base, d_base))
    }

    /// The velocity b.
    #[must_use]
    pub fn velocity(&self, path: &Interpolant, t: f64) -> Affine {
        let Marginal { alpha, base, d_alpha, d_base, .. } = path.marginal(t);
        self.regression(path, t, self.interpolated(alpha, d_alpha, base, d_base) + path.noise_rate(t))
    }

    /// The score s.
    #[must_use]
    pub fn score(&self, path: &Interpolant, t: f64) -> Affine {
        let (mean, variance) = self.law(path, t);
        Affine { slope: -1.0 / variance, offset: mean / variance }
    }

    /// The latent noise η = E[z | x_t = x] = −σ s.
    #[must_use]
    pub fn noise(&self, path: &Interpolant, t: f64) -> Affine {
        let (score, sigma) = (self.score(path, t), path.sigma(t));
        Affine { slope: -sigma * score.slope, offset: -sigma * score.offset }
    }

    /// The field of a kind of prediction; `None` for kinds that are not defined between two laws.
    #[must_use]
    pub fn field(&self, path: &Interpolant, t: f64, kind: PredictionKind) -> Option<Affine> {
        match kind {
            PredictionKind::Velocity => Some(self.velocity(path, t)),
            PredictionKind::Score => Some(self.score(path, t)),
            PredictionKind::Noise => Some(self.noise(path, t)),
            _ => None,
        }
    }

    /// `∫ E|ε s − b|² dt` over 0..=1: the squared drift that turns the reference `√(2ε) dW` from the base into a process
    /// with the marginals of the interpolant. Divided by 4ε it is the relative entropy of the two path measures.
    ///
    /// Simpson's rule with `intervals` (even) intervals.
    #[must_use]
    pub fn control_energy(&self, path: &Interpolant, epsilon: f64, intervals: usize) -> f64 {
        let h = 1.0 / intervals as f64;
        let terms = (0..=intervals).map(|i| {
            let t = i as f64 * h;
            let (velocity, score) = (self.velocity(path, t), self.score(path, t));
            let drift = Affine {
                slope: epsilon * score.slope - velocity.slope,
                offset: epsilon * score.offset - velocity.offset,
            };
            let (mean, variance) = self.law(path, t);
            let weight = if i == 0 || i == intervals { 1.0 } else { 2.0 + 2.0 * (i % 2) as f64 };
            weight * drift.mean_square(mean, variance)
        });
        terms.sum::<f64>() * h / 3.0
    }
}

/// The exact denoiser of interpolants between normal laws: one-dimensional components, independent of one another, in
/// f64, with a head for each kind asked for.
#[derive(Clone, Debug)]
pub struct GaussianInterpolantDenoiser {
    ends: Vec<GaussianEnds>,
    paths: Vec<Interpolant>,
    kinds: Vec<PredictionKind>,
}

impl GaussianInterpolantDenoiser {
    /// The denoiser of components with these ends and paths, with these heads.
    ///
    /// # Errors
    /// [`LawError::Count`] if there are not as many paths as ends.
    pub fn new(
        ends: Vec<GaussianEnds>,
        paths: Vec<Interpolant>,
        heads: &[PredictionKind],
    ) -> Result<Self, LawError> {
        if ends.len() != paths.len() {
            let (expected, found) = (ends.len(), paths.len());
            return Err(LawError::Count { what: "paths of the interpolants", expected, found });
        }
        let kinds = heads.iter().flat_map(|kind| vec![*kind; ends.len()]).collect();
        Ok(Self { ends, paths, kinds })
    }

    /// The law of the state at time t.
    #[must_use]
    pub fn law(&self, t: f64) -> Moments {
        let laws: Vec<(f64, f64)> =
            self.ends.iter().zip(&self.paths).map(|(ends, path)| ends.law(path, t)).collect();
        let variances = DVector::from_iterator(laws.len(), laws.iter().map(|(_, variance)| *variance));
        Moments {
            mean: DVector::from_iterator(laws.len(), laws.iter().map(|(mean, _)| *mean)),
            covariance: DMatrix::from_diagonal(&variances),
        }
    }

    /// Moments of the state that `plan` returns when it starts from `start`, with the exact fields.
    ///
    /// # Errors
    /// If the plan is not linear, or asks for a kind of prediction that is not defined between two laws.
    pub fn moments(&self, plan: &Plan, start: &Moments) -> Result<Moments, LawError> {
        propagate(plan, start, &[], &|time, _, want| {
            let fields: Option<Vec<Affine>> =
                self.ends.iter().zip(&self.paths).map(|(ends, path)| ends.field(path, time, want)).collect();
            let fields = fields.ok_or(LawError::NotDefined { kind: want })?;
            Ok(AffineField {
                gain: DMatrix::from_diagonal(&DVector::from_iterator(
                    fields.len(),
                    fields.iter().map(|f| f.slope),
                )),
                offset: DVector::from_iterator(fields.len(), fields.iter().map(|f| f.offset)),
            })
        })
    }
}

impl Denoiser for GaussianInterpolantDenoiser {
    fn kinds(&self) -> &[PredictionKind] {
        &self.kinds
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let hosts = state.to_host().map_err(|error| DenoiseError::Engine(error.into()))?;
        let components = self.ends.len();
        let mut out = Vec::with_capacity(self.kinds.len());
        for heads in self.kinds.chunks(components.max(1)) {
            let mut values = Vec::with_capacity(components);
            for (component, (host, &kind)) in hosts.iter().zip(heads).enumerate() {
                let field = |t: f64| self.ends[component].field(&self.paths[component], t, kind);
                let predicted: Option<Vec<f64>> =
                    host.iter().zip(times).map(|(&x, &t)| Some(field(t)?.at(x))).collect();
                let error = || DenoiseError::Engine(LawError::NotDefined { kind }.into());
                values.push(predicted.ok_or_else(error)?);
            }
            out.extend(answer(state, values)?);
        }
        Ok(out)
    }
}
