//! Who sees whom where a graph is generated block by block.

use burn::tensor::{DType, Device, Tensor, TensorData};

/// Padding's block.
pub const PADDING: i32 = -1;

/// Whether an edge-to-node mean takes all pairs or the causal ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PairMean {
    /// Those that a node sees.
    Causal,
    /// All pairs of the graph.
    All,
}

/// Masks of 0 and 1 for ordered pairs (i, j) of a padded batch.
///
/// A node i *sees* j, `M_ij`, if both are in the same block and the same half (real nodes, or virtual copies that stand
/// for the block being generated), or if j is real and of an earlier block. Pairs are kept where one end sees the
/// other, `P = M or M^T`.
#[derive(Debug, Clone)]
pub struct BlockMask {
    /// Nodes that are no padding, `[B, N, 1]`.
    pub nodes: Tensor<3>,
    /// P, `[B, 1, N, N]`.
    pub pairs: Tensor<4>,
    /// What attention looks at, `[B, 1, N, N]`.
    pub attention: Tensor<4>,
    /// M, where the product over third nodes is restricted to those that either end sees; none for the plain product.
    pub product: Option<Tensor<4>>,
    /// What edge-to-node means look at, `[B, 1, N, N]`.
    pub mean: Tensor<4>,
}

/// Whether node i sees node j, each given as (block, virtual); see [`BlockMask`].
#[must_use]
pub fn sees(i: (i32, bool), j: (i32, bool)) -> bool {
    i.0 != PADDING && j.0 != PADDING && (i == j || (i.0 > j.0 && !j.1))
}

/// M `[B, N, N]` on the host, from blocks ([`PADDING`] for none) and flags of virtual nodes `[B, N]`.
#[must_use]
pub fn causal(blocks: &[i32], virtual_nodes: &[bool], nodes: usize) -> Vec<bool> {
    let graphs = blocks.chunks_exact(nodes.max(1)).zip(virtual_nodes.chunks_exact(nodes.max(1)));
    let mut mask = Vec::with_capacity(blocks.len() * nodes);
    for (blocks, flags) in graphs {
        let node = |i: usize| (blocks[i], flags[i]);
        mask.extend((0..nodes * nodes).map(|pair| sees(node(pair / nodes), node(pair % nodes))));
    }
    mask
}

impl BlockMask {
    /// Causal masks for all parts of a network.
    #[must_use]
    pub fn causal(
        blocks: &[i32],
        virtual_nodes: &[bool],
        [batch, nodes]: [usize; 2],
        device: &Device,
        dtype: DType,
    ) -> Self {
        let masks = Masks::new(blocks, virtual_nodes, [batch, nodes], device, dtype);
        Self {
            nodes: masks.nodes,
            pairs: masks.pairs,
            attention: masks.causal.clone(),
            // With M = P the restricted product is the plain one of factors that P has masked.
            product: if masks.mutual { None } else { Some(masks.causal.clone()) },
            mean: masks.causal,
        }
    }

    /// For graphs that are prefixes, each in a row of its own: all nodes of a graph see one another. `mean` alone may be
    /// causal, as in the published training step.
    #[must_use]
    pub fn prefixes(
        blocks: &[i32],
        [batch, nodes]: [usize; 2],
        mean: PairMean,
        device: &Device,
        dtype: DType,
    ) -> Self {
        let masks = Masks::new(blocks, &vec![false; blocks.len()], [batch, nodes], device, dtype);
        Self {
            nodes: masks.nodes,
            attention: masks.pairs.clone(),
            product: None,
            mean: match mean {
                PairMean::Causal => masks.causal,
                PairMean::All => masks.pairs.clone(),
            },
            pairs: masks.pairs,
        }
    }
}

struct Masks {
    nodes: Tensor<3>,
    pairs: Tensor<4>,
    causal: Tensor<4>,
    /// Whether every node is seen by those it sees, as in graphs of one block.
    mutual: bool,
}

impl Masks {
    fn new(
        blocks: &[i32],
        virtual_nodes: &[bool],
        [batch, nodes]: [usize; 2],
        device: &Device,
        dtype: DType,
    ) -> Self {
        let to = |mask: Vec<f32>| TensorData::new(mask, [batch * nodes]).convert_dtype(dtype);
        let real = blocks.iter().map(|&block| f32::from(u8::from(block != PADDING))).collect();
        let node_mask: Tensor<1> = Tensor::from_data(to(real), (device, dtype));
        let sees = causal(blocks, virtual_nodes, nodes);
        let either = |pair: usize| {
            let (graph, i, j) = (pair / (nodes * nodes), pair / nodes % nodes, pair % nodes);
            sees[pair] || sees[(graph * nodes + j) * nodes + i]
        };
        let pairs = |of: &dyn Fn(usize) -> bool| -> Tensor<4> {
            let mask: Vec<f32> = (0..sees.len()).map(|pair| f32::from(u8::from(of(pair)))).collect();
            let data = TensorData::new(mask, [batch, 1, nodes, nodes]).convert_dtype(dtype);
            Tensor::from_data(data, (device, dtype))
        };
        Self {
            nodes: node_mask.reshape([batch, nodes, 1]),
            pairs: pairs(&either),
            causal: pairs(&|pair| sees[pair]),
            mutual: (0..sees.len()).all(|pair| sees[pair] == either(pair)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_see_their_block_and_what_came_before() {
        // Blocks 0, 1; copies of both; padding.
        let (blocks, copies) = ([0, 1, 0, 1, -1], [false, false, true, true, false]);
        let expected = [
            [1, 0, 0, 0, 0], // a real node of the first block sees its block
            [1, 1, 0, 0, 0],
            [0, 0, 1, 0, 0], // a copy does not see the node that it stands for
            [1, 0, 0, 1, 0],
            [0, 0, 0, 0, 0],
        ];
        let found = causal(&blocks, &copies, 5);
        assert_eq!(found, expected.as_flattened().iter().map(|&sees| sees == 1).collect::<Vec<_>>());
    }
}
