//! Multistep solvers with few steps: the last steps have the lower orders they promise.

use equidrift_sampler::plan::{
    DpmMethod, DpmSolver, DpmSolverPlusPlus, DpmSolverV3, SdeDpmSolverPlusPlus, ThirdOrder, UniPc,
    V3Corrector,
};
use equidrift_sampler::{Op, PathConfig, Plan, Planner};

const PATHS: [PathConfig; 2] = [
    PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 },
    PathConfig::VarianceExploding { beta_min: 0.01, beta_max: 20.0 },
];
const END: Option<f64> = Some(1e-3);

/// Coefficients of each linear combination of a step: of its terms, then of its noise.
fn coefficients(plan: &Plan, step: usize) -> Vec<Vec<Vec<f64>>> {
    let combinations = plan.steps[step].ops.iter().filter_map(|op| match op {
        Op::Combine { terms, noise, .. } => {
            let terms = terms.iter().map(|term| term.coefficients.clone());
            Some(terms.chain(noise.iter().map(|noise| noise.coefficients.clone())).collect())
        }
        _ => None,
    });
    combinations.collect()
}

/// Steps of a solver of this order, lower at the end or not.
type Make<'m> = &'m dyn Fn(u8, bool, usize) -> Plan;

/// Every step of a run of order `most` with lower orders at the end is that of the solver of the order it should have:
/// min(most, steps done + 1, steps left), or with `last_only` 1 on the last step alone.
fn check(name: &str, most: u8, last_only: bool, make: Make<'_>) {
    for intervals in 1..=9 {
        let lowered = make(most, true, intervals);
        let plain: Vec<Plan> = (1..=most).map(|order| make(order, false, intervals)).collect();
        for step in 0..intervals {
            let left = if last_only && step + 1 < intervals { intervals } else { intervals - step };
            let order = usize::from(most).min(step + 1).min(left);
            let (found, expected) = (coefficients(&lowered, step), coefficients(&plain[order - 1], step));
            let (found, expected) = (found.last().unwrap(), expected.last().unwrap());
            assert_eq!(found, expected, "{name}, {intervals} steps: step {step} has order {order}");
        }
        if most > 1 && intervals > 1 {
            let whole = &plain[usize::from(most) - 1];
            let last = |plan| coefficients(plan, intervals - 1).pop();
            assert_ne!(last(&lowered), last(whole), "{name}, {intervals} steps: the last step is lowered");
        }
    }
}

#[test]
fn multistep_solvers_end_with_lower_orders() {
    let (method, denoise, t_end) = (DpmMethod::Multistep, false, END);
    for most in 1..=3 {
        check("dpm-solver", most, false, &|order, lower_order_final, steps| {
            let solver =
                DpmSolver { order, method, t_end, denoise, lower_order_final, ..DpmSolver::default() };
            solver.plan(&PATHS, steps).unwrap()
        });
        for variant in [ThirdOrder::Exact, ThirdOrder::Published] {
            check("dpm-solver++", most, false, &|order, lower_order_final, steps| {
                let variant = Some(variant);
                let default = DpmSolverPlusPlus::default();
                let solver =
                    DpmSolverPlusPlus { order, variant, t_end, denoise, lower_order_final, ..default };
                solver.plan(&PATHS, steps).unwrap()
            });
        }
        check("uni-pc", most, false, &|order, lower_order_final, steps| {
            let (corrector, default) = (false, UniPc::default());
            let solver = UniPc { order, corrector, t_end, denoise, lower_order_final, ..default };
            solver.plan(&PATHS, steps).unwrap()
        });
        // The last combination of a corrected step is the prediction.
        check("uni-pc with corrector", most, false, &|order, lower_order_final, steps| {
            let solver = UniPc { order, t_end, denoise, lower_order_final, ..UniPc::default() };
            solver.plan(&PATHS, steps).unwrap()
        });
        check("dpm-solver-v3", most, false, &|order, lower_order_final, steps| {
            let (corrector, default) = (V3Corrector::None, DpmSolverV3::default());
            let solver = DpmSolverV3 { order, corrector, t_end, denoise, lower_order_final, ..default };
            solver.plan(&PATHS, steps).unwrap()
        });
    }
    for most in 1..=2 {
        check("sde-dpm-solver++", most, true, &|order, lower_order_final, steps| {
            let default = SdeDpmSolverPlusPlus::default();
            let solver = SdeDpmSolverPlusPlus { order, t_end, denoise, lower_order_final, ..default };
            solver.plan(&PATHS, steps).unwrap()
        });
    }
}

/// The corrector of a step has the order of that step's predictor: that of the last but one is 2, those before 3.
#[test]
fn correctors_follow_the_order_of_their_step() {
    let make = |order, lower_order_final| {
        let solver = UniPc { order, t_end: END, denoise: false, lower_order_final, ..UniPc::default() };
        solver.plan(&PATHS, 6).unwrap()
    };
    let lowered = make(3, true);
    for (step, order) in [(1, 1), (2, 2), (3, 3), (4, 3), (5, 2)] {
        assert_eq!(
            coefficients(&lowered, step)[0],
            coefficients(&make(order, false), step)[0],
            "step {step}"
        );
    }
}

/// The last step of order 1 by its formula: `x_t = (σ_t/σ_s) x + α_t (1 − e^{−h}) x̂₀`, for 2M and 3M with 2 to 5 steps.
#[test]
fn the_last_step_is_ddim() {
    for order in [2, 3] {
        for steps in 2..=5 {
            let (lower_order_final, denoise, t_end) = (true, false, END);
            let default = DpmSolverPlusPlus::default();
            let solver = DpmSolverPlusPlus { order, lower_order_final, denoise, t_end, ..default };
            let plan = solver.plan(&PATHS, steps).unwrap();
            let last = &coefficients(&plan, steps - 1)[0];
            assert_eq!(last.len(), 2, "the state and one prediction");
            for (component, path) in PATHS.iter().map(PathConfig::build).enumerate() {
                let (s, t) = (plan.steps[steps - 1].time, 1e-3);
                let h = path.lambda(t) - path.lambda(s);
                let expected = [path.sigma(t) / path.sigma(s), path.alpha(t) * (1.0 - (-h).exp())];
                for (term, expected) in last.iter().zip(expected) {
                    assert!((term[component] / expected - 1.0).abs() < 1e-12, "{term:?} {expected}");
                }
            }
        }
    }
}
