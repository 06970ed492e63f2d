//! The higher-order graph transformer: layers of graph transformer and PPGN, or of one of them.
//!
//! Zhao, Ding & Akoglu, "Pard", NeurIPS 2024, section 3.4.

use burn::tensor::Tensor;

use crate::block_mask::BlockMask;
use crate::graph_transformer::{GraphTransformer, HigherOrderShape};
use crate::leaf::LayerError;
use crate::masked_norm::{MaskedNorm, Phase};
use crate::node_edge_combiner::NodeEdgeCombiner;
use crate::parameter_tracker::ParameterTracker;
use crate::ppgn::Ppgn;
use crate::silu_mlp::SiluMlp;

/// Which layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Streams {
    /// Transformer, then PPGN.
    Both,
    /// The transformer only.
    TransformerOnly,
    /// The nodes are merged into the pairs, which alone are worked on, by PPGN.
    PairsOnly,
}

/// The network between input embedding and heads.
#[derive(Debug, Clone)]
pub struct HigherOrderTransformer {
    parts: Parts,
}

#[derive(Debug, Clone)]
enum Parts {
    Nodes {
        layers: Vec<(GraphTransformer, Option<Ppgn>)>,
        node: (MaskedNorm, SiluMlp),
        edge: (MaskedNorm, SiluMlp),
    },
    Pairs {
        combiner: NodeEdgeCombiner,
        layers: Vec<Ppgn>,
        out: (MaskedNorm, SiluMlp),
    },
}

impl HigherOrderTransformer {
    /// Reads the parameters under `{name}.net` (and `{name}.node_edge_combiner`).
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn read(
        from: &ParameterTracker<'_>,
        name: &str,
        shape: HigherOrderShape,
        layers: usize,
        streams: Streams,
    ) -> Result<Self, LayerError> {
        let HigherOrderShape { hidden, edge, norm, .. } = shape;
        let end = |norm_name: &str, mlp_name: &str, width: usize| {
            let norm = MaskedNorm::read(from, &format!("{name}.net.{norm_name}"), width, norm)?;
            Ok::<_, LayerError>((norm, SiluMlp::read(from, &format!("{name}.net.{mlp_name}"), [width; 3])?))
        };
        let parts = match streams {
            Streams::PairsOnly => Parts::Pairs {
                combiner: NodeEdgeCombiner::read(
                    from,
                    &format!("{name}.node_edge_combiner"),
                    [hidden, edge, edge],
                )?,
                layers: (0..layers)
                    .map(|layer| Ppgn::read(from, &format!("{name}.net.blocks.{layer}"), shape))
                    .collect::<Result<_, _>>()?,
                out: end("norm", "out_mlp", edge)?,
            },
            Streams::Both | Streams::TransformerOnly => Parts::Nodes {
                layers: (0..layers)
                    .map(|layer| {
                        let of = |part: &str| format!("{name}.net.blocks.{layer}.{part}");
                        let transformer = GraphTransformer::read(from, &of("transformer"), shape)?;
                        let ppgn = match streams {
                            Streams::Both => Some(Ppgn::read(from, &of("ppgn"), shape)?),
                            _ => None,
                        };
                        Ok((transformer, ppgn))
                    })
                    .collect::<Result<_, LayerError>>()?,
                node: end("node_norm", "node_mlp", hidden)?,
                edge: end("edge_norm", "edge_mlp", edge)?,
            },
        };
        Ok(Self { parts })
    }

