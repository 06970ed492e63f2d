//! Graphs in SIMD lanes.
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

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;

/// Number of unordered pairs of distinct nodes.
pub(super) const fn pair_count(nodes: usize) -> usize {
    nodes * nodes.saturating_sub(1) / 2
}

/// Calls `visit(pair, i, j)` for every pair `i < j` in storage order.
#[inline(always)]
pub(super) fn for_each_pair(nodes: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let mut pair = 0;
    for i in 0..nodes {
        for j in i + 1..nodes {
            visit(pair, i, j);
            pair += 1;
        }
    }
}

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

    /// Copies the first `elements` of each `stride` elements of a graph, `[graph][element]`, to `[element][lane]`, from
    /// graph `first` on. Lanes without a graph become zero.
    pub(super) fn gather<S: Simd>(
        &mut self,
        graphs: &[f32],
        (stride, elements): (usize, usize),
        first: usize,
        count: usize,
    ) {
        let lanes = S::F32_LANES;
        let target = &mut self.scalars_mut()[..elements * lanes];
        if count < lanes {
            target.fill(0.0);
        }
        for lane in 0..count {
            let graph = &graphs[(first + lane) * stride..][..elements];
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
        first: usize,
        count: usize,
    ) {
        let lanes = S::F32_LANES;
        let target = &mut self.scalars_mut()[..pair_count(nodes) * lanes];
        if count < lanes {
            target.fill(0.0);
        }
        for lane in 0..count {
            let graph = &graphs[(first + lane) * stride * stride..][..stride * stride];
            for_each_pair(nodes, |pair, i, j| target[pair * lanes + lane] = graph[i * stride + j]);
        }
    }

    /// Copies the first `graphs.len() / stride` lanes to the first `elements` of the `stride` elements of each graph. A
    /// masked -0 becomes 0, as what is not written.
    pub(super) fn scatter<S: Simd>(&self, graphs: &mut [f32], (stride, elements): (usize, usize)) {
        let lanes = S::F32_LANES;
        let source = &self.scalars()[..elements * lanes];
        for (lane, graph) in graphs.chunks_exact_mut(stride.max(1)).enumerate() {
            for (vector, value) in source.chunks_exact(lanes).zip(graph) {
                *value = vector[lane] + 0.0;
            }
        }
    }

    /// Copies pairs to symmetric matrices `[graph][i][j]` over the first `nodes` of `stride` nodes.
    pub(super) fn scatter_pairs<S: Simd>(&self, graphs: &mut [f32], (stride, nodes): (usize, usize)) {
        let lanes = S::F32_LANES;
        let source = self.scalars();
        for (lane, graph) in graphs.chunks_exact_mut((stride * stride).max(1)).enumerate() {
            for_each_pair(nodes, |pair, i, j| {
                let value = source[pair * lanes + lane] + 0.0;
                graph[i * stride + j] = value;
                graph[j * stride + i] = value;
            });
        }
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
