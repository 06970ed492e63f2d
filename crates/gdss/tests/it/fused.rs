//! The fused engine against the tensor library in double precision, against finite differences, and its bitwise
//! guarantees: neither company nor threads nor register width change a graph's result. Only the comparison of each
//! instruction set with the released checkpoints' vectors needs files.

use burn::tensor::{DType, Device};
use equidrift_backend::weights::{HostTensor, ParameterSet, Values};
use equidrift_gdss::fused::Instructions;
use equidrift_gdss::{
    BurnEngine, EdgeNetworkConfig, EngineError, FusedEngine, GradientEngine, GraphBatch, NetworkOutputs,
    NetworksConfig, NodeNetworkConfig, Projection, ScoreEngine, ScoreNetworkAConfig, ScoreNetworkXConfig,
    ScoreNetworkXGmhConfig, initial_parameters,
};

use crate::checkpoints::{checkpoints, relative_error};
use crate::perturbed_graphs::{Graphs, Single, Uniform};

/// What every machine that runs the tests may have.
const INSTRUCTIONS: [Instructions; 3] = [Instructions::Avx512, Instructions::Avx2, Instructions::Portable];

fn edge_network(features: usize) -> ScoreNetworkAConfig {
    ScoreNetworkAConfig {
        max_feat_num: features,
        max_node_num: 9,
        nhid: 8,
        num_layers: 3,
        num_linears: 2,
        c_init: 2,
        c_hid: 4,
        c_final: 3,
        adim: 16,
        num_heads: 4,
        conv: Projection::Gcn,
        time_features: 0,
    }
}

fn attention_node_network(features: usize) -> ScoreNetworkXGmhConfig {
    ScoreNetworkXGmhConfig {
        max_feat_num: features,
        depth: 3,
        nhid: 12,
        num_linears: 3,
        c_init: 3,
        c_hid: 2,
        c_final: 5,
        adim: 9,
        num_heads: 3,
        conv: Projection::Gcn,
        time_features: 0,
    }
}

/// Sizes that are multiples of a register block and sizes that are not, both node networks.
fn networks() -> Vec<NetworksConfig> {
    let convolution = |max_feat_num, depth, nhid| {
        let time_features = 0;
        NodeNetworkConfig::ScoreNetworkX(ScoreNetworkXConfig { max_feat_num, depth, nhid, time_features })
    };
    vec![
        NetworksConfig { x: convolution(4, 2, 16), adj: EdgeNetworkConfig::ScoreNetworkA(edge_network(4)) },
        NetworksConfig {
            x: convolution(1, 3, 7),
            adj: EdgeNetworkConfig::ScoreNetworkA(ScoreNetworkAConfig {
                num_layers: 2,
                num_linears: 1,
                c_init: 1,
                nhid: 6,
                adim: 10,
                num_heads: 2,
                ..edge_network(1)
            }),
        },
        NetworksConfig {
            x: NodeNetworkConfig::ScoreNetworkXGmh(attention_node_network(3)),
            adj: EdgeNetworkConfig::ScoreNetworkA(ScoreNetworkAConfig {
                num_linears: 4,
                c_init: 4,
                nhid: 32,
                adim: 32,
                ..edge_network(3)
            }),
        },
        NetworksConfig {
            x: NodeNetworkConfig::ScoreNetworkXGmh(ScoreNetworkXGmhConfig {
                depth: 1,
                adim: 12,
                ..attention_node_network(2)
            }),
            adj: EdgeNetworkConfig::ScoreNetworkA(ScoreNetworkAConfig { adim: 8, ..edge_network(2) }),
        },
        // Told the time, by different numbers of features, and by more than fit into a block.
        NetworksConfig {
            x: NodeNetworkConfig::ScoreNetworkX(ScoreNetworkXConfig {
                max_feat_num: 4,
                depth: 2,
                nhid: 16,
                time_features: 9,
            }),
            adj: EdgeNetworkConfig::ScoreNetworkA(ScoreNetworkAConfig {
                time_features: 3,
                num_linears: 1,
                ..edge_network(4)
            }),
        },
        NetworksConfig {
            x: NodeNetworkConfig::ScoreNetworkXGmh(ScoreNetworkXGmhConfig {
                time_features: 1,
                ..attention_node_network(2)
            }),
            adj: EdgeNetworkConfig::ScoreNetworkA(ScoreNetworkAConfig {
                time_features: 8,
                ..edge_network(2)
            }),
        },
    ]
}

