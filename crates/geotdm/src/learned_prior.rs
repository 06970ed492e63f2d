//! The learned equivariant prior: a reference for each node and frame, made of the given frames (Han et al., NeurIPS 2024,
//! section 4.3).
//!
//! ```text
//! x_ref[s] = sum_t w_ts y_t       w_ts = w_t ws_s for t < last,  w_last,s = 1 - sum_{t < last} w_ts
//! ```
//!
//! `y` are the given positions after an EGTN, `w_t` the mean of its features over their channels. The weights of a frame sum
//! to 1, so the reference moves along with the given frames; written as `y_last + ws_s sum_t w_t (y_t - y_last)` it is one
//! vector for each node, times a number for each frame.

use burn::tensor::Tensor;
use equidrift_nn::{LayerError, Leaf, Linear, ParameterTracker};

use crate::egtn::{Egtn, LayerWatcher, in_all_frames};
use crate::error::GeotdmError;
use crate::network_config::NetworkConfig;
use crate::system_group::SystemGroup;

/// The network and the weights of the frames.
#[derive(Debug, Clone)]
pub(crate) struct LearnedPrior {
    input: Linear,
    egtn: Egtn,
    /// `[1, frames]`.
    frame_weights: Leaf,
    most_frames: usize,
}

impl LearnedPrior {
    pub(crate) fn read(
        from: &ParameterTracker<'_>,
        config: &NetworkConfig,
        layers: usize,
        frames: usize,
    ) -> Result<Self, LayerError> {
        Ok(Self {
            input: from.linear("input_linear_ref", config.node_features, config.hidden)?,
            egtn: Egtn::read(from, "_ref", config, layers)?,
            frame_weights: from.leaf("ws", &[frames])?,
            most_frames: frames,
        })
    }

    /// The reference `[G, N T, D]` of given positions `[G, N given, D]`, which should be near 0.
    pub(crate) fn forward(
        &self,
        group: &SystemGroup,
        given: Tensor<3>,
        watch: Option<LayerWatcher<'_>>,
    ) -> Result<Tensor<3>, GeotdmError> {
        let (frames, made) = (group.given_frames, group.frames);
        if made > self.most_frames {
            let what = "frames to be made, of a learned prior at most";
            return Err(GeotdmError::Count { what, expected: self.most_frames, found: made });
        }
        let features = group.node_features.clone();
        let features = match group.feature_frames {
            1 => features,
            all => group.some_frames(features, all, 0, frames),
        };
        let h = in_all_frames(self.input.over_features(features, None), group.nodes(), frames);
        let (h, y) = self.egtn.forward(h, given, group, frames, None, watch);

        let [g, _, dimensions] = y.dims();
        let sequences = g * group.nodes();
        let y = y.reshape([sequences, frames, dimensions]);
        let last = y.clone().narrow(1, frames - 1, 1);
        // The last frame's own term is 0: its weight is what is left over.
        let weight = h.mean_dim(2).reshape([sequences, frames, 1]);
        let direction = (weight * (y - last.clone())).sum_dim(1);
        let scale = self.frame_weights.tensor().narrow(1, 0, made).reshape([1, made, 1]);
        Ok((last + direction * scale).reshape([g, group.nodes() * made, dimensions]))
    }
}
