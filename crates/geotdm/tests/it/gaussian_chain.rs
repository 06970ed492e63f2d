//! A chain of beads with springs between neighbours in space and in time: its law is normal and known, so the noise in a
//! state is known exactly. With that in place of the network, samples must have the chain's covariance.

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor, TensorData};
use equidrift_geotdm::{
    System, SystemBatch, SystemGraph, TrajectoryDiffusion, TrajectoryRun, published_sampler,
};
use equidrift_sampler::plan::DpmSolverPlusPlus;
use equidrift_sampler::{
    Component, DenoiseError, Denoiser, KeyedNoise, NoiseSource, PathConfig, PredictionKind, SamplerConfig,
    State, Stream, Support, TemperedNoise,
};
use nalgebra::{DMatrix, DVector};

const BEADS: usize = 3;
const GIVEN: usize = 2;
const FRAMES: usize = 4;
const SITES: usize = BEADS * FRAMES;
const DIMENSIONS: usize = 3;

/// Stiffness of the springs among beads and frames, and of a weak one to the origin; sites are bead-major.
fn stiffness(frames: usize) -> DMatrix<f64> {
    let mut k = DMatrix::identity(BEADS * frames, BEADS * frames) * 0.3;
    let mut spring = |a: usize, b: usize, strength: f64| {
        k[(a, a)] += strength;
        k[(b, b)] += strength;
        k[(a, b)] -= strength;
        k[(b, a)] -= strength;
    };
    for bead in 0..BEADS {
        for frame in 0..frames {
            let site = bead * frames + frame;
            if bead + 1 < BEADS {
                spring(site, site + frames, 2.0);
            }
            if frame + 1 < frames {
                spring(site, site + 1, 1.0);
            }
        }
    }
    k
}

/// The exact noise in positions of the law N(mean, covariance) for each coordinate, diffused around a reference.
struct ChainDenoiser {
    /// Of each row, `[sites, D]`.
    means: Vec<Vec<f64>>,
    references: Vec<Vec<f64>>,
    vectors: DMatrix<f64>,
    values: DVector<f64>,
    path: PathConfig,
}

impl ChainDenoiser {
    fn new(
        covariance: &DMatrix<f64>,
        means: Vec<Vec<f64>>,
        references: Vec<Vec<f64>>,
        path: PathConfig,
    ) -> Self {
        let eigen = covariance.clone().symmetric_eigen();
        Self { means, references, vectors: eigen.eigenvectors, values: eigen.eigenvalues, path }
    }
}

impl Denoiser for ChainDenoiser {
    fn kinds(&self) -> &[PredictionKind] {
        &[PredictionKind::Noise]
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let component: &Component = &state.components[0];
        let positions = component.to_host().unwrap();
        let path = self.path.build();
        let (alpha, sigma) = (path.alpha(times[0]), path.sigma(times[0]));
        let scale = self.values.map(|value| sigma / (alpha * alpha * value.max(0.0) + sigma * sigma));
        let gain = &self.vectors * DMatrix::from_diagonal(&scale) * self.vectors.transpose();
        let mut noise = Vec::with_capacity(positions.len());
        for (row, x) in positions.chunks(SITES * DIMENSIONS).enumerate() {
            let (mean, reference) = (&self.means[row], &self.references[row]);
            let residual = DMatrix::from_fn(SITES, DIMENSIONS, |site, d| {
                let at = site * DIMENSIONS + d;
                x[at] - reference[at] - alpha * (mean[at] - reference[at])
            });
            let found = &gain * residual;
            noise.extend((0..SITES * DIMENSIONS).map(|at| found[(at / DIMENSIONS, at % DIMENSIONS)]));
        }
        let data = TensorData::new(noise, component.values.dims());
        Ok(vec![Tensor::from_data(data, (&component.values.device(), component.values.dtype()))])
    }
}

/// Covariance of the coordinates about known means, all dimensions together.
fn covariance(trajectories: &[Vec<f64>], means: &[Vec<f64>]) -> DMatrix<f64> {
    let mut sum = DMatrix::zeros(SITES, SITES);
    for (x, mean) in trajectories.iter().zip(means) {
        let residual = DMatrix::from_fn(SITES, DIMENSIONS, |site, d| {
            x[site * DIMENSIONS + d] - mean[site * DIMENSIONS + d]
        });
        sum += &residual * residual.transpose();
    }
    sum / (trajectories.len() * DIMENSIONS) as f64
}

struct Defects {
    covariance: f64,
    total: f64,
    mean: f64,
}

