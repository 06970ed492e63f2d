//! The pipeline: request -> model -> batches -> sampler -> molecules -> file.
//!
//! Sample `id` has its number of nodes, its prior noise and all later noise from (seed, id); batches hold samples of
//! one size, so there is no padding; each row of a batch is computed as if it were alone. So the bytes for an id
//! are the same in any batch, on any worker, in any shard and after any resumption.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use equidrift_backend::device::DeviceKind;
use equidrift_gdss::Task;
use equidrift_molecule::metrics::{SmilesSet, TrainingSet};
use equidrift_molecule::{
    Chemistry, Decoded, Format, GeneratedMolecule, MolecularGraph, MoleculeError, SmilesLines, decode,
};
use equidrift_sampler::plan::DpmSolverV3;
use equidrift_sampler::{
    DType, Denoiser, Device, Executor, KeyedNoise, Observer, PathConfig, SamplerConfig, State, Support,
};

use crate::batching::{Batch, Batches};
use crate::course::Course;
use crate::error::Error;
use crate::manifest::{Diverged, FORMAT_VERSION, Identity, Manifest, Progress};
use crate::model::Model;
use crate::node_counts::NodeCounts;
use crate::output::{OutputFile, Resumption, sha256_of_json};
use crate::request::GenerateRequest;
use crate::summary::{Summary, Tally, share};
use crate::workers::{Ending, StopSignal, in_order};
use crate::written::written_smiles;

/// Where the results go.
pub enum Destination<'a> {
    /// A file with a manifest, finished atomically; see [`OutputFile`].
    File {
        /// The file.
        path: &'a Path,
        /// Continue what an earlier run of the same request left.
        resume: bool,
    },
    /// A stream without a record of what went into it.
    Stream(&'a mut dyn Write),
}

/// How far a running job is, as reported to [`Job::progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The model is open and sampling begins.
    Start {
        /// Samples of the whole job.
        samples: u64,
        /// How many of them an earlier run had done.
        done: u64,
        /// Steps of the sampler per sample.
        steps: u64,
    },
    /// Sampler steps just made, each of one sample.
    Steps {
        /// How many.
        sample_steps: u64,
    },
}

/// A request with everything that is not part of what is asked: where results go and who watches.
pub struct Job<'a> {
    /// What is asked.
    pub request: &'a GenerateRequest,
    /// File format of the results.
    pub format: Format,
    /// Where they go.
    pub destination: Destination<'a>,
    /// SMILES file of the training set, to report novelty.
    pub training_set: Option<&'a Path>,
    /// Ends the job early.
    pub stop: &'a StopSignal,
    /// Called from the worker threads.
    pub progress: &'a (dyn Fn(Report) + Sync),
}

/// A generation run that is ready to go: request resolved, model open, plan made. It draws samples in memory; use
/// [`generate`] to write them to files.
///
/// ```no_run
/// use equidrift::{Generator, GenerateRequest};
///
/// let generator = Generator::open(&GenerateRequest { num: 20, seed: 7, ..GenerateRequest::default() })?;
/// for molecule in generator.molecules()? {
///     println!("{}", molecule.smiles);
/// }
/// # Ok::<(), equidrift::Error>(())
/// ```
pub struct Generator {
    request: GenerateRequest,
    model: Model,
    course: Course,
    node_counts: NodeCounts,
    paths: [PathConfig; 2],
    denoiser: Arc<dyn Denoiser>,
    device: Device,
    chemistry: &'static dyn Chemistry,
    threads: usize,
}

/// What became of a sample.
#[derive(Debug)]
pub struct Sample {
    /// The molecule; without atoms where the sample diverged.
    pub molecule: GeneratedMolecule,
    /// Set where the sample became infinite or not a number.
    pub diverged: Option<Diverged>,
    /// Network evaluations it took.
    pub evaluations: usize,
}

impl Generator {
    /// Opens the model and makes the plan.
    ///
    /// # Errors
    /// Where the request is impossible, the model cannot be opened or is no model of molecules, or the sampler cannot
    /// work with the model's paths.
    pub fn open(request: &GenerateRequest) -> Result<Self, Error> {
        request.check()?;
        let model = Model::open(&request.model)?;
        let config = model.gdss().config();
        model.expect_task(Task::Molecules)?;
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
        Ok(Self {
            request,
            model,
            course,
            node_counts,
            paths,
            denoiser,
            device,
            chemistry: chemistry(),
            threads,
        })
    }

