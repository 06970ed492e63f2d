//! All layers of a network, there and back.

use equidrift_backend::weights::ParameterSet;
use pulp::Simd;

use super::spatial::Spatial;
use super::spatial_backward::{SpatialGradient, SpatialTape};
use super::temporal::Temporal;
use super::temporal_backward::{TemporalGradient, TemporalTape};
use super::view::{Buffers, Differences, Motion, MotionBack, SystemView};
use crate::network_config::NetworkConfig;
use equidrift_backend::kernels::PackError;

/// Spatial and temporal layers in turn, or spatial ones alone.
#[derive(Debug, Clone)]
pub(super) struct Layers(Vec<(Spatial, Option<Temporal>)>);

/// The gradient of their parameters.
#[derive(Debug, Clone)]
pub(super) struct LayersGradient(Vec<(SpatialGradient, Option<TemporalGradient>)>);

/// What a layer saw: features and positions before either half, and the sums of the messages.
#[derive(Debug, Default)]
pub(super) struct LayerTape {
    spatial: (Vec<f32>, Vec<f32>),
    /// Deviations before either half, where the prior is a linear forecast.
    deviations: [Vec<f32>; 2],
    gathered: Vec<f32>,
    temporal: (Vec<f32>, Vec<f32>),
}

impl Layers {
    pub(super) fn read(
        parameters: &ParameterSet,
        suffix: &str,
        config: &NetworkConfig,
        count: usize,
    ) -> Result<Self, PackError> {
        // The network of a learned prior does not come with deviations.
        let deviating = config.extrapolation.is_some();
        let temporal = |l| Temporal::read(parameters, &format!("t_modules{suffix}.{l}"), config, deviating);
        let layer = |l: usize| {
            Ok((
                Spatial::read(parameters, &format!("s_modules{suffix}.{l}"), config, deviating)?,
                config.temporal.is_attention().then(|| temporal(l)).transpose()?,
            ))
        };
        Ok(Self((0..count).map(layer).collect::<Result<_, _>>()?))
    }

    pub(super) fn no_gradient(&self) -> LayersGradient {
        let zeros = |(spatial, temporal): &(Spatial, Option<Temporal>)| {
            let edge_features = spatial.features.len() / spatial.length.len().max(1);
            (SpatialGradient::new(spatial, edge_features), temporal.as_ref().map(TemporalGradient::new))
        };
        LayersGradient(self.0.iter().map(zeros).collect())
    }

    /// Features `h` `[N n, padded hidden]` and positions `x` `[N n, D]` after all layers, in place. What each saw goes to
    /// `tape`.
    #[expect(clippy::too_many_arguments, reason = "a system, its state and arrays that are used again")]
    #[inline(always)]
    pub(super) fn forward<S: Simd>(
        &self,
        simd: S,
        system: &SystemView<'_>,
        differences: &Differences,
        h: &mut [f32],
        x: &mut [f32],
        mut motion: Option<Motion<'_>>,
        buffers: &mut Buffers,
        mut tape: Option<&mut Vec<LayerTape>>,
    ) {
        let deviations = |motion: &Option<Motion<'_>>| {
            motion.as_ref().map(|motion| motion.deviations.clone()).unwrap_or_default()
        };
        for (spatial, temporal) in &self.0 {
            let mut seen = LayerTape::default();
            if tape.is_some() {
                seen.spatial = (h.to_vec(), x.to_vec());
                seen.deviations[0] = deviations(&motion);
            }
            let gathered = tape.is_some().then_some(&mut seen.gathered);
            spatial.forward(simd, system, h, x, &mut motion, buffers, gathered);
            if let Some(temporal) = temporal {
                if tape.is_some() {
                    seen.temporal = (h.to_vec(), x.to_vec());
                    seen.deviations[1] = deviations(&motion);
                }
                temporal.forward(simd, system, differences, h, x, &mut motion, buffers);
            }
            if let Some(tape) = tape.as_mut() {
                tape.push(seen);
            }
        }
    }

    /// Turns gradients of the outputs into those of the inputs, and adds that of the parameters.
    #[expect(clippy::too_many_arguments, reason = "what was seen, what comes back, and where it goes")]
    #[inline(always)]
    pub(super) fn backward<S: Simd>(
        &self,
        simd: S,
        system: &SystemView<'_>,
        differences: &Differences,
        tape: Vec<LayerTape>,
        dh: &mut [f32],
        dx: &mut [f32],
        motion: &mut Option<MotionBack<'_>>,
        gradient: &mut LayersGradient,
        buffers: &mut Buffers,
    ) {
        let layers = self.0.iter().zip(&mut gradient.0).zip(tape);
        for (((spatial, temporal), (of_spatial, of_temporal)), seen) in layers.rev() {
            if let (Some(temporal), Some(of_temporal)) = (temporal, of_temporal) {
                let seen_by = TemporalTape {
                    h: &seen.temporal.0,
                    x: &seen.temporal.1,
                    deviations: &seen.deviations[1],
                };
                temporal.backward(simd, system, differences, seen_by, dh, dx, motion, of_temporal, buffers);
            }
            let [deviations, _] = &seen.deviations;
            let seen =
                SpatialTape { h: &seen.spatial.0, x: &seen.spatial.1, gathered: &seen.gathered, deviations };
            spatial.backward(simd, system, seen, dh, dx, motion, of_spatial, buffers);
        }
    }
}

impl LayersGradient {
    /// Under the names of the parameters.
    pub(super) fn emit(&self, suffix: &str, into: &mut ParameterSet) {
        for (l, (spatial, temporal)) in self.0.iter().enumerate() {
            spatial.emit(&format!("s_modules{suffix}.{l}"), into);
            if let Some(temporal) = temporal {
                temporal.emit(&format!("t_modules{suffix}.{l}"), into);
            }
        }
    }
}
