//! Every planner with its variants: what each promises, checked on its plans alone.

use equidrift_laws::planner::{Convergence, Promise, check};
use equidrift_sampler::path::{Gamma, Interpolant, TwoSidedFamily};
use equidrift_sampler::plan::{
    Ancestral, AncestralChain, AncestralVariance, AnnealedLangevin, Corrector, Ddim, DpmMethod, DpmSolver,
    DpmSolverPlusPlus, DpmSolverV3, EulerMaruyama, Heun, InterpolantOde, InterpolantSde, PlannerInfo,
    Predictor, PredictorCorrector, ReverseDiffusion, S4, SdeDpmSolverPlusPlus, Term, ThirdOrder,
    Thresholding, UniPc, UniPcVariant, V3Corrector,
};
use equidrift_sampler::{Op, PathConfig, Plan, Planner, SamplerConfig, SamplerError, TimeGrid};

use crate::dpm_solver_v3::gaussian_statistics;

const VP: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
const VE: PathConfig = PathConfig::VarianceExploding { beta_min: 0.01, beta_max: 20.0 };
const END: f64 = 1e-3;

/// A configuration and what it promises.
pub(crate) struct Case {
    pub(crate) config: SamplerConfig,
    pub(crate) promise: Promise,
}

fn case(config: SamplerConfig, promise: Promise) -> Case {
    Case { config, promise }
}

/// A probability-flow solver of this order that ends at `END`.
fn ode(order: f64) -> Promise {
    Promise::linear(Convergence::ode(order, END))
}

/// The same with its default end of more than 15 steps and final denoising.
fn denoised(order: f64) -> Promise {
    Promise::linear(Convergence { denoised: true, ..Convergence::ode(order, 1e-4) })
}

/// Measured between 49 and 97 steps. Multistep methods of order 3 begin with a step of order 1, whose error h² times the
/// slope of x̂₀ at the start is so small that it shows (and makes their order 2) only above some 200 steps, and there
/// only on the variance exploding path.
fn before_the_first_step_shows(mut promise: Promise) -> Promise {
    if let Some(convergence) = &mut promise.convergence {
        convergence.steps = [49, 97];
    }
    promise
}

/// Single steps that spend a budget end with one of order 1, whose error has order h². Measured at these budgets, which
/// leave the same remainder and so end with the same orders.
fn fast(mut promise: Promise, steps: [usize; 2]) -> Promise {
    if let Some(convergence) = &mut promise.convergence {
        convergence.steps = steps;
    }
    promise
}

/// An SDE solver of order 1 on these systems that reaches the data.
fn chain(systems: Vec<Vec<PathConfig>>) -> Convergence {
    // The end time 1e-5 shifts the result by about as much.
    Convergence { systems, steps: [400, 800], floor: 3e-5, ..Convergence::sde(1.0, 0.0) }
}

fn vp_and_ve() -> Vec<Vec<PathConfig>> {
    vec![vec![VP], vec![VE], vec![VP, VE]]
}

fn plus_plus(change: impl FnOnce(&mut DpmSolverPlusPlus)) -> SamplerConfig {
    let mut planner = DpmSolverPlusPlus { t_end: Some(END), denoise: false, ..Default::default() };
    change(&mut planner);
    SamplerConfig::DpmSolverPlusPlus(planner)
}

fn dpm(order: u8, method: DpmMethod) -> SamplerConfig {
    SamplerConfig::DpmSolver(DpmSolver {
        order,
        method,
        t_end: Some(END),
        denoise: false,
        ..Default::default()
    })
}

fn uni_pc(order: u8, variant: UniPcVariant, corrector: bool) -> SamplerConfig {
    SamplerConfig::UniPc(UniPc {
        order,
        variant,
        corrector,
        t_end: Some(END),
        denoise: false,
        ..Default::default()
    })
}

fn ddim(eta: f64) -> SamplerConfig {
    SamplerConfig::Ddim(Ddim { eta, t_end: Some(END), denoise: false, ..Default::default() })
}

