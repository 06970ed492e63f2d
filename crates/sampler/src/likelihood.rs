//! Log-likelihoods by the probability-flow ODE.
//!
//! Along `dx/dt = u(x, t)` the log-density changes by `d log p_t(x_t)/dt = −div u` (instantaneous change of variables, Chen
//! et al. 2018), hence
//!
//! ```text
//! log p_s(x_s) = log p_T(x_T) + ∫_s^T div u(x_t, t) dt.
//! ```
//!
//! The divergence is one more component of the state, a scalar whose velocity a wrapper of the denoiser gives; the
//! executor and the integrator treat it as any other. With Hutchinson's estimate `div u ≈ eᵀ (∂u/∂x) e` the probe e is
//! fixed along the path, so that the integrand is smooth and the estimate of the integral unbiased.
//!
//! Densities, divergences and dimensions are those of the free coordinates: a symmetric pair counts once.
//!
//! Which terminal density is right? The exact log-density of the state at T. The prior that sampling starts from is
//! only near it: where α_T is not 0 the difference is an error of the result that no tolerance removes.
//! For data N(0.7, 0.4²) on the linear variance-preserving path (α_1 = 0.0066) it is 8.0e-3 nats (1.2e-2 bits) at
//! x = 1.4.

use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::denoiser::{DenoiseError, Denoiser};
use crate::error::SamplerError;
use crate::execute::Executor;
use crate::noise::{KeyedNoise, NoiseLaw, NoiseSource, Stream, to_tensor};
use crate::path::{Marginal, Path, PathConfig, start_time};
use crate::plan::{AdaptivePlanner, DormandPrince, PlanSource};
use crate::prediction::{Conversion, PredictionKind};
use crate::state::{Component, State, host_f64};
use crate::support::{Layout, Support, mirror};
use crate::vector_jacobian::VectorJacobian;

/// How the divergence of the velocity is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Divergence {
    /// Hutchinson's estimate with this many probes of stream [`Stream::Probe`], fixed along the path.
    Hutchinson {
        /// Number of probes, at least 1. The variance falls as its inverse, the cost grows with it.
        probes: u32,
        /// Distribution of their coordinates.
        law: Probe,
    },
    /// The exact trace: one product per free coordinate.
    Exact,
}

/// Distribution of the coordinates of a probe: mean 0, variance 1, independent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// ±1, the law of smallest variance: exact where the Jacobian is diagonal.
    #[default]
    Rademacher,
    /// Standard normal.
    Gaussian,
}

impl Default for Divergence {
    fn default() -> Self {
        Self::Hutchinson { probes: 1, law: Probe::Rademacher }
    }
}

/// The log-density of the end of the flow.
pub trait TerminalDensity {
    /// The natural logarithm of the density of each row at `time`, with respect to the free coordinates.
    ///
    /// # Errors
    /// If the state is not what the density is of.
    fn log_density(&self, state: &State, time: f64) -> Result<Vec<f64>, SamplerError>;
}

/// The prior that sampling starts from: independent N(0, σ²) on every free coordinate of a component, with σ the prior
/// standard deviation of its path.
#[derive(Clone, Debug, PartialEq)]
pub struct PriorDensity {
    /// One σ per component.
    pub std: Vec<f64>,
}

impl PriorDensity {
    /// The prior of these paths.
    #[must_use]
    pub fn new(paths: &[PathConfig]) -> Self {
        Self { std: paths.iter().map(|path| path.build().prior_std()).collect() }
    }
}

impl TerminalDensity for PriorDensity {
    fn log_density(&self, state: &State, _time: f64) -> Result<Vec<f64>, SamplerError> {
        if state.components.len() != self.std.len() {
            let (expected, found) = (self.std.len(), state.components.len());
            return Err(SamplerError::Count { what: "components of the prior", expected, found });
        }
        let mut out = vec![0.0; state.batch()];
        for (component, std) in state.components.iter().zip(&self.std) {
            let values = component.to_host()?;
            let support = &component.support;
            let constant = 0.5 * libm::log(2.0 * core::f64::consts::PI) + libm::log(*std);
            for (row, log_density) in out.iter_mut().enumerate() {
                let values = &values[row * support.width()..(row + 1) * support.width()];
                let square = support.sum_of_squares(row, values) / (std * std);
                *log_density -= 0.5 * square + support.degrees_of_freedom(row) as f64 * constant;
            }
        }
        Ok(out)
    }
}

