//! `equidrift train trajectories`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use equidrift::TrajectorySource;
use equidrift::training::{
    TRAJECTORY_PRESETS, TrajectorySettings, TrajectoryTrainRequest, train_trajectories,
};
use equidrift_gdss::EngineKind;
use serde_json::{Value, json};

use super::conclude;
use super::config_file::ConfigFile;
use super::flags::{LoopFlags, insert, named};
use super::trajectory_watcher::TrajectoryWatcher;
use crate::exit::CliResult;
use crate::signal;
use crate::source_flags::SourceFlags;

/// A model of trajectories, from files of molecular dynamics, recordings of walkers, or simulations
///
/// Trains GeoTDM: diffusion of whole trajectories. The model continues the first frames of a window, or (--prior standardised)
/// makes trajectories of the systems it was trained on. Of files the first 60 % of the frames are cut into windows to train on,
/// the next 20 % into windows to validate with, and the last 20 % are never looked at; simulated runs begin with their first
/// frame, and validation has runs of its own. The output folder is a model folder (use it with `generate trajectories --model
/// DIR`, also while the training goes on) and holds log.jsonl (losses per epoch), loss.svg (the same as curves), training.toml
/// (the settings in force) and checkpoints/. A run that was interrupted or killed goes on with --resume and ends with the same
/// weights as one that was not.
#[derive(Debug, Args)]
#[command(
    mut_arg("epochs", |arg| arg.help("Passes over the windows [default: 20; published 100]")),
    mut_arg("batch", |arg| arg.help("Windows evaluated at once [default: 32; published 128]")),
    mut_arg("lr", |arg| arg.help("Learning rate, of the first epoch or after the warm-up [default: 0.001; published 0.0001]")),
    mut_arg("schedule", |arg| {
        arg.help(
            "How it goes on: constant; exponential, a factor per epoch; cosine, down to a floor; plateau, lowered when the \
             validation loss no longer falls [default: cosine; published constant]",
        )
    }),
    mut_arg("weight_decay", |arg| arg.help("Weight decay [default: 0]")),
    mut_arg("clip_norm", |arg| arg.help("Largest gradient norm [default: 1]")),
    mut_arg("validation_draws", |arg| {
        arg.help("Draws of level and noise for each held-out window, the same every time [default: 1]")
    }),
    mut_arg("seed", |arg| arg.help("Seed of weights, order, levels and noise [default: 42]")),
    mut_arg("validation_rows", |arg| arg.hide(true)),
    mut_arg("validation_fraction", |arg| arg.hide(true)),
    mut_arg("validation_data", |arg| arg.hide(true)),
    mut_arg("sample_every", |arg| {
        arg.help("Forecast held-out windows every this many epochs and log the errors, 0: never [default: 0]")
    }),
    mut_arg("sample_num", |arg| arg.help("Samples of each window [default: 5]")),
    mut_arg("sample_reference", |arg| arg.hide(true)),
    mut_arg("sample_chemnet", |arg| arg.hide(true)),
    mut_arg("family", |arg| arg.hide(true)),
    after_help = "\
Examples:
  equidrift train trajectories --data ethanol.npz --every 5 -o ethanol
  equidrift train trajectories --data ethanol.npz --every 5 -o ethanol --resume
  equidrift train trajectories --data ethanol.npz --every 5 --sample-every 1 -o ethanol
  equidrift train trajectories --data run.xtc --topology run.pdb --frames-in 5 --frames-out 15 -o mine
  equidrift train trajectories --simulate charged --runs 3000 --epochs 40 -o charged
  equidrift train trajectories --data *.npz --every 5 --preset published --edges all -o four-molecules
  equidrift train trajectories --data aspirin.npz --every 5 --preset published --init four-molecules --edges all --lr 5e-5 -o aspirin
  equidrift train trajectories --simulate charged --preset published --noise-levels 1000 --epochs 4000 -o charged
  equidrift train trajectories --simulate springs --prior standardised -o springs
  equidrift train trajectories --data crowds_zara0*.csv --splits splits.json --walkers 3 -o zara
  equidrift generate trajectories --model ethanol --from ethanol.npz --num 20 -o next.xtc

