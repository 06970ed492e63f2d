//! Names and shapes of every parameter of a pair of networks, and their initial values.

use std::collections::BTreeMap;

use equidrift_backend::kernels::PackError;
use equidrift_backend::weights::ParameterSet;

use crate::network_config::{AttentionLayerSize, EdgeNetworkConfig, NetworksConfig, NodeNetworkConfig};

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

/// What kind of map a parameter belongs to; decides its initial law.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterKind {
    /// Weight `[in, out]` of a graph convolution.
    ConvolutionWeight,
    /// Bias `[out]` of a graph convolution.
    ConvolutionBias,
    /// Weight `[out, in]` of a linear map.
    LinearWeight,
    /// Bias `[out]` of a linear map with this many inputs.
    LinearBias {
        /// Inputs of the map.
        inputs: usize,
    },
}

/// Shape and kind of one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterInfo {
    /// Its shape.
    pub shape: Vec<usize>,
    /// What it belongs to.
    pub kind: ParameterKind,
}

/// Every parameter of both networks, by name (`x.` and `adj.` prefixes).
pub fn parameter_shapes(networks: &NetworksConfig) -> BTreeMap<String, ParameterInfo> {
    let mut list = List::default();
    match &networks.x {
        NodeNetworkConfig::ScoreNetworkX(x) => {
            for layer in 0..x.depth {
                let inputs = if layer == 0 { x.max_feat_num } else { x.nhid };
                list.convolution(&format!("x.layers.{layer}"), inputs, x.nhid);
            }
            let width = x.concatenated();
            list.perceptron("x.final", 3, [width, 2 * width, x.max_feat_num], x.time_features);
        }
        NodeNetworkConfig::ScoreNetworkXGmh(x) => {
            for (layer, size) in x.layers().iter().enumerate() {
                list.attention_layer(&format!("x.layers.{layer}"), size);
            }
            let width = x.concatenated();
            list.perceptron("x.final", 3, [width, 2 * width, x.max_feat_num], x.time_features);
        }
    }
    let EdgeNetworkConfig::ScoreNetworkA(a) = &networks.adj;
    for (layer, size) in a.layers().iter().enumerate() {
        list.attention_layer(&format!("adj.layers.{layer}"), size);
    }
    let channels = a.concatenated();
    list.perceptron("adj.final", 3, [channels, 2 * channels, 1], a.time_features);
    list.0
}

/// Checks that `parameters` are exactly those of the networks, and finite.
///
/// # Errors
/// [`ParameterError`] naming the first offending tensor.
pub fn check_parameters(networks: &NetworksConfig, parameters: &ParameterSet) -> Result<(), ParameterError> {
    let expected = parameter_shapes(networks);
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

#[derive(Default)]
struct List(BTreeMap<String, ParameterInfo>);

impl List {
    fn add(&mut self, name: String, shape: Vec<usize>, kind: ParameterKind) {
        self.0.insert(name, ParameterInfo { shape, kind });
    }

    fn convolution(&mut self, name: &str, inputs: usize, outputs: usize) {
        self.add(format!("{name}.weight"), vec![inputs, outputs], ParameterKind::ConvolutionWeight);
        self.add(format!("{name}.bias"), vec![outputs], ParameterKind::ConvolutionBias);
    }

    fn perceptron(&mut self, name: &str, maps: usize, [inputs, hidden, outputs]: [usize; 3], time: usize) {
        for map in 0..maps {
            let i = if map == 0 { inputs + time } else { hidden };
            let o = if map + 1 == maps { outputs } else { hidden };
            self.add(format!("{name}.linears.{map}.weight"), vec![o, i], ParameterKind::LinearWeight);
            self.add(format!("{name}.linears.{map}.bias"), vec![o], ParameterKind::LinearBias { inputs: i });
        }
    }

    fn attention_layer(&mut self, name: &str, size: &AttentionLayerSize) {
        for channel in 0..size.channels_in {
            let unit = format!("{name}.attn.{channel}");
            self.convolution(&format!("{unit}.gnn_q"), size.node_in, size.attention);
            self.convolution(&format!("{unit}.gnn_k"), size.node_in, size.attention);
            self.convolution(&format!("{unit}.gnn_v"), size.node_in, size.node_out);
        }
        let (channels, hidden) = (size.channels_in, size.hidden());
        let edges = [2 * channels, hidden, size.channels_out];
        let nodes = [channels * size.node_out, hidden, size.node_out];
        self.perceptron(&format!("{name}.mlp"), size.num_linears, edges, size.time);
        self.perceptron(&format!("{name}.multi_channel"), 2, nodes, size.time);
    }
}
