//! The prior that is a linear forecast: what is fitted, and that states and trajectories go over into each other.

use std::num::NonZeroUsize;
use std::sync::Arc;

use burn::tensor::{DType, Device};
use equidrift_backend::device::DeviceKind;
use equidrift_geotdm::{
    AtomFeatures, CountedNodes, DenoisingObjective, Extrapolation, FusedNetwork, GeotdmConfig,
    GeotdmDenoiser, GeotdmError, GeotdmModel, KindsOfNodes, Lengths, MolecularEdges, NetworkConfig,
    NoisySystem, Prior, System, SystemBatch, SystemGraph, Temporal, TrainingEngine, TrainingExample,
    TrajectoryDiffusion, TrajectoryRun, environments, initial_parameters, published_sampler,
};
use equidrift_sampler::{KeyedNoise, NoiseSource};
use equidrift_train::Objective;
use equidrift_trajectory::nbody::System as Bodies;
use equidrift_trajectory::{Element, Topology};

use crate::reference::relative_error;

const GIVEN: usize = 5;
const MADE: usize = 6;

fn examples() -> Vec<TrainingExample> {
    examples_with(0)
}

/// The last `behind` of the given frames come behind the made ones.
fn examples_with(behind: usize) -> Vec<TrainingExample> {
    (0..40)
        .map(|number| {
            let run = Bodies::Charged.simulate(4, 5, number).unwrap();
            let positions: Vec<f64> =
                (0..GIVEN + MADE).flat_map(|t| run.positions(t).as_flattened().to_vec()).collect();
            let graph = Arc::new(SystemGraph::of_bodies(&run).unwrap());
            TrainingExample::between(graph, &positions, 3, GIVEN, behind).unwrap()
        })
        .collect()
}

fn kinds(apart: bool) -> KindsOfNodes {
    if apart { KindsOfNodes::Features } else { KindsOfNodes::All }
}

fn model(examples: &Vec<TrainingExample>, apart: bool) -> GeotdmModel {
    model_with(Temporal::Attention, examples, apart)
}

fn model_with(temporal: Temporal, examples: &Vec<TrainingExample>, apart: bool) -> GeotdmModel {
    let extrapolation = Extrapolation::fit::<3>(examples, GIVEN, MADE, kinds(apart)).unwrap();
    let network = NetworkConfig {
        node_features: 1,
        edge_features: 1,
        hidden: 16,
        layers: 2,
        temporal,
        time_features: 8,
        lengths: Lengths::Squared,
        prior: Prior::Extrapolated,
        extrapolation: Some(extrapolation),
    };
    let parameters = initial_parameters(&network, 3);
    let config = GeotdmConfig {
        library: "equidrift".to_owned(),
        format_version: 1,
        family: "geotdm".to_owned(),
        name: "forecast".to_owned(),
        network,
        systems: None,
        molecule: None,
        time_step: None,
        given_frames: GIVEN,
        given_behind: examples[0].system.behind,
        frames: MADE,
        diffusion: TrajectoryDiffusion::linear(50).unwrap(),
        counted: Default::default(),
        sampler: published_sampler(),
        steps: 50,
        origin: None,
    };
    GeotdmModel::new(config, parameters).unwrap()
}

