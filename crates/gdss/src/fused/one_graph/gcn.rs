//! The symmetric normalisation of a graph convolution, sums over neighbours and powers of the adjacency, of one graph.
//! What they compute is told in [`super::super::gcn`].

use pulp::{NullaryFnOnce, Simd};

use super::super::activation::at_least;
use super::super::lanes::Rows;
use super::{GROUP, first_row, for_each_row, group, scalars, scalars_mut};

/// Copies the pairs of a channel (column 0 of its rows, zero where masked) to a symmetric matrix with zero diagonal.
#[inline(always)]
fn symmetric<S: Simd>(nodes: usize, channel: Rows<'_, S::f32s>, matrix: &mut [S::f32s]) {
    let lanes = S::F32_LANES;
    let blocks = nodes.div_ceil(lanes);
    for_each_row(nodes, lanes, |row, i, block| {
        matrix[i * blocks + block] = channel.data[row * channel.stride];
    });
    let width = blocks * lanes;
    let matrix = scalars_mut(matrix);
    for first in (0..nodes).step_by(lanes) {
        let last = (first + lanes).min(nodes);
        for j in first..nodes {
            let (above, from_j) = matrix.split_at_mut(j * width);
            for i in first..last.min(j) {
                from_j[i] = above[i * width + j];
            }
        }
    }
}

/// Computes the factors `degree[blocks]` and the normalised matrix of one channel.
pub(in super::super) struct Normalise<'a, S: Simd> {
    pub(in super::super) simd: S,
    pub(in super::super) nodes: usize,
    pub(in super::super) channel: Rows<'a, S::f32s>,
    pub(in super::super) degree: &'a mut [S::f32s],
    pub(in super::super) matrix: &'a mut [S::f32s],
}

impl<S: Simd> NullaryFnOnce for Normalise<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, nodes, channel, degree, matrix } = self;
        let lanes = S::F32_LANES;
        let blocks = nodes.div_ceil(lanes);
        let one = simd.splat_f32s(1.0);
        let degree = &mut degree[..blocks];
        let matrix = &mut matrix[..nodes * blocks];
        symmetric::<S>(nodes, channel, matrix);
        degree.fill(one);
        for row in matrix.chunks_exact(blocks) {
            for (sum, &a) in degree.iter_mut().zip(row) {
                *sum = simd.add_f32s(*sum, a);
            }
        }
        for d in &mut *degree {
            *d = simd.div_f32s(one, simd.sqrt_f32s(at_least(simd, one, *d)));
        }
        for (i, row) in matrix.chunks_exact_mut(blocks).enumerate() {
            let own = scalars(degree)[i];
            let factor = simd.splat_f32s(own);
            for (a, &d) in row.iter_mut().zip(&*degree) {
                *a = simd.mul_f32s(simd.mul_f32s(factor, *a), d);
            }
            scalars_mut(row)[i] = own * own;
        }
    }
}

/// Scalars that a [`Product`] multiplies with the rows of its matrix.
trait Factors: Copy {
    /// Factors `first..first + O` of row `j`.
    fn load<const O: usize>(self, j: usize, first: usize) -> [f32; O];
}

/// Elements of nodes, `[block][stride][lane]`.
#[derive(Clone, Copy)]
struct OfNodes<'a, const LANES: usize> {
    values: &'a [f32],
    stride: usize,
}

/// Entries of the rows of a matrix.
#[derive(Clone, Copy)]
struct OfMatrix<'a> {
    values: &'a [f32],
    stride: usize,
}

impl Factors for OfMatrix<'_> {
    #[inline(always)]
    fn load<const O: usize>(self, j: usize, first: usize) -> [f32; O] {
        let values = &self.values[j * self.stride + first..][..O];
        std::array::from_fn(|o| values[o])
    }
}

impl<const LANES: usize> Factors for OfNodes<'_, LANES> {
    #[inline(always)]
    fn load<const O: usize>(self, j: usize, first: usize) -> [f32; O] {
        let values = &self.values[(j / LANES * self.stride + first) * LANES..][..O * LANES];
        std::array::from_fn(|o| values[o * LANES + j % LANES])
    }
}

/// `output[b * block_step + f * factor_step] = sum_j matrix[j][b] factor(j, f)`, in tiles of 3 blocks by 8 factors.
struct Product<'a, S: Simd, F> {
    simd: S,
    nodes: usize,
    matrix: &'a [S::f32s],
    factors: F,
    count: usize,
    output: &'a mut [S::f32s],
    block_step: usize,
    factor_step: usize,
    accumulate: bool,
}

