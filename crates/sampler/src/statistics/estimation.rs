//! Measuring the statistics of a network on samples of its data.

use serde::{Deserialize, Serialize};

use super::table::slopes_at_nodes;
use super::{ComponentStatistics, ModelStatistics};
use crate::denoiser::Denoiser;
use crate::error::SamplerError;
use crate::execute::Executor;
use crate::grid::TimeGrid;
use crate::noise::{KeyedNoise, NoiseLaw, NoiseSource, Stream};
use crate::path::{Path, PathConfig, start_time};
use crate::plan::{Plan, PlanBuilder, STATE, derivative_weights};
use crate::prediction::PredictionKind;
use crate::state::State;
use crate::support::Support;

/// How statistics are measured.
///
/// At every node of a λ grid the data are noised, `x = α x₀ + σ ε` with the same ε and the same probes at all nodes
/// (so that l, s and b are smooth in λ), and the network is evaluated 3 + 2 `probes` times per batch:
///
/// - l by Hutchinson's estimator with ±1 probes v and the central difference
///   `v · (ε̂(x + hσv) − ε̂(x − hσv))/(2h)` per free coordinate;
/// - the total derivative of `F = (σ/α) ε̂` along the path by differences of F along its tangent
///   `(dz/dλ, 1) = (−F, 1)`, central inside the grid and one-sided of second order at its two ends, and from it
///   `f' = F' − l' z + l F` for f = F − l z;
/// - s and b by least squares of f' on f over all free coordinates of all samples.
///
/// Differences instead of automatic derivatives let any denoiser be measured; in f64 they are accurate to about 1e-8, in
/// f32 to about 1e-3, well below the sampling error of a thousand samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Estimation {
    /// Intervals of the λ grid.
    pub intervals: usize,
    /// Its last time; no plan can go further.
    pub t_end: f64,
    /// Samples evaluated at once.
    pub batch: usize,
    /// Probes per sample.
    pub probes: u32,
    /// Step h of the differences, in units of σ and of λ; default 1e-4 for f64 and 1e-2 for f32 states.
    pub step: Option<f64>,
    /// Seed of ε and of the probes.
    pub seed: u64,
}

impl Default for Estimation {
    fn default() -> Self {
        Self { intervals: 250, t_end: 1e-3, batch: 256, probes: 1, step: None, seed: 0 }
    }
}

/// Largest grid accepted: the artefact stays below 100 MB.
const MOST_INTERVALS: usize = 100_000;

/// The network, the noised samples of one batch and where they are noised.
struct Batch<'a> {
    denoiser: &'a dyn Denoiser,
    noise: &'a KeyedNoise,
    paths: &'a [PathConfig],
    built: &'a [Box<dyn Path>],
    state: State,
    ids: Vec<u64>,
    /// Data and ε on the host, per component.
    data: Vec<Vec<f64>>,
    epsilon: Vec<Vec<f64>>,
}

impl Batch<'_> {
    fn supports(&self) -> impl Iterator<Item = &Support> {
        self.state.components.iter().map(|component| &component.support)
    }

    /// α x₀ + σ ε.
    fn noised(&self, time: f64) -> Vec<Vec<f64>> {
        let parts = self.built.iter().zip(self.data.iter().zip(&self.epsilon));
        parts
            .map(|(path, (data, epsilon))| {
                let (alpha, sigma) = (path.alpha(time), path.sigma(time));
                data.iter().zip(epsilon).map(|(x, e)| alpha * x + sigma * e).collect()
            })
            .collect()
    }

    /// ε̂ at these values, on the host.
    fn noise_prediction(&self, time: f64, values: Vec<Vec<f64>>) -> Result<Vec<Vec<f64>>, SamplerError> {
        let plan = single_evaluation(self.paths, time)?;
        let state = self.state.with_values(values)?;
        let outcome = Executor::new(self.denoiser, self.noise).run(&plan, state, &self.ids)?;
        if let Some(failure) = outcome.failures.first() {
            let problem =
                format!("the network's answer for sample {} at t = {time} is not finite", failure.id);
            return Err(SamplerError::Statistics { problem });
        }
        outcome.state.to_host()
    }
}

/// Evaluates the network once; the state becomes ε̂.
fn single_evaluation(paths: &[PathConfig], time: f64) -> Result<Plan, SamplerError> {
    let mut builder = PlanBuilder::new("statistics", paths, 1)?;
    builder.begin_step(time);
    builder.eval_state(time, PredictionKind::Noise, STATE);
    builder.finish()
}

/// Running sums of a regression of y on x.
#[derive(Clone, Copy, Debug, Default)]
struct Regression {
    count: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
    /// What x is a difference of; its size tells which variance of x is rounding only.
    scale: f64,
}

