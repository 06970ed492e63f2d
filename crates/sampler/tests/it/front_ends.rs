//! Three formulations, one engine: DDPM, NCSN and score SDE on the same exact denoiser.

use std::sync::{Mutex, OnceLock};

use burn::tensor::{DType, Device, Tensor};
use equidrift_laws::figures::{Accept, Figure};
use equidrift_laws::gaussian::{GaussianData, GaussianDenoiser};
use equidrift_laws::mixture::{Mixture, MixtureDenoiser};
use equidrift_sampler::front_end::{Ddpm, Formulation, Ncsn, ScoreSde, TimeEmbeddingKind};
use equidrift_sampler::plan::{Ancestral, AncestralVariance, Corrector, Predictor};
use equidrift_sampler::{
    DenoiseError, Denoiser, Executor, KeyedNoise, PathConfig, Planner, PredictionKind, State, Support,
};

/// L1 with the numbers of C9: N(0.7, 0.4²).
fn data() -> GaussianData {
    GaussianData::single(0.7, 0.4)
}

/// DDPM with the β of the VP path from 0.1 to 20.
fn ddpm(steps: usize, variance: AncestralVariance) -> Formulation {
    let n = steps as f64;
    Ddpm { steps, beta_start: 0.1 / n, beta_end: 20.0 / n, variance }.formulation().unwrap()
}

/// Levels from 10 to 0.01; the step size at which the standard deviation is 0.8 % too large by the closed form.
fn ncsn(levels: usize, steps_each: usize, excess: f64) -> Ncsn {
    let levels = Ncsn { sigma_begin: 10.0, sigma_end: 0.01, levels, steps_each, ..Default::default() };
    levels.with_variance_excess(excess).unwrap()
}

/// Mean and standard deviation that a formulation returns, by the exact recursion.
fn returned(formulation: &Formulation, data: &GaussianData) -> (f64, f64) {
    let prior = formulation.path.build().prior_std();
    let moments = data.moments(&formulation.plan(1).unwrap(), &[prior]).unwrap();
    (moments.mean[0], moments.covariance[(0, 0)].sqrt())
}

/// The formulations at 1000 evaluations, each with the discretisation error of its standard deviation that is known for
/// it, relative.
fn thousand() -> Vec<(&'static str, Formulation, f64)> {
    let sde = |predictor, scheme: ScoreSde| ScoreSde { predictor, corrector: Corrector::None, ..scheme };
    let vp = ScoreSde::variance_preserving();
    let mut ve = ScoreSde::variance_exploding();
    ve.sde = equidrift_sampler::front_end::Sde::VarianceExploding { sigma_min: 0.01, sigma_max: 10.0 };
    vec![
        ("DDPM, beta", ddpm(1000, AncestralVariance::Beta), 0.003),
        ("DDPM, posterior variance", ddpm(1000, AncestralVariance::BetaTilde), 0.012),
        ("NCSN, 200 levels of 5", ncsn(200, 5, 0.01).formulation().unwrap(), 0.006),
        ("score SDE, VP, Euler-Maruyama", sde(Predictor::Euler, vp.clone()).formulation().unwrap(), 0.006),
        ("score SDE, VP, ancestral", sde(Predictor::Ancestral, vp).formulation().unwrap(), 0.006),
        ("score SDE, VE, reverse", sde(Predictor::Reverse, ve).formulation().unwrap(), 0.02),
    ]
}

fn compute() -> Vec<Figure> {
    let mut figures = Vec::new();
    let unit = GaussianData::single(0.0, 0.5);
    for (steps, expected) in [(250, 0.5011), (1000, 0.5014)] {
        let chain = Ancestral { eps: 1e-3, noise_removal: false, ..Default::default() };
        let vp = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
        let plan = chain.plan(&[vp], steps).unwrap();
        let sd = unit.moments(&plan, &[1.0]).unwrap().covariance[(0, 0)].sqrt();
        let what = format!("(i) sd, DDPM steps on the VP SDE, {steps} steps, last-step noise");
        figures.push(Figure::new("C7", what, expected, Accept::Absolute(5e-4), sd));
    }
    // The chain with its own ᾱ: sd − 0.5 falls like 1/N, so 2 sd(2N) − sd(N) shows the limit.
    for variance in [AncestralVariance::Beta, AncestralVariance::BetaTilde] {
        let sd = |steps| returned(&ddpm(steps, variance), &unit).1;
        let limit = 2.0 * sd(2000) - sd(1000);
        let what = format!("(i) sd, DDPM with {variance:?}, N to infinity");
        figures.push(Figure::new("C7", what, 0.5, Accept::Absolute(2e-4), limit));
    }
    let excess = 0.016;
    let langevin = ncsn(100, 5, excess);
    let (mean, sd) = returned(&langevin.formulation().unwrap(), &data());
    let setting = "annealed Langevin, sigma 10 to 0.01, L = 100, M = 5";
    figures.push(Figure::new("C7", format!("(ii) mean, {setting}"), 0.7, Accept::Relative(0.02), mean));
    figures.push(Figure::new("C7", format!("(ii) sd, {setting}"), 0.4, Accept::Relative(0.02), sd));
    let bound = format!("(ii) relative error of the sd, {setting}, at most");
    figures.push(Figure::new("C7", bound, 0.01, Accept::AtMost, sd / 0.4 - 1.0));
    let closed = format!("(ii) relative excess of the variance by the closed form, {setting}");
    let measured = sd * sd / 0.16 - 1.0;
    figures.push(Figure::new("C7", closed, excess, Accept::Relative(0.1), measured));
    for (name, formulation, error) in thousand() {
        let (mean, sd) = returned(&formulation, &data());
        figures.push(Figure::new("C7", format!("(iii) mean, {name}"), 0.7, Accept::Relative(error), mean));
        figures.push(Figure::new("C7", format!("(iii) sd, {name}"), 0.4, Accept::Relative(error), sd));
    }
    for (name, size, worst) in kinds_agree() {
        let what =
            format!("(iii) one network as noise, score and x0: largest difference / {size}, f32, {name}");
        figures.push(Figure::new("C7", what, 1e-6, Accept::AtMost, worst / size));
    }
    figures
}

