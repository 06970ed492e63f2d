//! The executor: independence of samples, failures, cancellation, precision.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use burn::tensor::{DType, Device, Tensor, TensorData};
use equidrift_sampler::plan::{NormScope, PredictorCorrector, S4, STATE, Term};
use equidrift_sampler::support::{Layout, Support};
use equidrift_sampler::{
    Component, Counted, DenoiseError, Denoiser, Executor, KeyedNoise, NoiseSource, Observer, Op,
    OperationEvent, Outcome, PathConfig, Plan, Planner, PredictionKind, Progress, SamplerConfig,
    SamplerError, State, Stream,
};

const VE: PathConfig = PathConfig::VarianceExploding { beta_min: 0.1, beta_max: 1.0 };
const VP: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 1.0 };

/// A small non-linear "network" on graphs, row by row on the host: node i's answer mixes its features with those of its
/// neighbours, the pair's answer its own value and the two nodes. Optionally spoils one sample from one call on.
#[derive(Default)]
struct ToyGraphNet {
    calls: AtomicUsize,
    /// (first feature that marks the victim row by its bits, call).
    poison: Option<(usize, usize, f64)>,
    zero_scores: Option<usize>,
    garbage_outside: bool,
}

const KINDS: [PredictionKind; 2] = [PredictionKind::Noise, PredictionKind::Score];

impl Denoiser for ToyGraphNet {
    fn kinds(&self) -> &[PredictionKind] {
        &KINDS
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let [x, adj] = &state.components[..] else { panic!("two components") };
        let Layout::Nodes { nodes, features } = x.support.layout() else { panic!("node features") };
        let (xs, adjs) = (x.to_host().unwrap(), adj.to_host().unwrap());
        let (mut out_x, mut out_adj) = (vec![0.0; xs.len()], vec![0.0; adjs.len()]);
        for (row, &time) in times.iter().enumerate() {
            let xr = &xs[row * nodes * features..][..nodes * features];
            let ar = &adjs[row * nodes * nodes..][..nodes * nodes];
            let mask = x.support.mask(row);
            for i in 0..nodes {
                for f in 0..features {
                    let message: f64 = (0..nodes).map(|j| ar[i * nodes + j] * xr[j * features + f]).sum();
                    out_x[(row * nodes + i) * features + f] =
                        (0.3 * xr[i * features + f] + message + time).tanh();
                }
                for j in 0..nodes {
                    let pair: f64 = (0..features).map(|f| xr[i * features + f] * xr[j * features + f]).sum();
                    out_adj[(row * nodes + i) * nodes + j] = -ar[i * nodes + j] + 0.1 * pair.sin();
                    if !(mask[i] && mask[j]) && self.garbage_outside {
                        out_adj[(row * nodes + i) * nodes + j] = f64::NAN;
                    }
                }
                if !mask[i] && self.garbage_outside {
                    out_x[(row * nodes + i) * features] = f64::INFINITY;
                }
            }
            if self.zero_scores == Some(row) {
                out_x[row * nodes * features..][..nodes * features].fill(0.0);
                out_adj[row * nodes * nodes..][..nodes * nodes].fill(0.0);
            }
            if let Some((victim, when, value)) = self.poison
                && victim == row
                && call == when
            {
                out_adj[row * nodes * nodes + 1] = value;
            }
        }
        let tensor = |values: Vec<f64>, like: &Component| {
            let data = TensorData::new(values, like.values.dims());
            Tensor::from_data(data, (&like.values.device(), like.values.dtype()))
        };
        Ok(vec![tensor(out_x, x), tensor(out_adj, adj)])
    }
}

fn supports(sizes: &[usize], nodes: usize) -> Vec<Support> {
    let mask: Vec<Vec<bool>> = sizes.iter().map(|&size| (0..nodes).map(|i| i < size).collect()).collect();
    vec![Support::nodes(mask.clone(), 3), Support::symmetric_pairs(mask)]
}

fn run(net: &dyn Denoiser, plan: &Plan, supports: Vec<Support>, ids: &[u64], dtype: DType) -> Outcome {
    let noise = KeyedNoise::new(9);
    let state =
        State::prior(&["x", "adj"], &[VP, VE], supports, ids, &noise, &Device::flex(), dtype).unwrap();
    Executor::new(net, &noise).run(plan, state, ids).unwrap()
}

fn bits(outcome: &Outcome, row: usize) -> Vec<u64> {
    let rows = outcome.state.components.iter().flat_map(|component| {
        let width = component.support.width();
        component.to_host().unwrap()[row * width..(row + 1) * width].to_vec()
    });
    rows.map(f64::to_bits).collect()
}

