//! Model folders: written, read, and made by an enemy.

use std::collections::BTreeMap;
use std::path::Path;

use equidrift_backend::checksum::{ChecksumError, write_sums};
use equidrift_backend::device::{DeviceError, DeviceKind};
use equidrift_backend::model_folder::ModelFolderError;
use equidrift_backend::weights::{HostTensor, TensorFile, WeightsError};
use equidrift_gdss::{
    BondsConfig, CARD_FILE, CONFIG_FILE, ConfigError, EdgeNetworkConfig, EngineKind, GdssConfig, GdssError,
    GdssModel, NetworksConfig, NodeNetworkConfig, ParameterError, PathsConfig, Precision, Projection,
    SamplingWeights, ScoreNetworkAConfig, ScoreNetworkXConfig, Task, Vocabulary, WEIGHTS_FILE, convert_gdss,
    forward, initial_parameters,
};
use equidrift_sampler::path::DataMoments;
use equidrift_sampler::{PathConfig, SamplerConfig};

use crate::checkpoints::{checkpoints, scratch};

/// A model small enough to be damaged many times.
pub(crate) fn small_model() -> GdssModel {
    let networks = NetworksConfig {
        x: NodeNetworkConfig::ScoreNetworkX(ScoreNetworkXConfig {
            max_feat_num: 2,
            depth: 1,
            nhid: 4,
            time_features: 0,
        }),
        adj: EdgeNetworkConfig::ScoreNetworkA(ScoreNetworkAConfig {
            max_feat_num: 2,
            max_node_num: 5,
            nhid: 4,
            num_layers: 2,
            num_linears: 2,
            c_init: 2,
            c_hid: 2,
            c_final: 1,
            adim: 4,
            num_heads: 2,
            conv: Projection::Gcn,
            time_features: 0,
        }),
    };
    let parameters = initial_parameters(&networks, 1);
    let config = GdssConfig {
        library: "equidrift".into(),
        format_version: 1,
        family: "gdss".into(),
        name: "small".into(),
        task: Task::Molecules,
        max_nodes: 5,
        vocabulary: Some(Vocabulary { atoms: vec!["C".into(), "O".into()] }),
        bonds: BondsConfig::Orders,
        networks,
        paths: PathsConfig::published(
            PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 1.0 },
            PathConfig::VarianceExploding { beta_min: 0.2, beta_max: 1.0 },
        ),
        sampler: SamplerConfig::by_name("s4").unwrap(),
        steps: 10,
        node_counts: Some(BTreeMap::from([(3, 10), (5, 2)])),
        edge_moments: Some(DataMoments { mean: 0.5, variance: 0.25 }),
        sampling_weights: SamplingWeights::Raw,
        origin: None,
    };
    GdssModel::new(config, parameters).unwrap()
}

/// Puts the checksums right again, so that the damage itself is what is found.
fn seal(folder: &Path) {
    write_sums(folder, &[CONFIG_FILE, WEIGHTS_FILE, CARD_FILE]).unwrap();
}

#[test]
fn a_written_folder_reads_back_identical() {
    let folder = scratch();
    let model = small_model();
    let target = folder.path().join("a/b");
    model.write(&target, &[("validity".into(), "96 %".into())]).unwrap();
    let again = GdssModel::open(&target).unwrap();
    assert_eq!(again, model);
    assert_eq!(again.digest().unwrap(), model.digest().unwrap());
    let card = std::fs::read_to_string(target.join(CARD_FILE)).unwrap();
    assert!(card.contains("| validity | 96 % |") && card.contains("atoms C, O"), "{card}");
    // Over an existing model, and what a person writes into the card, is fine.
    model.write(&target, &[]).unwrap();
    std::fs::write(target.join(CARD_FILE), "notes").unwrap();
    GdssModel::open(&target).unwrap();
}

