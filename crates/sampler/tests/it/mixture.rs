//! Convergence of the deterministic solvers on a mixture whose flow is known.

use burn::tensor::Device;
use equidrift_laws::mixture::Mixture;
use equidrift_sampler::plan::{DpmSolver, Heun};
use equidrift_sampler::{PathConfig, Planner, TimeGrid};

const PATH: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
const STEPS: [usize; 7] = [6, 12, 24, 48, 96, 192, 384];

fn check(planner: &dyn Planner, expected: [f64; 7], slope: f64) {
    let mixture = Mixture::two_modes();
    let starts = Mixture::starts(64);
    let exact = mixture.flow(&PATH, &starts, 1e-3, 8000);
    let device = Device::flex();
    let errors: Vec<f64> = STEPS
        .iter()
        .map(|&steps| {
            let plan = planner.plan(&[PATH], steps).unwrap();
            mixture.rms_error(&plan, &PATH, &starts, &exact, &device).unwrap()
        })
        .collect();
    println!("{} {errors:?}", planner.info().name);
    for ((steps, error), expected) in STEPS.iter().zip(&errors).zip(expected) {
        assert!(
            (error / expected - 1.0).abs() < 0.02,
            "{steps} steps: {error:.4e}, published {expected:.4e}"
        );
    }
    let last = (errors[5] / errors[6]).log2();
    println!("  final slope {last:.3}");
    assert!((last - slope).abs() < 0.1, "final slope {last}");
}

fn dpm(order: u8) -> DpmSolver {
    let (grid, t_end) = (TimeGrid::UniformLambda, Some(1e-3));
    DpmSolver { order, grid, t_end, denoise: false, lower_order_final: false }
}

#[test]
fn reference_flow_has_converged() {
    let mixture = Mixture::two_modes();
    let starts = Mixture::starts(64);
    let coarse = mixture.flow(&PATH, &starts, 1e-3, 4000);
    let fine = mixture.flow(&PATH, &starts, 1e-3, 8000);
    let worst = coarse.iter().zip(&fine).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("{worst:e}");
    assert!(worst < 1e-10, "{worst:e}");
}

#[test]
fn dpm_solver_order_one() {
    check(&dpm(1), [2.91e-1, 1.54e-1, 7.92e-2, 3.94e-2, 1.96e-2, 9.76e-3, 4.87e-3], 1.0);
}

#[test]
fn dpm_solver_multistep_two() {
    check(&dpm(2), [9.80e-2, 4.19e-2, 1.11e-2, 2.95e-3, 7.59e-4, 1.91e-4, 4.80e-5], 2.0);
}

#[test]
fn heun_edm() {
    let heun = Heun { grid: TimeGrid::UniformLambda, t_end: Some(1e-3), denoise: false };
    check(&heun, [3.87e-1, 7.34e-2, 1.54e-2, 3.57e-3, 8.65e-4, 2.13e-4, 5.28e-5], 2.01);
}
