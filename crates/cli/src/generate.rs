//! `equidrift generate molecules|graphs|trajectories`: what all have in common.

mod graphs;
mod molecules;
mod trajectories;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use equidrift::{Destination, GenerateRequest, Manifest, RunSummary, Shard};
use equidrift_backend::device::DeviceKind;
use equidrift_gdss::EngineKind;
use equidrift_pard::{StepGrid, Temperature};
use equidrift_sampler::SamplerConfig;
use equidrift_sampler::plan::{AdaptiveConfig, Plan};
use indicatif::ProgressBar;

use crate::exit::{CliResult, Exit, Failure};
use crate::sampler_argument::sampler;
use crate::{json_file, progress};

/// Draw new samples from a trained model
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Molecules(Box<molecules::MoleculesArgs>),
    Graphs(Box<graphs::GraphsArgs>),
    Trajectories(Box<trajectories::TrajectoriesArgs>),
}

pub(crate) fn run(args: &GenerateArgs) -> CliResult {
    match &args.what {
        What::Molecules(args) => molecules::run(args),
        What::Graphs(args) => graphs::run(args),
        What::Trajectories(args) => trajectories::run(args),
    }
}

/// What a run of any kind can be told.
#[derive(Debug, Args)]
struct RunArgs {
    /// How many samples to draw, over all shards [default: 100]
    #[arg(short, long, value_parser = clap::value_parser!(u64).range(1..))]
    num: Option<u64>,
    /// Seed of the run [default: 0]
    #[arg(short, long)]
    seed: Option<u64>,
    /// Sampler, see `equidrift samplers list`, by its name or with its options as JSON; of models of family pard `ancestral`,
    /// block by block [default: the model's]
    #[arg(long, value_name = "NAME|JSON")]
    sampler: Option<String>,
    /// Statistics of the model for dpm-solver-v3, as `samplers statistics` measures them
    #[arg(long, value_name = "FILE.json", requires = "sampler")]
    statistics: Option<PathBuf>,
    /// Relative and absolute tolerance of an adaptive sampler [default: the sampler's]
    #[arg(long, requires = "sampler", conflicts_with = "steps")]
    tolerance: Option<f64>,
    /// Steps of the sampler; of models of family pard network calls per block [default: the model's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    steps: Option<u32>,
    /// Models of family pard: where the steps lie, `uniform` or `polynomial:P`; above P = 1 they become smaller towards the data
    /// [default: the model's]
    #[arg(long, value_name = "uniform|polynomial:P")]
    grid: Option<StepGrid>,
    /// Models of family pard: each step goes too far by so many of its own lengths and is noised back, so that wrong classes are
    /// drawn again; costs nothing [default: the model's]
    #[arg(long, value_name = "LENGTHS", allow_negative_numbers = true)]
    churn: Option<f64>,
    /// Models of family pard: what the logits are divided by; above 1 for more diverse samples, below for fewer kinds. Two numbers,
    /// such as 1.3:0.9, for a line from the noise to the data [default: the model's]
    #[arg(long, value_name = "NUMBER|NOISE:DATA", allow_negative_numbers = true)]
    temperature: Option<Temperature>,
    /// A compiled plan in place of a sampler: an embedded one, such as qm9-gdss-20 (20 network calls), or a file as `samplers show
    /// --json` and `samplers search` write it
    #[arg(long, value_name = "NAME|FILE.json", conflicts_with_all = ["sampler", "steps", "grid", "churn", "temperature", "snr", "scale_eps", "match_prior", "tolerance"])]
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
    /// Memory that the batches of a model of family pard may use together, in MiB; a graph that needs more is refused [default:
    /// three quarters of what is free]
    #[arg(long, value_name = "MiB", value_parser = clap::value_parser!(u32).range(1..))]
    max_memory: Option<u32>,
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
    /// Request as a file; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Summary as JSON (on standard error, where nothing else is printed then)
    #[arg(long)]
    json: bool,
}

