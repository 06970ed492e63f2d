//! The heads of Pard's networks: classes of nodes and pairs, and sizes and degrees of the next block.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;
use equidrift_nn::{
    LayerError, Leaf, Linear, MaskedNorm, NodeEdgeCombiner, ParameterTracker, Phase, edge_to_node, silu,
};

use crate::block_batch::Targets;
use crate::error::PardError;
use crate::inputs::{Inputs, OneHot, QuestionInputs, index};
use crate::network_config::{NetworkConfig, Norm};

/// Hidden units of the network of the input residual's weight.
pub(crate) const PHI_UNITS: usize = 128;

/// Linear map, masked norm, SiLU, linear map.
#[derive(Debug, Clone)]
struct NormedMlp {
    linear1: Linear,
    norm: MaskedNorm,
    linear2: Linear,
    /// The published batch norm leaves masked entries as they are. What comes of them means nothing, but it is compared.
    keeps_masked: bool,
}

impl NormedMlp {
    fn read(
        from: &ParameterTracker<'_>,
        name: &str,
        [inputs, hidden, outputs]: [usize; 3],
        config: &NetworkConfig,
    ) -> Result<Self, LayerError> {
        Ok(Self {
            linear1: from.linear(&format!("{name}.linear1"), inputs, hidden)?,
            norm: MaskedNorm::read(from, &format!("{name}.norm"), hidden, config.norm_kind())?,
            linear2: from.linear(&format!("{name}.linear2"), hidden, outputs)?,
            keeps_masked: config.norm == Norm::Batch,
        })
    }

    fn over_features(&self, x: Tensor<3>, mask: Tensor<3>, phase: Phase<'_>) -> Tensor<3> {
        let x = self.linear1.over_features(x, None);
        let mut h = self.norm.over_features(x.clone(), mask.clone(), phase);
        if self.keeps_masked {
            h = h + x * (mask.neg() + 1.0);
        }
        self.linear2.over_features(silu(h), None)
    }

    fn over_pairs(&self, e: Tensor<4>, mask: Tensor<4>, phase: Phase<'_>) -> Tensor<4> {
        self.linear2.over_pairs(silu(self.norm.over_pairs(self.linear1.over_pairs(e), mask, phase)))
    }
}

/// The weight of the input in the logits as a monotone function of 1 - t/T: `sigmoid(|w_2| SiLU(|w_1| s + b_1) + b_2)`.
#[derive(Debug, Clone)]
struct Phi {
    weights: [Leaf; 2],
    biases: [Leaf; 2],
}

impl Phi {
    fn read(from: &ParameterTracker<'_>, name: &str) -> Result<Self, LayerError> {
        let leaf = |part: &str, shape: &[usize]| from.leaf(&format!("{name}.layers.{part}"), shape);
        Ok(Self {
            weights: [leaf("0.weight", &[1, PHI_UNITS])?, leaf("1.weight", &[PHI_UNITS, 1])?],
            biases: [leaf("0.bias", &[PHI_UNITS])?, leaf("1.bias", &[1])?],
        })
    }

    /// `[B, 1, 1]` to `[B, 1, 1]`.
    fn forward(&self, s: Tensor<3>) -> Tensor<3> {
        let layer = |layer: usize, x: Tensor<3>| {
            let weight = self.weights[layer].tensor().abs().unsqueeze();
            x.matmul(weight) + self.biases[layer].tensor().unsqueeze()
        };
        sigmoid(layer(1, silu(layer(0, s))))
    }
}

/// Logits of the clean classes.
#[derive(Debug, Clone)]
pub struct ClassLogits {
    /// `[B, N, node classes]`, zero on padding.
    pub nodes: Tensor<3>,
    /// `[B, edge classes, N, N]`, symmetric, zero where neither end sees the other.
    pub pairs: Tensor<4>,
}

impl ClassLogits {
    /// The logits of target nodes and pairs, one row each, on the host.
    ///
    /// # Errors
    /// [`PardError::Device`].
    pub fn at(self, nodes: &Targets, pairs: &Targets) -> Result<[Vec<Vec<f64>>; 2], PardError> {
        let [b, n, c] = self.nodes.dims();
        let of_nodes = target_rows(self.nodes.reshape([b * n, c]), nodes)?;
        let c = self.pairs.dims()[1];
        let pairs_last = self.pairs.permute([0, 2, 3, 1]).reshape([b * n * n, c]);
        Ok([of_nodes, target_rows(pairs_last, pairs)?])
    }
}