/// The real entries of a row, without padding.
fn real_bits(outcome: &Outcome, row: usize) -> Vec<u64> {
    let mut out = Vec::new();
    for component in &outcome.state.components {
        let values = component.to_host().unwrap();
        let start = row * component.support.width();
        component.support.for_each_coordinate(row, |index, _| out.push(values[start + index].to_bits()));
    }
    out
}

#[test]
fn a_sample_is_the_same_in_every_batch() {
    let sizes = [5, 3, 7, 6, 2, 7, 4];
    let ids = [3u64, 1 << 33, 8, 0, 77, 12, 5];
    for config in SamplerConfig::all() {
        let plan = config.plan(&[VP, VE], 12).unwrap();
        for dtype in [DType::F32, DType::F64] {
            let together = run(&ToyGraphNet::default(), &plan, supports(&sizes, 7), &ids, dtype);
            assert_eq!(together.evaluations, plan.evaluations());
            assert!(together.failures.is_empty() && !together.cancelled);
            for row in 0..ids.len() {
                // Alone, and without padding.
                let size = sizes[row];
                let alone =
                    run(&ToyGraphNet::default(), &plan, supports(&[size], size), &ids[row..=row], dtype);
                assert_eq!(
                    real_bits(&together, row),
                    real_bits(&alone, 0),
                    "{} {row} {dtype:?}",
                    config.name()
                );
            }
            // Another order and other companions.
            let order = [4usize, 0, 6, 2];
            let some = run(
                &ToyGraphNet::default(),
                &plan,
                supports(&order.map(|i| sizes[i]), 9),
                &order.map(|i| ids[i]),
                dtype,
            );
            for (place, &row) in order.iter().enumerate() {
                assert_eq!(real_bits(&together, row), real_bits(&some, place), "{}", config.name());
            }
        }
    }
}

/// Symmetric, zero diagonal, zero padding at the end and at every operation, whatever the network writes there.
#[test]
fn states_stay_on_their_support() {
    struct Watch;
    impl Observer for Watch {
        fn wants_operations(&self) -> bool {
            true
        }
        fn operation(&mut self, event: &OperationEvent<'_>) {
            let Some(adj) = &event.values[1] else { return };
            let values = adj.clone().into_data().try_into_vec_as::<f64>().unwrap();
            for row in 0..2 {
                for i in 0..6 {
                    for j in 0..6 {
                        let value = values[row * 36 + i * 6 + j];
                        assert_eq!(value, values[row * 36 + j * 6 + i]);
                        assert!(i != j || value == 0.0);
                        assert!(row == 1 || (i < 4 && j < 4) || value == 0.0);
                    }
                }
            }
        }
    }
    for config in SamplerConfig::all() {
        let plan = config.plan(&[VP, VE], 6).unwrap();
        let noise = KeyedNoise::new(1);
        let net = ToyGraphNet { garbage_outside: true, ..Default::default() };
        let support = supports(&[4, 6], 6);
        let state =
            State::prior(&["x", "adj"], &[VP, VE], support, &[0, 1], &noise, &Device::flex(), DType::F32)
                .unwrap();
        let mut watch = Watch;
        let outcome =
            Executor::new(&net, &noise).with_observer(&mut watch).run(&plan, state, &[0, 1]).unwrap();
        assert!(outcome.failures.is_empty());
        let clean = run(&ToyGraphNet::default(), &plan, supports(&[4, 6], 6), &[0, 1], DType::F32);
        let other = run(&net, &plan, supports(&[4, 6], 6), &[0, 1], DType::F32);
        for row in 0..2 {
            assert_eq!(bits(&clean, row), bits(&other, row), "{}", config.name());
        }
    }
}

#[test]
fn a_diverging_sample_leaves_the_others_alone() {
    let sizes = [5, 6, 6, 3];
    let ids = [10, 11, 12, 13];
    for config in SamplerConfig::all() {
        let plan = config.plan(&[VP, VE], 8).unwrap();
        let clean = run(&ToyGraphNet::default(), &plan, supports(&sizes, 6), &ids, DType::F32);
        for value in [f64::NAN, f64::INFINITY, 1e300] {
            let net = ToyGraphNet { poison: Some((2, 5, value)), ..Default::default() };
            let outcome = run(&net, &plan, supports(&sizes, 6), &ids, DType::F32);
            assert_eq!(outcome.failures.len(), 1, "{}", config.name());
            let failure = outcome.failures[0];
            assert_eq!((failure.id, failure.row), (12, 2));
            // The sixth evaluation belongs to this step.
            let mut seen = 0;
            let step = plan.steps.iter().position(|step| {
                seen += step.ops.iter().filter(|op| matches!(op, Op::Eval { .. })).count();
                seen > 5
            });
            assert_eq!(Some(failure.step), step, "{}", config.name());
            assert!(bits(&outcome, 2).iter().all(|&b| b == 0), "a failed row is zero");
            for row in [0, 1, 3] {
                assert_eq!(bits(&outcome, row), bits(&clean, row), "{} row {row}", config.name());
            }
        }
    }
}