/// The log-likelihood of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LogLikelihood {
    /// Log-density of the state at the start time, in nats: `terminal + divergence`.
    pub log_density: f64,
    /// Log-density of the end of its flow.
    pub terminal: f64,
    /// Integral of the divergence along it.
    pub divergence: f64,
    /// Free coordinates.
    pub degrees_of_freedom: usize,
    /// Network evaluations, each with its products; rejected steps are counted.
    pub evaluations: usize,
}

impl LogLikelihood {
    /// −log₂ of the density, per free coordinate.
    #[must_use]
    pub fn bits_per_dimension(&self) -> f64 {
        -self.log_density / (core::f64::consts::LN_2 * self.degrees_of_freedom as f64)
    }
}

/// How log-likelihoods are computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Likelihood {
    /// The integrator; its `t_end` is not used, as it runs from the data to the noise.
    pub ode: DormandPrince,
    /// The time whose density is computed. At 0 itself many paths have no density to speak of.
    pub t_start: f64,
    /// How the divergence is found.
    pub divergence: Divergence,
}

impl Default for Likelihood {
    fn default() -> Self {
        Self { ode: DormandPrince::default(), t_start: 1e-5, divergence: Divergence::default() }
    }
}

impl Likelihood {
    /// `log p_{t_start}` of every row of `state`, whose components have these paths; `None` for a row that became
    /// non-finite. `ids[b]` is the id of row b: its probes depend on (seed, id), and so does nothing else.
    ///
    /// Cost: about 6 evaluations per integrator step, each with one vector–Jacobian product per probe.
    ///
    /// # Errors
    /// As [`Executor::run_sources`]; [`SamplerError::StepSize`] if the tolerance cannot be met for some row.
    pub fn evaluate(
        &self,
        denoiser: &dyn VectorJacobian,
        paths: &[PathConfig],
        terminal: &dyn TerminalDensity,
        state: State,
        ids: &[u64],
        seed: u64,
    ) -> Result<Vec<Option<LogLikelihood>>, SamplerError> {
        state.check()?;
        let counts = [
            ("paths of a likelihood", state.components.len(), paths.len()),
            ("sample ids", state.batch(), ids.len()),
        ];
        for (what, expected, found) in counts {
            if expected != found {
                return Err(SamplerError::Count { what, expected, found });
            }
        }
        let augmented = WithDivergence::new(denoiser, paths, &state, ids, self.divergence, seed)?;
        let end = start_time(&augmented.paths);
        // The scalar is on no path; its velocity is given as such, so that the marginals of this one are not read.
        let all: Vec<PathConfig> = paths.iter().chain(paths.first()).cloned().collect();
        let sources: Result<Vec<Box<dyn PlanSource>>, _> =
            ids.iter().map(|_| self.ode.source_between(&all, self.t_start, end)).collect();
        let start = augmented.augment(state)?;
        let noise = KeyedNoise::new(seed);
        let outcome =
            Executor::new(&augmented, &noise).run_sources(&mut sources?, self.ode.registers(), start, ids)?;
        let (state, scalar) = WithDivergence::split(outcome.state);
        let terminal = terminal.log_density(&state, end)?;
        let divergence = scalar.to_host()?;
        Ok((0..ids.len())
            .map(|row| {
                let failed = outcome.failures.iter().any(|failure| failure.row == row);
                (!failed).then(|| LogLikelihood {
                    log_density: terminal[row] + divergence[row],
                    terminal: terminal[row],
                    divergence: divergence[row],
                    degrees_of_freedom: degrees_of_freedom(&state, row),
                    evaluations: outcome.row_evaluations[row],
                })
            })
            .collect())
    }
}