fn target_rows(logits: Tensor<2>, targets: &Targets) -> Result<Vec<Vec<f64>>, PardError> {
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let width = logits.dims()[1];
    let places = targets.place.iter().map(|&place| place as i64).collect();
    let rows = logits.clone().select(0, index(places, &logits.device()));
    rows_on_host(rows.reshape([1, targets.len(), width]), "logits of classes")
}

/// The rows of `[B, H, C]` on the host.
pub(crate) fn rows_on_host(rows: Tensor<3>, what: &'static str) -> Result<Vec<Vec<f64>>, PardError> {
    let width = rows.dims()[2];
    let values = rows
        .try_into_vec_as::<f64>()
        .map_err(|error| PardError::Device { what, reason: error.to_string() })?;
    Ok(values.chunks(width.max(1)).map(<[f64]>::to_vec).collect())
}

/// The denoiser's head, `out_decoder`.
#[derive(Debug, Clone)]
pub(crate) struct ClassHead {
    node_classes: usize,
    node_transform: Linear,
    edge_transform: NodeEdgeCombiner,
    node_out: NormedMlp,
    edge_out: NormedMlp,
    phi_node: Phi,
    phi_edge: Phi,
}

impl ClassHead {
    pub(crate) fn read(
        from: &ParameterTracker<'_>,
        name: &str,
        config: &NetworkConfig,
    ) -> Result<Self, LayerError> {
        let (hidden, edge) = (config.hidden, config.pair_width());
        let of = |part: &str| format!("{name}.{part}");
        let [node_classes, edge_classes] = [config.node_classes, config.edge_classes];
        Ok(Self {
            node_classes,
            node_transform: from.linear(&of("node_transform.0"), 2 * edge + hidden, hidden)?,
            // The published spelling.
            edge_transform: NodeEdgeCombiner::read(from, &of("edge_transforom"), [hidden, edge, 2 * edge])?,
            node_out: NormedMlp::read(from, &of("node_out"), [hidden, hidden, node_classes], config)?,
            edge_out: NormedMlp::read(from, &of("edge_out"), [2 * edge, edge, edge_classes], config)?,
            phi_node: Phi::read(from, &of("phi_node"))?,
            phi_edge: Phi::read(from, &of("phi_edge"))?,
        })
    }

    /// `remaining` is 1 - t/T `[B, 1, 1]`.
    pub(crate) fn forward(
        &self,
        inputs: &Inputs,
        (h, e): (Tensor<3>, Tensor<4>),
        remaining: Tensor<3>,
        phase: Phase<'_>,
    ) -> ClassLogits {
        let (b, n) = (inputs.batch, inputs.nodes);
        let mask = &inputs.mask;
        let (h, e) = (h * mask.nodes.clone(), e * mask.pairs.clone());
        let of_pairs = edge_to_node(e.clone(), mask);
        let z = self.node_transform.over_features(Tensor::cat(vec![of_pairs, h], 2), None);
        let z = silu(z) * mask.nodes.clone();
        let y = self.edge_transform.forward(z.clone(), e);
        let y = (y.clone() + y.swap_dims(2, 3)) * mask.pairs.clone();

        let classes = self.node_classes;
        let input = inputs.node_classes.rows.clone().reshape([b, n, classes]);
        let nodes = self.node_out.over_features(z, mask.nodes.clone(), phase)
            + self.phi_node.forward(remaining.clone()) * input;
        let input = inputs.edge_classes.clone();
        let weight = self.phi_edge.forward(remaining).reshape([b, 1, 1, 1]);
        let pairs = self.edge_out.over_pairs(y, mask.pairs.clone(), phase) + weight * input;
        ClassLogits { nodes: nodes * mask.nodes.clone(), pairs: pairs * mask.pairs.clone() }
    }
}

