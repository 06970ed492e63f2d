//! Linear plans that no named sampler makes, and samplers whose diffusion is not a share of the path's: their exact moments.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use equidrift_laws::gaussian::GaussianData;
use equidrift_laws::planner::{Convergence, Promise, check};
use equidrift_sampler::drive::{Branching, Genome, MutationRates, Process, UnifiedSpace};
use equidrift_sampler::path::Path;
use equidrift_sampler::plan::{
    Corrector, Diffusion, InterpolantSde, PlannerInfo, Predictor, PredictorCorrector, StochasticScheme,
    UnifiedSchedule,
};
use equidrift_sampler::{PathConfig, Plan, Planner, SamplerError, TimeGrid};

const VP: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
const VE: PathConfig = PathConfig::VarianceExploding { beta_min: 0.01, beta_max: 20.0 };
const SUB: PathConfig = PathConfig::SubVariancePreserving { beta_min: 0.1, beta_max: 20.0 };
const END: f64 = 1e-3;

fn info(name: &'static str) -> PlannerInfo {
    PlannerInfo { name, description: "", formula: "", order: "", cost: "", citation: "" }
}

/// A branching process without branches.
#[derive(Debug)]
struct Trajectory(Branching);

impl Planner for Trajectory {
    fn info(&self) -> PlannerInfo {
        info("branching")
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        Branching { steps, ..self.0.clone() }.plan(paths)
    }

    fn evaluations(&self, steps: usize, _components: usize) -> usize {
        steps + 1
    }
}

fn trajectory(process: Process, grid: TimeGrid) -> Trajectory {
    Trajectory(Branching { process, grid, t_end: Some(END), ..Branching::default() })
}

/// Posterior steps are ancestral sampling; a flow without noise is the probability flow.
#[test]
fn branching_processes_converge_to_the_reverse_process() {
    for (process, noise) in [(Process::Posterior, 1.0), (Process::NoisyFlow { norm: 0.0 }, 0.0)] {
        for grid in [TimeGrid::UniformTime, TimeGrid::UniformLambda] {
            let convergence = Convergence { noise, denoised: true, ..Convergence::sde(1.0, END) };
            for m in check(&trajectory(process, grid.clone()), &Promise::linear(convergence)).unwrap() {
                println!("{process:?} {grid:?} {:?} slope {:.3}, error {:.2e}", m.system, m.slope, m.fine);
            }
        }
    }
}

/// ε(t) on a path.
type Epsilon = fn(&dyn Path, f64) -> f64;

/// A sampler of `dx = (b − ε s) dt + √(2ε) dW` with its own ε(t).
struct Diffused {
    name: &'static str,
    planner: Box<dyn Planner>,
    order: f64,
    epsilon: Epsilon,
    /// Time of the state that is returned.
    end: f64,
    /// Whether x̂₀ at the end is returned instead.
    denoised: bool,
}

/// Predictor–corrector with corrections of fixed size, which are linear. With snr = `rate`/√steps the corrections of all
/// steps add up to Langevin dynamics of a finite rate: per unit of time `2 (rate σ)²` of score and twice that of variance,
/// beside what the predictor does.
#[derive(Debug)]
struct Corrected {
    predictor: Predictor,
    probability_flow: bool,
    n_steps: usize,
}

const RATE: f64 = 0.6;

/// ε of one correction a step.
fn langevin(path: &dyn Path, t: f64) -> f64 {
    2.0 * (RATE * path.sigma(t)).powi(2)
}

/// ε of the reverse SDE.
fn reverse(path: &dyn Path, t: f64) -> f64 {
    0.5 * path.diffusion(t).powi(2)
}

impl Planner for Corrected {
    fn info(&self) -> PlannerInfo {
        info("predictor-corrector")
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        let planner = PredictorCorrector {
            predictor: self.predictor,
            probability_flow: self.probability_flow,
            n_steps: self.n_steps,
            corrector: Corrector::AnnealedLangevin,
            snr: (RATE / (steps as f64).sqrt()).into(),
            scale_eps: 1.0.into(),
            eps: 1e-5,
            ..PredictorCorrector::default()
        };
        planner.plan(paths, steps)
    }