fn degrees_of_freedom(state: &State, row: usize) -> usize {
    state.components.iter().map(|component| component.support.degrees_of_freedom(row)).sum()
}

/// A denoiser of one more component: a scalar `[B, 1]` whose velocity is the divergence of the others'.
struct WithDivergence<'a> {
    inner: &'a dyn VectorJacobian,
    paths: Vec<Box<dyn Path>>,
    /// Per component, the head whose prediction the velocity is made of.
    heads: Vec<usize>,
    kinds: Vec<PredictionKind>,
    /// `directions[i][component]`, `[B, D]` each: the probes, or the unit vectors, of every row of the start.
    directions: Vec<Vec<Vec<f64>>>,
    /// Weight of each direction's bilinear form in the trace.
    weight: f64,
}

/// Name of the scalar.
const SCALAR: &str = "divergence";

impl<'a> WithDivergence<'a> {
    fn new(
        inner: &'a dyn VectorJacobian,
        paths: &[PathConfig],
        state: &State,
        ids: &[u64],
        divergence: Divergence,
        seed: u64,
    ) -> Result<Self, SamplerError> {
        let components = paths.len();
        let given = inner.kinds();
        if given.len() < components {
            let (expected, found) = (components, given.len());
            return Err(SamplerError::Count { what: "components of the denoiser", expected, found });
        }
        // The head of the velocity itself, else the first, which will be converted.
        let head = |component: usize| {
            let mut heads = (component..given.len()).step_by(components);
            heads.find(|&head| given[head] == PredictionKind::Velocity).unwrap_or(component)
        };
        let heads: Vec<usize> = (0..components).map(head).collect();
        let kinds = heads.iter().map(|&head| given[head]).chain([PredictionKind::Velocity]).collect();
        let (directions, weight) = match divergence {
            Divergence::Hutchinson { probes, law } => {
                if probes == 0 {
                    let (option, value, expected) = ("probes", 0.0, "at least 1");
                    return Err(SamplerError::Option { planner: "likelihood", option, value, expected });
                }
                let law = match law {
                    Probe::Rademacher => NoiseLaw::Rademacher,
                    Probe::Gaussian => NoiseLaw::Gaussian,
                };
                let noise = KeyedNoise { seed, law };
                let draw = |probe| {
                    let draw = |(index, component): (usize, &Component)| {
                        noise.normals(Stream::Probe, probe, index, &component.support, ids)
                    };
                    state.components.iter().enumerate().map(draw).collect()
                };
                ((0..probes).map(draw).collect(), 1.0 / f64::from(probes))
            }
            Divergence::Exact => (unit_vectors(state), 1.0),
        };
        let paths = paths.iter().map(PathConfig::build).collect();
        Ok(Self { inner, paths, heads, kinds, directions, weight })
    }

    /// The state with the scalar, which starts from 0. Its rows are labelled by their places in the start, so that a row
    /// finds its probes in whatever company it is evaluated.
    fn augment(&self, mut state: State) -> Result<State, SamplerError> {
        let batch = state.batch();
        let labels = (0..batch as u32).map(|row| vec![row]).collect();
        let support = Support::vector(batch, 1).with_labels(labels);
        let device = state.components.first().map(|component| component.values.device()).unwrap_or_default();
        state.components.push(Component::from_host(SCALAR, vec![0.0; batch], support, &device, DType::F64)?);
        Ok(state)
    }

    /// The state and the scalar.
    fn split(mut state: State) -> (State, Component) {
        let scalar = state.components.pop().expect("an augmented state ends with the scalar");
        (state, scalar)
    }

