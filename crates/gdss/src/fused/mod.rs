//! Both score networks fused for the CPU: one graph per SIMD lane, activations in cache.
//!
//! A tensor library calls a kernel per operation and streams every intermediate array of the whole batch through
//! memory. Here a tile of graphs (as many as a vector register has lanes) runs through a whole network, so its arrays
//! stay in the caches, the adjacency's symmetry halves the work on edges, and what has no influence on the result is not
//! computed. Every array is laid out `[element][graph of the tile]`.
//!
//! Guarantees:
//! - The arithmetic of a lane is the same whatever the other lanes hold. A graph's result has the same bits for every
//!   batch size, company, padding, number of threads, and also for AVX2 and AVX-512 (without SIMD products and sums are
//!   rounded separately, so the last bits differ). A NaN stays in its graph.
//! - A gradient is a sum over graphs. It is formed in an order that depends on the batch alone: within a tile over lanes
//!   by a fixed tree, over the tiles of a chunk of 32 graphs (of one large graph), then over chunks in double precision.
//!   So it does not depend on the number of threads either (but, in the last bits, on the width of the registers).
//! - Graphs are computed at the size of the largest one beside them in a tile (in a chunk, for gradients), rounded up to
//!   a multiple of four, and not at that of the batch: padding costs little where graphs of like sizes lie side by side.
//! - A graph of 64 nodes and more has a tile for itself, and its nodes lie in the lanes (`one_graph`).
//! - Scratch memory is allocated once per thread and kept; it is `O(N^2)` per lane (per large graph) with a factor of
//!   about the number of edge channels of all layers.
//!
//! The adjacency must be symmetric with zero diagonal, as [`GraphBatch`] says: only the entries above the diagonal are
//! read.

mod activation;
mod attention;
mod attention_backward;
mod attention_buffers;
mod attention_layers;
mod epilogue;
mod extent;
mod gcn;
mod kernels;
mod lanes;
mod linear;
mod mlp;
mod one_graph;
mod score_matching_loss;
mod score_network_a;
mod score_network_x;
mod score_network_x_gmh;
mod tile;
mod weight_gradient;
mod workspace;

use std::sync::Mutex;

pub use equidrift_backend::kernels::Instructions;
use equidrift_backend::weights::ParameterSet;
use pulp::{Arch, NullaryFnOnce, Simd, WithSimd};

use self::extent::{Extent, Layout};
use self::lanes::LaneBuffer;
use self::score_network_a::ScoreNetworkA;
use self::score_network_x::ScoreNetworkX;
use self::score_network_x_gmh::ScoreNetworkXGmh;
use self::workspace::{Workspace, WorkspacePool};
use crate::engine::{
    EngineError, GradientEngine, GraphBatch, LossAndGradient, NetworkOutputs, ScoreEngine, ScoreMatchingBatch,
};
use crate::network_config::{EdgeNetworkConfig, NetworksConfig, NodeNetworkConfig};
use crate::parameters::check_parameters;

/// Graphs whose gradients one thread sums in single precision. A multiple of every number of lanes.
const GRAPHS_PER_CHUNK: usize = 16;
/// Sizes of graphs side by side that are told apart. Each has scratch memory of its own.
const SIZE_STEP: usize = 2;
/// Nodes from which a graph is computed by itself (measured by `benches/gdss_large_graphs.rs`). A graph's own size decides,
/// not its company, so that its result does not depend on that.
const ONE_GRAPH_FROM: usize = 64;
/// Sizes of large graphs that are told apart: whole blocks of the widest vectors.
const LARGE_SIZE_STEP: usize = 16;
/// Lanes that a large graph is laid along.
const ONE_GRAPH_LANES: std::ops::RangeInclusive<usize> = 4..=16;
/// Chunks whose gradients are held at the same time.
const CHUNKS_PER_WAVE: usize = 64;

/// The node network in packed form.
#[derive(Debug, Clone)]
enum NodeNetwork {
    Convolution(ScoreNetworkX),
    Attention(ScoreNetworkXGmh),
}

/// Both networks in packed form.
#[derive(Debug, Clone)]
struct Networks {
    x: NodeNetwork,
    adj: ScoreNetworkA,
    features: usize,
    /// Features of the time.
    time: usize,
    /// Length of the flat gradient of both.
    gradient_length: usize,
}

