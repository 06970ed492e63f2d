//! `equidrift evaluate molecules`; `evaluate likelihood` is in [`crate::likelihood`]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::num::NonZero;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use equidrift_molecule::metrics::{ChemNet, MoleculeMetrics, Tally, TrainingSet};
use equidrift_molecule::{BadLine, Chemistry, Format, MoleculeError, SmilesLines};
use serde::{Deserialize, Serialize};

use crate::exit::{CliResult, Exit, Failure};
use crate::{progress, stdout};
use set_distances::{Distances, Reference, Task};

mod graphs;
mod set_distances;

/// Judge generated samples, or a model by held-out molecules
#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Molecules(MoleculesArgs),
    Graphs(graphs::GraphsArgs),
    Likelihood(crate::likelihood::LikelihoodArgs),
}

/// Molecules: validity, uniqueness, novelty, connectedness, distances to a reference set
#[derive(Debug, Args)]
#[command(after_help = "\
Protocol:
  validity       samples whose SMILES is read and accepted / samples; a blank line is a sample without a molecule
  uniqueness     distinct canonical SMILES / valid samples
  novelty        distinct canonical SMILES that the training file lacks / distinct
  connectedness  valid samples of one fragment / valid samples
  validity before repair is known only for .jsonl files, which record it
Distances are between all valid samples, repetitions kept, and all valid molecules of the reference:
  NSPDK MMD      squared maximum mean discrepancy, linear kernel, of pairs of atom neighbourhoods (radius and distance up
                 to 4 bonds, aromatic form), as in GDSS
  FCD            Fréchet ChemNet Distance of canonical SMILES, both sets spelt by the same back end, as in MOSES and GDSS
  Both depend on the sizes of the sets: compare figures of equal sizes only.
  The network of FCD is not part of equidrift. Its weights are those of the Python package fcd_torch 1.0.7 (MIT), as .npz.

Examples:
  equidrift evaluate molecules molecules.smi
  equidrift evaluate molecules molecules.jsonl --train train.smi.gz --json
  equidrift evaluate molecules molecules.smi --reference test.smi --on-bad-line fail
  equidrift evaluate molecules molecules.smi --reference test.smi.gz --nspdk --chemnet chemnet_v0.13.npz
  equidrift evaluate molecules molecules.smi --reference test.smi --nspdk --save-statistics test.safetensors
  equidrift evaluate molecules molecules.smi --reference test.safetensors --nspdk")]
struct MoleculesArgs {
    /// Generated molecules: .smi (may be compressed) or .jsonl
    #[arg(value_name = "FILE", required_unless_present = "generated", conflicts_with = "generated")]
    file: Option<PathBuf>,
    /// The same as FILE
    #[arg(long, value_name = "FILE")]
    generated: Option<PathBuf>,
    /// Molecules to compare with, whose figures are shown beside: .smi (may be compressed) or .jsonl; or their statistics,
    /// as --save-statistics writes them
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// NSPDK MMD to the reference
    #[arg(long, requires = "reference")]
    nspdk: bool,
    /// Fréchet ChemNet Distance to the reference, with the network of this .npz file
    #[arg(long, value_name = "FILE", requires = "reference")]
    chemnet: Option<PathBuf>,
    /// Keep what --nspdk and --chemnet need of the reference: .safetensors
    #[arg(long, value_name = "FILE", requires = "reference")]
    save_statistics: Option<PathBuf>,
    /// Threads for the distances [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZero<usize>>,
    /// Training set, for novelty: .smi (may be compressed)
    #[arg(long, value_name = "FILE")]
    train: Option<PathBuf>,
    /// What to do with a line that is no molecule
    #[arg(long, value_enum, default_value = "skip")]
    on_bad_line: OnBadLine,
    /// The figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnBadLine {
    /// Report it by number and go on; in the generated file it counts as an invalid sample
    Skip,
    /// Stop with exit code 3
    Fail,
}

#[derive(Serialize)]
struct Evaluation {
    chemistry: &'static str,
    generated: Judged,
    reference: Option<Judged>,
    distances: Option<Distances>,
    training: Option<TrainingSize>,
}

#[derive(Serialize)]
struct Judged {
    file: PathBuf,
    #[serde(flatten)]
    metrics: MoleculeMetrics,
    bad_lines: Vec<u64>,
    /// Of every valid sample, if distances are wanted.
    #[serde(skip)]
    canonical: Vec<String>,
}

#[derive(Serialize)]
struct TrainingSize {
    file: PathBuf,
    distinct: usize,
    bad_lines: Vec<u64>,
}

