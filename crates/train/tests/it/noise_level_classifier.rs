//! The classifier of noise levels: its gradient, the law it learns, and a chain that uses it.

use equidrift_backend::device::DeviceKind;
use equidrift_backend::weights::{HostTensor, ParameterSet};
use equidrift_laws::ring::{Ring, RingDenoiser};
use equidrift_laws::sliced_wasserstein::sliced_wasserstein;
use equidrift_sampler::drive::{Chains, DenoisingMcmc, LevelChoice, NoiseLevels};
use equidrift_sampler::plan::{Ddim, Heun};
use equidrift_sampler::{
    Component, DType, Executor, KeyedNoise, PathConfig, Planner, PredictionKind, State, Support, TimeGrid,
};
use equidrift_train::adam::AdamConfig;
use equidrift_train::noise_level_classifier::{NoiseLevelClassifier, NoiseLevelObjective, PREFIX};
use equidrift_train::{Group, LearningRate, Objective, Silent, Trainer, TrainerConfig};

const VE: PathConfig = PathConfig::VarianceExploding { beta_min: 0.01, beta_max: 20.0 };

fn column(name: &str, values: Vec<f64>, support: Support) -> Component {
    Component::from_host(name, values, support, &DeviceKind::Cpu.open().unwrap(), DType::F64).unwrap()
}

fn points(values: &[[f64; 2]]) -> State {
    let support = Support::vector(values.len(), 2);
    State::new(vec![column("x", values.concat(), support)]).unwrap()
}

fn even(levels: usize) -> Vec<f64> {
    (0..levels).map(|level| level as f64 / (levels - 1) as f64).collect()
}

/// Graphs of two and three nodes with one feature.
fn graphs() -> State {
    let mask = vec![vec![true, true, false], vec![true, true, true]];
    let x = column("x", vec![0.3, -1.0, 0.0, 0.5, 0.2, -0.7], Support::nodes(mask.clone(), 1));
    let mut adj = vec![0.0; 18];
    (adj[1], adj[3], adj[9 + 2], adj[9 + 6]) = (1.0, 1.0, 2.0, 2.0);
    State::new(vec![x, column("adj", adj, Support::symmetric_pairs(mask))]).unwrap()
}

#[test]
fn the_gradient_is_the_finite_difference() {
    let paths = [VE, PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 }];
    for (data, paths) in [(points(&[[1.0, -2.0], [0.3, 0.1]]), &paths[..1]), (graphs(), &paths[..])] {
        let classifier = NoiseLevelClassifier::new(even(5), &data, 4, 3);
        let mut objective = NoiseLevelObjective::new(&data, paths, even(5), 9).unwrap();
        let gradient = objective.evaluate(&classifier.parameters, &[0, 1], 2).unwrap().gradient;
        for (name, tensor) in &classifier.parameters {
            for entry in 0..tensor.len() {
                let mut loss = |shift: f64| {
                    let mut values = tensor.to_f64();
                    values[entry] += shift;
                    let mut parameters: ParameterSet = classifier.parameters.clone();
                    parameters.insert(name.clone(), HostTensor::f64(tensor.shape.clone(), values));
                    objective.evaluate(&parameters, &[0, 1], 2).unwrap().losses[0]
                };
                let difference = (loss(1e-5) - loss(-1e-5)) / 2e-5;
                let found = gradient[name].to_f64()[entry];
                assert!((found - difference).abs() < 1e-8, "{name} {entry}: {found} and {difference}");
            }
        }
    }
}

#[test]
fn renumbering_the_nodes_changes_nothing() {
    let plain = graphs();
    let mut values = plain.to_host().unwrap();
    values[0].swap(3, 5);
    // Nodes 0 and 2 of the second graph change places; its only edge joins them.
    let renumbered = plain.with_values(values).unwrap();
    let classifier = NoiseLevelClassifier::new(even(7), &plain, 8, 1);
    let [a, b] = [&plain, &renumbered].map(|state| classifier.log_probabilities(state).unwrap());
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-12));
    assert!(
        classifier.log_weights(&plain, &even(8)).is_err()
            && classifier.log_probabilities(&points(&[[0.0; 2]])).is_err()
    );
}

