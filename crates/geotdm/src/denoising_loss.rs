//! The loss of GeoTDM: the mean squared error of the noise (Ho et al. 2020, equation 14), averaged over coordinates and
//! frames, then over the nodes of a system, then over systems, so that every system counts alike whatever its size.
//!
//! With a learned prior the reference is computed anew in every step and the gradient flows through it twice: into the
//! noised data `x_0 - x_ref`, and into the network's input `z + x_ref`.

use burn::tensor::Tensor;

use crate::diffusion::{Level, TrajectoryDiffusion};
use crate::error::GeotdmError;
use crate::network::{Denoised, GeotdmNetwork};
use crate::system_group::{SystemGroup, from_host, without_joint_mean};

/// Clean trajectories of a group with the noise put on them.
#[derive(Debug, Clone)]
pub struct NoisedGroup {
    /// The mean of the prior, `[G, N T, D]`; none in the unconditional mode.
    pub reference: Option<Tensor<3>>,
    /// z_0: the data relative to the reference (and to the error of a linear forecast), or without their joint mean (and
    /// relative to their spread).
    pub start: Tensor<3>,
    /// The noise; without its joint mean in the unconditional mode.
    pub noise: Tensor<3>,
    /// z at the levels of the systems.
    pub state: Tensor<3>,
    /// With an extrapolated or standardised prior: √ᾱ ε − √(1 − ᾱ) z_0, which the network predicts.
    pub v: Option<Tensor<3>>,
    /// The levels.
    pub levels: Vec<usize>,
}

impl NoisedGroup {
    /// Puts `noise` on the trajectories `clean`, both `[G, N T, D]`, at the level `levels[g]` of each system.
    ///
    /// # Errors
    /// [`GeotdmError::Count`] if there are not as many levels as systems; as [`GeotdmNetwork::reference`].
    pub fn new(
        network: &GeotdmNetwork,
        diffusion: &TrajectoryDiffusion,
        group: &SystemGroup,
        clean: Tensor<3>,
        noise: Tensor<3>,
        levels: &[usize],
    ) -> Result<Self, GeotdmError> {
        let reference = network.reference(group)?;
        let (start, noise) = match (&reference, network.config().prior) {
            (Some(reference), _) => (clean - reference.clone(), noise),
            (None, prior) if prior.is_centred() => (without_joint_mean(clean), without_joint_mean(noise)),
            (None, _) => (clean, noise),
        };
        let start = match &group.forecast {
            Some([_, scale]) => start / scale.clone(),
            None => start,
        };
        let state = state(diffusion, &start, &noise, levels)?;
        let v = || combined(&noise, &start, levels, &|k| diffusion.signal(k), &|k| -diffusion.noise(k));
        let v = group.forecast.is_some().then(v);
        Ok(Self { reference, start, noise, state, v, levels: levels.to_vec() })
    }

    /// What the network makes of it.
    ///
    /// # Errors
    /// As [`GeotdmNetwork::denoise`].
    pub fn denoise(
        &self,
        network: &GeotdmNetwork,
        diffusion: &TrajectoryDiffusion,
        group: &SystemGroup,
    ) -> Result<Denoised, GeotdmError> {
        denoise_state(network, diffusion, group, self.reference.as_ref(), &self.state, &self.levels)
    }

    /// The mean squared error of each node, `[G, N]`: of the noise, or of v with an extrapolated or standardised prior.
    #[must_use]
    pub fn node_losses(&self, denoised: &Denoised, group: &SystemGroup) -> Tensor<2> {
        let [g, _, dimensions] = group.shape();
        let numbers = group.frames() * dimensions;
        let errors = match (&self.v, &denoised.v) {
            (Some(v), Some(found)) => v.clone() - found.clone(),
            _ => self.noise.clone() - denoised.noise.clone(),
        };
        errors.square().reshape([g, group.nodes(), numbers]).mean_dim(2).reshape([g, group.nodes()])
    }
}

/// What the network makes of states `z` at a level for each system, whatever the prior.
pub(crate) fn denoise_state(
    network: &GeotdmNetwork,
    diffusion: &TrajectoryDiffusion,
    group: &SystemGroup,
    reference: Option<&Tensor<3>>,
    z: &Tensor<3>,
    levels: &[usize],
) -> Result<Denoised, GeotdmError> {
    let seen = match reference.filter(|_| group.forecast.is_none()) {
        Some(reference) => z.clone() + reference.clone(),
        None => z.clone(),
    };
    let levels: Vec<Level> = levels.iter().map(|&k| diffusion.level(k)).collect();
    network.denoise_at(group, seen, &levels)
}

/// States of data and noise at a level for each system.
pub(crate) fn state(
    diffusion: &TrajectoryDiffusion,
    start: &Tensor<3>,
    noise: &Tensor<3>,
    levels: &[usize],
) -> Result<Tensor<3>, GeotdmError> {
    let (expected, found) = (start.dims()[0], levels.len());
    if expected != found {
        return Err(GeotdmError::Count { what: "levels of systems", expected, found });
    }
    Ok(combined(start, noise, levels, &|k| diffusion.signal(k), &|k| diffusion.noise(k)))
}

/// `a(k) x + b(k) y`, at a level for each system.
pub(crate) fn combined(
    x: &Tensor<3>,
    y: &Tensor<3>,
    levels: &[usize],
    a: &dyn Fn(usize) -> f64,
    b: &dyn Fn(usize) -> f64,
) -> Tensor<3> {
    let column = |of: &dyn Fn(usize) -> f64| {
        let values = levels.iter().map(|&k| of(k)).collect();
        from_host::<3>(values, [levels.len(), 1, 1], &x.device(), x.dtype())
    };
    x.clone() * column(a) + y.clone() * column(b)
}

/// Means over the nodes of each system, `[G, N]` to `[G]`; or over those of `counted` only, which are the same in every
/// system.
#[must_use]
pub fn system_losses(nodes: Tensor<2>, counted: CountedNodes) -> Tensor<1> {
    let [g, _] = nodes.dims();
    match counted {
        CountedNodes::All => nodes.mean_dim(1).reshape([g]),
        CountedNodes::First => nodes.narrow(1, 0, 1).reshape([g]),
    }
}

/// Which nodes the loss counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountedNodes {
    /// All.
    #[default]
    All,
    /// The first of each system; the others, though noised and denoised, are its surroundings (pedestrians).
    First,
}
