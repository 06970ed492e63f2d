//! Training against the stored losses, gradients and optimiser steps of the released programme, and the properties a
//! training run must have: it learns, and a stopped run ends with the bits of one that was not.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

use burn::tensor::{DType, Device};
use equidrift_backend::device::DeviceKind;
use equidrift_backend::weights::{HostTensor, ParameterSet, TensorFile};
use equidrift_gdss::score_matching::{GROUPS, training_time};
use equidrift_gdss::{
    BurnEngine, CleanGraphs, DenoisingScoreMatching, EngineError, FusedEngine, GradientEngine, GraphDataset,
    LossAndGradient, NetworksConfig, PathPair, PathsConfig, PerturbedGraphs, ScoreNetworkXConfig,
    initial_parameters,
};
use equidrift_laws::reference;
use equidrift_sampler::PathConfig;
use equidrift_train::adam::AdamConfig;
use equidrift_train::{
    Ending, Evaluation, LearningRate, Objective, RunFolder, Silent, TrainError, Trainer, TrainerConfig,
    TrainingState,
};
use serde_json::Value;

/// One stored training run: the first three steps from the released weights.
struct Golden {
    name: String,
    file: TensorFile,
    networks: NetworksConfig,
    parameters: ParameterSet,
    batches: Vec<PerturbedGraphs<f64>>,
    config: TrainerConfig,
}

fn goldens() -> Vec<Golden> {
    let Some(folder) = reference::reference_dir().map(|folder| folder.join("gdss")) else {
        return Vec::new();
    };
    let files = reference::files(&folder, "train.", ".safetensors");
    assert!(!files.is_empty(), "no training vectors in {}", folder.display());
    files.iter().map(|path| golden(&folder, path)).collect()
}

fn golden(folder: &Path, path: &Path) -> Golden {
    let name = path.file_name().unwrap().to_str().unwrap();
    let name = name.strip_prefix("train.").unwrap().strip_suffix(".safetensors").unwrap().to_owned();
    let file = TensorFile::read(path).unwrap();
    let json: Value =
        serde_json::from_slice(&std::fs::read(folder.join(format!("{name}.json"))).unwrap()).unwrap();
    let networks = NetworksConfig {
        x: serde_json::from_value(json["params_x"].clone()).unwrap(),
        adj: serde_json::from_value(json["params_adj"].clone()).unwrap(),
    };
    let path_config = |which: &str| -> PathConfig {
        let mut sde = json["sde"][which].clone();
        sde.as_object_mut().unwrap().remove("num_scales");
        serde_json::from_value(sde).unwrap()
    };
    let paths = PathPair::new(&PathsConfig::published(path_config("x"), path_config("adj")));
    let weights = TensorFile::read(folder.join(format!("{name}.safetensors"))).unwrap();
    let parameters: ParameterSet = weights
        .tensors
        .into_iter()
        .filter(|(name, _)| GROUPS.iter().any(|group| name.starts_with(group.prefix)))
        .map(|(name, tensor)| (name, HostTensor::f64(tensor.shape.clone(), tensor.to_f64())))
        .collect();

    let x = &file.tensors["in.x"];
    let [batch, nodes, features] = x.shape[..] else { panic!("in.x is not [B, N, F]") };
    let clean = CleanGraphs::new(batch, nodes, features, x.to_f64(), file.tensors["in.adj"].to_f64());
    let draws = |name: &str| file.tensors[name].to_f64();
    let (u, z_x, z_adj) = (draws("in.u"), draws("in.z_x"), draws("in.z_adj"));
    let steps = u.len() / batch;
    let batches = (0..steps)
        .map(|step| {
            let times: Vec<f64> = u[step * batch..][..batch].iter().map(|&u| training_time(u)).collect();
            let per_step = |values: &[f64]| {
                let width = values.len() / steps;
                values[step * width..][..width].to_vec()
            };
            PerturbedGraphs::new(&clean, &paths, &times, &per_step(&z_x), &per_step(&z_adj))
        })
        .collect();
    let train = |key: &str| json["train"][key].as_f64().unwrap();
    let config = TrainerConfig {
        epochs: 1,
        batch,
        learning_rate: LearningRate::exponential(train("lr"), 1.0),
        adam: AdamConfig { weight_decay: train("weight_decay"), ..AdamConfig::default() },
        clip_norm: train("grad_norm"),
        average_decay: train("ema"),
        seed: 0,
        ..TrainerConfig::default()
    };
    Golden { name, file, networks, parameters, batches, config }
}

