//! Planarity, blocks and isomorphism against independent answers.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use equidrift_graph::generators::{Grid, Planar, Recipe, StochasticBlockModel, Tree, draw_set};
use equidrift_graph::isomorphism::{fingerprint, isomorphism_within};
use equidrift_graph::random::Random;
use equidrift_graph::validity::block_fit::{Blocks, description_length, fit};
use equidrift_graph::validity::planarity::is_planar;
use equidrift_graph::validity::stochastic_block_model::passes;
use equidrift_graph::{Adjacency, Family, Graph, Isomorphism, graph_from_edges, isomorphism, sorted_edges};

use crate::graphs::{complete, cycle, random_graph, star};
use crate::reference::data_set;

/// Edges as a set, for graphs of a few nodes that are contracted.
type Edges = BTreeSet<(usize, usize)>;

/// Planarity of a small graph by Wagner's theorem: no minor K5 or K3,3, searched through all contractions.
fn is_planar_by_minors(nodes: &BTreeSet<usize>, edges: &Edges, seen: &mut BTreeSet<Edges>) -> bool {
    if edges.len() < 9 || !seen.insert(edges.clone()) {
        return true;
    }
    let joined = |a: usize, b: usize| edges.contains(&(a.min(b), a.max(b)));
    let list: Vec<usize> = nodes.iter().copied().collect();
    for set in subsets(&list, 5) {
        if set.iter().all(|a| set.iter().all(|b| a == b || joined(*a, *b))) {
            return false;
        }
    }
    for set in subsets(&list, 6) {
        for side in subsets(&set[1..], 2) {
            let first = [set[0], side[0], side[1]];
            let second: Vec<usize> = set.iter().copied().filter(|node| !first.contains(node)).collect();
            if first.iter().all(|a| second.iter().all(|b| joined(*a, *b))) {
                return false;
            }
        }
    }
    edges.iter().all(|&(keep, gone)| {
        let moved = |node: usize| if node == gone { keep } else { node };
        let contracted = edges.iter().map(|(a, b)| (moved(*a), moved(*b))).filter(|(a, b)| a != b);
        let contracted: Edges = contracted.map(|(a, b)| (a.min(b), a.max(b))).collect();
        let nodes = nodes.iter().copied().filter(|node| *node != gone).collect();
        is_planar_by_minors(&nodes, &contracted, seen)
    })
}

fn subsets(items: &[usize], size: usize) -> Vec<Vec<usize>> {
    if size == 0 {
        return vec![Vec::new()];
    }
    (0..items.len())
        .flat_map(|place| {
            let rest = subsets(&items[place + 1..], size - 1);
            rest.into_iter().map(move |rest| [vec![items[place]], rest].concat())
        })
        .collect()
}

#[test]
fn planarity_equals_wagners_theorem_on_small_graphs() {
    let mut planar = 0;
    for number in 0..600 {
        let nodes = 5 + number as usize % 4;
        let graph = random_graph(nodes, [0.5, 0.6, 0.7, 0.8][number as usize / 4 % 4], number);
        let edges: Edges = sorted_edges(&graph).into_iter().collect();
        let expected = is_planar_by_minors(&(0..nodes).collect(), &edges, &mut BTreeSet::new());
        assert_eq!(is_planar(&Adjacency::new(&graph)), expected, "graph {number}: {edges:?}");
        planar += usize::from(expected);
    }
    assert!((150..450).contains(&planar), "{planar} of 600 planar: too one-sided a test");
}

#[test]
fn planarity_of_known_graphs() {
    let planar = |graph: &Graph| is_planar(&Adjacency::new(graph));
    let bipartite = graph_from_edges(6, (0..3).flat_map(|a| (3..6).map(move |b| (a, b)))).unwrap();
    assert!(planar(&complete(4)) && !planar(&complete(5)) && !planar(&bipartite) && !planar(&petersen()));
    assert!(planar(&Grid::of_shape(40, 50)) && planar(&star(5)) && planar(&graph_from_edges(0, []).unwrap()));
    // A path of a million nodes does not exhaust the stack.
    assert!(planar(&graph_from_edges(1_000_000, (1..1_000_000).map(|node| (node - 1, node))).unwrap()));
    // A subdivided K3,3 among planar parts.
    let mut edges: Vec<(usize, usize)> = sorted_edges(&Grid::of_shape(10, 10));
    for (place, (a, b)) in sorted_edges(&bipartite).into_iter().enumerate() {
        edges.extend([(100 + a, 200 + place), (200 + place, 100 + b)]);
    }
    assert!(!planar(&graph_from_edges(300, edges).unwrap()));
}