    fn evaluations(&self, steps: usize, _components: usize) -> usize {
        steps * (1 + self.n_steps)
    }
}

/// Mean and deviation of N(0.7, 0.4²) after the exact process from the prior: in y = (x − αm)/√v it is that of
/// Ornstein and Uhlenbeck, whose correlation with the start is exp(−∫ ε/v dt).
fn exact(path: &dyn Path, process: &Diffused) -> (f64, f64) {
    let (m, s) = (0.7, 0.4);
    let variance = |t: f64| path.alpha(t).powi(2) * s * s + path.sigma(t).powi(2);
    let rate = |t: f64| (process.epsilon)(path, t) / variance(t);
    let intervals = 40_000;
    let end = process.end;
    let h = (1.0 - end) / f64::from(intervals);
    let weight = |i| if i == 0 || i == intervals { 1.0 } else { 2.0 + 2.0 * f64::from(i % 2) };
    let integral = (0..=intervals).map(|i| weight(i) * rate(end + f64::from(i) * h)).sum::<f64>() * h / 3.0;
    let correlation = (-integral).exp();
    let (v0, v1) = (variance(1.0), variance(end));
    let mean = path.alpha(end) * m - v1.sqrt() * correlation * path.alpha(1.0) * m / v0.sqrt();
    let squared = 1.0 + correlation * correlation * (path.prior_std().powi(2) / v0 - 1.0);
    let sd = (v1 * squared).sqrt();
    if !process.denoised {
        return (mean, sd);
    }
    let gain = path.alpha(end) * s * s / v1;
    (m + gain * (mean - path.alpha(end) * m), gain * sd)
}

#[test]
fn samplers_with_their_own_diffusion_converge_with_their_order() {
    let sde = |scheme, diffusion| -> Box<dyn Planner> {
        Box::new(InterpolantSde { scheme, diffusion, t_end: END, ..InterpolantSde::default() })
    };
    let mut processes = Vec::new();
    for (name, scheme, order) in [
        ("Euler-Maruyama", StochasticScheme::EulerMaruyama, 1.0),
        ("stochastic Heun", StochasticScheme::Heun, 2.0),
        ("noise first", StochasticScheme::NoiseFirst, 1.0),
    ] {
        let diffusions: [(Diffusion, Epsilon); 3] = [
            (Diffusion::Constant { value: 0.5 }, |_, _| 0.5),
            (Diffusion::Noise { scale: 1.0 }, |path, t| path.sigma(t)),
            (Diffusion::SineSquared { scale: 0.7 }, |_, t| 0.7 * (std::f64::consts::PI * t).sin().powi(2)),
        ];
        for (diffusion, epsilon) in diffusions {
            let planner = sde(scheme, diffusion);
            processes.push(Diffused { name, planner, order, epsilon, end: END, denoised: false });
        }
    }
    let noisy = |norm| Box::new(trajectory(Process::NoisyFlow { norm }, TimeGrid::UniformTime));
    let (name, order, end, denoised) = ("noisy flow", 1.0, END, true);
    processes.push(Diffused {
        name,
        planner: noisy(1.0),
        order,
        epsilon: |_, t| 0.5 * t.powi(4),
        end,
        denoised,
    });
    processes.push(Diffused {
        name,
        planner: noisy(3.0),
        order,
        epsilon: |_, t| 4.5 * t.powi(4),
        end,
        denoised,
    });
    let corrected: [(Predictor, bool, usize, Epsilon); 4] = [
        (Predictor::Reverse, false, 1, |path, t| reverse(path, t) + langevin(path, t)),
        (Predictor::Euler, false, 2, |path, t| reverse(path, t) + 2.0 * langevin(path, t)),
        (Predictor::Reverse, true, 2, |path, t| 2.0 * langevin(path, t)),
        (Predictor::Euler, true, 1, langevin),
    ];
    for (predictor, probability_flow, n_steps, epsilon) in corrected {
        let planner = Box::new(Corrected { predictor, probability_flow, n_steps });
        let (name, end, denoised) = ("corrections of fixed size", 0.0, false);
        processes.push(Diffused { name, planner, order: 1.0, epsilon, end, denoised });
    }
    for process in &processes {
        for path in [VP, VE, SUB] {
            let built = path.build();
            let (mean, sd) = exact(built.as_ref(), process);
            let error = |steps| {
                let plan = process.planner.plan(std::slice::from_ref(&path), steps).unwrap();
                let got = GaussianData::single(0.7, 0.4).moments(&plan, &[built.prior_std()]).unwrap();
                (got.mean[0] - mean).abs().max((got.covariance[(0, 0)].sqrt() - sd).abs())
            };
            let (coarse, fine) = (error(800), error(1600));
            let slope = (coarse / fine).log2();
            println!("{} {}: slope {slope:.3}, error {fine:.2e}", process.name, path.name());
            // A last time of 1e-5 that stands for 0 shifts the result by about as much.
            let reached = process.end == 0.0 && fine < 3e-5;
            assert!(reached || slope > process.order - 0.25, "{} {}: {slope}", process.name, path.name());
        }
    }
}

