//! The tables of the categorical diffusion.

use equidrift_backend::weights::TensorFile;
use equidrift_sampler::{CategoricalDiffusion, KeepSchedule};
use serde_json::Value;

use crate::reference::pard_dir;

/// The largest error of `found` in units of max(1, |expected|).
fn worst(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).fold(0.0, |m, (f, e)| {
        let error = (f - e).abs() / e.abs().max(1.0);
        if error.is_nan() { f64::INFINITY } else { error.max(m) }
    })
}

#[test]
fn the_published_tables_are_met() {
    let Some(dir) = pard_dir() else { return };
    let golden = TensorFile::read(dir.join("diffusion.golden.safetensors")).unwrap();
    let cases: Value =
        serde_json::from_slice(&std::fs::read(dir.join("diffusion.golden.json")).unwrap()).unwrap();
    let (mut largest, mut tables) = (0.0_f64, 0);
    let mut check = |name: &str, found: &[f64]| {
        let error = worst(found, &golden.tensors[name].to_f64());
        assert!(error <= 1e-12, "{name}: {error:.1e}");
        largest = largest.max(error);
        tables += 1;
    };
    for (kind, schedule) in [
        ("cosine", KeepSchedule::Cosine),
        ("linear", KeepSchedule::Linear),
        ("exponential", KeepSchedule::Exponential),
        ("constant", KeepSchedule::Constant),
    ] {
        for steps in [20, 40, 50] {
            let diffusion = CategoricalDiffusion::uniform(schedule, steps, 2).unwrap();
            let keep: Vec<f64> = (0..=steps).map(|t| diffusion.keep(t)).collect();
            check(&format!("out64.alphabar.{kind}.{steps}"), &keep);
        }
    }
    for case in cases["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let number = |key: &str| case[key].as_u64().unwrap() as usize;
        let (classes, t, s) = (number("classes"), number("t"), number("s"));
        let noise = golden.tensors[&format!("{name}.in.m")].to_f64();
        let diffusion = CategoricalDiffusion::new(KeepSchedule::Cosine, number("T"), noise).unwrap();
        let models = golden.tensors[&format!("{name}.in.f")].to_f64();
        let models: Vec<&[f64]> = models.chunks(classes).collect();
        let logs: Vec<Vec<f64>> =
            models.iter().map(|model| model.iter().map(|share| share.ln()).collect()).collect();
        let step = diffusion.coefficients(t, s);
        let all = || 0..classes;
        let mut table = |kind: &str, found: Vec<f64>| check(&format!("{name}.out64.{kind}"), &found);
        table("q_t0", all().flat_map(|clean| diffusion.forward(t, clean)).collect());
        let pairs = || all().flat_map(|noisy| all().map(move |clean| (noisy, clean)));
        table("posterior", pairs().flat_map(|(x_t, x_0)| diffusion.posterior(&step, x_t, x_0)).collect());
        let of_models = |law: &dyn Fn(usize, usize) -> Vec<f64>| -> Vec<f64> {
            (0..models.len()).flat_map(|f| all().flat_map(move |noisy| law(f, noisy))).collect()
        };
        table("p", of_models(&|f, noisy| diffusion.reverse(&step, noisy, models[f])));
        // The reference's own rounding of small parts of p is 5e-15, which a logarithm divides by p.
        let log_p = of_models(&|f, noisy| diffusion.log_reverse(&step, noisy, &logs[f]));
        let expected = golden.tensors[&format!("{name}.out64.logp")].to_f64();
        for (found, expected) in log_p.iter().zip(&expected) {
            let error = (found - expected).abs();
            assert!(error <= 1.2e-10 && error * expected.exp() <= 1e-12, "{name} log p: {error:.1e}");
        }
        if s + 1 == t {
            let prior = |clean| diffusion.prior(clean) / diffusion.steps() as f64;
            let bound = |f: usize, noisy: usize| {
                all().map(|clean| diffusion.bound_term(t, noisy, clean, &logs[f]) + prior(clean)).collect()
            };
            table("vlb", of_models(&bound));
            table("ce", of_models(&|f, _| all().map(|clean| -logs[f][clean]).collect()));
            table("prior", of_models(&|_, _| all().map(prior).collect()));
        }
    }
    println!("{tables} tables, largest error {largest:.1e}");
}
