//! The option of dynamic thresholding.

use serde::{Deserialize, Serialize};

use crate::error::SamplerError;

/// Dynamic thresholding of x̂₀; see [`Op::Threshold`](super::Op::Threshold).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholding {
    /// The share of a row's entries that stays below the threshold, in (0, 1]; published 0.995.
    pub ratio: f64,
    /// Data are known to lie in [−max, max]; the threshold is never smaller.
    pub max: f64,
}

impl Default for Thresholding {
    fn default() -> Self {
        Self { ratio: 0.995, max: 1.0 }
    }
}

impl Thresholding {
    pub(super) fn check(&self, planner: &'static str) -> Result<(), SamplerError> {
        if !(self.ratio > 0.0 && self.ratio <= 1.0) {
            let (option, value, expected) = ("threshold.ratio", self.ratio, "0 < ratio <= 1");
            return Err(SamplerError::Option { planner, option, value, expected });
        }
        if !(self.max.is_finite() && self.max > 0.0) {
            let (option, value, expected) = ("threshold.max", self.max, "a finite number above 0");
            return Err(SamplerError::Option { planner, option, value, expected });
        }
        Ok(())
    }
}
