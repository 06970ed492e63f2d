//! Weights of one model as the beginning of another.

use equidrift_backend::weights::ParameterSet;
use equidrift_gdss::{
    EdgeNetworkConfig, FusedEngine, GdssConfig, GdssError, GdssModel, GraphBatch, NetworkOutputs,
    NodeNetworkConfig, ParameterError, ScoreEngine, Vocabulary, initial_parameters, warm_start,
};

use crate::model_folders::small_model;

/// The networks of [`small_model`] for these elements.
fn config(atoms: &[&str]) -> GdssConfig {
    let mut config = small_model().config().clone();
    config.vocabulary = Some(Vocabulary { atoms: atoms.iter().map(|&atom| atom.to_owned()).collect() });
    let NodeNetworkConfig::ScoreNetworkX(x) = &mut config.networks.x else { panic!() };
    x.max_feat_num = atoms.len();
    let EdgeNetworkConfig::ScoreNetworkA(adj) = &mut config.networks.adj;
    adj.max_feat_num = atoms.len();
    config
}

/// Outputs for one graph of four nodes whose features are given per element.
fn outputs(model: &GdssModel, features_of: &[(&str, [f32; 4])]) -> NetworkOutputs {
    let atoms = &model.config().vocabulary.as_ref().unwrap().atoms;
    let mut x = vec![0.0; 4 * atoms.len()];
    for (atom, values) in features_of {
        let feature = atoms.iter().position(|known| known == atom).unwrap();
        for (node, value) in values.iter().enumerate() {
            x[node * atoms.len() + feature] = *value;
        }
    }
    let mut adj = vec![0.0; 16];
    for (i, j, value) in [(0, 1, 0.9), (1, 2, -0.4), (2, 3, 1.7), (0, 3, 0.3)] {
        (adj[i * 4 + j], adj[j * 4 + i]) = (value, value);
    }
    let engine = FusedEngine::new(&model.config().networks, model.parameters(), 1).unwrap();
    let graphs = GraphBatch {
        batch: 1,
        nodes: 4,
        features: atoms.len(),
        x: &x,
        adj: &adj,
        mask: &[1.0; 4],
        times: &[0.5],
    };
    engine.evaluate(&graphs).unwrap()
}

#[test]
fn other_elements_keep_what_is_known_of_the_old_ones() {
    let old = small_model();
    let config = config(&["N", "O", "S", "C"]);
    let parameters = warm_start(&config, &old, 9).unwrap();
    let new = GdssModel::new(config.clone(), parameters).unwrap();
    let known = [("C", [0.8, 0.1, -0.3, 1.2]), ("O", [0.0, 0.7, 0.5, -0.6])];
    // The adjacency network is the same function of the old elements, whatever their order.
    let (before, after) = (outputs(&old, &known), outputs(&new, &known));
    for (a, b) in before.adj.iter().zip(&after.adj) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
    assert!(before.adj.iter().any(|value| value.abs() > 1e-3));

    // What has no counterpart is drawn; what has one sits where its element does: N, O, S, C from C, O.
    let fresh = initial_parameters(&config.networks, 9);
    let row = |name: &str, model: &GdssModel, row: usize| {
        let tensor = &model.parameters()[name];
        tensor.to_f64()[row * tensor.shape[1]..][..tensor.shape[1]].to_vec()
    };
    let first = "x.layers.0.weight";
    assert_eq!(row(first, &new, 3), row(first, &old, 0));
    assert_eq!(row(first, &new, 1), row(first, &old, 1));
    assert_eq!(row(first, &new, 0), fresh[first].to_f64()[..4]);
    // The last perceptron sees [x, h_1]: two features and four values before, four and four now.
    let perceptron = "x.final.linears.0.weight";
    let (before, after) = (row(perceptron, &old, 5), row(perceptron, &new, 5));
    assert_eq!((before.len(), after.len()), (6, 8));
    assert_eq!([after[3], after[1]], before[..2]);
    assert_eq!(after[4..], before[2..]);
    let last = "x.final.linears.2.weight";
    assert_eq!(row(last, &new, 3)[..12], row(last, &old, 0)[..]);
}

/// As many elements, but others: what is known of carbon stays with carbon.
#[test]
fn features_are_known_by_their_element_and_not_by_their_place() {
    let old = small_model();
    let config = config(&["N", "C"]);
    let new = GdssModel::new(config.clone(), warm_start(&config, &old, 9).unwrap()).unwrap();
    let known = [("C", [0.8, 0.1, -0.3, 1.2])];
    for (a, b) in outputs(&old, &known).adj.iter().zip(&outputs(&new, &known).adj) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
    let first = |parameters: &ParameterSet| parameters["x.layers.0.weight"].to_f64();
    assert_eq!(first(new.parameters())[4..], first(old.parameters())[..4]);
    assert_eq!(first(new.parameters())[..4], first(&initial_parameters(&config.networks, 9))[..4]);
}

#[test]
fn equal_networks_take_every_weight_and_others_are_refused() {
    let old = small_model();
    assert_eq!(&warm_start(old.config(), &old, 9).unwrap(), old.parameters());
    let mut wider = config(&["C", "O", "N"]);
    let NodeNetworkConfig::ScoreNetworkX(x) = &mut wider.networks.x else { panic!() };
    x.nhid = 8;
    let error = warm_start(&wider, &old, 9).unwrap_err();
    assert!(matches!(error, GdssError::Mismatch { source: ParameterError::Shape { .. }, .. }), "{error}");
}