/// Initial weights, with biases that are not zero.
fn parameters(networks: &NetworksConfig) -> ParameterSet {
    let mut parameters = initial_parameters(networks, 11);
    let mut u = Uniform(5);
    for tensor in parameters.values_mut() {
        let values = tensor.to_f32().iter().map(|v| v + 0.1 * u.next() as f32).collect();
        *tensor = HostTensor::f32(tensor.shape.clone(), values);
    }
    parameters
}

fn engines(networks: &NetworksConfig, threads: usize) -> Vec<FusedEngine> {
    let parameters = parameters(networks);
    let engines: Vec<_> = INSTRUCTIONS
        .into_iter()
        .filter_map(|set| FusedEngine::with_instructions(networks, &parameters, threads, set).ok())
        .collect();
    assert!(!engines.is_empty());
    engines
}

fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

#[test]
fn outputs_and_gradients_agree_with_the_tensor_library_in_double_precision() {
    for (index, networks) in networks().iter().enumerate() {
        let reference =
            BurnEngine::with_precision(networks, &parameters(networks), &Device::flex(), DType::F64).unwrap();
        // Graphs of 64 nodes and more are laid along the lanes.
        for (batch, nodes) in [(19, 1), (19, 2), (19, 5), (19, 9), (19, 16), (2, 66), (1, 80), (1, 101)] {
            // Rows of the adjacency of like sums. With larger ones tanh saturates, and what is left of its slope in single
            // precision, whatever the layout, has few digits.
            let size = 0.8 * 16.0 / nodes.max(16) as f64;
            let graphs = Graphs::random(batch, nodes, networks.features(), size, 100 + nodes as u64);
            let outputs = reference.evaluate_as(&graphs.view().graphs).unwrap();
            let expected = reference.loss_and_gradient_as(&graphs.view()).unwrap();
            let single = graphs.single();
            for engine in engines(networks, 1) {
                let what = format!("networks {index}, {nodes} nodes, {}", engine.name());
                let found = engine.evaluate(&single.view().graphs).unwrap();
                let error = relative_error(&widen(&found.x), &outputs.x);
                assert!(error < 5e-6, "{what}: x {error:.2e}");
                let error = relative_error(&widen(&found.adj), &outputs.adj);
                assert!(error < 5e-6, "{what}: adj {error:.2e}");

                let found = engine.loss_and_gradient(&single.view()).unwrap();
                assert!((found.loss_x / expected.loss_x - 1.0).abs() < 1e-5, "{what}");
                assert!((found.loss_adj - expected.loss_adj).abs() <= 1e-5 * expected.loss_adj, "{what}");
                assert!(
                    found.gradient.keys().eq(expected.gradient.keys()),
                    "{what}: parameters with gradient"
                );
                let largest = |prefix: &str| {
                    let tensors = expected.gradient.iter().filter(|(name, _)| name.starts_with(prefix));
                    tensors.flat_map(|(_, tensor)| tensor.to_f64()).fold(0.0, |m: f64, g| m.max(g.abs()))
                };
                for (name, gradient) in &found.gradient {
                    assert_eq!(gradient.shape, expected.gradient[name].shape, "{what}: {name}");
                    let exact = expected.gradient[name].to_f64();
                    let scale = exact.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
                    // Some gradients nearly cancel; compare those with the size of the others.
                    let scale = scale.max(1e-3 * largest(if name.starts_with("x.") { "x." } else { "adj." }));
                    let error =
                        gradient.to_f64().iter().zip(&exact).fold(0.0_f64, |m, (f, e)| m.max((f - e).abs()));
                    // Longer sums round more.
                    let bound = if nodes < 64 { 5e-5 } else { 1e-4 };
                    assert!(
                        error <= bound * scale,
                        "{what}: gradient of {name} off by {:.2e}",
                        error / scale
                    );
                }
            }
        }
    }
}

