//! Model folders: what is written is read, and what does not fit is named.

use std::fs;

use burn::tensor::DType;
use equidrift_backend::device::DeviceKind;
use equidrift_backend::weights::{HostTensor, TensorFile};
use equidrift_geotdm::{
    GeotdmConfig, GeotdmError, GeotdmModel, Lengths, NetworkConfig, Precision, Prior, Temporal,
    TrajectoryDiffusion, convert_geotdm, forward, initial_parameters, parameter_shapes, published_sampler,
};
use serde_json::Value;

use crate::reference::{cases, geotdm_dir};

fn config() -> GeotdmConfig {
    GeotdmConfig {
        library: "equidrift".to_owned(),
        format_version: 1,
        family: "geotdm".to_owned(),
        name: "tiny".to_owned(),
        network: NetworkConfig {
            node_features: 2,
            edge_features: 1,
            hidden: 8,
            layers: 2,
            temporal: Temporal::Attention,
            time_features: 6,
            lengths: Lengths::Squared,
            prior: Prior::Learned { layers: 1, frames: 5 },
            extrapolation: None,
        },
        systems: None,
        molecule: None,
        time_step: Some(5.0),
        given_frames: 3,
        given_behind: 0,
        frames: 5,
        diffusion: TrajectoryDiffusion::linear(25).unwrap(),
        counted: Default::default(),
        sampler: published_sampler(),
        steps: 25,
        origin: None,
    }
}

fn tiny() -> GeotdmModel {
    let config = config();
    let parameters = initial_parameters(&config.network, 1);
    GeotdmModel::new(config, parameters).unwrap()
}

#[test]
fn a_folder_gives_the_model_back() {
    let folder = tempfile::TempDir::new().unwrap();
    let model = tiny();
    let measured = [("ADE on nothing".to_owned(), "0.1".to_owned())];
    model.write(folder.path(), &measured).unwrap();
    let found = GeotdmModel::open(folder.path()).unwrap();
    assert_eq!(found, model);
    assert_eq!(found.digest().unwrap(), model.digest().unwrap());
    let card = fs::read_to_string(folder.path().join("README.md")).unwrap();
    for text in
        ["# tiny", "5 frames that follow 3 given ones", "EGTN, 2 layers, width 8", "| ADE on nothing | 0.1 |"]
    {
        assert!(card.contains(text), "{text} is not in {card}");
    }
    assert!(found.network(DeviceKind::Cpu, DType::F64).is_ok());
}

#[test]
fn converted_models_have_the_published_numbers_of_parameters() {
    let Some(dir) = geotdm_dir() else { return };
    for case in cases() {
        let text = fs::read(dir.join(format!("{}.json", case.name))).unwrap();
        let json: Value = serde_json::from_slice(&text).unwrap();
        let count: usize = case.model.parameters().values().map(HostTensor::len).sum();
        assert_eq!(count as u64, json["parameters"].as_u64().unwrap(), "{}", case.name);
        let folder = tempfile::TempDir::new().unwrap();
        case.model.write(folder.path(), &[]).unwrap();
        assert_eq!(GeotdmModel::open(folder.path()).unwrap(), case.model);
    }
}

#[test]
fn the_released_size() {
    // 6 layers and 2 of the prior, width 128: 1.89 and 1.90 million parameters.
    let network = NetworkConfig {
        node_features: 1,
        edge_features: 1,
        hidden: 128,
        layers: 6,
        temporal: Temporal::Attention,
        time_features: 32,
        lengths: Lengths::Squared,
        prior: Prior::Learned { layers: 2, frames: 20 },
        extrapolation: None,
    };
    let count = |network: &NetworkConfig| -> usize {
        parameter_shapes(network).values().map(|info| info.shape.iter().product::<usize>()).sum()
    };
    let molecule = NetworkConfig { node_features: 30, edge_features: 4, ..network.clone() };
    let found = [count(&network), count(&molecule)].map(|count| (count as f64 / 1e4).round() / 1e2);
    assert_eq!(found, [1.89, 1.9]);
}

