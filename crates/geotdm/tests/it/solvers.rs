//! Every solver of the sampler core on models of this family.

use std::sync::Arc;

use burn::tensor::DType;
use equidrift_backend::device::DeviceKind;
use equidrift_geotdm::{SystemBatch, TrajectoryRun};
use equidrift_sampler::{KeyedNoise, SamplerConfig};

use crate::reference::{cases, relative_error};

/// Samplers that have no meaning on a path from data to noise in discrete steps: those of interpolants and of exploding
/// noise.
const ELSEWHERE: [&str; 3] = ["interpolant-ode", "interpolant-sde", "annealed-langevin"];

#[test]
fn all_of_them_run() {
    for case in cases().iter().filter(|case| case.name == "small" || case.name == "small_uncond") {
        let config = case.model.config();
        let network = Arc::new(case.model.network(DeviceKind::Cpu, DType::F32).unwrap());
        let batch = SystemBatch::new(case.batch().systems).unwrap();
        let run = TrajectoryRun::new(network, &config.diffusion, batch).unwrap();
        let ids: Vec<u64> = (10..10 + run.batch().systems().len() as u64).collect();
        let mut names = Vec::new();
        for sampler in SamplerConfig::all() {
            let plan = match run.plan(&sampler, 24) {
                Ok(plan) => plan,
                Err(error) => {
                    assert!(
                        ELSEWHERE.contains(&sampler.name()) || sampler.name() == "dpm-solver-v3",
                        "{}: {error}",
                        sampler.name()
                    );
                    continue;
                }
            };
            let drawn = run.draw(&plan, &KeyedNoise::new(3), &ids).unwrap();
            assert!(drawn.failures.is_empty(), "{} {}: {:?}", case.name, sampler.name(), drawn.failures);
            assert_eq!(drawn.evaluations, plan.evaluations());
            for (system, trajectory) in run.batch().systems().iter().zip(&drawn.trajectories) {
                let trajectory = trajectory.as_ref().unwrap();
                assert_eq!(trajectory.len(), system.width());
                assert!(trajectory.iter().all(|x| x.is_finite()), "{} {}", case.name, sampler.name());
            }
            names.push(sampler.name());
        }
        println!("{}: {}", case.name, names.join(", "));
        for needed in
            ["ancestral", "ddim", "dpm-solver", "dpm-solver++", "uni-pc", "heun", "sde-dpm-solver++"]
        {
            assert!(names.contains(&needed), "{needed} did not run");
        }
    }
}

/// Deterministic solvers follow one flow: with more steps they come to the same end.
#[test]
fn deterministic_solvers_agree() {
    for case in cases().iter().filter(|case| case.name == "small_com") {
        let config = case.model.config();
        let network = Arc::new(case.model.network(DeviceKind::Cpu, DType::F64).unwrap());
        let batch = SystemBatch::new(case.batch().systems).unwrap();
        let run = TrajectoryRun::new(network, &config.diffusion, batch).unwrap();
        let draw = |name: &str, steps| {
            let plan = run.plan(&SamplerConfig::by_name(name).unwrap(), steps).unwrap();
            let drawn = run.draw(&plan, &KeyedNoise::new(5), &[0, 1, 2]).unwrap();
            drawn.trajectories.into_iter().flat_map(Option::unwrap).collect::<Vec<f64>>()
        };
        let fine = draw("dpm-solver++", 400);
        let [coarse, medium] = [20, 100].map(|steps| relative_error(&draw("dpm-solver++", steps), &fine));
        let other = relative_error(&draw("ddim", 400), &fine);
        println!("dpm-solver++ with 20 and 100 steps {coarse:.1e}, {medium:.1e}; ddim with 400 {other:.1e}");
        assert!(medium < coarse && other < 0.02, "{coarse} {medium} {other}");
    }
}
