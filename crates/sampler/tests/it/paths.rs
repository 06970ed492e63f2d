//! Paths against the reference table and against their own identities.

use std::sync::OnceLock;

use equidrift_laws::figures::{Accept, Figure};
use equidrift_laws::reference::reference_dir;
use equidrift_sampler::path::{
    BetaSchedule, Cosine, DiscreteDdpm, Edm, EdmPreconditioning, MeanReverting, Path, ReversionSchedule,
    Tabulated, start_time,
};
use equidrift_sampler::{PathConfig, TimeGrid};
use serde::Deserialize;

#[derive(Deserialize)]
struct Row {
    #[serde(rename = "type")]
    kind: String,
    min: f64,
    max: f64,
    #[serde(rename = "N")]
    scales: usize,
    t: f64,
    mean_coef: f64,
    std: f64,
    drift_coef: f64,
    diffusion: f64,
    disc_f_coef: f64,
    #[serde(rename = "disc_G")]
    disc_g: f64,
    trans_dt: Option<f64>,
    trans_mean_coef: Option<f64>,
    trans_std: Option<f64>,
}

#[test]
fn every_row_of_the_reference_table() {
    let Some(dir) = reference_dir() else { return };
    let text = std::fs::read_to_string(dir.join("gdss/sde.golden.json")).unwrap();
    let rows: Vec<Row> = serde_json::from_str(&text).unwrap();
    assert!(!rows.is_empty());
    let mut worst = 0.0f64;
    for row in &rows {
        let json = format!(r#"{{"type": "{}", "beta_min": {}, "beta_max": {}}}"#, row.kind, row.min, row.max);
        let path = serde_json::from_str::<PathConfig>(&json).unwrap().build();
        let discretised = path.discretised(row.t, row.scales);
        let mut pairs = vec![
            ("mean", path.alpha(row.t), row.mean_coef),
            ("std", path.sigma(row.t), row.std),
            ("drift", path.drift_coefficient(row.t), row.drift_coef),
            ("diffusion", path.diffusion(row.t), row.diffusion),
            ("discretised F", discretised.drift, row.disc_f_coef),
            ("discretised G", discretised.noise, row.disc_g),
        ];
        if let (Some(dt), Some(mean), Some(std)) = (row.trans_dt, row.trans_mean_coef, row.trans_std) {
            let transition = path.transition(row.t, dt).unwrap();
            pairs.extend([
                ("transition mean", transition.mean, mean),
                ("transition std", transition.std, std),
            ]);
        }
        for (what, found, expected) in pairs {
            let error = (found - expected).abs();
            worst = worst.max(error);
            assert!(
                error <= 1e-9,
                "{} N = {} t = {}: {what} {found} {expected}",
                row.kind,
                row.scales,
                row.t
            );
        }
    }
    println!("{} rows, largest difference {worst:.2e}", rows.len());
}

const PATHS: [PathConfig; 5] = [
    PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 },
    PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 1.0 },
    PathConfig::VarianceExploding { beta_min: 0.1, beta_max: 1.0 },
    PathConfig::VarianceExploding { beta_min: 0.01, beta_max: 50.0 },
    PathConfig::SubVariancePreserving { beta_min: 0.1, beta_max: 20.0 },
];

fn discrete(steps: usize, betas: BetaSchedule) -> PathConfig {
    PathConfig::DiscreteDdpm(DiscreteDdpm::new(steps, betas).unwrap())
}

/// The table of a path at `count` even times, from time 0 as α and σ, or from 1e-3 as logarithms.
fn table(path: &dyn Path, count: usize, logarithms: bool) -> Tabulated {
    let from = if logarithms { 1e-3 } else { 0.0 };
    let times: Vec<f64> =
        (0..count).map(|i| from + (1.0 - from) * (i as f64 / (count - 1) as f64).powi(2)).collect();
    let values = |of: &dyn Fn(f64) -> f64| times.iter().map(|&t| of(t)).collect();
    if logarithms {
        let (a, b) = (values(&|t| path.log_alpha(t)), values(&|t| path.sigma(t).ln()));
        Tabulated::from_logarithms(times, a, b).unwrap()
    } else {
        let (a, b) = (values(&|t| path.alpha(t)), values(&|t| path.sigma(t)));
        Tabulated::from_coefficients(times, a, b).unwrap()
    }
}

/// α = 1 − t, σ = t.
fn straight(count: usize) -> Tabulated {
    let times: Vec<f64> = (0..count).map(|i| i as f64 / (count - 1) as f64).collect();
    let alpha = times.iter().map(|t| 1.0 - t).collect();
    Tabulated::from_coefficients(times.clone(), alpha, times).unwrap()
}

