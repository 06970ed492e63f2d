//! `equidrift evaluate likelihood`

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use equidrift::likelihood::Mean;
use equidrift::{
    BoundReport, BoundRequest, FamilyModel, GraphInput, LikelihoodReport, LikelihoodRequest, Model, Skipped,
    StopSignal, likelihood, likelihood_bound,
};
use equidrift_backend::atomic::write_atomically;
use serde::Serialize;

use crate::exit::{CliResult, Exit, Failure};
use crate::{progress, signal, stdout};

/// How probable a model finds molecules or graphs: nats per graph, bits per dimension, bits per node and edge
#[derive(Debug, Args)]
#[command(after_help = "\
What is measured, models of family gdss (molecules only):
  Graphs are discrete and the model is a density, so each graph is noised to t = 1e-5 with the
  model's own noise. Its log-density is found by integrating the probability-flow ODE to the
  model's prior at t = 1, with Hutchinson's estimate of the divergence.

  nats per graph          -log p of the noised graph
  bits per dimension      the same per free coordinate (nodes x features + pairs of nodes)
  bits per node and edge  the same per node and bond
  code length             log q(noised|graph) - log p(noised) - log p(graph|noised); its mean is
                          an upper bound of -log2 P(graph | number and order of its nodes)

  The densities depend on the noise of the model's paths at t = 1e-5, the code length does not.
  Formal charges are dropped, as in training. Molecules the model cannot make are left out.

What is measured, models of family pard (molecules and graphs):
  Their graphs are discrete, so nothing is noised beforehand. The figure is the variational bound of
  -log P(graph) without an order of the nodes: sizes and degrees of blocks, and every step of the
  diffusion, the noise of each drawn once (--draws: more often). A graph has the same bound however its
  nodes are numbered.

  nats, bits per graph    the bound
  bits per dimension      the same over all nodes and pairs of nodes
  bits per node and edge  the same over all nodes and edges

  Cost: T calls of the denoiser per graph and draw, T the steps of the diffusion (qm9-pard: 500, ten
  times the cost of a sample of 50 calls).

Examples:
  equidrift evaluate likelihood --data qm9.smi --rows test_rows.txt --num 1000
  equidrift evaluate likelihood --model my-model/ --data held_out.smi.gz --tolerance 1e-5 --json
  equidrift evaluate likelihood --data held_out.smi --num 20 --exact-trace
  equidrift evaluate likelihood --model qm9-pard-k3 qm9.smi --rows test_rows.txt --num 200 --per-graph bounds.jsonl
  equidrift evaluate likelihood --model my-graphs/ comm20.json:digress:test --draws 8")]
pub(crate) struct LikelihoodArgs {
    /// Model: an embedded one or a folder
    #[arg(long, value_name = "NAME|DIR", default_value = equidrift::DEFAULT_MODEL)]
    model: String,
    /// Molecules: .smi, may be compressed; for a model of graphs a graph file, or one of its splits
    #[arg(value_name = "DATA", required_unless_present = "data", conflicts_with = "data")]
    file: Option<GraphInput>,
    /// The same as DATA
    #[arg(long, value_name = "FILE[:SPLIT]")]
    data: Option<GraphInput>,
    /// Use only these rows of the data (0-based, one a line), for instance those held out from training
    #[arg(long, value_name = "FILE")]
    rows: Option<PathBuf>,
    /// Use the first N molecules that can be used
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    num: Option<u64>,
    /// gdss: relative and absolute tolerance of the integration [default: 0.0001]
    #[arg(long, value_name = "T")]
    tolerance: Option<f64>,
    /// gdss: random directions per molecule for the divergence [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    probes: Option<u32>,
    /// gdss: the exact divergence, about 70 times the cost for nine atoms
    #[arg(long, conflicts_with = "probes")]
    exact_trace: bool,
    /// pard: draws of the noise at every step, whose mean is taken [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=32767))]
    draws: Option<u32>,
    /// Seed of noise and directions
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Graphs per batch; changes speed only
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Worker threads, 0 for one per processor; changes speed only
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Write the figures of each graph: .jsonl, one line a graph
    #[arg(long, value_name = "FILE.jsonl")]
    per_graph: Option<PathBuf>,
    /// The figures as JSON, graph by graph
    #[arg(long)]
    json: bool,
}

