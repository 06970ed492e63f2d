//! Stochastic samplers: published deviations, identities between methods, and stationary laws.

use std::sync::OnceLock;

use burn::tensor::{DType, Device, Tensor};
use equidrift_laws::figures::{Accept, Figure};
use equidrift_laws::gaussian::{GaussianData, Moments};
use equidrift_sampler::path::{BetaSchedule, DiscreteDdpm};
use equidrift_sampler::plan::{
    Ancestral, AncestralChain, AncestralVariance, AnnealedLangevin, Corrector, DpmSolverPlusPlus,
    EulerMaruyama, Heun, PerComponent, Predictor, PredictorCorrector, ReverseDiffusion, SdeDpmSolverPlusPlus,
};
use equidrift_sampler::{
    DenoiseError, Denoiser, Executor, KeyedNoise, NoiseSource, Op, PathConfig, Plan, Planner, PredictionKind,
    SamplerConfig, State, Stream, Support, TimeGrid,
};

pub(crate) const VP: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
pub(crate) const VE: PathConfig = PathConfig::VarianceExploding { beta_min: 0.01, beta_max: 10.0 };

pub(crate) fn moments(
    planner: &dyn Planner,
    data: &GaussianData,
    path: &PathConfig,
    steps: usize,
) -> Moments {
    let plan = planner.plan(std::slice::from_ref(path), steps).unwrap();
    data.moments(&plan, &[path.build().prior_std()]).unwrap()
}

/// The standard deviation returned for data N(0, 0.25) on the VP path.
fn returned_sd(planner: &dyn Planner, steps: usize) -> f64 {
    moments(planner, &GaussianData::single(0.0, 0.5), &VP, steps).covariance[(0, 0)].sqrt()
}

fn sde(order: u8) -> SdeDpmSolverPlusPlus {
    SdeDpmSolverPlusPlus { order, t_end: Some(1e-3), denoise: false, ..Default::default() }
}

/// Published standard deviations for data N(0, 0.25), VP(0.1, 20), exact score, end time 1e-3 (target 0.50008).
fn published_deviations() -> Vec<Figure> {
    let end = VP.build().marginal(1e-3);
    let exact = GaussianData::single(0.0, 0.5).noised(&[end]).covariance[(0, 0)].sqrt();
    let fine = returned_sd(&sde(2), 1600);
    let mut figures = vec![
        Figure::new("L3", "sd of the law at t = 0.001, the target", 0.50008, Accept::Absolute(5e-6), exact),
        Figure::new("L3", "sd, SDE-DPM-Solver++2M, 1600 steps", 0.50008, Accept::Absolute(1e-5), fine),
    ];
    for (noise_removal, name, euler, reverse, ancestral) in [
        (false, "", [0.5042, 0.5016, 0.5004], [0.5071, 0.5036, 0.5020], [0.5008, 0.5011, 0.5014]),
        (
            true,
            " without last noise",
            [0.5030, 0.5011, 0.5002],
            [0.5061, 0.5033, 0.5019],
            [0.4998, 0.5007, 0.5013],
        ),
    ] {
        let samplers: [(&str, Box<dyn Planner>, [f64; 3]); 3] = [
            ("Euler-Maruyama", Box::new(EulerMaruyama { eps: 1e-3, noise_removal }), euler),
            ("reverse diffusion", Box::new(ReverseDiffusion { eps: 1e-3, noise_removal }), reverse),
            ("ancestral", Box::new(Ancestral { eps: 1e-3, noise_removal, ..Default::default() }), ancestral),
        ];
        for (sampler, planner, expected) in samplers {
            for (steps, expected) in [100, 250, 1000].into_iter().zip(expected) {
                let what = format!("sd, {sampler}{name}, {steps} steps");
                let measured = returned_sd(planner.as_ref(), steps);
                figures.push(Figure::new("L3", what, expected, Accept::Absolute(5e-4), measured));
            }
        }
    }
    for (steps, expected) in [(5, 0.2675), (10, 0.3339), (20, 0.4011), (50, 0.4558), (100, 0.4771)] {
        let what = format!("sd, SDE-DPM-Solver++1, {steps} steps");
        let measured = returned_sd(&sde(1), steps);
        figures.push(Figure::new("L3", what, expected, Accept::Absolute(5e-4), measured));
    }
    // Not published: from the same recursion in a separate program.
    for (steps, expected) in [(5, 0.44884), (10, 0.51868), (20, 0.51537), (50, 0.50306), (100, 0.50084)] {
        let what = format!("sd, SDE-DPM-Solver++2M, {steps} steps (derived)");
        let measured = returned_sd(&sde(2), steps);
        figures.push(Figure::new("L3", what, expected, Accept::Absolute(5e-5), measured));
    }
    figures
}

