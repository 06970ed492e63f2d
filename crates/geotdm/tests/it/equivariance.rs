//! Rotations, reflections, translations and permutations of networks and samples.

use std::num::NonZeroUsize;
use std::sync::Arc;

use burn::tensor::{DType, Tensor, TensorData};
use equidrift_backend::device::DeviceKind;
use equidrift_geotdm::{
    Extrapolation, GeotdmDenoiser, GeotdmModel, NodeForecast, Prior, System, SystemBatch, SystemGroup,
    TrajectoryDiffusion, TrajectoryRun, initial_parameters, published_sampler,
};
use equidrift_sampler::plan::DpmSolverPlusPlus;
use equidrift_sampler::{KeyedNoise, NoiseSource, SamplerConfig, Stream, Support};

use crate::reference::{cases, host, norm, relative_error, short_chain};

/// A rotation with a reflection (determinant -1), and a shift.
struct Motion {
    dimensions: usize,
    matrix: Vec<f64>,
    shift: Vec<f64>,
}

impl Motion {
    fn new(dimensions: usize, seed: u64) -> Self {
        let draws = KeyedNoise::new(seed).normals(Stream::Probe, 0, 0, &Support::vector(1, 12), &[0]);
        let mut matrix = vec![0.0; dimensions * dimensions];
        (0..dimensions).for_each(|k| matrix[k * dimensions + k] = 1.0);
        // One Householder reflection turns determinant 1 into -1; three make a general motion with reflection.
        for plane in draws.chunks(dimensions).take(3) {
            let square: f64 = plane.iter().map(|x| x * x).sum();
            for row in matrix.chunks_mut(dimensions) {
                let along: f64 = row.iter().zip(plane).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(plane).for_each(|(a, b)| *a -= 2.0 * along * b / square);
            }
        }
        Self { dimensions, matrix, shift: (0..dimensions).map(|k| 1.5 - 2.0 * k as f64).collect() }
    }

    fn turn(&self, values: &[f64]) -> Vec<f64> {
        let d = self.dimensions;
        let row = |point: &[f64], k: usize| (0..d).map(|j| self.matrix[k * d + j] * point[j]).sum::<f64>();
        values.chunks(d).flat_map(|point| (0..d).map(|k| row(point, k)).collect::<Vec<_>>()).collect()
    }

    fn apply(&self, values: &[f64]) -> Vec<f64> {
        let turned = self.turn(values);
        turned.iter().zip(self.shift.iter().cycle()).map(|(x, shift)| x + shift).collect()
    }
}

/// Keyed noise, turned.
struct Turned<'a>(&'a Motion, KeyedNoise);

impl NoiseSource for Turned<'_> {
    fn normals(
        &self,
        stream: Stream,
        step: u32,
        component: usize,
        support: &Support,
        ids: &[u64],
    ) -> Vec<f64> {
        self.0.turn(&self.1.normals(stream, step, component, support, ids))
    }
}

/// A model, and a chain along which its samples stay in range.
struct Subject {
    name: String,
    model: GeotdmModel,
    diffusion: TrajectoryDiffusion,
    systems: Vec<System>,
}

/// A model of the same systems that starts from a linear forecast and predicts v, with random parameters.
fn extrapolating(of: &GeotdmModel) -> GeotdmModel {
    let mut config = of.config().clone();
    let (given, made) = (config.given_frames, config.frames);
    // The last step again and again, a little less each time.
    let row = |s: usize| {
        let mut weights = vec![0.0; given - 1];
        weights[given - 2] = -(s as f64 + 1.0) * 0.9;
        weights
    };
    let scales = (0..made).map(|s| 0.05 * (s as f64 + 1.0)).collect();
    let forecast = NodeForecast { weights: (0..made).map(row).collect(), scales, ..NodeForecast::default() };
    config.network.prior = Prior::Extrapolated;
    config.network.extrapolation = Some(Extrapolation { classes: vec![forecast] });
    let parameters = initial_parameters(&config.network, 12);
    GeotdmModel::new(config, parameters).unwrap()
}

/// An unconditional model of the same systems in the measure of their spread, with random parameters.
fn standardised(of: &GeotdmModel) -> GeotdmModel {
    let mut config = of.config().clone();
    let frames = config.frames;
    let everything = NodeForecast {
        weights: vec![Vec::new(); frames],
        scales: vec![1.5; frames],
        ..NodeForecast::default()
    };
    config.network.prior = Prior::Standardised;
    config.network.extrapolation = Some(Extrapolation { classes: vec![everything] });
    let parameters = initial_parameters(&config.network, 13);
    GeotdmModel::new(config, parameters).unwrap()
}

