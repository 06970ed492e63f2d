//! Statistics against brute force, NetworkX's definitions and the reference.

use equidrift_graph::statistics::{clustering, degree, orbits, spectrum};
use equidrift_graph::{Adjacency, Graph, Statistic, graph_from_edges};

use crate::graphs::{complete, cycle, random_graph, star};
use crate::reference::{data_set, reference_file};

/// Orbit counts by looking at every set of 2, 3 and 4 nodes.
fn brute_force(graph: &Adjacency) -> Vec<[u64; 15]> {
    let nodes = graph.nodes();
    let joined = |a: usize, b: usize| graph.slot(a, b).is_some();
    let mut counts = vec![[0; 15]; nodes];
    let mut look_at = |set: &[usize]| {
        let degrees: Vec<usize> =
            set.iter().map(|a| set.iter().filter(|b| a != *b && joined(*a, **b)).count()).collect();
        let mut sorted = degrees.clone();
        sorted.sort_unstable();
        for (&node, degree) in set.iter().zip(&degrees) {
            let orbit = match (sorted.as_slice(), degree) {
                ([1, 1], _) => 0,
                ([1, 1, 2], 1) => 1,
                ([1, 1, 2], _) => 2,
                ([2, 2, 2], _) => 3,
                ([1, 1, 2, 2], 1) => 4,
                ([1, 1, 2, 2], _) => 5,
                ([1, 1, 1, 3], 1) => 6,
                ([1, 1, 1, 3], _) => 7,
                ([2, 2, 2, 2], _) => 8,
                ([1, 2, 2, 3], 1) => 9,
                ([1, 2, 2, 3], 2) => 10,
                ([1, 2, 2, 3], _) => 11,
                ([2, 2, 3, 3], 2) => 12,
                ([2, 2, 3, 3], _) => 13,
                ([3, 3, 3, 3], _) => 14,
                _ => continue, // not connected
            };
            counts[node][orbit] += 1;
        }
    };
    for a in 0..nodes {
        for b in 0..a {
            look_at(&[a, b]);
            for c in 0..b {
                look_at(&[a, b, c]);
                for d in 0..c {
                    look_at(&[a, b, c, d]);
                }
            }
        }
    }
    counts
}

#[test]
fn orbit_counts_equal_brute_force_on_500_random_graphs() {
    for number in 0..500 {
        // Some with more neighbours than a word has bits.
        let nodes = if number < 494 { 1 + number as usize % 24 } else { 72 };
        let density = [0.05, 0.15, 0.3, 0.5, 0.8, 0.97][number as usize % 6];
        let graph = Adjacency::new(&random_graph(nodes, density, number));
        assert_eq!(
            orbits::counts(&graph),
            brute_force(&graph),
            "graph {number}: {nodes} nodes, density {density}"
        );
    }
}