/// One engine: losses and gradient of a batch at these parameters.
type Evaluate<'a> = &'a dyn Fn(&ParameterSet, &PerturbedGraphs<f64>) -> Result<LossAndGradient, EngineError>;

/// Feeds the stored batches one after the other.
struct Stored<'a> {
    batches: &'a [PerturbedGraphs<f64>],
    next: usize,
    evaluate: Evaluate<'a>,
    gradients: Vec<ParameterSet>,
}

impl Objective for Stored<'_> {
    fn losses(&self) -> &[&'static str] {
        &["x", "adj"]
    }

    fn examples(&self) -> usize {
        self.batches.len()
    }

    fn evaluate(&mut self, parameters: &ParameterSet, _: &[usize], _: u64) -> Result<Evaluation, TrainError> {
        let result = (self.evaluate)(parameters, &self.batches[self.next])
            .map_err(|error| TrainError::Objective(Box::new(error)))?;
        self.next += 1;
        self.gradients.push(result.gradient.clone());
        Ok(Evaluation { losses: vec![result.loss_x, result.loss_adj], gradient: result.gradient })
    }
}

/// Largest difference over the largest expected magnitude, or over `floor` if that is larger.
fn relative(found: &[f64], expected: &[f64], floor: f64) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(floor, |scale, e| scale.max(e.abs()));
    let worst = found.iter().zip(expected).fold(0.0f64, |worst, (f, e)| worst.max((f - e).abs()));
    if worst == 0.0 { 0.0 } else { worst / scale }
}

fn norm(tensor: &HostTensor) -> f64 {
    tensor.to_f64().iter().map(|g| g * g).sum::<f64>().sqrt()
}

/// Runs the stored steps with one engine and compares everything that is stored; returns the worst relative error.
/// Gradients below `vanishing` times their network's gradient norm are measured against that: behind saturated
/// attention some are 1e-79, which single precision does not know.
fn compare(
    golden: &Golden,
    vanishing: f64,
    parameters: ParameterSet,
    evaluate: Evaluate<'_>,
) -> BTreeMap<&'static str, f64> {
    let mut objective = Stored { batches: &golden.batches, next: 0, evaluate, gradients: Vec::new() };
    let mut trainer = Trainer::new(golden.config.clone(), GROUPS.to_vec(), parameters).unwrap();
    let mut worst: BTreeMap<&'static str, f64> = BTreeMap::new();
    let mut record = |what: &'static str, error: f64| {
        let entry = worst.entry(what).or_insert(0.0);
        *entry = entry.max(error);
    };
    let expected = golden.file.tensors["out.loss_and_gradnorm"].to_f64();
    for expected in expected.chunks(4) {
        let report = trainer.step(&mut objective, &[0]).unwrap();
        for (found, expected) in report.losses.iter().chain(&report.gradient_norms).zip(expected) {
            record("losses and norms", relative(&[*found], &[*expected], 0.0));
        }
    }
    let without: Vec<String> =
        serde_json::from_str(&golden.file.metadata["parameters_without_gradient"]).unwrap();
    let first = &objective.gradients[0];
    for name in golden.parameters.keys() {
        assert_eq!(first.contains_key(name), !without.contains(name), "{}: gradient of {name}", golden.name);
    }
    let state = trainer.state();
    let average = state.average.parameters(&state.parameters);
    for (key, expected) in &golden.file.tensors {
        let expected = expected.to_f64();
        let floor = |name: &str| {
            let network = GROUPS.iter().find(|group| name.starts_with(group.prefix)).unwrap();
            vanishing * equidrift_train::clip::global_norm(first, network.prefix)
        };
        if let Some(name) = key.strip_prefix("grad.") {
            record("gradients", relative(&first[name].to_f64(), &expected, floor(name)));
        } else if let Some(name) = key.strip_prefix("gradnorm.") {
            record("norms per parameter", relative(&[norm(&first[name])], &expected, floor(name)));
        } else if let Some(name) = key.strip_prefix("after3.") {
            record("parameters", relative(&state.parameters[name].to_f64(), &expected, 0.0));
        } else if let Some(name) = key.strip_prefix("ema_after3.") {
            record("averages", relative(&average[name].to_f64(), &expected, 0.0));
        }
    }
    worst
}

