//! `equidrift train molecules`

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, Subcommand, ValueEnum};
use equidrift::training::{
    MoleculeSet, PRESETS, TrainRequest, TrainSummary, TrainingSettings, TrainingWatcher, train_molecules,
};
use equidrift_backend::atomic::write_atomically;
use equidrift_backend::device::DeviceKind;
use equidrift_gdss::EngineKind;
use equidrift_train::{EpochReport, StepReport};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::exit::{CliResult, Exit, Failure};
use crate::weights::Weights;
use crate::{progress, signal, stdout};

/// Bad lines shown one by one before they are only counted.
const SHOWN_LINES: usize = 10;

/// Fit a model to data
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A GDSS model of molecules, from a SMILES file
    Molecules(Box<TrainMoleculesArgs>),
}

/// A GDSS model of molecules, from a SMILES file
///
/// Trains both score networks by denoising score matching. The output folder is a model folder (use it with `generate
/// molecules --model DIR`, also while the training goes on) and holds log.jsonl (losses per epoch), training.toml (the
/// settings in force) and checkpoints/. A run that was interrupted or killed goes on with --resume and ends with the
/// same weights as one that was not.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  equidrift train molecules --data qm9.smi --test-rows qm9_test_idx.txt --preset qm9 -o qm9-model
  equidrift train molecules --data qm9.smi --test-rows qm9_test_idx.txt --preset qm9 -o qm9-model --resume
  equidrift train molecules --data qm9.eds --split gdss --preset qm9 -o qm9-model
  equidrift train molecules --data mine.smi.gz --atoms C,N,O,S --on-unknown-atom skip --epochs 100 -o mine
  equidrift generate molecules --model qm9-model --num 1000 -o molecules.smi

A configuration file (TOML) has the same names as training.toml; it wins over the preset, and flags win over it.")]
pub(crate) struct TrainMoleculesArgs {
    /// SMILES file, one molecule a line, may be gzipped; or a prepared data set (see `datasets prepare`)
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Folder of the run and of the model
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Rows of the data that are not trained on: 0-based line numbers, one a line
    #[arg(long, value_name = "FILE")]
    test_rows: Option<PathBuf>,
    /// The part of a prepared data set that is trained on: a scheme, whose part `train` is meant, or SCHEME:PART
    #[arg(long, value_name = "SCHEME", conflicts_with = "test_rows")]
    split: Option<String>,
    /// Published settings to start from [default: those of qm9, with the elements found in the data]
    #[arg(long, value_name = "NAME", value_parser = PRESETS)]
    preset: Option<String>,
    /// Settings in TOML; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Continue the run in the output folder
    #[arg(long)]
    resume: bool,
    /// Name of the model
    #[arg(long)]
    name: Option<String>,
    /// Passes over the data [default: 300]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    epochs: Option<u64>,
    /// Molecules per step [default: 1024]
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Learning rate of the first epoch [default: 0.005]
    #[arg(long)]
    lr: Option<f64>,
    /// Factor on the learning rate after each epoch [default: 0.999]
    #[arg(long)]
    lr_decay: Option<f64>,
    /// Weight decay [default: 0.0001]
    #[arg(long)]
    weight_decay: Option<f64>,
    /// Largest gradient norm of each network [default: 1]
    #[arg(long)]
    clip_norm: Option<f64>,
    /// Decay of the moving average of the weights [default: 0.999]
    #[arg(long)]
    ema: Option<f64>,
    /// Seed of weights, order, times and noise [default: 42]
    #[arg(short, long, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
    /// Elements of the node features, in order, e.g. C,N,O,F; `detect` takes those of the data
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    atoms: Option<Vec<String>>,
    /// What to do with lines that are no molecule [default: skip]
    #[arg(long, value_enum)]
    on_bad_line: Option<Unusable>,
    /// What to do with molecules that have another element [default: fail]
    #[arg(long, value_enum)]
    on_unknown_atom: Option<Unusable>,
    /// What computes the gradients [default: fused on the cpu, burn elsewhere]
    #[arg(long, value_name = "fused|burn")]
    engine: Option<EngineKind>,
    /// Device: cpu, tch, cuda[:i], wgpu[:i] (as compiled in) [default: cpu]
    #[arg(long)]
    device: Option<DeviceKind>,
    /// Threads; change speed, never a weight [default: one per processor]
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// Keep a checkpoint and write the model every this many epochs, 0: only at the end [default: 10]
    #[arg(long, value_name = "EPOCHS")]
    checkpoint_every: Option<u64>,
    /// Which weights the model gets [default: raw]
    #[arg(long, value_enum)]
    weights: Option<Weights>,
    /// Print a summary as JSON on standard output
    #[arg(long)]
    json: bool,
}

