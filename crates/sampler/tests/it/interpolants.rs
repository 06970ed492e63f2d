//! Stochastic interpolants (C1) and the Gaussian Schrödinger bridge (L8).

use std::sync::OnceLock;

use equidrift_laws::figures::{Accept, Figure};
use equidrift_laws::gaussian_bridge::GaussianBridge;
use equidrift_laws::gaussian_interpolant::{Affine, GaussianEnds, GaussianInterpolantDenoiser};
use equidrift_sampler::path::{Gamma, Interpolant, OneSidedFamily, Path, TwoSidedFamily};
use equidrift_sampler::plan::{Diffusion, InterpolantOde, InterpolantSde, StochasticScheme};
use equidrift_sampler::{
    KeyedNoise, NoiseSource, PathConfig, Plan, Planner, PredictionKind, Stream, Support, TimeGrid,
};
use equidrift_train::{InterpolantCoefficients, InterpolantDraw, InterpolantLoss};

pub(crate) const BROWNIAN: Gamma = Gamma::Brownian { a: 1.0 };
pub(crate) const LINEAR: Interpolant =
    Interpolant::TwoSided { family: TwoSidedFamily::Linear, gamma: BROWNIAN };
pub(crate) const TRIGONOMETRIC: Interpolant =
    Interpolant::TwoSided { family: TwoSidedFamily::Trigonometric, gamma: BROWNIAN };
pub(crate) const ENCODING: Interpolant =
    Interpolant::TwoSided { family: TwoSidedFamily::EncodingDecoding, gamma: Gamma::SineSquared };
pub(crate) const TWO_SIDED: [(&str, Interpolant); 3] =
    [("linear", LINEAR), ("trigonometric", TRIGONOMETRIC), ("encoding-decoding", ENCODING)];
pub(crate) const FLOW: Interpolant = Interpolant::OneSided { family: OneSidedFamily::Linear };
pub(crate) const ONE_SIDED: [Interpolant; 2] =
    [FLOW, Interpolant::OneSided { family: OneSidedFamily::Trigonometric }];
pub(crate) const MIRROR: Interpolant = Interpolant::Mirror { gamma: BROWNIAN };

/// Correlated ends: data N(0.7, 0.8²), base N(−0.5, 1.2²), covariance 0.3.
pub(crate) fn ends() -> GaussianEnds {
    GaussianEnds { covariance: 0.3, ..GaussianEnds::independent((0.7, 0.8), (-0.5, 1.2)) }
}

pub(crate) fn denoiser(ends: GaussianEnds, path: Interpolant) -> GaussianInterpolantDenoiser {
    let heads = [PredictionKind::Velocity, PredictionKind::Score];
    GaussianInterpolantDenoiser::new(vec![ends], vec![path], &heads).unwrap()
}

pub(crate) fn plan(planner: &dyn Planner, path: Interpolant, steps: usize) -> Plan {
    planner.plan(&[PathConfig::Interpolant(path)], steps).unwrap()
}

/// Mean and variance a plan returns from the exact base law.
fn returned(planner: &dyn Planner, ends: GaussianEnds, path: Interpolant, steps: usize) -> (f64, f64) {
    let denoiser = denoiser(ends, path);
    let moments = denoiser.moments(&plan(planner, path, steps), &denoiser.law(1.0)).unwrap();
    (moments.mean[0], moments.covariance[(0, 0)])
}

/// Distance of mean and standard deviation from the data's.
fn transport_error(planner: &dyn Planner, ends: GaussianEnds, path: Interpolant, steps: usize) -> f64 {
    let (mean, variance) = returned(planner, ends, path, steps);
    libm::hypot(mean - ends.data_mean, variance.sqrt() - ends.data_sd)
}

pub(crate) fn sde(epsilon: f64, scheme: StochasticScheme) -> InterpolantSde {
    let diffusion = Diffusion::Constant { value: epsilon };
    InterpolantSde { diffusion, scheme, score_at_data: true, ..InterpolantSde::default() }
}

