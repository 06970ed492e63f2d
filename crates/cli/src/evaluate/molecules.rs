//! `equidrift evaluate molecules`

use std::num::NonZero;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use equidrift_molecule::descriptors::FragmentScores;
use equidrift_molecule::metrics::profile::ProfileScope;
use equidrift_molecule::metrics::resampling::{self, GROUPS};
use equidrift_molecule::metrics::{ChemNet, TrainingSet, Wanted, available_threads};
use equidrift_molecule::{Format, MoleculeError};
use serde::Serialize;

use crate::exit::{CliResult, Exit, Failure};
use crate::stdout;
use distances::{Distances, Reference, Task};
use reading::{Asked, Judged, Reading};
use suites::{Guacamol, Moses};

mod distances;
mod page;
mod reading;
mod suites;
mod table;

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
  The network of FCD is not part of equidrift. Its weights are those of the Python package fcd_torch 1.0.7 (MIT), as .npz;
  datasets/chemnet.toml says how to make it.
Descriptors (--descriptors, --report) are those of RDKit 2026.09: heavy atoms, molecular weight, log P (Crippen), QED, rings
  (symmetrised smallest set); with --fragment-scores the synthetic accessibility score of Ertl and Schuffenhauer. The table
  of its fragments is not part of equidrift; datasets/sa-fragment-scores.toml says how to make it from the Python package rdkit.
MOSES suite (--moses): unique@1k and @10k, IntDiv, IntDiv2, Filters; to the reference SNN, Frag, Scaf and the Wasserstein distances
  of log P, SA (with --fragment-scores), QED and weight, as the Python package molsets 0.3.1 computes them.
GuacaMol's KL divergence benchmark (--guacamol): ten divergences from the reference, which should be of the training set, and
  their score, of the first 10,000 distinct molecules of both, as the Python package guacamol 0.5.5 computes them.
Stability (--stability): shares of atoms and of molecules whose bond orders add up to a valence of the element (EDM, DiGress);
  for SMILES that write hydrogens as atoms, [H].
Standard errors (\u{b1}) say how much a figure would change if other samples were drawn; the reference stays as it is.
  Distances: bootstrap by half-sampling, halves of 64 groups. Shares: binomial, with Jeffreys' prior. Uniqueness: jackknife.
Bad lines (encoding, length, syntax, unknown atoms, size, valence, ...) are reported with their number and counted by kind.
  A SMILES may have 1,000 atoms, a line 65,536 bytes (.jsonl: 1,048,576); a longer one is passed over, not kept in memory.
The file is read as a stream: memory grows by some 30 bytes for each distinct molecule.

Examples:
  equidrift evaluate molecules molecules.smi
  equidrift evaluate molecules molecules.jsonl --train train.smi.gz --json
  equidrift evaluate molecules molecules.smi --reference test.smi --on-bad-line fail
  equidrift evaluate molecules molecules.smi --reference test.smi.gz --nspdk --chemnet chemnet_v0.13.npz
  equidrift evaluate molecules molecules.smi --reference test.smi --nspdk --save-statistics test.safetensors
  equidrift evaluate molecules molecules.smi --reference test.safetensors --nspdk
  equidrift evaluate molecules molecules.smi --descriptors --fragment-scores sa_fragment_scores.npz
  equidrift evaluate molecules molecules.smi --reference moses_test.smi.gz --moses --fragment-scores sa_fragment_scores.npz
  equidrift evaluate molecules molecules.smi --reference train.smi --guacamol
  equidrift evaluate molecules molecules.smi --reference test.smi --nspdk --report report.html")]