/// The final slope of the error of the standard deviation. The exact answer is the variance at t = 1e-3.
fn weak_order(order: u8) -> f64 {
    let end = VP.build().marginal(1e-3);
    let exact = GaussianData::single(0.0, 0.5).noised(&[end]).covariance[(0, 0)].sqrt();
    let error = |steps| (returned_sd(&sde(order), steps) - exact).abs();
    (error(800) / error(1600)).log2()
}

/// Scores of N(0, v) in any dimension.
pub(crate) struct NormalScore {
    pub(crate) variance: f64,
}

impl Denoiser for NormalScore {
    fn kinds(&self) -> &[PredictionKind] {
        &[PredictionKind::Score]
    }
    fn predict(&self, state: &State, _times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        Ok(state.components.iter().map(|c| c.values.clone().mul_scalar(-1.0 / self.variance)).collect())
    }
}

/// Rows 2i and 2i + 1 draw the same numbers with opposite signs, so that odd terms of an average vanish.
struct Antithetic(KeyedNoise);

impl NoiseSource for Antithetic {
    fn normals(
        &self,
        stream: Stream,
        step: u32,
        component: usize,
        support: &Support,
        ids: &[u64],
    ) -> Vec<f64> {
        let halves: Vec<u64> = ids.iter().map(|id| id / 2).collect();
        let mut values = self.0.normals(stream, step, component, support, &halves);
        if stream == Stream::Corrector {
            for (row, id) in values.chunks_exact_mut(support.width()).zip(ids) {
                if id % 2 == 1 {
                    row.iter_mut().for_each(|value| *value = -*value);
                }
            }
        }
        values
    }
}

/// The relative change of the variance of N(0, v) by one Langevin correction of norms, in `dim` dimensions.
fn correction_by_norms(snr: f64, dim: usize) -> f64 {
    let (rows, variance) = (20_000, 2.25);
    let path = PathConfig::VarianceExploding { beta_min: 0.1, beta_max: 1.5 };
    let sampler = PredictorCorrector { snr: snr.into(), scale_eps: 1.0.into(), ..Default::default() };
    let mut plan = sampler.plan(std::slice::from_ref(&path), 1).unwrap();
    plan.steps[0].ops.truncate(2);
    let noise = Antithetic(KeyedNoise::new(11));
    let ids: Vec<u64> = (0..rows).collect();
    let supports = vec![Support::vector(ids.len(), dim)];
    // The prior is N(0, 1.5²) = N(0, v).
    let state = State::prior(&["x"], &[path], supports, &ids, &noise, &Device::flex(), DType::F64).unwrap();
    let square = |state: &State| -> f64 {
        state.components[0].to_host().unwrap().iter().map(|value| value * value).sum()
    };
    let before = square(&state);
    let outcome = Executor::new(&NormalScore { variance }, &noise).run(&plan, state, &ids).unwrap();
    square(&outcome.state) / before - 1.0
}

/// The stationary variance of the fixed-step corrector at data N(0, ½²) on the VE path at t = 1, relative to the law's.
fn stationary_by_fixed_steps(snr: f64) -> f64 {
    let path = PathConfig::VarianceExploding { beta_min: 0.1, beta_max: 1.0 };
    let sampler = PredictorCorrector {
        corrector: Corrector::AnnealedLangevin,
        snr: snr.into(),
        scale_eps: 1.0.into(),
        n_steps: (30.0 / (snr * snr)) as usize,
        ..Default::default()
    };
    let mut plan = sampler.plan(std::slice::from_ref(&path), 1).unwrap();
    // Without the predictor.
    let operations = plan.steps[0].ops.len() - 2;
    plan.steps[0].ops.truncate(operations);
    let data = GaussianData::single(0.0, 0.5);
    let law = data.noised(&[path.build().marginal(1.0)]).covariance[(0, 0)];
    data.moments(&plan, &[1.0]).unwrap().covariance[(0, 0)] / law - 1.0
}

