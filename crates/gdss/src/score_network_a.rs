//! The adjacency score network.

use burn::tensor::{Gradients, Tensor};
use equidrift_backend::weights::ParameterSet;
use equidrift_nn::{
    AttentionLayer, GraphMask, LayerError, Mlp, ParameterReader, TimeFeatures, Wanted, adjacency_powers,
};

use crate::network_config::ScoreNetworkAConfig;

/// `a_0 = [A, A^2, ...]`, `(h_k, a_k) = attention_k(h_{k-1}, a_{k-1})` with `h_0 = x`, and at every pair of different real
/// nodes `out = MLP([a_0, ..., a_L])`.
///
/// The output is symmetric because every channel is. The same weights serve any number of nodes, and the output at real
/// nodes does not depend on the padding.
#[derive(Debug, Clone)]
pub struct ScoreNetworkA {
    layers: Vec<AttentionLayer>,
    last: Mlp,
    powers: usize,
}

impl ScoreNetworkA {
    /// Reads `{name}.layers.{k}` and `{name}.final`.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn read(
        from: &ParameterReader<'_>,
        name: &str,
        size: &ScoreNetworkAConfig,
    ) -> Result<Self, LayerError> {
        let layers = size.layers();
        let layers = layers.iter().enumerate().map(|(index, layer)| {
            // The node features of the last layer are not used, so neither are its values.
            let wanted = if index + 1 == layers.len() { Wanted::Edges } else { Wanted::Both };
            AttentionLayer::read(from, &format!("{name}.layers.{index}"), layer.shape(), wanted)
        });
        let layers = layers.collect::<Result<_, _>>()?;
        let channels = size.concatenated();
        let last =
            Mlp::read(from, &format!("{name}.final"), 3, [channels, 2 * channels, 1], size.time_features)?;
        Ok(Self { layers, last, powers: size.c_init })
    }

    /// Node features `[B, N, F]` and adjacency `[B, N, N]` to `[B, N, N]`, zero on the diagonal and at padding.
    pub fn forward(
        &self,
        x: Tensor<3>,
        adjacency: Tensor<3>,
        mask: &GraphMask,
        time: Option<&TimeFeatures>,
    ) -> Tensor<3> {
        let mut nodes = Some(x);
        let mut edges = vec![adjacency_powers(adjacency, self.powers)];
        for layer in &self.layers {
            let Some(features) = nodes.take() else { break };
            let out = layer.forward(features, edges[edges.len() - 1].clone(), mask, time);
            edges.extend(out.edges);
            nodes = out.nodes;
        }
        mask.links(self.last.over_channels(Tensor::cat(edges, 1), time)).squeeze_dim(1)
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
