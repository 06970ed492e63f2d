//! The two-layer perceptron of Pard: a linear map, SiLU, a linear map.

use burn::tensor::Tensor;

use crate::activation::silu;
use crate::leaf::LayerError;
use crate::mlp::Linear;
use crate::parameter_tracker::ParameterTracker;

/// `W_2 SiLU(W_1 h + b_1) + b_2`.
#[derive(Debug, Clone)]
pub struct SiluMlp {
    first: Linear,
    second: Linear,
}

impl SiluMlp {
    /// Reads `{name}.linear1` and `{name}.linear2`.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn read(from: &ParameterTracker<'_>, name: &str, widths: [usize; 3]) -> Result<Self, LayerError> {
        Self::read_named(from, [&format!("{name}.linear1"), &format!("{name}.linear2")], widths)
    }

    /// Reads two linear maps of these names; `widths` are those of inputs, hidden units and outputs.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn read_named(
        from: &ParameterTracker<'_>,
        [first, second]: [&str; 2],
        [inputs, hidden, outputs]: [usize; 3],
    ) -> Result<Self, LayerError> {
        let first = from.linear(first, inputs, hidden)?;
        Ok(Self { first, second: from.linear(second, hidden, outputs)? })
    }

    /// Over the last axis: `[B, N, inputs]` to `[B, N, outputs]`.
    pub fn over_features(&self, x: Tensor<3>) -> Tensor<3> {
        self.second.over_features(silu(self.first.over_features(x, None)), None)
    }

    /// Over the channels of pairs: `[B, inputs, N, N]` to `[B, outputs, N, N]`.
    pub fn over_pairs(&self, e: Tensor<4>) -> Tensor<4> {
        self.second.over_pairs(silu(self.first.over_pairs(e)))
    }

    /// Of pairs and reversed pairs, see [`Linear::over_pairs_and_reversed`].
    pub fn over_pairs_and_reversed(&self, e: Tensor<4>) -> Tensor<4> {
        self.second.over_pairs(silu(self.first.over_pairs_and_reversed(e)))
    }
}
