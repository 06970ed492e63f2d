//! How probable a model finds given molecules: file -> graphs -> noised graphs -> log-density -> bits.
//!
//! **What is measured.** A graph is discrete and its model a density, so the graph x₀ (one-hot elements, bond levels) is
//! dequantised by the model's own noise: `x = α x₀ + σ z` at [`START_TIME`], z from (seed, row). Two quantities follow:
//!
//! - the negative log-density `−log p(x)` of the noised graph in nats, and per free coordinate (nodes × features + pairs of
//!   nodes) in bits. Its scale depends on σ, so it compares models with the same σ only;
//! - the code length `log q(x|x₀) − log p(x) − log d(x₀|x)` with q the density of the noise and d the posterior of each
//!   entry given its noised value (uniform over 0 and 1 for features, over the levels of the model's encoding for bonds: 0 to
//!   3 for bond orders). Its mean over z is at least `−log P(x₀)` for the discrete model "draw x from p, then x₀ from d": a
//!   bound in true bits, which does not depend on the
//!   units of x.
//!
//! Both are for the given number of nodes and the given order of the nodes (no term for the n! orders), with formal charges
//! dropped, as the networks see graphs. p is the density of the probability-flow ODE that starts from the model's prior at
//! t = 1, with Hutchinson's estimate of the divergence unless all of the trace is asked for.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use equidrift_backend::device::DeviceKind;
use equidrift_gdss::{BurnEngine, GdssDenoiser, Precision, Task};
use equidrift_sampler::likelihood::Probe;
use equidrift_sampler::plan::DormandPrince;
use equidrift_sampler::{
    Component, DType, Device, Divergence, KeyedNoise, Likelihood, LogLikelihood, NoiseSource, PathConfig,
    PriorDensity, SamplerError, State, Stream, Support,
};
use serde::Serialize;

use crate::batching::{Batch, Batches};
use crate::error::Error;
use crate::model::Model;
use crate::molecule_graphs::{MoleculeGraph, Skipped, dense, read};
use crate::workers::{Ending, StopSignal, in_order};

/// The time whose density is computed.
pub const START_TIME: f64 = 1e-5;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct LikelihoodRequest {
    /// Name of an embedded model, or a model folder.
    pub model: String,
    /// A file of SMILES, one a line, `.gz` or not.
    pub data: PathBuf,
    /// A file of 0-based row numbers (line number less one), to use only these.
    pub rows: Option<PathBuf>,
    /// Use the first this many molecules that can be used; none: all of them.
    pub num: Option<usize>,
    /// Relative and absolute tolerance of the integration. With the QM9 models 1e-4 is within 0.2 % of 1e-7; 1e-3 is
    /// 4 % off.
    pub tolerance: f64,
    /// Probes of the divergence; 0 for the exact trace.
    pub probes: u32,
    /// The seed of noise and probes.
    pub seed: u64,
    /// Molecules per batch at most. Changes speed and memory, never a number.
    pub batch: usize,
    /// Worker threads; 0 means one per processor. Changes speed and memory, never a number.
    pub threads: usize,
}

impl Default for LikelihoodRequest {
    fn default() -> Self {
        Self {
            model: crate::request::DEFAULT_SCORE_MODEL.to_owned(),
            data: PathBuf::new(),
            rows: None,
            num: None,
            tolerance: 1e-4,
            probes: 1,
            seed: 0,
            batch: 64,
            threads: 0,
        }
    }
}

/// The likelihood of one molecule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GraphLikelihood {
    /// 1-based line of the file.
    pub line: u64,
    /// Atoms.
    pub nodes: usize,
    /// Bonds.
    pub edges: usize,
    /// Log-density of the noised graph and what it is made of, in nats.
    #[serde(flatten)]
    pub log_likelihood: LogLikelihood,
    /// The code length of the graph, in nats; its mean bounds `−log P(graph | number of nodes)` from above.
    pub code_length: f64,
}

/// A mean with its standard error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Its standard error; absent for a single value.
    pub standard_error: Option<f64>,
}

