//! Interpolants: paths, plans, heads and losses, one property at a time.

use burn::tensor::{DType, Device, Tensor};
use equidrift_laws::gaussian::{GaussianData, Moments};
use equidrift_laws::gaussian_interpolant::{Affine, GaussianEnds, GaussianInterpolantDenoiser};
use equidrift_sampler::path::{Gamma, Interpolant, Path, TwoSidedFamily};
use equidrift_sampler::plan::{Diffusion, InterpolantOde, InterpolantSde, SamplerConfig, StochasticScheme};
use equidrift_sampler::steer::ComposedVelocity;
use equidrift_sampler::{
    Component, DenoiseError, Denoiser, Executor, KeyedNoise, NoiseSource, PathConfig, Planner,
    PredictionKind, SamplerError, State, Stream, Support, TimeGrid,
};
use equidrift_train::{InterpolantDraw, InterpolantLoss};
use nalgebra::{DMatrix, DVector};

use crate::interpolants::{
    FLOW, LINEAR, MIRROR, ONE_SIDED, TRIGONOMETRIC, TWO_SIDED, coefficients, denoiser, ends, plan, sde,
};

#[test]
fn both_ends_are_exact_and_slopes_are_derivatives() {
    for path in TWO_SIDED.map(|(_, path)| path).into_iter().chain(ONE_SIDED).chain([MIRROR]) {
        PathConfig::Interpolant(path).validate().unwrap();
        let (data, base) = (path.marginal(0.0), path.marginal(1.0));
        assert_eq!((data.alpha, data.base, data.sigma), (1.0, 0.0, 0.0), "{path:?}");
        let expected = match path {
            Interpolant::TwoSided { .. } => (0.0, 1.0, 0.0),
            Interpolant::OneSided { .. } => (0.0, 0.0, 1.0),
            Interpolant::Mirror { .. } => (1.0, 0.0, 0.0),
        };
        assert_eq!((base.alpha, base.base, base.sigma), expected, "{path:?}");
        for t in [0.0, 1e-9, 0.2, 0.5, 0.7, 1.0] {
            let m = path.marginal(t);
            assert!([m.d_alpha, m.d_base, m.d_sigma].iter().all(|slope| slope.is_finite()), "{path:?} {t}");
        }
        for t in [0.03, 0.2, 0.45, 0.6, 0.97] {
            let (m, h) = (path.marginal(t), 1e-6);
            let (after, before) = (path.marginal(t + h), path.marginal(t - h));
            for (slope, after, before) in [
                (m.d_alpha, after.alpha, before.alpha),
                (m.d_base, after.base, before.base),
                (m.d_sigma, after.sigma, before.sigma),
                (path.noise_rate(t), 0.5 * after.sigma.powi(2), 0.5 * before.sigma.powi(2)),
            ] {
                assert!(
                    (slope - (after - before) / (2.0 * h)).abs() < 1e-7 * (1.0 + slope.abs()),
                    "{path:?} {t}"
                );
            }
        }
    }
}

#[test]
fn one_sided_paths_are_noising_paths() {
    for path in ONE_SIDED {
        assert!(path.ends_in_noise() && path.lambda(path.t_max()).is_finite());
        for i in 1..1000 {
            let t = f64::from(i) / 1000.0;
            assert!((path.inverse_lambda(path.lambda(t)) - t).abs() < 1e-13, "{path:?} {t}");
            let (m, g) = (path.marginal(t), path.diffusion(t));
            let from_marginal = 2.0 * m.sigma * (m.d_sigma - path.drift_coefficient(t) * m.sigma);
            assert!((g * g / from_marginal - 1.0).abs() < 1e-11, "{path:?} {t}");
        }
        // Any sampler for noise runs on them.
        let config = [PathConfig::Interpolant(path)];
        let prior = [path.prior_std()];
        for name in ["heun", "dpm-solver++", "interpolant-ode", "interpolant-sde"] {
            let plan = SamplerConfig::by_name(name).unwrap().plan(&config, 60).unwrap();
            let data = GaussianData::single(0.7, 0.4);
            let moments = data.moments(&plan, &prior).unwrap();
            let (mean, sd) = (moments.mean[0], moments.covariance[(0, 0)].sqrt());
            println!("{name} {path:?}: {mean:.4} {sd:.4}");
            assert!((mean - 0.7).abs() < 5e-3 && (sd - 0.4).abs() < 5e-3, "{name}: {mean} {sd}");
        }
    }
}

