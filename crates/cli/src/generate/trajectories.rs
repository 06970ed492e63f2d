//! `equidrift generate trajectories`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use equidrift::{Manifest, TrajectoryJob, TrajectoryRequest, TrajectorySummary};
use equidrift_trajectory::Part;

use super::{RunArgs, exit, report};
use crate::exit::{CliResult, Exit, Failure};
use crate::source_flags::SourceFlags;
use crate::{progress, signal};

/// Trajectories: what may follow given frames, or an ensemble of an unconditional model
///
/// The default starting window is the last frames of each file; --windows N takes N windows at even spacing instead, and of
/// simulations every run is continued from its first frames. --num samples are drawn for each window and written one after the
/// other, window by window, in the order of their ids: sample k of window w has the id w * num + k. A sample of a seed is the
/// same whatever the batch size, the number of threads, the shard, or where a run was resumed. Results grow in FILE.partial
/// with FILE.manifest.json beside it, and FILE appears when they are complete.
#[derive(Debug, Args)]
#[command(
    mut_arg("files", |arg| arg.long("from").help(
        "What is continued: trajectory files (.npz, .xtc, .extxyz, .xyz, .pdb, .h5md), or recordings of walkers (.csv, .txt). Of an \
         unconditional model: a file with the atoms that are to move, or nothing where the model has a molecule of its own",
    )),
    mut_arg("runs", |arg| arg.help("Simulated runs, each of which is a starting window [default: 100]")),
    mut_arg("num", |arg| arg.help("Samples for each starting window [default: 20]")),
    mut_arg("match_prior", |arg| arg.hide(true)),
    mut_arg("grid", |arg| arg.hide(true)),
    mut_arg("churn", |arg| arg.hide(true)),
    mut_arg("temperature", |arg| arg.value_name("NUMBER").help(
        "Factor of the sampler's noise: below 1 samples are closer to one another and to the middle of what may follow, which is \
         nearer to what does (0.1 for a point forecast), but they no longer show how far it may be off [default: 1]",
    )),
    mut_arg("snr", |arg| arg.hide(true)),
    mut_arg("scale_eps", |arg| arg.hide(true)),
    mut_arg("statistics", |arg| arg.hide(true)),
    after_help = "\
Examples:
  equidrift generate trajectories --model charged-geotdm --simulate charged --runs 3 --num 5 -o next.npz
  equidrift generate trajectories --model ethanol-geotdm --from ethanol.npz --num 20 -o next.xtc
  equidrift generate trajectories --model mine/ --from run.xtc --topology run.pdb --num 5 --seed 7 -o next.h5md
  equidrift generate trajectories --model mine/ --from run.npz --windows 200 --part test --num 5 --truth truth.npz -o next.npz
  equidrift generate trajectories --model mine/ --from run.npz --horizon 200 --num 4 --with-given -o long.xtc
  equidrift generate trajectories --model mine/ --from run.npz --sampler dpm-solver++ --steps 10 -o fast.extxyz
  equidrift generate trajectories --model ethanol-geotdm --from run.npz --num 1 --temperature 0.1 -o forecast.xtc
  equidrift generate trajectories --model springs/ --simulate springs --runs 50 --num 1 -o ensemble.npz
  equidrift generate trajectories --model mine/ --from run.npz --windows 1000 --shard 3/8 -o part3.xtc --resume

