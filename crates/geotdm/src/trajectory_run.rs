//! Sampling: a batch of systems, ready for any plan of the sampler core.

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use equidrift_sampler::steer::Recentred;
use equidrift_sampler::{
    Component, Denoiser, Executor, Failure, NoiseSource, PathConfig, Plan, SamplerConfig, State, Support,
};

use crate::denoiser::GeotdmDenoiser;
use crate::diffusion::TrajectoryDiffusion;
use crate::error::GeotdmError;
use crate::extrapolation::Forecast;
use crate::network::GeotdmNetwork;
use crate::system_batch::SystemBatch;

/// Name of the component in states.
pub const COMPONENT: &str = "positions";

/// The frame a plan runs in.
enum Frame {
    /// Positions without their joint mean.
    Centred(Arc<dyn Denoiser>),
    /// Positions relative to the mean of the prior.
    Recentred(Recentred<Arc<dyn Denoiser>>),
    /// Deviations from the forecast of each system, or from 0, in its own measure.
    Deviations(Arc<dyn Denoiser>, Vec<Forecast>),
}

/// A batch of systems with what denoises them. States are in the frame of the diffusion: relative to the mean of the prior,
/// without their joint mean, or deviations from a forecast.
pub struct TrajectoryRun {
    frame: Frame,
    batch: SystemBatch,
    support: Support,
    path: [PathConfig; 1],
    device: Device,
    dtype: DType,
}

/// What a run gives.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawnTrajectories {
    /// The trajectory of each system, `[N, T, D]`; none where it became non-finite.
    pub trajectories: Vec<Option<Vec<f64>>>,
    /// Samples given up.
    pub failures: Vec<Failure>,
    /// Calls of the network.
    pub evaluations: usize,
}

impl TrajectoryRun {
    /// Makes the mean of the prior and what the network needs of the systems. A system may stand in the batch more than once,
    /// with different ids of samples.
    ///
    /// # Errors
    /// [`GeotdmError::Count`] if a system does not fit the network; as [`GeotdmNetwork::reference`].
    pub fn new(
        network: Arc<GeotdmNetwork>,
        diffusion: &TrajectoryDiffusion,
        batch: SystemBatch,
    ) -> Result<Self, GeotdmError> {
        Self::of(GeotdmDenoiser::new(network, diffusion.clone(), batch)?)
    }

    /// As [`TrajectoryRun::new`], from a denoiser that was made before.
    ///
    /// # Errors
    /// As [`GeotdmNetwork::reference`].
    pub fn of(denoiser: GeotdmDenoiser) -> Result<Self, GeotdmError> {
        let (device, dtype) = (denoiser.network().device().clone(), denoiser.network().dtype());
        let (batch, path) = (denoiser.batch().clone(), denoiser.diffusion().path_config());
        if let Some(extrapolation) = &denoiser.network().config().extrapolation {
            let forecasts = batch.systems().iter().map(|system| extrapolation.forecast(system));
            let forecasts = forecasts.collect::<Result<Vec<_>, _>>()?;
            let centred = denoiser.network().config().prior.is_centred();
            let (support, path) = (batch.support(centred), [path]);
            let frame = Frame::Deviations(Arc::new(denoiser), forecasts);
            return Ok(Self { frame, batch, support, path, device, dtype });
        }
        let reference = denoiser.reference()?;
        Self::around(Arc::new(denoiser), reference, path, batch, &device, dtype)
    }

    /// With another denoiser of the positions: one that is guided, say, or known exactly. `reference` `[B, width]` is the mean
    /// of the prior, in the rows of the batch; without it the joint mean of a trajectory is 0.
    ///
    /// # Errors
    /// [`GeotdmError::Sampler`] if the reference has another shape.
    pub fn around(
        denoiser: Arc<dyn Denoiser>,
        reference: Option<Tensor<2>>,
        path: PathConfig,
        batch: SystemBatch,
        device: &Device,
        dtype: DType,
    ) -> Result<Self, GeotdmError> {
        let support = batch.support(reference.is_none());
        let path = [path];
        let frame = match reference {
            None => Frame::Centred(denoiser),
            Some(values) => {
                let name = COMPONENT.to_owned();
                let mean = State::new(vec![Component { name, values, support: support.clone() }])?;
                Frame::Recentred(Recentred::new(denoiser, mean, &path)?)
            }
        };
        Ok(Self { frame, batch, support, path, device: device.clone(), dtype })
    }

