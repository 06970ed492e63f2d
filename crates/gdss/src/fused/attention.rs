//! Attention scores between nodes: tanh in place of softmax, averaged over heads and symmetrised.
//!
//! For one channel with queries `q` and keys `k` (already divided by the square root of the value width):
//! `A_ij = 1/(2H) sum_h [tanh(q_ih . k_jh) + tanh(q_jh . k_ih)]` for pairs `i < j`. Cost per pair: `2 attention`
//! multiply-adds, `2 H` tanh. Queries and keys lie side by side, `[node][query, key]`.

use pulp::{NullaryFnOnce, Simd};

use super::activation::{tanh_slope_at, tanh_sum};
use super::extent::for_each_pair;
use super::lanes::Rows;

/// Forward: writes column 0 of `scores`, one row per pair.
pub(super) struct Scores<'a, S: Simd, const HEAD: usize> {
    pub(super) simd: S,
    pub(super) nodes: usize,
    pub(super) heads: usize,
    /// Width of a head; `HEAD`, if that is not 0.
    pub(super) head_width: usize,
    /// `[node][2 * heads * head_width]`
    pub(super) query_key: Rows<'a, S::f32s>,
    pub(super) scores: &'a mut [S::f32s],
    pub(super) stride: usize,
}

impl<S: Simd, const HEAD: usize> NullaryFnOnce for Scores<'_, S, HEAD> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, nodes, heads, head_width, query_key, scores, stride } = self;
        let width = if HEAD == 0 { head_width } else { HEAD };
        let mean = simd.splat_f32s(0.5 / heads as f32);
        for_each_pair(nodes, |pair, i, j| {
            let (query_i, key_i) = query_key.row(i).split_at(heads * width);
            let (query_j, key_j) = query_key.row(j).split_at(heads * width);
            let mut sum = simd.splat_f32s(0.0);
            for h in 0..heads {
                let forth = dot(simd, &query_i[h * width..][..width], &key_j[h * width..][..width]);
                let back = dot(simd, &query_j[h * width..][..width], &key_i[h * width..][..width]);
                sum = simd.add_f32s(sum, tanh_sum(simd, forth, back));
            }
            scores[pair * stride] = simd.mul_f32s(sum, mean);
        });
    }
}

/// Backward: adds the gradients of queries and keys, given that of the scores. The products of
/// queries and keys are computed again; storing them would take `2 H` values per pair, channel and layer.
pub(super) struct ScoresBackward<'a, S: Simd, const HEAD: usize> {
    pub(super) simd: S,
    pub(super) nodes: usize,
    pub(super) heads: usize,
    pub(super) head_width: usize,
    pub(super) query_key: Rows<'a, S::f32s>,
    /// Column 0 of one row per pair.
    pub(super) delta: Rows<'a, S::f32s>,
    /// `[node][stride]`, queries and keys first; must hold zeros there at the start.
    pub(super) gradient: &'a mut [S::f32s],
    pub(super) stride: usize,
}

impl<S: Simd, const HEAD: usize> NullaryFnOnce for ScoresBackward<'_, S, HEAD> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, nodes, heads, head_width, query_key, delta, gradient, stride } = self;
        let width = if HEAD == 0 { head_width } else { HEAD };
        let attention = heads * width;
        let mean = simd.splat_f32s(0.5 / heads as f32);
        for_each_pair(nodes, |pair, i, j| {
            let upstream = simd.mul_f32s(delta.data[pair * delta.stride], mean);
            let (query_i, key_i) = query_key.row(i).split_at(attention);
            let (query_j, key_j) = query_key.row(j).split_at(attention);
            // i < j, so the two rows of the gradient are disjoint.
            let (low, high) = gradient.split_at_mut(j * stride);
            let (by_query_i, by_key_i) = low[i * stride..][..2 * attention].split_at_mut(attention);
            let (by_query_j, by_key_j) = high[..2 * attention].split_at_mut(attention);
            for h in 0..heads {
                let head = h * width..(h + 1) * width;
                let (qi, ki) = (&query_i[head.clone()], &key_i[head.clone()]);
                let (qj, kj) = (&query_j[head.clone()], &key_j[head.clone()]);
                let forth = simd.mul_f32s(upstream, tanh_slope_at(simd, dot(simd, qi, kj)));
                let back = simd.mul_f32s(upstream, tanh_slope_at(simd, dot(simd, qj, ki)));
                add_multiple(simd, &mut by_query_i[head.clone()], forth, kj);
                add_multiple(simd, &mut by_key_j[head.clone()], forth, qi);
                add_multiple(simd, &mut by_query_j[head.clone()], back, ki);
                add_multiple(simd, &mut by_key_i[head], back, qj);
            }
        });
    }
}

#[inline(always)]
fn dot<S: Simd>(simd: S, a: &[S::f32s], b: &[S::f32s]) -> S::f32s {
    let mut sum = simd.splat_f32s(0.0);
    for (&a, &b) in a.iter().zip(b) {
        sum = simd.mul_add_e_f32s(a, b, sum);
    }
    sum
}

#[inline(always)]
fn add_multiple<S: Simd>(simd: S, target: &mut [S::f32s], factor: S::f32s, x: &[S::f32s]) {
    for (t, &x) in target.iter_mut().zip(x) {
        *t = simd.mul_add_e_f32s(factor, x, *t);
    }
}
