//! Exact moment recursions: what plans return for Gaussian data, against recursions written by hand.

use burn::tensor::{DType, Device};
use equidrift_laws::LawError;
use equidrift_laws::gaussian::{GaussianData, GaussianDenoiser, Moments};
use equidrift_sampler::plan::{
    Ancestral, Corrector, Ddim, DpmMethod, DpmSolver, DpmSolverPlusPlus, EulerMaruyama, Heun,
    PredictorCorrector, ReverseDiffusion, SdeDpmSolverPlusPlus, ThirdOrder,
};
use equidrift_sampler::{
    Executor, KeyedNoise, PathConfig, Planner, PredictionKind, SamplerConfig, State, Support, TimeGrid,
};
use nalgebra::{DMatrix, DVector};

const PATH: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
const VE: PathConfig = PathConfig::VarianceExploding { beta_min: 0.01, beta_max: 20.0 };
const BETA_MIN: f64 = 0.1;
const BETA_MAX: f64 = 20.0;
const MEAN: f64 = 0.7;
const SD: f64 = 0.4;

/// Mean and deviation that the plan returns.
fn returned(planner: &dyn Planner, path: &PathConfig, steps: usize) -> (f64, f64) {
    let plan = planner.plan(std::slice::from_ref(path), steps).unwrap();
    let prior = path.build().prior_std();
    let moments = GaussianData::single(MEAN, SD).moments(&plan, &[prior]).unwrap();
    (moments.mean[0], moments.covariance[(0, 0)].sqrt())
}

fn assert_same(what: &str, found: (f64, f64), expected: (f64, f64)) {
    println!("{what}: {found:?}");
    for (a, b) in [(found.0, expected.0), (found.1, expected.1)] {
        assert!((a - b).abs() < 1e-11 * b.abs().max(1.0), "{what}: {found:?}, by hand {expected:?}");
    }
}

/// The exact score at (α, σ).
fn score(x: f64, alpha: f64, sigma: f64) -> f64 {
    -(x - alpha * MEAN) / (alpha * alpha * SD * SD + sigma * sigma)
}

/// The mean of a step, affine in x, and the deviation of its noise.
type Step = (Box<dyn Fn(f64) -> f64>, f64);

/// `x ← mean(x) + deviation z` step by step, for affine means; from N(0, prior²).
fn chain(prior: f64, steps: &[Step]) -> (f64, f64) {
    let (mut mean, mut variance) = (0.0, prior * prior);
    for (step, noise) in steps {
        let gain = step(1.0) - step(0.0);
        mean = step(mean);
        variance = gain * gain * variance + noise * noise;
    }
    (mean, variance.sqrt())
}

/// The published chains of variance preserving and exploding paths, from their formulas (Song et al. 2021).
#[test]
fn stochastic_samplers_follow_their_published_chains() {
    let steps = 60;
    let eps = 1e-3;
    let n = steps as f64;
    let times: Vec<f64> = (0..steps).map(|i| 1.0 + (eps - 1.0) * i as f64 / (n - 1.0)).collect();
    let vp = |t: f64| {
        let alpha = (-0.25 * t * t * (BETA_MAX - BETA_MIN) - 0.5 * t * BETA_MIN).exp();
        (alpha, (1.0 - alpha * alpha).sqrt())
    };
    let beta = |t: f64| BETA_MIN + t * (BETA_MAX - BETA_MIN);
    let level = |t: f64| (t * (n - 1.0)) as usize;
    let beta_k = |t: f64| (BETA_MIN + (BETA_MAX - BETA_MIN) * level(t) as f64 / (n - 1.0)) / n;
    let last = |t: f64, noise: f64| if t == times[steps - 1] { 0.0 } else { noise };
    let run =
        |step: &dyn Fn(f64) -> Step, prior| chain(prior, &times.iter().map(|&t| step(t)).collect::<Vec<_>>());
    let euler = run(
        &|t| {
            let ((alpha, sigma), beta) = (vp(t), beta(t));
            let step = move |x: f64| x + (0.5 * beta * x + beta * score(x, alpha, sigma)) / n;
            (Box::new(step), last(t, (beta / n).sqrt()))
        },
        1.0,
    );
    assert_same("Euler-Maruyama", returned(&EulerMaruyama { eps, noise_removal: true }, &PATH, steps), euler);
    let reverse = run(
        &|t| {
            let ((alpha, sigma), beta) = (vp(t), beta_k(t));
            let step = move |x: f64| (2.0 - (1.0 - beta).sqrt()) * x + beta * score(x, alpha, sigma);
            (Box::new(step), last(t, beta.sqrt()))
        },
        1.0,
    );
    let planner = ReverseDiffusion { eps, noise_removal: true };
    assert_same("reverse diffusion", returned(&planner, &PATH, steps), reverse);
    let ancestral = run(
        &|t| {
            let ((alpha, sigma), beta) = (vp(t), beta_k(t));
            let step = move |x: f64| (x + beta * score(x, alpha, sigma)) / (1.0 - beta).sqrt();
            (Box::new(step), last(t, beta.sqrt()))
        },
        1.0,
    );
    let planner = Ancestral { eps, noise_removal: true, ..Default::default() };
    assert_same("ancestral", returned(&planner, &PATH, steps), ancestral);
    let (low, high) = (0.01f64, 20.0f64);
    let exploding = run(
        &|t| {
            let sigma = low * (high / low).powf(t);
            let level_of = |k: usize| low * (high / low).powf(k as f64 / (n - 1.0));
            let k = level(t);
            let (upper, lower) = (level_of(k), if k == 0 { 0.0 } else { level_of(k - 1) });
            let variance = upper * upper - lower * lower;
            let step = move |x: f64| x + variance * score(x, 1.0, sigma);
            (Box::new(step), last(t, variance.sqrt()))
        },
        high,
    );
    let planner = ReverseDiffusion { eps, noise_removal: true };
    assert_same("reverse diffusion, VE", returned(&planner, &VE, steps), exploding);
}