impl Networks {
    fn new(config: &NetworksConfig, parameters: &ParameterSet) -> Result<Self, EngineError> {
        config.check()?;
        check_parameters(config, parameters)?;
        let mut offset = 0;
        let x = match &config.x {
            NodeNetworkConfig::ScoreNetworkX(sizes) => {
                NodeNetwork::Convolution(ScoreNetworkX::new(sizes, parameters, &mut offset)?)
            }
            NodeNetworkConfig::ScoreNetworkXGmh(sizes) => {
                NodeNetwork::Attention(ScoreNetworkXGmh::new(sizes, parameters, &mut offset)?)
            }
        };
        let EdgeNetworkConfig::ScoreNetworkA(sizes) = &config.adj;
        let adj = ScoreNetworkA::new(sizes, parameters, &mut offset)?;
        Ok(Self {
            x,
            adj,
            features: config.features(),
            time: config.time_features(),
            gradient_length: offset,
        })
    }

    fn unpack_gradient(&self, gradient: &[f64]) -> ParameterSet {
        let mut set = ParameterSet::new();
        match &self.x {
            NodeNetwork::Convolution(x) => {
                x.linears().for_each(|linear| linear.unpack_gradient(gradient, &mut set));
            }
            NodeNetwork::Attention(x) => {
                x.linears().for_each(|linear| linear.unpack_gradient(gradient, &mut set));
            }
        }
        self.adj.linears().for_each(|linear| linear.unpack_gradient(gradient, &mut set));
        set
    }
}

/// The fused CPU engine, single precision.
#[derive(Debug)]
pub struct FusedEngine {
    config: NetworksConfig,
    networks: Networks,
    arch: Arch,
    name: String,
    threads: usize,
    workspaces: WorkspacePool,
}

impl FusedEngine {
    /// Packs the parameters of both networks. `threads` (at least 1) share each call's graphs.
    ///
    /// # Errors
    /// [`EngineError::Parameters`] if a name or shape is not the networks' or a value is not finite.
    pub fn new(
        config: &NetworksConfig,
        parameters: &ParameterSet,
        threads: usize,
    ) -> Result<Self, EngineError> {
        Self::with_instructions(config, parameters, threads, Instructions::Detect)
    }

    /// As [`FusedEngine::new`], with given vector instructions.
    ///
    /// # Errors
    /// Also [`EngineError::Device`] if the machine does not have them.
    pub fn with_instructions(
        config: &NetworksConfig,
        parameters: &ParameterSet,
        threads: usize,
        instructions: Instructions,
    ) -> Result<Self, EngineError> {
        let Some(arch) = instructions.arch() else {
            return Err(EngineError::Device {
                engine: "fused".to_owned(),
                reason: format!("this machine has no {instructions:?} instructions"),
            });
        };
        let lanes = arch.dispatch(CountLanes);
        Ok(Self {
            config: config.clone(),
            networks: Networks::new(config, parameters)?,
            arch,
            name: format!("fused, {lanes} {} per vector", if lanes == 1 { "graph" } else { "graphs" }),
            threads: threads.max(1),
            workspaces: WorkspacePool::default(),
        })
    }

    /// Runs `work` on as many threads as there are jobs for, one of them this one.
    fn run(&self, jobs: usize, work: impl Fn() + Sync) {
        let threads = self.threads.min(jobs).max(1);
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(&work);
            }
            work();
        });
    }
}

impl ScoreEngine for FusedEngine {
    fn name(&self) -> &str {
        &self.name
    }

    /// Graphs per vector: a tile takes the same time however many of its lanes are in use.
    fn lanes(&self) -> usize {
        self.arch.dispatch(CountLanes)
    }

    fn alone_from(&self) -> usize {
        ONE_GRAPH_FROM
    }

    fn evaluate(&self, batch: &GraphBatch<'_>) -> Result<NetworkOutputs, EngineError> {
        batch.check(self.networks.features)?;
        let (b, n, f) = (batch.batch, batch.nodes, batch.features);
        let mut outputs = NetworkOutputs { x: vec![0.0; b * n * f], adj: vec![0.0; b * n * n] };
        if b * n == 0 {
            return Ok(outputs);
        }
        let mut places: Vec<_> =
            outputs.x.chunks_mut(n * f).zip(outputs.adj.chunks_mut(n * n)).map(Some).collect();
        let lanes = self.lanes();
        let tiles: Vec<_> = parts(batch, lanes, lanes)
            .into_iter()
            .map(|part| {
                let places: Vec<_> = part.members.iter().filter_map(|&graph| places[graph].take()).collect();
                (part, places)
            })
            .collect();
        let jobs = tiles.len();
        let queue = Mutex::new(tiles.into_iter());
        self.run(jobs, || {
            // The iterator cannot panic, so the lock is never poisoned.
            let next = || queue.lock().ok().and_then(|mut tiles| tiles.next());
            while let Some((part, places)) = next() {
                let mut workspace = self.workspaces.take(self.arch, &self.networks, part.extent, false);
                self.arch.dispatch(EvaluateTile {
                    networks: &self.networks,
                    batch,
                    members: &part.members,
                    workspace: &mut workspace,
                    places,
                });
                self.workspaces.give_back(workspace, self.threads);
            }
        });
        Ok(outputs)
    }
}