// ---- fits of linear fields ----

pub(crate) fn coefficients(path: Interpolant, t: f64) -> InterpolantCoefficients {
    let m = path.marginal(t);
    let (data, base, noise) = (m.alpha, m.base, m.sigma);
    InterpolantCoefficients { data, base, noise, d_data: m.d_alpha, d_base: m.d_base, d_noise: m.d_sigma }
}

/// Draws of coupled ends and latent noise.
struct Draws {
    data: Vec<f64>,
    base: Vec<f64>,
    z: Vec<f64>,
}

impl Draws {
    fn new(ends: &GaussianEnds, count: usize) -> Self {
        let (noise, support) = (KeyedNoise::new(17), Support::vector(count, 1));
        let ids: Vec<u64> = (0..count as u64).collect();
        let normal = |step| noise.normals(Stream::Prior, step, 0, &support, &ids);
        let (u, w, z) = (normal(0), normal(1), normal(2));
        let correlation = ends.covariance / (ends.data_sd * ends.base_sd);
        let rest = (1.0 - correlation * correlation).sqrt();
        let base =
            u.iter().zip(&w).map(|(u, w)| ends.base_mean + ends.base_sd * (correlation * u + rest * w));
        Self { base: base.collect(), data: u.iter().map(|u| ends.data_mean + ends.data_sd * u).collect(), z }
    }
}

/// The minimiser over p = offset + slope x of the mean loss. The loss is quadratic in the parameters, so three gradients
/// give its normal equations; nothing but the loss's own gradient is used.
fn fit(loss: InterpolantLoss, c: &InterpolantCoefficients, draws: &Draws, antithetic: bool) -> Affine {
    // All draws share their time, so one vector holds them all.
    let draw = InterpolantDraw { data: &draws.data, base: &draws.base, noise: &draws.z };
    let [plus, minus] = c.inputs(&draw).unwrap();
    let gradient = |offset: f64, slope: f64| {
        let predict = |inputs: &[f64]| -> Vec<f64> { inputs.iter().map(|x| offset + slope * x).collect() };
        let (mut g_plus, mut g_minus) = (vec![0.0; plus.len()], vec![0.0; plus.len()]);
        if antithetic {
            let predictions = [&predict(&plus)[..], &predict(&minus)[..]];
            loss.evaluate_pair(c, &draw, predictions, [&mut g_plus, &mut g_minus]).unwrap();
        } else {
            loss.evaluate(c, &draw, &predict(&plus), &mut g_plus).unwrap();
        }
        let mut sum = [0.0; 2];
        for (gradients, inputs) in [(&g_plus, &plus), (&g_minus, &minus)] {
            sum[0] += gradients.iter().sum::<f64>();
            sum[1] += gradients.iter().zip(inputs).map(|(g, x)| g * x).sum::<f64>();
        }
        sum
    };
    let (zero, one, two) = (gradient(0.0, 0.0), gradient(1.0, 0.0), gradient(0.0, 1.0));
    let [a, b, c, d] = [one[0] - zero[0], two[0] - zero[0], one[1] - zero[1], two[1] - zero[1]];
    let determinant = a * d - b * c;
    Affine {
        offset: (b * zero[1] - d * zero[0]) / determinant,
        slope: (c * zero[0] - a * zero[1]) / determinant,
    }
}

/// Root mean square difference of two fields over the law at t, relative to that of the exact one.
fn field_error(ends: &GaussianEnds, path: Interpolant, t: f64, exact: Affine, fitted: Affine) -> f64 {
    let (mean, variance) = ends.law(&path, t);
    let difference = Affine { slope: fitted.slope - exact.slope, offset: fitted.offset - exact.offset };
    (difference.mean_square(mean, variance) / exact.mean_square(mean, variance)).sqrt()
}

const FIT_TIMES: [f64; 5] = [0.1, 0.3, 0.45, 0.7, 0.9];