#[test]
fn the_bond_encoding_stands_in_the_folder_unless_it_is_the_usual_one() {
    let folder = scratch();
    let model = small_model();
    model.write(folder.path(), &[]).unwrap();
    let path = folder.path().join(CONFIG_FILE);
    assert!(!std::fs::read_to_string(&path).unwrap().contains("bonds"));
    let config = GdssConfig { bonds: BondsConfig::Aromatic, ..model.config().clone() };
    let aromatic = GdssModel::new(config, model.parameters().clone()).unwrap();
    assert_ne!(aromatic.digest().unwrap(), model.digest().unwrap());
    aromatic.write(folder.path(), &[]).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(r#""bonds": "aromatic""#), "{text}");
    assert_eq!(GdssModel::open(folder.path()).unwrap(), aromatic);
    let card = std::fs::read_to_string(folder.path().join(CARD_FILE)).unwrap();
    assert!(card.contains("aromatic bonds are a level of their own"), "{card}");
    std::fs::write(&path, text.replace("aromatic", "delocalised")).unwrap();
    seal(folder.path());
    let error = GdssModel::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("delocalised"), "{error}");
    let graphs = GdssConfig { task: Task::Graphs, vocabulary: None, ..aromatic.config().clone() };
    assert!(graphs.check().unwrap_err().to_string().contains("bonds"));
}

#[test]
fn missing_files() {
    for name in [CONFIG_FILE, WEIGHTS_FILE, "SHA256SUMS"] {
        let folder = scratch();
        small_model().write(folder.path(), &[]).unwrap();
        std::fs::remove_file(folder.path().join(name)).unwrap();
        let error = GdssModel::open(folder.path()).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert!(
            matches!(
                error,
                GdssError::Folder(
                    ModelFolderError::Io { .. } | ModelFolderError::Checksum(ChecksumError::Io { .. })
                )
            ),
            "{error:?}"
        );
    }
    assert!(matches!(GdssModel::open("no/such/folder"), Err(GdssError::Folder(ModelFolderError::Io { .. }))));
}

#[test]
fn any_changed_byte_is_found_before_parsing() {
    let folder = scratch();
    small_model().write(folder.path(), &[]).unwrap();
    for name in [CONFIG_FILE, WEIGHTS_FILE] {
        let path = folder.path().join(name);
        let good = std::fs::read(&path).unwrap();
        for at in [0, 9, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            let error = GdssModel::open(folder.path()).unwrap_err();
            assert!(
                matches!(
                    error,
                    GdssError::Folder(ModelFolderError::Checksum(ChecksumError::Mismatch { .. }))
                ),
                "{name} byte {at}: {error}"
            );
            assert!(error.to_string().contains(name), "{error}");
        }
        std::fs::write(&path, &good[..good.len() / 2]).unwrap();
        assert!(
            matches!(GdssModel::open(folder.path()), Err(GdssError::Folder(ModelFolderError::Checksum(_)))),
            "truncated {name}"
        );
        std::fs::write(&path, &good).unwrap();
    }
    GdssModel::open(folder.path()).unwrap();
}

#[test]
fn sealed_but_malformed_weights() {
    let folder = scratch();
    small_model().write(folder.path(), &[]).unwrap();
    let path = folder.path().join(WEIGHTS_FILE);
    let good = std::fs::read(&path).unwrap();
    let mut huge = good.clone();
    huge[..8].copy_from_slice(&(10_u64 << 30).to_le_bytes());
    type Expected = fn(&WeightsError) -> bool;
    let cases: [(&[u8], Expected); 4] = [
        (&huge, |e| matches!(e, WeightsError::HeaderTooLong { .. })),
        (&good[..good.len() - 4], |e| matches!(e, WeightsError::Truncated { .. })),
        (&good[..5], |e| matches!(e, WeightsError::Truncated { .. })),
        (b"not a safetensors file at all", |e| matches!(e, WeightsError::HeaderTooLong { .. })),
    ];
    for (bytes, expected) in cases {
        std::fs::write(&path, bytes).unwrap();
        seal(folder.path());
        let error = GdssModel::open(folder.path()).unwrap_err();
        assert!(matches!(&error, GdssError::Weights(e) if expected(e)), "{error:?}");
        assert!(error.to_string().contains(WEIGHTS_FILE), "{error}");
    }
}

