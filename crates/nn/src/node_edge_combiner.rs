//! Exchange between the node and the pair stream of Pard: a gated sum onto pairs, and means back onto nodes.

use burn::tensor::Tensor;

use crate::activation::silu;
use crate::block_mask::BlockMask;
use crate::leaf::LayerError;
use crate::mask::identity;
use crate::mlp::Linear;
use crate::parameter_tracker::ParameterTracker;

/// `SiLU(n + g + SiLU(W_1 n) SiLU(W_2 g))` with `n_ij = u_j + v_i` linear in the nodes and g linear in the pairs.
#[derive(Debug, Clone)]
pub struct NodeEdgeCombiner {
    node_layer1: Linear,
    edge_layer1: Linear,
    fuse_layer1: Linear,
    fuse_layer2: Linear,
}

impl NodeEdgeCombiner {
    /// Reads `{name}.{node_layer1,edge_layer1,fuse_layer1,fuse_layer2}` for nodes and pairs of these widths.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn read(
        from: &ParameterTracker<'_>,
        name: &str,
        [nodes, pairs, outputs]: [usize; 3],
    ) -> Result<Self, LayerError> {
        let of = |part: &str| format!("{name}.{part}");
        Ok(Self {
            node_layer1: from.linear(&of("node_layer1"), nodes, 2 * outputs)?,
            edge_layer1: from.linear(&of("edge_layer1"), pairs, outputs)?,
            fuse_layer1: from.linear(&of("fuse_layer1"), outputs, outputs)?,
            fuse_layer2: from.linear(&of("fuse_layer2"), outputs, outputs)?,
        })
    }

    /// Nodes `[B, N, F]` and pairs `[B, C, N, N]` to pairs `[B, outputs, N, N]`.
    pub fn forward(&self, h: Tensor<3>, e: Tensor<4>) -> Tensor<4> {
        let [b, n, _] = h.dims();
        let of_nodes = self.node_layer1.over_features(h, None).swap_dims(1, 2);
        let outputs = of_nodes.dims()[1] / 2;
        // The first half goes to the column, the second to the row. W_1 is linear: it acts before the sum, on N columns and N rows
        // instead of N^2 pairs.
        let column = of_nodes.clone().narrow(1, 0, outputs);
        let row = of_nodes.narrow(1, outputs, outputs);
        let weight = self.fuse_layer1.weight().unsqueeze::<3>();
        let fused_column = self.fuse_layer1.over_channels(column.clone(), None);
        let fused_row = weight.matmul(row.clone());
        let onto_pairs = |column: Tensor<3>, row: Tensor<3>| {
            column.reshape([b, outputs, 1, n]) + row.reshape([b, outputs, n, 1])
        };
        let g = self.edge_layer1.over_pairs(e);
        let fused = silu(onto_pairs(fused_column, fused_row)) * silu(self.fuse_layer2.over_pairs(g.clone()));
        silu(onto_pairs(column, row) + g + fused)
    }
}

/// What nodes take from pairs `[B, C, N, N]`: the diagonal, then the mean over the seen of the pair and its reverse,
/// `[B, N, 2 C]`; zero on padding.
pub fn edge_to_node(e: Tensor<4>, mask: &BlockMask) -> Tensor<3> {
    let [b, c, n, _] = e.dims();
    let onto_nodes = |e: Tensor<4>| e.sum_dim(3).reshape([b, c, n]);
    let count = onto_nodes_of_mask(&mask.mean).add_scalar(1e-10);
    let diagonal = onto_nodes(e.clone() * identity(n, &e));
    let both = e.clone() + e.swap_dims(2, 3);
    let mean = onto_nodes(both * mask.mean.clone()).mul_scalar(0.5) / count;
    Tensor::cat(vec![diagonal, mean], 1).swap_dims(1, 2) * mask.nodes.clone()
}

fn onto_nodes_of_mask(mask: &Tensor<4>) -> Tensor<3> {
    let [b, _, n, _] = mask.dims();
    mask.clone().sum_dim(3).reshape([b, 1, n])
}