/// Every number of C7.
pub(crate) fn figures() -> &'static [Figure] {
    static FIGURES: OnceLock<Vec<Figure>> = OnceLock::new();
    FIGURES.get_or_init(compute)
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

fn sample(formulation: &Formulation, denoiser: &dyn Denoiser, rows: usize, dtype: DType) -> Vec<f64> {
    let noise = KeyedNoise::new(21);
    let ids: Vec<u64> = (0..rows as u64).collect();
    let supports = vec![Support::vector(rows, 1)];
    let paths = formulation.paths(1);
    let state = State::prior(&["x"], &paths, supports, &ids, &noise, &Device::flex(), dtype).unwrap();
    let plan = formulation.plan(1).unwrap();
    let outcome = Executor::new(&denoiser, &noise).run(&plan, state, &ids).unwrap();
    assert!(outcome.failures.is_empty());
    outcome.state.components[0].to_host().unwrap()
}

/// The exact denoiser in three disguises gives the same single-precision samples: name, standard deviation of the largest
/// states of the run, whose digits limit the agreement, and largest difference.
fn kinds_agree() -> Vec<(&'static str, f64, f64)> {
    let mut formulations = vec![
        ("DDPM", ddpm(100, AncestralVariance::Beta)),
        ("NCSN", ncsn(30, 5, 0.06).formulation().unwrap()),
    ];
    let sde = |predictor| ScoreSde { predictor, steps: 50, ..ScoreSde::variance_preserving() };
    formulations.push(("DDIM", sde(Predictor::Ddim).formulation().unwrap()));
    formulations.push(("SDE-DPM-Solver++1", sde(Predictor::SdeDpmSolverPlusPlus).formulation().unwrap()));
    formulations
        .into_iter()
        .map(|(name, formulation)| {
            let samples = |kind| {
                let denoiser = GaussianDenoiser::new(data(), formulation.paths(1), kind);
                sample(&formulation, &denoiser, 256, DType::F32)
            };
            let noise = samples(PredictionKind::Noise);
            let worst = [PredictionKind::Score, PredictionKind::X0]
                .into_iter()
                .flat_map(|kind| {
                    let other = samples(kind);
                    noise.iter().zip(other).map(|(a, b)| (a - b).abs()).collect::<Vec<f64>>()
                })
                .fold(0.0, f64::max);
            (name, formulation.path.build().prior_std(), worst)
        })
        .collect()
}

/// Not only on a Gaussian: the weights and places of two modes come out alike.
#[test]
fn formulations_agree_on_a_mixture() {
    let rows = 2000;
    let mixture = Mixture::two_modes();
    // Mean and standard deviation of the mixture.
    let parts = || mixture.weights.iter().zip(&mixture.means).zip(&mixture.sds);
    let mean: f64 = parts().map(|((w, m), _)| w * m).sum();
    let variance: f64 = parts().map(|((w, m), s)| w * (s * s + (m - mean) * (m - mean))).sum();
    let tolerance = 4.5 / (rows as f64).sqrt();
    for (name, formulation, error) in thousand() {
        let path = formulation.path.clone();
        let denoiser = MixtureDenoiser::new(mixture.clone(), path, PredictionKind::Noise);
        let samples = sample(&formulation, &denoiser, rows, DType::F64);
        let n = rows as f64;
        let found = samples.iter().sum::<f64>() / n;
        let sd = (samples.iter().map(|x| (x - found) * (x - found)).sum::<f64>() / n).sqrt();
        let left = samples.iter().filter(|x| **x < -0.3).count() as f64 / n;
        println!("{name}: mean {found:.4} ({mean:.4}), sd {sd:.4} ({:.4}), left {left:.4}", variance.sqrt());
        assert!((found - mean).abs() < (tolerance + error) * variance.sqrt(), "{name}: mean {found}");
        assert!((sd / variance.sqrt() - 1.0).abs() < tolerance + error, "{name}: sd {sd}");
        assert!((left - 0.3).abs() < 0.5 * tolerance + error, "{name}: weight {left}");
    }
}

