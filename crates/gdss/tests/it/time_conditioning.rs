//! Networks that are told the time, and predictions other than score and noise.

use std::sync::Arc;

use burn::tensor::{DType, Device};
use equidrift_gdss::score_matching::{PathPair, PerturbedGraphs};
use equidrift_gdss::{
    BurnEngine, CleanGraphs, EngineKind, FusedEngine, GdssDenoiser, NetworksConfig, PathsConfig,
    PredictionsConfig, ScalesConfig, ScoreEngine, initial_parameters,
};
use equidrift_laws::padding::{extra_nodes_defect, garbage_defect};
use equidrift_laws::permutation::prediction_defect;
use equidrift_sampler::path::Cosine;
use equidrift_sampler::{Component, Denoiser, PathConfig, PredictionKind, State, Support, VectorJacobian};
use equidrift_train::LossWeighting;
use serde_json::json;

/// Both node networks, each told the time.
fn networks() -> [NetworksConfig; 2] {
    let adj = json!({
        "model_type": "ScoreNetworkA", "max_feat_num": 3, "max_node_num": 6, "nhid": 8, "num_layers": 2,
        "num_linears": 2, "c_init": 2, "c_hid": 4, "c_final": 3, "adim": 8, "num_heads": 4, "time_features": 5
    });
    let gcn = json!({
        "model_type": "ScoreNetworkX", "max_feat_num": 3, "depth": 2, "nhid": 8, "time_features": 4
    });
    let gmh = json!({
        "model_type": "ScoreNetworkX_GMH", "max_feat_num": 3, "depth": 2, "nhid": 8, "num_linears": 2, "c_init": 2,
        "c_hid": 4, "c_final": 4, "adim": 8, "num_heads": 2, "time_features": 6
    });
    [gcn, gmh].map(|x| serde_json::from_value(json!({"x": x, "adj": adj})).unwrap())
}

fn paths(kind: PredictionKind) -> PathsConfig {
    PathsConfig {
        x: PathConfig::Cosine(Cosine::default()),
        adj: PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 10.0 },
        predictions: Some(PredictionsConfig { x: kind, adj: kind }),
        scales: ScalesConfig { x: 2.0, adj: 0.7 },
    }
}

fn denoiser(kind: EngineKind, networks: &NetworksConfig) -> GdssDenoiser {
    let parameters = initial_parameters(networks, 3);
    let engine: Arc<dyn ScoreEngine> = match kind {
        EngineKind::Fused => Arc::new(FusedEngine::new(networks, &parameters, 1).unwrap()),
        _ => Arc::new(BurnEngine::new(networks, &parameters, &Device::flex()).unwrap()),
    };
    GdssDenoiser::new(engine, networks.features(), &paths(PredictionKind::V))
}

/// Three graphs of different sizes.
fn state() -> State {
    let mask: Vec<Vec<bool>> = [6, 3, 5].iter().map(|&size| (0..6).map(|i| i < size).collect()).collect();
    let supports = [Support::nodes(mask.clone(), 3), Support::symmetric_pairs(mask)];
    let components = ["x", "adj"].into_iter().zip(supports).map(|(name, support)| {
        let width = support.width();
        let mut values: Vec<f64> = (0..3 * width).map(|k| ((k * 7919) % 1000) as f64 / 400.0 - 1.2).collect();
        for (row, values) in values.chunks_exact_mut(width).enumerate() {
            support.project_row(row, values);
        }
        Component::from_host(name, values, support, &Device::flex(), DType::F32).unwrap()
    });
    State::new(components.collect()).unwrap()
}

fn host(values: Vec<burn::tensor::Tensor<2>>) -> Vec<f32> {
    values.into_iter().flat_map(|tensor| tensor.try_into_vec_as::<f32>().unwrap()).collect()
}

#[test]
fn the_time_reaches_each_graph_and_no_other() {
    for networks in networks() {
        for kind in [EngineKind::Fused, EngineKind::Burn] {
            let denoiser = denoiser(kind, &networks);
            let (state, at) = (state(), |times: [f64; 3]| host(denoiser.predict(&state(), &times).unwrap()));
            assert_eq!(denoiser.kinds(), [PredictionKind::V; 2]);
            let (before, after) = (at([0.3, 0.5, 0.9]), at([0.3, 0.6, 0.9]));
            // Rows of both components: the second graph's change, the others keep every bit.
            let mut start = 0;
            for component in &state.components {
                let width = component.support.width();
                for row in 0..3 {
                    let place = start + row * width..start + (row + 1) * width;
                    assert_eq!(before[place.clone()] == after[place], row != 1, "{kind} {}", component.name);
                }
                start += 3 * width;
            }
        }
    }
}