impl RunArgs {
    /// The configuration file under the flags. It is checked by [`GenerateRequest::check`] when everything is in it.
    fn request(&self, model: Option<&String>) -> Result<GenerateRequest, Failure> {
        let mut request = match &self.config {
            Some(path) => read_config(path)?,
            None => GenerateRequest::default(),
        };
        fn set<T>(field: &mut T, flag: Option<T>) {
            if let Some(value) = flag {
                *field = value;
            }
        }
        set(&mut request.num, self.num);
        set(&mut request.seed, self.seed);
        set(&mut request.model, model.cloned());
        if let Some(sampler) = self.sampler.as_deref().and_then(|name| AdaptiveConfig::by_name(name).ok()) {
            request.adaptive = Some(match self.tolerance {
                Some(tolerance) => sampler.with_tolerance(tolerance),
                None => request
                    .adaptive
                    .filter(|given| given.info().name == sampler.info().name)
                    .unwrap_or(sampler),
            });
            (request.sampler, request.steps, request.plan) = (None, None, None);
            (request.snr, request.scale_eps) = (None, None);
        } else if let Some(name) = &self.sampler {
            request.adaptive = None;
            // Options of the file for the same sampler stay; those of another make no sense here.
            if request.sampler.as_ref().is_none_or(|sampler| sampler.name() != name) {
                request.sampler = Some(sampler(name)?);
            }
        }
        request.grid = self.grid.or(request.grid);
        request.churn = self.churn.or(request.churn);
        request.temperature = self.temperature.or(request.temperature);
        request.steps = self.steps.map(|steps| steps as usize).or(request.steps);
        if let Some(path) = &self.plan {
            (request.plan, request.sampler, request.steps) = (Some(plan(path)?), None, None);
            request.adaptive = None;
            (request.snr, request.scale_eps, request.match_prior) = (None, None, false);
        } else if self.sampler.is_some() || self.steps.is_some() {
            request.plan = None;
        }
        request.snr = self.snr.or(request.snr);
        request.scale_eps = self.scale_eps.or(request.scale_eps);
        request.match_prior |= self.match_prior;
        set(&mut request.batch, self.batch.map(|batch| batch as usize));
        set(&mut request.threads, self.threads.map(|threads| threads as usize));
        request.max_memory = self.max_memory.map(|mib| u64::from(mib) << 20).or(request.max_memory);
        set(&mut request.device, self.device);
        request.engine = self.engine.or(request.engine);
        set(&mut request.shard, self.shard);
        if let Some(path) = &self.statistics {
            let Some(SamplerConfig::DpmSolverV3(sampler)) = &mut request.sampler else {
                return Err(Failure::message(
                    Exit::Usage,
                    "--statistics: only dpm-solver-v3 has a use for them",
                ));
            };
            sampler.statistics = Some(json_file::read(path)?);
        }
        if self.tolerance.is_some() && request.adaptive.is_none() {
            return Err(Failure::message(Exit::Usage, "--tolerance: only adaptive samplers have one"));
        }
        request.check()?;
        Ok(request)
    }

    /// A bar over the samples of the request, each called `noun`; hidden where the summary shall be alone.
    fn bar(&self, request: &GenerateRequest) -> ProgressBar {
        let ids = request.ids();
        if self.json { ProgressBar::hidden() } else { progress::samples(ids.end - ids.start) }
    }

