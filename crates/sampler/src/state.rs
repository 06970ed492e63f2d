//! The state of a batch: named components, one row per sample.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use crate::error::SamplerError;
use crate::noise::{NoiseSource, Stream};
use crate::path::PathConfig;
use crate::support::Support;

/// One component of a [`State`]: values `[B, D]` (f32 or f64, on any device) and the support they live in.
#[derive(Clone, Debug)]
pub struct Component {
    /// Name, for instance `x` or `adj`.
    pub name: String,
    /// Values, `[B, D]`. The family reshapes a row as the support's layout says.
    pub values: Tensor<2>,
    /// The subspace the values live in.
    pub support: Support,
}

impl Component {
    /// A component of host values in row order, rounded to `dtype`.
    ///
    /// # Errors
    /// [`SamplerError::Count`] if there are not B·D values.
    pub fn from_host(
        name: impl Into<String>,
        values: Vec<f64>,
        support: Support,
        device: &Device,
        dtype: DType,
    ) -> Result<Self, SamplerError> {
        let expected = support.batch() * support.width();
        if values.len() != expected {
            return Err(SamplerError::Count { what: "values of a component", expected, found: values.len() });
        }
        let data = TensorData::new(values, [support.batch(), support.width()]);
        Ok(Self { name: name.into(), values: Tensor::from_data(data, (device, dtype)), support })
    }

    /// The values on the host, in row order.
    ///
    /// # Errors
    /// [`SamplerError::Values`] if the device cannot deliver them.
    pub fn to_host(&self) -> Result<Vec<f64>, SamplerError> {
        host_f64(&self.name, self.values.clone())
    }
}

/// A batch of samples: components that share their rows.
#[derive(Clone, Debug)]
pub struct State {
    /// The components, in the order of the paths and of the denoiser's answers.
    pub components: Vec<Component>,
}

impl State {
    /// A state of these components.
    ///
    /// # Errors
    /// If there is none, if their numbers of rows differ, or a shape is not its support's.
    pub fn new(components: Vec<Component>) -> Result<Self, SamplerError> {
        let state = Self { components };
        state.check()?;
        Ok(state)
    }

    /// A draw from the prior: for each component noise of stream [`Stream::Prior`] times the path's prior standard
    /// deviation, on the support.
    ///
    /// # Errors
    /// If `names`, `paths`, `supports` and `ids` do not fit together, or a path does not end in noise.
    pub fn prior(
        names: &[&str],
        paths: &[PathConfig],
        supports: Vec<Support>,
        ids: &[u64],
        noise: &dyn NoiseSource,
        device: &Device,
        dtype: DType,
    ) -> Result<Self, SamplerError> {
        let expected = names.len();
        for (what, found) in [("paths of the prior", paths.len()), ("supports of the prior", supports.len())]
        {
            if found != expected {
                return Err(SamplerError::Count { what, expected, found });
            }
        }
        let mut components = Vec::with_capacity(expected);
        for (index, (support, (name, path))) in supports.into_iter().zip(names.iter().zip(paths)).enumerate()
        {
            if support.batch() != ids.len() {
                let (expected, found) = (support.batch(), ids.len());
                return Err(SamplerError::Count { what: "sample ids", expected, found });
            }
            let path = path.build();
            if !path.ends_in_noise() {
                return Err(SamplerError::UnsupportedPath {
                    planner: "prior",
                    path: path.name(),
                    component: index,
                    reason: "it ends in samples of another law, which are to be supplied as the state",
                });
            }
            let scale = path.prior_std();
            let mut values = noise.normals(Stream::Prior, 0, index, &support, ids);
            values.iter_mut().for_each(|value| *value *= scale);
            components.push(Component::from_host(*name, values, support, device, dtype)?);
        }
        Self::new(components)
    }

