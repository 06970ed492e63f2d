//! The fused denoiser against the tensor library in double precision, and its independence of neighbours and threads.

use std::num::NonZeroUsize;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor, TensorData};
use equidrift_backend::device::DeviceKind;
use equidrift_geotdm::{
    CountedNodes, DenoisingObjective, FusedNetwork, GeotdmModel, Lengths, Level, NetworkConfig, NoisySystem,
    Prior, System, SystemGraph, SystemGroup, Temporal, TrainingEngine, TrainingExample, TrajectoryDiffusion,
    initial_parameters,
};
use equidrift_train::Objective;

use crate::reference::{Case, cases, host, norm, relative_error};

/// A level of which the published networks are told the label alone.
fn level(label: f64) -> Level {
    Level { label, signal: 0.8, deviation: 0.6 }
}

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// Noisy positions of each system, as the networks see them.
fn noisy(case: &Case) -> Vec<Vec<f32>> {
    let batch = case.batch();
    let state = batch.by_system(&case.numbers("out64.q_sample"));
    let reference = match case.has("out64.x_ref") {
        true => batch.by_system(&case.numbers("out64.x_ref")),
        false => state.iter().map(|state| vec![0.0; state.len()]).collect(),
    };
    let sum = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| (a + b) as f32).collect();
    state.iter().zip(&reference).map(sum).collect()
}

/// The noise by the tensor library in double precision.
fn expected(model: &GeotdmModel, system: &System, positions: &[f32], time: f64) -> Vec<f64> {
    let network = model.network(DeviceKind::Cpu, DType::F64).unwrap();
    let group = SystemGroup::new(network.config(), &[system], network.device(), DType::F64).unwrap();
    let positions: Vec<f64> = positions.iter().map(|&x| f64::from(x)).collect();
    let data = TensorData::new(positions, group.shape());
    let positions = Tensor::<3>::from_data(data, (network.device(), DType::F64));
    host(network.denoise(&group, positions, &[time]).unwrap().noise)
}

#[test]
fn it_is_the_same_network() {
    for case in cases() {
        let random = {
            let config = case.model.config().clone();
            let parameters = initial_parameters(&config.network, 4);
            GeotdmModel::new(config, parameters).unwrap()
        };
        let (systems, positions, levels) = (case.batch().systems, noisy(&case), case.levels());
        for model in [&case.model, &random] {
            let config = model.config();
            let network = FusedNetwork::new(&config.network, model.parameters()).unwrap();
            let times: Vec<f64> = levels.iter().map(|&k| config.diffusion.label(k)).collect();
            let batch: Vec<NoisySystem<'_>> = systems
                .iter()
                .zip(&positions)
                .zip(&times)
                .map(|((system, positions), &time)| NoisySystem { system, positions, level: level(time) })
                .collect();
            let found = network.denoise(&batch, threads(2)).unwrap();
            let mut worst = 0.0_f64;
            for (found, noisy) in found.iter().zip(&batch) {
                let expected = expected(model, noisy.system, noisy.positions, noisy.level.label);
                let found: Vec<f64> = found.iter().map(|&x| f64::from(x)).collect();
                worst = worst.max(relative_error(&found, &expected));
            }
            println!("{}: {worst:.1e}", case.name);
            assert!(worst <= 1e-5, "{}: {worst:.1e}", case.name);
            // Alone, and on other numbers of threads, the same bits.
            for (found, noisy) in found.iter().zip(&batch) {
                assert_eq!(*found, network.denoise(&[*noisy], threads(1)).unwrap()[0], "{}", case.name);
            }
            assert_eq!(found, network.denoise(&batch, threads(3)).unwrap());
        }
    }
}

