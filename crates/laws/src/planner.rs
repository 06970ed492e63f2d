//! The laws a planner keeps, checked on its plans alone: no network, no sample.
//!
//! [`check`] takes any [`Planner`], of the core or your own, and a [`Promise`]. It checks that
//!
//! - plans of 3 to 50 steps for 1 to 3 components are valid, and ask for as many evaluations as announced;
//! - plans survive JSON bit for bit (every tenth is tried);
//! - step times decrease strictly inside (0, 1], and evaluations lie between a step's start and the next one's;
//! - the last write of the state is free of noise where that is promised;
//! - mean and deviation of Gaussian data, which a linear plan maps exactly ([`GaussianData::moments`]), converge to those
//!   of the exact reverse process with at least the promised order.

use equidrift_sampler::path::start_time;
use equidrift_sampler::plan::STATE;
use equidrift_sampler::{Op, Path, PathConfig, Plan, Planner};

use crate::error::LawError;
use crate::gaussian::GaussianData;
use nalgebra::{DMatrix, DVector};

/// What a planner promises.
#[derive(Clone, Debug, PartialEq)]
pub struct Promise {
    /// Whether the last operation that writes the state adds no noise.
    pub noise_free_end: bool,
    /// Whether an evaluation may lie above its step's start, as after an increase of noise.
    pub rises: bool,
    /// Paths of three components on which plans are checked; those of fewer components use the first ones.
    pub paths: Vec<PathConfig>,
    /// Convergence of the moments; `None` for planners whose plans are not linear.
    pub convergence: Option<Convergence>,
}

impl Promise {
    /// A linear planner whose last write of the state is free of noise.
    #[must_use]
    pub fn linear(convergence: Convergence) -> Self {
        Self { convergence: Some(convergence), ..Self::not_linear() }
    }

    /// A planner whose plans do not map Gaussians to Gaussians; its last write of the state is free of noise.
    #[must_use]
    pub fn not_linear() -> Self {
        Self { noise_free_end: true, rises: false, paths: gentle(), convergence: None }
    }
}

/// What the moments of a planner converge to, and how fast.
#[derive(Clone, Debug, PartialEq)]
pub struct Convergence {
    /// Share of the forward SDE's diffusion in the reverse process: 0 for the probability-flow ODE, 1 for the reverse
    /// SDE, between for samplers with an adjustable share, infinite for those that forget their start.
    pub noise: f64,
    /// Order p: doubling the number of steps divides the error by about 2ᵖ.
    pub order: f64,
    /// Time of the state that is returned.
    pub end: f64,
    /// Whether not that state but x̂₀ made from it is returned.
    pub denoised: bool,
    /// Two numbers of steps; the slope is measured between them.
    pub steps: [usize; 2],
    /// An error at which the order is no longer measured, for instance of rounding.
    pub floor: f64,
    /// The systems it is measured on: the paths of the components of each.
    pub systems: Vec<Vec<PathConfig>>,
}

impl Convergence {
    /// A solver of the probability-flow ODE of this order that returns the state at `end`: measured between 100 and 200
    /// steps on each path alone and on the three paths of [`paths`] together.
    #[must_use]
    pub fn ode(order: f64, end: f64) -> Self {
        let all = paths();
        let mut systems: Vec<Vec<PathConfig>> = all.iter().map(|path| vec![path.clone()]).collect();
        systems.push(all);
        Self { noise: 0.0, order, end, denoised: false, steps: [100, 200], floor: 1e-10, systems }
    }

    /// The same for the reverse SDE, measured between 200 and 400 steps.
    #[must_use]
    pub fn sde(order: f64, end: f64) -> Self {
        Self { noise: 1.0, steps: [200, 400], ..Self::ode(order, end) }
    }
}

/// Variance preserving, variance exploding and sub-variance preserving, with usual parameters.
#[must_use]
pub fn paths() -> Vec<PathConfig> {
    vec![
        PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 },
        PathConfig::VarianceExploding { beta_min: 0.01, beta_max: 20.0 },
        PathConfig::SubVariancePreserving { beta_min: 0.1, beta_max: 20.0 },
    ]
}

