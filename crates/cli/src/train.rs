//! `equidrift train ...`

use std::path::Path;

use clap::{Args, Subcommand};
use equidrift::training::{TrainRequest, TrainSummary, TrainingSettings, TrainingWatcher};
use serde_json::{Value, json};

use crate::exit::{CliResult, Exit, Failure};
use crate::{progress, signal, stdout};
use config_file::ConfigFile;
use display::Display;
use watcher::Watcher;

mod config_file;
mod display;
mod flags;
mod graphs;
mod loss_curve;
mod molecules;
mod plot;
mod trajectories;
mod trajectory_watcher;
mod watcher;

/// Fit a model to data
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Molecules(Box<molecules::TrainMoleculesArgs>),
    Graphs(Box<graphs::TrainGraphsArgs>),
    Trajectories(Box<trajectories::TrainTrajectoriesArgs>),
    Plot(plot::PlotArgs),
}

pub(crate) fn run(args: &TrainArgs) -> CliResult {
    match &args.what {
        What::Molecules(args) => molecules::run(args),
        What::Graphs(args) => graphs::run(args),
        What::Trajectories(args) => trajectories::run(args),
        What::Plot(args) => plot::run(args),
    }
}

/// Lays tables of settings over a preset.
type Merge = fn(Option<&str>, &[Value]) -> Result<TrainingSettings, equidrift::Error>;

/// Trains.
type Train = fn(
    &TrainRequest,
    &mut dyn TrainingWatcher,
    &(dyn Fn() -> bool + Sync),
) -> Result<TrainSummary, equidrift::Error>;

/// The preset with the configuration file and the flags over it.
fn settings(
    merge: Merge,
    preset: Option<&str>,
    config: Option<&Path>,
    flags: Value,
) -> Result<TrainingSettings, Failure> {
    let mut over = Vec::new();
    if let Some(path) = config {
        let file = ConfigFile::read(path)?;
        file.check(&|over| merge(preset, over).map(drop))?;
        over.push(file.table);
    }
    over.push(flags);
    let mut settings = merge(preset, &over)?;
    let engine_given = over.iter().any(|table| table.get("engine").is_some());
    if !engine_given {
        settings.engine = settings.usual_engine();
    }
    Ok(settings)
}

/// Trains and says how it ended.
fn fit(request: &TrainRequest, json: bool, train: Train) -> CliResult {
    let stop = signal::stop();
    let mut watcher = Watcher::new(request);
    let summary = train(request, &mut watcher, &|| stop.asked());
    conclude(&watcher.display, summary, &request.output, request.settings.epochs, json)
}

/// Says how a run ended.
fn conclude(
    display: &Display,
    summary: Result<TrainSummary, equidrift::Error>,
    output: &Path,
    all: u64,
    json: bool,
) -> CliResult {
    display.clear();
    let summary = summary?;
    display.draw()?;
    let exit = if summary.finished { Exit::Ok } else { Exit::Interrupted };
    let (folder, epochs) = (output.display(), summary.epochs);
    if summary.converged {
        let best = summary.best_epoch.unwrap_or(epochs);
        progress::note(&format!(
            "{folder}: stopped early after {epochs} of {all} epochs; the validation loss was best in epoch {best}"
        ));
    } else if summary.finished {
        progress::note(&format!("{folder}: {epochs} epochs done"));
    } else {
        progress::note(&format!("{folder}: stopped after {epochs} of {all} epochs; continue with --resume"));
    }
    if json {
        stdout::json(&json!({
            "output": output,
            "finished": summary.finished,
            "stopped_early": summary.converged,
            "epochs": epochs,
            "best_epoch": summary.best_epoch,
            "last_epoch": display.last(),
        }))?;
    }
    Ok(exit)
}
