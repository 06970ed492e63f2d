//! Adam with L2 or decoupled weight decay, in the form PyTorch's `torch.optim.Adam` and `AdamW` compute it.
//!
//! Per entry, with gradient `g`, parameter `p` and step count `t` (from 1):
//!
//! ```text
//! g' = c g + w p                      L2: the decay joins the gradient and its moments
//! g' = c g,    p' = (1 - lr w) p      decoupled (AdamW): the decay is a step of its own
//! m  = b1 m + (1 - b1) g'             v = b2 v + (1 - b2) g'^2
//! p  = p' - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)          (L2: p' = p)
//! ```
//!
//! | symbol | field |
//! | --- | --- |
//! | `b1`, `b2`, `eps`, `w` | [`AdamConfig`] |
//! | `m`, `v`, `t` | [`Moments`] |
//! | `c`, `lr` | arguments of [`Adam::step`]: the clipping coefficient and the learning rate |
//!
//! A parameter without an entry in the gradient is left alone entirely: no decay, no change of its moments, and its
//! step count stays (bias correction counts the steps a parameter has really had). Cost: one pass over the parameters;
//! memory: two f64 per entry. Moments are f64 whatever the parameters are, so that rounding enters once per step.
//!
//! References: Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1; Loshchilov and Hutter,
//! "Decoupled weight decay regularization", 2019, algorithm 2 (with PyTorch's `lr w` for the paper's `eta lambda`).

use std::collections::BTreeMap;

use equidrift_backend::weights::{ParameterSet, Values};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// How weight decay enters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightDecay {
    /// As the gradient of a squared norm: Adam.
    #[default]
    L2,
    /// As a shrinking of the parameters beside the gradient step: AdamW.
    Decoupled,
}

/// Constants of the update rule.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// `w`: multiple of the parameter added to its gradient, or of `lr` and the parameter taken from it.
    pub weight_decay: f64,
    /// Which of the two.
    pub decay: WeightDecay,
}

impl Default for AdamConfig {
    fn default() -> Self {
        // The paper's constants; no weight decay.
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, decay: WeightDecay::L2 }
    }
}

/// Running moments of one parameter.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Moments {
    /// Updates this parameter has had.
    pub steps: u64,
    /// Mean of the gradient, one value per entry.
    pub first: Vec<f64>,
    /// Mean of the squared gradient, one value per entry.
    pub second: Vec<f64>,
}

/// The optimiser: constants and the moments of every parameter that has had a gradient.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Adam {
    /// Constants of the update rule.
    pub config: AdamConfig,
    /// Moments by parameter name.
    pub moments: BTreeMap<String, Moments>,
}

impl Adam {
    /// An optimiser that has seen no gradient yet.
    pub fn new(config: AdamConfig) -> Self {
        Self { config, moments: BTreeMap::new() }
    }

    /// Updates every parameter that has an entry in `gradient` and whose name starts with `prefix`; each gradient is
    /// multiplied by `coefficient` (see [`crate::clip`]) first.
    ///
    /// # Errors
    /// A gradient without a parameter, or with another number of entries.
    pub fn step(
        &mut self,
        parameters: &mut ParameterSet,
        gradient: &ParameterSet,
        prefix: &str,
        coefficient: f64,
        learning_rate: f64,
    ) -> Result<(), TrainError> {
        for (name, gradient) in gradient.iter().filter(|(name, _)| name.starts_with(prefix)) {
            let parameter = parameters
                .get_mut(name)
                .ok_or_else(|| TrainError::UnknownParameter { name: name.clone() })?;
            if parameter.shape != gradient.shape {
                return Err(TrainError::GradientShape {
                    name: name.clone(),
                    expected: parameter.shape.clone(),
                    found: gradient.shape.clone(),
                });
            }
            let moments = self.moments.entry(name.clone()).or_default();
            moments.first.resize(gradient.len(), 0.0);
            moments.second.resize(gradient.len(), 0.0);
            moments.steps += 1;
            let update = Update::new(self.config, moments.steps, coefficient, learning_rate);
            let state = moments.first.iter_mut().zip(&mut moments.second);
            match (&mut parameter.values, &gradient.values) {
                (Values::F32(p), Values::F32(g)) => {
                    update.apply(p.iter_mut().zip(g.iter().map(|&g| f64::from(g))).zip(state));
                }
                (Values::F32(p), Values::F64(g)) => {
                    update.apply(p.iter_mut().zip(g.iter().copied()).zip(state));
                }
                (Values::F64(p), Values::F32(g)) => {
                    update.apply(p.iter_mut().zip(g.iter().map(|&g| f64::from(g))).zip(state));
                }
                (Values::F64(p), Values::F64(g)) => {
                    update.apply(p.iter_mut().zip(g.iter().copied()).zip(state));
                }
            }
        }
        Ok(())
    }
}

/// One step's scalars.
struct Update {
    config: AdamConfig,
    coefficient: f64,
    learning_rate: f64,
    first_correction: f64,
    second_correction: f64,
}

impl Update {
    fn new(config: AdamConfig, steps: u64, coefficient: f64, learning_rate: f64) -> Self {
        // Beyond 2^31 steps both powers are 0 anyway.
        let t = i32::try_from(steps).unwrap_or(i32::MAX);
        Self {
            config,
            coefficient,
            learning_rate,
            first_correction: 1.0 - config.beta1.powi(t),
            second_correction: 1.0 - config.beta2.powi(t),
        }
    }

