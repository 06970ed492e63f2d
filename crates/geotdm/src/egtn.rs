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

/// How positions follow what the layers make of them, where the prior is a linear forecast.
pub(crate) struct Motion {
    /// Factor of a step of positions, `[G, N n, D]`.
    pub(crate) of_positions: Tensor<3>,
    /// The same of deviations.
    pub(crate) of_deviations: Tensor<3>,
    /// Deviations from the forecast in its own measure, `[G, N n, D]`; 0 in given frames.
    pub(crate) deviations: Tensor<3>,
    /// Sum of the steps, `[G, N n, D]`; begins with 0.
    pub(crate) way: Tensor<3>,
}

impl Motion {
    /// Positions after a step.
    fn go(&mut self, x: Tensor<3>, step: Tensor<3>) -> Tensor<3> {
        self.way = self.way.clone() + step.clone();
        self.deviations = self.deviations.clone() + step.clone() * self.of_deviations.clone();
        x + step * self.of_positions.clone()
    }
}

/// The layers.
#[derive(Debug, Clone)]
pub(crate) struct Egtn {
    layers: Vec<(EquivariantConvolution, Option<TemporalAttention>)>,
}

impl Egtn {
    /// Reads `s_modules{suffix}.{l}` and `t_modules{suffix}.{l}`.
    pub(crate) fn read(
        from: &ParameterTracker<'_>,
        suffix: &str,
        config: &NetworkConfig,
        layers: usize,
    ) -> Result<Self, LayerError> {
        // Positions, and deviations from a linear forecast.
        let vectors = 1 + usize::from(config.extrapolation.is_some());
        let attention = |l: usize| {
            let name = format!("t_modules{suffix}.{l}");
            TemporalAttention::read_channels(from, &name, config.hidden, config.time_features, vectors)
        };
        let layer = |l: usize| {
            Ok((
                EquivariantConvolution::read_channels(
                    from,
                    &format!("s_modules{suffix}.{l}"),
                    config.hidden,
                    config.edge_features,
                    config.lengths.into(),
                    vectors,
                )?,
                config.temporal.is_attention().then(|| attention(l)).transpose()?,
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
        for (number, (spatial, temporal)) in self.layers.iter().enumerate() {
            let edge_features = group.edge_features.as_ref();
            match motion.as_mut() {
                None => (h, x) = spatial.forward(h, x, &group.edges, edge_features),
                Some(motion) => {
                    let step;
                    let u = Some(motion.deviations.clone());
                    (h, step) = spatial.step(h, x.clone(), u, &group.edges, edge_features);
                    x = motion.go(x, step);
                }
            }
            if let Some(watch) = watch.as_mut() {
                watch(number, Half::Spatial, &h, &x);
            }
            let Some(temporal) = temporal else { continue };
            match motion.as_mut() {
                None => (h, x) = temporal.forward(h, x, frames),
                Some(motion) => {
                    let step;
                    (h, step) = temporal.step(h, &[x.clone(), motion.deviations.clone()], frames);
                    x = motion.go(x, step);
                }
            }
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
