//! Molecules: decode, repair, keep a fragment, write SMILES; distinct and novel ones are counted.

use std::path::Path;

use equidrift_gdss::Task;
use equidrift_molecule::metrics::stability::StabilityTally;
use equidrift_molecule::metrics::{SmilesSet, TrainingSet};
use equidrift_molecule::{
    BondEncoding, Chemistry, Correction, Decoded, Element, Format, GeneratedMolecule, MolecularGraph,
    MoleculeError, SmilesLines, decode_as,
};

use super::sampling::{Decoder, FinalState, Sampling};
use super::{Destination, Recorder, Report, Sample, chemistry, write};
use crate::course::Course;
use crate::error::Error;
use crate::manifest::Manifest;
use crate::request::GenerateRequest;
use crate::summary::{Summary, Tally, share};
use crate::workers::{Ending, StopSignal};
use crate::written::written_smiles;

/// A request for molecules with everything that is not part of what is asked: where results go and who watches.
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

/// A run of molecules that is ready to go: request resolved, model open, plan made. It draws samples in memory; use
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
    sampling: Sampling,
    chemistry: &'static dyn Chemistry,
}

impl Generator {
    /// Opens the model and makes the plan.
    ///
    /// # Errors
    /// Where the request is impossible, the model cannot be opened or is no model of molecules, or the sampler cannot
    /// work with the model's paths.
    pub fn open(request: &GenerateRequest) -> Result<Self, Error> {
        Ok(Self { sampling: Sampling::open(request, Task::Molecules)?, chemistry: chemistry() })
    }

    /// The request with everything filled in that was left to the model.
    pub fn request(&self) -> &GenerateRequest {
        &self.sampling.request
    }

    /// How samples get from noise to data.
    pub fn course(&self) -> &Course {
        &self.sampling.course
    }

    /// All molecules of the request, in order of id. For many samples use [`Generator::run`], which holds only a few
    /// batches in memory.
    ///
    /// # Errors
    /// As [`Generator::run`].
    pub fn molecules(&self) -> Result<Vec<GeneratedMolecule>, Error> {
        let mut molecules = Vec::new();
        self.run(self.request().ids().start, &StopSignal::new(), &|_| (), |_, sample| {
            molecules.push(sample.item);
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
        deliver: impl FnMut(u64, Sample<GeneratedMolecule>) -> Result<(), Error>,
    ) -> Result<Ending, Error> {
        self.sampling.run(&self.finisher(), first, stop, progress, deliver)
    }

    fn finisher(&self) -> Finisher<'_> {
        Finisher {
            vocabulary: self.sampling.model.vocabulary(),
            bonds: self.sampling.model.bonds(),
            correction: self.sampling.request.correction,
            chemistry: self.chemistry,
        }
    }
}

/// Runs a job to its end, or to the end of the batches in work where a stop is asked.
///
/// # Errors
/// See [`Error`]. Whatever the error, a file output can be resumed.
pub fn generate(job: Job<'_>) -> Result<Summary, Error> {
    let generator = Generator::open(job.request)?;
    let Generator { sampling, chemistry } = &generator;
    let fresh = sampling.manifest(chemistry.name(), format_name(job.format))?;
    let mut records = Records {
        format: job.format,
        seed: sampling.request.seed,
        hydrogens: sampling.model.vocabulary().contains(&Element::H),
        distinct: Distinct::new(job.training_set, *chemistry)?,
    };
    let watcher = (job.stop, job.progress);
    let (manifest, run) =
        write((sampling, &generator.finisher()), &mut records, fresh, job.destination, watcher)?;
    let (tally, distinct) = (&manifest.tally, &records.distinct);
    Ok(Summary {
        chemistry: chemistry.name().to_owned(),
        validity_before_repair: share(tally.valid_before_repair, tally.samples),
        validity: share(tally.valid, tally.samples),
        valid: tally.valid,
        uniqueness: share(distinct.seen.len() as u64, tally.valid),
        novelty: distinct.training.as_ref().map(|_| share(distinct.novel, distinct.seen.len() as u64)),
        connectedness: share(tally.connected, tally.valid),
        stability: tally.stability.and_then(|counts| counts.stability()),
        molecules_per_second: run.samples_per_second(),
        run,
    })
}

/// Makes molecules of final states.
struct Finisher<'a> {
    vocabulary: &'a [Element],
    bonds: BondEncoding,
    correction: Correction,
    chemistry: &'a dyn Chemistry,
}

impl Finisher<'_> {
    /// Repair, largest fragment, SMILES. A molecule the chemistry library cannot deal with is an invalid one; it must
    /// not end a run of a million others.
    fn finish(&self, id: u64, decoded: Decoded) -> Result<GeneratedMolecule, Error> {
        let (graph, valid_without_correction) = (decoded.graph.clone(), decoded.valid_without_correction);
        match GeneratedMolecule::from_decoded(id, decoded, self.correction, self.chemistry) {
            Err(MoleculeError::Chemistry { .. }) => Ok(GeneratedMolecule {
                id,
                smiles: String::new(),
                valid_without_correction,
                repaired: false,
                fragments: equidrift_graph::components(&graph).len(),
                stability: StabilityTally::of(&graph),
                graph,
            }),
            result => Ok(result?),
        }
    }
}

impl Decoder for Finisher<'_> {
    type Item = GeneratedMolecule;

    fn decode(&self, id: u64, row: FinalState<'_>) -> Result<GeneratedMolecule, Error> {
        self.finish(id, decode_as(self.bonds, row.x, row.adj, self.vocabulary)?)
    }

    fn diverged(&self, id: u64) -> Result<GeneratedMolecule, Error> {
        self.finish(id, Decoded { graph: MolecularGraph::default(), valid_without_correction: false })
    }
}

/// Writes molecules and counts the distinct ones.
struct Records {
    format: Format,
    seed: u64,
    /// Whether hydrogens are atoms of the samples.
    hydrogens: bool,
    distinct: Distinct,
}

impl Recorder for Records {
    type Item = GeneratedMolecule;

    fn record(&mut self, _: u64, molecule: &GeneratedMolecule) -> Result<Vec<u8>, Error> {
        self.distinct.add(&molecule.smiles);
        let mut bytes = Vec::new();
        self.format.writer(Box::new(&mut bytes), self.seed).write(molecule)?;
        Ok(bytes)
    }

    fn tally(&self, molecule: &GeneratedMolecule) -> Tally {
        let valid = molecule.is_valid();
        Tally {
            valid_before_repair: u64::from(valid && molecule.valid_without_correction),
            valid: u64::from(valid),
            connected: u64::from(valid && molecule.fragments == 1),
            stability: self.hydrogens.then_some(molecule.stability),
            ..Tally::default()
        }
    }

    fn recorded(&mut self, path: &Path, manifest: &Manifest) -> Result<(), Error> {
        written_smiles(path, manifest.bytes, self.format, |smiles| self.distinct.add(smiles))
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

fn format_name(format: Format) -> &'static str {
    match format {
        Format::Sdf => "sdf",
        Format::Jsonl => "jsonl",
        _ => "smi",
    }
}