/// How many lines are shown one by one.
const SHOWN: usize = 10;

pub(crate) fn run(args: &LikelihoodArgs) -> CliResult {
    let Some(data) = args.file.as_ref().or(args.data.as_ref()) else {
        return Err(Failure::message(Exit::Usage, "which DATA are to be judged?"));
    };
    match Model::open(&args.model)?.family() {
        // A model of trajectories is refused there by its family.
        FamilyModel::Gdss(_) | FamilyModel::Geotdm(_) => density(args, data),
        FamilyModel::Pard(_) => bound(args, data),
    }
}

/// Refuses a flag that is another family's.
fn only_for(family: &str, flags: &[(&str, bool)]) -> Result<(), Failure> {
    match flags.iter().find(|(_, given)| *given) {
        Some((flag, _)) => Err(Failure::message(
            Exit::Usage,
            format_args!("{flag}: only models of family {family} have a use for it"),
        )),
        None => Ok(()),
    }
}

fn density(args: &LikelihoodArgs, data: &GraphInput) -> CliResult {
    only_for("pard", &[("--draws", args.draws.is_some())])?;
    if let Some(part) = &data.part {
        let message = format_args!("{data}: a SMILES file has no split `{part}`");
        return Err(Failure::message(Exit::Usage, message));
    }
    let defaults = LikelihoodRequest::default();
    let request = LikelihoodRequest {
        model: args.model.clone(),
        data: data.path.clone(),
        rows: args.rows.clone(),
        num: args.num.map(|num| usize::try_from(num).unwrap_or(usize::MAX)),
        tolerance: args.tolerance.unwrap_or(defaults.tolerance),
        probes: if args.exact_trace { 0 } else { args.probes.unwrap_or(defaults.probes) },
        seed: args.seed,
        batch: args.batch as usize,
        threads: args.threads,
    };
    let report = with_bar("molecules", |stop, progress| likelihood(&request, stop, progress))?;
    left_out(data, &[("left out", &report.skipped), ("failed", &report.failed)]);
    print(args, &report, &report.graphs, table(&report))?;
    Ok(if report.complete { Exit::Ok } else { Exit::Interrupted })
}

fn bound(args: &LikelihoodArgs, data: &GraphInput) -> CliResult {
    let others = [
        ("--tolerance", args.tolerance.is_some()),
        ("--probes", args.probes.is_some()),
        ("--exact-trace", args.exact_trace),
    ];
    only_for("gdss", &others)?;
    let request = BoundRequest {
        model: args.model.clone(),
        data: data.clone(),
        rows: args.rows.clone(),
        num: args.num.map(|num| usize::try_from(num).unwrap_or(usize::MAX)),
        draws: args.draws.unwrap_or(1),
        seed: args.seed,
        batch: args.batch as usize,
        threads: args.threads,
    };
    let report = with_bar("graphs", |stop, progress| likelihood_bound(&request, stop, progress))?;
    left_out(data, &[("left out", &report.skipped), ("impossible", &report.failed)]);
    print(args, &report, &report.graphs, bound_table(&report))?;
    Ok(if report.complete { Exit::Ok } else { Exit::Interrupted })
}

/// A progress bar while `work` is done.
fn with_bar<T>(
    noun: &str,
    work: impl FnOnce(&StopSignal, &(dyn Fn(usize) + Sync)) -> Result<T, equidrift::Error>,
) -> Result<T, Failure> {
    let bar = progress::bar(0, noun);
    let result = work(signal::stop(), &|found| {
        if found == 0 { bar.inc(1) } else { bar.set_length(found as u64) }
    });
    bar.finish_and_clear();
    Ok(result?)
}

