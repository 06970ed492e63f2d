//! Every solver of the sampler core on models of this family.

use std::num::NonZeroUsize;
use std::sync::Arc;

use burn::tensor::DType;
use equidrift_backend::device::DeviceKind;
use equidrift_geotdm::{SystemBatch, TrajectoryRun};
use equidrift_sampler::{KeyedNoise, SamplerConfig};

use crate::reference::{cases, relative_error, short_chain};

/// Samplers with Langevin steps, whose size is set for other data: with a network that was fitted to one batch they may
/// leave the range of numbers, which must then be reported.
const WITH_LANGEVIN_STEPS: [&str; 3] = ["predictor-corrector", "s4", "annealed-langevin"];

#[test]
fn all_of_them_run() {
    for case in cases().iter().filter(|case| case.name == "small" || case.name == "small_uncond") {
        // The unconditional one was not fitted well enough for the whole way from other noise.
        let diffusion = match case.name.as_str() {
            "small" => case.model.config().diffusion.clone(),
            _ => short_chain(&case.model),
        };
        let network = Arc::new(case.model.network(DeviceKind::Cpu, DType::F32).unwrap());
        let batch = SystemBatch::new(case.batch().systems).unwrap();
        let run = TrajectoryRun::new(network, &diffusion, batch).unwrap();
        let ids: Vec<u64> = (10..10 + run.batch().systems().len() as u64).collect();
        let mut names = Vec::new();
        for sampler in SamplerConfig::all() {
            let plan = run.plan(&sampler, 24).unwrap();
            let drawn = run.draw(&plan, &KeyedNoise::new(3), &ids).unwrap();
            assert_eq!(drawn.evaluations, plan.evaluations());
            for (row, (system, trajectory)) in
                run.batch().systems().iter().zip(&drawn.trajectories).enumerate()
            {
                let Some(trajectory) = trajectory else {
                    assert!(
                        WITH_LANGEVIN_STEPS.contains(&sampler.name()),
                        "{} {}",
                        case.name,
                        sampler.name()
                    );
                    assert!(
                        drawn.failures.iter().any(|failure| (failure.row, failure.id) == (row, ids[row]))
                    );
                    continue;
                };
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
        let [slow, slower] = [100, 400].map(|steps| relative_error(&draw("ddim", steps), &fine));
        println!(
            "dpm-solver++ with 20, 100 steps {coarse:.1e}, {medium:.1e}; ddim with 100, 400 {slow:.1e}, {slower:.1e}"
        );
        // Of the second and of the first order.
        assert!(medium < 0.2 * coarse && slower < 0.5 * slow && slower < 0.05);
    }
}

/// A model draws by itself, as the tensor library does.
#[test]
fn a_model_draws() {
    for case in cases().iter().filter(|case| case.name == "small") {
        let systems = case.batch().systems;
        let batch = SystemBatch::new(systems).unwrap();
        let config = case.model.config();
        let run = case.model.run(batch.clone(), DeviceKind::Cpu, NonZeroUsize::new(2).unwrap()).unwrap();
        let plan = run.plan(&config.sampler, config.steps).unwrap();
        let draw = |run: &TrajectoryRun| -> Vec<f64> {
            let drawn = run.draw(&plan, &KeyedNoise::new(3), &[7, 8, 9]).unwrap();
            drawn.trajectories.into_iter().flat_map(Option::unwrap).collect()
        };
        let network = Arc::new(case.model.network(DeviceKind::Cpu, DType::F64).unwrap());
        let plain = TrajectoryRun::new(network, &config.diffusion, batch).unwrap();
        let error = relative_error(&draw(&run), &draw(&plain));
        println!("fused in single against the tensor library in double precision: {error:.1e}");
        assert!(error <= 1e-4, "{error:.1e}");
    }
}
