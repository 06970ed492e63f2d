//! Batches of a GeoTDM model: trajectories that go on from their starting windows.
//!
//! Where more frames are asked for than the model makes at once, it goes on from the frames it made last (a receding horizon;
//! Han et al. 2024, section 5, compose long trajectories in this way). Every round has noise of its own.

use std::num::NonZeroUsize;
use std::sync::Arc;

use equidrift_backend::device::DeviceKind;
use equidrift_backend::philox::philox4x32_10;
use equidrift_geotdm::{
    FusedNetwork, GeotdmDenoiser, GeotdmModel, GeotdmNetwork, System, SystemBatch, TrajectoryDiffusion,
    TrajectoryRun,
};
use equidrift_sampler::steer::ObservationEnergy;
use equidrift_sampler::{DType, Executor, KeyedNoise, TemperedNoise};

use super::Report;
use super::gdss::Watch;
use crate::course::Course;
use crate::error::Error;
use crate::trajectories::Starts;
use crate::workers::StopSignal;

/// Keeps the seeds of later rounds apart from every other use of the seed.
const STREAM: u32 = 0x726f_756e; // "roun"

/// What became of a sample.
#[derive(Debug)]
pub(crate) struct DrawnTrajectory {
    /// Frames `[T, N]`, the given ones among them if they are asked for; none where the sample diverged.
    pub(crate) frames: Vec<Vec<[f32; 3]>>,
    /// Network evaluations it took.
    pub(crate) evaluations: usize,
    /// The step, counted over all rounds, at which it became infinite or not a number.
    pub(crate) failed: Option<usize>,
}

/// Draws batches.
pub(crate) struct Forecaster {
    network: Arc<GeotdmNetwork>,
    fused: Option<Arc<FusedNetwork>>,
    diffusion: TrajectoryDiffusion,
    seed: u64,
    course: Course,
    given: usize,
    /// Those of the given frames that come behind the made ones.
    behind: usize,
    kept: usize,
    horizon: usize,
    with_given: bool,
    guidance: Option<Guidance>,
    temperature: f64,
}

/// Frames that samples of an unconditional model are pulled to.
#[derive(Debug, Clone)]
pub(crate) struct Guidance {
    /// Of all frames that the model makes, whether it is known.
    pub(crate) known: Vec<bool>,
    pub(crate) scale: f64,
}

/// What one call of the model makes of a system: the trajectory `[N, T, D]`, or the step at which it diverged; and the network
/// evaluations.
pub(crate) type Made = (Result<Vec<f64>, usize>, usize);

/// A sample on its way.
struct Growing {
    id: u64,
    system: System,
    /// `[T, N, D]`: the given frames and those made so far.
    frames: Vec<f64>,
}

impl Forecaster {
    /// From the model, on a device.
    pub(crate) fn new(
        model: &GeotdmModel,
        device: DeviceKind,
        fused: bool,
        (seed, course): (u64, Course),
        (kept, horizon): (usize, usize),
        with_given: bool,
    ) -> Result<Self, Error> {
        Ok(Self {
            network: Arc::new(model.network(device, DType::F32)?),
            fused: fused.then(|| model.fused()).transpose()?.map(Arc::new),
            diffusion: model.config().diffusion.clone(),
            seed,
            course,
            given: model.config().given_frames,
            behind: model.config().given_behind,
            kept,
            horizon,
            with_given,
            guidance: None,
            temperature: 1.0,
        })
    }

    /// Pulls samples to known frames of their windows.
    pub(crate) fn with_guidance(mut self, guidance: Option<Guidance>) -> Self {
        self.guidance = guidance;
        self
    }

    /// Multiplies the noise of samples.
    pub(crate) fn with_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// Calls of the model for a sample.
    pub(crate) fn rounds(&self) -> usize {
        self.horizon.div_ceil(self.kept)
    }

    /// The samples of `ids`, each in its window, in their order; `None` where the batch was given up because of `stop`.
    pub(crate) fn draw(
        &self,
        ids: &[(u64, usize)],
        starts: &Starts,
        stop: &StopSignal,
        progress: &(dyn Fn(Report) + Sync),
    ) -> Result<Option<Vec<DrawnTrajectory>>, Error> {
        let mut growing: Vec<Growing> = ids
            .iter()
            .map(|&(id, window)| {
                let system = starts.windows[window].system.clone();
                let frames = by_frames(&system.given, system.given_frames(), &system);
                Growing { id, system, frames }
            })
            .collect();
        let mut failed: Vec<Option<usize>> = vec![None; ids.len()];
        let mut evaluations = vec![0; ids.len()];
        for round in 0..self.rounds() {
            // Samples that are given up are no longer drawn.
            let alive: Vec<usize> = (0..ids.len()).filter(|&place| failed[place].is_none()).collect();
            if alive.is_empty() {
                break;
            }
            let systems = alive.iter().map(|&place| growing[place].system.clone()).collect();
            let names: Vec<u64> = alive.iter().map(|&place| growing[place].id).collect();
            let truth = |place: &usize| {
                let start = &starts.windows[ids[*place].1];
                by_nodes(&start.truth, &start.system)
            };
            let observed: Option<Vec<Vec<f64>>> =
                self.guidance.is_some().then(|| alive.iter().map(truth).collect());
            let drawn = self.round(round, (systems, observed), &names, stop, progress)?;
            let Some(drawn) = drawn else { return Ok(None) };
            for (&place, (trajectory, spent)) in alive.iter().zip(drawn) {
                evaluations[place] += spent;
                match trajectory {
                    Ok(trajectory) => self.extend(&mut growing[place], &trajectory),
                    Err(step) => failed[place] = Some(round * self.course.steps().unwrap_or(1) + step),
                }
            }
        }
        let drawn = growing.iter().zip(failed).zip(evaluations).map(|((sample, failed), evaluations)| {
            let frames = if failed.is_some() { Vec::new() } else { self.written(sample, starts) };
            DrawnTrajectory { frames, evaluations, failed }
        });
        Ok(Some(drawn.collect()))
    }

