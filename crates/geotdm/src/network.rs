//! GeoTDM's networks on a device: the denoiser and the prior.

use burn::tensor::{DType, Device, Gradients, Tensor};
use equidrift_backend::weights::ParameterSet;
use equidrift_nn::{Linear, ParameterReader, ParameterTracker, TrackedParameters, sinusoid_of_both_ends};

use crate::diffusion::Level;
use crate::egtn::{Egtn, LayerWatcher, Motion, in_all_frames};
use crate::error::GeotdmError;
use crate::learned_prior::LearnedPrior;
use crate::network_config::{NetworkConfig, Prior};
use crate::parameters::NOISE_GATE;
use crate::system::frame_distances;
use crate::system_group::{SystemGroup, from_host, without_joint_mean};

/// Longest period of the sines of the diffusion time.
const PERIOD: f64 = 10_000.0;

/// What the denoiser returns.
#[derive(Debug, Clone)]
pub struct Denoised {
    /// The noise it sees in the positions, `[G, N T, D]`: the way from its input to its output. In the unconditional mode
    /// its joint mean has been taken away. With an extrapolated or standardised prior it follows from v.
    pub noise: Tensor<3>,
    /// With an extrapolated or standardised prior: v, which the network predicts.
    pub v: Option<Tensor<3>>,
    /// The way itself.
    pub displacement: Tensor<3>,
    /// Features of the nodes at the end, `[G, N T, H]`.
    pub features: Tensor<3>,
}

/// The networks of a model on a device, in one precision. On a device with automatic differentiation the parameters are
/// tracked.
#[derive(Debug, Clone)]
pub struct GeotdmNetwork {
    config: NetworkConfig,
    device: Device,
    dtype: DType,
    input: Linear,
    egtn: Egtn,
    prior: Option<LearnedPrior>,
    /// With an extrapolated or standardised prior.
    noise_gate: Option<Linear>,
    parameters: TrackedParameters,
}

