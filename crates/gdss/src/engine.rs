//! The seam under the denoiser: what evaluates the two networks of a model, in plain slices.
//!
//! No tensor type appears here, so that an engine may be a tensor library on any device ([`crate::BurnEngine`]) or a
//! hand-fused kernel. Shapes: `B` graphs, padded to `N` nodes with `F` features each; all slices are row-major.

use equidrift_backend::weights::ParameterSet;

/// A batch of graphs. Padded entries (mask 0) of `x` and `adj` must be zero, and real nodes come in any order.
#[derive(Debug, Clone, Copy)]
pub struct GraphBatch<'a, T = f32> {
    /// `B`, number of graphs.
    pub batch: usize,
    /// `N`, nodes per graph including padding.
    pub nodes: usize,
    /// `F`, features per node.
    pub features: usize,
    /// Node features `[B, N, F]`.
    pub x: &'a [T],
    /// Adjacency `[B, N, N]`, symmetric with zero diagonal.
    pub adj: &'a [T],
    /// Node mask `[B, N]`, 1 at real nodes and 0 at padding.
    pub mask: &'a [T],
    /// Times `[B]`; of no influence on networks that are not told the time.
    pub times: &'a [f64],
}

impl<T> GraphBatch<'_, T> {
    /// Checks the lengths of the slices and the number of features.
    ///
    /// # Errors
    /// [`EngineError::Length`], [`EngineError::Features`].
    pub fn check(&self, features: usize) -> Result<(), EngineError> {
        let (b, n, f) = (self.batch, self.nodes, self.features);
        if f != features {
            return Err(EngineError::Features { expected: features, found: f });
        }
        check_length("x", self.x.len(), &[b, n, f])?;
        check_length("adj", self.adj.len(), &[b, n, n])?;
        check_length("mask", self.mask.len(), &[b, n])?;
        check_length("times", self.times.len(), &[b])
    }
}

/// What the two networks return, after their final mask and before any scaling by the noise level.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkOutputs<T = f32> {
    /// Node output `[B, N, F]`.
    pub x: Vec<T>,
    /// Edge output `[B, N, N]`, symmetric with zero diagonal.
    pub adj: Vec<T>,
}

/// Perturbed graphs and what the networks are to say of them, for the loss
/// `(1/B) sum_b 1/2 sum_i (scale_b net_bi + z_bi)^2`, one for nodes and one for edges.
///
/// Where a network returns the score or the noise, z is the noise that perturbed the graph, and the residual `score std + z`
/// has `scale = std(t)` and `scale = -1` respectively. For any other prediction `p` of data and noise it is `p` with
/// `scale = -1`; a weight of the time multiplies both by its square root.
#[derive(Debug, Clone, Copy)]
pub struct ScoreMatchingBatch<'a, T = f32> {
    /// The perturbed, masked graphs.
    pub graphs: GraphBatch<'a, T>,
    /// `[B]`
    pub scale_x: &'a [T],
    /// Masked node noise or target `[B, N, F]`.
    pub z_x: &'a [T],
    /// `[B]`
    pub scale_adj: &'a [T],
    /// Masked symmetric edge noise or target `[B, N, N]`.
    pub z_adj: &'a [T],
}

impl<T> ScoreMatchingBatch<'_, T> {
    /// Checks the lengths of the slices and the number of features.
    ///
    /// # Errors
    /// [`EngineError::Length`], [`EngineError::Features`].
    pub fn check(&self, features: usize) -> Result<(), EngineError> {
        self.graphs.check(features)?;
        let (b, n, f) = (self.graphs.batch, self.graphs.nodes, self.graphs.features);
        check_length("scale_x", self.scale_x.len(), &[b])?;
        check_length("z_x", self.z_x.len(), &[b, n, f])?;
        check_length("scale_adj", self.scale_adj.len(), &[b])?;
        check_length("z_adj", self.z_adj.len(), &[b, n, n])
    }
}

/// Both losses and the gradient of each with respect to its own network's parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct LossAndGradient {
    /// Loss of the node network.
    pub loss_x: f64,
    /// Loss of the edge network.
    pub loss_adj: f64,
    /// Gradients under the names of the parameters. A parameter that does not influence its loss is absent.
    pub gradient: ParameterSet,
}

/// Evaluates the pair of score networks.
///
/// The result for one graph must not depend, in any bit, on the other graphs of the batch.
pub trait ScoreEngine: Send + Sync {
    /// Short name for logs and reports.
    fn name(&self) -> &str;

    /// How many graphs are evaluated in the time of one, whether or not some have fewer nodes than others.
    ///
    /// An engine that answers more than 1 promises that a graph's result does not depend, in any bit, on how far the
    /// graph is padded.
    fn lanes(&self) -> usize {
        1
    }

    /// Graphs of so many nodes and more are evaluated one by one, and gain nothing from company.
    fn alone_from(&self) -> usize {
        usize::MAX
    }

