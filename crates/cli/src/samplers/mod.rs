//! `equidrift samplers list|show NAME|compare|search|statistics`

mod compare;
mod exact_problems;
mod model_quality;
mod search;
mod statistics;

use clap::{Args, Subcommand};
use equidrift_sampler::plan::{AdaptiveConfig, PlannerInfo};
use equidrift_sampler::{PathConfig, SamplerConfig};
use serde::Serialize;

use crate::exit::{CliResult, Exit, Failure};
use crate::sampler_argument::sampler;
use crate::{progress, stdout};

/// List the samplers, show what one of them does, compare them, or search for a better one
#[derive(Debug, Args)]
pub(crate) struct SamplersArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every sampler with its order, cost and source
    #[command(after_help = "\
Examples:
  equidrift samplers list
  equidrift samplers list --json")]
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// One sampler: options, facts, and the plan it makes, operation by operation
    Show(ShowArgs),
    Compare(compare::CompareArgs),
    Search(search::SearchArgs),
    Statistics(statistics::StatisticsArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  equidrift samplers show dpm-solver++ --steps 20
  equidrift samplers show predictor-corrector --steps 5 --json > plan.json
  equidrift samplers show s4 --steps 10 --model my-model/
  equidrift samplers show '{\"name\": \"sde-dpm-solver++\", \"grid\": \"uniform-time\"}' --steps 20 --json > plan.json

Without --model the plan is for the paths of the QM9 models (both variance exploding, sigma 0.1 to 1).")]
struct ShowArgs {
    /// The sampler's name, or options as JSON
    #[arg(value_name = "NAME|JSON")]
    name: String,
    /// Number of steps
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Plan for the paths of this model (embedded name or folder)
    #[arg(long, value_name = "NAME|DIR")]
    model: Option<String>,
    /// The plan as JSON
    #[arg(long)]
    json: bool,
}

/// A line of the list.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    description: &'static str,
    order: &'static str,
    cost: &'static str,
    formula: &'static str,
    reference: &'static str,
    /// Whether it chooses its steps while it runs.
    adaptive: bool,
    options: serde_json::Value,
}

impl Listed {
    fn new(info: PlannerInfo, adaptive: bool, options: &impl Serialize) -> Result<Self, Failure> {
        Ok(Self {
            name: info.name,
            description: info.description,
            order: info.order,
            cost: info.cost,
            formula: info.formula,
            reference: info.citation,
            adaptive,
            options: serde_json::to_value(options).map_err(|error| Failure::new(Exit::Failure, error))?,
        })
    }
}

pub(crate) fn run(args: &SamplersArgs) -> CliResult {
    match &args.what {
        What::List { json } => list(*json),
        What::Show(args) => show(args),
        What::Compare(args) => compare::run(args),
        What::Search(args) => search::run(args),
        What::Statistics(args) => statistics::run(args),
    }
}

fn list(json: bool) -> CliResult {
    let planned = SamplerConfig::all();
    let planned = planned.iter().map(|sampler| Listed::new(sampler.info(), false, sampler));
    let adaptive = AdaptiveConfig::all();
    let adaptive = adaptive.iter().map(|sampler| Listed::new(sampler.info(), true, sampler));
    let all: Vec<Listed> = planned.chain(adaptive).collect::<Result<_, _>>()?;
    if json {
        return stdout::json(&all);
    }
    let width = all.iter().map(|sampler| sampler.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Listed { name, description, order, cost, reference, .. } in &all {
        text.push_str(&format!("{name:width$}  {description}\n"));
        for (what, value) in [("order", order), ("cost", cost), ("source", reference)] {
            text.push_str(&format!("{:width$}  {what}: {value}\n", ""));
        }
    }
    stdout::text(&text)
}

fn show(args: &ShowArgs) -> CliResult {
    if let Ok(sampler) = AdaptiveConfig::by_name(&args.name) {
        return show_adaptive(&sampler, args.json);
    }
    let sampler = sampler(&args.name)?;
    let model = args.model.as_deref().map(equidrift::Model::open).transpose()?;
    let paths = match &model {
        Some(model) => {
            let paths = model.gdss()?.config().paths.clone();
            [paths.x, paths.adj]
        }
        None => std::array::from_fn(|_| PathConfig::VarianceExploding { beta_min: 0.1, beta_max: 1.0 }),
    };
    let plan = sampler.plan(&paths, args.steps as usize)?;
    if let Some(model) = &model
        && plan.is_deterministic()
    {
        warn_of_prior(model, &plan.planner);
    }
    if args.json {
        return stdout::json(&plan);
    }
    let info = sampler.info();
    let options = serde_json::to_string(&sampler).map_err(|error| Failure::new(Exit::Failure, error))?;
    stdout::text(&format!(
        "{}: {}\nrule: {}\norder: {}; cost: {}\nsource: {}\noptions: {options}\n\n{plan}",
        info.name, info.description, info.formula, info.order, info.cost, info.citation
    ))
}

/// An adaptive sampler has no plan to be shown: it makes its steps while it runs, sample by sample.
fn show_adaptive(sampler: &AdaptiveConfig, json: bool) -> CliResult {
    if json {
        return stdout::json(&Listed::new(sampler.info(), true, sampler)?);
    }
    let info = sampler.info();
    let options = serde_json::to_string(sampler).map_err(|error| Failure::new(Exit::Failure, error))?;
    stdout::text(&format!(
        "{}: {}\nrule: {}\norder: {}; cost: {}\nsource: {}\noptions: {options}\n\nadaptive: its steps are chosen while it runs\n",
        info.name, info.description, info.formula, info.order, info.cost, info.citation
    ))
}

/// Says so where the prior is not where the model's paths end, on behalf of `who`.
fn warn_of_prior(model: &equidrift::Model, who: &str) {
    for (component, mismatch) in model.prior_mismatches() {
        if mismatch.is_biased() {
            progress::note(&format!("warning: {who}: component {component}, {mismatch}"));
        }
    }
}