/// Predictions and gradients of a graph have the same bits alone and beside others.
#[test]
fn a_batch_changes_no_bit_of_a_product_with_the_jacobian() {
    for networks in networks() {
        let parameters = initial_parameters(&networks, 3);
        let engine = BurnEngine::with_precision(&networks, &parameters, &Device::flex(), DType::F64).unwrap();
        let denoiser = GdssDenoiser::new(Arc::new(engine), networks.features(), &paths(PredictionKind::V));
        let products = |graphs: &[usize]| -> Vec<Vec<u64>> {
            let mask = vec![vec![true; 3]; graphs.len()];
            let supports = [Support::nodes(mask.clone(), 3), Support::symmetric_pairs(mask)];
            let of_graphs = |support: &Support, salt: usize| -> Vec<f64> {
                let value =
                    |graph: usize, k: usize| ((graph * 101 + k * 7919 + salt) % 1000) as f64 / 400.0 - 1.2;
                let mut values: Vec<f64> = graphs
                    .iter()
                    .flat_map(|&graph| (0..support.width()).map(move |k| value(graph, k)))
                    .collect();
                for (row, values) in values.chunks_exact_mut(support.width()).enumerate() {
                    support.project_row(row, values);
                }
                values
            };
            let component = |(name, support): (&str, &Support), salt: usize| {
                let values = of_graphs(support, salt);
                Component::from_host(name, values, support.clone(), &Device::flex(), DType::F64).unwrap()
            };
            let components = |salt: usize| {
                ["x", "adj"]
                    .into_iter()
                    .zip(&supports)
                    .map(|named| component(named, salt))
                    .collect::<Vec<_>>()
            };
            let cotangents: Vec<_> = components(313).into_iter().map(|component| component.values).collect();
            let state = State::new(components(0)).unwrap();
            let times: Vec<f64> = graphs.iter().map(|&graph| 0.2 + 0.15 * graph as f64).collect();
            let (predictions, gradients) = denoiser.vjp(&state, &times, &cotangents).unwrap();
            let mut bits = vec![Vec::new(); graphs.len()];
            for tensor in predictions.into_iter().chain(gradients) {
                let [_, width] = tensor.dims();
                let values = tensor.try_into_vec_as::<f64>().unwrap();
                for (row, values) in values.chunks_exact(width).enumerate() {
                    bits[row].extend(values.iter().map(|value| value.to_bits()));
                }
            }
            bits
        };
        let together = products(&[0, 1, 2, 3, 4]);
        for (graph, bits) in together.iter().enumerate() {
            assert!(*bits == products(&[graph])[0], "graph {graph} alone and among five");
        }
        assert_eq!(products(&[4, 2]), [together[4].clone(), together[2].clone()]);
    }
}

#[test]
fn the_laws_hold_with_a_time() {
    let (state, times) = (state(), [0.2, 0.55, 0.99]);
    let orders = [vec![5, 3, 0, 1, 2, 4], vec![1, 5, 4, 3, 2, 0], vec![2, 0, 1, 5, 3, 4]];
    for networks in networks() {
        for kind in [EngineKind::Fused, EngineKind::Burn] {
            let denoiser = denoiser(kind, &networks);
            let defect = prediction_defect(&denoiser, &state, &times, &orders).unwrap();
            assert!(defect <= 1e-5, "{kind}: {defect:.2e}");
            let garbage = |index: usize| 1e3 * ((index * 7919 % 1000) as f64 / 500.0 - 1.0);
            assert_eq!(garbage_defect(&denoiser, &state, &times, garbage).unwrap(), 0.0, "{kind}");
            let defect = extra_nodes_defect(&denoiser, &state, &times, 2).unwrap();
            assert!(defect <= 1e-5, "{kind}: {defect:.2e}");
        }
    }
}

/// A network that returned the prediction its path defines would have no loss, and any other the weighted square.
#[test]
fn the_residual_is_the_weighted_error_of_the_prediction() {
    let clean = CleanGraphs::new(1, 2, 1, vec![1.0, 0.0], vec![0.0, 3.0, 3.0, 0.0]);
    let (z_x, z_adj) = ([0.4, -1.1], [0.0, 0.8, 0.0, 0.0]);
    let weightings = [LossWeighting::Uniform, LossWeighting::MinSnr { gamma: 5.0 }];
    for (kind, weighting) in PredictionKind::ALL.into_iter().flat_map(|k| weightings.map(|w| (k, w))) {
        let paths = paths(kind);
        for t in [1e-3, 0.3, 0.8] {
            let pair = PathPair::weighted(&paths, weighting);
            let perturbed = PerturbedGraphs::new(&clean, &pair, &[t], &z_x, &z_adj);
            let view = perturbed.view();
            let at = paths.adj.build().marginal(t);
            let (x0, z) = (0.7 * 3.0, z_adj[1]);
            let state = at.alpha * x0 + at.sigma * z;
            assert!((view.graphs.adj[1] - state).abs() < 1e-12, "{kind:?} {t}");
            assert_eq!(view.graphs.adj[1], view.graphs.adj[2]);
            assert_eq!(view.graphs.times, [t]);
            // The exact prediction, from the noise by the core's own conversions.
            let from_noise = PredictionKind::Noise.convert(kind, &at);
            let exact = from_noise.state * state + from_noise.prediction * z;
            let residual = |net: f64| view.scale_adj[0] * net + view.z_adj[1];
            let size = 1.0 + view.scale_adj[0].abs() * exact.abs();
            assert!(residual(exact).abs() < 1e-9 * size, "{kind:?} {weighting:?} {t}: {}", residual(exact));
            // Scores are trained as noise, so their error counts sigma times.
            let unit = if kind == PredictionKind::Score { at.sigma } else { 1.0 };
            let expected = unit * weighting.weight(kind, &at).sqrt() * 0.1;
            let error = residual(exact + 0.1).abs();
            assert!((error - expected).abs() < 1e-9 * size, "{kind:?} {weighting:?} {t}: {error} {expected}");
        }
    }
}
