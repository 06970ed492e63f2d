//! `equidrift evaluate`: one file per kind of thing; `evaluate likelihood` is in [`crate::likelihood`]

use clap::{Args, Subcommand};

use crate::exit::CliResult;

mod graphs;
mod molecules;
pub(crate) mod trajectories;

/// Judge generated samples, or a model by held-out molecules
#[derive(Debug, Args)]
pub(crate) struct EvaluateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Molecules(molecules::MoleculesArgs),
    Graphs(graphs::GraphsArgs),
    Trajectories(trajectories::TrajectoriesArgs),
    Likelihood(crate::likelihood::LikelihoodArgs),
}

pub(crate) fn run(args: &EvaluateArgs) -> CliResult {
    match &args.what {
        What::Molecules(args) => molecules::run(args),
        What::Graphs(args) => graphs::run(args),
        What::Trajectories(args) => trajectories::run(args),
        What::Likelihood(args) => crate::likelihood::run(args),
    }
}