/// What is left of the training windows has variance 1 in every frame and is not explained by any given frame.
#[test]
fn deviations_are_of_size_one_and_uncorrelated() {
    let examples = examples();
    for apart in [false, true] {
        let model = model(&examples, apart);
        let forecasts = model.config().network.extrapolation.as_ref().unwrap();
        assert_eq!(forecasts.classes.len(), if apart { 2 } else { 1 });
        let deviations: Vec<(&TrainingExample, Vec<f64>)> = examples
            .iter()
            .map(|example| {
                let forecast = forecasts.forecast(&example.system).unwrap();
                let z = forecast.standardised(&example.clean);
                assert!(relative_error(&forecast.trajectory(&z), &example.clean) < 1e-12);
                (example, z)
            })
            .collect();
        for s in 0..MADE {
            let of_frame =
                |z: &[f64]| z.chunks(MADE * 3).flat_map(|z| z[s * 3..][..3].to_vec()).collect::<Vec<_>>();
            let all: Vec<f64> = deviations.iter().flat_map(|(_, z)| of_frame(z)).collect();
            let square = all.iter().map(|z| z * z).sum::<f64>() / all.len() as f64;
            assert!((square - 1.0).abs() < 1e-3, "{square}");
            // Least squares leaves what is orthogonal to its inputs.
            let inputs: Vec<f64> = deviations
                .iter()
                .flat_map(|(example, _)| example.system.given.chunks(GIVEN * 3))
                .flat_map(|y| (0..3).map(|k| y[k] - y[(GIVEN - 1) * 3 + k]).collect::<Vec<_>>())
                .collect();
            let product: f64 = all.iter().zip(&inputs).map(|(a, b)| a * b).sum();
            let size = inputs.iter().map(|x| x * x).sum::<f64>().sqrt() * (all.len() as f64).sqrt();
            assert!((product / size).abs() < 1e-3, "{}", product / size);
        }
    }
}

/// A state holds deviations, a trajectory positions; the two engines draw the same.
#[test]
fn states_hold_deviations() {
    for temporal in [Temporal::Attention, Temporal::None] {
        [0, 2].into_iter().for_each(|behind| states_hold_deviations_with(temporal, behind));
    }
}

fn states_hold_deviations_with(temporal: Temporal, behind: usize) {
    let examples = examples_with(behind);
    let model = model_with(temporal, &examples, false);
    let systems: Vec<_> = examples[..3].iter().map(|example| example.system.clone()).collect();
    let batch = SystemBatch::new(systems.clone()).unwrap();
    let one = NonZeroUsize::MIN;
    let run = model.run(batch.clone(), DeviceKind::Cpu, one).unwrap();
    let clean: Vec<Vec<f64>> = examples[..3].iter().map(|example| example.clean.clone()).collect();
    let state = run.state(&clean).unwrap();
    let back = run.trajectories(&state).unwrap();
    for (found, expected) in back.iter().zip(&clean) {
        assert!(relative_error(found, expected) < 1e-6);
    }
    let forecasts = model.config().network.extrapolation.as_ref().unwrap();
    let z = forecasts.forecast(&systems[1]).unwrap().standardised(&clean[1]);
    assert!(relative_error(&state.to_host().unwrap()[0][z.len()..][..z.len()], &z) < 1e-6);

    let network = Arc::new(model.network(DeviceKind::Cpu, DType::F64).unwrap());
    let exact = GeotdmDenoiser::new(network, model.config().diffusion.clone(), batch).unwrap();
    let exact = TrajectoryRun::of(exact).unwrap();
    let noise = KeyedNoise::new(4);
    let draw = |run: &TrajectoryRun| {
        let plan = run.plan(&model.config().sampler, 50).unwrap();
        run.draw(&plan, &noise as &dyn NoiseSource, &[0, 1, 2]).unwrap().trajectories
    };
    for (a, b) in draw(&run).iter().zip(draw(&exact)) {
        let (a, b) = (a.as_ref().unwrap(), b.unwrap());
        assert!(relative_error(a, &b) < 1e-4, "{}", relative_error(a, &b));
    }
}

