//! Trajectories: starting windows from files or simulations, frames that follow them, a trajectory file.

use std::path::Path;
use std::time::Instant;

use equidrift_backend::device::DeviceKind;
use equidrift_gdss::EngineKind;
use equidrift_geotdm::{GeotdmModel, SystemKind};
use equidrift_molecule::Correction;
use equidrift_trajectory::{Format, Trajectory};

use super::forecast::{DrawnTrajectory, Forecaster, Guidance};
use super::sampling::{fresh_manifest, run_summary};
use super::{Report, Sample};
use crate::batching::Batches;
use crate::course::Course;
use crate::error::Error;
use crate::manifest::{Diverged, Manifest};
use crate::model::Model;
use crate::output::{OutputFile, Resumption};
use crate::request::GenerateRequest;
use crate::summary::{Tally, TrajectorySummary};
use crate::trajectories::{
    GUIDANCE, MolecularRun, Starts, Systems, append_record, forecast_frames, write_trajectories, write_truth,
};
use crate::workers::{Ending, StopSignal, in_order};

/// A request for trajectories with everything that is not part of what is asked: where results go and who watches.
pub struct TrajectoryJob<'a> {
    /// What is asked; its `trajectories` must be there.
    pub request: &'a GenerateRequest,
    /// The trajectory file.
    pub output: &'a Path,
    /// Continue what an earlier run of the same request left.
    pub resume: bool,
    /// Where to write what really followed the starting windows, one after the other.
    pub truth: Option<&'a Path>,
    /// Ends the job early.
    pub stop: &'a StopSignal,
    /// Called from the worker threads.
    pub progress: &'a (dyn Fn(Report) + Sync),
}

/// A run of trajectories that is ready to go: request resolved, model open, source read, plan made. It draws samples in memory;
/// use [`generate_trajectories`] to write them to a file.
///
/// Sample `id` continues window `id / num`.
///
/// ```no_run
/// use equidrift::{GenerateRequest, TrajectoryGenerator, TrajectoryRequest, TrajectorySource};
///
/// let source = TrajectorySource { files: vec!["ethanol.npz".into()], ..Default::default() };
/// let trajectories = Some(TrajectoryRequest { source, ..Default::default() });
/// let model = "my-model/".to_owned();
/// let request = GenerateRequest { num: 5, seed: 7, model, trajectories, ..Default::default() };
/// for sample in TrajectoryGenerator::open(&request)?.trajectories()? {
///     println!("{} frames", sample.map_or(0, |trajectory| trajectory.frames()));
/// }
/// # Ok::<(), equidrift::Error>(())
/// ```
pub struct TrajectoryGenerator {
    request: GenerateRequest,
    model: Model,
    course: Course,
    starts: Starts,
    forecaster: Forecaster,
    /// Given frames in front of the made ones.
    in_front: usize,
    frames: usize,
    threads: usize,
}

impl TrajectoryGenerator {
    /// Opens the model, reads the source and makes the plan.
    ///
    /// # Errors
    /// Where the request is impossible, the model cannot be opened or is no model of trajectories, the source cannot be read or
    /// holds other systems, or the sampler cannot work with the model's path.
    pub fn open(request: &GenerateRequest) -> Result<Self, Error> {
        request.check()?;
        let refuse = |field, reason| Err(Error::Request { field, reason });
        let Some(asked) = &request.trajectories else {
            return refuse("trajectories", "say what is to be continued");
        };
        asked.check()?;
        if request.correction != Correction::default() {
            return refuse("correction", "trajectories have no valences to correct");
        }
        if request.match_prior {
            return refuse("match_prior", "the moments of the training trajectories are not recorded");
        }
        let model = Model::open(&request.model)?;
        let geotdm = model.geotdm()?;
        let config = geotdm.config();
        let kind = config.system_kind().ok_or(Error::UnknownSystems { model: model.name().to_owned() })?;
        let (kept, horizon) = forecast_frames(asked, config)?;

        let threads = threads(request);
        let own = config.molecule.as_ref().filter(|_| asked.source.is_unnamed());
        let systems = match (own, kind) {
            (Some(molecule), SystemKind::Molecules { edges, features }) => {
                let run = MolecularRun::of_model(molecule, (edges, features), model.name())?;
                Systems::Molecules(vec![run])
            }
            _ => asked.source.read(kind, 0..asked.source.runs, threads).map_err(|error| match error {
                Error::Systems { expected, found } => {
                    Error::OtherSystems { model: model.name().to_owned(), expected, found }
                }
                other => other,
            })?,
        };
        let starts = Starts::new(&systems, asked, config)?;
        drop(systems);

        let mut request = request.resolve(&config.sampler, config.steps)?;
        if let Some(asked) = &mut request.trajectories {
            asked.source_sha256 = own.is_none().then(|| asked.source.digest()).transpose()?;
            asked.starts = Some(starts.windows.len() as u64);
            (asked.frames, asked.horizon) = (Some(kept), Some(horizon));
        }
        request.check()?;
        let course = course(&request, geotdm)?;
        let fused = request.engine == Some(EngineKind::Fused);
        if fused && request.device != DeviceKind::Cpu {
            return refuse("engine", "the fused engine is for the cpu");
        }
        let with_given = asked.with_given;
        let known = &asked.known_frames;
        if !known.is_empty() && !fused {
            return refuse("known_frames", "guidance needs the fused engine, on the cpu");
        }
        let guidance = (!known.is_empty()).then(|| Guidance {
            known: (0..config.frames).map(|frame| known.contains(&frame)).collect(),
            scale: asked.guidance.unwrap_or(GUIDANCE),
        });
        let forecaster = Forecaster::new(
            geotdm,
            request.device,
            fused,
            (request.seed, course.clone()),
            (kept, horizon),
            with_given,
        )?
        .with_guidance(guidance)
        .with_temperature(request.temperature.map_or(1.0, |temperature| temperature.data));
        let (behind, given) = (config.given_behind, config.given_frames);
        let (in_front, at_end) = if with_given { (given - behind, behind) } else { (0, 0) };
        let frames = horizon + at_end;
        Ok(Self { request, course, starts, forecaster, in_front, frames, threads, model })
    }