#[test]
fn tensor_library_reproduces_the_stored_training_steps_in_double_precision() {
    for golden in goldens() {
        let device = DeviceKind::Cpu.open().unwrap();
        let evaluate = |parameters: &ParameterSet, batch: &PerturbedGraphs<f64>| {
            BurnEngine::with_precision(&golden.networks, parameters, &device, DType::F64)?
                .loss_and_gradient_as(&batch.view())
        };
        let worst = compare(&golden, 0.0, golden.parameters.clone(), &evaluate);
        eprintln!("{}, f64: {worst:?}", golden.name);
        assert!(worst.len() >= 2, "losses and gradients are stored");
        assert!(worst.values().all(|&error| error <= 1e-7), "{}: {worst:?}", golden.name);
    }
}

#[test]
fn engines_reproduce_the_stored_training_steps_in_single_precision() {
    for golden in goldens() {
        let single: ParameterSet = golden
            .parameters
            .iter()
            .map(|(name, tensor)| (name.clone(), HostTensor::f32(tensor.shape.clone(), tensor.to_f32())))
            .collect();
        let device = DeviceKind::Cpu.open().unwrap();
        let burn = |parameters: &ParameterSet, batch: &PerturbedGraphs<f64>| {
            BurnEngine::new(&golden.networks, parameters, &device)?
                .loss_and_gradient(&batch.to_single().view())
        };
        let fused = |parameters: &ParameterSet, batch: &PerturbedGraphs<f64>| {
            FusedEngine::new(&golden.networks, parameters, 1)?.loss_and_gradient(&batch.to_single().view())
        };
        for (engine, evaluate) in [("burn", &burn as Evaluate<'_>), ("fused", &fused)] {
            let worst = compare(&golden, 1e-5, single.clone(), evaluate);
            eprintln!("{}, {engine}: {worst:?}", golden.name);
            assert!(worst.values().all(|&error| error <= 1e-4), "{}, {engine}: {worst:?}", golden.name);
        }
    }
}

/// Rings and chains of two kinds of nodes: a set small enough to be learnt within seconds.
fn rings_and_chains() -> GraphDataset {
    let mut set = GraphDataset::new(2);
    for row in 0..48u64 {
        let nodes = 3 + (row % 4) as usize;
        let classes: Vec<u8> = (0..nodes).map(|node| u8::from(node == 0)).collect();
        let mut edges: Vec<_> = (1..nodes).map(|node| (node - 1, node, 1)).collect();
        if row % 2 == 0 {
            edges.push((0, nodes - 1, 2));
        }
        set.push(row, &classes, &edges).unwrap();
    }
    set
}

fn small_networks() -> NetworksConfig {
    let adj = serde_json::json!({
        "model_type": "ScoreNetworkA", "max_feat_num": 2, "max_node_num": 6, "nhid": 8, "num_layers": 2,
        "num_linears": 2, "c_init": 2, "c_hid": 4, "c_final": 2, "adim": 8, "num_heads": 4
    });
    NetworksConfig {
        x: equidrift_gdss::NodeNetworkConfig::ScoreNetworkX(ScoreNetworkXConfig {
            max_feat_num: 2,
            depth: 2,
            nhid: 8,
            time_features: 0,
        }),
        adj: serde_json::from_value(adj).unwrap(),
    }
}

const PATHS: PathsConfig = PathsConfig::published(
    PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 1.0 },
    PathConfig::VarianceExploding { beta_min: 0.1, beta_max: 1.0 },
);

fn small_config(epochs: u64) -> TrainerConfig {
    TrainerConfig {
        epochs,
        batch: 16,
        learning_rate: LearningRate::exponential(0.01, 0.999),
        adam: AdamConfig { weight_decay: 1e-4, ..AdamConfig::default() },
        clip_norm: 1.0,
        average_decay: 0.999,
        seed: 5,
        ..TrainerConfig::default()
    }
}

fn fused() -> Box<dyn GradientEngine> {
    let networks = small_networks();
    Box::new(FusedEngine::new(&networks, &initial_parameters(&networks, 5), 1).unwrap())
}