    /// Updates the entries `((p, g), (m, v))` of one parameter.
    fn apply<'a, P: Number + 'a>(
        &self,
        entries: impl Iterator<Item = ((&'a mut P, f64), (&'a mut f64, &'a mut f64))>,
    ) {
        let AdamConfig { beta1, beta2, epsilon, weight_decay, decay } = self.config;
        let (l2, kept) = match decay {
            WeightDecay::L2 => (weight_decay, 1.0),
            WeightDecay::Decoupled => (0.0, 1.0 - self.learning_rate * weight_decay),
        };
        for ((parameter, g), (m, v)) in entries {
            let p = (*parameter).to_f64();
            let g = self.coefficient * g + l2 * p;
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            let step = self.learning_rate * (*m / self.first_correction)
                / ((*v / self.second_correction).sqrt() + epsilon);
            *parameter = P::rounded(kept * p - step);
        }
    }
}

/// What a parameter's entry may be.
trait Number: Copy {
    fn to_f64(self) -> f64;
    fn rounded(value: f64) -> Self;
}

impl Number for f32 {
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn rounded(value: f64) -> Self {
        value as f32
    }
}

impl Number for f64 {
    fn to_f64(self) -> f64 {
        self
    }

    fn rounded(value: f64) -> Self {
        value
    }
}

#[cfg(test)]
mod tests {
    use equidrift_backend::weights::HostTensor;

    use super::*;

    fn set(entries: &[(&str, Vec<f64>)]) -> ParameterSet {
        entries
            .iter()
            .map(|(name, values)| ((*name).to_owned(), HostTensor::f64(vec![values.len()], values.clone())))
            .collect()
    }

    #[test]
    fn first_step_moves_by_the_learning_rate_against_the_gradients_sign() {
        // m/(1-b1) = g and sqrt(v/(1-b2)) = |g| at t = 1.
        let mut parameters = set(&[("x.a", vec![1.0, -2.0])]);
        let gradient = set(&[("x.a", vec![0.5, -4.0])]);
        let mut adam = Adam::new(AdamConfig::default());
        adam.step(&mut parameters, &gradient, "x.", 1.0, 0.1).unwrap();
        let moved = parameters["x.a"].to_f64();
        assert!((moved[0] - 0.9).abs() < 1e-8 && (moved[1] + 1.9).abs() < 1e-8, "{moved:?}");
    }

    #[test]
    fn weight_decay_enters_the_moments() {
        let mut parameters = set(&[("x.a", vec![2.0])]);
        let mut adam = Adam::new(AdamConfig { weight_decay: 0.5, ..AdamConfig::default() });
        adam.step(&mut parameters, &set(&[("x.a", vec![3.0])]), "", 0.5, 0.1).unwrap();
        // g' = 0.5 * 3 + 0.5 * 2 = 2.5
        assert!((adam.moments["x.a"].first[0] - 0.25).abs() < 1e-12);
        assert!((adam.moments["x.a"].second[0] - 0.00625).abs() < 1e-12);
    }

    #[test]
    fn decoupled_decay_shrinks_the_parameter_and_leaves_the_moments_alone() {
        let config = AdamConfig { weight_decay: 0.5, decay: WeightDecay::Decoupled, ..AdamConfig::default() };
        let (mut adam, mut plain) = (Adam::new(config), Adam::new(AdamConfig::default()));
        let (mut parameters, mut undecayed) = (set(&[("x.a", vec![2.0])]), set(&[("x.a", vec![2.0])]));
        let gradient = set(&[("x.a", vec![3.0])]);
        adam.step(&mut parameters, &gradient, "", 1.0, 0.1).unwrap();
        plain.step(&mut undecayed, &gradient, "", 1.0, 0.1).unwrap();
        assert_eq!(adam.moments, plain.moments);
        // 2 (1 - 0.1 * 0.5) - 0.1
        assert!((parameters["x.a"].to_f64()[0] - 1.8).abs() < 1e-8);
        assert!((undecayed["x.a"].to_f64()[0] - 1.9).abs() < 1e-8);
    }

    #[test]
    fn absent_gradients_and_other_groups_are_left_alone() {
        let mut parameters = set(&[("x.a", vec![1.0]), ("x.b", vec![1.0]), ("adj.a", vec![1.0])]);
        let before = parameters.clone();
        let gradient = set(&[("x.a", vec![1.0]), ("adj.a", vec![1.0])]);
        let mut adam = Adam::new(AdamConfig { weight_decay: 0.1, ..AdamConfig::default() });
        adam.step(&mut parameters, &gradient, "x.", 1.0, 0.1).unwrap();
        assert_ne!(parameters["x.a"], before["x.a"]);
        assert_eq!(parameters["x.b"], before["x.b"]);
        assert_eq!(parameters["adj.a"], before["adj.a"]);
        assert_eq!(adam.moments.keys().collect::<Vec<_>>(), ["x.a"]);
    }

    #[test]
    fn a_gradient_that_fits_no_parameter_is_an_error() {
        let mut adam = Adam::new(AdamConfig::default());
        let mut parameters = set(&[("x.a", vec![1.0])]);
        let unknown = adam.step(&mut parameters, &set(&[("x.z", vec![1.0])]), "", 1.0, 0.1);
        assert!(matches!(unknown, Err(TrainError::UnknownParameter { name }) if name == "x.z"));
        let shape = adam.step(&mut parameters, &set(&[("x.a", vec![1.0, 2.0])]), "", 1.0, 0.1);
        assert!(matches!(shape, Err(TrainError::GradientShape { .. })));
    }
}
