//! `equidrift generate molecules`

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use equidrift::{Destination, GenerateRequest, Job, Shard, Summary};
use equidrift_backend::device::DeviceKind;
use equidrift_gdss::EngineKind;
use equidrift_molecule::{Correction, Format};
use equidrift_sampler::SamplerConfig;
use equidrift_sampler::plan::AdaptiveConfig;

use crate::exit::{CliResult, Exit, Failure};
use crate::{json_file, progress, signal};

/// Draw new samples from a trained model
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Molecules(Box<MoleculesArgs>),
}

/// Molecules, as SMILES, SDF or JSON lines
///
/// Samples are written as they come, in the order of their ids. Sample k of a seed is the same whatever the batch size,
/// the number of threads, the shard, or where a run was resumed. With -o, results grow in FILE.partial with
/// FILE.manifest.json beside it, and FILE appears when they are complete. One record is written per sample; a
/// sample without a valid molecule is a blank line in SMILES files.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  equidrift generate molecules --num 1000 --seed 7 -o molecules.smi
  equidrift generate molecules --num 20 | head -3
  equidrift generate molecules --num 1000 --sampler dpm-solver++ --steps 20 -o fast.sdf
  equidrift generate molecules --num 1000 --sampler dormand-prince --tolerance 1e-3 -o adaptive.smi
  equidrift generate molecules --num 1000 --plan searched.json -o fast.smi
  equidrift generate molecules --num 1000000 --shard 3/8 -o part3.jsonl --resume
  equidrift generate molecules --model my-model/ --config run.toml --json -o x.smi 2> summary.json

A configuration file (TOML, or JSON with suffix .json) has the fields num, seed, model, sampler, steps, adaptive,
plan, match_prior, snr, scale_eps, correction, shard, engine, device, batch, threads; flags win over it.")]
struct MoleculesArgs {
    /// How many samples to draw, over all shards [default: 100]
    #[arg(short, long, value_parser = clap::value_parser!(u64).range(1..))]
    num: Option<u64>,
    /// Seed of the run [default: 0]
    #[arg(short, long)]
    seed: Option<u64>,
    /// Output file; its suffix names the format: .smi, .sdf, .jsonl. Without it, results go to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Format, where no file name tells it [default: smi]
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    /// Embedded model or model folder [default: qm9-gdss]
    #[arg(short, long, value_name = "NAME|DIR")]
    model: Option<String>,
    /// Sampler, see `equidrift samplers list` [default: the model's]
    #[arg(long, value_name = "NAME")]
    sampler: Option<String>,
    /// Statistics of the model for dpm-solver-v3, as `samplers statistics` measures them
    #[arg(long, value_name = "FILE.json", requires = "sampler")]
    statistics: Option<PathBuf>,
    /// Relative and absolute tolerance of an adaptive sampler [default: the sampler's]
    #[arg(long, requires = "sampler", conflicts_with = "steps")]
    tolerance: Option<f64>,
    /// Steps of the sampler [default: the model's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    steps: Option<u32>,
    /// A compiled plan (JSON) in place of a sampler, as `samplers show --json` and `samplers search` write it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sampler", "steps", "snr", "scale_eps", "match_prior", "tolerance"])]
    plan: Option<PathBuf>,
    /// Start from a prior with the mean and variance of the noised training data; helps samplers of few steps where the
    /// model's path does not end in its prior
    #[arg(long)]
    match_prior: bool,
    /// Signal-to-noise ratio of the Langevin corrector [default: the model's]
    #[arg(long)]
    snr: Option<f64>,
    /// Scale of the Langevin corrector's noise [default: the model's]
    #[arg(long)]
    scale_eps: Option<f64>,
    /// Samples per batch at most; changes speed and memory, never a sample [default: 128]
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(1..))]
    batch: Option<u32>,
    /// Worker threads; changes speed, never a sample [default: one per processor]
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// Device: cpu, tch, cuda[:i], wgpu[:i] (as compiled in) [default: cpu]
    #[arg(long)]
    device: Option<DeviceKind>,
    /// What evaluates the networks [default: the fastest on the device]
    #[arg(long, value_name = "fused|burn")]
    engine: Option<EngineKind>,
    /// Do only part i of n (counted from 0); `equidrift merge` joins the parts
    #[arg(long, value_name = "i/n")]
    shard: Option<Shard>,
    /// Continue an unfinished output of the same run; starts it where there is none
    #[arg(long, requires = "output")]
    resume: bool,
    /// Leave molecules over a valence limit as they are; they have no SMILES
    #[arg(long)]
    no_repair: bool,
    /// Training set (SMILES, .smi or .smi.gz), to report novelty
    #[arg(long, value_name = "FILE")]
    train: Option<PathBuf>,
    /// Request as a file; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Summary as JSON (on standard error, where nothing else is printed then)
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatName {
    Smi,
    Sdf,
    Jsonl,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Smi => Self::Smi,
            FormatName::Sdf => Self::Sdf,
            FormatName::Jsonl => Self::Jsonl,
        }
    }
}