/// Every kind of path that ends in noise.
fn paths() -> Vec<PathConfig> {
    let mut paths = PATHS.to_vec();
    let theta = ReversionSchedule::Constant;
    paths.extend([
        PathConfig::Cosine(Cosine::default()),
        PathConfig::Cosine(Cosine { offset: 0.0, t_max: 0.99 }),
        discrete(1000, BetaSchedule::default()),
        discrete(100, BetaSchedule::SquaredCosine),
        PathConfig::Edm(Edm::default()),
        PathConfig::MeanReverting(MeanReverting::published(0.2)),
        PathConfig::MeanReverting(MeanReverting { sigma_inf: 1.5, delta: 0.05, theta }),
        PathConfig::Tabulated(table(PATHS[0].build().as_ref(), 100, true)),
        PathConfig::Tabulated(table(PATHS[3].build().as_ref(), 100, true)),
        PathConfig::Tabulated(table(PATHS[0].build().as_ref(), 100, false)),
        PathConfig::Tabulated(straight(33)),
    ]);
    paths
}

#[test]
fn lambda_decreases_and_inverts() {
    for config in paths() {
        let path = config.build();
        let (mut before, mut worst) = (f64::INFINITY, 0.0f64);
        for i in 1..=400 {
            let t = path.t_max() * (f64::from(i) / 400.0).powi(3);
            let lambda = path.lambda(t);
            assert!(lambda < before && lambda.is_finite(), "{config:?} {t}");
            before = lambda;
            let back = path.inverse_lambda(lambda);
            let error = (path.lambda(back) - lambda).abs();
            worst = worst.max(error);
            assert!((back - t).abs() <= 1e-10, "{} t = {t}, back {back}", config.name());
            assert!(error <= 1e-10 * (1.0 + lambda.abs()), "{} t = {t}, lambda {error:e}", config.name());
        }
        println!("{}: {worst:.1e}", config.name());
    }
}

/// The derivatives in a marginal are those of α and σ, and g² = dσ²/dt − 2 f σ².
#[test]
fn marginals_are_consistent() {
    for config in paths() {
        let path = config.build();
        // Between the labels and table points of the paths made of pieces.
        for t in [0.0105, 0.1015, 0.5005, 0.9005] {
            let m = path.marginal(t);
            let h = 1e-6;
            let slope = |of: &dyn Fn(f64) -> f64| (of(t + h) - of(t - h)) / (2.0 * h);
            let d_alpha = slope(&|t| path.alpha(t));
            let d_sigma = slope(&|t| path.sigma(t));
            let (f, g) = (path.drift_coefficient(t), path.diffusion(t));
            let square = slope(&|t| path.sigma(t).powi(2)) - 2.0 * f * m.sigma * m.sigma;
            let scale = 1.0 + d_alpha.abs() + d_sigma.abs() + g * g;
            for (what, found, expected) in [
                ("alpha", m.alpha, path.log_alpha(t).exp()),
                ("sigma", m.sigma, path.sigma(t)),
                ("lambda", path.lambda(t), (m.alpha / m.sigma).ln()),
                ("d alpha", m.d_alpha, d_alpha),
                ("d sigma", m.d_sigma, d_sigma),
                ("f", f, slope(&|t| path.log_alpha(t))),
                ("g squared", g * g, square),
            ] {
                let error = (found - expected).abs();
                assert!(error < 2e-6 * scale, "{} {what} at {t}: {found} {expected}", config.name());
            }
        }
    }
}

#[test]
fn marginals_are_finite_where_the_path_is_used() {
    for config in paths() {
        let path = config.build();
        for i in 0..=200 {
            let t = path.t_max() * 1e-9f64.powf(f64::from(i) / 200.0);
            let m = path.marginal(t);
            let discretised = path.discretised(t, 50);
            let transition = path.transition(t, -0.01);
            for value in [
                m.alpha,
                m.sigma,
                m.d_alpha,
                m.d_sigma,
                path.lambda(t),
                path.drift_coefficient(t),
                path.diffusion(t),
                discretised.drift,
                discretised.noise,
                path.langevin_alpha(t, 50),
                transition.map_or(0.0, |step| step.mean + step.std),
            ] {
                assert!(value.is_finite(), "{} at {t}: {m:?} {discretised:?} {transition:?}", config.name());
            }
            assert!(m.alpha > 0.0 && m.sigma > 0.0 && m.base == 0.0, "{} at {t}", config.name());
        }
        assert!(path.prior_std() > 0.0 && path.prior_std().is_finite());
    }
}

