//! Exponential moving average of the parameters, with a warm-up of its decay rate.
//!
//! After each optimiser step, with `n` the number of updates so far including this one:
//!
//! ```text
//! rate = min(decay, (1 + n) / (10 + n))        s = s - (1 - rate) (s - p)
//! ```
//!
//! The average starts at the initial parameters. It is kept in f64 whatever the parameters are, because
//! `(1 - rate)(s - p)` falls below the spacing of f32 long before the average has settled.
//!
//! Reference: Song et al., "Score-based generative modeling through stochastic differential equations", 2021,
//! appendix G; the warm-up is TensorFlow's `ExponentialMovingAverage(num_updates)`.

use std::collections::BTreeMap;

use equidrift_backend::weights::{HostTensor, ParameterSet, Values};

/// A running average of a [`ParameterSet`].
#[derive(Debug, Clone, PartialEq)]
pub struct ExponentialMovingAverage {
    /// Largest rate at which the past is kept, e.g. 0.999.
    pub decay: f64,
    /// Updates so far.
    pub updates: u64,
    /// The averages by parameter name, in the parameters' order of entries.
    pub averages: BTreeMap<String, Vec<f64>>,
}

impl ExponentialMovingAverage {
    /// An average that starts at `parameters`.
    pub fn new(decay: f64, parameters: &ParameterSet) -> Self {
        let averages = parameters.iter().map(|(name, tensor)| (name.clone(), tensor.to_f64())).collect();
        Self { decay, updates: 0, averages }
    }

    /// Takes the parameters after one optimiser step into the average.
    pub fn update(&mut self, parameters: &ParameterSet) {
        self.updates += 1;
        let n = self.updates as f64;
        let keep = self.decay.min((1.0 + n) / (10.0 + n));
        for (name, averages) in &mut self.averages {
            match parameters.get(name).map(|tensor| &tensor.values) {
                Some(Values::F32(values)) => {
                    for (s, p) in averages.iter_mut().zip(values) {
                        *s -= (1.0 - keep) * (*s - f64::from(*p));
                    }
                }
                Some(Values::F64(values)) => {
                    for (s, p) in averages.iter_mut().zip(values) {
                        *s -= (1.0 - keep) * (*s - p);
                    }
                }
                None => {}
            }
        }
    }

    /// The averages in the shapes and number type of `parameters`.
    pub fn parameters(&self, parameters: &ParameterSet) -> ParameterSet {
        parameters
            .iter()
            .map(|(name, tensor)| {
                let average = match (self.averages.get(name), &tensor.values) {
                    (None, _) => tensor.clone(),
                    (Some(s), Values::F32(_)) => {
                        HostTensor::f32(tensor.shape.clone(), s.iter().map(|&s| s as f32).collect())
                    }
                    (Some(s), Values::F64(_)) => HostTensor::f64(tensor.shape.clone(), s.clone()),
                };
                (name.clone(), average)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: f64) -> ParameterSet {
        ParameterSet::from([("x.a".to_owned(), HostTensor::f64(vec![1], vec![value]))])
    }

    #[test]
    fn early_updates_forget_quickly() {
        let mut ema = ExponentialMovingAverage::new(0.999, &one(0.0));
        ema.update(&one(1.0)); // keep = 2/11
        assert!((ema.averages["x.a"][0] - 9.0 / 11.0).abs() < 1e-15);
        ema.update(&one(1.0)); // keep = 3/12
        assert!((ema.averages["x.a"][0] - (1.0 - 2.0 / 11.0 * 0.25)).abs() < 1e-15);
    }

    #[test]
    fn late_updates_use_the_decay() {
        let mut ema = ExponentialMovingAverage::new(0.9, &one(1.0));
        ema.updates = 1_000_000;
        ema.update(&one(0.0));
        assert!((ema.averages["x.a"][0] - 0.9).abs() < 1e-15);
        assert_eq!(ema.parameters(&one(0.0))["x.a"].shape, [1]);
    }
}
