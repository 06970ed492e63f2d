//! `equidrift generate graphs`

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use equidrift::{GraphJob, GraphSummary};
use equidrift_graph::{Format, GraphError};

use super::{RunArgs, exit, format, percent, report};
use crate::exit::CliResult;
use crate::{progress, signal};

/// Graphs, as node-link JSON, JSON lines, GraphML or edge lists
///
/// An entry of a sample's adjacency matrix of at least 0.5 is an edge; nodes without an edge are dropped, and a graph
/// without any edge is written as a single node. Samples are written as they come, in the order of their ids. Sample k
/// of a seed is the same whatever the batch size, the number of threads, the shard, or where a run was resumed. With
/// -o, results grow in FILE.partial with FILE.manifest.json beside it, and FILE appears when they are complete. One
/// graph is written per sample; that of a sample that diverged has no nodes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  equidrift generate graphs --model community_small/ --num 128 --seed 7 -o graphs.json
  equidrift generate graphs --model my-model/ --num 20 --format edgelist | head
  equidrift generate graphs --model my-model/ --num 1000 --sampler dpm-solver++ --steps 20 -o fast.graphml
  equidrift generate graphs --model my-model/ --num 100000 --shard 3/8 -o part3.jsonl --resume
  equidrift generate graphs --config run.toml --json -o x.jsonl 2> summary.json

A model comes from `equidrift train graphs` or `equidrift convert gdss`.
A configuration file (TOML, or JSON with suffix .json) has the fields num, seed, model, sampler, steps, grid, adaptive,
churn, temperature, plan, match_prior, snr, scale_eps, shard, engine, device, batch, threads, max_memory
(bytes); flags win over it.")]
pub(super) struct GraphsArgs {
    /// Output file; its suffix names the format: .json, .jsonl, .graphml, .edgelist (.edges). Without it, results go to
    /// standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Format, where no file name tells it [default: jsonl]
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    /// Embedded model or model folder
    #[arg(short, long, value_name = "NAME|DIR", required_unless_present = "config")]
    model: Option<String>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatName {
    Json,
    Jsonl,
    Graphml,
    Edgelist,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Json => Self::Json,
            FormatName::Jsonl => Self::JsonLines,
            FormatName::Graphml => Self::GraphMl,
            FormatName::Edgelist => Self::EdgeList,
        }
    }
}

pub(super) fn run(args: &GraphsArgs) -> CliResult {
    let request = args.run.request(args.model.as_ref())?;
    let output = args.output.as_deref();
    let named = args.format.map(Format::from);
    let format = format(output, named, of_path, Format::JsonLines)?;
    let stop = signal::stop();
    let bar = args.run.bar(&request);
    let result = args.run.with_destination(output, |destination| {
        equidrift::generate_graphs(GraphJob {
            request: &request,
            format,
            destination,
            stop,
            progress: &|done| progress::show(&bar, "graphs", done),
        })
    });
    bar.finish_and_clear();
    let summary = result?;
    report(&summary, &summary.run, args.run.json, "graphs", rows(&summary));
    Ok(exit(&summary.run, summary.graphs))
}

/// Graphs are read compressed, but not written so.
fn of_path(path: &Path) -> Result<Format, equidrift::Error> {
    if path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("gz")) {
        return Err(GraphError::UnknownFormat { path: path.to_owned() }.into());
    }
    Ok(Format::of_path(path)?)
}

fn rows(summary: &GraphSummary) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("nodes", format!("{:.2} per graph", summary.mean_nodes)),
        ("edges", format!("{:.2} per graph", summary.mean_edges)),
        ("connected", percent(summary.connectedness)),
    ];
    if summary.without_edges > 0 {
        rows.push(("without edges", format!("{} (written as a single node)", summary.without_edges)));
    }
    rows
}