    /// The request with everything filled in that was left to the model and the source.
    #[must_use]
    pub fn request(&self) -> &GenerateRequest {
        &self.request
    }

    /// How samples get from noise to data.
    #[must_use]
    pub fn course(&self) -> &Course {
        &self.course
    }

    /// What really followed the starting windows, one after the other; `None` where it is not known.
    ///
    /// # Errors
    /// [`Error::Trajectory`]; cannot happen for windows that were read.
    pub fn truth(&self) -> Result<Option<Trajectory>, Error> {
        if !self.starts.is_truth_known() {
            return Ok(None);
        }
        let mut all = Trajectory::new(self.starts.topology.clone());
        for window in 0..self.starts.windows.len() {
            for frame in self.starts.truth(window, false) {
                all.push(&frame)?;
            }
        }
        Ok(Some(all))
    }

    /// All trajectories of the request, in order of id; `None` for one that diverged.
    ///
    /// # Errors
    /// As [`TrajectoryGenerator::run`].
    pub fn trajectories(&self) -> Result<Vec<Option<Trajectory>>, Error> {
        let mut all = Vec::new();
        self.run(self.request.ids().start, &StopSignal::new(), &|_| (), |id, sample| {
            all.push(match sample.diverged {
                Some(_) => None,
                None => Some(self.trajectory(id, sample.item)?),
            });
            Ok(())
        })?;
        Ok(all)
    }

    fn trajectory(&self, id: u64, frames: Vec<Vec<[f32; 3]>>) -> Result<Trajectory, Error> {
        let mut trajectory = Trajectory::new(self.starts.topology.clone());
        for (t, positions) in frames.into_iter().enumerate() {
            let (time, cell) = self.starts.moment(self.window(id), t as i64 - self.in_front as i64);
            trajectory.push(&equidrift_trajectory::Frame { time, cell, positions })?;
        }
        Ok(trajectory)
    }

    /// The window that a sample continues.
    fn window(&self, id: u64) -> usize {
        (id / self.request.num) as usize
    }

    /// Draws the samples of the request from id `first` on and hands their frames `[T, N]` to `deliver` in order of id, as they
    /// come.
    ///
    /// # Errors
    /// Where the sampler or a device fails, and whatever `deliver` returns. A sample that diverges is no error.
    pub fn run(
        &self,
        first: u64,
        stop: &StopSignal,
        progress: &(dyn Fn(Report) + Sync),
        mut deliver: impl FnMut(u64, Sample<Vec<Vec<[f32; 3]>>>) -> Result<(), Error>,
    ) -> Result<Ending, Error> {
        let ids = first..self.request.ids().end;
        // Every thread gets its share of a short run.
        let share = (ids.end - ids.start).div_ceil(self.threads as u64).clamp(1, self.request.batch as u64);
        let nodes = |id: u64| self.starts.windows[self.window(id)].system.graph.nodes();
        let batches = Batches::new(ids.clone(), share as usize, nodes);
        in_order(
            ids,
            batches,
            self.threads,
            stop,
            |batch| {
                let ids: Vec<(u64, usize)> = batch.ids.iter().map(|&id| (id, self.window(id))).collect();
                self.forecaster.draw(&ids, &self.starts, stop, progress)
            },
            |id, DrawnTrajectory { frames, evaluations, failed }| {
                let diverged = failed.map(|step| Diverged { id, step: step as u64 });
                deliver(id, Sample { item: frames, diverged, evaluations })
            },
        )
    }

