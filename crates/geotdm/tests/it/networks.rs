//! Prior, forward process, networks layer by layer, losses and bounds of every reference model.

use std::collections::BTreeMap;

use burn::tensor::{DType, Tensor, TensorData};
use equidrift_backend::device::DeviceKind;
use equidrift_geotdm::system::groups_of_like_shape;
use equidrift_geotdm::{Half, NoisedGroup, Precision, System, SystemGroup, forward};

use crate::reference::{Case, cases, host, relative_error};

/// Allowed relative errors: networks and their intermediates; prior, process, losses, bounds.
struct Allowed {
    networks: f64,
    process: f64,
}

fn compare(precision: Precision, allowed: &Allowed) {
    for case in cases() {
        let path = &case.golden_path;
        let found = forward(&case.model, &case.golden, path, precision, DeviceKind::Cpu).unwrap();
        let mut worst: BTreeMap<&str, f64> = BTreeMap::new();
        let mut compared = 0;
        for (name, expected) in &case.golden.tensors {
            let Some(name) = name.strip_prefix("out64.") else { continue };
            let result = found
                .tensors
                .get(&format!("out.{name}"))
                .unwrap_or_else(|| panic!("{}: {name} is not computed", case.name));
            assert_eq!(result.shape, expected.shape, "{}: {name}", case.name);
            let (result, expected) = (result.to_f64(), expected.to_f64());
            let mut error = relative_error(&result, &expected);
            if name.starts_with("vlb.") {
                // Terms of a sum far above 1, some of them differences of nearly equal numbers.
                error *= expected.iter().fold(0.0_f64, |m, e| m.max(e.abs())).min(1.0);
            }
            let (part, allowed) = match name.split('.').next().unwrap() {
                "net" => ("networks", allowed.networks),
                "vlb" => ("bounds", allowed.process),
                _ => ("process", allowed.process),
            };
            assert!(error <= allowed, "{}: {name}: relative error {error:.1e}", case.name);
            let so_far = worst.entry(part).or_default();
            *so_far = so_far.max(error);
            compared += 1;
        }
        let worst: Vec<String> = worst.iter().map(|(part, error)| format!("{part} {error:.1e}")).collect();
        println!(
            "{} {precision:?}: {compared} tensors, largest relative errors: {}",
            case.name,
            worst.join(", ")
        );
        assert!(compared >= 15, "{}: only {compared} tensors", case.name);
    }
}

#[test]
fn double_precision() {
    compare(Precision::F64, &Allowed { networks: 1e-11, process: 1e-11 });
}

#[test]
fn single_precision() {
    compare(Precision::F32, &Allowed { networks: 1e-5, process: 1e-4 });
}

/// `(features, positions)` of every half of every layer, by the name of the vectors: all systems, `[nodes, C, frames]`.
fn layers(case: &Case, dtype: DType) -> BTreeMap<String, Vec<f64>> {
    let config = case.model.config();
    let batch = case.batch();
    let network = case.model.network(DeviceKind::Cpu, dtype).unwrap();
    let device = network.device().clone();
    let mut parts: Vec<BTreeMap<String, Vec<f64>>> = vec![BTreeMap::new(); batch.systems.len()];
    let all: Vec<&System> = batch.systems.iter().collect();
    for places in groups_of_like_shape(&all, |_| 1) {
        let place = places[0];
        let group = SystemGroup::new(&config.network, &[all[place]], &device, dtype).unwrap();
        let tensor = |values: &[f64]| {
            let data = TensorData::new(values.to_vec(), group.shape()).convert_dtype(dtype);
            Tensor::<3>::from_data(data, (&device, dtype))
        };
        let levels = [case.levels()[place]];
        let clean = tensor(&batch.clean[place]);
        let noise = tensor(&case.noise()[place]);
        let noised = NoisedGroup::new(&network, &config.diffusion, &group, clean, noise, &levels).unwrap();
        let reference = noised.reference.clone().unwrap();
        let seen = host(noised.state.clone() + reference.clone());
        let given = &all[place].given;
        let mut seen_parts = Vec::new();
        let mut record =
            |prefix: &str, centre: &[f64], number: usize, half: Half, h: &Tensor<3>, x: &Tensor<3>| {
                let name = match half {
                    Half::Spatial => "es",
                    Half::Temporal => "et",
                };
                let positions: Vec<f64> = host(x.clone())
                    .chunks(centre.len())
                    .flat_map(|point| point.iter().zip(centre).map(|(x, c)| x + c).collect::<Vec<_>>())
                    .collect();
                seen_parts.push((format!("{prefix}layer{number}.{name}.x"), positions));
                seen_parts.push((format!("{prefix}layer{number}.{name}.h"), host(h.clone())));
            };
        let centre = |values: &mut dyn Iterator<Item = f64>| -> Vec<f64> {
            let values: Vec<f64> = values.collect();
            let points = values.chunks(3).count() as f64;
            (0..3).map(|k| values.iter().skip(k).step_by(3).sum::<f64>() / points).collect()
        };
        let of_given = centre(&mut given.iter().copied());
        network
            .reference_watched(&group, Some(&mut |l, half, h, x| record("ref.", &of_given, l, half, h, x)))
            .unwrap();
        let of_all = centre(&mut given.iter().chain(&seen).copied());
        let labels = [config.diffusion.label(levels[0])];
        network
            .denoise_watched(
                &group,
                noised.state.clone() + reference,
                &labels,
                Some(&mut |l, half, h, x| record("", &of_all, l, half, h, x)),
            )
            .unwrap();
        parts[place] = seen_parts.into_iter().collect();
    }
    // Node-major rows of frames to rows of channels.
    let mut whole: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (system, part) in parts.iter().enumerate() {
        let nodes = batch.systems[system].graph.nodes();
        for (name, values) in part {
            let width = if name.ends_with(".x") { 3 } else { config.network.hidden };
            let frames = values.len() / (nodes * width);
            let out = whole.entry(name.clone()).or_default();
            for node in values.chunks(frames * width) {
                (0..width).for_each(|c| out.extend((0..frames).map(|t| node[t * width + c])));
            }
        }
    }
    whole
}

#[test]
fn every_layer() {
    for case in cases().iter().filter(|case| case.has("mid64.layer0.es.x")) {
        for (dtype, allowed) in [(DType::F64, 1e-11), (DType::F32, 1e-5)] {
            let found = layers(case, dtype);
            let (mut worst, mut compared) = (0.0_f64, 0);
            for (name, expected) in &case.golden.tensors {
                let Some(name) = name.strip_prefix("mid64.") else { continue };
                let found = found.get(name).unwrap_or_else(|| panic!("{name} is not computed"));
                let error = relative_error(found, &expected.to_f64());
                assert!(error <= allowed, "{}: {name} in {dtype:?}: {error:.1e}", case.name);
                worst = worst.max(error);
                compared += 1;
            }
            println!("{} {dtype:?}: {compared} intermediates, largest relative error {worst:.1e}", case.name);
            assert!(compared >= 16);
        }
    }
}
