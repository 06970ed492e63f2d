//! From classes, blocks, degrees and times to the streams of the network.

use burn::tensor::Tensor;
use equidrift_nn::{
    LayerError, Leaf, Linear, ParameterTracker, SiluMlp, adjacency_powers, sinusoid,
    sinusoid_of_whole_frequencies,
};

use crate::error::PardError;
use crate::inputs::{Inputs, tensor};
use crate::network_config::{NetworkConfig, Sequence, TimeEmbedding, TimeOf};

/// Which network the embedding is of: the denoiser alone knows degrees and times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Denoiser,
    BlockModel,
}

impl Role {
    /// What the parameters' names begin with.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Denoiser => "denoise",
            Self::BlockModel => "block",
        }
    }
}

/// The embedding of inputs, `input_encoder`, `input_conditioner` and `edge_conditioner`.
#[derive(Debug, Clone)]
pub(crate) struct InputEmbedding {
    config: NetworkConfig,
    node_encoder: Linear,
    edge_encoder: Linear,
    block_id: Option<Leaf>,
    block_degree: Option<Leaf>,
    block_size: Option<Leaf>,
    walks: Option<[Linear; 2]>,
    time: Option<SiluMlp>,
    cycles: Option<SiluMlp>,
    relative: Option<SiluMlp>,
    spectral: Option<SiluMlp>,
}

impl InputEmbedding {
    pub(crate) fn read(
        from: &ParameterTracker<'_>,
        config: &NetworkConfig,
        role: Role,
    ) -> Result<Self, LayerError> {
        let prefix = role.prefix();
        let (hidden, edge) = (config.hidden, config.pair_width());
        let mlp = |name: &str, widths| {
            let of = |layer: &str| format!("{prefix}.{name}.{layer}");
            SiluMlp::read_named(from, [&of("layer1"), &of("layer2")], widths).map(Some)
        };
        let leaf = |name: &str, rows: usize| {
            from.leaf(&format!("{prefix}.input_conditioner.{name}.weight"), &[rows, hidden]).map(Some)
        };
        let denoiser = role == Role::Denoiser;
        let prefixes = config.sequence == Sequence::Prefixes;
        let cycles = if denoiser { "input_conditioner.3" } else { "input_conditioner.1" };
        Ok(Self {
            config: config.clone(),
            node_encoder: from.linear(
                &format!("{prefix}.input_encoder.node_encoder"),
                config.node_classes,
                hidden,
            )?,
            edge_encoder: from.linear(
                &format!("{prefix}.input_encoder.edge_encoder"),
                config.edge_classes,
                edge,
            )?,
            block_id: match config.absolute_blocks {
                true => leaf("0.block_id_embedding", config.max_blocks + 1)?,
                false => None,
            },
            block_degree: match denoiser {
                true => leaf("1.block_degree_embedding", config.block_degrees)?,
                false => None,
            },
            block_size: match denoiser && config.sizes_of_blocks {
                true => leaf("1.block_size_embedding", config.block_sizes)?,
                false => None,
            },
            walks: match denoiser && config.walks > 0 {
                true => Some([
                    from.linear(&format!("{prefix}.input_conditioner.walks"), config.walks, hidden)?,
                    from.linear(&format!("{prefix}.edge_conditioner.walks"), config.walks, edge)?,
                ]),
                false => None,
            },
            time: if denoiser { mlp("input_conditioner.2", [hidden; 3])? } else { None },
            cycles: if prefixes { mlp(cycles, [3, hidden, hidden])? } else { None },
            relative: match config.relative_blocks {
                true => mlp("edge_conditioner.0", [edge, 2 * edge, edge])?,
                false => None,
            },
            spectral: match denoiser && prefixes {
                true => mlp("edge_conditioner.1", [9, edge, edge])?,
                false => None,
            },
        })
    }

