//! Drafts refined by the last part of a sampler.

use std::sync::OnceLock;

use burn::tensor::{DType, Device};
use equidrift_laws::autoregressive::{Autoregressive, SeriesDenoiser, lag_one};
use equidrift_laws::figures::{Accept, Figure};
use equidrift_sampler::drive::{WarmStart, contraction};
use equidrift_sampler::path::Truncated;
use equidrift_sampler::plan::{Ancestral, AncestralChain, DpmSolver};
use equidrift_sampler::{
    Component, Executor, KeyedNoise, PathConfig, Planner, PredictionKind, SamplerConfig, State, Support,
};
use nalgebra::{DMatrix, DVector};

const VP: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
const ROWS: usize = 4000;

fn state(values: Vec<f64>, width: usize) -> State {
    let support = Support::vector(values.len() / width, width);
    State::new(vec![Component::from_host("x", values, support, &Device::flex(), DType::F64).unwrap()])
        .unwrap()
}

fn ids(count: usize) -> Vec<u64> {
    (0..count as u64).collect()
}

/// Lag-one autocorrelation of a stationary-mean law with this covariance, as `lag_one` measures it.
fn lag_one_of(covariance: &DMatrix<f64>) -> f64 {
    let n = covariance.nrows();
    let products: f64 = (1..n).map(|i| covariance[(i - 1, i)]).sum();
    (products / (n - 1) as f64) / (covariance.trace() / n as f64)
}

/// The error of the lag-one autocorrelation of a draft with ρ = 0.7 after refinement from `t_start`, measured and by the
/// contraction formula: along the eigenvectors of the exact law the error of the covariance shrinks by c_i c_j.
fn refined(
    planner: &dyn Planner,
    steps: usize,
    t_start: f64,
    factor: &dyn Fn(f64) -> f64,
) -> (f64, f64, f64) {
    let problem = Autoregressive::slow();
    let biased = Autoregressive { correlation: 0.7, ..problem };
    let denoiser = SeriesDenoiser::new(&problem.law(), VP, PredictionKind::Score);
    let draft = biased.draws(ROWS, 11);
    let noise = KeyedNoise::new(12);
    let start = WarmStart { t_start, renoise: true };
    let mut executor = Executor::new(&denoiser, &noise);
    let outcome = start
        .run(&mut executor, planner, &[VP], steps, state(draft.clone(), problem.length), &ids(ROWS))
        .unwrap();
    let result = outcome.state.components[0].to_host().unwrap();
    let (exact, drafted) = (problem.law().covariance, biased.law().covariance);
    let basis = denoiser.basis();
    let factors = DMatrix::from_diagonal(&DVector::from_iterator(
        problem.length,
        denoiser.variances().iter().map(|variance| factor(*variance)),
    ));
    let difference = basis.transpose() * (&drafted - &exact) * basis;
    let predicted = &exact + basis * (&factors * difference * &factors) * basis.transpose();
    let target = lag_one_of(&exact);
    (
        lag_one(&draft, problem.length) - target,
        lag_one(&result, problem.length) - target,
        lag_one_of(&predicted) - target,
    )
}

pub(crate) fn figures() -> &'static [Figure] {
    static FIGURES: OnceLock<Vec<Figure>> = OnceLock::new();
    FIGURES.get_or_init(|| {
        let path = VP.build();
        let mut figures = Vec::new();
        for t_start in [0.1, 0.2, 0.3] {
            let flow = |v: f64| path.alpha(t_start) * contraction::flow(path.as_ref(), t_start, v);
            let (before, after, predicted) = refined(&DpmSolver::default(), 20, t_start, &flow);
            println!("t* = {t_start}: error {before:.4} -> {after:.4}, by the formula {predicted:.4}");
            figures.push(Figure::new(
                "C31",
                format!("lag-1 autocorrelation error left of a draft, ODE from t* = {t_start}: share of the draft's"),
                predicted / before,
                Accept::Relative(0.1),
                after / before,
            ));
        }
        let t_start = 0.2;
        let posterior = |v: f64| path.alpha(t_start) * contraction::posterior(path.as_ref(), t_start, v);
        let chain = Ancestral { chain: Some(AncestralChain::Marginals), ..Ancestral::default() };
        let (before, after, predicted) = refined(&chain, 100, t_start, &posterior);
        figures.push(Figure::new(
            "C31",
            format!("the same, 100 ancestral steps from t* = {t_start}"),
            predicted / before,
            Accept::Relative(0.1),
            after / before,
        ));
        for (what, difference) in [
            ("t* = 0: largest difference from the draft, every sampler", ends().0),
            ("t* = 1: largest difference from plain sampling, every sampler", ends().1),
        ] {
            figures.push(Figure::new("C31", what, 0.0, Accept::AtMost, difference));
        }
        figures
    })
}

#[test]
fn errors_of_a_draft_shrink_by_the_contraction_factor() {
    for figure in figures() {
        println!("{figure}");
        figure.check();
    }
}