fn fit_figures(figures: &mut Vec<Figure>) {
    let ends = ends();
    let draws = Draws::new(&ends, 200_000);
    for (name, path) in TWO_SIDED {
        let mut worst = [0.0f64; 4];
        for t in FIT_TIMES {
            let c = coefficients(path, t);
            let velocity = fit(InterpolantLoss::Velocity, &c, &draws, true);
            let score = fit(InterpolantLoss::Score, &c, &draws, true);
            let noise = fit(InterpolantLoss::Noise, &c, &draws, true);
            let drift = fit(InterpolantLoss::InterpolationVelocity, &c, &draws, true);
            // b = v − γ γ̇ s with s from η.
            let rate = path.noise_rate(t) / c.noise;
            let composed = Affine {
                slope: drift.slope + rate * noise.slope,
                offset: drift.offset + rate * noise.offset,
            };
            let errors = [
                field_error(&ends, path, t, ends.velocity(&path, t), velocity),
                field_error(&ends, path, t, ends.score(&path, t), score),
                field_error(&ends, path, t, ends.noise(&path, t), noise),
                field_error(&ends, path, t, ends.velocity(&path, t), composed),
            ];
            for (worst, error) in worst.iter_mut().zip(errors) {
                *worst = worst.max(error);
            }
            assert!(noise.slope > 0.0 && score.slope < 0.0, "{name}: eta is the expectation of +z");
        }
        let what = ["b of L_b", "s of L_s", "eta of L_eta", "b = v - gamma gamma' s of L_v and L_eta"];
        for (what, worst) in what.into_iter().zip(worst) {
            let what = format!("linear fit, 2e5 draws, {name}: largest relative error of {what}");
            figures.push(Figure::new("C1", what, 0.01, Accept::AtMost, worst));
        }
    }
    // What the antithetic pair is for: near an end.
    let (path, t) = (LINEAR, 0.001);
    let c = coefficients(path, t);
    let error = |antithetic| {
        field_error(&ends, path, t, ends.score(&path, t), fit(InterpolantLoss::Score, &c, &draws, antithetic))
    };
    let (paired, single) = (error(true), error(false));
    let what = "error of s at t = 0.001, antithetic pair over single draws";
    figures.push(Figure::new("C1", what, 0.3, Accept::AtMost, paired / single));
}

// ---- transport ----