/// With the opt-in batch norm a failed row no longer counts in the mean.
#[test]
fn batch_norms_ignore_failed_rows() {
    let planner = S4 { norm: NormScope::BatchMean, ..Default::default() };
    let plan = planner.plan(&[VP, VE], 6).unwrap();
    let net = ToyGraphNet { poison: Some((1, 0, f64::NAN)), ..Default::default() };
    let outcome = run(&net, &plan, supports(&[6, 6, 6], 6), &[1, 2, 3], DType::F64);
    let without = run(&ToyGraphNet::default(), &plan, supports(&[6, 6], 6), &[1, 3], DType::F64);
    assert_eq!(bits(&outcome, 0), bits(&without, 0));
    assert_eq!(bits(&outcome, 2), bits(&without, 1));
    // And the batch norm does couple samples, which is why it is not the default.
    let alone = run(&ToyGraphNet::default(), &plan, supports(&[6], 6), &[1], DType::F64);
    assert_ne!(bits(&alone, 0), bits(&without, 0));
}

/// A score of zero has no direction: the corrector leaves the sample where it is.
#[test]
fn a_zero_score_takes_no_step() {
    for norm in [NormScope::PerSample, NormScope::BatchMean] {
        let plan = S4 { norm, ..Default::default() }.plan(&[VP, VE], 5).unwrap();
        let net = ToyGraphNet { zero_scores: Some(0), ..Default::default() };
        let outcome = run(&net, &plan, supports(&[4, 4], 4), &[0, 1], DType::F32);
        assert!(outcome.failures.is_empty());
        let alone = run(&net, &plan, supports(&[4], 4), &[0], DType::F32);
        assert!(alone.failures.is_empty());
        assert!(alone.state.components[0].to_host().unwrap().iter().all(|value| value.is_finite()));
    }
}

#[test]
fn cancellation_stops_before_the_next_evaluation() {
    struct CancelAfter<'f>(usize, &'f AtomicBool);
    impl Observer for CancelAfter<'_> {
        fn step(&mut self, progress: &Progress) {
            assert_eq!(progress.steps, 20);
            assert_eq!(progress.evaluations, 2 * progress.step);
            if progress.step == self.0 {
                self.1.store(true, Ordering::Relaxed);
            }
        }
    }
    let flag = AtomicBool::new(false);
    let noise = KeyedNoise::new(2);
    let plan = PredictorCorrector::default().plan(&[VP, VE], 20).unwrap();
    let state =
        State::prior(&["x", "adj"], &[VP, VE], supports(&[3], 3), &[0], &noise, &Device::flex(), DType::F32)
            .unwrap();
    let net = Counted::new(ToyGraphNet::default());
    let mut observer = CancelAfter(7, &flag);
    let outcome = Executor::new(&net, &noise)
        .with_observer(&mut observer)
        .with_cancel(&flag)
        .run(&plan, state, &[0])
        .unwrap();
    assert!(outcome.cancelled);
    assert_eq!((outcome.evaluations, net.calls(), net.samples()), (14, 14, 14));
}

/// Coefficients reach an f64 state as f64, and an f32 state is not widened.
#[test]
fn precision_is_the_states() {
    let coefficient = 1.0 / 3.0 + 1e-13;
    let combine = Op::Combine {
        out: STATE,
        terms: vec![Term { register: STATE, coefficients: vec![coefficient] }],
        constant: None,
        noise: None,
    };
    let step = equidrift_sampler::plan::PlanStep { time: 1.0, ops: vec![combine] };
    let plan = Plan {
        planner: "test".to_owned(),
        components: 1,
        registers: 1,
        given: Vec::new(),
        steps: vec![step],
    };
    struct Silent;
    impl Denoiser for Silent {
        fn kinds(&self) -> &[PredictionKind] {
            &[PredictionKind::Score]
        }
        fn predict(&self, _: &State, _: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
            unreachable!("the plan evaluates nothing")
        }
    }
    for (dtype, expected) in
        [(DType::F64, 3.0 * coefficient), (DType::F32, f64::from(3.0f32 * coefficient as f32))]
    {
        let component =
            Component::from_host("x", vec![3.0], Support::vector(1, 1), &Device::flex(), dtype).unwrap();
        let state = State::new(vec![component]).unwrap();
        let outcome = Executor::new(&Silent, &KeyedNoise::new(0)).run(&plan, state, &[0]).unwrap();
        assert_eq!(outcome.state.components[0].values.dtype(), dtype);
        assert_eq!(outcome.state.components[0].to_host().unwrap(), [expected]);
    }
}

