//! How long the released size takes (`--ignored`; prints, checks only that the numbers are finite).

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::{DType, Device, Tensor, TensorData};
use equidrift_geotdm::{
    CountedNodes, DenoisingObjective, FusedNetwork, GeotdmDenoiser, GeotdmNetwork, Lengths, NetworkConfig,
    NoisedGroup, NoisySystem, Prior, System, SystemBatch, SystemGraph, SystemGroup, TrainingEngine,
    TrainingExample, TrajectoryDiffusion, TrajectoryRun, initial_parameters, system_losses,
};
use equidrift_sampler::{KeyedNoise, NoiseSource, SamplerConfig, Stream, Support};
use equidrift_train::Objective;

use crate::reference::host;

const GIVEN: usize = 10;
const FRAMES: usize = 20;

/// A ring of atoms with edges to the nearest ones: 21 and 152 as aspirin has, or 5 and 20 as five bodies have.
fn system(nodes: usize, edges: usize, node_features: usize, edge_features: usize, frames: usize) -> System {
    let list: Vec<[usize; 2]> =
        (0..edges).map(|edge| [edge % nodes, (edge % nodes + 1 + edge / nodes) % nodes]).collect();
    let graph =
        SystemGraph::new(nodes, vec![0.3; nodes * node_features], 1, list, vec![0.5; edges * edge_features]);
    let support = Support::vector(1, nodes * GIVEN * 3);
    let given = KeyedNoise::new(1).normals(Stream::Prior, 0, 0, &support, &[0]);
    System { graph: Arc::new(graph.unwrap()), dimensions: 3, frames, given }
}

/// Best of three, in milliseconds.
fn best(mut work: impl FnMut()) -> f64 {
    let mut time = || {
        let start = Instant::now();
        work();
        1e3 * start.elapsed().as_secs_f64()
    };
    (0..3).map(|_| time()).fold(f64::INFINITY, f64::min)
}

fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1e6
}

fn measure(name: &str, of: &System, batch: usize, node_features: usize, edge_features: usize, train: bool) {
    let config = NetworkConfig {
        node_features,
        edge_features,
        hidden: 128,
        layers: 6,
        time_features: 32,
        lengths: Lengths::Squared,
        prior: Prior::Learned { layers: 2, frames: FRAMES.max(of.frames) },
        extrapolation: None,
    };
    let parameters = initial_parameters(&config, 1);
    let diffusion = TrajectoryDiffusion::linear(100).unwrap();
    let members = vec![of; batch];
    let run = |device: &Device, gradient: bool| {
        let network = GeotdmNetwork::read(&config, &parameters, device, DType::F32).unwrap();
        // As many systems at a time as a sampler takes; all at once for a gradient.
        let most = if gradient { batch } else { 3 };
        let groups: Vec<SystemGroup> = members
            .chunks(most)
            .map(|members| SystemGroup::new(&config, members, device, DType::F32).unwrap())
            .collect();
        best(|| {
            for group in &groups {
                let count = group.shape().iter().product();
                let values =
                    KeyedNoise::new(2).normals(Stream::Prior, 0, 0, &Support::vector(1, count), &[0]);
                let data = TensorData::new(values, group.shape()).convert_dtype(DType::F32);
                let positions = Tensor::<3>::from_data(data, (device, DType::F32));
                if gradient {
                    let levels = vec![30; group.systems()];
                    let (clean, noise) = (positions.clone(), positions * 0.5);
                    let noised =
                        NoisedGroup::new(&network, &diffusion, group, clean, noise, &levels).unwrap();
                    let denoised = noised.denoise(&network, &diffusion, group).unwrap();
                    let losses = noised.node_losses(&denoised, group);
                    let loss = system_losses(losses, CountedNodes::All).mean();
                    let gradients = network.gradients(&mut loss.backward()).unwrap();
                    assert!(gradients.values().all(|gradient| gradient.first_non_finite().is_none()));
                } else {
                    let times = vec![30.0; group.systems()];
                    let noise = network.denoise(group, positions, &times).unwrap().noise;
                    assert!(host(noise).iter().all(|x| x.is_finite()));
                }
            }
        })
    };
    let forward = run(&Device::flex(), false);
    println!("{name}, batch {batch}: forward {forward:.0} ms, peak memory {:.2} GB", peak_memory());
    let fused = FusedNetwork::new(&config, &parameters).unwrap();
    let values = KeyedNoise::new(2).normals(Stream::Prior, 0, 0, &Support::vector(1, of.width()), &[0]);
    let positions: Vec<f32> = values.iter().map(|&x| x as f32).collect();
    let noisy = vec![NoisySystem { system: of, positions: &positions, level: diffusion.level(30) }; batch];
    for threads in [1, 2] {
        let threads = NonZeroUsize::new(threads).unwrap();
        let time = best(|| assert!(fused.denoise(&noisy, threads).unwrap()[0][0].is_finite()));
        println!("{name}, batch {batch}: fused forward on {threads} threads {time:.0} ms");
    }
    if train {
        let step = run(&Device::flex().autodiff(), true);
        println!(
            "{name}, batch {batch}: loss and gradient {step:.0} ms, peak memory {:.2} GB",
            peak_memory()
        );
    }
}