fn corrector_figures() -> Vec<Figure> {
    let mut figures = Vec::new();
    let dim = 18;
    for snr in [0.2, 0.1, 0.05] {
        let d = dim as f64;
        let expected = 4.0 * snr * snr * (4.0 + snr * snr * (d + 2.0)) / (d - 2.0);
        let what = format!("relative change of variance by one Langevin correction, snr {snr}, D = {dim}");
        let measured = correction_by_norms(snr, dim);
        figures.push(Figure::new("C9", what, expected, Accept::Relative(0.05), measured));
    }
    for snr in [0.4, 0.2, 0.1] {
        // Data N(0, ¼), σ = 1: v = 1.25.
        let expected = 1.0 / (1.0 - snr * snr / 1.25) - 1.0;
        let what = format!("stationary variance of the fixed-step corrector, snr {snr}, relative excess");
        let measured = stationary_by_fixed_steps(snr);
        figures.push(Figure::new("C9", what, expected, Accept::Relative(1e-6), measured));
    }
    figures
}

/// Every published or derived number of the stochastic samplers.
pub(crate) fn figures() -> &'static [Figure] {
    static FIGURES: OnceLock<Vec<Figure>> = OnceLock::new();
    FIGURES.get_or_init(|| {
        let mut figures = published_deviations();
        for (order, name) in [(1, "1"), (2, "2M")] {
            let what = format!("weak order of SDE-DPM-Solver++{name}, 800 to 1600 steps");
            let expected = f64::from(order);
            figures.push(Figure::new("L3", what, expected, Accept::Absolute(0.1), weak_order(order)));
        }
        figures.extend(corrector_figures());
        figures
    })
}

#[test]
fn figures_are_reproduced() {
    for figure in figures() {
        println!("{figure}");
    }
    for figure in figures() {
        figure.check();
    }
}

/// The largest difference of the coefficients of all combinations, noise included. The plans must have the same
/// combinations; a term that is left out counts as zero.
fn difference(a: &Plan, b: &Plan) -> f64 {
    let combinations = |plan: &Plan| -> Vec<Vec<f64>> {
        plan.ops()
            .filter_map(|op| match op {
                Op::Combine { terms, noise, .. } => {
                    let used = terms.iter().filter(|term| term.coefficients != [0.0]);
                    let mut values: Vec<f64> = used.flat_map(|term| term.coefficients.clone()).collect();
                    values.push(noise.as_ref().map_or(0.0, |noise| noise.coefficients[0]));
                    Some(values)
                }
                _ => None,
            })
            .collect()
    };
    let (a, b) = (combinations(a), combinations(b));
    assert_eq!(a.iter().map(Vec::len).collect::<Vec<_>>(), b.iter().map(Vec::len).collect::<Vec<_>>());
    a.iter().flatten().zip(b.iter().flatten()).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
}

#[test]
fn without_noise_the_sde_solver_is_the_ode_solver() {
    for order in [1, 2] {
        for path in [VP, VE] {
            let ode = DpmSolverPlusPlus { order, ..Default::default() };
            let sde = SdeDpmSolverPlusPlus { order, eta: 0.0.into(), ..Default::default() };
            let worst = difference(
                &ode.plan(std::slice::from_ref(&path), 12).unwrap(),
                &sde.plan(std::slice::from_ref(&path), 12).unwrap(),
            );
            assert!(worst < 1e-13, "order {order}, {}: {worst:.2e}", path.name());
        }
    }
}

#[test]
fn each_component_has_its_own_share_of_the_noise() {
    let sde = |eta: PerComponent| SdeDpmSolverPlusPlus { eta, ..Default::default() };
    let paths = [VP, VP];
    let mixed = sde(vec![0.0, 1.7].into()).plan(&paths, 9).unwrap();
    let coefficients = |plan: &Plan, component: usize| -> Vec<f64> {
        let of = |op: &Op| match op {
            Op::Combine { terms, noise, .. } => {
                let mut values: Vec<f64> = terms.iter().map(|term| term.coefficients[component]).collect();
                values.push(noise.as_ref().map_or(0.0, |noise| noise.coefficients[component]));
                values
            }
            _ => Vec::new(),
        };
        plan.ops().flat_map(of).collect()
    };
    for (component, eta) in [0.0, 1.7].into_iter().enumerate() {
        let alone = sde(eta.into()).plan(&paths, 9).unwrap();
        assert_eq!(coefficients(&mixed, component), coefficients(&alone, component));
    }
    assert_ne!(coefficients(&mixed, 0), coefficients(&mixed, 1));
    assert!(sde(vec![1.0].into()).plan(&paths, 9).is_err());
    assert!(sde((-1.0).into()).plan(&paths, 9).is_err());
}