#[test]
fn systems_that_do_not_fit_are_refused() {
    for case in cases().iter().filter(|case| case.name == "small") {
        let config = &case.model.config().network;
        let network = FusedNetwork::new(config, case.model.parameters()).unwrap();
        let (systems, positions) = (case.batch().systems, noisy(case));
        let refused = |system: &System, positions: &[f32]| {
            let noisy = NoisySystem { system, positions, level: level(1.0) };
            network.denoise(&[noisy], threads(1)).unwrap_err().to_string()
        };
        assert!(refused(&systems[0], &positions[1]).contains("numbers of a trajectory"));
        let bare = System { given: Vec::new(), ..systems[0].clone() };
        assert!(refused(&bare, &positions[0]).contains("given frames"));
        let mut parameters = case.model.parameters().clone();
        parameters.remove("t_modules.1.x_mlp.actions.2.bias");
        let error = FusedNetwork::new(config, &parameters).unwrap_err().to_string();
        assert!(error.contains("t_modules.1.x_mlp.actions.2.bias"), "{error}");
    }
}

/// A single node, nodes without edges, a single frame, a plane: whatever can be small. The tensor library and the fused
/// kernels agree on noise, loss and gradient.
#[test]
fn the_smallest_systems() {
    let shapes = [
        // Nodes, edges, given frames, made frames, coordinates.
        (1, vec![], 0, 1, 3),
        (1, vec![], 1, 1, 2),
        (2, vec![[0, 1]], 1, 2, 3),
        (3, vec![[2, 0], [2, 1], [2, 2]], 2, 3, 2),
        (4, vec![], 3, 1, 1),
    ];
    for (nodes, edges, given, frames, dimensions) in shapes {
        for lengths in [Lengths::Squared, Lengths::Plain] {
            let conditional = Prior::Learned { layers: 1, frames: 3 };
            let config = NetworkConfig {
                node_features: 1,
                edge_features: 1,
                hidden: 5,
                layers: 2,
                temporal: Temporal::Attention,
                time_features: 4,
                lengths,
                prior: if given > 0 { conditional } else { Prior::JointCentre },
                extrapolation: None,
            };
            let parameters = initial_parameters(&config, 8);
            let features = (0..nodes).map(|n| 1.0 + n as f64).collect();
            let graph = SystemGraph::new(nodes, features, 1, edges.clone(), vec![0.7; edges.len()]).unwrap();
            let count = |frames: usize| nodes * frames * dimensions;
            let numbers = |count: usize| (0..count).map(|k| (k as f64 * 1.7).sin()).collect::<Vec<f64>>();
            let given = numbers(count(given));
            let system = System { graph: Arc::new(graph), dimensions, frames, given, behind: 0 };
            let example = TrainingExample { clean: numbers(count(frames)), system };
            let examples = vec![example];
            let evaluate = |engine: TrainingEngine| {
                DenoisingObjective::new(
                    config.clone(),
                    TrajectoryDiffusion::linear(30).unwrap(),
                    CountedNodes::First,
                    &examples,
                    2,
                    engine,
                    threads(1),
                )
                .evaluate(&parameters, &[0], 3)
                .unwrap()
            };
            let fused = evaluate(TrainingEngine::Fused);
            let plain = evaluate(TrainingEngine::TensorLibrary(Device::flex()));
            let name = format!("{nodes} nodes, {frames} frames made, {lengths:?}");
            assert!((fused.losses[0] - plain.losses[0]).abs() <= 1e-5 * plain.losses[0], "{name}");
            let whole = norm(&plain.gradient.values().flat_map(|t| t.to_f64()).collect::<Vec<f64>>());
            for (parameter, found) in &fused.gradient {
                // A parameter without any part in the loss has no entry there, and zeros here.
                let expected = plain.gradient.get(parameter).map(|tensor| tensor.to_f64());
                let expected = expected.unwrap_or_else(|| vec![0.0; found.len()]);
                let difference: Vec<f64> = found.to_f64().iter().zip(&expected).map(|(a, b)| a - b).collect();
                assert!(norm(&difference) <= 1e-5 * whole.max(1e-30), "{name}: {parameter}");
            }
            assert!(plain.gradient.keys().all(|parameter| fused.gradient.contains_key(parameter)));
        }
    }
}
