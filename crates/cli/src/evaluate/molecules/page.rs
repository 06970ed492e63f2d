//! The report: what there is to see of a set of molecules.

use equidrift_molecule::Chemistry;
use equidrift_molecule::descriptors::DescriptorCalculator;
use equidrift_molecule::draw::{PictureSize, svg};
use equidrift_molecule::evaluation::{DescriptorTable, GalleryMember, JudgedSet};

use super::Evaluation;
use equidrift_molecule::perceived::PerceivedMolecule;

use super::reading::Judged;
use super::suites::{Guacamol, Moses, Named};
use super::table::{DESCRIPTORS, SHARES, STABILITIES, distance, suite_figure};
use crate::report::{Bar, Block, Chart, Figure, Picture, Report, Row, Section, Table, Tile};

/// The protocol of each figure, in words.
const PROTOCOLS: [(&str, &str); 7] = [
    (
        "validity before repair",
        "samples whose valences fit as decoded / samples; known to the generator only",
    ),
    ("validity", "samples whose SMILES is read and accepted / samples"),
    ("uniqueness", "distinct canonical SMILES / valid samples (MOSES unique@all, GDSS)"),
    ("novelty", "distinct canonical SMILES that the training file lacks / distinct (MOSES, GDSS)"),
    ("connectedness", "valid samples of one fragment / valid samples"),
    (
        "NSPDK MMD",
        "squared MMD, linear kernel of neighbourhood pairs, radius and distance up to 4 bonds (GDSS)",
    ),
    ("FCD", "Fréchet distance of ChemNet activations of canonical SMILES (Preuer et al. 2018; MOSES, GDSS)"),
];

fn protocol(name: &str) -> String {
    PROTOCOLS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, words)| (*words).to_owned())
        .unwrap_or_default()
}

/// The page.
pub(super) fn page(
    evaluation: &Evaluation,
    set: JudgedSet,
    reference: Option<&JudgedSet>,
    chemistry: &dyn Chemistry,
) -> Report {
    let generated = &evaluation.generated;
    let mut report = Report {
        title: generated
            .file
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
        subtitle: subtitle(evaluation),
        ..Report::default()
    };
    report.tiles = tiles(evaluation);
    report.sections.push(Section {
        heading: "Figures".to_owned(),
        note: "± is a standard error: how much a figure would change if other samples were drawn. Distances depend on the sizes of \
               the sets, so compare figures of equal sizes only."
            .to_owned(),
        blocks: vec![Block::Table(figures(evaluation))],
    });
    let suites = suites(evaluation);
    if !suites.is_empty() {
        report.sections.push(Section {
            heading: "Suites".to_owned(),
            note: "MOSES as molsets 0.3.1 computes it (repetitions count); GuacaMol's KL divergences as guacamol 0.5.5 does, of the \
                   first 10,000 distinct molecules. W1 is a Wasserstein distance in the descriptor's unit."
                .to_owned(),
            blocks: suites.into_iter().map(Block::Table).collect(),
        });
    }
    let charts = charts(&set.descriptors, reference.map(|set| &set.descriptors));
    if !charts.is_empty() {
        report.sections.push(Section {
            heading: "Distributions".to_owned(),
            note: "Shares of the valid samples. Values beyond the axis are counted in its outermost bins."
                .to_owned(),
            blocks: vec![Block::Charts(charts), Block::Table(descriptors(evaluation))],
        });
    }
    let shown = set.gallery.into_members();
    if !shown.is_empty() {
        report.sections.push(gallery(shown, chemistry));
    }
    if let Some(table) = problems(evaluation) {
        report.sections.push(Section {
            heading: "Lines that are no molecules".to_owned(),
            note: "In the generated file each of them counts as an invalid sample.".to_owned(),
            blocks: vec![Block::Table(table)],
        });
    }
    report.colophon = colophon(evaluation);
    report
}