impl Mean {
    pub(crate) fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let n = values.clone().count() as f64;
        let mean = values.clone().sum::<f64>() / n;
        let squares: f64 = values.map(|value| (value - mean) * (value - mean)).sum();
        Self { mean, standard_error: (n > 1.0).then(|| (squares / (n - 1.0) / n).sqrt()) }
    }
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LikelihoodReport {
    /// The model.
    pub model: String,
    /// SHA-256 over its configuration and parameters.
    pub model_sha256: String,
    /// The data file.
    pub data: PathBuf,
    /// How graphs were made continuous, in words.
    pub dequantisation: String,
    /// Tolerance of the integration.
    pub tolerance: f64,
    /// Probes of the divergence; 0 for the exact trace.
    pub probes: u32,
    /// The seed.
    pub seed: u64,
    /// Molecules whose likelihood was computed.
    pub molecules: usize,
    /// `−log p` of the noised graph, nats.
    pub nats_per_graph: Mean,
    /// The same in bits, per free coordinate: all bits over all coordinates.
    pub bits_per_dimension: f64,
    /// The same in bits, over all nodes and bonds.
    pub bits_per_node_and_edge: f64,
    /// Code length of the discrete graph, bits.
    pub code_bits_per_graph: Mean,
    /// The same over all nodes and bonds.
    pub code_bits_per_node_and_edge: f64,
    /// Network evaluations per molecule, rejected steps included.
    pub evaluations_per_graph: f64,
    /// Lines that could not be used, and why.
    pub skipped: Vec<Skipped>,
    /// Molecules whose integration failed, and why.
    pub failed: Vec<Skipped>,
    /// Whether all were computed, or it was stopped.
    pub complete: bool,
    /// Seconds it took.
    pub seconds: f64,
    /// The molecules one by one.
    pub graphs: Vec<GraphLikelihood>,
}