pub(crate) fn run(args: &EvaluateArgs) -> CliResult {
    let args = match &args.what {
        What::Molecules(args) => args,
        What::Graphs(args) => return graphs::run(args),
        What::Likelihood(args) => return crate::likelihood::run(args),
    };
    let chemistry = equidrift::chemistry();
    let mut training = None;
    if let Some(path) = &args.train {
        let mut set = TrainingSet::new();
        let mut bad = BadLines::new(path, args.on_bad_line);
        for line in SmilesLines::open(path).map_err(failure)? {
            bad.pass(line.and_then(|line| {
                set.insert(&line.smiles, chemistry).map_err(|error| at_line(path, line.line, &error))
            }))?;
        }
        let size = TrainingSize { file: path.clone(), distinct: set.len(), bad_lines: bad.report() };
        training = Some((set, size));
    }
    let set = training.as_ref().map(|(set, _)| set);
    let task = task(args, chemistry)?;
    let judge = |path: &Path| judge(path, args.on_bad_line, set, chemistry, task.is_some());
    let path = args.file.as_ref().or(args.generated.as_ref());
    let path = path.ok_or_else(|| Failure::message(Exit::Usage, "which FILE is to be judged?"))?;
    let generated = judge(path)?;
    if generated.metrics.samples == 0 {
        let message = format_args!("{}: no molecules in it", path.display()).to_string();
        return Err(Failure::message(Exit::BadInput, message));
    }
    let statistics = args.reference.as_deref().filter(|path| is_statistics(path));
    let molecules = args.reference.as_deref().filter(|path| !is_statistics(path));
    let mut reference = molecules.map(judge).transpose()?;
    let mut distances = None;
    if let Some(task) = &task {
        let of = statistics.map(Reference::Statistics).or_else(|| {
            reference
                .as_mut()
                .map(|judged| Reference::Molecules(&judged.file, std::mem::take(&mut judged.canonical)))
        });
        distances = of.map(|of| task.run(&generated.canonical, of)).transpose()?;
    }
    let evaluation = Evaluation {
        chemistry: chemistry.name(),
        generated,
        reference,
        distances,
        training: training.map(|(_, size)| size),
    };
    if args.json { stdout::json(&evaluation) } else { stdout::text(&table(&evaluation)) }
}

/// What distances are to be computed, if any.
fn task<'a>(args: &'a MoleculesArgs, chemistry: &dyn Chemistry) -> Result<Option<Task<'a>>, Failure> {
    let usage = |message: &str| Err(Failure::message(Exit::Usage, message));
    let wanted = args.nspdk || args.chemnet.is_some();
    let stored = args.reference.as_deref().is_some_and(is_statistics);
    if !wanted && args.save_statistics.is_some() {
        return usage("--save-statistics: say for which distances with --nspdk or --chemnet FILE");
    }
    if !wanted && stored {
        return usage("--reference: statistics serve only for --nspdk and --chemnet FILE");
    }
    if stored && args.save_statistics.is_some() {
        return usage("--save-statistics: the reference is such a file already");
    }
    if args.save_statistics.as_deref().is_some_and(|path| !is_statistics(path)) {
        return usage("--save-statistics: the file's suffix must be .safetensors");
    }
    let chemnet = args.chemnet.as_deref().map(ChemNet::read).transpose().map_err(failure)?;
    Ok(wanted.then_some(Task {
        chemistry: chemistry.name(),
        nspdk: args.nspdk,
        chemnet,
        threads: args.threads.map(NonZero::get),
        save: args.save_statistics.as_deref(),
    }))
}

/// Whether a file holds statistics of a set, by its suffix.
fn is_statistics(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("safetensors"))
}

/// The figures of one file.
fn judge(
    path: &Path,
    on_bad_line: OnBadLine,
    training: Option<&TrainingSet>,
    chemistry: &dyn Chemistry,
    keep_canonical: bool,
) -> Result<Judged, Failure> {
    let format = Format::of_path(path).ok();
    if format == Some(Format::Sdf) {
        // An SDF has no record for a sample without a molecule, so its validity would be flattered.
        let reason = "figures are computed from .smi and .jsonl files, which show every sample";
        return Err(Failure::message(Exit::Usage, format_args!("{}: {reason}", path.display())));
    }
    let mut tally = Tally::new();
    let mut canonical = keep_canonical.then(Vec::new);
    let mut bad = BadLines::new(path, on_bad_line);
    if format == Some(Format::Jsonl) {
        judge_json_lines(path, &mut tally, &mut canonical, &mut bad, chemistry)?;
    } else {
        let mut lines = SmilesLines::open(path).map_err(failure)?;
        for line in &mut lines {
            // A line that could not even be read is an invalid sample as well.
            if line.is_err() {
                tally.add_failure();
            }
            bad.pass(line.and_then(|line| {
                count(&mut tally, &mut canonical, &line.smiles, chemistry)
                    .map_err(|error| at_line(path, line.line, &error))
            }))?;
        }
        (0..lines.blank_lines()).for_each(|_| tally.add_failure());
    }
    Ok(Judged {
        file: path.to_owned(),
        metrics: tally.metrics(training),
        bad_lines: bad.report(),
        canonical: canonical.unwrap_or_default(),
    })
}

