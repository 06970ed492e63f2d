//! `equidrift evaluate graphs`

use std::num::NonZero;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use equidrift_graph::mmd::{Bootstrap, Protocol};
use equidrift_graph::threads::available_threads;
use equidrift_graph::{Family, GraphError, Statistic};

use crate::exit::{CliResult, Exit, Failure};
use crate::stdout;
use figures::{Evaluation, Task};
use reading::Source;

mod figures;
mod page;
mod reading;
mod table;

/// Graphs: degree, clustering, orbit and spectral MMD to a reference set; validity, uniqueness, novelty
#[derive(Debug, Args)]
#[command(after_help = "\
Protocol:
  MMD            squared maximum mean discrepancy between all graphs of FILE and all of the reference,
                 mean k(a, a') + mean k(b, b') - 2 mean k(a, b), over all pairs, each graph with itself too (biased),
                 k = exp(-d^2 / (2 sigma^2)). Graphs without nodes are left out. --kernel says what d and sigma are:
                                gdss                                     spectre (also DiGress, PARD)
    degree       degree histogram, d = EMD, sigma 1             d = TV, sigma 1
    clustering   100 bins on [0, 1], d = EMD / 100, sigma 0.1   d = TV, sigma 0.1
    orbit        15 orbit counts of graphlets of up to 4 nodes, induced, mean over the nodes, not normalised:
                 d = Euclidean, sigma 30                        d = half the L1 distance, sigma 30
    spectral     eigenvalues of the normalised Laplacian, 200 bins on [-1e-5, 2]:
                 d = EMD, sigma 1                               d = TV, sigma 1
                 Histograms are divided by their sum (spectre: sum + 1e-6). EMD: earth mover's distance in bins; TV: half
                 the L1 distance.
  ratio          MMD / MMD of the training set to the reference, and the mean over the metrics, as SPECTRE reports
  valid          share of FILE's graphs in the family of --kind:
    planar       connected and planar
    tree         connected and without a cycle
    lobster      a tree of which a path remains when the leaves are removed twice
    sbm          SPECTRE's test: 2 to 5 inferred blocks of 20 to 40 nodes, edge probabilities near 0.3 and 0.005. The
                 blocks are those of the smallest description length that a deterministic search finds (SPECTRE: graph-tool)
  unique         isomorphism classes / graphs
  novel          share of graphs that are isomorphic to no training graph
  V.U.N.         isomorphism classes that are valid and novel / graphs
A bad graph (self-loop, edge twice, unknown node, directed, too large, cut off) is reported with its number and line. It
counts as a graph of FILE that is not valid, not unique and not novel, and is left out of the MMD.
Standard errors (\u{b1}) say how much a figure would change if other graphs were drawn; the reference stays as it is.
  MMD and ratio: bootstrap. Shares: binomial. Unique and V.U.N.: jackknife.
MMD depends on the sizes of the sets: compare figures of equal sizes only.

Examples:
  equidrift evaluate graphs graphs.json --reference test.json
  equidrift evaluate graphs graphs.jsonl --reference community_small.json --split gdss:test --metrics degree,clustering,orbit
  equidrift evaluate graphs graphs.graphml --reference planar.json --split spectre:test --train planar.json \\
    --kernel spectre --kind planar
  equidrift evaluate graphs graphs.edgelist --kind tree --train trees.jsonl --json
  equidrift evaluate graphs grid.json --generated-split gdss:train --reference grid.json --split gdss:test
  equidrift evaluate graphs graphs.jsonl --reference test.jsonl --report report.html")]