/// One Langevin step done by hand.
#[test]
fn langevin_step_by_hand() {
    let (snr, scale) = (0.3, 0.6);
    let plan = PredictorCorrector { snr: snr.into(), scale_eps: scale.into(), ..Default::default() }
        .plan(&[VP, VE], 4)
        .unwrap();
    struct First(Vec<(Vec<f64>, Vec<f64>)>);
    impl Observer for First {
        fn wants_operations(&self) -> bool {
            true
        }
        fn operation(&mut self, event: &OperationEvent<'_>) {
            if let (0, Op::Langevin { component, .. }) = (event.step, event.op) {
                let host =
                    |t: &Option<Tensor<2>>| t.clone().unwrap().into_data().try_into_vec_as::<f64>().unwrap();
                self.0.push((host(&event.values[*component]), host(&event.means[*component])));
            }
        }
    }
    let noise = KeyedNoise::new(21);
    let support = supports(&[4, 5], 5);
    let device = Device::flex();
    let state = State::prior(&["x", "adj"], &[VP, VE], support.clone(), &[4, 6], &noise, &device, DType::F64)
        .unwrap();
    let net = ToyGraphNet::default();
    let raw = net.predict(&state, &[1.0, 1.0]).unwrap();
    let mut first = First(Vec::new());
    let start = state.clone();
    Executor::new(&net, &noise).with_observer(&mut first).run(&plan, state, &[4, 6]).unwrap();
    assert_eq!(first.0.len(), 2, "both components are corrected");
    for (component, (value, mean)) in first.0.iter().enumerate() {
        let path = [VP, VE][component].build();
        let support = &support[component];
        let width = support.width();
        let mut score = raw[component].clone().into_data().try_into_vec_as::<f64>().unwrap();
        if component == 0 {
            score.iter_mut().for_each(|s| *s /= -path.sigma(1.0));
        }
        let z = noise.normals(Stream::Corrector, 0, component, support, &[4, 6]);
        let v = start.components[component].to_host().unwrap();
        for row in 0..2 {
            let part = |values: &[f64]| values[row * width..(row + 1) * width].to_vec();
            let (mut s, z, v) = (part(&score), part(&z), part(&v));
            support.project_row(row, &mut s);
            // Full-matrix Frobenius norms, as published; the ratio is that of free coordinates.
            let norm = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>().sqrt();
            let alpha = path.langevin_alpha(1.0, 4);
            let step = 2.0 * alpha * (snr * norm(&z) / norm(&s)).powi(2);
            for i in 0..width {
                let expected_mean = v[i] + step * s[i];
                let expected = expected_mean + (2.0 * step).sqrt() * z[i] * scale;
                assert!((mean[row * width + i] - expected_mean).abs() < 1e-13);
                assert!((value[row * width + i] - expected).abs() < 1e-13);
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let noise = KeyedNoise::new(0);
    let net = ToyGraphNet::default();
    let device = Device::flex();
    let prior = |ids: &[u64]| {
        State::prior(&["x", "adj"], &[VP, VE], supports(&[3, 3], 3), ids, &noise, &device, DType::F32)
    };
    assert!(matches!(prior(&[1]), Err(SamplerError::Count { what: "sample ids", .. })));
    let state = || prior(&[1, 2]).unwrap();
    let plan = S4::default().plan(&[VP, VE], 3).unwrap();
    let mut executor = Executor::new(&net, &noise);
    assert!(matches!(executor.run(&plan, state(), &[1]), Err(SamplerError::Count { .. })));
    assert!(matches!(executor.run(&plan, state(), &[1, 1 << 48]), Err(SamplerError::SampleId { .. })));
    let narrow = S4::default().plan(&[VP], 3).unwrap();
    assert!(matches!(executor.run(&narrow, state(), &[1, 2]), Err(SamplerError::Count { .. })));
    let mut wrong = state();
    wrong.components[1].values = Tensor::zeros([2, 5], &device);
    assert!(matches!(executor.run(&plan, wrong, &[1, 2]), Err(SamplerError::Shape { .. })));
    struct Broken;
    impl Denoiser for Broken {
        fn kinds(&self) -> &[PredictionKind] {
            &KINDS
        }
        fn predict(&self, state: &State, _: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
            if state.batch() == 2 {
                return Ok(vec![state.components[0].values.clone()]);
            }
            Err(DenoiseError::Engine("out of memory".into()))
        }
    }
    let mut executor = Executor::new(&Broken, &noise);
    assert!(matches!(executor.run(&plan, state(), &[1, 2]), Err(SamplerError::Count { .. })));
    let one =
        State::prior(&["x", "adj"], &[VP, VE], supports(&[3], 3), &[1], &noise, &device, DType::F32).unwrap();
    let error = executor.run(&plan, one, &[1]).unwrap_err();
    assert!(matches!(error, SamplerError::Denoise { step: 0, .. }), "{error}");
}
