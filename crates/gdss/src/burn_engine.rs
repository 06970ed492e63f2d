//! Both networks on the tensor library: any device, single or double precision, gradients by automatic differentiation.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{DType, Device, Element, Gradients, Tensor, TensorData};
use equidrift_backend::weights::ParameterSet;
use equidrift_nn::{GraphMask, LayerError, ParameterReader, TimeFeatures};

use crate::engine::{
    EngineError, GradientEngine, GraphBatch, JacobianEngine, LossAndGradient, NetworkOutputs,
    OutputsAndGradient, ScoreEngine, ScoreMatchingBatch,
};
use crate::network_config::{EdgeNetworkConfig, NetworksConfig, NodeNetworkConfig};
use crate::parameters::check_parameters;
use crate::score_network_a::ScoreNetworkA;
use crate::score_network_x::ScoreNetworkX;
use crate::score_network_x_gmh::ScoreNetworkXGmh;

/// Elements of the widest tensor of one pass. Larger batches are evaluated in pieces: a pass then works in the cache and
/// its memory does not grow with the batch. The pieces change no bit of the result.
const PIECE: usize = 1 << 18;

/// The engine on a tensor library.
#[derive(Debug, Clone)]
pub struct BurnEngine {
    networks: NetworksConfig,
    device: Device,
    dtype: DType,
    /// For evaluation, without a tape.
    plain: Pair,
    /// The same parameters, tracked.
    tracked: Pair,
    /// Held while they are differentiated: backward passes of two threads that share a parameter wait for one another, in
    /// burn-autodiff 0.22.1 for ever.
    differentiating: Arc<Mutex<()>>,
}

impl BurnEngine {
    /// An engine in single precision.
    ///
    /// # Errors
    /// [`EngineError::Config`], or [`EngineError::Parameters`] if a name or shape is not the networks'.
    pub fn new(
        networks: &NetworksConfig,
        parameters: &ParameterSet,
        device: &Device,
    ) -> Result<Self, EngineError> {
        Self::with_precision(networks, parameters, device, DType::F32)
    }

    /// An engine in [`DType::F32`] or [`DType::F64`].
    ///
    /// # Errors
    /// As [`BurnEngine::new`].
    pub fn with_precision(
        networks: &NetworksConfig,
        parameters: &ParameterSet,
        device: &Device,
        dtype: DType,
    ) -> Result<Self, EngineError> {
        networks.check()?;
        check_parameters(networks, parameters)?;
        let device = device.clone().without_autodiff();
        let plain = Pair::read(networks, parameters, &device, dtype)?;
        let tracked = Pair::read(networks, parameters, &device.clone().autodiff(), dtype)?;
        let differentiating = Arc::default();
        Ok(Self { networks: networks.clone(), device, dtype, plain, tracked, differentiating })
    }

    /// Both networks at one batch, in the element type of the slices (computed in the engine's precision).
    ///
    /// # Errors
    /// [`EngineError::Length`], [`EngineError::Features`], [`EngineError::Device`].
    pub fn evaluate_as<T: Element>(
        &self,
        batch: &GraphBatch<'_, T>,
    ) -> Result<NetworkOutputs<T>, EngineError> {
        batch.check(self.networks.features())?;
        let mut out = NetworkOutputs { x: Vec::new(), adj: Vec::new() };
        for graphs in self.pieces(batch) {
            let (x, adj) = self.plain.forward(self.load(&part(batch, &graphs)));
            out.x.extend(self.read::<T, 3>(x)?);
            out.adj.extend(self.read::<T, 3>(adj)?);
        }
        Ok(out)
    }

    /// Outputs, and the product of cotangents with their Jacobian, in the element type of the slices (computed in the
    /// engine's precision). The parameters are not tracked.
    ///
    /// # Errors
    /// [`EngineError::Length`], [`EngineError::Features`], [`EngineError::Device`].
    pub fn vector_jacobian_as<T: Element>(
        &self,
        batch: &GraphBatch<'_, T>,
        cotangents: &NetworkOutputs<T>,
    ) -> Result<OutputsAndGradient<T>, EngineError> {
        batch.check(self.networks.features())?;
        cotangents.check_as_cotangents(batch)?;
        let (n, f) = (batch.nodes, batch.features);
        let empty = || NetworkOutputs { x: Vec::new(), adj: Vec::new() };
        let mut out = OutputsAndGradient { outputs: empty(), gradient: empty() };
        for graphs in self.pieces(batch) {
            let input = self.load(&part(batch, &graphs));
            let track = |tensor: Tensor<3>| tensor.autodiff().require_grad();
            let input = Input { x: track(input.x), adj: track(input.adj), ..input };
            let leaves = [input.x.clone(), input.adj.clone()];
            let (x, adj) = self.plain.forward(input);
            let b = graphs.len();
            let cotangent_x = &cotangents.x[graphs.start * n * f..graphs.end * n * f];
            let cotangent_adj = &cotangents.adj[graphs.start * n * n..graphs.end * n * n];
            let form = (x.clone() * self.tensor(cotangent_x, [b, n, f])).sum()
                + (adj.clone() * self.tensor(cotangent_adj, [b, n, n])).sum();
            let gradients = form.backward();
            let gradient = |leaf: &Tensor<3>| match leaf.grad(&gradients) {
                Some(gradient) => self.read::<T, 3>(gradient),
                // An input that does not reach any output.
                None => Ok(vec![T::from_elem(0); leaf.shape().num_elements()]),
            };
            out.gradient.x.extend(gradient(&leaves[0])?);
            out.gradient.adj.extend(gradient(&leaves[1])?);
            out.outputs.x.extend(self.read::<T, 3>(x.inner())?);
            out.outputs.adj.extend(self.read::<T, 3>(adj.inner())?);
        }
        Ok(out)
    }

