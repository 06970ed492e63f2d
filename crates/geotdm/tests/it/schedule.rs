//! Constants of the noise levels and the embedding of times.

use equidrift_geotdm::TrajectoryDiffusion;
use equidrift_nn::sinusoid_of_both_ends;
use serde_json::Value;

use crate::reference::{geotdm_dir, relative_error};

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn schedules_and_times() {
    let Some(dir) = geotdm_dir() else { return };
    let text = std::fs::read(dir.join("schedule.golden.json")).unwrap();
    let golden: Value = serde_json::from_slice(&text).unwrap();
    let (mut worst, mut compared) = (0.0_f64, 0);
    for (name, expected) in golden.as_object().unwrap() {
        if let Some(width) = name.strip_prefix("time_embedding_") {
            for (time, expected) in expected.as_object().unwrap() {
                let found = sinusoid_of_both_ends(time.parse().unwrap(), width.parse().unwrap(), 10_000.0);
                worst = worst.max(relative_error(&found, &numbers(expected)));
                compared += 1;
            }
            continue;
        }
        let (kind, steps) = name.split_once('_').unwrap();
        let steps = steps.parse().unwrap();
        let diffusion = match kind {
            "linear" => TrajectoryDiffusion::linear(steps).unwrap(),
            _ => TrajectoryDiffusion::cosine(steps).unwrap(),
        };
        let levels: Vec<usize> = numbers(&expected["index"]).iter().map(|&k| k as usize).collect();
        let mut check = |field: &str, of: &dyn Fn(usize) -> f64| {
            for (&k, expected) in levels.iter().zip(numbers(&expected[field])) {
                let found = of(k);
                // ᾱ close to 1 leaves few digits of 1 - ᾱ, here as there.
                let error = (found - expected).abs() / expected.abs().max(1e-3);
                assert!(error <= 1e-10, "{name} {field} at {k}: {found} instead of {expected}");
                worst = worst.max(error);
                compared += 1;
            }
        };
        check("beta", &|k| diffusion.path.beta(k));
        check("alpha_bar", &|k| diffusion.path.alpha_bar(k));
        check("sqrt_alpha_bar", &|k| diffusion.signal(k));
        check("sqrt_one_minus_alpha_bar", &|k| diffusion.noise(k));
        check("sqrt_recip_alpha_bar", &|k| diffusion.start_of(k, 1.0, 0.0));
        check("sqrt_recipm1_alpha_bar", &|k| -diffusion.start_of(k, 0.0, 1.0));
        check("posterior_variance", &|k| diffusion.posterior(k).variance);
        check("posterior_log_variance_clipped", &|k| diffusion.posterior(k).log_variance);
        check("mean_coef_x0", &|k| diffusion.posterior(k).start);
        check("mean_coef_xt", &|k| diffusion.posterior(k).state);
        check("fixed_large_variance", &|k| diffusion.reverse_variance(k));
    }
    assert!(compared > 100);
    println!("{compared} constants, largest error {worst:.1e}");
}

#[test]
fn a_chain_whose_last_step_leaves_nothing_is_refused() {
    assert!(TrajectoryDiffusion::linear(20).is_err());
    assert!(TrajectoryDiffusion::linear(21).is_ok());
    assert!(TrajectoryDiffusion::linear(0).is_err() && TrajectoryDiffusion::cosine(0).is_err());
}

#[test]
fn levels_and_the_clock_of_the_sampler() {
    let diffusion = TrajectoryDiffusion::linear(25).unwrap().with_rescaled_times();
    for k in 0..25 {
        assert_eq!(diffusion.label_at(diffusion.path.label(k)), diffusion.label(k), "level {k}");
    }
    assert_eq!(diffusion.label(3), 120.0);
    assert_eq!(diffusion.label_at(1e-3), 0.0);
    assert!((diffusion.label_at(0.5) - 460.0).abs() < 1e-9);
}
