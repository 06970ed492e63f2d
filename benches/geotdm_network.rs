//! GeoTDM's networks of the released size (6 layers and 2 of the prior, width 128, 10 + 20 frames), by engine, random weights: times of a
//! call, of a step of the objective, of a system of a thousand frames and of sampling with twenty calls. Minutes in all.
//!
//! ```text
//! cargo bench --bench geotdm_network
//! ```
//!
//! Best of three. Memory is the peak of the process so far.
//!
//! `-- --rate call|step BATCH THREADS SECONDS` prints systems of aspirin's size per second of the fused kernels and the process's
//! memory in GB, for `benches/peer/geotdm_network.py`.
//!
//! `-- --memory` prints the peak memory of one call and of one loss with its gradient against the number of frames, each in a process of
//! its own.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use equidrift_geotdm::{
    CountedNodes, DenoisingObjective, FusedNetwork, GeotdmDenoiser, GeotdmNetwork, Lengths, NetworkConfig,
    NoisySystem, Prior, System, SystemBatch, SystemGraph, Temporal, TrainingEngine, TrainingExample,
    TrajectoryDiffusion, TrajectoryRun, initial_parameters,
};
use equidrift_sampler::{DType, Device, KeyedNoise, NoiseSource, SamplerConfig, Stream, Support};
use equidrift_train::Objective;

const GIVEN: usize = 10;
const FRAMES: usize = 20;

/// A kind of system: nodes, edges, features of both.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    nodes: usize,
    edges: usize,
    features: [usize; 2],
}

const BODIES: Kind = Kind { name: "five bodies", nodes: 5, edges: 20, features: [1, 1] };
const ASPIRIN: Kind = Kind { name: "aspirin", nodes: 21, edges: 152, features: [30, 4] };
const ALANINE: Kind = Kind { name: "22 atoms", nodes: 22, edges: 160, features: [30, 4] };

impl Kind {
    /// A ring with edges to the nearest nodes.
    fn system(self, frames: usize) -> System {
        let Self { nodes, edges, features: [of_node, of_edge], .. } = self;
        let list: Vec<[usize; 2]> =
            (0..edges).map(|edge| [edge % nodes, (edge % nodes + 1 + edge / nodes) % nodes]).collect();
        let graph = SystemGraph::new(nodes, vec![0.3; nodes * of_node], 1, list, vec![0.5; edges * of_edge]);
        let given = normals(1, nodes * GIVEN * 3);
        System { graph: Arc::new(graph.expect("a sound graph")), dimensions: 3, frames, given, behind: 0 }
    }

    fn network(self, frames: usize) -> NetworkConfig {
        NetworkConfig {
            node_features: self.features[0],
            edge_features: self.features[1],
            hidden: 128,
            layers: 6,
            temporal: Temporal::Attention,
            time_features: 32,
            lengths: Lengths::Squared,
            prior: Prior::Learned { layers: 2, frames },
            extrapolation: None,
        }
    }
}

fn normals(seed: u64, count: usize) -> Vec<f64> {
    KeyedNoise::new(seed).normals(Stream::Prior, 0, 0, &Support::vector(1, count), &[0])
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

/// The kernel's record of this process, GB; 0 where there is none.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) / 1e6
}

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN)
}