    /// The graphs that are evaluated together; none where there is nothing to evaluate.
    fn pieces<T>(&self, batch: &GraphBatch<'_, T>) -> impl Iterator<Item = Range<usize>> + use<T> {
        let piece = (PIECE / self.widest(batch.nodes).max(1)).max(1);
        let graphs = if batch.nodes == 0 { 0 } else { batch.batch };
        (0..graphs).step_by(piece).map(move |first| first..(first + piece).min(graphs))
    }

    /// Losses and gradients, from slices of either element type (computed in the engine's precision).
    ///
    /// # Errors
    /// [`EngineError::Length`], [`EngineError::Features`], [`EngineError::Empty`], [`EngineError::Device`].
    pub fn loss_and_gradient_as<T: Element>(
        &self,
        batch: &ScoreMatchingBatch<'_, T>,
    ) -> Result<LossAndGradient, EngineError> {
        batch.check(self.networks.features())?;
        let (b, n, f) = (batch.graphs.batch, batch.graphs.nodes, batch.graphs.features);
        if b == 0 || n == 0 {
            return Err(EngineError::Empty { batch: b, nodes: n });
        }
        // Before the first tracked tensor, so that it is let go after the last. It guards no data that a panic could spoil.
        let _differentiating = self.differentiating.lock().unwrap_or_else(PoisonError::into_inner);
        let (x, adj) = self.tracked.forward(self.load(&batch.graphs));
        let residual_x = x * self.tensor(batch.scale_x, [b, 1, 1]) + self.tensor(batch.z_x, [b, n, f]);
        let residual_adj =
            adj * self.tensor(batch.scale_adj, [b, 1, 1]) + self.tensor(batch.z_adj, [b, n, n]);
        let half_mean = |residual: Tensor<3>| residual.square().sum().mul_scalar(0.5 / b as f64);
        let (loss_x, loss_adj) = (half_mean(residual_x), half_mean(residual_adj));
        let value = |loss: &Tensor<1>| {
            loss.clone().try_into_scalar::<f64>().map_err(|error| self.device_error(&error.to_string()))
        };
        let (value_x, value_adj) = (value(&loss_x)?, value(&loss_adj)?);
        // The networks share no parameter, so one backward pass through the sum gives each its own gradient.
        let mut gradients = (loss_x + loss_adj).backward();
        let mut gradient = ParameterSet::new();
        self.tracked.collect_gradient(&mut gradients, &mut gradient)?;
        Ok(LossAndGradient { loss_x: value_x, loss_adj: value_adj, gradient })
    }

    /// Elements of the widest intermediate tensor, per graph of `n` nodes.
    fn widest(&self, n: usize) -> usize {
        let sizes = self.networks.adj_sizes();
        let projected = sizes.c_hid.max(sizes.c_init) * (2 * sizes.adim.max(sizes.nhid) + sizes.nhid);
        (2 * sizes.concatenated() * n * n).max(projected * n).max(sizes.c_hid * sizes.num_heads * n * n)
    }

    fn load<T: Element>(&self, batch: &GraphBatch<'_, T>) -> Input {
        let (b, n, f) = (batch.batch, batch.nodes, batch.features);
        Input {
            x: self.tensor(batch.x, [b, n, f]),
            adj: self.tensor(batch.adj, [b, n, n]),
            mask: GraphMask::new(self.tensor(batch.mask, [b, n])),
            time: self.time(batch.times),
        }
    }

    fn time(&self, times: &[f64]) -> Option<TimeFeatures> {
        let count = self.networks.time_features();
        (count > 0).then(|| TimeFeatures::new(times, count, &self.device, self.dtype))
    }

