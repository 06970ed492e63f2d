//! From a request to final states: open the model, make the plan, draw batch after batch.
//!
//! What is made of a final state, a molecule or a graph, is the business of a [`Decoder`].

use std::path::Path;
use std::sync::Arc;

use equidrift_backend::device::DeviceKind;
use equidrift_gdss::{GdssDenoiser, Task};
use equidrift_sampler::plan::{DpmSolverV3, NormScope};
use equidrift_sampler::{
    DType, Denoiser, Device, Executor, KeyedNoise, Observer, PathConfig, SamplerConfig, State, Support,
};

use super::{Report, Sample};
use crate::batching::{Batch, Batches};
use crate::course::Course;
use crate::error::Error;
use crate::manifest::{Diverged, FORMAT_VERSION, Identity, Manifest, Progress};
use crate::model::Model;
use crate::node_counts::NodeCounts;
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

/// A run that is ready to go.
pub(crate) struct Sampling {
    pub(crate) request: GenerateRequest,
    pub(crate) model: Model,
    pub(crate) course: Course,
    node_counts: NodeCounts,
    paths: [PathConfig; 2],
    denoiser: Arc<GdssDenoiser>,
    device: Device,
    threads: usize,
}

impl Sampling {
    /// Opens the model, which must be one of `task`, and makes the plan.
    pub(crate) fn open(request: &GenerateRequest, task: Task) -> Result<Self, Error> {
        request.check()?;
        let model = Model::open(&request.model)?;
        let config = model.gdss().config();
        model.expect_task(task)?;
        let request = request.resolve(&config.sampler, config.steps)?;
        let Some(engine) = request.engine else { unreachable!("`resolve` fills it in") };
        let paths = [config.paths.x.clone(), config.paths.adj.clone()];
        let start = request.match_prior.then(|| model.matched_prior()).transpose()?;
        let course = match (&request.plan, &request.adaptive, &request.sampler, request.steps) {
            (Some(plan), ..) => {
                plan.validate()?;
                plan.check_paths(&paths)?;
                Course::Plan(plan.clone())
            }
            (None, Some(sampler), ..) => {
                // Options out of range are found before the first batch.
                sampler.planner().source(&paths)?;
                Course::Adaptive { sampler: sampler.clone(), start }
            }
            (None, None, Some(sampler), Some(steps)) => {
                if let SamplerConfig::DpmSolverV3(DpmSolverV3 { statistics: Some(statistics), .. }) = sampler
                {
                    statistics.check_checkpoint(model.sha256())?;
                }
                let plan = sampler.plan(&paths, steps)?;
                Course::Plan(match start {
                    Some(start) => start.apply(plan)?,
                    None => plan,
                })
            }
            _ => unreachable!("`resolve` fills these in"),
        };
        let node_counts = match &config.node_counts {
            Some(histogram) => NodeCounts::new(histogram, config.max_nodes)?,
            None => NodeCounts::fixed(config.max_nodes),
        };
        let device = request.device.open().map_err(|source| Error::Device { source })?;
        let denoiser = model.gdss().denoiser(engine, request.device)?;
        // On the cpu one batch keeps one processor busy, with either engine; another device works on one at a time.
        let threads = match (request.threads, request.device) {
            (0, DeviceKind::Cpu) => std::thread::available_parallelism().map_or(1, usize::from),
            (0, _) => 1,
            (threads, _) => threads,
        };
        Ok(Self { request, model, course, node_counts, paths, denoiser, device, threads })
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
        let seed = self.request.seed;
        let batches = Batches::new(ids.clone(), self.request.batch, |id| self.node_counts.draw(seed, id))
            .with_lanes(self.lanes())
            .with_most_pairs(MOST_PAIRS);
        in_order(
            ids,
            batches,
            self.threads,
            stop,
            |batch| self.sample(decoder, batch, stop, progress),
            deliver,
        )
    }

    /// Lanes that a batch may be filled up to. Where norms are taken over the batch, its members must not depend on the
    /// machine.
    fn lanes(&self) -> usize {
        match self.request.norm() {
            NormScope::PerSample => self.denoiser.engine().lanes(),
            NormScope::BatchMean => 1,
        }
    }