A configuration file (TOML, or JSON with suffix .json) has the fields num, seed, model, sampler, steps, adaptive, plan, shard,
temperature, engine, device, batch, threads, and the table [trajectories] with every, windows, part, frames, horizon, with_given and the table
source (files, topology, atoms, simulate, runs, bodies, simulation_seed); flags win over it."
)]
pub(super) struct TrajectoriesArgs {
    /// Output file; its suffix names the format: .xtc, .extxyz, .xyz, .pdb, .h5md, .npz
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Model: the name of an embedded one (springs-, charged-, gravity-, ethanol-, malonaldehyde-, benzene-, aspirin-,
    /// pedestrians-geotdm; out of nothing: alanine-dipeptide-, ethanol-ensemble-, aspirin-ensemble-geotdm), or a folder
    #[arg(short, long, value_name = "NAME|DIR", required_unless_present = "config")]
    model: Option<String>,
    #[command(flatten)]
    source: SourceFlags,
    /// Look only at every so many frames of the files [default: as far apart as the model's, where both are known]
    #[arg(long, value_name = "FRAMES", help_heading = "Starting windows")]
    every: Option<usize>,
    /// So many windows of each run, at even spacing; of recordings of walkers, so many tracks [default: the last frames; all tracks]
    #[arg(long, value_name = "WINDOWS", help_heading = "Starting windows")]
    windows: Option<usize>,
    /// Where the windows lie, with all that is to follow them [default: anywhere]
    #[arg(long, value_enum, requires = "windows", help_heading = "Starting windows")]
    part: Option<PartName>,
    /// For models that fill gaps (`train trajectories --frames-behind`): the frame of each file, counted from 0, behind which
    /// frames are missing; the next frame of the file follows the gap
    #[arg(long, value_name = "FRAME", conflicts_with = "windows", help_heading = "Starting windows")]
    gap_behind: Option<usize>,
    /// Of an unconditional model: frames of each window, numbered from 0 among those the model makes, that are known; samples are
    /// pulled to them through the model itself (self-guidance), and the other frames are what may have been between, before or
    /// behind them. Takes about five times as long
    #[arg(long, value_name = "FRAMES", value_delimiter = ',', help_heading = "Starting windows")]
    known_frames: Vec<usize>,
    /// How strongly samples are pulled to the known frames [default: 1]
    #[arg(long, value_name = "SCALE", requires = "known_frames", help_heading = "Starting windows")]
    guidance: Option<f64>,
    /// Also write what really followed the windows, one after the other; with --with-given the given frames, too
    #[arg(long, value_name = "FILE", help_heading = "Starting windows")]
    truth: Option<PathBuf>,
    /// Frames kept of those that the model makes at once [default: all]
    #[arg(long, value_name = "FRAMES", help_heading = "Frames")]
    frames: Option<usize>,
    /// Frames in all; the model goes on from the frames it made last [default: --frames]
    #[arg(long, value_name = "FRAMES", help_heading = "Frames")]
    horizon: Option<usize>,
    /// Write the given frames, too, in order of time
    #[arg(long, help_heading = "Frames")]
    with_given: bool,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PartName {
    /// The first 60 % of the frames
    Train,
    /// The next 20 %
    Validation,
    /// The last 20 %
    Test,
}

impl From<PartName> for Part {
    fn from(name: PartName) -> Self {
        match name {
            PartName::Train => Self::Train,
            PartName::Validation => Self::Validation,
            PartName::Test => Self::Test,
        }
    }
}

/// Samples of a window, and simulated runs, where nothing is said.
const SAMPLES: u64 = 20;
const RUNS: u64 = 100;

pub(super) fn run(args: &TrajectoriesArgs) -> CliResult {
    let mut request = args.run.request(args.model.as_ref())?;
    if args.run.num.is_none() && args.run.config.is_none() {
        request.num = SAMPLES;
    }
    let mut asked = request.trajectories.take().unwrap_or_else(|| {
        let mut asked = TrajectoryRequest::default();
        asked.source.runs = RUNS;
        asked
    });
    asked.source = args.source.over(asked.source);
    asked.every = args.every.or(asked.every);
    asked.windows = args.windows.or(asked.windows);
    asked.part = args.part.map(Part::from).or(asked.part);
    asked.gap_behind = args.gap_behind.or(asked.gap_behind);
    if !args.known_frames.is_empty() {
        asked.known_frames.clone_from(&args.known_frames);
    }
    asked.guidance = args.guidance.or(asked.guidance);
    asked.frames = args.frames.or(asked.frames);
    asked.horizon = args.horizon.or(asked.horizon);
    asked.with_given |= args.with_given;
    request.trajectories = Some(asked);
    if args.truth.as_ref() == Some(&args.output) {
        return Err(Failure::message(Exit::Usage, "--truth and --output name the same file"));
    }
    let partial = Manifest::partial_for(&args.output);
    if !args.run.resume && partial.exists() {
        let partial = partial.display();
        progress::note(&format!("note: overwriting the unfinished {partial}; --resume would continue it"));
    }
    let stop = signal::stop();
    let bar = args.run.bar(&request);
    let result = equidrift::generate_trajectories(TrajectoryJob {
        request: &request,
        output: &args.output,
        resume: args.run.resume,
        truth: args.truth.as_deref(),
        stop,
        progress: &|done| progress::show(&bar, "trajectories", done),
    });
    bar.finish_and_clear();
    let summary = result?;
    report(&summary, &summary.run, args.run.json, "trajectories", rows(&summary));
    Ok(exit(&summary.run, summary.trajectories))
}

fn rows(summary: &TrajectorySummary) -> Vec<(&'static str, String)> {
    let TrajectorySummary { windows, samples_per_window, frames, atoms, .. } = summary;
    vec![
        ("starting windows", format!("{windows}, {samples_per_window} samples each")),
        ("each sample", format!("{frames} frames of {atoms} atoms or bodies")),
    ]
}
