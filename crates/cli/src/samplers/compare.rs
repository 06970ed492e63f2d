//! `equidrift samplers compare`: error against network calls.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use equidrift_sampler::plan::AdaptiveConfig;
use equidrift_sampler::{Plan, SamplerConfig};
use serde::Serialize;

use super::exact_problems::{self, ExactErrors};
use super::model_quality::{self, Quality};
use crate::exit::{CliResult, Exit, Failure};
use crate::plot::{Axis, Curve, Plot};
use crate::{json_file, progress, stdout};

/// Compare samplers by what they cost and how far from the right law they end
#[derive(Debug, Args)]
#[command(after_help = "\
Without --model the samplers are judged on two problems whose answers are known, under the variance preserving path
VP(0.1, 20):
  gaussian   data N(0.7, 0.4^2); the 2-Wasserstein distance between the law of the samples, computed exactly from the
             plan, and the data; only for samplers whose plan is linear
  mixture    two normals, 64 starting points; root mean square distance to where the exact probability flow takes them (to the
             data; for adaptive samplers to t = 0.001, where they stop); only for deterministic samplers

With --model the samplers draw --num molecules each. Validity is before repair. FCD and NSPDK need --reference, FCD also
--chemnet (see `equidrift evaluate molecules --help`). Every sampler sees the same sizes and starting noise.

A sampler is given as many steps as the calls allow; an adaptive one the smallest tolerance whose mean number of calls is not
above them, on the mixture alone.

Examples:
  equidrift samplers compare
  equidrift samplers compare --samplers ddim,dpm-solver++,uni-pc --calls 5,10,20,40 --plot error.svg
  equidrift samplers compare --model qm9-gdss --num 300 --calls 20,50,100
  equidrift samplers compare --model my-model/ --num 3000 --reference test.smi --chemnet chemnet.npz --plot fcd.svg")]
pub(crate) struct CompareArgs {
    /// Samplers, by name [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    samplers: Vec<String>,
    /// A sampler with options as JSON, for instance '{"name": "s4", "snr": [0.3, 0.45]}', after a label of its own if you like:
    /// 'my s4={"name": ...}'; may be repeated
    #[arg(long = "sampler", value_name = "[LABEL=]JSON")]
    configured: Vec<String>,
    /// A compiled plan (JSON), for instance one of `samplers search`, after a label if you like; needs --model; may be repeated
    #[arg(long = "plan", value_name = "[LABEL=]FILE.json", requires = "name")]
    plans: Vec<String>,
    /// Network calls per sample
    #[arg(long, value_delimiter = ',', value_name = "N,...", default_value = "5,10,20,50,100,200",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    calls: Vec<u32>,
    #[command(flatten)]
    model: model_quality::ModelArgs,
    /// Draw the comparison as an SVG
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// The figures as JSON
    #[arg(long)]
    json: bool,
}