/// The nodes even in λ of a variance preserving path and its (α, σ) there, from the closed form of the inverse.
fn nodes(steps: usize, end: f64) -> Vec<(f64, f64)> {
    let log_alpha = |t: f64| -0.25 * t * t * (BETA_MAX - BETA_MIN) - 0.5 * t * BETA_MIN;
    let lambda = |t: f64| log_alpha(t) - 0.5 * (-(2.0 * log_alpha(t)).exp_m1()).ln();
    let (from, to) = (lambda(1.0), lambda(end));
    (0..=steps)
        .map(|i| {
            let lambda = from + (to - from) * i as f64 / steps as f64;
            let alpha = 1.0 / (1.0 + (-2.0 * lambda).exp()).sqrt();
            (alpha, alpha * (-lambda).exp())
        })
        .collect()
}

/// DDIM with its ς in ᾱ (Song, Meng & Ermon 2021, eq. 16).
#[test]
fn ddim_follows_its_published_chain() {
    let (steps, end) = (25, 1e-3);
    let nodes = nodes(steps, end);
    for eta in [0.0, 0.4, 1.0] {
        let chain = chain(
            1.0,
            &nodes
                .windows(2)
                .map(|pair| -> Step {
                    let ((a, s), (b, t)) = (pair[0], pair[1]);
                    let variance = eta * eta * (t * t) / (s * s) * (1.0 - a * a / (b * b));
                    let step = move |x: f64| {
                        let noise = -s * score(x, a, s);
                        b * (x - s * noise) / a + (t * t - variance).sqrt() * noise
                    };
                    (Box::new(step), variance.sqrt())
                })
                .collect::<Vec<_>>(),
        );
        let planner = Ddim { eta, t_end: Some(end), denoise: false, ..Default::default() };
        assert_same(&format!("DDIM, eta {eta}"), returned(&planner, &PATH, steps), chain);
    }
}

