//! The checker of planners finds what is wrong.

use equidrift_laws::LawError;
use equidrift_laws::planner::{Convergence, Promise, check};
use equidrift_sampler::plan::{Ddim, NoiseTerm, PlannerInfo, STATE};
use equidrift_sampler::{Op, PathConfig, Plan, Planner, SamplerError, Stream};

const END: f64 = 1e-3;

/// DDIM with something changed in its plans or its announcement.
#[derive(Debug)]
struct Changed {
    announced: usize,
    change: fn(&mut Plan),
}

impl Planner for Changed {
    fn info(&self) -> PlannerInfo {
        Ddim::default().info()
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        let mut plan = Ddim { t_end: Some(END), denoise: false, ..Default::default() }.plan(paths, steps)?;
        (self.change)(&mut plan);
        Ok(plan)
    }

    fn evaluations(&self, steps: usize, _components: usize) -> usize {
        steps + self.announced
    }
}

fn promise() -> Promise {
    Promise::linear(Convergence::ode(1.0, END))
}

fn verdict(announced: usize, change: fn(&mut Plan)) -> Result<(), LawError> {
    check(&Changed { announced, change }, &promise()).map(|_| ())
}

#[track_caller]
fn found(announced: usize, change: fn(&mut Plan), part: &str) {
    let error = verdict(announced, change).unwrap_err();
    println!("{error}");
    let LawError::Broken { planner, what, expected, found } = error else { panic!("{error}") };
    assert_eq!(planner, "ddim");
    assert!(what.contains(part), "{what}");
    assert_ne!(expected, found);
}

fn each_combine(plan: &mut Plan, change: impl Fn(&mut Vec<f64>)) {
    for op in plan.steps.iter_mut().flat_map(|step| &mut step.ops) {
        if let Op::Combine { terms, .. } = op
            && let Some(term) = terms.iter_mut().find(|term| term.register != STATE)
        {
            change(&mut term.coefficients);
        }
    }
}

#[test]
fn a_correct_planner_passes() {
    verdict(0, |_| ()).unwrap();
}

#[test]
fn broken_laws_are_named() {
    found(1, |_| (), "evaluations");
    found(0, |plan| plan.planner = "other".to_owned(), "planner named");
    found(0, |plan| plan.steps[1].time = plan.steps[0].time, "step times");
    let late = |plan: &mut Plan| {
        if let Op::Eval { time, .. } = &mut plan.steps[1].ops[0] {
            *time = 1.0;
        }
    };
    found(0, late, "time of an evaluation");
    let noisy = |plan: &mut Plan| {
        if let Some(Op::Combine { noise, terms, .. }) =
            plan.steps.last_mut().and_then(|step| step.ops.last_mut())
        {
            let coefficients = vec![0.1; terms[0].coefficients.len()];
            *noise = Some(NoiseTerm { stream: Stream::Predictor, step: 0, coefficients });
        }
    };
    found(0, noisy, "last write");
    // One per cent more of x̂₀ in every step: the result converges, but to something else.
    found(0, |plan| each_combine(plan, |c| c.iter_mut().for_each(|c| *c *= 1.01)), "order of the moments");
    // What announces more than it keeps.
    let high = Promise::linear(Convergence::ode(2.0, END));
    let error = check(&Changed { announced: 0, change: |_| () }, &high).unwrap_err();
    assert!(error.to_string().contains("expected at least 2"), "{error}");
}

#[test]
fn invalid_plans_are_the_core_s_errors() {
    let nan = |plan: &mut Plan| each_combine(plan, |c| c.fill(f64::NAN));
    assert!(matches!(verdict(0, nan), Err(LawError::Sampler(SamplerError::InvalidPlan { .. }))));
}