/// A share of noise that changes on the way leaves the law, and the order, as they are; a slope followed further has the right
/// limit, too, and loses less variance.
#[test]
fn noise_may_change_on_the_way_and_slopes_be_followed_further() {
    let plain = sde(2);
    let swelling = SdeDpmSolverPlusPlus { eta: 0.5.into(), eta_middle: Some(2.5.into()), ..plain.clone() };
    let exact = {
        let end = VP.build().marginal(1e-3);
        GaussianData::single(0.0, 0.5).noised(&[end]).covariance[(0, 0)].sqrt()
    };
    let error = |planner: &SdeDpmSolverPlusPlus, steps| (returned_sd(planner, steps) - exact).abs();
    let order = (error(&swelling, 800) / error(&swelling, 1600)).log2();
    assert!(error(&swelling, 1600) < 1e-4 && (order - 2.0).abs() < 0.2, "order {order}");
    let further = SdeDpmSolverPlusPlus { extrapolation: 1.5, ..plain.clone() };
    let order = (error(&further, 800) / error(&further, 1600)).log2();
    assert!(error(&further, 1600) < 1e-2 && (order - 1.0).abs() < 0.2, "order {order}");
    assert!(returned_sd(&further, 20) > returned_sd(&plain, 20));

    // The middle is t = 1/2, the ends have what `eta` says; the same number in both places is no change.
    let same = SdeDpmSolverPlusPlus { eta_middle: Some(1.0.into()), ..plain.clone() };
    let paths = [VP];
    assert_eq!(same.plan(&paths, 7).unwrap(), plain.plan(&paths, 7).unwrap());
    let grid = TimeGrid::Explicit(vec![0.5, 0.25, 1e-3]);
    let at = |eta: f64| SdeDpmSolverPlusPlus { eta: eta.into(), grid: grid.clone(), ..plain.clone() };
    let mixed = SdeDpmSolverPlusPlus { eta_middle: Some(2.5.into()), ..at(0.5) };
    let first = |planner: &SdeDpmSolverPlusPlus| planner.plan(&paths, 2).unwrap().steps[0].clone();
    assert_eq!(first(&mixed), first(&at(2.5)));
    for bad in [
        SdeDpmSolverPlusPlus { eta_middle: Some((-0.1).into()), ..plain.clone() },
        SdeDpmSolverPlusPlus { extrapolation: f64::NAN, ..plain.clone() },
        SdeDpmSolverPlusPlus { extrapolation: -1.0, ..plain.clone() },
    ] {
        assert!(bad.plan(&paths, 7).is_err());
    }
}

/// The posterior step with β̃ is the first-order exponential step of the reverse SDE, and both are DDPM's formula.
#[test]
fn ancestral_sampling_is_one_method_in_three_writings() {
    let steps = 50;
    let chain = Ancestral {
        chain: Some(AncestralChain::Marginals),
        variance: AncestralVariance::BetaTilde,
        ..Default::default()
    };
    let grid = TimeGrid::Explicit((1..=steps).rev().map(|k| k as f64 / steps as f64).collect());
    let exponential = SdeDpmSolverPlusPlus { order: 1, grid, ..Default::default() };
    let betas = BetaSchedule::Linear { first: 0.1 / steps as f64, last: 20.0 / steps as f64 };
    let ddpm = DiscreteDdpm::new(steps, betas).unwrap();
    let discrete = PathConfig::DiscreteDdpm(ddpm.clone());
    for path in [&VP, &VE, &discrete] {
        let paths = std::slice::from_ref(path);
        let worst = difference(&chain.plan(paths, steps).unwrap(), &exponential.plan(paths, steps).unwrap());
        assert!(worst < 1e-13, "{}: {worst:.2e}", path.name());
    }
    for (variance, posterior) in [(AncestralVariance::Beta, false), (AncestralVariance::BetaTilde, true)] {
        let chain = Ancestral { variance, noise_removal: false, ..chain.clone() };
        let plan = chain.plan(std::slice::from_ref(&discrete), steps).unwrap();
        // The chain of scales of the continuous VP path has the same β.
        let scales = Ancestral { chain: Some(AncestralChain::Scales), ..chain };
        let scales = scales.plan(&[VP], steps).unwrap();
        let combinations = |plan: &Plan| -> Vec<(f64, f64, f64)> {
            plan.ops()
                .filter_map(|op| match op {
                    Op::Combine { terms, noise, .. } => Some((
                        terms[0].coefficients[0],
                        terms[1].coefficients[0],
                        noise.as_ref().map_or(0.0, |noise| noise.coefficients[0]),
                    )),
                    _ => None,
                })
                .collect()
        };
        let (plan, scales) = (combinations(&plan), combinations(&scales));
        for (index, k) in (0..steps).rev().enumerate() {
            let (beta, bar) = (ddpm.beta(k), ddpm.alpha_bar(k));
            let before = if k == 0 { 1.0 } else { ddpm.alpha_bar(k - 1) };
            let variance = if posterior { beta * (1.0 - before) / (1.0 - bar) } else { beta };
            // x̂₀ = (x + σ² s)/α turns the step for x̂₀ into the one for s.
            let (state, x0, noise) = plan[index];
            let (found_state, found_score) = (state + x0 / bar.sqrt(), x0 * (1.0 - bar) / bar.sqrt());
            let factor = (1.0 - beta).sqrt();
            for (found, expected) in [
                (found_state, 1.0 / factor),
                (found_score, beta / factor),
                (noise, variance.sqrt()),
                (scales[index].0, 1.0 / factor),
                (scales[index].1, beta / factor),
                (scales[index].2, variance.sqrt()),
            ] {
                assert!((found - expected).abs() < 1e-11, "{variance:?} {k}: {found} {expected}");
            }
        }
    }
}