/// A deterministic solver maps Gaussians affinely, so its formula run on the numbers 0 and 1 gives mean and deviation.
#[test]
fn ode_solvers_follow_their_published_formulas() {
    let (steps, end) = (25, 1e-3);
    let nodes = nodes(steps, end);
    let x0 = |x: f64, (a, s): (f64, f64)| (x + s * s * score(x, a, s)) / a;
    let noise = |x: f64, (a, s): (f64, f64)| -s * score(x, a, s);
    let lambda = |(a, s): (f64, f64)| (a / s).ln();
    let affine = |solve: &dyn Fn(f64) -> f64| (solve(0.0), (solve(1.0) - solve(0.0)).abs());
    let plus_plus = |order, method, variant| DpmSolverPlusPlus {
        order,
        method,
        variant: Some(variant),
        t_end: Some(end),
        denoise: false,
        ..Default::default()
    };
    // ++2M and ++3M of Lu et al. 2022, with D₂ as published and doubled.
    for (order, factor) in [(2, 1.0), (3, 1.0), (3, 2.0)] {
        let by_hand = affine(&|start| {
            let mut x = start;
            let mut history: Vec<(f64, f64)> = Vec::new();
            for pair in nodes.windows(2) {
                let (s, t) = (pair[0], pair[1]);
                let h = lambda(t) - lambda(s);
                let f = x0(x, s);
                let phi1 = (-h).exp() - 1.0;
                let (phi2, phi3) = (phi1 / h + 1.0, (phi1 / h + 1.0) / h - 0.5);
                let mut next = t.1 / s.1 * x - t.0 * phi1 * f;
                if let Some(&(l1, f1)) = history.last() {
                    let r0 = (lambda(s) - l1) / h;
                    let d10 = (f - f1) / r0;
                    if order == 2 || history.len() < 2 {
                        next -= 0.5 * t.0 * phi1 * d10;
                    } else {
                        let (l2, f2) = history[history.len() - 2];
                        let r1 = (l1 - l2) / h;
                        let d11 = (f1 - f2) / r1;
                        let d1 = d10 + r0 / (r0 + r1) * (d10 - d11);
                        let d2 = factor * (d10 - d11) / (r0 + r1);
                        next += t.0 * phi2 * d1 - t.0 * phi3 * d2;
                    }
                }
                history.push((lambda(s), f));
                x = next;
            }
            x
        });
        let variant = if factor == 1.0 { ThirdOrder::Published } else { ThirdOrder::Exact };
        let planner = plus_plus(order, DpmMethod::Multistep, variant);
        assert_same(&format!("++{order}M, D2 times {factor}"), returned(&planner, &PATH, steps), by_hand);
    }
    // DPM-Solver-2 and ++2S.
    let middle = |s: (f64, f64), t: (f64, f64)| {
        let lambda = 0.5 * (lambda(s) + lambda(t));
        let alpha = 1.0 / (1.0 + (-2.0 * lambda).exp()).sqrt();
        (alpha, alpha * (-lambda).exp())
    };
    let by_hand = affine(&|start| {
        nodes.windows(2).fold(start, |x, pair| {
            let (s, t) = (pair[0], pair[1]);
            let m = middle(s, t);
            let (h, e) = (lambda(t) - lambda(s), noise(x, s));
            let inner = m.0 / s.0 * x - m.1 * ((0.5 * h).exp() - 1.0) * e;
            t.0 / s.0 * x - t.1 * (h.exp() - 1.0) * noise(inner, m)
        })
    });
    let planner = DpmSolver {
        order: 2,
        method: DpmMethod::Singlestep,
        t_end: Some(end),
        denoise: false,
        ..Default::default()
    };
    assert_same("DPM-Solver-2", returned(&planner, &PATH, steps), by_hand);
    let by_hand = affine(&|start| {
        nodes.windows(2).fold(start, |x, pair| {
            let (s, t) = (pair[0], pair[1]);
            let m = middle(s, t);
            let (h, f) = (lambda(t) - lambda(s), x0(x, s));
            let inner = m.1 / s.1 * x - m.0 * ((-0.5 * h).exp() - 1.0) * f;
            t.1 / s.1 * x - t.0 * ((-h).exp() - 1.0) * x0(inner, m)
        })
    });
    let planner = plus_plus(2, DpmMethod::Singlestep, ThirdOrder::Exact);
    assert_same("++2S", returned(&planner, &PATH, steps), by_hand);
    // Heun of Karras et al. 2022, algorithm 1 with s(t) = α, σ(t) = σ/α.
    let by_hand = affine(&|start| {
        let z = nodes.windows(2).fold(start / nodes[0].0, |z, pair| {
            let (s, t) = (pair[0], pair[1]);
            let d = noise(s.0 * z, s);
            let width = t.1 / t.0 - s.1 / s.0;
            let trial = z + width * d;
            z + width * 0.5 * (d + noise(t.0 * trial, t))
        });
        z * nodes[steps].0
    });
    let planner = Heun { t_end: Some(end), denoise: false, ..Default::default() };
    assert_same("Heun", returned(&planner, &PATH, steps), by_hand);
}

