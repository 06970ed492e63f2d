//! The symmetric normalisation of a graph convolution and the sum over neighbours.
//!
//! `y = (D A D x) W + b` with the diagonal of `A` overwritten by 1 and `D = diag(max(1, row sum)^(-1/2))`. The product
//! with `x` comes first, so that one sum over neighbours serves the queries, keys and values of a channel. Cost:
//! `N^2 (F + 2)` multiply-adds per channel, plus `N` square roots and divisions.

use pulp::{NullaryFnOnce, Simd};

use super::activation::at_least;
use super::extent::for_each_pair;
use super::lanes::Rows;

/// Computes the factors `degree[N]` and the normalised matrix `matrix[N][N]` of one channel.
pub(super) struct Normalise<'a, S: Simd> {
    pub(super) simd: S,
    pub(super) nodes: usize,
    /// The channel is column 0 of these rows, one row per pair.
    pub(super) channel: Rows<'a, S::f32s>,
    pub(super) degree: &'a mut [S::f32s],
    pub(super) matrix: &'a mut [S::f32s],
}

impl<S: Simd> NullaryFnOnce for Normalise<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, nodes, channel, degree, matrix } = self;
        let one = simd.splat_f32s(1.0);
        let degree = &mut degree[..nodes];
        let matrix = &mut matrix[..nodes * nodes];
        degree.fill(one);
        for_each_pair(nodes, |pair, i, j| {
            let a = channel.data[pair * channel.stride];
            degree[i] = simd.add_f32s(degree[i], a);
            degree[j] = simd.add_f32s(degree[j], a);
        });
        for i in 0..nodes {
            let d = simd.div_f32s(one, simd.sqrt_f32s(at_least(simd, one, degree[i])));
            degree[i] = d;
            matrix[i * nodes + i] = simd.mul_f32s(d, d);
        }
        for_each_pair(nodes, |pair, i, j| {
            let a = channel.data[pair * channel.stride];
            let normalised = simd.mul_f32s(simd.mul_f32s(degree[i], a), degree[j]);
            matrix[i * nodes + j] = normalised;
            matrix[j * nodes + i] = normalised;
        });
    }
}

/// `output[i][f] = sum_j matrix[i][j] input[j][f]`, in blocks of 3 nodes by 8 features.
pub(super) struct Aggregate<'a, S: Simd> {
    pub(super) simd: S,
    pub(super) nodes: usize,
    pub(super) matrix: &'a [S::f32s],
    pub(super) input: Rows<'a, S::f32s>,
    pub(super) output: &'a mut [S::f32s],
    pub(super) stride: usize,
    /// Whether the sum is added to what `output` holds.
    pub(super) accumulate: bool,
}

impl<S: Simd> NullaryFnOnce for Aggregate<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        let features = self.input.width;
        let widest = if S::REGISTER_COUNT >= 32 { 8 } else { 4 };
        for first in (0..self.nodes).step_by(3) {
            let mut feature = 0;
            while feature < features {
                let left = features - feature;
                if widest == 8 && left >= 8 {
                    self.block::<8>(first, feature);
                    feature += 8;
                } else if left >= 4 {
                    self.block::<4>(first, feature);
                    feature += 4;
                } else {
                    self.block::<1>(first, feature);
                    feature += 1;
                }
            }
        }
    }
}

impl<S: Simd> Aggregate<'_, S> {
    #[inline(always)]
    fn block<const O: usize>(&mut self, first: usize, feature: usize) {
        let simd = self.simd;
        let nodes = self.nodes;
        let last = nodes - 1;
        let rows = [first, (first + 1).min(last), (first + 2).min(last)];
        let m0 = &self.matrix[rows[0] * nodes..][..nodes];
        let m1 = &self.matrix[rows[1] * nodes..][..nodes];
        let m2 = &self.matrix[rows[2] * nodes..][..nodes];
        let mut sums = [[simd.splat_f32s(0.0); O]; 3];
        let present = if self.accumulate { (nodes - first).min(3) } else { 0 };
        for r in 0..3 {
            if r < present {
                let held = &self.output[rows[r] * self.stride + feature..][..O];
                sums[r].copy_from_slice(held);
            }
        }
        for (j, ((&m0, &m1), &m2)) in m0.iter().zip(m1).zip(m2).enumerate() {
            let x = &self.input.data[j * self.input.stride + feature..][..O];
            for o in 0..O {
                sums[0][o] = simd.mul_add_e_f32s(m0, x[o], sums[0][o]);
                sums[1][o] = simd.mul_add_e_f32s(m1, x[o], sums[1][o]);
                sums[2][o] = simd.mul_add_e_f32s(m2, x[o], sums[2][o]);
            }
        }
        for r in 0..3 {
            if first + r <= last {
                let target = &mut self.output[rows[r] * self.stride + feature..][..O];
                target.copy_from_slice(&sums[r]);
            }
        }
    }
}