pub(crate) fn run(args: &GenerateArgs) -> CliResult {
    let What::Molecules(args) = &args.what;
    molecules(args)
}

fn molecules(args: &MoleculesArgs) -> CliResult {
    let request = request(args)?;
    let format = format(args)?;
    let stop = signal::stop();
    let ids = request.ids();
    let bar =
        if args.json { indicatif::ProgressBar::hidden() } else { progress::samples(ids.end - ids.start) };
    let stdout = io::stdout();
    let mut stream;
    let destination = match &args.output {
        Some(path) if is_replaceable(path) => {
            if !args.resume && Path::new(&equidrift::Manifest::partial_for(path)).exists() {
                progress::note(&format!(
                    "note: overwriting the unfinished {}; --resume would continue it",
                    equidrift::Manifest::partial_for(path).display()
                ));
            }
            Destination::File { path, resume: args.resume }
        }
        // A device or a pipe: it cannot be replaced by a finished file, so it is a stream.
        Some(path) => {
            stream = Box::new(std::fs::OpenOptions::new().write(true).open(path).map_err(|error| {
                Failure::message(Exit::Failure, format_args!("cannot write {}: {error}", path.display()))
            })?) as Box<dyn Write + '_>;
            Destination::Stream(&mut *stream)
        }
        None => {
            stream = Box::new(stdout.lock()) as Box<dyn Write + '_>;
            Destination::Stream(&mut *stream)
        }
    };
    let job = Job {
        request: &request,
        format,
        destination,
        training_set: args.train.as_deref(),
        stop,
        progress: &|done| progress::show(&bar, done),
    };
    let result = equidrift::generate(job);
    bar.finish_and_clear();
    let summary = result?;
    report(&summary, args.json);
    if !summary.complete {
        return Ok(Exit::Interrupted);
    }
    Ok(if summary.valid < summary.requested { Exit::TooFewValid } else { Exit::Ok })
}

/// The configuration file under the flags.
fn request(args: &MoleculesArgs) -> Result<GenerateRequest, Failure> {
    let mut request = match &args.config {
        Some(path) => read_config(path)?,
        None => GenerateRequest::default(),
    };
    fn set<T>(field: &mut T, flag: Option<T>) {
        if let Some(value) = flag {
            *field = value;
        }
    }
    set(&mut request.num, args.num);
    set(&mut request.seed, args.seed);
    set(&mut request.model, args.model.clone());
    if let Some(sampler) = args.sampler.as_deref().and_then(|name| AdaptiveConfig::by_name(name).ok()) {
        request.adaptive = Some(match args.tolerance {
            Some(tolerance) => sampler.with_tolerance(tolerance),
            None => {
                request.adaptive.filter(|given| given.info().name == sampler.info().name).unwrap_or(sampler)
            }
        });
        (request.sampler, request.steps, request.plan) = (None, None, None);
        (request.snr, request.scale_eps) = (None, None);
    } else if let Some(name) = &args.sampler {
        request.adaptive = None;
        // Options of the file for the same sampler stay; those of another make no sense here.
        if request.sampler.as_ref().is_none_or(|sampler| sampler.name() != name) {
            let sampler = SamplerConfig::by_name(name).map_err(|error| Failure::new(Exit::Usage, error))?;
            request.sampler = Some(sampler);
        }
    }
    request.steps = args.steps.map(|steps| steps as usize).or(request.steps);
    if let Some(path) = &args.plan {
        (request.plan, request.sampler, request.steps) = (Some(json_file::read(path)?), None, None);
        request.adaptive = None;
        (request.snr, request.scale_eps, request.match_prior) = (None, None, false);
    } else if args.sampler.is_some() || args.steps.is_some() {
        request.plan = None;
    }
    request.snr = args.snr.or(request.snr);
    request.scale_eps = args.scale_eps.or(request.scale_eps);
    request.match_prior |= args.match_prior;
    set(&mut request.batch, args.batch.map(|batch| batch as usize));
    set(&mut request.threads, args.threads.map(|threads| threads as usize));
    set(&mut request.device, args.device);
    request.engine = args.engine.or(request.engine);
    set(&mut request.shard, args.shard);
    if args.no_repair {
        request.correction = Correction::None;
    }
    if let Some(path) = &args.statistics {
        let Some(SamplerConfig::DpmSolverV3(sampler)) = &mut request.sampler else {
            return Err(Failure::message(Exit::Usage, "--statistics: only dpm-solver-v3 has a use for them"));
        };
        sampler.statistics = Some(json_file::read(path)?);
    }
    if args.tolerance.is_some() && request.adaptive.is_none() {
        return Err(Failure::message(Exit::Usage, "--tolerance: only adaptive samplers have one"));
    }
    request.check()?;
    Ok(request)
}

