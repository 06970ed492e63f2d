//! Initial values of the parameters.
//!
//! ```text
//! linear maps       weight uniform in +-g sqrt(6 / (in + out)) (Glorot), bias 0; g = 1/2 with batch norm, else 1
//! embeddings        standard normal
//! norms             weight 1, bias 0; running mean 0, variance 1
//! phi               weights uniform in [0, 1) where the branches' residual is the published one, else in [0, 1/16); biases alike,
//!                   or 0
//! ```
//!
//! With the published law of phi its sigmoid is 1 to the last bit and has no gradient; with the other one it begins near
//! 1/2 and learns.
//!
//! Reference: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
//! equation 16.

use equidrift_backend::normal::standard_normal;
use equidrift_backend::philox::philox4x32_10;
use equidrift_backend::weights::{HostTensor, ParameterSet};

use crate::error::PardError;
use crate::network_config::{NetworkConfig, Norm, ResidualOf};
use crate::networks::PardNetworks;

/// Keeps these numbers apart from every other use of the same seed.
const STREAM: u32 = 0x7062_6c69; // "pbli"
/// Width of the law of phi's weights where it learns.
const PHI: f64 = 1.0 / 16.0;

/// The law of the entries of one parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Law {
    Constant(f64),
    Normal,
    /// Between these bounds.
    Uniform(f64, f64),
}

/// Values of all parameters; entry `e` of the `k`-th parameter in order of names is a function of (`seed`, k, e) alone.
///
/// # Errors
/// [`PardError::Setting`].
pub fn initial_parameters(config: &NetworkConfig, seed: u64) -> Result<ParameterSet, PardError> {
    let key = [seed as u32, (seed >> 32) as u32];
    let mut shapes = PardNetworks::parameter_shapes(config)?;
    shapes.sort_unstable();
    let parameters = shapes.into_iter().zip(0..).map(|((name, shape), parameter)| {
        let law = law(config, &name, &shape);
        let entries: usize = shape.iter().product();
        let values = (0..entries as u32).map(|entry| {
            let word = || philox4x32_10([entry, parameter, 0, STREAM], key)[0];
            (match law {
                Law::Constant(value) => value,
                Law::Normal => standard_normal(word()),
                // 32 random bits, at the middle of their interval.
                Law::Uniform(low, high) => low + (high - low) * (f64::from(word()) + 0.5) / 4_294_967_296.0,
            }) as f32
        });
        let values = values.collect();
        (name, HostTensor::f32(shape, values))
    });
    Ok(parameters.collect())
}

fn law(config: &NetworkConfig, name: &str, shape: &[usize]) -> Law {
    let ends = |end: &str| name.ends_with(end);
    if name.contains(".phi_") {
        return match (config.residual, ends(".bias")) {
            (ResidualOf::Normalised, _) => Law::Uniform(0.0, 1.0),
            (ResidualOf::Input, true) => Law::Constant(0.0),
            (ResidualOf::Input, false) => Law::Uniform(0.0, PHI),
        };
    }
    if name.contains("_embedding.") || name.contains("block_size_encoder.") {
        return Law::Normal;
    }
    if ends(".bn.weight") || ends(".ln.weight") || ends(".running_var") {
        return Law::Constant(1.0);
    }
    match shape {
        [outputs, inputs] => {
            let gain = match config.norm {
                Norm::Batch => 0.5,
                Norm::Layer => 1.0,
            };
            let bound = gain * (6.0 / (inputs + outputs) as f64).sqrt();
            Law::Uniform(-bound, bound)
        }
        _ => Law::Constant(0.0),
    }
}
