//! The report: what there is to see of trajectories.

use std::path::Path;

use equidrift_graph::mmd::Estimate;
use equidrift_trajectory::SampleSet;
use equidrift_trajectory::evaluation::ensemble::InternalKind;
use equidrift_trajectory::evaluation::{EnsembleEvaluation, ForecastEvaluation};
use equidrift_trajectory::metrics::internal_coordinates::ComparedCoordinate;

use super::table::{digits, lines, number, pairs};
use super::{Evaluation, scenes};
use crate::report::{
    Block, Chart, Curves, Figure, HeatMap, Line, Report, Row, Scale, Section, Series, Table, Tile,
};

/// Charts of each kind of internal coordinate: those that differ most.
const CHARTS: usize = 6;

/// The page.
pub(super) fn page(
    evaluation: &Evaluation,
    samples: Option<&SampleSet>,
    reference: &SampleSet,
    every: usize,
) -> Report {
    let judged = evaluation.samples.as_ref().unwrap_or(&evaluation.reference);
    let mut report = Report {
        title: name_of(judged),
        subtitle: format!("compared with {}", name_of(&evaluation.reference)),
        colophon: colophon(evaluation),
        ..Report::default()
    };
    let mut motions = Vec::new();
    let small = reference.atoms() <= scenes::MOST_BODIES;
    if let Some(forecast) = &evaluation.forecast {
        of_forecast(&mut report, forecast);
        if small {
            motions = scenes::of_forecast(forecast, samples, reference);
        }
    }
    if let (Some(ensemble), Some(samples)) = (&evaluation.ensemble, samples) {
        of_ensemble(&mut report, ensemble);
        if small {
            motions = scenes::of_ensemble(samples, reference, every);
        }
    }
    if !motions.is_empty() {
        report.sections.push(Section {
            heading: "Motions".to_owned(),
            note: "Drag to turn, scroll to zoom; arrow keys step through the frames. What is thin and orange are samples, \
                   beside what really happened."
                .to_owned(),
            blocks: vec![Block::Motions(motions)],
        });
    }
    report
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn figure(estimate: Estimate) -> Figure {
    let error = estimate.standard_error.map(|error| format!("\u{b1} {}", digits(error)));
    Figure { value: digits(estimate.value), error, bar: None }
}

fn of_forecast(report: &mut Report, found: &ForecastEvaluation) {
    let stretch = found.stretch;
    report.subtitle.push_str(&format!(": {} windows, {}", found.windows, stretch.in_words()));
    let others = |field: fn(&equidrift_trajectory::evaluation::forecast::ForecastRow) -> Estimate| {
        let rows = found.rows.iter().skip(1);
        rows.map(|row| format!("{} {}", row.name, digits(field(row).value))).collect::<Vec<_>>().join(", ")
    };
    if let Some(first) = found.rows.first() {
        let tile = |name: &str, estimate: Estimate, note: String| Tile {
            name: name.to_owned(),
            figure: figure(estimate),
            note,
        };
        report.tiles.push(tile("ADE", first.ade, others(|row| row.ade)));
        report.tiles.push(tile("FDE", first.fde, others(|row| row.fde)));
        let best = [("best ADE", first.best_ade), ("best FDE", first.best_fde)];
        let note = format!("of {} samples", first.samples_per_window);
        report.tiles.extend(
            best.into_iter().filter_map(|(name, estimate)| Some(tile(name, estimate?, note.clone()))),
        );
    }
    let drifts = found.energy_drift.as_ref();
    let mut columns = vec!["K", "ADE", "FDE", "best ADE", "best FDE"];
    columns.extend(drifts.map(|_| "energy drift"));
    let mut rows: Vec<Row> = found
        .rows
        .iter()
        .map(|row| {
            let drift = |drifts: &equidrift_trajectory::evaluation::EnergyDrifts| {
                drifts.rows.iter().find(|(name, _)| *name == row.name).map(|(_, drift)| figure(*drift))
            };
            let mut figures = vec![
                Some(Figure::plain(row.samples_per_window.to_string())),
                Some(figure(row.ade)),
                Some(figure(row.fde)),
                row.best_ade.map(figure),
                row.best_fde.map(figure),
            ];
            figures.extend(drifts.map(drift));
            Row { name: row.name.clone(), figures, note: String::new() }
        })
        .collect();
    if let Some(drifts) = drifts {
        let figures = vec![None, None, None, None, None, Some(figure(drifts.reference))];
        rows.push(Row { name: "truth".to_owned(), figures, note: String::new() });
    }
    let table = Table { columns: columns.into_iter().map(str::to_owned).collect(), rows };
    report.sections.push(Section {
        heading: "Errors".to_owned(),
        note: format!(
            "Distance to the true place, mean over atoms and frames (ADE) and over atoms in the last frame (FDE). \u{b1} is a \
             standard error over {} blocks of windows that share no frames.",
            found.blocks
        ),
        blocks: vec![Block::Table(table)],
    });
    let step = found.time_step.unwrap_or(1.0);
    let by_frame = Curves {
        title: "mean distance by frame".to_owned(),
        horizontal: if found.time_step.is_some() { "time (fs, or the simulation's unit)" } else { "frame" }
            .to_owned(),
        start: step,
        step,
        lines: found
            .rows
            .iter()
            .map(|row| Line { name: row.name.clone(), values: row.by_frame.clone() })
            .collect(),
    };
    let of_windows: Vec<(&str, Vec<f32>)> = found
        .rows
        .iter()
        .map(|row| (row.name.as_str(), row.of_windows.iter().map(|error| error.ade as f32).collect()))
        .collect();
    let sets: Vec<(&str, &[f32])> = of_windows.iter().map(|(name, values)| (*name, &values[..])).collect();
    report.sections.push(Section {
        heading: "Where the errors are".to_owned(),
        note: "By predicted frame, and how they differ from window to window.".to_owned(),
        blocks: vec![
            Block::Curves(vec![by_frame]),
            Block::Charts(vec![Chart::continuous("ADE of a window", &sets)]),
        ],
    });
}

fn of_ensemble(report: &mut Report, found: &EnsembleEvaluation) {
    report.subtitle.push_str(&format!(
        ": {} samples of {} frames, {} runs of {} frames",
        found.generated.samples, found.generated.frames, found.reference.samples, found.reference.frames
    ));
    let lines = lines(found);
    report.tiles.extend(lines.iter().map(|line| Tile {
        name: line.name.clone(),
        figure: Figure::plain(line.value.clone()),
        note: format!("halves of the reference {}", line.halves),
    }));
    let rows = lines.into_iter().map(|line| Row {
        name: line.name,
        figures: vec![Some(Figure::plain(line.value)), Some(Figure::plain(line.halves))],
        note: line.note.to_owned(),
    });
    let columns = |names: [&str; 2]| names.map(str::to_owned).to_vec();
    let mut blocks = vec![Block::Table(Table {
        columns: columns(["samples", "halves of the reference"]),
        rows: rows.collect(),
    })];
    let pairs = pairs(found);
    if !pairs.is_empty() {
        let rows = pairs.into_iter().map(|[name, generated, reference, note]| Row {
            name,
            figures: vec![Some(Figure::plain(generated)), Some(Figure::plain(reference))],
            note,
        });
        blocks.push(Block::Table(Table { columns: columns(["samples", "reference"]), rows: rows.collect() }));
    }
    report.sections.push(Section {
        heading: "Figures".to_owned(),
        note: "How far the samples are from the reference, and one half of the reference from the other: what a perfect model \
               may be expected to reach with as many frames."
            .to_owned(),
        blocks,
    });
    let mut curves = Vec::new();
    let both = |generated: &[f64], reference: &[f64]| {
        vec![
            Line { name: "samples".to_owned(), values: generated.to_vec() },
            Line { name: "reference".to_owned(), values: reference.to_vec() },
        ]
    };
    if let Some(radial) = &found.radial_distribution {
        let first = radial.radii.first().copied().unwrap_or(0.0);
        curves.push(Curves {
            title: "density of pair distances".to_owned(),
            horizontal: "distance".to_owned(),
            start: first,
            step: 2.0 * first,
            lines: both(&radial.generated, &radial.reference),
        });
    }
    if let Some(velocity) = &found.velocity_autocorrelation {
        curves.push(Curves {
            title: "velocity autocorrelation".to_owned(),
            horizontal: if found.time_step.is_some() { "lag (time)" } else { "lag (frames)" }.to_owned(),
            start: 0.0,
            step: found.time_step.unwrap_or(1.0),
            lines: both(&velocity.generated, &velocity.reference),
        });
    }
    if !curves.is_empty() {
        report.sections.push(Section {
            heading: "Structure and motion".to_owned(),
            note: String::new(),
            blocks: vec![Block::Curves(curves)],
        });
    }
    if let Some(map) = &found.torsion_map {
        let atoms = |torsion: [usize; 4]| torsion.map(|atom| atom.to_string()).join("-");
        let [first, second] = map.torsions;
        let highest = |values: &[f64]| values.iter().copied().filter(|v| v.is_finite()).fold(1.0, f64::max);
        let most = highest(&map.reference);
        let drawn = |title: &str, values: &[f64]| HeatMap {
            title: format!("free energy at {} K, {title}", map.temperature),
            horizontal: format!("torsion {} (degrees)", atoms(first)),
            vertical: format!("torsion {} (degrees)", atoms(second)),
            values: values.to_vec(),
            most,
            unit: "kcal/mol".to_owned(),
        };
        report.sections.push(Section {
            heading: "Torsion map".to_owned(),
            note: "Free energy above the fullest square; the stronger the colour, the lower. Rest the pointer on a shade for \
                   its energy."
                .to_owned(),
            blocks: vec![Block::HeatMaps(vec![
                drawn("samples", &map.generated),
                drawn("reference", &map.reference),
            ])],
        });
    }
    if let Some(internal) = &found.internal {
        let kinds = [("bond", &internal.bonds), ("angle", &internal.angles), ("torsion", &internal.torsions)];
        let charts: Vec<Chart> = kinds
            .into_iter()
            .filter_map(|(name, kind)| Some(most_different(name, kind.as_ref()?)))
            .flatten()
            .collect();
        if !charts.is_empty() {
            report.sections.push(Section {
                heading: "Internal coordinates".to_owned(),
                note: format!("At most {CHARTS} of each kind: those that differ most. Lengths in \u{e5}ngstr\u{f6}m, angles in radians."),
                blocks: vec![Block::Charts(charts)],
            });
        }
    }
}

fn most_different(kind: &str, internal: &InternalKind) -> Vec<Chart> {
    let mut order: Vec<&ComparedCoordinate> = internal.compared.iter().collect();
    order.sort_by(|a, b| b.divergence.total_cmp(&a.divergence));
    order
        .into_iter()
        .take(CHARTS)
        .map(|coordinate| {
            let centres = coordinate.real.centres();
            let width = centres.get(1).map_or(1.0, |second| second - centres[0]);
            let series = [("samples", &coordinate.generated), ("reference", &coordinate.real)];
            Chart {
                title: format!(
                    "{kind} {} ({} bits)",
                    coordinate.atoms.iter().map(usize::to_string).collect::<Vec<_>>().join("-"),
                    digits(coordinate.divergence)
                ),
                scale: Scale::Continuous,
                start: centres[0] - width / 2.0,
                width,
                series: series
                    .into_iter()
                    .map(|(name, histogram)| Series {
                        name: name.to_owned(),
                        counts: histogram.counts().to_vec(),
                    })
                    .collect(),
            }
        })
        .collect()
}

fn colophon(evaluation: &Evaluation) -> Vec<(String, String)> {
    let mut lines = vec![(
        "made by".to_owned(),
        format!("equidrift {} evaluate trajectories", env!("CARGO_PKG_VERSION")),
    )];
    let files = [
        ("samples", evaluation.samples.as_ref()),
        ("reference", Some(&evaluation.reference)),
        ("training", evaluation.train.as_ref()),
    ];
    lines.extend(
        files.into_iter().filter_map(|(name, file)| Some((name.to_owned(), file?.display().to_string()))),
    );
    if evaluation.forecast.is_some() {
        let bootstrap = evaluation.bootstrap;
        lines.push((
            "standard errors".to_owned(),
            format!("bootstrap, {} replicates, seed {}", bootstrap.replicates, bootstrap.seed),
        ));
    }
    if let Some(drift) = evaluation.forecast.as_ref().and_then(|found| found.energy_drift.as_ref()) {
        let text = format!("of the truth, measured in the same way: {}", number(Some(drift.reference)));
        lines.push(("energy drift".to_owned(), text));
    }
    lines
}