/// Opens the small model after a change of its tensors.
fn with_tensors(change: impl FnOnce(&mut TensorFile)) -> GdssError {
    let folder = scratch();
    small_model().write(folder.path(), &[]).unwrap();
    let path = folder.path().join(WEIGHTS_FILE);
    let mut weights = TensorFile::read(&path).unwrap();
    change(&mut weights);
    weights.write(&path).unwrap();
    seal(folder.path());
    GdssModel::open(folder.path()).unwrap_err()
}

#[test]
fn weights_that_do_not_fit_the_configuration() {
    let name = "adj.layers.1.attn.0.gnn_q.weight";
    let error = with_tensors(|w| drop(w.tensors.remove(name)));
    assert!(
        matches!(&error, GdssError::Mismatch { source: ParameterError::Missing { name: n, .. }, .. } if n == name)
    );
    let error = with_tensors(|w| drop(w.tensors.insert(name.into(), HostTensor::zeros([4, 5]))));
    let text = error.to_string();
    assert!(text.contains(name) && text.contains("[4, 4]") && text.contains("[4, 5]"), "{text}");
    assert!(matches!(error, GdssError::Mismatch { source: ParameterError::Shape { .. }, .. }));
    let error = with_tensors(|w| drop(w.tensors.insert("x.extra".into(), HostTensor::zeros([1]))));
    assert!(matches!(error, GdssError::Mismatch { source: ParameterError::Unexpected { .. }, .. }));
    let error = with_tensors(|w| {
        drop(w.tensors.insert("x.layers.0.bias".into(), HostTensor::f32([4], vec![0.0, 1.0, f32::NAN, 0.0])));
    });
    assert!(matches!(error, GdssError::Mismatch { source: ParameterError::NotFinite { index: 2, .. }, .. }));
}

