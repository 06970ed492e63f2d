//! The objective of training: its value and gradient, whatever the threads and the batch; and that it can be followed.

use std::num::NonZeroUsize;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor, TensorData};
use equidrift_backend::weights::ParameterSet;
use equidrift_geotdm::denoising_objective::GROUPS;
use equidrift_geotdm::{
    AtomFeatures, CountedNodes, DenoisingObjective, Extrapolation, GeotdmNetwork, KindsOfNodes, Lengths,
    MolecularEdges, NetworkConfig, NoisedGroup, Prior, SystemGraph, SystemGroup, Temporal, TrainingEngine,
    TrainingExample, TrainingExamples, TrajectoryDiffusion, TrajectoryWindows, initial_parameters,
    system_losses,
};
use equidrift_train::{LearningRate, Objective, Silent, Trainer, TrainerConfig};
use equidrift_trajectory::nbody::System as Bodies;
use equidrift_trajectory::pedestrians::{self, Recording, SPAN};
use equidrift_trajectory::{Part, Windows, file};

use crate::reference::{data_dir, host, norm, relative_error};

fn network(prior: Prior) -> NetworkConfig {
    NetworkConfig {
        node_features: 1,
        edge_features: 1,
        hidden: 16,
        layers: 2,
        temporal: Temporal::Attention,
        time_features: 8,
        lengths: Lengths::Squared,
        prior,
        extrapolation: None,
    }
}

/// With what the prior takes from the data.
pub(crate) fn network_of(prior: Prior, examples: &Vec<TrainingExample>) -> NetworkConfig {
    let extrapolation = match prior {
        Prior::Extrapolated => Some(Extrapolation::fit::<3>(examples, GIVEN, 6, KindsOfNodes::All).unwrap()),
        Prior::Standardised => Some(Extrapolation::spread(examples, 6).unwrap()),
        _ => None,
    };
    NetworkConfig { extrapolation, ..network(prior) }
}

const GIVEN: usize = 4;

fn engines() -> [TrainingEngine; 2] {
    [TrainingEngine::Fused, TrainingEngine::TensorLibrary(Device::flex())]
}

/// Runs of charged bodies of two sizes.
pub(crate) fn examples(given: usize) -> Vec<TrainingExample> {
    (0..6)
        .map(|number| {
            let run = Bodies::Charged.simulate(3 + number as usize % 2, 5, number).unwrap();
            let positions: Vec<f64> =
                (0..given + 6).flat_map(|t| run.positions(t).as_flattened().to_vec()).collect();
            let graph = Arc::new(SystemGraph::of_bodies(&run).unwrap());
            TrainingExample::of_frames(graph, &positions, 3, given).unwrap()
        })
        .collect()
}

fn objective<'a>(
    config: &NetworkConfig,
    examples: &'a Vec<TrainingExample>,
    engine: TrainingEngine,
    threads: usize,
    rows: usize,
) -> DenoisingObjective<'a> {
    DenoisingObjective::new(
        config.clone(),
        TrajectoryDiffusion::linear(50).unwrap(),
        CountedNodes::All,
        examples,
        9,
        engine,
        NonZeroUsize::new(threads).unwrap(),
    )
    .with_side_by_side(rows)
}

fn flat(gradient: &ParameterSet) -> Vec<f64> {
    gradient.values().flat_map(|tensor| tensor.to_f64()).collect()
}

#[test]
fn frames_are_turned_to_rows() {
    let example = &examples(GIVEN)[0];
    let run = Bodies::Charged.simulate(3, 5, 0).unwrap();
    assert_eq!((example.system.frames, example.system.given_frames()), (6, GIVEN));
    assert_eq!(example.system.given[(GIVEN + 2) * 3..][..3], run.positions(2)[1]);
    assert_eq!(example.clean[(2 * 6 + 1) * 3..][..3], run.positions(GIVEN + 1)[2]);
    let graph = example.system.graph.clone();
    assert!(TrainingExample::of_frames(graph.clone(), &[0.0; 10], 3, 0).is_err());
    assert!(TrainingExample::of_frames(graph.clone(), &[0.0; 9], 3, 1).is_err());
    assert!(TrainingExample::of_frames(graph, &[0.0; 9], 3, 0).is_ok());
}

#[test]
fn windows_of_a_long_trajectory() {
    let run = Bodies::Springs.simulate(3, 1, 0).unwrap();
    let graph = Arc::new(SystemGraph::of_bodies(&run).unwrap());
    let rule = Windows { every: 2, span: 5, most: 100 };
    let starts = rule.starts(run.frames(), Part::Train);
    let windows = TrajectoryWindows::new(graph.clone(), run.trajectory(), rule, starts.clone(), 2).unwrap();
    assert_eq!(windows.count(), starts.len());
    let example = windows.example(3).unwrap();
    assert_eq!((example.system.given_frames(), example.system.frames), (2, 3));
    let expected = run.positions(starts[3] + 4)[1];
    assert!(relative_error(&example.clean[9..12], &expected) < 1e-6);
    assert!(windows.example(starts.len()).is_err());
    assert!(TrajectoryWindows::new(graph, run.trajectory(), rule, vec![run.frames() - 8], 2).is_err());
}

