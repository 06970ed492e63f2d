//! `equidrift samplers search`: the best options of a sampler for one model and number of calls.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;
use equidrift_backend::atomic::write_atomically;
use equidrift_backend::checksum::sha256;
use equidrift_sampler::drive::{
    Genome, Modulation, ModulationSpace, OptionGenome, OptionRange, OptionSpace, ScheduleSearch,
    SearchSettings, SearchState, SearchedOption,
};
use equidrift_sampler::plan::{PerComponent, PredictorCorrector};
use equidrift_sampler::{Plan, SamplerConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::model_quality::{Judge, ModelArgs, Quality};
use crate::exit::{CliResult, Exit, Failure};
use crate::sampler_argument::sampler;
use crate::{json_file, progress, signal, stdout};

/// Search the options of a sampler for one model and number of calls, and keep the best plan
#[derive(Debug, Args)]
#[command(after_help = "\
A plan is as good as its worst figure: the largest of share of invalid samples before repair, FCD (with --chemnet) and NSPDK,
each over that of the model's own default sampler, which is measured first. Below 1 it is better in all of them. The search
is an evolution of the options' values (USF, Liu et al. 2024); whatever it finds was found on one seed, so the best plan is
measured again on the next one, and both are shown.

FILE.json is the plan; `generate molecules --plan FILE.json` runs it. Beside it, FILE.search.json records every evaluation: a
search that was stopped goes on with --resume, as if it had not been.

--vary names a JSON file with what may change: a list of {\"field\": \"/snr/0\", \"range\": {\"kind\": \"logarithmic\",
\"low\": 0.05, \"high\": 1}}; other kinds are {\"kind\": \"real\", \"low\": .., \"high\": ..} and {\"kind\": \"choice\", \"values\": [..]}.
Fields are places in the sampler's JSON. The predictor-corrector has a list of its own.

With --plan the numbers of a plan are searched instead: sizes and noise of its corrections, what its predictors add and their
noise, and a matched prior, each by a factor that changes smoothly from the first step to the last. Use it on what a first
search has found.

Examples:
  equidrift samplers search --model qm9-gdss --calls 20 --num 2000 --reference test.smi -o plan20.json
  equidrift samplers search --model my-model/ --calls 50 --num 3000 --reference test.smi --chemnet chemnet.npz \\
      --match-prior --evaluations 200 -o plan50.json
  equidrift samplers search --model my-model/ --num 3000 --reference test.smi --chemnet chemnet.npz \\
      --plan plan50.json --evaluations 300 -o better50.json
  equidrift generate molecules --model my-model/ --plan plan50.json --num 1000 -o molecules.smi")]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Network calls per sample
    #[arg(long, value_name = "N", required_unless_present = "plan",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    calls: Option<u32>,
    /// Sampler to start from: a name, or options as JSON
    #[arg(long, value_name = "NAME|JSON", default_value = "predictor-corrector")]
    sampler: String,
    /// Options that may change, as JSON
    #[arg(long, value_name = "FILE.json")]
    vary: Option<PathBuf>,
    /// Search around this plan (JSON) instead: its times and calls stay, its numbers change smoothly from step to step
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["calls", "sampler", "vary"])]
    plan: Option<PathBuf>,
    /// Plans to try
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    evaluations: u32,
    /// The best plan
    #[arg(short, long, value_name = "FILE.json")]
    output: PathBuf,
    /// Go on with the search recorded beside the output
    #[arg(long)]
    resume: bool,
    /// The figures as JSON
    #[arg(long)]
    json: bool,
}

/// What is recorded of a search.
#[derive(Serialize, Deserialize)]
#[serde(bound = "G: Genome", deny_unknown_fields)]
struct Record<G: Genome> {
    /// Digest of all that decides what the search does.
    identity: String,
    baseline: Quality,
    /// Figures of each evaluation.
    figures: Vec<Quality>,
    search: SearchState<G>,
}