fn transport_figures(figures: &mut Vec<Figure>) {
    let ends = ends();
    let variance = ends.data_sd * ends.data_sd;
    for (name, path) in TWO_SIDED {
        let ode = InterpolantOde { evaluate_at_data: true, ..InterpolantOde::default() };
        let mut add = |what: String, tolerance: f64, got: (f64, f64)| {
            let accept = Accept::Relative(tolerance);
            figures.push(Figure::new("C1", format!("{what}: variance"), variance, accept, got.1));
            let accept = Accept::Absolute(0.01 * ends.data_sd);
            figures.push(Figure::new("C1", format!("{what}: mean"), ends.data_mean, accept, got.0));
        };
        add(format!("{name}, Heun ODE, 200 steps"), 0.01, returned(&ode, ends, path, 200));
        for (scheme, label) in
            [(StochasticScheme::EulerMaruyama, "Euler-Maruyama"), (StochasticScheme::Heun, "stochastic Heun")]
        {
            for epsilon in [0.5, 1.0] {
                let what = format!("{name}, SDE eps = {epsilon}, {label}, 200 steps");
                add(what, 0.01, returned(&sde(epsilon, scheme), ends, path, 200));
            }
        }
        // The published scheme has order 1; 400 steps are enough on every path.
        for epsilon in [0.5, 1.0] {
            let what = format!("{name}, SDE eps = {epsilon}, noise first, 400 steps");
            add(what, 0.01, returned(&sde(epsilon, StochasticScheme::NoiseFirst), ends, path, 400));
        }
        for (at_data, label) in [(true, "Heun to the end"), (false, "last step Euler")] {
            let ode = InterpolantOde { evaluate_at_data: at_data, ..InterpolantOde::default() };
            let error = |steps| transport_error(&ode, ends, path, steps);
            let slope = (error(400) / error(800)).log2();
            let what = format!("{name}, ODE order in the step, {label}");
            figures.push(Figure::new("C1", what, 2.0, Accept::Absolute(0.1), slope));
        }
        let euler = InterpolantOde { order: 1, ..InterpolantOde::default() };
        let error = |steps| transport_error(&euler, ends, path, steps);
        let what = format!("{name}, ODE order in the step, Euler");
        figures.push(Figure::new("C1", what, 1.0, Accept::Absolute(0.1), (error(800) / error(1600)).log2()));
    }
    for (scheme, label, order) in [
        (StochasticScheme::EulerMaruyama, "Euler-Maruyama", 1.0),
        (StochasticScheme::Heun, "stochastic Heun", 2.0),
        (StochasticScheme::NoiseFirst, "noise first", 1.0),
    ] {
        let error = |steps| transport_error(&sde(1.0, scheme), ends, LINEAR, steps);
        let what = format!("linear, SDE eps = 1, weak order in the step, {label}");
        figures.push(Figure::new("C1", what, order, Accept::Absolute(0.1), (error(400) / error(800)).log2()));
    }
    let vanishing = InterpolantSde::default();
    let what = "linear, SDE eps = sigma, Euler-Maruyama and a last ODE step, 200 steps: variance";
    let got = returned(&vanishing, ends, LINEAR, 200).1;
    figures.push(Figure::new("C1", what, variance, Accept::Relative(0.01), got));
    // Flow matching: the straight path from N(0, 1).
    let flow_ends = GaussianEnds::independent((0.7, 0.4), (0.0, 1.0));
    let ode = InterpolantOde { t_start: Some(1.0), ..InterpolantOde::default() };
    let got = returned(&ode, flow_ends, FLOW, 200);
    figures.push(Figure::new(
        "C1",
        "flow matching, Heun ODE, 200 steps: variance",
        0.16,
        Accept::Relative(0.01),
        got.1,
    ));
    let (start, end) = (Some(0.999), 1e-3);
    let straight = InterpolantOde { order: 1, t_start: start, t_end: end, ..InterpolantOde::default() };
    let ddim = TimeGrid::UniformTime.nodes(&[PathConfig::Interpolant(FLOW)], 20, 0.999, end).unwrap();
    let path = FLOW;
    // DDIM: x0 and noise held over the step.
    let law = flow_ends.law(&path, 0.999);
    let (mut mean, mut slope) = (law.0, 1.0);
    for pair in ddim.windows(2) {
        let (s, t) = (pair[0], pair[1]);
        let noise = flow_ends.noise(&path, s);
        let (ratio, gain) = ((1.0 - t) / (1.0 - s), t - s * (1.0 - t) / (1.0 - s));
        mean = (ratio + gain * noise.slope) * mean + gain * noise.offset;
        slope *= ratio + gain * noise.slope;
    }
    let denoiser = denoiser(flow_ends, path);
    let moments = denoiser.moments(&plan(&straight, path, 20), &denoiser.law(0.999)).unwrap();
    let difference =
        (moments.mean[0] - mean).abs().max((moments.covariance[(0, 0)] - slope * slope * law.1).abs());
    let what = "flow matching, Euler against DDIM, 20 steps: largest difference of moments";
    figures.push(Figure::new("C1", what, 1e-12, Accept::AtMost, difference));
    // A mirror resamples: the law stays, the start is forgotten.
    let law = GaussianEnds::independent((0.7, 0.8), (0.7, 0.8));
    let mirror = returned(&sde(1.0, StochasticScheme::Heun), law, MIRROR, 200);
    figures.push(Figure::new(
        "C1",
        "mirror, SDE eps = 1, 200 steps: variance",
        0.64,
        Accept::Relative(0.01),
        mirror.1,
    ));
}

// ---- Schrödinger bridge ----