/// One line of the comparison.
#[derive(Serialize)]
struct Line {
    sampler: String,
    calls: usize,
    /// Absent where a sampler chooses its steps sample by sample.
    steps: Option<usize>,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Figures {
    Exact(ExactErrors),
    Model(Quality),
}

pub(crate) fn run(args: &CompareArgs) -> CliResult {
    let samplers = chosen(args)?;
    let calls: BTreeSet<usize> = args.calls.iter().map(|&calls| calls as usize).collect();
    let judge = args.model.open()?;
    let mut lines = Vec::new();
    for (label, sampler) in &samplers {
        let sampler = match (sampler, &judge) {
            (Chosen::Planned(sampler), _) => sampler,
            (Chosen::Adaptive(_), Some(_)) => {
                progress::note(&format!(
                    "note: {label} is adaptive; it is compared on the exact problems only"
                ));
                continue;
            }
            (Chosen::Adaptive(sampler), None) => {
                lines.extend(adaptive_lines(label, sampler, &calls)?);
                continue;
            }
        };
        let mut seen = BTreeSet::new();
        for &calls in &calls {
            let components = if judge.is_some() { 2 } else { 1 };
            let Some(steps) = sampler.planner().steps_for(calls, components) else { continue };
            // Two budgets may allow the same number of steps.
            if !seen.insert(steps) {
                continue;
            }
            let measured = match &judge {
                Some(judge) => {
                    judge.measure(sampler, steps)?.map(|quality| (quality.calls, Figures::Model(quality)))
                }
                None => exact_problems::errors(sampler, steps)?
                    .map(|errors| (errors.calls, Figures::Exact(errors))),
            };
            if let Some((calls, figures)) = measured {
                lines.push(Line { sampler: label.clone(), calls, steps: Some(steps), figures });
            }
        }
    }
    if let Some(judge) = &judge {
        for text in &args.plans {
            let (label, path) = text.rsplit_once('=').unwrap_or((text, text));
            let plan: Plan = json_file::read(Path::new(path))?;
            let quality = judge.measure_plan(&plan, judge.args.seed)?;
            let (calls, steps) = (quality.calls, Some(plan.steps.len()));
            lines.push(Line { sampler: label.to_owned(), calls, steps, figures: Figures::Model(quality) });
        }
    }
    if let Some(path) = &args.plot {
        plots(&lines, judge.is_some()).write(path)?;
    }
    if args.json { stdout::json(&lines) } else { stdout::text(&table(&lines)) }
}

/// A sampler of either sort.
enum Chosen {
    Planned(SamplerConfig),
    Adaptive(AdaptiveConfig),
}

/// For each number of calls the run of the smallest tolerance that needs no more on average.
fn adaptive_lines(
    label: &str,
    sampler: &AdaptiveConfig,
    calls: &BTreeSet<usize>,
) -> Result<Vec<Line>, Failure> {
    let mut runs = exact_problems::adaptive_errors(sampler)?;
    let mut lines = Vec::new();
    for &allowed in calls {
        // Tolerances fall from run to run; what fits the smaller numbers of calls is taken out.
        let fitting = runs.iter().take_while(|run| run.calls <= allowed).count();
        if let Some(run) = runs.drain(..fitting).next_back() {
            let (calls, sampler) = (run.calls, label.to_owned());
            lines.push(Line { sampler, calls, steps: None, figures: Figures::Exact(run) });
        }
    }
    Ok(lines)
}

/// The samplers asked for, with the names they get in the table.
fn chosen(args: &CompareArgs) -> Result<Vec<(String, Chosen)>, Failure> {
    let mut samplers = Vec::new();
    for name in &args.samplers {
        let sampler = match AdaptiveConfig::by_name(name) {
            Ok(sampler) => Chosen::Adaptive(sampler),
            Err(_) => Chosen::Planned(
                SamplerConfig::by_name(name).map_err(|error| Failure::new(Exit::Usage, error))?,
            ),
        };
        samplers.push((name.clone(), sampler));
    }
    for text in &args.configured {
        let start = text.find('{').unwrap_or(0);
        let label = text[..start].trim_end().strip_suffix('=').unwrap_or(text);
        let sampler: SamplerConfig = serde_json::from_str(&text[start..])
            .map_err(|error| Failure::message(Exit::Usage, format_args!("--sampler {text}: {error}")))?;
        samplers.push((label.to_owned(), Chosen::Planned(sampler)));
    }
    if samplers.is_empty() && args.plans.is_empty() {
        let planned = SamplerConfig::all();
        samplers.extend(planned.into_iter().map(|s| (s.name().to_owned(), Chosen::Planned(s))));
        if !args.model.is_given() {
            let adaptive = AdaptiveConfig::all();
            samplers.extend(adaptive.into_iter().map(|s| (s.info().name.to_owned(), Chosen::Adaptive(s))));
        }
    }
    Ok(samplers)
}

fn table(lines: &[Line]) -> String {
    let width = lines.iter().map(|line| line.sampler.len()).max().unwrap_or(7).max(7);
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.3e}"));
    let mut text = String::new();
    for (index, Line { sampler, calls, steps, figures }) in lines.iter().enumerate() {
        let steps = steps.map_or_else(|| "-".to_owned(), |steps| steps.to_string());
        match figures {
            Figures::Exact(errors) => {
                if index == 0 {
                    text.push_str(&format!(
                        "{:width$}  {:>6}  {:>6}  {:>10}  {:>10}\n",
                        "sampler", "calls", "steps", "gaussian", "mixture"
                    ));
                }
                let (gaussian, mixture) = (number(errors.gaussian), number(errors.mixture));
                text.push_str(&format!(
                    "{sampler:width$}  {calls:6}  {steps:>6}  {gaussian:>10}  {mixture:>10}\n"
                ));
            }
            Figures::Model(quality) => {
                if index == 0 {
                    text.push_str(&format!(
                        "{:width$}  {:>6}  {:>6}  {:>9}  {:>9}  {:>9}  {:>7}  {:>8}  {:>7}\n",
                        "sampler", "calls", "steps", "valid", "connected", "unique", "FCD", "NSPDK", "s"
                    ));
                }
                let fcd = quality.fcd.map_or_else(|| "-".to_owned(), |value| format!("{value:.3}"));
                let nspdk = quality.nspdk.map_or_else(|| "-".to_owned(), |value| format!("{value:.5}"));
                text.push_str(&format!(
                    "{sampler:width$}  {calls:6}  {steps:>6}  {:>9}  {:>9}  {:>9}  {fcd:>7}  {nspdk:>8}  {:>7.1}\n",
                    percent(quality.validity_before_repair),
                    percent(quality.connectedness),
                    percent(quality.uniqueness),
                    quality.seconds
                ));
            }
        }
    }
    text
}

/// One panel per figure that at least one sampler has.
fn plots(lines: &[Line], of_model: bool) -> Plot {
    type Read = fn(&Figures) -> Option<f64>;
    let panels: &[(&str, bool, Read)] = if of_model {
        &[
            ("FCD", true, |figures| if let Figures::Model(quality) = figures { quality.fcd } else { None }),
            (
                "NSPDK",
                true,
                |figures| if let Figures::Model(quality) = figures { quality.nspdk } else { None },
            ),
            ("valid before repair, %", false, |figures| match figures {
                Figures::Model(quality) => Some(100.0 * quality.validity_before_repair),
                Figures::Exact(_) => None,
            }),
        ]
    } else {
        &[
            ("mixture: distance to the exact flow", true, |figures| match figures {
                Figures::Exact(errors) => errors.mixture,
                Figures::Model(_) => None,
            }),
            ("Gaussian: distance to the data law", true, |figures| match figures {
                Figures::Exact(errors) => errors.gaussian,
                Figures::Model(_) => None,
            }),
        ]
    };
    let mut plot = Plot::new(Axis::Logarithmic("network calls per sample"));
    for &(title, logarithmic, read) in panels {
        let mut curves: Vec<Curve> = Vec::new();
        for line in lines {
            let Some(value) = read(&line.figures) else { continue };
            match curves.last_mut() {
                Some(curve) if curve.label == line.sampler => curve.points.push((line.calls as f64, value)),
                _ => curves
                    .push(Curve { label: line.sampler.clone(), points: vec![(line.calls as f64, value)] }),
            }
        }
        plot.panel(title, logarithmic, curves);
    }
    plot
}
