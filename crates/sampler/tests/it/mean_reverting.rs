//! Mean-reverting diffusion: MR Sampler's own steps on x against the plans of plain paths run through `Recentred`.

use std::f64::consts::TAU;
use std::sync::OnceLock;

use burn::tensor::{DType, Device, Tensor};
use equidrift_laws::figures::{Accept, Figure};
use equidrift_laws::gaussian::GaussianData;
use equidrift_sampler::path::{MeanReverting, Path, ReversionSchedule};
use equidrift_sampler::plan::{DpmSolverPlusPlus, SdeDpmSolverPlusPlus};
use equidrift_sampler::steer::Recentred;
use equidrift_sampler::{
    Component, DenoiseError, Denoiser, Executor, KeyedNoise, PathConfig, Planner, PredictionKind, State,
    Stream, Support, TimeGrid,
};

const ROWS: usize = 6;
const WIDTH: usize = 3;
const END: f64 = 1e-3;

fn published() -> PathConfig {
    PathConfig::MeanReverting(MeanReverting::published(0.4))
}

fn constant() -> PathConfig {
    let theta = ReversionSchedule::Constant;
    PathConfig::MeanReverting(MeanReverting { sigma_inf: 0.7, delta: 0.02, theta })
}

fn component(name: &str, values: Vec<f64>) -> State {
    let support = Support::vector(values.len() / WIDTH, WIDTH);
    State::new(vec![Component::from_host(name, values, support, &Device::flex(), DType::F64).unwrap()])
        .unwrap()
}

fn wave(amplitude: f64, count: usize) -> Vec<f64> {
    (0..count).map(|i| amplitude * (1.7 * i as f64 + 0.3).sin()).collect()
}

/// A network of the mean-reverting process that sees (x, μ, t), answers for each coordinate by `x0`, in any kind.
struct Network<F> {
    x0: F,
    means: Vec<f64>,
    path: Box<dyn Path>,
    kind: [PredictionKind; 1],
}

impl<F: Fn(f64, f64, f64) -> f64 + Send + Sync> Denoiser for Network<F> {
    fn kinds(&self) -> &[PredictionKind] {
        &self.kind
    }
    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let part = &state.components[0];
        let mut values = part.to_host().unwrap();
        for (row, values) in values.chunks_exact_mut(WIDTH).enumerate() {
            let time = times[row];
            let m = self.path.marginal(time);
            let origin = part.support.origin(row);
            for (i, x) in values.iter_mut().enumerate() {
                let mean = self.means[origin * WIDTH + i];
                let x0 = (self.x0)(*x, mean, time);
                // x = α x₀ + (1 − α) μ + σ ε.
                let noise = (*x - m.alpha * x0 - (1.0 - m.alpha) * mean) / m.sigma;
                *x = match self.kind[0] {
                    PredictionKind::X0 => x0,
                    PredictionKind::Noise => noise,
                    PredictionKind::Score => -noise / m.sigma,
                    PredictionKind::V => m.alpha * noise - m.sigma * x0,
                    PredictionKind::Velocity => m.d_alpha * (x0 - mean) + m.d_sigma * noise,
                    other => panic!("{other:?}"),
                };
            }
        }
        Ok(vec![state.with_values(vec![values]).unwrap().components[0].values.clone()])
    }
}

fn nonlinear(x: f64, mean: f64, time: f64) -> f64 {
    0.8 * (1.3 * x).tanh() + 0.2 * mean + 0.1 * (TAU * time).sin()
}

/// MR Sampler as written: exponential steps in data form on x with mean μ.
struct MrSampler {
    stochastic: bool,
    second_order: bool,
}

