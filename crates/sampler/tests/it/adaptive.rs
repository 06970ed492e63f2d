//! Adaptive methods: the error follows the tolerance, samples and costs do not depend on the batch.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use equidrift_laws::figures::{Accept, Figure};
use equidrift_laws::gaussian::{GaussianData, GaussianDenoiser};
use equidrift_laws::mixture::{Mixture, MixtureDenoiser};
use equidrift_sampler::plan::{
    AdaptiveConfig, AdaptivePlanner, DormandPrince, DpmSolverAdaptive, IntegratedPrediction, PlanSource,
    PlanStep,
};
use equidrift_sampler::{
    Component, Counted, DType, Denoiser, Device, Executor, KeyedNoise, Op, Outcome, PathConfig,
    PredictionKind, SamplerError, State, Support,
};
use nalgebra::{DMatrix, DVector};

const VP: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
const END: f64 = 1e-3;

fn state(values: &[&[f64]]) -> State {
    let components = values.iter().enumerate().map(|(index, values)| {
        let support = Support::vector(values.len(), 1);
        Component::from_host(format!("c{index}"), values.to_vec(), support, &Device::flex(), DType::F64)
            .unwrap()
    });
    State::new(components.collect()).unwrap()
}

fn run(
    denoiser: &dyn Denoiser,
    registers: usize,
    mut sources: Vec<Box<dyn PlanSource>>,
    state: State,
) -> Result<Outcome, SamplerError> {
    let ids: Vec<u64> = (0..state.batch() as u64).collect();
    Executor::new(denoiser, &KeyedNoise::new(0)).run_sources(&mut sources, registers, state, &ids)
}

fn sample(
    planner: &dyn AdaptivePlanner,
    denoiser: &dyn Denoiser,
    paths: &[PathConfig],
    state: State,
) -> Result<Outcome, SamplerError> {
    let sources = planner.sources(paths, state.batch())?;
    run(denoiser, planner.registers(), sources, state)
}

fn dpm(order: u8, prediction: IntegratedPrediction, tolerance: f64) -> DpmSolverAdaptive {
    DpmSolverAdaptive {
        order,
        prediction,
        atol: tolerance,
        rtol: tolerance,
        t_end: END,
        ..Default::default()
    }
}

fn rms(found: &[f64], exact: &[f64]) -> f64 {
    let sum: f64 = found.iter().zip(exact).map(|(a, b)| (a - b) * (a - b)).sum();
    (sum / exact.len() as f64).sqrt()
}

/// The exact flow of L1, N(0.7, 0.4²), from 1 to the end.
fn gaussian_flow(starts: &[f64]) -> Vec<f64> {
    let path = VP.build();
    let (from, to) = (path.marginal(1.0), path.marginal(END));
    let variance = |alpha: f64, sigma: f64| alpha * alpha * 0.16 + sigma * sigma;
    let ratio = (variance(to.alpha, to.sigma) / variance(from.alpha, from.sigma)).sqrt();
    starts.iter().map(|x| 0.7 * to.alpha + (x - 0.7 * from.alpha) * ratio).collect()
}

/// RMS error and mean number of evaluations.
fn judge(
    planner: &dyn AdaptivePlanner,
    denoiser: &dyn Denoiser,
    starts: &[f64],
    exact: &[f64],
) -> (f64, f64) {
    let outcome = sample(planner, denoiser, &[VP], state(&[starts])).unwrap();
    let evaluations = outcome.row_evaluations.iter().sum::<usize>() as f64 / starts.len() as f64;
    (rms(&outcome.state.components[0].to_host().unwrap(), exact), evaluations)
}