/// VE: `x + (σ_k² − σ_{k−1}²) s + √(σ_{k−1}² (σ_k² − σ_{k−1}²)/σ_k²) z` on geometric levels, σ_{−1} = 0.
#[test]
fn ancestral_sampling_of_exploding_variance_is_as_published() {
    let steps = 20;
    let level = |k: usize| 0.01 * 1000.0_f64.powf(k as f64 / (steps - 1) as f64);
    let plan = Ancestral { noise_removal: false, ..Default::default() }.plan(&[VE], steps).unwrap();
    let tilde =
        Ancestral { noise_removal: false, variance: AncestralVariance::BetaTilde, ..Default::default() };
    let worst = difference(&plan, &tilde.plan(&[VE], steps).unwrap());
    assert!(worst < 1e-11, "{worst:.2e}");
    for (step, index) in plan.steps.iter().zip(0..) {
        let k = (step.time * (steps - 1) as f64) as usize;
        let (now, before) = (level(k), if k == 0 { 0.0 } else { level(k - 1) });
        let beta = now * now - before * before;
        let Some(Op::Combine { terms, noise, .. }) = step.ops.last() else { panic!() };
        assert_eq!(terms[0].coefficients[0], 1.0);
        assert!((terms[1].coefficients[0] - beta).abs() < 1e-11 * now * now);
        let found = noise.as_ref().map_or(0.0, |noise| noise.coefficients[0]);
        let expected = (before * before * beta / (now * now)).sqrt();
        assert!((found - expected).abs() < 1e-9 * now, "step {index}: {found} {expected}");
    }
}

#[test]
fn ancestral_scales_need_a_published_chain() {
    let sub = PathConfig::SubVariancePreserving { beta_min: 0.1, beta_max: 20.0 };
    assert!(Ancestral::default().plan(&[VP, sub.clone()], 100).is_ok());
    let scales = Ancestral { chain: Some(AncestralChain::Scales), ..Default::default() };
    let error = scales.plan(&[VP, sub.clone()], 100).unwrap_err().to_string();
    assert!(error.contains("component 1"), "{error}");
    let predictor = PredictorCorrector { predictor: Predictor::Ancestral, ..Default::default() };
    assert!(predictor.plan(&[sub], 100).is_err());
}

