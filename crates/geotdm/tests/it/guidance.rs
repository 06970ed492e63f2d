//! Products with the Jacobian of the noise in the positions, and samples that are pulled to known frames.

use std::num::NonZeroUsize;
use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor, TensorData};
use equidrift_geotdm::config::{FAMILY, FORMAT_VERSION, LIBRARY};
use equidrift_geotdm::{
    FusedNetwork, GeotdmConfig, GeotdmDenoiser, GeotdmModel, GeotdmNetwork, NoisySystem, Prior, SystemBatch,
    SystemGroup, TrainingExample, TrajectoryDiffusion, TrajectoryRun, initial_parameters, published_sampler,
};
use equidrift_sampler::steer::ObservationEnergy;
use equidrift_sampler::{KeyedNoise, SamplerConfig};

use crate::reference::host;
use crate::training::{examples, network_of};

const MADE: usize = 6;

/// Takes the mean of positions in space away.
fn without_mean(values: &mut [f64]) {
    let points = (values.len() / 3) as f64;
    for k in 0..3 {
        let mean = values.iter().skip(k).step_by(3).sum::<f64>() / points;
        values.iter_mut().skip(k).step_by(3).for_each(|x| *x -= mean);
    }
}

/// Beside differences of the noise that the tensor library finds in double precision.
#[test]
fn products_are_slopes() {
    for (prior, given) in [
        (Prior::JointCentre, 0),
        (Prior::Standardised, 0),
        (Prior::CentreOfMass, 4),
        (Prior::Extrapolated, 4),
    ] {
        let examples = examples(given);
        let config = network_of(prior, &examples);
        let parameters = initial_parameters(&config, 3);
        let fused = FusedNetwork::new(&config, &parameters).unwrap();
        let exact = GeotdmNetwork::read(&config, &parameters, &Device::flex(), DType::F64).unwrap();
        let level = TrajectoryDiffusion::linear(50).unwrap().level(20);
        let example = &examples[1];
        let count = example.clean.len();
        let numbers = |seed: f64| (0..count).map(|k| (k as f64 * 1.7 + seed).sin()).collect::<Vec<f64>>();
        let (mut positions, mut cotangent) = (numbers(0.3), numbers(1.1));
        if prior.is_centred() {
            // Positions and cotangents of the subspace.
            without_mean(&mut positions);
            without_mean(&mut cotangent);
        }
        let noise = |positions: &[f64]| -> Vec<f64> {
            let group = SystemGroup::new(&config, &[&example.system], &Device::flex(), DType::F64).unwrap();
            let data = TensorData::new(positions.to_vec(), group.shape());
            let positions = Tensor::<3>::from_data(data, (&Device::flex(), DType::F64));
            host(match prior.has_measure() {
                true => exact.denoise_deviations(&group, positions, &[level]).unwrap().noise,
                false => exact.denoise(&group, positions, &[level.label]).unwrap().noise,
            })
        };
        let single = |values: &[f64]| values.iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let (low, cotangents) = (single(&positions), vec![single(&cotangent)]);
        let noisy = NoisySystem { system: &example.system, positions: &low, level };
        let found = fused.denoise_with_product(&[noisy], &cotangents, NonZeroUsize::MIN).unwrap();
        let plain = fused.denoise(&[noisy], NonZeroUsize::MIN).unwrap();
        let (of_product, product) = &found[0];
        assert_eq!(*of_product, plain[0], "{prior:?}: the noise beside the product");
        let size = product.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        // Along directions of the subspace.
        for seed in [0.0, 2.0, 5.0] {
            let mut direction = numbers(seed);
            if prior.is_centred() {
                without_mean(&mut direction);
            }
            let moved = |step: f64| {
                let at: Vec<f64> = positions.iter().zip(&direction).map(|(x, v)| x + step * v).collect();
                noise(&at).iter().zip(&cotangent).map(|(noise, c)| noise * c).sum::<f64>()
            };
            let expected = (moved(1e-4) - moved(-1e-4)) / 2e-4;
            let found: f64 = product.iter().zip(&direction).map(|(p, v)| f64::from(*p) * v).sum();
            let length = direction.iter().map(|x| x * x).sum::<f64>().sqrt();
            println!("{prior:?}: {found:.6} {expected:.6}");
            assert!((found - expected).abs() < 1e-4 * size * length, "{prior:?}: {found} {expected}");
        }
        assert!(fused.denoise_with_product(&[noisy], &[], NonZeroUsize::MIN).is_err());
        assert!(fused.denoise_with_product(&[noisy], &[vec![0.0; 3]], NonZeroUsize::MIN).is_err());
    }
}

