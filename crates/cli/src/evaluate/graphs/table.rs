//! The figures as people read them.

use std::fmt::Write as _;

use equidrift_graph::mmd::{Estimate, Protocol};

use super::figures::{Evaluation, Spread, Summary};

pub(super) fn table(evaluation: &Evaluation) -> String {
    let mut text = String::new();
    let columns: Vec<(&str, &Summary)> = [
        ("generated", Some(&evaluation.generated)),
        ("reference", evaluation.reference.as_ref()),
        ("training", evaluation.training.as_ref()),
    ]
    .into_iter()
    .filter_map(|(name, summary)| Some((name, summary?)))
    .collect();
    let names: Vec<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    row(&mut text, "", &names);
    let mut sizes = |name: &str, value: &dyn Fn(&Summary) -> String| {
        let values: Vec<String> = columns.iter().map(|(_, summary)| value(summary)).collect();
        row(&mut text, name, &values);
    };
    sizes("graphs", &|summary| summary.graphs.to_string());
    if columns.iter().any(|(_, summary)| !summary.bad_graphs.is_empty()) {
        sizes("bad graphs", &|summary| summary.bad_graphs.len().to_string());
    }
    if columns.iter().any(|(_, summary)| summary.without_nodes > 0) {
        sizes("without nodes", &|summary| summary.without_nodes.to_string());
    }
    sizes("nodes, mean", &|summary| mean(summary.nodes.as_ref()));
    sizes("nodes, range", &|summary| range(summary.nodes.as_ref()));
    sizes("edges, mean", &|summary| mean(summary.edges.as_ref()));
    sizes("edges, range", &|summary| range(summary.edges.as_ref()));
    sizes("connected", &|summary| percent(summary.connected));

    if let Some(distances) = &evaluation.distances {
        let kernel = kernel_name(distances.kernel);
        let (ours, theirs) = (distances.generated_graphs, distances.reference_graphs);
        // Writing to a String cannot fail, so the results below are dropped.
        let _ = writeln!(text, "\nMMD to the reference, kernels of {kernel}, {ours} against {theirs} graphs");
        let with_training = evaluation.training.is_some();
        let more: &[&str] = if with_training { &["training", "ratio"] } else { &[] };
        let headings: Vec<String> =
            ["generated"].iter().chain(more).map(|heading| (*heading).to_owned()).collect();
        row(&mut text, "", &headings);
        for discrepancy in &distances.mmd {
            let mut values = vec![number(discrepancy.generated)];
            if with_training {
                values.extend([number(discrepancy.training), short(discrepancy.ratio)]);
            }
            row(&mut text, discrepancy.metric.name(), &values);
        }
        if let Some(ratio) = distances.mean_ratio.filter(|_| with_training) {
            row(&mut text, "mean ratio", &[String::new(), String::new(), short(Some(ratio))]);
        }
    }
    if let Some(shares) = &evaluation.vun.shares {
        text.push('\n');
        if let Some(kind) = evaluation.vun.kind {
            row(&mut text, &format!("valid ({})", kind.name()), &[percent(shares.valid)]);
        }
        row(&mut text, "unique", &[percent(Some(shares.unique))]);
        if shares.novel.is_some() {
            row(&mut text, "novel", &[percent(shares.novel)]);
        }
        if shares.valid.is_some() && shares.novel.is_some() {
            row(&mut text, "V.U.N.", &[percent(Some(shares.vun))]);
        }
    }
    text
}

/// What `--kernel` calls it.
pub(super) fn kernel_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Gdss => "gdss",
        _ => "spectre",
    }
}

fn row(text: &mut String, name: &str, values: &[String]) {
    let mut line = format!("{name:16}");
    for value in values {
        let _ = write!(line, "{value:>24}");
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

fn with_error(value: String, error: Option<String>) -> String {
    error.map_or_else(|| value.clone(), |error| format!("{value} \u{b1} {error}"))
}

/// A discrepancy: as many digits as published figures have, and two more.
pub(super) fn number(estimate: Option<Estimate>) -> String {
    let digits = |value: f64| format!("{value:.6}");
    let text = |estimate: Estimate| with_error(digits(estimate.value), estimate.standard_error.map(digits));
    estimate.map_or_else(|| "-".to_owned(), text)
}

pub(super) fn short(estimate: Option<Estimate>) -> String {
    let digits = |value: f64| format!("{value:.2}");
    let text = |estimate: Estimate| with_error(digits(estimate.value), estimate.standard_error.map(digits));
    estimate.map_or_else(|| "-".to_owned(), text)
}

pub(super) fn percent(estimate: Option<Estimate>) -> String {
    let digits = |value: f64| format!("{:.2}", 100.0 * value);
    let text = |estimate: Estimate| {
        with_error(format!("{} %", digits(estimate.value)), estimate.standard_error.map(digits))
    };
    estimate.map_or_else(|| "-".to_owned(), text)
}

fn mean(spread: Option<&Spread>) -> String {
    short(spread.map(|spread| spread.mean))
}

pub(super) fn range(spread: Option<&Spread>) -> String {
    spread.map_or_else(|| "-".to_owned(), |spread| format!("{} to {}", spread.least, spread.most))
}
