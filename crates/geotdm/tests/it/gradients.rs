//! Gradients of the loss, and steps of the optimiser, against the reference vectors.

use std::collections::BTreeMap;

use burn::tensor::{DType, Device, Tensor, TensorData};
use equidrift_backend::weights::ParameterSet;
use equidrift_geotdm::system::groups_of_like_shape;
use equidrift_geotdm::{
    GeotdmNetwork, NoisedGroup, NoisyExample, System, SystemGroup, TrainingExample, system_losses,
};
use equidrift_train::adam::Adam;
use equidrift_train::clip;

use crate::reference::{Case, cases, host, norm, relative_error};

/// The loss of a case and its gradient, with the noise moved on by `shift` frames.
fn loss_and_gradient(
    case: &Case,
    parameters: &ParameterSet,
    dtype: DType,
    shift: usize,
) -> (f64, ParameterSet) {
    let config = case.model.config();
    let batch = case.batch();
    let device = Device::flex().autodiff();
    let network = GeotdmNetwork::read(&config.network, parameters, &device, dtype).unwrap();
    let (levels, noise) = (case.levels(), case.noise());
    let dimensions = batch.dimensions();
    let all: Vec<&System> = batch.systems.iter().collect();
    let mut total: Option<Tensor<1>> = None;
    for places in groups_of_like_shape(&all, |_| usize::MAX) {
        let members: Vec<&System> = places.iter().map(|&place| all[place]).collect();
        let group = SystemGroup::new(&config.network, &members, &device, dtype).unwrap();
        let tensor = |values: Vec<f64>| {
            let data = TensorData::new(values, group.shape()).convert_dtype(dtype);
            Tensor::<3>::from_data(data, (&device, dtype))
        };
        let joined =
            |of: &[Vec<f64>]| places.iter().flat_map(|&place| of[place].clone()).collect::<Vec<f64>>();
        let rolled = joined(&noise)
            .chunks(group.frames() * dimensions)
            .flat_map(|node| {
                let mut node = node.to_vec();
                node.rotate_right(shift * dimensions);
                node
            })
            .collect();
        let levels: Vec<usize> = places.iter().map(|&place| levels[place]).collect();
        let noised = NoisedGroup::new(
            &network,
            &config.diffusion,
            &group,
            tensor(joined(&batch.clean)),
            tensor(rolled),
            &levels,
        )
        .unwrap();
        let denoised = noised.denoise(&network, &config.diffusion, &group).unwrap();
        let losses = system_losses(noised.node_losses(&denoised, &group), config.counted);
        // Not a division: its gradient rounds the divisor to single precision.
        let sum = losses.sum().mul_scalar(1.0 / all.len() as f64);
        total = Some(match total {
            Some(total) => total + sum,
            None => sum,
        });
    }
    let total = total.unwrap();
    let loss = host(total.clone().inner())[0];
    (loss, network.gradients(&mut total.backward()).unwrap())
}

/// The same by the fused kernels.
fn fused_loss_and_gradient(case: &Case) -> (f64, ParameterSet) {
    let config = case.model.config();
    let (batch, levels, noise) = (case.batch(), case.levels(), case.noise());
    let examples: Vec<TrainingExample> = batch
        .systems
        .into_iter()
        .zip(batch.clean)
        .map(|(system, clean)| TrainingExample { system, clean })
        .collect();
    let noisy: Vec<NoisyExample<'_>> = examples
        .iter()
        .zip(&noise)
        .zip(&levels)
        .map(|((example, noise), &k)| NoisyExample { example, noise, level: config.diffusion.level(k) })
        .collect();
    let network = case.model.fused().unwrap();
    let weight = 1.0 / noisy.len() as f64;
    let (loss, _) = network.loss_and_gradient(&noisy, config.counted, weight, false).unwrap();
    let found = network.loss_and_gradient(&noisy, config.counted, weight, true).unwrap();
    assert_eq!(found.0, loss);
    found
}

