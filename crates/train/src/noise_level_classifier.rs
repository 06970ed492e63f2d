//! A classifier of noise levels: which level of a path has a noised state?
//!
//! `p(level | x)` is what a chain over state and noise level draws its next level from (denoising MCMC, Kim & Ye, ICML 2023,
//! arXiv 2209.14593). Trained by cross-entropy on data noised to levels drawn evenly, a network that is expressive enough
//! has the exact law as its minimiser.
//!
//! The network is a perceptron with two hidden tanh layers on features of the state:
//!
//! | feature | of |
//! | --- | --- |
//! | asinh of each coordinate | components that are plain vectors |
//! | ln of the means of abs x, x² and x⁴ over the free coordinates, and ln of their number | every component |
//!
//! For graphs and other components of nodes these are invariant under renumbering, and most of what a state tells of its level
//! is in its second moment. The network is small and evaluated on the host: a call costs nothing beside a denoiser's.

use equidrift_backend::weights::{HostTensor, ParameterSet};
use equidrift_sampler::drive::{Draws, NoiseLevels};
use equidrift_sampler::{KeyedNoise, Layout, NoiseSource, Path, PathConfig, SamplerError, State, Stream};
use nalgebra::{DMatrix, DVector};

use crate::error::TrainError;
use crate::objective::{Evaluation, Objective};

/// Start of all parameter names: one group of the trainer.
pub const PREFIX: &str = "level.";

/// The classifier with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseLevelClassifier {
    /// Times of the levels, increasing.
    pub times: Vec<f64>,
    /// Its weights, named `level.linears.{0,1,2}.{weight,bias}`.
    pub parameters: ParameterSet,
}

/// Numbers made of a component beside its coordinates.
const MOMENTS: usize = 4;

/// What a state tells, `[features, B]`.
fn features(state: &State) -> Result<DMatrix<f64>, SamplerError> {
    let mut columns = vec![Vec::new(); state.batch()];
    for component in &state.components {
        let values = component.to_host()?;
        let support = &component.support;
        for (row, features) in columns.iter_mut().enumerate() {
            let values = &values[row * support.width()..(row + 1) * support.width()];
            if let Layout::Vector { .. } = support.layout() {
                features.extend(values.iter().map(|x| libm::asinh(*x)));
            }
            let mut sums = [0.0; 3];
            support.for_each_coordinate(row, |index, _| {
                let x = values[index];
                for (sum, term) in sums.iter_mut().zip([x.abs(), x * x, x * x * x * x]) {
                    *sum += term;
                }
            });
            let count = support.degrees_of_freedom(row).max(1) as f64;
            // A state of zeros has no logarithm; no noised state is one.
            features.extend(sums.map(|sum| libm::log(sum / count + 1e-12)));
            features.push(libm::log(count));
        }
    }
    let rows = columns.first().map_or(0, Vec::len);
    Ok(DMatrix::from_iterator(rows, columns.len(), columns.into_iter().flatten()))
}

/// Number of features of a state's components.
fn feature_count(state: &State) -> usize {
    let of = |component: &equidrift_sampler::Component| match component.support.layout() {
        Layout::Vector { dim } => dim + MOMENTS,
        _ => MOMENTS,
    };
    state.components.iter().map(of).sum()
}

/// A linear map read from the parameters.
fn linear(parameters: &ParameterSet, index: usize) -> Result<(DMatrix<f64>, DVector<f64>), TrainError> {
    let read = |kind: &str| {
        let name = format!("{PREFIX}linears.{index}.{kind}");
        parameters.get(&name).ok_or(TrainError::UnknownParameter { name })
    };
    let (weight, bias) = (read("weight")?, read("bias")?);
    let (outputs, inputs) = (weight.shape[0], weight.shape[1]);
    Ok((DMatrix::from_row_slice(outputs, inputs, &weight.to_f64()), DVector::from_vec(bias.to_f64())))
}

/// What the layers make of the features: their inputs, and the log-probabilities `[levels, B]`.
struct Pass {
    inputs: Vec<DMatrix<f64>>,
    weights: Vec<DMatrix<f64>>,
    log_probabilities: DMatrix<f64>,
}

