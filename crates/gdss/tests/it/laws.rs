//! The laws of the model: permutation equivariance and silence of padding, for scores and for samples.

use burn::tensor::{DType, Device};
use equidrift_backend::device::DeviceKind;
use equidrift_gdss::EngineKind;
use equidrift_laws::padding::{extra_nodes_defect, garbage_defect};
use equidrift_laws::permutation::{SamplingCase, prediction_defect, sample_defect};
use equidrift_sampler::{Component, KeyedNoise, SamplerConfig, State, Support};

use crate::checkpoints::{Checkpoint, checkpoints};

const ENGINES: [EngineKind; 2] = [EngineKind::Fused, EngineKind::Burn];

/// The golden inputs as a state.
fn state(checkpoint: &Checkpoint) -> (State, Vec<f64>) {
    let get = |name: &str| &checkpoint.golden.tensors[name];
    let flags = get("in.flags");
    let mask: Vec<Vec<bool>> = flags
        .to_f64()
        .chunks_exact(flags.shape[1])
        .map(|row| row.iter().map(|f| *f > 0.5).collect())
        .collect();
    let (device, dtype) = (Device::flex(), DType::F32);
    let supports = [Support::nodes(mask.clone(), get("in.x").shape[2]), Support::symmetric_pairs(mask)];
    let components = ["x", "adj"].into_iter().zip(supports).map(|(name, support)| {
        Component::from_host(name, get(&format!("in.{name}")).to_f64(), support, &device, dtype).unwrap()
    });
    (State::new(components.collect()).unwrap(), get("in.t").to_f64())
}

/// A different shuffle of `nodes` places for every row, padded places included.
fn shuffles(rows: usize, nodes: usize) -> Vec<Vec<usize>> {
    (0..rows)
        .map(|row| {
            let mut order: Vec<usize> = (0..nodes).collect();
            order.sort_by_key(|&i| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15 + 2 * row as u64) >> 7);
            order
        })
        .collect()
}

#[test]
fn permuting_nodes_permutes_the_scores() {
    for checkpoint in checkpoints() {
        let (state, times) = state(&checkpoint);
        let orders = shuffles(state.batch(), state.components[0].support.layout().sites());
        for kind in ENGINES {
            let denoiser = checkpoint.model().denoiser(kind, DeviceKind::Cpu).unwrap();
            let defect = prediction_defect(&*denoiser, &state, &times, &orders).unwrap();
            println!("{} {kind}: {defect:.2e}", checkpoint.name);
            assert!(defect <= 1e-5, "{} {kind}: {defect:.2e}", checkpoint.name);
        }
    }
}

#[test]
fn padding_never_reaches_a_real_entry() {
    for checkpoint in checkpoints() {
        let (state, times) = state(&checkpoint);
        for kind in ENGINES {
            let denoiser = checkpoint.model().denoiser(kind, DeviceKind::Cpu).unwrap();
            let garbage = |index: usize| 1e3 * ((index * 7919 % 1000) as f64 / 500.0 - 1.0);
            assert_eq!(
                garbage_defect(&*denoiser, &state, &times, garbage).unwrap(),
                0.0,
                "{}",
                checkpoint.name
            );
            let defect = extra_nodes_defect(&*denoiser, &state, &times, 3).unwrap();
            println!("{} {kind}: {defect:.2e} with three more absent nodes", checkpoint.name);
            assert!(defect <= 1e-5, "{} {kind}: {defect:.2e}", checkpoint.name);
        }
    }
}

/// With noise keyed by node labels, permuted nodes give permuted samples. The samplers amplify rounding (the Langevin
/// step divides by the score's norm), hence f64 where 1e-5 is asked of whole runs.
#[test]
fn permuting_nodes_permutes_the_samples() {
    let Some(checkpoint) = checkpoints().into_iter().min_by_key(|c| c.model().config().max_nodes) else {
        return;
    };
    let model = checkpoint.model();
    let paths = [model.config().paths.x.clone(), model.config().paths.adj.clone()];
    let networks = &model.config().networks;
    let device = Device::flex();
    let mask: Vec<Vec<bool>> = [9, 4, 7].iter().map(|&size| (0..9).map(|i| i < size).collect()).collect();
    let supports = [Support::nodes(mask.clone(), networks.features()), Support::symmetric_pairs(mask)];
    let orders = shuffles(3, 9);
    let noise = KeyedNoise::new(17);
    for config in SamplerConfig::all() {
        let plan = config.plan(&paths, 20).unwrap();
        for (dtype, tolerance) in [(DType::F32, 2e-5), (DType::F64, 1e-9)] {
            let engine =
                equidrift_gdss::BurnEngine::with_precision(networks, model.parameters(), &device, dtype)
                    .unwrap();
            let denoiser = equidrift_gdss::GdssDenoiser::new(
                std::sync::Arc::new(engine),
                networks.features(),
                &model.config().paths,
            );
            let names = ["x", "adj"];
            let ids = [5, 900, 31];
            let case = SamplingCase {
                plan: &plan,
                names: &names,
                paths: &paths,
                supports: &supports,
                ids: &ids,
                noise: &noise,
                device: &device,
                dtype,
            };
            let defect = sample_defect(&denoiser, &case, &orders).unwrap();
            println!("{} {dtype:?}: {defect:.2e}", config.name());
            assert!(defect <= tolerance, "{} {dtype:?}: {defect:.2e}", config.name());
        }
    }
}
