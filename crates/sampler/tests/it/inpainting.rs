//! Inpainting by replacement (C9) against exact conditional normal laws.

use std::sync::OnceLock;

use burn::tensor::{DType, Device};
use equidrift_laws::figures::{Accept, Figure};
use equidrift_laws::gaussian::{GaussianData, GaussianDenoiser, Moments};
use equidrift_sampler::path::{Gamma, Interpolant, TwoSidedFamily};
use equidrift_sampler::plan::{
    Corrector, EulerMaruyama, Heun, Inpainting, InterpolantOde, NormScope, Observation, ObservationNoise,
    PredictorCorrector, Register,
};
use equidrift_sampler::{
    Component, Executor, KeyedNoise, Op, Outcome, PathConfig, Plan, Planner, PredictionKind, SamplerConfig,
    SamplerError, State, Support,
};
use nalgebra::{DMatrix, DVector};

const PATH: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };

/// Four coupled coordinates; 1 and 3 are observed.
pub(crate) fn four() -> GaussianData {
    let sd = [1.0, 0.8, 0.6, 0.9];
    let covariance =
        DMatrix::from_fn(4, 4, |i, j| sd[i] * sd[j] * 0.7f64.powi(i32::try_from(i.abs_diff(j)).unwrap()));
    GaussianData { mean: DVector::from_vec(vec![0.2, -0.4, 0.1, 0.6]), covariance }
}

const KNOWN: [(usize, f64); 2] = [(1, 0.5), (3, 0.2)];

/// Two coordinates of correlation 0.8; 1 is observed, one deviation from its mean.
fn two() -> GaussianData {
    GaussianData {
        mean: DVector::from_vec(vec![0.3, -0.2]),
        covariance: DMatrix::from_row_slice(2, 2, &[1.0, 0.48, 0.48, 0.36]),
    }
}

const KNOWN_OF_TWO: [(usize, f64); 1] = [(1, 0.4)];

/// Values of the given registers, observations and mask.
pub(crate) fn registers(
    plan: &Plan,
    components: usize,
    known: &[(usize, f64)],
) -> Vec<(Register, DVector<f64>)> {
    let (mut observed, mut mask) = (DVector::zeros(components), DVector::zeros(components));
    for &(component, y) in known {
        (observed[component], mask[component]) = (y, 1.0);
    }
    vec![(plan.given[0], observed), (plan.given[1], mask)]
}

/// Errors of the free coordinates: the largest of the means in exact deviations, and of the covariance relative to the
/// exact one (Frobenius norms).
pub(crate) fn errors(data: &GaussianData, known: &[(usize, f64)], got: &Moments) -> (f64, f64) {
    let exact = data.conditional(known).unwrap();
    let free: Vec<usize> =
        (0..data.mean.len()).filter(|component| known.iter().all(|(k, _)| k != component)).collect();
    let mean = free
        .iter()
        .enumerate()
        .map(|(i, &component)| (got.mean[component] - exact.mean[i]).abs() / exact.covariance[(i, i)].sqrt())
        .fold(0.0, f64::max);
    let covariance = DMatrix::from_fn(free.len(), free.len(), |i, j| got.covariance[(free[i], free[j])]);
    (mean, (covariance - &exact.covariance).norm() / exact.covariance.norm())
}

/// Exact errors of a linear plan.
fn planned(planner: &dyn Planner, steps: usize, noise: ObservationNoise) -> (f64, f64) {
    let paths = vec![PATH; 4];
    let plan = Inpainting { noise }.apply(&planner.plan(&paths, steps).unwrap()).unwrap();
    let data = four();
    let got = data.moments_with_given(&plan, &[1.0; 4], &registers(&plan, 4, &KNOWN)).unwrap();
    for (component, y) in KNOWN {
        assert_eq!(got.mean[component], y, "a known entry holds");
        assert_eq!(got.covariance.row(component).amax(), 0.0, "a known entry holds");
    }
    errors(&data, &KNOWN, &got)
}