impl<S: Simd, F: Factors> Product<'_, S, F> {
    #[inline(always)]
    fn run(mut self) {
        let blocks = self.nodes.div_ceil(S::F32_LANES);
        let wide = S::REGISTER_COUNT >= 32;
        for block in (0..blocks).step_by(3) {
            let mut factor = 0;
            while factor < self.count {
                let left = self.count - factor;
                factor += if wide && left >= 8 {
                    self.tile::<8>(block, factor, blocks)
                } else if left >= 4 {
                    self.tile::<4>(block, factor, blocks)
                } else {
                    self.tile::<1>(block, factor, blocks)
                };
            }
        }
    }

    #[inline(always)]
    fn tile<const O: usize>(&mut self, block: usize, factor: usize, blocks: usize) -> usize {
        let simd = self.simd;
        let members = [block, (block + 1).min(blocks - 1), (block + 2).min(blocks - 1)];
        let present = (blocks - block).min(3);
        let mut sums = [[simd.splat_f32s(0.0); O]; 3];
        if self.accumulate {
            for (sums, b) in sums.iter_mut().zip(members) {
                for (o, sum) in sums.iter_mut().enumerate() {
                    *sum = self.output[b * self.block_step + (factor + o) * self.factor_step];
                }
            }
        }
        for (j, row) in self.matrix.chunks_exact(blocks).take(self.nodes).enumerate() {
            let row = &row[..blocks];
            let [m0, m1, m2] = [row[members[0]], row[members[1]], row[members[2]]];
            let factors = self.factors.load::<O>(j, factor);
            for o in 0..O {
                let x = simd.splat_f32s(factors[o]);
                sums[0][o] = simd.mul_add_e_f32s(m0, x, sums[0][o]);
                sums[1][o] = simd.mul_add_e_f32s(m1, x, sums[1][o]);
                sums[2][o] = simd.mul_add_e_f32s(m2, x, sums[2][o]);
            }
        }
        for r in 0..3 {
            if r < present {
                for (o, &sum) in sums[r].iter().enumerate() {
                    self.output[members[r] * self.block_step + (factor + o) * self.factor_step] = sum;
                }
            }
        }
        O
    }
}

/// `output[i] = sum_j matrix[i][j] input[j]` of a symmetric matrix.
pub(in super::super) struct Aggregate<'a, S: Simd> {
    pub(in super::super) simd: S,
    pub(in super::super) nodes: usize,
    pub(in super::super) matrix: &'a [S::f32s],
    pub(in super::super) input: Rows<'a, S::f32s>,
    pub(in super::super) output: &'a mut [S::f32s],
    pub(in super::super) stride: usize,
    pub(in super::super) accumulate: bool,
}

impl<S: Simd> NullaryFnOnce for Aggregate<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, nodes, matrix, input, output, stride, accumulate } = self;
        let (values, count) = (scalars(input.data), input.width);
        let (block_step, factor_step) = (stride, 1);
        // The number of lanes as a constant, so that no index within a vector is checked.
        match S::F32_LANES {
            16 => {
                let factors = OfNodes::<16> { values, stride: input.stride };
                Product { simd, nodes, matrix, factors, count, output, block_step, factor_step, accumulate }
                    .run();
            }
            8 => {
                let factors = OfNodes::<8> { values, stride: input.stride };
                Product { simd, nodes, matrix, factors, count, output, block_step, factor_step, accumulate }
                    .run();
            }
            4 => {
                let factors = OfNodes::<4> { values, stride: input.stride };
                Product { simd, nodes, matrix, factors, count, output, block_step, factor_step, accumulate }
                    .run();
            }
            lanes => unreachable!("{lanes} lanes: large graphs are laid along vectors of 4, 8 or 16"),
        }
    }
}

/// The powers `A^2, ..., A^count` of the matrix with pairs `A`; channel `k` of `channels` receives the pairs of
/// `A^(k+1)`.
pub(in super::super) struct Powers<'a, S: Simd> {
    pub(in super::super) simd: S,
    pub(in super::super) nodes: usize,
    pub(in super::super) count: usize,
    pub(in super::super) pairs: &'a [S::f32s],
    /// One for every pair and zero elsewhere.
    pub(in super::super) mask: &'a [S::f32s],
    pub(in super::super) channels: &'a mut [S::f32s],
    pub(in super::super) stride: usize,
    /// Three matrices; not touched if `count` is 1.
    pub(in super::super) scratch: &'a mut [S::f32s],
}

impl<S: Simd> NullaryFnOnce for Powers<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, nodes, count, pairs, mask, channels, stride, scratch } = self;
        let lanes = S::F32_LANES;
        let blocks = nodes.div_ceil(lanes);
        for (row, &pair) in pairs.iter().enumerate() {
            channels[row * stride] = pair;
        }
        if count < 2 {
            return;
        }
        let (base, rest) = scratch.split_at_mut(nodes * blocks);
        let (mut power, mut next) = rest.split_at_mut(nodes * blocks);
        symmetric::<S>(nodes, Rows::dense(pairs, 1), base);
        for k in 1..count {
            let values = scalars(if k == 1 { &*base } else { &*power });
            Product {
                simd,
                nodes,
                matrix: base,
                factors: OfMatrix { values, stride: blocks * lanes },
                count: nodes,
                output: &mut *next,
                block_step: 1,
                factor_step: blocks,
                accumulate: false,
            }
            .run();
            for_each_row(nodes, lanes, |row, i, block| {
                channels[row * stride + k] = simd.mul_f32s(mask[row], next[i * blocks + block]);
            });
            std::mem::swap(&mut power, &mut next);
        }
    }
}

