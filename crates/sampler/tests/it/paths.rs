//! Paths against the reference table and against their own identities.

use equidrift_laws::reference::reference_dir;
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

#[test]
fn lambda_decreases_and_inverts() {
    for config in PATHS {
        let path = config.build();
        let mut before = f64::INFINITY;
        for i in 1..=400 {
            let t = (f64::from(i) / 400.0).powi(3);
            let lambda = path.lambda(t);
            assert!(lambda < before, "{config:?} {t}");
            before = lambda;
            let back = path.inverse_lambda(lambda);
            assert!((back - t).abs() <= 1e-9 * t + 1e-13, "{config:?} t = {t}, back {back}");
        }
    }
}

/// The derivatives in a marginal are those of α and σ, and g² = dσ²/dt − 2 f σ².
#[test]
fn marginals_are_consistent() {
    for config in PATHS {
        let path = config.build();
        for t in [0.01, 0.1, 0.5, 0.9] {
            let m = path.marginal(t);
            let h = 1e-6;
            let d_alpha = (path.alpha(t + h) - path.alpha(t - h)) / (2.0 * h);
            let d_sigma = (path.sigma(t + h) - path.sigma(t - h)) / (2.0 * h);
            assert!((m.d_alpha - d_alpha).abs() < 1e-6 * (1.0 + d_alpha.abs()), "{config:?}");
            assert!((m.d_sigma - d_sigma).abs() < 1e-6 * (1.0 + d_sigma.abs()), "{config:?}");
        }
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
}

#[test]
fn unusable_parameters_are_named() {
    let bad = PathConfig::VarianceExploding { beta_min: 0.0, beta_max: 1.0 };
    assert!(bad.validate().unwrap_err().to_string().contains("beta_min"));
    let bad = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: f64::NAN };
    assert!(bad.validate().unwrap_err().to_string().contains("beta_max"));
    assert!(serde_json::from_str::<PathConfig>(r#"{"type": "cosine"}"#).is_err());
}
