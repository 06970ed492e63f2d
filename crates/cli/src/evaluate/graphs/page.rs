//! The report: what there is to see of a set of graphs.

use equidrift_graph::draw::{PictureSize, svg};
use equidrift_graph::mmd::Estimate;
use equidrift_graph::random::Random;
use equidrift_graph::statistics::clustering;
use equidrift_graph::{Adjacency, Graph};

use super::figures::{Distances, Evaluation, Spread, Summary};
use super::reading::GraphSet;
use super::table::{kernel_name, number, percent, range, short};
use crate::report::{Bar, Block, Chart, Figure, Picture, Report, Row, Section, Table, Tile};

/// Drawings of generated graphs and of the reference's.
const SHOWN: [usize; 2] = [20, 10];

/// Which drawings are shown does not depend on the seed of the standard errors.
const GALLERY_SEED: u64 = 0;

/// Beyond this many different values a number is charted as a continuous quantity.
const MOST_BINS: u32 = 50;

/// The page.
pub(super) fn page(
    evaluation: &Evaluation,
    generated: &GraphSet,
    reference: Option<&GraphSet>,
    training: Option<&GraphSet>,
) -> Report {
    let sets: Vec<(&str, &GraphSet)> =
        [("generated", Some(generated)), ("reference", reference), ("training", training)]
            .into_iter()
            .filter_map(|(name, set)| Some((name, set?)))
            .collect();
    let mut report = Report {
        title: name_of(generated),
        subtitle: subtitle(evaluation, reference),
        tiles: tiles(evaluation),
        colophon: colophon(evaluation),
        ..Report::default()
    };
    report.sections.push(Section {
        heading: "Figures".to_owned(),
        note: "± is a standard error: how much a figure would change if other graphs were drawn. MMD depends on the sizes of the \
               sets, so compare figures of equal sizes only."
            .to_owned(),
        blocks: figures(evaluation),
    });
    report.sections.push(Section {
        heading: "Distributions".to_owned(),
        note: "Of all graphs, and of all their nodes.".to_owned(),
        blocks: vec![Block::Charts(charts(&sets))],
    });
    for ((name, set), shown) in sets.iter().zip(SHOWN) {
        report.sections.push(Section {
            heading: format!("Graphs, {name}"),
            note: "Some of them, drawn at random. Distances in the picture follow distances in the graph."
                .to_owned(),
            blocks: vec![Block::Pictures(pictures(set, shown))],
        });
    }
    report
}

