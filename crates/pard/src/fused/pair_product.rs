//! Products over third nodes, for every channel: `out_ij = sum over k of left_ik right_kj`, and its two gradients.

use std::ops::Range;

use pulp::{NullaryFnOnce, Simd};

use super::pair_rows::PairRows;

/// Results that are summed up in registers at the same time.
const TOGETHER: usize = 8;

/// Which of three arrays is computed from the other two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thirds {
    /// `out_ij = sum_k left_ik right_kj` from left and right.
    Product,
    /// The gradient of the left factor, `sum_j dout_ij right_kj` at (i, k), from the product's and the right factor.
    OfLeft,
    /// The gradient of the right factor, `sum_i left_ik dout_ij` at (k, j), from the left factor and the product's.
    OfRight,
}

/// Products over third nodes of arrays `[rows, width]`. Where not all nodes see one another, k is one that i or j sees.
pub(super) trait PairProduct {
    /// `out` of `a` and `b`.
    fn multiply<S: Simd>(&self, simd: S, which: Thirds, a: &[f32], b: &[f32], out: &mut [f32]);
}

impl PairProduct for PairRows {
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S, which: Thirds, a: &[f32], b: &[f32], out: &mut [f32]) {
        if self.complete {
            let nodes = self.nodes;
            let (outer, inner) = (0..nodes, 0..nodes);
            simd.vectorize(Complete { simd, nodes, which, outer, inner, a, b, out });
        } else {
            simd.vectorize(Masked { simd, pairs: self, which, a, b, out });
        }
    }
}

/// The products of the pairs that have rows, where some nodes are known: of both factors of all pairs, `[N, N, width]`. The nodes
/// that are not known see all, so third nodes are all nodes.
#[inline(always)]
pub(super) fn products_of_new_pairs<S: Simd>(
    simd: S,
    pairs: &PairRows,
    [left, right]: [&[f32]; 2],
    out: &mut [f32],
) {
    let PairRows { nodes, known, .. } = *pairs;
    let width = left.len() / (nodes * nodes).max(1);
    let (of_known, of_new) = out.split_at_mut(known * (nodes - known) * width);
    let which = Thirds::Product;
    for (outer, inner, out) in [(0..known, known..nodes, of_known), (known..nodes, 0..nodes, of_new)] {
        simd.vectorize(Complete { simd, nodes, which, outer, inner, a: left, b: right, out });
    }
}

/// How far apart the rows are of which a sum takes its factors and to which it goes.
struct Strides {
    a_outer: usize,
    a_summed: usize,
    b_summed: usize,
    b_inner: usize,
}

/// Results (outer, inner) of a rectangle of pairs, one after the other.
struct Complete<'a, S> {
    simd: S,
    nodes: usize,
    which: Thirds,
    outer: Range<usize>,
    inner: Range<usize>,
    a: &'a [f32],
    b: &'a [f32],
    out: &'a mut [f32],
}

impl<S: Simd> NullaryFnOnce for Complete<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let n = self.nodes;
        let strides = match self.which {
            // i, j of the sum over k; then i, k of that over j; then k, j of that over i.
            Thirds::Product => Strides { a_outer: n, a_summed: 1, b_summed: n, b_inner: 1 },
            Thirds::OfLeft => Strides { a_outer: n, a_summed: 1, b_summed: 1, b_inner: n },
            Thirds::OfRight => Strides { a_outer: 1, a_summed: n, b_summed: n, b_inner: 1 },
        };
        let Self { simd, outer: outers, inner: inners, a, b, out, .. } = self;
        let width = a.len() / (n * n).max(1) / S::F32_LANES;
        let (a, b) = (S::as_simd_f32s(a).0, S::as_simd_f32s(b).0);
        let out = S::as_mut_simd_f32s(out).0;
        for (row, outer) in outers.enumerate() {
            for first in inners.clone().step_by(TOGETHER) {
                let count = TOGETHER.min(inners.end - first);
                let places: [usize; TOGETHER] =
                    std::array::from_fn(|inner| (first + inner).min(n - 1) * strides.b_inner * width);
                let target = row * inners.len() + first - inners.start;
                for v in 0..width {
                    let mut sums = [simd.splat_f32s(0.0); TOGETHER];
                    for summed in 0..n {
                        let left = a[(outer * strides.a_outer + summed * strides.a_summed) * width + v];
                        let right = &b[summed * strides.b_summed * width + v..];
                        if count == 1 {
                            sums[0] = simd.mul_add_e_f32s(left, right[places[0]], sums[0]);
                            continue;
                        }
                        for inner in 0..TOGETHER {
                            sums[inner] = simd.mul_add_e_f32s(left, right[places[inner]], sums[inner]);
                        }
                    }
                    for (inner, sum) in sums.iter().take(count).enumerate() {
                        out[(target + inner) * width + v] = *sum;
                    }
                }
            }
        }
    }
}

struct Masked<'a, S> {
    simd: S,
    pairs: &'a PairRows,
    which: Thirds,
    a: &'a [f32],
    b: &'a [f32],
    out: &'a mut [f32],
}

impl<S: Simd> NullaryFnOnce for Masked<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, pairs, which, a, b, out } = self;
        out.fill(0.0);
        let width = out.len() / pairs.len().max(1) / S::F32_LANES;
        let (a, b) = (S::as_simd_f32s(a).0, S::as_simd_f32s(b).0);
        let out = S::as_mut_simd_f32s(out).0;
        // No closure around the sum: it would be compiled for other instructions.
        for (row, &[i, j]) in pairs.ends.iter().enumerate() {
            for left in pairs.first[i]..pairs.first[i + 1] {
                let Some(right) = pairs.through_third(left, j) else { continue };
                let [a_row, b_row, out_row] = match which {
                    Thirds::Product => [left, right, row],
                    Thirds::OfLeft => [row, right, left],
                    Thirds::OfRight => [left, row, right],
                };
                for v in 0..width {
                    let sum = &mut out[out_row * width + v];
                    *sum = simd.mul_add_e_f32s(a[a_row * width + v], b[b_row * width + v], *sum);
                }
            }
        }
    }
}
