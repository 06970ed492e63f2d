//! Dynamic thresholding.

use burn::tensor::{DType, Device};
use equidrift_laws::mixture::{Mixture, MixtureDenoiser};
use equidrift_sampler::plan::{DpmSolverPlusPlus, PlanStep, STATE, Thresholding};
use equidrift_sampler::{
    Component, Executor, KeyedNoise, Op, PathConfig, Plan, Planner, PredictionKind, State, Support,
};

const PATH: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };

/// What one threshold operation makes of these rows.
fn thresholded(values: Vec<f64>, support: Support, ratio: f64, max: f64) -> Vec<f64> {
    let ids: Vec<u64> = (0..support.batch() as u64).collect();
    let component = Component::from_host("x", values, support, &Device::flex(), DType::F64).unwrap();
    let plan = Plan {
        planner: "test".to_owned(),
        components: 1,
        registers: 1,
        given: Vec::new(),
        steps: vec![PlanStep { time: 1.0, ops: vec![Op::Threshold { register: STATE, ratio, max }] }],
    };
    let denoiser = MixtureDenoiser::new(Mixture::two_modes(), PATH, PredictionKind::Noise);
    let state = State::new(vec![component]).unwrap();
    let outcome = Executor::new(&denoiser, &KeyedNoise::new(0)).run(&plan, state, &ids).unwrap();
    outcome.state.components[0].to_host().unwrap()
}

#[test]
fn each_row_is_cut_at_its_own_quantile() {
    // |x| sorted: 0, 1, 2, 3, 8; the quantile 0.9 is at place 3.6, that is 3 + 0.6 · 5 = 6.
    let large = [-8.0, 1.0, 3.0, 0.0, -2.0];
    let small = [0.5, -0.1, 0.2, 0.3, 0.9];
    let values = large.iter().chain(&small).copied().collect();
    let found = thresholded(values, Support::vector(2, 5), 0.9, 1.0);
    let expected = [-1.0, 1.0 / 6.0, 0.5, 0.0, -2.0 / 6.0];
    for (a, b) in found.iter().zip(expected.iter().chain(&small)) {
        assert!((a - b).abs() < 1e-15, "{found:?}");
    }
    // Data in [−2, 2]: the threshold is the larger of 2 and the quantile, and maps to 2.
    let found = thresholded(large.to_vec(), Support::vector(1, 5), 0.9, 2.0);
    for (a, b) in found.iter().zip(expected) {
        assert!((a - 2.0 * b).abs() < 1e-15, "{found:?}");
    }
}

/// Absent nodes, the diagonal and the second entry of a pair are no coordinates: they do not move the quantile.
#[test]
fn the_quantile_is_over_free_coordinates() {
    let mask = vec![vec![true, true, true, false]];
    let pairs = [(0, 1, 4.0), (0, 2, -2.0), (1, 2, 1.0)];
    let mut values = vec![0.0; 16];
    for (i, j, value) in pairs {
        values[4 * i + j] = value;
        values[4 * j + i] = value;
    }
    // |x| sorted: 1, 2, 4; the median is 2.
    let found = thresholded(values, Support::symmetric_pairs(mask), 0.5, 1.0);
    for (i, j, expected) in [(0, 1, 1.0), (0, 2, -1.0), (1, 2, 0.5), (0, 3, 0.0), (2, 2, 0.0)] {
        assert!((found[4 * i + j] - expected).abs() < 1e-15, "{found:?}");
        assert_eq!(found[4 * i + j], found[4 * j + i]);
    }
}

/// Samples of DPM-Solver++ with thresholding stay in the range of the data; without it they do not.
#[test]
fn samples_stay_in_the_range() {
    let largest = |threshold| {
        let planner = DpmSolverPlusPlus { threshold, ..Default::default() };
        let plan = planner.plan(&[PATH], 12).unwrap();
        let ends = Mixture::two_modes().ends(&plan, &PATH, &Mixture::starts(64), &Device::flex()).unwrap();
        ends.iter().fold(0.0f64, |max, x| max.max(x.abs()))
    };
    let (free, cut) = (largest(None), largest(Some(Thresholding::default())));
    println!("{free} {cut}");
    assert!(free > 1.5 && cut <= 1.0, "{free} {cut}");
}