A configuration file (TOML) has the same names as training.toml; flags win over it. Only there: the model's default sampler
([sampler]) and its steps (steps)."
)]
pub(crate) struct TrainTrajectoriesArgs {
    #[command(flatten)]
    source: SourceFlags,
    /// Folder of the run and of the model
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Settings to start from: forecast learns in minutes on a processor (a linear forecast as the prior, four layers of width 64),
    /// published are those of GeoTDM [default: forecast]
    #[arg(long, value_name = "NAME", value_parser = TRAJECTORY_PRESETS)]
    preset: Option<String>,
    /// Settings in TOML; they win over the preset, and flags win over them
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Continue the run in the output folder
    #[arg(long)]
    resume: bool,
    /// Begin with the weights of this model, which must have the same network
    #[arg(long, value_name = "NAME|DIR")]
    init: Option<String>,
    /// Frames that are given [default: 10; of walkers 8]
    #[arg(long, value_name = "FRAMES", help_heading = "Windows")]
    frames_in: Option<usize>,
    /// Frames that are given behind the made ones, too: the model fills gaps [default: 0]
    #[arg(long, value_name = "FRAMES", help_heading = "Windows")]
    frames_behind: Option<usize>,
    /// Frames that are made [default: 20; of walkers 12]
    #[arg(long, value_name = "FRAMES", help_heading = "Windows")]
    frames_out: Option<usize>,
    /// Look only at every so many frames [default: 1]
    #[arg(long, value_name = "FRAMES", help_heading = "Windows")]
    every: Option<usize>,
    /// Windows of each run of a file at most, at even spacing [default: 5000]
    #[arg(long, help_heading = "Windows")]
    windows: Option<usize>,
    /// Windows of each run of a file to validate with at most, 0: none [default: 256]
    #[arg(long, value_name = "WINDOWS", help_heading = "Validation")]
    validation_windows: Option<usize>,
    /// Simulated runs to validate with, 0: none [default: 256]
    #[arg(long, value_name = "RUNS", help_heading = "Validation")]
    validation_runs: Option<u64>,
    /// Of walkers: where each recording's validation part begins, as the splits.json of ETH and UCY [default: the last fifth]
    #[arg(long, value_name = "FILE.json", help_heading = "Validation")]
    splits: Option<PathBuf>,
    /// Held-out windows that are forecast at most [default: 50]
    #[arg(long, value_name = "WINDOWS", help_heading = "Samples during training")]
    sample_windows: Option<usize>,
    /// Which pairs of a molecule's atoms have an edge [default: near]
    #[arg(long, value_enum, help_heading = "Model")]
    edges: Option<Edges>,
    /// What is told of a molecule's atoms [default: charge]
    #[arg(long, value_enum, value_name = "FEATURES", help_heading = "Model")]
    atom_features: Option<AtomFeatures>,
    /// Walkers of a system at most: the predicted one and its nearest neighbours [default: 1]
    #[arg(long, help_heading = "Model")]
    walkers: Option<usize>,
    /// What the diffusion ends in [default: extrapolated; published learned]
    #[arg(long, value_enum, help_heading = "Model")]
    prior: Option<Prior>,
    /// Learn only the mean of what follows: a forecaster without noise, drawn by one step (`generate trajectories --sampler
    /// dpm-solver++ --steps 1`)
    #[arg(long, help_heading = "Model")]
    regression: bool,
    /// What joins the frames of an atom [default: attention]
    #[arg(long, value_enum, help_heading = "Model")]
    temporal: Option<Temporal>,
    /// Layers of the network [default: 4; published 6]
    #[arg(long, help_heading = "Model")]
    layers: Option<usize>,
    /// Layers of the network of a learned prior [default: 2]
    #[arg(long, value_name = "LAYERS", help_heading = "Model")]
    prior_layers: Option<usize>,
    /// Width of the network [default: 64; published 128]
    #[arg(long, value_name = "WIDTH", help_heading = "Model")]
    hidden: Option<usize>,
    /// Noise levels of the diffusion [default: 100]
    #[arg(long, value_name = "LEVELS", help_heading = "Model")]
    noise_levels: Option<usize>,
    /// How the noise grows [default: linear]
    #[arg(long, value_enum, value_name = "NAME", help_heading = "Model")]
    noise_schedule: Option<NoiseSchedule>,
    #[command(flatten)]
    settings: LoopFlags,
    /// Print a summary as JSON on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Edges {
    /// Those at most three bonds apart
    Near,
    /// All
    All,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AtomFeatures {
    /// Its charge, as published
    Charge,
    /// Its surroundings, too: atoms are told apart from the first layer on
    Environment,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Prior {
    /// Noise around a reference that a network makes of the given frames
    Learned,
    /// Noise around the mean of the given frames
    CentreOfMass,
    /// Noise around 0; no frames are given
    Unconditional,
    /// The same in the measure of the data's spread, shown the best linear guess: learns faster
    Standardised,
    /// Noise around the linear forecast of each node, as large as its error
    Extrapolated,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Temporal {
    /// An attention after each spatial layer
    Attention,
    /// Nothing: each frame alone from its linear forecast. With --regression the baseline EGNN of published comparisons
    None,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum NoiseSchedule {
    /// As published
    Linear,
    /// The squared cosine of Nichol and Dhariwal
    Cosine,
}

pub(super) fn run(args: &TrainTrajectoriesArgs) -> CliResult {
    let preset = args.preset.as_deref();
    let mut over = Vec::new();
    if let Some(path) = &args.config {
        let file = ConfigFile::read(path)?;
        file.check(&|over| TrajectorySettings::merge(preset, over).map(drop))?;
        over.push(file.table);
    }
    over.push(flags(args));
    let mut settings = TrajectorySettings::merge(preset, &over)?;
    if !over.iter().any(|table| table.get("engine").is_some()) {
        settings.engine = EngineKind::for_device(settings.device);
    }
    let request = TrajectoryTrainRequest {
        source: args.source.over(TrajectorySource::default()),
        output: args.output.clone(),
        resume: args.resume,
        init: args.init.clone(),
        settings,
    };
    let stop = signal::stop();
    let mut watcher = TrajectoryWatcher::new(&request);
    let summary = train_trajectories(&request, &mut watcher, &|| stop.asked());
    conclude(&watcher.display, summary, &request.output, request.settings.epochs, args.json)
}

/// The settings that were given as flags, under their names in the configuration.
fn flags(args: &TrainTrajectoriesArgs) -> Value {
    let mut table = args.settings.table();
    macro_rules! given {
        ($($name:literal: $flag:ident),* $(,)?) => {
            $(insert(&mut table, $name, args.$flag.as_ref().map(|value| json!(value)));)*
        };
    }
    given! {
        "frames_in": frames_in, "frames_behind": frames_behind, "frames_out": frames_out, "every": every, "windows": windows,
        "validation.windows": validation_windows, "validation.runs": validation_runs, "validation.splits": splits,
        "walkers": walkers, "layers": layers, "prior_layers": prior_layers, "hidden": hidden,
        "noise_levels": noise_levels, "sampling.windows": sample_windows,
    }
    insert(&mut table, "edges", args.edges.map(named));
    insert(&mut table, "atom_features", args.atom_features.map(named));
    insert(&mut table, "prior", args.prior.map(named));
    insert(&mut table, "regression", args.regression.then_some(Value::Bool(true)));
    insert(&mut table, "temporal", args.temporal.map(named));
    insert(&mut table, "noise_schedule", args.noise_schedule.map(named));
    table.into()
}