/// The velocity samplers follow every path that ends in noise, through the conversions of the score.
#[test]
fn velocity_samplers_follow_diffusion_paths() {
    let data = GaussianData::single(0.7, 0.4);
    let sub = PathConfig::SubVariancePreserving { beta_min: 0.1, beta_max: 20.0 };
    for path in [PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 }, sub] {
        let prior = [path.build().prior_std()];
        for config in [
            SamplerConfig::InterpolantOde(InterpolantOde::default()),
            SamplerConfig::InterpolantSde(InterpolantSde::default()),
        ] {
            let plan = config.plan(std::slice::from_ref(&path), 1000).unwrap();
            let moments = data.moments(&plan, &prior).unwrap();
            let (mean, sd) = (moments.mean[0], moments.covariance[(0, 0)].sqrt());
            println!("{} {}: {mean:.4} {sd:.4}", path.name(), config.name());
            assert!((mean - 0.7).abs() < 7e-3 && (sd - 0.4).abs() < 7e-3, "{mean} {sd}");
        }
    }
}

#[test]
fn json_round_trip_and_what_does_not_go_together() {
    for path in TWO_SIDED.map(|(_, path)| path).into_iter().chain(ONE_SIDED).chain([MIRROR]) {
        let config = PathConfig::Interpolant(path);
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<PathConfig>(&text).unwrap(), config, "{text}");
    }
    let text = r#"{"type": "interpolant", "ends": "two-sided", "family": "linear", "gamma": {"brownian": {"a": 1.0}}}"#;
    assert_eq!(serde_json::from_str::<PathConfig>(text).unwrap(), PathConfig::Interpolant(LINEAR));
    let two = |family, gamma| PathConfig::Interpolant(Interpolant::TwoSided { family, gamma });
    for (bad, word) in [
        (two(TwoSidedFamily::Linear, Gamma::Brownian { a: -1.0 }), "a = -1"),
        (two(TwoSidedFamily::Trigonometric, Gamma::SineSquared), "gamma(1/2) = 1"),
        (two(TwoSidedFamily::EncodingDecoding, Gamma::None), "gamma(1/2) = 0"),
        (PathConfig::Interpolant(Interpolant::Mirror { gamma: Gamma::None }), "gamma(1/2) = 0"),
    ] {
        let error = bad.validate().unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn samplers_for_noise_refuse_two_ended_paths() {
    let config = [PathConfig::Interpolant(LINEAR)];
    for sampler in SamplerConfig::all() {
        let result = sampler.plan(&config, 10);
        if sampler.name().starts_with("interpolant") {
            assert_eq!(result.unwrap().evaluations(), sampler.planner().evaluations(10, 1));
        } else {
            assert!(matches!(result, Err(SamplerError::UnsupportedPath { .. })), "{}", sampler.name());
        }
    }
    let grid = InterpolantOde { grid: TimeGrid::UniformLambda, ..InterpolantOde::default() };
    assert!(matches!(grid.plan(&config, 10), Err(SamplerError::UnsupportedPath { .. })));
    let negative =
        InterpolantSde { diffusion: Diffusion::Constant { value: -0.1 }, ..InterpolantSde::default() };
    assert!(matches!(negative.plan(&config, 10), Err(SamplerError::Option { option: "diffusion", .. })));
    let (ids, noise) = ([0, 1], KeyedNoise::new(1));
    let supports = vec![Support::vector(2, 1)];
    let prior = State::prior(&["x"], &config, supports, &ids, &noise, &Device::flex(), DType::F64);
    assert!(matches!(prior, Err(SamplerError::UnsupportedPath { .. })));
}

#[test]
fn cost_is_as_announced() {
    for path in [LINEAR, FLOW] {
        for (order, at_data, steps) in [(1, false, 7), (2, false, 13), (2, true, 14)] {
            let ode = InterpolantOde { order, evaluate_at_data: at_data, ..InterpolantOde::default() };
            let plan = plan(&ode, path, 7);
            assert_eq!((plan.evaluations(), ode.evaluations(7, 1)), (steps, steps));
        }
        for (scheme, steps) in [
            (StochasticScheme::EulerMaruyama, 7),
            (StochasticScheme::Heun, 13),
            (StochasticScheme::NoiseFirst, 13),
        ] {
            let sde = InterpolantSde { scheme, ..InterpolantSde::default() };
            assert_eq!((plan(&sde, path, 7).evaluations(), sde.evaluations(7, 1)), (steps, steps));
        }
        let grid = TimeGrid::Explicit(vec![0.9, 0.5, 0.1]);
        let ode = InterpolantOde { grid, ..InterpolantOde::default() };
        assert_eq!((plan(&ode, path, 2).evaluations(), ode.evaluations(2, 1)), (4, 4));
    }
}

/// Samples of a normal law as a state of one component.
fn normal_state(mean: f64, sd: f64, ids: &[u64], noise: &KeyedNoise) -> State {
    let support = Support::vector(ids.len(), 1);
    let mut values = noise.normals(Stream::Prior, 0, 0, &support, ids);
    values.iter_mut().for_each(|value| *value = mean + sd * *value);
    State::new(vec![Component::from_host("x", values, support, &Device::flex(), DType::F64).unwrap()])
        .unwrap()
}

fn sample_moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n)
}

