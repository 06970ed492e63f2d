//! Linear maps and perceptrons, over node features or over edge channels.

use burn::tensor::{Gradients, Tensor};
use equidrift_backend::weights::ParameterSet;

use crate::activation::elu;
use crate::leaf::{LayerError, Leaf, ParameterReader};

/// `y = W h + b` with `W` `[outputs, inputs]`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Leaf,
    bias: Leaf,
}

impl Linear {
    /// Reads `{name}.weight` `[outputs, inputs]` and `{name}.bias` `[outputs]`.
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
            weight: from.leaf(&format!("{name}.weight"), &[outputs, inputs])?,
            bias: from.leaf(&format!("{name}.bias"), &[outputs])?,
        })
    }

    /// Over the last axis: `[B, N, inputs]` to `[B, N, outputs]`.
    pub fn over_features(&self, x: Tensor<3>) -> Tensor<3> {
        x.matmul(self.weight.tensor().transpose().unsqueeze()) + self.bias.tensor().unsqueeze()
    }

    /// Over the middle axis: `[B, inputs, positions]` to `[B, outputs, positions]`.
    pub fn over_channels(&self, e: Tensor<3>) -> Tensor<3> {
        self.weight.tensor().unsqueeze().matmul(e) + self.bias.tensor().transpose().unsqueeze()
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

/// Linear maps with [`elu`] after each but the last.
#[derive(Debug, Clone)]
pub struct Mlp {
    maps: Vec<Linear>,
}

impl Mlp {
    /// Reads `{name}.linears.0` to `{name}.linears.{count-1}` with one hidden width.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn read(
        from: &ParameterReader<'_>,
        name: &str,
        count: usize,
        [inputs, hidden, outputs]: [usize; 3],
    ) -> Result<Self, LayerError> {
        let maps = (0..count).map(|map| {
            let i = if map == 0 { inputs } else { hidden };
            let o = if map + 1 == count { outputs } else { hidden };
            Linear::read(from, &format!("{name}.linears.{map}"), i, o)
        });
        Ok(Self { maps: maps.collect::<Result<_, _>>()? })
    }

    /// Over the last axis: `[B, N, inputs]` to `[B, N, outputs]`.
    pub fn over_features(&self, x: Tensor<3>) -> Tensor<3> {
        self.forward(x, Linear::over_features)
    }

    /// Over the channels of edges: `[B, inputs, N, N]` to `[B, outputs, N, N]`.
    pub fn over_channels(&self, edges: Tensor<4>) -> Tensor<4> {
        let [b, channels, n, _] = edges.dims();
        let out = self.forward(edges.reshape([b, channels, n * n]), Linear::over_channels);
        let [_, channels, _] = out.dims();
        out.reshape([b, channels, n, n])
    }

    fn forward(&self, mut h: Tensor<3>, map: impl Fn(&Linear, Tensor<3>) -> Tensor<3>) -> Tensor<3> {
        for (index, linear) in self.maps.iter().enumerate() {
            h = map(linear, if index == 0 { h } else { elu(h) });
        }
        h
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
        self.maps.iter().try_for_each(|map| map.collect_gradient(gradients, into))
    }
}