/// Given frames may stand on both sides of the made ones: those are then known better, and both engines have the same losses and
/// gradients.
#[test]
fn frames_are_made_between_given_ones() {
    let (forecasting, filling) = (examples(), examples_with(2));
    let window = |example: &TrainingExample| {
        let (given, made) = (example.system.given.len(), example.clean.len());
        let mut all = [&example.system.given[..], &example.clean].concat();
        all.sort_by(f64::total_cmp);
        (given, made, all)
    };
    assert_eq!(window(&forecasting[0]), window(&filling[0]), "the same frames in another order");
    assert_eq!((filling[0].system.before(), filling[0].system.given_frames()), (3, GIVEN));
    let scales = |examples: &Vec<TrainingExample>| {
        let extrapolation = Extrapolation::fit::<3>(examples, GIVEN, MADE, KindsOfNodes::All).unwrap();
        extrapolation.classes[0].scales.clone()
    };
    let (ahead, between) = (scales(&forecasting), scales(&filling));
    assert!(between.iter().sum::<f64>() < 0.5 * ahead.iter().sum::<f64>(), "{between:?}, {ahead:?}");

    let model = model(&filling, false);
    engines_agree(&model, &filling);

    let refused = |behind: usize| {
        let system = System { behind, ..filling[0].system.clone() };
        let network = Arc::new(model.network(DeviceKind::Cpu, DType::F64).unwrap());
        let batch = SystemBatch::new(vec![system]).unwrap();
        GeotdmDenoiser::new(network, model.config().diffusion.clone(), batch).is_err()
    };
    assert!(!refused(2) && refused(GIVEN));
}

/// Without attention no frame has anything to do with another, but each is told where it lies.
#[test]
fn frames_may_be_computed_apart() {
    let examples = examples();
    let model = model_with(Temporal::None, &examples, false);
    engines_agree(&model, &examples);
    let parameters = model.parameters();
    assert!(parameters.keys().all(|name| !name.starts_with("t_modules")));
    assert_eq!(parameters["input_linear.weight"].shape, [16, 1 + 2 * 8]);

    let network = FusedNetwork::new(&model.config().network, parameters).unwrap();
    let system = &examples[0].system;
    let level = model.config().diffusion.level(20);
    let denoise = |positions: &[f32]| {
        network.denoise(&[NoisySystem { system, positions, level }], NonZeroUsize::MIN).unwrap().remove(0)
    };
    let plain = vec![0.0; system.width()];
    let mut moved = plain.clone();
    let frame = |node: usize, frame: usize| (node * MADE + frame) * 3..(node * MADE + frame + 1) * 3;
    moved[frame(0, 1)].fill(0.5);
    let (before, after) = (denoise(&plain), denoise(&moved));
    for node in 0..system.graph.nodes() {
        for t in 0..MADE {
            let both = before[frame(node, t)].iter().zip(&after[frame(node, t)]);
            let change = both.map(|(before, after)| (before - after).abs()).fold(0.0, f32::max);
            // All are moved by the mean of all, which is rounded.
            assert_eq!(change > 1e-4, t == 1, "node {node}, frame {t}: {change:.1e}");
            assert!(t == 1 || change < 1e-5, "node {node}, frame {t}: {change:.1e}");
        }
    }
    // Bodies at rest have the same forecast in all frames; with errors of one size only the distance tells them apart.
    let still = |node: usize| (0..GIVEN).flat_map(move |_| [node as f64, 0.3 * node as f64, 1.0]);
    let given = (0..system.graph.nodes()).flat_map(still).collect();
    let resting = System { given, ..system.clone() };
    let noisy = NoisySystem { system: &resting, positions: &plain, level };
    let mut alike = model.config().network.clone();
    alike.extrapolation.iter_mut().flat_map(|all| &mut all.classes).for_each(|class| class.scales.fill(0.5));
    let alike = FusedNetwork::new(&alike, parameters).unwrap();
    let noise = alike.denoise(&[noisy], NonZeroUsize::MIN).unwrap().remove(0);
    assert_ne!(noise[frame(0, 0)], noise[frame(0, 1)]);

    let mut config = model.config().clone();
    config.network.prior = Prior::CentreOfMass;
    config.network.extrapolation = None;
    let error = GeotdmModel::new(config, parameters.clone()).unwrap_err().to_string();
    assert!(error.contains("network.temporal"), "{error}");
}