/// The executor with two heads does what the recursion says, at one evaluation per step; so does one velocity head with
/// conversions on a path that ends in noise.
#[test]
fn executor_agrees_with_the_recursion() {
    let ids: Vec<u64> = (0..20_000).collect();
    let noise = KeyedNoise::new(5);
    let check = |values: &[f64], exact: &Moments| {
        let (mean, variance) = sample_moments(values);
        let (expected, n) = (exact.covariance[(0, 0)], values.len() as f64);
        assert!((mean - exact.mean[0]).abs() < 4.5 * (expected / n).sqrt(), "{mean} {}", exact.mean[0]);
        assert!((variance / expected - 1.0).abs() < 4.5 * (2.0 / n).sqrt(), "{variance} {expected}");
    };
    let schemes = [StochasticScheme::Heun, StochasticScheme::NoiseFirst];
    for ((_, path), scheme) in TWO_SIDED.into_iter().flat_map(|pair| schemes.map(|scheme| (pair, scheme))) {
        let sampler = sde(0.5, scheme);
        let two_headed = denoiser(ends(), path);
        let plan = plan(&sampler, path, 12);
        let start = normal_state(-0.5, 1.2, &ids, &noise);
        let outcome = Executor::new(&two_headed, &noise).run(&plan, start, &ids).unwrap();
        assert_eq!((outcome.evaluations, outcome.failures.len()), (24, 0));
        let exact = two_headed.moments(&plan, &two_headed.law(1.0)).unwrap();
        check(&outcome.state.components[0].to_host().unwrap(), &exact);
    }
    // One head and conversions, evaluated at t = 1 itself and never at 0.
    let config = [PathConfig::Interpolant(FLOW)];
    let data = GaussianData::single(0.7, 0.4);
    let ends = GaussianEnds::independent((0.7, 0.4), (0.0, 1.0));
    let one_headed =
        GaussianInterpolantDenoiser::new(vec![ends], vec![FLOW], &[PredictionKind::Velocity]).unwrap();
    let sampler = InterpolantSde { t_start: Some(1.0), ..InterpolantSde::default() };
    let plan = sampler.plan(&config, 12).unwrap();
    let outcome =
        Executor::new(&one_headed, &noise).run(&plan, normal_state(0.0, 1.0, &ids, &noise), &ids).unwrap();
    assert_eq!((outcome.evaluations, outcome.failures.len()), (12, 0));
    let start = Moments { mean: DVector::zeros(1), covariance: DMatrix::identity(1, 1) };
    let exact = one_headed.moments(&plan, &start).unwrap();
    check(&outcome.state.components[0].to_host().unwrap(), &exact);
    // The fields of the interpolant are those of the noising path.
    let plan = InterpolantSde::default().plan(&config, 12).unwrap();
    let (exact, converted) =
        (one_headed.moments(&plan, &start).unwrap(), data.moments(&plan, &[1.0]).unwrap());
    assert!((&converted.covariance - &exact.covariance).amax() < 1e-12, "{converted:?} {exact:?}");
}

/// On a two-ended path velocity and score do not follow from one another, latent noise and score do.
#[test]
fn heads_of_a_two_ended_network() {
    let ids = [0, 1, 2];
    let noise = KeyedNoise::new(5);
    let run = |heads: &[PredictionKind]| {
        let denoiser = GaussianInterpolantDenoiser::new(vec![ends()], vec![LINEAR], heads).unwrap();
        let sampler = InterpolantSde { t_start: Some(0.99), ..InterpolantSde::default() };
        let state = normal_state(-0.5, 1.2, &ids, &noise);
        let outcome = Executor::new(&denoiser, &noise).run(&plan(&sampler, LINEAR, 8), state, &ids)?;
        outcome.state.components[0].to_host()
    };
    let [with_score, with_noise] = [PredictionKind::Score, PredictionKind::Noise]
        .map(|kind| run(&[PredictionKind::Velocity, kind]).unwrap());
    for (a, b) in with_score.iter().zip(&with_noise) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }
    let error = run(&[PredictionKind::Velocity]).unwrap_err();
    assert!(matches!(error, SamplerError::NoConversion { want: PredictionKind::Score, .. }), "{error}");
}

