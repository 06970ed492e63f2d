//! Scratch memory of one thread, and the pool it is kept in between calls.

use std::sync::Mutex;

use pulp::{Arch, Simd, WithSimd};

use super::extent::Extent;
use super::score_network_a::ScoreNetworkABuffers;
use super::score_network_x::ScoreNetworkXBuffers;
use super::score_network_x_gmh::ScoreNetworkXGmhBuffers;
use super::tile::Tile;
use super::{Networks, NodeNetwork, ONE_GRAPH_FROM};

/// Arrays of the node network.
#[derive(Debug)]
pub(super) enum NodeBuffers {
    Convolution(Box<ScoreNetworkXBuffers>),
    Attention(Box<ScoreNetworkXGmhBuffers>),
}

/// Arrays of both networks for graphs of one size.
#[derive(Debug)]
pub(super) struct Workspace {
    extent: Extent,
    /// Vectors of a matrix over pairs of nodes; memory goes with them.
    matrix: usize,
    backward: bool,
    pub(super) tile: Tile,
    pub(super) x: NodeBuffers,
    pub(super) adj: ScoreNetworkABuffers,
}

/// Workspaces of the largest size, for each thread, whose memory the idle ones may take together.
const KEPT: usize = 4;

/// Workspaces that no thread uses at the moment.
#[derive(Debug, Default)]
pub(super) struct WorkspacePool {
    idle: Mutex<Vec<Workspace>>,
}

impl WorkspacePool {
    /// A workspace for graphs of this size; a new one if none is idle.
    pub(super) fn take(&self, arch: Arch, networks: &Networks, extent: Extent, backward: bool) -> Workspace {
        let idle = self.idle.lock().ok().and_then(|mut idle| {
            let found = idle.iter().position(|w| w.extent == extent && w.backward == backward)?;
            Some(idle.swap_remove(found))
        });
        idle.unwrap_or_else(|| arch.dispatch(Allocate { networks, extent, backward }))
    }

    /// Keeps the workspace for the next call. Where graphs of many sizes come, the oldest make room, so that those kept take
    /// no more memory than [`KEPT`] of the largest size, or of the largest that lies side by side with others, for each thread:
    /// that holds the many sizes of a set of molecules.
    pub(super) fn give_back(&self, workspace: Workspace, threads: usize) {
        let Ok(mut idle) = self.idle.lock() else { return };
        idle.push(workspace);
        let largest = idle.iter().map(|workspace| workspace.matrix).max().unwrap_or(0);
        let room = KEPT * threads * largest.max(ONE_GRAPH_FROM * ONE_GRAPH_FROM);
        let mut kept: usize = idle.iter().map(|workspace| workspace.matrix).sum();
        while kept > room {
            kept -= idle.remove(0).matrix;
        }
    }
}

struct Allocate<'a> {
    networks: &'a Networks,
    extent: Extent,
    backward: bool,
}

impl WithSimd for Allocate<'_> {
    type Output = Workspace;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Workspace {
        let Self { networks, extent, backward } = self;
        Workspace {
            extent,
            matrix: extent.matrix::<S>(),
            backward,
            tile: Tile::new::<S>(extent, networks.features, networks.time, backward),
            x: match &networks.x {
                NodeNetwork::Convolution(x) => {
                    NodeBuffers::Convolution(Box::new(x.buffers::<S>(extent, backward)))
                }
                NodeNetwork::Attention(x) => {
                    NodeBuffers::Attention(Box::new(x.buffers::<S>(extent, backward)))
                }
            },
            adj: networks.adj.buffers::<S>(extent, backward),
        }
    }
}
