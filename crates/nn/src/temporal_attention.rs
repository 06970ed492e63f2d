//! Equivariant attention over the frames of each node (Han et al., "Geometric trajectory diffusion models", NeurIPS 2024,
//! section 4.1).
//!
//! ```text
//! a_ts = softmax over s of q_t . (k_s + P_{t-s})        P_d = Linear(sines and cosines of d)
//! h_t <- h_t + sum_s a_ts (v_s + P_{t-s})
//! x_t <- x_t + sum_s a_ts u_s (x_t - x_s)               u_s = MLP(v_s)
//! ```
//!
//! One head, no scaling, no mask. Nothing of size nodes x H x n x n is made: the products with `P` are made by difference
//! and moved to their pairs ([`relative_frames`](crate::relative_frames)). Receiving frames are taken in tiles, so that the
//! memory of a long trajectory grows with its length, not with its square.

use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, TensorData};

use crate::leaf::LayerError;
use crate::mlp::Linear;
use crate::parameter_tracker::ParameterTracker;
use crate::relative_frames::{by_differences, by_pairs};
use crate::silu_mlp::SiluMlp;
use crate::sinusoid::sinusoid_of_both_ends;

/// Longest period of the sines of a difference.
const PERIOD: f64 = 10_000.0;
/// Receiving frames of a tile.
const TILE: usize = 256;

/// One layer.
#[derive(Debug, Clone)]
pub struct TemporalAttention {
    query: SiluMlp,
    key: SiluMlp,
    value: SiluMlp,
    displacement: SiluMlp,
    time: Linear,
    time_features: usize,
    tile: usize,
    /// Of vectors, 1 or 2.
    channels: usize,
}

impl TemporalAttention {
    /// Reads `{name}.q_mlp`, `{name}.k_mlp`, `{name}.v_mlp`, `{name}.x_mlp`, each with its linear maps `actions.0` and
    /// `actions.2`, and `{name}.time_emb`; `hidden` is the width of the nodes.
    ///
    /// # Errors
    /// [`LayerError::Missing`], [`LayerError::Shape`].
    pub fn read(
        from: &ParameterTracker<'_>,
        name: &str,
        hidden: usize,
        time_features: usize,
    ) -> Result<Self, LayerError> {
        Self::read_channels(from, name, hidden, time_features, 1)
    }

    /// The same with `channels` vectors for each node and frame, of which the positions are the first: `x_mlp` has as many
    /// outputs.
    ///
    /// # Errors
    /// As [`TemporalAttention::read`].
    pub fn read_channels(
        from: &ParameterTracker<'_>,
        name: &str,
        hidden: usize,
        time_features: usize,
        channels: usize,
    ) -> Result<Self, LayerError> {
        let mlp = |part: &str, outputs| {
            let maps = ["0", "2"].map(|map| format!("{name}.{part}_mlp.actions.{map}"));
            SiluMlp::read_named(from, [&maps[0], &maps[1]], [hidden, hidden, outputs])
        };
        Ok(Self {
            query: mlp("q", hidden)?,
            key: mlp("k", hidden)?,
            value: mlp("v", hidden)?,
            displacement: mlp("x", channels)?,
            time: from.linear(&format!("{name}.time_emb"), time_features, hidden)?,
            time_features,
            tile: TILE,
            channels,
        })
    }

    /// Another number of receiving frames in a tile; the results differ by rounding only.
    #[must_use]
    pub fn with_tile(mut self, frames: usize) -> Self {
        self.tile = frames.max(1);
        self
    }

    /// Features `h` `[G, N n, H]` and positions `x` `[G, N n, D]` after the layer; the `n` = `frames` frames of a node stand
    /// side by side.
    ///
    /// Cost of a node: 14 H² n multiplications for the maps and about 6 H n² for the attention. Memory of a tile: five numbers
    /// for each node, receiving frame of the tile, and frame.
    pub fn forward(&self, h: Tensor<3>, x: Tensor<3>, frames: usize) -> (Tensor<3>, Tensor<3>) {
        let (h, step) = self.step(h, std::slice::from_ref(&x), frames);
        (h, x + step)
    }

