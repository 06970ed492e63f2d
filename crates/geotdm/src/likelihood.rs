//! The variational bound of a trajectory's likelihood, for choosing models (Ho et al. 2020, equation 5; Han et al. 2024).
//!
//! ```text
//! -ln p(x) <= sum over k > 0 of KL(q(z_{k-1} | z_0, z_k) || p(z_{k-1} | z_k)) - ln p(z_0 | z_1) + KL(q(z_T | z_0) || N(0, 1))
//! ```
//!
//! in nats, one sum for each node. Every level is evaluated once, with noise of its own. The unconditional law lives in the
//! subspace of joint mean 0: its normalisation has D dimensions less.

use std::f64::consts::PI;

use crate::denoising_loss::{denoise_state, state};
use crate::diffusion::TrajectoryDiffusion;
use crate::error::GeotdmError;
use crate::network::GeotdmNetwork;
use crate::system_group::{SystemGroup, from_host, to_host, without_joint_mean};

/// Terms of the bound for the systems of a group. Node n of system g is row `g N + n`.
#[derive(Debug, Clone, PartialEq)]
pub struct VariationalBound {
    /// Terms of the levels, `[G N, T]`; column k is level k.
    pub levels: Vec<f64>,
    /// The term of the prior, `[G N]`.
    pub prior: Vec<f64>,
    /// What the scales of a linear forecast or of the data add, `[G N]`; otherwise 0.
    pub volume: Vec<f64>,
    /// Mean squared error of the predicted noise by level, `[G N, T]`.
    pub noise_error: Vec<f64>,
    /// Mean squared error of the predicted data by level, `[G N, T]`.
    pub start_error: Vec<f64>,
    /// T.
    pub steps: usize,
}

impl VariationalBound {
    /// Evaluates the bound for trajectories `clean` `[G, N T, D]`. `noise(k)` gives the noise of level k, of the same shape
    /// and order; levels are asked for from the last to the first. Cost: T calls of the network.
    ///
    /// # Errors
    /// As [`GeotdmNetwork::denoise`] and [`GeotdmNetwork::reference`]; [`GeotdmError::Count`] for noise of another length.
    pub fn new(
        network: &GeotdmNetwork,
        diffusion: &TrajectoryDiffusion,
        group: &SystemGroup,
        clean: Vec<f64>,
        mut noise: impl FnMut(usize) -> Vec<f64>,
    ) -> Result<Self, GeotdmError> {
        let (device, dtype, shape) = (network.device(), network.dtype(), group.shape());
        let expected: usize = shape.iter().product();
        let tensor = |what, values: Vec<f64>| {
            let found = values.len();
            if found == expected {
                Ok(from_host::<3>(values, shape, device, dtype))
            } else {
                Err(GeotdmError::Count { what, expected, found })
            }
        };
        let subspace = network.config().prior.is_centred();
        let clean = tensor("numbers of trajectories", clean)?;
        let reference = network.reference(group)?;
        let start = match &reference {
            Some(reference) => clean - reference.clone(),
            None if subspace => without_joint_mean(clean),
            None => clean,
        };
        let start = match &group.forecast {
            Some([_, scale]) => start / scale.clone(),
            None => start,
        };
        let z_0 = to_host("the data", start.clone())?;
        let steps = diffusion.steps();
        let width = group.frames() * group.dimensions();
        let rows = expected / width;
        // The density of x is that of z over the product of the scales of all free coordinates, which are shared out among the
        // nodes (where not all are free, the scales are equal).
        let free = expected / group.systems() - if subspace { group.dimensions() } else { 0 };
        let share = free as f64 / group.nodes() as f64;
        let volume = match &group.forecast {
            Some([_, scale]) => {
                let scales = to_host("the scales", scale.clone())?;
                let logs = |scales: &[f64]| scales.iter().map(|d| libm::log(*d)).sum::<f64>();
                scales.chunks_exact(width).map(|scales| logs(scales) * share / width as f64).collect()
            }
            None => vec![0.0; rows],
        };
        let mut bound = Self {
            levels: vec![0.0; rows * steps],
            prior: z_0.chunks_exact(width).map(|z| prior_term(diffusion, z)).collect(),
            volume,
            noise_error: vec![0.0; rows * steps],
            start_error: vec![0.0; rows * steps],
            steps,
        };
        for k in (0..steps).rev() {
            let drawn = tensor("numbers of noise", noise(k))?;
            let drawn = if subspace { without_joint_mean(drawn) } else { drawn };
            let z = state(diffusion, &start, &drawn, &vec![k; group.systems()])?;
            let levels = vec![k; group.systems()];
            let predicted = denoise_state(network, diffusion, group, reference.as_ref(), &z, &levels)?.noise;
            let predicted = to_host("the noise", predicted)?;
            let (z, drawn) = (to_host("the states", z)?, to_host("the noise", drawn)?);
            for row in 0..rows {
                let of = |values: &[f64]| values[row * width..][..width].to_vec();
                let terms = Level { diffusion, k, share };
                let at = row * steps + k;
                (bound.levels[at], bound.noise_error[at], bound.start_error[at]) =
                    terms.of_node(&of(&z_0), &of(&z), &of(&predicted), &of(&drawn));
            }
        }
        Ok(bound)
    }

