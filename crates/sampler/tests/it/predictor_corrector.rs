//! Predictor–corrector: every predictor with every corrector.

use equidrift_laws::gaussian::GaussianData;
use equidrift_sampler::path::Truncated;
use equidrift_sampler::plan::{
    Ancestral, Corrector, DpmSolverPlusPlus, EulerMaruyama, Heun, PerComponent, Predictor,
    PredictorCorrector, ReverseDiffusion, S4, SdeDpmSolverPlusPlus,
};
use equidrift_sampler::{
    Component, DType, Device, Executor, KeyedNoise, NoiseSource, Op, PathConfig, Planner, SamplerConfig,
    State, Stream, Support, TimeGrid,
};

use crate::stochastic::{NormalScore, VE, VP, moments};

const PREDICTORS: [Predictor; 6] = [
    Predictor::Reverse,
    Predictor::Euler,
    Predictor::Ancestral,
    Predictor::Ddim,
    Predictor::SdeDpmSolverPlusPlus,
    Predictor::Heun,
];

/// Every predictor with every corrector and option: the announced evaluations, and JSON there and back.
#[test]
fn predictors_and_correctors_combine_freely() {
    for predictor in PREDICTORS {
        for corrector in [Corrector::None, Corrector::Langevin, Corrector::AnnealedLangevin] {
            for (n_steps, share_evaluation, equilibration, final_denoise) in [
                (1, false, 0, false),
                (3, false, 0, true),
                (1, true, 0, false),
                (1, true, 4, true),
                (2, false, 3, false),
            ] {
                let sampler = PredictorCorrector {
                    predictor,
                    corrector,
                    n_steps,
                    share_evaluation,
                    equilibration,
                    final_denoise,
                    ..Default::default()
                };
                if corrector == Corrector::None && (share_evaluation || equilibration > 0) {
                    assert!(sampler.plan(&[VE], 5).is_err());
                    continue;
                }
                let config = SamplerConfig::PredictorCorrector(sampler.clone());
                let text = serde_json::to_string(&config).unwrap();
                assert_eq!(serde_json::from_str::<SamplerConfig>(&text).unwrap(), config);
                for steps in [1, 2, 30] {
                    let gentle = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 0.5 };
                    let plan = sampler.plan(&[VE, gentle], steps).unwrap();
                    plan.validate().unwrap();
                    assert_eq!(plan.evaluations(), sampler.evaluations(steps, 2), "{sampler:?} {steps}");
                    assert_eq!(plan.steps.len(), steps);
                    if share_evaluation {
                        let second = if predictor == Predictor::Heun { steps - 1 } else { 0 };
                        assert_eq!(plan.evaluations(), steps + second + equilibration);
                    }
                }
            }
        }
    }
    let shared = PredictorCorrector { share_evaluation: true, n_steps: 2, ..Default::default() };
    assert!(shared.plan(&[VE], 5).is_err());
    let grid = Some(TimeGrid::UniformLambda);
    assert!(PredictorCorrector { grid: grid.clone(), ..Default::default() }.plan(&[VE], 5).is_err());
    assert!(
        PredictorCorrector { grid, predictor: Predictor::Ddim, ..Default::default() }.plan(&[VE], 5).is_ok()
    );
}

/// Every linear combination converges to the data's law.
#[test]
fn linear_combinations_return_the_data() {
    let data = GaussianData::single(0.7, 0.4);
    for predictor in PREDICTORS {
        for (corrector, share_evaluation) in [
            (Corrector::None, false),
            (Corrector::AnnealedLangevin, false),
            (Corrector::AnnealedLangevin, true),
        ] {
            for path in [VP, VE] {
                let sampler = PredictorCorrector {
                    predictor,
                    corrector,
                    share_evaluation,
                    snr: 0.1.into(),
                    scale_eps: 1.0.into(),
                    final_denoise: true,
                    equilibration: if corrector == Corrector::None { 0 } else { 2 },
                    ..Default::default()
                };
                let got = moments(&sampler, &data, &path, 1000);
                let (mean, sd) = (got.mean[0] / 0.7 - 1.0, got.covariance[(0, 0)].sqrt() / 0.4 - 1.0);
                println!("{predictor:?} {corrector:?} {share_evaluation} {}: {mean:.4} {sd:.4}", path.name());
                // Deterministic predictors carry the mean that the prior of the VE path lacks, 4 %, to the end.
                // The variance of the first-order SDE step is too small by about 10/N, more with old predictions.
                let narrow = if predictor == Predictor::SdeDpmSolverPlusPlus { 0.015 } else { 0.005 };
                let carried =
                    if matches!(predictor, Predictor::Ddim | Predictor::Heun) { 0.042 } else { 0.005 };
                assert!(mean.abs() < carried && sd.abs() < narrow, "{sampler:?} {}", path.name());
            }
        }
    }
}