fn petersen() -> Graph {
    let edges = (0..5).flat_map(|i| [(i, (i + 1) % 5), (i, i + 5), (i + 5, (i + 2) % 5 + 5)]);
    graph_from_edges(10, edges).unwrap()
}

#[test]
fn triangulations_are_planar_and_one_edge_more_decides() {
    // With an edge more a triangulation may or may not stay planar: NetworkX knows, where it is at hand.
    let mut graphs = Vec::new();
    for number in 0..150 {
        let random = &mut Random::keyed(21, &[number]);
        let nodes = 8 + random.below(120);
        let base = Planar { nodes }.draw(random);
        assert!(is_planar(&Adjacency::new(&base)));
        let mut edges = sorted_edges(&base);
        // Thinned, so that the number of edges alone does not tell.
        edges.retain(|_| !random.happens(0.3));
        for _ in 0..number % 3 {
            let (a, b) = (random.below(nodes), random.below(nodes));
            let edge = (a.min(b), a.max(b));
            if a != b && !edges.contains(&edge) {
                edges.push(edge);
            }
        }
        graphs.push(graph_from_edges(nodes, edges).unwrap());
    }
    graphs.extend((0..150).map(|number| random_graph(30, 0.055, number)));
    let ours: Vec<bool> = graphs.iter().map(|graph| is_planar(&Adjacency::new(graph))).collect();
    let count = ours.iter().filter(|planar| **planar).count();
    assert!((60..280).contains(&count), "{count} of {} planar", ours.len());
    let script = "import sys, json, networkx as nx\n\
                  print(json.dumps([nx.check_planarity(nx.Graph([tuple(e) for e in g]))[0] for g in json.load(sys.stdin)]))";
    let edges: Vec<_> = graphs.iter().map(sorted_edges).collect();
    let Some(answer) = python("networkx", script, &serde_json::to_vec(&edges).unwrap()) else { return };
    assert_eq!(serde_json::from_slice::<Vec<bool>>(&answer).unwrap(), ours);
    println!("{count} of {} planar, as NetworkX finds", ours.len());
}

