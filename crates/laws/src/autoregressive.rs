//! A stationary autoregressive series of order one: the smallest trajectory problem with exact forecasts.

use burn::tensor::Tensor;
use equidrift_sampler::{
    Component, DenoiseError, Denoiser, KeyedNoise, NoiseSource, PathConfig, PredictionKind,
    PredictionsAndGradients, State, Stream, Support, VectorJacobian,
};
use nalgebra::{DMatrix, DVector, SymmetricEigen};

use crate::error::LawError;
use crate::gaussian::{GaussianData, answer};

/// `y_{i+1} = ρ y_i + √(1 − ρ²) z`, y_0 ~ N(0, 1): unit variance, correlation ρ^|i − j|.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Autoregressive {
    /// Number of frames.
    pub length: usize,
    /// ρ, the correlation of neighbouring frames.
    pub correlation: f64,
}

impl Autoregressive {
    /// 24 frames with ρ = 0.9.
    #[must_use]
    pub fn slow() -> Self {
        Self { length: 24, correlation: 0.9 }
    }

    /// The joint law of all frames.
    #[must_use]
    pub fn law(&self) -> GaussianData {
        let covariance = DMatrix::from_fn(self.length, self.length, |i, j| {
            libm::pow(self.correlation, i.abs_diff(j) as f64)
        });
        GaussianData { mean: DVector::zeros(self.length), covariance }
    }

    /// `count` exact series of this seed, `[count, length]` in row order.
    #[must_use]
    pub fn draws(&self, count: usize, seed: u64) -> Vec<f64> {
        let ids: Vec<u64> = (0..count as u64).collect();
        let support = Support::vector(count, self.length);
        let mut values = KeyedNoise::new(seed).normals(Stream::Prior, 0, 0, &support, &ids);
        let innovation = libm::sqrt(1.0 - self.correlation * self.correlation);
        for series in values.chunks_exact_mut(self.length.max(1)) {
            for i in 1..series.len() {
                series[i] = self.correlation * series[i - 1] + innovation * series[i];
            }
        }
        values
    }

    /// The exact law of the remaining frames given the first ones.
    ///
    /// # Errors
    /// If there are not fewer observed frames than frames.
    pub fn forecast(&self, observed: &[f64]) -> Result<GaussianData, LawError> {
        if observed.len() >= self.length {
            let (what, found) = ("observed frames, at most", observed.len());
            return Err(LawError::Count { what, expected: self.length.saturating_sub(1), found });
        }
        condition(&self.law(), observed)
    }
}

/// The law of the other coordinates given that the first ones are `observed`: mean `m₂ + K (y − m₁)` and covariance
/// `C₂₂ − K C₁₂` with `K = C₂₁ C₁₁⁻¹`.
///
/// # Errors
/// If the covariance of the observed coordinates is not positive definite.
pub fn condition(law: &GaussianData, observed: &[f64]) -> Result<GaussianData, LawError> {
    let (seen, rest) = (observed.len(), law.mean.len() - observed.len());
    let c11 = law.covariance.view((0, 0), (seen, seen)).into_owned();
    let c12 = law.covariance.view((0, seen), (seen, rest)).into_owned();
    let c22 = law.covariance.view((seen, seen), (rest, rest));
    let solve = c11.cholesky().ok_or(LawError::Covariance { time: 0.0 })?;
    let gain = solve.solve(&c12).transpose();
    let deviation = DVector::from_column_slice(observed) - law.mean.rows(0, seen);
    Ok(GaussianData { mean: law.mean.rows(seen, rest) + &gain * deviation, covariance: c22 - &gain * c12 })
}

/// The lag-one autocorrelation of series of `length` frames: Σ y_i y_{i+1} over Σ y_i², the mean known to be zero, with
/// both sums made means.
#[must_use]
pub fn lag_one(series: &[f64], length: usize) -> f64 {
    let (mut products, mut squares, mut count) = (0.0, 0.0, 0);
    for row in series.chunks_exact(length.max(1)) {
        products += row.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>();
        squares += row.iter().map(|value| value * value).sum::<f64>();
        count += 1;
    }
    let frames = (count * length) as f64;
    (products / (frames - count as f64)) / (squares / frames)
}

/// The continuous ranked probability score of an ensemble taken as a law: `E|X − y| − E|X − X'|/2` (Gneiting & Raftery
/// 2007). NaN for an empty ensemble.
#[must_use]
pub fn crps(ensemble: &[f64], observation: f64) -> f64 {
    let mut sorted = ensemble.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let distance: f64 = sorted.iter().map(|x| (x - observation).abs()).sum();
    // Σ_{i<j} (x_j − x_i) of sorted values is Σ (2i + 1 − n) x_i.
    let spread: f64 = sorted.iter().enumerate().map(|(i, x)| (2.0 * i as f64 + 1.0 - n) * x).sum();
    distance / n - spread / (n * n)
}

