//! Complete sampling runs of the original programme with every random number stored (`traj.NAME.SAMPLER.safetensors`):
//! the same numbers through our plans and networks give the same state after every stage.

use std::path::Path;

use burn::tensor::{DType, Device, Tensor};
use equidrift_backend::weights::TensorFile;
use equidrift_gdss::{BurnEngine, EngineKind, GdssDenoiser};
use equidrift_laws::reference::files;
use equidrift_sampler::plan::{Corrector, NormScope, Predictor, PredictorCorrector, S4};
use equidrift_sampler::{
    Executor, Layout, NoiseSource, Observer, Op, OperationEvent, PathConfig, Planner, State, Stream, Support,
};

use crate::checkpoints::{Checkpoint, gdss_dir};

const NAMES: [&str; 2] = ["x", "adj"];

/// Plays back the stored draws: raw normals, made symmetric from the strict upper triangle and masked here.
struct Replay<'f>(&'f TensorFile);

impl NoiseSource for Replay<'_> {
    fn normals(
        &self,
        stream: Stream,
        step: u32,
        component: usize,
        support: &Support,
        ids: &[u64],
    ) -> Vec<f64> {
        let stage = match stream {
            Stream::Prior => "init",
            Stream::Corrector => "corr",
            Stream::Predictor => "pred",
            Stream::FirstHalf => "half1",
            Stream::SecondHalf => "half2",
            other => panic!("no stored draws for {other:?}"),
        };
        let stored = self.0.tensors[&format!("noise.{stage}.{}", NAMES[component])].to_f64();
        let size = ids.len() * support.width();
        let start = if stage == "init" { 0 } else { step as usize * size };
        let mut values = stored[start..start + size].to_vec();
        let mask = support.element_mask();
        if let Layout::SymmetricPairs { nodes } = support.layout() {
            for matrix in values.chunks_exact_mut(nodes * nodes) {
                for i in 0..nodes {
                    for j in 0..i {
                        matrix[i * nodes + j] = matrix[j * nodes + i];
                    }
                }
            }
        }
        values.iter_mut().zip(mask).for_each(|(value, mask)| *value *= mask);
        values
    }
}

/// Compares the state after every stage with the recorded one.
struct Compare<'f> {
    file: &'f TensorFile,
    s4: bool,
    corrected: bool,
    steps: usize,
    /// Which combination of the step is running.
    combination: (usize, usize),
    /// The state before the predictor, for runs without a corrector.
    current: [Vec<f64>; 2],
    worst: f64,
    compared: usize,
}

fn host(tensor: &Tensor<2>) -> Vec<f64> {
    tensor.clone().into_data().try_into_vec_as::<f64>().unwrap()
}

impl Compare<'_> {
    fn compare(&mut self, stage: &str, component: usize, step: usize, values: &[f64]) {
        let (head, tail) = stage.split_once('_').map_or((stage, ""), |(head, _)| (head, "_mean"));
        let name = format!("step.{head}.{}{tail}", NAMES[component]);
        let stored =
            self.file.tensors.get(&name).unwrap_or_else(|| panic!("{name} was not recorded")).to_f64();
        let expected = &stored[step * values.len()..(step + 1) * values.len()];
        for (found, expected) in values.iter().zip(expected) {
            let error = (found - expected).abs();
            self.worst = if error.is_nan() { f64::INFINITY } else { self.worst.max(error) };
        }
        self.compared += 1;
    }
}

impl Observer for Compare<'_> {
    fn wants_operations(&self) -> bool {
        true
    }

    fn operation(&mut self, event: &OperationEvent<'_>) {
        let value = |c: usize| host(event.values[c].as_ref().unwrap());
        match event.op {
            Op::Langevin { component, .. } => {
                self.compare("corr", *component, event.step, &value(*component));
            }
            Op::Combine { noise, .. } => {
                if self.combination.0 != event.step {
                    self.combination = (event.step, 0);
                }
                let stage = if self.s4 { ["half1", "drift", "half2"][self.combination.1] } else { "pred" };
                self.combination.1 += 1;
                for component in 0..2 {
                    if !self.s4 && !self.corrected {
                        let before = self.current[component].clone();
                        self.compare("corr", component, event.step, &before);
                    }
                    // The last step returns the mean: what the original recorded after its noise does not exist here.
                    if noise.is_some() || stage == "drift" {
                        self.compare(stage, component, event.step, &value(component));
                    } else {
                        assert_eq!(event.step + 1, self.steps);
                    }
                    if stage == "pred" {
                        let mean = host(event.means[component].as_ref().unwrap());
                        self.compare("pred_mean", component, event.step, &mean);
                    }
                    self.current[component] = value(component);
                }
            }
            _ => {}
        }
    }
}

struct Recorded {
    file: TensorFile,
    checkpoint: Checkpoint,
    title: String,
}

/// Every recorded run of the reference folder.
fn recorded() -> Vec<Recorded> {
    let Some(dir) = gdss_dir() else { return Vec::new() };
    let found: Vec<_> = files(&dir, "traj.", ".safetensors").iter().map(|path| read(&dir, path)).collect();
    assert!(!found.is_empty(), "no recorded runs in {}", dir.display());
    found
}