/// The reference models, and each with random parameters as training begins with them. Of the reference's only one was
/// fitted so well that it can go the whole way to other noise and back.
fn subjects() -> Vec<Subject> {
    let random = |model: &GeotdmModel| {
        let config = model.config().clone();
        let parameters = initial_parameters(&config.network, 11);
        GeotdmModel::new(config, parameters).unwrap()
    };
    cases()
        .into_iter()
        .flat_map(|case| {
            let (systems, fresh) = (case.batch().systems, random(&case.model));
            let fitted = case.name == "small";
            let chain = short_chain(&case.model);
            let diffusion = if fitted { case.model.config().diffusion.clone() } else { chain.clone() };
            let at_random = Subject {
                name: format!("{} at random", case.name),
                model: fresh,
                diffusion: chain,
                systems: systems.clone(),
            };
            let forecast = fitted.then(|| Subject {
                name: "extrapolated, at random".to_owned(),
                model: extrapolating(&case.model),
                diffusion: short_chain(&case.model),
                systems: systems.clone(),
            });
            let free = (case.name == "small_uncond").then(|| Subject {
                name: "standardised, at random".to_owned(),
                model: standardised(&case.model),
                diffusion: short_chain(&case.model),
                systems: systems.clone(),
            });
            let fitted = Subject { name: case.name, model: case.model, diffusion, systems };
            [Some(fitted), Some(at_random), forecast, free]
        })
        .flatten()
        .collect()
}

/// Largest defects of the network and of the prior under a motion of all positions.
fn network_defects(model: &GeotdmModel, systems: &[System], dtype: DType) -> (f64, f64) {
    let config = model.config();
    let network = model.network(DeviceKind::Cpu, dtype).unwrap();
    let (mut of_noise, mut of_reference) = (0.0_f64, 0.0_f64);
    for (seed, system) in systems.iter().enumerate() {
        let motion = Motion::new(system.dimensions, seed as u64);
        let positions = KeyedNoise::new(5).normals(
            Stream::Prior,
            0,
            0,
            &Support::vector(1, system.width()),
            &[seed as u64],
        );
        let evaluate = |given: Vec<f64>, positions: &[f64]| {
            let system = System { given, ..system.clone() };
            let group = SystemGroup::new(&config.network, &[&system], network.device(), dtype).unwrap();
            let data = TensorData::new(positions.to_vec(), group.shape()).convert_dtype(dtype);
            let positions = Tensor::<3>::from_data(data, (network.device(), dtype));
            let found = network.denoise(&group, positions, &[3.0]).unwrap();
            (
                host(found.noise),
                host(found.features),
                network.reference(&group).unwrap().map(host).unwrap_or_default(),
            )
        };
        let (noise, features, reference) = evaluate(system.given.clone(), &positions);
        let (moved_noise, moved_features, moved_reference) =
            evaluate(motion.apply(&system.given), &motion.apply(&positions));
        assert!(norm(&noise) > 0.0);
        of_noise = of_noise.max(relative_error(&moved_noise, &motion.turn(&noise)));
        of_noise = of_noise.max(relative_error(&moved_features, &features));
        if !reference.is_empty() {
            of_reference = of_reference.max(relative_error(&moved_reference, &motion.apply(&reference)));
        }
    }
    (of_noise, of_reference)
}

#[test]
fn networks_move_along() {
    for Subject { name, model, systems, .. } in subjects() {
        for (dtype, allowed) in [(DType::F64, 1e-10), (DType::F32, 1e-4)] {
            let (noise, reference) = network_defects(&model, &systems, dtype);
            println!("{name} {dtype:?}: network {noise:.1e}, prior {reference:.1e}");
            assert!(
                noise <= allowed && reference <= allowed,
                "{name} {dtype:?}: {noise:.1e} {reference:.1e}"
            );
        }
    }
}

/// Trajectories of each system: in single precision by the fused kernels, in double by the tensor library.
fn draw(
    subject: &Subject,
    systems: Vec<System>,
    labels: Option<Vec<Vec<u32>>>,
    noise: &dyn NoiseSource,
    sampler: &SamplerConfig,
    dtype: DType,
) -> Vec<Vec<f64>> {
    let network = Arc::new(subject.model.network(DeviceKind::Cpu, dtype).unwrap());
    let ids: Vec<u64> = (0..systems.len() as u64).collect();
    let mut batch = SystemBatch::new(systems).unwrap();
    if let Some(labels) = labels {
        batch = batch.with_labels(labels).unwrap();
    }
    let mut denoiser = GeotdmDenoiser::new(network, subject.diffusion.clone(), batch).unwrap();
    if dtype == DType::F32 {
        let fused = Arc::new(subject.model.fused().unwrap());
        denoiser = denoiser.with_fused(fused, NonZeroUsize::new(2).unwrap());
    }
    let run = TrajectoryRun::of(denoiser).unwrap();
    let steps = if sampler.name() == "ancestral" { 12 } else { 5 };
    let plan = run.plan(sampler, steps).unwrap();
    let drawn = run.draw(&plan, noise, &ids).unwrap();
    drawn.trajectories.into_iter().map(|trajectory| trajectory.expect(&subject.name)).collect()
}