/// Paths gentle enough for any number of steps.
fn gentle() -> Vec<PathConfig> {
    vec![
        PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 1.0 },
        PathConfig::VarianceExploding { beta_min: 0.1, beta_max: 1.0 },
        PathConfig::VariancePreserving { beta_min: 0.2, beta_max: 2.0 },
    ]
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Names of the paths of the system.
    pub system: Vec<&'static str>,
    /// Largest error of a mean or deviation at the smaller number of steps.
    pub coarse: f64,
    /// The same at the larger one.
    pub fine: f64,
    /// Measured order.
    pub slope: f64,
}

/// Shortfall of the slope that is accepted: a finite number of steps is not the limit.
const SLACK: f64 = 0.25;

/// Checks a planner against its promise; returns what convergence was measured.
///
/// # Errors
/// [`LawError::Broken`] with the first law that does not hold, what was expected and what was found; what the planner or
/// the recursion of the moments returns.
pub fn check(planner: &dyn Planner, promise: &Promise) -> Result<Vec<Measured>, LawError> {
    let name = planner.info().name;
    for components in 1..=promise.paths.len() {
        for steps in 3..=50 {
            let plan = planner.plan(&promise.paths[..components], steps)?;
            check_plan(name, &plan, planner.evaluations(steps, components), promise)?;
            if steps % 10 == 3 {
                check_json(name, &plan)?;
            }
        }
    }
    let Some(convergence) = &promise.convergence else { return Ok(Vec::new()) };
    let mut measured = Vec::with_capacity(convergence.systems.len());
    for system in &convergence.systems {
        let [coarse, fine] = convergence.steps;
        let result = Measured {
            system: system.iter().map(PathConfig::name).collect(),
            coarse: moment_error(planner, convergence, system, coarse)?,
            fine: moment_error(planner, convergence, system, fine)?,
            slope: 0.0,
        };
        let slope = libm::log(result.coarse / result.fine) / libm::log(fine as f64 / coarse as f64);
        if result.fine.is_nan() || (result.fine > convergence.floor && slope < convergence.order - SLACK) {
            let Measured { system, coarse: e, fine: f, .. } = &result;
            let what = format!("order of the moments on {system:?}");
            let found = format!("{slope:.3} (errors {e:.3e} at {coarse} steps, {f:.3e} at {fine})");
            return Err(broken(name, what, format!("at least {}", convergence.order), found));
        }
        measured.push(Measured { slope, ..result });
    }
    Ok(measured)
}

fn broken(planner: &str, what: String, expected: String, found: String) -> LawError {
    LawError::Broken { planner: planner.to_owned(), what, expected, found }
}

fn check_plan(name: &str, plan: &Plan, announced: usize, promise: &Promise) -> Result<(), LawError> {
    let (c, n) = (plan.components, plan.steps.len());
    let place = format!("{c} components, {n} steps");
    plan.validate()?;
    if plan.planner != name {
        return Err(broken(
            name,
            "planner named in the plan".to_owned(),
            name.to_owned(),
            plan.planner.clone(),
        ));
    }
    if plan.evaluations() != announced {
        let (expected, found) = (announced.to_string(), plan.evaluations().to_string());
        return Err(broken(name, format!("evaluations ({place})"), expected, found));
    }
    let times: Vec<f64> = plan.steps.iter().map(|step| step.time).collect();
    if times.iter().any(|t| !(*t > 0.0 && *t <= 1.0)) || times.windows(2).any(|pair| pair[1] >= pair[0]) {
        let expected = "strictly decreasing in (0, 1]".to_owned();
        return Err(broken(name, format!("step times ({place})"), expected, format!("{times:?}")));
    }
    for (index, step) in plan.steps.iter().enumerate() {
        let top = if promise.rises { 1.0 } else { step.time };
        let bottom = times.get(index + 1).copied().unwrap_or(f64::MIN_POSITIVE);
        for op in &step.ops {
            if let Op::Eval { time, .. } = op
                && !(*time >= bottom && *time <= top)
            {
                let expected = format!("in [{bottom}, {top}]");
                return Err(broken(
                    name,
                    format!("time of an evaluation ({place})"),
                    expected,
                    time.to_string(),
                ));
            }
        }
    }
    let last = plan.steps.iter().flat_map(|step| &step.ops).rfind(|op| writes_state(op));
    if promise.noise_free_end && last.is_none_or(adds_noise) {
        let found = last.map_or_else(|| "no write".to_owned(), ToString::to_string);
        return Err(broken(name, format!("last write of the state ({place})"), "no noise".to_owned(), found));
    }
    Ok(())
}