fn read(dir: &Path, path: &Path) -> Recorded {
    let title = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let name = title.split('.').nth(1).unwrap().to_owned();
    let json = dir.join(format!("{name}.json"));
    let file = TensorFile::read(path).unwrap();
    let golden = TensorFile { tensors: Default::default(), metadata: Default::default() };
    Recorded { file, checkpoint: Checkpoint { name, json, golden }, title }
}

impl Recorded {
    fn setting(&self, name: &str) -> &str {
        &self.file.metadata[name]
    }

    fn number(&self, name: &str) -> f64 {
        self.setting(name).parse().unwrap()
    }

    fn planner(&self) -> Box<dyn Planner> {
        let (snr, scale_eps, eps) =
            (self.number("snr").into(), self.number("scale_eps").into(), self.number("eps"));
        let norm = NormScope::BatchMean;
        match self.setting("predictor") {
            "S4" => Box::new(S4 { snr, scale_eps, norm, eps }),
            predictor => Box::new(PredictorCorrector {
                predictor: if predictor == "Reverse" { Predictor::Reverse } else { Predictor::Euler },
                corrector: match self.setting("corrector") {
                    "Langevin" => Corrector::Langevin,
                    _ => Corrector::None,
                },
                snr,
                scale_eps,
                n_steps: self.number("n_steps") as usize,
                norm,
                eps,
                ..PredictorCorrector::default()
            }),
        }
    }

    /// Runs the recording in one precision; the largest difference over all recorded states and the result.
    fn replay(&self, engine: Option<EngineKind>) -> f64 {
        let device = Device::flex();
        let (dtype, result) = if engine.is_some() { (DType::F32, "out32") } else { (DType::F64, "out64") };
        // The recordings use the raw weights, not the averages.
        let model = self.checkpoint.model_with("");
        let paths = model.config().paths.clone();
        let networks = &model.config().networks;
        let scores: std::sync::Arc<dyn equidrift_gdss::ScoreEngine> = match engine {
            Some(kind) => model.engine(kind, equidrift_backend::device::DeviceKind::Cpu).unwrap(),
            None => std::sync::Arc::new(
                BurnEngine::with_precision(networks, model.parameters(), &device, dtype).unwrap(),
            ),
        };
        let denoiser = GdssDenoiser::new(scores, networks.features(), &paths);
        let flags = &self.file.tensors["flags"];
        let mask: Vec<Vec<bool>> = flags
            .to_f64()
            .chunks_exact(flags.shape[1])
            .map(|row| row.iter().map(|f| *f > 0.5).collect())
            .collect();
        let supports =
            vec![Support::nodes(mask.clone(), networks.features()), Support::symmetric_pairs(mask.clone())];
        let paths = [paths.x, paths.adj];
        assert!(
            paths.iter().all(|path| path.build().prior_std() == 1.0),
            "the recordings start from unit noise"
        );
        let steps = self.number("steps") as usize;
        let plan = self.planner().plan(&paths, steps).unwrap();
        let ids: Vec<u64> = (0..mask.len() as u64).collect();
        let noise = Replay(&self.file);
        let state = State::prior(&NAMES, &paths, supports, &ids, &noise, &device, dtype).unwrap();
        let current = [0, 1].map(|c| state.components[c].to_host().unwrap());
        let s4 = self.setting("predictor") == "S4";
        let corrected = s4 || self.setting("corrector") == "Langevin";
        let combination = (usize::MAX, 0);
        let mut compare =
            Compare { file: &self.file, s4, corrected, steps, combination, current, worst: 0.0, compared: 0 };
        let outcome =
            Executor::new(&denoiser, &noise).with_observer(&mut compare).run(&plan, state, &ids).unwrap();
        assert!(outcome.failures.is_empty());
        // Two components at every stage of every step; only the last noised state does not exist.
        let stages = if s4 { 4 } else { 3 };
        assert_eq!(compare.compared, 2 * (stages * steps - 1));
        let mut worst = compare.worst;
        for (component, name) in outcome.state.components.iter().zip(NAMES) {
            let expected = self.file.tensors[&format!("{result}.{name}")].to_f64();
            for (found, expected) in component.to_host().unwrap().iter().zip(&expected) {
                let error = (found - expected).abs();
                worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
            }
        }
        worst
    }

    /// What single precision can hold: the recorded programme itself loses digits where the variance is preserved.
    fn single_tolerance(&self) -> f64 {
        let paths = self.checkpoint.model().config().paths.clone();
        let exploding = |path: &PathConfig| matches!(path, PathConfig::VarianceExploding { .. });
        if exploding(&paths.x) && exploding(&paths.adj) { 5e-5 } else { 5e-3 }
    }
}

#[test]
fn double_precision_reproduces_every_recorded_state() {
    for run in recorded() {
        let worst = run.replay(None);
        println!("{}: {worst:.2e} in f64", run.title);
        assert!(worst <= 1e-8, "{}: {worst:.2e}", run.title);
    }
}

#[test]
fn single_precision_reproduces_every_recorded_state() {
    for run in recorded() {
        let tolerance = run.single_tolerance();
        for kind in [EngineKind::Fused, EngineKind::Burn] {
            let worst = run.replay(Some(kind));
            println!("{}: {worst:.2e} in f32, {kind}", run.title);
            assert!(worst <= tolerance, "{} {kind}: {worst:.2e}", run.title);
        }
    }
}