#[test]
fn the_law_of_the_level_is_learned_and_drives_a_chain() {
    let levels = 64;
    let planner = Ddim { t_end: Some(1e-6), ..Ddim::default() };
    let mcmc = DenoisingMcmc {
        paths: vec![VE],
        step_size: 0.5,
        skip: 4,
        levels,
        choice: LevelChoice::Draw,
        planner: &planner,
        denoise_steps: 1,
        t_end: 1e-6,
    };
    let data = points(&Ring::eight_modes().draws(8192, 1));
    let classifier = NoiseLevelClassifier::new(mcmc.level_times(), &data, 48, 5);
    let mut objective = NoiseLevelObjective::new(&data, &[VE], mcmc.level_times(), 6).unwrap();
    let config = TrainerConfig {
        epochs: 40,
        batch: 256,
        learning_rate: LearningRate::exponential(3e-3, 0.93),
        adam: AdamConfig::default(),
        clip_norm: 1.0,
        average_decay: 0.99,
        seed: 7,
        ..TrainerConfig::default()
    };
    let groups = vec![Group { name: "level", prefix: PREFIX }];
    let mut trainer = Trainer::new(config, groups, classifier.parameters).unwrap();
    trainer.run(&mut objective, None, &mut Silent, &|| false).unwrap();
    let classifier =
        NoiseLevelClassifier { times: classifier.times, parameters: trainer.state().parameters.clone() };

    // The cross-entropy of the exact law bounds that of any classifier from below.
    let exact = RingDenoiser::new(Ring::eight_modes(), VE, PredictionKind::X0);
    let held_out = points(&Ring::eight_modes().draws(2000, 2));
    let mut judge = NoiseLevelObjective::new(&held_out, &[VE], mcmc.level_times(), 8).unwrap();
    let all: Vec<usize> = (0..2000).collect();
    let learned = judge.evaluate(&classifier.parameters, &all, 0).unwrap().losses[0];
    let bound = judge.loss_of(&exact, &all, 0).unwrap();
    println!(
        "cross-entropy {learned:.4}, of the exact law {bound:.4}, of no knowledge {:.4}",
        (levels as f64).ln()
    );
    assert!(learned > bound - 0.02 && learned < bound + 0.08, "{learned} {bound}");

    // Five evaluations a sample, chains begun from 20 steps of Heun's method.
    let (count, noise) = (400, KeyedNoise::new(70));
    let ids: Vec<u64> = (0..count as u64).collect();
    let mut executor = Executor::new(&exact, &noise);
    let heun = Heun { grid: TimeGrid::Karras { rho: 7.0 }, t_end: Some(1e-6), ..Heun::default() };
    let device = DeviceKind::Cpu.open().unwrap();
    let prior =
        State::prior(&["x"], &[VE], vec![Support::vector(count, 2)], &ids, &noise, &device, DType::F64)
            .unwrap();
    let start = executor.run(&heun.plan(&[VE], 20).unwrap(), prior, &ids).unwrap().state;
    let mut chains = Chains::new(start, vec![0.0; count]).unwrap();
    for _ in 0..10 {
        mcmc.advance(&mut executor, &classifier, &mut chains, &ids).unwrap();
    }
    let mut cloud: Vec<[f64; 2]> = Vec::new();
    for _ in 0..8 {
        let sample = mcmc.sample(&mut executor, &classifier, &mut chains, &ids).unwrap();
        assert_eq!(sample.evaluations, 5);
        cloud.extend(sample.state.components[0].to_host().unwrap().chunks_exact(2).map(|x| [x[0], x[1]]));
    }
    let distance = sliced_wasserstein(&cloud, &Ring::eight_modes().draws(cloud.len(), 3), 32);
    println!("sliced W2 {distance:.3} at 5 evaluations with the learned law");
    assert!(distance <= 1.0, "{distance}");
}
