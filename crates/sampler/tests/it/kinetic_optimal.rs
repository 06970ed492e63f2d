//! Kinetic-optimal paths: energies of known laws, the optimal schedule, and separation functions measured.

use std::sync::OnceLock;

use burn::tensor::{DType, Device};
use equidrift_laws::figures::{Accept, Figure};
use equidrift_laws::mixture::{Mixture, MixtureDenoiser};
use equidrift_sampler::path::{KineticGeometry, Separation, Tabulated};
use equidrift_sampler::plan::DpmSolverPlusPlus;
use equidrift_sampler::{
    Component, KeyedNoise, Marginal, NoiseSource, PathConfig, Planner, PredictionKind, State, Stream, Support,
};

const CELLS: usize = 2048;
const POINTS: usize = 20_000;

/// λ of data ±1 in every one of `d` coordinates at once (two antipodal points): E tanh²(d s² + √d s ε), by the trapezoid
/// rule.
fn antipodal(d: f64, s: f64) -> f64 {
    let k = d.sqrt() * s;
    let step = 0.02;
    let term = |i: i32| {
        let e = f64::from(i) * step;
        let t = (k * (k + e)).tanh();
        t * t * (-0.5 * e * e).exp()
    };
    (-500..=500).map(term).sum::<f64>() * step / (2.0 * std::f64::consts::PI).sqrt()
}

fn gaussian(s: f64) -> f64 {
    s * s / (1.0 + s * s)
}

fn straight(t: f64) -> Marginal {
    Marginal::gaussian(1.0 - t, t, -1.0, 1.0)
}

fn trigonometric(t: f64) -> Marginal {
    let (sin, cos) = (std::f64::consts::FRAC_PI_2 * t).sin_cos();
    let speed = std::f64::consts::FRAC_PI_2;
    Marginal::gaussian(cos, sin, -speed * sin, speed * cos)
}

/// The energy of the tabulated schedule over its whole table.
fn scheduled(geometry: &KineticGeometry, table: &Tabulated) -> f64 {
    let path = PathConfig::Tabulated(table.clone()).build();
    geometry.energy(|t| path.marginal(t), 1.0, 5 * POINTS)
}

pub(crate) fn figures() -> &'static [Figure] {
    static FIGURES: OnceLock<Vec<Figure>> = OnceLock::new();
    FIGURES.get_or_init(|| {
        let mut figures = Vec::new();
        let mut add = |what: String, expected: f64, measured: f64| {
            figures.push(Figure::new("C26", what, expected, Accept::Absolute(1e-3), measured));
        };
        let line = KineticGeometry::new(|s| antipodal(1.0, s), CELLS);
        add("data ±1, straight path: KE".into(), 0.9824, line.energy(straight, 1.0, POINTS));
        add("data ±1, trigonometric path: KE".into(), 0.8690, line.energy(trigonometric, 1.0, POINTS));
        add("data ±1: KE* = 4 sin²(Ψ/2)".into(), 0.4591, line.optimal_energy());
        add("data ±1: Ψ".into(), 0.6913, line.total_angle());
        let table = line.schedule(512, 1.0).unwrap();
        add("data ±1, tabulated optimal path: KE".into(), 0.4591, scheduled(&line, &table));
        for (d, straight_energy, optimal) in
            [(4.0, 1.4912, 1.2859), (16.0, 1.7456, 1.6455), (64.0, 1.8728, 1.8230)]
        {
            let geometry = KineticGeometry::new(|s| antipodal(d, s), CELLS);
            let energy = geometry.energy(straight, 1.0, POINTS);
            add(format!("antipodal points, d = {d}, straight path: KE"), straight_energy, energy);
            add(format!("antipodal points, d = {d}: KE*"), optimal, geometry.optimal_energy());
            let table = geometry.schedule(512, 1.0).unwrap();
            add(
                format!("antipodal points, d = {d}, tabulated optimal path: KE"),
                optimal,
                scheduled(&geometry, &table),
            );
        }
        let normal = KineticGeometry::new(gaussian, CELLS);
        add("Gaussian data, straight path: KE".into(), 0.4292, normal.energy(straight, 1.0, POINTS));
        add("Gaussian data, trigonometric path: KE".into(), 0.0, normal.energy(trigonometric, 1.0, POINTS));
        add("Gaussian data: KE*".into(), 0.0, normal.optimal_energy());
        let table = normal.schedule(64, 1.0).unwrap();
        add("Gaussian data, tabulated optimal path: KE".into(), 0.0, scheduled(&normal, &table));
        let far = KineticGeometry::new(|_| 1.0, CELLS);
        add("separated data (λ = 1), straight path: KE".into(), 2.0, far.energy(straight, 1.0, POINTS));
        add("separated data (λ = 1): KE*".into(), 2.0, far.optimal_energy());
        // The least possible energy is the squared Wasserstein distance, 2 − 2 √(2/π).
        let bound = 2.0 - 2.0 * (2.0 / std::f64::consts::PI).sqrt();
        let what = "data ±1: KE* above the Wasserstein bound 0.4042";
        figures.push(Figure::new("C26", what, bound, Accept::AtLeast, line.optimal_energy()));
        for (what, separation) in measured() {
            let energy = separation.geometry(CELLS).unwrap().optimal_energy();
            let what = format!("data ±1, separation measured {what}: KE*");
            figures.push(Figure::new("C26", what, 0.4591, Accept::Absolute(0.02), energy));
        }
        figures
    })
}