/// Reverse diffusion with `corrections` Langevin steps per time.
fn with_corrections(corrections: usize) -> PredictorCorrector {
    PredictorCorrector {
        corrector: if corrections == 0 { Corrector::None } else { Corrector::Langevin },
        n_steps: corrections.max(1),
        snr: 0.16.into(),
        scale_eps: 1.0.into(),
        // The norm of one coordinate says little; rows are alike here, so their mean may set the step.
        norm: NormScope::BatchMean,
        eps: 1e-3,
        ..PredictorCorrector::default()
    }
}

fn run(plan: &Plan, data: &GaussianData, known: &[(usize, f64)], rows: usize) -> Outcome {
    let components = plan.components;
    let (ids, noise): (Vec<u64>, _) = ((0..rows as u64).collect(), KeyedNoise::new(11));
    let names = &["a", "b", "c", "d"][..components];
    let paths = vec![PATH; components];
    let supports = vec![Support::vector(rows, 1); components];
    let start = State::prior(names, &paths, supports, &ids, &noise, &Device::flex(), DType::F64).unwrap();
    let values = (0..components).map(|component| {
        let y = known.iter().find(|(k, _)| *k == component).map_or(f64::NAN, |(_, y)| *y);
        vec![y; rows]
    });
    let values = start.with_values(values.collect()).unwrap();
    let observation =
        Observation::new(&values, |component, _, _| known.iter().any(|(k, _)| *k == component)).unwrap();
    let denoiser = GaussianDenoiser::new(data.clone(), paths, PredictionKind::Noise);
    let given = observation.given(plan).unwrap();
    Executor::new(&denoiser, &noise).with_given(given).run(plan, start, &ids).unwrap()
}

pub(crate) fn figures() -> &'static [Figure] {
    static FIGURES: OnceLock<Vec<Figure>> = OnceLock::new();
    FIGURES.get_or_init(|| {
        let mut figures = Vec::new();
        let mut add = |what: String, expected: f64, accept: Accept, measured: f64| {
            figures.push(Figure::new(
                "C9",
                format!("inpainting, 2 of 4 normal coordinates known, {what}"),
                expected,
                accept,
                measured,
            ));
        };
        // Without correctors: more steps help the covariance up to a limit, and the mean not at all. The limits are the
        // bias of the method.
        let em = EulerMaruyama { eps: 1e-3, noise_removal: true };
        let heun = Heun { denoise: false, t_end: Some(1e-3), ..Heun::default() };
        let (coarse, middle, fine) = (
            planned(&em, 25, ObservationNoise::Fresh),
            planned(&em, 100, ObservationNoise::Fresh),
            planned(&em, 800, ObservationNoise::Fresh),
        );
        let what = "Euler-Maruyama: error of the covariance";
        add(format!("{what}, 100 over 25 steps"), 0.9, Accept::AtMost, middle.1 / coarse.1);
        add(format!("{what}, 800 over 100 steps"), 0.97, Accept::AtMost, fine.1 / middle.1);
        let cases: [(&str, &dyn Planner, usize, ObservationNoise, f64, f64); 4] = [
            ("Euler-Maruyama, 800 steps, fresh noise", &em, 800, ObservationNoise::Fresh, 0.62, 0.32),
            ("Euler-Maruyama, 800 steps, one noise", &em, 800, ObservationNoise::Same, 0.62, 0.49),
            ("Heun ODE, 400 steps, fresh noise", &heun, 400, ObservationNoise::Fresh, 0.79, 0.53),
            ("Heun ODE, 400 steps, one noise", &heun, 400, ObservationNoise::Same, 0.79, 0.66),
        ];
        for (what, planner, steps, noise, mean, covariance) in cases {
            let got = planned(planner, steps, noise);
            add(format!("{what}: bias of the mean, in deviations"), mean, Accept::Relative(0.05), got.0);
            add(
                format!("{what}: bias of the covariance, relative"),
                covariance,
                Accept::Relative(0.05),
                got.1,
            );
        }
        // Correctors at every level bring it to the conditional law, up to their own step size.
        let mut ladder = |cases: &[(usize, usize)]| {
            let errors: Vec<(f64, f64)> = cases
                .iter()
                .map(|&(steps, corrections)| {
                    planned(&with_corrections(corrections), steps, ObservationNoise::Fresh)
                })
                .collect();
            for (pair, errors) in cases.windows(2).zip(errors.windows(2)) {
                let label = |(steps, corrections): (usize, usize)| format!("{steps} steps x {corrections}");
                let what = format!("Langevin corrections, {} over {}", label(pair[1]), label(pair[0]));
                add(format!("{what}: error of the mean"), 1.0, Accept::AtMost, errors[1].0 / errors[0].0);
                add(
                    format!("{what}: error of the covariance"),
                    1.0,
                    Accept::AtMost,
                    errors[1].1 / errors[0].1,
                );
            }
            errors[errors.len() - 1]
        };
        ladder(&[(100, 0), (100, 1), (100, 2), (100, 4), (100, 8)]);
        let last = ladder(&[(25, 4), (50, 4), (100, 4), (200, 4), (400, 4), (400, 8)]);
        let what = "Langevin corrections, 400 steps x 8";
        add(format!("{what}: bias of the mean, in deviations"), 0.01, Accept::AtMost, last.0);
        add(format!("{what}: bias of the covariance, relative"), 0.03, Accept::AtMost, last.1);
        figures
    })
}