/// A run that enters the path in the middle takes the same steps as the second half of a whole run.
#[test]
fn runs_may_start_in_the_middle_of_a_path() {
    let data = GaussianData::single(0.0, 0.4);
    let (whole, half) = (600, 300);
    for path in [VP, VE] {
        let truncated = PathConfig::Truncated(Truncated { path: Box::new(path.clone()), t_max: 0.5 });
        let start = data.noised(&[path.build().marginal(0.5)]).covariance[(0, 0)].sqrt();
        let mut samplers = vec![SamplerConfig::S4(S4 { snr: 0.0.into(), ..Default::default() })];
        for predictor in PREDICTORS {
            let corrector = Corrector::None;
            samplers.push(SamplerConfig::PredictorCorrector(PredictorCorrector {
                predictor,
                corrector,
                ..Default::default()
            }));
        }
        for name in ["ancestral", "sde-dpm-solver++", "heun", "annealed-langevin"] {
            samplers.push(SamplerConfig::by_name(name).unwrap());
        }
        for sampler in samplers {
            let sd = |path: &PathConfig, steps, start: f64| {
                let mut plan = sampler.plan(std::slice::from_ref(path), steps).unwrap();
                // At snr 0 a correction moves nothing.
                for step in &mut plan.steps {
                    step.ops.retain(|op| !matches!(op, Op::Langevin { .. }));
                }
                data.moments(&plan, &[start]).unwrap().covariance[(0, 0)].sqrt()
            };
            let prior = path.build().prior_std();
            let (from_noise, from_middle) = (sd(&path, whole, prior), sd(&truncated, half, start));
            println!("{} {}: {from_noise:.5} {from_middle:.5}", sampler.name(), path.name());
            assert!((from_middle - from_noise).abs() < 2e-3, "{sampler:?} {}", path.name());
        }
    }
}

/// Without a corrector the predictors are the samplers of their names.
#[test]
fn predictors_are_the_samplers_of_their_names() {
    let data = GaussianData::single(0.7, 0.4);
    let (t_end, grid) = (Some(1e-3), TimeGrid::UniformLambda);
    let as_predictor = |predictor, grid| PredictorCorrector {
        predictor,
        grid,
        corrector: Corrector::None,
        eps: 1e-3,
        ..Default::default()
    };
    let eps = 1e-3;
    let pairs: [(PredictorCorrector, Box<dyn Planner>); 6] = [
        (
            as_predictor(Predictor::Ddim, Some(grid.clone())),
            Box::new(DpmSolverPlusPlus { order: 1, t_end, ..Default::default() }),
        ),
        (
            as_predictor(Predictor::SdeDpmSolverPlusPlus, Some(grid.clone())),
            Box::new(SdeDpmSolverPlusPlus { order: 1, t_end, ..Default::default() }),
        ),
        (as_predictor(Predictor::Heun, Some(grid)), Box::new(Heun { t_end, ..Default::default() })),
        (as_predictor(Predictor::Ancestral, None), Box::new(Ancestral { eps, ..Default::default() })),
        (as_predictor(Predictor::Reverse, None), Box::new(ReverseDiffusion { eps, ..Default::default() })),
        (as_predictor(Predictor::Euler, None), Box::new(EulerMaruyama { eps, ..Default::default() })),
    ];
    for (predictor, planner) in pairs {
        for path in [VP, VE] {
            let (a, b) = (moments(&predictor, &data, &path, 30), moments(planner.as_ref(), &data, &path, 30));
            let error = (a.mean[0] - b.mean[0]).abs() + (a.covariance[(0, 0)] - b.covariance[(0, 0)]).abs();
            assert!(error < 1e-12, "{predictor:?} {}: {error:.2e}", path.name());
            assert_eq!(predictor.evaluations(30, 1), planner.evaluations(30, 1));
        }
    }
}