/// Losses and gradients of both engines.
fn engines_agree(model: &GeotdmModel, examples: &Vec<TrainingExample>) {
    let evaluate = |engine: TrainingEngine| {
        let (config, diffusion) = (model.config().network.clone(), model.config().diffusion.clone());
        let nodes = CountedNodes::All;
        let mut objective =
            DenoisingObjective::new(config, diffusion, nodes, examples, 2, engine, NonZeroUsize::MIN);
        objective.evaluate(model.parameters(), &[3, 17], 5).unwrap()
    };
    let fused = evaluate(TrainingEngine::Fused);
    let plain = evaluate(TrainingEngine::TensorLibrary(Device::flex()));
    assert!((fused.losses[0] / plain.losses[0] - 1.0).abs() < 1e-5, "{:?}, {:?}", fused.losses, plain.losses);
    for (name, found) in &fused.gradient {
        let expected = plain.gradient.get(name).map_or_else(|| vec![0.0; found.len()], |of| of.to_f64());
        let error = norm_of_difference(&found.to_f64(), &expected);
        let whole = norm_of_difference(&expected, &vec![0.0; expected.len()]);
        assert!(error <= 1e-4 * whole.max(1e-3), "{name}: {error:.2e} of {whole:.2e}");
    }
}

fn norm_of_difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// Atoms are told apart by what is around them, whatever their order; what has an environment of its own has weights of its own.
#[test]
fn atoms_are_told_apart_by_their_environments() {
    // Ethanol: CH3-CH2-OH.
    let mut topology = Topology::of_elements([6, 6, 8, 1, 1, 1, 1, 1, 1].map(Element).to_vec());
    let bonds = vec![[0, 1], [1, 2], [0, 3], [0, 4], [0, 5], [1, 6], [1, 7], [2, 8]];
    topology.set_bonds(bonds).unwrap();
    let graph = SystemGraph::of_molecule(&topology, MolecularEdges::Near, AtomFeatures::Charge).unwrap();
    let found = environments(&graph);
    let classes: Vec<usize> =
        found.iter().map(|one| found.iter().position(|other| one == other).unwrap()).collect();
    assert_eq!(classes, [0, 1, 2, 3, 3, 3, 6, 6, 8], "three kinds of hydrogen");
    let order = [8, 2, 0, 5, 7, 1, 3, 6, 4];
    let permuted = environments(&graph.permuted(&order));
    assert_eq!(permuted, order.map(|old| found[old]));

    // Each kind of atom swings at a frequency of its own.
    let example = |seed: usize| {
        let pace = |atom: usize| 0.3 + 0.1 * classes[atom] as f64;
        let phase = |atom: usize, k: usize| (seed * 7 + k * 3 + atom) as f64;
        let at = |t: usize| {
            move |atom: usize| {
                (0..3).map(move |k| atom as f64 + (pace(atom) * t as f64 + phase(atom, k)).sin())
            }
        };
        let positions: Vec<f64> =
            (0..GIVEN + MADE).flat_map(|t| (0..9).flat_map(at(t)).collect::<Vec<_>>()).collect();
        TrainingExample::of_frames(Arc::new(graph.clone()), &positions, 3, GIVEN).unwrap()
    };
    let examples: Vec<TrainingExample> = (0..30).map(example).collect();
    let fit = |kinds| Extrapolation::fit::<3>(&examples, GIVEN, MADE, kinds).unwrap();
    let (by_element, by_environment) = (fit(KindsOfNodes::Features), fit(KindsOfNodes::Environments));
    assert_eq!((by_element.classes.len(), by_environment.classes.len()), (3, 6 + 3));
    let error = |extrapolation: &Extrapolation| {
        let example = example(99);
        let forecast = extrapolation.forecast(&example.system).unwrap();
        relative_error(&forecast.reference, &example.clean)
    };
    assert!(
        error(&by_environment) < 0.1 * error(&by_element),
        "{} {}",
        error(&by_environment),
        error(&by_element)
    );
    // An environment that was not seen falls back on the element, and a file keeps them apart.
    let mut without = by_environment.clone();
    without.classes.retain(|class| class.environment.is_none());
    assert_eq!(without, by_element);
    let written = serde_json::to_string(&by_environment).unwrap();
    assert_eq!(serde_json::from_str::<Extrapolation>(&written).unwrap(), by_environment);
}