pub(super) struct GraphsArgs {
    /// Generated graphs: .json (node-link, a list, or a data set), .jsonl, .graphml or .edgelist; may be compressed (.gz)
    #[arg(value_name = "FILE", required_unless_present = "generated", conflicts_with = "generated")]
    file: Option<PathBuf>,
    /// The same as FILE
    #[arg(long, value_name = "FILE")]
    generated: Option<PathBuf>,
    /// Graphs to compare with, usually a test set
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// Part of the reference file, if that carries splits, such as gdss:test
    #[arg(long, value_name = "SCHEME:PART", requires = "reference")]
    split: Option<String>,
    /// Training set, for novelty and for the ratios
    #[arg(long, value_name = "FILE")]
    train: Option<PathBuf>,
    /// Part of the training file [default: `train` of the scheme of --split, if the file has it]
    #[arg(long, value_name = "SCHEME:PART", requires = "train")]
    train_split: Option<String>,
    /// Part of FILE
    #[arg(long, value_name = "SCHEME:PART")]
    generated_split: Option<String>,
    /// Whose kernels
    #[arg(long, value_enum, default_value = "gdss", requires = "reference")]
    kernel: Kernel,
    /// Statistics to compare, separated by commas
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "degree,clustering,orbit,spectral",
        requires = "reference"
    )]
    metrics: Vec<Metric>,
    /// The family whose members are valid
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Replicates of the bootstrap behind the standard errors; 0 for none
    #[arg(long, value_name = "N", default_value_t = 100)]
    bootstrap: u32,
    /// Seed of the bootstrap
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads; they change speed, never a figure [default: all cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZero<usize>>,
    /// What to do with a graph that cannot be used
    #[arg(long, value_enum, default_value = "skip")]
    on_bad_graph: OnBadGraph,
    /// Write a page with everything, distributions and drawings of some graphs: one self-contained .html
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// The figures as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kernel {
    /// GDSS: earth mover's distance
    Gdss,
    /// SPECTRE, DiGress, PARD: total variation
    Spectre,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Metric {
    Degree,
    Clustering,
    Orbit,
    Spectral,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Planar,
    Tree,
    Lobster,
    Sbm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum OnBadGraph {
    /// Report it and go on
    Skip,
    /// Stop with exit code 3
    Fail,
}

pub(super) fn run(args: &GraphsArgs) -> CliResult {
    let path = args.file.as_ref().or(args.generated.as_ref());
    let path = path.ok_or_else(|| Failure::message(Exit::Usage, "which FILE is to be judged?"))?;
    let strict = args.on_bad_graph == OnBadGraph::Fail;
    let generated =
        Source { path, part: args.generated_split.as_deref(), strict, option: "--generated-split" };
    let generated = generated.read()?;
    let reference = args
        .reference
        .as_deref()
        .map(|path| Source { path, part: args.split.as_deref(), strict, option: "--split" }.read());
    let reference = reference.transpose()?;
    let training = args.train.as_deref().map(|path| {
        let source = Source { path, part: args.train_split.as_deref(), strict, option: "--train-split" };
        source.read_training(args.split.as_deref())
    });
    let training = training.transpose()?;
    let mut statistics: Vec<Statistic> = args.metrics.iter().map(|metric| statistic(*metric)).collect();
    statistics.sort_unstable();
    statistics.dedup();
    let task = Task {
        protocol: match args.kernel {
            Kernel::Gdss => Protocol::Gdss,
            Kernel::Spectre => Protocol::Spectre,
        },
        statistics,
        family: args.kind.map(family),
        bootstrap: Bootstrap { replicates: args.bootstrap as usize, seed: args.seed },
        threads: args.threads.map_or_else(available_threads, NonZero::get),
    };
    let evaluation = Evaluation::of(&task, &generated, reference.as_ref(), training.as_ref())?;
    if let Some(path) = &args.report {
        page::page(&evaluation, &generated, reference.as_ref(), training.as_ref()).write(path)?;
    }
    if args.json { stdout::json(&evaluation) } else { stdout::text(&table::table(&evaluation)) }
}

fn statistic(metric: Metric) -> Statistic {
    match metric {
        Metric::Degree => Statistic::Degree,
        Metric::Clustering => Statistic::Clustering,
        Metric::Orbit => Statistic::Orbit,
        Metric::Spectral => Statistic::Spectral,
    }
}

fn family(kind: Kind) -> Family {
    match kind {
        Kind::Planar => Family::Planar,
        Kind::Tree => Family::Tree,
        Kind::Lobster => Family::Lobster,
        Kind::Sbm => Family::Sbm,
    }
}

fn failure(error: GraphError) -> Failure {
    let exit = match error {
        GraphError::UnknownFormat { .. } | GraphError::UnknownSplit { .. } => Exit::Usage,
        _ => Exit::BadInput,
    };
    Failure::new(exit, error)
}
