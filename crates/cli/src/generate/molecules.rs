//! `equidrift generate molecules`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use equidrift::{Job, Summary};
use equidrift_molecule::{Correction, Format};

use super::{RunArgs, exit, format, percent, report};
use crate::exit::CliResult;
use crate::{progress, signal};

/// Molecules, as SMILES, SDF or JSON lines
///
/// Samples are written as they come, in the order of their ids. Sample k of a seed is the same whatever the batch size,
/// the number of threads, the shard, or where a run was resumed. With -o, results grow in FILE.partial with
/// FILE.manifest.json beside it, and FILE appears when they are complete. One record is written per sample; a
/// sample without a valid molecule is a blank line in SMILES files.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  equidrift generate molecules --num 1000 --seed 7 -o molecules.smi
  equidrift generate molecules --num 20 | head -3
  equidrift generate molecules --num 1000 --sampler dpm-solver++ --steps 20 -o fast.sdf
  equidrift generate molecules --num 1000 --sampler dormand-prince --tolerance 1e-3 -o adaptive.smi
  equidrift generate molecules --num 1000 --steps 100 --grid polynomial:2 -o more-steps.smi
  equidrift generate molecules --num 1000 --steps 20 --grid polynomial:3 --temperature 1.3:1 -o fewer.smi
  equidrift generate molecules --num 100000 --plan qm9-gdss-20 -o fast.smi
  equidrift generate molecules --num 1000 --sampler '{\"name\": \"sde-dpm-solver++\", \"eta\": 1.3}' --steps 50
  equidrift generate molecules --num 1000000 --shard 3/8 -o part3.jsonl --resume
  equidrift generate molecules --model my-model/ --config run.toml --json -o x.smi 2> summary.json

A configuration file (TOML, or JSON with suffix .json) has the fields num, seed, model, sampler, steps, grid, adaptive,
churn, temperature, plan, match_prior, snr, scale_eps, correction, shard, engine, device, batch, threads, max_memory
(bytes); flags win over it.")]
pub(super) struct MoleculesArgs {
    /// Output file; its suffix names the format: .smi, .sdf, .jsonl. Without it, results go to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Format, where no file name tells it [default: smi]
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    /// Embedded model or model folder [default: qm9-pard, or qm9-gdss where a sampler or a plan is named]
    #[arg(short, long, value_name = "NAME|DIR")]
    model: Option<String>,
    #[command(flatten)]
    run: RunArgs,
    /// Leave molecules over a valence limit as they are; they have no SMILES
    #[arg(long)]
    no_repair: bool,
    /// Training set (SMILES, .smi or .smi.gz), to report novelty
    #[arg(long, value_name = "FILE")]
    train: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatName {
    Smi,
    Sdf,
    Jsonl,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Smi => Self::Smi,
            FormatName::Sdf => Self::Sdf,
            FormatName::Jsonl => Self::Jsonl,
        }
    }
}

pub(super) fn run(args: &MoleculesArgs) -> CliResult {
    let mut request = args.run.request(args.model.as_ref())?;
    if args.no_repair {
        request.correction = Correction::None;
    }
    let output = args.output.as_deref();
    let named = args.format.map(Format::from);
    let format = format(output, named, |path| Ok(Format::of_path(path)?), Format::Smi)?;
    let stop = signal::stop();
    let bar = args.run.bar(&request);
    let result = args.run.with_destination(output, |destination| {
        equidrift::generate(Job {
            request: &request,
            format,
            destination,
            training_set: args.train.as_deref(),
            stop,
            progress: &|done| progress::show(&bar, "molecules", done),
        })
    });
    bar.finish_and_clear();
    let summary = result?;
    report(&summary, &summary.run, args.run.json, "molecules", rows(&summary));
    Ok(exit(&summary.run, summary.valid))
}

fn rows(summary: &Summary) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("valid before repair", percent(summary.validity_before_repair)),
        ("valid", percent(summary.validity)),
        ("unique", percent(summary.uniqueness)),
    ];
    rows.extend(summary.novelty.map(|novelty| ("novel", percent(novelty))));
    let connected = percent(summary.connectedness);
    rows.push(("connected", format!("{connected} (before keeping the largest fragment)")));
    if let Some(stability) = &summary.stability {
        rows.push(("stable atoms", format!("{} (before repair)", percent(stability.atoms))));
        rows.push(("stable molecules", format!("{} (before repair)", percent(stability.molecules))));
    }
    rows
}
