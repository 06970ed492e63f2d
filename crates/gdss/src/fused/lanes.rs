//! Graphs in SIMD lanes.
//!
//! (Of small graphs; a large one has all lanes of a tile, see [`super::one_graph`].)
//!
//! A *tile* is as many graphs as a vector register has single-precision lanes (16 with AVX-512, 8 with AVX2, 4 with
//! NEON, 1 without SIMD). Every quantity of the networks is an array `[element][lane]`: element `e` of graph `l` of the
//! tile is lane `l` of vector `e`. So one vector instruction does the same arithmetic for all graphs of the tile, and
//! no graph ever sees another one's numbers.
//!
//! The adjacency is kept as unordered pairs `i < j`, row by row: (0,1), (0,2), ..., (0,N-1), (1,2), ...
//! The diagonal is not stored: it is zero at the input, overwritten by one in every graph convolution, and masked at
//! the output, so it has no influence.

use pulp::Simd;

use super::extent::{for_each_pair, pair_count};
use super::one_graph;

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;

/// An array of vectors that starts on a cache line, so that no vector straddles two.
#[derive(Debug, Default)]
pub(super) struct LaneBuffer {
    storage: Vec<f32>,
    start: usize,
    length: usize,
}

impl LaneBuffer {
    /// Zeros for `vectors` vectors of `S`.
    pub(super) fn new<S: Simd>(vectors: usize) -> Self {
        let length = vectors * S::F32_LANES;
        let storage = vec![0.0; length + LINE / size_of::<f32>()];
        let start = storage.as_ptr().align_offset(LINE).min(LINE / size_of::<f32>());
        Self { storage, start, length }
    }

    /// The vectors.
    #[inline(always)]
    pub(super) fn get<S: Simd>(&self) -> &[S::f32s] {
        S::as_simd_f32s(&self.storage[self.start..self.start + self.length]).0
    }

    /// The vectors, to be written.
    #[inline(always)]
    pub(super) fn get_mut<S: Simd>(&mut self) -> &mut [S::f32s] {
        S::as_mut_simd_f32s(&mut self.storage[self.start..self.start + self.length]).0
    }

    /// The scalars behind the vectors: `[element][lane]`.
    #[inline(always)]
    pub(super) fn scalars(&self) -> &[f32] {
        &self.storage[self.start..self.start + self.length]
    }

    /// The scalars behind the vectors, to be written.
    #[inline(always)]
    pub(super) fn scalars_mut(&mut self) -> &mut [f32] {
        &mut self.storage[self.start..self.start + self.length]
    }

    /// Reads the first `elements` of each `stride` elements of the graphs `members`, `[graph][element]`, to `[element][lane]`. Lanes
    /// without a graph become zero.
    pub(super) fn gather<S: Simd>(
        &mut self,
        graphs: &[f32],
        (stride, elements): (usize, usize),
        members: &[usize],
    ) {
        let lanes = S::F32_LANES;
        let target = &mut self.scalars_mut()[..elements * lanes];
        if members.len() < lanes {
            target.fill(0.0);
        }
        for (lane, &graph) in members.iter().enumerate() {
            let graph = &graphs[graph * stride..][..elements];
            for (vector, &value) in target.chunks_exact_mut(lanes).zip(graph) {
                vector[lane] = value;
            }
        }
    }

    /// As [`LaneBuffer::gather`], of the upper triangles of `[graph][i][j]`, of the first `nodes` of `stride` nodes.
    pub(super) fn gather_pairs<S: Simd>(
        &mut self,
        graphs: &[f32],
        (stride, nodes): (usize, usize),
        members: &[usize],
    ) {
        let lanes = S::F32_LANES;
        let target = &mut self.scalars_mut()[..pair_count(nodes) * lanes];
        if members.len() < lanes {
            target.fill(0.0);
        }
        for (lane, &graph) in members.iter().enumerate() {
            let graph = &graphs[graph * stride * stride..][..stride * stride];
            for_each_pair(nodes, |pair, i, j| target[pair * lanes + lane] = graph[i * stride + j]);
        }
    }