    fn start(&self, done: u64) -> Report {
        let ids = self.request.ids();
        // Where the number of steps is not known before, a round is one.
        let steps = self.course.steps().unwrap_or(1) * self.forecaster.rounds();
        Report::Start { samples: ids.end - ids.start, done, steps: steps as u64 }
    }

    /// Makes the finished file of the records.
    fn convert(&self, partial: &Path, path: &Path, manifest: &Manifest) -> Result<(), Error> {
        let diverged = |id: u64| manifest.diverged.iter().any(|sample| sample.id == id);
        let windows = self.request.ids().filter(|&id| !diverged(id)).map(|id| self.window(id));
        write_trajectories(partial, path, &self.starts, windows, -(self.in_front as i64))
    }
}

/// Runs a job to its end, or to the end of the batches in work where a stop is asked.
///
/// # Errors
/// See [`Error`]. Whatever the error, the output can be resumed.
pub fn generate_trajectories(job: TrajectoryJob<'_>) -> Result<TrajectorySummary, Error> {
    let format = Format::to_write(job.output)?;
    let truth_format = job.truth.map(Format::to_write).transpose()?;
    let generator = TrajectoryGenerator::open(job.request)?;
    if let (Some(path), Some(_)) = (job.truth, truth_format) {
        if !generator.starts.is_truth_known() {
            let reason = "what followed the last frames is not known; ask for windows";
            return Err(Error::Request { field: "truth", reason });
        }
        write_truth(path, &generator.starts, generator.in_front > 0)?;
    }
    let fresh =
        fresh_manifest(&generator.request, &generator.model, &generator.course, "none", format.name())?;
    let start = Instant::now();
    let (mut evaluations, mut ran) = (0, 0);
    let resumption = if job.resume {
        OutputFile::resume(job.output, fresh)?
    } else {
        Resumption::Continued(Box::new(OutputFile::create(job.output, fresh)?))
    };
    let manifest = match resumption {
        Resumption::Complete(manifest) => *manifest,
        Resumption::Continued(mut output) => {
            (job.progress)(generator.start(output.manifest().tally.samples));
            let first = output.manifest().next();
            let ending = generator.run(first, job.stop, job.progress, |id, sample| {
                evaluations += sample.evaluations as u64;
                ran += 1;
                let diverged = u64::from(sample.diverged.is_some());
                let tally = Tally { samples: 1, diverged, valid: 1 - diverged, ..Tally::default() };
                let record = if diverged == 1 { Vec::new() } else { append_record(&sample.item) };
                output.append(id, &record, &tally, sample.diverged)
            })?;
            match ending {
                Ending::Complete => output
                    .finish_converted(|partial, path, manifest| generator.convert(partial, path, manifest))?,
                Ending::Stopped { .. } => output.interrupt()?,
            }
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    let TrajectoryGenerator { request, model, course, starts, forecaster, in_front, frames, .. } = &generator;
    let mut run =
        run_summary((request, model, course), &manifest, (ran, evaluations), seconds, Some(job.output));
    run.evaluations_per_sample = match course.evaluations() {
        Some(of_a_round) => of_a_round * forecaster.rounds(),
        None => evaluations.div_ceil(ran.max(1)) as usize,
    };
    Ok(TrajectorySummary {
        trajectories: manifest.tally.valid,
        windows: starts.windows.len() as u64,
        samples_per_window: request.num,
        frames: (in_front + frames) as u64,
        atoms: starts.topology.atoms() as u64,
        trajectories_per_second: run.samples_per_second(),
        run,
    })
}

/// The course of the request's sampler, plan or adaptive sampler on the model's path.
fn course(request: &GenerateRequest, model: &GeotdmModel) -> Result<Course, Error> {
    let paths = [model.config().diffusion.path_config()];
    Ok(match (&request.plan, &request.adaptive, &request.sampler, request.steps) {
        (Some(plan), ..) => {
            plan.validate()?;
            plan.check_paths(&paths)?;
            Course::Plan(plan.clone())
        }
        (None, Some(sampler), ..) => {
            // Options out of range are found before the first batch.
            sampler.planner().source(&paths)?;
            Course::Adaptive { sampler: sampler.clone(), start: None }
        }
        (None, None, Some(sampler), Some(steps)) => Course::Plan(sampler.plan(&paths, steps)?),
        _ => unreachable!("`resolve` fills these in"),
    })
}

/// On the cpu one batch keeps one processor busy; another device works on one at a time.
fn threads(request: &GenerateRequest) -> usize {
    match (request.threads, request.device) {
        (0, DeviceKind::Cpu) => std::thread::available_parallelism().map_or(1, usize::from),
        (0, _) => 1,
        (threads, _) => threads,
    }
}