    /// One call of the model for each of some systems, of which these trajectories `[N, T, D]` were observed where samples are guided;
    /// `None` where it was given up because of `stop`.
    pub(crate) fn round(
        &self,
        round: usize,
        (systems, observed): (Vec<System>, Option<Vec<Vec<f64>>>),
        ids: &[u64],
        stop: &StopSignal,
        progress: &(dyn Fn(Report) + Sync),
    ) -> Result<Option<Vec<Made>>, Error> {
        let batch = SystemBatch::new(systems)?;
        let denoiser = GeotdmDenoiser::new(self.network.clone(), self.diffusion.clone(), batch)?;
        let denoiser = match &self.fused {
            Some(fused) => denoiser.with_fused(fused.clone(), NonZeroUsize::MIN),
            None => denoiser,
        };
        let run = match (&self.guidance, observed) {
            (Some(Guidance { known, scale }), Some(observed)) => {
                TrajectoryRun::guided(denoiser, &observed, known, *scale, ObservationEnergy::Squared)?
            }
            _ => TrajectoryRun::of(denoiser)?,
        };
        let source = KeyedNoise::new(round_seed(self.seed, round));
        let noise = TemperedNoise { source, temperature: self.temperature };
        let mut watch = Watch { rows: ids.len() as u64, progress };
        let mut executor = Executor::new(run.denoiser(), &noise).with_cancel(stop.at_once());
        if self.course.steps().is_some() {
            executor = executor.with_observer(&mut watch);
        }
        let outcome = self.course.run(&mut executor, run.paths(), run.prior(&noise, ids)?, ids)?;
        if outcome.cancelled {
            return Ok(None);
        }
        if self.course.steps().is_none() {
            progress(Report::Steps { sample_steps: ids.len() as u64 });
        }
        let trajectories = run.trajectories(&outcome.state)?;
        let of = |(row, trajectory): (usize, Vec<f64>)| {
            let failure = outcome.failures.iter().find(|failure| failure.row == row);
            // Positions are written in single precision.
            let finite = trajectory.iter().all(|x| (*x as f32).is_finite());
            let result = match failure {
                Some(failure) => Err(failure.step),
                None if !finite => Err(self.course.steps().unwrap_or(0)),
                None => Ok(trajectory),
            };
            (result, outcome.row_evaluations[row])
        };
        Ok(Some(trajectories.into_iter().enumerate().map(of).collect()))
    }

    /// Adds the frames that are kept of a made trajectory, and gives the last ones to the next round.
    fn extend(&self, sample: &mut Growing, trajectory: &[f64]) {
        let system = &mut sample.system;
        let row = system.graph.nodes() * system.dimensions;
        let made = by_frames(trajectory, system.frames, system);
        let before = sample.frames.len() / row.max(1) - self.given;
        let kept = self.kept.min(self.horizon - before);
        sample.frames.extend_from_slice(&made[..kept * row]);
        let last = &sample.frames[sample.frames.len() - self.given * row..];
        let (given, nodes, dimensions) = (self.given, system.graph.nodes(), system.dimensions);
        system.given = (0..nodes * given)
            .flat_map(|place| {
                let (node, t) = (place / given, place % given);
                last[t * row + node * dimensions..][..dimensions].to_vec()
            })
            .collect();
    }

    /// The frames that are written.
    fn written(&self, sample: &Growing, starts: &Starts) -> Vec<Vec<[f32; 3]>> {
        let row = sample.system.graph.nodes() * sample.system.dimensions;
        let all: Vec<&[f64]> = sample.frames.chunks_exact(row).collect();
        let (given, made) = all.split_at(self.given);
        let (before, behind) = given.split_at(self.given - self.behind);
        let around = if self.with_given { (before, behind) } else { (&before[..0], &behind[..0]) };
        let frames = around.0.iter().chain(made).chain(around.1).copied();
        let frames = frames.map(|frame| starts.frame(frame, sample.system.dimensions, 1, 0));
        starts.with_handedness_of_source(frames.collect())
    }
}

/// `[N, T, D]` as `[T, N, D]`.
fn by_frames(values: &[f64], frames: usize, system: &System) -> Vec<f64> {
    let (nodes, dimensions) = (system.graph.nodes(), system.dimensions);
    (0..frames)
        .flat_map(|t| {
            (0..nodes).flat_map(move |node| {
                values[(node * frames + t) * dimensions..][..dimensions].iter().copied()
            })
        })
        .collect()
}

/// `[T, N, D]` as `[N, T, D]`.
fn by_nodes(values: &[f64], system: &System) -> Vec<f64> {
    let (nodes, dimensions) = (system.graph.nodes(), system.dimensions);
    let frames = values.len() / (nodes * dimensions).max(1);
    (0..nodes)
        .flat_map(|node| {
            (0..frames)
                .flat_map(move |t| values[(t * nodes + node) * dimensions..][..dimensions].iter().copied())
        })
        .collect()
}

/// The seed of a round's noise; that of the first round is the run's.
fn round_seed(seed: u64, round: usize) -> u64 {
    if round == 0 {
        return seed;
    }
    let [low, high, ..] = philox4x32_10([round as u32, 0, 0, STREAM], [seed as u32, (seed >> 32) as u32]);
    u64::from(high) << 32 | u64::from(low)
}