/// The exact interpolation velocity and latent noise (or score).
#[derive(Debug)]
struct InterpolationHeads {
    path: Interpolant,
    kinds: [PredictionKind; 2],
}

impl Denoiser for InterpolationHeads {
    fn kinds(&self) -> &[PredictionKind] {
        &self.kinds
    }
    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let host = state.components[0].to_host().unwrap();
        let predict = |field: &dyn Fn(f64) -> Affine| {
            let values = host.iter().zip(times).map(|(x, t)| field(*t).at(*x)).collect();
            state.with_values(vec![values]).unwrap().components[0].values.clone()
        };
        Ok(vec![
            predict(&|t| ends().interpolation_velocity(&self.path, t)),
            predict(&|t| ends().field(&self.path, t, self.kinds[1]).unwrap()),
        ])
    }
}

#[test]
fn velocity_composed_of_interpolation_velocity_and_noise() {
    let ids: Vec<u64> = (0..5).collect();
    let noise = KeyedNoise::new(5);
    let sampler = InterpolantSde { t_start: Some(0.99), ..sde(0.5, StochasticScheme::EulerMaruyama) };
    for (_, path) in TWO_SIDED {
        let plan = plan(&sampler, path, 8);
        let run = |denoiser: &dyn Denoiser| {
            let start = normal_state(-0.5, 1.2, &ids, &noise);
            let outcome = Executor::new(denoiser, &noise).run(&plan, start, &ids).unwrap();
            outcome.state.components[0].to_host().unwrap()
        };
        let expected = run(&denoiser(ends(), path));
        for kind in [PredictionKind::Noise, PredictionKind::Score] {
            let heads = InterpolationHeads { path, kinds: [PredictionKind::Velocity, kind] };
            let composed = run(&ComposedVelocity::new(heads, vec![path]).unwrap());
            for (a, b) in composed.iter().zip(&expected) {
                assert!((a - b).abs() < 1e-12, "{path:?} {kind:?}: {a} {b}");
            }
        }
        let wrong = InterpolationHeads { path, kinds: [PredictionKind::Velocity, PredictionKind::X0] };
        assert!(matches!(ComposedVelocity::new(wrong, vec![path]), Err(SamplerError::NoConversion { .. })));
    }
}

#[test]
fn losses_check_their_lengths_and_have_true_gradients() {
    let c = coefficients(TRIGONOMETRIC, 0.3);
    let (data, base, z) = ([0.3, -1.0], [0.7, 0.2], [0.5, -1.5]);
    let draw = InterpolantDraw { data: &data, base: &base, noise: &z };
    let short = InterpolantDraw { noise: &z[..1], ..draw };
    assert!(c.inputs(&short).is_err());
    let [plus, minus] = c.inputs(&draw).unwrap();
    for i in 0..2 {
        assert!((plus[i] - minus[i] - 2.0 * c.noise * z[i]).abs() < 1e-15);
    }
    let predictions = [[0.4, -0.9], [1.1, 0.2]];
    for loss in [
        InterpolantLoss::Velocity,
        InterpolantLoss::Noise,
        InterpolantLoss::Score,
        InterpolantLoss::InterpolationVelocity,
    ] {
        let value = |predictions: &[[f64; 2]; 2]| {
            let mut gradients = [[0.0; 2]; 2];
            let [first, second] = &mut gradients;
            let value =
                loss.evaluate_pair(&c, &draw, [&predictions[0], &predictions[1]], [first, second]).unwrap();
            (value, gradients)
        };
        let (sum, gradients) = value(&predictions);
        let mut gradient = [0.0; 2];
        let first = loss.evaluate(&c, &draw, &predictions[0], &mut gradient).unwrap();
        assert_eq!(gradient, gradients[0]);
        let opposite = z.map(|z| -z);
        let flipped = InterpolantDraw { noise: &opposite, ..draw };
        let second = loss.evaluate(&c, &flipped, &predictions[1], &mut gradient).unwrap();
        assert!((first + second - sum).abs() < 1e-13, "{loss:?}");
        for (sign, i) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let h = 1e-6;
            let (mut up, mut down) = (predictions, predictions);
            up[sign][i] += h;
            down[sign][i] -= h;
            let slope = (value(&up).0 - value(&down).0) / (2.0 * h);
            assert!((slope - gradients[sign][i]).abs() < 1e-8, "{loss:?} {slope}");
        }
        assert!(loss.evaluate(&c, &draw, &[0.0], &mut gradient).is_err());
    }
}
