//! The first map of the heads: from pairs and nodes to nodes.

use equidrift_backend::kernels::elementwise::{add_scaled, silu};
use equidrift_backend::kernels::matrix::{Linear, LinearGradient, Rows, lookup, padded};
use equidrift_backend::kernels::{Buffers, PackError};
use equidrift_backend::weights::{HostTensor, ParameterSet};
use pulp::Simd;

use super::pair_rows::PairRows;

/// What nodes take from pairs and from themselves: a map of the diagonal, the mean over those that are seen, and the node.
#[derive(Debug, Clone)]
pub(super) struct NodeTransform {
    /// Of the diagonal, of the mean, and of the node.
    maps: [Linear; 3],
    edge: usize,
    hidden: usize,
}

/// The gradient of a [`NodeTransform`].
#[derive(Debug, Clone)]
pub(super) struct NodeTransformGradient {
    maps: [LinearGradient; 3],
}

impl NodeTransform {
    /// Reads `{name}.weight` `[hidden, 2 edge + hidden]` and `{name}.bias`.
    pub(super) fn read(
        parameters: &ParameterSet,
        name: &str,
        hidden: usize,
        edge: usize,
    ) -> Result<Self, PackError> {
        let columns = 2 * edge + hidden;
        let weight = lookup(parameters, format!("{name}.weight"), &[hidden, columns])?;
        let bias = lookup(parameters, format!("{name}.bias"), &[hidden])?;
        let zeros = vec![0.0; hidden];
        let maps = [
            Linear::of(&weight, &bias, columns, edge, 0),
            Linear::of(&weight, &zeros, columns, edge, edge),
            Linear::of(&weight, &zeros, columns, hidden, 2 * edge),
        ];
        Ok(Self { maps, edge, hidden })
    }

    pub(super) fn no_gradient(&self) -> NodeTransformGradient {
        NodeTransformGradient { maps: self.maps.each_ref().map(Linear::no_gradient) }
    }

    /// Diagonals and means, `[N, edge]` each.
    #[inline(always)]
    fn of_pairs<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        e: &[f32],
        buffers: &mut Buffers,
    ) -> [Vec<f32>; 2] {
        let (n, deep) = (pairs.nodes, padded(self.edge));
        let [mut diagonal, mut mean] = [0; 2].map(|_| buffers.zeros(n * deep));
        let nodes = diagonal.chunks_exact_mut(deep).zip(mean.chunks_exact_mut(deep));
        for (i, (diagonal, mean)) in nodes.enumerate().skip(pairs.known) {
            let share = share(pairs, i);
            for row in (pairs.first[i]..pairs.first[i + 1]).filter(|&row| pairs.sees[row]) {
                add_scaled(simd, share, &e[row * deep..][..deep], mean);
                add_scaled(simd, share, &e[pairs.reverse[row] * deep..][..deep], mean);
                if pairs.ends[row][1] == i {
                    diagonal.copy_from_slice(&e[row * deep..][..deep]);
                }
            }
        }
        [diagonal, mean]
    }

    /// The map's result before SiLU of nodes that are not known, `[nodes, hidden]`; so is `h`.
    #[inline(always)]
    fn forward<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        h: &[f32],
        e: &[f32],
        buffers: &mut Buffers,
    ) -> Vec<f32> {
        let (n, wide, deep) = (pairs.nodes, padded(self.hidden), padded(self.edge));
        let [diagonal, mean] = self.of_pairs(simd, pairs, e, buffers);
        let (known, new) = (pairs.known, n - pairs.known);
        let mut z = buffers.take(new * wide);
        self.maps[0].apply(simd, Rows::new(&diagonal[known * deep..], deep), new, &mut z, wide);
        self.maps[1].add(simd, Rows::new(&mean[known * deep..], deep), new, &mut z, wide);
        self.maps[2].add(simd, Rows::new(h, wide), new, &mut z, wide);
        buffers.give([diagonal, mean]);
        z
    }

    /// The map's result before SiLU, of nodes that are not known, and after it, of all, `[N, hidden]`: those that are `known` are
    /// there already.
    #[inline(always)]
    pub(super) fn nodes<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        (h, e): (&[f32], &[f32]),
        known: Option<Vec<f32>>,
        buffers: &mut Buffers,
    ) -> (Vec<f32>, Vec<f32>) {
        let before = self.forward(simd, pairs, h, e, buffers);
        let mut z = known.unwrap_or_else(|| buffers.take(before.len()));
        let of_new = &mut z[pairs.known * padded(self.hidden)..];
        of_new.copy_from_slice(&before);
        silu(simd, of_new);
        (before, z)
    }

    /// Adds to `dh` and `de` what the gradient `dz` of the map's result means for nodes and pairs.
    #[expect(clippy::too_many_arguments, reason = "what went in, what comes back, and where it goes")]
    #[inline(always)]
    pub(super) fn back<S: Simd>(
        &self,
        simd: S,
        pairs: &PairRows,
        (h, e): (&[f32], &[f32]),
        dz: &[f32],
        dh: &mut [f32],
        de: &mut [f32],
        gradient: &mut NodeTransformGradient,
        buffers: &mut Buffers,
    ) {
        let (n, wide, deep) = (pairs.nodes, padded(self.hidden), padded(self.edge));
        let [diagonal, mean] = self.of_pairs(simd, pairs, e, buffers);
        let dz = Rows::new(dz, wide);
        gradient.maps[0].add(simd, Rows::new(&diagonal, deep), dz, n);
        gradient.maps[1].add(simd, Rows::new(&mean, deep), dz, n);
        gradient.maps[2].add(simd, Rows::new(h, wide), dz, n);
        self.maps[2].back(simd, dz, n, dh, wide);
        let [mut ddiagonal, mut dmean] = [diagonal, mean];
        ddiagonal.fill(0.0);
        dmean.fill(0.0);
        self.maps[0].back(simd, dz, n, &mut ddiagonal, deep);
        self.maps[1].back(simd, dz, n, &mut dmean, deep);
        for i in 0..n {
            let share = share(pairs, i);
            let back = &dmean[i * deep..][..deep];
            for row in (pairs.first[i]..pairs.first[i + 1]).filter(|&row| pairs.sees[row]) {
                add_scaled(simd, share, back, &mut de[row * deep..][..deep]);
                add_scaled(simd, share, back, &mut de[pairs.reverse[row] * deep..][..deep]);
                if pairs.ends[row][1] == i {
                    add_scaled(simd, 1.0, &ddiagonal[i * deep..][..deep], &mut de[row * deep..][..deep]);
                }
            }
        }
        buffers.give([ddiagonal, dmean]);
    }
}

/// The weight of a pair, and of its reverse, in the mean of node i.
fn share(pairs: &PairRows, i: usize) -> f32 {
    let seen = pairs.sees[pairs.first[i]..pairs.first[i + 1]].iter().filter(|sees| **sees).count();
    0.5 / (seen as f32 + 1e-10)
}

impl NodeTransformGradient {
    pub(super) fn emit(&self, transform: &NodeTransform, name: &str, into: &mut ParameterSet) {
        let NodeTransform { edge, hidden, .. } = *transform;
        let columns = 2 * edge + hidden;
        let mut weight = vec![0.0; hidden * columns];
        for (map, first) in self.maps.iter().zip([0, edge, 2 * edge]) {
            map.weight_into(&mut weight, columns, first);
        }
        into.insert(format!("{name}.weight"), HostTensor::f32([hidden, columns], weight));
        into.insert(format!("{name}.bias"), HostTensor::f32([hidden], self.maps[0].bias()));
    }
}