fn check_json(name: &str, plan: &Plan) -> Result<(), LawError> {
    let text = serde_json::to_string(plan)?;
    if serde_json::from_str::<Plan>(&text)? == *plan {
        return Ok(());
    }
    let what = format!("plan of {} steps read back from JSON", plan.steps.len());
    Err(broken(name, what, "the same plan".to_owned(), "another one".to_owned()))
}

fn writes_state(op: &Op) -> bool {
    matches!(op, Op::Combine { out, .. } | Op::Langevin { out, .. } if *out == STATE)
}

fn adds_noise(op: &Op) -> bool {
    match op {
        Op::Combine { noise: Some(noise), .. } => noise.coefficients.iter().any(|&c| c != 0.0),
        Op::Langevin { .. } => true,
        _ => false,
    }
}

/// Mean and deviation of the data of a component.
fn data(component: usize) -> (f64, f64) {
    [(0.7, 0.4), (-0.3, 0.8), (0.2, 1.3)][component % 3]
}

/// Largest error of a component's mean or deviation, and of the covariances, which are zero.
fn moment_error(
    planner: &dyn Planner,
    convergence: &Convergence,
    system: &[PathConfig],
    steps: usize,
) -> Result<f64, LawError> {
    let built: Vec<Box<dyn Path>> = system.iter().map(PathConfig::build).collect();
    let count = system.len();
    let gaussian = GaussianData {
        mean: DVector::from_fn(count, |i, _| data(i).0),
        covariance: DMatrix::from_fn(count, count, |i, j| if i == j { data(i).1 * data(i).1 } else { 0.0 }),
    };
    let prior: Vec<f64> = built.iter().map(|path| path.prior_std()).collect();
    let moments = gaussian.moments(&planner.plan(system, steps)?, &prior)?;
    let start = start_time(&built);
    let mut worst = 0.0f64;
    for (i, path) in built.iter().enumerate() {
        let (mean, sd) = exact(path.as_ref(), data(i), start, convergence);
        let mut errors = vec![moments.mean[i] - mean, libm::sqrt(moments.covariance[(i, i)]) - sd];
        errors.extend((0..i).map(|j| moments.covariance[(i, j)]));
        // `max` would drop what is not a number.
        worst =
            errors.iter().fold(worst, |worst, e| if e.abs() > worst || e.is_nan() { e.abs() } else { worst });
    }
    Ok(worst)
}

/// Mean and deviation that the exact reverse process makes of the prior N(0, prior²).
///
/// With v = α²s² + σ² and y = (x − αm)/√v the process keeps N(0, 1) for y. A deviation from it decays by
/// ρ = exp(−½ η² ∫ g²/v dt), and for η = 1 that is the correlation of x at the two times, which has a closed form.
fn exact(path: &dyn Path, (m, s): (f64, f64), start: f64, convergence: &Convergence) -> (f64, f64) {
    let (a0, a1) = (path.alpha(start), path.alpha(convergence.end));
    let (e0, e1) = (path.sigma(start), path.sigma(convergence.end));
    let (v0, v1) = (a0 * a0 * s * s + e0 * e0, a1 * a1 * s * s + e1 * e1);
    let correlation = (a0 * a1 * s * s + a0 / a1 * e1 * e1) / libm::sqrt(v0 * v1);
    let rho = libm::pow(correlation, convergence.noise * convergence.noise);
    let prior = path.prior_std();
    let y_mean = -rho * a0 * m / libm::sqrt(v0);
    let y_variance = 1.0 - rho * rho + rho * rho * prior * prior / v0;
    let (mean, sd) = (a1 * m + libm::sqrt(v1) * y_mean, libm::sqrt(v1 * y_variance));
    if !convergence.denoised {
        return (mean, sd);
    }
    let gain = a1 * s * s / v1;
    (m + gain * (mean - a1 * m), gain * sd)
}