    /// One batch from noise to decoded samples; `None` where it was given up.
    fn sample<D: Decoder>(
        &self,
        decoder: &D,
        batch: &Batch,
        stop: &StopSignal,
        progress: &(dyn Fn(Report) + Sync),
    ) -> Result<Option<Vec<Sample<D::Item>>>, Error> {
        let (rows, nodes) = (batch.ids.len(), batch.nodes);
        let features = self.model.gdss().config().networks.features();
        let mask: Vec<Vec<bool>> =
            batch.sizes.iter().map(|&size| (0..nodes).map(|node| node < size).collect()).collect();
        let supports = vec![Support::nodes(mask.clone(), features), Support::symmetric_pairs(mask)];
        let noise = KeyedNoise::new(self.request.seed);
        let state =
            State::prior(&["x", "adj"], &self.paths, supports, &batch.ids, &noise, &self.device, DType::F32)?;
        let mut watch = Watch { rows: rows as u64, progress };
        let denoiser: &dyn Denoiser = &*self.denoiser;
        let mut executor = Executor::new(denoiser, &noise).with_cancel(stop.at_once());
        if self.course.steps().is_some() {
            executor = executor.with_observer(&mut watch);
        }
        let outcome = self.course.run(&mut executor, &self.paths, state, &batch.ids)?;
        if outcome.cancelled {
            return Ok(None);
        }
        if self.course.steps().is_none() {
            // Where the number of steps is not known before, a sample is one.
            progress(Report::Steps { sample_steps: rows as u64 });
        }
        let [x, adj] = &outcome.state.components[..] else {
            unreachable!("the executor returns the two components it was given")
        };
        let scales = self.model.gdss().config().paths.scales;
        let (x, adj) = (unscaled(x.to_host()?, scales.x), unscaled(adj.to_host()?, scales.adj));
        let samples = batch.ids.iter().zip(&batch.sizes).enumerate().map(|(row, (&id, &size))| {
            let failure = outcome.failures.iter().find(|failure| failure.id == id);
            let item = match failure {
                Some(_) => decoder.diverged(id)?,
                None => {
                    let x = &x[row * nodes * features..][..size * features];
                    let adj: Vec<f32> = adj[row * nodes * nodes..][..size * nodes]
                        .chunks_exact(nodes)
                        .flat_map(|line| &line[..size])
                        .copied()
                        .collect();
                    decoder.decode(id, FinalState { nodes: size, x, adj: &adj })?
                }
            };
            let diverged = failure.map(|failure| Diverged { id, step: failure.step as u64 });
            Ok(Sample { item, diverged, evaluations: outcome.row_evaluations[row] })
        });
        samples.collect::<Result<Vec<_>, Error>>().map(Some)
    }

    /// What is reported when sampling begins behind `done` samples.
    pub(crate) fn start(&self, done: u64) -> Report {
        let ids = self.request.ids();
        Report::Start { samples: ids.end - ids.start, done, steps: self.course.steps().unwrap_or(1) as u64 }
    }

    /// The manifest of a run of which nothing is done yet.
    pub(crate) fn manifest(&self, chemistry: &str, format: &str) -> Result<Manifest, Error> {
        Ok(Manifest {
            format_version: FORMAT_VERSION,
            library: concat!("equidrift ", env!("CARGO_PKG_VERSION")).to_owned(),
            model: self.model.name().to_owned(),
            identity: Identity {
                request_sha256: self.request.digest()?,
                model_sha256: self.model.sha256().to_owned(),
                plan_sha256: sha256_of_json(&self.course)?,
                chemistry: chemistry.to_owned(),
                format: format.to_owned(),
            },
            request: self.request.clone(),
            progress: Progress::Running,
            done: Vec::new(),
            bytes: 0,
            sha256: hexadecimal(&<sha2::Sha256 as sha2::Digest>::digest([])),
            tally: Tally::default(),
            diverged: Vec::new(),
        })
    }

    /// The figures that do not depend on what is made. This process drew `ran` samples with `evaluations` evaluations of
    /// the networks in all.
    pub(crate) fn summary(
        &self,
        manifest: &Manifest,
        (ran, evaluations): (u64, u64),
        seconds: f64,
        file: Option<&Path>,
    ) -> RunSummary {
        let (request, ids) = (&self.request, self.request.ids());
        let complete = manifest.progress == Progress::Complete;
        let mean_evaluations = || evaluations.div_ceil(ran.max(1)) as usize;
        RunSummary {
            model: self.model.name().to_owned(),
            sampler: self.course.name().to_owned(),
            steps: self.course.steps().unwrap_or(0),
            evaluations_per_sample: self.course.evaluations().unwrap_or_else(mean_evaluations),
            engine: request.engine.map(|engine| engine.to_string()).unwrap_or_default(),
            device: request.device.to_string(),
            seed: request.seed,
            requested: ids.end - ids.start,
            complete,
            samples: manifest.tally.samples,
            samples_this_run: ran,
            diverged: manifest.diverged.clone(),
            seconds,
            output: file.map(|path| {
                let place = if complete { path.to_owned() } else { Manifest::partial_for(path) };
                place.display().to_string()
            }),
            output_sha256: file.map(|_| manifest.sha256.clone()),
        }
    }
}

/// Passes the executor's steps on.
struct Watch<'a> {
    rows: u64,
    progress: &'a (dyn Fn(Report) + Sync),
}

impl Observer for Watch<'_> {
    fn step(&mut self, _: &equidrift_sampler::Progress) {
        (self.progress)(Report::Steps { sample_steps: self.rows });
    }
}

/// In the units of the decoder. States are f32 (see [`Sampling::sample`]), so nothing is lost at scale 1.
fn unscaled(values: Vec<f64>, scale: f64) -> Vec<f32> {
    values.into_iter().map(|value| (value / scale) as f32).collect()
}