    /// Reads the first `nodes` rows of `width` of one graph, `[node][element]`, to `[block][element][lane]`. Lanes without a node
    /// become zero.
    pub(super) fn gather_nodes<S: Simd>(&mut self, graph: &[f32], nodes: usize, width: usize) {
        let lanes = S::F32_LANES;
        let target = self.scalars_mut();
        target.fill(0.0);
        if width == 0 {
            return;
        }
        for (i, row) in graph.chunks_exact(width).take(nodes).enumerate() {
            let block = &mut target[i / lanes * width * lanes..][..width * lanes];
            for (vector, &value) in block.chunks_exact_mut(lanes).zip(row) {
                vector[i % lanes] = value;
            }
        }
    }

    /// Reads the pairs of the first `nodes` of `stride` nodes of one graph, `[i][j]`, to rows of pairs. Lanes without a pair become
    /// zero.
    pub(super) fn gather_pairs_of_one<S: Simd>(&mut self, graph: &[f32], (stride, nodes): (usize, usize)) {
        let lanes = S::F32_LANES;
        let target = self.scalars_mut();
        target.fill(0.0);
        one_graph::for_each_row(nodes, lanes, |row, i, block| {
            let vector = &mut target[row * lanes..][..lanes];
            for j in (block * lanes).max(i + 1)..(block * lanes + lanes).min(nodes) {
                vector[j - block * lanes] = graph[i * stride + j];
            }
        });
    }

    /// Writes the first elements of one lane to a graph. A masked -0 becomes 0, as what is not written.
    pub(super) fn scatter<S: Simd>(&self, lane: usize, graph: &mut [f32]) {
        for (vector, value) in self.scalars().chunks_exact(S::F32_LANES).zip(graph) {
            *value = vector[lane] + 0.0;
        }
    }

    /// Writes the pairs of one lane as a symmetric matrix over the first `nodes` of `stride` nodes.
    pub(super) fn scatter_pairs<S: Simd>(
        &self,
        lane: usize,
        graph: &mut [f32],
        (stride, nodes): (usize, usize),
    ) {
        let source = self.scalars();
        for_each_pair(nodes, |pair, i, j| {
            let value = source[pair * S::F32_LANES + lane] + 0.0;
            graph[i * stride + j] = value;
            graph[j * stride + i] = value;
        });
    }

    /// Writes the first `nodes` rows of `width` of one graph. A masked -0 becomes 0, as what is not written.
    pub(super) fn scatter_nodes<S: Simd>(&self, graph: &mut [f32], nodes: usize, width: usize) {
        let lanes = S::F32_LANES;
        let source = self.scalars();
        for (i, row) in graph.chunks_exact_mut(width.max(1)).take(nodes).enumerate() {
            for (f, value) in row.iter_mut().enumerate() {
                *value = source[(i / lanes * width + f) * lanes + i % lanes] + 0.0;
            }
        }
    }

    /// Writes rows of pairs as a symmetric matrix over the first `nodes` of `stride` nodes.
    pub(super) fn scatter_pairs_of_one<S: Simd>(&self, graph: &mut [f32], (stride, nodes): (usize, usize)) {
        let lanes = S::F32_LANES;
        let source = self.scalars();
        one_graph::for_each_row(nodes, lanes, |row, i, block| {
            let vector = &source[row * lanes..][..lanes];
            for j in (block * lanes).max(i + 1)..(block * lanes + lanes).min(nodes) {
                let value = vector[j - block * lanes] + 0.0;
                graph[i * stride + j] = value;
                graph[j * stride + i] = value;
            }
        });
    }
}

/// A strided matrix of vectors: row `r` is `data[r * stride..][..width]`.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a, V> {
    pub(super) data: &'a [V],
    pub(super) stride: usize,
    pub(super) width: usize,
}

impl<'a, V> Rows<'a, V> {
    #[inline(always)]
    pub(super) fn new(data: &'a [V], stride: usize, width: usize) -> Self {
        Self { data, stride, width }
    }

    /// A matrix whose rows lie one after the other.
    #[inline(always)]
    pub(super) fn dense(data: &'a [V], width: usize) -> Self {
        Self { data, stride: width, width }
    }

    #[inline(always)]
    pub(super) fn row(&self, row: usize) -> &'a [V] {
        &self.data[row * self.stride..][..self.width]
    }

    /// The matrix from row `first` on.
    #[inline(always)]
    pub(super) fn from(&self, first: usize) -> Self {
        Self { data: &self.data[first * self.stride..], ..*self }
    }
}
