//! The equivariant geometric trajectory network (EGTN): spatial convolutions and temporal attentions in turn (Han et al.,
//! NeurIPS 2024, section 4.1).

use burn::tensor::Tensor;
use equidrift_nn::{EquivariantConvolution, LayerError, ParameterTracker, TemporalAttention};

use crate::network_config::NetworkConfig;
use crate::system_group::SystemGroup;

/// The half of a layer whose outputs are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// The spatial convolution.
    Spatial,
    /// The temporal attention.
    Temporal,
}

/// Looks at the outputs of each half of each layer: its number, the features `[G, N n, H]`, and the positions `[G, N n, D]`
/// relative to the mean of the input positions over nodes and frames.
pub type LayerWatcher<'a> = &'a mut dyn FnMut(usize, Half, &Tensor<3>, &Tensor<3>);

/// How far positions follow what the layers make of them, and the sum of that: where the prior is a linear forecast.
pub(crate) struct Motion {
    /// Factor of the way, `[G, N n, D]`.
    pub(crate) mobility: Tensor<3>,
    /// The way without it, `[G, N n, D]`; begins with 0.
    pub(crate) way: Tensor<3>,
}

/// The layers.
#[derive(Debug, Clone)]
pub(crate) struct Egtn {
    layers: Vec<(EquivariantConvolution, TemporalAttention)>,
}

impl Egtn {
    /// Reads `s_modules{suffix}.{l}` and `t_modules{suffix}.{l}`.
    pub(crate) fn read(
        from: &ParameterTracker<'_>,
        suffix: &str,
        config: &NetworkConfig,
        layers: usize,
    ) -> Result<Self, LayerError> {
        let layer = |l: usize| {
            Ok((
                EquivariantConvolution::read(
                    from,
                    &format!("s_modules{suffix}.{l}"),
                    config.hidden,
                    config.edge_features,
                    config.lengths.into(),
                )?,
                TemporalAttention::read(
                    from,
                    &format!("t_modules{suffix}.{l}"),
                    config.hidden,
                    config.time_features,
                )?,
            ))
        };
        Ok(Self { layers: (0..layers).map(layer).collect::<Result<_, _>>()? })
    }

    /// Features `h` and positions `x` of `frames` frames a node after all layers.
    pub(crate) fn forward(
        &self,
        mut h: Tensor<3>,
        mut x: Tensor<3>,
        group: &SystemGroup,
        frames: usize,
        mut motion: Option<&mut Motion>,
        watch: Option<LayerWatcher<'_>>,
    ) -> (Tensor<3>, Tensor<3>) {
        let mut watch = watch;
        let mut move_on = |from: Tensor<3>, to: Tensor<3>| match motion.as_mut() {
            None => to,
            Some(motion) => {
                let step = to - from.clone();
                motion.way = motion.way.clone() + step.clone();
                from + step * motion.mobility.clone()
            }
        };
        for (number, (spatial, temporal)) in self.layers.iter().enumerate() {
            let from = x.clone();
            (h, x) = spatial.forward(h, x, &group.edges, group.edge_features.as_ref());
            x = move_on(from, x);
            if let Some(watch) = watch.as_mut() {
                watch(number, Half::Spatial, &h, &x);
            }
            let from = x.clone();
            (h, x) = temporal.forward(h, x, frames);
            x = move_on(from, x);
            if let Some(watch) = watch.as_mut() {
                watch(number, Half::Temporal, &h, &x);
            }
        }
        (h, x)
    }
}

/// A value for each node, or for each node and frame, as one for each node and frame: `[G, N f, C]` to `[G, N n, C]` with
/// f = 1 or n.
pub(crate) fn in_all_frames(values: Tensor<3>, nodes: usize, frames: usize) -> Tensor<3> {
    let [g, rows, width] = values.dims();
    if rows == nodes * frames {
        return values;
    }
    values.reshape([g, nodes, 1, width]).expand([g, nodes, frames, width]).reshape([g, nodes * frames, width])
}
