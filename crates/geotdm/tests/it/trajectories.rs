//! Sampling runs with every random number given, through the executor of the sampler core.

use std::num::NonZeroUsize;
use std::sync::Arc;

use burn::tensor::{DType, Tensor};
use equidrift_backend::device::DeviceKind;
use equidrift_geotdm::{
    FlatBatch, GeotdmDenoiser, Prior, SystemBatch, TrajectoryDiffusion, TrajectoryRun, published_sampler,
};
use equidrift_sampler::plan::STATE;
use equidrift_sampler::{Executor, NoiseSource, Observer, OperationEvent, Plan, Stream, Support};

use crate::reference::{Case, cases, host, relative_error};

/// Recorded rows, projected as every source of noise does.
struct Recorded {
    start: Vec<f64>,
    steps: Vec<Vec<f64>>,
    /// The number of the plan's step that takes the first of `steps`.
    first: usize,
}

impl NoiseSource for Recorded {
    fn normals(&self, stream: Stream, step: u32, _: usize, support: &Support, ids: &[u64]) -> Vec<f64> {
        assert_eq!(ids, (0..ids.len() as u64).collect::<Vec<_>>());
        let mut values = match stream {
            Stream::Prior => self.start.clone(),
            Stream::Predictor => self.steps[step as usize - self.first].clone(),
            other => panic!("no recorded numbers for {other:?}"),
        };
        project(support, &mut values);
        values
    }
}

fn project(support: &Support, rows: &mut [f64]) {
    for (row, values) in rows.chunks_mut(support.width()).enumerate() {
        support.project_row(row, values);
    }
}

/// The state after every step.
#[derive(Default)]
struct States(Vec<Vec<f64>>);

impl Observer for States {
    fn wants_operations(&self) -> bool {
        true
    }
    fn operation(&mut self, event: &OperationEvent<'_>) {
        if event.register == STATE {
            let values: &Tensor<2> = event.values[0].as_ref().unwrap();
            self.0.push(host(values.clone()));
        }
    }
}

fn recorded_run(case: &Case, name: &str, dtype: DType, fused: bool) -> (f64, f64, usize) {
    let config = case.model.config();
    let flat = case.batch();
    let runs = case.runs.as_ref().unwrap();
    let numbers = |name: &str| runs.tensors[name].to_f64();
    let rows_of =
        |flat: &FlatBatch, batch: &SystemBatch, values: &[f64]| batch.rows(&flat.by_system(values)).unwrap();

    // `lin25`: all steps of the chain of 25; `part100`: the last steps of the chain of 100.
    let length: usize = name.trim_start_matches(char::is_alphabetic).parse().unwrap();
    let whole = name.starts_with("lin");
    let diffusion = TrajectoryDiffusion::linear(length).unwrap();
    let rescaled = config.diffusion.time_scale != 1.0;
    let diffusion = if rescaled { diffusion.with_rescaled_times() } else { diffusion };
    let steps = runs.tensors[&format!("step64.{name}.sample")].shape[0];
    let first = length - steps;

    let batch = SystemBatch::new(flat.systems.clone()).unwrap();
    let network = Arc::new(case.model.network(DeviceKind::Cpu, dtype).unwrap());
    let mut denoiser = GeotdmDenoiser::new(network, diffusion.clone(), batch.clone()).unwrap();
    if fused {
        denoiser = denoiser.with_fused(Arc::new(case.model.fused().unwrap()), NonZeroUsize::new(2).unwrap());
    }
    let run = TrajectoryRun::of(denoiser).unwrap();
    let frame: usize = runs.tensors["noise.init"].shape.iter().product();
    let noise = Recorded {
        start: rows_of(&flat, &batch, &numbers("noise.init")),
        steps: numbers("noise.step").chunks(frame).map(|rows| rows_of(&flat, &batch, rows)).collect(),
        first,
    };
    let ids: Vec<u64> = (0..flat.systems.len() as u64).collect();
    let mut state = run.prior(&noise, &ids).unwrap();
    let support = state.components[0].support.clone();
    let centred = config.network.prior == Prior::JointCentre;
    assert_eq!(support.is_centred(), centred);
    let projected = |values: &[f64]| {
        let mut rows = rows_of(&flat, &batch, values);
        project(&support, &mut rows);
        rows
    };
    if !whole {
        // The data at the level of the first step.
        let start = rows_of(&flat, &batch, &case.numbers("out64.x_start"));
        let level = steps - 1;
        let noised = start
            .iter()
            .zip(&noise.start)
            .map(|(z, eps)| diffusion.signal(level) * z + diffusion.noise(level) * eps);
        let mut noised: Vec<f64> = noised.collect();
        project(&support, &mut noised);
        let expected = projected(&numbers(&format!("out64.{name}.start")));
        assert!(relative_error(&noised, &expected) <= 1e-12, "{} {name}: start", case.name);
        state = state.with_values(vec![noised]).unwrap();
    }
    let plan = run.plan(&published_sampler(), length).unwrap();
    let plan = Plan { steps: plan.steps[first..].to_vec(), ..plan };
    let mut states = States::default();
    let outcome =
        Executor::new(run.denoiser(), &noise).with_observer(&mut states).run(&plan, state, &ids).unwrap();
    assert_eq!((outcome.evaluations, states.0.len(), outcome.failures.len()), (steps, steps, 0));
    let expected = numbers(&format!("step64.{name}.sample"));
    let mut worst = 0.0_f64;
    for (found, expected) in states.0.iter().zip(expected.chunks(frame)) {
        let mut found = found.clone();
        project(&support, &mut found);
        worst = worst.max(relative_error(&found, &projected(expected)));
    }
    let found = run.trajectories(&outcome.state).unwrap();
    let (_, found) = flat.flat(&found, flat.dimensions());
    (worst, relative_error(&found, &numbers(&format!("out64.{name}.final"))), steps)
}

fn compare(dtype: DType, fused: bool, allowed: f64) {
    let mut compared = 0;
    let all = cases();
    for case in all.iter().filter(|case| case.runs.is_some()) {
        let names: Vec<String> = case
            .runs
            .iter()
            .flat_map(|runs| runs.tensors.keys())
            .filter_map(|name| Some(name.strip_prefix("out64.")?.strip_suffix(".final")?.to_owned()))
            .collect();
        assert!(!names.is_empty());
        for name in names {
            let (states, last, steps) = recorded_run(case, &name, dtype, fused);
            let engine = if fused { " fused" } else { "" };
            println!(
                "{} {name} {dtype:?}{engine}: {steps} steps, states {states:.1e}, result {last:.1e}",
                case.name
            );
            assert!(states <= allowed && last <= allowed, "{} {name}", case.name);
            compared += 1;
        }
    }
    assert!(compared >= 8 || all.is_empty(), "only {compared} runs");
}

#[test]
fn double_precision() {
    compare(DType::F64, false, 1e-10);
}

#[test]
fn single_precision() {
    compare(DType::F32, false, 1e-4);
}

#[test]
fn fused_kernels() {
    compare(DType::F32, true, 1e-4);
}