fn objective(data: &GraphDataset, threads: usize) -> DenoisingScoreMatching<'_> {
    DenoisingScoreMatching::new(fused(), data, &PATHS, 5, NonZeroUsize::new(threads).unwrap())
}

#[test]
fn a_small_set_is_learnt() {
    struct Losses(Vec<(f64, f64)>);
    impl equidrift_train::Observer for Losses {
        fn epoch(
            &mut self,
            report: &equidrift_train::EpochReport,
            _: &TrainingState,
        ) -> Result<(), TrainError> {
            self.0.push((report.losses["x"], report.losses["adj"]));
            Ok(())
        }
    }
    let data = rings_and_chains();
    let networks = small_networks();
    let mut trainer =
        Trainer::new(small_config(150), GROUPS.to_vec(), initial_parameters(&networks, 5)).unwrap();
    let mut losses = Losses(Vec::new());
    trainer.run(&mut objective(&data, 2), None, &mut losses, &|| false).unwrap();
    let mean = |part: &[(f64, f64)]| {
        let n = part.len() as f64;
        (part.iter().map(|l| l.0).sum::<f64>() / n, part.iter().map(|l| l.1).sum::<f64>() / n)
    };
    let (first, last) = (mean(&losses.0[..5]), mean(&losses.0[145..]));
    eprintln!("first five epochs {first:?}, last five {last:?}");
    assert!(last.0 < 0.6 * first.0 && last.1 < 0.9 * first.1, "{first:?} -> {last:?}");
}

#[test]
fn threads_and_company_change_no_bit_of_the_gradient() {
    let data = rings_and_chains();
    let parameters = initial_parameters(&small_networks(), 5);
    // More than one shard.
    let examples: Vec<usize> = (0..400).map(|i| (i * 7) % data.len()).collect();
    let one = objective(&data, 1).evaluate(&parameters, &examples, 3).unwrap();
    let three = objective(&data, 3).evaluate(&parameters, &examples, 3).unwrap();
    assert_eq!(one.losses, three.losses);
    assert_eq!(one.gradient, three.gradient);
    // The noise of an example is its own: the same alone and in company, another in another epoch.
    let objective = objective(&data, 1);
    let pair = objective.perturbed(&[4, 9], 3);
    let alone = objective.perturbed(&[9], 3);
    let width = data.nodes() * data.nodes();
    assert_eq!(pair.view().graphs.adj[width..], alone.view().graphs.adj[..]);
    assert_ne!(objective.perturbed(&[9], 4).view().graphs.adj, alone.view().graphs.adj);
}

/// Shards of a batch share the engine and with it the parameters.
#[test]
fn threads_of_the_tensor_library_do_not_wait_for_ever() {
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let data = rings_and_chains();
        let parameters = initial_parameters(&small_networks(), 5);
        let examples: Vec<usize> = (0..600).map(|i| (i * 7) % data.len()).collect();
        let gradients = |threads: usize| {
            let engine = BurnEngine::new(&small_networks(), &parameters, &Device::flex()).unwrap();
            let threads = NonZeroUsize::new(threads).unwrap();
            let mut objective = DenoisingScoreMatching::new(Box::new(engine), &data, &PATHS, 5, threads);
            (0..6).map(|epoch| objective.evaluate(&parameters, &examples, epoch).unwrap().gradient).collect()
        };
        let pair: [Vec<ParameterSet>; 2] = [1, 3].map(gradients);
        done.send(pair).unwrap();
    });
    let [one, three] = finished.recv_timeout(std::time::Duration::from_secs(300)).expect("a deadlock");
    assert_eq!(one, three);
}

#[test]
fn noise_is_symmetric_masked_and_of_unit_variance() {
    let data = rings_and_chains();
    let objective = objective(&data, 1);
    let (n, f) = (data.nodes(), data.features());
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
    for epoch in 0..60 {
        let examples: Vec<usize> = (0..data.len()).collect();
        let perturbed = objective.perturbed(&examples, epoch);
        let view = perturbed.view();
        for b in 0..view.graphs.batch {
            for i in 0..n {
                let real_i = view.graphs.mask[b * n + i] == 1.0;
                for z in &view.z_x[(b * n + i) * f..][..f] {
                    assert!(real_i || *z == 0.0);
                }
                for j in 0..n {
                    let z = view.z_adj[(b * n + i) * n + j];
                    assert_eq!(z, view.z_adj[(b * n + j) * n + i]);
                    let real = real_i && view.graphs.mask[b * n + j] == 1.0 && i != j;
                    assert!(real || (z == 0.0 && view.graphs.adj[(b * n + i) * n + j] == 0.0));
                    if real && i < j {
                        sum += z;
                        squares += z * z;
                        count += 1.0;
                    }
                }
            }
        }
    }
    // 28,800 pairs: four standard errors of mean and variance.
    let error = 4.0 / f64::sqrt(count);
    assert!((sum / count).abs() < error && (squares / count - 1.0).abs() < error * f64::sqrt(2.0));
}