    /// Features after the layer, and the step of the positions, `[G, N n, D]`:
    ///
    /// ```text
    /// step_t = sum over channels c of sum_s a_ts u_cs (y_ct - y_cs)
    /// ```
    ///
    /// of the vectors `y` `[G, N n, D]` of each channel.
    pub fn step(&self, h: Tensor<3>, vectors: &[Tensor<3>], frames: usize) -> (Tensor<3>, Tensor<3>) {
        let [g, rows, width] = h.dims();
        let dimensions = vectors.first().map_or(0, |vectors| vectors.dims()[2]);
        let sequences = rows / frames * g;
        let query = self.query.over_features(h.clone());
        let key = self.key.over_features(h.clone()).reshape([sequences, frames, width]);
        let value = self.value.over_features(h.clone());
        let weights = self.displacement.over_features(value.clone());
        let weights = weights.reshape([sequences, frames, self.channels]);
        let value = value.reshape([sequences, frames, width]);
        // One product for features, displaced vectors and the sums of their weights.
        let (mut carried, mut owns) = (vec![value], Vec::new());
        for (channel, vectors) in vectors.iter().enumerate().take(self.channels) {
            // Only differences enter: a point of the node's own keeps their digits.
            let own = vectors.clone().reshape([sequences, frames, dimensions]);
            let own = own.clone() - own.mean_dim(1).detach();
            let u = weights.clone().narrow(2, channel, 1);
            carried.extend([own.clone() * u.clone(), u]);
            owns.push(own);
        }
        let carried = Tensor::cat(carried, 2);
        let key = key.swap_dims(1, 2);
        let embedding = self.embedding(frames, &h);

        let mut tiles = Vec::new();
        for first in (0..frames).step_by(self.tile) {
            let count = self.tile.min(frames - first);
            let part = |whole: Tensor<3>, width: usize| {
                let whole = whole.reshape([sequences, frames, width]);
                if count == frames { whole } else { whole.narrow(1, first, count) }
            };
            let query = part(query.clone(), width);
            // Differences s - t from -(first + count - 1) on.
            let span = frames + count - 1;
            let near = embedding.clone().narrow(1, frames - first - count, span);
            let by_difference = query
                .clone()
                .reshape([g, sequences / g * count, width])
                .matmul(near.clone().swap_dims(1, 2))
                .reshape([sequences, count, span]);
            let logits = query.matmul(key.clone()) + by_pairs(by_difference, frames);
            let attention = softmax(logits, 2);
            let seen = attention.clone().matmul(carried.clone());
            let timed = by_differences(attention).reshape([g, sequences / g * count, span]).matmul(near);
            let features = seen.clone().narrow(2, 0, width) + timed.reshape([sequences, count, width]);
            let moved = owns.iter().zip((width..).step_by(dimensions + 1)).map(|(own, at)| {
                part(own.clone(), dimensions) * seen.clone().narrow(2, at + dimensions, 1)
                    - seen.clone().narrow(2, at, dimensions)
            });
            tiles.push((features, moved.reduce(|a, b| a + b)));
        }
        let joined = |parts: Vec<Tensor<3>>| {
            let whole = if parts.len() == 1 { parts } else { vec![Tensor::cat(parts, 1)] };
            whole.into_iter().next()
        };
        let (features, moved): (Vec<_>, Vec<Option<_>>) = tiles.into_iter().unzip();
        let moved: Option<Vec<_>> = moved.into_iter().collect();
        match (joined(features), moved.and_then(joined)) {
            (Some(features), Some(moved)) => {
                (h + features.reshape([g, rows, width]), moved.reshape([g, rows, dimensions]))
            }
            _ => {
                let none = Tensor::zeros([g, rows, dimensions], (&h.device(), h.dtype()));
                (h, none)
            }
        }
    }

    /// `P` of every difference, `[1, 2 n - 1, H]`: row c belongs to `t - s = n - 1 - c`.
    fn embedding(&self, frames: usize, like: &Tensor<3>) -> Tensor<3> {
        let last = frames as f64 - 1.0;
        let rows = 2 * frames - 1;
        let values: Vec<f64> = (0..rows)
            .flat_map(|row| sinusoid_of_both_ends(last - row as f64, self.time_features, PERIOD))
            .collect();
        let data = TensorData::new(values, [1, rows, self.time_features]).convert_dtype(like.dtype());
        self.time.over_features(Tensor::from_data(data, (&like.device(), like.dtype())), None)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};
    use equidrift_backend::weights::{HostTensor, ParameterSet};

    use super::*;
    use crate::leaf::ParameterReader;

    fn numbers(count: usize, phase: f64) -> Vec<f64> {
        (0..count).map(|k| libm::sin(1.7 * k as f64 + phase)).collect()
    }

    #[test]
    fn tiles_of_any_size_give_the_same() {
        let (hidden, time, frames) = (6, 4, 7);
        let mut parameters = ParameterSet::new();
        let mut linear = |name: &str, inputs: usize, outputs: usize| {
            let phase = parameters.len() as f64;
            let weight = HostTensor::f64([outputs, inputs], numbers(outputs * inputs, phase));
            parameters.insert(format!("layer.{name}.weight"), weight);
            let bias = HostTensor::f64([outputs], numbers(outputs, phase + 0.5));
            parameters.insert(format!("layer.{name}.bias"), bias);
        };
        for map in ["q", "k", "v", "x"] {
            linear(&format!("{map}_mlp.actions.0"), hidden, hidden);
            linear(&format!("{map}_mlp.actions.2"), hidden, if map == "x" { 1 } else { hidden });
        }
        linear("time_emb", time, hidden);
        let (device, dtype) = (Device::flex(), DType::F64);
        let from = ParameterTracker::new(ParameterReader { parameters: &parameters, device: &device, dtype });
        let layer = TemporalAttention::read(&from, "layer", hidden, time).unwrap();
        let tensor = |shape: [usize; 3], phase| {
            let data = TensorData::new(numbers(shape.iter().product(), phase), shape);
            Tensor::<3>::from_data(data, (&device, dtype))
        };
        let (h, x) = (tensor([2, 3 * frames, hidden], 0.1), tensor([2, 3 * frames, 3], 0.2));
        let run = |tile: usize| {
            let (h, x) = layer.clone().with_tile(tile).forward(h.clone(), x.clone(), frames);
            let host = |tensor: Tensor<3>| tensor.try_into_vec_as::<f64>().unwrap();
            [host(h), host(x)].concat()
        };
        let whole = run(frames);
        for tile in [1, 2, 3, 5, 100] {
            let worst = run(tile).iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-12, "tiles of {tile}: {worst:.1e}");
        }
    }
}