/// What a Python programme prints, where Python with a package is at hand.
fn python(package: &str, script: &str, input: &[u8]) -> Option<Vec<u8>> {
    let python = std::env::var("EQUIDRIFT_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let present = Command::new(&python).args(["-c", &format!("import {package}")]).output();
    if !present.is_ok_and(|output| output.status.success()) {
        println!("skipped: no Python with {package}");
        return None;
    }
    let mut child = Command::new(python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(output.stdout)
}

#[test]
fn the_published_sets_are_valid() {
    for (name, family) in [("planar", Family::Planar), ("sbm", Family::Sbm)] {
        let Some(graphs) = data_set(name, None) else { return };
        let start = Instant::now();
        let valid = graphs.iter().filter(|graph| family.contains(&Adjacency::new(graph))).count();
        println!("{name}: {valid} of {} valid, {:?}", graphs.len(), start.elapsed());
        if family == Family::Planar {
            assert_eq!(valid, graphs.len());
        }
        for part in ["spectre:train", "digress:train"] {
            let graphs = data_set(name, Some(part)).unwrap_or_default();
            let valid = graphs.iter().filter(|graph| family.contains(&Adjacency::new(graph))).count();
            println!("{name} {part}: {valid} of {} valid", graphs.len());
        }
        for other in Family::ALL.into_iter().filter(|other| *other != family) {
            let valid = graphs.iter().filter(|graph| other.contains(&Adjacency::new(graph))).count();
            println!("{name} as {}: {valid} of {} valid", other.name(), graphs.len());
            // SPECTRE's test of block models is generous: it lets some triangulations pass.
            assert!(valid <= if other == Family::Sbm { 20 } else { 0 }, "{name} {}", other.name());
        }
    }
    let trees: Vec<Graph> = draw_set(&Tree::default(), 0..50, 1).collect();
    assert!(trees.iter().all(|tree| Family::Tree.contains(&Adjacency::new(tree))));
    assert!(trees.iter().all(|tree| Family::Planar.contains(&Adjacency::new(tree))));
}

/// A stochastic block model with its blocks.
fn planted(seed: u64) -> (Graph, Vec<usize>) {
    let random = &mut Random::keyed(seed, &[0x5b]);
    let blocks = 2 + random.below(4);
    let of_node: Vec<usize> =
        (0..blocks).flat_map(|block| std::iter::repeat_n(block, 20 + random.below(21))).collect();
    let model = StochasticBlockModel::default();
    let mut edges = Vec::new();
    for a in 0..of_node.len() {
        for b in 0..a {
            let probability = if of_node[a] == of_node[b] { model.inside } else { model.between };
            if random.happens(probability) {
                edges.push((b, a));
            }
        }
    }
    (graph_from_edges(of_node.len(), edges).unwrap(), of_node)
}

#[test]
fn planted_blocks_are_found() {
    let (mut exact, mut shorter, mut agree) = (0, 0, 0);
    let count = 60;
    for seed in 0..count {
        let (graph, of_node) = planted(seed);
        let graph = Adjacency::new(&graph);
        let found = fit(&graph);
        let (ours, truth) =
            (description_length(&graph, &found.of_node), description_length(&graph, &of_node));
        exact += u64::from(ours == truth);
        shorter += u64::from(ours < truth);
        assert!(ours <= truth + 1e-9, "seed {seed}: {ours} is longer than the truth's {truth}");
        agree += u64::from(passes(&found) == passes(&Blocks::new(&graph, of_node)));
    }
    println!(
        "of {count}: {exact} the planted blocks, {shorter} of shorter description; {agree} with the same verdict"
    );
    assert!(exact >= 35 && agree >= 57, "{exact} {agree}");
}

#[test]
fn other_graphs_are_no_block_models() {
    let contains = |graph: &Graph| Family::Sbm.contains(&Adjacency::new(graph));
    for seed in 0..5 {
        assert!(!contains(&random_graph(100, 0.1, seed)), "one block");
        assert!(!contains(&random_graph(30, 0.3, seed)), "too small");
        assert!(!contains(&random_graph(201, 0.01, seed)), "too large");
    }
    assert!(!contains(&Grid::of_shape(10, 10)) && !contains(&complete(50)) && !contains(&cycle(100)));
}

fn permuted(graph: &Graph, seed: u64) -> Graph {
    let mut order: Vec<usize> = (0..graph.node_count()).collect();
    let random = &mut Random::keyed(seed, &[1]);
    random.shuffle(&mut order);
    let mut edges: Vec<_> = sorted_edges(graph).into_iter().map(|(a, b)| (order[a], order[b])).collect();
    random.shuffle(&mut edges);
    graph_from_edges(order.len(), edges).unwrap()
}

fn compare(first: &Graph, second: &Graph) -> Isomorphism {
    isomorphism(&Adjacency::new(first), &Adjacency::new(second))
}

#[test]
fn isomorphism_equals_petgraphs_on_small_graphs() {
    let mut same = 0;
    for number in 0..4_000 {
        let nodes = 4 + number as usize % 4;
        let first = random_graph(nodes, 0.45, 2 * number);
        let second = random_graph(nodes, 0.45, 2 * number + 1);
        let expected = petgraph::algo::is_isomorphic(&first, &second);
        let expected = if expected { Isomorphism::Isomorphic } else { Isomorphism::Different };
        assert_eq!(compare(&first, &second), expected, "pair {number}");
        same += usize::from(expected == Isomorphism::Isomorphic);
        let print = |graph: &Graph| fingerprint(&Adjacency::new(graph));
        assert!(expected == Isomorphism::Different || print(&first) == print(&second));
    }
    assert!(same > 40, "{same} pairs isomorphic: too one-sided a test");
}

#[test]
fn permuted_graphs_of_every_set_are_recognised() {
    let mut graphs = vec![complete(40), cycle(60), star(300), petersen(), graph_from_edges(50, []).unwrap()];
    graphs.extend(draw_set(&Tree::default(), 0..10, 2));
    for name in ["community_small", "enzymes", "grid", "planar", "sbm"] {
        graphs.extend(data_set(name, None).unwrap_or_default().into_iter().step_by(7));
    }
    let start = Instant::now();
    for (number, graph) in (0..).zip(&graphs) {
        let other = permuted(graph, number);
        assert_eq!(compare(graph, &other), Isomorphism::Isomorphic, "graph {number}");
        let prints = [graph, &other].map(|graph| fingerprint(&Adjacency::new(graph)));
        assert_eq!(prints[0], prints[1], "graph {number}");
        // One edge moved.
        let mut edges = sorted_edges(&other);
        let absent =
            (0..other.node_count()).find_map(|a| (0..a).map(|b| (b, a)).find(|e| !edges.contains(e)));
        if let (Some(absent), false) = (absent, edges.is_empty()) {
            edges[0] = absent;
            let changed = graph_from_edges(other.node_count(), edges).unwrap();
            let expected = petgraph_if_small(graph, &changed);
            assert!(expected.is_none_or(|e| compare(graph, &changed) == e), "graph {number}");
        }
    }
    println!("{} graphs in {:?}", graphs.len(), start.elapsed());
}

fn petgraph_if_small(first: &Graph, second: &Graph) -> Option<Isomorphism> {
    (first.node_count() <= 20).then(|| match petgraph::algo::is_isomorphic(first, second) {
        true => Isomorphism::Isomorphic,
        false => Isomorphism::Different,
    })
}

#[test]
fn regular_graphs_are_told_apart_or_given_up_in_time() {
    let disjoint = |parts: &[Graph]| {
        let mut edges = Vec::new();
        let mut nodes = 0;
        for part in parts {
            edges.extend(sorted_edges(part).into_iter().map(|(a, b)| (a + nodes, b + nodes)));
            nodes += part.node_count();
        }
        graph_from_edges(nodes, edges).unwrap()
    };
    assert_eq!(compare(&cycle(6), &disjoint(&[cycle(3), cycle(3)])), Isomorphism::Different);
    let many: Vec<Graph> = (0..40).map(|_| cycle(5)).collect();
    assert_eq!(compare(&disjoint(&many), &permuted(&disjoint(&many), 3)), Isomorphism::Isomorphic);
    // Two strongly regular graphs of 16 nodes with the same parameters: the rook's graph and Shrikhande's.
    let cell = |number: usize| (number / 4, number % 4);
    let of_rule = |rule: &dyn Fn(usize, usize) -> bool| {
        let pairs = (0..16).flat_map(|a| (0..a).map(move |b| (a, b)));
        graph_from_edges(
            16,
            pairs
                .filter(|(a, b)| {
                    let ((a, b), (c, d)) = (cell(*a), cell(*b));
                    rule((4 + a - c) % 4, (4 + b - d) % 4)
                })
                .collect::<Vec<_>>(),
        )
        .unwrap()
    };
    let rook = of_rule(&|x, y| (x == 0) != (y == 0));
    let shrikhande = of_rule(&|x, y| [(0, 1), (0, 3), (1, 0), (3, 0), (1, 1), (3, 3)].contains(&(x, y)));
    assert_eq!((rook.edge_count(), shrikhande.edge_count()), (48, 48));
    assert_eq!(compare(&rook, &shrikhande), Isomorphism::Different);
    assert_eq!(compare(&shrikhande, &permuted(&shrikhande, 1)), Isomorphism::Isomorphic);
    let [first, second] = [&rook, &shrikhande].map(Adjacency::new);
    assert_eq!(isomorphism_within(&first, &second, 1_000), Isomorphism::Undecided);
}