fn judge_json_lines(
    path: &Path,
    tally: &mut Tally,
    canonical: &mut Option<Vec<String>>,
    bad: &mut BadLines<'_>,
    chemistry: &dyn Chemistry,
) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Record {
        smiles: Option<String>,
        valid_without_correction: Option<bool>,
        #[serde(default)]
        repaired: bool,
    }
    let file_error = |source| failure(MoleculeError::File { task: "read", path: path.to_owned(), source });
    let lines = BufReader::new(File::open(path).map_err(file_error)?).lines();
    for (number, line) in (1..).zip(lines) {
        let record: Record = match serde_json::from_str(&line.map_err(file_error)?) {
            Ok(record) => record,
            Err(error) => {
                tally.add_failure();
                bad.pass(Err(at_line(path, number, &error)))?;
                continue;
            }
        };
        match &record.smiles {
            Some(smiles) => bad.pass(
                count(tally, canonical, smiles, chemistry).map_err(|error| at_line(path, number, &error)),
            )?,
            None => tally.add_failure(),
        }
        if let Some(valid) = record.valid_without_correction {
            // An empty sample breaks no valence, yet it is no molecule.
            tally.add_history(valid && record.smiles.is_some(), record.repaired);
        }
    }
    Ok(())
}

/// Counts a SMILES and keeps its canonical form if that is wanted; an error where it is not valid.
fn count(
    tally: &mut Tally,
    kept: &mut Option<Vec<String>>,
    smiles: &str,
    chemistry: &dyn Chemistry,
) -> Result<(), MoleculeError> {
    let canonical = chemistry.canonicalise(smiles).inspect_err(|_| tally.add_failure())?;
    if let Some(kept) = kept {
        kept.push(canonical.clone());
    }
    tally.add_canonical(canonical);
    Ok(())
}

fn at_line(path: &Path, line: u64, reason: &dyn std::fmt::Display) -> MoleculeError {
    MoleculeError::Line { path: path.to_owned(), line, reason: reason.to_string() }
}

fn failure(error: MoleculeError) -> Failure {
    equidrift::Error::from(error).into()
}

/// Lines that are no molecules, of one file.
struct BadLines<'a> {
    path: &'a Path,
    on_bad_line: OnBadLine,
    lines: Vec<BadLine>,
}

/// How many bad lines are shown one by one.
const SHOWN: usize = 10;

impl<'a> BadLines<'a> {
    fn new(path: &'a Path, on_bad_line: OnBadLine) -> Self {
        Self { path, on_bad_line, lines: Vec::new() }
    }

    fn pass(&mut self, result: Result<(), MoleculeError>) -> Result<(), Failure> {
        match result {
            Err(MoleculeError::Line { line, reason, .. }) if self.on_bad_line == OnBadLine::Skip => {
                self.lines.push(BadLine { line, reason });
                Ok(())
            }
            result => result.map_err(failure),
        }
    }

    /// Tells people; gives the line numbers.
    fn report(self) -> Vec<u64> {
        for BadLine { line, reason } in self.lines.iter().take(SHOWN) {
            progress::note(&format!("warning: {}:{line}: {reason}", self.path.display()));
        }
        if self.lines.len() > SHOWN {
            let more = self.lines.len() - SHOWN;
            progress::note(&format!(
                "warning: {}: {more} more lines that are no molecules",
                self.path.display()
            ));
        }
        self.lines.into_iter().map(|bad| bad.line).collect()
    }
}

fn table(evaluation: &Evaluation) -> String {
    let columns: Vec<(&str, &MoleculeMetrics)> = [("generated", Some(&evaluation.generated))]
        .into_iter()
        .chain([("reference", evaluation.reference.as_ref())])
        .filter_map(|(name, judged)| judged.map(|judged| (name, &judged.metrics)))
        .collect();
    let mut text = format!("{:24}", format!("({})", evaluation.chemistry));
    for (name, _) in &columns {
        text.push_str(&format!("{name:>12}"));
    }
    text.push('\n');
    let mut row = |name: &str, value: &dyn Fn(&MoleculeMetrics) -> Option<String>| {
        if columns.iter().any(|(_, metrics)| value(metrics).is_some()) {
            text.push_str(&format!("{name:24}"));
            for (_, metrics) in &columns {
                text.push_str(&format!("{:>12}", value(metrics).unwrap_or_else(|| "-".to_owned())));
            }
            text.push('\n');
        }
    };
    fn percent(share: Option<f64>) -> Option<String> {
        share.map(|share| format!("{:.2} %", 100.0 * share))
    }
    row("samples", &|m| Some(m.samples.to_string()));
    row("valid", &|m| Some(m.valid.to_string()));
    row("validity before repair", &|m| percent(m.validity_without_correction));
    row("validity", &|m| percent(m.validity));
    row("uniqueness", &|m| percent(m.uniqueness));
    row("novelty", &|m| percent(m.novelty));
    row("connectedness", &|m| percent(m.connectedness));
    if let Some(distances) = &evaluation.distances {
        let figures = &distances.figures;
        for (name, value) in [("NSPDK MMD", figures.nspdk_mmd), ("FCD", figures.fcd)] {
            if let Some(value) = value {
                // MMD is a few thousandths, FCD a few units: as many digits as published figures have, and one more.
                let digits = if name == "FCD" { 3 } else { 5 };
                text.push_str(&format!("{name:24}{value:>12.digits$}\n"));
            }
        }
    }
    text
}
