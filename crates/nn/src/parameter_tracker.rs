//! Reads layers' parameters and keeps a list of them, so that all gradients are collected in one place.

use std::cell::RefCell;

use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use equidrift_backend::weights::{HostTensor, ParameterSet};

use crate::leaf::{LayerError, Leaf, ParameterReader};
use crate::mlp::Linear;

/// A reader that remembers what it read.
#[derive(Debug)]
pub struct ParameterTracker<'a> {
    source: Source<'a>,
    leaves: RefCell<Vec<Leaf>>,
}

/// Where parameters come from.
#[derive(Debug)]
enum Source<'a> {
    Set(ParameterReader<'a>),
    /// Every parameter is there, and 0; it is written down.
    Zeros(RefCell<Vec<(String, Vec<usize>)>>),
}

impl<'a> ParameterTracker<'a> {
    /// A tracker over a reader; nothing is read yet.
    #[must_use]
    pub fn new(reader: ParameterReader<'a>) -> Self {
        Self { source: Source::Set(reader), leaves: RefCell::default() }
    }

    /// The names and shapes of all that `read` asks for, in that order.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn shapes<T, E>(
        read: impl FnOnce(&ParameterTracker<'_>) -> Result<T, E>,
    ) -> Result<Vec<(String, Vec<usize>)>, E> {
        let tracker =
            ParameterTracker { source: Source::Zeros(RefCell::default()), leaves: RefCell::default() };
        read(&tracker)?;
        Ok(match tracker.source {
            Source::Zeros(asked) => asked.into_inner(),
            Source::Set(_) => Vec::new(),
        })
    }

    fn with_reader<T>(
        &self,
        name: &str,
        shape: &[usize],
        read: impl FnOnce(&ParameterReader<'_>) -> Result<T, LayerError>,
    ) -> Result<T, LayerError> {
        match &self.source {
            Source::Set(reader) => read(reader),
            Source::Zeros(asked) => {
                asked.borrow_mut().push((name.to_owned(), shape.to_vec()));
                let zeros = vec![0.0; shape.iter().product()];
                let parameters = [(name.to_owned(), HostTensor::f32(shape.to_vec(), zeros))].into();
                let device = Device::flex();
                read(&ParameterReader { parameters: &parameters, device: &device, dtype: DType::F32 })
            }
        }
    }

    /// A parameter, as [`ParameterReader::leaf`] gives it.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn leaf(&self, name: &str, shape: &[usize]) -> Result<Leaf, LayerError> {
        let leaf = self.with_reader(name, shape, |reader| reader.leaf(name, shape))?;
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
        self.with_reader(name, &[length], |reader| {
            let expected = vec![length];
            let Some(tensor) = reader.parameters.get(name) else {
                return Err(LayerError::Missing { name: name.to_owned(), expected });
            };
            if tensor.shape != expected {
                let found = tensor.shape.clone();
                return Err(LayerError::Shape { name: name.to_owned(), expected, found });
            }
            let data = TensorData::new(tensor.to_f64(), [1, length]).convert_dtype(reader.dtype);
            Ok(Tensor::from_data(data, (reader.device, reader.dtype)))
        })
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
    /// The gradients of all parameters that took part, by name. They come from the device in one piece: every reading
    /// waits for all that the device has still to do.
    ///
    /// # Errors
    /// [`LayerError::Device`].
    pub fn gradients(&self, gradients: &mut Gradients) -> Result<ParameterSet, LayerError> {
        let (mut leaves, mut flat) = (Vec::new(), Vec::new());
        for leaf in &self.leaves {
            if let Some(gradient) = leaf.take_gradient(gradients) {
                let length = gradient.dims().iter().product::<usize>();
                leaves.push((leaf, length));
                flat.push(gradient.reshape([length]));
            }
        }
        let mut found = ParameterSet::new();
        if flat.is_empty() {
            return Ok(found);
        }
        let flat: Tensor<1> = Tensor::cat(flat, 0);
        let double = flat.dtype() == DType::F64;
        let values = flat.try_into_vec_as::<f64>().map_err(|error| LayerError::Device {
            name: "the gradient".to_owned(),
            reason: error.to_string(),
        })?;
        let mut rest = values.as_slice();
        for (leaf, length) in leaves {
            let (values, after) = rest.split_at(length);
            leaf.put_gradient(values, double, &mut found);
            rest = after;
        }
        Ok(found)
    }
}