impl MrSampler {
    fn run(
        &self,
        path: &dyn Path,
        nodes: &[f64],
        start: &[f64],
        means: &[f64],
        noise: &KeyedNoise,
    ) -> Vec<f64> {
        start
            .iter()
            .zip(means)
            .enumerate()
            .map(|(i, (&x, &mean))| {
                let (id, coordinate) = ((i / WIDTH) as u64 + 10, (i % WIDTH) as u64);
                let mut x = x;
                let mut before: Option<(f64, f64)> = None;
                for (index, pair) in nodes.windows(2).enumerate() {
                    let (s, t) = (pair[0], pair[1]);
                    let h = path.lambda(t) - path.lambda(s);
                    let x0 = nonlinear(x, mean, s);
                    let mut data = x0 - mean;
                    if let Some((data_before, h_before)) = before
                        && self.second_order
                    {
                        data += 0.5 * h / h_before * (x0 - mean - data_before);
                    }
                    before = Some((x0 - mean, h));
                    let ratio = path.sigma(t) / path.sigma(s);
                    x = if self.stochastic {
                        let z = noise.draw(Stream::Predictor, index as u32, 0, id, coordinate);
                        mean + ratio * (-h).exp() * (x - mean) - path.alpha(t) * (-2.0 * h).exp_m1() * data
                            + path.sigma(t) * (-(-2.0 * h).exp_m1()).sqrt() * z
                    } else {
                        mean + ratio * (x - mean) - path.alpha(t) * (-h).exp_m1() * data
                    };
                }
                x
            })
            .collect()
    }
}

