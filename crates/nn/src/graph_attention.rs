//! Graph multi-head attention over several edge channels.
//!
//! Baek, Kang, Hwang, "Accurate Learning of Graph Representations with Graph Multiset Pooling", ICLR 2021, in the form
//! used for scores: tanh instead of softmax, and the attention updates edges only.

use burn::tensor::{Gradients, Tensor};
use equidrift_backend::weights::ParameterSet;

use crate::activation::tanh;
use crate::gcn::NormalisedAdjacency;
use crate::leaf::{LayerError, Leaf, ParameterReader};
use crate::mask::GraphMask;
use crate::mlp::Mlp;
use crate::time_features::TimeFeatures;

/// Sizes of an attention layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionShape {
    /// Width of the node features that come in.
    pub node_in: usize,
    /// Width of queries and keys, a multiple of `heads`.
    pub attention: usize,
    /// Width of values and of the node features that go out.
    pub node_out: usize,
    /// Edge channels that come in.
    pub channels_in: usize,
    /// Edge channels that go out.
    pub channels_out: usize,
    /// Width of the hidden layers of both perceptrons.
    pub hidden: usize,
    /// Linear maps in the edge perceptron.
    pub edge_maps: usize,
    /// Attention heads.
    pub heads: usize,
    /// Features of the time that both perceptrons take beside their inputs; 0 for none.
    pub time: usize,
}

/// Which outputs of a layer are used. What is not wanted is neither computed nor read, and has no gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Node features and edge channels.
    Both,
    /// Node features only (queries, keys and the edge perceptron have no influence).
    Nodes,
    /// Edge channels only (values and the node perceptron have no influence).
    Edges,
}

impl Wanted {
    fn nodes(self) -> bool {
        self != Self::Edges
    }

    fn edges(self) -> bool {
        self != Self::Nodes
    }
}

/// The attention units of a layer, one per input channel, all computed together: one normalisation of each channel serves
/// queries, keys and values, and one matrix product projects all of them for all channels.
#[derive(Debug, Clone)]
pub struct AttentionUnits {
    weight: Leaf,
    bias: Leaf,
    shape: AttentionShape,
    wanted: Wanted,
}

/// What the units of a layer return.
#[derive(Debug, Clone)]
pub struct UnitOutputs {
    /// Queries and keys `[B, C, N, attention]`, where edges are wanted.
    pub queries_keys: Option<(Tensor<4>, Tensor<4>)>,
    /// Values `[B, C, N, node_out]`, where nodes are wanted.
    pub values: Option<Tensor<4>>,
    /// Symmetric attention `[B, C, N, N]` in [-1, 1], where edges are wanted. Not masked.
    pub attention: Option<Tensor<4>>,
}

