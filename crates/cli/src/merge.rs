//! `equidrift merge FILE.. -o OUT`

use std::path::PathBuf;

use clap::Args;

use crate::exit::{CliResult, Exit};
use crate::{progress, stdout};

/// Join the files of all shards of a run
///
/// The shards are put in order by their manifests (FILE.manifest.json). Every shard must be there once, complete, and
/// of the same request and model; the result is byte for byte the file of the undivided run.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  equidrift generate molecules --num 9000 --shard 0/3 -o part0.smi
  equidrift generate molecules --num 9000 --shard 1/3 -o part1.smi
  equidrift generate molecules --num 9000 --shard 2/3 -o part2.smi
  equidrift merge part0.smi part1.smi part2.smi -o molecules.smi")]
pub(crate) struct MergeArgs {
    /// The shards' files, in any order
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The joined file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Print the manifest of the result as JSON on standard output
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &MergeArgs) -> CliResult {
    let merged = equidrift::merge(&args.files, &args.output)?;
    if args.json {
        return stdout::json(&merged);
    }
    progress::note(&format!(
        "{}: {} samples of {} shards, {} valid, sha256 {}",
        args.output.display(),
        merged.tally.samples,
        args.files.len(),
        merged.tally.valid,
        merged.sha256
    ));
    Ok(Exit::Ok)
}
