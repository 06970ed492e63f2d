//! The weights of one model as the beginning of another.
//!
//! Networks of equal sizes may differ in their node features (molecules of other elements, graphs of other degrees). Every weight
//! that means the same in both is taken: a feature is known by its element, or by its degree, everything behind the first
//! layer by its place. Weights that have no counterpart keep their fresh values, so that a model of four elements is a
//! beginning for one of nine.

use equidrift_backend::weights::{HostTensor, ParameterSet};

use crate::config::GdssConfig;
use crate::error::GdssError;
use crate::initialisation::initial_parameters;
use crate::model::GdssModel;
use crate::network_config::{EdgeNetworkConfig, NetworksConfig, NodeNetworkConfig};

/// For every index of an axis in the new parameter, that in the old one.
type Origin = Vec<Option<usize>>;

/// Parameters for the networks of `config` from those of `model`; those without a counterpart are drawn by `seed`.
///
/// # Errors
/// [`GdssError::Mismatch`] naming a tensor if the networks differ in more than the node features and the largest number of nodes.
pub fn warm_start(config: &GdssConfig, model: &GdssModel, seed: u64) -> Result<ParameterSet, GdssError> {
    let (new, old) = (&config.networks, &model.config().networks);
    if without_features(new) != without_features(old) {
        // An error, unless all shapes agree nevertheless.
        return Ok(GdssModel::new(config.clone(), model.parameters().clone())?.parameters().clone());
    }
    let axes = Axes::new(config, model.config());
    let mut parameters = initial_parameters(new, seed);
    for (name, fresh) in &mut parameters {
        if let Some(known) = model.parameters().get(name) {
            *fresh = transplant(fresh, known, &axes.of(name, &fresh.shape, &known.shape));
        }
    }
    Ok(parameters)
}

/// The networks with their node features and their largest number of nodes set to one.
fn without_features(networks: &NetworksConfig) -> NetworksConfig {
    let mut networks = networks.clone();
    match &mut networks.x {
        NodeNetworkConfig::ScoreNetworkX(x) => x.max_feat_num = 1,
        NodeNetworkConfig::ScoreNetworkXGmh(x) => x.max_feat_num = 1,
    }
    let EdgeNetworkConfig::ScoreNetworkA(adj) = &mut networks.adj;
    (adj.max_feat_num, adj.max_node_num) = (1, 1);
    networks
}

/// Where the entries of every kind of axis come from.
struct Axes {
    /// The node features.
    features: Origin,
    /// Features of the old model.
    old_features: usize,
}

impl Axes {
    fn new(new: &GdssConfig, old: &GdssConfig) -> Self {
        let old_features = old.networks.features();
        let features = match (&new.vocabulary, &old.vocabulary) {
            (Some(new), Some(old)) => {
                new.atoms.iter().map(|atom| old.atoms.iter().position(|known| known == atom)).collect()
            }
            // One-hot degrees.
            (None, None) => (0..new.networks.features()).map(|k| (k < old_features).then_some(k)).collect(),
            _ => vec![None; new.networks.features()],
        };
        Self { features, old_features }
    }

    /// The axes of the parameter `name`, of shape `new` here and `old` there.
    fn of(&self, name: &str, new: &[usize], old: &[usize]) -> Vec<Origin> {
        let same_place = |axis: usize| (0..new[axis]).map(|k| (k < old[axis]).then_some(k)).collect();
        let by_axis = |axis: usize| match (name, axis) {
            // The concatenation [x, h_1, ..., h_depth, time].
            ("x.final.linears.0.weight", 1) => {
                self.features.iter().copied().chain((self.old_features..old[axis]).map(Some)).collect()
            }
            ("x.final.linears.2.weight" | "x.final.linears.2.bias", 0) => self.features.clone(),
            // The inputs of the first graph convolutions.
            ("x.layers.0.weight", 0) => self.features.clone(),
            (_, 0) if name.contains(".layers.0.attn.") && name.ends_with(".weight") => self.features.clone(),
            _ => same_place(axis),
        };
        (0..new.len()).map(by_axis).collect()
    }
}

/// `fresh` with the entries of `known` where both indices have an origin; vectors and matrices.
fn transplant(fresh: &HostTensor, known: &HostTensor, axes: &[Origin]) -> HostTensor {
    let one = vec![Some(0)];
    let (rows, columns) = match axes {
        [entries] => (&one, entries),
        [rows, columns] => (rows, columns),
        _ => return fresh.clone(),
    };
    let (mut values, known_values) = (fresh.to_f32(), known.to_f32());
    let known_columns = *known.shape.last().unwrap_or(&1);
    for (new_row, old_row) in rows.iter().enumerate() {
        for (new_column, old_column) in columns.iter().enumerate() {
            if let (Some(row), Some(column)) = (old_row, old_column) {
                values[new_row * columns.len() + new_column] = known_values[row * known_columns + column];
            }
        }
    }
    HostTensor::f32(fresh.shape.clone(), values)
}