/// The powers `A^2, ..., A^count` of the matrix with pairs `A` and zero diagonal; channel `k` of `channels` (one row
/// per pair) receives the pairs of `A^(k+1)`. The diagonals are formed, because they enter the next power, but not kept.
pub(super) struct Powers<'a, S: Simd> {
    pub(super) simd: S,
    pub(super) nodes: usize,
    pub(super) count: usize,
    /// The pairs of A.
    pub(super) pairs: &'a [S::f32s],
    pub(super) channels: &'a mut [S::f32s],
    pub(super) stride: usize,
    /// Three matrices `[N][N]`; not touched if `count` is 1.
    pub(super) scratch: &'a mut [S::f32s],
}

impl<S: Simd> NullaryFnOnce for Powers<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, nodes, count, pairs, channels, stride, scratch } = self;
        for_each_pair(nodes, |pair, _, _| channels[pair * stride] = pairs[pair]);
        if count < 2 {
            return;
        }
        let (base, rest) = scratch.split_at_mut(nodes * nodes);
        let (mut power, mut next) = rest.split_at_mut(nodes * nodes);
        for i in 0..nodes {
            base[i * nodes + i] = simd.splat_f32s(0.0);
        }
        for_each_pair(nodes, |pair, i, j| {
            base[i * nodes + j] = pairs[pair];
            base[j * nodes + i] = pairs[pair];
        });
        for k in 1..count {
            let input = Rows::new(if k == 1 { &*base } else { &*power }, nodes, nodes);
            simd.vectorize(Aggregate {
                simd,
                nodes,
                matrix: base,
                input,
                output: &mut next[..],
                stride: nodes,
                accumulate: false,
            });
            for_each_pair(nodes, |pair, i, j| channels[pair * stride + k] = next[i * nodes + j]);
            std::mem::swap(&mut power, &mut next);
        }
    }
}

/// Backward of [`Normalise`] and [`Aggregate`] to the channel: adds to `channel_gradient` (column 0 of one row per pair)
/// the gradient through `output = matrix input`, given the gradient `delta` of `output`.
///
/// With `G = delta input^T + input delta^T`: `dL/da_ij = d_i d_j G_ij + s_i + s_j`, where
/// `s_i = -1/2 d_i^3 dL/dd_i` if the row sum of node i exceeds 1 and zero otherwise (there the factor is clamped), and
/// `dL/dd_i = sum_(j != i) G_ij a_ij d_j + d_i G_ii`.
pub(super) struct NormaliseBackward<'a, S: Simd> {
    pub(super) simd: S,
    pub(super) nodes: usize,
    pub(super) channel: Rows<'a, S::f32s>,
    pub(super) degree: &'a [S::f32s],
    pub(super) delta: Rows<'a, S::f32s>,
    pub(super) input: Rows<'a, S::f32s>,
    /// `[N]`
    pub(super) degree_gradient: &'a mut [S::f32s],
    pub(super) channel_gradient: &'a mut [S::f32s],
    pub(super) stride: usize,
}

impl<S: Simd> NullaryFnOnce for NormaliseBackward<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, nodes, channel, degree, delta, input, degree_gradient, channel_gradient, stride } =
            self;
        let degree = &degree[..nodes];
        let by_degree = &mut degree_gradient[..nodes];
        let zero = simd.splat_f32s(0.0);
        for i in 0..nodes {
            let mut sum = zero;
            for (&d, &x) in delta.row(i).iter().zip(input.row(i)) {
                sum = simd.mul_add_e_f32s(d, x, sum);
            }
            by_degree[i] = simd.mul_f32s(degree[i], simd.add_f32s(sum, sum));
        }
        for_each_pair(nodes, |pair, i, j| {
            let (di, xi, dj, xj) = (delta.row(i), input.row(i), delta.row(j), input.row(j));
            let (mut forth, mut back) = (zero, zero);
            for (((&di, &xi), &dj), &xj) in di.iter().zip(xi).zip(dj).zip(xj) {
                forth = simd.mul_add_e_f32s(di, xj, forth);
                back = simd.mul_add_e_f32s(dj, xi, back);
            }
            let g = simd.add_f32s(forth, back);
            let ga = simd.mul_f32s(g, channel.data[pair * channel.stride]);
            by_degree[i] = simd.mul_add_e_f32s(ga, degree[j], by_degree[i]);
            by_degree[j] = simd.mul_add_e_f32s(ga, degree[i], by_degree[j]);
            let target = &mut channel_gradient[pair * stride];
            *target = simd.mul_add_e_f32s(simd.mul_f32s(degree[i], degree[j]), g, *target);
        });
        let one = simd.splat_f32s(1.0);
        for i in 0..nodes {
            let d = degree[i];
            let cube = simd.mul_f32s(simd.mul_f32s(d, d), d);
            let slope = simd.mul_f32s(simd.mul_f32s(cube, simd.splat_f32s(-0.5)), by_degree[i]);
            // The factor is below 1 exactly where the row sum exceeds 1.
            by_degree[i] = simd.select_f32s(simd.less_than_f32s(d, one), slope, zero);
        }
        for_each_pair(nodes, |pair, i, j| {
            let target = &mut channel_gradient[pair * stride];
            *target = simd.add_f32s(*target, simd.add_f32s(by_degree[i], by_degree[j]));
        });
    }
}
