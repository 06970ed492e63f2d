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

    /// Nodes `[B, N, hidden]` and pairs `[B, edge, N, N]` after all layers. Where only pairs are worked on, the nodes come back
    /// as they were.
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