/// What is said at the end.
#[derive(Serialize)]
struct Found {
    evaluations: usize,
    /// The largest ratio to the baseline on the seed of the search.
    score: f64,
    /// The same on the next seed, which the search has not seen.
    score_on_fresh_seed: f64,
    sampler: Option<SamplerConfig>,
    baseline: Quality,
    searched: Quality,
    baseline_on_fresh_seed: Quality,
    searched_on_fresh_seed: Quality,
}

pub(crate) fn run(args: &SearchArgs) -> CliResult {
    let Some(judge) = args.model.open()? else {
        return Err(Failure::message(Exit::Usage, "--model: which model is the search for?"));
    };
    if judge.args.reference.is_none() {
        // Validity alone is best where all samples are the same.
        return Err(Failure::message(
            Exit::Usage,
            "--reference: the molecules that samples should be like are needed",
        ));
    }
    if let Some(path) = &args.plan {
        // The start is one of the numbers that change.
        let plan = started(&judge, json_file::read(path)?)?;
        let space = ModulationSpace { plan, jitter: 0.15 };
        return search_in::<Modulation>(args, &judge, &space, &Ok, &|_| None);
    }
    let (sampler, options) = sampler_and_options(args)?;
    let paths = &judge.model.gdss()?.config().paths;
    let Some(calls) = args.calls else {
        return Err(Failure::message(Exit::Usage, "--calls: how many network calls may a sample take?"));
    };
    let space = OptionSpace {
        sampler,
        options,
        paths: vec![paths.x.clone(), paths.adj.clone()],
        evaluations: calls as usize,
        rate: 0.3,
        jitter: 0.1,
    };
    let describe = |genome: &OptionGenome| genome.sampler(&space).ok();
    search_in::<OptionGenome>(args, &judge, &space, &|plan| started(&judge, plan), &describe)
}

/// Searches `space`; `start` makes of a plan of the space what is run, `describe` the sampler a genome stands for.
fn search_in<G: Genome>(
    args: &SearchArgs,
    judge: &Judge<'_>,
    space: &G::Space,
    start: &dyn Fn(Plan) -> Result<Plan, Failure>,
    describe: &dyn Fn(&G) -> Option<SamplerConfig>,
) -> CliResult
where
    G::Space: Serialize,
{
    let stop = signal::stop();
    let identity =
        identity(judge, &serde_json::to_value(space).map_err(|error| Failure::new(Exit::Failure, error))?);
    let path = args.output.with_extension("search.json");
    let mut record = match open_record::<G>(args, &path, &identity)? {
        Some(record) => record,
        None => Record {
            identity,
            baseline: baseline(judge, judge.args.seed)?,
            figures: Vec::new(),
            search: SearchState::default(),
        },
    };
    let settings = SearchSettings {
        evaluations: args.evaluations as usize,
        seed: judge.args.seed,
        ..SearchSettings::default()
    };
    let mut search = ScheduleSearch::<G>::resume(space, settings, Vec::new(), record.search.clone())?;
    let bar = progress::bar(u64::from(args.evaluations), "plans");
    let mut interrupted = false;
    while search.state().evaluated.len() < args.evaluations as usize {
        let before = search.state().evaluated.len();
        bar.set_position(before as u64);
        let mut best = None;
        search.run::<Failure>(
            |plan| {
                let quality = judge.measure_plan(&start(plan.clone())?, judge.args.seed)?;
                let score = worst_ratio(&quality, &record.baseline);
                record.figures.push(quality);
                Ok(score)
            },
            |progress| {
                best = progress.best;
                ControlFlow::Break(())
            },
        )?;
        if search.state().evaluated.len() == before {
            progress::note("note: no further plan can be made");
            break;
        }
        bar.set_message(best.map(|best| format!("best {best:.3}")).unwrap_or_default());
        record.search = search.state().clone();
        write_json(&path, &record)?;
        if stop.asked() {
            interrupted = true;
            break;
        }
    }
    bar.finish_and_clear();
    let Some((plan, score)) = search.best()? else {
        return Err(Failure::message(Exit::Failure, "no plan of the search could be judged"));
    };
    let plan = start(plan)?;
    write_json(&args.output, &plan)?;
    if interrupted {
        progress::note(&format!(
            "interrupted after {} plans, the best at {score:.3}; --resume goes on",
            record.figures.len()
        ));
        return Ok(Exit::Interrupted);
    }
    let place = search.state().evaluated.iter().position(|record| record.score == Some(score));
    let fresh = judge.args.seed + 1;
    let (baseline_fresh, searched_fresh) = (baseline(judge, fresh)?, judge.measure_plan(&plan, fresh)?);
    let found = Found {
        evaluations: record.figures.len(),
        score,
        score_on_fresh_seed: worst_ratio(&searched_fresh, &baseline_fresh),
        sampler: search.ranked().first().and_then(|record| describe(record.genome.as_ref()?)),
        searched: place.map_or_else(|| record.baseline.clone(), |place| record.figures[place].clone()),
        baseline: record.baseline,
        baseline_on_fresh_seed: baseline_fresh,
        searched_on_fresh_seed: searched_fresh,
    };
    if args.json { stdout::json(&found) } else { stdout::text(&table(&found, &args.output)) }
}

