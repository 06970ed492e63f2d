//! The graph transformer layer of Pard: attention whose scores and values come from pairs, and which updates the pairs.
//!
//! Zhao, Ding & Akoglu, "Pard", NeurIPS 2024, section 3.4, in the form of the released programme. With `[q, k]` and
//! `[Eq, Ek]` linear in the normalised nodes and pairs, P the pair mask and M the attention mask ([`BlockMask`]):
//!
//! ```text
//! S_ij = q_i + k_j,   Z = P SiLU(Ek + SiLU(S) Eq + S),   E <- R(E) + P W_e Z
//! att_ij = softmax over j in M of (W_a Z_ij),            X_i <- R(X) + W_o sum_j att_ij (V_j + W_v Z_ij)
//! X <- R(X) + MLP(norm(X))
//! ```
//!
//! `sum_j att_ij W_v Z_ij` is computed as `W_v sum_j att_ij Z_ij`, so that no tensor of hidden width per pair exists.

use burn::tensor::Tensor;

use crate::activation::silu;
use crate::block_mask::BlockMask;
use crate::leaf::LayerError;
use crate::masked_norm::{MaskedNorm, NormKind, Phase, Residual};
use crate::mlp::Linear;
use crate::parameter_tracker::ParameterTracker;
use crate::silu_mlp::SiluMlp;

/// Sizes and choices of the layers of a higher-order transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HigherOrderShape {
    /// Width of the nodes, a multiple of `heads`.
    pub hidden: usize,
    /// Width of the pairs.
    pub edge: usize,
    /// Attention heads.
    pub heads: usize,
    /// The normalisation.
    pub norm: NormKind,
    /// What branches are added to.
    pub residual: Residual,
}

/// One layer.
#[derive(Debug, Clone)]
pub struct GraphTransformer {
    shape: HigherOrderShape,
    node_norm1: MaskedNorm,
    node_norm2: MaskedNorm,
    edge_norm: MaskedNorm,
    qk_node: Linear,
    qk_edge: Linear,
    o_edge: Linear,
    att_linear: Linear,
    v_node: Linear,
    v_edge: Linear,
    o_node: Linear,
    mlp: SiluMlp,
}

impl GraphTransformer {
    /// Reads the layer's parameters under `name`.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn read(
        from: &ParameterTracker<'_>,
        name: &str,
        shape: HigherOrderShape,
    ) -> Result<Self, LayerError> {
        let HigherOrderShape { hidden, edge, heads, norm, .. } = shape;
        let of = |part: &str| format!("{name}.{part}");
        Ok(Self {
            shape,
            node_norm1: MaskedNorm::read(from, &of("node_norm1"), hidden, norm)?,
            node_norm2: MaskedNorm::read(from, &of("node_norm2"), hidden, norm)?,
            edge_norm: MaskedNorm::read(from, &of("edge_norm"), edge, norm)?,
            qk_node: from.linear(&of("qk_node"), hidden, 2 * edge)?,
            qk_edge: from.linear(&of("qk_edge"), edge, 2 * edge)?,
            o_edge: from.linear(&of("o_edge"), edge, edge)?,
            att_linear: from.linear(&of("att_linear"), edge, heads)?,
            v_node: from.linear(&of("v_node"), hidden, hidden)?,
            v_edge: from.linear(&of("v_edge"), edge, hidden)?,
            o_node: from.linear(&of("o_node"), hidden, hidden)?,
            mlp: SiluMlp::read(from, &of("mlp"), [hidden, 2 * hidden, hidden])?,
        })
    }

    /// Nodes `[B, N, hidden]` and pairs `[B, edge, N, N]` after the layer.
    pub fn forward(
        &self,
        x: Tensor<3>,
        e: Tensor<4>,
        mask: &BlockMask,
        phase: Phase<'_>,
    ) -> (Tensor<3>, Tensor<4>) {
        let HigherOrderShape { edge, residual, .. } = self.shape;
        let [b, n, _] = x.dims();
        let xn = self.node_norm1.over_features(x.clone(), mask.nodes.clone(), phase);
        let en = self.edge_norm.over_pairs(e.clone(), mask.pairs.clone(), phase);

        // The row gets the query, the column the key.
        let qk = self.qk_node.over_features(xn.clone(), None).swap_dims(1, 2);
        let q = qk.clone().narrow(1, 0, edge).reshape([b, edge, n, 1]);
        let k = qk.narrow(1, edge, edge).reshape([b, edge, 1, n]);
        let s = q + k;
        let of_pairs = self.qk_edge.over_pairs(en.clone());
        let gate = of_pairs.clone().narrow(1, 0, edge);
        let shift = of_pairs.narrow(1, edge, edge);
        let z = silu(shift + silu(s.clone()) * gate + s) * mask.pairs.clone();

        let e = residual.of(e, en) + self.o_edge.over_pairs(z.clone()) * mask.pairs.clone();
        let out = self.attend(xn.clone(), z, mask);
        let x = residual.of(x, xn) + self.o_node.over_features(out, None) * mask.nodes.clone();
        let xn = self.node_norm2.over_features(x.clone(), mask.nodes.clone(), phase);
        let x = residual.of(x, xn.clone()) + self.mlp.over_features(xn) * mask.nodes.clone();
        (x, e)
    }

    /// What every node takes from those it sees, `[B, N, hidden]`.
    fn attend(&self, xn: Tensor<3>, z: Tensor<4>, mask: &BlockMask) -> Tensor<3> {
        let HigherOrderShape { hidden, edge, heads, .. } = self.shape;
        let [b, n, _] = xn.dims();
        let width = hidden / heads;
        let attention = masked_softmax(self.att_linear.over_pairs(z.clone()), mask.attention.clone());
        // [B, N, hidden] -> [B, heads, N, width]
        let values = self.v_node.over_features(xn, None).reshape([b, n, heads, width]).swap_dims(1, 2);
        let from_nodes = attention.clone().matmul(values);
        // sum_j att_ij Z_ij: [B, N, heads, N] x [B, N, N, edge] -> [B, heads, N, edge]
        let pooled = attention.clone().swap_dims(1, 2).matmul(z.permute([0, 2, 3, 1])).swap_dims(1, 2);
        let weight = self.v_edge.weight().reshape([1, heads, width, edge]).swap_dims(2, 3);
        // A row that sees nobody takes nothing, not even the bias.
        let bias = self.v_edge.bias().reshape([1, heads, 1, width]) * attention.sum_dim(3);
        let out = from_nodes + pooled.matmul(weight) + bias;
        out.swap_dims(1, 2).reshape([b, n, hidden])
    }
}

/// Softmax over the last axis of `[B, H, N, N]` where the mask `[B, 1, N, N]` is 1; rows without any become 0.
fn masked_softmax(scores: Tensor<4>, mask: Tensor<4>) -> Tensor<4> {
    // Far below every score, but finite: infinities would make gradients that are not numbers.
    let hidden = mask.clone().sub_scalar(1.0).mul_scalar(1e30);
    let scores = scores * mask.clone() + hidden;
    let highest = scores.clone().detach().max_dim(3);
    let shares = (scores - highest).exp() * mask.clone();
    let empty = mask.max_dim(3).neg().add_scalar(1.0);
    shares.clone() / (shares.sum_dim(3) + empty)
}