fn exponential_solvers() -> Vec<Case> {
    use DpmMethod::{Fast, Multistep, Singlestep};
    use UniPcVariant::{Bh1, Bh2};
    let noisy = |noise: f64| Promise {
        noise_free_end: false,
        ..Promise::linear(Convergence { noise, ..Convergence::sde(1.0, END) })
    };
    let mut cases = vec![
        case(SamplerConfig::Ddim(Ddim::default()), denoised(1.0)),
        case(ddim(0.0), ode(1.0)),
        case(ddim(0.5), noisy(0.5)),
        case(ddim(1.0), noisy(1.0)),
        case(SamplerConfig::DpmSolver(DpmSolver::default()), fast(denoised(2.0), [400, 799])),
        case(dpm(2, Fast), fast(ode(2.0), [101, 201])),
        case(SamplerConfig::DpmSolverPlusPlus(DpmSolverPlusPlus::default()), denoised(2.0)),
        case(plus_plus(|p| p.taylor = true), ode(2.0)),
        case(plus_plus(|p| p.lower_order_final = true), ode(2.0)),
        case(plus_plus(|p| p.grid = TimeGrid::Karras { rho: 7.0 }), ode(2.0)),
        case(plus_plus(|p| (p.order, p.variant) = (3, Some(ThirdOrder::Published))), ode(2.0)),
        case(plus_plus(|p| (p.order, p.method) = (3, Fast)), fast(ode(2.0), [400, 799])),
        case(plus_plus(|p| p.threshold = Some(Thresholding::default())), Promise::not_linear()),
        case(SamplerConfig::UniPc(UniPc::default()), denoised(3.0)),
        case(uni_pc(2, Bh1, true), ode(3.0)),
        case(uni_pc(2, Bh1, false), ode(2.0)),
        case(SamplerConfig::DpmSolverV3(DpmSolverV3::default()), denoised(2.0)),
    ];
    // Statistics of another normal law belong to one path; between their nodes they are smooth.
    for order in 1..=3u8 {
        for corrector in [V3Corrector::None, V3Corrector::Full] {
            let statistics = Some(gaussian_statistics());
            let (t_end, denoise, lower_order_final) = (Some(END), false, false);
            let default = DpmSolverV3::default();
            let solver =
                DpmSolverV3 { order, corrector, statistics, t_end, denoise, lower_order_final, ..default };
            let convergence = Convergence {
                systems: vec![vec![VP]],
                steps: [32, 64],
                ..Convergence::ode(f64::from(order), END)
            };
            let promise = Promise { paths: vec![VP], ..Promise::linear(convergence) };
            cases.push(case(SamplerConfig::DpmSolverV3(solver), promise));
        }
    }
    for order in 1..=3u8 {
        let p = f64::from(order);
        cases.extend([
            case(dpm(order, Multistep), ode(p)),
            case(dpm(order, Singlestep), ode(p)),
            case(
                plus_plus(|p| (p.order, p.variant) = (order, Some(ThirdOrder::Exact))),
                before_the_first_step_shows(ode(p)),
            ),
            case(plus_plus(|p| (p.order, p.method) = (order, Singlestep)), ode(p)),
            case(uni_pc(order, Bh2, false), before_the_first_step_shows(ode(p))),
            // The first step has order 1 and is corrected to 2: one error of order h³.
            case(uni_pc(order, Bh2, true), ode((p + 1.0).min(3.0))),
        ]);
    }
    cases
}