    /// The request with everything filled in that was left to the model.
    pub fn request(&self) -> &GenerateRequest {
        &self.request
    }

    /// How samples get from noise to data.
    pub fn course(&self) -> &Course {
        &self.course
    }

    /// All molecules of the request, in order of id. For many samples use [`Generator::run`], which holds only a few
    /// batches in memory.
    ///
    /// # Errors
    /// As [`Generator::run`].
    pub fn molecules(&self) -> Result<Vec<GeneratedMolecule>, Error> {
        let mut molecules = Vec::new();
        self.run(self.request.ids().start, &StopSignal::new(), &|_| (), |_, sample| {
            molecules.push(sample.molecule);
            Ok(())
        })?;
        Ok(molecules)
    }

    /// Draws the samples of the request from id `first` on and hands them to `deliver` in order of id, as they come.
    ///
    /// # Errors
    /// Where the sampler or a device fails, and whatever `deliver` returns. A sample that diverges is no error.
    pub fn run(
        &self,
        first: u64,
        stop: &StopSignal,
        progress: &(dyn Fn(Report) + Sync),
        deliver: impl FnMut(u64, Sample) -> Result<(), Error>,
    ) -> Result<Ending, Error> {
        let ids = first..self.request.ids().end;
        let seed = self.request.seed;
        let batches = Batches::new(ids.clone(), self.request.batch, |id| self.node_counts.draw(seed, id));
        in_order(ids, batches, self.threads, stop, |batch| self.sample(batch, stop, progress), deliver)
    }

    /// One batch from noise to molecules; `None` where it was given up.
    fn sample(
        &self,
        batch: &Batch,
        stop: &StopSignal,
        progress: &(dyn Fn(Report) + Sync),
    ) -> Result<Option<Vec<Sample>>, Error> {
        let (rows, nodes) = (batch.ids.len(), batch.nodes);
        let vocabulary = self.model.vocabulary();
        let mask = vec![vec![true; nodes]; rows];
        let supports = vec![Support::nodes(mask.clone(), vocabulary.len()), Support::symmetric_pairs(mask)];
        let noise = KeyedNoise::new(self.request.seed);
        let state =
            State::prior(&["x", "adj"], &self.paths, supports, &batch.ids, &noise, &self.device, DType::F32)?;
        let mut watch = Watch { rows: rows as u64, progress };
        let mut executor = Executor::new(&*self.denoiser, &noise).with_cancel(stop.at_once());
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
        let (row_x, row_adj) = (nodes * vocabulary.len(), nodes * nodes);
        let samples = batch.ids.iter().enumerate().map(|(row, &id)| {
            let diverged = outcome.failures.iter().find(|failure| failure.id == id);
            let decoded = match diverged {
                Some(_) => Decoded { graph: MolecularGraph::default(), valid_without_correction: false },
                None => decode(&x[row * row_x..][..row_x], &adj[row * row_adj..][..row_adj], vocabulary)?,
            };
            let molecule = self.finish(id, decoded)?;
            let diverged = diverged.map(|failure| Diverged { id, step: failure.step as u64 });
            Ok(Sample { molecule, diverged, evaluations: outcome.row_evaluations[row] })
        });
        samples.collect::<Result<Vec<_>, Error>>().map(Some)
    }

    /// Repair, largest fragment, SMILES. A molecule the chemistry library cannot deal with is an invalid one; it must
    /// not end a run of a million others.
    fn finish(&self, id: u64, decoded: Decoded) -> Result<GeneratedMolecule, Error> {
        let (graph, valid_without_correction) = (decoded.graph.clone(), decoded.valid_without_correction);
        match GeneratedMolecule::from_decoded(id, decoded, self.request.correction, self.chemistry) {
            Err(MoleculeError::Chemistry { .. }) => Ok(GeneratedMolecule {
                id,
                smiles: String::new(),
                valid_without_correction,
                repaired: false,
                fragments: equidrift_graph::components(&graph).len(),
                graph,
            }),
            result => Ok(result?),
        }
    }

