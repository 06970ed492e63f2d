//! The equidrift command line: `equidrift <verb> ...`, one file per verb.
//!
//! Data go to standard output or to `-o`; everything else goes to standard error. Exit codes are those of
//! [`exit::Exit`].

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod completions;
mod convert;
mod datasets;
mod evaluate;
mod exit;
mod forward;
mod generate;
mod inspect;
mod json_file;
mod likelihood;
mod merge;
mod plot;
mod progress;
mod report;
mod sampler_argument;
mod samplers;
mod signal;
mod simulate;
mod source_flags;
mod stdout;
mod train;
mod weights;

// Decoding and chemistry make many small short-lived allocations on every worker thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Generate molecules, graphs and trajectories with diffusion models that respect the symmetry of the data.
#[derive(Debug, Parser)]
#[command(
    name = "equidrift",
    version,
    about,
    after_help = format!("{EXAMPLES}\n\n{}", exit::EXIT_CODES),
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

// What a verb does is said once, where its arguments are.
#[derive(Debug, Subcommand)]
enum Verb {
    Generate(generate::GenerateArgs),
    Datasets(datasets::DatasetsArgs),
    Train(train::TrainArgs),
    Evaluate(evaluate::EvaluateArgs),
    Convert(convert::ConvertArgs),
    Forward(forward::ForwardArgs),
    Inspect(inspect::InspectArgs),
    Samplers(samplers::SamplersArgs),
    Simulate(simulate::SimulateArgs),
    Merge(merge::MergeArgs),
    Completions(completions::CompletionsArgs),
}

const EXAMPLES: &str = "\
Examples:
  equidrift generate molecules --num 1000 --seed 7 -o molecules.smi
  equidrift evaluate molecules --generated molecules.smi
  equidrift generate graphs --model community_small/ --num 128 -o graphs.graphml
  equidrift generate trajectories --model my-model/ --from ethanol.xtc --topology ethanol.pdb --num 20 -o next.xtc
  equidrift samplers show dpm-solver++ --steps 20
  equidrift generate molecules --num 1000000 --shard 0/8 -o part0.smi --resume";

fn main() -> ExitCode {
    // clap itself prints help (exit 0) and usage errors (exit 2).
    let arguments = Arguments::parse();
    let result = match &arguments.verb {
        Verb::Generate(args) => generate::run(args),
        Verb::Datasets(args) => datasets::run(args),
        Verb::Train(args) => train::run(args),
        Verb::Evaluate(args) => evaluate::run(args),
        Verb::Convert(args) => convert::run(args),
        Verb::Forward(args) => forward::run(args),
        Verb::Inspect(args) => inspect::run(args),
        Verb::Samplers(args) => samplers::run(args),
        Verb::Simulate(args) => simulate::run(args),
        Verb::Merge(args) => merge::run(args),
        Verb::Completions(args) => completions::run(args, <Arguments as clap::CommandFactory>::command()),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.text().is_empty() {
                progress::note(&format!("error: {}", failure.text()));
            }
            failure.exit().into()
        }
    }
}
