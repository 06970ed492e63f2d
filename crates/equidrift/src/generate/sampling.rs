//! From a request to final states: open the model, make the plan, draw batch after batch.
//!
//! What is made of a final state, a molecule or a graph, is the business of a [`Decoder`].

use std::path::Path;

use equidrift_backend::device::DeviceKind;
use equidrift_gdss::Task;

use super::stopwatch::Stopwatch;
use super::{Report, Sample};
use crate::batching::{Batch, Batches};
use crate::course::Course;
use crate::error::Error;
use crate::manifest::{Diverged, FORMAT_VERSION, Identity, Manifest, Progress};
use crate::model::{FamilyModel, Model};
use crate::output::{hexadecimal, sha256_of_json};
use crate::request::GenerateRequest;
use crate::summary::{RunSummary, Tally};
use crate::workers::{Ending, StopSignal, in_order};

/// Pairs of nodes a batch holds at most. The state, its copies in the sampler and the activations of the networks grow
/// with it; at 361 nodes this is two graphs (or as many as an engine has lanes).
const MOST_PAIRS: usize = 1 << 18;

/// What is made of final states.
pub(crate) trait Decoder: Sync {
    /// What a sample becomes.
    type Item: Send;

    /// Of one sample.
    fn decode(&self, id: u64, row: FinalState<'_>) -> Result<Self::Item, Error>;

    /// What stands in the place of a sample that diverged.
    fn diverged(&self, id: u64) -> Result<Self::Item, Error>;
}

/// The final state of one sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FinalState<'a> {
    /// Number of nodes.
    pub(crate) nodes: usize,
    /// Node features `[N, F]`.
    pub(crate) x: &'a [f32],
    /// Adjacency `[N, N]`.
    pub(crate) adj: &'a [f32],
}

/// A sample before it is decoded.
pub(crate) struct Drawn {
    /// Number of nodes.
    pub(crate) nodes: usize,
    /// Node features `[N, F]`.
    pub(crate) x: Vec<f32>,
    /// Adjacency `[N, N]`.
    pub(crate) adj: Vec<f32>,
    /// Network evaluations it took.
    pub(crate) evaluations: usize,
    /// The step at which it became infinite or not a number.
    pub(crate) failed: Option<usize>,
}

/// Draws the samples of one family of models.
pub(crate) trait BatchSampler: Send + Sync {
    /// Nodes of a sample, as far as batches are put together by it.
    fn nodes(&self, id: u64) -> usize;

    /// Lanes that a batch may be filled up to, and the number of nodes from which graphs have no use for company.
    fn lanes(&self) -> (usize, usize) {
        (1, 0)
    }

    /// How many workers may draw at the same time and how many pairs of nodes a batch of each may hold, where `workers` and
    /// `pairs` are what is wanted.
    fn within_memory(&self, wanted: (usize, usize)) -> Result<(usize, usize), Error> {
        Ok(wanted)
    }

    /// The samples of a batch in its order; `None` where it was given up because of `stop`. The time that goes into networks is
    /// taken with `stopwatch`, where it can be told from the rest.
    fn draw(
        &self,
        batch: &Batch,
        stop: &StopSignal,
        progress: &(dyn Fn(Report) + Sync),
        stopwatch: &Stopwatch,
    ) -> Result<Option<Vec<Drawn>>, Error>;
}

/// A run that is ready to go.
pub(crate) struct Sampling {
    pub(crate) request: GenerateRequest,
    pub(crate) model: Model,
    pub(crate) course: Course,
    sampler: Box<dyn BatchSampler>,
    threads: usize,
    most_pairs: usize,
    stopwatch: Stopwatch,
}

impl Sampling {
    /// Opens the model, which must be one of `task`, and makes the plan.
    pub(crate) fn open(request: &GenerateRequest, task: Task) -> Result<Self, Error> {
        request.check()?;
        if request.trajectories.is_some() {
            let reason = "molecules and graphs do not move";
            return Err(Error::Request { field: "trajectories", reason });
        }
        let request = &GenerateRequest { model: request.model_name().to_owned(), ..request.clone() };
        let model = Model::open(&request.model)?;
        model.expect_task(task)?;
        let (request, course, sampler) = match model.family() {
            FamilyModel::Gdss(gdss) => super::gdss::open(request, &model, gdss)?,
            FamilyModel::Pard(pard) => super::pard::open(request, pard)?,
            FamilyModel::Geotdm(_) => unreachable!("it makes trajectories, which is no task"),
        };
        // On the cpu one batch keeps one processor busy, with either engine; another device works on one at a time.
        let threads = match (request.threads, request.device) {
            (0, DeviceKind::Cpu) => std::thread::available_parallelism().map_or(1, usize::from),
            (0, _) => 1,
            (threads, _) => threads,
        };
        let (threads, most_pairs) = sampler.within_memory((threads, MOST_PAIRS))?;
        Ok(Self { request, model, course, sampler, threads, most_pairs, stopwatch: Stopwatch::default() })
    }