    fn start(&self, done: u64) -> Report {
        let ids = self.request.ids();
        Report::Start { samples: ids.end - ids.start, done, steps: self.course.steps().unwrap_or(1) as u64 }
    }

    /// The manifest of a run of which nothing is done yet.
    fn manifest(&self, format: Format) -> Result<Manifest, Error> {
        Ok(Manifest {
            format_version: FORMAT_VERSION,
            library: concat!("equidrift ", env!("CARGO_PKG_VERSION")).to_owned(),
            model: self.model.name().to_owned(),
            identity: Identity {
                request_sha256: self.request.digest()?,
                model_sha256: self.model.sha256().to_owned(),
                plan_sha256: sha256_of_json(&self.course)?,
                chemistry: self.chemistry.name().to_owned(),
                format: format_name(format).to_owned(),
            },
            request: self.request.clone(),
            progress: Progress::Running,
            done: Vec::new(),
            bytes: 0,
            sha256: crate::output::hexadecimal(&<sha2::Sha256 as sha2::Digest>::digest([])),
            tally: Tally::default(),
            diverged: Vec::new(),
        })
    }

    fn summary(
        &self,
        manifest: &Manifest,
        distinct: &Distinct,
        (ran, evaluations): (u64, u64),
        seconds: f64,
        file: Option<&Path>,
    ) -> Summary {
        let (request, tally) = (&self.request, &manifest.tally);
        let ids = request.ids();
        let complete = manifest.progress == Progress::Complete;
        Summary {
            model: self.model.name().to_owned(),
            sampler: self.course.name().to_owned(),
            steps: self.course.steps().unwrap_or(0),
            evaluations_per_sample: self
                .course
                .evaluations()
                .unwrap_or_else(|| evaluations.div_ceil(ran.max(1)) as usize),
            engine: request.engine.map(|engine| engine.to_string()).unwrap_or_default(),
            device: request.device.to_string(),
            chemistry: self.chemistry.name().to_owned(),
            seed: request.seed,
            requested: ids.end - ids.start,
            complete,
            samples: tally.samples,
            samples_this_run: ran,
            validity_before_repair: share(tally.valid_before_repair, tally.samples),
            validity: share(tally.valid, tally.samples),
            valid: tally.valid,
            uniqueness: share(distinct.seen.len() as u64, tally.valid),
            novelty: distinct.training.as_ref().map(|_| share(distinct.novel, distinct.seen.len() as u64)),
            connectedness: share(tally.connected, tally.valid),
            diverged: manifest.diverged.clone(),
            seconds,
            molecules_per_second: if seconds > 0.0 { ran as f64 / seconds } else { 0.0 },
            output: file.map(|path| {
                let place = if complete { path.to_owned() } else { Manifest::partial_for(path) };
                place.display().to_string()
            }),
            output_sha256: file.map(|_| manifest.sha256.clone()),
        }
    }
}