impl GradientEngine for FusedEngine {
    fn set_parameters(&mut self, parameters: &ParameterSet) -> Result<(), EngineError> {
        self.networks = Networks::new(&self.config, parameters)?;
        Ok(())
    }

    fn loss_and_gradient(&self, batch: &ScoreMatchingBatch<'_>) -> Result<LossAndGradient, EngineError> {
        batch.check(self.networks.features)?;
        let (b, n) = (batch.graphs.batch, batch.graphs.nodes);
        let length = self.networks.gradient_length;
        let mut total = vec![0.0_f64; length];
        let mut losses = vec![[0.0_f32; 2]; b];
        if b * n > 0 {
            let chunks = parts(&batch.graphs, GRAPHS_PER_CHUNK, self.lanes());
            let mut partial = vec![0.0_f32; chunks.len().min(CHUNKS_PER_WAVE) * length];
            for wave in chunks.chunks(CHUNKS_PER_WAVE) {
                let partial = &mut partial[..wave.len() * length];
                partial.fill(0.0);
                let mut found: Vec<_> = wave.iter().map(|part| vec![[0.0; 2]; part.members.len()]).collect();
                let queue = Mutex::new(wave.iter().zip(&mut found).zip(partial.chunks_mut(length)));
                self.run(wave.len(), || {
                    let next = || queue.lock().ok().and_then(|mut chunks| chunks.next());
                    while let Some(((part, losses), gradient)) = next() {
                        let mut workspace =
                            self.workspaces.take(self.arch, &self.networks, part.extent, true);
                        self.arch.dispatch(DifferentiateChunk {
                            networks: &self.networks,
                            batch,
                            members: &part.members,
                            workspace: &mut workspace,
                            losses,
                            gradient,
                        });
                        self.workspaces.give_back(workspace, self.threads);
                    }
                });
                for (part, found) in wave.iter().zip(found) {
                    for (&graph, loss) in part.members.iter().zip(found) {
                        losses[graph] = loss;
                    }
                }
                for gradient in partial.chunks(length) {
                    for (total, &part) in total.iter_mut().zip(gradient) {
                        *total += f64::from(part);
                    }
                }
            }
        }
        let mean = 1.0 / b.max(1) as f64;
        total.iter_mut().for_each(|g| *g *= mean);
        let loss = |network: usize| losses.iter().map(|loss| f64::from(loss[network])).sum::<f64>() * mean;
        Ok(LossAndGradient {
            loss_x: loss(0),
            loss_adj: loss(1),
            gradient: self.networks.unpack_gradient(&total),
        })
    }
}

/// Graphs that one thread computes with one workspace.
struct Part {
    extent: Extent,
    /// Numbers of the graphs in the batch.
    members: Vec<usize>,
}

/// Splits a batch: large graphs by themselves, up to `count` small ones of nearly the same size together. All graphs of a part are
/// padded to its largest.
fn parts(batch: &GraphBatch<'_>, count: usize, lanes: usize) -> Vec<Part> {
    let size = |graph: usize| {
        let mask = &batch.mask[graph * batch.nodes..][..batch.nodes];
        mask.iter().rposition(|&real| real != 0.0).map_or(0, |node| node + 1)
    };
    let large = |graph: &usize| size(*graph) >= ONE_GRAPH_FROM && ONE_GRAPH_LANES.contains(&lanes);
    let (alone, mut together): (Vec<_>, Vec<_>) = (0..batch.batch).partition(large);
    together.sort_by_cached_key(|&graph| size(graph));
    let part = |layout, members: &[usize], step| {
        let largest = members.iter().map(|&graph| size(graph)).max().unwrap_or(0);
        let nodes = largest.next_multiple_of(step).clamp(1, batch.nodes);
        Part { extent: Extent { layout, nodes }, members: members.to_vec() }
    };
    let alone = alone.chunks(1).map(|graph| part(Layout::Nodes, graph, LARGE_SIZE_STEP));
    alone.chain(together.chunks(count).map(|graphs| part(Layout::Graphs, graphs, SIZE_STEP))).collect()
}