fn subtitle(evaluation: &Evaluation) -> String {
    let count = |judged: &Judged| format!("{} samples", grouped(judged.metrics.samples));
    let mut text = format!("{} of molecules", count(&evaluation.generated));
    if let Some(distances) = &evaluation.distances {
        let name = distances.reference.file_name().unwrap_or_default().to_string_lossy();
        text.push_str(&format!(
            ", compared with {} of {name}",
            grouped(distances.reference_molecules as u64)
        ));
    } else if let Some(reference) = &evaluation.reference {
        let name = reference.file.file_name().unwrap_or_default().to_string_lossy();
        text.push_str(&format!(", compared with {} of {name}", grouped(reference.metrics.valid)));
    }
    text
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with a real minus sign.
fn number(value: f64, digits: usize) -> String {
    format!("{value:.digits$}").replace('-', "\u{2212}")
}

/// A share with its error, and a bar.
fn share(value: f64, error: Option<f64>) -> Figure {
    let spread = error.unwrap_or(0.0);
    Figure {
        value: format!("{:.2} %", 100.0 * value),
        error: error.map(|error| format!("± {:.2}", 100.0 * error)),
        bar: Some(Bar { value, low: value - spread, high: value + spread }),
    }
}

fn distance_figure(name: &str, value: f64, error: Option<f64>) -> Figure {
    let error = error.map(|error| format!("± {}", distance(name, error, None)));
    Figure { value: distance(name, value, None), error, bar: None }
}

/// The distances there are: name, value, error.
fn distances(evaluation: &Evaluation) -> Vec<(&'static str, f64, Option<f64>)> {
    let Some(distances) = &evaluation.distances else { return Vec::new() };
    let (figures, errors) = (&distances.figures, &distances.standard_errors);
    [("FCD", figures.fcd, errors.fcd), ("NSPDK MMD", figures.nspdk_mmd, errors.nspdk_mmd)]
        .into_iter()
        .filter_map(|(name, value, error)| Some((name, value?, error)))
        .collect()
}

fn tiles(evaluation: &Evaluation) -> Vec<Tile> {
    let generated = &evaluation.generated;
    let mut tiles = Vec::new();
    for (name, value, error) in SHARES {
        if let Some(value) = value(&generated.metrics) {
            let beside = evaluation
                .reference
                .as_ref()
                .and_then(|reference| SHARES.iter().find(|row| row.0 == name)?.1(&reference.metrics));
            tiles.push(Tile {
                name: name.to_owned(),
                figure: share(value, error(&generated.standard_errors)),
                note: beside.map(|value| format!("reference {:.2} %", 100.0 * value)).unwrap_or_default(),
            });
        }
    }
    for (name, value, error) in distances(evaluation) {
        tiles.push(Tile {
            name: name.to_owned(),
            figure: distance_figure(name, value, error),
            note: "0 for equal sets".to_owned(),
        });
    }
    tiles
}

fn figures(evaluation: &Evaluation) -> Table {
    let columns: Vec<(&str, &Judged)> = [("generated", Some(&evaluation.generated))]
        .into_iter()
        .chain([("reference", evaluation.reference.as_ref())])
        .filter_map(|(name, judged)| Some((name, judged?)))
        .collect();
    let mut rows = Vec::new();
    let mut row = |name: &str, note: String, value: &dyn Fn(&Judged) -> Option<Figure>| {
        let figures: Vec<Option<Figure>> = columns.iter().map(|(_, judged)| value(judged)).collect();
        if figures.iter().any(Option::is_some) {
            rows.push(Row { name: name.to_owned(), figures, note });
        }
    };
    let count = |number: u64| Some(Figure::plain(grouped(number)));
    row("samples", "lines of the file; a blank one is a sample without a molecule".to_owned(), &|judged| {
        count(judged.metrics.samples)
    });
    row("valid", "samples with a molecule".to_owned(), &|judged| count(judged.metrics.valid));
    row("distinct", "distinct canonical SMILES among them".to_owned(), &|judged| {
        count(judged.metrics.distinct)
    });
    for (name, value, error) in SHARES {
        row(name, protocol(name), &|judged| {
            value(&judged.metrics).map(|value| share(value, error(&judged.standard_errors)))
        });
    }
    for (name, value) in STABILITIES {
        row(
            name,
            "bond orders as the element's valence; hydrogens written as atoms (EDM, DiGress)".to_owned(),
            &|judged| {
                let error = judged.stability_errors.as_ref().map(value);
                judged.stability.as_ref().map(|stability| share(value(stability), error))
            },
        );
    }
    for (name, value, error) in distances(evaluation) {
        rows.push(Row {
            name: name.to_owned(),
            figures: vec![Some(distance_figure(name, value, error))],
            note: protocol(name),
        });
    }
    Table { columns: columns.iter().map(|(name, _)| (*name).to_owned()).collect(), rows }
}

/// The suites there are: figures of the sets, figures between them.
fn suites(evaluation: &Evaluation) -> Vec<Table> {
    let figure = |value: Option<f64>, error: Option<f64>| {
        value.map(|value| Figure {
            value: suite_figure(Some(value), None),
            error: error.map(|error| format!("± {}", suite_figure(Some(error), None))),
            bar: None,
        })
    };
    let mut tables = Vec::new();
    if let Some(moses) = &evaluation.moses {
        let sets = [("generated", Some(&moses.generated)), ("reference", moses.reference.as_ref())];
        let sets: Vec<(&str, Vec<Named>)> =
            sets.into_iter().filter_map(|(name, set)| Some((name, set?.figures()))).collect();
        let rows = sets.first().map_or(&[][..], |(_, figures)| figures).iter().enumerate().map(
            |(place, (name, ..))| Row {
                name: name.clone(),
                figures: sets.iter().map(|(_, figures)| figure(figures[place].1, figures[place].2)).collect(),
                note: String::new(),
            },
        );
        let rows = rows.collect();
        tables.push(Table { columns: sets.iter().map(|(name, _)| (*name).to_owned()).collect(), rows });
    }
    let mut compared = evaluation.moses.as_ref().map(Moses::compared).unwrap_or_default();
    compared.extend(evaluation.guacamol.as_ref().map(Guacamol::figures).unwrap_or_default());
    if !compared.is_empty() {
        let rows = compared.into_iter().map(|(name, value, error)| Row {
            name,
            figures: vec![figure(value, error)],
            note: String::new(),
        });
        tables.push(Table { columns: vec!["against the reference".to_owned()], rows: rows.collect() });
    }
    tables
}

/// The distributions of the descriptors there are.
fn charts(generated: &DescriptorTable, reference: Option<&DescriptorTable>) -> Vec<Chart> {
    let tables: Vec<(&str, &DescriptorTable)> = [("generated", Some(generated)), ("reference", reference)]
        .into_iter()
        .filter_map(|(name, table)| Some((name, table?)))
        .collect();
    let mut charts = Vec::new();
    for (key, title, _) in DESCRIPTORS {
        let columns: Vec<(&str, &[f32])> = tables
            .iter()
            .filter_map(|(set, table)| {
                let (_, column) = table.columns().find(|(name, _)| *name == key)?;
                Some((*set, column.values()))
            })
            .collect();
        if columns.is_empty() {
            continue;
        }
        charts.push(match key {
            "heavy_atoms" | "rings" => {
                let numbers: Vec<(&str, Vec<u32>)> = columns
                    .iter()
                    .map(|(set, values)| (*set, values.iter().map(|value| *value as u32).collect()))
                    .collect();
                let sets: Vec<(&str, &[u32])> =
                    numbers.iter().map(|(set, values)| (*set, &values[..])).collect();
                Chart::counts(title, &sets)
            }
            _ => Chart::continuous(title, &columns),
        });
    }
    charts
}

/// Means and quantiles of the descriptors.
fn descriptors(evaluation: &Evaluation) -> Table {
    let columns: Vec<(&str, &Judged)> =
        [("generated", Some(&evaluation.generated)), ("reference", evaluation.reference.as_ref())]
            .into_iter()
            .filter_map(|(name, judged)| Some((name, judged?)))
            .collect();
    let mut headings = Vec::new();
    for (name, _) in &columns {
        headings.extend([format!("{name}: mean"), "5 %".to_owned(), "median".to_owned(), "95 %".to_owned()]);
    }
    let mut rows = Vec::new();
    for (key, name, digits) in DESCRIPTORS {
        let whole = matches!(key, "heavy_atoms" | "rings");
        let figures: Vec<Option<Figure>> = columns
            .iter()
            .flat_map(|(_, judged)| match judged.descriptors.get(key) {
                Some(summary) => {
                    let mut figures = vec![Some(Figure {
                        value: number(summary.mean, digits),
                        error: Some(format!("± {}", number(summary.standard_error, digits))),
                        bar: None,
                    })];
                    let digits = if whole { 0 } else { digits };
                    figures.extend(
                        summary.quantiles.map(|quantile| Some(Figure::plain(number(quantile, digits)))),
                    );
                    figures
                }
                None => vec![None; 4],
            })
            .collect();
        if figures.iter().any(Option::is_some) {
            rows.push(Row { name: name.to_owned(), figures, note: String::new() });
        }
    }
    Table { columns: headings, rows }
}

fn gallery(shown: Vec<GalleryMember>, chemistry: &dyn Chemistry) -> Section {
    let mut calculator = DescriptorCalculator::new();
    let pictures = shown.into_iter().map(|GalleryMember { line, canonical }| {
        let drawing =
            chemistry.parse_smiles(&canonical).and_then(|graph| svg(&graph, PictureSize::default()));
        let caption = PerceivedMolecule::of_canonical(&canonical).map_or_else(
            |_| format!("line {line}"),
            |molecule| {
                let descriptors = calculator.calculate(&molecule);
                let log_p = number(descriptors.log_p, 2);
                format!("log P {log_p} \u{b7} QED {}", number(descriptors.drug_likeness, 2))
            },
        );
        Picture {
            svg: drawing.unwrap_or_else(|_| "<p>no drawing</p>".to_owned()),
            caption,
            description: format!("line {line}: {canonical}"),
        }
    });
    Section {
        heading: "Molecules".to_owned(),
        note: "A fair sample of the distinct molecules. Drawings have no stereo marks; the SMILES appears when the pointer rests on \
               one."
            .to_owned(),
        blocks: vec![Block::Pictures(pictures.collect())],
    }
}

fn problems(evaluation: &Evaluation) -> Option<Table> {
    let columns: Vec<(&str, &Judged)> = [("generated", Some(&evaluation.generated))]
        .into_iter()
        .chain([("reference", evaluation.reference.as_ref())])
        .filter_map(|(name, judged)| Some((name, judged.filter(|judged| judged.bad() + judged.blank > 0)?)))
        .collect();
    let mut kinds: Vec<_> = columns.iter().flat_map(|(_, judged)| judged.problems.keys()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let some =
        |count: Option<u64>| count.filter(|count| *count > 0).map(|count| Figure::plain(grouped(count)));
    let mut rows: Vec<Row> = kinds
        .into_iter()
        .map(|kind| Row {
            name: kind.description().to_owned(),
            figures: columns.iter().map(|(_, judged)| some(judged.problems.get(kind).copied())).collect(),
            note: String::new(),
        })
        .collect();
    if columns.iter().any(|(_, judged)| judged.blank > 0) {
        rows.push(Row {
            name: "blank".to_owned(),
            figures: columns.iter().map(|(_, judged)| some(Some(judged.blank))).collect(),
            note: String::new(),
        });
    }
    let columns = columns.into_iter().map(|(name, _)| name.to_owned()).collect();
    (!rows.is_empty()).then_some(Table { columns, rows })
}

fn colophon(evaluation: &Evaluation) -> Vec<(String, String)> {
    let path = |path: &std::path::Path| path.display().to_string();
    let bootstrap = &evaluation.bootstrap;
    let mut lines = vec![
        ("made by".to_owned(), format!("equidrift {} evaluate molecules", env!("CARGO_PKG_VERSION"))),
        ("chemistry".to_owned(), evaluation.chemistry.to_owned()),
        ("generated".to_owned(), path(&evaluation.generated.file)),
    ];
    if let Some(reference) = &evaluation.reference {
        lines.push(("reference".to_owned(), path(&reference.file)));
    } else if let Some(distances) = &evaluation.distances {
        lines.push(("reference".to_owned(), path(&distances.reference)));
    }
    if let Some(training) = &evaluation.training {
        let size = grouped(training.distinct as u64);
        lines.push(("training".to_owned(), format!("{} ({size} distinct)", path(&training.file))));
    }
    if evaluation.distances.is_some() && bootstrap.replicates > 0 {
        lines.push((
            "standard errors".to_owned(),
            format!(
                "of distances: {} random halves of {} groups, seed {}; of shares: binomial; of uniqueness: jackknife",
                bootstrap.replicates, bootstrap.groups, bootstrap.seed
            ),
        ));
    }
    lines
}