    /// The bound of each node, nats.
    #[must_use]
    pub fn node_totals(&self) -> Vec<f64> {
        let sums = self.levels.chunks_exact(self.steps).map(|levels| levels.iter().sum::<f64>());
        sums.zip(&self.prior)
            .zip(&self.volume)
            .map(|((levels, prior), volume)| levels + prior + volume)
            .collect()
    }

    /// The bound of each system of `nodes` nodes, nats.
    #[must_use]
    pub fn system_totals(&self, nodes: usize) -> Vec<f64> {
        self.node_totals().chunks_exact(nodes.max(1)).map(|nodes| nodes.iter().sum()).collect()
    }
}

/// One level.
struct Level<'a> {
    diffusion: &'a TrajectoryDiffusion,
    k: usize,
    /// Free coordinates of a system, shared out among its nodes: for each half of (ln variance + ln 2π).
    share: f64,
}

impl Level<'_> {
    /// The term, the squared error of the noise and that of the data.
    fn of_node(&self, z_0: &[f64], z: &[f64], predicted: &[f64], drawn: &[f64]) -> (f64, f64, f64) {
        let Self { diffusion, k, share } = *self;
        let posterior = diffusion.posterior(k);
        let variance = diffusion.reverse_variance(k);
        let (mut term, mut noise_error, mut start_error) = (0.0, 0.0, 0.0);
        for (((&z_0, &z), &predicted), &drawn) in z_0.iter().zip(z).zip(predicted).zip(drawn) {
            let start = diffusion.start_of(k, z, predicted);
            let mean = posterior.start * start + posterior.state * z;
            if k > 0 {
                let expected = posterior.start * z_0 + posterior.state * z;
                let ratio = posterior.log_variance - libm::log(variance);
                let difference = expected - mean;
                term += 0.5 * (libm::exp(ratio) - 1.0 - ratio + difference * difference / variance);
            } else {
                term += 0.5 * (z_0 - mean) * (z_0 - mean) / variance;
            }
            noise_error += (predicted - drawn) * (predicted - drawn);
            start_error += (start - z_0) * (start - z_0);
        }
        if k == 0 {
            term += share * 0.5 * (libm::log(variance) + libm::log(2.0 * PI));
        }
        let count = z.len() as f64;
        (term, noise_error / count, start_error / count)
    }
}

/// The divergence of the last level's law from the standard normal.
fn prior_term(diffusion: &TrajectoryDiffusion, z_0: &[f64]) -> f64 {
    let last = diffusion.steps() - 1;
    // The variance is 1 - ᾱ, very near 1.
    let bar = diffusion.path.alpha_bar(last);
    let log_variance = libm::log1p(-bar);
    z_0.iter().map(|z| 0.5 * (-bar - log_variance + bar * z * z)).sum()
}