type Method = (&'static str, fn(f64) -> Box<dyn AdaptivePlanner>, [f64; 2]);

/// Methods with two tolerances each, a factor of 100 apart.
const METHODS: [Method; 5] = [
    ("DPM-Solver-12", |tolerance| Box::new(dpm(2, IntegratedPrediction::Noise, tolerance)), [1e-2, 1e-4]),
    ("DPM-Solver-23", |tolerance| Box::new(dpm(3, IntegratedPrediction::Noise, tolerance)), [1e-3, 1e-5]),
    ("DPM-Solver++-12", |tolerance| Box::new(dpm(2, IntegratedPrediction::Data, tolerance)), [1e-2, 1e-4]),
    ("DPM-Solver++-23", |tolerance| Box::new(dpm(3, IntegratedPrediction::Data, tolerance)), [1e-3, 1e-5]),
    (
        "Dormand-Prince",
        |tolerance| Box::new(DormandPrince { t_end: END, ..DormandPrince::with_tolerance(tolerance) }),
        [1e-4, 1e-6],
    ),
];

pub(crate) fn figures() -> &'static [Figure] {
    static FIGURES: OnceLock<Vec<Figure>> = OnceLock::new();
    FIGURES.get_or_init(|| {
        let starts = Mixture::starts(64);
        let mixture = MixtureDenoiser::new(Mixture::two_modes(), VP, PredictionKind::Score);
        let gaussian = GaussianDenoiser::new(GaussianData::single(0.7, 0.4), vec![VP], PredictionKind::Score);
        let flow = Mixture::two_modes().flow(&VP, &starts, END, 4000);
        let mut figures = Vec::new();
        for (problem, denoiser, exact) in
            [("L2", &mixture as &dyn Denoiser, flow), ("L1", &gaussian, gaussian_flow(&starts))]
        {
            for (name, make, tolerances) in METHODS {
                let [coarse, fine] = tolerances.map(|tolerance| {
                    let (error, evaluations) = judge(&*make(tolerance), denoiser, &starts, &exact);
                    let what = format!(
                        "{problem}, {name}, tolerance {tolerance:e}, {evaluations:.1} evaluations: error/tolerance"
                    );
                    figures.push(Figure::new("C18", what, 20.0, Accept::AtMost, error / tolerance));
                    error
                });
                let what = format!("{problem}, {name}: decades of error per decade of tolerance");
                let slope = (coarse / fine).log10() / 2.0;
                figures.push(Figure::new("C18", what, 1.0, Accept::Between(0.6, 2.0), slope));
            }
        }
        let published = DpmSolverAdaptive { t_end: END, ..Default::default() };
        let (error, evaluations) = judge(&published, &gaussian, &starts, &gaussian_flow(&starts));
        let what = format!("L1, DPM-Solver-23 with the published tolerances, {evaluations:.1} evaluations: error");
        figures.push(Figure::new("C18", what, 0.1, Accept::AtMost, error));
        figures
    })
}

#[test]
fn the_error_follows_the_tolerance() {
    for figure in figures() {
        println!("{figure}");
    }
    for figure in figures() {
        figure.check();
    }
}

/// Two components on different paths; rows accept and reject at different times and leave at different times.
#[test]
fn a_sample_does_not_depend_on_its_batch() {
    let data = GaussianData {
        mean: DVector::from_vec(vec![0.5, -0.2]),
        covariance: DMatrix::from_row_slice(2, 2, &[0.5, 0.3, 0.3, 0.4]),
    };
    let paths = [VP, PathConfig::VarianceExploding { beta_min: 0.01, beta_max: 10.0 }];
    let denoiser = Counted::new(GaussianDenoiser::new(data, paths.to_vec(), PredictionKind::X0));
    let (x, y) = ([0.1, -2.0, 1.4, 0.0, 3.0], [5.0, -11.0, 0.2, 0.0, 30.0]);
    for config in AdaptiveConfig::all() {
        let before = denoiser.samples();
        let planner = config.planner();
        let together = sample(planner, &denoiser, &paths, state(&[&x, &y])).unwrap();
        let spent = together.row_evaluations.iter().sum::<usize>();
        assert_eq!(
            spent,
            denoiser.samples() - before,
            "every evaluation is counted, those of rejected steps too"
        );
        let distinct: std::collections::BTreeSet<_> = together.row_evaluations.iter().collect();
        assert!(
            distinct.len() > 1,
            "{}: the rows should need different numbers of steps",
            config.info().name
        );
        let ends = together.state.to_host().unwrap();
        for row in 0..x.len() {
            let alone = sample(planner, &denoiser, &paths, state(&[&x[row..=row], &y[row..=row]])).unwrap();
            let end = alone.state.to_host().unwrap();
            assert_eq!(
                (end[0][0], end[1][0]),
                (ends[0][row], ends[1][row]),
                "{} row {row}",
                config.info().name
            );
            assert_eq!(alone.row_evaluations[0], together.row_evaluations[row]);
        }
        println!("{}: evaluations {:?}", config.info().name, together.row_evaluations);
    }
}

/// Hands on what another source gives, and counts: evaluations asked for, and errors above 1.
struct Listening {
    inner: Box<dyn PlanSource>,
    heard: Arc<[AtomicUsize; 2]>,
}

impl PlanSource for Listening {
    fn next(&mut self, error: Option<f64>) -> Result<Option<PlanStep>, SamplerError> {
        let step = self.inner.next(error)?;
        let evaluations = step.iter().flat_map(|step| &step.ops).filter(|op| matches!(op, Op::Eval { .. }));
        self.heard[0].fetch_add(evaluations.count(), Ordering::Relaxed);
        self.heard[1].fetch_add(usize::from(error.is_some_and(|error| error > 1.0)), Ordering::Relaxed);
        Ok(step)
    }
}

