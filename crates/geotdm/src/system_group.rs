//! Systems of equal shape on a device.
//!
//! A batch may hold systems of any sizes; those of one shape (nodes, edges, frames) are computed side by side, without
//! padding. Every product has the system as its batch index, so that a system's bits do not depend on its neighbours.

use burn::tensor::{DType, Device, Tensor, TensorData};
use equidrift_nn::EdgeList;

use crate::error::GeotdmError;
use crate::extrapolation::Forecast;
use crate::network_config::{NetworkConfig, Prior};
use crate::system::System;

/// `G` systems of `N` nodes and `M` edges each. Values of nodes in frames are `[G, N T, C]`, the frames of a node side by
/// side.
#[derive(Debug, Clone)]
pub struct SystemGroup {
    pub(crate) edges: EdgeList,
    /// `[G, N frames, F]`.
    pub(crate) node_features: Tensor<3>,
    /// 1, or all frames.
    pub(crate) feature_frames: usize,
    /// `[G, M, E]`.
    pub(crate) edge_features: Option<Tensor<3>>,
    /// `[G, N given frames, D]`.
    pub(crate) given: Option<Tensor<3>>,
    /// The reference and the scale of a linear forecast, `[G, N T, D]`.
    pub(crate) forecast: Option<[Tensor<3>; 2]>,
    pub(crate) given_frames: usize,
    /// Those of them before the made ones.
    pub(crate) before: usize,
    pub(crate) frames: usize,
    pub(crate) dimensions: usize,
}

impl SystemGroup {
    /// Systems of one shape, for networks of this configuration.
    ///
    /// # Errors
    /// [`GeotdmError::Count`] if a system has other features than the networks take, frames are given to an unconditional
    /// model or none to a conditional one, or the systems are not of one shape.
    pub fn new(
        config: &NetworkConfig,
        systems: &[&System],
        device: &Device,
        dtype: DType,
    ) -> Result<Self, GeotdmError> {
        let Some(first) = systems.first() else {
            return Err(GeotdmError::Count { what: "systems of a group", expected: 1, found: 0 });
        };
        let count = |what, expected, found| {
            if expected == found { Ok(()) } else { Err(GeotdmError::Count { what, expected, found }) }
        };
        let (nodes, edges) = (first.graph.nodes(), first.graph.edges().len());
        let (frames, dimensions) = (first.frames, first.dimensions);
        let (given_frames, feature_frames) = (first.given_frames(), first.graph.feature_frames());
        for system in systems {
            let graph = &system.graph;
            count("nodes of a system", nodes, graph.nodes())?;
            count("edges of a system", edges, graph.edges().len())?;
            count("frames of a system", frames, system.frames)?;
            count("given numbers of a system", nodes * given_frames * dimensions, system.given.len())?;
            count("given frames behind the made ones", first.behind, system.behind)?;
            count("coordinates of a position", dimensions, system.dimensions)?;
            count("frames of node features", feature_frames, graph.feature_frames())?;
            count("features of a node", config.node_features, graph.node_width())?;
            if edges > 0 {
                count("features of an edge", config.edge_features, graph.edge_width())?;
            }
        }
        first.check_behind(config.prior == Prior::Extrapolated)?;
        if feature_frames != 1 {
            count("frames of node features", given_frames + frames, feature_frames)?;
        }
        if config.prior.is_conditional() == (given_frames == 0) || frames == 0 || dimensions == 0 {
            let expected = usize::from(config.prior.is_conditional());
            return Err(GeotdmError::Count { what: "given frames", expected, found: given_frames });
        }
        let tensor = |of: &dyn Fn(&System) -> Vec<f64>, rows: usize, width: usize| {
            let values: Vec<f64> = systems.iter().flat_map(|system| of(system)).collect();
            from_host(values, [systems.len(), rows, width], device, dtype)
        };
        let forecasts = config.extrapolation.as_ref().map(|extrapolation| {
            systems.iter().map(|system| extrapolation.forecast(system)).collect::<Result<Vec<_>, _>>()
        });
        let forecast = forecasts.transpose()?.map(|forecasts| {
            let joined = |of: &dyn Fn(&Forecast) -> &[f64]| {
                let values = forecasts.iter().flat_map(|forecast| of(forecast).iter().copied()).collect();
                from_host(values, [systems.len(), nodes * frames, dimensions], device, dtype)
            };
            [joined(&|of| &of.reference), joined(&|of| &of.scale)]
        });
        let has_edge_features = edges > 0 && config.edge_features > 0;
        let lists: Vec<&[[usize; 2]]> = systems.iter().map(|system| system.graph.edges()).collect();
        Ok(Self {
            edges: EdgeList::new(nodes, &lists, device, dtype),
            node_features: tensor(
                &|system| system.graph.node_features().to_vec(),
                nodes * feature_frames,
                config.node_features,
            ),
            feature_frames,
            edge_features: has_edge_features.then(|| {
                tensor(&|system| system.graph.edge_features().to_vec(), edges, config.edge_features)
            }),
            given: (given_frames > 0)
                .then(|| tensor(&|system| system.given.clone(), nodes * given_frames, dimensions)),
            forecast,
            given_frames,
            before: first.before(),
            frames,
            dimensions,
        })
    }

