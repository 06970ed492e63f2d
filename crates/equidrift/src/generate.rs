//! The pipeline: request -> model -> batches -> sampler -> molecules or graphs -> file.
//!
//! Sample `id` has its number of nodes, its prior noise and all later noise from (seed, id); each row of a batch is
//! computed as if it were alone, and padding reaches no real entry. So the bytes for an id are the same in any batch, on
//! any worker, in any shard and after any resumption.

mod forecast;
mod gdss;
mod graphs;
mod molecules;
mod pard;
mod pard_memory;
mod sampling;
mod stopwatch;
mod trajectories;

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use equidrift_molecule::Chemistry;

pub(crate) use self::forecast::Forecaster;
pub use self::graphs::{GraphGenerator, GraphJob, generate_graphs};
pub use self::molecules::{Generator, Job, generate};
pub use self::pard_memory::pard_graph_bytes;
use self::sampling::{Decoder, Sampling};
pub use self::trajectories::{TrajectoryGenerator, TrajectoryJob, generate_trajectories};
use crate::error::Error;
use crate::frame::Frame;
use crate::manifest::{Diverged, Manifest, Progress};
use crate::output::{OutputFile, Resumption};
use crate::summary::{RunSummary, Tally};
use crate::workers::{Ending, StopSignal};

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
    Stream(&'a mut (dyn Write + 'static)),
}

/// How far a running job is, as reported to its `progress`.
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

/// What became of a sample.
#[derive(Debug)]
pub struct Sample<T> {
    /// The molecule or graph; without nodes where the sample diverged.
    pub item: T,
    /// Set where the sample became infinite or not a number.
    pub diverged: Option<Diverged>,
    /// Network evaluations it took.
    pub evaluations: usize,
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

/// What is written of the samples, and what is noticed on the way.
trait Recorder {
    /// What a sample became.
    type Item;

    /// The bytes of one sample; it is counted among what was seen.
    fn record(&mut self, id: u64, item: &Self::Item) -> Result<Vec<u8>, Error>;

    /// Its share of the manifest's counts, apart from samples and diverged ones.
    fn tally(&self, item: &Self::Item) -> Tally;

    /// Looks at what an earlier run has written.
    fn recorded(&mut self, path: &Path, manifest: &Manifest) -> Result<(), Error>;
}

/// Runs a job to its end, or to the end of the batches in work where a stop is asked. `fresh` is the manifest of the run
/// before anything is done.
fn write<D: Decoder>(
    (sampling, decoder): (&Sampling, &D),
    recorder: &mut impl Recorder<Item = D::Item>,
    fresh: Manifest,
    destination: Destination<'_>,
    (stop, progress): (&StopSignal, &(dyn Fn(Report) + Sync)),
) -> Result<(Manifest, RunSummary), Error> {
    let start = Instant::now();
    let mut evaluations = 0;
    let mut file = None;
    let (manifest, ran) = match destination {
        Destination::Stream(stream) => {
            let mut manifest = fresh;
            let frame = Frame::of_format(&manifest.identity.format);
            let first = manifest.next();
            let mut put = |parts: [&[u8]; 2]| {
                parts
                    .iter()
                    .try_for_each(|part| stream.write_all(part))
                    .map_err(|source| Error::Stream { source })
            };
            progress(sampling.start(0));
            let ending = sampling.run(decoder, first, stop, progress, |id, sample| {
                let record = recorder.record(id, &sample.item)?;
                let before = frame.before_record(manifest.bytes);
                put([before.as_bytes(), &record])?;
                manifest.bytes += (before.len() + record.len()) as u64;
                evaluations += sample.evaluations as u64;
                manifest.tally.add(&counts(recorder, &sample));
                manifest.diverged.extend(sample.diverged);
                manifest.done = vec![(first..id + 1).into()];
                Ok(())
            })?;
            if ending == Ending::Complete {
                put(frame.end(manifest.bytes).map(str::as_bytes))?;
                manifest.progress = Progress::Complete;
            }
            stream.flush().map_err(|source| Error::Stream { source })?;
            let ran = manifest.tally.samples;
            (manifest, ran)
        }
        Destination::File { path, resume } => {
            file = Some(path);
            let resumption = if resume {
                OutputFile::resume(path, fresh)?
            } else {
                Resumption::Continued(Box::new(OutputFile::create(path, fresh)?))
            };
            match resumption {
                Resumption::Complete(manifest) => {
                    recorder.recorded(path, &manifest)?;
                    (*manifest, 0)
                }
                Resumption::Continued(mut output) => {
                    let before = output.manifest().tally.samples;
                    progress(sampling.start(before));
                    recorder.recorded(output.partial(), output.manifest())?;
                    let first = output.manifest().next();
                    let ending = sampling.run(decoder, first, stop, progress, |id, sample| {
                        let record = recorder.record(id, &sample.item)?;
                        evaluations += sample.evaluations as u64;
                        output.append(id, &record, &counts(recorder, &sample), sample.diverged)
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
    let seconds = start.elapsed().as_secs_f64();
    let summary = sampling.summary(&manifest, (ran, evaluations), seconds, file);
    Ok((manifest, summary))
}

fn counts<R: Recorder>(recorder: &R, sample: &Sample<R::Item>) -> Tally {
    let tally = recorder.tally(&sample.item);
    Tally { samples: 1, diverged: u64::from(sample.diverged.is_some()), ..tally }
}