impl AttentionUnits {
    /// Reads `{name}.attn.{channel}.gnn_{q,k,v}.{weight,bias}`.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn read(
        from: &ParameterReader<'_>,
        name: &str,
        shape: AttentionShape,
        wanted: Wanted,
    ) -> Result<Self, LayerError> {
        let mut kinds = Vec::with_capacity(3);
        if wanted.edges() {
            kinds.extend([("gnn_q", shape.attention), ("gnn_k", shape.attention)]);
        }
        if wanted.nodes() {
            kinds.push(("gnn_v", shape.node_out));
        }
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for channel in 0..shape.channels_in {
            for (kind, width) in &kinds {
                let unit = format!("{name}.attn.{channel}.{kind}");
                weights.push((format!("{unit}.weight"), vec![shape.node_in, *width]));
                biases.push((format!("{unit}.bias"), vec![*width]));
            }
        }
        Ok(Self { weight: from.packed(&weights)?, bias: from.packed(&biases)?, shape, wanted })
    }

    /// Node features `[B, N, node_in]` and edge channels `[B, C, N, N]`.
    pub fn forward(&self, x: Tensor<3>, edges: Tensor<4>) -> UnitOutputs {
        let AttentionShape { attention, node_out, channels_in: c, .. } = self.shape;
        let [b, n, _] = x.dims();
        let weight = self.weight.tensor();
        let width = weight.dims()[1] / c;
        let bias = self.bias.tensor().reshape([1, c, 1, width]);
        let projected = x.matmul(weight.unsqueeze()).reshape([b, n, c, width]).swap_dims(1, 2);
        let convolved = NormalisedAdjacency::new(edges).matrices().matmul(projected) + bias;

        let values_at = if self.wanted.edges() { 2 * attention } else { 0 };
        let values = self.wanted.nodes().then(|| convolved.clone().narrow(3, values_at, node_out));
        if !self.wanted.edges() {
            return UnitOutputs { queries_keys: None, values, attention: None };
        }
        let queries = convolved.clone().narrow(3, 0, attention);
        let keys = convolved.narrow(3, attention, attention);
        let attention = self.attention(queries.clone(), keys.clone());
        UnitOutputs { queries_keys: Some((queries, keys)), values, attention: Some(attention) }
    }

    /// Mean over heads of `tanh(Q_h K_h^T / sqrt(node_out))`, made symmetric. The divisor is the width of the *values*.
    fn attention(&self, queries: Tensor<4>, keys: Tensor<4>) -> Tensor<4> {
        let AttentionShape { attention, node_out, heads, .. } = self.shape;
        let [b, c, n, _] = queries.dims();
        let cut = |features: Tensor<4>| features.reshape([b, c, n, heads, attention / heads]).swap_dims(2, 3);
        let queries = cut(queries.mul_scalar(1.0 / (node_out as f64).sqrt()));
        let per_head: Tensor<5> = tanh(queries.matmul(cut(keys).swap_dims(3, 4)));
        let summed: Tensor<4> = per_head.sum_dim(2).squeeze_dim(2);
        (summed.clone() + summed.swap_dims(2, 3)).mul_scalar(0.5 / heads as f64)
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

/// Attention units and the two perceptrons that combine them:
/// nodes `x' = tanh(mask(MLP([V_1..V_C])))`, edges `e = mask(s + s^T)` with `s = MLP([A_1..A_C, a_1..a_C])` at every pair.
#[derive(Debug, Clone)]
pub struct AttentionLayer {
    units: AttentionUnits,
    nodes: Option<Mlp>,
    edges: Option<Mlp>,
}

/// What a layer returns; `None` where it was not wanted.
#[derive(Debug, Clone)]
pub struct AttentionOutputs {
    /// Node features `[B, N, node_out]`, masked.
    pub nodes: Option<Tensor<3>>,
    /// Edge channels `[B, channels_out, N, N]`, symmetric and masked; the diagonal is kept.
    pub edges: Option<Tensor<4>>,
}

impl AttentionLayer {
    /// Reads the units, `{name}.multi_channel` and `{name}.mlp`.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn read(
        from: &ParameterReader<'_>,
        name: &str,
        shape: AttentionShape,
        wanted: Wanted,
    ) -> Result<Self, LayerError> {
        let units = AttentionUnits::read(from, name, shape, wanted)?;
        let AttentionShape { node_out, channels_in, channels_out, hidden, edge_maps, time, .. } = shape;
        let nodes = wanted.nodes().then(|| {
            let widths = [channels_in * node_out, hidden, node_out];
            Mlp::read(from, &format!("{name}.multi_channel"), 2, widths, time)
        });
        let edges = wanted.edges().then(|| {
            Mlp::read(from, &format!("{name}.mlp"), edge_maps, [2 * channels_in, hidden, channels_out], time)
        });
        Ok(Self { units, nodes: nodes.transpose()?, edges: edges.transpose()? })
    }

    /// The units alone, for inspection.
    pub fn units(&self) -> &AttentionUnits {
        &self.units
    }

    /// Node features `[B, N, node_in]` and edge channels `[B, channels_in, N, N]`.
    pub fn forward(
        &self,
        x: Tensor<3>,
        edges: Tensor<4>,
        mask: &GraphMask,
        time: Option<&TimeFeatures>,
    ) -> AttentionOutputs {
        let [b, n, _] = x.dims();
        let units = self.units.forward(x, edges.clone());
        let nodes = self.nodes.as_ref().zip(units.values).map(|(mlp, values)| {
            let [_, c, _, width] = values.dims();
            let joined = values.swap_dims(1, 2).reshape([b, n, c * width]);
            tanh(mask.nodes(mlp.over_features(joined, time)))
        });
        let edges = self.edges.as_ref().zip(units.attention).map(|(mlp, attention)| {
            let one_way = mlp.over_channels(Tensor::cat(vec![attention, edges], 1), time);
            mask.edges(one_way.clone() + one_way.swap_dims(2, 3))
        });
        AttentionOutputs { nodes, edges }
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
        self.units.collect_gradient(gradients, into)?;
        self.nodes.iter().chain(&self.edges).try_for_each(|mlp| mlp.collect_gradient(gradients, into))
    }
}
