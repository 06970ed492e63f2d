//! Attention scores between the nodes of one graph. What they are is told in [`super::super::attention`].

use pulp::{NullaryFnOnce, Simd};

use super::super::activation::{tanh_slope_at, tanh_sum};
use super::super::lanes::Rows;
use super::{GROUP, first_row, group, scalars, scalars_mut};

/// Queries, then keys, of one head of the nodes of a group, by element: `own[d][2 GROUP]`.
#[inline(always)]
fn load_own<S: Simd>(
    simd: S,
    row: &[S::f32s],
    members: [usize; GROUP],
    (first, attention): (usize, usize),
    own: &mut [S::f32s],
) {
    let lanes = S::F32_LANES;
    let row = scalars(row);
    for (d, own) in own.chunks_exact_mut(2 * GROUP).enumerate() {
        let (queries, keys) =
            (&row[(first + d) * lanes..][..lanes], &row[(attention + first + d) * lanes..][..lanes]);
        for (r, i) in members.iter().enumerate() {
            own[r] = simd.splat_f32s(queries[i % lanes]);
            own[GROUP + r] = simd.splat_f32s(keys[i % lanes]);
        }
    }
}

/// `q_i . k_j` and `q_j . k_i` of the nodes i of a group with the nodes j of a block.
#[inline(always)]
fn products<S: Simd>(
    simd: S,
    own: &[S::f32s],
    queries: &[S::f32s],
    keys: &[S::f32s],
) -> ([S::f32s; GROUP], [S::f32s; GROUP]) {
    let zero = simd.splat_f32s(0.0);
    let (mut forth, mut back) = ([zero; GROUP], [zero; GROUP]);
    for ((&q, &k), own) in queries.iter().zip(keys).zip(own.chunks_exact(2 * GROUP)) {
        for r in 0..GROUP {
            forth[r] = simd.mul_add_e_f32s(own[r], k, forth[r]);
            back[r] = simd.mul_add_e_f32s(own[GROUP + r], q, back[r]);
        }
    }
    (forth, back)
}

/// Forward: writes column 0 of `scores`, one row for each row of pairs.
pub(in super::super) struct Scores<'a, S: Simd> {
    pub(in super::super) simd: S,
    pub(in super::super) nodes: usize,
    pub(in super::super) heads: usize,
    pub(in super::super) head_width: usize,
    /// `[block][2 * heads * head_width]`
    pub(in super::super) query_key: Rows<'a, S::f32s>,
    pub(in super::super) scores: &'a mut [S::f32s],
    pub(in super::super) stride: usize,
}

impl<S: Simd> NullaryFnOnce for Scores<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, nodes, heads, head_width, query_key, scores, stride } = self;
        let lanes = S::F32_LANES;
        let (blocks, attention) = (nodes.div_ceil(lanes), heads * head_width);
        let mean = simd.splat_f32s(0.5 / heads as f32);
        let zero = simd.splat_f32s(0.0);
        let mut own = vec![zero; 2 * GROUP * head_width];
        for first in (0..nodes).step_by(GROUP) {
            let (members, present) = group(first, nodes);
            let own_block = first / lanes;
            let rows = members.map(|i| first_row(i, blocks, lanes));
            for h in 0..heads {
                let head = h * head_width;
                load_own(simd, query_key.row(own_block), members, (head, attention), &mut own);
                for block in own_block..blocks {
                    let (queries, keys) = query_key.row(block).split_at(attention);
                    let (queries, keys) = (&queries[head..][..head_width], &keys[head..][..head_width]);
                    let (forth, back) = products(simd, &own, queries, keys);
                    for r in 0..present {
                        let target = &mut scores[(rows[r] + block - own_block) * stride];
                        let before = if h == 0 { zero } else { *target };
                        let sum = simd.add_f32s(before, tanh_sum(simd, forth[r], back[r]));
                        *target = if h + 1 == heads { simd.mul_f32s(sum, mean) } else { sum };
                    }
                }
            }
        }
    }
}