    /// Nodes `[B, N, hidden]` and pairs `[B, edge, N, N]` after all layers. Where only pairs are worked on, the nodes
    /// come back as they were.
    pub fn forward(
        &self,
        h: Tensor<3>,
        e: Tensor<4>,
        mask: &BlockMask,
        phase: Phase<'_>,
    ) -> (Tensor<3>, Tensor<4>) {
        let (nodes, pairs) = (|| mask.nodes.clone(), || mask.pairs.clone());
        match &self.parts {
            Parts::Nodes { layers, node, edge } => {
                let (mut h, mut e) = (h * nodes(), e * pairs());
                for (transformer, ppgn) in layers {
                    (h, e) = transformer.forward(h, e, mask, phase);
                    if let Some(ppgn) = ppgn {
                        e = ppgn.forward(e, mask, phase);
                    }
                }
                let h = node.1.over_features(node.0.over_features(h, nodes(), phase)) * nodes();
                let e = edge.1.over_pairs(edge.0.over_pairs(e, pairs(), phase)) * pairs();
                (h, e)
            }
            Parts::Pairs { combiner, layers, out } => {
                let merged = combiner.forward(h.clone(), e) * pairs();
                let e = layers.iter().fold(merged, |e, layer| layer.forward(e, mask, phase));
                (h, out.1.over_pairs(out.0.over_pairs(e, pairs(), phase)) * pairs())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device, TensorData};
    use equidrift_backend::normal::standard_normal;
    use equidrift_backend::philox::philox4x32_10;
    use equidrift_backend::weights::{HostTensor, ParameterSet};

    use super::*;
    use crate::leaf::ParameterReader;
    use crate::masked_norm::{NormKind, Residual};

    const BLOCKS: [i32; 10] = [0, 0, 1, 1, 2, 0, 0, 1, 1, 2];
    const COPIES: [bool; 10] = [false, false, false, false, false, true, true, true, true, true];
    const N: usize = BLOCKS.len();
    /// The only real node of the last block.
    const LAST: usize = 4;

    fn normal(purpose: u32, count: usize) -> Vec<f32> {
        (0..count as u32)
            .map(|i| standard_normal(philox4x32_10([i, purpose, 0, 0], [1, 2])[0]) as f32)
            .collect()
    }

    fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, shape), (&Device::flex(), DType::F32))
    }

    /// A network with random parameters: whatever it misses is drawn.
    fn network(streams: Streams) -> HigherOrderTransformer {
        let shape = HigherOrderShape {
            hidden: 8,
            edge: 4,
            heads: 2,
            norm: NormKind::Layer,
            residual: Residual::Input,
        };
        let mut parameters = ParameterSet::new();
        loop {
            let device = Device::flex();
            let reader = ParameterReader { parameters: &parameters, device: &device, dtype: DType::F32 };
            let tracker = ParameterTracker::new(reader);
            match HigherOrderTransformer::read(&tracker, "net", shape, 2, streams) {
                Ok(network) => return network,
                Err(LayerError::Missing { name, expected }) => {
                    let values = normal(100 + parameters.len() as u32, expected.iter().product());
                    let values = values.iter().map(|x| 0.5 * x).collect();
                    parameters.insert(name, HostTensor::f32(expected, values));
                }
                Err(other) => panic!("{other}"),
            }
        }
    }

    /// Whether no output of another node or pair changes, in any bit, with the inputs of the last real node.
    fn the_last_node_is_not_seen(network: &HigherOrderTransformer, mask: &BlockMask) -> bool {
        let outputs = |changed: bool| {
            let mut h = normal(1, N * 8);
            let mut e = normal(2, 4 * N * N);
            if changed {
                // No shift of all channels: layer norm would take it away.
                h[LAST * 8..][..8].iter_mut().for_each(|x| *x = -*x);
                for (at, x) in e.iter_mut().enumerate() {
                    if at % N == LAST || at / N % N == LAST {
                        *x = -*x;
                    }
                }
            }
            let (h, e) = (tensor(h, [1, N, 8]), tensor(e, [1, 4, N, N]));
            let (h, e) = network.forward(h, e, mask, Phase::Evaluation);
            (h.try_into_vec_as::<f32>().unwrap(), e.try_into_vec_as::<f32>().unwrap())
        };
        let ((h, e), (changed_h, changed_e)) = (outputs(false), outputs(true));
        assert!(e != changed_e, "the change is not seen by the node itself");
        let others = |at: usize| at / 8 != LAST;
        let nodes =
            (0..h.len()).filter(|&at| others(at)).all(|at| h[at].to_bits() == changed_h[at].to_bits());
        let others = |at: usize| at % N != LAST && at / N % N != LAST;
        let pairs =
            (0..e.len()).filter(|&at| others(at)).all(|at| e[at].to_bits() == changed_e[at].to_bits());
        nodes && pairs
    }

    fn with_one_more(mask: &Tensor<4>, i: usize, j: usize) -> Tensor<4> {
        let mut values = mask.clone().try_into_vec_as::<f32>().unwrap();
        assert_eq!(std::mem::replace(&mut values[i * N + j], 1.0), 0.0);
        tensor(values, [1, 1, N, N])
    }

    #[test]
    fn nothing_leaks_and_every_entry_of_the_masks_is_needed_for_it() {
        let mask = BlockMask::causal(&BLOCKS, &COPIES, [1, N], &Device::flex(), DType::F32);
        let transformer = network(Streams::TransformerOnly);
        let both = network(Streams::Both);
        assert!(the_last_node_is_not_seen(&transformer, &mask));
        assert!(the_last_node_is_not_seen(&both, &mask));
        assert!(the_last_node_is_not_seen(&network(Streams::PairsOnly), &mask));
        for i in (0..N).filter(|&i| i != LAST) {
            let attention = with_one_more(&mask.attention, i, LAST);
            let leaky = BlockMask { attention, ..mask.clone() };
            assert!(!the_last_node_is_not_seen(&transformer, &leaky), "attention of node {i}");
        }
        // Pairs of the last node exist with real nodes only; their third nodes are what the product's mask is about.
        for i in (0..LAST).filter(|&i| !COPIES[i]) {
            let product = mask.product.as_ref().map(|product| with_one_more(product, i, LAST));
            let leaky = BlockMask { product, ..mask.clone() };
            assert!(!the_last_node_is_not_seen(&both, &leaky), "product over third nodes of node {i}");
        }
    }
}
