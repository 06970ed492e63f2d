//! `equidrift evaluate likelihood`

use std::path::PathBuf;

use clap::Args;
use equidrift::{LikelihoodReport, LikelihoodRequest, StopSignal, likelihood};

use crate::exit::{CliResult, Exit};
use crate::{progress, signal, stdout};

/// How probable a model finds molecules: nats per graph, bits per coordinate, bits per node and edge
#[derive(Debug, Args)]
#[command(after_help = "\
What is measured:
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

Examples:
  equidrift evaluate likelihood --data qm9.smi --rows test_rows.txt --num 1000
  equidrift evaluate likelihood --model my-model/ --data held_out.smi.gz --tolerance 1e-5 --json
  equidrift evaluate likelihood --data held_out.smi --num 20 --exact-trace")]
pub(crate) struct LikelihoodArgs {
    /// Model: an embedded one or a folder
    #[arg(long, value_name = "NAME|DIR", default_value = equidrift::DEFAULT_MODEL)]
    model: String,
    /// Molecules: .smi, may be compressed
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Use only these rows of the data (0-based, one a line), for instance those held out from training
    #[arg(long, value_name = "FILE")]
    rows: Option<PathBuf>,
    /// Use the first N molecules that can be used
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    num: Option<u64>,
    /// Relative and absolute tolerance of the integration
    #[arg(long, value_name = "T", default_value_t = 1e-4)]
    tolerance: f64,
    /// Random directions per molecule for the divergence
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    probes: u32,
    /// The exact divergence: about 70 times the cost for nine atoms
    #[arg(long, conflicts_with = "probes")]
    exact_trace: bool,
    /// Seed of noise and directions
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Molecules per batch; changes speed only
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Worker threads, 0 for one per processor; changes speed only
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// The figures as JSON, molecule by molecule
    #[arg(long)]
    json: bool,
}

/// How many lines are shown one by one.
const SHOWN: usize = 10;

pub(crate) fn run(args: &LikelihoodArgs) -> CliResult {
    let request = LikelihoodRequest {
        model: args.model.clone(),
        data: args.data.clone(),
        rows: args.rows.clone(),
        num: args.num.map(|num| usize::try_from(num).unwrap_or(usize::MAX)),
        tolerance: args.tolerance,
        probes: if args.exact_trace { 0 } else { args.probes },
        seed: args.seed,
        batch: args.batch as usize,
        threads: args.threads,
    };
    let bar = progress::bar(0, "molecules");
    let stop: &StopSignal = signal::stop();
    let report = likelihood(&request, stop, &|found| {
        if found == 0 { bar.inc(1) } else { bar.set_length(found as u64) }
    });
    bar.finish_and_clear();
    let report = report?;
    for (what, lines) in [("left out", &report.skipped), ("failed", &report.failed)] {
        for line in lines.iter().take(SHOWN) {
            progress::note(&format!("{what}: {}:{}: {}", args.data.display(), line.line, line.reason));
        }
        if lines.len() > SHOWN {
            progress::note(&format!("{what}: {}: {} more lines", args.data.display(), lines.len() - SHOWN));
        }
    }
    if args.json {
        stdout::json(&report)?;
    } else {
        stdout::text(&table(&report))?;
    }
    Ok(if report.complete { Exit::Ok } else { Exit::Interrupted })
}

fn table(report: &LikelihoodReport) -> String {
    let mean = |value: &equidrift::likelihood::Mean| match value.standard_error {
        Some(error) => format!("{:.3} +- {error:.3}", value.mean),
        None => format!("{:.3}", value.mean),
    };
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
