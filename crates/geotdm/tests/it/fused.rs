//! The fused denoiser against the tensor library in double precision, and its independence of neighbours and threads.

use std::num::NonZeroUsize;

use burn::tensor::{DType, Tensor, TensorData};
use equidrift_backend::device::DeviceKind;
use equidrift_geotdm::{FusedNetwork, GeotdmModel, NoisySystem, System, SystemGroup, initial_parameters};

use crate::reference::{Case, cases, host, relative_error};

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// Noisy positions of each system, as the networks see them.
fn noisy(case: &Case) -> Vec<Vec<f32>> {
    let batch = case.batch();
    let state = batch.by_system(&case.numbers("out64.q_sample"));
    let reference = match case.has("out64.x_ref") {
        true => batch.by_system(&case.numbers("out64.x_ref")),
        false => state.iter().map(|state| vec![0.0; state.len()]).collect(),
    };
    let sum = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| (a + b) as f32).collect();
    state.iter().zip(&reference).map(sum).collect()
}

/// The noise by the tensor library in double precision.
fn expected(model: &GeotdmModel, system: &System, positions: &[f32], time: f64) -> Vec<f64> {
    let network = model.network(DeviceKind::Cpu, DType::F64).unwrap();
    let group = SystemGroup::new(network.config(), &[system], network.device(), DType::F64).unwrap();
    let positions: Vec<f64> = positions.iter().map(|&x| f64::from(x)).collect();
    let data = TensorData::new(positions, group.shape());
    let positions = Tensor::<3>::from_data(data, (network.device(), DType::F64));
    host(network.denoise(&group, positions, &[time]).unwrap().noise)
}

#[test]
fn it_is_the_same_network() {
    for case in cases() {
        let random = {
            let config = case.model.config().clone();
            let parameters = initial_parameters(&config.network, 4);
            GeotdmModel::new(config, parameters).unwrap()
        };
        let (systems, positions, levels) = (case.batch().systems, noisy(&case), case.levels());
        for model in [&case.model, &random] {
            let config = model.config();
            let network = FusedNetwork::new(&config.network, model.parameters()).unwrap();
            let times: Vec<f64> = levels.iter().map(|&k| config.diffusion.label(k)).collect();
            let batch: Vec<NoisySystem<'_>> = systems
                .iter()
                .zip(&positions)
                .zip(&times)
                .map(|((system, positions), &time)| NoisySystem { system, positions, time })
                .collect();
            let found = network.denoise(&batch, threads(2)).unwrap();
            let mut worst = 0.0_f64;
            for (found, noisy) in found.iter().zip(&batch) {
                let expected = expected(model, noisy.system, noisy.positions, noisy.time);
                let found: Vec<f64> = found.iter().map(|&x| f64::from(x)).collect();
                worst = worst.max(relative_error(&found, &expected));
            }
            println!("{}: {worst:.1e}", case.name);
            assert!(worst <= 1e-5, "{}: {worst:.1e}", case.name);
            // Alone, and on other numbers of threads, the same bits.
            for (found, noisy) in found.iter().zip(&batch) {
                assert_eq!(*found, network.denoise(&[*noisy], threads(1)).unwrap()[0], "{}", case.name);
            }
            assert_eq!(found, network.denoise(&batch, threads(3)).unwrap());
        }
    }
}

#[test]
fn systems_that_do_not_fit_are_refused() {
    for case in cases().iter().filter(|case| case.name == "small") {
        let config = &case.model.config().network;
        let network = FusedNetwork::new(config, case.model.parameters()).unwrap();
        let (systems, positions) = (case.batch().systems, noisy(case));
        let refused = |system: &System, positions: &[f32]| {
            let noisy = NoisySystem { system, positions, time: 1.0 };
            network.denoise(&[noisy], threads(1)).unwrap_err().to_string()
        };
        assert!(refused(&systems[0], &positions[1]).contains("numbers of a trajectory"));
        let bare = System { given: Vec::new(), ..systems[0].clone() };
        assert!(refused(&bare, &positions[0]).contains("given frames"));
        let mut parameters = case.model.parameters().clone();
        parameters.remove("t_modules.1.x_mlp.actions.2.bias");
        let error = FusedNetwork::new(config, &parameters).unwrap_err().to_string();
        assert!(error.contains("t_modules.1.x_mlp.actions.2.bias"), "{error}");
    }
}
