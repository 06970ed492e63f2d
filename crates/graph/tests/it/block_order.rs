//! The structural partial order against the published programme, its definition, and every numbering of the nodes.

use std::time::{Duration, Instant};

use equidrift_graph::block_order::{BlockDegree, BlockOrder, block_order};
use equidrift_graph::generators::{Planar, Recipe, StochasticBlockModel, Tree};
use equidrift_graph::random::Random;
use equidrift_graph::{AttributedGraph, Graph, graph_from_edges, sorted_edges};
use petgraph::graph::NodeIndex;
use serde_json::Value;

use crate::reference::reference_file;

fn numbers(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as usize).collect()
}

#[test]
fn the_published_orders_are_met() {
    let Some(path) = reference_file("pard/blocks.golden.json") else { return };
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut compared = 0;
    for golden in golden["graphs"].as_array().unwrap() {
        let edges = golden["edges"].as_array().unwrap().iter().map(numbers).map(|edge| (edge[0], edge[1]));
        let graph = graph_from_edges(golden["n"].as_u64().unwrap() as usize, edges).unwrap();
        for (hops, expected) in golden["orders"].as_object().unwrap() {
            let order = block_order(&graph, hops.parse().unwrap(), BlockDegree::OfLowestNode);
            let expected = BlockOrder {
                block: numbers(&expected["block_id"]),
                sizes: numbers(&expected["block_size"]),
                degrees: numbers(&expected["block_degree"]),
            };
            assert_eq!(order, expected, "{} with {hops} hops", golden["name"]);
            compared += 1;
        }
    }
    assert!(compared >= 1000, "{compared} orders");
    println!("{compared} orders are equal");
}

/// The definition, word for word; the degree is the smallest of a block.
fn by_definition(graph: &Graph, max_hops: usize) -> BlockOrder {
    let n = graph.node_count();
    let mut left: Vec<usize> = (0..n).collect();
    let mut order = BlockOrder { block: vec![0; n], sizes: Vec::new(), degrees: Vec::new() };
    let mut steps = Vec::new();
    while !left.is_empty() {
        let neighbours: Vec<Vec<usize>> = (0..n)
            .map(|node| graph.neighbors(NodeIndex::new(node)).map(|other| other.index()))
            .map(|others| others.filter(|other| left.contains(other)).collect())
            .collect();
        let (mut x, mut w) = (vec![1_u128; n], vec![0_u128; n]);
        for _ in 0..max_hops {
            x = (0..n).map(|i| x[i] + neighbours[i].iter().map(|&j| x[j]).sum::<u128>()).collect();
            (0..n).for_each(|i| w[i] = w[i] * n as u128 + x[i]);
        }
        let lightest = left.iter().map(|&node| w[node]).min().unwrap();
        let (block, rest): (Vec<usize>, Vec<usize>) = left.iter().partition(|&&node| w[node] == lightest);
        order.sizes.insert(0, block.len());
        order.degrees.insert(0, block.iter().map(|&node| neighbours[node].len()).min().unwrap());
        steps.push(block);
        left = rest;
    }
    for (block, nodes) in steps.iter().rev().enumerate() {
        nodes.iter().for_each(|&node| order.block[node] = block);
    }
    order
}

/// Chains and rings with hydrogen-like leaves, at most four bonds an atom.
fn like_a_molecule(random: &mut Random) -> Graph {
    let heavy = 2 + random.below(12);
    let mut free = vec![4; heavy];
    let mut edges = Vec::new();
    for node in 1..heavy {
        let other = node - 1 - random.below(node.min(3));
        if free[other] > 0 {
            edges.push((other, node));
            free[other] -= 1;
            free[node] -= 1;
        }
    }
    for _ in 0..random.below(3) {
        let (a, b) = (random.below(heavy), random.below(heavy));
        if a < b && free[a] > 0 && free[b] > 0 && !edges.contains(&(a, b)) {
            edges.push((a, b));
            free[a] -= 1;
            free[b] -= 1;
        }
    }
    let mut nodes = heavy;
    for (node, free) in free.iter().enumerate() {
        for _ in 0..random.below(free + 1) {
            edges.push((node, nodes));
            nodes += 1;
        }
    }
    graph_from_edges(nodes, edges).unwrap()
}