fn samplers() -> [SamplerConfig; 2] {
    [published_sampler(), SamplerConfig::DpmSolverPlusPlus(DpmSolverPlusPlus::default())]
}

#[test]
fn samples_move_along() {
    for subject in subjects() {
        let Subject { name, model, systems, .. } = &subject;
        let motion = Motion::new(systems[0].dimensions, 9);
        let moved: Vec<System> =
            systems.iter().map(|s| System { given: motion.apply(&s.given), ..s.clone() }).collect();
        let conditional = model.config().network.prior.is_conditional();
        for sampler in samplers() {
            for (dtype, allowed) in [(DType::F64, 1e-10), (DType::F32, 1e-4)] {
                let noise = KeyedNoise::new(2);
                let plain = draw(&subject, systems.clone(), None, &noise, &sampler, dtype);
                let turned = Turned(&motion, noise);
                let after = draw(&subject, moved.clone(), None, &turned, &sampler, dtype);
                let mut worst = 0.0_f64;
                for (plain, after) in plain.iter().zip(&after) {
                    let expected = if conditional { motion.apply(plain) } else { motion.turn(plain) };
                    worst = worst.max(relative_error(after, &expected));
                }
                println!("{name} {} {dtype:?}: {worst:.1e}", sampler.name());
                assert!(worst <= allowed, "{name} {} {dtype:?}: {worst:.1e}", sampler.name());
            }
        }
    }
}

#[test]
fn permuted_nodes_give_permuted_samples() {
    for subject in subjects() {
        let Subject { name, systems, .. } = &subject;
        let order = |nodes: usize| -> Vec<usize> { (0..nodes).rev().map(|n| (n + 1) % nodes).collect() };
        let permuted: Vec<System> = systems
            .iter()
            .map(|system| {
                let order = order(system.graph.nodes());
                let length = system.given.len() / order.len();
                let given = order.iter().flat_map(|&n| system.given[n * length..][..length].to_vec());
                let graph = Arc::new(system.graph.permuted(&order));
                System { given: given.collect(), graph, ..system.clone() }
            })
            .collect();
        let labels: Vec<Vec<u32>> = systems
            .iter()
            .map(|system| order(system.graph.nodes()).iter().map(|&n| n as u32).collect())
            .collect();
        for (dtype, allowed) in [(DType::F64, 1e-10), (DType::F32, 1e-4)] {
            let noise = KeyedNoise::new(4);
            let sampler = published_sampler();
            let plain = draw(&subject, systems.clone(), None, &noise, &sampler, dtype);
            let after = draw(&subject, permuted.clone(), Some(labels.clone()), &noise, &sampler, dtype);
            let mut worst = 0.0_f64;
            for ((plain, after), system) in plain.iter().zip(&after).zip(systems) {
                let order = order(system.graph.nodes());
                let length = plain.len() / order.len();
                let expected: Vec<f64> =
                    order.iter().flat_map(|&n| plain[n * length..][..length].to_vec()).collect();
                worst = worst.max(relative_error(after, &expected));
            }
            println!("{name} {dtype:?}: {worst:.1e}");
            assert!(worst <= allowed, "{name} {dtype:?}: {worst:.1e}");
        }
    }
}

#[test]
fn unconditional_samples_have_no_centre_of_mass() {
    for subject in subjects() {
        let Subject { name, model, systems, .. } = &subject;
        if !model.config().network.prior.is_centred() {
            continue;
        }
        for sampler in samplers() {
            let noise = KeyedNoise::new(6);
            for trajectory in draw(&subject, systems.clone(), None, &noise, &sampler, DType::F32) {
                let points = trajectory.len() as f64 / 3.0;
                let scale = norm(&trajectory) / points.sqrt();
                for k in 0..3 {
                    let mean = trajectory.iter().skip(k).step_by(3).sum::<f64>() / points;
                    assert!(mean.abs() <= 1e-5 * scale.max(1.0), "{name}: {mean:.1e}");
                }
            }
        }
    }
}