    /// Hands `work` the place where results go: the output file, a device or pipe, or standard output.
    fn with_destination<T>(
        &self,
        output: Option<&Path>,
        work: impl FnOnce(Destination<'_>) -> Result<T, equidrift::Error>,
    ) -> Result<T, Failure> {
        let result = match output {
            Some(path) if is_replaceable(path) => {
                let partial = Manifest::partial_for(path);
                if !self.resume && partial.exists() {
                    let partial = partial.display();
                    progress::note(&format!(
                        "note: overwriting the unfinished {partial}; --resume would continue it"
                    ));
                }
                work(Destination::File { path, resume: self.resume })
            }
            // A device or a pipe: it cannot be replaced by a finished file, so it is a stream.
            Some(path) => {
                let mut stream = std::fs::OpenOptions::new().write(true).open(path).map_err(|error| {
                    Failure::message(Exit::Failure, format_args!("cannot write {}: {error}", path.display()))
                })?;
                work(Destination::Stream(&mut stream))
            }
            None => {
                let mut stream: Box<dyn Write> = Box::new(io::stdout().lock());
                work(Destination::Stream(&mut *stream))
            }
        };
        Ok(result?)
    }
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

/// The format that the output's suffix names, or `--format`, or `default` for a stream.
fn format<F: Copy + PartialEq>(
    output: Option<&Path>,
    named: Option<F>,
    of_path: impl Fn(&Path) -> Result<F, equidrift::Error>,
    default: F,
) -> Result<F, Failure> {
    let Some(path) = output else { return Ok(named.unwrap_or(default)) };
    match (of_path(path), named) {
        (Ok(suffix), Some(named)) if suffix != named => Err(Failure::message(
            Exit::Usage,
            format_args!("{} has the suffix of another format than --format asks for", path.display()),
        )),
        (Ok(suffix), _) => Ok(suffix),
        (Err(_), Some(named)) => Ok(named),
        // A device has no suffix to go by.
        (Err(_), None) if !is_replaceable(path) => Ok(default),
        (Err(error), None) => Err(error.into()),
    }
}

/// Whether a finished file may take this place: there is none yet, or an ordinary one.
fn is_replaceable(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |file| file.is_file() || file.is_dir())
}

/// Prints a summary: as JSON, or the lines every run has around those of its own kind.
fn report(
    summary: &impl serde::Serialize,
    run: &RunSummary,
    json: bool,
    unit: &str,
    own: Vec<(&str, String)>,
) {
    if json {
        if let Ok(text) = serde_json::to_string_pretty(summary) {
            progress::note(&text);
        }
        return;
    }
    let calls = format!("{} network evaluations (NFE) per sample", run.evaluations_per_sample);
    let sampler = match run.steps {
        0 => format!("{}, adaptive, {calls} on average", run.sampler),
        steps => format!("{}, {steps} steps, {calls}", run.sampler),
    };
    let mut rows = vec![
        ("model", format!("{} ({} on {})", run.model, run.engine, run.device)),
        ("sampler", sampler),
        ("samples", format!("{} of {}", run.samples, run.requested)),
    ];
    rows.extend(own);
    if !run.diverged.is_empty() {
        let ids: Vec<String> = run.diverged.iter().take(10).map(|d| d.id.to_string()).collect();
        let more = if run.diverged.len() > 10 { ", ..." } else { "" };
        rows.push(("diverged", format!("{}: ids {}{more}", run.diverged.len(), ids.join(", "))));
    }
    let (rate, ran, seconds) = (run.samples_per_second(), run.samples_this_run, run.seconds);
    rows.push(("speed", format!("{rate:.2} {unit}/s ({ran} in {seconds:.1} s)")));
    rows.extend(run.time.map(|time| {
        let share = |what: &str, share: f64| format!("{what} {:.1} %", 100.0 * share);
        let sampler = if time.networks.is_some() { "sampler" } else { "networks and sampler" };
        let mut parts: Vec<String> = time.networks.map(|of| share("networks", of)).into_iter().collect();
        parts.extend([share(sampler, time.sampler), share("decoding", time.decoding)]);
        ("time", parts.join(", "))
    }));
    rows.extend(run.output.iter().map(|output| ("output", output.clone())));
    let mut lines: Vec<String> =
        rows.into_iter().map(|(label, value)| format!("{label:<20} {value}")).collect();
    if !run.complete {
        lines.push("interrupted; run the same command with --resume to continue".to_owned());
    }
    progress::note(&lines.join("\n"));
}

/// The code a run ends with, `good` of whose samples are what was asked for.
fn exit(run: &RunSummary, good: u64) -> Exit {
    match run.complete {
        false => Exit::Interrupted,
        true if good < run.requested => Exit::TooFewValid,
        true => Exit::Ok,
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// The plan of a file, or an embedded one by its name; a file of that name goes first.
fn plan(path: &Path) -> Result<Plan, Failure> {
    if path.exists() || path.extension().is_some() {
        return json_file::read(path);
    }
    path.to_str().and_then(equidrift::embedded_plan).ok_or_else(|| {
        let known = equidrift::embedded_plans().join(", ");
        let reason = "no such file, and no embedded plan of that name; embedded are";
        Failure::message(Exit::BadInput, format_args!("{}: {reason} {known}", path.display()))
    })
}