impl Regression {
    fn add(&mut self, x: f64, y: f64, scale: f64) {
        // Welford's update: the variance of a nearly constant x keeps its digits.
        self.count += 1.0;
        let dx = x - self.x;
        self.x += dx / self.count;
        self.y += (y - self.y) / self.count;
        self.xx += dx * (x - self.x);
        self.xy += dx * (y - self.y);
        self.scale += scale;
    }

    /// Slope and intercept. Where x does not vary beyond rounding the slope is 0.
    fn line(&self, rounding: f64) -> (f64, f64) {
        let spread = self.xx + rounding * self.scale;
        let slope = if spread > 0.0 { self.xy / spread } else { 0.0 };
        (slope, self.y - slope * self.x)
    }
}

impl Estimation {
    fn check(&self, data: &State) -> Result<(), SamplerError> {
        let checks = [
            (
                "intervals",
                self.intervals as f64,
                (1..=MOST_INTERVALS).contains(&self.intervals),
                "1 to 100000",
            ),
            ("batch", self.batch as f64, self.batch > 0, "at least 1"),
            ("probes", f64::from(self.probes), self.probes > 0, "at least 1"),
            ("samples", data.batch() as f64, data.batch() > 0, "at least 1"),
        ];
        for (option, value, good, expected) in checks {
            if !good {
                return Err(SamplerError::Option { planner: "statistics", option, value, expected });
            }
        }
        match self.step {
            Some(value) if !(value.is_finite() && value > 0.0) => {
                let expected = "a number above 0";
                Err(SamplerError::Option { planner: "statistics", option: "step", value, expected })
            }
            _ => Ok(()),
        }
    }