#[test]
fn orbit_counts_of_known_graphs() {
    let counts = |graph: Graph| orbits::counts(&Adjacency::new(&graph));
    let choose = |n: u64, k: u64| (0..k).fold(1, |product, i| product * (n - i) / (i + 1));
    let hub = counts(star(1_000))[0];
    assert_eq!((hub[0], hub[2], hub[7]), (1_000, choose(1_000, 2), choose(1_000, 3)));
    // More than one word of bits.
    for nodes in [30, 200] {
        let of_complete = counts(complete(nodes as usize))[17];
        let (three, four) = (choose(nodes - 1, 2), choose(nodes - 1, 3));
        let total = of_complete.iter().sum::<u64>();
        assert_eq!((of_complete[3], of_complete[14], total), (three, four, nodes - 1 + three + four));
    }
    let of_cycle = counts(cycle(9))[4];
    assert_eq!(of_cycle, [2, 2, 1, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(counts(cycle(4))[0][8], 1);
    assert!(counts(graph_from_edges(0, []).unwrap()).is_empty());
    assert_eq!(counts(graph_from_edges(2, []).unwrap()), [[0; 15]; 2]);
}

#[test]
fn a_star_of_a_hundred_thousand_leaves_takes_no_time() {
    // A counter that walks all paths of two steps would take 10^10 of them.
    let counts = orbits::counts(&Adjacency::new(&star(100_000)));
    assert_eq!(counts[1][6], 99_999 * 99_998 / 2);
}

#[test]
fn the_statistics_of_the_reference_graphs() {
    let Some(path) = reference_file("gdss/mmd.golden.json") else { return };
    let golden: serde_json::Value = serde_json::from_reader(std::fs::File::open(path).unwrap()).unwrap();
    for (name, set) in golden.as_object().unwrap() {
        let graph = crate::graphs::from_json(&set["pred"][0]);
        let adjacency = Adjacency::new(&graph);
        let expected = &set["pred0"];
        let numbers = |value: &serde_json::Value| -> Vec<f64> {
            value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
        };
        let sparse = |value: &serde_json::Value, bins: usize| {
            let mut dense = vec![0.0; bins];
            for (bin, count) in value.as_object().unwrap() {
                dense[bin.parse::<usize>().unwrap()] = count.as_f64().unwrap();
            }
            dense
        };
        assert_eq!(degree::histogram(&adjacency), numbers(&expected["degree_hist"]), "{name}");
        let coefficients = clustering::coefficients(&adjacency);
        for (found, expected) in coefficients.iter().zip(numbers(&expected["clustering"])) {
            assert!((found - expected).abs() < 1e-15, "{name}: {found} {expected}");
        }
        assert_eq!(
            clustering::histogram(&adjacency),
            sparse(&expected["clustering_hist_nonzero"], 100),
            "{name}"
        );
        let expected_orbits: Vec<[u64; 15]> =
            serde_json::from_value(expected["orbit_counts_per_node"].clone()).unwrap();
        assert_eq!(orbits::counts(&adjacency), expected_orbits, "{name}");
        for (found, expected) in orbits::mean(&adjacency).iter().zip(numbers(&expected["orbit_mean"])) {
            assert!((found - expected).abs() < 1e-12, "{name}: {found} {expected}");
        }
        let spectral = spectrum::histogram(&adjacency).unwrap();
        let total: f64 = spectral.iter().sum();
        let expected = sparse(&expected["spectral_pmf_nonzero"], 200);
        let moved: f64 = spectral.iter().zip(expected).map(|(a, b)| (a / total - b).abs()).sum::<f64>() / 2.0;
        println!("{name}: {moved} of the eigenvalues in another interval");
        // An eigenvalue may sit on the end of an interval.
        assert!(moved <= 1.0 / graph.node_count() as f64 + 1e-12, "{name}: {moved}");
    }
}

#[test]
fn eigenvalues_of_known_graphs() {
    let eigenvalues = |graph: Graph| spectrum::eigenvalues(&Adjacency::new(&graph)).unwrap();
    let close = |found: Vec<f64>, expected: Vec<f64>| {
        assert_eq!(found.len(), expected.len());
        found
            .iter()
            .zip(&expected)
            .for_each(|(a, b)| assert!((a - b).abs() < 1e-12, "{found:?} {expected:?}"));
    };
    // Complete: 0 and n/(n-1); star: 0, 1, 2; cycle: 1 - cos(2 pi k / n).
    close(eigenvalues(complete(6)), [vec![0.0], vec![1.2; 5]].concat());
    close(eigenvalues(star(5)), vec![0.0, 1.0, 1.0, 1.0, 1.0, 2.0]);
    let mut of_cycle: Vec<f64> =
        (0..7).map(|k| 1.0 - (std::f64::consts::TAU * f64::from(k) / 7.0).cos()).collect();
    of_cycle.sort_unstable_by(f64::total_cmp);
    close(eigenvalues(cycle(7)), of_cycle);
    close(eigenvalues(graph_from_edges(3, [(0, 2)]).unwrap()), vec![0.0, 0.0, 2.0]);
    assert!(eigenvalues(graph_from_edges(0, []).unwrap()).is_empty());
    let large = Adjacency::new(&graph_from_edges(spectrum::MOST_NODES + 1, []).unwrap());
    assert!(spectrum::eigenvalues(&large).is_err());
}

#[test]
fn every_data_set_is_described_in_seconds() {
    for name in ["community_small", "enzymes", "grid", "planar", "sbm"] {
        let Some(graphs) = data_set(name, None) else { return };
        for statistic in Statistic::ALL {
            let start = std::time::Instant::now();
            let described = statistic.of_each(&graphs, 1).unwrap();
            assert_eq!(described, statistic.of_each(&graphs, 3).unwrap());
            println!("{name}: {} graphs, {} {:?}", graphs.len(), statistic.name(), start.elapsed());
            let eigenvalues: f64 = described.iter().flatten().sum();
            let nodes: usize = graphs.iter().map(Graph::node_count).sum();
            assert!(
                statistic == Statistic::Orbit || eigenvalues == nodes as f64,
                "{name} {}",
                statistic.name()
            );
        }
    }
}