/// Known frames are where they were observed, the more so the stronger the guidance; other batches change nothing; models that
/// are given frames are not guided.
#[test]
fn samples_are_pulled_to_known_frames() {
    let examples = examples(0);
    let config = network_of(Prior::Standardised, &examples);
    let diffusion = TrajectoryDiffusion::linear(50).unwrap();
    let folder = GeotdmConfig {
        library: LIBRARY.to_owned(),
        format_version: FORMAT_VERSION,
        family: FAMILY.to_owned(),
        name: "free".to_owned(),
        network: config.clone(),
        systems: None,
        molecule: None,
        time_step: None,
        given_frames: 0,
        given_behind: 0,
        frames: MADE,
        diffusion: diffusion.clone(),
        counted: Default::default(),
        sampler: published_sampler(),
        steps: 50,
        origin: None,
    };
    // Small weights: near to the Gaussian law of the best linear guess, which can be guided.
    let mut parameters = initial_parameters(&config, 3);
    for tensor in parameters.values_mut() {
        let values = tensor.to_f64().into_iter().map(|x| 0.3 * x).collect();
        *tensor = equidrift_backend::weights::HostTensor::f64(tensor.shape.clone(), values);
    }
    let model = GeotdmModel::new(folder, parameters).unwrap();
    let known: Vec<bool> = (0..MADE).map(|t| t % 3 != 1).collect();
    let denoiser = |from: &[TrainingExample]| {
        let systems = from.iter().map(|example| example.system.clone()).collect();
        let network =
            Arc::new(model.network(equidrift_backend::device::DeviceKind::Cpu, DType::F32).unwrap());
        let denoiser =
            GeotdmDenoiser::new(network, diffusion.clone(), SystemBatch::new(systems).unwrap()).unwrap();
        denoiser.with_fused(Arc::new(model.fused().unwrap()), NonZeroUsize::MIN)
    };
    let clean = |from: &[TrainingExample]| from.iter().map(|e| e.clean.clone()).collect::<Vec<_>>();
    let draw = |from: &[TrainingExample], ids: &[u64], scale: f64| -> Vec<Vec<f64>> {
        let energy = ObservationEnergy::Squared;
        let run = TrajectoryRun::guided(denoiser(from), &clean(from), &known, scale, energy).unwrap();
        let plan = run.plan(&SamplerConfig::by_name("dpm-solver++").unwrap(), 30).unwrap();
        let drawn = run.draw(&plan, &KeyedNoise::new(5), ids).unwrap();
        drawn.trajectories.into_iter().map(Option::unwrap).collect()
    };
    let ids: Vec<u64> = (0..examples.len() as u64).collect();
    let error = |scale: f64| -> f64 {
        let drawn = draw(&examples, &ids, scale);
        let of = |(drawn, example): (&Vec<f64>, &TrainingExample)| {
            let far = drawn.iter().zip(&example.clean).enumerate();
            let far = far.filter(|(at, _)| known[at / 3 % MADE]);
            far.map(|(_, (a, b))| (a - b).powi(2)).sum::<f64>()
        };
        drawn.iter().zip(&examples).map(of).sum::<f64>().sqrt()
    };
    let errors = [0.0, 0.1, 1.0].map(error);
    println!("distance to the known frames without guidance, with scale .1 and 1: {errors:?}");
    assert!(errors[1] < 0.95 * errors[0] && errors[2] < 0.5 * errors[1], "{errors:?}");
    let alone = draw(&examples[2..3], &[2], 1.0);
    assert_eq!(alone[0], draw(&examples, &ids, 1.0)[2]);

    let refused = |observed: &[Vec<f64>], known: &[bool], scale: f64| {
        let energy = ObservationEnergy::Squared;
        TrajectoryRun::guided(denoiser(&examples), observed, known, scale, energy).err().unwrap().to_string()
    };
    let all = clean(&examples);
    assert!(refused(&all[1..], &known, 1.0).contains("observed trajectories"));
    assert!(refused(&all, &known[1..], 1.0).contains("frames that are known"));
    assert!(refused(&all, &[false; MADE], 1.0).contains("known frames"));
    assert!(refused(&all, &known, -1.0).contains("scale"));
}