#[test]
fn input_perturbation_adds_noise_to_what_is_seen_and_not_to_the_target() {
    let data = rings_and_chains();
    let examples: Vec<usize> = (0..data.len()).collect();
    let plain = objective(&data, 1);
    let perturbed = objective(&data, 1).with_input_perturbation(0.5);
    let (n, f) = (data.nodes(), data.features());
    let path = PATHS.adj.build();
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
    for epoch in 0..60 {
        let (clean, noisy) = (plain.perturbed(&examples, epoch), perturbed.perturbed(&examples, epoch));
        let (clean, noisy) = (clean.view(), noisy.view());
        assert_eq!((clean.z_x, clean.z_adj), (noisy.z_x, noisy.z_adj));
        assert_eq!(clean.graphs.times, noisy.graphs.times);
        for (b, &t) in clean.graphs.times.iter().enumerate() {
            let sigma = 0.5 * path.marginal(t).sigma;
            for i in 0..n {
                let real_i = clean.graphs.mask[b * n + i] == 1.0;
                let features = (b * n + i) * f..(b * n + i + 1) * f;
                let (was, is) = (&clean.graphs.x[features.clone()], &noisy.graphs.x[features]);
                assert!(was.iter().zip(is).all(|(was, is)| (was != is) == real_i));
                for j in 0..n {
                    let [upper, lower] = [(b * n + i) * n + j, (b * n + j) * n + i];
                    let further = noisy.graphs.adj[upper] - clean.graphs.adj[upper];
                    assert_eq!(noisy.graphs.adj[upper], noisy.graphs.adj[lower]);
                    let real = i != j && real_i && clean.graphs.mask[b * n + j] == 1.0;
                    assert!(real || further == 0.0);
                    if real && i < j {
                        sum += further / sigma;
                        squares += (further / sigma).powi(2);
                        count += 1.0;
                    }
                }
            }
        }
    }
    // As above: four standard errors of mean and variance.
    let error = 4.0 / f64::sqrt(count);
    assert!((sum / count).abs() < error && (squares / count - 1.0).abs() < error * f64::sqrt(2.0));
}

#[test]
fn a_stopped_and_resumed_run_ends_with_the_same_bits() {
    let data = rings_and_chains();
    let networks = small_networks();
    let run = BTreeMap::from([("data".to_owned(), "rings and chains".to_owned())]);
    let train = |folder: &Path, threads: usize, steps: Option<usize>| {
        let (folder, state) = RunFolder::resume(folder, run.clone(), 0).unwrap();
        let mut trainer = match state {
            None => Trainer::new(small_config(4), GROUPS.to_vec(), initial_parameters(&networks, 5)),
            Some(state) => Trainer::resume(small_config(4), GROUPS.to_vec(), state),
        }
        .unwrap();
        let done = Cell::new(0);
        let stop = || {
            done.set(done.get() + 1);
            steps.is_some_and(|steps| done.get() > steps)
        };
        let ending = trainer.run(&mut objective(&data, threads), Some(&folder), &mut Silent, &stop).unwrap();
        (ending, trainer.state().clone())
    };
    let whole = tempfile::tempdir().unwrap();
    let (_, reference) = train(whole.path(), 1, None);
    let killed = tempfile::tempdir().unwrap();
    for steps in [2, 3, 1] {
        assert_eq!(train(killed.path(), 1, Some(steps)).0, Ending::Stopped);
    }
    let (ending, resumed) = train(killed.path(), 2, None);
    assert_eq!(ending, Ending::Finished);
    assert_eq!(resumed.parameters, reference.parameters);
    assert_eq!(resumed.average, reference.average);
    assert_eq!(resumed.adam, reference.adam);
}