/// Largest difference between MR Sampler on x and the plan through `Recentred`.
fn difference(config: &PathConfig, sampler: &MrSampler, kind: PredictionKind) -> f64 {
    let steps = 12;
    let order = if sampler.second_order { 2 } else { 1 };
    let (t_end, denoise, grid) = (Some(END), false, TimeGrid::UniformLambda);
    let plan = if sampler.stochastic {
        let planner =
            SdeDpmSolverPlusPlus { order, grid: grid.clone(), t_end, denoise, ..Default::default() };
        planner.plan(std::slice::from_ref(config), steps)
    } else {
        let planner = DpmSolverPlusPlus { order, grid: grid.clone(), t_end, denoise, ..Default::default() };
        planner.plan(std::slice::from_ref(config), steps)
    };
    let path = config.build();
    let (means, start) = (wave(0.6, ROWS * WIDTH), wave(1.1, ROWS * WIDTH));
    let noise = KeyedNoise::new(4);
    let ids: Vec<u64> = (10..10 + ROWS as u64).collect();
    let network = Network { x0: nonlinear, means: means.clone(), path: config.build(), kind: [kind] };
    let recentred =
        Recentred::new(network, component("x", means.clone()), std::slice::from_ref(config)).unwrap();
    let y = recentred.enter(&component("x", start.clone())).unwrap();
    let outcome = Executor::new(&recentred, &noise).run(&plan.unwrap(), y, &ids).unwrap();
    assert!(outcome.failures.is_empty());
    let found = recentred.leave(&outcome.state).unwrap().components[0].to_host().unwrap();
    let nodes = grid.nodes(std::slice::from_ref(config), steps, 1.0, END).unwrap();
    let expected = sampler.run(path.as_ref(), &nodes, &start, &means, &noise);
    found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Error of DPM-Solver++ through `Recentred` for data N(0.7, 0.4²) against the exact flow of the process around μ.
fn error(order: u8, steps: usize) -> f64 {
    let config = published();
    let path = config.build();
    let (m, s) = (0.7, 0.4);
    let means = wave(0.6, ROWS * WIDTH);
    let start: Vec<f64> = wave(0.5, ROWS * WIDTH).iter().zip(&means).map(|(y, mean)| y + mean).collect();
    let inner = config.build();
    let exact = move |x: f64, mean: f64, time: f64| {
        let (alpha, sigma) = (inner.alpha(time), inner.sigma(time));
        let gain = alpha * s * s / (alpha * alpha * s * s + sigma * sigma);
        m + gain * (x - mean - alpha * (m - mean))
    };
    let network =
        Network { x0: exact, means: means.clone(), path: config.build(), kind: [PredictionKind::X0] };
    let recentred =
        Recentred::new(network, component("x", means.clone()), std::slice::from_ref(&config)).unwrap();
    let planner = DpmSolverPlusPlus { order, t_end: Some(END), denoise: false, ..Default::default() };
    let plan = planner.plan(std::slice::from_ref(&config), steps).unwrap();
    let ids: Vec<u64> = (0..ROWS as u64).collect();
    let noise = KeyedNoise::new(0);
    let y = recentred.enter(&component("x", start.clone())).unwrap();
    let outcome = Executor::new(&recentred, &noise).run(&plan, y, &ids).unwrap();
    let found = recentred.leave(&outcome.state).unwrap().components[0].to_host().unwrap();
    let variance = |t: f64| (path.alpha(t) * s).powi(2) + path.sigma(t).powi(2);
    let ratio = (variance(END) / variance(1.0)).sqrt();
    let square = found.iter().zip(&start).zip(&means).map(|((found, x), mean)| {
        let centre = |t: f64| mean + path.alpha(t) * (m - mean);
        let exact = centre(END) + (x - centre(1.0)) * ratio;
        (found - exact) * (found - exact)
    });
    (square.sum::<f64>() / (ROWS * WIDTH) as f64).sqrt()
}

/// Mean and deviation that the first-order SDE step returns for data N(`mean`, 0.5²) reverting to μ = `mean`, by the
/// recursion on x itself.
fn recursion(path: &dyn Path, nodes: &[f64], mean: f64) -> (f64, f64) {
    let (mut centre, mut variance) = (mean, path.prior_std() * path.prior_std());
    for pair in nodes.windows(2) {
        let (s, t) = (pair[0], pair[1]);
        let h = path.lambda(t) - path.lambda(s);
        let (alpha, sigma) = (path.alpha(s), path.sigma(s));
        // x̂₀ = μ + gain (x − μ): the data's mean is μ.
        let gain = alpha * 0.25 / (alpha * alpha * 0.25 + sigma * sigma);
        let factor = path.sigma(t) / sigma * (-h).exp() - path.alpha(t) * (-2.0 * h).exp_m1() * gain;
        centre = mean + factor * (centre - mean);
        variance = factor * factor * variance - path.sigma(t).powi(2) * (-2.0 * h).exp_m1();
    }
    (centre, variance.sqrt())
}

/// The same from the plan: exact moments of y, shifted by μ.
fn plan_moments(config: &PathConfig, steps: usize, mean: f64) -> (f64, f64) {
    let planner = SdeDpmSolverPlusPlus { order: 1, t_end: Some(END), denoise: false, ..Default::default() };
    let plan = planner.plan(std::slice::from_ref(config), steps).unwrap();
    let moments = GaussianData::single(0.0, 0.5).moments(&plan, &[config.build().prior_std()]).unwrap();
    (moments.mean[0] + mean, moments.covariance[(0, 0)].sqrt())
}

pub(crate) fn figures() -> &'static [Figure] {
    static FIGURES: OnceLock<Vec<Figure>> = OnceLock::new();
    FIGURES.get_or_init(|| {
        let mut figures = Vec::new();
        for (stochastic, second_order, what) in [
            (false, false, "ODE steps of order 1"),
            (false, true, "ODE steps of order 2"),
            (true, false, "SDE steps of order 1"),
            (true, true, "SDE steps of order 2"),
        ] {
            let sampler = MrSampler { stochastic, second_order };
            let worst = [published(), constant()]
                .iter()
                .map(|path| difference(path, &sampler, PredictionKind::X0))
                .fold(0.0, f64::max);
            let what = format!("MR Sampler on x against ++ through the frame, {what}: largest difference");
            figures.push(Figure::new("C5", what, 1e-12, Accept::AtMost, worst));
        }
        for order in [1u8, 2] {
            let slope = (error(order, 192) / error(order, 384)).log2();
            let what = format!("L1 in the shifted frame, ++{order}: slope between 192 and 384 steps");
            figures.push(Figure::new("C5", what, f64::from(order), Accept::Absolute(0.1), slope));
        }
        let vp = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
        for (steps, published) in [(5, 0.2675), (10, 0.3339), (20, 0.4011), (50, 0.4558), (100, 0.4771)] {
            let (mean, sd) = plan_moments(&vp, steps, -0.8);
            assert!((mean + 0.8).abs() < 1e-14);
            let what = format!("L3 shifted by μ: deviation after {steps} first-order SDE steps");
            figures.push(Figure::new("C5", what, published, Accept::Absolute(5e-4), sd));
        }
        let worst = [vp, published(), constant()]
            .iter()
            .flat_map(|path| [5, 20, 100].map(|steps| (path, steps)))
            .map(|(path, steps)| {
                let nodes =
                    TimeGrid::UniformLambda.nodes(std::slice::from_ref(path), steps, 1.0, END).unwrap();
                let (expected, found) =
                    (recursion(path.build().as_ref(), &nodes, -0.8), plan_moments(path, steps, -0.8));
                (expected.0 - found.0).abs().max((expected.1 - found.1).abs())
            })
            .fold(0.0, f64::max);
        let what = "moment recursion on x against that of the plan shifted by μ: largest difference";
        figures.push(Figure::new("C5", what, 1e-12, Accept::AtMost, worst));
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

/// Whatever the network predicts, the same answer in the frame.
#[test]
fn every_kind_of_prediction_is_converted() {
    let kinds = [PredictionKind::Noise, PredictionKind::Score, PredictionKind::V, PredictionKind::Velocity];
    for kind in kinds {
        for path in [published(), constant()] {
            for stochastic in [false, true] {
                let sampler = MrSampler { stochastic, second_order: true };
                let worst = difference(&path, &sampler, kind);
                // Conversions near σ = 0 and α = δ lose digits.
                assert!(worst < 1e-9, "{kind:?} {worst:e}");
            }
        }
    }
}

/// A row finds its mean when others have left the batch, and when it was doubled.
#[test]
fn means_follow_their_rows() {
    let config = published();
    let means = wave(0.6, ROWS * WIDTH);
    let network =
        Network { x0: nonlinear, means: means.clone(), path: config.build(), kind: [PredictionKind::V] };
    let recentred =
        Recentred::new(network, component("x", means.clone()), std::slice::from_ref(&config)).unwrap();
    let state = component("x", wave(1.0, ROWS * WIDTH));
    let host = |state: &State| state.components[0].to_host().unwrap();
    let predict = |state: &State| {
        let values = recentred.predict(state, &vec![0.4; state.batch()]).unwrap().remove(0);
        host(&State::new(vec![Component { values, ..state.components[0].clone() }]).unwrap())
    };
    let all = predict(&state);
    let rows = [4, 1, 1, 5];
    let some = state.select(&rows);
    let chosen = predict(&some);
    for (place, &row) in rows.iter().enumerate() {
        assert_eq!(chosen[place * WIDTH..(place + 1) * WIDTH], all[row * WIDTH..(row + 1) * WIDTH]);
    }
    let again = some.select(&[3, 0]);
    assert_eq!(predict(&again)[..WIDTH], all[5 * WIDTH..]);
    // In and out of the frame is nothing.
    let back = recentred.leave(&recentred.enter(&again).unwrap()).unwrap();
    for (a, b) in host(&back).iter().zip(host(&again)) {
        assert!((a - b).abs() < 1e-15);
    }
    // A batch that is not the mean's is an error, not a wrong sample.
    let larger = component("x", wave(1.0, (ROWS + 1) * WIDTH));
    assert!(recentred.enter(&larger).is_err());
    assert!(matches!(recentred.predict(&larger, &[0.4; ROWS + 1]), Err(DenoiseError::Mismatch { .. })));
    assert!(Recentred::new(&recentred, component("x", means), &[]).is_err());
}

/// μ outside the support of a masked component never reaches the network.
#[test]
fn the_mean_is_kept_on_the_support() {
    let support = Support::symmetric_pairs(vec![vec![true, true, false]]);
    let full = Component::from_host("adj", vec![1.0; 9], support, &Device::flex(), DType::F64).unwrap();
    let paths = [constant()];
    let unit = Network { x0: nonlinear, means: vec![], path: constant().build(), kind: [PredictionKind::X0] };
    let recentred = Recentred::new(unit, State::new(vec![full]).unwrap(), &paths).unwrap();
    let expected = [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    assert_eq!(recentred.mean().components[0].to_host().unwrap(), expected);
}
