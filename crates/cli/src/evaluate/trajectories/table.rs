//! The figures as people read them.

use std::fmt::Write as _;

use equidrift_graph::mmd::Estimate;
use equidrift_trajectory::evaluation::ensemble::InternalKind;
use equidrift_trajectory::evaluation::{EnsembleEvaluation, ForecastEvaluation};

use super::Evaluation;

pub(super) fn table(evaluation: &Evaluation) -> String {
    let mut text = String::new();
    if let Some(forecast) = &evaluation.forecast {
        of_forecast(&mut text, forecast);
    }
    if let Some(ensemble) = &evaluation.ensemble {
        of_ensemble(&mut text, ensemble);
    }
    text
}

fn of_forecast(text: &mut String, found: &ForecastEvaluation) {
    let stretch = found.stretch;
    // Writing to a String cannot fail, so the results below are dropped.
    let _ = writeln!(
        text,
        "{} windows ({} without common frames), {}, {} atoms\n",
        found.windows,
        found.blocks,
        stretch.in_words(),
        found.atoms
    );
    let drift = found.energy_drift.as_ref();
    let mut headings = vec!["K", "ADE", "FDE", "best ADE", "best FDE"];
    headings.extend(drift.map(|_| "energy drift"));
    row(text, "", &owned(&headings));
    for line in &found.rows {
        let mut values = vec![
            line.samples_per_window.to_string(),
            number(Some(line.ade)),
            number(Some(line.fde)),
            number(line.best_ade),
            number(line.best_fde),
        ];
        let of_line = |drift: &equidrift_trajectory::evaluation::EnergyDrifts| {
            number(drift.rows.iter().find(|(name, _)| *name == line.name).map(|(_, drift)| *drift))
        };
        values.extend(drift.map(of_line));
        row(text, &line.name, &values);
    }
    if let Some(drift) = drift {
        let dash = || "-".to_owned();
        row(text, "truth", &[dash(), dash(), dash(), dash(), dash(), number(Some(drift.reference))]);
    }
    if found.training_windows > 0 {
        let _ = writeln!(text, "\nthe regression learnt from {} windows", found.training_windows);
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// A figure of an ensemble: name, value, and the reference's or its halves'.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) value: String,
    /// What one half of the reference gets from the other.
    pub(super) halves: String,
    /// What the figure is.
    pub(super) note: &'static str,
}

pub(super) fn lines(found: &EnsembleEvaluation) -> Vec<Line> {
    let mut lines = Vec::new();
    let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), digits);
    let mut line = |name: String, value: String, halves: String, note: &'static str| {
        lines.push(Line { name, value, halves, note });
    };
    if let Some(score) = &found.marginal {
        let name = format!("marginal, {}", score.of);
        line(name, digits(score.score), optional(score.reference_halves), "GeoTDM's score, 1/length");
    }
    if let Some(internal) = &found.internal {
        let kinds: [(&str, &Option<InternalKind>); 3] = [
            ("bond lengths", &internal.bonds),
            ("bond angles", &internal.angles),
            ("torsions", &internal.torsions),
        ];
        for (name, kind) in kinds {
            if let Some(kind) = kind {
                let note = "Jensen-Shannon divergence, mean over coordinates, bits";
                line(name.to_owned(), digits(kind.mean), digits(kind.reference_halves), note);
            }
        }
    }
    if let Some(radial) = &found.radial_distribution {
        let note = "Jensen-Shannon divergence, bits";
        line("pair distances".to_owned(), digits(radial.divergence), digits(radial.reference_halves), note);
    }
    if let Some(velocity) = &found.velocity_autocorrelation {
        let note = "mean difference of the normalised autocorrelations";
        let name = "velocity memory".to_owned();
        line(name, digits(velocity.mean_difference), optional(velocity.reference_halves), note);
    }
    if let Some(map) = &found.torsion_map {
        let note = "Jensen-Shannon divergence, bits";
        line("torsion map".to_owned(), digits(map.divergence), optional(map.reference_halves), note);
        let note = "root mean square over squares that both visited, kcal/mol";
        line("free energy".to_owned(), optional(map.free_energy_difference), "-".to_owned(), note);
    }
    lines
}

/// Figures of both sets: name, of the samples, of the reference, note.
pub(super) fn pairs(found: &EnsembleEvaluation) -> Vec<[String; 4]> {
    let mut pairs = Vec::new();
    let unit = if found.time_step.is_some() { "fs, or the simulation's unit" } else { "frames" };
    let time = |value: Option<f64>| value.map_or_else(|| "longer".to_owned(), |time| format!("{time:.2}"));
    if let Some(velocity) = &found.velocity_autocorrelation {
        let times = [velocity.generated_decorrelation, velocity.reference_decorrelation].map(time);
        let [generated, reference] = times;
        pairs.push(["velocities forget".to_owned(), generated, reference, unit.to_owned()]);
    }
    if let Some(map) = &found.torsion_map {
        for (name, k) in [("first torsion forgets", 0), ("second torsion forgets", 1)] {
            let [generated, reference] =
                [map.generated_decorrelation[k], map.reference_decorrelation[k]].map(time);
            pairs.push([name.to_owned(), generated, reference, unit.to_owned()]);
        }
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        for basin in &map.basins {
            let halves = basin.reference_halves.map(|[first, second]| {
                format!("halves of the reference: {} and {}", percent(first), percent(second))
            });
            let (generated, reference) = (percent(basin.generated), percent(basin.reference));
            pairs.push([basin.name.to_owned(), generated, reference, halves.unwrap_or_default()]);
        }
    }
    if let Some(drift) = &found.energy_drift {
        let reference = drift.reference.map_or_else(|| "-".to_owned(), digits);
        let note = "median, relative to the first energy".to_owned();
        pairs.push(["energy drift".to_owned(), digits(drift.generated), reference, note]);
    }
    pairs
}

fn of_ensemble(text: &mut String, found: &EnsembleEvaluation) {
    let _ = writeln!(
        text,
        "{} samples of {} frames; reference: {} runs of {} frames\n",
        found.generated.samples, found.generated.frames, found.reference.samples, found.reference.frames
    );
    row(text, "", &owned(&["samples", "halves of reference"]));
    for line in lines(found) {
        row(text, &line.name, &[line.value, line.halves]);
    }
    let pairs = pairs(found);
    if !pairs.is_empty() {
        text.push('\n');
        row(text, "", &owned(&["samples", "reference"]));
        for [name, generated, reference, _] in pairs {
            row(text, &name, &[generated, reference]);
        }
    }
}

fn row(text: &mut String, name: &str, values: &[String]) {
    let mut line = format!("{name:24}");
    for (place, value) in values.iter().enumerate() {
        // The number of samples is short.
        let width = if place == 0 && values.len() > 4 { 4 } else { 22 };
        let _ = write!(line, "{value:>width$}");
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

/// Four significant digits or so.
pub(super) fn digits(value: f64) -> String {
    if value.abs() >= 1000.0 || (value != 0.0 && value.abs() < 1e-4) {
        format!("{value:.2e}")
    } else {
        format!("{value:.4}")
    }
}

pub(super) fn number(estimate: Option<Estimate>) -> String {
    estimate.map_or_else(
        || "-".to_owned(),
        |Estimate { value, standard_error }| match standard_error {
            Some(error) => format!("{} \u{b1} {}", digits(value), digits(error)),
            None => digits(value),
        },
    )
}