/// On a path whose noise is not much larger than the data, the prior is not the law of the noised data; corrections
/// before the first step bring it there.
#[test]
fn equilibration_repairs_the_prior() {
    let data = GaussianData::single(0.7, 0.4);
    let path = PathConfig::VarianceExploding { beta_min: 0.01, beta_max: 1.0 };
    let error = |equilibration| {
        let sampler = PredictorCorrector {
            corrector: Corrector::AnnealedLangevin,
            predictor: Predictor::Ddim,
            grid: Some(TimeGrid::UniformLambda),
            snr: 0.2.into(),
            scale_eps: 1.0.into(),
            share_evaluation: true,
            equilibration,
            ..Default::default()
        };
        (moments(&sampler, &data, &path, 20).mean[0] - 0.7).abs()
    };
    let (without, with) = (error(0), error(40));
    println!("error of the mean: {without:.4} without, {with:.4} with equilibration");
    assert!(with < 0.1 * without);
}

#[test]
fn options_of_the_corrector_may_differ_between_components() {
    let each = PredictorCorrector { snr: vec![0.3, 0.05].into(), ..Default::default() };
    let plan = each.plan(&[VE, VE], 4).unwrap();
    for op in plan.ops() {
        if let Op::Langevin { component, snr, scale, .. } = op {
            assert_eq!((*snr, *scale), ([0.3, 0.05][*component], 0.7));
        }
    }
    assert!(each.plan(&[VE], 4).unwrap_err().to_string().contains("snr"));
    let s4 = S4 { scale_eps: vec![0.9, 0.1].into(), ..Default::default() };
    assert!(s4.plan(&[VE, VE], 4).is_ok() && s4.plan(&[VE, VE, VE], 4).is_err());
    let json = r#"{"name": "predictor-corrector", "snr": [0.3, 0.05]}"#;
    assert_eq!(serde_json::from_str::<SamplerConfig>(json).unwrap(), SamplerConfig::PredictorCorrector(each));
    let error = serde_json::from_str::<SamplerConfig>(r#"{"name": "s4", "snr": "high"}"#).unwrap_err();
    assert!(error.to_string().contains("one number per component"), "{error}");
    assert_eq!(PerComponent::from(0.2).values(), [0.2]);
}

/// Files written before the options were added mean what they meant, and are written again as they were.
#[test]
fn files_of_earlier_versions_stay_valid() {
    let json = concat!(
        r#"{"name":"predictor-corrector","predictor":"reverse","corrector":"langevin","snr":0.2,"scale_eps":0.7,"#,
        r#""n_steps":1,"norm":"per-sample","eps":0.0001,"noise_removal":true,"probability_flow":false}"#
    );
    let config: SamplerConfig = serde_json::from_str(json).unwrap();
    assert_eq!(config, SamplerConfig::PredictorCorrector(PredictorCorrector::default()));
    assert_eq!(serde_json::to_string(&config).unwrap(), json);
    let json = r#"{"name":"s4","snr":0.2,"scale_eps":0.7,"norm":"per-sample","eps":0.0001}"#;
    assert_eq!(serde_json::to_string(&serde_json::from_str::<SamplerConfig>(json).unwrap()).unwrap(), json);
}

/// A shared evaluation really is shared: the predictor works with what was predicted before the correction.
#[test]
fn a_shared_evaluation_feeds_both_halves_of_a_step() {
    let sampler = PredictorCorrector { share_evaluation: true, ..Default::default() };
    let rows = 64;
    let ids: Vec<u64> = (0..rows).collect();
    let noise = KeyedNoise::new(5);
    let path = PathConfig::VarianceExploding { beta_min: 0.1, beta_max: 1.0 };
    let start: Vec<f64> = (0..rows).map(|i| 0.1 * i as f64 - 3.0).collect();
    let support = Support::vector(rows as usize, 1);
    let component = Component::from_host("x", start.clone(), support, &Device::flex(), DType::F64).unwrap();
    let state = State::new(vec![component]).unwrap();
    let plan = sampler.plan(std::slice::from_ref(&path), 1).unwrap();
    let outcome = Executor::new(&NormalScore { variance: 1.25 }, &noise).run(&plan, state, &ids).unwrap();
    assert_eq!(outcome.evaluations, 1);
    let draws = noise.normals(Stream::Corrector, 0, 0, &Support::vector(rows as usize, 1), &ids);
    // One scale: β_0 = σ_0² = 0.1², and the only step is the last.
    for ((found, x), z) in outcome.state.components[0].to_host().unwrap().iter().zip(&start).zip(&draws) {
        let score = -x / 1.25;
        let step = if score == 0.0 { 0.0 } else { 2.0 * (0.2 * z.abs() / score.abs()).powi(2) };
        let expected = x + step * score + 0.7 * (2.0 * step).sqrt() * z + 0.01 * score;
        assert!((found - expected).abs() < 1e-9 * (1.0 + expected.abs()), "{found} {expected}");
    }
}