/// Logits about blocks. Rows without a question have no meaning.
#[derive(Debug, Clone)]
pub struct BlockLogits {
    /// Size of the next block, `[B, H, block sizes]`.
    pub size: Tensor<3>,
    /// Degree of the next block given its size, `[B, H, block degrees]`.
    pub degree: Tensor<3>,
    /// Degree of the first block given its size, `[B, 1, block degrees]`.
    pub first_degree: Tensor<3>,
}

/// The head of sizes and degrees, `out_decoder` of the block model or `real_block_out_decoder`.
#[derive(Debug, Clone)]
pub(crate) struct BlockHead {
    transform: Linear,
    size_encoder: Leaf,
    size_out: NormedMlp,
    degree_out: NormedMlp,
    first_degree_out: NormedMlp,
}

impl BlockHead {
    pub(crate) fn read(
        from: &ParameterTracker<'_>,
        name: &str,
        config: &NetworkConfig,
    ) -> Result<Self, LayerError> {
        let (hidden, edge) = (config.hidden, config.pair_width());
        let of = |part: &str| format!("{name}.{part}");
        let out = |part: &str, classes| NormedMlp::read(from, &of(part), [hidden, hidden, classes], config);
        Ok(Self {
            transform: from.linear(&of("transform.0"), 2 * edge + hidden, hidden)?,
            size_encoder: from.leaf(&of("block_size_encoder.weight"), &[config.block_sizes, hidden])?,
            size_out: out("block_size_out", config.block_sizes)?,
            degree_out: out("block_degree_out", config.block_degrees)?,
            first_degree_out: out("init_block_degree_out", config.block_degrees)?,
        })
    }

    pub(crate) fn forward(
        &self,
        inputs: &Inputs,
        streams: (Tensor<3>, Tensor<4>),
        questions: &QuestionInputs,
        phase: Phase<'_>,
    ) -> BlockLogits {
        let prefixes = self.prefixes(inputs, streams, questions);
        BlockLogits {
            degree: self.degree(prefixes.clone(), questions.next_size.clone(), questions, phase),
            size: self.size(prefixes, questions, phase),
            first_degree: self.first_degree(questions.first_size.clone(), phase),
        }
    }

    /// Sums over the nodes of the prefixes that are asked about, `[B, H, hidden]`.
    pub(crate) fn prefixes(
        &self,
        inputs: &Inputs,
        (h, e): (Tensor<3>, Tensor<4>),
        questions: &QuestionInputs,
    ) -> Tensor<3> {
        let of_pairs = edge_to_node(e, &inputs.mask);
        let z = self.transform.over_features(Tensor::cat(vec![of_pairs, h], 2), None);
        questions.members.clone().matmul(silu(z) * inputs.mask.nodes.clone())
    }

    /// Size of the next block, `[B, H, block sizes]`.
    pub(crate) fn size(
        &self,
        prefixes: Tensor<3>,
        questions: &QuestionInputs,
        phase: Phase<'_>,
    ) -> Tensor<3> {
        self.size_out.over_features(prefixes, questions.mask.clone(), phase)
    }

    /// Degree of the next block given its size `[B H]`, `[B, H, block degrees]`.
    pub(crate) fn degree(
        &self,
        prefixes: Tensor<3>,
        next_size: OneHot,
        questions: &QuestionInputs,
        phase: Phase<'_>,
    ) -> Tensor<3> {
        let [b, asked, _] = prefixes.dims();
        let sizes = self.sizes(next_size, [b, asked]);
        self.degree_out.over_features(prefixes + sizes, questions.mask.clone(), phase)
    }

    /// Degree of a first block given its size: `[B]` to `[B, 1, block degrees]`.
    pub(crate) fn first_degree(&self, first_size: OneHot, phase: Phase<'_>) -> Tensor<3> {
        let b = first_size.rows.dims()[0];
        let sizes = self.sizes(first_size, [b, 1]);
        let mask = Tensor::ones([b, 1, 1], (&sizes.device(), sizes.dtype()));
        self.first_degree_out.over_features(sizes, mask, phase)
    }

    fn sizes(&self, size: OneHot, [b, asked]: [usize; 2]) -> Tensor<3> {
        let table = self.size_encoder.tensor();
        let width = table.dims()[1];
        size.of(table).reshape([b, asked, width])
    }
}