/// Samples of the chain under a sampler, against its law narrowed by the temperature.
fn defects(
    systems: Vec<System>,
    law: &DMatrix<f64>,
    means: &[Vec<f64>],
    references: Option<&[Vec<f64>]>,
    sampler: &SamplerConfig,
    [levels, steps]: [usize; 2],
    temperature: f64,
) -> Defects {
    let device = Device::flex();
    let diffusion = TrajectoryDiffusion::linear(levels).unwrap();
    let batch = SystemBatch::new(systems).unwrap();
    let zeros = vec![vec![0.0; SITES * DIMENSIONS]; means.len()];
    let around = references.map_or_else(|| zeros.clone(), <[_]>::to_vec);
    let reference = references.map(|references| {
        let rows = batch.rows(references).unwrap();
        let data = TensorData::new(rows, [means.len(), batch.width()]);
        Tensor::<2>::from_data(data, (&device, DType::F64))
    });
    let denoiser = ChainDenoiser::new(law, means.to_vec(), around, diffusion.path_config());
    let run = TrajectoryRun::around(
        Arc::new(denoiser),
        reference,
        diffusion.path_config(),
        batch,
        &device,
        DType::F64,
    )
    .unwrap();
    let ids: Vec<u64> = (0..means.len() as u64).collect();
    let plan = run.plan(sampler, steps).unwrap();
    let noise = TemperedNoise { source: KeyedNoise::new(17), temperature };
    let drawn = run.draw(&plan, &noise, &ids).unwrap();
    let drawn: Vec<Vec<f64>> = drawn.trajectories.into_iter().map(Option::unwrap).collect();
    let found = covariance(&drawn, means) / (temperature * temperature);
    let deviation = |at: usize| {
        drawn.iter().zip(means).map(|(x, mean)| x[at] - mean[at]).sum::<f64>() / drawn.len() as f64
    };
    let mean = (0..SITES * DIMENSIONS).map(|at| deviation(at).abs()).fold(0.0, f64::max);
    Defects {
        covariance: (&found - law).norm() / law.norm(),
        total: (found.trace() / law.trace() - 1.0).abs(),
        mean,
    }
}

fn graph() -> Arc<SystemGraph> {
    let edges = vec![[0, 1], [1, 0], [1, 2], [2, 1]];
    Arc::new(SystemGraph::new(BEADS, vec![1.0; BEADS], 1, edges, Vec::new()).unwrap())
}

/// The published sampler with all its steps, and a fast one: noise levels and steps.
fn samplers() -> [(SamplerConfig, [usize; 2]); 2] {
    let fast = SamplerConfig::DpmSolverPlusPlus(DpmSolverPlusPlus::default());
    [(published_sampler(), [200, 200]), (fast, [1000, 50])]
}

const SAMPLES: usize = 12_000;

fn check(what: &str, sampler: &SamplerConfig, found: &Defects) {
    println!(
        "{what}, {}: covariance {:.2} %, total variance {:.2} %, mean {:.3}",
        sampler.name(),
        100.0 * found.covariance,
        100.0 * found.total,
        found.mean
    );
    assert!(found.covariance < 0.03 && found.total < 0.03, "{what}, {}", sampler.name());
    assert!(found.mean < 0.03, "{what}, {}", sampler.name());
}

#[test]
fn unconditional() {
    let whole = stiffness(FRAMES).try_inverse().unwrap();
    let centre = DMatrix::identity(SITES, SITES) - DMatrix::from_element(SITES, SITES, 1.0 / SITES as f64);
    let law = &centre * whole * &centre;
    let (dimensions, frames, given) = (DIMENSIONS, FRAMES, Vec::new());
    let system = System { graph: graph(), dimensions, frames, given, behind: 0 };
    let means = vec![vec![0.0; SITES * DIMENSIONS]; SAMPLES];
    for (sampler, lengths) in samplers() {
        let systems = vec![system.clone(); SAMPLES];
        let found = defects(systems, &law, &means, None, &sampler, lengths, 1.0);
        check("unconditional", &sampler, &found);
    }
}

#[test]
fn conditional() {
    // Of a chain of all frames the last ones, given the first ones: normal, with the inverse of a block of the stiffness.
    let all = GIVEN + FRAMES;
    let k = stiffness(all);
    let made: Vec<usize> =
        (0..BEADS).flat_map(|bead| (GIVEN..all).map(move |frame| bead * all + frame)).collect();
    let known: Vec<usize> =
        (0..BEADS).flat_map(|bead| (0..GIVEN).map(move |frame| bead * all + frame)).collect();
    let law = DMatrix::from_fn(SITES, SITES, |i, j| k[(made[i], made[j])]).try_inverse().unwrap();
    let coupling = DMatrix::from_fn(SITES, known.len(), |i, j| k[(made[i], known[j])]);
    let pull = -&law * coupling;

    // A few conditions, each continued many times, around the last given frame.
    let conditions = KeyedNoise::new(3).normals(
        Stream::Prior,
        0,
        0,
        &Support::vector(8, known.len() * DIMENSIONS),
        &(0..8).collect::<Vec<u64>>(),
    );
    let conditions: Vec<&[f64]> = conditions.chunks(known.len() * DIMENSIONS).collect();
    let (mut systems, mut means, mut references) = (Vec::new(), Vec::new(), Vec::new());
    for sample in 0..SAMPLES {
        let given = conditions[sample % conditions.len()];
        let y = DMatrix::from_fn(known.len(), DIMENSIONS, |i, d| given[i * DIMENSIONS + d]);
        let mean = &pull * y;
        means.push((0..SITES * DIMENSIONS).map(|at| mean[(at / DIMENSIONS, at % DIMENSIONS)]).collect());
        let last = |bead: usize, d: usize| given[(bead * GIVEN + GIVEN - 1) * DIMENSIONS + d];
        references.push(
            (0..SITES * DIMENSIONS)
                .map(|at| last(at / (FRAMES * DIMENSIONS), at % DIMENSIONS))
                .collect::<Vec<f64>>(),
        );
        systems.push(System {
            behind: 0,
            graph: graph(),
            dimensions: DIMENSIONS,
            frames: FRAMES,
            given: given.to_vec(),
        });
    }
    for (sampler, lengths) in samplers() {
        for temperature in [1.0, 0.5] {
            let systems = systems.clone();
            let found = defects(systems, &law, &means, Some(&references), &sampler, lengths, temperature);
            check(&format!("conditional, temperature {temperature}"), &sampler, &found);
        }
    }
}