    /// The cotangents that make `eᵀ (∂u/∂x)` of a direction e: it, times the coefficient of the prediction in the velocity.
    fn cotangents(
        &self,
        state: &State,
        rows: &[usize],
        direction: &[Vec<f64>],
        conversions: &[Vec<Conversion>],
    ) -> Vec<Tensor<2>> {
        let components = state.components.len();
        let silent = |head: usize| state.components[head % components].values.zeros_like();
        let mut cotangents: Vec<Tensor<2>> = (0..self.inner.kinds().len()).map(silent).collect();
        for (index, component) in state.components.iter().enumerate() {
            let width = component.support.width();
            let mut values = Vec::with_capacity(rows.len() * width);
            for (place, &row) in rows.iter().enumerate() {
                let scale = conversions[place][index].prediction;
                values.extend(direction[index][row * width..(row + 1) * width].iter().map(|e| scale * e));
            }
            let (device, dtype) = (component.values.device(), component.values.dtype());
            cotangents[self.heads[index]] = to_tensor(values, &component.support, &device, dtype);
        }
        cotangents
    }
}

impl Denoiser for WithDivergence<'_> {
    fn kinds(&self) -> &[PredictionKind] {
        &self.kinds
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let engine = |error: SamplerError| DenoiseError::Engine(Box::new(error));
        let (state, scalar) = Self::split(state.clone());
        let rows: Vec<usize> = (0..times.len()).map(|row| scalar.support.label(row, 0) as usize).collect();
        let mut conversions = Vec::with_capacity(times.len());
        let mut divergence = vec![0.0; times.len()];
        for (place, &time) in times.iter().enumerate() {
            let of = |(index, component): (usize, &Component)| {
                let marginal: Marginal = self.paths[index].marginal(time);
                let kind = self.kinds[index];
                if kind != PredictionKind::Velocity && marginal.is_two_ended() {
                    let (component, want) = (component.name.clone(), PredictionKind::Velocity);
                    return Err(engine(SamplerError::NoConversion { component, given: kind, want }));
                }
                Ok(kind.convert(PredictionKind::Velocity, &marginal))
            };
            let of: Vec<Conversion> =
                state.components.iter().enumerate().map(of).collect::<Result<_, _>>()?;
            for (component, conversion) in state.components.iter().zip(&of) {
                divergence[place] += conversion.state * component.support.degrees_of_freedom(place) as f64;
            }
            conversions.push(of);
        }
        let mut predictions = None;
        for direction in &self.directions {
            let cotangents = self.cotangents(&state, &rows, direction, &conversions);
            let (predicted, gradients) = self.inner.vjp(&state, times, &cotangents)?;
            predictions.get_or_insert(predicted);
            for (index, (component, gradient)) in state.components.iter().zip(gradients).enumerate() {
                let width = component.support.width();
                let gradient = host_f64(&component.name, gradient).map_err(engine)?;
                for (place, &row) in rows.iter().enumerate() {
                    let direction = &direction[index][row * width..(row + 1) * width];
                    let gradient = &gradient[place * width..(place + 1) * width];
                    divergence[place] += self.weight * component.support.dot(place, direction, gradient);
                }
            }
        }
        let predictions = match predictions {
            Some(predictions) => predictions,
            // A state without a free coordinate has no direction.
            None => self.inner.predict(&state, times)?,
        };
        let mut out: Vec<Tensor<2>> = self.heads.iter().map(|&head| predictions[head].clone()).collect();
        out.push(to_tensor(divergence, &scalar.support, &scalar.values.device(), DType::F64));
        Ok(out)
    }
}

/// One direction per free coordinate: direction i of a row is its i-th unit vector, zero where it has none.
fn unit_vectors(state: &State) -> Vec<Vec<Vec<f64>>> {
    let zeros: Vec<Vec<f64>> = state
        .components
        .iter()
        .map(|component| vec![0.0; component.support.batch() * component.support.width()])
        .collect();
    let count = (0..state.batch()).map(|row| degrees_of_freedom(state, row)).max().unwrap_or(0);
    let mut directions = vec![zeros; count];
    for row in 0..state.batch() {
        let mut next = 0;
        for (index, component) in state.components.iter().enumerate() {
            let support = &component.support;
            let width = support.width();
            support.for_each_coordinate(row, |coordinate, _| {
                let values = &mut directions[next][index][row * width..(row + 1) * width];
                values[coordinate] = 1.0;
                if let Layout::SymmetricPairs { nodes } = support.layout() {
                    mirror(values, nodes);
                }
                next += 1;
            });
        }
    }
    directions
}
