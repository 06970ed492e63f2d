//! Scratch memory of one thread, and the pool it is kept in between calls.

use std::sync::Mutex;

use pulp::{Arch, Simd, WithSimd};

use super::score_network_a::ScoreNetworkABuffers;
use super::score_network_x::ScoreNetworkXBuffers;
use super::score_network_x_gmh::ScoreNetworkXGmhBuffers;
use super::tile::Tile;
use super::{Networks, NodeNetwork};

/// Arrays of the node network.
#[derive(Debug)]
pub(super) enum NodeBuffers {
    Convolution(Box<ScoreNetworkXBuffers>),
    Attention(Box<ScoreNetworkXGmhBuffers>),
}

/// Arrays of both networks for graphs of one size.
#[derive(Debug)]
pub(super) struct Workspace {
    nodes: usize,
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
    pub(super) fn take(&self, arch: Arch, networks: &Networks, nodes: usize, backward: bool) -> Workspace {
        let idle = self.idle.lock().ok().and_then(|mut idle| {
            let found = idle.iter().position(|w| w.nodes == nodes && w.backward == backward)?;
            Some(idle.swap_remove(found))
        });
        idle.unwrap_or_else(|| arch.dispatch(Allocate { networks, nodes, backward }))
    }

    /// Keeps the workspace for the next call. Where graphs of many sizes come, the oldest make room, so that those kept take
    /// no more memory than [`KEPT`] of the largest size for each thread.
    pub(super) fn give_back(&self, workspace: Workspace, threads: usize) {
        let Ok(mut idle) = self.idle.lock() else { return };
        idle.push(workspace);
        // Memory goes with the pairs of nodes.
        let pairs = |workspace: &Workspace| workspace.nodes * workspace.nodes;
        let room = KEPT * threads * idle.iter().map(pairs).max().unwrap_or(0);
        let mut kept: usize = idle.iter().map(pairs).sum();
        while kept > room {
            kept -= pairs(&idle.remove(0));
        }
    }
}

struct Allocate<'a> {
    networks: &'a Networks,
    nodes: usize,
    backward: bool,
}

impl WithSimd for Allocate<'_> {
    type Output = Workspace;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Workspace {
        let Self { networks, nodes, backward } = self;
        Workspace {
            nodes,
            backward,
            tile: Tile::new::<S>(nodes, networks.features, networks.time, backward),
            x: match &networks.x {
                NodeNetwork::Convolution(x) => {
                    NodeBuffers::Convolution(Box::new(x.buffers::<S>(nodes, backward)))
                }
                NodeNetwork::Attention(x) => {
                    NodeBuffers::Attention(Box::new(x.buffers::<S>(nodes, backward)))
                }
            },
            adj: networks.adj.buffers::<S>(nodes, backward),
        }
    }
}