/// A seed of the search over solver schedules.
#[derive(Debug)]
struct Seed(String);

/// All seeds of this many evaluations on these paths.
fn seeds(paths: &[PathConfig], evaluations: usize) -> Vec<(String, UnifiedSchedule)> {
    type Known = Mutex<HashMap<(String, usize), Vec<(String, UnifiedSchedule)>>>;
    static SEEDS: OnceLock<Known> = OnceLock::new();
    let key = (serde_json::to_string(paths).unwrap(), evaluations);
    let mut known = SEEDS.get_or_init(Known::default).lock().unwrap();
    let make = || UnifiedSchedule::seeds(&space(paths, evaluations));
    known.entry(key).or_insert_with(make).clone()
}

fn space(paths: &[PathConfig], evaluations: usize) -> UnifiedSpace {
    UnifiedSpace {
        paths: paths.to_vec(),
        evaluations,
        t_end: END,
        denoise: false,
        statistics: None,
        mean: None,
        rates: MutationRates::default(),
    }
}

impl Planner for Seed {
    fn info(&self) -> PlannerInfo {
        info("unified")
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        let seeds = seeds(paths, steps);
        let (_, schedule) = seeds.iter().find(|(name, _)| *name == self.0).unwrap();
        schedule.plan(&space(paths, steps))
    }

    fn evaluations(&self, steps: usize, _components: usize) -> usize {
        steps
    }
}

/// The order of convergence of a seed, and the systems it shows on at some 100 steps.
fn promised(name: &str) -> (f64, Vec<Vec<PathConfig>>) {
    let order = name.split("order ").nth(1).and_then(|rest| rest[..1].parse().ok()).unwrap();
    let order = if name.ends_with("Pseudo") { order + 1.0 } else { order };
    // Runs of order 3 begin with steps of lower order, which are still seen.
    let order = if name.contains("order 3") { 2.75 } else { order };
    // Steps even in t are long in λ near the data of a path without noise at t = 0: far from the limit until t_end/Δt > 1.
    let all = Convergence::ode(order, END).systems;
    (order, if name.contains("uniform-time") { vec![vec![VE]] } else { all })
}

/// Every seed that exists with 3 steps (with so few, those of the highest orders and lower ones at the end are equal to
/// others) keeps the promises of a planner, and converges with its order.
#[test]
fn seeds_of_the_schedule_search_keep_their_promises() {
    let names: Vec<String> = seeds(&[VP], 3).into_iter().map(|(name, _)| name).collect();
    assert!(names.len() >= 40, "{names:?}");
    let mut problems = Vec::new();
    for name in names {
        let (order, systems) = promised(&name);
        let convergence = Convergence { steps: [48, 96], systems, ..Convergence::ode(order, END) };
        match check(&Seed(name.clone()), &Promise::linear(convergence)) {
            Ok(measured) => {
                for m in measured {
                    println!("{name} {:?} slope {:.3}, error {:.2e}", m.system, m.slope, m.fine);
                }
            }
            Err(error) => problems.push(format!("{name}: {error}")),
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