/// Runs a job to its end, or to the end of the batches in work where a stop is asked.
///
/// # Errors
/// See [`Error`]. Whatever the error, a file output can be resumed.
pub fn generate(job: Job<'_>) -> Result<Summary, Error> {
    let generator = Generator::open(job.request)?;
    let fresh = generator.manifest(job.format)?;
    let mut distinct = Distinct::new(job.training_set, generator.chemistry)?;
    let start = Instant::now();
    let file = match job.destination {
        Destination::File { path, .. } => Some(path),
        Destination::Stream(_) => None,
    };
    let mut evaluations = 0;
    let (manifest, ran) = match job.destination {
        Destination::Stream(stream) => {
            let mut manifest = fresh;
            let first = manifest.next();
            (job.progress)(generator.start(0));
            let ending = generator.run(first, job.stop, job.progress, |id, sample| {
                let record = record(&sample.molecule, job.format, generator.request.seed)?;
                stream.write_all(&record).map_err(|source| Error::Stream { source })?;
                evaluations += sample.evaluations as u64;
                distinct.add(&sample.molecule.smiles);
                manifest.tally.add(&counts(&sample));
                manifest.diverged.extend(sample.diverged);
                manifest.done = vec![(first..id + 1).into()];
                Ok(())
            })?;
            stream.flush().map_err(|source| Error::Stream { source })?;
            if ending == Ending::Complete {
                manifest.progress = Progress::Complete;
            }
            let ran = manifest.tally.samples;
            (manifest, ran)
        }
        Destination::File { path, resume } => {
            let resumption = if resume {
                OutputFile::resume(path, fresh)?
            } else {
                Resumption::Continued(Box::new(OutputFile::create(path, fresh)?))
            };
            match resumption {
                Resumption::Complete(manifest) => {
                    distinct.add_written(path, &manifest, job.format)?;
                    (*manifest, 0)
                }
                Resumption::Continued(mut output) => {
                    let before = output.manifest().tally.samples;
                    (job.progress)(generator.start(before));
                    distinct.add_written(output.partial(), output.manifest(), job.format)?;
                    let first = output.manifest().next();
                    let ending = generator.run(first, job.stop, job.progress, |id, sample| {
                        let record = record(&sample.molecule, job.format, generator.request.seed)?;
                        distinct.add(&sample.molecule.smiles);
                        evaluations += sample.evaluations as u64;
                        output.append(id, &record, &counts(&sample), sample.diverged)
                    })?;
                    let manifest = match ending {
                        Ending::Complete => output.finish()?,
                        Ending::Stopped { .. } => output.interrupt()?,
                    };
                    let ran = manifest.tally.samples - before;
                    (manifest, ran)
                }
            }
        }
    };
    Ok(generator.summary(&manifest, &distinct, (ran, evaluations), start.elapsed().as_secs_f64(), file))
}

/// The chemistry library of this build.
pub fn chemistry() -> &'static dyn Chemistry {
    #[cfg(feature = "rdkit")]
    {
        &equidrift_molecule::Rdkit
    }
    #[cfg(not(feature = "rdkit"))]
    {
        &equidrift_molecule::Chematic
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

/// Distinct SMILES of the run, and how many of them the training set lacks.
struct Distinct {
    seen: SmilesSet,
    training: Option<TrainingSet>,
    novel: u64,
}

impl Distinct {
    fn new(training_set: Option<&Path>, chemistry: &dyn Chemistry) -> Result<Self, Error> {
        let training = training_set.map(|path| read_training_set(path, chemistry)).transpose()?;
        Ok(Self { seen: SmilesSet::default(), training, novel: 0 })
    }

    fn add(&mut self, smiles: &str) {
        if !smiles.is_empty() && self.seen.insert(smiles) {
            self.novel +=
                u64::from(self.training.as_ref().is_some_and(|training| !training.contains(smiles)));
        }
    }

    fn add_written(&mut self, path: &Path, manifest: &Manifest, format: Format) -> Result<(), Error> {
        written_smiles(path, manifest.bytes, format, |smiles| self.add(smiles))
    }
}

/// Canonical SMILES of a file's molecules; lines that are none do not matter to novelty and are passed over.
fn read_training_set(path: &Path, chemistry: &dyn Chemistry) -> Result<TrainingSet, Error> {
    let mut training = TrainingSet::new();
    for line in SmilesLines::open(path)? {
        let added = line.and_then(|line| training.insert(&line.smiles, chemistry));
        if let Err(error @ MoleculeError::File { .. }) = added {
            return Err(error.into());
        }
    }
    Ok(training)
}

/// The bytes of one sample.
fn record(molecule: &GeneratedMolecule, format: Format, seed: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    format.writer(Box::new(&mut bytes), seed).write(molecule)?;
    Ok(bytes)
}

fn counts(sample: &Sample) -> Tally {
    let molecule = &sample.molecule;
    let valid = molecule.is_valid();
    Tally {
        samples: 1,
        diverged: u64::from(sample.diverged.is_some()),
        valid_before_repair: u64::from(valid && molecule.valid_without_correction),
        valid: u64::from(valid),
        connected: u64::from(valid && molecule.fragments == 1),
    }
}

/// In the units of the decoder. States are f32 (see [`Generator::sample`]), so nothing is lost at scale 1.
fn unscaled(values: Vec<f64>, scale: f64) -> Vec<f32> {
    values.into_iter().map(|value| (value / scale) as f32).collect()
}

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Sdf => "sdf",
        Format::Jsonl => "jsonl",
        _ => "smi",
    }
}