/// Backward of [`Normalise`] and [`Aggregate`] to the channel. Masked lanes of `channel_gradient` become arbitrary.
pub(in super::super) struct NormaliseBackward<'a, S: Simd> {
    pub(in super::super) simd: S,
    pub(in super::super) nodes: usize,
    pub(in super::super) channel: Rows<'a, S::f32s>,
    pub(in super::super) degree: &'a [S::f32s],
    pub(in super::super) delta: Rows<'a, S::f32s>,
    pub(in super::super) input: Rows<'a, S::f32s>,
    /// `[blocks]`
    pub(in super::super) degree_gradient: &'a mut [S::f32s],
    pub(in super::super) channel_gradient: &'a mut [S::f32s],
    pub(in super::super) stride: usize,
}

impl<S: Simd> NullaryFnOnce for NormaliseBackward<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, nodes, channel, degree, delta, input, degree_gradient, channel_gradient, stride } =
            self;
        let lanes = S::F32_LANES;
        let blocks = nodes.div_ceil(lanes);
        let degree = &degree[..blocks];
        let by_degree = &mut degree_gradient[..blocks];
        let zero = simd.splat_f32s(0.0);
        for (block, target) in by_degree.iter_mut().enumerate() {
            let mut sum = zero;
            for (&d, &x) in delta.row(block).iter().zip(input.row(block)) {
                sum = simd.mul_add_e_f32s(d, x, sum);
            }
            *target = simd.mul_f32s(degree[block], simd.add_f32s(sum, sum));
        }
        // delta and input of the nodes of a group, by element.
        let mut own = vec![zero; 2 * GROUP * input.width];
        for first in (0..nodes).step_by(GROUP) {
            let (members, present) = group(first, nodes);
            let own_block = first / lanes;
            let (deltas, inputs) = (scalars(delta.row(own_block)), scalars(input.row(own_block)));
            for (f, own) in own.chunks_exact_mut(2 * GROUP).enumerate() {
                for (r, i) in members.iter().enumerate() {
                    own[r] = simd.splat_f32s(deltas[f * lanes + i % lanes]);
                    own[GROUP + r] = simd.splat_f32s(inputs[f * lanes + i % lanes]);
                }
            }
            let factors = members.map(|i| simd.splat_f32s(scalars(degree)[i]));
            let rows = members.map(|i| first_row(i, blocks, lanes));
            let mut by_own_degree = [zero; GROUP];
            for block in own_block..blocks {
                let mut g = [zero; GROUP];
                let others = delta.row(block).iter().zip(input.row(block));
                for ((&d, &x), own) in others.zip(own.chunks_exact(2 * GROUP)) {
                    for r in 0..GROUP {
                        g[r] = simd.mul_add_e_f32s(own[r], x, g[r]);
                        g[r] = simd.mul_add_e_f32s(own[GROUP + r], d, g[r]);
                    }
                }
                for r in 0..present {
                    let row = rows[r] + block - own_block;
                    let ga = simd.mul_f32s(g[r], channel.data[row * channel.stride]);
                    by_own_degree[r] = simd.mul_add_e_f32s(ga, degree[block], by_own_degree[r]);
                    by_degree[block] = simd.mul_add_e_f32s(ga, factors[r], by_degree[block]);
                    let target = &mut channel_gradient[row * stride];
                    *target = simd.mul_add_e_f32s(simd.mul_f32s(factors[r], degree[block]), g[r], *target);
                }
            }
            for r in 0..present {
                scalars_mut(by_degree)[members[r]] += simd.reduce_sum_f32s(by_own_degree[r]);
            }
        }
        let one = simd.splat_f32s(1.0);
        for (target, &d) in by_degree.iter_mut().zip(degree) {
            let cube = simd.mul_f32s(simd.mul_f32s(d, d), d);
            let slope = simd.mul_f32s(simd.mul_f32s(cube, simd.splat_f32s(-0.5)), *target);
            // The factor is below 1 exactly where the row sum exceeds 1.
            *target = simd.select_f32s(simd.less_than_f32s(d, one), slope, zero);
        }
        for_each_row(nodes, lanes, |row, i, block| {
            let target = &mut channel_gradient[row * stride];
            let own = simd.splat_f32s(scalars(by_degree)[i]);
            *target = simd.add_f32s(*target, simd.add_f32s(own, by_degree[block]));
        });
    }
}