/// Its loss and gradient are those of the loss with its draws, computed system by system in double precision.
#[test]
fn the_objective_is_the_loss() {
    let learned = Prior::Learned { layers: 1, frames: 6 };
    let cases =
        [(learned, GIVEN), (Prior::Extrapolated, GIVEN), (Prior::JointCentre, 0), (Prior::Standardised, 0)];
    for ((prior, given), engine) in cases.into_iter().flat_map(|case| engines().map(|engine| (case, engine)))
    {
        let examples = examples(given);
        let config = network_of(prior, &examples);
        let parameters = initial_parameters(&config, 3);
        let mut objective = objective(&config, &examples, engine.clone(), 2, 1 << 13);
        let all: Vec<usize> = vec![4, 0, 1, 5, 2, 3];
        let found = objective.evaluate(&parameters, &all, 7).unwrap();
        let device = Device::flex().autodiff();
        let network = GeotdmNetwork::read(&config, &parameters, &device, DType::F64).unwrap();
        let diffusion = TrajectoryDiffusion::linear(50).unwrap();
        let mut total: Option<Tensor<1>> = None;
        for &index in &all {
            let example = &examples[index];
            let group = SystemGroup::new(&config, &[&example.system], &device, DType::F64).unwrap();
            let draw = objective.draw(index, 7, example.clean.len());
            let tensor = |values: &[f64]| {
                let data = TensorData::new(values.to_vec(), group.shape());
                Tensor::<3>::from_data(data, (&device, DType::F64))
            };
            let (clean, noise) = (tensor(&example.clean), tensor(&draw.noise));
            let noised = NoisedGroup::new(&network, &diffusion, &group, clean, noise, &[draw.level]).unwrap();
            let denoised = noised.denoise(&network, &diffusion, &group).unwrap();
            let loss = system_losses(noised.node_losses(&denoised, &group), CountedNodes::All);
            total = Some(match total {
                Some(total) => total + loss,
                None => loss,
            });
        }
        let total = total.unwrap().mul_scalar(1.0 / all.len() as f64);
        let loss = host(total.clone().inner())[0];
        assert!((found.losses[0] - loss).abs() < 1e-5 * loss, "{} {loss}", found.losses[0]);
        let gradient = network.gradients(&mut total.backward()).unwrap();
        assert_eq!(found.gradient.keys().collect::<Vec<_>>(), gradient.keys().collect::<Vec<_>>());
        let (found, expected) = (flat(&found.gradient), flat(&gradient));
        let difference: Vec<f64> = found.iter().zip(&expected).map(|(a, b)| a - b).collect();
        let error = norm(&difference) / norm(&expected);
        println!("{prior:?} {engine:?}: gradient {error:.1e}");
        assert!(error < 1e-4, "{error:.1e}");
    }
}

#[test]
fn neither_threads_nor_neighbours_matter() {
    engines().into_iter().for_each(independent);
}

fn independent(engine: TrainingEngine) {
    let (config, examples) = (network(Prior::CentreOfMass), examples(GIVEN));
    let parameters = initial_parameters(&config, 3);
    let all: Vec<usize> = (0..6).collect();
    let evaluate = |threads, rows| {
        objective(&config, &examples, engine.clone(), threads, rows).evaluate(&parameters, &all, 1).unwrap()
    };
    let plain = evaluate(1, 1);
    let threaded = evaluate(3, 1);
    assert_eq!(plain.losses, threaded.losses);
    assert_eq!(plain.gradient, threaded.gradient);
    // Sums over systems side by side are taken in another order.
    let wide = evaluate(1, 1 << 20);
    assert!((plain.losses[0] - wide.losses[0]).abs() < 1e-6 * plain.losses[0]);
    let mut single = objective(&config, &examples, engine.clone(), 1, 1);
    let losses = single.evaluate_losses(&parameters, &all, 1).unwrap();
    assert!((losses[0] - plain.losses[0]).abs() < 1e-6 * losses[0]);
    let mean =
        all.iter().map(|&index| single.evaluate_losses(&parameters, &[index], 1).unwrap()[0]).sum::<f64>();
    assert!((mean / 6.0 - losses[0]).abs() < 1e-6 * losses[0]);
    assert_ne!(single.evaluate_losses(&parameters, &all, 2).unwrap(), losses);
}