pub(super) struct MoleculesArgs {
    /// Generated molecules: .smi or .jsonl (both may be compressed); - for standard input
    #[arg(value_name = "FILE", required_unless_present = "generated", conflicts_with = "generated")]
    file: Option<PathBuf>,
    /// The same as FILE
    #[arg(long, value_name = "FILE")]
    generated: Option<PathBuf>,
    /// Molecules to compare with, whose figures are shown beside: .smi or .jsonl; or their statistics, as --save-statistics
    /// writes them
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
    /// Means of descriptors: heavy atoms, weight, log P, QED, rings
    #[arg(long)]
    descriptors: bool,
    /// Synthetic accessibility score as well, with the fragment scores of this .npz file (implies --descriptors)
    #[arg(long, value_name = "FILE")]
    fragment_scores: Option<PathBuf>,
    /// The MOSES suite: unique@k, internal diversity and filters; with --reference SNN, Frag, Scaf and distances of descriptors
    /// (implies --descriptors)
    #[arg(long)]
    moses: bool,
    /// GuacaMol's KL divergence benchmark against the reference (implies --descriptors)
    #[arg(long, requires = "reference")]
    guacamol: bool,
    /// Atom and molecule stability, where hydrogens are written as atoms
    #[arg(long)]
    stability: bool,
    /// Training set, for novelty: .smi or .jsonl
    #[arg(long, value_name = "FILE")]
    train: Option<PathBuf>,
    /// Replicates (random halves of the samples) behind the standard errors of distances; 0 for none
    #[arg(long, value_name = "N", default_value_t = 100)]
    bootstrap: usize,
    /// Seed of the halves
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads; they change speed, never a figure [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZero<usize>>,
    /// What to do with a line that is no molecule
    #[arg(long, value_enum, default_value = "skip")]
    on_bad_line: OnBadLine,
    /// Write a page with everything, and drawings of some molecules: one self-contained .html
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
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

/// What `--json` prints.
#[derive(Serialize)]
struct Evaluation {
    chemistry: &'static str,
    generated: Judged,
    reference: Option<Judged>,
    distances: Option<Distances>,
    moses: Option<Moses>,
    guacamol: Option<Guacamol>,
    training: Option<TrainingSize>,
    bootstrap: Bootstrap,
}

#[derive(Serialize)]
struct TrainingSize {
    file: PathBuf,
    distinct: usize,
    bad_lines: Vec<u64>,
}

/// How standard errors of distances were found.
#[derive(Serialize)]
struct Bootstrap {
    replicates: usize,
    groups: usize,
    seed: u64,
}

/// Molecules on a page.
const SHOWN: usize = 24;

pub(super) fn run(args: &MoleculesArgs) -> CliResult {
    let chemistry = equidrift::chemistry();
    check(args)?;
    let threads = args.threads.map_or_else(available_threads, NonZero::get);
    let chemnet = args.chemnet.as_deref().map(ChemNet::read).transpose().map_err(failure)?;
    let wanted = Wanted { nspdk: args.nspdk, chemnet: chemnet.as_ref() };
    let scores = args.fragment_scores.as_deref().map(FragmentScores::read).transpose().map_err(failure)?;
    let scope = ProfileScope { moses: args.moses, guacamol: args.guacamol, fragment_scores: scores.as_ref() };
    let wants_profiles =
        args.descriptors || args.moses || args.guacamol || scores.is_some() || args.report.is_some();
    let reading = Reading { chemistry, threads, strict: args.on_bad_line == OnBadLine::Fail };

    let mut training = None;
    if let Some(path) = &args.train {
        let (set, judged) = reading.read(path, "training molecules", Asked::default())?;
        let set = TrainingSet::from(set.tally.into_distinct());
        let size = TrainingSize { file: path.clone(), distinct: set.len(), bad_lines: judged.bad_lines };
        training = Some((set, size));
    }
    let novel_to = training.as_ref().map(|(set, _)| set);

    let path = args.file.as_ref().or(args.generated.as_ref());
    let path = path.ok_or_else(|| Failure::message(Exit::Usage, "which FILE is to be judged?"))?;
    let asked = Asked {
        wanted,
        profiles: wants_profiles.then_some(scope),
        stability: args.stability,
        groups: if args.bootstrap > 0 { GROUPS } else { 1 },
        shown: if args.report.is_some() { SHOWN } else { 0 },
    };
    let (generated_set, mut generated) = reading.read(path, "molecules", asked)?;
    if generated.metrics.samples == 0 {
        let message = format_args!("{}: no molecules in it", path.display()).to_string();
        return Err(Failure::message(Exit::BadInput, message));
    }
    generated.compare_with_training(&generated_set.tally, novel_to);

    let stored = args.reference.as_deref().filter(|path| is_statistics(path));
    let mut reference = None;
    if let Some(path) = args.reference.as_deref().filter(|path| !is_statistics(path)) {
        let (set, mut judged) =
            reading.read(path, "reference molecules", Asked { groups: 1, shown: 0, ..asked })?;
        judged.compare_with_training(&set.tally, novel_to);
        reference = Some((set, judged));
    }
    let halves = resampling::halves(args.bootstrap, args.seed);
    let task = Task { wanted, threads, halves: &halves, save: args.save_statistics.as_deref() };
    let of = stored
        .map(Reference::Statistics)
        .or_else(|| reference.as_ref().map(|(set, judged)| Reference::Molecules(&judged.file, &set.moments)));
    let distances =
        of.filter(|_| task.is_wanted()).map(|of| task.run(&generated_set.moments, of)).transpose()?;

    let (reference_set, reference) = reference.unzip();
    let suites = suites::Task { halves: &halves, threads };
    let moses = args.moses.then(|| suites.moses(&generated_set, reference_set.as_ref()));
    let guacamol = reference_set
        .as_ref()
        .filter(|_| args.guacamol)
        .map(|reference| suites.guacamol(&generated_set.guacamol, &reference.guacamol));
    let evaluation = Evaluation {
        chemistry: chemistry.name(),
        generated,
        reference,
        distances,
        moses,
        guacamol,
        training: training.map(|(_, size)| size),
        bootstrap: Bootstrap { replicates: args.bootstrap, groups: asked.groups, seed: args.seed },
    };
    if let Some(path) = &args.report {
        page::page(&evaluation, generated_set, reference_set.as_ref(), chemistry).write(path)?;
    }
    if args.json { stdout::json(&evaluation) } else { stdout::text(&table::table(&evaluation)) }
}

/// What the command line cannot say by itself.
fn check(args: &MoleculesArgs) -> Result<(), Failure> {
    let usage = |message: &str| Err(Failure::message(Exit::Usage, message));
    let wanted = args.nspdk || args.chemnet.is_some();
    let stored = args.reference.as_deref().is_some_and(is_statistics);
    if !wanted && args.save_statistics.is_some() {
        return usage("--save-statistics: say for which distances with --nspdk or --chemnet FILE");
    }
    if stored && (!wanted || args.moses || args.guacamol) {
        return usage("--reference: statistics serve only for --nspdk and --chemnet FILE");
    }
    if stored && args.save_statistics.is_some() {
        return usage("--save-statistics: the reference is such a file already");
    }
    if args.save_statistics.as_deref().is_some_and(|path| !is_statistics(path)) {
        return usage("--save-statistics: the file's suffix must be .safetensors");
    }
    let inputs = [&args.file, &args.generated, &args.reference, &args.train];
    for path in inputs.into_iter().flatten() {
        if Format::of_path(path).ok() == Some(Format::Sdf) {
            // An SDF has no record for a sample without a molecule, so its validity would be flattered.
            let reason = "figures are computed from .smi and .jsonl files, which show every sample";
            return Err(Failure::message(Exit::Usage, format_args!("{}: {reason}", path.display())));
        }
    }
    Ok(())
}

/// Whether a file holds statistics of a set, by its suffix.
fn is_statistics(path: &Path) -> bool {
    path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("safetensors"))
}

fn failure(error: MoleculeError) -> Failure {
    equidrift::Error::from(error).into()
}
