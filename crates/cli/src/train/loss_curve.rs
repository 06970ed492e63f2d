//! The curves of training runs: losses, learning rate, figures of samples.

use std::collections::BTreeSet;
use std::path::Path;

use equidrift_train::EpochReport;

use crate::exit::Failure;
use crate::plot::{Axis, Curve, Plot};

/// Writes the curves of these runs, each with its name, as an SVG: a panel per loss with training and validation in it, one
/// for the learning rate, one for the shares among the figures of samples (validity, ...) and one for each other figure.
pub(super) fn write(path: &Path, runs: &[(String, Vec<EpochReport>)]) -> Result<(), Failure> {
    let mut plot = Plot::new(Axis::Linear("epoch"));
    let label = |run: &str, what: &str| {
        if runs.len() == 1 { what.to_owned() } else { format!("{run}: {what}") }
    };
    let curve =
        |run: &(String, Vec<EpochReport>), what: &str, value: &dyn Fn(&EpochReport) -> Option<f64>| {
            let points = run.1.iter().filter_map(|report| Some((report.epoch as f64, value(report)?)));
            Curve { label: label(&run.0, what), points: points.collect() }
        };
    let names = |of: &dyn Fn(&EpochReport) -> Vec<String>| -> BTreeSet<String> {
        runs.iter().flat_map(|(_, reports)| reports).flat_map(of).collect()
    };
    for name in names(&|report| report.losses.keys().cloned().collect()) {
        let curves = runs.iter().flat_map(|run| {
            let of_validation = |report: &EpochReport, average: bool| {
                let validation = report.validation.as_ref()?;
                let losses = if average { &validation.average } else { &validation.raw };
                losses.get(&name).copied()
            };
            [
                curve(run, "training", &|report| report.losses.get(&name).copied()),
                curve(run, "validation", &|report| of_validation(report, false)),
                curve(run, "validation, averaged weights", &|report| of_validation(report, true)),
            ]
        });
        plot.panel(&format!("loss {name}"), true, curves.collect());
    }
    let rates = runs.iter().map(|run| curve(run, "learning rate", &|report| Some(report.learning_rate)));
    plot.panel("learning rate", true, rates.collect());
    let metrics = names(&|report| report.metrics.keys().cloned().collect());
    let is_share = |name: &String| {
        let mut values = runs.iter().flat_map(|(_, reports)| reports).filter_map(|r| r.metrics.get(name));
        SHARES.contains(&name.as_str()) && values.all(|value| (0.0..=1.0).contains(value))
    };
    let (shares, others): (Vec<_>, Vec<_>) = metrics.into_iter().partition(is_share);
    let of = |run, name: &String| curve(run, name, &|report| report.metrics.get(name).copied());
    let curves = runs.iter().flat_map(|run| shares.iter().map(move |name| of(run, name)));
    plot.panel("shares of the samples", false, curves.collect());
    for name in others {
        plot.panel(&name, true, runs.iter().map(|run| of(run, &name)).collect());
    }
    plot.write(path)
}

/// Figures of samples that are shares of a whole.
const SHARES: [&str; 5] = ["connectedness", "novelty", "uniqueness", "validity", "validity_before_repair"];