fn read_config(path: &Path) -> Result<GenerateRequest, Failure> {
    if path.extension().is_some_and(|suffix| suffix == "json") {
        return json_file::read(path);
    }
    let bad = |reason: &dyn std::fmt::Display| {
        Failure::message(Exit::BadInput, format_args!("{}: {reason}", path.display()))
    };
    let text = std::fs::read_to_string(path).map_err(|error| bad(&error))?;
    toml::from_str(&text).map_err(|error| bad(&error))
}

fn format(args: &MoleculesArgs) -> Result<Format, Failure> {
    let named = args.format.map(Format::from);
    let Some(path) = &args.output else { return Ok(named.unwrap_or(Format::Smi)) };
    match (Format::of_path(path), named) {
        (Ok(suffix), Some(named)) if suffix != named => Err(Failure::message(
            Exit::Usage,
            format_args!("{} has the suffix of another format than --format asks for", path.display()),
        )),
        (Ok(suffix), _) => Ok(suffix),
        (Err(_), Some(named)) => Ok(named),
        // A device has no suffix to go by.
        (Err(_), None) if !is_replaceable(path) => Ok(Format::Smi),
        (Err(error), None) => Err(Failure::new(Exit::Usage, error)),
    }
}

/// Whether a finished file may take this place: there is none yet, or an ordinary one.
fn is_replaceable(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |file| file.is_file() || file.is_dir())
}

fn report(summary: &Summary, json: bool) {
    if json {
        if let Ok(text) = serde_json::to_string_pretty(summary) {
            progress::note(&text);
        }
        return;
    }
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let line = |label: &str, value: String| format!("{label:<20} {value}");
    let mut lines = vec![
        line("model", format!("{} ({} on {})", summary.model, summary.engine, summary.device)),
        line(
            "sampler",
            match summary.steps {
                0 => format!(
                    "{}, adaptive, {} network evaluations (NFE) per sample on average",
                    summary.sampler, summary.evaluations_per_sample
                ),
                steps => format!(
                    "{}, {steps} steps, {} network evaluations (NFE) per sample",
                    summary.sampler, summary.evaluations_per_sample
                ),
            },
        ),
        line("samples", format!("{} of {}", summary.samples, summary.requested)),
        line("valid before repair", percent(summary.validity_before_repair)),
        line("valid", percent(summary.validity)),
        line("unique", percent(summary.uniqueness)),
    ];
    if let Some(novelty) = summary.novelty {
        lines.push(line("novel", percent(novelty)));
    }
    let connected = percent(summary.connectedness);
    lines.push(line("connected", format!("{connected} (before keeping the largest fragment)")));
    if !summary.diverged.is_empty() {
        let ids: Vec<String> = summary.diverged.iter().take(10).map(|d| d.id.to_string()).collect();
        let more = if summary.diverged.len() > 10 { ", ..." } else { "" };
        lines.push(line("diverged", format!("{}: ids {}{more}", summary.diverged.len(), ids.join(", "))));
    }
    let speed = format!(
        "{:.2} molecules/s ({} in {:.1} s)",
        summary.molecules_per_second, summary.samples_this_run, summary.seconds
    );
    lines.push(line("speed", speed));
    if let Some(output) = &summary.output {
        lines.push(line("output", output.clone()));
    }
    if !summary.complete {
        lines.push("interrupted; run the same command with --resume to continue".to_owned());
    }
    progress::note(&lines.join("\n"));
}