#[test]
#[ignore = "takes minutes: prints times"]
fn the_released_size() {
    let bodies = system(5, 20, 1, 1, FRAMES);
    let aspirin = system(21, 152, 30, 4, FRAMES);
    measure("five bodies", &bodies, 1, 1, 1, false);
    measure("aspirin", &aspirin, 1, 30, 4, false);
    measure("five bodies", &bodies, 16, 1, 1, true);
    measure("aspirin", &aspirin, 16, 30, 4, true);
}

/// A step as the trainer takes it: a few systems at a time, on two threads.
fn measure_objective(name: &str, of: &System, batch: usize, node_features: usize, edge_features: usize) {
    let config = NetworkConfig {
        node_features,
        edge_features,
        hidden: 128,
        layers: 6,
        time_features: 32,
        lengths: Lengths::Squared,
        prior: Prior::Learned { layers: 2, frames: FRAMES },
        extrapolation: None,
    };
    let parameters = initial_parameters(&config, 1);
    let count = of.width();
    let clean = KeyedNoise::new(2).normals(Stream::Prior, 0, 0, &Support::vector(1, count), &[0]);
    let examples = vec![TrainingExample { system: of.clone(), clean }; batch];
    let all: Vec<usize> = (0..batch).collect();
    for engine in [TrainingEngine::Fused, TrainingEngine::TensorLibrary(Device::flex())] {
        let mut objective = DenoisingObjective::new(
            config.clone(),
            TrajectoryDiffusion::linear(100).unwrap(),
            CountedNodes::All,
            &examples,
            1,
            engine.clone(),
            NonZeroUsize::new(2).unwrap(),
        );
        let step = best(|| {
            let found = objective.evaluate(&parameters, &all, 0).unwrap();
            assert!(found.losses[0].is_finite());
        });
        println!(
            "{name}, batch {batch}: objective on two threads {step:.0} ms ({engine:?}), peak memory {:.2} GB",
            peak_memory()
        );
    }
}

#[test]
#[ignore = "takes minutes: prints times"]
fn a_training_step() {
    measure_objective("five bodies", &system(5, 20, 1, 1, FRAMES), 16, 1, 1);
    measure_objective("aspirin", &system(21, 152, 30, 4, FRAMES), 16, 30, 4);
    measure_objective("five bodies", &system(5, 20, 1, 1, FRAMES), 128, 1, 1);
}

#[test]
#[ignore = "takes minutes: prints times"]
fn a_thousand_frames() {
    let molecule = system(22, 160, 30, 4, 990);
    measure("22 atoms, 1000 frames", &molecule, 1, 30, 4, false);
}

#[test]
#[ignore = "takes minutes: prints times"]
fn twenty_calls() {
    let config = NetworkConfig {
        node_features: 30,
        edge_features: 4,
        hidden: 128,
        layers: 6,
        time_features: 32,
        lengths: Lengths::Squared,
        prior: Prior::Learned { layers: 2, frames: FRAMES },
        extrapolation: None,
    };
    let parameters = initial_parameters(&config, 1);
    let network = Arc::new(GeotdmNetwork::read(&config, &parameters, &Device::flex(), DType::F32).unwrap());
    let fused = Arc::new(FusedNetwork::new(&config, &parameters).unwrap());
    let batch = SystemBatch::new(vec![system(21, 152, 30, 4, FRAMES); 16]).unwrap();
    let diffusion = TrajectoryDiffusion::linear(100).unwrap();
    let denoiser = GeotdmDenoiser::new(network, diffusion, batch).unwrap();
    let run = TrajectoryRun::of(denoiser.with_fused(fused, NonZeroUsize::new(2).unwrap())).unwrap();
    let plan = run.plan(&SamplerConfig::by_name("dpm-solver++").unwrap(), 20).unwrap();
    let ids: Vec<u64> = (0..16).collect();
    let time = best(|| assert_eq!(run.draw(&plan, &KeyedNoise::new(1), &ids).unwrap().evaluations, 20));
    println!("aspirin, batch 16, 20 calls: {:.2} trajectories a second", 16.0 / (time / 1e3));
}