/// Notes what it is told.
struct Listening(Mutex<Vec<f64>>, [PredictionKind; 1]);

impl Denoiser for Listening {
    fn kinds(&self) -> &[PredictionKind] {
        &self.1
    }
    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        assert!(times.windows(2).all(|pair| pair[0] == pair[1]));
        self.0.lock().unwrap().push(times[0]);
        Ok(vec![state.components[0].values.zeros_like()])
    }
}

/// The labels of each formulation as its network knows them.
#[test]
fn networks_are_told_their_own_labels() {
    let close = |found: &[f64], expected: &[f64]| {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-9 * (1.0 + b.abs()), "{found:?} {expected:?}");
        }
    };
    let ddpm = Ddpm { steps: 10, ..Default::default() }.formulation().unwrap();
    let whole: Vec<f64> = (0..10).rev().map(f64::from).collect();
    assert_eq!(ddpm.labels().unwrap(), whole);
    let listening = Listening(Mutex::default(), [PredictionKind::Noise]);
    let noise = KeyedNoise::new(1);
    let ids = [7, 8, 9];
    let state = State::prior(
        &["x"],
        &ddpm.paths(1),
        vec![Support::vector(3, 2)],
        &ids,
        &noise,
        &Device::flex(),
        DType::F64,
    );
    let outcome = ddpm.sample(&listening, &noise, state.unwrap(), &ids).unwrap();
    assert_eq!(outcome.evaluations, 10);
    assert_eq!(*listening.0.lock().unwrap(), whole);
    // Re-spaced to every other step of the chain.
    let respaced = Formulation { steps: 5, ..ddpm };
    assert_eq!(respaced.labels().unwrap(), [9.0, 7.0, 5.0, 3.0, 1.0]);
    let ncsn = Ncsn { levels: 3, steps_each: 2, ..Default::default() }.formulation().unwrap();
    close(&ncsn.labels().unwrap(), &[1.0, 1.0, 0.1, 0.1, 0.01, 0.01]);
    let sde = ScoreSde { steps: 3, ..ScoreSde::variance_preserving() }.formulation().unwrap();
    close(&sde.labels().unwrap(), &[999.0, 999.0 * 0.5005, 0.999]);
    let ve = ScoreSde { steps: 2, ..ScoreSde::variance_exploding() }.formulation().unwrap();
    let last = 0.01 * 5000.0_f64.powf(1e-5);
    close(&ve.labels().unwrap(), &[50.0, 50.0, last, last]);
    let path = PathConfig::VarianceExploding { beta_min: 0.01, beta_max: 1.0 }.build();
    for (kind, expected) in [
        (TimeEmbeddingKind::Time, 0.5),
        (TimeEmbeddingKind::Affine { factor: 1000.0, offset: -1.0 }, 499.0),
        (TimeEmbeddingKind::LevelIndex { levels: 3 }, 1.0),
        (TimeEmbeddingKind::Sigma, 0.1),
        (TimeEmbeddingKind::LogSigma { factor: 0.25 }, 0.25 * 0.1_f64.ln()),
    ] {
        close(&[kind.label(path.as_ref(), 0.5)], &[expected]);
        let json = serde_json::to_string(&kind).unwrap();
        assert_eq!(serde_json::from_str::<TimeEmbeddingKind>(&json).unwrap(), kind);
    }
}

#[test]
fn unusable_formulations_are_refused() {
    assert!(Ddpm { steps: 0, ..Default::default() }.formulation().is_err());
    assert!(Ddpm { beta_end: 1.5, ..Default::default() }.formulation().is_err());
    assert!(Ncsn { sigma_end: 2.0, ..Default::default() }.formulation().is_err());
    let unstable = Ncsn { step_size: 1.0, ..Default::default() }.formulation().unwrap();
    assert!(unstable.plan(1).is_err());
    // 100 levels of 5 steps cannot be more accurate than 1.4 % in the variance.
    assert!(
        Ncsn { sigma_begin: 10.0, levels: 100, steps_each: 5, ..Default::default() }
            .with_variance_excess(0.01)
            .is_none()
    );
    assert!(ScoreSde::sub_variance_preserving().formulation().unwrap().plan(2).is_ok());
}
