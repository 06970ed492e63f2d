//! What is kept of a graph while it grows block by block.
//!
//! Nodes see only their own block and earlier ones, and where [the time is given to virtual nodes alone](crate::TimeOf::Virtual)
//! finished blocks are the same at every step. So of finished blocks everything that later ones look at is kept, and a call
//! computes the nodes of the last block and the pairs that touch one of them: of n nodes, m of which are known, `n^2 - m^2` pairs
//! for `n^2`, with the same bits.
//!
//! Memory of a graph of n nodes: for each layer `2 n^2` rows of pairs, and three of each node.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use equidrift_backend::kernels::matrix::padded;

use super::graph_view::GraphView;
use super::parallel::{Memory, in_parallel};
use crate::error::PardError;

/// Graphs whose nodes are computed together: maps of nodes read their weights once for all of them.
const TOGETHER: usize = 8;

/// What is kept of one graph.
#[derive(Debug, Default)]
pub struct Growth {
    pub(super) denoiser: GrownGraph,
    pub(super) blocks: GrownGraph,
}

/// What is kept of the graphs of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Growing<'a> {
    /// Of all graphs.
    pub graphs: &'a [Mutex<Growth>],
    /// Which of them is in each row of the batch: none twice.
    pub of_rows: &'a [usize],
}

impl<'a> Growing<'a> {
    /// Checks that there is a graph for each row, and none twice: that one would wait for itself.
    pub(super) fn check(&self, rows: usize) -> Result<(), PardError> {
        let mut taken = vec![false; self.graphs.len()];
        let mut free =
            |&graph: &usize| taken.get_mut(graph).is_some_and(|taken| !std::mem::replace(taken, true));
        match self.of_rows.len() == rows && self.of_rows.iter().all(&mut free) {
            true => Ok(()),
            false => Err(PardError::Growing { rows, graphs: self.graphs.len() }),
        }
    }

    /// The results of `work` for all rows, in order, a few rows together, on as many threads as there are.
    pub(super) fn in_parts<R: Send>(
        &self,
        threads: NonZeroUsize,
        work: impl Fn(Range<usize>, &mut [MutexGuard<'a, Growth>], &mut Memory) -> Vec<R> + Sync,
    ) -> Vec<R> {
        let rows = self.of_rows.len();
        let size = TOGETHER.min(rows.div_ceil(threads.get())).max(1);
        let parts = in_parallel(threads, rows.div_ceil(size), |part, memory| {
            let rows = part * size..((part + 1) * size).min(rows);
            // Rows are of different graphs: nobody waits.
            let of_row = |&graph: &usize| self.graphs[graph].lock().unwrap_or_else(PoisonError::into_inner);
            let mut graphs: Vec<_> = self.of_rows[rows.clone()].iter().map(of_row).collect();
            work(rows, &mut graphs, memory)
        });
        parts.into_iter().flatten().collect()
    }
}

/// One of several graphs that are computed together.
#[derive(Debug)]
pub(super) struct GrowingPart<'a> {
    pub(super) graph: &'a GraphView<'a>,
    /// Which rows of all graphs' nodes are of its nodes that are not known.
    pub(super) rows: Range<usize>,
    /// Its pairs `[rows, edge]`.
    pub(super) e: Vec<f32>,
    pub(super) grown: &'a mut GrownGraph,
}

impl GrowingPart<'_> {
    /// Its rows of all graphs' nodes.
    pub(super) fn nodes<'h>(&self, h: &'h [f32]) -> &'h [f32] {
        let width = self.grown.wide;
        &h[self.rows.start * width..self.rows.end * width]
    }
}

/// What is kept of one network on one graph.
#[derive(Debug, Default)]
pub(super) struct GrownGraph {
    /// How many of the nodes are known. What is kept of the others belongs to the call before.
    known: usize,
    nodes: usize,
    /// Padded width of the nodes.
    wide: usize,
    pub(super) layers: Vec<GrownLayer>,
    /// The heads' view of the nodes, `[N, hidden]`.
    pub(super) z: Vec<f32>,
}

/// What is kept of a layer.
#[derive(Debug, Default)]
pub(super) struct GrownLayer {
    /// Queries and keys `[N, edge]`.
    pub(super) q: Vec<f32>,
    pub(super) k: Vec<f32>,
    /// Values `[N, hidden]`.
    pub(super) values: Vec<f32>,
    /// Both factors of the product over third nodes, `[N, N, edge]`.
    pub(super) left: Vec<f32>,
    pub(super) right: Vec<f32>,
}

impl GrownGraph {
    /// How many of the nodes are known.
    pub(super) fn known(&self) -> usize {
        self.known
    }

    /// From now on all nodes of the last call are known.
    pub(super) fn all_known(&mut self) {
        self.known = self.nodes;
    }

    /// Makes room for `nodes` nodes in a network of these widths and so many layers.
    pub(super) fn make_room(&mut self, nodes: usize, [hidden, edge]: [usize; 2], layers: usize) {
        if self.nodes == nodes && self.layers.len() == layers {
            return;
        }
        let (before, known) = (self.nodes, self.known);
        let (wide, deep) = (padded(hidden), padded(edge));
        self.layers.resize_with(layers, GrownLayer::default);
        for layer in &mut self.layers {
            resize(&mut layer.q, nodes * deep);
            resize(&mut layer.k, nodes * deep);
            resize(&mut layer.values, nodes * wide);
            for factor in [&mut layer.left, &mut layer.right] {
                resize(factor, nodes * nodes * deep);
                // Rows move to their new places, the last first: none is overwritten before it has moved.
                for i in (1..known).rev() {
                    factor.copy_within(i * before * deep..(i * before + known) * deep, i * nodes * deep);
                }
            }
        }
        resize(&mut self.z, nodes * wide);
        (self.nodes, self.wide) = (nodes, wide);
    }
}

/// Gives an array so many numbers, and not a byte more: arrays that double would take twice what is reckoned with.
fn resize(array: &mut Vec<f32>, size: usize) {
    array.reserve_exact(size.saturating_sub(array.len()));
    array.resize(size, 0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_pairs_keep_their_values_when_there_is_more_room() {
        let mut graph = GrownGraph::default();
        graph.make_room(3, [16, 16], 1);
        for (at, value) in graph.layers[0].left.iter_mut().enumerate() {
            *value = (at / 16) as f32;
        }
        graph.all_known();
        graph.make_room(5, [16, 16], 1);
        let found: Vec<f32> = (0..9).map(|at| graph.layers[0].left[(at / 3 * 5 + at % 3) * 16]).collect();
        assert_eq!(found, [0., 1., 2., 3., 4., 5., 6., 7., 8.]);
        assert_eq!((graph.known(), graph.z.len(), graph.layers[0].q.len()), (3, 80, 80));
    }
}
