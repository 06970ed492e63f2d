//! The node-feature score network with graph multi-head attention.

use burn::tensor::{Gradients, Tensor};
use equidrift_backend::weights::ParameterSet;
use equidrift_nn::{
    AttentionLayer, GraphMask, LayerError, Mlp, ParameterReader, TimeFeatures, Wanted, adjacency_powers, tanh,
};

use crate::network_config::ScoreNetworkXGmhConfig;

/// `h_0 = x`, `a_0 = [A, A^2, ...]`, `(h', a_k) = attention_k(h_{k-1}, a_{k-1})`, `h_k = tanh(h')` (the layer ends in a
/// tanh already; the second is part of the trained model), `out = mask(MLP([h_0, ..., h_depth]))`.
#[derive(Debug, Clone)]
pub struct ScoreNetworkXGmh {
    layers: Vec<AttentionLayer>,
    last: Mlp,
    powers: usize,
}

impl ScoreNetworkXGmh {
    /// Reads `{name}.layers.{k}` and `{name}.final`.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn read(
        from: &ParameterReader<'_>,
        name: &str,
        size: &ScoreNetworkXGmhConfig,
    ) -> Result<Self, LayerError> {
        let layers = size.layers();
        let layers = layers.iter().enumerate().map(|(index, layer)| {
            // The edge channels of the last layer are not used, so neither are its queries and keys.
            let wanted = if index + 1 == layers.len() { Wanted::Nodes } else { Wanted::Both };
            AttentionLayer::read(from, &format!("{name}.layers.{index}"), layer.shape(), wanted)
        });
        let layers = layers.collect::<Result<_, _>>()?;
        let width = size.concatenated();
        let widths = [width, 2 * width, size.max_feat_num];
        let last = Mlp::read(from, &format!("{name}.final"), 3, widths, size.time_features)?;
        Ok(Self { layers, last, powers: size.c_init })
    }

    /// Node features `[B, N, F]` and adjacency `[B, N, N]` to `[B, N, F]`, zero at padding.
    pub fn forward(
        &self,
        x: Tensor<3>,
        adjacency: Tensor<3>,
        mask: &GraphMask,
        time: Option<&TimeFeatures>,
    ) -> Tensor<3> {
        let mut edges = Some(adjacency_powers(adjacency, self.powers));
        let mut nodes = vec![x];
        for layer in &self.layers {
            let Some(channels) = edges.take() else { break };
            let out = layer.forward(nodes[nodes.len() - 1].clone(), channels, mask, time);
            nodes.extend(out.nodes.map(tanh));
            edges = out.edges;
        }
        mask.nodes(self.last.over_features(Tensor::cat(nodes, 2), time))
    }

    /// Adds the gradients of all parameters that influence the output to `into`.
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