fn left_out(data: &GraphInput, kinds: &[(&str, &[Skipped])]) {
    let path = data.path.display();
    for (what, lines) in kinds {
        for line in lines.iter().take(SHOWN) {
            progress::note(&format!("{what}: {path}:{}: {}", line.line, line.reason));
        }
        if lines.len() > SHOWN {
            progress::note(&format!("{what}: {path}: {} more lines", lines.len() - SHOWN));
        }
    }
}

fn print(
    args: &LikelihoodArgs,
    report: &impl Serialize,
    graphs: &[impl Serialize],
    table: String,
) -> CliResult {
    if let Some(path) = &args.per_graph {
        write_lines(path, graphs)?;
    }
    if args.json { stdout::json(report) } else { stdout::text(&table) }
}

/// One line of JSON for each graph.
fn write_lines(path: &Path, graphs: &[impl Serialize]) -> Result<(), Failure> {
    write_atomically(path, |file| {
        for graph in graphs {
            serde_json::to_writer(&mut *file, graph)?;
            file.write_all(b"\n")?;
        }
        Ok(())
    })
    .map_err(|error| {
        Failure::message(Exit::Failure, format_args!("cannot write {}: {error}", path.display()))
    })
}

/// A mean and its standard error.
fn mean(value: &Mean) -> String {
    match value.standard_error {
        Some(error) => format!("{:.3} +- {error:.3}", value.mean),
        None => format!("{:.3}", value.mean),
    }
}

fn bound_table(report: &BoundReport) -> String {
    let [blocks, prior, nodes, pairs] = report.parts;
    let asymmetric = report.graphs.iter().filter(|graph| !graph.canonical).count();
    let mut lines = vec![
        ("model", report.model.clone()),
        ("graphs", report.molecules.to_string()),
        ("noise", format!("{} steps, {} draws, seed {}", report.steps, report.draws, report.seed)),
        ("nats per graph, at most", mean(&report.nats_per_graph)),
        ("of blocks, prior, nodes, pairs", format!("{blocks:.3}, {prior:.3}, {nodes:.3}, {pairs:.3}")),
        ("bits per graph, at most", mean(&report.bits_per_graph)),
        ("bits per dimension", format!("{:.4}", report.bits_per_dimension)),
        ("bits per node and edge", format!("{:.4}", report.bits_per_node_and_edge)),
        ("evaluations per graph", report.evaluations_per_graph.to_string()),
        ("left out / impossible", format!("{} / {}", report.skipped.len(), report.failed.len())),
        ("seconds", format!("{:.1}", report.seconds)),
    ];
    if asymmetric > 0 {
        lines.insert(2, ("without a canonical order", asymmetric.to_string()));
    }
    lines.iter().map(|(name, value)| format!("{name:36}{value}\n")).collect()
}

fn table(report: &LikelihoodReport) -> String {
    let trace =
        if report.probes == 0 { "exact trace".to_owned() } else { format!("probes {}", report.probes) };
    let lines = [
        ("model", report.model.clone()),
        ("molecules", report.molecules.to_string()),
        ("dequantisation", report.dequantisation.clone()),
        ("integration", format!("tolerance {:e}, {trace}, seed {}", report.tolerance, report.seed)),
        ("nats per graph", mean(&report.nats_per_graph)),
        ("bits per dimension", format!("{:.4}", report.bits_per_dimension)),
        ("bits per node and edge", format!("{:.4}", report.bits_per_node_and_edge)),
        ("code length, bits per graph", mean(&report.code_bits_per_graph)),
        ("code length, bits per node and edge", format!("{:.4}", report.code_bits_per_node_and_edge)),
        ("evaluations per graph", format!("{:.1}", report.evaluations_per_graph)),
        ("left out / failed", format!("{} / {}", report.skipped.len(), report.failed.len())),
        ("seconds", format!("{:.1}", report.seconds)),
    ];
    lines.iter().map(|(name, value)| format!("{name:36}{value}\n")).collect()
}