fn name_of(set: &GraphSet) -> String {
    set.file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn subtitle(evaluation: &Evaluation, reference: Option<&GraphSet>) -> String {
    let mut text = format!("{} graphs", evaluation.generated.samples);
    if let (Some(reference), Some(summary)) = (reference, &evaluation.reference) {
        let part = summary.part.as_ref().map(|part| format!(" ({part})")).unwrap_or_default();
        text.push_str(&format!(", compared with {} of {}{part}", summary.graphs, name_of(reference)));
    }
    text
}

/// A share with its error, and a bar.
fn share(estimate: Estimate) -> Figure {
    let spread = estimate.standard_error.unwrap_or(0.0);
    let Estimate { value, .. } = estimate;
    Figure {
        bar: Some(Bar { value, low: value - spread, high: value + spread }),
        ..split(percent(Some(estimate)))
    }
}

/// A figure from a text of the table, value and error apart.
fn split(text: String) -> Figure {
    match text.split_once(" \u{b1} ") {
        Some((value, error)) => {
            Figure { value: value.to_owned(), error: Some(format!("\u{b1} {error}")), bar: None }
        }
        None => Figure::plain(text),
    }
}

fn tiles(evaluation: &Evaluation) -> Vec<Tile> {
    let mut tiles = Vec::new();
    if let Some(distances) = &evaluation.distances {
        for discrepancy in &distances.mmd {
            let training = discrepancy.training.map(|training| format!("training set {:.4}", training.value));
            tiles.push(Tile {
                name: format!("{} MMD", discrepancy.metric.name()),
                figure: discrepancy.generated.map_or_else(
                    || Figure::plain("-"),
                    |found| {
                        let error = found.standard_error.map(|error| format!("\u{b1} {error:.4}"));
                        Figure { value: format!("{:.4}", found.value), error, bar: None }
                    },
                ),
                note: training.unwrap_or_else(|| "less is better".to_owned()),
            });
        }
    }
    if let Some(shares) = &evaluation.vun.shares {
        let known = shares.valid.is_some() && shares.novel.is_some();
        let all = [
            ("valid", shares.valid),
            ("unique", Some(shares.unique)),
            ("novel", shares.novel),
            ("V.U.N.", Some(shares.vun).filter(|_| known)),
        ];
        for (name, estimate) in all {
            let kind = evaluation.vun.kind.filter(|_| name == "valid").map(|kind| kind.name().to_owned());
            tiles.extend(estimate.map(|estimate| Tile {
                name: name.to_owned(),
                figure: share(estimate),
                note: kind.unwrap_or_default(),
            }));
        }
    }
    tiles
}

fn figures(evaluation: &Evaluation) -> Vec<Block> {
    let mut blocks: Vec<Block> =
        evaluation.distances.iter().map(|distances| Block::Table(of_distances(distances))).collect();
    let columns: Vec<(&str, &Summary)> = [
        ("generated", Some(&evaluation.generated)),
        ("reference", evaluation.reference.as_ref()),
        ("training", evaluation.training.as_ref()),
    ]
    .into_iter()
    .filter_map(|(name, summary)| Some((name, summary?)))
    .collect();
    let row = |name: &str, note: &str, value: &dyn Fn(&Summary) -> Figure| Row {
        name: name.to_owned(),
        figures: columns.iter().map(|(_, summary)| Some(value(summary))).collect(),
        note: note.to_owned(),
    };
    let mean = |spread: &Option<Spread>| split(short(spread.as_ref().map(|spread| spread.mean)));
    let rows = vec![
        row("graphs", "that could be used", &|summary| Figure::plain(summary.graphs.to_string())),
        row(
            "bad graphs",
            "loops, edges twice, unknown nodes, ...; of the generated they count as invalid",
            &|summary| Figure::plain(summary.bad_graphs.len().to_string()),
        ),
        row("nodes, mean", "", &|summary| mean(&summary.nodes)),
        row("nodes, range", "", &|summary| Figure::plain(range(summary.nodes.as_ref()))),
        row("edges, mean", "", &|summary| mean(&summary.edges)),
        row("edges, range", "", &|summary| Figure::plain(range(summary.edges.as_ref()))),
        row("connected", "share of the graphs", &|summary| {
            summary.connected.map_or_else(|| Figure::plain("-"), share)
        }),
    ];
    blocks.push(Block::Table(Table {
        columns: columns.iter().map(|(name, _)| (*name).to_owned()).collect(),
        rows,
    }));
    blocks
}

fn of_distances(distances: &Distances) -> Table {
    let with_training = distances.mmd.iter().any(|discrepancy| discrepancy.training.is_some());
    let mut columns = vec!["MMD, generated"];
    if with_training {
        columns.extend(["MMD, training", "ratio"]);
    }
    let rows = distances.mmd.iter().map(|discrepancy| {
        let mut figures = vec![Some(split(number(discrepancy.generated)))];
        if with_training {
            figures
                .extend([Some(split(number(discrepancy.training))), Some(split(short(discrepancy.ratio)))]);
        }
        let kernel = kernel_name(distances.kernel);
        Row {
            name: discrepancy.metric.name().to_owned(),
            figures,
            note: format!("squared MMD, kernel of {kernel}"),
        }
    });
    Table { columns: columns.into_iter().map(str::to_owned).collect(), rows: rows.collect() }
}

fn charts(sets: &[(&str, &GraphSet)]) -> Vec<Chart> {
    let of_graphs = |size: fn(&Graph) -> usize| -> Vec<Vec<u32>> {
        sets.iter().map(|(_, set)| set.graphs.iter().map(|graph| size(graph) as u32).collect()).collect()
    };
    let adjacencies: Vec<Vec<Adjacency>> =
        sets.iter().map(|(_, set)| set.graphs.iter().map(Adjacency::new).collect()).collect();
    let of_nodes: Vec<Vec<u32>> = adjacencies
        .iter()
        .map(|set| {
            let degrees = |graph: &Adjacency| {
                (0..graph.nodes()).map(|node| graph.degree(node) as u32).collect::<Vec<_>>()
            };
            set.iter().flat_map(degrees).collect()
        })
        .collect();
    let coefficients: Vec<Vec<f32>> = adjacencies
        .iter()
        .map(|set| {
            let of_graph = |graph: &Adjacency| {
                clustering::coefficients(graph).into_iter().map(|c| c as f32).collect::<Vec<_>>()
            };
            set.iter().flat_map(of_graph).collect()
        })
        .collect();
    let names: Vec<&str> = sets.iter().map(|(name, _)| *name).collect();
    let clustering: Vec<(&str, &[f32])> =
        names.iter().copied().zip(coefficients.iter().map(Vec::as_slice)).collect();
    vec![
        whole_numbers("nodes", &names, &of_graphs(Graph::node_count)),
        whole_numbers("edges", &names, &of_graphs(Graph::edge_count)),
        whole_numbers("degree", &names, &of_nodes),
        Chart::continuous("clustering coefficient", &clustering),
    ]
}

/// A bin for each number, or bins of a continuous quantity where there would be too many.
fn whole_numbers(title: &str, names: &[&str], sets: &[Vec<u32>]) -> Chart {
    let all = || sets.iter().flatten().copied();
    if all().max().unwrap_or(0) - all().min().unwrap_or(0) < MOST_BINS {
        let sets: Vec<(&str, &[u32])> = names.iter().copied().zip(sets.iter().map(Vec::as_slice)).collect();
        return Chart::counts(title, &sets);
    }
    let values: Vec<Vec<f32>> =
        sets.iter().map(|set| set.iter().map(|value| *value as f32).collect()).collect();
    let sets: Vec<(&str, &[f32])> = names.iter().copied().zip(values.iter().map(Vec::as_slice)).collect();
    Chart::continuous(title, &sets)
}

fn pictures(set: &GraphSet, shown: usize) -> Vec<Picture> {
    let mut places: Vec<usize> = (0..set.graphs.len()).collect();
    Random::keyed(GALLERY_SEED, &[]).shuffle(&mut places);
    places.truncate(shown);
    places.sort_unstable();
    let picture = |place: usize| {
        let graph = &set.graphs[place];
        let size = format!("{} nodes, {} edges", graph.node_count(), graph.edge_count());
        let drawing = svg(&Adjacency::new(graph), PictureSize::default());
        Picture {
            svg: drawing.unwrap_or_else(|| "<p>too large to be drawn</p>".to_owned()),
            caption: format!("graph {}", set.numbers[place]),
            description: size,
        }
    };
    places.into_iter().map(picture).collect()
}

fn colophon(evaluation: &Evaluation) -> Vec<(String, String)> {
    let file = |summary: &Summary| match &summary.part {
        Some(part) => format!("{} ({part})", summary.file.display()),
        None => summary.file.display().to_string(),
    };
    let mut lines = vec![
        ("made by".to_owned(), format!("equidrift {} evaluate graphs", env!("CARGO_PKG_VERSION"))),
        ("generated".to_owned(), file(&evaluation.generated)),
    ];
    for (name, summary) in [("reference", &evaluation.reference), ("training", &evaluation.training)] {
        lines.extend(summary.as_ref().map(|summary| (name.to_owned(), file(summary))));
    }
    let bootstrap = &evaluation.bootstrap;
    lines.push((
        "standard errors".to_owned(),
        format!(
            "of MMD and ratios: bootstrap, {} replicates, seed {}; of shares: binomial; of unique and V.U.N.: jackknife",
            bootstrap.replicates, bootstrap.seed
        ),
    ));
    lines
}
