//! Plans as data.

use equidrift_sampler::plan::{
    Ddim, DpmSolver, DpmSolverPlusPlus, PlannerInfo, PredictorCorrector, Register, S4, Term, Thresholding,
    UniPc,
};
use equidrift_sampler::{Op, PathConfig, Plan, Planner, SamplerConfig, SamplerError};

use crate::planners::{Case, cases};

const VE: PathConfig = PathConfig::VarianceExploding { beta_min: 0.1, beta_max: 1.0 };
const VP: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 1.0 };

#[test]
fn samplers_are_found_by_name_and_describe_themselves() {
    let names = SamplerConfig::names();
    for name in ["predictor-corrector", "s4", "heun", "euler-maruyama", "reverse-diffusion"] {
        assert!(names.contains(&name), "{name}");
    }
    for name in ["ddim", "dpm-solver", "dpm-solver++", "uni-pc"] {
        assert!(names.contains(&name), "{name}");
    }
    for name in names {
        let config = SamplerConfig::by_name(name).unwrap();
        assert_eq!(config.name(), name);
        let json = format!(r#"{{"name": "{name}"}}"#);
        assert_eq!(serde_json::from_str::<SamplerConfig>(&json).unwrap(), config);
        let PlannerInfo { description, formula, order, cost, citation, .. } = config.info();
        assert!([description, formula, order, cost, citation].iter().all(|text| !text.is_empty()));
        assert_eq!(format!("{:?}", config.build()), format!("{:?}", config.planner()));
    }
    let error = SamplerConfig::by_name("euler").unwrap_err();
    assert!(error.to_string().contains("dpm-solver++"), "{error}");
    assert!(serde_json::from_str::<SamplerConfig>(r#"{"name": "s4", "snrr": 0.1}"#).is_err());
}

/// Files written before DPM-Solver++ had more than two orders.
#[test]
fn older_files_are_read_and_written_as_before() {
    let text = r#"{"name":"dpm-solver++","order":1,"grid":"uniform-lambda","t_end":null,"denoise":false,"lower_order_final":true}"#;
    let config: SamplerConfig = serde_json::from_str(text).unwrap();
    let expected =
        DpmSolverPlusPlus { order: 1, denoise: false, lower_order_final: true, ..Default::default() };
    assert_eq!(config, SamplerConfig::DpmSolverPlusPlus(expected));
    assert_eq!(serde_json::to_string(&config).unwrap(), text);
}

/// Single steps spend a budget exactly: 3…3,2,1; 3…3,1; 3…3,2 evaluations.
#[test]
fn a_budget_is_split_into_single_steps() {
    let solver = |order| DpmSolver { order, denoise: false, ..Default::default() };
    let costs = |order, budget| -> Vec<usize> {
        let plan = solver(order).plan(&[VE], budget).unwrap();
        let evaluations = |op: &&Op| matches!(op, Op::Eval { .. });
        plan.steps.iter().map(|step| step.ops.iter().filter(evaluations).count()).collect()
    };
    for (order, budget, expected) in [
        (3, 1, vec![1]),
        (3, 2, vec![2]),
        (3, 3, vec![2, 1]),
        (3, 9, vec![3, 3, 2, 1]),
        (3, 10, vec![3, 3, 3, 1]),
        (3, 11, vec![3, 3, 3, 2]),
        (2, 6, vec![2, 2, 2]),
        (2, 7, vec![2, 2, 2, 1]),
        (1, 3, vec![1, 1, 1]),
    ] {
        assert_eq!(costs(order, budget), expected, "order {order}, budget {budget}");
    }
}

#[test]
fn a_plan_can_be_read_by_a_person() {
    let listing = PredictorCorrector::default().plan(&[VP, VE], 3).unwrap().to_string();
    println!("{listing}");
    for part in [
        "predictor-corrector: 3 steps, 6 evaluations",
        "Score(r0, r0; t = 1.000000)",
        "langevin",
        "z(Predictor, 1)",
    ] {
        assert!(listing.contains(part), "{part}\n{listing}");
    }
    // The last step returns the mean.
    assert!(!listing.contains("z(Predictor, 2)"));
}

#[test]
fn unusable_requests_are_refused() {
    let refused = |result: Result<Plan, SamplerError>, part: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    for Case { config, promise } in cases() {
        let path = promise.paths[..1].to_vec();
        refused(config.plan(&path, 0), "steps");
        refused(config.plan(&[], 5), "at least one path");
        let backwards = PathConfig::VarianceExploding { beta_min: 2.0, beta_max: 1.0 };
        refused(config.plan(&[backwards], 5), "beta_max");
        assert!(config.plan(&path, 1).is_ok() && config.plan(&path, 2).is_ok(), "{config:?}");
    }
    let sub = PathConfig::SubVariancePreserving { beta_min: 0.1, beta_max: 20.0 };
    refused(S4::default().plan(&[VE, sub], 5), "component 1");
    for order in [0, 4] {
        refused(DpmSolver { order, ..Default::default() }.plan(&[VE], 5), "order");
        refused(DpmSolverPlusPlus { order, ..Default::default() }.plan(&[VE], 5), "order");
        refused(UniPc { order, ..Default::default() }.plan(&[VE], 5), "order");
    }
    for eta in [-0.1, 1.1, f64::NAN] {
        refused(Ddim { eta, ..Default::default() }.plan(&[VE], 5), "eta");
    }
    for (ratio, max, part) in
        [(0.0, 1.0, "ratio"), (1.1, 1.0, "ratio"), (0.9, 0.0, "max"), (0.9, f64::NAN, "max")]
    {
        let threshold = Some(Thresholding { ratio, max });
        refused(DpmSolverPlusPlus { threshold, ..Default::default() }.plan(&[VE], 5), part);
    }
    refused(PredictorCorrector { snr: f64::NAN.into(), ..Default::default() }.plan(&[VE], 5), "snr");
    refused(PredictorCorrector { n_steps: 0, ..Default::default() }.plan(&[VE], 5), "n_steps");
    refused(PredictorCorrector { eps: 0.0, ..Default::default() }.plan(&[VE], 5), "eps");
    let steep = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
    refused(PredictorCorrector::default().plan(&[steep], 10), "too few");
}

/// A plan from disk may hold anything; the check finds it before the executor does.
#[test]
fn broken_plans_are_refused() {
    let good = DpmSolverPlusPlus::default().plan(&[VE], 4).unwrap();
    let broken = |change: &dyn Fn(&mut Plan), part: &str| {
        let mut plan = good.clone();
        change(&mut plan);
        let error = plan.validate().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let combine = |plan: &mut Plan, change: &dyn Fn(&mut Register, &mut Vec<Term>)| {
        for op in plan.steps.iter_mut().flat_map(|step| &mut step.ops) {
            if let Op::Combine { out, terms, .. } = op {
                return change(out, terms);
            }
        }
    };
    broken(&|plan| plan.components = 0, "no components");
    broken(&|plan| plan.components = 2, "for 2 components");
    broken(&|plan| plan.registers = 1_000_000_000, "registers");
    broken(&|plan| combine(plan, &|out, _| *out = 77), "register 77");
    broken(&|plan| combine(plan, &|_, terms| terms[0].register = 2), "before it is written");
    broken(&|plan| combine(plan, &|_, terms| terms[0].coefficients = vec![f64::NAN]), "NaN");
    broken(&|plan| plan.steps[0].ops.swap(0, 1), "before it is written");
}