/// Opens the small model after a textual change of its configuration.
fn with_config(from: &str, to: &str) -> GdssError {
    let folder = scratch();
    small_model().write(folder.path(), &[]).unwrap();
    let path = folder.path().join(CONFIG_FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
    seal(folder.path());
    GdssModel::open(folder.path()).unwrap_err()
}

#[test]
fn configurations_that_are_wrong() {
    let json = |e: GdssError| matches!(e, GdssError::Json { .. });
    assert!(json(with_config("\"steps\"", "\"stepz\"")), "unknown field");
    assert!(json(with_config("\"steps\": 10", "\"steps\": -1")), "negative");
    assert!(json(with_config("\"ScoreNetworkA\"", "\"BaselineNetwork\"")), "unknown network");
    assert!(json(with_config("\"GCN\"", "\"MLP\"")), "unknown projection");
    assert!(json(with_config("\"VP\"", "\"cosine\"")), "unknown path");
    assert!(json(with_config("\"s4\"", "\"s5\"")), "unknown sampler");
    assert!(json(with_config("{", "[")), "not an object");

    let config = |error: GdssError| match error {
        GdssError::Config { path, source } if path.ends_with(CONFIG_FILE) => source,
        other => panic!("{other:?}"),
    };
    let identity =
        [("\"equidrift\"", "\"other\""), ("\"gdss\"", "\"pard\""), ("version\": 1", "version\": 2")];
    for (from, to) in identity {
        assert!(matches!(config(with_config(from, to)), ConfigError::Identity { .. }), "{to}");
    }
    let huge = [("\"depth\": 1", "\"depth\": 99999999"), ("\"num_heads\": 2", "\"num_heads\": 3")];
    let more = [("\"num_layers\": 2", "\"num_layers\": 1"), ("\"c_hid\": 2", "\"c_hid\": 9999999999")];
    for (from, to) in huge.into_iter().chain(more) {
        assert!(matches!(config(with_config(from, to)), ConfigError::Networks(_)), "{to}");
    }
    assert!(matches!(
        config(with_config("\"max_nodes\": 5", "\"max_nodes\": 0")),
        ConfigError::OutOfRange { .. }
    ));
    assert!(matches!(config(with_config("\"beta_min\": 0.1", "\"beta_min\": -1.0")), ConfigError::Paths(_)));
    assert!(matches!(
        config(with_config("\"3\": 10", "\"9\": 10")),
        ConfigError::NodeCounts { nodes: 9, .. }
    ));
    assert!(matches!(
        config(with_config("\"C\",", "\"C\", \"N\",")),
        ConfigError::Vocabulary { found: 3, .. }
    ));
    // A sound configuration of other networks than the weights'.
    assert!(matches!(with_config("\"depth\": 1", "\"depth\": 2"), GdssError::Mismatch { .. }));
}

#[test]
fn engines_and_devices() {
    let model = small_model();
    assert_eq!(model.engine(EngineKind::Burn, DeviceKind::Cpu).unwrap().name(), "burn");
    let error = model.engine(EngineKind::Fused, DeviceKind::Cuda(0)).err().unwrap();
    assert!(matches!(error, GdssError::EngineDevice { .. }), "{error}");
    if let Err(error) = DeviceKind::Cuda(0).open() {
        assert!(matches!(error, DeviceError::NotCompiledIn { feature: "cuda", .. }), "{error}");
        let error = model.engine(EngineKind::Burn, DeviceKind::Cuda(0)).err().unwrap();
        assert!(error.to_string().contains("--features cuda"), "{error}");
    }
}

#[test]
fn inputs_that_are_no_graphs() {
    let model = small_model();
    let good = || TensorFile {
        tensors: [
            ("in.x".to_owned(), HostTensor::zeros([2, 3, 2])),
            ("in.adj".to_owned(), HostTensor::zeros([2, 3, 3])),
            ("in.flags".to_owned(), HostTensor::f32([2, 3], vec![1.0; 6])),
            ("in.t".to_owned(), HostTensor::f32([2], vec![0.5; 2])),
        ]
        .into(),
        ..TensorFile::default()
    };
    let run = |inputs: &TensorFile| {
        forward(
            &model,
            inputs,
            Path::new("in.safetensors"),
            Precision::F32,
            EngineKind::Burn,
            DeviceKind::Cpu,
        )
    };
    let out = run(&good()).unwrap();
    assert_eq!(out.tensors["out.adj.net"].shape, [2, 3, 3]);
    assert_eq!(out.tensors.len(), 4);
    for (name, shape) in [
        ("in.x", vec![2, 3, 7]),
        ("in.x", vec![6]),
        ("in.adj", vec![2, 3, 4]),
        ("in.flags", vec![3, 2]),
        ("in.t", vec![1]),
    ] {
        let mut inputs = good();
        inputs.tensors.insert(name.into(), HostTensor::zeros(shape));
        let error = run(&inputs).unwrap_err();
        assert!(error.to_string().contains("in.safetensors"), "{error}");
        assert!(matches!(error, GdssError::InputShape { .. }), "{name}: {error:?}");
    }
    for name in ["in.x", "in.adj", "in.flags", "in.t"] {
        let mut inputs = good();
        inputs.tensors.remove(name);
        let error = run(&inputs).unwrap_err();
        assert!(
            matches!(&error, GdssError::Weights(WeightsError::MissingTensor { name: n, .. }) if n == name)
        );
    }
    let one = |shape: &[usize], position: usize, value: f32| {
        let mut values = vec![0.0; shape.iter().product()];
        values[position] = value;
        HostTensor::f32(shape, values)
    };
    for (name, tensor) in [
        ("in.adj", one(&[2, 3, 3], 1, 1.0)),
        ("in.adj", one(&[2, 3, 3], 13, 1.0)),
        ("in.adj", one(&[2, 3, 3], 2, f32::NAN)),
        ("in.flags", one(&[2, 3], 4, 0.5)),
        ("in.t", one(&[2], 0, 0.5)),
        ("in.t", HostTensor::f32([2], vec![0.5, 1.5])),
    ] {
        let mut inputs = good();
        inputs.tensors.insert(name.into(), tensor);
        let error = run(&inputs).unwrap_err();
        assert!(matches!(&error, GdssError::InputValue { name: n, .. } if *n == name), "{name}: {error:?}");
    }
    // No graph and no node are answers, not panics.
    for (b, n) in [(0, 3), (2, 0)] {
        let inputs = TensorFile {
            tensors: [
                ("in.x".to_owned(), HostTensor::zeros([b, n, 2])),
                ("in.adj".to_owned(), HostTensor::zeros([b, n, n])),
                ("in.flags".to_owned(), HostTensor::zeros([b, n])),
                ("in.t".to_owned(), HostTensor::f32([b], vec![0.5; b])),
            ]
            .into(),
            ..TensorFile::default()
        };
        for engine in [EngineKind::Burn, EngineKind::Fused] {
            let out =
                forward(&model, &inputs, Path::new(""), Precision::F32, engine, DeviceKind::Cpu).unwrap();
            assert_eq!(out.tensors["out.x.score"].shape, [b, n, 2]);
        }
    }
}

#[test]
fn released_checkpoints_convert_and_read_back() {
    for checkpoint in checkpoints() {
        let counts = BTreeMap::from([(4, 10)]);
        let model = convert_gdss(&checkpoint.json, None, Some(counts.clone()), None).unwrap();
        assert_eq!(model.config().node_counts, Some(counts));
        let folder = scratch();
        model.write(folder.path(), &[]).unwrap();
        assert_eq!(GdssModel::open(folder.path()).unwrap(), model, "{}", checkpoint.name);

        let weights = TensorFile::read(checkpoint.json.with_extension("safetensors")).unwrap();
        let text = std::fs::read_to_string(&checkpoint.json).unwrap();
        let ema = matches!(model.config().sampling_weights, SamplingWeights::Ema);
        assert_eq!(ema, text.contains("\"sampling_weights\": \"ema\""));
        let stored = if ema { "ema_x.final.linears.0.weight" } else { "x.final.linears.0.weight" };
        assert_eq!(
            model.parameters()["x.final.linears.0.weight"],
            weights.tensors[stored],
            "{}",
            checkpoint.name
        );
    }
}

#[test]
fn a_data_parallel_prefix_is_stripped() {
    let Some(checkpoint) = checkpoints().into_iter().min_by_key(|c| c.golden.tensors["in.x"].len()) else {
        return;
    };
    let folder = scratch();
    let json = folder.path().join("copy.json");
    std::fs::copy(&checkpoint.json, &json).unwrap();
    let mut weights = TensorFile::read(checkpoint.json.with_extension("safetensors")).unwrap();
    weights.tensors = weights
        .tensors
        .into_iter()
        .map(|(name, tensor)| {
            let (network, rest) = name.split_once('.').unwrap();
            (format!("{network}.module.{rest}"), tensor)
        })
        .collect();
    weights.write(json.with_extension("safetensors")).unwrap();
    assert_eq!(convert_gdss(&json, None, None, None).unwrap(), checkpoint.model());

    // Without the weights, and with those of one network only.
    weights.tensors.retain(|name, _| !name.contains("adj."));
    weights.write(json.with_extension("safetensors")).unwrap();
    let error = convert_gdss(&json, None, None, None).unwrap_err();
    assert!(error.to_string().contains("adj."), "{error}");
    std::fs::remove_file(json.with_extension("safetensors")).unwrap();
    assert!(matches!(
        convert_gdss(&json, None, None, None),
        Err(GdssError::Weights(WeightsError::Io { .. }))
    ));
    std::fs::write(&json, "{}").unwrap();
    let error = convert_gdss(&json, None, None, None).unwrap_err();
    assert!(matches!(error, GdssError::Json { .. }) && error.to_string().contains("name"), "{error}");
}