fn pass(parameters: &ParameterSet, features: DMatrix<f64>) -> Result<Pass, TrainError> {
    let (mut inputs, mut weights) = (Vec::new(), Vec::new());
    let mut current = features;
    for index in 0..3 {
        let (weight, bias) = linear(parameters, index)?;
        if weight.ncols() != current.nrows() {
            return Err(TrainError::Length {
                what: "features of a state",
                expected: weight.ncols(),
                found: current.nrows(),
            });
        }
        let mut next = &weight * &current;
        for mut column in next.column_iter_mut() {
            column += &bias;
        }
        if index < 2 {
            next.apply(|x| *x = libm::tanh(*x));
        }
        inputs.push(std::mem::replace(&mut current, next));
        weights.push(weight);
    }
    for mut column in current.column_iter_mut() {
        let top = column.max();
        let total: f64 = column.iter().map(|x| libm::exp(x - top)).sum();
        column.add_scalar_mut(-top - libm::log(total));
    }
    Ok(Pass { inputs, weights, log_probabilities: current })
}

impl NoiseLevelClassifier {
    /// An untrained classifier of the levels at `times` for states like `like`, with `hidden` units in each hidden layer.
    /// Entry e of the k-th map is a function of (`seed`, k, e) alone.
    #[must_use]
    pub fn new(times: Vec<f64>, like: &State, hidden: usize, seed: u64) -> Self {
        let sizes = [feature_count(like), hidden, hidden, times.len()];
        let mut parameters = ParameterSet::new();
        for (index, pair) in sizes.windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            // Uniform in ±1/√inputs, as linear maps usually begin.
            let bound = 1.0 / libm::sqrt(inputs.max(1) as f64);
            let mut draws = Draws::new(seed, index as u64);
            let mut fill = |count: usize| {
                (0..count).map(|_| bound * (2.0 * draws.uniform() - 1.0)).collect::<Vec<f64>>()
            };
            let (weight, bias) = (fill(inputs * outputs), fill(outputs));
            let name = |kind: &str| format!("{PREFIX}linears.{index}.{kind}");
            parameters.insert(name("weight"), HostTensor::f64(vec![outputs, inputs], weight));
            parameters.insert(name("bias"), HostTensor::f64(vec![outputs], bias));
        }
        Self { times, parameters }
    }

    /// `[B, levels]` in row order: the log-probability of each level.
    ///
    /// # Errors
    /// If the state has not the components the classifier was made for.
    pub fn log_probabilities(&self, state: &State) -> Result<Vec<f64>, TrainError> {
        let features = features(state).map_err(|error| TrainError::Objective(Box::new(error)))?;
        // Columns of the matrix are rows of the batch.
        Ok(pass(&self.parameters, features)?.log_probabilities.as_slice().to_vec())
    }
}

impl NoiseLevels for NoiseLevelClassifier {
    fn log_weights(&self, state: &State, times: &[f64]) -> Result<Vec<f64>, SamplerError> {
        if times.len() != self.times.len() {
            let (expected, found) = (self.times.len(), times.len());
            return Err(SamplerError::Count { what: "noise levels of the classifier", expected, found });
        }
        self.log_probabilities(state).map_err(|error| SamplerError::Caller {
            what: "the classifier of noise levels",
            source: Box::new(error),
        })
    }
}

/// Cross-entropy of the levels of noised data: example i in epoch e has a level and noise that are functions of (seed, i, e)
/// alone.
#[derive(Debug)]
pub struct NoiseLevelObjective<'d> {
    data: &'d State,
    paths: Vec<Box<dyn Path>>,
    times: Vec<f64>,
    seed: u64,
}

impl<'d> NoiseLevelObjective<'d> {
    /// The objective for clean `data` whose components are noised along `paths` to the levels at `times`.
    ///
    /// # Errors
    /// [`TrainError::Length`] if there is not one path per component.
    pub fn new(
        data: &'d State,
        paths: &[PathConfig],
        times: Vec<f64>,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let (expected, found) = (data.components.len(), paths.len());
        if expected != found {
            return Err(TrainError::Length { what: "paths of a noise level objective", expected, found });
        }
        Ok(Self { data, paths: paths.iter().map(PathConfig::build).collect(), times, seed })
    }