#[test]
fn paths_are_data() {
    for config in paths() {
        config.validate().unwrap();
        let json = serde_json::to_string(&config).unwrap();
        let back: PathConfig = serde_json::from_str(&json).unwrap();
        assert_eq!(back, config);
        assert!(json.starts_with(&format!(r#"{{"type":"{}""#, config.name())), "{json}");
        assert_eq!(config.name(), config.build().name());
    }
    let read = |json: &str| serde_json::from_str::<PathConfig>(json).unwrap();
    assert_eq!(read(r#"{"type": "VP", "beta_min": 0.1, "beta_max": 20.0}"#), PATHS[0]);
    assert_eq!(read(r#"{"type": "cosine"}"#), PathConfig::Cosine(Cosine::default()));
    assert_eq!(read(r#"{"type": "discrete-ddpm"}"#), discrete(1000, BetaSchedule::default()));
    assert_eq!(
        read(r#"{"type": "discrete-ddpm", "steps": 100, "betas": {"schedule": "squared-cosine"}}"#),
        discrete(100, BetaSchedule::SquaredCosine)
    );
    assert_eq!(
        read(r#"{"type": "mean-reverting", "sigma_inf": 0.2}"#),
        PathConfig::MeanReverting(MeanReverting::published(0.2))
    );
    assert_eq!(
        read(r#"{"type": "tabulated", "times": [0, 1], "alpha": [1, 0], "sigma": [0, 1]}"#),
        PathConfig::Tabulated(straight(2))
    );
}

/// A table of a smooth path comes close to it, and closer with more points.
#[test]
fn tables_follow_their_path() {
    let exact = PATHS[0].build();
    let deviation = |table: Tabulated| {
        let path = PathConfig::Tabulated(table).build();
        (1..200)
            .map(|i| {
                let t = 0.01 + 0.98 * f64::from(i) / 200.0;
                let (a, b) = (path.marginal(t), exact.marginal(t));
                (path.lambda(t) - exact.lambda(t)).abs() + 0.01 * (a.d_sigma - b.d_sigma).abs()
            })
            .fold(0.0, f64::max)
    };
    for logarithms in [false, true] {
        let coarse = deviation(table(exact.as_ref(), 60, logarithms));
        let fine = deviation(table(exact.as_ref(), 240, logarithms));
        println!("{coarse:.1e} {fine:.1e}");
        assert!(fine < 2e-3 && fine < coarse / 8.0, "{coarse:e} {fine:e}");
    }
}

/// The discrete chain: β_k, ᾱ_k and its labels, and the same numbers from the continuous clock.
#[test]
fn the_discrete_chain_is_on_the_clock() {
    for betas in [BetaSchedule::default(), BetaSchedule::SquaredCosine] {
        let chain = DiscreteDdpm::new(100, betas).unwrap();
        let path = PathConfig::DiscreteDdpm(chain.clone()).build();
        let mut product = 1.0;
        for k in 0..100 {
            let beta = chain.beta(k);
            product *= 1.0 - beta;
            assert!((chain.alpha_bar(k) / product - 1.0).abs() < 1e-10);
            let label = chain.label(k);
            assert!((path.alpha(label).powi(2) / product - 1.0).abs() < 1e-10);
            assert!((path.sigma(label).powi(2) - (1.0 - product)).abs() < 1e-12);
            // The scale index of a time inside (k/99, (k+1)/99).
            let discretised = path.discretised((k as f64 + 0.5) / 99.0, 100);
            assert!((discretised.noise - beta.sqrt()).abs() < 1e-10, "{k}");
            assert!((discretised.drift - ((1.0 - beta).sqrt() - 1.0)).abs() < 1e-12);
            assert!((path.langevin_alpha((k as f64 + 0.5) / 99.0, 100) - (1.0 - beta)).abs() < 1e-12);
        }
    }
}

/// θ integrates to −ln α, and is proportional to 1 − cos²(u_t)/cos²(u_0).
#[test]
fn mean_reversion_follows_its_rate() {
    let process = MeanReverting::published(0.3);
    let shape = |t: f64| {
        let cos = |t: f64| ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos();
        1.0 - (cos(t) / cos(0.0)).powi(2)
    };
    let factor = process.theta(1.0) / shape(1.0);
    let mut integral = 0.0;
    for i in 0..10_000 {
        let t = (f64::from(i) + 0.5) / 10_000.0;
        assert!((process.theta(t) - factor * shape(t)).abs() < 1e-10 * factor, "{t}");
        integral += process.theta(t) / 10_000.0;
        if i % 1000 == 999 {
            assert!((process.log_alpha(f64::from(i + 1) / 10_000.0) + integral).abs() < 1e-7);
        }
    }
}

/// The constants around EDM's raw network, against their definition.
#[test]
fn preconditioning_keeps_unit_variance() {
    for (sigma, data) in [(0.002, 0.5), (1.0, 0.5), (80.0, 0.3)] {
        let c = EdmPreconditioning::new(sigma, data);
        assert!((c.input * (sigma * sigma + data * data).sqrt() - 1.0).abs() < 1e-14);
        // The target of F, (x₀ − skip x)/output, has variance 1: c_out² = (1 − skip)² σ_d² + skip² σ².
        let variance = ((1.0 - c.skip) * data).powi(2) + (c.skip * sigma).powi(2);
        assert!((variance / (c.output * c.output) - 1.0).abs() < 1e-12);
        assert!((c.noise - 0.25 * sigma.ln()).abs() < 1e-15);
        assert!((c.skip - data * data / (sigma * sigma + data * data)).abs() < 1e-15);
    }
}

pub(crate) fn figures() -> &'static [Figure] {
    static FIGURES: OnceLock<Vec<Figure>> = OnceLock::new();
    FIGURES.get_or_init(|| {
        let mut figures = Vec::new();
        let mut add = |what: &str, expected, accept, measured| {
            figures.push(Figure::new("paths", what, expected, accept, measured));
        };
        let vp = PATHS[0].build();
        // The closed inverse as published, with β from 0.1 to 20.
        let published = |lambda: f64| {
            let q = 2.0 * 19.9 * (-2.0 * lambda).exp().ln_1p();
            q / (((0.01 + q).sqrt() + 0.1) * 19.9)
        };
        let worst = (-20..=60)
            .map(|i| 0.25 * f64::from(i))
            .map(|lambda| (vp.inverse_lambda(lambda) / published(lambda) - 1.0).abs())
            .fold(0.0, f64::max);
        add("VP: inverse of λ against the published formula, relative", 1e-12, Accept::AtMost, worst);
        let cosine = PathConfig::Cosine(Cosine::default()).build();
        let formula = |t: f64| {
            let cos = |t: f64| ((t + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos();
            cos(t) / cos(0.0)
        };
        let worst = (0..=1000)
            .map(|i| 0.9946 * f64::from(i) / 1000.0)
            .map(|t| (cosine.alpha(t) - formula(t)).abs())
            .fold(0.0, f64::max);
        add("cosine: α against its formula", 1e-14, Accept::AtMost, worst);
        add(
            "cosine: α at T = 0.9946",
            formula(0.9946),
            Accept::Relative(1e-10),
            cosine.alpha(cosine.t_max()),
        );
        let edm = PathConfig::Edm(Edm::default()).build();
        let karras = |i: i32, n: i32| {
            let (low, high) = (0.002f64.powf(1.0 / 7.0), 80.0f64.powf(1.0 / 7.0));
            (high + f64::from(i) / f64::from(n - 1) * (low - high)).powi(7)
        };
        let worst = (0..18)
            .map(|i| (edm.sigma(1.0 - f64::from(i) / 17.0) / karras(i, 18) - 1.0).abs())
            .fold(0.0, f64::max);
        add("EDM: an even grid of 18 times is the Karras grid, relative", 1e-12, Accept::AtMost, worst);
        let chain = DiscreteDdpm::new(1000, BetaSchedule::default()).unwrap();
        add(
            "DDPM, 1000 linear β: ᾱ at the last step",
            4.0358e-5,
            Accept::Relative(1e-4),
            chain.alpha_bar(999),
        );
        let reverting = PathConfig::MeanReverting(MeanReverting::published(0.2)).build();
        add("mean-reverting: α at t = 1 is δ", 0.01, Accept::Relative(1e-12), reverting.alpha(1.0));
        let worst = paths()
            .iter()
            .flat_map(|config| {
                let path = config.build();
                (1..=100).map(move |i| {
                    let t = path.t_max() * f64::from(i) / 100.0;
                    (path.inverse_lambda(path.lambda(t)) - t).abs()
                })
            })
            .fold(0.0, f64::max);
        add("every path: inverse of λ at λ, largest error in t", 1e-10, Accept::AtMost, worst);
        figures
    })
}

#[test]
fn figures_are_met() {
    for figure in figures() {
        println!("{figure}");
        figure.check();
    }
}

#[test]
fn grids_decrease_and_hit_both_ends() {
    let grids =
        [TimeGrid::UniformTime, TimeGrid::UniformLambda, TimeGrid::Quadratic, TimeGrid::Karras { rho: 7.0 }];
    for paths in [&PATHS[..1], &PATHS[1..3], &PATHS[..]] {
        for grid in &grids {
            let nodes = grid.nodes(paths, 25, 1.0, 1e-3).unwrap();
            assert_eq!((nodes.len(), nodes[0], nodes[25]), (26, 1.0, 1e-3));
            assert!(nodes.windows(2).all(|pair| pair[1] < pair[0]), "{grid:?}");
        }
    }
    // Even in λ means just that, for one path and for the mean of two.
    for paths in [&PATHS[..1], &PATHS[1..3]] {
        let mean = |t: f64| paths.iter().map(|p| p.build().lambda(t)).sum::<f64>() / paths.len() as f64;
        let nodes = TimeGrid::UniformLambda.nodes(paths, 10, 1.0, 1e-3).unwrap();
        let step = (mean(1e-3) - mean(1.0)) / 10.0;
        for pair in nodes.windows(2) {
            assert!((mean(pair[1]) - mean(pair[0]) - step).abs() < 1e-9);
        }
    }
    assert!(TimeGrid::UniformTime.nodes(&PATHS[..1], 0, 1.0, 1e-3).is_err());
    assert!(TimeGrid::UniformTime.nodes(&PATHS[..1], 5, 1.0, 0.0).is_err());
    assert!(TimeGrid::Explicit(vec![1.0, 0.5, 0.6]).nodes(&PATHS[..1], 2, 1.0, 1e-3).is_err());
    assert_eq!(TimeGrid::Explicit(vec![1.0, 0.5]).nodes(&PATHS[..1], 1, 1.0, 1e-3).unwrap(), [1.0, 0.5]);
    // A path whose λ is infinite at t = 1 is entered earlier.
    let cosine = [PathConfig::Tabulated(straight(9)), PATHS[0].clone()];
    let start = start_time(&[cosine[0].build(), cosine[1].build()]);
    assert!(start < 1.0 && start > 0.99, "{start}");
    for grid in &grids {
        let nodes = grid.nodes(&cosine, 10, start, 1e-3).unwrap();
        assert_eq!((nodes[0], nodes[10]), (start, 1e-3));
        assert!(nodes.windows(2).all(|pair| pair[1] < pair[0]), "{grid:?}");
    }
    assert!(TimeGrid::UniformLambda.nodes(&cosine, 10, 1.0, 1e-3).is_err());
    assert!(TimeGrid::Explicit(vec![1.0, 0.5]).nodes(&cosine, 1, start, 1e-3).is_err());
}

#[test]
fn unusable_parameters_are_named() {
    let bad = PathConfig::VarianceExploding { beta_min: 0.0, beta_max: 1.0 };
    assert!(bad.validate().unwrap_err().to_string().contains("beta_min"));
    let bad = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: f64::NAN };
    assert!(bad.validate().unwrap_err().to_string().contains("beta_max"));
    for (json, word) in [
        (r#"{"type": "quartic"}"#, "quartic"),
        (r#"{"type": "cosine", "ofset": 1}"#, "ofset"),
        (r#"{"type": "discrete-ddpm", "steps": 0}"#, "steps"),
        (r#"{"type": "discrete-ddpm", "betas": {"schedule": "linear", "first": 0.1, "last": 1.5}}"#, "betas"),
        (r#"{"type": "tabulated", "times": [0, 1], "alpha": [1, 0], "sigma": [0]}"#, "sigma"),
        (r#"{"type": "tabulated", "times": [0, 1, 1], "alpha": [1, 0.5, 0], "sigma": [0, 0.5, 1]}"#, "times"),
        (
            r#"{"type": "tabulated", "times": [0, 0.5, 1], "alpha": [1, 0.5, 0.8], "sigma": [0, 0.5, 0.6]}"#,
            "sigma",
        ),
        (
            r#"{"type": "tabulated", "times": [0.1, 1], "log_alpha": [0, -1], "log_sigma": [-1, -3]}"#,
            "log_sigma",
        ),
    ] {
        let error = serde_json::from_str::<PathConfig>(json).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    for bad in [
        PathConfig::Cosine(Cosine { offset: 0.008, t_max: 1.0 }),
        PathConfig::Cosine(Cosine { offset: -1.0, t_max: 0.9 }),
        PathConfig::Edm(Edm { sigma_min: 1.0, sigma_max: 1.0, rho: 7.0 }),
        PathConfig::Edm(Edm { rho: 0.0, ..Edm::default() }),
        PathConfig::MeanReverting(MeanReverting::published(0.0)),
        PathConfig::MeanReverting(MeanReverting { delta: 1.0, ..MeanReverting::published(0.1) }),
    ] {
        assert!(bad.validate().is_err(), "{bad:?}");
    }
}
