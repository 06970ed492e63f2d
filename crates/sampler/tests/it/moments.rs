//! Exact moment recursions: what each planner returns for Gaussian data.

use burn::tensor::{DType, Device};
use equidrift_laws::LawError;
use equidrift_laws::gaussian::{GaussianData, GaussianDenoiser, Moments};
use equidrift_sampler::plan::{
    Corrector, DpmSolver, EulerMaruyama, PredictorCorrector, ReverseDiffusion, S4,
};
use equidrift_sampler::{
    Executor, KeyedNoise, PathConfig, Planner, PredictionKind, SamplerConfig, State, Support,
};
use nalgebra::{DMatrix, DVector};

const PATH: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };

fn returned_sd(planner: &dyn Planner, steps: usize) -> f64 {
    let plan = planner.plan(&[PATH], steps).unwrap();
    let moments = GaussianData::single(0.0, 0.5).moments(&plan, &[1.0]).unwrap();
    assert_eq!(moments.mean[0], 0.0);
    moments.covariance[(0, 0)].sqrt()
}

/// Data N(0, 0.25), VP(0.1, 20), exact score, end time 1e-3: published standard deviations for 100, 250, 1000 steps.
#[test]
fn stochastic_samplers_return_the_published_deviation() {
    for (noise_removal, euler, reverse) in [
        (false, [0.5042, 0.5016, 0.5004], [0.5071, 0.5036, 0.5020]),
        (true, [0.5030, 0.5011, 0.5002], [0.5061, 0.5033, 0.5019]),
    ] {
        for (i, steps) in [100, 250, 1000].into_iter().enumerate() {
            let em = returned_sd(&EulerMaruyama { eps: 1e-3, noise_removal }, steps);
            let rd = returned_sd(&ReverseDiffusion { eps: 1e-3, noise_removal }, steps);
            println!("{steps} noise_removal {noise_removal}: {em:.4} {rd:.4}");
            assert!((em - euler[i]).abs() < 5e-4, "Euler-Maruyama {steps}: {em}");
            assert!((rd - reverse[i]).abs() < 5e-4, "reverse diffusion {steps}: {rd}");
        }
    }
}

/// Without Langevin noise and drift S4 is the Strang splitting alone; its moments converge to the data's.
#[test]
fn s4_is_a_consistent_splitting() {
    let path = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
    // snr 0: the correction moves nothing, so the plan is linear once its Langevin operations are dropped.
    let deviation = |steps: usize| {
        let mut plan = S4 { snr: 0.0, eps: 1e-3, ..S4::default() }.plan(&[path], steps).unwrap();
        for step in &mut plan.steps {
            step.ops.retain(|op| !matches!(op, equidrift_sampler::Op::Langevin { .. }));
        }
        GaussianData::single(0.0, 0.5).moments(&plan, &[1.0]).unwrap().covariance[(0, 0)].sqrt()
    };
    let (coarse, fine) = ((deviation(500) - 0.5).abs(), (deviation(4000) - 0.5).abs());
    println!("S4 deviation error: {coarse:.2e} (500 steps), {fine:.2e} (4000 steps)");
    assert!(fine < 2e-3 && fine < coarse / 3.0, "{coarse} {fine}");
}

/// Every deterministic solver converges to the exact probability-flow map of a Gaussian.
#[test]
fn ode_solvers_return_the_exact_gaussian() {
    let data = GaussianData::single(0.7, 0.4);
    for path in [
        PATH,
        PathConfig::VarianceExploding { beta_min: 0.01, beta_max: 20.0 },
        PathConfig::SubVariancePreserving { beta_min: 0.1, beta_max: 20.0 },
    ] {
        let built = path.build();
        let (start, end) = (built.marginal(1.0), built.marginal(1e-3));
        let (from, to) = (data.noised(&[start]), data.noised(&[end]));
        // x_t = a_t m + (x_1 − a_1 m) sqrt(v_t / v_1), x_1 ~ N(0, prior²).
        let ratio = (to.covariance[(0, 0)] / from.covariance[(0, 0)]).sqrt();
        let mean = to.mean[0] - from.mean[0] * ratio;
        let sd = built.prior_std() * ratio;
        for config in [
            SamplerConfig::Heun(equidrift_sampler::plan::Heun {
                t_end: Some(1e-3),
                denoise: false,
                ..Default::default()
            }),
            SamplerConfig::DpmSolver(DpmSolver { t_end: Some(1e-3), denoise: false, ..Default::default() }),
        ] {
            let plan = config.plan(&[path], 400).unwrap();
            let moments = data.moments(&plan, &[built.prior_std()]).unwrap();
            let error = (moments.mean[0] - mean).abs().max((moments.covariance[(0, 0)].sqrt() - sd).abs());
            println!("{} {}: {error:.2e}", path.name(), config.name());
            assert!(error < 3e-4, "{} {}: {error}", path.name(), config.name());
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