/// The plan with the start that was asked for.
fn started(judge: &Judge<'_>, plan: Plan) -> Result<Plan, Failure> {
    if !judge.args.match_prior {
        return Ok(plan);
    }
    Ok(judge.model.matched_prior()?.apply(plan)?)
}

/// The model's own sampler.
fn baseline(judge: &Judge<'_>, seed: u64) -> Result<Quality, Failure> {
    let config = judge.model.gdss()?.config();
    let paths = [config.paths.x.clone(), config.paths.adj.clone()];
    let plan = config.sampler.plan(&paths, config.steps)?;
    judge.measure_plan(&plan, seed)
}

/// The largest ratio of a figure to the baseline's; all are better when smaller.
fn worst_ratio(quality: &Quality, baseline: &Quality) -> f64 {
    // One sample stands for none, so that a baseline without a fault has a ratio too.
    let floor = 1.0 / baseline.samples.max(1) as f64;
    let invalid = |quality: &Quality| (1.0 - quality.validity_before_repair).max(floor);
    let ratio = |found: Option<f64>, baseline: Option<f64>| match (found, baseline) {
        (Some(found), Some(baseline)) => found / baseline,
        // Too few valid molecules for a distance that the baseline has.
        (None, Some(_)) => f64::INFINITY,
        (_, None) => 0.0,
    };
    (invalid(quality) / invalid(baseline))
        .max(ratio(quality.fcd, baseline.fcd))
        .max(ratio(quality.nspdk, baseline.nspdk))
}

fn sampler_and_options(args: &SearchArgs) -> Result<(SamplerConfig, Vec<SearchedOption>), Failure> {
    let sampler = sampler(&args.sampler)?;
    let Some(path) = &args.vary else {
        return match sampler {
            SamplerConfig::PredictorCorrector(sampler) => Ok(of_predictor_corrector(sampler)),
            other => Err(Failure::message(
                Exit::Usage,
                format_args!("--vary: say which options of {} may change", other.name()),
            )),
        };
    };
    Ok((sampler, json_file::read(path)?))
}

