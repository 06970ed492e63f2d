//! Exact moments of any linear plan on Gaussian data.
//!
//! For Gaussian data the exact score is affine in the state, so every register of a linear plan is a Gaussian vector at
//! every moment of the run, and its mean and covariance follow an exact recursion over the plan's operations. This tests
//! every coefficient of a sampler at once, without drawing a sample.

use burn::tensor::Tensor;
use equidrift_sampler::path::Marginal;
use equidrift_sampler::plan::Register;
use equidrift_sampler::{
    Component, DenoiseError, Denoiser, PathConfig, Plan, PredictionKind, PredictionsAndGradients,
    SamplerError, State, TerminalDensity, VectorJacobian,
};
use nalgebra::{DMatrix, DVector};

use crate::affine_recursion::{AffineField, propagate};
use crate::error::LawError;

/// Data of C one-dimensional components with a joint normal law.
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianData {
    /// Means, `[C]`.
    pub mean: DVector<f64>,
    /// Covariances, `[C, C]`, positive definite.
    pub covariance: DMatrix<f64>,
}

/// Mean and covariance of the components of a state.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Means, `[C]`.
    pub mean: DVector<f64>,
    /// Covariances, `[C, C]`.
    pub covariance: DMatrix<f64>,
}

impl GaussianData {
    /// One component N(mean, sd²).
    #[must_use]
    pub fn single(mean: f64, sd: f64) -> Self {
        Self { mean: DVector::from_element(1, mean), covariance: DMatrix::from_element(1, 1, sd * sd) }
    }

    /// The law of the noised data: mean A m and covariance A S A + Σ².
    #[must_use]
    pub fn noised(&self, marginals: &[Marginal]) -> Moments {
        let alpha = DMatrix::from_diagonal(&DVector::from_iterator(
            marginals.len(),
            marginals.iter().map(|marginal| marginal.alpha),
        ));
        let variance = DMatrix::from_diagonal(&DVector::from_iterator(
            marginals.len(),
            marginals.iter().map(|marginal| marginal.sigma * marginal.sigma),
        ));
        Moments { mean: &alpha * &self.mean, covariance: &alpha * &self.covariance * &alpha + variance }
    }

    fn score(&self, marginals: &[Marginal], time: f64) -> Result<AffineField, LawError> {
        let noised = self.noised(marginals);
        let inverse = noised.covariance.cholesky().ok_or(LawError::Covariance { time })?.inverse();
        Ok(AffineField { offset: &inverse * &noised.mean, gain: -inverse })
    }

    /// Moments of the state that `plan` returns when it starts from independent components N(0, `prior_std[c]`²).
    ///
    /// # Errors
    /// If the plan has operations that are not linear (Langevin with norms per sample; with norms over the batch the moments
    /// are those of a large batch), or another number of components than the data.
    pub fn moments(&self, plan: &Plan, prior_std: &[f64]) -> Result<Moments, LawError> {
        self.moments_with_given(plan, prior_std, &[])
    }

    /// As [`GaussianData::moments`] for a plan with given registers, for instance of inpainting: `given` has one value per
    /// component for each of them.
    ///
    /// # Errors
    /// As [`GaussianData::moments`], and if `given` does not fit the plan.
    pub fn moments_with_given(
        &self,
        plan: &Plan,
        prior_std: &[f64],
        given: &[(Register, DVector<f64>)],
    ) -> Result<Moments, LawError> {
        let c = plan.components;
        for (what, found) in
            [("components of the data", self.mean.len()), ("prior deviations", prior_std.len())]
        {
            if found != c {
                return Err(LawError::Count { what, expected: c, found });
            }
        }
        let variances = DVector::from_iterator(c, prior_std.iter().map(|std| std * std));
        let start = Moments { mean: DVector::zeros(c), covariance: DMatrix::from_diagonal(&variances) };
        propagate(plan, &start, given, &|time, marginals, want| {
            let mut field = self.score(marginals, time)?;
            for (row, marginal) in marginals.iter().enumerate() {
                let conversion = PredictionKind::Score.convert(want, marginal);
                field.offset[row] *= conversion.prediction;
                field.gain.row_mut(row).scale_mut(conversion.prediction);
                field.gain[(row, row)] += conversion.state;
            }
            Ok(field)
        })
    }

    /// The law of the components that are not known when those of `known` have these values.
    ///
    /// # Errors
    /// [`LawError::Covariance`] if the known components' covariance is singular; [`LawError::Count`] if one does not exist.
    pub fn conditional(&self, known: &[(usize, f64)]) -> Result<Moments, LawError> {
        let c = self.mean.len();
        if let Some(&(found, _)) = known.iter().find(|(component, _)| *component >= c) {
            return Err(LawError::Count {
                what: "components of the data, more than",
                expected: found,
                found: c,
            });
        }
        let given: Vec<usize> = known.iter().map(|(component, _)| *component).collect();
        let free: Vec<usize> = (0..c).filter(|component| !given.contains(component)).collect();
        let block = |rows: &[usize], columns: &[usize]| {
            DMatrix::from_fn(rows.len(), columns.len(), |i, j| self.covariance[(rows[i], columns[j])])
        };
        let inverse = block(&given, &given).cholesky().ok_or(LawError::Covariance { time: 0.0 })?.inverse();
        let gain = block(&free, &given) * inverse;
        let surprise =
            DVector::from_iterator(known.len(), known.iter().map(|(component, y)| y - self.mean[*component]));
        let mean = DVector::from_iterator(free.len(), free.iter().map(|component| self.mean[*component]));
        Ok(Moments {
            mean: mean + &gain * surprise,
            covariance: block(&free, &free) - gain * block(&given, &free),
        })
    }
}