#[test]
fn inpainting_figures() {
    for figure in figures() {
        println!("{figure}");
        figure.check();
    }
}

/// Known entries hold exactly under every sampler, and with nothing known the samples are those of the plain plan.
#[test]
fn every_sampler_holds_known_entries() {
    for sampler in SamplerConfig::all() {
        let plan = match sampler.plan(&[PATH, PATH], 24) {
            Ok(plan) if plan.given.is_empty() => plan,
            other => {
                println!("{}: left out ({:?})", sampler.name(), other.err());
                continue;
            }
        };
        let inpainted = Inpainting::default().apply(&plan).unwrap();
        assert_eq!(inpainted.evaluations(), plan.evaluations());
        let values = run(&inpainted, &two(), &KNOWN_OF_TWO, 6).state.to_host().unwrap();
        assert_eq!(values[1], [0.4; 6], "{}", sampler.name());
        assert!(values[0].iter().all(|x| x.is_finite()), "{}", sampler.name());
        let free = run(&inpainted, &two(), &[], 6).state.to_host().unwrap();
        let mut plain = inpainted.clone();
        for step in &mut plain.steps {
            step.ops.retain(|op| !matches!(op, Op::Impose { .. }));
        }
        assert_eq!(free, run(&plain, &two(), &[], 6).state.to_host().unwrap(), "{}", sampler.name());
        let mut without = plain.clone();
        (without.given, without.registers) = (Vec::new(), plan.registers);
        assert_eq!(without, plan, "{}", sampler.name());
    }
}

/// A replacement before the first evaluation, after every update by predictor or corrector at the level it reached, and
/// the last one without noise.
#[test]
fn levels_of_the_replacements() {
    let sampler = PredictorCorrector::default();
    let plan = Inpainting::default().apply(&sampler.plan(&[PATH], 25).unwrap()).unwrap();
    let path = PATH.build();
    let mut expected = Vec::new();
    for (i, step) in plan.steps.iter().enumerate() {
        let sigma = |time: f64| (path.alpha(time), path.sigma(time));
        if i == 0 {
            expected.push(sigma(step.time));
        }
        expected.push(sigma(step.time));
        expected.push(plan.steps.get(i + 1).map_or((1.0, 0.0), |next| sigma(next.time)));
    }
    let imposed: Vec<(f64, f64, u32)> = plan
        .ops()
        .filter_map(|op| match op {
            Op::Impose { alpha, noise, .. } => Some((alpha[0], noise.coefficients[0], noise.step)),
            _ => None,
        })
        .collect();
    assert_eq!(imposed.len(), 51);
    for (index, (&(alpha, sigma), imposed)) in expected.iter().zip(&imposed).enumerate() {
        assert_eq!((alpha, sigma, index as u32), *imposed);
    }
    let same =
        Inpainting { noise: ObservationNoise::Same }.apply(&sampler.plan(&[PATH], 25).unwrap()).unwrap();
    assert!(same.ops().all(|op| !matches!(op, Op::Impose { noise, .. } if noise.step != 0)));
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}

