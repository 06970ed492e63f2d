//! Generators against the published data sets and the properties that define them.

use std::collections::BTreeMap;

use equidrift_graph::generators::{Grid, Planar, RECIPES, Recipe, delaunay, draw_set, recipe};
use equidrift_graph::mmd::{Bootstrap, Protocol, Resampling, Sample, squared_mmd};
use equidrift_graph::random::Random;
use equidrift_graph::{Graph, Statistic, is_connected, sorted_edges};

use crate::files::content;
use crate::reference::data_set;

fn set(name: &str, count: u64, seed: u64) -> Vec<Graph> {
    draw_set(&*recipe(name).unwrap(), 0..count, seed).collect()
}

fn mean(values: impl Iterator<Item = usize>) -> f64 {
    let values: Vec<f64> = values.map(|value| value as f64).collect();
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn a_graph_depends_on_recipe_seed_and_number_alone() {
    for name in RECIPES {
        let all: Vec<_> = set(name, 6, 5).iter().map(content).collect();
        let late: Vec<_> = draw_set(&*recipe(name).unwrap(), 4..6, 5).map(|graph| content(&graph)).collect();
        assert_eq!(all[4..], late, "{name}");
        assert_ne!(all, set(name, 6, 6).iter().map(content).collect::<Vec<_>>(), "{name}");
        // Drawn once and kept: a change of these numbers changes everybody's data sets.
        let digest = all.iter().fold(0_u64, |digest, (nodes, edges)| {
            let numbers = edges.iter().flat_map(|edge| [edge.0, edge.1]).chain([*nodes]);
            numbers.fold(digest, |digest, number| digest.wrapping_mul(0x0100_0000_01b3) ^ number as u64)
        });
        let expected = KEPT.iter().find(|(kept, _)| *kept == name).unwrap().1;
        assert_eq!(digest, expected, "{name}: {digest:#x}");
    }
    assert!(recipe("unknown").is_none());
}

const KEPT: [(&str, u64); 5] = [
    ("community_small", 0x3034_0e5f_65c8_4855),
    ("grid", 0xf0d1_13bd_3101_c499),
    ("planar", 0x4a6f_25af_8b7b_c222),
    ("sbm", 0x4baa_0f1a_6350_cf33),
    ("tree", 0xa6f9_d9d9_0110_7581),
];

#[test]
fn communities_are_like_the_published_ones() {
    let drawn = set("community_small", 2_000, 1);
    assert!(drawn.iter().all(is_connected));
    // Sizes and bridges, by halves: the published files have the communities one after the other as well.
    let bridges = |graph: &Graph| {
        let half = graph.node_count() / 2;
        sorted_edges(graph).iter().filter(|(a, b)| (*a < half) != (*b < half)).count()
    };
    let sizes: BTreeMap<usize, usize> = drawn.iter().fold(BTreeMap::new(), |mut sizes, graph| {
        *sizes.entry(graph.node_count()).or_default() += 1;
        sizes
    });
    assert_eq!(sizes.keys().copied().collect::<Vec<_>>(), [12, 14, 16, 18, 20]);
    // 12..=20 with the odd ones losing a node: 12, 14, 16, 18 twice as often as 20.
    assert!((sizes[&12] as f64 / 2_000.0 - 2.0 / 9.0).abs() < 0.04, "{sizes:?}");
    assert!((sizes[&20] as f64 / 2_000.0 - 1.0 / 9.0).abs() < 0.03, "{sizes:?}");
    let inside = |graph: &Graph| (graph.edge_count() - bridges(graph)) as f64;
    let pairs = |graph: &Graph| (graph.node_count() / 2 * (graph.node_count() / 2 - 1)) as f64;
    let density = drawn.iter().map(inside).sum::<f64>() / drawn.iter().map(pairs).sum::<f64>();
    assert!((density - 0.7).abs() < 0.01, "{density}");

    let (Some(published), Some(comm20)) = (data_set("community_small", None), data_set("comm20", None))
    else {
        return;
    };
    let (ours, theirs) =
        (mean(drawn.iter().map(bridges)), mean(published.iter().chain(&comm20).map(bridges)));
    println!("bridges a graph {ours:.3}, published {theirs:.3}; density inside {density:.3}");
    // 200 published graphs, of standard deviation about 0.5 bridges: 3 standard errors.
    assert!((ours - theirs).abs() < 0.11, "{ours} {theirs}");
    // The published graphs of one size share their two communities, see the module's documentation.
    let mut pairs_of_communities: Vec<_> = published
        .iter()
        .map(|graph| {
            let half = graph.node_count() / 2;
            let mut edges = sorted_edges(graph);
            edges.retain(|(a, b)| (*a < half) == (*b < half));
            (graph.node_count(), edges)
        })
        .collect();
    pairs_of_communities.sort_unstable();
    pairs_of_communities.dedup();
    assert_eq!(pairs_of_communities.len(), 5);
}

#[test]
fn grids_are_the_published_ones() {
    let shapes =
        |graphs: &[Graph]| -> Vec<(usize, Vec<(usize, usize)>)> { graphs.iter().map(content).collect() };
    let drawn = set("grid", 300, 1);
    let possible: Vec<_> = (10..20)
        .flat_map(|rows| (10..20).map(move |columns| content(&Grid::of_shape(rows, columns))))
        .collect();
    assert!(shapes(&drawn).iter().all(|graph| possible.contains(graph)));
    let mut different = shapes(&drawn);
    different.sort_unstable();
    different.dedup();
    // 100 shapes, 300 draws: each is missed with probability 0.05.
    assert!((88..=100).contains(&different.len()), "{}", different.len());
    let Some(published) = data_set("grid", None) else { return };
    assert!(shapes(&published).iter().all(|graph| possible.contains(graph)));
}

#[test]
fn triangulations_keep_eulers_formula_and_empty_circles() {
    for number in 0..30 {
        let nodes = [3, 4, 7, 20, 64, 150][number as usize % 6];
        let points = Planar { nodes }.points(&mut Random::keyed(11, &[number]));
        let found = delaunay(&points);
        // Edges that bound one triangle only are the hull.
        let mut sides: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for [a, b, c] in &found.triangles {
            for (a, b) in [(a, b), (b, c), (c, a)] {
                *sides.entry((*a.min(b), *a.max(b))).or_default() += 1;
            }
        }
        let hull = sides.values().filter(|count| **count == 1).count();
        assert!(sides.values().all(|count| *count <= 2) && hull >= 3);
        assert_eq!(found.triangles.len(), 2 * nodes - 2 - hull, "{nodes} nodes");
        assert_eq!(found.edges.len(), 3 * nodes - 3 - hull, "{nodes} nodes");
        assert_eq!(sides.into_keys().collect::<Vec<_>>(), found.edges);
        for triangle in &found.triangles {
            let [centre, radius] = circle(triangle.map(|corner| points[corner].map(f64::from)));
            for (number, point) in points.iter().enumerate() {
                let distance = (f64::from(point[0]) - centre[0]).hypot(f64::from(point[1]) - centre[1]);
                assert!(
                    triangle.contains(&number) || distance > radius[0] * (1.0 - 1e-9),
                    "{triangle:?} {number}"
                );
            }
        }
    }
}

/// Centre, and radius twice, of the circle through three points.
fn circle([a, b, c]: [[f64; 2]; 3]) -> [[f64; 2]; 2] {
    let (bx, by, cx, cy) = (b[0] - a[0], b[1] - a[1], c[0] - a[0], c[1] - a[1]);
    let d = 2.0 * (bx * cy - by * cx);
    let x = (cy * (bx * bx + by * by) - by * (cx * cx + cy * cy)) / d;
    let y = (bx * (cx * cx + cy * cy) - cx * (bx * bx + by * by)) / d;
    [[a[0] + x, a[1] + y], [x.hypot(y); 2]]
}

#[test]
fn drawn_sets_are_as_near_to_the_published_ones_as_these_to_themselves() {
    for name in ["planar", "sbm"] {
        let (Some(train), Some(test)) =
            (data_set(name, Some("spectre:train")), data_set(name, Some("spectre:test")))
        else {
            return;
        };
        let drawn = set(name, train.len() as u64, 2);
        for statistic in Statistic::ALL {
            let of = |graphs: &[Graph]| statistic.of_each(graphs, 2).unwrap();
            let (test, train, drawn) = (of(&test), of(&train), of(&drawn));
            let bootstrap = Bootstrap { replicates: 100, seed: 0 };
            let mmd = |first: &[Vec<f64>]| {
                let first = Sample { statistics: first, resampling: Resampling::Stream(0) };
                // Both sets are samples here.
                let second = Sample { statistics: &test, resampling: Resampling::Stream(1) };
                squared_mmd(Protocol::Spectre.kernel(statistic), first, second, bootstrap, 2)
                    .unwrap()
                    .estimate()
            };
            let (ours, floor) = (mmd(&drawn), mmd(&train));
            println!(
                "{name} {}: drawn {:.5}, floor {:.5} ± {:.5}",
                statistic.name(),
                ours.value,
                floor.value,
                floor.standard_error.unwrap()
            );
            assert!(
                ours.value < floor.value + 3.0 * floor.standard_error.unwrap(),
                "{name} {}",
                statistic.name()
            );
        }
    }
}

#[test]
fn sbm_and_planar_have_the_published_sizes() {
    let range = |graphs: &[Graph]| {
        let nodes = graphs.iter().map(Graph::node_count);
        (nodes.clone().min().unwrap(), nodes.max().unwrap())
    };
    let planar = set("planar", 200, 3);
    assert!(planar.iter().all(|graph| is_connected(graph) && graph.node_count() == 64));
    let sbm = set("sbm", 200, 3);
    assert!(range(&sbm).0 >= 40 && range(&sbm).1 <= 200, "{:?}", range(&sbm));
    let connected = sbm.iter().filter(|graph| is_connected(*graph)).count();
    assert!((185..=200).contains(&connected), "{connected} of 200 connected");
    let Some(published) = data_set("planar", None) else { return };
    let edges = |graphs: &[Graph]| mean(graphs.iter().map(Graph::edge_count));
    // Standard deviation of the edges about 1.7: four standard errors of the difference.
    assert!((edges(&planar) - edges(&published)).abs() < 0.7, "{} {}", edges(&planar), edges(&published));
    assert!(Planar { nodes: 2_000 }.draw(&mut Random::keyed(0, &[])).edge_count() > 5_900);
}
