//! Sampling: a batch of systems, ready for any plan of the sampler core.

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use equidrift_sampler::steer::{ObservationEnergy, Recentred, SelfGuided};
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
    /// Where the samples of a guided run lie: a point for each system.
    origins: Option<Vec<Vec<f64>>>,
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
            return Ok(Self { frame, batch, support, path, device, dtype, origins: None });
        }
        let reference = denoiser.reference()?;
        Self::around(Arc::new(denoiser), reference, path, batch, &device, dtype)
    }

    /// A run of an unconditional model whose samples are pulled to what was observed of them: `known[t]` frames of `observed`, a
    /// trajectory `[N, T, D]` for each system whose other frames do not matter (self-guidance, Kollovieh et al. 2023).
    ///
    /// The unconditional law has its joint mean at 0; positions are taken about the mean of the known frames, and
    /// [`TrajectoryRun::trajectories`] moves samples back there.
    ///
    /// # Errors
    /// [`GeotdmError::GuidedConditional`]; [`GeotdmError::Count`] for other numbers of trajectories or frames, or if no frame is
    /// known; [`GeotdmError::Sampler`] for a scale that is negative or no number.
    pub fn guided(
        denoiser: GeotdmDenoiser,
        observed: &[Vec<f64>],
        known: &[bool],
        scale: f64,
        energy: ObservationEnergy,
    ) -> Result<Self, GeotdmError> {
        if denoiser.network().config().prior.is_conditional() {
            return Err(GeotdmError::GuidedConditional);
        }
        let count = |what, expected, found| Err(GeotdmError::Count { what, expected, found });
        let mut run = Self::of(denoiser.clone())?;
        let systems = run.batch.systems();
        if observed.len() != systems.len() {
            return count("observed trajectories", systems.len(), observed.len());
        }
        let seen = known.iter().filter(|known| **known).count();
        if seen == 0 {
            return count("known frames, at least", 1, 0);
        }
        let (mut about, mut masks, mut origins) = (Vec::new(), Vec::new(), Vec::new());
        for (system, observed) in systems.iter().zip(observed) {
            let (frames, d) = (system.frames, system.dimensions);
            if known.len() != frames {
                return count("frames that are known or not", frames, known.len());
            }
            if observed.len() != system.width() {
                return count("numbers of an observed trajectory", system.width(), observed.len());
            }
            let is_known = |at: usize| known[at / d % frames];
            let points = (system.graph.nodes() * seen) as f64;
            let mean = |k: usize| {
                let of_axis = (k..observed.len()).step_by(d).filter(|&at| is_known(at));
                of_axis.map(|at| observed[at]).sum::<f64>() / points
            };
            let origin: Vec<f64> = (0..d).map(mean).collect();
            let relative = |(at, x): (usize, &f64)| if is_known(at) { x - origin[at % d] } else { 0.0 };
            about.push(observed.iter().enumerate().map(relative).collect::<Vec<f64>>());
            masks.push((0..observed.len()).map(|at| f64::from(u8::from(is_known(at)))).collect::<Vec<f64>>());
            origins.push(origin);
        }
        let about = match &run.frame {
            Frame::Deviations(_, forecasts) => {
                forecasts.iter().zip(&about).map(|(forecast, x)| forecast.standardised(x)).collect()
            }
            Frame::Centred(_) | Frame::Recentred(_) => about,
        };
        let state = |rows: &[Vec<f64>]| -> Result<State, GeotdmError> {
            let values = run.batch.rows(rows)?;
            let support = run.support.clone();
            let component = Component::from_host(COMPONENT, values, support, &run.device, run.dtype)?;
            Ok(State { components: vec![component] })
        };
        let guided = SelfGuided::new(denoiser, state(&about)?, &state(&masks)?, scale, energy, &run.path)?;
        let guided: Arc<dyn Denoiser> = Arc::new(guided);
        run.frame = match run.frame {
            Frame::Deviations(_, forecasts) => Frame::Deviations(guided, forecasts),
            Frame::Centred(_) | Frame::Recentred(_) => Frame::Centred(guided),
        };
        run.origins = Some(origins);
        Ok(run)
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
        Ok(Self { frame, batch, support, path, device: device.clone(), dtype, origins: None })
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
        let mut trajectories = match &self.frame {
            Frame::Deviations(_, forecasts) => {
                forecasts.iter().zip(&rows).map(|(of, z)| of.trajectory(z)).collect()
            }
            Frame::Centred(_) | Frame::Recentred(_) => rows,
        };
        for (trajectory, origin) in trajectories.iter_mut().zip(self.origins.iter().flatten()) {
            trajectory.iter_mut().zip(origin.iter().cycle()).for_each(|(x, origin)| *x += origin);
        }
        Ok(trajectories)
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
