//! Parameters on a device: read from a host [`ParameterSet`], and their gradients written back under the same names.

use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use equidrift_backend::weights::{HostTensor, ParameterSet};

/// Why a layer could not be built, or its gradient not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayerError {
    /// A parameter is not in the set.
    #[error("parameter `{name}` of shape {expected:?} is missing")]
    Missing {
        /// Its name.
        name: String,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// A parameter has another shape.
    #[error("parameter `{name}`: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// Its name.
        name: String,
        /// The shape the layer needs.
        expected: Vec<usize>,
        /// The shape it has.
        found: Vec<usize>,
    },
    /// The device did not give back a tensor.
    #[error("reading `{name}` from the device: {reason}")]
    Device {
        /// What was read.
        name: String,
        /// What the tensor library said.
        reason: String,
    },
}

/// Reads layers' parameters from a host set onto a device. On a device with automatic differentiation they are tracked.
#[derive(Debug, Clone, Copy)]
pub struct ParameterReader<'a> {
    /// Parameters by name.
    pub parameters: &'a ParameterSet,
    /// Where they go.
    pub device: &'a Device,
    /// Their element type there, [`DType::F32`] or [`DType::F64`].
    pub dtype: DType,
}

impl ParameterReader<'_> {
    /// One parameter as a matrix: `[rows, columns]` as stored, or `[1, length]` for a vector.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn leaf(&self, name: &str, shape: &[usize]) -> Result<Leaf, LayerError> {
        self.packed(&[(name.to_owned(), shape.to_vec())])
    }

    /// Several parameters with the same number of rows, side by side in one matrix. One product then serves them all.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn packed(&self, parts: &[(String, Vec<usize>)]) -> Result<Leaf, LayerError> {
        let rows = parts.first().map_or(1, |(_, shape)| rows_and_columns(shape).0);
        let mut blocks: Vec<Block> = Vec::with_capacity(parts.len());
        let mut values = Vec::with_capacity(parts.len());
        for (name, shape) in parts {
            let Some(tensor) = self.parameters.get(name) else {
                return Err(LayerError::Missing { name: name.clone(), expected: shape.clone() });
            };
            let (found_rows, columns) = rows_and_columns(shape);
            if tensor.shape != *shape || found_rows != rows {
                let (expected, found) = (shape.clone(), tensor.shape.clone());
                return Err(LayerError::Shape { name: name.clone(), expected, found });
            }
            let first = blocks.last().map_or(0, |before| before.first + before.columns);
            blocks.push(Block { name: name.clone(), shape: shape.clone(), first, columns });
            values.push(tensor.to_f64());
        }
        let width = blocks.iter().map(|block| block.columns).sum();
        let mut packed = Vec::with_capacity(rows * width);
        for row in 0..rows {
            for (block, values) in blocks.iter().zip(&values) {
                packed.extend_from_slice(&values[row * block.columns..(row + 1) * block.columns]);
            }
        }
        // Every f32 is an f64 and comes back unchanged.
        let data = TensorData::new(packed, [rows, width]).convert_dtype(self.dtype);
        let tensor = Tensor::from_data(data, (self.device, self.dtype));
        let tensor = if self.device.is_autodiff() { tensor.require_grad() } else { tensor };
        Ok(Leaf { tensor, blocks })
    }
}

fn rows_and_columns(shape: &[usize]) -> (usize, usize) {
    match shape {
        [rows, columns] => (*rows, *columns),
        other => (1, other.iter().product()),
    }
}

/// A matrix of parameters on a device: one parameter, or several side by side.
#[derive(Debug, Clone)]
pub struct Leaf {
    tensor: Tensor<2>,
    blocks: Vec<Block>,
}

/// Which columns of the matrix are which parameter.
#[derive(Debug, Clone)]
struct Block {
    name: String,
    shape: Vec<usize>,
    first: usize,
    columns: usize,
}

impl Leaf {
    /// The matrix.
    pub fn tensor(&self) -> Tensor<2> {
        self.tensor.clone()
    }

    /// Takes this leaf's gradient out of `gradients` and adds it to `into` under the parameters' names. A leaf that did
    /// not take part in the loss adds nothing.
    ///
    /// # Errors
    /// [`LayerError::Device`].
    pub fn collect_gradient(
        &self,
        gradients: &mut Gradients,
        into: &mut ParameterSet,
    ) -> Result<(), LayerError> {
        let Some(gradient) = self.take_gradient(gradients) else {
            return Ok(());
        };
        let device_error = |reason: String| LayerError::Device {
            name: format!("gradient of {}", self.blocks.first().map_or("", |block| block.name.as_str())),
            reason,
        };
        let double = gradient.dtype() == DType::F64;
        let values = gradient.try_into_vec_as::<f64>().map_err(|e| device_error(e.to_string()))?;
        self.put_gradient(&values, double, into);
        Ok(())
    }

    /// Takes this leaf's gradient out of `gradients`.
    pub(crate) fn take_gradient(&self, gradients: &mut Gradients) -> Option<Tensor<2>> {
        self.tensor.grad_remove(gradients)
    }

    /// Adds the gradient, whose entries are `values` row by row, to `into` under the parameters' names.
    pub(crate) fn put_gradient(&self, values: &[f64], double: bool, into: &mut ParameterSet) {
        let [rows, width] = self.tensor.dims();
        for block in &self.blocks {
            let columns = (0..rows).flat_map(|row| {
                &values[row * width + block.first..row * width + block.first + block.columns]
            });
            let tensor = if double {
                HostTensor::f64(block.shape.clone(), columns.copied().collect())
            } else {
                HostTensor::f32(block.shape.clone(), columns.map(|&x| x as f32).collect())
            };
            into.insert(block.name.clone(), tensor);
        }
    }
}
