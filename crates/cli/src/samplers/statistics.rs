//! `equidrift samplers statistics`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use equidrift::{StatisticsRequest, measure_statistics};
use equidrift_backend::atomic::write_atomically;
use equidrift_sampler::statistics::Estimation;

use crate::exit::{CliResult, Exit, Failure};
use crate::progress;

/// Measure what DPM-Solver-v3 builds its steps from, once for a model
#[derive(Debug, Args)]
#[command(after_help = "\
The statistics (Zheng et al., NeurIPS 2023) are three numbers per component and noise level: how the networks' noise
prediction responds to the state, and the line that its change along the path follows. They belong to one model, whose digest they
carry. `generate molecules --sampler dpm-solver-v3 --statistics FILE` uses them; without, it is DPM-Solver++ in another form.

Examples:
  equidrift samplers statistics --model qm9-gdss --data qm9.smi -o qm9-gdss.statistics.json
  equidrift generate molecules --sampler dpm-solver-v3 --statistics qm9-gdss.statistics.json --steps 10 -o v3.smi")]
pub(crate) struct StatisticsArgs {
    /// Model: an embedded one or a folder
    #[arg(long, value_name = "NAME|DIR", default_value = equidrift::DEFAULT_SCORE_MODEL)]
    model: String,
    /// Molecules like those the model was trained on: .smi, may be compressed
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Use only these rows of the data (0-based, one a line)
    #[arg(long, value_name = "FILE")]
    rows: Option<PathBuf>,
    /// Use the first N molecules that can be used
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..))]
    num: u64,
    /// Noise levels
    #[arg(long, value_name = "N", default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    levels: u32,
    /// Seed of noise and probes
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The statistics
    #[arg(short, long, value_name = "FILE.json")]
    output: PathBuf,
}

pub(crate) fn run(args: &StatisticsArgs) -> CliResult {
    let request = StatisticsRequest {
        model: args.model.clone(),
        data: args.data.clone(),
        rows: args.rows.clone(),
        num: args.num as usize,
        // Samplers of more than 15 steps go on to t = 1e-4.
        estimation: Estimation {
            intervals: args.levels as usize,
            t_end: 1e-4,
            seed: args.seed,
            ..Estimation::default()
        },
    };
    let bar = progress::bar(0, "evaluations");
    let result = measure_statistics(&request, &mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let (statistics, skipped) = result?;
    if let Some(first) = skipped.first() {
        progress::note(&format!(
            "note: {}: {} lines could not be used, the first is line {}: {}",
            args.data.display(),
            skipped.len(),
            first.line,
            first.reason
        ));
    }
    write_atomically(&args.output, |file| {
        serde_json::to_writer(&mut *file, &statistics)?;
        file.write_all(b"\n")
    })
    .map_err(|error| {
        Failure::message(Exit::Failure, format_args!("cannot write {}: {error}", args.output.display()))
    })?;
    progress::note(&format!(
        "{}: {} noise levels, {} molecules",
        args.output.display(),
        args.levels + 1,
        statistics.samples()
    ));
    Ok(Exit::Ok)
}
