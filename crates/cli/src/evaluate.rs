//! `equidrift evaluate molecules`

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use equidrift_molecule::metrics::{MoleculeMetrics, Tally, TrainingSet};
use equidrift_molecule::{BadLine, Chemistry, Format, MoleculeError, SmilesLines};
use serde::{Deserialize, Serialize};

use crate::exit::{CliResult, Exit, Failure};
use crate::{progress, stdout};

/// Judge generated samples
#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Molecules(MoleculesArgs),
}

/// Molecules: validity, uniqueness, novelty, connectedness
#[derive(Debug, Args)]
#[command(after_help = "\
Protocol:
  validity       samples whose SMILES is read and accepted / samples; a blank line is a sample without a molecule
  uniqueness     distinct canonical SMILES / valid samples
  novelty        distinct canonical SMILES that the training file lacks / distinct
  connectedness  valid samples of one fragment / valid samples
  validity before repair is known only for .jsonl files, which record it

Examples:
  equidrift evaluate molecules --generated molecules.smi
  equidrift evaluate molecules --generated molecules.jsonl --train train.smi.gz --json
  equidrift evaluate molecules --generated molecules.smi --reference test.smi --on-bad-line fail")]
struct MoleculesArgs {
    /// Generated molecules: .smi (may be compressed) or .jsonl
    #[arg(long, value_name = "FILE")]
    generated: PathBuf,
    /// Molecules to compare with, whose figures are shown beside: .smi (may be compressed) or .jsonl
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
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
    training: Option<TrainingSize>,
}

#[derive(Serialize)]
struct Judged {
    file: PathBuf,
    #[serde(flatten)]
    metrics: MoleculeMetrics,
    bad_lines: Vec<u64>,
}

#[derive(Serialize)]
struct TrainingSize {
    file: PathBuf,
    distinct: usize,
    bad_lines: Vec<u64>,
}

pub(crate) fn run(args: &EvaluateArgs) -> CliResult {
    let What::Molecules(args) = &args.what;
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
    let generated = judge(&args.generated, args.on_bad_line, set, chemistry)?;
    if generated.metrics.samples == 0 {
        let message = format_args!("{}: no molecules in it", args.generated.display()).to_string();
        return Err(Failure::message(Exit::BadInput, message));
    }
    let reference =
        args.reference.as_deref().map(|path| judge(path, args.on_bad_line, set, chemistry)).transpose()?;
    let evaluation = Evaluation {
        chemistry: chemistry.name(),
        generated,
        reference,
        training: training.map(|(_, size)| size),
    };
    if args.json { stdout::json(&evaluation) } else { stdout::text(&table(&evaluation)) }
}

/// The figures of one file.
fn judge(
    path: &Path,
    on_bad_line: OnBadLine,
    training: Option<&TrainingSet>,
    chemistry: &dyn Chemistry,
) -> Result<Judged, Failure> {
    let format = Format::of_path(path).ok();
    if format == Some(Format::Sdf) {
        // An SDF has no record for a sample without a molecule, so its validity would be flattered.
        let reason = "figures are computed from .smi and .jsonl files, which show every sample";
        return Err(Failure::message(Exit::Usage, format_args!("{}: {reason}", path.display())));
    }
    let mut tally = Tally::new();
    let mut bad = BadLines::new(path, on_bad_line);
    if format == Some(Format::Jsonl) {
        judge_json_lines(path, &mut tally, &mut bad, chemistry)?;
    } else {
        let mut lines = SmilesLines::open(path).map_err(failure)?;
        for line in &mut lines {
            // A line that could not even be read is an invalid sample as well.
            if line.is_err() {
                tally.add_failure();
            }
            bad.pass(line.and_then(|line| valid(&mut tally, path, line.line, &line.smiles, chemistry)))?;
        }
        (0..lines.blank_lines()).for_each(|_| tally.add_failure());
    }
    Ok(Judged { file: path.to_owned(), metrics: tally.metrics(training), bad_lines: bad.report() })
}

fn judge_json_lines(
    path: &Path,
    tally: &mut Tally,
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
            Some(smiles) => bad.pass(valid(tally, path, number, smiles, chemistry))?,
            None => tally.add_failure(),
        }
        if let Some(valid) = record.valid_without_correction {
            // An empty sample breaks no valence, yet it is no molecule.
            tally.add_history(valid && record.smiles.is_some(), record.repaired);
        }
    }
    Ok(())
}

/// Counts a SMILES; an error where it is not valid.
fn valid(
    tally: &mut Tally,
    path: &Path,
    line: u64,
    smiles: &str,
    chemistry: &dyn Chemistry,
) -> Result<(), MoleculeError> {
    if tally.add_smiles(smiles, chemistry) {
        return Ok(());
    }
    // Asked again only for the reason.
    match chemistry.canonicalise(smiles) {
        Err(error) => Err(at_line(path, line, &error)),
        Ok(_) => Ok(()),
    }
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
    text
}