/// What to do with a line that cannot be used.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Unusable {
    /// Leave it out and count it
    Skip,
    /// End with an error
    Fail,
}

pub(crate) fn run(args: &TrainArgs) -> CliResult {
    match &args.what {
        What::Molecules(args) => molecules(args),
    }
}

fn molecules(args: &TrainMoleculesArgs) -> CliResult {
    let mut over = Vec::new();
    if let Some(path) = &args.config {
        over.push(read_config(path)?);
    }
    over.push(flags(args));
    let mut settings = TrainingSettings::merge(args.preset.as_deref(), &over)?;
    let engine_given = over.iter().any(|table| table.get("engine").is_some());
    if !engine_given {
        settings.engine = EngineKind::for_device(settings.device);
    }
    let request = TrainRequest {
        data: args.data.clone(),
        output: args.output.clone(),
        test_rows: args.test_rows.clone(),
        split: args.split.clone(),
        resume: args.resume,
        settings,
    };
    let stop = signal::stop();
    let mut watcher = Watcher::new(&request);
    let summary = train_molecules(&request, &mut watcher, &|| stop.asked());
    watcher.bar.finish_and_clear();
    let summary = summary?;
    report(args, &request, &watcher, &summary)
}

/// The settings that were given as flags, under their names in the configuration.
fn flags(args: &TrainMoleculesArgs) -> Value {
    let lower = |text: String| text.to_lowercase();
    let atoms = args.atoms.as_ref().map(|atoms| match atoms.as_slice() {
        [one] if one == "detect" => json!([]),
        list => json!(list.iter().map(|symbol| symbol.trim()).collect::<Vec<_>>()),
    });
    let entries = [
        ("name", args.name.as_ref().map(|v| json!(v))),
        ("epochs", args.epochs.map(|v| json!(v))),
        ("batch", args.batch.map(|v| json!(v))),
        ("learning_rate", args.lr.map(|v| json!(v))),
        ("learning_rate_decay", args.lr_decay.map(|v| json!(v))),
        ("weight_decay", args.weight_decay.map(|v| json!(v))),
        ("clip_norm", args.clip_norm.map(|v| json!(v))),
        ("average_decay", args.ema.map(|v| json!(v))),
        ("seed", args.seed.map(|v| json!(v))),
        ("atoms", atoms),
        ("on_bad_line", args.on_bad_line.map(|v| json!(lower(format!("{v:?}"))))),
        ("on_unknown_atom", args.on_unknown_atom.map(|v| json!(lower(format!("{v:?}"))))),
        ("engine", args.engine.map(|v| json!(v))),
        ("device", args.device.map(|v| json!(v))),
        ("threads", args.threads.map(|v| json!(v))),
        ("checkpoint_every", args.checkpoint_every.map(|v| json!(v))),
        ("weights", args.weights.map(|v| json!(lower(format!("{v:?}"))))),
    ];
    entries
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn read_config(path: &Path) -> Result<Value, Failure> {
    let named = |error: &dyn std::fmt::Display| {
        Failure::message(Exit::BadInput, format_args!("{}: {error}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| named(&error))?;
    let mut value = serde_json::to_value(table).map_err(|error| named(&error))?;
    // A training.toml of an earlier run may be used as it is: what was found in its data is no setting.
    if let Some(table) = value.as_object_mut() {
        table.remove("data");
    }
    Ok(value)
}

/// Shows what happens on standard error, and records the settings.
struct Watcher<'a> {
    request: &'a TrainRequest,
    bar: ProgressBar,
    terminal: bool,
    started: Instant,
    epochs_before: u64,
    last: Option<EpochReport>,
}

impl<'a> Watcher<'a> {
    fn new(request: &'a TrainRequest) -> Self {
        progress::note(&format!("reading {}", request.data.display()));
        Self {
            request,
            bar: ProgressBar::hidden(),
            terminal: std::io::stderr().is_terminal(),
            started: Instant::now(),
            epochs_before: 0,
            last: None,
        }
    }

    /// Writes `training.toml`: the settings in force and what was found in the data.
    fn record(&self, data: &MoleculeSet) -> Result<(), equidrift::Error> {
        let path = self.request.output.join("training.toml");
        let write = |source| equidrift::Error::Write { path: path.clone(), source };
        let settings =
            toml::to_string(&self.request.settings).map_err(|error| write(std::io::Error::other(error)))?;
        let mut found = toml::Table::new();
        let mut insert = |key: &str, value: toml::Value| found.insert(key.to_owned(), value);
        insert("file", self.request.data.display().to_string().into());
        if let Some(rows) = &self.request.test_rows {
            insert("test_rows_file", rows.display().to_string().into());
        }
        if let Some(split) = &self.request.split {
            insert("split", split.clone().into());
        }
        insert("sha256", data.sha256.clone().into());
        insert("molecules_read", count(data.molecules));
        insert("molecules_trained_on", count(data.graphs.len() as u64));
        insert("test_rows", count(data.test_rows));
        insert("bad_lines", count(data.bad_lines.len() as u64));
        insert("unknown_atoms", count(data.unknown_atoms));
        insert(
            "vocabulary",
            data.vocabulary.iter().map(|e| e.symbol().to_owned()).collect::<Vec<_>>().into(),
        );
        insert("max_nodes", count(data.graphs.nodes() as u64));
        let found = toml::to_string(&toml::Table::from_iter([("data".to_owned(), found.into())]))
            .map_err(|error| write(std::io::Error::other(error)))?;
        write_atomically(&path, |file| write!(file, "{settings}\n{found}")).map_err(write)
    }
}

fn count(number: u64) -> toml::Value {
    toml::Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

impl TrainingWatcher for Watcher<'_> {
    fn begin(&mut self, data: &MoleculeSet, epochs: u64) -> Result<(), equidrift::Error> {
        for bad in data.bad_lines.iter().take(SHOWN_LINES) {
            progress::note(&format!("{}:{}: {}", self.request.data.display(), bad.line, bad.reason));
        }
        if data.bad_lines.len() > SHOWN_LINES {
            progress::note(&format!("... and {} more bad lines", data.bad_lines.len() - SHOWN_LINES));
        }
        let symbols: Vec<_> = data.vocabulary.iter().map(|element| element.symbol()).collect();
        progress::note(&format!(
            "training on {} of {} molecules ({} test rows, {} with other atoms, {} bad lines left out), atoms {}, at \
             most {} heavy atoms",
            data.graphs.len(),
            data.molecules,
            data.test_rows,
            data.unknown_atoms,
            data.bad_lines.len(),
            symbols.join(" "),
            data.graphs.nodes()
        ));
        if epochs > 0 {
            progress::note(&format!("continuing after epoch {epochs}"));
        }
        self.record(data)?;
        let settings = &self.request.settings;
        let steps = data.graphs.len().div_ceil(settings.batch) as u64;
        self.bar = progress::bar(settings.epochs * steps, "steps");
        self.bar.set_position(epochs * steps);
        self.bar.reset_eta();
        self.started = Instant::now();
        self.epochs_before = epochs;
        Ok(())
    }

    fn step(&mut self, report: &StepReport) {
        self.bar.set_position((report.epoch - 1) * report.steps_per_epoch + report.step);
        if let [x, adj] = report.losses[..] {
            self.bar.set_message(format!("| epoch {}, losses {x:.3} {adj:.3}", report.epoch));
        }
    }

    fn epoch(&mut self, report: &EpochReport) {
        if !self.terminal {
            let epochs = self.request.settings.epochs;
            let per_epoch =
                self.started.elapsed().as_secs_f64() / (report.epoch - self.epochs_before).max(1) as f64;
            let left = per_epoch * (epochs - report.epoch) as f64;
            let losses: Vec<String> =
                report.losses.iter().map(|(name, loss)| format!("{name} {loss:.4}")).collect();
            progress::note(&format!(
                "epoch {}/{epochs}: losses {}, {:.1} s, {:.0} min left",
                report.epoch,
                losses.join(", "),
                report.seconds,
                left / 60.0
            ));
        }
        self.last = Some(report.clone());
    }
}

/// Says how it ended.
fn report(
    args: &TrainMoleculesArgs,
    request: &TrainRequest,
    watcher: &Watcher<'_>,
    summary: &TrainSummary,
) -> CliResult {
    let exit = if summary.finished { Exit::Ok } else { Exit::Interrupted };
    let (epochs, all) = (summary.epochs, request.settings.epochs);
    if summary.finished {
        progress::note(&format!("{}: {epochs} epochs done", request.output.display()));
    } else {
        progress::note(&format!(
            "{}: stopped after {epochs} of {all} epochs; continue with --resume",
            request.output.display()
        ));
    }
    if args.json {
        stdout::json(&json!({
            "output": request.output,
            "finished": summary.finished,
            "epochs": epochs,
            "last_epoch": watcher.last,
        }))?;
    }
    Ok(exit)
}