/// The exact denoiser of [`GaussianData`]: components of layout `Vector { dim: 1 }`, predictions of any kind, in f64.
#[derive(Clone, Debug)]
pub struct GaussianDenoiser {
    data: GaussianData,
    paths: Vec<PathConfig>,
    kinds: Vec<PredictionKind>,
}

impl GaussianDenoiser {
    /// The denoiser of `data` noised along `paths`, answering in `kind` for every component.
    #[must_use]
    pub fn new(data: GaussianData, paths: Vec<PathConfig>, kind: PredictionKind) -> Self {
        let kinds = vec![kind; paths.len()];
        Self { data, paths, kinds }
    }
}

impl GaussianDenoiser {
    fn marginals(&self, time: f64) -> Vec<Marginal> {
        self.paths.iter().map(|path| path.build().marginal(time)).collect()
    }
}

fn engine(error: impl std::error::Error + Send + Sync + 'static) -> DenoiseError {
    DenoiseError::Engine(Box::new(error))
}

impl Denoiser for GaussianDenoiser {
    fn kinds(&self) -> &[PredictionKind] {
        &self.kinds
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let hosts = state.to_host().map_err(engine)?;
        let c = hosts.len();
        let mut out = vec![vec![0.0; times.len()]; c];
        let field = |time: f64| -> Result<(Vec<Marginal>, AffineField), DenoiseError> {
            let marginals = self.marginals(time);
            let score = self.data.score(&marginals, time).map_err(engine)?;
            Ok((marginals, score))
        };
        // Rows mostly share their time.
        let mut last = f64::NAN;
        let (mut marginals, mut score) = field(times.first().copied().unwrap_or(0.5))?;
        for (row, &time) in times.iter().enumerate() {
            if time != last {
                (marginals, score) = field(time)?;
                last = time;
            }
            let x = DVector::from_iterator(c, hosts.iter().map(|host| host[row]));
            let value = &score.gain * &x + &score.offset;
            for component in 0..c {
                let conversion = PredictionKind::Score.convert(self.kinds[component], &marginals[component]);
                out[component][row] =
                    conversion.state * x[component] + conversion.prediction * value[component];
            }
        }
        answer(state, out)
    }
}

/// The Jacobian of the exact score is a matrix that does not depend on the state.
impl VectorJacobian for GaussianDenoiser {
    fn vjp(
        &self,
        state: &State,
        times: &[f64],
        cotangents: &[Tensor<2>],
    ) -> Result<PredictionsAndGradients, DenoiseError> {
        let predictions = self.predict(state, times)?;
        let cotangents = host_values(state, cotangents)?;
        let c = cotangents.len();
        let mut out = vec![vec![0.0; times.len()]; c];
        for (row, &time) in times.iter().enumerate() {
            let marginals = self.marginals(time);
            let score = self.data.score(&marginals, time).map_err(engine)?;
            for b in 0..c {
                let conversion = PredictionKind::Score.convert(self.kinds[b], &marginals[b]);
                out[b][row] += conversion.state * cotangents[b][row];
                for (a, out) in out.iter_mut().enumerate() {
                    out[row] += conversion.prediction * score.gain[(b, a)] * cotangents[b][row];
                }
            }
        }
        Ok((predictions, answer(state, out)?))
    }
}

/// The exact log-density of the noised data.
impl TerminalDensity for GaussianDenoiser {
    fn log_density(&self, state: &State, time: f64) -> Result<Vec<f64>, SamplerError> {
        let hosts = state.to_host()?;
        let noised = self.data.noised(&self.marginals(time));
        let c = noised.mean.len();
        let failed = |source| SamplerError::Denoise { step: 0, source };
        let factor =
            noised.covariance.cholesky().ok_or_else(|| failed(engine(LawError::Covariance { time })))?;
        let log_determinant: f64 = 2.0 * factor.l().diagonal().iter().map(|d| libm::log(*d)).sum::<f64>();
        let constant = c as f64 * libm::log(2.0 * core::f64::consts::PI) + log_determinant;
        Ok((0..state.batch())
            .map(|row| {
                let difference = DVector::from_iterator(c, hosts.iter().map(|host| host[row])) - &noised.mean;
                -0.5 * (constant + difference.dot(&factor.solve(&difference)))
            })
            .collect())
    }
}

/// Values of tensors like the components of `state` on the host.
pub(crate) fn host_values(state: &State, tensors: &[Tensor<2>]) -> Result<Vec<Vec<f64>>, DenoiseError> {
    let component =
        |(like, values): (&Component, &Tensor<2>)| Component { values: values.clone(), ..like.clone() };
    let values = state.components.iter().cycle().zip(tensors).map(component);
    values.map(|component| component.to_host().map_err(engine)).collect()
}

/// Host predictions as tensors like the components of `state`.
pub(crate) fn answer(state: &State, values: Vec<Vec<f64>>) -> Result<Vec<Tensor<2>>, DenoiseError> {
    let mut out = Vec::with_capacity(values.len());
    for (component, values) in state.components.iter().zip(values) {
        let Component { name, values: like, support } = component;
        let made = Component::from_host(name.clone(), values, support.clone(), &like.device(), like.dtype())
            .map_err(|error| DenoiseError::Engine(error.into()))?;
        out.push(made.values);
    }
    Ok(out)
}
