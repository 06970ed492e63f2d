//! A trajectory does not depend, in any bit, on the systems beside it, whatever their sizes.

use std::num::NonZeroUsize;
use std::sync::Arc;

use burn::tensor::DType;
use equidrift_backend::device::DeviceKind;
use equidrift_geotdm::{GeotdmDenoiser, System, SystemBatch, TrajectoryRun};
use equidrift_sampler::plan::DpmSolverPlusPlus;
use equidrift_sampler::{KeyedNoise, SamplerConfig};

use crate::reference::{cases, short_chain};

type Bits = Vec<u64>;

fn bits(trajectory: Option<Vec<f64>>) -> Bits {
    trajectory.unwrap().iter().map(|x| x.to_bits()).collect()
}

#[test]
fn tensor_library() {
    alone_and_in_batches(false);
}

#[test]
fn fused_kernels() {
    alone_and_in_batches(true);
}

fn alone_and_in_batches(fused: bool) {
    for case in cases() {
        let diffusion = short_chain(&case.model);
        let network = Arc::new(case.model.network(DeviceKind::Cpu, DType::F32).unwrap());
        let mut systems = case.batch().systems;
        // Where frames are not bound to features, trajectories of other lengths too.
        if systems[0].graph.feature_frames() == 1 {
            let short: Vec<System> =
                systems.iter().map(|system| System { frames: system.frames - 7, ..system.clone() }).collect();
            systems.extend(short);
        }
        let sampler = SamplerConfig::DpmSolverPlusPlus(DpmSolverPlusPlus::default());
        let draw = |members: &[usize], side_by_side: usize| -> Vec<Bits> {
            let systems = members.iter().map(|&member| systems[member].clone()).collect();
            let batch = SystemBatch::new(systems).unwrap().with_side_by_side(side_by_side);
            let mut denoiser = GeotdmDenoiser::new(network.clone(), diffusion.clone(), batch).unwrap();
            if fused {
                let threads = NonZeroUsize::new(1 + members.len() % 3).unwrap();
                denoiser = denoiser.with_fused(Arc::new(case.model.fused().unwrap()), threads);
            }
            let run = TrajectoryRun::of(denoiser).unwrap();
            let plan = run.plan(&sampler, 4).unwrap();
            let ids: Vec<u64> = members.iter().map(|&member| 100 + member as u64).collect();
            let drawn = run.draw(&plan, &KeyedNoise::new(1), &ids).unwrap();
            drawn.trajectories.into_iter().map(bits).collect()
        };
        let alone: Vec<Bits> = (0..systems.len()).map(|member| draw(&[member], 1).remove(0)).collect();
        let forwards: Vec<usize> = (0..systems.len()).collect();
        let twice: Vec<usize> = forwards.iter().rev().chain(&forwards).copied().collect();
        for (members, side_by_side) in [(&forwards, 1), (&forwards, 1 << 20), (&twice, 1 << 20)] {
            for (found, &member) in draw(members, side_by_side).iter().zip(members) {
                assert!(
                    *found == alone[member],
                    "{}: system {member} differs in a batch of {}",
                    case.name,
                    members.len()
                );
            }
        }
    }
}