fn compare(what: &str, allowed: f64, evaluate: impl Fn(&Case) -> (f64, ParameterSet)) {
    for case in cases() {
        let (loss, gradients) = evaluate(&case);
        let expected = case.numbers("out64.loss")[0];
        assert!(
            (loss - expected).abs() <= allowed * expected,
            "{} {what}: loss {loss} {expected}",
            case.name
        );
        let norms: BTreeMap<&str, f64> = case
            .golden
            .tensors
            .iter()
            .filter_map(|(name, tensor)| Some((name.strip_prefix("gradnorm.")?, tensor.to_f64()[0])))
            .collect();
        let whole = case.numbers("gradnorm_total")[0];
        let (mut worst, mut compared, mut wrong) = (0.0_f64, 0, Vec::new());
        for (name, expected) in &norms {
            let gradient = gradients.get(*name).map(|tensor| tensor.to_f64()).unwrap_or_default();
            // A gradient far below the others is left over from larger terms.
            let error = (norm(&gradient) - expected).abs() / expected.max(1e-3 * whole);
            if error > allowed || error.is_nan() {
                wrong.push(format!("{name}: norm {:e} instead of {expected:e}", norm(&gradient)));
            }
            worst = worst.max(error);
            if case.has(&format!("grad.{name}")) {
                let full = case.numbers(&format!("grad.{name}"));
                let difference: Vec<f64> = gradient.iter().zip(&full).map(|(g, e)| g - e).collect();
                let error = norm(&difference) / expected.max(1e-3 * whole);
                assert!(error <= allowed, "{}: gradient of {name}: {error:.1e}", case.name);
                compared += 1;
            }
        }
        assert!(wrong.is_empty(), "{} {what}: {wrong:#?}", case.name);
        for name in gradients.keys() {
            assert!(norms.contains_key(name.as_str()), "{}: gradient of {name} has no reference", case.name);
        }
        let all: Vec<f64> = gradients.values().flat_map(|tensor| tensor.to_f64()).collect();
        let error = (norm(&all) - whole).abs() / whole;
        assert!(error <= allowed, "{}: total norm {error:.1e}", case.name);
        println!(
            "{} {what}: {} gradient norms {worst:.1e}, total {error:.1e}, {compared} whole gradients",
            case.name,
            norms.len()
        );
    }
}

#[test]
fn double_precision() {
    compare("F64", 1e-9, |case| loss_and_gradient(case, case.model.parameters(), DType::F64, 0));
}

#[test]
fn single_precision() {
    compare("F32", 1e-4, |case| loss_and_gradient(case, case.model.parameters(), DType::F32, 0));
}

#[test]
fn fused_kernels() {
    compare("fused", 1e-4, fused_loss_and_gradient);
}

#[test]
fn three_steps_of_the_optimiser() {
    for case in cases().iter().filter(|case| case.has("after3.loss_and_gradnorm")) {
        let expected = case.numbers("after3.loss_and_gradnorm");
        let mut parameters = case.model.parameters().clone();
        // In double precision, so that only the steps themselves are compared.
        for tensor in parameters.values_mut() {
            *tensor = equidrift_backend::weights::HostTensor::f64(tensor.shape.clone(), tensor.to_f64());
        }
        let mut adam = Adam::new(equidrift_train::adam::AdamConfig::default());
        for shift in 0..3 {
            let (loss, gradient) = loss_and_gradient(case, &parameters, DType::F64, shift);
            let length = clip::global_norm(&gradient, "");
            let error = relative_error(&[loss, length], &expected[2 * shift..2 * shift + 2]);
            assert!(error <= 1e-6, "{}: loss and norm of step {shift}: {error:.1e}", case.name);
            adam.step(&mut parameters, &gradient, "", clip::coefficient(length, 1.0), 0.01).unwrap();
        }
        let (mut worst, mut compared) = (0.0_f64, 0);
        for (name, tensor) in &parameters {
            let error = relative_error(&tensor.to_f64(), &case.numbers(&format!("after3.{name}")));
            worst = worst.max(error);
            compared += 1;
        }
        println!("{}: {compared} parameters after three steps, {worst:.1e}", case.name);
        assert!(worst <= 1e-4, "{}: {worst:.1e}", case.name);
    }
}