    /// The batch.
    #[must_use]
    pub fn batch(&self) -> &SystemBatch {
        &self.batch
    }

    /// The path of the one component.
    #[must_use]
    pub fn paths(&self) -> &[PathConfig] {
        &self.path
    }

    /// The denoiser of states in the frame.
    #[must_use]
    pub fn denoiser(&self) -> &dyn Denoiser {
        match &self.frame {
            Frame::Centred(denoiser) | Frame::Deviations(denoiser, _) => denoiser.as_ref(),
            Frame::Recentred(recentred) => recentred,
        }
    }

    /// The plan of a sampler.
    ///
    /// # Errors
    /// As [`equidrift_sampler::Planner::plan`].
    pub fn plan(&self, sampler: &SamplerConfig, steps: usize) -> Result<Plan, GeotdmError> {
        Ok(sampler.plan(&self.path, steps)?)
    }

    /// A draw from the prior.
    ///
    /// # Errors
    /// [`GeotdmError::Sampler`] if there is not one id for each system.
    pub fn prior(&self, noise: &dyn NoiseSource, ids: &[u64]) -> Result<State, GeotdmError> {
        let supports = vec![self.support.clone()];
        Ok(State::prior(&[COMPONENT], &self.path, supports, ids, noise, &self.device, self.dtype)?)
    }

    /// Trajectories `[N, T, D]` of each system as a state, for instance to be noised and refined.
    ///
    /// # Errors
    /// [`GeotdmError::Count`] for another number of trajectories or numbers.
    pub fn state(&self, trajectories: &[Vec<f64>]) -> Result<State, GeotdmError> {
        let standardised: Vec<Vec<f64>>;
        let trajectories = match &self.frame {
            Frame::Centred(_) | Frame::Recentred(_) => trajectories,
            Frame::Deviations(_, forecasts) => {
                let parts = forecasts.iter().zip(trajectories);
                standardised = parts.map(|(forecast, of)| forecast.standardised(of)).collect();
                &standardised
            }
        };
        let mut rows = self.batch.rows(trajectories)?;
        if self.support.is_centred() {
            for (row, values) in rows.chunks_exact_mut(self.batch.width().max(1)).enumerate() {
                self.support.project_row(row, values);
            }
        }
        let support = self.support.clone();
        let component = Component::from_host(COMPONENT, rows, support, &self.device, self.dtype)?;
        let state = State::new(vec![component])?;
        Ok(match &self.frame {
            Frame::Recentred(recentred) => recentred.enter(&state)?,
            Frame::Centred(_) | Frame::Deviations(..) => state,
        })
    }

    /// The trajectories `[N, T, D]` of a state.
    ///
    /// # Errors
    /// [`GeotdmError::Sampler`] if the state has other rows.
    pub fn trajectories(&self, state: &State) -> Result<Vec<Vec<f64>>, GeotdmError> {
        let hosts = match &self.frame {
            Frame::Recentred(recentred) => recentred.leave(state)?.to_host()?,
            Frame::Centred(_) | Frame::Deviations(..) => state.to_host()?,
        };
        let rows = hosts.first().map(|rows| self.batch.trajectories(rows)).unwrap_or_default();
        Ok(match &self.frame {
            Frame::Deviations(_, forecasts) => {
                forecasts.iter().zip(&rows).map(|(of, z)| of.trajectory(z)).collect()
            }
            Frame::Centred(_) | Frame::Recentred(_) => rows,
        })
    }

    /// Draws one trajectory for each system; `ids[b]` is the id of the sample of system b. The result of an id depends on its
    /// system, the plan and the noise alone.
    ///
    /// # Errors
    /// [`GeotdmError::Sampler`] as [`Executor::run`].
    pub fn draw(
        &self,
        plan: &Plan,
        noise: &dyn NoiseSource,
        ids: &[u64],
    ) -> Result<DrawnTrajectories, GeotdmError> {
        let outcome = Executor::new(self.denoiser(), noise).run(plan, self.prior(noise, ids)?, ids)?;
        let mut trajectories: Vec<Option<Vec<f64>>> =
            self.trajectories(&outcome.state)?.into_iter().map(Some).collect();
        for failure in &outcome.failures {
            trajectories[failure.row] = None;
        }
        let (failures, evaluations) = (outcome.failures, outcome.evaluations);
        Ok(DrawnTrajectories { trajectories, failures, evaluations })
    }
}
