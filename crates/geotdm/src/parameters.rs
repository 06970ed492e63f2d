//! Names and shapes of every parameter of a model.

use std::collections::BTreeMap;

use equidrift_backend::kernels::PackError;
use equidrift_backend::weights::ParameterSet;

use crate::network_config::{NetworkConfig, Prior};

/// The map from features of a node to the part of its state in what is predicted.
pub(crate) const NOISE_GATE: &str = "noise_gate";

/// A set of parameters that is not that of the networks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParameterError {
    /// A tensor of the networks is missing.
    #[error("tensor `{name}` of shape {expected:?} is missing")]
    Missing {
        /// Its name.
        name: String,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// A tensor that the networks do not have.
    #[error("tensor `{name}` of shape {found:?} belongs to no layer of the configured networks")]
    Unexpected {
        /// Its name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// A tensor of another shape.
    #[error("tensor `{name}`: the configuration needs shape {expected:?}, found {found:?}")]
    Shape {
        /// Its name.
        name: String,
        /// The shape that follows from the configuration.
        expected: Vec<usize>,
        /// The shape it has.
        found: Vec<usize>,
    },
    /// A weight that is infinite or not a number.
    #[error("tensor `{name}`: element {index} is not finite")]
    NotFinite {
        /// Its name.
        name: String,
        /// Flat index of the first such element.
        index: usize,
    },
}

impl From<PackError> for ParameterError {
    fn from(error: PackError) -> Self {
        match error {
            PackError::Missing { name, expected } => Self::Missing { name, expected },
            PackError::Shape { name, expected, found } => Self::Shape { name, expected, found },
        }
    }
}

/// What a parameter is; decides its initial law.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// Weight `[out, in]` or bias `[out]` of a linear map with this many inputs.
    Linear {
        /// Inputs of the map.
        inputs: usize,
    },
    /// Weights of the predicted frames in the learned prior.
    FrameWeights,
}

/// Shape and kind of one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterInfo {
    /// Its shape.
    pub shape: Vec<usize>,
    /// What it is.
    pub kind: ParameterKind,
}

/// Every parameter, by name. Names are those of the published programme, but for `noise_gate` of an extrapolated prior.
#[must_use]
pub fn parameter_shapes(config: &NetworkConfig) -> BTreeMap<String, ParameterInfo> {
    let mut list = List { config, entries: BTreeMap::new() };
    list.linear("input_linear", config.inputs(), config.hidden);
    list.layers("", config.layers);
    if let Prior::Learned { layers, frames } = config.prior {
        list.linear("input_linear_ref", config.node_features, config.hidden);
        list.layers("_ref", layers);
        let info = ParameterInfo { shape: vec![frames], kind: ParameterKind::FrameWeights };
        list.entries.insert("ws".to_owned(), info);
    }
    if config.extrapolation.is_some() {
        list.linear(NOISE_GATE, config.hidden, 1);
    }
    list.entries
}

struct List<'a> {
    config: &'a NetworkConfig,
    entries: BTreeMap<String, ParameterInfo>,
}

impl List<'_> {
    fn linear(&mut self, name: &str, inputs: usize, outputs: usize) {
        let kind = ParameterKind::Linear { inputs };
        self.entries.insert(format!("{name}.weight"), ParameterInfo { shape: vec![outputs, inputs], kind });
        self.entries.insert(format!("{name}.bias"), ParameterInfo { shape: vec![outputs], kind });
    }

    fn perceptron(&mut self, name: &str, inputs: usize, outputs: usize) {
        let hidden = self.config.hidden;
        self.linear(&format!("{name}.actions.0"), inputs, hidden);
        self.linear(&format!("{name}.actions.2"), hidden, outputs);
    }

    fn layers(&mut self, suffix: &str, count: usize) {
        let (hidden, config) = (self.config.hidden, self.config);
        for layer in 0..count {
            let spatial = format!("s_modules{suffix}.{layer}");
            self.perceptron(&format!("{spatial}.edge_mlp"), 2 * hidden + 1 + config.edge_features, hidden);
            self.perceptron(&format!("{spatial}.node_mlp"), 2 * hidden, hidden);
            let vectors = 1 + usize::from(config.extrapolation.is_some());
            self.perceptron(&format!("{spatial}.coord_mlp"), hidden, vectors);
            if !config.temporal.is_attention() {
                continue;
            }
            let temporal = format!("t_modules{suffix}.{layer}");
            for map in ["q_mlp", "k_mlp", "v_mlp"] {
                self.perceptron(&format!("{temporal}.{map}"), hidden, hidden);
            }
            self.perceptron(&format!("{temporal}.x_mlp"), hidden, vectors);
            self.linear(&format!("{temporal}.time_emb"), config.time_features, hidden);
        }
    }
}

/// Checks that `parameters` are exactly those of the networks, and finite.
///
/// # Errors
/// [`ParameterError`] naming the first offending tensor.
pub fn check_parameters(config: &NetworkConfig, parameters: &ParameterSet) -> Result<(), ParameterError> {
    let expected = parameter_shapes(config);
    for (name, info) in &expected {
        let Some(tensor) = parameters.get(name) else {
            return Err(ParameterError::Missing { name: name.clone(), expected: info.shape.clone() });
        };
        if tensor.shape != info.shape || tensor.len() != info.shape.iter().product::<usize>() {
            return Err(ParameterError::Shape {
                name: name.clone(),
                expected: info.shape.clone(),
                found: tensor.shape.clone(),
            });
        }
        if let Some(index) = tensor.first_non_finite() {
            return Err(ParameterError::NotFinite { name: name.clone(), index });
        }
    }
    match parameters.iter().find(|(name, _)| !expected.contains_key(*name)) {
        Some((name, tensor)) => {
            Err(ParameterError::Unexpected { name: name.clone(), found: tensor.shape.clone() })
        }
        None => Ok(()),
    }
}