#[test]
fn levels_are_uniform_and_noise_normal() {
    let (config, examples) = (network(Prior::JointCentre), examples(0));
    let objective = objective(&config, &examples, TrainingEngine::Fused, 1, 1);
    let mut counts = vec![0; 50];
    let (mut sum, mut square) = (0.0, 0.0);
    for index in 0..5000 {
        let draw = objective.draw(index, index as u64 % 3, 8);
        counts[draw.level] += 1;
        sum += draw.noise.iter().sum::<f64>();
        square += draw.noise.iter().map(|x| x * x).sum::<f64>();
    }
    assert!(counts.iter().all(|&count| (55..=150).contains(&count)), "{counts:?}");
    assert!((sum / 4e4).abs() < 0.025 && (square / 4e4 - 1.0).abs() < 0.035);
}

#[test]
fn training_learns() {
    let (config, examples) = (network(Prior::Learned { layers: 1, frames: 6 }), examples(GIVEN));
    let settings = TrainerConfig {
        epochs: 120,
        batch: 6,
        learning_rate: LearningRate::constant(3e-3),
        average_decay: 0.0,
        ..TrainerConfig::default()
    };
    let parameters = initial_parameters(&config, 3);
    let mut objective = objective(&config, &examples, TrainingEngine::Fused, 2, 1 << 13);
    // The same noise before and after.
    let all: Vec<usize> = (0..6).collect();
    let mut loss = |parameters: &ParameterSet| -> f64 {
        let epochs = 1_000_000..1_000_008;
        epochs.map(|epoch| objective.evaluate_losses(parameters, &all, epoch).unwrap()[0]).sum::<f64>() / 8.0
    };
    let before = loss(&parameters);
    let mut trainer = Trainer::new(settings, GROUPS.to_vec(), parameters).unwrap();
    let mut fitted = self::objective(&config, &examples, TrainingEngine::Fused, 2, 1 << 13);
    trainer.run(&mut fitted, None, &mut Silent, &|| false).unwrap();
    let after = loss(&trainer.state().parameters);
    println!("loss {before:.3} before, {after:.3} after 120 steps");
    assert!(after < 0.7 * before, "{before} {after}");
}

/// Losses at the start of training are those of a network that sees no noise: near 1 a coordinate.
fn starts_near_one(config: &NetworkConfig, counted: CountedNodes, examples: &dyn TrainingExamples) {
    let parameters = initial_parameters(config, 3);
    let losses = engines().map(|engine| {
        let diffusion = TrajectoryDiffusion::linear(100).unwrap();
        let threads = NonZeroUsize::new(2).unwrap();
        let mut objective =
            DenoisingObjective::new(config.clone(), diffusion, counted, examples, 1, engine, threads);
        let some: Vec<usize> = (0..24).map(|k| k * (examples.count() / 24)).collect();
        objective.evaluate_losses(&parameters, &some, 0).unwrap()[0]
    });
    println!("loss of random networks {losses:?}");
    assert!((losses[0] - losses[1]).abs() < 1e-5 * losses[0] && (0.7..1.6).contains(&losses[0]));
}

#[test]
fn molecules_from_a_file() {
    let Some(folder) = data_dir("md") else { return };
    let trajectory = file::read(&folder.join("ethanol.npz")).unwrap();
    let graph = Arc::new(
        SystemGraph::of_molecule(trajectory.topology(), MolecularEdges::Near, AtomFeatures::Charge).unwrap(),
    );
    let rule = Windows::published(Part::Train, 5);
    let starts = rule.starts(trajectory.frames(), Part::Train);
    let windows = TrajectoryWindows::new(graph, trajectory, rule, starts, 10).unwrap();
    let example = windows.example(7).unwrap();
    assert_eq!((example.system.given_frames(), example.system.frames, example.clean.len()), (10, 20, 9 * 60));
    let config = NetworkConfig {
        node_features: 30,
        edge_features: 4,
        ..network(Prior::Learned { layers: 1, frames: 20 })
    };
    starts_near_one(&config, CountedNodes::All, &windows);
}

#[test]
fn walkers_from_a_file() {
    let Some(folder) = data_dir("pedestrians") else { return };
    let recording = Recording::read(&folder.join("biwi_eth.csv")).unwrap();
    let mut examples = Vec::new();
    for window in recording.windows(recording.range()) {
        for target in 0..window.tracks.len() {
            let group = window.group(target, 3);
            let graph = Arc::new(SystemGraph::of_pedestrians(&group).unwrap());
            let frame = |t: usize| group.iter().flat_map(move |track| track[t]).map(f64::from);
            let positions: Vec<f64> = (0..SPAN).flat_map(frame).collect();
            examples.push(TrainingExample::of_frames(graph, &positions, 2, pedestrians::GIVEN).unwrap());
        }
    }
    assert!(examples.len() > 100);
    let config = NetworkConfig {
        node_features: 2,
        edge_features: 0,
        lengths: Lengths::Plain,
        ..network(Prior::Learned { layers: 1, frames: 12 })
    };
    starts_near_one(&config, CountedNodes::First, &examples);
}