    /// Cross-entropy of another law of the level on the same noised examples, for instance of one that is known exactly.
    ///
    /// # Errors
    /// As [`NoiseLevels::log_weights`].
    pub fn loss_of(
        &self,
        law: &dyn NoiseLevels,
        examples: &[usize],
        epoch: u64,
    ) -> Result<f64, SamplerError> {
        let (state, levels) = self.noised(examples, epoch)?;
        let weights = law.log_weights(&state, &self.times)?;
        let rows = weights.chunks_exact(self.times.len().max(1)).zip(&levels);
        let losses = rows.map(|(weights, &level)| {
            let top = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            top + libm::log(weights.iter().map(|w| libm::exp(w - top)).sum::<f64>()) - weights[level]
        });
        Ok(losses.sum::<f64>() / examples.len().max(1) as f64)
    }

    /// The noised examples and their levels.
    fn noised(&self, examples: &[usize], epoch: u64) -> Result<(State, Vec<usize>), SamplerError> {
        let clean = self.data.select(examples);
        // Sample ids have 48 bits: the example in the lower, the epoch in the upper half of them.
        let ids: Vec<u64> = examples
            .iter()
            .map(|&example| (example as u64 & 0xff_ffff) | ((epoch & 0xff_ffff) << 24))
            .collect();
        let levels: Vec<usize> =
            ids.iter().map(|&id| Draws::new(self.seed, id).index(self.times.len())).collect();
        let noise = KeyedNoise::new(self.seed);
        let mut noised = clean.to_host()?;
        for (index, values) in noised.iter_mut().enumerate() {
            let support = &clean.components[index].support;
            let draws = noise.normals(Stream::Probe, 0, index, support, &ids);
            let width = support.width().max(1);
            for ((values, draws), &level) in
                values.chunks_exact_mut(width).zip(draws.chunks_exact(width)).zip(&levels)
            {
                let (alpha, sigma) =
                    (self.paths[index].alpha(self.times[level]), self.paths[index].sigma(self.times[level]));
                for (value, z) in values.iter_mut().zip(draws) {
                    *value = alpha * *value + sigma * z;
                }
            }
        }
        Ok((clean.with_values(noised)?, levels))
    }
}

impl Objective for NoiseLevelObjective<'_> {
    fn losses(&self) -> &[&'static str] {
        &["level"]
    }

    fn examples(&self) -> usize {
        self.data.batch()
    }

    fn evaluate(
        &mut self,
        parameters: &ParameterSet,
        examples: &[usize],
        epoch: u64,
    ) -> Result<Evaluation, TrainError> {
        let failed = |error: SamplerError| TrainError::Objective(Box::new(error));
        let (state, levels) = self.noised(examples, epoch).map_err(failed)?;
        let Pass { inputs, weights, log_probabilities } =
            pass(parameters, features(&state).map_err(failed)?)?;
        let share = 1.0 / examples.len().max(1) as f64;
        let mut loss = 0.0;
        // d loss / d logits = (softmax − one-hot)/B.
        let mut delta = log_probabilities.map(|x| share * libm::exp(x));
        for (column, &level) in levels.iter().enumerate() {
            loss -= share * log_probabilities[(level, column)];
            delta[(level, column)] -= share;
        }
        let mut gradient = ParameterSet::new();
        for index in (0..3).rev() {
            let weight = &delta * inputs[index].transpose();
            let bias = delta.column_sum();
            let name = |kind: &str| format!("{PREFIX}linears.{index}.{kind}");
            // nalgebra stores columns, the parameters rows.
            let rows = weight.transpose().as_slice().to_vec();
            gradient.insert(name("weight"), HostTensor::f64(vec![weight.nrows(), weight.ncols()], rows));
            gradient.insert(name("bias"), HostTensor::f64(vec![bias.len()], bias.as_slice().to_vec()));
            if index > 0 {
                delta = weights[index].tr_mul(&delta);
                // tanh' = 1 − tanh².
                delta.zip_apply(&inputs[index], |d, h| *d *= 1.0 - h * h);
            }
        }
        Ok(Evaluation { losses: vec![loss], gradient })
    }
}