    /// Nodes `[B, N, hidden]` and pairs `[B, edge, N, N]`; `times` are the steps t of the graphs, none for the block heads.
    pub(crate) fn forward(
        &self,
        inputs: &Inputs,
        times: Option<&[usize]>,
    ) -> Result<(Tensor<3>, Tensor<4>), PardError> {
        let (b, n) = (inputs.batch, inputs.nodes);
        let (hidden, edge) = (self.config.hidden, self.config.pair_width());
        let nodes = || inputs.mask.nodes.clone();
        let onto_nodes = |rows: Tensor<2>| rows.reshape([b, n, hidden]);

        let encoded = inputs.node_classes.of(self.node_encoder.weight().transpose());
        let mut h = onto_nodes(encoded + self.node_encoder.bias());
        let embeddings = [
            (&self.block_id, &inputs.block),
            (&self.block_degree, &inputs.degree),
            (&self.block_size, &inputs.size),
        ];
        for (table, index) in embeddings {
            if let Some(table) = table {
                h = (h + onto_nodes(index.of(table.tensor()))) * nodes();
            }
        }
        if let (Some(mlp), Some(times)) = (&self.time, times) {
            let shift = mlp.over_features(self.time_features(inputs, times));
            let shift = match self.config.timed_nodes() {
                TimeOf::All => shift * nodes(),
                TimeOf::Virtual => shift * inputs.virtual_nodes.clone(),
            };
            h = (h + shift) * nodes();
        }
        if let Some(mlp) = &self.cycles {
            let cycles = inputs.cycles.clone().ok_or(PardError::MissingInput { input: "cycle counts" })?;
            h = (h + mlp.over_features(cycles)) * nodes();
        }

        let mut e = self.edge_encoder.over_pairs(inputs.edge_classes.clone());
        if let (Some(mlp), Some(distance)) = (&self.relative, &inputs.distance) {
            // The same perceptron for all pairs of a distance: computed once for each distance.
            let distances = distance.dims()[1];
            let features = (0..distances).flat_map(|d| sinusoid(1.0 / (d as f64 + 1.0), edge, 10.0));
            let features = tensor(features.collect(), [1, distances, edge], &inputs.device, inputs.dtype);
            let table = mlp.over_features(features).swap_dims(1, 2);
            let of_pairs = table.matmul(distance.clone().reshape([b, distances, n * n]));
            e = e + of_pairs.reshape([b, edge, n, n]) * inputs.mask.pairs.clone();
        }
        if let Some([of_nodes, of_pairs]) = &self.walks {
            let walks = random_walks(inputs, self.config.walks);
            let identity = (0..n * n).map(|at| f64::from(u8::from(at / n == at % n))).collect();
            let identity = tensor(identity, [1, 1, n, n], &inputs.device, inputs.dtype);
            let returns = (walks.clone() * identity).sum_dim(3).reshape([b, self.config.walks, n]);
            h = (h + of_nodes.over_features(returns.swap_dims(1, 2), None)) * nodes();
            let both_ways = walks.clone() + walks.swap_dims(2, 3);
            e = e + of_pairs.over_pairs(both_ways) * inputs.mask.pairs.clone();
        }
        if let Some(mlp) = &self.spectral {
            let of_nodes =
                inputs.spectral.clone().ok_or(PardError::MissingInput { input: "spectral features" })?;
            let of_nodes = of_nodes.swap_dims(1, 2);
            let difference = of_nodes.clone().reshape([b, 9, n, 1]) - of_nodes.reshape([b, 9, 1, n]);
            e = e + mlp.over_pairs(difference.abs()) * inputs.mask.pairs.clone();
        }
        Ok((h, e))
    }

    /// `[B, 1, hidden]`: sines, then cosines.
    fn time_features(&self, inputs: &Inputs, times: &[usize]) -> Tensor<3> {
        let hidden = self.config.hidden;
        let features = times.iter().flat_map(|&t| {
            let mut features = match self.config.time {
                TimeEmbedding::Sinusoid => sinusoid(t as f64, hidden, 10_000.0),
                TimeEmbedding::WholeFrequencies => sinusoid_of_whole_frequencies(t as f64, hidden),
            };
            features.rotate_left(hidden / 2);
            features
        });
        tensor(features.collect(), [times.len(), 1, hidden], &inputs.device, inputs.dtype)
    }
}

/// The probabilities that a random walk of 1, 2, ... steps from node i ends at node j, `[B, steps, N, N]`: powers of the
/// adjacency with rows of sum 1 (Ma et al., "Graph inductive biases in transformers without message passing", ICML 2023,
/// equation 2). A walk takes edges to nodes that are seen from where it is, so it stays in what its first node sees.
fn random_walks(inputs: &Inputs, steps: usize) -> Tensor<4> {
    let (b, n) = (inputs.batch, inputs.nodes);
    let seen = inputs.adjacency.clone() * inputs.mask.attention.clone().reshape([b, n, n]);
    let step = seen.clone() / seen.sum_dim(2).clamp_min(1.0);
    adjacency_powers(step, steps)
}
