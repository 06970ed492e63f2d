//! Plans as data.

use equidrift_sampler::plan::{
    Corrector, DpmSolver, Heun, PlannerInfo, Predictor, PredictorCorrector, Register, S4, Term,
};
use equidrift_sampler::{Op, PathConfig, Plan, Planner, SamplerConfig, SamplerError, TimeGrid};

const VE: PathConfig = PathConfig::VarianceExploding { beta_min: 0.1, beta_max: 1.0 };
const VP: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 1.0 };

fn variants() -> Vec<SamplerConfig> {
    let mut all = SamplerConfig::all();
    all.push(SamplerConfig::PredictorCorrector(PredictorCorrector { n_steps: 3, ..Default::default() }));
    all.push(SamplerConfig::PredictorCorrector(PredictorCorrector {
        predictor: Predictor::Euler,
        corrector: Corrector::None,
        probability_flow: true,
        ..Default::default()
    }));
    all.push(SamplerConfig::Heun(Heun { denoise: false, ..Default::default() }));
    all.push(SamplerConfig::DpmSolver(DpmSolver { order: 1, denoise: false, ..Default::default() }));
    all.push(SamplerConfig::DpmSolver(DpmSolver {
        lower_order_final: true,
        grid: TimeGrid::Karras { rho: 7.0 },
        ..Default::default()
    }));
    all
}

/// The announced number of evaluations is the number of `Eval` operations, for all steps and component counts.
#[test]
fn evaluations_are_counted_exactly() {
    for config in variants() {
        for steps in 3..=50 {
            for paths in [&[VE][..], &[VP, VE], &[VE, VE, VP]] {
                let plan = config.plan(paths, steps).unwrap();
                plan.validate().unwrap();
                let announced = config.planner().evaluations(steps, paths.len());
                assert_eq!(plan.evaluations(), announced, "{config:?} {steps} {}", paths.len());
                assert_eq!(plan.steps.len(), steps, "{config:?}");
            }
        }
    }
}

#[test]
fn plans_and_samplers_survive_json() {
    for config in variants() {
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<SamplerConfig>(&text).unwrap(), config);
        let plan = config.plan(&[VP, VE], 7).unwrap();
        let text = serde_json::to_string(&plan).unwrap();
        // Bit for bit: the coefficients are the sampler.
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan, "{config:?}");
    }
}

#[test]
fn samplers_are_found_by_name_and_describe_themselves() {
    let names = SamplerConfig::names();
    for name in ["predictor-corrector", "s4", "heun", "dpm-solver++", "euler-maruyama", "reverse-diffusion"] {
        assert!(names.contains(&name));
        let config = SamplerConfig::by_name(name).unwrap();
        assert_eq!(config.name(), name);
        let json = format!(r#"{{"name": "{name}"}}"#);
        assert_eq!(serde_json::from_str::<SamplerConfig>(&json).unwrap(), config);
        let PlannerInfo { description, formula, order, cost, citation, .. } = config.info();
        assert!([description, formula, order, cost, citation].iter().all(|text| !text.is_empty()));
        assert_eq!(config.build().plan(&[VE], 5).unwrap(), config.plan(&[VE], 5).unwrap());
        assert_eq!(config.plan(&[VE], 5).unwrap().planner, name);
    }
    let error = SamplerConfig::by_name("ddim").unwrap_err();
    assert!(error.to_string().contains("dpm-solver++"), "{error}");
    assert!(serde_json::from_str::<SamplerConfig>(r#"{"name": "s4", "snrr": 0.1}"#).is_err());
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
    for config in variants() {
        refused(config.plan(&[VE], 0), "steps");
        refused(config.plan(&[], 5), "at least one path");
        refused(
            config.plan(&[PathConfig::VarianceExploding { beta_min: 2.0, beta_max: 1.0 }], 5),
            "beta_max",
        );
        assert!(config.plan(&[VE], 1).is_ok() && config.plan(&[VE], 2).is_ok(), "{config:?}");
    }
    let sub = PathConfig::SubVariancePreserving { beta_min: 0.1, beta_max: 20.0 };
    refused(S4::default().plan(&[VE, sub], 5), "component 1");
    refused(DpmSolver { order: 3, ..Default::default() }.plan(&[VE], 5), "order");
    refused(PredictorCorrector { snr: f64::NAN, ..Default::default() }.plan(&[VE], 5), "snr");
    refused(PredictorCorrector { n_steps: 0, ..Default::default() }.plan(&[VE], 5), "n_steps");
    refused(PredictorCorrector { eps: 0.0, ..Default::default() }.plan(&[VE], 5), "eps");
    let steep = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
    refused(PredictorCorrector::default().plan(&[steep], 10), "too few");
}

/// A plan from disk may hold anything; the check finds it before the executor does.
#[test]
fn broken_plans_are_refused() {
    let good = DpmSolver::default().plan(&[VE], 4).unwrap();
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