/// Backward: adds the gradients of queries and keys, given that of the scores, which is zero where masked.
pub(in super::super) struct ScoresBackward<'a, S: Simd> {
    pub(in super::super) simd: S,
    pub(in super::super) nodes: usize,
    pub(in super::super) heads: usize,
    pub(in super::super) head_width: usize,
    pub(in super::super) query_key: Rows<'a, S::f32s>,
    /// Column 0 of one row for each row of pairs.
    pub(in super::super) delta: Rows<'a, S::f32s>,
    /// `[block][stride]`, queries and keys first; must hold zeros there at the start.
    pub(in super::super) gradient: &'a mut [S::f32s],
    pub(in super::super) stride: usize,
}

impl<S: Simd> NullaryFnOnce for ScoresBackward<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, nodes, heads, head_width, query_key, delta, gradient, stride } = self;
        let lanes = S::F32_LANES;
        let (blocks, attention) = (nodes.div_ceil(lanes), heads * head_width);
        let mean = simd.splat_f32s(0.5 / heads as f32);
        let zero = simd.splat_f32s(0.0);
        let mut own = vec![zero; 2 * GROUP * head_width];
        let mut by_own = own.clone();
        for first in (0..nodes).step_by(GROUP) {
            let (members, present) = group(first, nodes);
            let own_block = first / lanes;
            let rows = members.map(|i| first_row(i, blocks, lanes));
            for h in 0..heads {
                let head = h * head_width;
                load_own(simd, query_key.row(own_block), members, (head, attention), &mut own);
                by_own.fill(zero);
                for block in own_block..blocks {
                    let (queries, keys) = query_key.row(block).split_at(attention);
                    let (queries, keys) = (&queries[head..][..head_width], &keys[head..][..head_width]);
                    let (mut forth, mut back) = products(simd, &own, queries, keys);
                    for r in 0..GROUP {
                        let row = rows[r] + block - own_block;
                        // Nodes that stand for the last one are not counted again.
                        let upstream = if r < present {
                            simd.mul_f32s(delta.data[row * delta.stride], mean)
                        } else {
                            zero
                        };
                        forth[r] = simd.mul_f32s(upstream, tanh_slope_at(simd, forth[r]));
                        back[r] = simd.mul_f32s(upstream, tanh_slope_at(simd, back[r]));
                    }
                    let (by_queries, by_keys) =
                        gradient[block * stride..][..2 * attention].split_at_mut(attention);
                    let targets =
                        by_queries[head..][..head_width].iter_mut().zip(&mut by_keys[head..][..head_width]);
                    let rows = own.chunks_exact(2 * GROUP).zip(by_own.chunks_exact_mut(2 * GROUP));
                    for (((&q, &k), (by_q, by_k)), (own, by_own)) in
                        queries.iter().zip(keys).zip(targets).zip(rows)
                    {
                        for r in 0..GROUP {
                            by_own[r] = simd.mul_add_e_f32s(forth[r], k, by_own[r]);
                            by_own[GROUP + r] = simd.mul_add_e_f32s(back[r], q, by_own[GROUP + r]);
                            *by_k = simd.mul_add_e_f32s(forth[r], own[r], *by_k);
                            *by_q = simd.mul_add_e_f32s(back[r], own[GROUP + r], *by_q);
                        }
                    }
                }
                let target = scalars_mut(&mut gradient[own_block * stride..][..2 * attention]);
                for (d, by_own) in by_own.chunks_exact(2 * GROUP).enumerate() {
                    for r in 0..present {
                        let lane = members[r] % lanes;
                        target[(head + d) * lanes + lane] += simd.reduce_sum_f32s(by_own[r]);
                        target[(attention + head + d) * lanes + lane] +=
                            simd.reduce_sum_f32s(by_own[GROUP + r]);
                    }
                }
            }
        }
    }
}