    /// Number of samples B.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.components.first().map_or(0, |component| component.support.batch())
    }

    /// Checks shapes and row counts, as [`State::new`].
    ///
    /// # Errors
    /// As [`State::new`].
    pub fn check(&self) -> Result<(), SamplerError> {
        let batch = self.batch();
        if self.components.is_empty() {
            return Err(SamplerError::Count { what: "components of a state", expected: 1, found: 0 });
        }
        for component in &self.components {
            let expected = [batch, component.support.width()];
            let found = component.values.dims();
            if component.support.batch() != batch || found != expected {
                return Err(SamplerError::Shape { component: component.name.clone(), expected, found });
            }
        }
        Ok(())
    }

    /// The rows at these places, in this order; a row may be taken more than once.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let components = self.components.iter().map(|component| Component {
            name: component.name.clone(),
            values: select_rows(component.values.clone(), rows),
            support: component.support.select(rows),
        });
        Self { components: components.collect() }
    }

    /// All rows of `parts`, one after another.
    ///
    /// # Errors
    /// If there is no part, or the parts have other components, widths or layouts.
    pub fn concat(parts: &[Self]) -> Result<Self, SamplerError> {
        let Some(first) = parts.first() else {
            return Err(SamplerError::Count { what: "states to concatenate", expected: 1, found: 0 });
        };
        for part in parts {
            let (expected, found) = (first.components.len(), part.components.len());
            if expected != found {
                return Err(SamplerError::Count { what: "components of a state", expected, found });
            }
            for (component, like) in part.components.iter().zip(&first.components) {
                if component.support.layout() != like.support.layout() {
                    let (expected, found) = (like.values.dims(), component.values.dims());
                    return Err(SamplerError::Shape { component: component.name.clone(), expected, found });
                }
            }
        }
        let components = (0..first.components.len()).map(|index| {
            let values = parts.iter().map(|part| part.components[index].values.clone()).collect();
            let supports: Vec<&Support> = parts.iter().map(|part| &part.components[index].support).collect();
            Component {
                name: first.components[index].name.clone(),
                values: Tensor::cat(values, 0),
                support: Support::concat(&supports),
            }
        });
        Ok(Self { components: components.collect() })
    }

    /// Replaces row `rows[i]` by row i of `from`, values and support.
    ///
    /// # Errors
    /// If there are not as many rows in `from`, a row does not exist, or the states have other components or layouts.
    pub fn assign(&mut self, rows: &[usize], from: &Self) -> Result<(), SamplerError> {
        let batch = self.batch();
        if from.batch() != rows.len() {
            let (expected, found) = (rows.len(), from.batch());
            return Err(SamplerError::Count { what: "rows to assign", expected, found });
        }
        if let Some(&found) = rows.iter().find(|row| **row >= batch) {
            return Err(SamplerError::Count {
                what: "rows of a state, more than the row",
                expected: batch,
                found,
            });
        }
        let mut order: Vec<usize> = (0..batch).collect();
        for (place, &row) in rows.iter().enumerate() {
            order[row] = batch + place;
        }
        *self = Self::concat(&[self.clone(), from.clone()])?.select(&order);
        Ok(())
    }

    /// Every component's values on the host, in row order.
    ///
    /// # Errors
    /// As [`Component::to_host`].
    pub fn to_host(&self) -> Result<Vec<Vec<f64>>, SamplerError> {
        self.components.iter().map(Component::to_host).collect()
    }

    /// The same components with other values: `values[c]` in row order, in the dtype and on the device of component c.
    ///
    /// # Errors
    /// As [`Component::from_host`].
    pub fn with_values(&self, values: Vec<Vec<f64>>) -> Result<Self, SamplerError> {
        if values.len() != self.components.len() {
            let (expected, found) = (self.components.len(), values.len());
            return Err(SamplerError::Count { what: "components of a state", expected, found });
        }
        let components = self.components.iter().zip(values).map(|(like, values)| {
            let (name, support) = (like.name.clone(), like.support.clone());
            Component::from_host(name, values, support, &like.values.device(), like.values.dtype())
        });
        Ok(Self { components: components.collect::<Result<_, _>>()? })
    }
}

/// Rows of a matrix `[B, D]` at these places, in this order.
pub(crate) fn select_rows(values: Tensor<2>, rows: &[usize]) -> Tensor<2> {
    let indices: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    let indices = TensorData::new(indices, [rows.len()]);
    let device = values.device();
    values.select(0, Tensor::<1, Int>::from_data(indices, &device))
}

/// One number for each row as a column `[B, 1]`, beside `like`.
pub(crate) fn column(values: &[f64], like: &Tensor<2>) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), [values.len(), 1]);
    Tensor::from_data(data, (&like.device(), like.dtype()))
}

/// Values of a tensor on the host as f64.
pub(crate) fn host_f64(component: &str, values: Tensor<2>) -> Result<Vec<f64>, SamplerError> {
    let failed = |reason: String| SamplerError::Values { component: component.to_owned(), reason };
    let data = values.try_into_data().map_err(|e| failed(e.to_string()))?;
    data.try_into_vec_as::<f64>().map_err(|e| failed(format!("{e:?}")))
}
