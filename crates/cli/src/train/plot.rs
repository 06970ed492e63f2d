//! `equidrift train plot`

use std::path::PathBuf;

use clap::Args;
use equidrift::Error;
use equidrift_train::read_log;

use super::loss_curve;
use crate::exit::{CliResult, Exit, Failure};

/// The curves of one or more training runs, as an SVG
///
/// Losses, validation losses, learning rate and the figures of samples drawn during training, against the epoch. A run may
/// still be going on.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  equidrift train plot qm9-model -o loss.svg
  equidrift train plot first second third -o comparison.svg")]
pub(crate) struct PlotArgs {
    /// Run folders, or their log.jsonl
    #[arg(value_name = "DIR", required = true)]
    runs: Vec<PathBuf>,
    /// The SVG
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub(super) fn run(args: &PlotArgs) -> CliResult {
    let mut runs = Vec::new();
    for path in &args.runs {
        let log = if path.is_dir() { path.join("log.jsonl") } else { path.clone() };
        let reports = match read_log(&log) {
            // Here the log is an input.
            Err(equidrift_train::TrainError::Io { path, source }) => {
                return Err(Error::Read { path, source }.into());
            }
            result => result.map_err(Error::from)?,
        };
        if reports.is_empty() {
            let message = format_args!("{}: no epoch is finished yet", log.display()).to_string();
            return Err(Failure::message(Exit::BadInput, message));
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        runs.push((name, reports));
    }
    loss_curve::write(&args.output, &runs)?;
    Ok(Exit::Ok)
}
