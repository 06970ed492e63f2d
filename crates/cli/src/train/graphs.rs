//! `equidrift train graphs`

use std::path::PathBuf;

use clap::Args;
use equidrift::training::{GRAPH_PRESETS, TrainRequest, TrainingSettings, train_graphs};
use serde_json::{Value, json};

use super::flags::{LoopFlags, Unusable, insert, named};
use super::{fit, settings};
use crate::exit::CliResult;

/// A model of graphs, from a graph file
///
/// Trains both score networks by denoising score matching; node features are one-hot degrees, the adjacency is 0 and 1, nodes
/// without an edge take no part. The output folder is a model folder (use it with `generate graphs --model DIR`, also while
/// the training goes on) and holds log.jsonl (losses per epoch), loss.svg (the same as curves), training.toml (the settings in
/// force) and checkpoints/. A run that was interrupted or killed goes on with --resume and ends with the same weights as one
/// that was not.
#[derive(Debug, Args)]
#[command(
    // The published settings for graphs are not those for molecules.
    mut_arg("epochs", |arg| arg.help("Passes over the data [default: 5000]")),
    mut_arg("batch", |arg| arg.help("Graphs evaluated at once [default: 128]")),
    mut_arg("lr", |arg| arg.help("Learning rate, of the first epoch or after the warm-up [default: 0.01]")),
    mut_arg("checkpoint_every", |arg| {
        arg.help("Keep a checkpoint and write the model every this many epochs, 0: only at the end [default: 100]")
    }),
    mut_arg("validation_rows", |arg| {
        arg.help("Graphs of the data to validate with, which are not trained on: numbers from 0, one a line")
    }),
    mut_arg("validation_data", |arg| arg.help("A file of its own to validate with, or a part of it: FILE or FILE:PART")),
    mut_arg("sample_reference", |arg| {
        arg.help("Graphs the samples are compared with, by MMD of degree, clustering, orbit and spectrum: FILE or FILE:PART")
    }),
    mut_arg("sample_chemnet", |arg| arg.hide(true)),
    after_help = "\
Examples:
  equidrift train graphs --data community_small.json:gdss:train --preset community_small -o community
  equidrift train graphs --data community_small.json:gdss:train --preset community_small -o community --resume
  equidrift train graphs --data mine.graphml --epochs 500 --batch 32 --validation-fraction 0.1 --keep best --weights ema -o mine
  equidrift train graphs --data mine.jsonl --sample-every 50 --sample-num 64 --sample-reference mine.jsonl -o mine
  equidrift generate graphs --model mine --num 100 -o graphs.json

A configuration file (TOML) has the same names as training.toml; it wins over the preset, and flags win over it. Only there:
the layer sizes ([networks]), the noise paths ([paths]), the model's default sampler ([sampler]) and its steps (steps)."
)]
pub(crate) struct TrainGraphsArgs {
    /// Graph file (.json, .jsonl, .graphml, .edgelist; may be gzipped), a prepared data set (.eds, see `datasets prepare`), or a
    /// part of one that carries splits
    #[arg(long, value_name = "FILE[:PART]")]
    data: PathBuf,
    /// Folder of the run and of the model
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Graphs of the data that are neither trained on nor validated with: numbers from 0, one a line
    #[arg(long, value_name = "FILE")]
    test_rows: Option<PathBuf>,
    /// Published settings to start from [default: community_small]
    #[arg(long, value_name = "NAME", value_parser = GRAPH_PRESETS)]
    preset: Option<String>,
    /// Settings in TOML; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Continue the run in the output folder
    #[arg(long)]
    resume: bool,
    /// What to do with graphs that are not undirected and simple, or have more than 1,000 nodes [default: fail]
    #[arg(long, value_enum)]
    on_bad_graph: Option<Unusable>,
    /// Begin with the weights of a model: the name of an embedded one, or a folder. Its networks must be the same; those of
    /// GDSS may know other degrees
    #[arg(long, value_name = "MODEL")]
    init: Option<String>,
    #[command(flatten)]
    settings: LoopFlags,
    /// Print a summary as JSON on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &TrainGraphsArgs) -> CliResult {
    let merge = TrainingSettings::merge_for_graphs;
    let request = TrainRequest {
        data: args.data.clone(),
        output: args.output.clone(),
        test_rows: args.test_rows.clone(),
        split: None,
        resume: args.resume,
        settings: settings(merge, args.preset.as_deref(), args.config.as_deref(), flags(args))?,
    };
    fit(&request, args.json, train_graphs)
}

/// The settings that were given as flags, under their names in the configuration.
fn flags(args: &TrainGraphsArgs) -> Value {
    let mut table = args.settings.table();
    insert(&mut table, "init", args.init.as_ref().map(|name| json!(name)));
    insert(&mut table, "on_bad_line", args.on_bad_graph.map(named));
    table.into()
}