fn golden_section(mut low: f64, mut high: f64, value: impl Fn(f64) -> f64) -> f64 {
    let ratio = 0.5 * (5.0f64.sqrt() - 1.0);
    let (mut a, mut b) = (high - ratio * (high - low), low + ratio * (high - low));
    let (mut at_a, mut at_b) = (value(a), value(b));
    while high - low > 1e-7 * high {
        if at_a < at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - ratio * (high - low);
            at_a = value(a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + ratio * (high - low);
            at_b = value(b);
        }
    }
    0.5 * (low + high)
}

fn bridge_figures(figures: &mut Vec<Figure>) {
    for (from_sd, to_sd, epsilon) in [(1.0, 0.5, 0.3), (1.2, 0.8, 1.0)] {
        let bridge = GaussianBridge { from_sd, to_sd, epsilon };
        let label = format!("N(0, {from_sd}^2) to N(0, {to_sd}^2), eps = {epsilon}");
        let sinkhorn = bridge.sinkhorn_covariance(241, 7.0, 400);
        let what = format!("{label}: covariance of the ends, Sinkhorn");
        figures.push(Figure::new("L8", what, bridge.covariance(), Accept::Absolute(2e-6), sinkhorn));
        let ends = GaussianEnds::independent((0.0, to_sd), (0.0, from_sd));
        let gamma = bridge.interpolant_gamma();
        let path = Interpolant::TwoSided { family: TwoSidedFamily::Linear, gamma };
        for t in [0.25, 0.5, 0.8] {
            // t counts from the base here.
            let what = format!("{label}: variance of the interpolant at {t}");
            let variance = ends.law(&path, 1.0 - t).1;
            figures.push(Figure::new("L8", what, bridge.variance(t), Accept::Absolute(1e-15), variance));
        }
        // The relative entropy to the reference, minimised over the amplitude a of γ² = a t(1 − t).
        let energy = |a: f64| {
            let gamma = Gamma::Brownian { a };
            ends.control_energy(
                &Interpolant::TwoSided { family: TwoSidedFamily::Linear, gamma },
                epsilon,
                2000,
            )
        };
        let best = golden_section(0.05, 8.0, energy);
        let exact = 2.0 * libm::hypot(from_sd * to_sd, epsilon);
        let what =
            format!("{label}: amplitude of gamma^2 that minimises the relative entropy to the reference");
        figures.push(Figure::new("C1", what, exact, Accept::Relative(1e-3), best));
        let what = format!("{label}: relative entropy of the interpolant at that amplitude");
        let entropy = energy(best) / (4.0 * epsilon);
        figures.push(Figure::new("L8", what, bridge.relative_entropy(), Accept::Absolute(1e-9), entropy));
        // The same marginals from the optimal coupling with the bridge's own γ² = 2ε t(1 − t).
        let coupled = GaussianEnds { covariance: bridge.covariance(), ..ends };
        let gamma = Gamma::Brownian { a: 2.0 * epsilon };
        let path = Interpolant::TwoSided { family: TwoSidedFamily::Linear, gamma };
        let difference = |t: f64| (coupled.law(&path, 1.0 - t).1 - bridge.variance(t)).abs();
        let worst = [0.25, 0.5, 0.8].into_iter().map(difference).fold(0.0, f64::max);
        let what =
            format!("{label}: variance with the optimal coupling and gamma^2 = 2 eps t(1 - t), difference");
        figures.push(Figure::new("L8", what, 1e-15, Accept::AtMost, worst));
    }
}

pub(crate) fn figures() -> &'static [Figure] {
    static FIGURES: OnceLock<Vec<Figure>> = OnceLock::new();
    FIGURES.get_or_init(|| {
        let mut figures = Vec::new();
        fit_figures(&mut figures);
        transport_figures(&mut figures);
        bridge_figures(&mut figures);
        figures
    })
}

#[test]
fn interpolant_figures() {
    for figure in figures() {
        println!("{figure}");
    }
    for figure in figures() {
        figure.check();
    }
}