/// The separation function of ±1 data, from a batch of data and from the exact denoiser.
fn measured() -> &'static [(&'static str, Separation)] {
    static MEASURED: OnceLock<Vec<(&'static str, Separation)>> = OnceLock::new();
    MEASURED.get_or_init(measure)
}

fn measure() -> Vec<(&'static str, Separation)> {
    let rows = 4000;
    let device = Device::flex();
    let values = (0..rows).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
    let support = Support::vector(rows, 1);
    let state =
        State::new(vec![Component::from_host("x", values, support, &device, DType::F64).unwrap()]).unwrap();
    let noise = KeyedNoise::new(8);
    let ids: Vec<u64> = (0..rows as u64).collect();
    let ratios: Vec<f64> =
        (1..40).map(|i| (std::f64::consts::FRAC_PI_2 * f64::from(i) / 40.0).tan()).collect();
    // The exact denoiser of ±1: modes of no width.
    let law = Mixture { weights: vec![0.5, 0.5], means: vec![-1.0, 1.0], sds: vec![1e-9, 1e-9] };
    let path = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
    let denoiser = MixtureDenoiser::new(law, path.clone(), PredictionKind::V);
    let paths = [path];
    let batch = state.select(&(0..1000).collect::<Vec<_>>());
    vec![
        ("from samples", Separation::of_samples(&batch, 0, &ratios, &noise, &ids[..1000]).unwrap()),
        (
            "from a denoiser",
            Separation::of_denoiser(&denoiser, &state, &paths, 0, &ratios, &noise, &ids).unwrap(),
        ),
    ]
}

#[test]
fn figures_are_met() {
    for figure in figures() {
        println!("{figure}");
        figure.check();
    }
}

#[test]
fn separation_is_that_of_the_law() {
    for (what, separation) in measured() {
        assert!(separation.ratios.len() >= 30 && (separation.scale - 1.0).abs() < 1e-12);
        for (ratio, value) in separation.ratios.iter().zip(&separation.values) {
            let exact = antipodal(1.0, *ratio);
            assert!((value - exact).abs() < 0.05, "{what}: s = {ratio}: {value}, exact {exact}");
        }
    }
}

/// Data of another scale: the separation is measured in standard units and the schedule ends at that scale.
#[test]
fn the_scale_of_the_data_is_kept() {
    let device = Device::flex();
    let support = Support::vector(300, 3);
    let ids: Vec<u64> = (0..300).collect();
    let noise = KeyedNoise::new(1);
    let values = noise.normals(Stream::Prior, 0, 0, &support, &ids);
    let of = |factor: f64| {
        let values = values.iter().map(|value| factor * value).collect();
        let part = Component::from_host("x", values, support.clone(), &device, DType::F64).unwrap();
        Separation::of_samples(&State::new(vec![part]).unwrap(), 0, &[0.3, 1.0, 2.0], &noise, &ids).unwrap()
    };
    let (one, three) = (of(1.0), of(3.0));
    assert!((three.scale / one.scale - 3.0).abs() < 1e-12);
    for (a, b) in one.values.iter().zip(&three.values) {
        assert!((a - b).abs() < 1e-9);
    }
    let path = PathConfig::Tabulated(three.geometry(256).unwrap().schedule(64, three.scale).unwrap()).build();
    assert!((path.alpha(0.0) - 1.0).abs() < 1e-12 && (path.prior_std() / three.scale - 1.0).abs() < 0.01);
}

/// The optimal schedule is an ordinary path: solvers of order 2 stay of order 2 on it.
#[test]
fn solvers_run_on_the_optimal_schedule() {
    let geometry = KineticGeometry::new(|s| antipodal(1.0, s), CELLS);
    let path = PathConfig::Tabulated(geometry.schedule(256, 1.0).unwrap());
    let solver = DpmSolverPlusPlus { t_end: Some(0.02), denoise: false, ..Default::default() };
    let moments = |steps| {
        let plan = solver.plan(std::slice::from_ref(&path), steps).unwrap();
        let start = path.build().prior_std();
        equidrift_laws::gaussian::GaussianData::single(0.3, 0.9).moments(&plan, &[start]).unwrap()
    };
    let built = path.build();
    let data = equidrift_laws::gaussian::GaussianData::single(0.3, 0.9);
    let (from, to) = (data.noised(&[built.marginal(built.t_max())]), data.noised(&[built.marginal(0.02)]));
    let sd = (to.covariance[(0, 0)] / from.covariance[(0, 0)]).sqrt() * built.prior_std();
    let error = |steps| (moments(steps).covariance[(0, 0)].sqrt() - sd).abs();
    let (coarse, fine) = (error(100), error(200));
    println!("{coarse:.2e} {fine:.2e}");
    assert!(coarse < 1e-2 && fine < coarse / 3.0, "{coarse:e} {fine:e}");
}