/// One call for each system of a batch.
fn call(kind: Kind, batch: usize, frames: usize) {
    let (system, config) = (kind.system(frames), kind.network(frames));
    let parameters = initial_parameters(&config, 1);
    let diffusion = TrajectoryDiffusion::linear(100).expect("enough levels");
    let positions = normals(2, system.width());
    let singles: Vec<f32> = positions.iter().map(|&x| x as f32).collect();
    let fused = FusedNetwork::new(&config, &parameters).expect("its own parameters");
    let noisy = vec![NoisySystem { system: &system, positions: &singles, level: diffusion.level(30) }; batch];
    for count in [1, 2] {
        let time = best(|| {
            let found = fused.denoise(&noisy, threads(count)).expect("a system that fits");
            assert!(found[0][0].is_finite());
        });
        println!("{}, {frames} frames, batch {batch}: fused call on {count} threads {time:.0} ms", kind.name);
    }
    let network = Arc::new(
        GeotdmNetwork::read(&config, &parameters, &Device::flex(), DType::F32).expect("its own parameters"),
    );
    let systems = SystemBatch::new(vec![system; batch]).expect("systems of one kind");
    let run = TrajectoryRun::new(network, &diffusion, systems).expect("systems that fit");
    let state = run.state(&vec![positions; batch]).expect("as many trajectories");
    let time = best(|| drop(run.denoiser().predict(&state, &vec![0.3; batch]).expect("a call")));
    let memory = peak_memory();
    println!("{}, {frames} frames, batch {batch}: burn call {time:.0} ms, peak {memory:.2} GB", kind.name);
}

/// A step as the trainer takes it: a few systems at a time, on two threads.
fn objective(kind: Kind, batch: usize) {
    let config = kind.network(FRAMES);
    let parameters = initial_parameters(&config, 1);
    let system = kind.system(FRAMES);
    let clean = normals(2, system.width());
    let examples = vec![TrainingExample { system, clean }; batch];
    let all: Vec<usize> = (0..batch).collect();
    for engine in [TrainingEngine::Fused, TrainingEngine::TensorLibrary(Device::flex())] {
        let mut objective = DenoisingObjective::new(
            config.clone(),
            TrajectoryDiffusion::linear(100).expect("enough levels"),
            CountedNodes::All,
            &examples,
            1,
            engine.clone(),
            threads(2),
        );
        let step = best(|| {
            let found = objective.evaluate(&parameters, &all, 0).expect("examples that fit");
            assert!(found.losses[0].is_finite());
        });
        let (name, memory) = (kind.name, peak_memory());
        println!("{name}, batch {batch}: loss and gradient {step:.0} ms ({engine:?}), peak {memory:.2} GB");
    }
}

/// Sampling with twenty calls, on two threads.
fn twenty_calls(kind: Kind, batch: usize) {
    let config = kind.network(FRAMES);
    let parameters = initial_parameters(&config, 1);
    let network =
        GeotdmNetwork::read(&config, &parameters, &Device::flex(), DType::F32).expect("its own parameters");
    let fused = FusedNetwork::new(&config, &parameters).expect("its own parameters");
    let systems = SystemBatch::new(vec![kind.system(FRAMES); batch]).expect("systems of one kind");
    let diffusion = TrajectoryDiffusion::linear(100).expect("enough levels");
    let denoiser = GeotdmDenoiser::new(Arc::new(network), diffusion, systems).expect("systems that fit");
    let run = TrajectoryRun::of(denoiser.with_fused(Arc::new(fused), threads(2))).expect("systems that fit");
    let sampler = SamplerConfig::by_name("dpm-solver++").expect("a sampler of the core");
    let plan = run.plan(&sampler, 20).expect("a plan");
    let ids: Vec<u64> = (0..batch as u64).collect();
    let time = best(|| {
        let drawn = run.draw(&plan, &KeyedNoise::new(1), &ids).expect("a run");
        assert_eq!(drawn.evaluations, 20);
    });
    println!(
        "{}, batch {batch}, 20 calls: {:.2} trajectories a second",
        kind.name,
        batch as f64 / (time / 1e3)
    );
}

