//! The figures as people read them in a terminal.

use equidrift_molecule::metrics::stability::Stability;
use equidrift_molecule::metrics::{MetricErrors, MoleculeMetrics};

use super::Evaluation;
use super::reading::Judged;
use super::suites::{MosesAlone, Named};

/// Width of the names and of a column of figures.
const NAMES: usize = 24;
const FIGURES: usize = 20;

/// One row of shares: its name, the share and its error.
pub(super) type Share = (&'static str, fn(&MoleculeMetrics) -> Option<f64>, fn(&MetricErrors) -> Option<f64>);

/// The shares, in the order in which they are shown.
pub(super) const SHARES: [Share; 5] = [
    ("validity before repair", |m| m.validity_without_correction, |e| e.validity_without_correction),
    ("validity", |m| m.validity, |e| e.validity),
    ("uniqueness", |m| m.uniqueness, |e| e.uniqueness),
    ("novelty", |m| m.novelty, |e| e.novelty),
    ("connectedness", |m| m.connectedness, |e| e.connectedness),
];

pub(super) fn table(evaluation: &Evaluation) -> String {
    let columns: Vec<(&str, &Judged)> = [("generated", Some(&evaluation.generated))]
        .into_iter()
        .chain([("reference", evaluation.reference.as_ref())])
        .filter_map(|(name, judged)| judged.map(|judged| (name, judged)))
        .collect();
    let mut text = format!("{:NAMES$}", format!("({})", evaluation.chemistry));
    for (name, _) in &columns {
        text.push_str(&format!("{name:>FIGURES$}"));
    }
    text.push('\n');
    let mut row = |name: &str, value: &dyn Fn(&Judged) -> Option<String>| {
        if columns.iter().any(|(_, judged)| value(judged).is_some()) {
            text.push_str(&format!("{name:NAMES$}"));
            for (_, judged) in &columns {
                text.push_str(&format!("{:>FIGURES$}", value(judged).unwrap_or_else(|| "-".to_owned())));
            }
            text.push('\n');
        }
    };
    row("samples", &|judged| Some(judged.metrics.samples.to_string()));
    row("valid", &|judged| Some(judged.metrics.valid.to_string()));
    for (name, share, error) in SHARES {
        row(name, &|judged| {
            let error = error(&judged.standard_errors).map(|error| format!(" ± {:.2}", 100.0 * error));
            share(&judged.metrics).map(|share| format!("{:.2}{} %", 100.0 * share, error.unwrap_or_default()))
        });
    }
    for (name, share) in STABILITIES {
        row(name, &|judged| {
            let error =
                judged.stability_errors.as_ref().map(|errors| format!(" ± {:.2}", 100.0 * share(errors)));
            let share = share(judged.stability.as_ref()?);
            Some(format!("{:.2}{} %", 100.0 * share, error.unwrap_or_default()))
        });
    }
    for (key, name, digits) in DESCRIPTORS {
        row(&format!("mean {name}"), &|judged| {
            let summary = judged.descriptors.get(key)?;
            Some(format!("{:.digits$} ± {:.digits$}", summary.mean, summary.standard_error))
        });
    }
    let some = |count: u64| (count > 0).then(|| count.to_string());
    row("blank", &|judged| some(judged.blank));
    row("bad lines", &|judged| some(judged.bad()));
    let mut kinds: Vec<_> = columns.iter().flat_map(|(_, judged)| judged.problems.keys()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        row(&format!("  {}", kind.description()), &|judged| judged.problems.get(kind).map(u64::to_string));
    }
    if let Some(distances) = &evaluation.distances {
        let (figures, errors) = (&distances.figures, &distances.standard_errors);
        for (name, value, error) in
            [("NSPDK MMD", figures.nspdk_mmd, errors.nspdk_mmd), ("FCD", figures.fcd, errors.fcd)]
        {
            if let Some(value) = value {
                text.push_str(&format!("{name:NAMES$}{:>FIGURES$}\n", distance(name, value, error)));
            }
        }
    }
    if let Some(moses) = &evaluation.moses {
        let sets = [Some(&moses.generated), moses.reference.as_ref()];
        let sets: Vec<Vec<Named>> = sets.into_iter().flatten().map(MosesAlone::figures).collect();
        for (place, (name, ..)) in sets.iter().flatten().take(sets.first().map_or(0, Vec::len)).enumerate() {
            text.push_str(&format!("{name:NAMES$}"));
            for figures in &sets {
                let (_, value, error) = &figures[place];
                text.push_str(&format!("{:>FIGURES$}", suite_figure(*value, *error)));
            }
            text.push('\n');
        }
        add_figures(&mut text, moses.compared());
    }
    if let Some(guacamol) = &evaluation.guacamol {
        add_figures(&mut text, guacamol.figures());
    }
    text
}

fn add_figures(text: &mut String, figures: Vec<Named>) {
    for (name, value, error) in figures {
        text.push_str(&format!("{name:NAMES$}{:>FIGURES$}\n", suite_figure(value, error)));
    }
}

/// A figure of a suite with its error; a dash where there is none.
pub(super) fn suite_figure(value: Option<f64>, error: Option<f64>) -> String {
    let digits = |value: f64| if value.abs() >= 10.0 { 2 } else { 4 };
    let Some(value) = value else { return "-".to_owned() };
    let digits = digits(value);
    let error = error.map(|error| format!(" ± {error:.digits$}"));
    format!("{value:.digits$}{}", error.unwrap_or_default())
}

type StabilityRow = (&'static str, fn(&Stability) -> f64);

/// Stabilities: their names and where they are.
pub(super) const STABILITIES: [StabilityRow; 2] = [
    ("atom stability", |stability| stability.atoms),
    ("molecule stability", |stability| stability.molecules),
];

/// Descriptors: their name in `--json`, their name for people, digits after the point.
pub(super) const DESCRIPTORS: [(&str, &str, usize); 6] = [
    ("heavy_atoms", "heavy atoms", 2),
    ("molecular_weight", "molecular weight", 1),
    ("log_p", "log P", 3),
    ("drug_likeness", "QED", 4),
    ("rings", "rings", 3),
    ("synthetic_accessibility", "SA score", 3),
];

/// A distance and its error. MMD is a few thousandths, FCD a few units: as many digits as published figures have, and one
/// more.
pub(super) fn distance(name: &str, value: f64, error: Option<f64>) -> String {
    let digits = if name == "FCD" { 3 } else { 5 };
    let error = error.map(|error| format!(" ± {error:.digits$}"));
    format!("{value:.digits$}{}", error.unwrap_or_default())
}