    /// Measures the statistics of `denoiser`, the network of the checkpoint with digest `checkpoint`, on the samples
    /// `data` (clean data, one row per sample) along `paths`. `progress` hears (network evaluations done, in all).
    ///
    /// # Errors
    /// If an option is out of range, data, paths and denoiser do not fit together, the denoiser fails, or an answer is
    /// not finite.
    pub fn measure(
        &self,
        denoiser: &dyn Denoiser,
        data: &State,
        paths: &[PathConfig],
        checkpoint: &str,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<ModelStatistics, SamplerError> {
        self.check(data)?;
        data.check()?;
        if paths.len() != data.components.len() {
            let (expected, found) = (paths.len(), data.components.len());
            return Err(SamplerError::Count { what: "components of the data", expected, found });
        }
        let built: Vec<Box<dyn Path>> = paths.iter().map(PathConfig::build).collect();
        let noise = KeyedNoise::new(self.seed);
        let single = data.components.iter().any(|c| c.values.dtype() == burn::tensor::DType::F32);
        let h = self.step.unwrap_or(if single { 1e-2 } else { 1e-4 });
        let times = TimeGrid::UniformLambda.nodes(paths, self.intervals, start_time(&built), self.t_end)?;
        let rows: Vec<usize> = (0..data.batch()).collect();
        let mut batches = Vec::new();
        for rows in rows.chunks(self.batch) {
            let state = data.select(rows);
            let ids: Vec<u64> = rows.iter().map(|&row| row as u64).collect();
            let epsilon = (0..paths.len())
                .map(|c| noise.normals(Stream::Renoise, 0, c, &state.components[c].support, &ids))
                .collect();
            let data = state.to_host()?;
            batches.push(Batch { denoiser, noise: &noise, paths, built: &built, state, ids, data, epsilon });
        }
        let total = times.len() * batches.len() * (3 + 2 * self.probes as usize);
        let mut done = 0;
        let mut tick = |evaluations: usize| {
            done += evaluations;
            progress(done, total);
        };
        let lambdas: Vec<Vec<f64>> =
            built.iter().map(|path| times.iter().map(|&t| path.lambda(t)).collect()).collect();
        let mut l = vec![Vec::with_capacity(times.len()); paths.len()];
        for &time in &times {
            let mut trace = vec![0.0; paths.len()];
            let mut freedom = vec![0.0; paths.len()];
            for batch in &batches {
                self.add_trace(batch, time, h, &mut trace, &mut freedom)?;
                tick(2 * self.probes as usize);
            }
            for (l, (trace, freedom)) in l.iter_mut().zip(trace.iter().zip(&freedom)) {
                l.push(if *freedom > 0.0 { trace / freedom } else { 1.0 });
            }
        }
        let slopes: Vec<Vec<f64>> = lambdas.iter().zip(&l).map(|(x, y)| slopes_at_nodes(x, y)).collect();
        let (mut s, mut b) = (l.clone(), l.clone());
        let rounding = if single { 1e-6 } else { 1e-12 };
        for (node, &time) in times.iter().enumerate() {
            let mut regressions = vec![Regression::default(); paths.len()];
            let linear: Vec<(f64, f64)> = l.iter().zip(&slopes).map(|(l, dl)| (l[node], dl[node])).collect();
            let offsets: [f64; 2] = match node {
                0 => [h, 2.0 * h],
                _ if node + 1 == times.len() => [-h, -2.0 * h],
                _ => [-h, h],
            };
            for batch in &batches {
                add_derivatives(batch, time, offsets, &linear, &mut regressions)?;
                tick(3);
            }
            for (c, regression) in regressions.iter().enumerate() {
                (s[c][node], b[c][node]) = regression.line(rounding);
            }
        }
        let components = data.components.iter().enumerate().map(|(c, component)| ComponentStatistics {
            name: component.name.clone(),
            lambda: lambdas[c].clone(),
            l: std::mem::take(&mut l[c]),
            s: std::mem::take(&mut s[c]),
            b: std::mem::take(&mut b[c]),
        });
        ModelStatistics::new(checkpoint, data.batch(), paths.to_vec(), components.collect())
    }

    /// Adds `v · J v` and the degrees of freedom of a batch, J the Jacobian of σ ε̂.
    fn add_trace(
        &self,
        batch: &Batch<'_>,
        time: f64,
        h: f64,
        trace: &mut [f64],
        freedom: &mut [f64],
    ) -> Result<(), SamplerError> {
        let probes = KeyedNoise { seed: self.seed, law: NoiseLaw::Rademacher };
        let center = batch.noised(time);
        for probe in 0..self.probes {
            let directions: Vec<Vec<f64>> = batch
                .supports()
                .enumerate()
                .map(|(c, support)| probes.normals(Stream::Probe, probe, c, support, &batch.ids))
                .collect();
            let moved = |sign: f64| {
                let parts = center.iter().zip(directions.iter().zip(batch.built));
                let values = parts.map(|(x, (v, path))| {
                    let step = sign * h * path.sigma(time);
                    x.iter().zip(v).map(|(x, v)| x + step * v).collect()
                });
                batch.noise_prediction(time, values.collect())
            };
            let (up, down) = (moved(1.0)?, moved(-1.0)?);
            for (c, support) in batch.supports().enumerate() {
                each_coordinate(support, |index| {
                    trace[c] += directions[c][index] * (up[c][index] - down[c][index]) / (2.0 * h);
                    freedom[c] += 1.0;
                });
            }
        }
        Ok(())
    }
}

/// Adds f and f' of a batch. `offsets` are the two other points of the difference, in λ of the first component;
/// `linear` is (l, dl/dλ) of each component.
fn add_derivatives(
    batch: &Batch<'_>,
    time: f64,
    offsets: [f64; 2],
    linear: &[(f64, f64)],
    regressions: &mut [Regression],
) -> Result<(), SamplerError> {
    let center = batch.noised(time);
    // z and F = (σ/α) ε̂ at a time; dz/dλ = −F.
    let ratio = |c: usize, time: f64| libm::exp(-batch.built[c].lambda(time));
    let prediction = batch.noise_prediction(time, center.clone())?;
    let clock = &batch.built[0];
    let times = offsets.map(|offset| clock.inverse_lambda(clock.lambda(time) + offset));
    let mut others = Vec::with_capacity(2);
    for other in times {
        let values = batch.built.iter().enumerate().map(|(c, path)| {
            let moved = path.lambda(other) - path.lambda(time);
            let (scale, drift) =
                (path.alpha(other) / path.alpha(time), path.alpha(other) * moved * ratio(c, time));
            center[c].iter().zip(&prediction[c]).map(|(x, e)| scale * x - drift * e).collect()
        });
        others.push(batch.noise_prediction(other, values.collect())?);
    }
    for (c, support) in batch.supports().enumerate() {
        let path = &batch.built[c];
        let nodes = [time, times[0], times[1]].map(|t| path.lambda(t));
        let Some(weights) = derivative_weights(&nodes, 2, 1) else {
            let problem = format!("the step of the differences is too small at t = {time}");
            return Err(SamplerError::Statistics { problem });
        };
        let ratios = [ratio(c, time), ratio(c, times[0]), ratio(c, times[1])];
        let alpha = path.alpha(time);
        let (l, slope) = linear[c];
        each_coordinate(support, |index| {
            let (z, f) = (center[c][index] / alpha, ratios[0] * prediction[c][index]);
            let derivative = weights[0] * f
                + weights[1] * ratios[1] * others[0][c][index]
                + weights[2] * ratios[2] * others[1][c][index];
            regressions[c].add(f - l * z, derivative - slope * z + l * f, f * f + l * l * z * z);
        });
    }
    Ok(())
}

/// Calls `visit` with the index of each free coordinate in the batch's values.
fn each_coordinate(support: &Support, mut visit: impl FnMut(usize)) {
    let width = support.width();
    for row in 0..support.batch() {
        support.for_each_coordinate(row, |index, _| visit(row * width + index));
    }
}