fn stochastic_solvers() -> Vec<Case> {
    let silent = |config| case(config, Promise::linear(chain(vp_and_ve())));
    let mut cases = vec![
        silent(SamplerConfig::EulerMaruyama(EulerMaruyama { eps: 1e-5, noise_removal: true })),
        silent(SamplerConfig::ReverseDiffusion(ReverseDiffusion { eps: 1e-5, noise_removal: true })),
        case(
            SamplerConfig::EulerMaruyama(EulerMaruyama { eps: 1e-5, noise_removal: false }),
            Promise { noise_free_end: false, ..Promise::linear(chain(vp_and_ve())) },
        ),
    ];
    for variance in [AncestralVariance::Published, AncestralVariance::Beta, AncestralVariance::BetaTilde] {
        for chain in [AncestralChain::Scales, AncestralChain::Marginals] {
            let ancestral = Ancestral { chain: Some(chain), variance, eps: 1e-5, noise_removal: true };
            cases.push(silent(SamplerConfig::Ancestral(ancestral)));
        }
    }
    for order in [1, 2] {
        let planner = SdeDpmSolverPlusPlus {
            order,
            t_end: Some(END),
            denoise: false,
            ..SdeDpmSolverPlusPlus::default()
        };
        let convergence = Convergence { steps: [200, 400], ..Convergence::sde(f64::from(order), END) };
        let promise = Promise { noise_free_end: false, ..Promise::linear(convergence) };
        cases.push(case(SamplerConfig::SdeDpmSolverPlusPlus(planner), promise));
    }
    let forgetful = Convergence { noise: f64::INFINITY, ..chain(vp_and_ve()) };
    cases.push(case(
        SamplerConfig::AnnealedLangevin(AnnealedLangevin { final_denoise: true, ..Default::default() }),
        Promise::linear(Convergence { end: END, denoised: true, ..forgetful }),
    ));
    cases
}

/// Heun, deterministic and churned.
fn heun() -> Vec<Case> {
    let plain = Heun { t_end: Some(END), denoise: false, ..Default::default() };
    vec![
        case(SamplerConfig::Heun(Heun::default()), denoised(2.0)),
        case(SamplerConfig::Heun(plain.clone()), ode(2.0)),
        case(
            SamplerConfig::Heun(Heun { s_churn: 20.0, ..plain }),
            Promise { rises: true, ..Promise::not_linear() },
        ),
    ]
}

/// Samplers with Langevin corrections, which are not linear, and the same without corrections, which are.
fn correcting_solvers() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        SamplerConfig::S4(S4::default()),
        SamplerConfig::PredictorCorrector(PredictorCorrector::default()),
        SamplerConfig::PredictorCorrector(PredictorCorrector { n_steps: 3, ..Default::default() }),
    ]
    .into_iter()
    .map(|config| case(config, Promise::not_linear()))
    .collect();
    for predictor in [Predictor::Reverse, Predictor::Euler, Predictor::Ancestral] {
        for probability_flow in [false, true] {
            let planner = PredictorCorrector {
                predictor,
                corrector: Corrector::None,
                eps: 1e-5,
                probability_flow,
                ..Default::default()
            };
            let noise = if probability_flow { 0.0 } else { 1.0 };
            let convergence = Convergence { noise, ..chain(vp_and_ve()) };
            cases.push(case(SamplerConfig::PredictorCorrector(planner), Promise::linear(convergence)));
        }
    }
    for (predictor, predictor_order, noise, order) in [
        (Predictor::Ddim, 1, 0.0, 1.0),
        (Predictor::Ddim, 2, 0.0, 2.0),
        (Predictor::SdeDpmSolverPlusPlus, 1, 1.0, 1.0),
        (Predictor::SdeDpmSolverPlusPlus, 2, 1.0, 2.0),
        (Predictor::Heun, 1, 0.0, 2.0),
    ] {
        let planner = PredictorCorrector {
            predictor,
            predictor_order,
            corrector: Corrector::None,
            eps: END,
            grid: Some(TimeGrid::UniformLambda),
            ..Default::default()
        };
        let convergence = Convergence { noise, denoised: true, ..Convergence::ode(order, END) };
        cases.push(case(SamplerConfig::PredictorCorrector(planner), Promise::linear(convergence)));
    }
    cases
}

