//! Graph convolution on a dense adjacency.
//!
//! Kipf and Welling, "Semi-Supervised Classification with Graph Convolutional Networks", ICLR 2017, with the degree
//! clamped from below because a noisy adjacency has negative entries.

use burn::tensor::{Gradients, Tensor};
use equidrift_backend::weights::ParameterSet;

use crate::leaf::{LayerError, Leaf, ParameterReader};
use crate::mask::identity;

/// `D^(-1/2) A' D^(-1/2)` with `A'` the adjacency with ones on its diagonal and `D = max(1, row sum of A')`, per channel
/// `[B, C, N, N]`. Computed once and shared by every convolution over the same adjacency.
#[derive(Debug, Clone)]
pub struct NormalisedAdjacency(Tensor<4>);

impl NormalisedAdjacency {
    /// Normalises each channel `[B, C, N, N]`. The diagonal is overwritten by 1, at padded nodes too.
    pub fn new(adjacency: Tensor<4>) -> Self {
        let [_, _, n, _] = adjacency.dims();
        let one = identity(n, &adjacency);
        let with_loops = adjacency * one.clone().neg().add_scalar(1.0) + one;
        let scale = with_loops.clone().sum_dim(3).clamp_min(1.0).sqrt().recip();
        Self(with_loops * scale.clone() * scale.swap_dims(2, 3))
    }

    /// The matrices `[B, C, N, N]`.
    pub fn matrices(&self) -> Tensor<4> {
        self.0.clone()
    }
}

/// `y = A~ x W + b` with a [normalised adjacency](NormalisedAdjacency) of one channel. The bias reaches padded nodes too;
/// there is no mask and no activation.
#[derive(Debug, Clone)]
pub struct DenseGcn {
    weight: Leaf,
    bias: Leaf,
}

impl DenseGcn {
    /// Reads `{name}.weight` `[inputs, outputs]` and `{name}.bias` `[outputs]`.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn read(
        from: &ParameterReader<'_>,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, LayerError> {
        Ok(Self {
            weight: from.leaf(&format!("{name}.weight"), &[inputs, outputs])?,
            bias: from.leaf(&format!("{name}.bias"), &[outputs])?,
        })
    }

    /// `[B, N, inputs]` to `[B, N, outputs]`; the adjacency has one channel.
    pub fn forward(&self, x: Tensor<3>, adjacency: &NormalisedAdjacency) -> Tensor<3> {
        let projected = x.matmul(self.weight.tensor().unsqueeze());
        adjacency.matrices().squeeze_dim::<3>(1).matmul(projected) + self.bias.tensor().unsqueeze()
    }

    /// See [`Leaf::collect_gradient`].
    ///
    /// # Errors
    /// [`LayerError::Device`].
    pub fn collect_gradient(
        &self,
        gradients: &mut Gradients,
        into: &mut ParameterSet,
    ) -> Result<(), LayerError> {
        self.weight.collect_gradient(gradients, into)?;
        self.bias.collect_gradient(gradients, into)
    }
}
