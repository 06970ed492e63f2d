//! Exact moments of any linear plan on Gaussian data.
//!
//! For Gaussian data the exact score is affine in the state, so every register of a linear plan is a Gaussian vector at
//! every moment of the run, and its mean and covariance follow an exact recursion over the plan's operations. This tests
//! every coefficient of a sampler at once, without drawing a sample.

use burn::tensor::Tensor;
use equidrift_sampler::path::Marginal;
use equidrift_sampler::plan::STATE;
use equidrift_sampler::{Component, DenoiseError, Denoiser, Op, PathConfig, Plan, PredictionKind, State};
use nalgebra::{DMatrix, DVector};

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

/// The exact score at one time: `score = gain · x + offset`.
struct AffineScore {
    gain: DMatrix<f64>,
    offset: DVector<f64>,
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

    fn score(&self, marginals: &[Marginal], time: f64) -> Result<AffineScore, LawError> {
        let noised = self.noised(marginals);
        let inverse = noised.covariance.cholesky().ok_or(LawError::Covariance { time })?.inverse();
        Ok(AffineScore { offset: &inverse * &noised.mean, gain: -inverse })
    }

    /// Moments of the state that `plan` returns when it starts from independent components N(0, `prior_std[c]`²).
    ///
    /// # Errors
    /// If the plan has operations that are not linear (Langevin), or another number of components than the data.
    pub fn moments(&self, plan: &Plan, prior_std: &[f64]) -> Result<Moments, LawError> {
        plan.validate()?;
        let c = plan.components;
        for (what, found) in
            [("components of the data", self.mean.len()), ("prior deviations", prior_std.len())]
        {
            if found != c {
                return Err(LawError::Count { what, expected: c, found });
            }
        }
        // Variable `register · C + component` of a joint Gaussian vector.
        let size = plan.registers * c;
        let mut mean = DVector::zeros(size);
        let mut covariance = DMatrix::zeros(size, size);
        for (component, std) in prior_std.iter().enumerate() {
            covariance[(STATE * c + component, STATE * c + component)] = std * std;
        }
        for (step, operations) in plan.steps.iter().enumerate() {
            for op in &operations.ops {
                let mut transition = DMatrix::identity(size, size);
                let mut offset = DVector::zeros(size);
                let mut noise = DVector::zeros(size);
                match op {
                    Op::Eval { time, inputs, marginals, want, into } => {
                        let score = self.score(marginals, *time)?;
                        for row in 0..c {
                            let conversion = PredictionKind::Score.convert(*want, &marginals[row]);
                            let target = into * c + row;
                            transition.row_mut(target).fill(0.0);
                            offset[target] = conversion.prediction * score.offset[row];
                            for (column, register) in inputs.iter().enumerate() {
                                transition[(target, register * c + column)] +=
                                    conversion.prediction * score.gain[(row, column)];
                            }
                            transition[(target, inputs[row] * c + row)] += conversion.state;
                        }
                    }
                    Op::Combine { out, terms, noise: fresh } => {
                        for component in 0..c {
                            let target = out * c + component;
                            transition.row_mut(target).fill(0.0);
                            for term in terms {
                                transition[(target, term.register * c + component)] +=
                                    term.coefficients[component];
                            }
                            if let Some(fresh) = fresh {
                                noise[target] = fresh.coefficients[component] * fresh.coefficients[component];
                            }
                        }
                    }
                    // One-dimensional components fill their support.
                    Op::Project { .. } => {}
                    _ => return Err(LawError::NotLinear { step, op: op.to_string() }),
                }
                mean = &transition * mean + offset;
                covariance =
                    &transition * covariance * transition.transpose() + DMatrix::from_diagonal(&noise);
            }
        }
        Ok(Moments {
            mean: mean.rows(STATE * c, c).into_owned(),
            covariance: covariance.view((STATE * c, STATE * c), (c, c)).into_owned(),
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

impl Denoiser for GaussianDenoiser {
    fn kinds(&self) -> &[PredictionKind] {
        &self.kinds
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let engine = |error: Box<dyn std::error::Error + Send + Sync>| DenoiseError::Engine(error);
        let mut hosts = Vec::with_capacity(state.components.len());
        for component in &state.components {
            hosts.push(component.to_host().map_err(|error| engine(error.into()))?);
        }
        let c = hosts.len();
        let mut out = vec![vec![0.0; times.len()]; c];
        for (row, &time) in times.iter().enumerate() {
            let marginals: Vec<Marginal> =
                self.paths.iter().map(|path| path.build().marginal(time)).collect();
            let score = self.data.score(&marginals, time).map_err(|error| engine(error.into()))?;
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