#[test]
fn every_instruction_set_reproduces_the_released_networks() {
    for checkpoint in checkpoints() {
        let model = checkpoint.model_with("");
        let golden = |name: &str| &checkpoint.golden.tensors[name];
        let [x, adj, mask] = ["in.x", "in.adj", "in.flags"].map(|name| golden(name).to_f32());
        let shape = &golden("in.x").shape;
        let batch = GraphBatch {
            batch: shape[0],
            nodes: shape[1],
            features: shape[2],
            x: &x,
            adj: &adj,
            mask: &mask,
            times: &vec![0.5; shape[0]],
        };
        for set in INSTRUCTIONS {
            let networks = &model.config().networks;
            let Ok(engine) = FusedEngine::with_instructions(networks, model.parameters(), 2, set) else {
                continue;
            };
            let found = engine.evaluate(&batch).unwrap();
            for (what, found) in [("x", &found.x), ("adj", &found.adj)] {
                let error = relative_error(&widen(found), &golden(&format!("out64.{what}.net")).to_f64());
                assert!(error < 1e-5, "{} {what} with {set:?}: {error:.2e}", checkpoint.name);
            }
        }
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    const STEP: f64 = 0.02;
    for networks in networks() {
        let parameters = parameters(&networks);
        // Large entries keep the row sums away from 1, where their clamp has a kink.
        let graphs = Graphs::random(5, 4, networks.features(), 2.0, 7).single();
        let mut engine = FusedEngine::new(&networks, &parameters, 1).unwrap();
        let gradient = engine.loss_and_gradient(&graphs.view()).unwrap().gradient;
        let mut u = Uniform(1);
        // The derivative along a random direction in each tensor.
        for (name, gradient) in &gradient {
            let direction: Vec<f64> = (0..gradient.len()).map(|_| u.next()).collect();
            let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
            let slope: f64 = gradient.to_f64().iter().zip(&direction).map(|(g, d)| g * d / length).sum();
            let mut loss_at = |step: f64| {
                let mut moved = parameters.clone();
                let tensor = moved.get_mut(name).unwrap();
                let values = tensor
                    .to_f64()
                    .iter()
                    .zip(&direction)
                    .map(|(v, d)| (v + step * d / length) as f32)
                    .collect();
                tensor.values = Values::F32(values);
                engine.set_parameters(&moved).unwrap();
                let result = engine.loss_and_gradient(&graphs.view()).unwrap();
                if name.starts_with("x.") { result.loss_x } else { result.loss_adj }
            };
            // Richardson: the error is of fourth order in the step.
            let wide = (loss_at(STEP) - loss_at(-STEP)) / (2.0 * STEP);
            let narrow = (loss_at(STEP / 2.0) - loss_at(-STEP / 2.0)) / STEP;
            let measured = (4.0 * narrow - wide) / 3.0;
            let error = (measured - slope).abs();
            assert!(error <= 2e-3 * slope.abs() + 2e-3, "{name}: slope {slope}, measured {measured}");
        }
    }
}

fn bits(outputs: &NetworkOutputs, graph: usize, batch: usize) -> Vec<u32> {
    let part = |values: &[f32]| {
        let width = values.len() / batch;
        values[graph * width..(graph + 1) * width].iter().map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    [part(&outputs.x), part(&outputs.adj)].concat()
}

#[test]
fn company_threads_and_register_width_do_not_change_a_bit() {
    for networks in networks() {
        let graphs = Graphs::random(53, 9, networks.features(), 0.8, 3).single();
        let large = Graphs::of_sizes(&[70, 9, 66, 63, 31], networks.features()).single();
        let mut wide: Option<(NetworkOutputs, NetworkOutputs)> = None;
        for (alone, many) in engines(&networks, 1).iter().zip(engines(&networks, 3)) {
            let all = alone.evaluate(&graphs.view().graphs).unwrap();
            assert_eq!(all, many.evaluate(&graphs.view().graphs).unwrap(), "{}: threads", alone.name());
            let order: Vec<usize> = (0..53).map(|i| (i * 17 + 5) % 53).chain([0, 0, 52]).collect();
            let mixed = many.evaluate(&graphs.select(&order).view().graphs).unwrap();
            for (row, &graph) in order.iter().enumerate() {
                assert_eq!(
                    bits(&mixed, row, order.len()),
                    bits(&all, graph, 53),
                    "{}: row {row}",
                    alone.name()
                );
            }
            let single = alone.evaluate(&graphs.select(&[37]).view().graphs).unwrap();
            assert_eq!(bits(&single, 0, 1), bits(&all, 37, 53), "{}: batch of one", alone.name());
            let all_large = alone.evaluate(&large.view().graphs).unwrap();
            for order in [vec![2, 1, 0, 4, 3], vec![0], vec![3, 2], vec![1, 4]] {
                let mixed = many.evaluate(&large.select(&order).view().graphs).unwrap();
                for (row, &graph) in order.iter().enumerate() {
                    let (found, expected) = (bits(&mixed, row, order.len()), bits(&all_large, graph, 5));
                    assert_eq!(found, expected, "{}: large graph {graph} of {order:?}", alone.name());
                }
            }
            // The portable path has no fused multiply-add.
            if alone.lanes() > 1 {
                let both = (all, all_large);
                assert_eq!(
                    *wide.get_or_insert_with(|| both.clone()),
                    both,
                    "{}: register width",
                    alone.name()
                );
            }
        }
    }
}

#[test]
fn padding_does_not_change_a_bit() {
    for (networks, (batch, nodes, wider)) in networks()
        .iter()
        .flat_map(|networks| [(19, 7, [8, 12, 23]), (2, 66, [67, 80, 90])].map(|shape| (networks, shape)))
    {
        let features = networks.features();
        let graphs = Graphs::random(batch, nodes, features, 0.8, 5).single();
        for engine in engines(networks, 1) {
            let close = engine.evaluate(&graphs.view().graphs).unwrap();
            for padded in wider {
                let [x, adj, mask] = &graphs.padded(padded);
                let times = graphs.view().graphs.times;
                let view = GraphBatch { batch, nodes: padded, features, x, adj, mask, times };
                let found = engine.evaluate(&view).unwrap();
                let real = NetworkOutputs {
                    x: crop(&found.x, batch, (padded, features), (nodes, features)),
                    adj: crop(&found.adj, batch, (padded, padded), (nodes, nodes)),
                };
                // Equal as numbers, so that -0 is 0; anything else would be a difference in bits.
                assert_eq!(real, close, "{}: padded to {padded} nodes", engine.name());
            }
        }
    }
}

/// The upper left `to` corner of each `from` matrix.
fn crop(values: &[f32], batch: usize, from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
    (0..batch)
        .flat_map(|b| (0..to.0).map(move |i| (b * from.0 + i) * from.1))
        .flat_map(|start| values[start..start + to.1].iter().copied())
        .collect()
}

#[test]
fn the_number_of_threads_does_not_change_a_bit_of_the_gradient() {
    for networks in networks() {
        let graphs = Graphs::random(101, 6, networks.features(), 0.8, 9).single();
        let large = Graphs::of_sizes(&[70, 9, 66, 63, 31], networks.features()).single();
        for (one, several) in engines(&networks, 1).iter().zip(engines(&networks, 4)) {
            let expected = one.loss_and_gradient(&graphs.view()).unwrap();
            for _ in 0..3 {
                assert_eq!(several.loss_and_gradient(&graphs.view()).unwrap(), expected, "{}", one.name());
            }
            let expected = one.loss_and_gradient(&large.view()).unwrap();
            assert_eq!(several.loss_and_gradient(&large.view()).unwrap(), expected, "{}: large", one.name());
        }
    }
}

#[test]
fn graphs_of_changing_sizes_do_not_disturb_each_other() {
    for networks in networks() {
        for engine in engines(&networks, 2) {
            let batches: Vec<_> = [(20, 3), (20, 8), (2, 65), (20, 1), (20, 3), (2, 71), (20, 12)]
                .map(|(batch, nodes)| Graphs::random(batch, nodes, networks.features(), 0.8, 2).single())
                .into();
            let first: Vec<_> = batches.iter().map(|b| engine.evaluate(&b.view().graphs).unwrap()).collect();
            let gradients: Vec<_> =
                batches.iter().map(|b| engine.loss_and_gradient(&b.view()).unwrap()).collect();
            for ((batch, outputs), gradient) in batches.iter().zip(&first).zip(&gradients).rev() {
                assert_eq!(engine.loss_and_gradient(&batch.view()).unwrap(), *gradient);
                assert_eq!(engine.evaluate(&batch.view().graphs).unwrap(), *outputs);
            }
        }
    }
}

#[test]
fn what_is_not_a_number_stays_in_its_graph() {
    for networks in networks() {
        let clean = Graphs::random(21, 5, networks.features(), 0.8, 4).single();
        for engine in engines(&networks, 1) {
            let expected = engine.evaluate(&clean.view().graphs).unwrap();
            // In the first graph all nodes are real.
            for (array, value) in [(0, f32::NAN), (1, f32::NAN), (0, f32::INFINITY), (1, f32::NEG_INFINITY)] {
                let mut broken = clean.clone();
                // Entry (0, 1) of the adjacency and its mirror image, or features of the first two nodes.
                let mirror = if array == 1 { 5 } else { 0 };
                broken.arrays[array][1.min(if array == 0 { 0 } else { 1 })] = value;
                broken.arrays[array][mirror] = value;
                let found = engine.evaluate(&broken.view().graphs).unwrap();
                for graph in 1..21 {
                    assert_eq!(
                        bits(&found, graph, 21),
                        bits(&expected, graph, 21),
                        "{}: graph {graph}",
                        engine.name()
                    );
                }
                if value.is_nan() {
                    assert!(
                        found.x[..5 * networks.features()].iter().any(|v| v.is_nan()),
                        "{}",
                        engine.name()
                    );
                    assert!(found.adj[..25].iter().any(|v| v.is_nan()), "{}", engine.name());
                }
            }
        }
    }
}

#[test]
fn new_parameters_replace_the_old_ones() {
    let networks = &networks()[0];
    let graphs = Graphs::random(4, 5, networks.features(), 0.8, 6).single();
    let other = initial_parameters(networks, 99);
    let expected = FusedEngine::new(networks, &other, 1).unwrap().evaluate(&graphs.view().graphs).unwrap();
    let mut engine = FusedEngine::new(networks, &parameters(networks), 1).unwrap();
    assert_ne!(engine.evaluate(&graphs.view().graphs).unwrap(), expected);
    engine.set_parameters(&other).unwrap();
    assert_eq!(engine.evaluate(&graphs.view().graphs).unwrap(), expected);
}

#[test]
fn arrays_and_parameters_that_do_not_fit_are_errors() {
    let networks = &networks()[0];
    let mut engine = FusedEngine::new(networks, &parameters(networks), 1).unwrap();
    let graphs = Graphs::random(4, 5, networks.features(), 0.8, 6).single();
    let mut short = graphs.clone();
    short.arrays[1].pop();
    assert!(matches!(engine.evaluate(&short.view().graphs), Err(EngineError::Length { name: "adj", .. })));
    assert!(matches!(engine.loss_and_gradient(&short.view()), Err(EngineError::Length { name: "adj", .. })));
    let mut features = graphs.clone();
    features.shape.2 = 3;
    assert!(matches!(
        engine.evaluate(&features.view().graphs),
        Err(EngineError::Features { expected: 4, found: 3 })
    ));

    let mut missing = parameters(networks);
    missing.remove("adj.layers.1.attn.2.gnn_k.bias");
    let error = engine.set_parameters(&missing).unwrap_err().to_string();
    assert!(error.contains("adj.layers.1.attn.2.gnn_k.bias"), "{error}");
    assert!(FusedEngine::new(networks, &missing, 1).is_err());

    // No graphs and graphs without nodes are not errors.
    let empty = Single { shape: (0, 5, 4), arrays: Default::default(), times: Vec::new() };
    assert!(engine.evaluate(&empty.view().graphs).unwrap().x.is_empty());
    assert_eq!(engine.loss_and_gradient(&empty.view()).unwrap().loss_adj, 0.0);
}