/// Systems of aspirin's size per second, and GB: calls of the denoiser, or losses with their gradients.
fn rate(what: &str, batch: usize, count: usize, seconds: f64) -> (f64, f64) {
    let (system, config) = (ASPIRIN.system(FRAMES), ASPIRIN.network(FRAMES));
    let parameters = initial_parameters(&config, 1);
    let diffusion = TrajectoryDiffusion::linear(100).expect("enough levels");
    let clean = normals(2, system.width());
    let positions: Vec<f32> = clean.iter().map(|&x| x as f32).collect();
    let fused = FusedNetwork::new(&config, &parameters).expect("its own parameters");
    let noisy =
        vec![NoisySystem { system: &system, positions: &positions, level: diffusion.level(30) }; batch];
    let examples = vec![TrainingExample { system: system.clone(), clean }; batch];
    let all: Vec<usize> = (0..batch).collect();
    let (nodes, engine) = (CountedNodes::All, TrainingEngine::Fused);
    let mut objective = DenoisingObjective::new(
        config.clone(),
        diffusion.clone(),
        nodes,
        &examples,
        1,
        engine,
        threads(count),
    );
    let mut work = || match what {
        "step" => drop(objective.evaluate(&parameters, &all, 0).expect("examples that fit")),
        _ => drop(fused.denoise(&noisy, threads(count)).expect("a system that fits")),
    };
    work();
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed().as_secs_f64() < seconds {
        work();
        done += batch;
    }
    (done as f64 / start.elapsed().as_secs_f64(), peak_memory())
}

/// The peak memory of one call, or of one loss with its gradient, of one system, GB; and what it takes, seconds.
fn memory_of(what: &str, kind: Kind, frames: usize) -> (f64, f64) {
    let (system, config) = (kind.system(frames), kind.network(frames));
    let parameters = initial_parameters(&config, 1);
    let diffusion = TrajectoryDiffusion::linear(100).expect("enough levels");
    let clean = normals(2, system.width());
    let start = Instant::now();
    if what == "step" {
        let examples = vec![TrainingExample { system, clean }];
        let (nodes, engine) = (CountedNodes::All, TrainingEngine::Fused);
        let mut objective =
            DenoisingObjective::new(config, diffusion, nodes, &examples, 1, engine, threads(1));
        objective.evaluate(&parameters, &[0], 0).expect("an example that fits");
    } else {
        let positions: Vec<f32> = clean.iter().map(|&x| x as f32).collect();
        let fused = FusedNetwork::new(&config, &parameters).expect("its own parameters");
        let noisy = NoisySystem { system: &system, positions: &positions, level: diffusion.level(30) };
        fused.denoise(&[noisy], threads(1)).expect("a system that fits");
    }
    (peak_memory(), start.elapsed().as_secs_f64())
}

/// A table of [`memory_of`], by processes of this programme.
fn memory_curve() {
    println!("| atoms x frames | call | loss and gradient |");
    println!("| --- | --- | --- |");
    let this = std::env::current_exe().expect("this programme");
    for frames in [20, 100, 300, 1000] {
        let of = |what: &str| {
            let run =
                std::process::Command::new(&this).args(["--memory-of", what, &frames.to_string()]).output();
            String::from_utf8(run.expect("a process").stdout).expect("text").trim().to_owned()
        };
        println!("| {} x {frames} | {} | {} |", ALANINE.nodes, of("call"), of("step"));
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |text: &String| text.parse::<usize>().expect("a number");
    match arguments.as_slice() {
        [flag, what, batch, count, seconds] if flag == "--rate" => {
            let seconds: f64 = seconds.parse().expect("a number of seconds");
            let (rate, memory) = rate(what, number(batch), number(count), seconds);
            println!("{rate} {memory}");
            return;
        }
        [flag] if flag == "--memory" => return memory_curve(),
        [flag, what, frames] if flag == "--memory-of" => {
            let (memory, seconds) = memory_of(what, ALANINE, number(frames));
            println!("{:.0} MB, {seconds:.1} s", 1e3 * memory);
            return;
        }
        _ => {}
    }
    // First, so that the peak is its own.
    call(ALANINE, 1, 990);
    for batch in [1, 16] {
        call(BODIES, batch, FRAMES);
        call(ASPIRIN, batch, FRAMES);
    }
    objective(BODIES, 16);
    objective(ASPIRIN, 16);
    objective(BODIES, 128);
    twenty_calls(ASPIRIN, 16);
}
