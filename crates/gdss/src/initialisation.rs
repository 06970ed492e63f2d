//! Initial values of the parameters.
//!
//! ```text
//! graph convolution   weight uniform in +-sqrt(6 / (in + out)) (Glorot), bias 0
//! linear map          weight and bias uniform in +-1 / sqrt(in)
//! ```
//!
//! Reference: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
//! equation 16; the linear maps' law is PyTorch's default.

use equidrift_backend::philox::philox4x32_10;
use equidrift_backend::weights::{HostTensor, ParameterSet};

use crate::network_config::NetworksConfig;
use crate::parameters::{ParameterInfo, ParameterKind, parameter_shapes};

/// Keeps these numbers apart from every other use of the same seed.
const STREAM: u32 = 0x696e_6974; // "init"

/// Values of all parameters of both networks; entry `e` of the `k`-th parameter in order of names is a function of
/// (`seed`, k, e) alone.
pub fn initial_parameters(networks: &NetworksConfig, seed: u64) -> ParameterSet {
    let key = [seed as u32, (seed >> 32) as u32];
    parameter_shapes(networks)
        .into_iter()
        .zip(0..)
        .map(|((name, info), parameter)| {
            let bound = bound(&info);
            let entries: usize = info.shape.iter().product();
            let values = (0..entries)
                .map(|entry| {
                    let words = philox4x32_10([entry as u32, parameter, 0, STREAM], key);
                    // 32 random bits, at the middle of their interval: symmetric about 0.
                    let unit = (f64::from(words[0]) + 0.5) / 4_294_967_296.0;
                    (bound * (2.0 * unit - 1.0)) as f32
                })
                .collect();
            (name, HostTensor::f32(info.shape, values))
        })
        .collect()
}

/// Half width of the uniform law; 0 for biases that start at zero.
fn bound(info: &ParameterInfo) -> f64 {
    match info.kind {
        ParameterKind::ConvolutionWeight => (6.0 / (info.shape[0] + info.shape[1]) as f64).sqrt(),
        ParameterKind::ConvolutionBias => 0.0,
        ParameterKind::LinearWeight => 1.0 / (info.shape[1] as f64).sqrt(),
        ParameterKind::LinearBias { inputs } => 1.0 / (inputs as f64).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network_config::{EdgeNetworkConfig, NodeNetworkConfig, Projection};
    use crate::{ScoreNetworkAConfig, ScoreNetworkXConfig};

    fn networks() -> NetworksConfig {
        NetworksConfig {
            x: NodeNetworkConfig::ScoreNetworkX(ScoreNetworkXConfig {
                max_feat_num: 4,
                depth: 2,
                nhid: 16,
                time_features: 0,
            }),
            adj: EdgeNetworkConfig::ScoreNetworkA(ScoreNetworkAConfig {
                max_feat_num: 4,
                max_node_num: 9,
                nhid: 16,
                num_layers: 3,
                num_linears: 3,
                c_init: 2,
                c_hid: 8,
                c_final: 4,
                adim: 16,
                num_heads: 4,
                conv: Projection::Gcn,
                time_features: 0,
            }),
        }
    }

    #[test]
    fn values_fill_their_interval_and_depend_on_the_seed() {
        let parameters = initial_parameters(&networks(), 42);
        let count: usize = parameters.values().map(HostTensor::len).sum();
        assert_eq!(count, 8_564 + 23_825, "the published numbers of parameters");
        assert_eq!(parameters, initial_parameters(&networks(), 42));
        assert_ne!(parameters, initial_parameters(&networks(), 43));

        let linear = parameters["x.final.linears.1.weight"].to_f64(); // [72, 72]
        let bound = 1.0 / 72f64.sqrt();
        assert!(linear.iter().all(|w| w.abs() < bound));
        let variance = linear.iter().map(|w| w * w).sum::<f64>() / linear.len() as f64;
        assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.05, "{variance}");
        assert!(parameters["x.layers.0.bias"].to_f64().iter().all(|&b| b == 0.0));
        let convolution = parameters["x.layers.0.weight"].to_f64(); // [4, 16]
        let bound = (6.0f64 / 20.0).sqrt();
        assert!(convolution.iter().all(|w| w.abs() < bound));
        assert!(convolution.iter().any(|w| w.abs() > 0.8 * bound));
    }
}
