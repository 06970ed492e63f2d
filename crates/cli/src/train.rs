//! `equidrift train ...`

use clap::{Args, Subcommand};

use crate::exit::CliResult;

mod config_file;
mod flags;
mod loss_curve;
mod molecules;
mod plot;
mod watcher;

/// Fit a model to data
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Molecules(Box<molecules::TrainMoleculesArgs>),
    Plot(plot::PlotArgs),
}

pub(crate) fn run(args: &TrainArgs) -> CliResult {
    match &args.what {
        What::Molecules(args) => molecules::run(args),
        What::Plot(args) => plot::run(args),
    }
}