/// Two samplers of the literature that are one: coefficients of the plans, and the samples to rounding.
#[test]
fn equal_samplers_are_equal() {
    for path in [PATH, VE] {
        for grid in [TimeGrid::UniformLambda, TimeGrid::Quadratic, TimeGrid::Karras { rho: 7.0 }] {
            let ddim = |eta| Ddim { eta, grid: grid.clone(), ..Default::default() };
            let first = DpmSolverPlusPlus { order: 1, grid: grid.clone(), ..Default::default() };
            let noise_form = DpmSolver {
                order: 1,
                method: DpmMethod::Multistep,
                grid: grid.clone(),
                ..Default::default()
            };
            let stochastic = SdeDpmSolverPlusPlus { order: 1, grid: grid.clone(), ..Default::default() };
            let data_form = returned(&first, &path, 20);
            for (what, found, expected) in [
                ("DDIM and ++1", returned(&ddim(0.0), &path, 20), data_form),
                ("DPM-1 and ++1", returned(&noise_form, &path, 20), data_form),
                (
                    "DDIM with noise and SDE-++1",
                    returned(&ddim(1.0), &path, 20),
                    returned(&stochastic, &path, 20),
                ),
            ] {
                for (a, b) in [(found.0, expected.0), (found.1, expected.1)] {
                    assert!((a - b).abs() <= 1e-14 * b.abs().max(1.0), "{what}: {found:?} {expected:?}");
                }
            }
        }
    }
}

fn coupled() -> GaussianData {
    GaussianData {
        mean: DVector::from_vec(vec![0.5, -0.2]),
        covariance: DMatrix::from_row_slice(2, 2, &[0.5, 0.3, 0.3, 0.4]),
    }
}

/// Two components on different paths with a joint score: the coupling of the data is returned.
#[test]
fn a_system_of_two_components_keeps_its_coupling() {
    let paths = [PATH, PathConfig::VarianceExploding { beta_min: 0.01, beta_max: 10.0 }];
    let moments = |config: &SamplerConfig, steps| -> Moments {
        coupled().moments(&config.plan(&paths, steps).unwrap(), &[1.0, 10.0]).unwrap()
    };
    let samplers = [
        SamplerConfig::EulerMaruyama(EulerMaruyama::default()),
        SamplerConfig::PredictorCorrector(PredictorCorrector {
            corrector: Corrector::None,
            ..Default::default()
        }),
    ];
    for sampler in &samplers {
        let got = moments(sampler, 1000);
        println!("{}: {:.4}", sampler.name(), got.covariance);
        for (a, b) in got.covariance.iter().zip(coupled().covariance.iter()) {
            assert!((a - b).abs() < 0.03 * b.abs(), "{} {a} {b}", sampler.name());
        }
    }
}

/// The executor does what the recursion says: sample moments of many rows against exact ones, and a deterministic plan
/// to rounding.
#[test]
fn executor_agrees_with_the_recursion() {
    let paths = [PATH, PathConfig::VarianceExploding { beta_min: 0.1, beta_max: 1.0 }];
    let device = Device::flex();
    let batch = 20_000;
    let ids: Vec<u64> = (0..batch as u64).collect();
    let noise = KeyedNoise::new(3);
    let plan = EulerMaruyama::default().plan(&paths, 40).unwrap();
    let exact = coupled().moments(&plan, &[1.0, 1.0]).unwrap();
    let denoiser = GaussianDenoiser::new(coupled(), paths.to_vec(), PredictionKind::V);
    let supports = vec![Support::vector(batch, 1); 2];
    let state = State::prior(&["x", "adj"], &paths, supports, &ids, &noise, &device, DType::F64).unwrap();
    let outcome = Executor::new(&denoiser, &noise).run(&plan, state, &ids).unwrap();
    let values: Vec<Vec<f64>> = outcome.state.components.iter().map(|c| c.to_host().unwrap()).collect();
    let n = batch as f64;
    for i in 0..2 {
        let mean = values[i].iter().sum::<f64>() / n;
        let sd = exact.covariance[(i, i)].sqrt();
        assert!((mean - exact.mean[i]).abs() < 4.5 * sd / n.sqrt(), "mean {mean} {}", exact.mean[i]);
        for j in 0..2 {
            let products = values[i].iter().zip(&values[j]);
            let covariance =
                products.map(|(a, b)| (a - exact.mean[i]) * (b - exact.mean[j])).sum::<f64>() / n;
            let spread = (exact.covariance[(i, i)] * exact.covariance[(j, j)]
                + exact.covariance[(i, j)].powi(2))
            .sqrt();
            let expected = exact.covariance[(i, j)];
            assert!((covariance - expected).abs() < 4.5 * spread / n.sqrt(), "{covariance} {expected}");
        }
    }
}

#[test]
fn a_langevin_operation_has_no_linear_recursion() {
    let plan = PredictorCorrector::default().plan(&[PATH], 30).unwrap();
    let error = GaussianData::single(0.0, 1.0).moments(&plan, &[1.0]).unwrap_err();
    assert!(matches!(error, LawError::NotLinear { step: 0, .. }), "{error}");
}