#[test]
fn folders_that_are_wrong_are_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    tiny().write(folder.path(), &[]).unwrap();
    let weights = fs::read(path("model.safetensors")).unwrap();
    fs::write(path("model.safetensors"), &weights[..weights.len() - 5]).unwrap();
    let error = GeotdmModel::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("model.safetensors"), "{error}");
    fs::remove_file(path("model.safetensors")).unwrap();
    let error = GeotdmModel::open(folder.path()).unwrap_err();
    assert!(matches!(error, GeotdmError::Folder(_)) && error.to_string().contains("model.safetensors"));

    let refused = |change: &dyn Fn(&mut GeotdmConfig), text: &str| {
        let mut config = config();
        change(&mut config);
        let error = GeotdmModel::new(config, tiny().parameters().clone()).unwrap_err().to_string();
        assert!(error.contains(text), "{error} does not name {text}");
    };
    refused(&|config| config.family = "gdss".to_owned(), "family");
    refused(&|config| config.network.hidden = 9, "needs shape");
    refused(&|config| config.network.hidden = 1_000_000, "network.hidden");
    refused(&|config| config.network.time_features = 5, "network.time_features");
    refused(&|config| config.network.layers = 3, "s_modules.2");
    refused(&|config| config.network.layers = 1, "belongs to no layer");
    refused(&|config| config.frames = 6, "frames");
    refused(&|config| config.given_frames = 0, "given_frames");
    refused(&|config| config.diffusion.time_scale = f64::NAN, "time_scale");
    let mut parameters = tiny().parameters().clone();
    parameters.insert("ws".to_owned(), HostTensor::f32([5], vec![f32::NAN; 5]));
    let error = GeotdmModel::new(config(), parameters).unwrap_err().to_string();
    assert!(error.contains("`ws`") && error.contains("not finite"), "{error}");
}

#[test]
fn settings_that_cannot_be_converted_are_refused() {
    let Some(dir) = geotdm_dir() else { return };
    let folder = tempfile::TempDir::new().unwrap();
    let json = folder.path().join("small.json");
    let text = fs::read_to_string(dir.join("small.json")).unwrap();
    let refused = |text: &str, expected: &str| {
        fs::write(&json, text).unwrap();
        let error = convert_geotdm(&json).unwrap_err().to_string();
        assert!(error.contains("small") && error.contains(expected), "{error}");
    };
    refused(&text, "small.safetensors");
    fs::copy(dir.join("small.safetensors"), folder.path().join("small.safetensors")).unwrap();
    refused(&text[..40], "line");
    refused(&text.replace("\"scale\": 1", "\"scale\": 2"), "denoise_model.scale");
    refused(&text.replace("\"silu\"", "\"relu\""), "denoise_model.act_fn");
    refused(&text.replace("\"linear\"", "\"square\""), "beta_schedule");
    refused(&text.replace("\"hidden_dim\": 16", "\"hidden_dim\": 17"), "needs shape");
    refused(&text.replace("\"frames\": 30", "\"frames\": 5"), "frames");
    refused(&text.replace("\"num_timesteps\": 25", "\"num_timesteps\": 16000000"), "num_timesteps");
    let mut settings: Value = serde_json::from_str(&text).unwrap();
    settings["num_timesteps"] = 20.into();
    fs::write(&json, settings.to_string()).unwrap();
    let error = convert_geotdm(&json).unwrap_err().to_string();
    assert!(error.contains("betas"), "{error}");
    fs::write(&json, &text).unwrap();
    assert!(convert_geotdm(&json).is_ok());
}

#[test]
fn inputs_that_do_not_fit_are_named() {
    for case in cases().iter().filter(|case| case.name == "small") {
        let evaluate = |change: &dyn Fn(&mut TensorFile)| {
            let mut inputs = case.golden.clone();
            change(&mut inputs);
            forward(&case.model, &inputs, &case.golden_path, Precision::F32, DeviceKind::Cpu)
        };
        let set = |name: &'static str, at: usize, value: f64| {
            move |inputs: &mut TensorFile| {
                let tensor = inputs.tensors.get_mut(name).unwrap();
                let mut values = tensor.to_f64();
                values[at] = value;
                *tensor = HostTensor::f64(tensor.shape.clone(), values);
            }
        };
        let refused = |change: &dyn Fn(&mut TensorFile), text: &str| {
            let error = evaluate(change).unwrap_err().to_string();
            assert!(error.contains(text), "{error} does not say {text}");
        };
        refused(&|inputs| drop(inputs.tensors.remove("in.noise")), "in.noise");
        refused(&set("in.t_graph", 0, 25.0), "below 25");
        refused(&set("in.t_graph", 0, 0.5), "whole number");
        refused(&set("in.edge_index", 0, 99.0), "in.edge_index");
        refused(&set("in.edge_index", 0, 12.0), "system");
        refused(&set("in.edge_index", 0, f64::NAN), "whole number");
        refused(&set("in.batch", 0, 1.0), "ascending");
        let reshaped = |inputs: &mut TensorFile| {
            inputs.tensors.insert("in.x".to_owned(), HostTensor::zeros([13, 3, 10]));
        };
        refused(&reshaped, "in.x");
        assert!(evaluate(&|_| ()).is_ok());
    }
}