    /// Both networks at one batch.
    ///
    /// # Errors
    /// [`EngineError`] if the slices do not fit together or the device fails.
    fn evaluate(&self, batch: &GraphBatch<'_>) -> Result<NetworkOutputs, EngineError>;

    /// Both networks at a batch in double precision. An engine of single precision only rounds the inputs and computes
    /// as [`Self::evaluate`].
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    fn evaluate_f64(&self, batch: &GraphBatch<'_, f64>) -> Result<NetworkOutputs<f64>, EngineError> {
        let round = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<_>>();
        let widen = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
        let (x, adj, mask) = (round(batch.x), round(batch.adj), round(batch.mask));
        let GraphBatch { batch, nodes, features, times, .. } = *batch;
        let out =
            self.evaluate(&GraphBatch { batch, nodes, features, x: &x, adj: &adj, mask: &mask, times })?;
        Ok(NetworkOutputs { x: widen(out.x), adj: widen(out.adj) })
    }
}

/// Differentiates the denoising score matching losses.
pub trait GradientEngine: Send + Sync {
    /// Replaces all parameters.
    ///
    /// # Errors
    /// [`EngineError::Parameters`] if a name or shape is not the network's.
    fn set_parameters(&mut self, parameters: &ParameterSet) -> Result<(), EngineError>;

    /// Losses and gradients at the present parameters.
    ///
    /// # Errors
    /// [`EngineError`] if the slices do not fit together or the device fails.
    fn loss_and_gradient(&self, batch: &ScoreMatchingBatch<'_>) -> Result<LossAndGradient, EngineError>;
}

/// What a product of a [`JacobianEngine`] gives.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputsAndGradient<T = f32> {
    /// The networks' outputs.
    pub outputs: NetworkOutputs<T>,
    /// The gradient with respect to every entry of `x` `[B, N, F]` and `adj` `[B, N, N]`.
    pub gradient: NetworkOutputs<T>,
}

/// Differentiates the outputs with respect to the inputs.
///
/// All entries of the matrices count as independent here: the gradient is that of `sum cotangent * output` over all
/// entries of both outputs, with respect to each entry of both inputs, on both sides of the diagonal.
pub trait JacobianEngine: ScoreEngine {
    /// Both networks and the product of the cotangents (shaped like the outputs) with their Jacobian.
    ///
    /// # Errors
    /// As [`ScoreEngine::evaluate`].
    fn vector_jacobian(
        &self,
        batch: &GraphBatch<'_>,
        cotangents: &NetworkOutputs,
    ) -> Result<OutputsAndGradient, EngineError>;

    /// The same from double precision, computed in the engine's precision.
    ///
    /// # Errors
    /// As [`ScoreEngine::evaluate`].
    fn vector_jacobian_f64(
        &self,
        batch: &GraphBatch<'_, f64>,
        cotangents: &NetworkOutputs<f64>,
    ) -> Result<OutputsAndGradient<f64>, EngineError>;
}

/// Why an engine could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A slice has the wrong number of elements.
    #[error("`{name}`: expected {expected} values (shape {shape:?}), found {found}")]
    Length {
        /// Which slice.
        name: &'static str,
        /// Elements needed.
        expected: usize,
        /// The shape they come from.
        shape: Vec<usize>,
        /// Elements given.
        found: usize,
    },
    /// The graphs have another number of node features than the networks.
    #[error("the networks take {expected} features per node, the graphs have {found}")]
    Features {
        /// Features of the networks.
        expected: usize,
        /// Features of the graphs.
        found: usize,
    },
    /// A loss over no graph, or over graphs without nodes.
    #[error("no loss over {batch} graphs of {nodes} nodes")]
    Empty {
        /// Graphs given.
        batch: usize,
        /// Nodes per graph.
        nodes: usize,
    },
    /// The parameters are not those of the networks.
    #[error(transparent)]
    Parameters(#[from] crate::parameters::ParameterError),
    /// The sizes are not those of a network.
    #[error(transparent)]
    Config(#[from] crate::network_config::NetworkConfigError),
    /// A layer could not be built or read.
    #[error(transparent)]
    Layer(#[from] equidrift_nn::LayerError),
    /// A tensor could not be moved to or from the device.
    #[error("{engine}: {reason}")]
    Device {
        /// The engine.
        engine: String,
        /// What it reported.
        reason: String,
    },
}

impl<T> NetworkOutputs<T> {
    /// Checks that these numbers are as many as the outputs for `batch`.
    pub(crate) fn check_as_cotangents<U>(&self, batch: &GraphBatch<'_, U>) -> Result<(), EngineError> {
        let (b, n, f) = (batch.batch, batch.nodes, batch.features);
        check_length("cotangents of x", self.x.len(), &[b, n, f])?;
        check_length("cotangents of adj", self.adj.len(), &[b, n, n])
    }
}

fn check_length(name: &'static str, found: usize, shape: &[usize]) -> Result<(), EngineError> {
    let expected = shape.iter().product();
    if found == expected {
        Ok(())
    } else {
        Err(EngineError::Length { name, expected, shape: shape.to_vec(), found })
    }
}
