//! Reads layers' parameters and keeps a list of them, so that all gradients are collected in one place.

use std::cell::RefCell;

use burn::tensor::{Gradients, Tensor, TensorData};
use equidrift_backend::weights::ParameterSet;

use crate::leaf::{LayerError, Leaf, ParameterReader};
use crate::mlp::Linear;

/// A reader that remembers what it read.
#[derive(Debug)]
pub struct ParameterTracker<'a> {
    reader: ParameterReader<'a>,
    leaves: RefCell<Vec<Leaf>>,
}

impl<'a> ParameterTracker<'a> {
    /// A tracker over a reader; nothing is read yet.
    #[must_use]
    pub fn new(reader: ParameterReader<'a>) -> Self {
        Self { reader, leaves: RefCell::default() }
    }

    /// A parameter, as [`ParameterReader::leaf`] gives it.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn leaf(&self, name: &str, shape: &[usize]) -> Result<Leaf, LayerError> {
        let leaf = self.reader.leaf(name, shape)?;
        self.leaves.borrow_mut().push(leaf.clone());
        Ok(leaf)
    }

    /// A linear map: `{name}.weight` `[outputs, inputs]` and `{name}.bias` `[outputs]`.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn linear(&self, name: &str, inputs: usize, outputs: usize) -> Result<Linear, LayerError> {
        let weight = self.leaf(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = self.leaf(&format!("{name}.bias"), &[outputs])?;
        Ok(Linear::of_leaves(weight, bias))
    }

    /// Numbers `[1, length]` that are no parameters: they have no gradient.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn buffer(&self, name: &str, length: usize) -> Result<Tensor<2>, LayerError> {
        let expected = vec![length];
        let Some(tensor) = self.reader.parameters.get(name) else {
            return Err(LayerError::Missing { name: name.to_owned(), expected });
        };
        if tensor.shape != expected {
            let found = tensor.shape.clone();
            return Err(LayerError::Shape { name: name.to_owned(), expected, found });
        }
        let data = TensorData::new(tensor.to_f64(), [1, length]).convert_dtype(self.reader.dtype);
        Ok(Tensor::from_data(data, (self.reader.device, self.reader.dtype)))
    }

    /// What was read.
    #[must_use]
    pub fn finish(self) -> TrackedParameters {
        TrackedParameters { leaves: self.leaves.into_inner() }
    }
}

/// All parameters of a network on a device.
#[derive(Debug, Clone)]
pub struct TrackedParameters {
    leaves: Vec<Leaf>,
}

impl TrackedParameters {
    /// The gradients of all parameters that took part, by name.
    ///
    /// # Errors
    /// [`LayerError::Device`].
    pub fn gradients(&self, gradients: &mut Gradients) -> Result<ParameterSet, LayerError> {
        let mut found = ParameterSet::new();
        self.leaves.iter().try_for_each(|leaf| leaf.collect_gradient(gradients, &mut found))?;
        Ok(found)
    }
}
