//! Gradient accumulation: one evaluation put together from several smaller ones.
//!
//! Losses and gradients are means over examples, so those of a large batch are the means of its parts weighted by their
//! numbers of examples. Sums are f64 in the order of the parts. Memory: one f64 per parameter.

use std::collections::BTreeMap;

use equidrift_backend::weights::{HostTensor, Values};

use crate::error::TrainError;
use crate::objective::Evaluation;

/// The weighted sum of the evaluations of a batch's parts.
#[derive(Debug, Default)]
pub(crate) struct Accumulation {
    losses: Vec<f64>,
    gradient: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
}

impl Accumulation {
    /// Adds a part that holds the share `weight` of the batch's examples.
    ///
    /// # Errors
    /// [`TrainError::GradientShape`] if a gradient changes its shape from one part to the next.
    pub(crate) fn add(&mut self, part: Evaluation, weight: f64) -> Result<(), TrainError> {
        self.losses.resize(part.losses.len(), 0.0);
        for (sum, loss) in self.losses.iter_mut().zip(part.losses) {
            *sum += weight * loss;
        }
        for (name, tensor) in part.gradient {
            let (shape, sums) = self
                .gradient
                .entry(name.clone())
                .or_insert_with(|| (tensor.shape.clone(), vec![0.0; tensor.len()]));
            if *shape != tensor.shape {
                return Err(TrainError::GradientShape {
                    name,
                    expected: shape.clone(),
                    found: tensor.shape.clone(),
                });
            }
            match &tensor.values {
                Values::F32(g) => sums.iter_mut().zip(g).for_each(|(s, &g)| *s += weight * f64::from(g)),
                Values::F64(g) => sums.iter_mut().zip(g).for_each(|(s, &g)| *s += weight * g),
            }
        }
        Ok(())
    }

    /// The evaluation of the whole batch.
    pub(crate) fn finish(self) -> Evaluation {
        let gradient =
            self.gradient.into_iter().map(|(name, (shape, sums))| (name, HostTensor::f64(shape, sums)));
        Evaluation { losses: self.losses, gradient: gradient.collect() }
    }
}
