//! Initial values of the parameters.
//!
//! ```text
//! linear map                 weight and bias uniform in +-1 / sqrt(in)     (PyTorch's default)
//! weights of the frames      1
//! ```

use equidrift_backend::philox::philox4x32_10;
use equidrift_backend::weights::{HostTensor, ParameterSet};

use crate::network_config::NetworkConfig;
use crate::parameters::{ParameterKind, parameter_shapes};

/// Keeps these numbers apart from every other use of the same seed.
const STREAM: u32 = 0x696e_6974; // "init"

/// Values of all parameters; entry `e` of the `k`-th parameter in order of names is a function of (`seed`, k, e) alone.
#[must_use]
pub fn initial_parameters(config: &NetworkConfig, seed: u64) -> ParameterSet {
    let key = [seed as u32, (seed >> 32) as u32];
    parameter_shapes(config)
        .into_iter()
        .zip(0..)
        .map(|((name, info), parameter)| {
            let entries: usize = info.shape.iter().product();
            let value = |entry: usize| match info.kind {
                ParameterKind::FrameWeights => 1.0,
                ParameterKind::Linear { inputs } => {
                    let words = philox4x32_10([entry as u32, parameter, 0, STREAM], key);
                    // 32 random bits, at the middle of their interval: symmetric about 0.
                    let unit = (f64::from(words[0]) + 0.5) / 4_294_967_296.0;
                    ((2.0 * unit - 1.0) / (inputs as f64).sqrt()) as f32
                }
            };
            let values = (0..entries).map(value).collect();
            (name, HostTensor::f32(info.shape, values))
        })
        .collect()
}