impl GeotdmNetwork {
    /// Reads all parameters.
    ///
    /// # Errors
    /// [`GeotdmError::Layer`] if one is missing or has another shape.
    pub fn read(
        config: &NetworkConfig,
        parameters: &ParameterSet,
        device: &Device,
        dtype: DType,
    ) -> Result<Self, GeotdmError> {
        let from = ParameterTracker::new(ParameterReader { parameters, device, dtype });
        let input = from.linear("input_linear", config.inputs(), config.hidden)?;
        let egtn = Egtn::read(&from, "", config, config.layers)?;
        let prior = match config.prior {
            Prior::Learned { layers, frames } => Some(LearnedPrior::read(&from, config, layers, frames)?),
            _ => None,
        };
        let gate = config.extrapolation.is_some().then(|| from.linear(NOISE_GATE, config.hidden, 1));
        let noise_gate = gate.transpose()?;
        let (config, device) = (config.clone(), device.clone());
        Ok(Self { config, device, dtype, input, egtn, prior, noise_gate, parameters: from.finish() })
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// Where the parameters are.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The precision.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The gradients of all parameters that took part, by name.
    ///
    /// # Errors
    /// [`GeotdmError::Layer`].
    pub fn gradients(&self, gradients: &mut Gradients) -> Result<ParameterSet, GeotdmError> {
        Ok(self.parameters.gradients(gradients)?)
    }

    /// The noise in positions `noisy` `[G, N T, D]`, given frames before them where there are any; `times[g]` is what the
    /// network is told of the time of system g. The given frames take part as they are; nothing marks them.
    ///
    /// # Errors
    /// [`GeotdmError::Count`] if the numbers of systems and times differ.
    pub fn denoise(
        &self,
        group: &SystemGroup,
        noisy: Tensor<3>,
        times: &[f64],
    ) -> Result<Denoised, GeotdmError> {
        self.denoise_watched(group, noisy, times, None)
    }

    /// As [`GeotdmNetwork::denoise`], and `watch` sees every layer.
    ///
    /// # Errors
    /// As [`GeotdmNetwork::denoise`].
    pub fn denoise_watched(
        &self,
        group: &SystemGroup,
        noisy: Tensor<3>,
        times: &[f64],
        watch: Option<LayerWatcher<'_>>,
    ) -> Result<Denoised, GeotdmError> {
        let (expected, found) = (group.systems(), times.len());
        if expected != found {
            return Err(GeotdmError::Count { what: "times of systems", expected, found });
        }
        let x = group.with_given(noisy.clone());
        let centre = x.clone().mean_dim(1).detach();
        let frames = group.given_frames + group.frames;
        let h = self.inputs(group, times, frames);
        let (h, x) = self.egtn.forward(h, x - centre.clone(), group, frames, None, watch);
        let moved = group.made_frames(x);
        let displacement = moved - (noisy - centre);
        let noise = self.centred(displacement.clone());
        let features = group.made_frames(h);
        Ok(Denoised { noise, v: None, displacement, features })
    }

    /// What the network makes of what a sampler's state holds: positions, or deviations with a prior that has a measure of its own.
    pub(crate) fn denoise_at(
        &self,
        group: &SystemGroup,
        seen: Tensor<3>,
        levels: &[Level],
    ) -> Result<Denoised, GeotdmError> {
        if group.forecast.is_some() {
            return self.denoise_deviations(group, seen, levels);
        }
        let labels: Vec<f64> = levels.iter().map(|level| level.label).collect();
        self.denoise(group, seen, &labels)
    }

    /// A prediction, without its joint mean in the unconditional mode.
    fn centred(&self, prediction: Tensor<3>) -> Tensor<3> {
        if self.config.prior.is_centred() { without_joint_mean(prediction) } else { prediction }
    }

    /// As [`GeotdmNetwork::denoise`] with an extrapolated or standardised prior, for states `z` `[G, N T, D]`, deviations from the forecast in
    /// its own measure d. The network is shown the best linear guess of the positions and moves it to where it takes them to
    /// be, by d σ for each unit of the way; what it predicts is v, minus the way plus a part of the state:
    ///
    /// ```text
    /// u = α z     x = x_ref + d u     u += σ step, x += d σ step for each half of a layer     v = -sum of steps + gate(h) z
    /// ```
    ///
    /// The temporal attention has differences of u beside those of x: what is noise shows in how neighbouring frames differ,
    /// also where d is small. Given frames stay where they are.
    ///
    /// # Errors
    /// As [`GeotdmNetwork::denoise`]; [`GeotdmError::Count`] if the prior is another one.
    pub fn denoise_deviations(
        &self,
        group: &SystemGroup,
        z: Tensor<3>,
        levels: &[Level],
    ) -> Result<Denoised, GeotdmError> {
        let (expected, found) = (group.systems(), levels.len());
        if expected != found {
            return Err(GeotdmError::Count { what: "levels of systems", expected, found });
        }
        let (Some(gate), Some([reference, scale])) = (&self.noise_gate, &group.forecast) else {
            return Err(GeotdmError::Count { what: "linear forecasts of a prior", expected: 1, found: 0 });
        };
        let of_levels = |of: fn(&Level) -> f64| {
            let shape = [levels.len(), 1, 1];
            from_host::<3>(levels.iter().map(of).collect(), shape, &self.device, self.dtype)
        };
        let (signal, deviation) = (of_levels(|level| level.signal), of_levels(|level| level.deviation));
        let guess = reference.clone() + z.clone() * scale.clone() * signal.clone();
        let x = group.with_given(guess);
        let x = x.clone() - x.mean_dim(1).detach();
        let frames = group.given_frames + group.frames;
        let labels: Vec<f64> = levels.iter().map(|level| level.label).collect();
        let h = self.inputs(group, &labels, frames);
        let ones = z.ones_like();
        let mut motion = Motion {
            of_positions: group.among_given(scale.clone() * deviation.clone()),
            of_deviations: group.among_given(ones * (deviation.clone() - 1.0)) + 1.0,
            deviations: group.among_given(z.clone() * signal.clone()),
            way: x.zeros_like(),
        };
        let (h, _) = self.egtn.forward(h, x, group, frames, Some(&mut motion), None);
        let (features, displacement) = (group.made_frames(h), group.made_frames(motion.way));
        let v = self.centred(gate.over_features(features.clone(), None) * z.clone() - displacement.clone());
        let noise = z * deviation + v.clone() * signal;
        Ok(Denoised { noise, v: Some(v), displacement, features })
    }

    /// Features of nodes and of the time, `[G, N n, H]`.
    fn inputs(&self, group: &SystemGroup, times: &[f64], frames: usize) -> Tensor<3> {
        let (nodes, width) = (self.config.node_features, self.config.time_features);
        let weight = self.input.weight();
        let part = |first, count| weight.clone().narrow(1, first, count).transpose().unsqueeze::<3>();
        let values = times.iter().flat_map(|&time| sinusoid_of_both_ends(time, width, PERIOD)).collect();
        let time = from_host::<3>(values, [times.len(), 1, width], &self.device, self.dtype);
        let of_time = time.matmul(part(nodes, width)) + self.input.bias().unsqueeze::<3>();
        let of_nodes = group.node_features.clone().matmul(part(0, nodes));
        let inputs = in_all_frames(of_nodes + of_time, group.nodes(), frames);
        if self.config.temporal.is_attention() {
            return inputs;
        }
        let distances = frame_distances(frames, group.before);
        let values = distances.flat_map(|distance| sinusoid_of_both_ends(distance, width, PERIOD)).collect();
        let of_frames = from_host::<3>(values, [1, frames, width], &self.device, self.dtype);
        inputs + of_frames.matmul(part(nodes + width, width)).repeat_dim(1, group.nodes())
    }

    /// The mean of the prior, `[G, N T, D]`; none in the unconditional mode, where it is 0.
    ///
    /// # Errors
    /// [`GeotdmError::Count`] if a learned prior does not know as many frames.
    pub fn reference(&self, group: &SystemGroup) -> Result<Option<Tensor<3>>, GeotdmError> {
        self.reference_watched(group, None)
    }

    /// As [`GeotdmNetwork::reference`], and `watch` sees every layer of a learned prior.
    ///
    /// # Errors
    /// As [`GeotdmNetwork::reference`].
    pub fn reference_watched(
        &self,
        group: &SystemGroup,
        watch: Option<LayerWatcher<'_>>,
    ) -> Result<Option<Tensor<3>>, GeotdmError> {
        let Some(given) = group.given.clone() else { return Ok(None) };
        if let Some([reference, _]) = &group.forecast {
            return Ok(Some(reference.clone()));
        }
        let centre = given.clone().mean_dim(1);
        Ok(Some(match &self.prior {
            Some(prior) => prior.forward(group, given - centre.clone(), watch)? + centre,
            None => centre.expand(group.shape()),
        }))
    }
}