    /// Draws the samples of the request from id `first` on and hands them to `deliver` in order of id, as they come.
    pub(crate) fn run<D: Decoder>(
        &self,
        decoder: &D,
        first: u64,
        stop: &StopSignal,
        progress: &(dyn Fn(Report) + Sync),
        deliver: impl FnMut(u64, Sample<D::Item>) -> Result<(), Error>,
    ) -> Result<Ending, Error> {
        let ids = first..self.request.ids().end;
        let batches = Batches::new(ids.clone(), self.request.batch, |id| self.sampler.nodes(id))
            .with_lanes(self.sampler.lanes())
            .with_most_pairs(self.most_pairs);
        in_order(
            ids,
            batches,
            self.threads,
            stop,
            |batch| self.sample(decoder, batch, stop, progress),
            deliver,
        )
    }

    /// One batch from noise to decoded samples; `None` where it was given up.
    fn sample<D: Decoder>(
        &self,
        decoder: &D,
        batch: &Batch,
        stop: &StopSignal,
        progress: &(dyn Fn(Report) + Sync),
    ) -> Result<Option<Vec<Sample<D::Item>>>, Error> {
        let draw = || self.sampler.draw(batch, stop, progress, &self.stopwatch);
        let Some(drawn) = self.stopwatch.drawing.on(draw)? else { return Ok(None) };
        if self.course.steps().is_none() {
            // Where the number of steps is not known before, a sample is one.
            progress(Report::Steps { sample_steps: drawn.len() as u64 });
        }
        let samples = batch.ids.iter().zip(drawn).map(|(&id, drawn)| {
            let Drawn { nodes, x, adj, evaluations, failed } = drawn;
            let item = match failed {
                Some(_) => decoder.diverged(id)?,
                None => decoder.decode(id, FinalState { nodes, x: &x, adj: &adj })?,
            };
            let diverged = failed.map(|step| Diverged { id, step: step as u64 });
            Ok(Sample { item, diverged, evaluations })
        });
        self.stopwatch.decoding.on(|| samples.collect::<Result<Vec<_>, Error>>()).map(Some)
    }

    /// What is reported when sampling begins behind `done` samples.
    pub(crate) fn start(&self, done: u64) -> Report {
        let ids = self.request.ids();
        Report::Start { samples: ids.end - ids.start, done, steps: self.course.steps().unwrap_or(1) as u64 }
    }

    /// The manifest of a run of which nothing is done yet.
    pub(crate) fn manifest(&self, chemistry: &str, format: &str) -> Result<Manifest, Error> {
        fresh_manifest(&self.request, &self.model, &self.course, chemistry, format)
    }

    /// The figures that do not depend on what is made. This process drew `ran` samples with `evaluations` evaluations of
    /// the networks in all.
    pub(crate) fn summary(
        &self,
        manifest: &Manifest,
        counts: (u64, u64),
        seconds: f64,
        file: Option<&Path>,
    ) -> RunSummary {
        let run = run_summary((&self.request, &self.model, &self.course), manifest, counts, seconds, file);
        RunSummary { time: self.stopwatch.shares(), ..run }
    }
}

/// The manifest of a run of which nothing is done yet.
pub(super) fn fresh_manifest(
    request: &GenerateRequest,
    model: &Model,
    course: &Course,
    chemistry: &str,
    format: &str,
) -> Result<Manifest, Error> {
    Ok(Manifest {
        format_version: FORMAT_VERSION,
        library: concat!("equidrift ", env!("CARGO_PKG_VERSION")).to_owned(),
        model: model.name().to_owned(),
        identity: Identity {
            request_sha256: request.digest()?,
            model_sha256: model.sha256().to_owned(),
            plan_sha256: sha256_of_json(course)?,
            chemistry: chemistry.to_owned(),
            format: format.to_owned(),
        },
        request: request.clone(),
        progress: Progress::Running,
        done: Vec::new(),
        bytes: 0,
        sha256: hexadecimal(&<sha2::Sha256 as sha2::Digest>::digest([])),
        tally: Tally::default(),
        diverged: Vec::new(),
    })
}

/// The figures that do not depend on what is made. This process drew `ran` samples with `evaluations` evaluations of the
/// networks in all.
pub(super) fn run_summary(
    (request, model, course): (&GenerateRequest, &Model, &Course),
    manifest: &Manifest,
    (ran, evaluations): (u64, u64),
    seconds: f64,
    file: Option<&Path>,
) -> RunSummary {
    let ids = request.ids();
    let complete = manifest.progress == Progress::Complete;
    let mean_evaluations = || evaluations.div_ceil(ran.max(1)) as usize;
    RunSummary {
        model: model.name().to_owned(),
        sampler: course.name().to_owned(),
        steps: course.steps().unwrap_or(0),
        evaluations_per_sample: course.evaluations().unwrap_or_else(mean_evaluations),
        engine: request.engine.map(|engine| engine.to_string()).unwrap_or_default(),
        device: request.device.to_string(),
        seed: request.seed,
        requested: ids.end - ids.start,
        complete,
        samples: manifest.tally.samples,
        samples_this_run: ran,
        diverged: manifest.diverged.clone(),
        seconds,
        time: None,
        output: file.map(|path| {
            let place = if complete { path.to_owned() } else { Manifest::partial_for(path) };
            place.display().to_string()
        }),
        output_sha256: file.map(|_| manifest.sha256.clone()),
    }
}