/// Churn raises the noise level and nothing else: it takes the law of the noised data at s to that at the raised time.
#[test]
fn churn_keeps_the_law_of_the_noised_data() {
    let deterministic = Heun::default();
    let (low, high) = (0.05, 3.0);
    for path in [VP, VE] {
        let paths = std::slice::from_ref(&path);
        let built = path.build();
        let churned = Heun { s_churn: 10.0, s_min: low, s_max: Some(high), ..Default::default() };
        let plan = churned.plan(paths, 30).unwrap();
        assert_eq!(plan.evaluations(), deterministic.plan(paths, 30).unwrap().evaluations());
        let mut raised = 0;
        for step in &plan.steps {
            let level = (-built.lambda(step.time)).exp();
            let [Op::Combine { terms, noise: Some(noise), .. }, Op::Eval { time, .. }, ..] = &step.ops[..]
            else {
                assert_eq!(step.time, plan.steps[29].time, "the final denoising is not churned");
                continue;
            };
            let time = *time;
            if noise.coefficients[0] == 0.0 {
                assert!(!(low..=high).contains(&level), "{} {level}", path.name());
                assert_eq!((time, terms[0].coefficients[0]), (step.time, 1.0));
                continue;
            }
            raised += 1;
            assert!((low..=high).contains(&level) && noise.stream == Stream::Churn);
            let gamma = (-built.lambda(time)).exp() / level - 1.0;
            assert!((gamma - 10.0 / 30.0).abs() < 1e-9, "{gamma}");
            let law =
                |time| GaussianData::single(0.0, 0.4).noised(&[built.marginal(time)]).covariance[(0, 0)];
            let after = terms[0].coefficients[0].powi(2) * law(step.time) + noise.coefficients[0].powi(2);
            assert!((after / law(time) - 1.0).abs() < 1e-12, "{after} {}", law(time));
        }
        assert!(raised > 5, "{raised}");
        // The factor is cut at √2 − 1, and the first step stays at the start of the path.
        let wild = Heun { s_churn: 1e9, ..Default::default() }.plan(paths, 30).unwrap();
        let Op::Eval { time, .. } = wild.steps[0].ops[1] else { panic!() };
        assert_eq!(time, 1.0);
        let Op::Eval { time, .. } = wild.steps[15].ops[1] else { panic!() };
        let ratio = (built.lambda(wild.steps[15].time) - built.lambda(time)).exp();
        assert!((ratio - std::f64::consts::SQRT_2).abs() < 1e-9);
        // The data's law is returned; without churn the mean keeps what the prior lacks, as the exact flow does.
        let data = GaussianData::single(0.7, 0.4);
        let (start, end) = (built.marginal(1.0), built.marginal(1e-4));
        let ratio =
            (data.noised(&[end]).covariance[(0, 0)] / data.noised(&[start]).covariance[(0, 0)]).sqrt();
        let flow = 0.7 * (1.0 - start.alpha * ratio);
        for (s_churn, expected) in [(0.0, flow), (40.0, 0.7)] {
            let got = moments(&Heun { s_churn, ..Default::default() }, &data, &path, 300);
            let (mean, sd) = (got.mean[0], got.covariance[(0, 0)].sqrt());
            println!("{} churn {s_churn}: {mean:.5} ({expected:.5}) {sd:.5}", path.name());
            assert!((mean - expected).abs() < 1e-3 && (sd - 0.4).abs() < 2e-3, "{mean} {sd}");
        }
        let loud = Heun { s_churn: 40.0, s_noise: 1.05, ..Default::default() };
        assert!(moments(&loud, &data, &path, 300).covariance[(0, 0)].sqrt() > 0.401);
    }
    let json = serde_json::to_string(&SamplerConfig::Heun(deterministic)).unwrap();
    assert!(!json.contains("s_"), "{json}");
    assert!(Heun { s_churn: -1.0, ..Default::default() }.plan(&[VP], 5).is_err());
}

/// On a path that also shrinks the data the dynamics runs in x/α.
#[test]
fn annealed_langevin_works_on_any_path() {
    let data = GaussianData::single(0.7, 0.4);
    for path in [VP, VE, PathConfig::SubVariancePreserving { beta_min: 0.1, beta_max: 20.0 }] {
        let sampler = AnnealedLangevin { relative_step: 1.0.into(), t_end: Some(1e-3), ..Default::default() };
        let got = moments(&sampler, &data, &path, 400);
        let (mean, sd) = (got.mean[0], got.covariance[(0, 0)].sqrt());
        println!("{}: {mean:.5} {sd:.5}", path.name());
        assert!((mean / 0.7 - 1.0).abs() < 0.02 && (sd / 0.4 - 1.0).abs() < 0.02, "{mean} {sd}");
    }
    let without_noise = AnnealedLangevin { t_end: Some(0.0), ..Default::default() };
    assert!(without_noise.plan(&[VE], 10).is_ok() && without_noise.plan(&[VP], 10).is_err());
    assert!(AnnealedLangevin { relative_step: 2.0.into(), ..Default::default() }.plan(&[VE], 10).is_err());
    assert!(AnnealedLangevin { steps_each: 0, ..Default::default() }.plan(&[VE], 10).is_err());
    let tweedie = AnnealedLangevin { final_denoise: true, ..Default::default() };
    assert_eq!(tweedie.plan(&[VE], 10).unwrap().evaluations(), 51);
    assert_eq!(tweedie.evaluations(10, 1), 51);
}