/// The ends, for every sampler: t* = 0 is the draft, t* = 1 plain sampling, both bit for bit. Gives the largest differences.
fn ends() -> (f64, f64) {
    let problem = Autoregressive::slow();
    let denoiser = SeriesDenoiser::new(&problem.law(), VP, PredictionKind::Noise);
    let noise = KeyedNoise::new(5);
    let ids = ids(6);
    let draft = state(problem.draws(6, 1), problem.length);
    let difference = |a: &State, b: &State| {
        let (a, b) = (a.components[0].to_host().unwrap(), b.components[0].to_host().unwrap());
        a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    };
    let (mut from_draft, mut from_plain) = (0.0f64, 0.0f64);
    let mut executor = Executor::new(&denoiser, &noise);
    for config in SamplerConfig::all() {
        let planner = config.planner();
        for renoise in [true, false] {
            let none = WarmStart { t_start: 0.0, renoise };
            let outcome = none.run(&mut executor, planner, &[VP], 60, draft.clone(), &ids).unwrap();
            from_draft = from_draft.max(difference(&outcome.state, &draft));
            assert_eq!(outcome.evaluations, 0);
        }
        let whole = WarmStart { t_start: 1.0, renoise: true };
        let warm = whole.run(&mut executor, planner, &[VP], 60, draft.clone(), &ids).unwrap();
        let support = Support::vector(6, problem.length);
        let prior =
            State::prior(&["x"], &[VP], vec![support], &ids, &noise, &Device::flex(), DType::F64).unwrap();
        let plain = executor.run(&planner.plan(&[VP], 60).unwrap(), prior, &ids).unwrap();
        from_plain = from_plain.max(difference(&warm.state, &plain.state));
    }
    (from_draft, from_plain)
}

/// Every sampler can be started on the way: it starts exactly there, costs what it says, and ends near the data.
#[test]
fn every_sampler_starts_anywhere() {
    let problem = Autoregressive::slow();
    let denoiser = SeriesDenoiser::new(&problem.law(), VP, PredictionKind::Noise);
    let noise = KeyedNoise::new(6);
    let rows = 600;
    let draft = state(problem.draws(rows, 3), problem.length);
    let mut executor = Executor::new(&denoiser, &noise);
    for config in SamplerConfig::all() {
        let start = WarmStart { t_start: 0.4, renoise: true };
        let plan = start.plan(config.planner(), &[VP], 60).unwrap();
        assert_eq!(plan.steps[1].time, 0.4, "{}", config.name());
        let outcome = executor.run(&plan, draft.clone(), &ids(rows)).unwrap();
        let lag = lag_one(&outcome.state.components[0].to_host().unwrap(), problem.length);
        println!("{} {lag:.4}", config.name());
        // The draft is a draw of the law itself, so refinement must keep it one; stochastic first-order samplers of 60
        // steps and Langevin corrections are allowed their bias.
        assert!((lag - 0.9).abs() < 0.03, "{}: {lag}", config.name());
    }
    for t_start in [-0.1, 1.1, f64::NAN] {
        assert!(WarmStart { t_start, renoise: true }.plan(&DpmSolver::default(), &[VP], 5).is_err());
    }
}

/// The factor of a fine plan is that of the closed form.
#[test]
fn the_contraction_of_a_plan_is_that_of_its_equation() {
    let path = VP.build();
    for (t_start, variance) in [(0.2, 0.05), (0.5, 1.0), (0.7, 0.3)] {
        let start = WarmStart { t_start, renoise: false };
        let solver = DpmSolver { t_end: Some(1e-5), ..DpmSolver::default() };
        let plan = start.plan(&solver, &[VP], 400).unwrap();
        let expected = contraction::flow(path.as_ref(), t_start, variance);
        let left = contraction::of_plan(&plan, 0, variance).unwrap();
        assert!((left / expected - 1.0).abs() < 1e-3, "{left} {expected}");
        let chain = Ancestral { chain: Some(AncestralChain::Marginals), ..Ancestral::default() };
        let plan = WarmStart { t_start, renoise: true }.plan(&chain, &[VP], 50).unwrap();
        let expected = path.alpha(t_start) * contraction::posterior(path.as_ref(), t_start, variance);
        let left = contraction::of_plan(&plan, 0, variance).unwrap();
        // Posterior steps compose exactly, whatever their number.
        assert!((left / expected - 1.0).abs() < 1e-9, "{left} {expected}");
        assert_eq!(contraction::of_plan(&plan, 1, variance), None);
    }
}

/// A path entered on the way is written, read and checked like any other, and differs from the whole in its start only.
#[test]
fn a_truncated_path_is_a_path() {
    let path = PathConfig::Truncated(Truncated { path: Box::new(VP), t_max: 0.4 });
    let written = serde_json::to_string(&path).unwrap();
    assert_eq!(
        written,
        r#"{"type":"truncated","path":{"type":"VP","beta_min":0.1,"beta_max":20.0},"t_max":0.4}"#
    );
    assert_eq!(serde_json::from_str::<PathConfig>(&written).unwrap(), path);
    let (entered, whole) = (path.build(), VP.build());
    assert_eq!((entered.t_max(), entered.prior_std()), (0.4, whole.sigma(0.4)));
    for t in [0.01, 0.2, 0.4] {
        assert_eq!(entered.marginal(t), whole.marginal(t));
        assert_eq!(entered.inverse_lambda(entered.lambda(t)), whole.inverse_lambda(whole.lambda(t)));
        assert_eq!(entered.transition(t, -0.01), whole.transition(t, -0.01));
        assert_eq!(entered.discretised(t, 100), whole.discretised(t, 100));
    }
    for t_max in [0.0, 1.5, f64::NAN] {
        assert!(PathConfig::Truncated(Truncated { path: Box::new(VP), t_max }).validate().is_err());
    }
}