/// The exact denoiser of a Gaussian vector: one component of layout `Vector { dim }`, predictions of any kind, in f64.
///
/// The covariance is diagonalised once, so a row costs two products of its width with a square matrix whatever its time.
#[derive(Clone, Debug)]
pub struct SeriesDenoiser {
    means: Vec<DVector<f64>>,
    /// Columns are eigenvectors of the covariance.
    basis: DMatrix<f64>,
    variances: DVector<f64>,
    path: PathConfig,
    kinds: [PredictionKind; 1],
}

impl SeriesDenoiser {
    /// The denoiser of `law` noised along `path`, answering in `kind`.
    #[must_use]
    pub fn new(law: &GaussianData, path: PathConfig, kind: PredictionKind) -> Self {
        let SymmetricEigen { eigenvectors, eigenvalues } = SymmetricEigen::new(law.covariance.clone());
        Self {
            means: vec![law.mean.clone()],
            basis: eigenvectors,
            variances: eigenvalues,
            path,
            kinds: [kind],
        }
    }

    /// A conditional law: a row has the mean of the row it was in the batch the run started with.
    #[must_use]
    pub fn with_means(mut self, means: Vec<DVector<f64>>) -> Self {
        self.means = means;
        self
    }

    /// The eigenvalues of the covariance, in the order of [`SeriesDenoiser::basis`].
    #[must_use]
    pub fn variances(&self) -> &DVector<f64> {
        &self.variances
    }

    /// The eigenvectors of the covariance, in columns.
    #[must_use]
    pub fn basis(&self) -> &DMatrix<f64> {
        &self.basis
    }
}

impl Denoiser for SeriesDenoiser {
    fn kinds(&self) -> &[PredictionKind] {
        &self.kinds
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let width = self.basis.nrows();
        let found = state.components[0].support.width();
        let mismatch = |what, expected: usize, found: usize| DenoiseError::Mismatch {
            what,
            expected: expected.to_string(),
            found: found.to_string(),
        };
        if found != width {
            return Err(mismatch("frames", width, found));
        }
        let last = (0..times.len()).map(|row| state.components[0].support.origin(row)).max();
        if let Some(last) = last
            && self.means.len() != 1
            && self.means.len() <= last
        {
            return Err(mismatch("rows with a mean, at least", last + 1, self.means.len()));
        }
        let host = state.components[0].to_host().map_err(|error| DenoiseError::Engine(error.into()))?;
        let path = self.path.build();
        let marginals: Vec<_> = times.iter().map(|&time| path.marginal(time)).collect();
        let support = &state.components[0].support;
        let mean = |row: usize| &self.means[if self.means.len() == 1 { 0 } else { support.origin(row) }];
        let x = DMatrix::from_column_slice(width, times.len(), &host);
        let centred =
            DMatrix::from_fn(width, times.len(), |i, row| x[(i, row)] - marginals[row].alpha * mean(row)[i]);
        let mut modes = self.basis.tr_mul(&centred);
        for (row, m) in marginals.iter().enumerate() {
            for (mode, variance) in self.variances.iter().enumerate() {
                modes[(mode, row)] *= m.alpha * variance / (m.alpha * m.alpha * variance + m.sigma * m.sigma);
            }
        }
        let mut clean = &self.basis * modes;
        for (row, m) in marginals.iter().enumerate() {
            let conversion = PredictionKind::X0.convert(self.kinds[0], m);
            for i in 0..width {
                clean[(i, row)] =
                    conversion.state * x[(i, row)] + conversion.prediction * (clean[(i, row)] + mean(row)[i]);
            }
        }
        answer(state, vec![clean.as_slice().to_vec()])
    }
}

/// The prediction is affine in the state with a symmetric matrix, so the product is that matrix times the cotangents.
impl VectorJacobian for SeriesDenoiser {
    fn vjp(
        &self,
        state: &State,
        times: &[f64],
        cotangents: &[Tensor<2>],
    ) -> Result<PredictionsAndGradients, DenoiseError> {
        let predictions = self.predict(state, times)?;
        let width = self.basis.nrows();
        let like = &state.components[0];
        let cotangent = Component { values: cotangents[0].clone(), ..like.clone() };
        let host = cotangent.to_host().map_err(|error| DenoiseError::Engine(error.into()))?;
        let path = self.path.build();
        let c = DMatrix::from_column_slice(width, times.len(), &host);
        let mut modes = self.basis.tr_mul(&c);
        for (row, &time) in times.iter().enumerate() {
            let m = path.marginal(time);
            let conversion = PredictionKind::X0.convert(self.kinds[0], &m);
            for (mode, variance) in self.variances.iter().enumerate() {
                let shrink = m.alpha * variance / (m.alpha * m.alpha * variance + m.sigma * m.sigma);
                modes[(mode, row)] *= conversion.state + conversion.prediction * shrink;
            }
        }
        let gradient = &self.basis * modes;
        Ok((predictions, answer(state, vec![gradient.as_slice().to_vec()])?))
    }
}
