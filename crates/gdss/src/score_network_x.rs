//! The convolutional node-feature score network.

use burn::tensor::{Gradients, Tensor};
use equidrift_backend::weights::ParameterSet;
use equidrift_nn::{
    DenseGcn, GraphMask, LayerError, Mlp, NormalisedAdjacency, ParameterReader, TimeFeatures, tanh,
};

use crate::network_config::ScoreNetworkXConfig;

/// `h_0 = x`, `h_k = tanh(GCN_k(h_{k-1}, A))`, `out = mask(MLP([h_0, ..., h_depth]))`.
///
/// Cost per graph: `depth` convolutions (N F' (F + N)) and a perceptron of width `2 (F + depth nhid)` at every node.
#[derive(Debug, Clone)]
pub struct ScoreNetworkX {
    layers: Vec<DenseGcn>,
    last: Mlp,
}

impl ScoreNetworkX {
    /// Reads `{name}.layers.{k}` and `{name}.final`.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn read(
        from: &ParameterReader<'_>,
        name: &str,
        size: &ScoreNetworkXConfig,
    ) -> Result<Self, LayerError> {
        let layers = (0..size.depth).map(|layer| {
            let inputs = if layer == 0 { size.max_feat_num } else { size.nhid };
            DenseGcn::read(from, &format!("{name}.layers.{layer}"), inputs, size.nhid)
        });
        let layers = layers.collect::<Result<_, _>>()?;
        let width = size.concatenated();
        let widths = [width, 2 * width, size.max_feat_num];
        let last = Mlp::read(from, &format!("{name}.final"), 3, widths, size.time_features)?;
        Ok(Self { layers, last })
    }

    /// Node features `[B, N, F]` and adjacency `[B, N, N]` to `[B, N, F]`, zero at padding.
    pub fn forward(
        &self,
        x: Tensor<3>,
        adjacency: Tensor<3>,
        mask: &GraphMask,
        time: Option<&TimeFeatures>,
    ) -> Tensor<3> {
        let hidden = self.layer_outputs(x.clone(), adjacency).into_iter().map(tanh);
        let joined = Tensor::cat(std::iter::once(x).chain(hidden).collect(), 2);
        mask.nodes(self.last.over_features(joined, time))
    }

    /// What each convolution returns, before its tanh: `depth` tensors `[B, N, nhid]`.
    pub fn layer_outputs(&self, x: Tensor<3>, adjacency: Tensor<3>) -> Vec<Tensor<3>> {
        // One normalisation serves every layer.
        let adjacency = NormalisedAdjacency::new(adjacency.unsqueeze_dim(1));
        let mut outputs: Vec<Tensor<3>> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let h = outputs.last().map_or_else(|| x.clone(), |before| tanh(before.clone()));
            outputs.push(layer.forward(h, &adjacency));
        }
        outputs
    }

    /// Adds the gradients of all parameters to `into`.
    ///
    /// # Errors
    /// [`LayerError::Device`].
    pub fn collect_gradient(
        &self,
        gradients: &mut Gradients,
        into: &mut ParameterSet,
    ) -> Result<(), LayerError> {
        self.layers.iter().try_for_each(|layer| layer.collect_gradient(gradients, into))?;
        self.last.collect_gradient(gradients, into)
    }
}