/// A first step that is too large is rejected and paid for, and does not change the result beyond the tolerance.
#[test]
fn rejected_steps_are_paid_for() {
    let starts = Mixture::starts(8);
    let denoiser = MixtureDenoiser::new(Mixture::two_modes(), VP, PredictionKind::Score);
    let exact = Mixture::two_modes().flow(&VP, &starts, END, 4000);
    let hasty = DormandPrince { t_end: END, first_step: 1.0, ..DormandPrince::with_tolerance(1e-6) };
    let hastier = DpmSolverAdaptive { first_step: 5.0, ..dpm(3, IntegratedPrediction::Noise, 1e-5) };
    for planner in [&hasty as &dyn AdaptivePlanner, &hastier] {
        let heard: Arc<[AtomicUsize; 2]> = Arc::default();
        let listen = |inner| Box::new(Listening { inner, heard: heard.clone() }) as Box<dyn PlanSource>;
        let sources = planner.sources(&[VP], 8).unwrap().into_iter().map(listen).collect();
        let outcome = run(&denoiser, planner.registers(), sources, state(&[&starts])).unwrap();
        let [asked, rejected] = [0, 1].map(|which| heard[which].load(Ordering::Relaxed));
        println!("{}: {asked} evaluations, {rejected} rejections", planner.info().name);
        assert!(rejected >= 8, "every sample should reject its first step");
        assert_eq!(outcome.row_evaluations.iter().sum::<usize>(), asked);
        assert!(rms(&outcome.state.components[0].to_host().unwrap(), &exact) < 1e-4);
    }
}

#[test]
fn dormand_prince_runs_both_ways() {
    let starts = Mixture::starts(16);
    let denoiser = MixtureDenoiser::new(Mixture::two_modes(), VP, PredictionKind::Velocity);
    let ode = DormandPrince::with_tolerance(1e-9);
    let leg = |from: f64, to: f64, values: &[f64]| {
        let sources = values.iter().map(|_| ode.source_between(&[VP], from, to).unwrap()).collect();
        let outcome = run(&denoiser, ode.registers(), sources, state(&[values])).unwrap();
        outcome.state.components[0].to_host().unwrap()
    };
    let data = leg(1.0, END, &starts);
    let back = leg(END, 1.0, &data);
    let worst = back.iter().zip(&starts).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("{worst:e}");
    assert!(worst < 1e-6, "{worst:e}");
}

#[test]
fn adaptive_samplers_are_data() {
    for config in AdaptiveConfig::all() {
        let info = config.info();
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<AdaptiveConfig>(&text).unwrap(), config);
        assert_eq!(AdaptiveConfig::by_name(info.name).unwrap(), config);
        let short = format!(r#"{{"name": "{}", "rtol": 1e-3}}"#, info.name);
        assert_ne!(serde_json::from_str::<AdaptiveConfig>(&short).unwrap(), config);
        assert!(serde_json::from_str::<AdaptiveConfig>(&short.replace("rtol", "rtoll")).is_err());
        for text in [info.description, info.formula, info.order, info.cost, info.citation] {
            assert!(!text.is_empty());
        }
    }
    assert!(matches!(AdaptiveConfig::by_name("euler"), Err(SamplerError::UnknownSampler { .. })));
}

#[test]
fn what_cannot_be_done_is_a_typed_error() {
    let denoiser = MixtureDenoiser::new(Mixture::two_modes(), VP, PredictionKind::Score);
    let starts = Mixture::starts(4);
    let limited = DormandPrince { max_attempts: 5, ..DormandPrince::with_tolerance(1e-9) };
    let error = sample(&limited, &denoiser, &[VP], state(&[&starts])).unwrap_err();
    assert!(matches!(error, SamplerError::StepSize { attempts: 5, .. }), "{error}");
    let limited = DpmSolverAdaptive { max_attempts: 2, ..dpm(2, IntegratedPrediction::Noise, 1e-6) };
    let error = sample(&limited, &denoiser, &[VP], state(&[&starts])).unwrap_err();
    assert!(matches!(error, SamplerError::StepSize { attempts: 2, .. }), "{error}");
    for (config, option) in [
        (r#"{"name": "dpm-solver-adaptive", "order": 4}"#, "order"),
        (r#"{"name": "dpm-solver-adaptive", "safety": 1.5}"#, "safety"),
        (r#"{"name": "dpm-solver-adaptive", "t_end": 0.0}"#, "t_end"),
        (r#"{"name": "dormand-prince", "rtol": 0.0}"#, "rtol"),
        (r#"{"name": "dormand-prince", "t_end": 0.0}"#, "to"),
        (r#"{"name": "dormand-prince", "max_attempts": 0}"#, "max_attempts"),
    ] {
        let config: AdaptiveConfig = serde_json::from_str(config).unwrap();
        let Err(SamplerError::Option { option: found, .. }) = config.planner().source(&[VP]) else {
            panic!("{config:?} should be refused");
        };
        assert_eq!(found, option);
        assert!(matches!(config.planner().source(&[]), Err(SamplerError::NoPaths { .. })));
    }
}