    /// Number of systems `G`.
    #[must_use]
    pub fn systems(&self) -> usize {
        self.edges.systems()
    }

    /// Nodes `N` of each.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.edges.nodes()
    }

    /// Frames to be made.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Frames that are given.
    #[must_use]
    pub fn given_frames(&self) -> usize {
        self.given_frames
    }

    /// Coordinates of a position `D`.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The shape of what is made, `[G, N T, D]`.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        [self.systems(), self.nodes() * self.frames, self.dimensions]
    }

    /// Positions with the given frames put around the made ones: `[G, N T, D]` to `[G, N (given + T), D]`.
    pub(crate) fn with_given(&self, made: Tensor<3>) -> Tensor<3> {
        let Some(given) = self.given.clone() else { return made };
        let [g, n, d] = [self.systems(), self.nodes(), self.dimensions];
        let of_nodes = |x: Tensor<3>, frames: usize| x.reshape([g * n, frames, d]);
        Tensor::cat(self.around(of_nodes(given, self.given_frames), of_nodes(made, self.frames)), 1)
            .reshape([g, n * (self.given_frames + self.frames), d])
    }

    /// Values of the made frames with 0 in the given ones: `[G, N T, C]` to `[G, N (given + T), C]`.
    pub(crate) fn among_given(&self, made: Tensor<3>) -> Tensor<3> {
        let [g, rows, width] = made.dims();
        if self.given_frames == 0 {
            return made;
        }
        let (sequences, given) = (g * rows / self.frames, self.given_frames);
        let zeros = Tensor::zeros([sequences, given, width], (&made.device(), made.dtype()));
        let made = made.reshape([sequences, self.frames, width]);
        Tensor::cat(self.around(zeros, made), 1).reshape([
            g,
            rows / self.frames * (given + self.frames),
            width,
        ])
    }

    /// Values of given frames `[sequences, given, C]` before and behind those of made ones.
    fn around(&self, given: Tensor<3>, made: Tensor<3>) -> Vec<Tensor<3>> {
        let behind = self.given_frames - self.before;
        if behind == 0 {
            return vec![given, made];
        }
        vec![given.clone().narrow(1, 0, self.before), made, given.narrow(1, self.before, behind)]
    }

    /// The made frames of values with all frames of a node, `[G, N (given + T), C]` to `[G, N T, C]`.
    pub(crate) fn made_frames(&self, values: Tensor<3>) -> Tensor<3> {
        self.some_frames(values, self.given_frames + self.frames, self.before, self.frames)
    }

    /// Only the frames from `first` on, `count` of them, of values with `frames` frames a node.
    pub(crate) fn some_frames(
        &self,
        values: Tensor<3>,
        frames: usize,
        first: usize,
        count: usize,
    ) -> Tensor<3> {
        let [g, rows, width] = values.dims();
        if count == frames {
            return values;
        }
        let sequences = g * rows / frames;
        values.reshape([sequences, frames, width]).narrow(1, first, count).reshape([
            g,
            rows / frames * count,
            width,
        ])
    }
}

/// Host numbers on a device.
pub(crate) fn from_host<const D: usize>(
    values: Vec<f64>,
    shape: [usize; D],
    device: &Device,
    dtype: DType,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape).convert_dtype(dtype), (device, dtype))
}

/// Numbers of a device on the host.
///
/// # Errors
/// [`GeotdmError::Values`].
pub(crate) fn to_host<const D: usize>(
    what: &'static str,
    values: Tensor<D>,
) -> Result<Vec<f64>, GeotdmError> {
    values.try_into_vec_as::<f64>().map_err(|error| GeotdmError::Values { what, reason: error.to_string() })
}

/// Takes the mean over all nodes and frames of each system away: `[G, N T, D]`, one point for each system.
pub(crate) fn without_joint_mean(x: Tensor<3>) -> Tensor<3> {
    x.clone() - x.mean_dim(1)
}