fn draw(kind: usize, random: &mut Random) -> Graph {
    match kind {
        0 => like_a_molecule(random),
        1 => Planar { nodes: 10 + random.below(54) }.draw(random),
        2 => {
            let blocks = StochasticBlockModel { block_nodes: 5..=14, ..StochasticBlockModel::default() };
            blocks.draw(random)
        }
        3 => Tree { nodes: 1 + random.below(80) }.draw(random),
        _ => {
            // Dense around a hub, with isolated nodes: members of one block with different degrees.
            let nodes = 2 + random.below(30);
            let pairs = (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b)));
            let edges: Vec<_> =
                pairs.filter(|(a, _)| random.happens(if *a == 0 { 0.9 } else { 0.1 })).collect();
            graph_from_edges(nodes, edges).unwrap()
        }
    }
}

#[test]
fn a_thousand_random_graphs_have_the_order_of_the_definition_under_every_numbering() {
    let mut blocks = 0;
    for number in 0..1000 {
        let mut random = Random::keyed(11, &[number]);
        let graph = draw(number as usize % 5, &mut random);
        let hops = random.below(5);
        let order = block_order(&graph, hops, BlockDegree::Smallest);
        assert_eq!(order, by_definition(&graph, hops), "graph {number}, {hops} hops");
        blocks += order.blocks();
        let edges = sorted_edges(&graph);
        for _ in 0..20 {
            let mut names: Vec<usize> = (0..graph.node_count()).collect();
            random.shuffle(&mut names);
            let mut edges: Vec<_> = edges.iter().map(|&(a, b)| (names[a], names[b])).collect();
            random.shuffle(&mut edges);
            // Attributes play no part.
            let mut relabelled = AttributedGraph::<usize, f64>::default();
            for node in 0..names.len() {
                relabelled.add_node(node);
            }
            for (a, b) in edges {
                relabelled.add_edge(NodeIndex::new(a), NodeIndex::new(b), random.uniform());
            }
            let again = block_order(&relabelled, hops, BlockDegree::Smallest);
            let block: Vec<_> = names.iter().map(|&name| again.block[name]).collect();
            assert_eq!(
                (block, &again.sizes, &again.degrees),
                (order.block.clone(), &order.sizes, &order.degrees)
            );
        }
    }
    println!("1000 graphs, {blocks} blocks, 20 numberings each");
}

/// Numbers of 64, 128 and more bits give one order where the fewest would do.
#[test]
fn many_hops_are_exact() {
    for number in 0..30 {
        let graph = draw(number as usize % 5, &mut Random::keyed(12, &[number]));
        for hops in [6, 12, 17] {
            // At most 128 nodes: the definition's numbers of 128 bits suffice.
            let order = block_order(&graph, hops, BlockDegree::Smallest);
            assert_eq!(order, by_definition(&graph, hops), "graph {number}, {hops} hops");
        }
    }
    // A cycle with a tail of length 40: only many hops see how far the tail is.
    let edges =
        (0..30).map(|node| (node, (node + 1) % 30)).chain([(0, 30)]).chain((30..69).map(|a| (a, a + 1)));
    let graph = graph_from_edges(70, edges).unwrap();
    let distances = block_order(&graph, 60, BlockDegree::Smallest);
    // All is peeled one by one from the tail, then the cycle falls at once.
    assert_eq!((distances.blocks(), distances.sizes[0]), (41, 30));
}

#[test]
fn a_hundred_thousand_nodes_take_seconds() {
    let n = 100_000;
    let mut random = Random::keyed(13, &[]);
    let path = graph_from_edges(n, (1..n).map(|node| (node - 1, node))).unwrap();
    let star = graph_from_edges(n, (1..n).map(|node| (0, node))).unwrap();
    let tree = Tree { nodes: n }.draw(&mut random);
    let side = 316;
    let grid = (0..side * side).flat_map(|node| {
        let right = (node % side + 1 < side).then_some((node, node + 1));
        right.into_iter().chain((node + side < side * side).then_some((node, node + side)))
    });
    let grid = graph_from_edges(side * side, grid).unwrap();
    for (name, graph, blocks) in
        [("path", path, Some(50_000)), ("star", star, Some(2)), ("tree", tree, None), ("grid", grid, None)]
    {
        let begin = Instant::now();
        let order = block_order(&graph, 3, BlockDegree::default());
        let took = begin.elapsed();
        println!("{name}: {} nodes, {} blocks, {took:.2?}", graph.node_count(), order.blocks());
        assert_eq!(order.sizes.iter().sum::<usize>(), graph.node_count());
        assert!(blocks.is_none_or(|blocks| order.blocks() == blocks), "{name}: {} blocks", order.blocks());
        assert!(took < Duration::from_secs(20), "{name}: {took:?}");
    }
}