    fn tensor<T: Element, const D: usize>(&self, values: &[T], shape: [usize; D]) -> Tensor<D> {
        let data = TensorData::new(values.to_vec(), shape).convert_dtype(self.dtype);
        Tensor::from_data(data, (&self.device, self.dtype))
    }

    fn read<T: Element, const D: usize>(&self, tensor: Tensor<D>) -> Result<Vec<T>, EngineError> {
        tensor.try_into_vec_as::<T>().map_err(|error| self.device_error(&error.to_string()))
    }

    fn device_error(&self, reason: &str) -> EngineError {
        EngineError::Device { engine: self.name().to_owned(), reason: reason.to_owned() }
    }
}

impl ScoreEngine for BurnEngine {
    fn name(&self) -> &str {
        "burn"
    }

    fn evaluate(&self, batch: &GraphBatch<'_>) -> Result<NetworkOutputs, EngineError> {
        self.evaluate_as(batch)
    }

    fn evaluate_f64(&self, batch: &GraphBatch<'_, f64>) -> Result<NetworkOutputs<f64>, EngineError> {
        self.evaluate_as(batch)
    }
}

impl GradientEngine for BurnEngine {
    fn set_parameters(&mut self, parameters: &ParameterSet) -> Result<(), EngineError> {
        *self = Self::with_precision(&self.networks, parameters, &self.device, self.dtype)?;
        Ok(())
    }

    fn loss_and_gradient(&self, batch: &ScoreMatchingBatch<'_>) -> Result<LossAndGradient, EngineError> {
        self.loss_and_gradient_as(batch)
    }
}

impl JacobianEngine for BurnEngine {
    fn vector_jacobian(
        &self,
        batch: &GraphBatch<'_>,
        cotangents: &NetworkOutputs,
    ) -> Result<OutputsAndGradient, EngineError> {
        self.vector_jacobian_as(batch, cotangents)
    }

    fn vector_jacobian_f64(
        &self,
        batch: &GraphBatch<'_, f64>,
        cotangents: &NetworkOutputs<f64>,
    ) -> Result<OutputsAndGradient<f64>, EngineError> {
        self.vector_jacobian_as(batch, cotangents)
    }
}

/// Some graphs of a batch.
fn part<'a, T>(batch: &GraphBatch<'a, T>, graphs: &Range<usize>) -> GraphBatch<'a, T> {
    let (n, f) = (batch.nodes, batch.features);
    GraphBatch {
        batch: graphs.len(),
        nodes: n,
        features: f,
        x: &batch.x[graphs.start * n * f..graphs.end * n * f],
        adj: &batch.adj[graphs.start * n * n..graphs.end * n * n],
        mask: &batch.mask[graphs.start * n..graphs.end * n],
        times: &batch.times[graphs.clone()],
    }
}

struct Input {
    x: Tensor<3>,
    adj: Tensor<3>,
    mask: GraphMask,
    time: Option<TimeFeatures>,
}

#[derive(Debug, Clone)]
struct Pair {
    x: NodeNetwork,
    adj: ScoreNetworkA,
}

#[derive(Debug, Clone)]
enum NodeNetwork {
    Convolutional(ScoreNetworkX),
    Attention(ScoreNetworkXGmh),
}

impl Pair {
    fn read(
        networks: &NetworksConfig,
        parameters: &ParameterSet,
        device: &Device,
        dtype: DType,
    ) -> Result<Self, LayerError> {
        let from = ParameterReader { parameters, device, dtype };
        let x = match &networks.x {
            NodeNetworkConfig::ScoreNetworkX(size) => {
                NodeNetwork::Convolutional(ScoreNetworkX::read(&from, "x", size)?)
            }
            NodeNetworkConfig::ScoreNetworkXGmh(size) => {
                NodeNetwork::Attention(ScoreNetworkXGmh::read(&from, "x", size)?)
            }
        };
        let EdgeNetworkConfig::ScoreNetworkA(size) = &networks.adj;
        Ok(Self { x, adj: ScoreNetworkA::read(&from, "adj", size)? })
    }

    fn forward(&self, input: Input) -> (Tensor<3>, Tensor<3>) {
        let Input { x, adj, mask, time } = input;
        let time = time.as_ref();
        let nodes = match &self.x {
            NodeNetwork::Convolutional(network) => network.forward(x.clone(), adj.clone(), &mask, time),
            NodeNetwork::Attention(network) => network.forward(x.clone(), adj.clone(), &mask, time),
        };
        (nodes, self.adj.forward(x, adj, &mask, time))
    }

    fn collect_gradient(&self, gradients: &mut Gradients, into: &mut ParameterSet) -> Result<(), LayerError> {
        match &self.x {
            NodeNetwork::Convolutional(network) => network.collect_gradient(gradients, into)?,
            NodeNetwork::Attention(network) => network.collect_gradient(gradients, into)?,
        }
        self.adj.collect_gradient(gradients, into)
    }
}