/// The executor's replacements have the moments of the recursion.
#[test]
fn executor_agrees_with_the_recursion() {
    let rows = 10_000;
    let (plain, corrected) = (EulerMaruyama::default(), with_corrections(2));
    for (planner, noise) in [
        (&plain as &dyn Planner, ObservationNoise::Fresh),
        (&plain, ObservationNoise::Same),
        (&corrected, ObservationNoise::Fresh),
    ] {
        let plan = planner.plan(&vec![PATH; 4], 25).unwrap();
        let plan = Inpainting { noise }.apply(&plan).unwrap();
        let exact = four().moments_with_given(&plan, &[1.0; 4], &registers(&plan, 4, &KNOWN)).unwrap();
        let values = run(&plan, &four(), &KNOWN, rows).state.to_host().unwrap();
        let n = rows as f64;
        for (component, values) in values.iter().enumerate() {
            let (mean, variance) = (exact.mean[component], exact.covariance[(component, component)]);
            let got = values.iter().sum::<f64>() / n;
            assert!((got - mean).abs() <= 4.5 * (variance / n).sqrt() + 1e-9, "{got} {mean}");
            let got = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
            assert!((got - variance).abs() <= 4.5 * variance * (2.0 / n).sqrt(), "{got} {variance}");
        }
    }
}

#[test]
fn observations_respect_the_support() {
    let support =
        Support::symmetric_pairs(vec![vec![true, true, true, false], vec![true, true, false, false]]);
    let values: Vec<f64> = (0..32).map(|i| f64::from(i) + 1.0).collect();
    let adjacency = Component::from_host("adj", values, support, &Device::flex(), DType::F64).unwrap();
    let state = State::new(vec![adjacency]).unwrap();
    let asked = std::cell::RefCell::new(Vec::new());
    let observation = Observation::new(&state, |component, row, entry| {
        asked.borrow_mut().push((component, row, entry));
        entry != 2
    })
    .unwrap();
    assert_eq!(*asked.borrow(), [(0, 0, 1), (0, 0, 2), (0, 0, 6), (0, 1, 1)]);
    let (observed, mask) = (observation.observed.to_host().unwrap(), observation.mask.to_host().unwrap());
    let mut expected = vec![0.0; 32];
    for (entry, value) in [(1, 2.0), (4, 2.0), (6, 7.0), (9, 7.0), (17, 18.0), (20, 18.0)] {
        expected[entry] = value;
    }
    assert_eq!(observed[0], expected);
    assert_eq!(mask[0], expected.iter().map(|x| if *x == 0.0 { 0.0 } else { 1.0 }).collect::<Vec<f64>>());
    let plain = EulerMaruyama::default().plan(&[PATH], 3).unwrap();
    assert!(matches!(observation.given(&plain), Err(SamplerError::Count { .. })));
}

#[test]
fn a_two_ended_path_is_refused() {
    let family = TwoSidedFamily::Linear;
    let path = Interpolant::TwoSided { family, gamma: Gamma::Brownian { a: 1.0 } };
    let plan = InterpolantOde::default().plan(&[PathConfig::Interpolant(path)], 4).unwrap();
    assert!(matches!(Inpainting::default().apply(&plan), Err(SamplerError::UnsupportedPath { .. })));
    let mut broken = EulerMaruyama::default().plan(&[PATH], 3).unwrap();
    broken.registers = 1;
    assert!(matches!(Inpainting::default().apply(&broken), Err(SamplerError::InvalidPlan { .. })));
}