/// What may change of a predictor–corrector: its step sizes and their noise, for each component, at the first and at the last
/// step; its predictor; whether the halves of a step share an evaluation; its end.
fn of_predictor_corrector(sampler: PredictorCorrector) -> (SamplerConfig, Vec<SearchedOption>) {
    let each = |value: &PerComponent| match value {
        PerComponent::All(value) => PerComponent::Each(vec![*value; 2]),
        PerComponent::Each(_) => value.clone(),
    };
    let (snr, scale_eps) = (each(&sampler.snr), each(&sampler.scale_eps));
    let sampler = PredictorCorrector {
        snr_end: Some(each(sampler.snr_end.as_ref().unwrap_or(&snr))),
        scale_eps_end: Some(each(sampler.scale_eps_end.as_ref().unwrap_or(&scale_eps))),
        snr,
        scale_eps,
        ..sampler
    };
    let option = |field: &str, range| SearchedOption { field: field.to_owned(), range };
    let mut options = Vec::new();
    for component in ["0", "1"] {
        for (field, range) in [
            ("snr", OptionRange::Logarithmic { low: 0.05, high: 1.0 }),
            ("snr_end", OptionRange::Logarithmic { low: 0.05, high: 1.0 }),
            ("scale_eps", OptionRange::Real { low: 0.3, high: 1.1 }),
            ("scale_eps_end", OptionRange::Real { low: 0.3, high: 1.1 }),
        ] {
            options.push(option(&format!("/{field}/{component}"), range));
        }
    }
    let choice =
        |values: Value| OptionRange::Choice { values: values.as_array().cloned().unwrap_or_default() };
    options.push(option("/predictor", choice(json!(["reverse", "euler", "sde-dpm-solver++", "ddim"]))));
    options.push(option("/share_evaluation", choice(json!([false, true]))));
    options.push(option("/final_denoise", choice(json!([false, true]))));
    options.push(option("/eps", OptionRange::Logarithmic { low: 1e-4, high: 0.4 }));
    (SamplerConfig::PredictorCorrector(sampler), options)
}

/// The record of an earlier search of the same identity.
fn open_record<G: Genome>(
    args: &SearchArgs,
    path: &Path,
    identity: &str,
) -> Result<Option<Record<G>>, Failure> {
    if !args.resume || !path.exists() {
        return Ok(None);
    }
    let record: Record<G> = json_file::read(path)?;
    if record.identity != identity {
        let message = "it is of another search: model, sampler, options, calls, samples, seed, prior or reference differ";
        return Err(Failure::message(Exit::Mismatch, format_args!("{}: {message}", path.display())));
    }
    Ok(Some(record))
}

/// All that decides what the search does, but for its length.
fn identity(judge: &Judge<'_>, space: &Value) -> String {
    let parts = json!({
        "space": space, "model": judge.model.sha256(), "num": judge.args.num, "seed": judge.args.seed,
        "match_prior": judge.args.match_prior, "reference": judge.reference_digest,
    });
    sha256(parts.to_string().as_bytes())
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    write_atomically(path, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        file.write_all(b"\n")
    })
    .map_err(|error| {
        Failure::message(Exit::Failure, format_args!("cannot write {}: {error}", path.display()))
    })
}

fn table(found: &Found, output: &Path) -> String {
    let mut text = format!(
        "{:28}  {:>6}  {:>9}  {:>9}  {:>9}  {:>7}  {:>8}\n",
        "", "calls", "valid", "connected", "unique", "FCD", "NSPDK"
    );
    for (name, quality) in [
        ("the model's sampler", &found.baseline),
        ("searched", &found.searched),
        ("the model's, fresh seed", &found.baseline_on_fresh_seed),
        ("searched, fresh seed", &found.searched_on_fresh_seed),
    ] {
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        let number = |value: Option<f64>, digits| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
        };
        text.push_str(&format!(
            "{name:28}  {:>6}  {:>9}  {:>9}  {:>9}  {:>7}  {:>8}\n",
            quality.calls,
            percent(quality.validity_before_repair),
            percent(quality.connectedness),
            percent(quality.uniqueness),
            number(quality.fcd, 3),
            number(quality.nspdk, 5)
        ));
    }
    if let Some(sampler) = found.sampler.as_ref().and_then(|sampler| serde_json::to_string(sampler).ok()) {
        text.push_str(&format!("sampler  {sampler}\n"));
    }
    text.push_str(&format!(
        "worst figure over the model's sampler: {:.3} after {} plans, {:.3} on a fresh seed\nplan     {}\n",
        found.score,
        found.evaluations,
        found.score_on_fresh_seed,
        output.display()
    ));
    text
}
