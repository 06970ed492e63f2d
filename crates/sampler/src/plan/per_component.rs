//! Options that may differ between components.

use serde::{Deserialize, Serialize};

use crate::error::SamplerError;

/// One number for all components, or one number per component; in files `0.2` or `[0.2, 0.05]`.
///
/// Node features and adjacency matrices, for instance, often want different step sizes of a corrector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number, or a list with one number per component")]
pub enum PerComponent {
    /// The same number for all.
    All(f64),
    /// One number per component, in the order of the paths.
    Each(Vec<f64>),
}

impl From<f64> for PerComponent {
    fn from(value: f64) -> Self {
        Self::All(value)
    }
}

impl From<Vec<f64>> for PerComponent {
    fn from(values: Vec<f64>) -> Self {
        Self::Each(values)
    }
}

impl PerComponent {
    /// The numbers given: one, or one per component.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        match self {
            Self::All(value) => std::slice::from_ref(value),
            Self::Each(values) => values,
        }
    }

    /// One number per component.
    ///
    /// # Errors
    /// If a number is negative or not finite, or a list has another length than `components`.
    pub fn resolve(
        &self,
        planner: &'static str,
        option: &'static str,
        components: usize,
    ) -> Result<Vec<f64>, SamplerError> {
        if let Some(&value) = self.values().iter().find(|value| !(value.is_finite() && **value >= 0.0)) {
            let expected = "a finite number, 0 or above";
            return Err(SamplerError::Option { planner, option, value, expected });
        }
        match self {
            Self::All(value) => Ok(vec![*value; components]),
            Self::Each(values) if values.len() == components => Ok(values.clone()),
            Self::Each(values) => {
                Err(SamplerError::Option { planner, option, value: values.len() as f64, expected: LENGTH })
            }
        }
    }
}

const LENGTH: &str = "a list must hold one number per component (the value shown is its length)";