struct CountLanes;

impl WithSimd for CountLanes {
    type Output = usize;

    fn with_simd<S: Simd>(self, _simd: S) -> usize {
        S::F32_LANES
    }
}

/// Both networks at one tile.
struct EvaluateTile<'a> {
    networks: &'a Networks,
    batch: &'a GraphBatch<'a>,
    members: &'a [usize],
    workspace: &'a mut Workspace,
    /// Where the outputs of each member go.
    places: Vec<(&'a mut [f32], &'a mut [f32])>,
}

impl WithSimd for EvaluateTile<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { networks, batch, members, workspace, places } = self;
        workspace.tile.load(simd, batch, members);
        let view = workspace.tile.view::<S>();
        let x: &LaneBuffer = match (&networks.x, &mut workspace.x) {
            (NodeNetwork::Convolution(network), workspace::NodeBuffers::Convolution(buffers)) => {
                network.forward(simd, view, buffers)
            }
            (NodeNetwork::Attention(network), workspace::NodeBuffers::Attention(buffers)) => {
                network.forward(simd, view, buffers)
            }
            _ => unreachable!("the workspace was made for these networks"),
        };
        let adj = networks.adj.forward(simd, view, &mut workspace.adj);
        let Extent { layout, nodes } = view.extent;
        for (lane, (to_x, to_adj)) in places.into_iter().enumerate() {
            match layout {
                Layout::Graphs => {
                    x.scatter::<S>(lane, &mut to_x[..nodes * batch.features]);
                    adj.scatter_pairs::<S>(lane, to_adj, (batch.nodes, nodes));
                }
                Layout::Nodes => {
                    x.scatter_nodes::<S>(to_x, nodes, batch.features);
                    adj.scatter_pairs_of_one::<S>(to_adj, (batch.nodes, nodes));
                }
            }
        }
    }
}

/// Losses and gradients of both networks over one chunk of graphs.
struct DifferentiateChunk<'a> {
    networks: &'a Networks,
    batch: &'a ScoreMatchingBatch<'a>,
    members: &'a [usize],
    workspace: &'a mut Workspace,
    /// One entry per graph of the chunk.
    losses: &'a mut [[f32; 2]],
    gradient: &'a mut [f32],
}

impl WithSimd for DifferentiateChunk<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { networks, batch, members, workspace, losses, gradient } = self;
        for (members, losses) in members.chunks(S::F32_LANES).zip(losses.chunks_mut(S::F32_LANES)) {
            workspace.tile.load(simd, &batch.graphs, members);
            workspace.tile.load_targets::<S>(batch, members);
            let view = workspace.tile.view::<S>();
            let [target_x, target_adj] = workspace.tile.targets::<S>();
            let loss_x = match (&networks.x, &mut workspace.x) {
                (NodeNetwork::Convolution(network), workspace::NodeBuffers::Convolution(buffers)) => {
                    network.loss_and_gradient(simd, view, target_x, buffers, gradient)
                }
                (NodeNetwork::Attention(network), workspace::NodeBuffers::Attention(buffers)) => {
                    network.loss_and_gradient(simd, view, target_x, buffers, gradient)
                }
                _ => unreachable!("the workspace was made for these networks"),
            };
            let loss_adj =
                networks.adj.loss_and_gradient(simd, view, target_adj, &mut workspace.adj, gradient);
            match view.extent.layout {
                Layout::Graphs => simd.vectorize(StoreLosses { simd, loss_x, loss_adj, losses }),
                Layout::Nodes => losses[0] = [loss_x, loss_adj].map(|loss| simd.reduce_sum_f32s(loss)),
            }
        }
    }
}

struct StoreLosses<'a, S: Simd> {
    simd: S,
    loss_x: S::f32s,
    loss_adj: S::f32s,
    losses: &'a mut [[f32; 2]],
}

impl<S: Simd> NullaryFnOnce for StoreLosses<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let mut lanes = LaneBuffer::new::<S>(2);
        let vectors = lanes.get_mut::<S>();
        vectors[0] = self.loss_x;
        vectors[1] = self.loss_adj;
        let (x, adj) = lanes.scalars().split_at(S::F32_LANES);
        for ((losses, &x), &adj) in self.losses.iter_mut().zip(x).zip(adj) {
            *losses = [x, adj];
        }
        let _ = self.simd;
    }
}