/// What was not trained on is refused.
#[test]
fn misfits_are_errors() {
    let examples = examples();
    let apart = Extrapolation::fit::<3>(&examples, GIVEN, MADE, KindsOfNodes::Features).unwrap();
    let mut other = apart.clone();
    other.classes.remove(0);
    let error = |of: &Extrapolation| {
        examples.iter().find_map(|example| of.forecast(&example.system).err()).map(|error| error.to_string())
    };
    assert_eq!(error(&apart), None);
    assert!(error(&other).unwrap().contains("other features"), "{:?}", error(&other));
    let mut short = apart.clone();
    short.classes.iter_mut().for_each(|class| class.weights.truncate(2));
    assert!(matches!(
        short.forecast(&examples[0].system),
        Err(GeotdmError::Count { expected: 2, found: MADE, .. })
    ));
    // A configuration that says so has forecasts of the right size, and none other has.
    let model = model(&examples, false);
    let parameters = model.parameters().clone();
    let refused = |change: &dyn Fn(&mut GeotdmConfig)| {
        let mut config = model.config().clone();
        change(&mut config);
        GeotdmModel::new(config, parameters.clone()).is_err()
    };
    assert!(!refused(&|_| ()));
    assert!(refused(&|config| config.network.extrapolation = None));
    assert!(refused(&|config| config.network.prior = Prior::CentreOfMass));
    assert!(refused(&|config| config.given_frames = GIVEN + 1));
    let with = |change: &dyn Fn(&mut equidrift_geotdm::NodeForecast)| {
        refused(&|config| {
            config.network.extrapolation.iter_mut().flat_map(|all| &mut all.classes).for_each(change);
        })
    };
    assert!(with(&|class| class.scales[0] = 0.0));
    assert!(with(&|class| class.weights[1].clear()));
    assert!(FusedNetwork::new(&model.config().network, &parameters).is_ok());
}

/// Without given frames there is one scale: the root mean square about the joint mean. Others are refused.
#[test]
fn the_spread_of_unconditional_trajectories() {
    let examples: Vec<TrainingExample> = examples()
        .into_iter()
        .map(|TrainingExample { mut system, clean }| {
            system.given.clear();
            TrainingExample { system, clean }
        })
        .collect();
    let spread = Extrapolation::spread(&examples, MADE).unwrap();
    let square = |example: &TrainingExample| {
        let points: Vec<&[f64]> = example.clean.chunks(3).collect();
        let mean = |k: usize| points.iter().map(|x| x[k]).sum::<f64>() / points.len() as f64;
        (0..3).map(|k| points.iter().map(|x| (x[k] - mean(k)).powi(2)).sum::<f64>()).sum::<f64>()
    };
    let numbers = examples.iter().map(|example| example.clean.len()).sum::<usize>() as f64;
    let expected = (examples.iter().map(square).sum::<f64>() / numbers).sqrt();
    let [class] = &spread.classes[..] else { panic!("one class") };
    assert!(class.scales.iter().all(|scale| (scale - expected).abs() < 1e-9 * expected));
    let forecast = spread.forecast(&examples[0].system).unwrap();
    assert!(forecast.reference.iter().all(|&x| x == 0.0));
    let point = TrainingExample { clean: vec![1.0; examples[0].clean.len()], ..examples[0].clone() };
    assert!(matches!(Extrapolation::spread(&vec![point], MADE), Err(GeotdmError::Spread { .. })));

    let conditional = model(&self::examples(), false);
    let with = |spread: Extrapolation| {
        let mut config = conditional.config().clone();
        (config.given_frames, config.given_behind) = (0, 0);
        config.network.prior = Prior::Standardised;
        config.network.extrapolation = Some(spread);
        GeotdmModel::new(config, conditional.parameters().clone()).map_err(|error| error.to_string())
    };
    assert!(with(spread.clone()).is_ok());
    let mut uneven = spread.clone();
    uneven.classes[0].scales[1] *= 2.0;
    assert!(with(uneven).unwrap_err().contains("one for all frames"));
    let twice = Extrapolation { classes: [spread.classes.clone(), spread.classes].concat() };
    assert!(with(twice).unwrap_err().contains("network.extrapolation.classes"));
}