/// Computes the likelihood of the molecules of a file. `progress` is called with the number of molecules found, then for
/// each that is done with 0.
///
/// # Errors
/// A model that cannot be opened or makes no molecules, a file that cannot be read, no molecule that can be used, a
/// tolerance out of range, a device error. Molecules that cannot be used are no error.
pub fn likelihood(
    request: &LikelihoodRequest,
    stop: &StopSignal,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<LikelihoodReport, Error> {
    let start = Instant::now();
    let model = Model::open(&request.model)?;
    model.expect_task(Task::Molecules)?;
    let (graphs, skipped) = read(&request.data, request.rows.as_deref(), request.num, &model)?;
    let run = Run::new(request, &model)?;
    progress(graphs.len());
    let ids = 0..graphs.len() as u64;
    let batches = Batches::new(ids.clone(), request.batch, |id| graphs[id as usize].classes.len());
    let threads = match request.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let (mut done, mut failed) = (Vec::new(), Vec::new());
    let work = |batch: &Batch| {
        let members: Vec<&MoleculeGraph> = batch.ids.iter().map(|&id| &graphs[id as usize]).collect();
        run.batch(&members).map(|found| {
            members.iter().for_each(|_| progress(0));
            Some(found)
        })
    };
    let ending = in_order(ids, batches, threads, stop, work, |id, found| {
        match found {
            Ok(found) => done.push(found),
            Err(reason) => failed.push(Skipped { line: graphs[id as usize].line, reason }),
        }
        Ok::<(), Error>(())
    })?;
    if done.is_empty() {
        let reason = failed.first().map(|first| format!("line {}: {}", first.line, first.reason));
        return Err(Error::NoUsableMolecules {
            path: request.data.clone(),
            reason: reason.unwrap_or_else(|| "stopped before the first was done".to_owned()),
        });
    }
    let bits = |nats: f64| nats / core::f64::consts::LN_2;
    let all_nats: f64 = done.iter().map(|graph| -graph.log_likelihood.log_density).sum();
    let all_code: f64 = done.iter().map(|graph| graph.code_length).sum();
    let coordinates: usize = done.iter().map(|graph| graph.log_likelihood.degrees_of_freedom).sum();
    let elements = done.iter().map(|graph| graph.nodes + graph.edges).sum::<usize>() as f64;
    let evaluations: usize = done.iter().map(|graph| graph.log_likelihood.evaluations).sum();
    Ok(LikelihoodReport {
        model: model.name().to_owned(),
        model_sha256: model.sha256().to_owned(),
        data: request.data.clone(),
        dequantisation: run.dequantisation(),
        tolerance: request.tolerance,
        probes: request.probes,
        seed: request.seed,
        molecules: done.len(),
        nats_per_graph: Mean::of(done.iter().map(|graph| -graph.log_likelihood.log_density)),
        bits_per_dimension: bits(all_nats) / coordinates as f64,
        bits_per_node_and_edge: bits(all_nats) / elements,
        code_bits_per_graph: Mean::of(done.iter().map(|graph| bits(graph.code_length))),
        code_bits_per_node_and_edge: bits(all_code) / elements,
        evaluations_per_graph: evaluations as f64 / done.len() as f64,
        skipped,
        failed,
        complete: ending == Ending::Complete,
        seconds: start.elapsed().as_secs_f64(),
        graphs: done,
    })
}

/// Everything that is the same for all batches.
struct Run {
    denoiser: Arc<GdssDenoiser<BurnEngine>>,
    paths: [PathConfig; 2],
    prior: PriorDensity,
    how: Likelihood,
    seed: u64,
    features: usize,
    /// Levels of a bond.
    levels: usize,
    /// α and σ of both components at the start time.
    marginals: [(f64, f64); 2],
    device: Device,
}

impl Run {
    fn new(request: &LikelihoodRequest, model: &Model) -> Result<Self, Error> {
        let config = model.gdss()?.config();
        let paths = [config.paths.x.clone(), config.paths.adj.clone()];
        let divergence = match request.probes {
            0 => Divergence::Exact,
            probes => Divergence::Hutchinson { probes, law: Probe::Rademacher },
        };
        let ode = DormandPrince::with_tolerance(request.tolerance);
        // A tolerance out of range is an error now, not after the first batch.
        ode.source_between(
            &paths,
            START_TIME,
            1.0_f64.min(equidrift_sampler::path::start_time(&[paths[0].build(), paths[1].build()])),
        )?;
        // The data are scaled before they are noised, so the factor on what the graph holds is the product.
        let marginal = |path: &PathConfig, scale: f64| {
            let path = path.build();
            (scale * path.alpha(START_TIME), path.sigma(START_TIME))
        };
        let scales = config.paths.scales;
        Ok(Self {
            denoiser: model.gdss()?.differentiable_denoiser(Precision::F64, DeviceKind::Cpu)?,
            prior: PriorDensity::new(&paths),
            how: Likelihood { ode, t_start: START_TIME, divergence },
            seed: request.seed,
            features: config.networks.features(),
            levels: model.bonds().levels(),
            marginals: [marginal(&paths[0], scales.x), marginal(&paths[1], scales.adj)],
            device: DeviceKind::Cpu.open().map_err(|source| Error::Device { source })?,
            paths,
        })
    }

    fn dequantisation(&self) -> String {
        let [(alpha_x, sigma_x), (alpha_adj, sigma_adj)] = self.marginals;
        format!(
            "graphs noised to t = {START_TIME:e}: node features {alpha_x:.6} x + {sigma_x:.6} z, bonds {alpha_adj:.6} a + {sigma_adj:.6} z"
        )
    }

    /// One result per graph, all of one size; a reason where the integration of one failed.
    fn batch(&self, graphs: &[&MoleculeGraph]) -> Result<Vec<Result<GraphLikelihood, String>>, Error> {
        match self.try_batch(graphs) {
            // The others need not suffer; alone they have the same bits.
            Err(Error::Sampler(SamplerError::StepSize { .. })) if graphs.len() > 1 => {
                let alone = graphs.iter().map(|graph| self.batch(&[*graph]));
                Ok(alone.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
            }
            Err(Error::Sampler(error @ SamplerError::StepSize { .. })) => Ok(vec![Err(error.to_string())]),
            result => result,
        }
    }

    fn try_batch(&self, graphs: &[&MoleculeGraph]) -> Result<Vec<Result<GraphLikelihood, String>>, Error> {
        let (rows, nodes) = (graphs.len(), graphs.first().map_or(0, |graph| graph.classes.len()));
        let mask = vec![vec![true; nodes]; rows];
        let supports = [Support::nodes(mask.clone(), self.features), Support::symmetric_pairs(mask)];
        let ids: Vec<u64> = graphs.iter().map(|graph| graph.line - 1).collect();
        let clean = dense(graphs, nodes, self.features);
        let noise = KeyedNoise::new(self.seed);
        let mut components = Vec::with_capacity(2);
        // log q(x|x₀) − log d(x₀|x) of every row.
        let mut code = vec![0.0; rows];
        for (index, (name, levels)) in [("x", 2), ("adj", self.levels)].into_iter().enumerate() {
            let (support, (alpha, sigma)) = (&supports[index], self.marginals[index]);
            let z = noise.normals(Stream::Renoise, 0, index, support, &ids);
            let values: Vec<f64> =
                clean[index].iter().zip(&z).map(|(clean, z)| alpha * clean + sigma * z).collect();
            let width = support.width();
            for (row, code) in code.iter_mut().enumerate() {
                support.for_each_coordinate(row, |place, _| {
                    let place = row * width + place;
                    *code += log_noise(z[place], sigma)
                        - log_posterior(values[place], clean[index][place], alpha, sigma, levels);
                });
            }
            components.push(Component::from_host(name, values, support.clone(), &self.device, DType::F64)?);
        }
        let state = State::new(components)?;
        let found = self.how.evaluate(&self.denoiser, &self.paths, &self.prior, state, &ids, self.seed)?;
        let graphs = graphs.iter().zip(found).zip(code).map(|((graph, found), code)| {
            let log_likelihood =
                found.ok_or_else(|| "the flow became infinite or not a number".to_owned())?;
            Ok(GraphLikelihood {
                line: graph.line,
                nodes,
                edges: graph.bonds.len(),
                log_likelihood,
                code_length: code - log_likelihood.log_density,
            })
        });
        Ok(graphs.collect())
    }
}

/// Log-density of `σ z`, z standard normal.
fn log_noise(z: f64, sigma: f64) -> f64 {
    -0.5 * z * z - (sigma * (2.0 * core::f64::consts::PI).sqrt()).ln()
}

/// Log-probability of level `clean` among 0, 1, ..., `levels` − 1, all as likely, given `value = α level + σ z`.
fn log_posterior(value: f64, clean: f64, alpha: f64, sigma: f64, levels: usize) -> f64 {
    let log = |level: f64| -0.5 * ((value - alpha * level) / sigma).powi(2);
    let of = log(clean);
    -(0..levels).map(|level| (log(level as f64) - of).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_posterior_is_a_probability() {
        for (alpha, sigma) in [(1.0, 0.1), (0.9, 1.0), (1.0, 3.0)] {
            let total: f64 =
                (0..4).map(|level| log_posterior(1.3, f64::from(level), alpha, sigma, 4).exp()).sum();
            assert!((total - 1.0).abs() < 1e-12, "{total}");
        }
        assert!(log_posterior(1.02, 1.0, 1.0, 0.1, 4).abs() < 1e-12, "near a level it is certain");
        assert!(log_posterior(2.4, 1.0, 1.0, 0.01, 4) < -100.0);
    }

    fn request(folder: &tempfile::TempDir, smiles: &str) -> LikelihoodRequest {
        let data = folder.path().join("data.smi");
        fs::write(&data, smiles).unwrap();
        LikelihoodRequest { data, tolerance: 1e-2, ..LikelihoodRequest::default() }
    }

    const SMILES: &str = "CCO\nC\nnothing\nCC#N\nCCCl\nCCCCCCCCCCCC\nC1CC1\nCC(=O)NC\n";

    /// The numbers of a molecule depend on nothing but the molecule, its row and the seed.
    #[test]
    fn batches_and_threads_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let run = |batch, threads| {
            let request = LikelihoodRequest { batch, threads, ..request(&folder, SMILES) };
            let report = likelihood(&request, &StopSignal::new(), &|_| ()).unwrap();
            assert!(report.complete && report.failed.is_empty());
            report.graphs
        };
        let whole = run(64, 1);
        assert_eq!(whole, run(1, 2));
        assert!(
            whole.iter().all(|graph| graph.code_length.is_finite() && graph.log_likelihood.evaluations > 6)
        );
        let none = request(&folder, "C\n");
        let error = likelihood(&none, &StopSignal::new(), &|_| ()).unwrap_err();
        assert!(matches!(error, Error::NoUsableMolecules { .. }), "{error}");
        let zero = LikelihoodRequest { tolerance: 0.0, ..request(&folder, SMILES) };
        let error = likelihood(&zero, &StopSignal::new(), &|_| ()).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Usage, "{error}");
    }
}