/// Samplers of interpolants. On noising paths the ODE is the probability flow; the SDE's own diffusion is checked beside them,
/// as are the exact laws between two ends.
fn interpolant_solvers() -> Vec<Case> {
    let interpolant = PathConfig::Interpolant(Interpolant::TwoSided {
        family: TwoSidedFamily::Linear,
        gamma: Gamma::Brownian { a: 1.0 },
    });
    let promise = Promise { paths: vec![interpolant; 3], ..Promise::not_linear() };
    let mut cases = vec![
        case(SamplerConfig::InterpolantOde(InterpolantOde::default()), promise.clone()),
        case(
            SamplerConfig::InterpolantSde(InterpolantSde::default()),
            Promise { noise_free_end: false, ..promise },
        ),
    ];
    for order in [1, 2] {
        for grid in [TimeGrid::UniformTime, TimeGrid::UniformLambda] {
            let planner = InterpolantOde { order, grid, t_end: END, ..InterpolantOde::default() };
            cases.push(case(SamplerConfig::InterpolantOde(planner), ode(f64::from(order))));
        }
    }
    cases
}

/// Every planner with its variants.
pub(crate) fn cases() -> Vec<Case> {
    let parts =
        [exponential_solvers(), heun(), stochastic_solvers(), correcting_solvers(), interpolant_solvers()];
    parts.into_iter().flatten().collect()
}

fn keep_their_promises(cases: Vec<Case>) {
    let mut problems = Vec::new();
    for Case { config, promise } in cases {
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<SamplerConfig>(&text).unwrap(), config);
        match check(config.planner(), &promise) {
            Ok(measured) => {
                for m in measured {
                    println!("{:?} slope {:.3}, error {:.2e}: {text}", m.system, m.slope, m.fine);
                }
            }
            Err(error) => problems.push(format!("{error}\n  {text}")),
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn exponential_solvers_keep_their_promises() {
    keep_their_promises(exponential_solvers());
}

#[test]
fn heun_keeps_its_promises() {
    keep_their_promises(heun());
}

#[test]
fn stochastic_solvers_keep_their_promises() {
    keep_their_promises(stochastic_solvers());
}

#[test]
fn correcting_solvers_keep_their_promises() {
    keep_their_promises(correcting_solvers());
}

#[test]
fn interpolant_solvers_keep_their_promises() {
    keep_their_promises(interpolant_solvers());
}

/// A planner with its Langevin corrections taken out: what is left is linear.
#[derive(Debug)]
struct Uncorrected(SamplerConfig);

impl Planner for Uncorrected {
    fn info(&self) -> PlannerInfo {
        self.0.info()
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        let mut plan = self.0.plan(paths, steps)?;
        let ones = vec![1.0; paths.len()];
        for step in &mut plan.steps {
            for op in &mut step.ops {
                if let Op::Langevin { from, out, .. } = *op {
                    let terms = vec![Term { register: from, coefficients: ones.clone() }];
                    *op = Op::Combine { out, terms, constant: None, noise: None };
                }
            }
        }
        Ok(plan)
    }

    fn evaluations(&self, steps: usize, components: usize) -> usize {
        self.0.planner().evaluations(steps, components)
    }
}

/// S4 and predictor–corrector without their corrections converge to the law of the reverse SDE.
#[test]
fn the_linear_part_of_correcting_solvers_is_exact() {
    let promise = Promise::linear(chain(vp_and_ve()));
    for config in [
        SamplerConfig::S4(S4 { eps: 1e-5, ..Default::default() }),
        SamplerConfig::PredictorCorrector(PredictorCorrector { eps: 1e-5, ..Default::default() }),
        SamplerConfig::PredictorCorrector(PredictorCorrector { eps: 1e-5, n_steps: 2, ..Default::default() }),
    ] {
        for m in check(&Uncorrected(config.clone()), &promise).unwrap() {
            println!("{} {:?} slope {:.3}, error {:.2e}", config.name(), m.system, m.slope, m.fine);
        }
    }
}

#[test]
fn no_planner_is_left_out() {
    let covered: Vec<&str> = cases().iter().map(|case| case.config.name()).collect();
    for config in SamplerConfig::all() {
        assert!(covered.contains(&config.name()), "{} has no promise", config.name());
    }
}
